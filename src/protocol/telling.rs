//! A thread that sleeps on signal words for another one, the poller, and tells it of changes.
//!
//! The poller asks to be told of the next change ([`Asked::ask`]), looks at the versions itself, and sleeps or returns. The
//! helper sees a change and looks whether it was asked ([`Asked::take`]). If so it rings the poller's bell. If not, it
//! leaves the value out ([`Asked::leave_out`]): it does not sleep on its word any more, so that a writer that goes on
//! committing wakes nobody in vain. The poller that asks again finds that, and has the helper take it in again.
//!
//! **Why no change is lost.** Both exchange the word `asked`, and exchanges of one word are in one order. If the helper's
//! last one, with which it leaves something out, comes after the poller's, it finds that it was asked, and tells after all.
//! If it comes before, the poller acquires what the helper released: it sees that something was left out, and the version
//! that the helper had seen, so its own look is not older. The word of what is left out is (round: 31 bits, something is left
//! out: 1 bit). The poller that finds the bit begins a new round, in which everything is taken in again, in one step: what a
//! helper leaves out at the same time is of the round before and taken in at once, or of the new one, and found the next
//! time. Where the poller's threads are several, one of them begins the round; the others, too, have acquired.
//!
//! The poller that finds the bell rung sees the version of which the helper tells it (release and acquire), also where it
//! had asked in an earlier call and does not sleep now.

use crate::protocol::atomics::{AtomicU32, Ordering};

const LEFT_OUT: u32 = 1;

/// What a poller asks of its helpers: see the module.
#[cfg_attr(not(loom), derive(Debug))]
pub(crate) struct Asked {
    asked: AtomicU32,
    left_out: AtomicU32,
}

/// The round in which something was left out. It is in again in every other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Round(u32);

impl Asked {
    pub(crate) fn new() -> Self {
        Self {
            asked: AtomicU32::new(0),
            left_out: AtomicU32::new(0),
        }
    }

    /// The poller: asks to be told of the next change. Returns whether something was left out and is to be taken in again:
    /// the caller then rings its helpers' bells. It looks at the versions afterwards in either case.
    #[must_use]
    pub(crate) fn ask(&self) -> bool {
        // Acquire: see the module.
        self.asked.swap(1, Ordering::Acquire);
        let seen = self.left_out.load(Ordering::Relaxed);
        // Where another thread of the same poller is faster, it rings.
        seen & LEFT_OUT != 0
            && self
                .left_out
                .compare_exchange(
                    seen,
                    seen.wrapping_add(LEFT_OUT),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// The helper has seen a change. Returns whether it is to tell the poller.
    #[must_use]
    pub(crate) fn take(&self) -> bool {
        self.asked.swap(0, Ordering::Relaxed) != 0
    }

    /// The helper was not asked. Returns the round in which it leaves the value out, or `None` where it has been asked
    /// since: it then tells the poller after all.
    #[must_use]
    pub(crate) fn leave_out(&self) -> Option<Round> {
        let seen = self.left_out.fetch_or(LEFT_OUT, Ordering::Relaxed);
        // Release: see the module.
        let is_asked = self.asked.swap(0, Ordering::Release) != 0;
        (!is_asked).then_some(Round(seen >> 1))
    }

    /// Returns whether what was left out in this round is in again. To be asked before the helper sleeps, after it has
    /// loaded the value of its bell.
    pub(crate) fn is_in_again(&self, round: Round) -> bool {
        self.left_out.load(Ordering::Relaxed) >> 1 != round.0
    }
}

/// A word that one thread changes to wake another one of the same process.
#[cfg_attr(not(loom), derive(Debug))]
pub(crate) struct Bell(AtomicU32);

impl Bell {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Changes the word. Then its sleepers must be woken. Async-signal-safe.
    pub(crate) fn ring(&self) {
        // Release: what was stored and seen before is seen by the thread that finds the word changed.
        self.0.fetch_add(1, Ordering::Release);
    }

    /// Returns the value with which to sleep on the word, for a thread that looks at everything else after this.
    pub(crate) fn heard(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Returns the word to sleep on.
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.0
    }
}
