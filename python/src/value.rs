//! What a cortex holds, and how its bytes become a value of Python's and back.

use crate::any_segment::AnySegment;
use crate::call::{call, imported};
use crate::errors::raise;
use crate::lease::Lease;
use crate::patience::Patience;
use crate::shared::Shared;
use neocortex::CortexError;
use pyo3::exceptions::{PyOverflowError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyTuple};

/// A copy of more bytes than this is made with the interpreter released.
const LONG: usize = 4096;

/// The kind of the value, and for arrays its dtype and shape.
pub(crate) enum Kind {
    Float,
    Int,
    Bool,
    Bytes,
    Array {
        dtype: Py<PyAny>,
        shape: Py<PyTuple>,
    },
}

/// A function of a module, looked up once.
pub(crate) fn cached<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyAny>>,
    module: &str,
    name: &str,
) -> PyResult<&'py Bound<'py, PyAny>> {
    let found = cell.get_or_try_init(py, || -> PyResult<Py<PyAny>> {
        Ok(imported(py, module, name)?.unbind())
    })?;
    Ok(found.bind(py))
}

static EMPTY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static FROM_BUFFER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static NDARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static AS_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The contiguous bytes of an object with the buffer protocol, for as long as this lives.
pub(crate) struct Bytes(Box<ffi::Py_buffer>);

impl Bytes {
    pub(crate) fn of(object: &Bound<'_, PyAny>, is_writable: bool) -> PyResult<Self> {
        let mut view = Box::new(ffi::Py_buffer::new());
        let flags = match is_writable {
            true => ffi::PyBUF_WRITABLE,
            false => ffi::PyBUF_SIMPLE,
        };
        // SAFETY: a view that does not move.
        match unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut *view, flags) } {
            0 => Ok(Self(view)),
            _ => Err(PyErr::fetch(object.py())),
        }
    }

    fn place(&self) -> *mut u8 {
        match self.0.len {
            0 => std::ptr::dangling_mut(),
            _ => self.0.buf.cast(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len as usize
    }

    pub(crate) fn get(&self) -> &[u8] {
        // SAFETY: so many bytes, which stay as long as the view. That no other thread of the program stores there
        // meanwhile is its own concern, as with every copy between arrays: bytes of both would be copied.
        unsafe { std::slice::from_raw_parts(self.place(), self.len()) }
    }

    /// The view was asked to be writable.
    pub(crate) fn get_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `get`.
        unsafe { std::slice::from_raw_parts_mut(self.place(), self.len()) }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        // SAFETY: filled by `PyObject_GetBuffer`, and released once; the interpreter is held, for calls that release it
        // only borrow this.
        unsafe { ffi::PyBuffer_Release(&raw mut *self.0) };
    }
}

// SAFETY: an address; it is dropped where the interpreter is held.
unsafe impl Send for Bytes {}
// SAFETY: as above.
unsafe impl Sync for Bytes {}

/// Copies bytes of the same number.
pub(crate) fn copy(py: Python<'_>, from: &[u8], to: &mut [u8]) {
    match from.len() <= LONG {
        true => to.copy_from_slice(from),
        false => py.detach(|| to.copy_from_slice(from)),
    }
}

/// Copies the last committed value. Returns its version where it had to wait or the copy is long, which callers that want
/// it ask for by `is_versioned`.
pub(crate) fn read(
    py: Python<'_>,
    shared: &Shared,
    buffer: &mut [u8],
    timeout: Option<f64>,
    is_versioned: bool,
) -> PyResult<u64> {
    if buffer.len() <= LONG && !is_versioned {
        match shared.enter()?.segment().try_read(buffer) {
            Ok(()) => return Ok(0),
            Err(CortexError::Timeout { .. }) => {}
            Err(error) => return Err(raise(py, &error)),
        }
    }
    read_long(py, shared, buffer, timeout)
}

#[cold]
fn read_long(
    py: Python<'_>,
    shared: &Shared,
    buffer: &mut [u8],
    timeout: Option<f64>,
) -> PyResult<u64> {
    Patience::lasting(timeout)?.enter(py, shared, |segment, left| segment.read(left, buffer))
}

