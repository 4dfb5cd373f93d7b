//! Messages that say what Python's caller knows a cortex by: its name, its dtype and its shape, on both sides.

use crate::call::{call, imported};
use crate::errors::own;
use crate::handle::Handle;
use neocortex::{inspect, CortexError};
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;

/// Whether an error is that of a cortex which holds something else, and of which key.
pub(crate) fn other_contents(error: &CortexError) -> Option<i32> {
    match error {
        CortexError::Layout {
            key,
            what: "size" | "schema",
            ..
        } => Some(*key),
        _ => None,
    }
}

/// Returns the `Mismatch` that names what the cortex holds and what was expected; the error that was there, where it
/// cannot be looked at any more. `expected` is the text of the caller's schema.
#[cold]
pub(crate) fn named(py: Python<'_>, error: PyErr, key: i32, expected: &str) -> PyErr {
    let Ok(info) = py.detach(|| inspect::segment(key)) else {
        return error;
    };
    let make = || -> PyResult<String> {
        let said = error.value(py).str()?;
        let difference = imported(py, "neocortex._describe", "difference")?;
        call(&difference, (said, expected, info.size, info.schema))?.extract()
    };
    make().map_or_else(|error| error, |text| own(py, "Mismatch", text))
}

/// Returns what is wrong with a value that was given to be written, and to which cortex.
#[cold]
pub(crate) fn about(py: Python<'_>, error: PyErr, handle: &Handle) -> PyErr {
    let make = || -> PyResult<PyErr> {
        let key = match handle.shared.enter()?.segment() {
            segment if segment.name().is_empty() => segment.key().to_string(),
            segment => format!("{:?}", segment.name()),
        };
        let about = imported(py, "neocortex._describe", "about")?;
        let who = format!("cortex {key} of {}", handle.contents(py)?);
        Ok(PyErr::from_value(call(&about, (error.value(py), who))?))
    };
    make().unwrap_or_else(|_| error.clone_ref(py))
}

/// The error of a call that an `Observer` does not have.
#[cold]
pub(crate) fn only_reads(name: &str) -> PyErr {
    PyAttributeError::new_err(format!(
        "an Observer only reads, and has no `{name}`: attach with `Cortex.attach` for it"
    ))
}
