//! The end of a handle: the lock goes first, then, where the handle is the owner, the segment, then the slot.

use super::handle::Segment;
use super::removal;
use crate::attachment::{remove_segment, Attachment};
use crate::error::names::noted;
use crate::error::{both, Cause, CortexResult, Leftover, Told};
use crate::locks::{CortexSync, Seal};
use crate::sys::shm::Mapped;
use std::mem::ManuallyDrop;
use std::sync::Arc;

impl<L: CortexSync> Segment<L> {
    /// Drops the handle, and returns the error that a plain drop can only log.
    ///
    /// # Errors
    /// `CleanSystem` where the participant slot could not be released; `DirtySystem` with what is
    /// left in the kernel.
    pub fn close(self) -> CortexResult<()> {
        let key = self.key();
        self.end().on(key)
    }

    /// [`Segment::close`].
    pub(super) fn end(self) -> Result<(), Cause> {
        let mut segment = ManuallyDrop::new(self);
        let result = segment.shut();
        // SAFETY: `shut` has dropped the lock; the attachment is the one field left with something to
        // drop, and nothing uses the segment after this.
        let attachment = unsafe { std::ptr::read(&segment.attachment) };
        // A lock of the caller's own may have kept its participants beyond its own end.
        both(
            result,
            Arc::into_inner(attachment).map_or(Ok(()), Attachment::detach),
        )
    }

    /// Checks that this process may remove the segment.
    ///
    /// # Errors
    /// `DirtySystem` with both objects: a process that has become another user leaves the segment as it is to the
    /// others.
    fn check_right_at_end(&self) -> Result<(), Cause> {
        let mapping = &self.attachment.mapped.mapping;
        removal::check_right_to_remove(mapping).map_err(|cause| {
            cause
                .leaving(Leftover::Segment(mapping.id()))
                .leaving(Leftover::Semaphores(self.attachment.beacons.set().id()))
        })
    }

    /// Removes the segment for its owner. `is_here` is whether this process is in the IPC namespace that has the
    /// segment.
    fn take_away(&self, is_here: bool) -> Result<(), Cause> {
        let mapping = &self.attachment.mapped.mapping;
        removal::mark_removed(mapping);
        if !is_here {
            // It cannot be removed from another namespace: the next process that comes to it finds it marked, and
            // removes it.
            return Ok(());
        }
        remove_segment(mapping.id())
    }

    /// Does everything that a drop does, except dropping the attachment. It is called once.
    fn shut(&mut self) -> Result<(), Cause> {
        // First, for it keeps the mapping.
        self.companion.end();
        let is_here = self.is_owner() && self.attachment.ids_are_ours();
        // The right is checked before the segment is marked and before the lock is told of the end: without the right
        // the segment stays, and other processes may adopt it at once.
        let mut removal = match is_here {
            true => self.check_right_at_end(),
            false => Ok(()),
        };
        let is_owner = removal.is_ok() && self.begin_removal();
        if is_owner {
            self.tell_lock();
        } else {
            self.lock.disown(Seal::HERE);
        }
        // SAFETY: called once (by `close`, which forgets the rest, or by `drop`), and the lock is
        // not used after it.
        unsafe { ManuallyDrop::drop(&mut self.lock) };
        if is_owner {
            removal = self.take_away(is_here);
        }
        both(removal, self.attachment.leave())
    }
}

impl<L: CortexSync> Drop for Segment<L> {
    fn drop(&mut self) {
        let key = self.key();
        if let Err(error) = self.shut().on(key) {
            tracing::error!(key, name = noted(key), %error, "closing a cortex");
        }
    }
}
