//! What both kinds of handles have, `Cortex` and `Observer`: they read, wait and follow.

use crate::call::{call, imported};
use crate::errors::raise;
use crate::follow::Follow;
use crate::patience::Patience;
use crate::shared::Shared;
use crate::value::{self, Kind};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyTuple, PyType};
use std::sync::Arc;

/// What both kinds of handles have: they read, wait and follow.
#[pyclass(module = "neocortex", subclass, frozen, generic, weakref)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) kind: Kind,
    pub(crate) size: usize,
    /// What it was attached with, for its pickle; 0 is any.
    pub(crate) schema: u64,
}

impl Handle {
    /// Returns in words what it holds: `float`, `float32 (2, 3)`.
    pub(crate) fn contents(&self, py: Python<'_>) -> PyResult<String> {
        match &self.kind {
            Kind::Array { dtype, shape } => Ok(format!("{} {}", dtype.bind(py), shape.bind(py))),
            Kind::Bytes => Ok(format!("{} bytes", self.size)),
            _ => Ok(self.dtype(py).getattr("__name__")?.to_string()),
        }
    }

    fn read_value<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.kind.make(py, self.size, |buffer| {
            value::read(py, &self.shared, buffer, timeout, false).map(drop)
        })
    }
}

#[pymethods]
impl Handle {
    #[pyo3(signature = (out=None, *, timeout=None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        out: Option<Bound<'py, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some(out) = out else {
            return self.read_value(py, timeout);
        };
        let mut bytes = self.kind.target(&out, self.size)?;
        value::read(py, &self.shared, bytes.get_mut(), timeout, false)?;
        drop(bytes);
        Ok(out)
    }

    #[pyo3(signature = (out=None, *, timeout=None))]
    fn read_versioned<'py>(
        &self,
        py: Python<'py>,
        out: Option<Bound<'py, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<(Bound<'py, PyAny>, u64)> {
        let mut version = 0;
        let mut read = |buffer: &mut [u8]| {
            version = value::read(py, &self.shared, buffer, timeout, true)?;
            Ok(())
        };
        let value = match out {
            None => self.kind.make(py, self.size, read)?,
            Some(out) => {
                read(self.kind.target(&out, self.size)?.get_mut())?;
                out
            }
        };
        Ok((value, version))
    }

    #[pyo3(signature = (since=None, timeout=None))]
    fn wait(&self, py: Python<'_>, since: Option<u64>, timeout: Option<f64>) -> PyResult<u64> {
        let version = self.version()?;
        let since = since.unwrap_or(version);
        if version != since {
            return Ok(version);
        }
        Patience::lasting(timeout)?.enter(py, &self.shared, |segment, left| {
            segment.wait_changed(since, Some(left))
        })
    }

    #[pyo3(signature = (since=None, timeout=None))]
    fn changed<'py>(
        slf: &Bound<'py, Self>,
        since: Option<u64>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        // From now on, and not from when it is awaited.
        let since = match since {
            Some(since) => since,
            None => slf.get().version()?,
        };
        call(
            &imported(slf.py(), "neocortex._events", "changed")?,
            (slf, since, timeout),
        )
    }

    #[pyo3(signature = (since=None, timeout=None))]
    fn follow(slf: Bound<'_, Self>, since: Option<u64>, timeout: Option<f64>) -> PyResult<Follow> {
        let since = match since {
            Some(since) => since,
            None => slf.get().version()?,
        };
        Ok(Follow::new(slf.unbind(), since, timeout))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.shared.close(py)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (_kind=None, error=None, _trace=None))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: Option<Bound<'_, PyAny>>,
        error: Option<Bound<'_, PyAny>>,
        _trace: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let Err(failure) = self.close(py) else {
            return Ok(());
        };
        if let Some(error) = error {
            // What ended the block is shown too.
            failure.value(py).setattr("__context__", error)?;
        }
        Err(failure)
    }

    #[getter]
    fn closed(&self) -> bool {
        self.shared.is_closed()
    }

    #[getter]
    fn key(&self) -> PyResult<i32> {
        Ok(self.shared.enter()?.segment().key())
    }

    #[getter]
    fn name(&self) -> PyResult<String> {
        Ok(self.shared.enter()?.segment().name().to_owned())
    }

    #[getter]
    fn version(&self) -> PyResult<u64> {
        Ok(self.shared.enter()?.segment().version())
    }

    #[getter]
    fn kept_since(&self) -> PyResult<u64> {
        Ok(self.shared.enter()?.segment().kept_since())
    }

    #[getter]
    fn schema(&self) -> PyResult<u64> {
        Ok(self.shared.enter()?.segment().schema())
    }

    #[getter]
    fn lock(&self) -> PyResult<String> {
        Ok(self.shared.enter()?.segment().lock_name().to_owned())
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.size
    }

    /// What `attach` is given for the same value.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match &self.kind {
            Kind::Float => py.get_type::<PyFloat>().into_any(),
            Kind::Int => py.get_type::<PyInt>().into_any(),
            Kind::Bool => py.get_type::<pyo3::types::PyBool>().into_any(),
            Kind::Bytes => py.get_type::<pyo3::types::PyBytes>().into_any(),
            Kind::Array { dtype, .. } => dtype.bind(py).clone(),
        }
    }

    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> Bound<'py, PyTuple> {
        match &self.kind {
            Kind::Array { shape, .. } => shape.bind(py).clone(),
            _ => PyTuple::empty(py),
        }
    }

    #[getter]
    fn is_removed(&self) -> PyResult<bool> {
        Ok(self.shared.enter()?.segment().is_removed())
    }

    #[getter]
    fn is_poisoned(&self) -> PyResult<bool> {
        Ok(self.shared.enter()?.segment().is_poisoned())
    }

    #[getter]
    fn participants(&self, py: Python<'_>) -> PyResult<(u32, u32)> {
        let entered = self.shared.enter()?;
        let found = entered.segment().participants();
        found.map_err(|error| raise(py, &error))
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, this) = (slf.py(), slf.get());
        let key = {
            let entered = this.shared.enter()?;
            match entered.segment().name() {
                "" => entered.segment().key().into_pyobject(py)?.into_any(),
                name => name.into_pyobject(py)?.into_any(),
            }
        };
        let again = imported(py, "neocortex._describe", "attach_again")?;
        let class: Bound<'py, PyType> = slf.get_type();
        let shape = this.shape(py);
        let arguments = (class, key, this.dtype(py), shape, this.schema);
        Ok((again, arguments.into_pyobject(py)?))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let this = slf.get();
        let class = slf.get_type().name()?;
        let Ok(entered) = this.shared.enter() else {
            return Ok(format!("<{class}, closed>"));
        };
        let segment = entered.segment();
        let key = match segment.name() {
            "" => segment.key().to_string(),
            name => format!("{name:?}"),
        };
        let version = segment.version();
        drop(entered);
        let contents = this.contents(slf.py())?;
        Ok(format!("<{class} {key}: {contents}, {version} commits>"))
    }
}
