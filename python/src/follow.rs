//! `c.follow()`: each commit once and in order, or how many were missed.

use crate::call::{call, imported};
use crate::errors::raise;
use crate::handle::Handle;
use crate::patience::Patience;
use crate::value::cached;
use neocortex::{CortexError, Followed};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::sync::Mutex;

/// An iterator over commits, which waits for the next one; also an asynchronous one.
#[pyclass(module = "neocortex", frozen)]
pub(crate) struct Follow {
    handle: Py<Handle>,
    position: Mutex<u64>,
    timeout: Option<f64>,
}

impl Follow {
    pub(crate) fn new(handle: Py<Handle>, since: u64, timeout: Option<f64>) -> Self {
        Self {
            handle,
            position: Mutex::new(since),
            timeout,
        }
    }

    /// Reads the next commit, which is waited for unless `is_now`; `None` where there is none now.
    fn read<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
        is_now: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        static COMMIT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let handle = self.handle.get();
        let patience = Patience::lasting(timeout)?;
        let since = self.position();
        let mut found = None;
        let value = handle.kind.make(py, handle.size, |buffer| {
            found = patience.enter(py, &handle.shared, |segment, left| {
                let mut follower = segment.follow(since);
                match is_now {
                    true => follower.try_next(buffer),
                    false => follower.next(buffer, Some(left)).map(Some),
                }
            })?;
            Ok(())
        })?;
        let Some(Followed {
            version, missed, ..
        }) = found
        else {
            return Ok(None);
        };
        *crate::shared::locked(&self.position) = version;
        let commit = cached(py, &COMMIT, "neocortex._commit", "Commit")?;
        call(commit, (value, version, missed)).map(Some)
    }
}

#[pymethods]
impl Follow {
    /// The number of the last commit that was read.
    #[getter]
    fn position(&self) -> u64 {
        *crate::shared::locked(&self.position)
    }

    /// Waits for the next commit.
    #[pyo3(signature = (timeout=None))]
    fn next<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.read(py, timeout, false)
    }

    /// The next commit, or None where there is none now.
    fn try_next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.read(py, None, true)
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Ends when the cortex is removed and what it keeps has been read.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.read(py, self.timeout, false) {
            Err(error) if is_removed(py, &error) => Ok(None),
            result => result,
        }
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let (handle, timeout) = (slf.get().handle.clone_ref(py), slf.get().timeout);
        call(
            &imported(py, "neocortex._events", "next_commit")?,
            (slf, handle, timeout),
        )
    }
}

fn is_removed(py: Python<'_>, error: &PyErr) -> bool {
    let removed = raise(py, &CortexError::Removed { key: 0 });
    error.get_type(py).is(removed.get_type(py))
}
