//! Waiting for the next commit.

use super::handle::Segment;
use super::observer::SegmentObserver;
use crate::attachment::patience::{NeedlessWakes, Pauses, Slices, Wait, Waiting};
use crate::error::{busy, Cause, CortexError, CortexResult, Told, WAITING_FOR_CHANGE};
use crate::locks::CortexSync;
use crate::protocol::signal;
use crate::sys::futex;
use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Ends a wait that has found the segment removed. `version` was looked at after that: what was committed since the wait
/// looked last is told first.
pub(crate) fn removed_at(version: u64, since: u64) -> Result<u64, Cause> {
    match version == since {
        true => Err(Cause::Removed),
        false => Ok(version),
    }
}

impl<L: CortexSync> Segment<L> {
    /// Sleeps until the version is another than `since`, and returns it. It returns at once where the version already
    /// is. Any number of processes may wait; a waiter that dies does not disturb the others.
    ///
    /// # Errors
    /// `Timeout` after `timeout` (`None` waits for ever); `Removed` when the segment is removed; `Interrupted` by
    /// [`Segment::interrupt`] or [`Segment::stop_waits`], or by a signal where that was asked for
    /// ([`SegmentOptions::interruptible`](crate::SegmentOptions::interruptible)); `Busy` at once where this thread
    /// holds a guard, through whichever handle, because then no commit can come (a write guard through a lock of your
    /// own is not noticed).
    pub fn wait_changed(&self, since: u64, timeout: Option<Duration>) -> CortexResult<u64> {
        let version = self.version();
        if version != since {
            return Ok(version);
        }
        if self.attachment.is_guarded_by_this_thread() {
            return Err(self.waits_for_itself());
        }
        let line = self.attachment.mapped.signal();
        let _call = self.attachment.interrupts.begin();
        let waiting = Waiting::new(
            &self.attachment.interrupts,
            Wait::lasting(timeout),
            WAITING_FOR_CHANGE,
        );
        let slices = RefCell::new(Slices::default());
        let look = || {
            slices
                .borrow_mut()
                .prepare(|| waiting.may_be_long() && self.attachment.rest());
            let version = self.version();
            if version != since {
                return Some(Ok(version));
            }
            if self.is_removed() {
                return Some(removed_at(self.version(), since));
            }
            waiting.check().err().map(Err)
        };
        let mut wakes = NeedlessWakes::of(1);
        signal::wait(line, look, |word, value| {
            let slice = slices.borrow().next();
            let end = wakes.sleep(waiting.nap(slice), |nap| futex::wait(word, value, nap));
            slices.borrow_mut().note(end);
            // The next look returns the error, unless there is a new version.
            let _ = waiting.woken(end);
        })
        .on(self.key())
    }

    /// Returns the error for a wait that this thread's own guard keeps from ending.
    #[cold]
    pub(crate) fn waits_for_itself(&self) -> CortexError {
        let detail = busy::OWN_GUARD_KEEPS;
        CortexError::Busy {
            key: self.key(),
            detail,
        }
    }
}

impl SegmentObserver {
    /// Sleeps until the version is another than `since`, and returns it. It returns at once where the version already is.
    ///
    /// An observer stores nothing, so no writer knows that it waits. It is woken at once where a participant waits for
    /// the same change ([`crate::Segment::wait_changed`]), and looks within a millisecond where none does.
    ///
    /// # Errors
    /// `Timeout`, `Removed`, `Interrupted`.
    pub fn wait_changed(&self, since: u64, timeout: Option<Duration>) -> CortexResult<u64> {
        match self.version() {
            version if version != since => Ok(version),
            _ => self.await_change(since, timeout).on(self.key()),
        }
    }

    fn await_change(&self, since: u64, timeout: Option<Duration>) -> Result<u64, Cause> {
        let word = &self.slots.signal().signal;
        let _call = self.interrupts.begin();
        let wait = Wait::lasting(timeout);
        let waiting = Waiting::new(&self.interrupts, wait, WAITING_FOR_CHANGE);
        let (mut pauses, mut wakes) = (Pauses::default(), NeedlessWakes::of(1));
        loop {
            // Acquire: the version is then no older. What it misses all the same it finds after its pause.
            let seen = word.load(Ordering::Acquire);
            let version = self.version();
            if version != since {
                return Ok(version);
            }
            if self.is_removed() {
                return removed_at(self.version(), since);
            }
            waiting.check()?;
            let nap = waiting.nap(pauses.next());
            let end = wakes.sleep(nap, |nap| futex::wait_read_only(word, seen, nap));
            waiting.woken(end)?;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