/// Makes these bytes the value.
pub(crate) fn write(
    py: Python<'_>,
    shared: &Shared,
    data: &[u8],
    timeout: Option<f64>,
) -> PyResult<()> {
    if data.len() <= LONG {
        match shared.enter()?.segment().try_write(data) {
            Ok(()) => return Ok(()),
            Err(CortexError::Timeout { .. }) => {}
            Err(error) => return Err(raise(py, &error)),
        }
    }
    Patience::lasting(timeout)?.enter(py, shared, |segment, left| segment.write(left, data))
}

impl Patience {
    /// [`Patience::go`] in the segment. The call is not counted any more when it waits for the interpreter.
    pub(crate) fn enter<T: Send>(
        self,
        py: Python<'_>,
        shared: &Shared,
        mut step: impl FnMut(&AnySegment, std::time::Duration) -> neocortex::CortexResult<T> + Send,
    ) -> PyResult<T> {
        // The handle may be closed between two slices.
        let mut is_closed = None;
        let result = self.go(py, |left| match shared.enter() {
            Ok(entered) => step(entered.segment(), left),
            Err(error) => {
                is_closed = Some(error);
                Err(CortexError::Custom(0))
            }
        });
        is_closed.map_or(result, Err)
    }
}

impl Kind {
    /// Returns the kind for what `neocortex._describe` says.
    pub(crate) fn of(kind: &str, dtype: Bound<'_, PyAny>, shape: Bound<'_, PyTuple>) -> Self {
        match kind {
            "float" => Self::Float,
            "int" => Self::Int,
            "bool" => Self::Bool,
            "bytes" => Self::Bytes,
            _ => Self::Array {
                dtype: dtype.unbind(),
                shape: shape.unbind(),
            },
        }
    }

