//! Waiting for the next commit.

use super::Segment;
use crate::error::{CortexError, CortexResult};
use crate::signal;
use crate::site::Wait;
use crate::sync::CortexSync;
use crate::sys::address;
use std::time::Duration;

/// The longest sleep. A writer that is killed between its commit and its wake leaves the waiters
/// asleep until then; with the time to get a processor, it stays within 50 ms.
const SLICE: Duration = Duration::from_millis(40);

impl<L: CortexSync> Segment<L> {
    /// Sleeps until the version is another than `since`, and returns it. At once where it already
    /// is. Any number of processes may wait; a waiter that dies disturbs nobody.
    ///
    /// # Errors
    /// `Timeout` after `timeout` (`None` waits for ever); `Removed` when the segment is removed;
    /// `Interrupted` by [`Segment::interrupt`].
    pub fn wait_changed(&self, since: u64, timeout: Option<Duration>) -> CortexResult<u64> {
        let version = self.version();
        if version != since {
            return Ok(version);
        }
        let (key, operation) = (self.key(), "waiting for change");
        let line = self.site.view.signal();
        let interrupts = self.site.interrupts_seen();
        let wait = Wait::lasting(timeout);
        let look = || {
            let version = self.version();
            if version != since {
                return Some(Ok(version));
            }
            if self.is_removed() {
                return Some(Err(CortexError::Removed { key }));
            }
            if self.site.was_interrupted(interrupts) {
                return Some(Err(CortexError::Interrupted { key, operation }));
            }
            (wait.left() == Some(Duration::ZERO))
                .then_some(Err(CortexError::Timeout { key, operation }))
        };
        signal::wait(line, look, |word, value| {
            let nap = wait.left().map_or(SLICE, |left| left.min(SLICE));
            address::wait(word, value, nap);
        })
    }
}
