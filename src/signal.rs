//! Telling waiters that something was committed.
//!
//! The signal word is (wake sequence: 31 bits, waiting: 1 bit).
//!
//! * A waiter sets the bit (SeqCst), loads `committed`, and sleeps on the word's value in bounded
//!   slices ([`prepare`]).
//! * A writer stores `committed`, passes a SeqCst fence, and if the bit is set replaces the word by
//!   (sequence + 1, 0) and wakes all ([`is_awaited`], [`announce`]).
//!
//! **Why no wake-up is lost.** Each side stores, passes a SeqCst fence, and looks at the other's
//! word; the two fences are in one order. If the writer's load misses the bit, its fence comes
//! first, and the waiter's load of `committed` sees the commit. If it sees the bit, the word changes,
//! and a waiter that has not slept yet does not sleep on the old value. It is a flag and not a
//! count, so a waiter that dies costs one needless wake and nothing else.

use crate::primitive::{fence, fence_after_rmw, AtomicU32, Ordering};

const WAITING: u32 = 1;
const STEP: u32 = 2;

/// The notification word and the readers' request, on a cache line of their own.
#[repr(C, align(64))]
pub(crate) struct SignalLine {
    pub(crate) signal: AtomicU32,
    /// 1 while a starved reader asks a publisher to pause. A request, nothing more.
    pub(crate) want: AtomicU32,
}

#[cfg(loom)]
impl SignalLine {
    pub(crate) fn new() -> Self {
        Self {
            signal: AtomicU32::new(0),
            want: AtomicU32::new(0),
        }
    }
}

/// The waiter's first step; the value to sleep on, after another look at `committed`.
pub(crate) fn prepare(line: &SignalLine) -> u32 {
    let word = line.signal.fetch_or(WAITING, Ordering::SeqCst) | WAITING;
    // Pairs with the writer's fence: without it the caller's look at `committed` could be older.
    fence_after_rmw();
    word
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
            .compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
}
