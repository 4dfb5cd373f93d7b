//! Telling waiters that something was committed.
//!
//! The signal word is (wake sequence: 31 bits, waiting: 1 bit).
//!
//! * A waiter sets the bit, passes a SeqCst fence, loads `committed` and the state, and sleeps on the
//!   word's value in bounded slices ([`wait`]).
//! * A writer stores `committed`, passes a SeqCst fence, and if the bit is set replaces the word by
//!   (sequence + 1, 0) and wakes all ([`is_awaited`], [`announce`]). A remover, which stores the
//!   state, does the same.
//!
//! **Why no wake-up is lost.** Each side stores, passes a SeqCst fence, and looks at the other's
//! word; the two fences are in one order. If the writer's load misses the bit, its fence comes
//! first, and the waiter's load of `committed` sees the commit. If it sees the bit, the word changes,
//! and a waiter that has not slept yet does not sleep on the old value. The fences do all of it: the
//! accesses themselves are relaxed. It is a flag and not a count, so a waiter that dies costs one
//! needless wake and nothing else.
//!
//! **Several words at once** ([`ask`], [`wait_any`]). The waiter asks at each word, passes one fence for all of them, and
//! looks at all versions. Where the bit is set already it is not set again: the load that saw it comes before the fence,
//! so a writer whose fence is later does not load an older word than was seen, and one whose fence is earlier has
//! committed before the look.
//!
//! **Long sleeps.** A waiter that has slept for some slices in vain puts the owner word to rest, and then sleeps for longer:
//! see [`crate::protocol::owner_word`]. It does so between its question and its look, so that all of the above holds.
//!
//! **Requests.** A reader that a publisher overtakes again and again stores to `want` how long its copy takes; the
//! publisher looks at it after each commit ([`publish`]), and pauses before it stores into the next slot: all
//! that is committed does not change then ([`pause`]). The reader withdraws the request when its copy has succeeded,
//! which ends the pause. A request orders nothing: `begun` decides what a reader accepts, and the publisher alone
//! decides how long it pauses at most, for a reader may be stopped, dead or hostile.

use crate::protocol::atomics::{fence, fence_after_rmw, AtomicU32, Ordering};
use crate::protocol::commit::{Begun, Ledger, LineRange};
use std::time::Duration;

const WAITING: u32 = 1;
const STEP: u32 = 2;

/// The notification word and the readers' request, on a cache line of their own.
#[repr(C, align(64))]
pub(crate) struct SignalLine {
    pub(crate) signal: AtomicU32,
    /// While starved readers ask a publisher to pause: the microseconds, rounded up, that the slowest of them
    /// needs for its copy; and whether the publisher sleeps ([`SLEEPS`]). It is a request, which binds no writer; 0 is
    /// none.
    want: AtomicU32,
    /// What writers sleep on until a follower has made room ([`crate::protocol::room`]), as `signal` is made.
    pub(crate) room: AtomicU32,
}

/// Set in `want` while the publisher sleeps on it.
const SLEEPS: u32 = 1 << 31;

impl SignalLine {
    /// Asks a publisher to pause, for a reader whose copy takes so long. Returns what to [withdraw](Self::withdraw).
    pub(crate) fn ask(&self, copy: Duration) -> u32 {
        let microseconds = u32::try_from(copy.as_micros()).unwrap_or(u32::MAX);
        let request = microseconds.saturating_add(1).min(SLEEPS - 1);
        self.want.fetch_max(request, Ordering::Relaxed);
        request
    }

    /// Withdraws a request, unless a slower reader has asked since. Returns whether the publisher sleeps on the word
    /// and must be woken.
    #[must_use]
    pub(crate) fn withdraw(&self, request: u32) -> bool {
        // Twice: the publisher may go to sleep between the two accesses of the first attempt.
        for _ in 0..2 {
            let seen = self.want.load(Ordering::Relaxed);
            if seen & !SLEEPS != request {
                return false;
            }
            let result = self
                .want
                .compare_exchange(seen, 0, Ordering::Relaxed, Ordering::Relaxed);
            if result.is_ok() {
                return seen & SLEEPS != 0;
            }
        }
        false
    }

    /// Returns whether a reader asks for a pause.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.want.load(Ordering::Relaxed) != 0
    }

    /// Returns how long the slowest copy takes, of the readers that ask for a pause.
    pub(crate) fn asked(&self) -> Duration {
        Duration::from_micros((self.want.load(Ordering::Relaxed) & !SLEEPS).into())
    }

    /// Forgets the requests.
    pub(crate) fn forget_requests(&self) {
        self.want.store(0, Ordering::Relaxed);
    }

    /// Returns the word on which a paused publisher sleeps.
    pub(crate) fn want(&self) -> &AtomicU32 {
        &self.want
    }
}

#[cfg(any(loom, test))]
impl SignalLine {
    pub(crate) fn new() -> Self {
        Self {
            signal: AtomicU32::new(0),
            want: AtomicU32::new(0),
            room: AtomicU32::new(0),
        }
    }
}

