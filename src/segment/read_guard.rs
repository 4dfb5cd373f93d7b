//! Reading without a copy: a read guard gives access to the bytes in the segment themselves, for as long as it lives.
//!
//! **What a guard's reference guarantees.** Within the protocol no process writes what a read guard shows, and no
//! process reads, other than racily and to throw it away, what a [write guard](super::write_guard) shows. A peer that
//! breaks the protocol can change the bytes under the reference; programs that must not trust their peers use the
//! copying calls.
//!
//! **A forked child** must not look through an inherited guard: its parent goes on, and other processes write there
//! once the parent has ended the guard. Forking is `unsafe` in Rust, and not to look through such a guard is part of
//! its contract; dropping, committing and publishing an inherited guard are safe: they are refused.
//!
//! A guard belongs to the thread and the process that took it. In a forked child an inherited guard is void: dropping
//! it releases nothing, because the holder's id is not the child's.

use super::handle::{log_dropped_error, Segment};
use super::payload::Payload;
use crate::attachment::patience::Limit;
use crate::attachment::thread_guards::{self, AttachmentId};
use crate::error::CortexResult;
use crate::locks::{Access, CortexSync, Seal};
use crate::protocol::participants::Id;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

/// Access to the current value without a copy. No process writes the value while the guard lives.
#[must_use = "dropping the guard ends the access"]
pub struct ReadGuard<'a, T: Payload + ?Sized, L: CortexSync> {
    segment: &'a Segment<L>,
    value: NonNull<T>,
    me: Id,
    /// The attachment of the process that took it.
    attachment_id: AttachmentId,
    /// A guard ends on the thread that began it.
    _not_send: PhantomData<*const ()>,
}

impl<L: CortexSync> Segment<L> {
    /// Takes the lock for reading and shows the current bytes. See [`ReadGuard`].
    ///
    /// # Errors
    /// The errors of taking the lock (`Timeout`, `Interrupted`, `Busy`, …); `Poisoned`; `Unsupported` in a cortex of
    /// records.
    pub fn read_guard(&self) -> CortexResult<ReadGuard<'_, [u8], L>> {
        ReadGuard::begin(self, Limit::Handle)
    }

    /// Refuses to show records, and what a writer in place left half way; the lock, taken for reading, is then
    /// released.
    #[cold]
    fn check_special(&self) -> CortexResult<()> {
        if self.has_records() || self.is_poisoned() {
            // SAFETY: the caller took it, and gets no guard.
            unsafe { self.lock.release(Access::Read) }?;
            self.check_holds_value()?;
            return Err(self.poisoned());
        }
        Ok(())
    }
}

impl<'a, T: Payload + ?Sized, L: CortexSync> ReadGuard<'a, T, L> {
    #[inline]
    pub(crate) fn begin(segment: &'a Segment<L>, limit: Limit) -> CortexResult<Self> {
        let me = segment.take_read(limit)?.me;
        if segment.slots.is_special() {
            segment.check_special()?;
        }
        let attachment_id = segment.attachment.id();
        thread_guards::add(attachment_id);
        let value = segment.slots.payload(segment.slots.ledger().committed());
        Ok(Self {
            segment,
            value,
            me,
            attachment_id,
            _not_send: PhantomData,
        })
    }

    /// Ends the access, and returns the error that a drop can only log.
    ///
    /// # Errors
    /// The errors of the lock's release.
    pub fn end(self) -> CortexResult<()> {
        std::mem::ManuallyDrop::new(self).finish()
    }

    /// Returns a guard that this thread holds and has kept as a count; `None` where this process has taken none.
    #[cfg(feature = "capi")]
    pub(crate) fn resume(segment: &'a Segment<L>) -> Option<Self> {
        let me = segment.attachment.claimed()?;
        let value = segment.slots.payload(segment.slots.ledger().committed());
        Some(Self {
            segment,
            value,
            me,
            attachment_id: segment.attachment.id(),
            _not_send: PhantomData,
        })
    }

    #[inline]
    fn finish(&mut self) -> CortexResult<()> {
        if !self.segment.attachment.is_here(self.attachment_id) {
            return Ok(());
        }
        thread_guards::remove(self.attachment_id);
        // SAFETY: taken by this guard, on this thread (it is not Send) of this process (just asked); the guard is
        // consumed or dropped, and what was borrowed from it ended before.
        unsafe { self.segment.lock.release_read(self.me.0, Seal::HERE) }
    }
}

impl<T: Payload + ?Sized, L: CortexSync> Deref for ReadGuard<'_, T, L> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the slot of the last commit, valid for T (Payload::at); under the read lock no process writes a slot
        // within the protocol.
        unsafe { self.value.as_ref() }
    }
}

impl<T: Payload + ?Sized, L: CortexSync> Drop for ReadGuard<'_, T, L> {
    #[inline]
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            log_dropped_error(self.segment.key(), &error, "ending a read guard");
        }
    }
}

impl<T: Payload + ?Sized + std::fmt::Debug, L: CortexSync> std::fmt::Debug for ReadGuard<'_, T, L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReadGuard").field(&&**self).finish()
    }
}