    /// Returns a new array of this dtype and shape, with any contents.
    pub(crate) fn empty<'py>(
        py: Python<'py>,
        dtype: &Py<PyAny>,
        shape: &Py<PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        call(cached(py, &EMPTY, "numpy", "empty")?, (shape, dtype))
    }

    /// Reads into a new value by `read`, which fills a buffer.
    pub(crate) fn make<'py>(
        &self,
        py: Python<'py>,
        size: usize,
        read: impl FnOnce(&mut [u8]) -> PyResult<()>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut word = [0; 8];
        match self {
            Self::Float => {
                read(&mut word)?;
                Ok(PyFloat::new(py, f64::from_ne_bytes(word)).into_any())
            }
            Self::Int => {
                read(&mut word)?;
                Ok(i64::from_ne_bytes(word).into_pyobject(py)?.into_any())
            }
            Self::Bool => {
                read(&mut word[..1])?;
                Ok(PyBool::new(py, word[0] != 0).to_owned().into_any())
            }
            Self::Bytes => Ok(PyBytes::new_with(py, size, read)?.into_any()),
            Self::Array { dtype, shape } => {
                let array = Self::empty(py, dtype, shape)?;
                read(Bytes::of(&array, true)?.get_mut())?;
                Ok(array)
            }
        }
    }

    /// Calls `write` with the bytes of a value that was given to be written.
    pub(crate) fn bytes_of<R>(
        &self,
        value: &Bound<'_, PyAny>,
        size: usize,
        write: impl FnOnce(&[u8]) -> PyResult<R>,
    ) -> PyResult<R> {
        let py = value.py();
        match self {
            Self::Float => match value.extract::<f64>() {
                Ok(number) => write(&number.to_ne_bytes()),
                Err(error) if error.is_instance_of::<PyOverflowError>(py) => Err(error),
                Err(_) => Err(refused(value, "a float")),
            },
            // Also what is an int to Python, as numpy's are.
            Self::Int => match value.extract::<i64>() {
                Ok(number) => write(&number.to_ne_bytes()),
                Err(error) if error.is_instance_of::<PyOverflowError>(py) => {
                    Err(PyOverflowError::new_err("an int of a cortex has 64 bits"))
                }
                Err(_) => Err(refused(value, "an int")),
            },
            Self::Bool => match value.extract::<bool>() {
                Ok(value) => write(&[u8::from(value)]),
                Err(_) => Err(refused(value, "a bool")),
            },
            Self::Bytes => {
                let bytes = Bytes::of(value, false)?;
                if bytes.len() != size {
                    let text = format!("{} bytes are given, and it has {size}", bytes.len());
                    return Err(PyValueError::new_err(text));
                }
                write(bytes.get())
            }
            Self::Array { dtype, shape } => {
                if let Some(bytes) = exact(value, dtype, shape)? {
                    return write(bytes.get());
                }
                let as_array = cached(py, &AS_ARRAY, "neocortex._describe", "as_array")?;
                let array = call(as_array, (value, dtype, shape))?;
                write(Bytes::of(&array, false)?.get())
            }
        }
    }

    /// Returns the bytes of an array that a value is to be read into.
    pub(crate) fn target(&self, out: &Bound<'_, PyAny>, size: usize) -> PyResult<Bytes> {
        let refuse = || {
            let text =
                "`out` must be a contiguous, writable array of the dtype and shape of the cortex";
            PyTypeError::new_err(text)
        };
        let bytes = match self {
            Self::Array { dtype, shape } => {
                if !is_exact(out, dtype, shape)? {
                    return Err(refuse());
                }
                Bytes::of(out, true).map_err(|_| refuse())?
            }
            Self::Bytes => Bytes::of(out, true)?,
            _ => return Err(PyTypeError::new_err("`out` is for arrays and bytes")),
        };
        match bytes.len() == size {
            true => Ok(bytes),
            false => Err(refuse()),
        }
    }

    /// Returns an array, or for bytes a memoryview, over the memory of a block. What is made of it without a copy holds an
    /// export of the lease: arrays by their base, which is an array of bytes that the one returned does not own.
    pub(crate) fn over<'py>(&self, lease: &Bound<'py, Lease>) -> PyResult<Bound<'py, PyAny>> {
        let py = lease.py();
        let over = match self {
            Self::Array { dtype, shape } => {
                let bytes = call(
                    cached(py, &FROM_BUFFER, "numpy", "frombuffer")?,
                    (lease, "u1"),
                )?;
                call(
                    cached(py, &NDARRAY, "numpy", "ndarray")?,
                    (shape, dtype, bytes),
                )?
            }
            // SAFETY: a new reference, or NULL with an exception.
            _ => unsafe {
                Bound::from_owned_ptr_or_err(py, ffi::PyMemoryView_FromObject(lease.as_ptr()))
            }?,
        };
        // How numpy does it is its own affair, so it is asked.
        match lease.get().is_exported() {
            true => Ok(over),
            false => Err(PyRuntimeError::new_err(
                "this numpy keeps no export of the memory of its arrays",
            )),
        }
    }
}

fn refused(value: &Bound<'_, PyAny>, wanted: &str) -> PyErr {
    let text = match value.get_type().name() {
        Ok(name) => format!("{wanted} is written to it, and this is of type {name}"),
        Err(error) => return error,
    };
    PyTypeError::new_err(text)
}

/// Returns whether it is an array of exactly this dtype and shape.
fn is_exact(value: &Bound<'_, PyAny>, dtype: &Py<PyAny>, shape: &Py<PyTuple>) -> PyResult<bool> {
    let py = value.py();
    let ndarray = cached(py, &NDARRAY, "numpy", "ndarray")?;
    if !value.get_type().is(ndarray) {
        return Ok(false);
    }
    let its = value.getattr(pyo3::intern!(py, "dtype"))?;
    if !its.is(dtype.bind(py)) && !its.eq(dtype)? {
        return Ok(false);
    }
    value.getattr(pyo3::intern!(py, "shape"))?.eq(shape)
}

/// Returns the bytes of what can be written as it is.
fn exact(
    value: &Bound<'_, PyAny>,
    dtype: &Py<PyAny>,
    shape: &Py<PyTuple>,
) -> PyResult<Option<Bytes>> {
    if !is_exact(value, dtype, shape)? {
        return Ok(None);
    }
    // One that is not contiguous has none.
    match Bytes::of(value, false) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(_) => Ok(None),
    }
}
