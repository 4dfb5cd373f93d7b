//! What ends the waits through one handle, and how many calls through it may be waiting.
//!
//! An interrupt ends the waits that it finds, or else the next one. A stop ends every wait until it is taken back: for
//! N threads of which some may be just about to wait. Both stand in this process's memory, never in the segment.
//!
//! **Closing.** The C interface frees a handle while other threads may be waiting through it, so a call that waits is
//! counted from before it waits until it touches the handle no more ([`Interrupts::begin`]); calls that do not wait
//! are not counted. The closing thread stops the waits, and goes on when no call is left.
//!
//! **Ordering.** A call counts itself, passes a SeqCst fence, and looks whether the waits are stopped; the closing
//! thread stops them, passes a SeqCst fence, and looks at the count. The fences are in one order, so at least one of
//! the two sees the other: either the call ends at once, or it is waited for. It leaves with a release, which the look
//! that finds no call acquires: what the call did comes before the handle is taken apart.
//!
//! **Signals.** Where the handle was opened so, a sleep that a signal handler has ended ends the wait too, on that
//! thread alone ([`Interrupts::are_sent_by`]).
//!
//! The count is of one process: a forked child inherits no calls.

use crate::protocol::atomics::{fence_after_rmw, AtomicU32, Ordering};
use crate::protocol::of_process::AtomicOfProcess;
use crate::sys::fork;
use crate::sys::SleepEnd;

/// The program has stopped the waits ([`crate::Segment::stop_waits`]).
pub(crate) const STOPPED: u32 = 1;
/// The handle is being closed.
pub(crate) const CLOSING: u32 = 2;
/// The handle is closed.
#[cfg_attr(not(feature = "capi"), allow(dead_code))]
pub(crate) const CLOSED: u32 = 4;

/// The interrupts of one handle, and its calls that may be waiting: see the module.
#[cfg_attr(not(loom), derive(Debug))]
pub(crate) struct Interrupts {
    sent: AtomicU32,
    /// How many of the interrupts sent have ended a wait.
    seen: AtomicU32,
    /// The reasons for which every wait ends at once; 0 where none does.
    stops: AtomicU32,
    /// How many calls of this process may be waiting.
    calls: AtomicOfProcess,
    /// Whether a wait ends when a signal handler has run on its thread: 0 is no.
    by_signals: AtomicU32,
}

/// A call that may wait, counted while this lives.
pub(crate) struct Call<'a>(&'a Interrupts);

impl Interrupts {
    pub(crate) fn new() -> Self {
        Self {
            sent: AtomicU32::new(0),
            seen: AtomicU32::new(0),
            stops: AtomicU32::new(0),
            calls: AtomicOfProcess::default(),
            by_signals: AtomicU32::new(0),
        }
    }

    /// Sets whether waits end when a signal handler has run on their thread; they do not unless it was asked for.
    pub(crate) fn let_signals_end_waits(&self, do_they: bool) {
        // Relaxed: stored before the caller gets the handle.
        self.by_signals.store(do_they.into(), Ordering::Relaxed);
    }

    /// Returns whether waits end when a signal handler has run on their thread.
    pub(crate) fn are_sent_by_signals(&self) -> bool {
        self.by_signals.load(Ordering::Relaxed) != 0
    }

    /// Returns whether a sleep that ended like this ends its wait.
    pub(crate) fn are_sent_by(&self, end: SleepEnd) -> bool {
        end == SleepEnd::Signal && self.are_sent_by_signals()
    }

    /// Ends every wait, or else the next one. Async-signal-safe, as all the others are.
    pub(crate) fn send(&self) {
        // Release: a waiter that finds itself interrupted sees what was stored before.
        self.sent.fetch_add(1, Ordering::Release);
    }

    /// Returns what to compare with during a wait that begins now.
    pub(crate) fn seen(&self) -> u32 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Returns whether waits are stopped, or an interrupt has come that no wait had seen at `entry`; it is then seen.
    pub(crate) fn was_sent(&self, entry: u32) -> bool {
        if self.are_stopped(STOPPED | CLOSING) {
            return true;
        }
        let now = self.sent.load(Ordering::Acquire);
        if now != entry {
            self.seen.store(now, Ordering::Relaxed);
        }
        now != entry
    }

    /// Ends every wait from now on.
    pub(crate) fn stop(&self, why: u32) {
        self.stops.fetch_or(why, Ordering::Relaxed);
        fence_after_rmw();
    }

    /// Withdraws a [stop](Self::stop) for this reason.
    pub(crate) fn resume(&self, why: u32) {
        self.stops.fetch_and(!why, Ordering::Relaxed);
    }

    /// Returns whether waits are stopped for one of these reasons.
    pub(crate) fn are_stopped(&self, why: u32) -> bool {
        self.stops.load(Ordering::Relaxed) & why != 0
    }

    /// Counts a call that may wait.
    pub(crate) fn begin(&self) -> Call<'_> {
        self.calls
            .change(fork::epoch(), Ordering::Relaxed, |calls| calls + 1);
        fence_after_rmw();
        Call(self)
    }

    /// Returns whether no call is counted any more. For a caller that has [stopped](Self::stop) the waits.
    #[cfg_attr(not(feature = "capi"), allow(dead_code))]
    pub(crate) fn are_over(&self) -> bool {
        self.calls.count(fork::epoch(), Ordering::Acquire) == 0
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        // A child forked within the call counts none.
        self.0
            .calls
            .change(fork::epoch(), Ordering::Release, |calls| {
                calls.saturating_sub(1)
            });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::protocol::of_process::OfProcess;

    #[test]
    fn an_interrupt_ends_the_waits_that_it_finds_or_the_next_one() {
        let interrupts = Interrupts::new();
        let (one, other) = (interrupts.seen(), interrupts.seen());
        assert!(!interrupts.was_sent(one));
        interrupts.send();
        assert!(interrupts.was_sent(one) && interrupts.was_sent(other));
        let next = interrupts.seen();
        assert!(!interrupts.was_sent(next));
        interrupts.send();
        let next = interrupts.seen();
        assert!(interrupts.was_sent(next));
    }

    #[test]
    fn a_stop_ends_every_wait_until_it_is_taken_back() {
        let interrupts = Interrupts::new();
        interrupts.stop(STOPPED);
        for _ in 0..3 {
            assert!(interrupts.was_sent(interrupts.seen()));
        }
        interrupts.stop(CLOSING);
        interrupts.resume(STOPPED);
        assert!(interrupts.was_sent(interrupts.seen()));
        interrupts.resume(CLOSING);
        assert!(!interrupts.was_sent(interrupts.seen()));
    }

    #[test]
    fn calls_are_counted_and_a_parents_are_not() {
        let interrupts = Interrupts::new();
        assert!(interrupts.are_over());
        let first = interrupts.begin();
        let second = interrupts.begin();
        drop(first);
        assert!(!interrupts.are_over());
        drop(second);
        assert!(interrupts.are_over());
        let parents = Interrupts::new();
        parents
            .calls
            .store(OfProcess::new(fork::epoch() ^ 1, 3), Ordering::Relaxed);
        assert!(parents.are_over());
        let own = parents.begin();
        assert!(!parents.are_over());
        drop(own);
        assert!(parents.are_over());
    }
}
