//! Changes for one event loop: a wait set of the core, whose descriptor the loop watches.
//!
//! The loop's own thread adds, takes and removes. Any thread may close a handle: its members are then taken out, and the
//! loop is told. A thread of the core sleeps for up to 127 handles, without the interpreter.
//!
//! **Members.** A handle is one member, however many wait for it. It stays one after they were told, for most wait again;
//! if nobody does, the next change takes it out. One that nobody waits for any more without having been told is taken
//! out at once.

use crate::call::call;
use crate::errors::{closed, raise};
use crate::handle::Handle;
use crate::shared::{locked, EndsWaits, Shared};
use neocortex::{CortexError, Member, WaitSet};
use pyo3::prelude::*;
use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// What one event loop awaits: those that wait are numbers.
#[pyclass(module = "neocortex._core", frozen)]
pub(crate) struct Changes(Arc<Watched>);

struct Watched {
    state: Mutex<State>,
    /// Has the loop call [`Changes::take`], from any thread.
    wake: Py<PyAny>,
}

struct State {
    set: WaitSet,
    entries: Vec<Entry>,
    /// Those whose handle was closed.
    closed: Vec<u64>,
    last_number: u64,
}

struct Entry {
    member: Member,
    shared: Weak<Shared>,
    key: i32,
    /// Who waits, and for another version than which.
    waiting: HashMap<u64, u64>,
}

/// What a number is told.
type Told = (u64, Result<u64, Arc<CortexError>>);

impl State {
    fn position_of(&self, shared: &Shared) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| std::ptr::eq(entry.shared.as_ptr(), shared))
    }

    /// Takes a member out. The caller tells the handle.
    fn let_go(&mut self, index: usize) -> Entry {
        let entry = self.entries.swap_remove(index);
        self.set.remove(entry.member);
        entry
    }

    fn take(&mut self) -> (Vec<Told>, Vec<Entry>) {
        let (mut told, mut gone) = (Vec::new(), Vec::new());
        let changes = match self.set.wait(Some(Duration::ZERO)) {
            Ok(changes) => changes.to_vec(),
            Err(CortexError::Timeout { .. } | CortexError::Interrupted { .. }) => Vec::new(),
            // No more threads: whoever waits is told, for nobody would wake them.
            Err(error) => {
                let error = Arc::new(error);
                for entry in &mut self.entries {
                    let all = std::mem::take(&mut entry.waiting);
                    told.extend(
                        all.into_keys()
                            .map(|number| (number, Err(Arc::clone(&error)))),
                    );
                }
                Vec::new()
            }
        };
        for change in changes {
            let found = self
                .entries
                .iter()
                .position(|it| it.member == change.member);
            let Some(index) = found else { continue };
            let Entry { key, waiting, .. } = &mut self.entries[index];
            let (key, is_awaited) = (*key, !waiting.is_empty());
            waiting.retain(|&number, &mut since| {
                let result = match change.version {
                    version if version != since => Ok(version),
                    _ if change.is_removed => Err(Arc::new(CortexError::Removed { key })),
                    _ => return true,
                };
                told.push((number, result));
                false
            });
            if change.is_removed || !is_awaited {
                gone.push(self.let_go(index));
            }
        }
        (told, gone)
    }
}

impl Watched {
    fn as_waiter(self: &Arc<Self>) -> Weak<dyn EndsWaits> {
        let waiter: Arc<dyn EndsWaits> = Arc::<Self>::clone(self);
        Arc::downgrade(&waiter)
    }

    fn unregister(self: &Arc<Self>, gone: impl IntoIterator<Item = Entry>) {
        for shared in gone.into_iter().filter_map(|entry| entry.shared.upgrade()) {
            shared.remove_waiter(&self.as_waiter());
        }
    }
}

impl EndsWaits for Watched {
    fn closes(&self, shared: &Shared) -> bool {
        let mut state = locked(&self.state);
        let Some(index) = state.position_of(shared) else {
            return false;
        };
        let entry = state.let_go(index);
        state.closed.extend(entry.waiting.into_keys());
        !state.closed.is_empty()
    }