/// Alternately looks and sleeps on the signal word, until a look finds something.
pub(crate) fn wait<R>(
    line: &SignalLine,
    look: impl FnMut() -> Option<R>,
    sleep: impl FnMut(&AtomicU32, u32),
) -> R {
    wait_on(&line.signal, look, sleep)
}

/// [`wait`] on another word that is made as the signal word is.
pub(crate) fn wait_on<R>(
    word: &AtomicU32,
    mut look: impl FnMut() -> Option<R>,
    mut sleep: impl FnMut(&AtomicU32, u32),
) -> R {
    loop {
        let expected = word.fetch_or(WAITING, Ordering::Relaxed) | WAITING;
        // Pairs with the writer's fence: without it the look at `committed` could be older.
        fence_after_rmw();
        if let Some(found) = look() {
            return found;
        }
        sleep(word, expected);
    }
}

/// Says at a word that a process waits, and returns the value with which to sleep on it. The caller passes a SeqCst fence
/// before it looks.
pub(crate) fn ask(line: &SignalLine) -> u32 {
    let seen = line.signal.load(Ordering::Relaxed);
    if seen & WAITING != 0 {
        return seen;
    }
    line.signal.fetch_or(WAITING, Ordering::Relaxed) | WAITING
}

/// Alternately asks at some words ([`ask`]), looks, and sleeps on all of them, until a look finds something.
/// `waiter` is handed from one to the other.
pub(crate) fn wait_any<W, R>(
    waiter: &mut W,
    mut ask_all: impl FnMut(&mut W),
    mut look: impl FnMut(&mut W) -> Option<R>,
    mut sleep: impl FnMut(&mut W),
) -> R {
    loop {
        ask_all(waiter);
        // One for all of them: pairs with each writer's fence.
        fence(Ordering::SeqCst);
        if let Some(found) = look(waiter) {
            return found;
        }
        sleep(waiter);
    }
}

/// Pauses while readers ask for it and `is_over` says no: `sleep` is given the word and what it holds then.
///
/// No wake-up is lost: the reader that finds [`SLEEPS`] set replaces the word by 0 and wakes the sleeper, and a
/// publisher does not sleep on a value that the word no longer has.
pub(crate) fn pause(
    line: &SignalLine,
    mut is_over: impl FnMut() -> bool,
    mut sleep: impl FnMut(&AtomicU32, u32),
) {
    loop {
        let seen = line.want.load(Ordering::Relaxed);
        if seen == 0 || is_over() {
            break;
        }
        let expected = seen | SLEEPS;
        let is_marked = line
            .want
            .compare_exchange(seen, expected, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if is_marked {
            sleep(&line.want, expected);
        }
    }
    line.forget_requests();
}

/// Returns whether a waiter may be asleep. The caller has passed a SeqCst fence since its commit.
#[inline]
pub(crate) fn is_awaited(line: &SignalLine) -> bool {
    is_word_awaited(&line.signal)
}

#[inline]
pub(super) fn is_word_awaited(word: &AtomicU32) -> bool {
    word.load(Ordering::Relaxed) & WAITING != 0
}

/// [`is_awaited`] for a writer that has only stored since, and goes on holding the lock.
#[inline]
pub(crate) fn is_awaited_after_store(line: &SignalLine) -> bool {
    is_word_awaited_after_store(&line.signal)
}

/// [`is_awaited_after_store`] of another word that is made as the signal word is.
#[inline]
pub(crate) fn is_word_awaited_after_store(word: &AtomicU32) -> bool {
    fence(Ordering::SeqCst);
    is_word_awaited(word)
}

/// Changes the word; then every sleeper on it must be woken. Returns `false` if another writer just did.
pub(crate) fn announce(line: &SignalLine) -> bool {
    announce_on(&line.signal)
}

/// Changes the word, whether or not a process waits, and leaves the question in it; then every sleeper on it must be
/// woken. For a caller that has just taken an owner word at rest ([`crate::protocol::owner_word`]) and has not begun to
/// write, and for one that ends the waits of its own process.
///
/// A waiter that asked before finds the word changed when it is about to sleep, or is woken. One that asks after this
/// finds the owner word taken, or its wait ended: the addition is ordered after that (release), and the waiter passes a
/// fence between its question and its look.
pub(crate) fn rouse(line: &SignalLine) {
    line.signal.fetch_add(STEP, Ordering::Release);
}

/// [`announce`] of another word that is made as the signal word is.
pub(crate) fn announce_on(word: &AtomicU32) -> bool {
    let seen = word.load(Ordering::Relaxed);
    let next = seen.wrapping_add(STEP) & !WAITING;
    seen & WAITING != 0
        && word
            .compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
}

/// Commits and begins the next commit without releasing the lock. Returns whether a process waits or asks for a
/// pause. That can be answered after the next commit has begun, for it leaves the one just made alone.
#[inline]
pub(crate) fn publish(
    ledger: Ledger<'_>,
    line: &SignalLine,
    commit: u64,
    changed: LineRange,
) -> (Begun, bool) {
    ledger.publish(commit, changed, || {
        is_awaited_after_store(line) | line.is_asked()
    })
}

#[cfg(all(test, not(loom)))]
mod tests;
