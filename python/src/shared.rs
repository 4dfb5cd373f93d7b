//! What a handle shares with its blocks: the segment, how many calls are in it, and how it is closed.
//!
//! **Closing.** A call counts itself, and looks whether the handle is closed; the closing thread marks it closed, and
//! waits until no call is counted. Both are read-modify-writes of one word, so a call is either refused or waited for. A
//! call is counted until it is done with the segment, and not until it has the interpreter again: a thread that the
//! interpreter's end keeps waiting for ever holds nothing up.
//!
//! **Waits elsewhere** than in a call of the handle ([`EndsWaits`]: of several handles, of an event loop) are ended by the
//! close before it waits for the calls.
//!
//! **Blocks** keep the handle open: closing is `Busy` meanwhile, so that their guards may borrow the segment.
//!
//! **Forks.** The words are tagged with the process: a child inherits no calls and no blocks of the parent's threads.

use crate::any_segment::{AnySegment, Guard};
use crate::errors::{closed, own, raise};
use crate::window::Window;
use pyo3::prelude::*;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::Duration;

/// How often this process was forked from one that has this library.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The handles of this process, to be closed at its end. In a forked child it is replaced: see [`forked`].
static OPEN: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// In the lower half of a word that is tagged with the process, beside a count.
const CLOSED: u64 = 1 << 31;

/// How many windows a handle keeps for later blocks.
const WINDOWS: usize = 8;

fn process() -> u64 {
    u64::from(FORKS.load(Ordering::Relaxed)) << 32
}

/// Locks, whatever became of the thread that had it.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A count, and [`CLOSED`], of this process.
#[derive(Default)]
struct Counter(AtomicU64);

