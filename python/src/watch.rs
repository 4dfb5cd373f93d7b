//! `wait_any`: a wait set of the core for one call.

use crate::errors::{closed, own, raise};
use crate::handle::Handle;
use crate::patience::Patience;
use crate::shared::{EndsWaits, Shared};
use neocortex::{CortexError, Interrupter, WaitSet};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::{Arc, Weak};

/// Ends the wait when one of them is closed.
struct AtClose(Interrupter);

impl EndsWaits for AtClose {
    fn closes(&self, _shared: &Shared) -> bool {
        self.0.interrupt();
        false
    }

    fn tell(&self, _py: Python<'_>) {}
}

/// Has the wait ended by each close, for as long as this lives.
struct Registered<'a, 'py> {
    handles: &'a [(Bound<'py, Handle>, u64)],
    waiter: Arc<dyn EndsWaits>,
}

impl<'a, 'py> Registered<'a, 'py> {
    fn new(handles: &'a [(Bound<'py, Handle>, u64)], waiter: Arc<dyn EndsWaits>) -> Self {
        for (handle, _) in handles {
            handle.get().shared.add_waiter(Arc::downgrade(&waiter));
        }
        Self { handles, waiter }
    }
}

impl Drop for Registered<'_, '_> {
    fn drop(&mut self) {
        let waiter: Weak<dyn EndsWaits> = Arc::downgrade(&self.waiter);
        for (handle, _) in self.handles {
            handle.get().shared.remove_waiter(&waiter);
        }
    }
}

/// Waits until one of several cortexes has another version than the caller has seen: `{cortex: version}` to the same of
/// those that have changed.
#[pyfunction]
#[pyo3(signature = (seen, timeout=None))]
pub(crate) fn wait_any<'py>(
    py: Python<'py>,
    seen: &Bound<'py, PyAny>,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyDict>> {
    let wrong = |what: &Bound<'_, PyAny>| -> PyErr {
        let text = "wait_any is given a dict of cortexes and the versions that were seen, {cortex: cortex.version}";
        match what.get_type().name() {
            Ok(name) => PyTypeError::new_err(format!("{text}, and not a {name}")),
            Err(error) => error,
        }
    };
    let seen = seen.cast::<PyDict>().map_err(|_| wrong(seen))?;
    let mut handles = Vec::with_capacity(seen.len());
    for (handle, since) in seen.iter() {
        let since = since.extract()?;
        let handle = handle.cast_into::<Handle>();
        handles.push((handle.map_err(|error| wrong(&error.into_inner()))?, since));
    }
    if handles.is_empty() {
        let text = "no cortex to wait for".to_owned();
        return Err(own(py, "InvalidArgument", text));
    }
    let patience = Patience::lasting(timeout)?;
    let mut set = WaitSet::new();
    // Before the handles are entered: one that is closed from here on is either not entered, or ends the wait.
    let _registered = Registered::new(&handles, Arc::new(AtClose(set.interrupter())));
    let mut members = Vec::with_capacity(handles.len());
    for (handle, since) in &handles {
        let entered = handle.get().shared.enter()?;
        members.push(entered.segment().join(&mut set, *since));
    }
    let shared: Vec<&Shared> = handles.iter().map(|(it, _)| &*it.get().shared).collect();
    // `None`: one is closed. A closing thread waits until this call has left the handle, and it has when it waits for
    // the interpreter.
    let changes = patience.go(py, |left| {
        let entered: Result<Vec<_>, _> = shared.iter().map(|shared| shared.enter()).collect();
        if entered.is_err() {
            return Ok(None);
        }
        match set.wait(Some(left)) {
            Ok(changes) => Ok(Some(changes.to_vec())),
            Err(CortexError::Interrupted { .. }) if shared.iter().any(|it| it.is_closed()) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    })?;
    let changed = PyDict::new(py);
    for change in changes.ok_or_else(closed)? {
        let index = members.iter().position(|&member| member == change.member);
        let (handle, since) = &handles[index.expect("a change is of a member")];
        if change.version == *since {
            let key = handle.get().shared.enter()?.segment().key();
            return Err(raise(py, &CortexError::Removed { key }));
        }
        changed.set_item(handle, change.version)?;
    }
    Ok(changed)
}