    fn tell(&self, py: Python<'_>) {
        if let Err(error) = call(self.wake.bind(py), ()) {
            error.write_unraisable(py, None);
        }
    }
}

#[pymethods]
impl Changes {
    #[new]
    fn new(wake: Py<PyAny>) -> Self {
        Self(Arc::new(Watched {
            state: Mutex::new(State {
                set: WaitSet::new(),
                entries: Vec::new(),
                closed: Vec::new(),
                last_number: 0,
            }),
            wake,
        }))
    }

    /// The descriptor, which is readable when there is something to take.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        let mut state = locked(&self.0.state);
        let fd = state.set.fd().map_err(|error| raise(py, &error))?;
        Ok(fd.as_raw_fd())
    }

    /// Waits for another version than `since`. Returns a number, or None where the version is another one.
    fn add(&self, handle: &Bound<'_, Handle>, since: u64) -> PyResult<Option<u64>> {
        let shared = &handle.get().shared;
        let mut state = locked(&self.0.state);
        let index = match state.position_of(shared) {
            Some(index) => index,
            None => {
                // Before it is entered: a handle that is closed from here on is either not entered, or tells.
                shared.add_waiter(self.0.as_waiter());
                let made = shared.enter().map(|entered| {
                    let segment = entered.segment();
                    (segment.join(&mut state.set, since), segment.key())
                });
                let (member, key) =
                    made.inspect_err(|_| shared.remove_waiter(&self.0.as_waiter()))?;
                state.entries.push(Entry {
                    member,
                    shared: Arc::downgrade(shared),
                    key,
                    waiting: HashMap::new(),
                });
                state.entries.len() - 1
            }
        };
        if shared.enter()?.segment().version() != since {
            return Ok(None);
        }
        // The set tells of what is committed from here on: it was told no later version than this one.
        state.last_number += 1;
        let number = state.last_number;
        state.entries[index].waiting.insert(number, since);
        Ok(Some(number))
    }

    /// Forgets one that was not told.
    fn remove(&self, number: u64) {
        let mut state = locked(&self.0.state);
        state.closed.retain(|&other| other != number);
        let has_it = |entry: &mut Entry| entry.waiting.remove(&number).is_some();
        let Some(index) = state.entries.iter_mut().position(has_it) else {
            return;
        };
        if state.entries[index].waiting.is_empty() {
            let gone = state.let_go(index);
            drop(state);
            self.0.unregister([gone]);
        }
    }

    /// Takes what there is to tell: `(number, version, exception)`, one of the last two is None.
    fn take<'py>(
        &self,
        py: Python<'py>,
    ) -> Vec<(
        u64,
        Option<u64>,
        Option<Bound<'py, pyo3::exceptions::PyBaseException>>,
    )> {
        let mut state = locked(&self.0.state);
        let (told, gone) = state.take();
        let ended = std::mem::take(&mut state.closed);
        drop(state);
        self.0.unregister(gone);
        let told = told.into_iter().map(|(number, result)| match result {
            Ok(version) => (number, Some(version), None),
            Err(error) => (number, None, Some(raise(py, &error).into_value(py))),
        });
        let ended = ended
            .into_iter()
            .map(|number| (number, None, Some(closed().into_value(py))));
        told.chain(ended.collect::<Vec<_>>())
            .map(|(number, version, error)| (number, version, error.map(|it| it.into_bound(py))))
            .collect()
    }

    /// Closes the descriptor of one that is idle, and is not used any more.
    fn close(&self) {
        let before = std::mem::take(&mut locked(&self.0.state).set);
        drop(before);
    }

    /// Whether it watches nothing.
    #[getter]
    fn is_idle(&self) -> bool {
        let state = locked(&self.0.state);
        state.entries.is_empty() && state.closed.is_empty()
    }
}
