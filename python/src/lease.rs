//! The memory that a block's array shows, as an object with the buffer protocol. Arrays keep it alive, and it counts them.

use crate::window::Window;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::alloc::Layout;
use std::ffi::c_int;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

/// Memory of a block's own.
pub(crate) struct Private {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: memory has no thread.
unsafe impl Send for Private {}
// SAFETY: as above.
unsafe impl Sync for Private {}

impl Private {
    /// Zeros, aligned as a segment's payload is.
    pub(crate) fn zeros(size: usize) -> PyResult<Self> {
        let layout = Layout::from_size_align(size.max(1), 64)
            .map_err(|_| pyo3::exceptions::PyMemoryError::new_err(()))?;
        // SAFETY: its size is not zero.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        NonNull::new(start)
            .map(|start| Self { start, layout })
            .ok_or_else(|| pyo3::exceptions::PyMemoryError::new_err(()))
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: ours alone as long as it is borrowed exclusively, and initialised.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { std::alloc::dealloc(self.start.as_ptr(), self.layout) };
    }
}

enum Memory {
    /// Kept for its end alone.
    Private(#[allow(dead_code)] Private),
    Window(Window),
    /// Taken back.
    Nothing,
}

/// See the module. `size` bytes from `start` on, as long as it lives.
#[pyclass(module = "neocortex._core", frozen)]
pub(crate) struct Lease {
    start: NonNull<u8>,
    size: usize,
    is_read_only: bool,
    exports: AtomicUsize,
    memory: Mutex<Memory>,
}

// SAFETY: an address; what it shows is accessed by the rules of Python's arrays.
unsafe impl Send for Lease {}
// SAFETY: as above.
unsafe impl Sync for Lease {}

impl Lease {
    pub(crate) fn of_private(private: Private, size: usize, is_read_only: bool) -> Self {
        Self::new(private.start, size, is_read_only, Memory::Private(private))
    }

    pub(crate) fn of_window(window: Window, size: usize, is_read_only: bool) -> Self {
        let start = NonNull::new(window.start()).expect("no mapping begins at 0");
        Self::new(start, size, is_read_only, Memory::Window(window))
    }

    fn new(start: NonNull<u8>, size: usize, is_read_only: bool, memory: Memory) -> Self {
        Self {
            start,
            size,
            is_read_only,
            exports: AtomicUsize::new(0),
            memory: Mutex::new(memory),
        }
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Returns whether anything points into it.
    pub(crate) fn is_exported(&self) -> bool {
        self.exports.load(Ordering::Acquire) != 0
    }

    /// Returns whether it shows the segment.
    pub(crate) fn is_window(&self) -> bool {
        matches!(&*crate::shared::locked(&self.memory), Memory::Window(_))
    }

    /// Returns whether it shows memory of its own.
    pub(crate) fn is_private(&self) -> bool {
        matches!(&*crate::shared::locked(&self.memory), Memory::Private(_))
    }

    /// Ends its access to the segment: takes the window back where nothing points there, else makes it private.
    ///
    /// # Errors
    /// `BufferError` where the kernel can do neither: it still shows the segment.
    pub(crate) fn end(&self) -> PyResult<Option<Window>> {
        let mut memory = crate::shared::locked(&self.memory);
        let Memory::Window(window) = &*memory else {
            return Ok(None);
        };
        if self.is_exported() {
            return window.make_private(self.size).map(|()| None).map_err(|error| {
                PyBufferError::new_err(format!(
                    "arrays made in the block are left, and cannot be taken off the cortex ({error}): the block goes on until they are deleted and it is ended again"
                ))
            });
        }
        match std::mem::replace(&mut *memory, Memory::Nothing) {
            Memory::Window(window) => Ok(Some(window)),
            _ => unreachable!("it was a window"),
        }
    }
}

#[pymethods]
impl Lease {
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let this = slf.get();
        if matches!(&*crate::shared::locked(&this.memory), Memory::Nothing) {
            return Err(PyBufferError::new_err("the block has ended"));
        }
        // SAFETY: the view is the caller's; the memory lives as long as this object, of which the view keeps a reference.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                this.start().cast(),
                this.size as ffi::Py_ssize_t,
                c_int::from(this.is_read_only),
                flags,
            )
        };
        if filled != 0 {
            return Err(PyErr::fetch(slf.py()));
        }
        this.exports.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.exports.fetch_sub(1, Ordering::AcqRel);
    }
}
