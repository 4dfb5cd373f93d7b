//! Changes for event loops, and of many cortexes at once: one thread looks after all that is awaited.
//!
//! The thread begins with the first that waits and ends with the last. A thousand that wait cost a thousand loads of a
//! version at each look; looks are a millisecond apart at most.

use crate::errors::{closed, own, raise};
use crate::handle::Handle;
use crate::patience::Patience;
use crate::shared::{locked, Shared};
use neocortex::CortexError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_millis(1);
/// How often the kernel is asked whether a cortex is still there.
const REMOVAL: Duration = Duration::from_millis(40);

/// What a look at a cortex finds: another version, or why there will be none.
enum News {
    Version(u64),
    Removed(i32),
    Closed,
}

impl News {
    fn into_result(self, py: Python<'_>) -> PyResult<u64> {
        match self {
            Self::Version(version) => Ok(version),
            Self::Removed(key) => Err(raise(py, &CortexError::Removed { key })),
            Self::Closed => Err(closed()),
        }
    }
}

/// Looks whether the version is another than `since`.
fn look(shared: &Shared, since: u64, asks_kernel: bool) -> Option<News> {
    let Ok(entered) = shared.enter() else {
        return Some(News::Closed);
    };
    let segment = entered.segment();
    match segment.version() {
        version if version != since => Some(News::Version(version)),
        _ if asks_kernel && segment.is_removed() => Some(News::Removed(segment.key())),
        _ => None,
    }
}

/// Tells when the kernel is to be asked again.
struct Removal(Instant);

impl Removal {
    fn is_due(&mut self) -> bool {
        let is_due = self.0.elapsed() >= REMOVAL;
        if is_due {
            self.0 = Instant::now();
        }
        is_due
    }
}

/// Waits until one of several cortexes has another version than the caller has seen: `{cortex: version}` to the same of
/// those that have changed.
#[pyfunction]
#[pyo3(signature = (seen, timeout=None))]
pub(crate) fn wait_any<'py>(
    py: Python<'py>,
    seen: &Bound<'py, PyDict>,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyDict>> {
    let mut members: Vec<(Bound<'py, Handle>, u64)> = Vec::with_capacity(seen.len());
    for (handle, since) in seen.iter() {
        members.push((handle.cast_into::<Handle>()?, since.extract()?));
    }
    if members.is_empty() {
        return Err(own(
            py,
            "InvalidArgument",
            "no cortex to wait for".to_owned(),
        ));
    }
    let looked_at: Vec<(Arc<Shared>, u64)> = members
        .iter()
        .map(|(handle, since)| (Arc::clone(&handle.get().shared), *since))
        .collect();
    let mut removal = Removal(Instant::now());
    let late = "waiting for a change of any of them timed out: nothing was committed meanwhile";
    let found = Patience::lasting(timeout)?.poll(py, late, || {
        let asks_kernel = removal.is_due();
        let found: Vec<(usize, News)> = looked_at
            .iter()
            .enumerate()
            .filter_map(|(index, (shared, since))| {
                Some((index, look(shared, *since, asks_kernel)?))
            })
            .collect();
        (!found.is_empty()).then_some(Ok(found))
    })?;
    let changed = PyDict::new(py);
    for (index, news) in found {
        changed.set_item(&members[index].0, news.into_result(py)?)?;
    }
    Ok(changed)
}

/// One that awaits a change.
struct Awaited {
    number: u64,
    shared: Arc<Shared>,
    since: u64,
    /// Called with the version and None, or with None and an exception.
    tell: Py<PyAny>,
}

#[derive(Default)]
struct State {
    awaited: Vec<Awaited>,
    last_number: u64,
    thread: Option<JoinHandle<()>>,
    is_over: bool,
}

#[derive(Default)]
struct Watcher {
    state: Mutex<State>,
    added: Condvar,
}

/// That of this process: a forked child has none of its parent's threads, and begins anew.
static WATCHER: AtomicPtr<Watcher> = AtomicPtr::new(std::ptr::null_mut());

fn watcher() -> &'static Watcher {
    let mut watcher = WATCHER.load(Ordering::Acquire);
    if watcher.is_null() {
        let new = Box::into_raw(Box::<Watcher>::default());
        watcher = match WATCHER.compare_exchange(watcher, new, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => new,
            Err(first) => {
                // SAFETY: made above, and nobody else has it.
                drop(unsafe { Box::from_raw(new) });
                first
            }
        };
    }
    // SAFETY: it is never freed.
    unsafe { &*watcher }
}

