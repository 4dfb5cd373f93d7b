//! Waiting for the next commit.

use super::handle::Segment;
use crate::attachment::patience::{Wait, Waiting};
use crate::error::{Cause, CortexError, CortexResult, Told, WAITING_FOR_CHANGE};
use crate::locks::CortexSync;
use crate::protocol::signal;
use crate::sys::futex;
use std::time::Duration;

/// The longest sleep. A writer that is killed between its commit and its wake leaves the waiters asleep for at most
/// that long; with the time to get a processor, a waiter returns within 50 ms.
const SLICE: Duration = Duration::from_millis(40);

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
        let look = || {
            let version = self.version();
            if version != since {
                return Some(Ok(version));
            }
            if self.is_removed() {
                return Some(Err(Cause::Removed));
            }
            waiting.check().err().map(Err)
        };
        signal::wait(line, look, |word, value| {
            // The next look returns the error, unless there is a new version.
            let _ = waiting.woken(futex::wait(word, value, waiting.nap(SLICE)));
        })
        .on(self.key())
    }

    /// Returns the error for a wait that this thread's own guard keeps from ending.
    #[cold]
    pub(crate) fn waits_for_itself(&self) -> CortexError {
        let detail = "this thread holds a guard, so nobody can commit; end it before waiting";
        CortexError::Busy {
            key: self.key(),
            detail,
        }
    }
}
