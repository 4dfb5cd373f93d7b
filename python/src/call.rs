//! Calls into Python, where the interpreter may end meanwhile.
//!
//! CPython before 3.14 ends a daemon thread that asks for the interpreter after its end by `pthread_exit`, which unwinds the
//! thread's stack: through frames of Rust that is an abort of the whole process. Python that runs below this package asks
//! again and again. So whatever runs Python, or may (an import, a call), goes through this file, where such a thread stays
//! until the process has ended: what CPython does by itself from 3.14 on, and what PyO3 does where it asks.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyModule, PyString, PyTuple};
use std::hint::black_box;

/// Keeps the thread that unwinds it.
struct Stays;

impl Drop for Stays {
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

type CallFn = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *mut ffi::PyObject,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;
type UnwindingCallFn = unsafe extern "C-unwind" fn(
    *mut ffi::PyObject,
    *mut ffi::PyObject,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;
type ImportFn = unsafe extern "C" fn(*mut ffi::PyObject) -> *mut ffi::PyObject;
type UnwindingImportFn = unsafe extern "C-unwind" fn(*mut ffi::PyObject) -> *mut ffi::PyObject;

/// Calls it with these arguments.
pub(crate) fn call<'py, A>(
    callable: &Bound<'py, PyAny>,
    arguments: A,
) -> PyResult<Bound<'py, PyAny>>
where
    A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>>,
    A::Error: Into<PyErr>,
{
    let arguments = arguments.into_pyobject(callable.py()).map_err(Into::into)?;
    // The compiler takes it that a function of C does not unwind, and leaves out what would run `Stays`. So it may not see
    // which function this is.
    // SAFETY: types of functions that differ in whether they may unwind.
    let function =
        unsafe { std::mem::transmute::<CallFn, UnwindingCallFn>(black_box(ffi::PyObject_Call)) };
    let stays = Stays;
    // SAFETY: a callable, a tuple and no keywords; the interpreter is attached.
    let result = unsafe { function(callable.as_ptr(), arguments.as_ptr(), std::ptr::null_mut()) };
    std::mem::forget(stays);
    // SAFETY: a new reference, or NULL with an exception.
    unsafe { Bound::from_owned_ptr_or_err(callable.py(), result) }
}

/// Returns what a module has under this name, and imports the module where that was not done before.
pub(crate) fn imported<'py>(
    py: Python<'py>,
    module: &str,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let module = PyString::new(py, module);
    // SAFETY: as in `call`.
    let function = unsafe {
        std::mem::transmute::<ImportFn, UnwindingImportFn>(black_box(ffi::PyImport_Import))
    };
    let stays = Stays;
    // SAFETY: a string; the interpreter is attached.
    let result = unsafe { function(module.as_ptr()) };
    std::mem::forget(stays);
    // SAFETY: a new reference, or NULL with an exception.
    unsafe { Bound::from_owned_ptr_or_err(py, result) }?
        .cast_into::<PyModule>()?
        .getattr(name)
}