/// Called in a forked child.
pub(crate) fn forget() {
    // The parent's, which one of its threads may have been in, is left.
    WATCHER.store(std::ptr::null_mut(), Ordering::Release);
}

/// Calls `tell` as soon as the cortex has another version than `since`, from a thread of this library. Returns a number
/// for [`unwatch`].
#[pyfunction]
pub(crate) fn watch(
    py: Python<'_>,
    handle: &Bound<'_, Handle>,
    since: u64,
    tell: Py<PyAny>,
) -> PyResult<u64> {
    let watcher = watcher();
    let mut state = locked(&watcher.state);
    if state.thread.as_ref().is_none_or(JoinHandle::is_finished) || state.is_over {
        // The one that has ended, or is about to, needs the interpreter no more.
        state.is_over = false;
        state.awaited.clear();
        state.thread = Some(spawn(watcher).map_err(|error| {
            own(
                py,
                "CortexError",
                format!("no thread to watch for changes: {error}"),
            )
        })?);
    }
    state.last_number += 1;
    let number = state.last_number;
    state.awaited.push(Awaited {
        number,
        shared: Arc::clone(&handle.get().shared),
        since,
        tell,
    });
    watcher.added.notify_one();
    Ok(number)
}

/// Forgets what was to be told. It may be told already.
#[pyfunction]
pub(crate) fn unwatch(number: u64) {
    let watcher = watcher();
    let mut state = locked(&watcher.state);
    if let Some(index) = state
        .awaited
        .iter()
        .position(|awaited| awaited.number == number)
    {
        let awaited = state.awaited.swap_remove(index);
        watcher.added.notify_one();
        drop(state);
        drop(awaited);
    }
}

/// How many are awaited, and whether a thread looks after them.
#[pyfunction]
pub(crate) fn watched() -> (usize, bool) {
    let state = locked(&watcher().state);
    let is_running = state
        .thread
        .as_ref()
        .is_some_and(|thread| !thread.is_finished());
    (state.awaited.len(), is_running && !state.is_over)
}

/// Ends the thread: called at the interpreter's end.
pub(crate) fn end(py: Python<'_>) {
    let watcher = watcher();
    let (awaited, thread) = {
        let mut state = locked(&watcher.state);
        (std::mem::take(&mut state.awaited), state.thread.take())
    };
    watcher.added.notify_one();
    drop(awaited);
    if let Some(thread) = thread {
        // It ends where it finds nothing to look after.
        let _ = py.detach(|| thread.join());
    }
}

fn spawn(watcher: &'static Watcher) -> std::io::Result<JoinHandle<()>> {
    // Signals are for the threads of the program.
    let before = block_signals();
    let thread = std::thread::Builder::new()
        .name("neocortex".to_owned())
        .spawn(move || run(watcher));
    restore_signals(&before);
    thread
}

fn run(watcher: &Watcher) {
    let mut pause = SHORTEST;
    let mut removal = Removal(Instant::now());
    let mut state = locked(&watcher.state);
    loop {
        if state.awaited.is_empty() {
            // Nobody adds anything to this thread from here on: the lock is held.
            state.is_over = true;
            return;
        }
        let asks_kernel = removal.is_due();
        let mut told = Vec::new();
        let mut index = 0;
        while let Some(awaited) = state.awaited.get(index) {
            match look(&awaited.shared, awaited.since, asks_kernel) {
                Some(news) => told.push((state.awaited.swap_remove(index), news)),
                None => index += 1,
            }
        }
        if told.is_empty() {
            let waited = watcher.added.wait_timeout(state, pause);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            pause = (pause * 2).min(LONGEST);
            continue;
        }
        pause = SHORTEST;
        drop(state);
        // At the interpreter's end nobody is left to be told.
        Python::try_attach(|py| {
            for (awaited, news) in told {
                let result = match news.into_result(py) {
                    Ok(version) => awaited.tell.call1(py, (version, py.None())),
                    Err(error) => awaited.tell.call1(py, (py.None(), error.value(py))),
                };
                if let Err(error) = result {
                    // Its event loop may be closed.
                    error.write_unraisable(py, None);
                }
            }
        });
        state = locked(&watcher.state);
    }
}

fn block_signals() -> libc::sigset_t {
    // SAFETY: sets that are filled before they are read; only this thread's mask changes.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    }
}

fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: the mask that this thread had.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
}
