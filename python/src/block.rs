//! `with c.reading()` and `with c.writing()`: an array over the bytes of the segment, until the block ends.
//!
//! **The array of the block** usually outlives it: the name after `as` still refers to it. Where those names are all that
//! refers to it, they are given an array that cannot be used ([`disarm`]), and no page changes. All else that points into
//! the slot, such as a slice that was kept, is counted by the [`Lease`], and turned into a copy.

use crate::any_segment::{Access, AnySegment, Guard};
use crate::call::call;
use crate::errors::raise;
use crate::handle::Handle;
use crate::lease::{Lease, Private};
use crate::messages::about;
use crate::patience::Patience;
use crate::shared::{Entered, InBlock, Shared};
use crate::value::{self, cached, Kind};
use crate::window::Window;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::sync::Arc;
use std::thread::ThreadId;

/// Below this a block has a copy of its own: to copy it costs less than to look who refers to it.
const SMALL: usize = 64 * 1024;

/// A context manager that gives the array.
#[pyclass(module = "neocortex._core", frozen)]
pub(crate) struct Block {
    handle: Py<Handle>,
    access: Access,
    timeout: Option<f64>,
    open: std::sync::Mutex<Option<Open>>,
}

/// What an entered block has.
struct Open {
    thread: ThreadId,
    array: Py<PyAny>,
    lease: Py<Lease>,
    /// None where the block reads a copy. Its guard ends before the block is uncounted.
    held: Option<Held>,
}

struct Held {
    guard: Guard<'static>,
    block: InBlock,
}

// SAFETY: the guard is touched on `thread` alone, or handed to `Shared::give_up`.
unsafe impl Send for Open {}

impl Block {
    pub(crate) fn new(handle: Py<Handle>, access: Access, timeout: Option<f64>) -> PyResult<Self> {
        if !matches!(handle.get().kind, Kind::Array { .. } | Kind::Bytes) {
            let text =
                "a block shows an array or bytes; a number is read, written and updated as it is";
            return Err(PyTypeError::new_err(text));
        }
        Ok(Self {
            handle,
            access,
            timeout,
            open: std::sync::Mutex::default(),
        })
    }

    fn begin(&self, py: Python<'_>) -> PyResult<Open> {
        let handle = self.handle.get();
        let (shared, size) = (&handle.shared, handle.size);
        let is_read = self.access == Access::Read;
        let (lease, held) = if is_read && size <= SMALL {
            let mut private = Private::zeros(size)?;
            value::read(py, shared, private.bytes(), self.timeout, false)?;
            (Lease::of_private(private, size, true), None)
        } else {
            // Imported now: at the end of the block no handler of a signal may run.
            if matches!(handle.kind, Kind::Array { .. }) {
                ended(py)?;
            }
            let mut held = hold(py, shared, self.access, self.timeout)?;
            let lease = held.lease(py, size, self.access)?;
            (lease, Some(held))
        };
        let lease = Bound::new(py, lease)?;
        let array = handle.kind.over(&lease)?;
        Ok(Open {
            thread: std::thread::current().id(),
            array: array.unbind(),
            lease: lease.unbind(),
            held,
        })
    }
}

#[pymethods]
impl Block {
    fn __enter__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if crate::shared::locked(&self.open).is_some() {
            return Err(PyRuntimeError::new_err(
                "this block has been entered already",
            ));
        }
        let open = self.begin(py)?;
        let array = open.array.clone_ref(py);
        *crate::shared::locked(&self.open) = Some(open);
        Ok(array)
    }

    #[pyo3(signature = (kind=None, _error=None, _trace=None))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: Option<Bound<'_, PyAny>>,
        _error: Option<Bound<'_, PyAny>>,
        _trace: Option<Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let mut place = crate::shared::locked(&self.open);
        let Some(open) = place.as_ref() else {
            return Err(PyRuntimeError::new_err(
                "this block has not been entered, or has ended",
            ));
        };
        if open.held.is_some() && open.thread != std::thread::current().id() {
            let text = "a block belongs to the thread that began it, and must end there";
            return Err(PyRuntimeError::new_err(text));
        }
        let open = place.take().expect("it was there");
        drop(place);
        let is_commit = kind.is_none() && self.access != Access::Read;
        match open.end(py, is_commit, true) {
            Ok(()) => Ok(false),
            Err((error, rest)) => {
                *crate::shared::locked(&self.open) = rest.map(|open| *open);
                Err(error)
            }
        }
    }
}

