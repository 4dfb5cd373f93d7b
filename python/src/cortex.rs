//! The two kinds of handles that a program opens: `Cortex`, which takes part, and `Observer`, which only reads.

use crate::any_segment::{Access, AnySegment};
use crate::block::{self, Block};
use crate::handle::Handle;
use crate::messages::{about, only_reads};
use crate::opening::{self, Choices};
use crate::patience::Patience;
use crate::value;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

/// Takes part: reads and writes.
#[pyclass(module = "neocortex", extends = Handle, frozen, generic, weakref)]
pub(crate) struct Cortex;

/// Only reads: it has no lock, no participant slot and no right to write.
#[pyclass(module = "neocortex", extends = Handle, frozen, generic, weakref)]
pub(crate) struct Observer;

#[pymethods]
impl Cortex {
    #[classmethod]
    #[pyo3(signature = (
        key, value, *, lock="seqlock", mode=0o600, owner=None, participants=128, slots=2, in_place=false,
        schema=None, persist=false, open_or_create=false, replace_stale=false, force_ownership=false,
        prefault=false, lock_in_memory=false, huge_pages=false, dump=false, timeout=None
    ))]
    #[allow(clippy::too_many_arguments)] // each is a keyword
    fn create(
        class: &Bound<'_, PyType>,
        key: Option<Bound<'_, PyAny>>,
        value: Bound<'_, PyAny>,
        lock: &str,
        mode: u32,
        owner: Option<(Option<u32>, Option<u32>)>,
        participants: u32,
        slots: u32,
        in_place: bool,
        schema: Option<Bound<'_, PyAny>>,
        persist: bool,
        open_or_create: bool,
        replace_stale: bool,
        force_ownership: bool,
        prefault: bool,
        lock_in_memory: bool,
        huge_pages: bool,
        dump: bool,
        timeout: Option<f64>,
    ) -> PyResult<Py<Self>> {
        let choices = Choices {
            lock,
            mode,
            owner,
            participants,
            slots,
            in_place,
            persist,
            open_or_create,
            replace_stale,
            force_ownership,
            prefault,
            lock_in_memory,
            huge_pages,
            dump,
            timeout,
        };
        let py = class.py();
        let handle = opening::create(py, key.as_ref(), value, schema.as_ref(), &choices)?;
        Py::new(py, PyClassInitializer::from(handle).add_subclass(Self))
    }

    #[classmethod]
    #[pyo3(signature = (key, dtype, shape=None, *, schema=None, wait=0.0, prefault=false, dump=false))]
    #[allow(clippy::too_many_arguments)] // each is a keyword
    fn attach(
        class: &Bound<'_, PyType>,
        key: Bound<'_, PyAny>,
        dtype: Bound<'_, PyAny>,
        shape: Option<Bound<'_, PyAny>>,
        schema: Option<Bound<'_, PyAny>>,
        wait: Option<f64>,
        prefault: bool,
        dump: bool,
    ) -> PyResult<Py<Self>> {
        let options = opening::attaching(prefault, dump);
        let what = (dtype, shape, schema);
        let handle = opening::attach(class.py(), AnySegment::attach, options, &key, what, wait)?;
        Py::new(
            class.py(),
            PyClassInitializer::from(handle).add_subclass(Self),
        )
    }

    #[pyo3(signature = (value, *, timeout=None))]
    fn write(
        slf: &Bound<'_, Self>,
        value: &Bound<'_, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        let (py, handle) = (slf.py(), slf.as_super().get());
        let mut is_converted = false;
        let result = handle.kind.bytes_of(value, handle.size, |bytes| {
            is_converted = true;
            value::write(py, &handle.shared, bytes, timeout)
        });
        match result {
            Err(error) if !is_converted => Err(about(py, error, handle)),
            result => result,
        }
    }

    #[pyo3(signature = (change, *, timeout=None))]
    fn update(
        slf: &Bound<'_, Self>,
        change: &Bound<'_, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        block::update(slf.py(), slf.as_super().get(), change, timeout)
    }

    #[pyo3(signature = (*, timeout=None))]
    fn reading(slf: Bound<'_, Self>, timeout: Option<f64>) -> PyResult<Block> {
        Block::new(slf.into_super().unbind(), Access::Read, timeout)
    }

    #[pyo3(signature = (*, overwrite=false, timeout=None))]
    fn writing(slf: Bound<'_, Self>, overwrite: bool, timeout: Option<f64>) -> PyResult<Block> {
        let access = if overwrite {
            Access::Overwrite
        } else {
            Access::Write
        };
        Block::new(slf.into_super().unbind(), access, timeout)
    }

    fn clear_poison(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, handle) = (slf.py(), slf.as_super().get());
        Patience::lasting(None)?.enter(py, &handle.shared, |segment, _| segment.clear_poison())
    }

    fn take_ownership(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, handle) = (slf.py(), slf.as_super().get());
        Patience::lasting(None)?.enter(py, &handle.shared, |segment, _| segment.take_ownership())
    }

    fn persist(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.as_super().get().shared.enter()?.segment().persist();
        Ok(())
    }

    #[getter]
    fn is_owner(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(slf.as_super().get().shared.enter()?.segment().is_owner())
    }

    #[getter]
    fn was_created(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(slf.as_super().get().shared.enter()?.segment().was_created())
    }
}

