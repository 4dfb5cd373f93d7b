//! What an attachment does for those who wait for a commit: it ends the waits of this process, and lets them sleep for
//! long.

use super::Attachment;
use crate::protocol::{owner_word, signal};
use crate::sys::futex;

impl Attachment {
    /// Ends every wait through this handle, or the next one. Async-signal-safe: two atomics and, to
    /// wake sleepers of other threads, system calls that no lock of this process guards.
    pub(crate) fn interrupt(&self) {
        self.interrupts.send();
        self.wake_own_waiters();
    }

    /// Ends every wait through this handle from now on. Async-signal-safe, as [`Attachment::interrupt`].
    pub(crate) fn stop_waits(&self, why: u32) {
        self.interrupts.stop(why);
        self.wake_own_waiters();
    }

    /// Wakes the waiters for change and for room; those of other processes go on sleeping. A waiter for a lock looks
    /// every 16 ms.
    ///
    /// The signal word is changed, so that a waiter which has looked and is about to sleep does not.
    pub(crate) fn wake_own_waiters(&self) {
        let line = self.mapped.signal();
        signal::rouse(line);
        futex::wake_all(&line.signal);
        if self.mapped.slots.is_lossless() {
            futex::wake_all(&line.room);
        }
    }

    /// Puts the lock to rest for a process that waits for a commit. Returns whether it may sleep for long: not beside a lock
    /// of a user's own, which tells nobody of its next holder, and not where no process is woken in any case.
    pub(crate) fn rest(&self) -> bool {
        !futex::IS_POLLED
            && self.has_owner_word
            && self.mapped.lock_word(0).is_some_and(owner_word::rest)
    }
}
