//! The compiled part of the Python package `neocortex`, over the Rust crate: [`cortex`] has what a program uses.
//!
//! | files | what they are for |
//! |---|---|
//! | `cortex`, `handle`, `opening` | `Cortex` and `Observer`, what both have, and how they come to be |
//! | `block`, `lease`, `window` | arrays over the bytes of the segment, for as long as a `with` lasts |
//! | `follow`, `watch`, `event_loop` | commits in order; changes of many; changes for event loops |
//! | `value` | from bytes to a value of Python's and back |
//! | `shared`, `any_segment`, `patience`, `errors`, `messages` | a handle's segment, its lock, waiting with the interpreter released, what is said of failures |
//! | `call` | calls into Python: all of them, for what its end does |
//!
//! **The interpreter** is released by every call that copies more than 4 KiB, or waits. **Threads:** a handle may be used by
//! any number; nothing relies on the interpreter's lock (`gil_used = false`).

mod any_segment;
mod block;
mod call;
mod cortex;
mod errors;
mod event_loop;
mod follow;
mod handle;
mod lease;
mod messages;
mod opening;
mod patience;
mod shared;
mod value;
mod watch;
mod window;

use pyo3::prelude::*;

/// The key that follows from a name, as `ipcs -m` shows it.
#[pyfunction]
fn key_of(py: Python<'_>, name: &str) -> PyResult<i32> {
    neocortex::key_of(name).map_err(|error| errors::raise(py, &error))
}

/// The schema that follows from a text, the same in every language.
#[pyfunction]
fn schema_of(text: &str) -> u64 {
    neocortex::schema_of(text)
}

/// Removes the cortex with this key, in use or not.
#[pyfunction]
fn remove(py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<()> {
    let key = opening::key_from(key)?;
    py.detach(|| neocortex::inspect::remove(key))
        .map_err(|error| errors::raise(py, &error))
}

/// Removes what a killed owner has left under this key; `Busy` where a participant lives.
#[pyfunction]
fn reclaim(py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<()> {
    let key = opening::key_from(key)?;
    py.detach(|| neocortex::inspect::reclaim_alone(key))
        .map_err(|error| errors::raise(py, &error))
}

/// Key, name, bytes, commits.
type Listed = (i32, String, usize, u64);

/// The cortexes of this machine that can be attached to.
#[pyfunction]
fn segments(py: Python<'_>) -> PyResult<Vec<Listed>> {
    let found = py
        .detach(neocortex::inspect::segments)
        .map_err(|error| errors::raise(py, &error))?;
    let listed = found
        .into_iter()
        .map(|info| (info.key, info.name, info.size, info.commits));
    Ok(listed.collect())
}

/// Closes what is open at the interpreter's end.
#[pyfunction]
fn close_all(py: Python<'_>) {
    shared::close_all(py);
}

/// Called in a forked child.
#[pyfunction]
fn forked() {
    shared::forked();
}

#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<handle::Handle>()?;
    module.add_class::<cortex::Cortex>()?;
    module.add_class::<cortex::Observer>()?;
    module.add_class::<block::Block>()?;
    module.add_class::<lease::Lease>()?;
    module.add_class::<follow::Follow>()?;
    module.add_class::<event_loop::Changes>()?;
    module.add_function(wrap_pyfunction!(key_of, module)?)?;
    module.add_function(wrap_pyfunction!(schema_of, module)?)?;
    module.add_function(wrap_pyfunction!(remove, module)?)?;
    module.add_function(wrap_pyfunction!(reclaim, module)?)?;
    module.add_function(wrap_pyfunction!(segments, module)?)?;
    module.add_function(wrap_pyfunction!(close_all, module)?)?;
    module.add_function(wrap_pyfunction!(forked, module)?)?;
    module.add_function(wrap_pyfunction!(watch::wait_any, module)?)?;
    Ok(())
}