#[pymethods]
impl Observer {
    #[classmethod]
    #[pyo3(signature = (key, dtype, shape=None, *, schema=None, wait=0.0, prefault=false, dump=false))]
    #[allow(clippy::too_many_arguments)] // each is a keyword
    fn attach(
        class: &Bound<'_, PyType>,
        key: Bound<'_, PyAny>,
        dtype: Bound<'_, PyAny>,
        shape: Option<Bound<'_, PyAny>>,
        schema: Option<Bound<'_, PyAny>>,
        wait: Option<f64>,
        prefault: bool,
        dump: bool,
    ) -> PyResult<Py<Self>> {
        let options = opening::attaching(prefault, dump);
        let what = (dtype, shape, schema);
        let handle = opening::attach(class.py(), AnySegment::observe, options, &key, what, wait)?;
        Py::new(
            class.py(),
            PyClassInitializer::from(handle).add_subclass(Self),
        )
    }

    /// There is none: what would write, take the lock or own the cortex.
    #[classmethod]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn create(
        _class: &Bound<'_, PyType>,
        _arguments: &Bound<'_, PyTuple>,
        _keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let text = "an Observer only reads, and creates nothing: `Cortex.create` does";
        Err(PyTypeError::new_err(text))
    }

    #[getter(write)]
    fn no_write(&self) -> PyResult<()> {
        Err(only_reads("write"))
    }

    #[getter(update)]
    fn no_update(&self) -> PyResult<()> {
        Err(only_reads("update"))
    }

    #[getter(writing)]
    fn no_writing(&self) -> PyResult<()> {
        Err(only_reads("writing"))
    }

    #[getter(reading)]
    fn no_reading(&self) -> PyResult<()> {
        Err(only_reads("reading"))
    }

    #[getter(clear_poison)]
    fn no_clear_poison(&self) -> PyResult<()> {
        Err(only_reads("clear_poison"))
    }

    #[getter(take_ownership)]
    fn no_take_ownership(&self) -> PyResult<()> {
        Err(only_reads("take_ownership"))
    }

    #[getter(persist)]
    fn no_persist(&self) -> PyResult<()> {
        Err(only_reads("persist"))
    }

    #[getter(is_owner)]
    fn no_is_owner(&self) -> PyResult<()> {
        Err(only_reads("is_owner"))
    }

    #[getter(was_created)]
    fn no_was_created(&self) -> PyResult<()> {
        Err(only_reads("was_created"))
    }
}
