//! Telling waiters that something was committed.
//!
//! The signal word is (wake sequence: 31 bits, waiting: 1 bit).
//!
//! * A waiter sets the bit, passes a SeqCst fence, loads `committed` and the state, and sleeps on the
//!   word's value in bounded slices ([`wait`]).
//! * A writer stores `committed`, passes a SeqCst fence, and if the bit is set replaces the word by
//!   (sequence + 1, 0) and wakes all ([`is_awaited`], [`announce`]). So does a remover, who stores the
//!   state.
//!
//! **Why no wake-up is lost.** Each side stores, passes a SeqCst fence, and looks at the other's
//! word; the two fences are in one order. If the writer's load misses the bit, its fence comes
//! first, and the waiter's load of `committed` sees the commit. If it sees the bit, the word changes,
//! and a waiter that has not slept yet does not sleep on the old value. The fences do all of it: the
//! accesses themselves are relaxed. It is a flag and not a count, so a waiter that dies costs one
//! needless wake and nothing else.
//!
//! **Requests.** A reader whom a publisher overtakes again and again stores to `want` how long its copy takes; the
//! publisher looks at it after each commit ([`publish`]), and pauses before it stores into the next slot: all
//! that is committed stands still then. A request orders nothing: `begun` decides what a reader accepts.

use crate::commit::{Begun, Ledger, Lines};
use crate::primitive::{fence, fence_after_rmw, AtomicU32, Ordering};
use std::time::Duration;

const WAITING: u32 = 1;
const STEP: u32 = 2;

/// The notification word and the readers' request, on a cache line of their own.
#[repr(C, align(64))]
pub(crate) struct SignalLine {
    pub(crate) signal: AtomicU32,
    /// While starved readers ask a publisher to pause: the microseconds, rounded up, that the slowest of them
    /// needs for its copy. A request, nothing more; 0 is none.
    want: AtomicU32,
}

impl SignalLine {
    /// Asks a publisher to pause, by a reader whose copy has taken so long.
    pub(crate) fn ask(&self, copy: Duration) {
        let microseconds = u32::try_from(copy.as_micros()).unwrap_or(u32::MAX);
        self.want
            .fetch_max(microseconds.saturating_add(1), Ordering::Relaxed);
    }

    /// Whether a reader asks for a pause.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.want.load(Ordering::Relaxed) != 0
    }

    /// Takes note of the requests, by a publisher that pauses now; how long the slowest copy takes.
    pub(crate) fn grant(&self) -> Duration {
        Duration::from_micros(self.want.swap(0, Ordering::Relaxed).into())
    }
}

#[cfg(any(loom, test))]
impl SignalLine {
    pub(crate) fn new() -> Self {
        Self {
            signal: AtomicU32::new(0),
            want: AtomicU32::new(0),
        }
    }
}

/// Looks, and sleeps on the signal word, until a look finds something.
pub(crate) fn wait<R>(
    line: &SignalLine,
    mut look: impl FnMut() -> Option<R>,
    mut sleep: impl FnMut(&AtomicU32, u32),
) -> R {
    loop {
        let expected = line.signal.fetch_or(WAITING, Ordering::Relaxed) | WAITING;
        // Pairs with the writer's fence: without it the look at `committed` could be older.
        fence_after_rmw();
        if let Some(found) = look() {
            return found;
        }
        sleep(&line.signal, expected);
    }
}

/// Whether a waiter may be asleep. The caller has passed a SeqCst fence since its commit.
#[inline]
pub(crate) fn is_awaited(line: &SignalLine) -> bool {
    line.signal.load(Ordering::Relaxed) & WAITING != 0
}

/// [`is_awaited`] for a writer that has only stored since, and goes on holding the lock.
#[inline]
pub(crate) fn is_awaited_after_store(line: &SignalLine) -> bool {
    fence(Ordering::SeqCst);
    is_awaited(line)
}

/// Changes the word; then every sleeper on it must be woken. `false` if another writer just did.
pub(crate) fn announce(line: &SignalLine) -> bool {
    let seen = line.signal.load(Ordering::Relaxed);
    let next = seen.wrapping_add(STEP) & !WAITING;
    seen & WAITING != 0
        && line
            .signal
            .compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
}

/// Commits and begins the next commit, without letting the lock go; whether somebody waits or asks for a
/// pause. That can be answered after the next commit has begun, for it leaves the one just made alone.
#[inline]
pub(crate) fn publish(
    ledger: Ledger<'_>,
    line: &SignalLine,
    commit: u64,
    changed: Lines,
) -> (Begun, bool) {
    ledger.publish(commit, changed, || {
        is_awaited_after_store(line) | line.is_asked()
    })
}

#[cfg(all(test, not(loom)))]
mod tests;
