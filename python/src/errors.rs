//! From an error of the crate to an exception of the package, in the words of this surface.

use crate::call::{call, imported};
use neocortex::{CortexError, Surface};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

const ENOENT: i32 = 2;
const EEXIST: i32 = 17;

/// Returns the exception for an error: a class of `neocortex._errors`.
#[cold]
pub(crate) fn raise(py: Python<'_>, error: &CortexError) -> PyErr {
    let text = error.in_words_of(Surface::Python);
    let (class, errno) = match error {
        CortexError::CleanSystem(system) | CortexError::DirtySystem(system) => {
            match system.raw_os_error().unwrap_or(0) {
                ENOENT => ("NotFound", Some(ENOENT)),
                EEXIST => ("Exists", Some(EEXIST)),
                errno if errno == libc::EACCES || errno == libc::EPERM => ("Denied", Some(errno)),
                errno => ("SystemFailure", Some(errno)),
            }
        }
        CortexError::NotACortex { .. }
        | CortexError::Format { .. }
        | CortexError::Layout { .. }
        | CortexError::Lock { .. }
        | CortexError::Name { .. }
        | CortexError::InvalidValue { .. } => ("Mismatch", None),
        CortexError::NotReady { .. } => ("NotReady", None),
        CortexError::Timeout { .. } => ("Timeout", None),
        CortexError::Poisoned { .. } => ("Poisoned", None),
        CortexError::Busy { .. } => ("Busy", None),
        CortexError::Full { .. } => ("Full", None),
        CortexError::Corrupt { .. } => ("Corrupt", None),
        CortexError::Removed { .. } => ("Removed", None),
        CortexError::InvalidArgument { .. } => ("InvalidArgument", None),
        CortexError::ReadOnly { .. } | CortexError::Unsupported { .. } => ("Unsupported", None),
        _ => ("CortexError", None),
    };
    let make = || {
        let class = imported(py, "neocortex._errors", class)?;
        match errno {
            Some(errno) => call(&class, (errno, text)),
            None => call(&class, (text,)),
        }
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

/// Returns an exception of this class of `neocortex._errors` with a message of this package's own.
#[cold]
pub(crate) fn own(py: Python<'_>, class: &str, text: String) -> PyErr {
    let make = imported(py, "neocortex._errors", class).and_then(|class| call(&class, (text,)));
    make.map_or_else(|error| error, PyErr::from_value)
}

#[cold]
pub(crate) fn closed() -> PyErr {
    PyValueError::new_err("the cortex is closed: attach again")
}
