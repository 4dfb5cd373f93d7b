//! A thread that sleeps on signal words for another one, the poller, and tells it of changes.
//!
//! The poller asks to be told of the next change ([`Asked::ask`]), looks at the versions itself, and sleeps or returns. The
//! helper sees a change and looks whether it was asked ([`Asked::take`]). If so it rings the poller's bell. If not, it
//! leaves the value out ([`Asked::leave_out`]): it does not sleep on its word any more, so that a writer that goes on
//! committing wakes nobody in vain. The poller that asks again finds that, and has the helper take it in again.
//!
//! **Why no change is lost.** The poller exchanges `asked`, passes a fence, and looks whether something was left out; the
//! helper says that it leaves something out, passes a fence, and exchanges `asked`. Exchanges of one word are in one order,
//! and the later has what the earlier one's fence released, so at least one of the two sees the other: the helper tells the
//! poller after all, or the poller has it taken in again. The word of what is left out is (round: 31 bits, something is left
//! out: 1 bit). The poller that finds the bit begins a new round, in which everything is taken in again, in one step: what a
//! helper leaves out at the same time is of the round before and taken in at once, or of the new one, and found the next
//! time.
//!
//! The poller that finds the bit also sees the version that the helper had seen (release and acquire), and so does the
//! one that finds the bell rung: its own look is then not older.

use crate::protocol::atomics::{fence, fence_after_rmw, AtomicU32, Ordering};

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
        // An exchange, as the helpers' are: each of them has its place in one order.
        self.asked.swap(1, Ordering::Relaxed);
        fence_after_rmw();
        // Acquire: see the module.
        let seen = self.left_out.load(Ordering::Acquire);
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
        // Release: see the module.
        let seen = self.left_out.fetch_or(LEFT_OUT, Ordering::Release);
        fence(Ordering::SeqCst);
        match self.take() {
            true => None,
            false => Some(Round(seen >> 1)),
        }
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