impl Drop for Block {
    /// A block that was entered and never ended: an interrupt came between. Nothing is committed.
    fn drop(&mut self) {
        let Some(mut open) = crate::shared::locked(&self.open).take() else {
            return;
        };
        if open.thread == std::thread::current().id() || open.held.is_none() {
            // Without an interpreter there is nobody who could use the array either.
            Python::try_attach(|py| drop(open.end(py, false, false)));
        } else if let Some(held) = open.held.take() {
            Shared::give_up(open.thread, held.guard, held.block);
        }
    }
}

impl Open {
    /// Ends the block. Where what is left of its arrays cannot be taken off the segment, the block goes on: it is
    /// returned with the error.
    fn end(
        mut self,
        py: Python<'_>,
        is_commit: bool,
        is_with: bool,
    ) -> Result<(), (PyErr, Option<Box<Self>>)> {
        let Some(held) = self.held.take() else {
            return Ok(());
        };
        let lease = self.lease.bind(py).clone();
        let lease = lease.get();
        if lease.is_window() {
            if is_with {
                disarm(self.array.bind(py));
            }
            // The names after `as` have references of their own.
            let array = std::mem::replace(&mut self.array, py.None());
            drop(array);
            match lease.end() {
                Ok(Some(window)) => held.block.shared().put_window(window),
                Ok(None) => {}
                Err(error) => {
                    self.held = Some(held);
                    return Err((error, Some(Box::new(self))));
                }
            }
        }
        if !held.block.is_here() {
            // A forked child's: its guard is void.
            return Ok(());
        }
        held.finish(py, lease, is_commit)
            .map_err(|error| (error, None))
    }
}

/// Takes the lock, with the interpreter released.
fn hold(
    py: Python<'_>,
    shared: &Arc<Shared>,
    access: Access,
    timeout: Option<f64>,
) -> PyResult<Held> {
    shared.end_given_up();
    /// A guard is of one thread. `py.detach` calls the closure on this very one, and says `Send` only for the sake of the
    /// interpreter's objects, of which it has none.
    struct Here<T>(T);
    // SAFETY: it does not leave the thread.
    unsafe impl<T> Send for Here<T> {}
    let begin = |entered: &Entered<'_>, block: &InBlock, left| {
        // SAFETY: `Held` ends the guard first.
        let segment: &'static AnySegment = unsafe { shared.lasting(block, entered) };
        py.detach(|| segment.begin(access, left).map(Here))
    };
    let block = {
        let _entered = shared.enter()?;
        shared.begin_block()
    };
    // From here on it is not closed.
    let entered = shared.enter()?;
    let Here(guard) =
        Patience::lasting(timeout)?.go_here(py, |left| begin(&entered, &block, left))?;
    Ok(Held { guard, block })
}

impl Held {
    /// Returns the memory that the block shows.
    fn lease(&mut self, py: Python<'_>, size: usize, access: Access) -> PyResult<Lease> {
        let is_read = access == Access::Read;
        let place = self.guard.place();
        if size > SMALL {
            let window = self.block.shared().take_window(place).map_or_else(
                // SAFETY: the value in the segment's mapping, which stays while the block is counted.
                || unsafe { Window::over(place, size) },
                Ok,
            );
            if let Ok(window) = window {
                return Ok(Lease::of_window(window, size, is_read));
            }
        }
        let mut private = Private::zeros(size)?;
        if access != Access::Overwrite {
            // SAFETY: the guard shows so many bytes.
            let bytes = unsafe { std::slice::from_raw_parts(place, size) };
            value::copy(py, bytes, private.bytes());
        }
        Ok(Lease::of_private(private, size, is_read))
    }