impl Counter {
    /// Makes the word this process's own: of the parent's it keeps whether the handle is closed.
    #[inline]
    fn adopt(&self) {
        let process = process();
        let mut word = self.0.load(Ordering::Relaxed);
        while word & !0xFFFF_FFFF != process {
            let mine = process | word & CLOSED;
            match self
                .0
                .compare_exchange(word, mine, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// Returns whether it is closed.
    #[inline]
    fn add(&self) -> bool {
        self.adopt();
        // Acquire: what the handle was opened with.
        self.0.fetch_add(1, Ordering::Acquire) & CLOSED != 0
    }

    /// Takes one away that was added in the process with this tag.
    #[inline]
    fn remove(&self, tag: u64) {
        if tag == process() {
            // Release: what the call did comes before the handle is taken apart.
            self.0.fetch_sub(1, Ordering::Release);
        }
    }

    fn count(&self) -> u64 {
        self.adopt();
        self.0.load(Ordering::Acquire) & (CLOSED - 1)
    }
}

/// Waits for changes of handles, and is told when one closes.
pub(crate) trait EndsWaits: Send + Sync {
    /// The handle is closed, or dropped: lets go of it. Returns whether [`EndsWaits::tell`] is to be called. It needs no
    /// interpreter.
    fn closes(&self, shared: &Shared) -> bool;

    /// Has those told who waited for it.
    fn tell(&self, py: Python<'_>);
}

pub(crate) struct Shared {
    calls: Counter,
    blocks: Counter,
    /// Taken by the thread that closes, when no call is counted.
    segment: UnsafeCell<Option<AnySegment>>,
    windows: Mutex<Vec<Window>>,
    /// What else waits for this handle, each with the tag of its process.
    waiters: Mutex<Vec<(u64, Weak<dyn EndsWaits>)>>,
    /// Guards whose blocks another thread has dropped, to be ended by their own.
    given_up: Mutex<Vec<GivenUp>>,
    has_given_up: AtomicBool,
}

// SAFETY: the segment is changed by the one thread that closes, alone with it; the guards in `given_up` are touched by
// the threads that began them.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// A call that is in the segment.
pub(crate) struct Entered<'a> {
    shared: &'a Shared,
    tag: u64,
}

/// A block that keeps the handle open.
pub(crate) struct InBlock {
    shared: Arc<Shared>,
    tag: u64,
}

struct GivenUp {
    thread: ThreadId,
    guard: Guard<'static>,
    _block: InBlock,
}

impl Shared {
    pub(crate) fn new(segment: AnySegment) -> Arc<Self> {
        let shared = Arc::new(Self {
            calls: Counter::default(),
            blocks: Counter::default(),
            segment: UnsafeCell::new(Some(segment)),
            windows: Mutex::default(),
            waiters: Mutex::default(),
            given_up: Mutex::default(),
            has_given_up: AtomicBool::new(false),
        });
        shared.calls.adopt();
        let mut open = locked(&OPEN);
        if open.len() == open.capacity() {
            open.retain(|other| other.strong_count() != 0);
        }
        open.push(Arc::downgrade(&shared));
        drop(open);
        shared
    }

    /// Counts a call.
    ///
    /// # Errors
    /// `ValueError` where the handle is closed.
    #[inline]
    pub(crate) fn enter(&self) -> PyResult<Entered<'_>> {
        let is_closed = self.calls.add();
        let entered = Entered {
            shared: self,
            tag: process(),
        };
        match is_closed {
            false => Ok(entered),
            true => Err(closed()),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.calls.0.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// Counts a block. The caller has entered.
    pub(crate) fn begin_block(self: &Arc<Self>) -> InBlock {
        self.blocks.add();
        InBlock {
            shared: Arc::clone(self),
            tag: process(),
        }
    }

    /// Returns the segment for a guard, which is kept with a block of this handle.
    ///
    /// # Safety
    /// The guard ends before the block does.
    pub(crate) unsafe fn lasting(
        &self,
        _block: &InBlock,
        entered: &Entered<'_>,
    ) -> &'static AnySegment {
        // SAFETY: while a block is counted nobody takes the segment out; the block keeps the handle.
        unsafe { &*std::ptr::from_ref(entered.segment()) }
    }

    /// Ends this handle.
    ///
    /// # Errors
    /// `Busy` where a block is open; what the core says of a close.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.end_given_up();
        self.calls.adopt();
        if self.calls.0.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED != 0 {
            return Ok(());
        }
        if self.blocks.count() != 0 {
            self.calls.0.fetch_and(!CLOSED, Ordering::Release);
            let text = "a block of this cortex is open (`reading`, `writing`, `update`): end it before closing";
            return Err(own(py, "Busy", text.to_owned()));
        }
        for waiter in self.waiters() {
            if waiter.closes(self) {
                waiter.tell(py);
            }
        }
        py.detach(|| self.shut()).map_err(|error| raise(py, &error))
    }

    /// Ends the waits, and takes the segment when no call is in it. The handle is marked closed, and has no block.
    fn shut(&self) -> neocortex::CortexResult<()> {
        // SAFETY: nobody but this thread takes it.
        if let Some(segment) = unsafe { &*self.segment.get() } {
            segment.stop_waits();
        }
        while self.calls.count() != 0 {
            std::thread::sleep(Duration::from_micros(50));
        }
        locked(&self.windows).clear();
        // SAFETY: no call is in it, and none gets in.
        match unsafe { (*self.segment.get()).take() } {
            Some(segment) => segment.close(),
            None => Ok(()),
        }
    }

    /// Keeps what is told of the close. It looks afterwards whether the handle is closed already.
    pub(crate) fn add_waiter(&self, waiter: Weak<dyn EndsWaits>) {
        locked(&self.waiters).push((process(), waiter));
    }

    pub(crate) fn remove_waiter(&self, waiter: &Weak<dyn EndsWaits>) {
        let mut waiters = locked(&self.waiters);
        let index = waiters.iter().position(|(_, kept)| kept.ptr_eq(waiter));
        let gone = index.map(|index| waiters.swap_remove(index));
        drop(waiters);
        drop(gone);
    }

    /// Takes those of this process: a forked child leaves its parent's alone, which a thread of the parent may have had.
    fn waiters(&self) -> Vec<Arc<dyn EndsWaits>> {
        let all = std::mem::take(&mut *locked(&self.waiters));
        all.iter()
            .filter(|(tag, _)| *tag == process())
            .filter_map(|(_, waiter)| waiter.upgrade())
            .collect()
    }

    /// Takes a window of this slot that an earlier block has left.
    pub(crate) fn take_window(&self, place: *mut u8) -> Option<Window> {
        let mut windows = locked(&self.windows);
        let index = windows
            .iter()
            .position(|window| window.of() == place as usize)?;
        Some(windows.swap_remove(index))
    }

    /// Keeps a window to which nothing points.
    pub(crate) fn put_window(&self, window: Window) {
        let mut windows = locked(&self.windows);
        if windows.len() == WINDOWS {
            windows.remove(0);
        }
        windows.push(window);
    }

    /// Keeps a guard that its own thread must end.
    pub(crate) fn give_up(thread: ThreadId, guard: Guard<'static>, block: InBlock) {
        let shared = Arc::clone(&block.shared);
        locked(&shared.given_up).push(GivenUp {
            thread,
            guard,
            _block: block,
        });
        shared.has_given_up.store(true, Ordering::Release);
    }

    /// Ends the guards of this thread whose blocks another one has dropped.
    pub(crate) fn end_given_up(&self) {
        if !self.has_given_up.load(Ordering::Acquire) {
            return;
        }
        let me = std::thread::current().id();
        let mine: Vec<GivenUp> = {
            let mut all = locked(&self.given_up);
            let (mine, others) = std::mem::take(&mut *all)
                .into_iter()
                .partition(|given_up| given_up.thread == me);
            *all = others;
            self.has_given_up.store(!all.is_empty(), Ordering::Release);
            mine
        };
        for given_up in mine {
            // Nobody is there to be told.
            let _ = given_up.guard.abort();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for waiter in self.waiters() {
            // Nobody waits, or the handle would live.
            waiter.closes(self);
        }
        if let Some(segment) = self.segment.get_mut().take() {
            // Guards of other threads borrow it: they must never be ended then, and it must stay.
            if locked(&self.given_up).is_empty() {
                drop(segment);
            } else {
                std::mem::forget(segment);
            }
        }
        std::mem::forget(std::mem::take(&mut *locked(&self.given_up)));
    }
}

impl Entered<'_> {
    #[inline]
    pub(crate) fn segment(&self) -> &AnySegment {
        // SAFETY: it is taken out only while no call is counted, and this one is.
        let segment = unsafe { &*self.shared.segment.get() };
        segment
            .as_ref()
            .expect("a call that was let in has a segment")
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        self.shared.calls.remove(self.tag);
    }
}

impl InBlock {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns whether this is the process in which the block began.
    pub(crate) fn is_here(&self) -> bool {
        self.tag == process()
    }
}

impl Drop for InBlock {
    fn drop(&mut self) {
        self.shared.blocks.remove(self.tag);
    }
}

/// Called in a forked child, by the one thread that it has.
pub(crate) fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    // Another thread of the parent may have been in the lock. What is inherited need not be closed: no child is an owner.
    OPEN.clear_poison();
    if let Ok(mut open) = OPEN.try_lock() {
        std::mem::forget(std::mem::take(&mut *open));
    }
}

/// Closes every handle of this process: called at its end.
pub(crate) fn close_all(py: Python<'_>) {
    let open = std::mem::take(&mut *locked(&OPEN));
    for shared in open.iter().filter_map(Weak::upgrade) {
        if shared.close(py).is_ok() {
            continue;
        }
        // A block is open, of this thread or of another that goes on until the process has ended: the guard cannot be
        // ended from here. The segment is taken away all the same, for nobody does so later.
        let Ok(entered) = shared.enter() else {
            continue;
        };
        let segment = entered.segment();
        if segment.is_owner() && !segment.is_removed() {
            // Nobody is there to be told.
            let _ = neocortex::inspect::remove(segment.key());
        }
    }
}