    /// Commits what the block's memory holds, or gives it up.
    fn finish(mut self, py: Python<'_>, lease: &Lease, is_commit: bool) -> PyResult<()> {
        if is_commit && lease.is_private() {
            let (from, to) = (lease.start(), self.guard.place());
            // SAFETY: both have so many bytes. Arrays may still be changed by other threads of the program, which is its
            // own concern: bytes of both would be committed.
            let (from, to) = unsafe {
                (
                    std::slice::from_raw_parts(from, lease.size()),
                    std::slice::from_raw_parts_mut(to, lease.size()),
                )
            };
            value::copy(py, from, to);
        }
        let result = match is_commit {
            true => self.guard.commit(),
            false => self.guard.abort(),
        };
        drop(self.block);
        result.map_err(|error| raise(py, &error))
    }
}

/// Makes the names after `as` refer to an array that cannot be used, if nothing else refers to the block's array: an
/// object that took its address without making an array of it would not be counted by the lease.
///
/// Where that cannot be told, the array is left, and counted.
fn disarm(array: &Bound<'_, PyAny>) {
    let py = array.py();
    // SAFETY: only reads the count. The block has one reference.
    let others = unsafe { ffi::Py_REFCNT(array.as_ptr()) } - 1;
    if let Ok(memory_view) = array.cast::<pyo3::types::PyMemoryView>() {
        // It refuses where somebody has its buffer, which keeps the lease's.
        let _ = memory_view
            .getattr(pyo3::intern!(py, "release"))
            .and_then(|it| call(&it, ()));
    } else if others == 0 || names_of(array).is_ok_and(|names| names == others as usize) {
        let _ = put_out_of_use(py, array);
    }
}

/// Returns how many names of the running function refer to it.
fn names_of(array: &Bound<'_, PyAny>) -> PyResult<usize> {
    static GET_FRAME: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = array.py();
    // What called this: the function with the `with`.
    let frame = call(cached(py, &GET_FRAME, "sys", "_getframe")?, ())?;
    let names = frame.getattr(pyo3::intern!(py, "f_locals"))?;
    let mut count = 0;
    for value in call(&names.getattr("values")?, ())?.try_iter()? {
        count += usize::from(value?.is(array));
    }
    Ok(count)
}

/// The contents of an array that cannot be used.
fn ended(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static ENDED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    cached(py, &ENDED, "neocortex._ended", "STATE")
}

/// Gives the array these contents: none that could be taken for a value.
fn put_out_of_use(py: Python<'_>, array: &Bound<'_, PyAny>) -> PyResult<()> {
    call(
        &array.getattr(pyo3::intern!(py, "__setstate__"))?,
        (ended(py)?,),
    )?;
    Ok(())
}

/// Reads, calls `change` with a copy, and commits what it returns or has changed; nobody writes in between.
pub(crate) fn update(
    py: Python<'_>,
    handle: &Handle,
    change: &Bound<'_, PyAny>,
    timeout: Option<f64>,
) -> PyResult<()> {
    let mut held = hold(py, &handle.shared, Access::Write, timeout)?;
    let (place, size) = (held.guard.place(), handle.size);
    // SAFETY: the guard shows so many bytes, and is this thread's.
    let bytes = unsafe { std::slice::from_raw_parts_mut(place, size) };
    let value = handle.kind.make(py, size, |buffer| {
        value::copy(py, &bytes[..buffer.len()], buffer);
        Ok(())
    })?;
    let result = call(change, (&value,)).and_then(|changed| {
        // An array may have been changed in place.
        let is_same = changed.is_none() && matches!(handle.kind, Kind::Array { .. });
        let new = if is_same { &value } else { &changed };
        let result = handle.kind.bytes_of(new, size, |new| {
            value::copy(py, new, bytes);
            Ok(())
        });
        result.map_err(|error| about(py, error, handle))
    });
    let ended = match result.is_ok() {
        true => held.guard.commit(),
        false => held.guard.abort(),
    };
    drop(held.block);
    result.and(ended.map_err(|error| raise(py, &error)))
}
