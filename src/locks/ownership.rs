//! Exclusive ownership of a segment's owner word: what every built-in lock is made of.
//!
//! **Invariants.** The lock area of a built-in lock begins with the owner word ([`crate::protocol::owner_word`] has its
//! states). Every take and every release also tells the handles' record ([`Record`]), by which a thread knows what it
//! holds. Only the locks of this folder use it.

use super::contend::{Contender, WaitPolicy};
use super::{LockSite, Wait};
use crate::attachment::own_handles::Record;
use crate::attachment::Attachment;
use crate::error::{busy, Cause, CortexResult};
use crate::protocol::atomics::AtomicU32;
use crate::protocol::owner_word;
use crate::protocol::participants::Id;
use std::ptr::NonNull;
use std::sync::Arc;

/// Exclusive ownership of a segment's owner word.
#[derive(Debug)]
pub(crate) struct Ownership {
    word: NonNull<AtomicU32>,
    pub(crate) attachment: Arc<Attachment>,
    /// The record of the attachment's handle, at hand.
    own: &'static Record,
    policy: WaitPolicy,
}

// SAFETY: the pointer is into the attachment's mapping, which `attachment` keeps alive, and to an atomic.
unsafe impl Send for Ownership {}
// SAFETY: as above.
unsafe impl Sync for Ownership {}

impl Ownership {
    /// The number of bytes that it keeps in the lock area.
    pub(crate) const SHARED_SIZE: usize = size_of::<AtomicU32>();

    /// `size` is what the lock keeps in all; a lock built upon it must have asked for as much.
    pub(crate) fn new(site: &LockSite<'_>, policy: WaitPolicy, size: usize) -> CortexResult<Self> {
        site.check_room(size)?;
        Ok(Self {
            word: site.memory().cast(),
            attachment: Arc::clone(site.attachment),
            own: site.attachment.own.record(),
            policy,
        })
    }

    /// Returns the key of the segment, for the errors of its lock.
    pub(crate) fn key(&self) -> i32 {
        self.attachment.key()
    }

    #[inline]
    pub(crate) fn word(&self) -> &AtomicU32 {
        // SAFETY: the lock area begins with the owner word (`new` has asked for its room), 64-aligned,
        // zeroed by the kernel; the mapping lives as long as `attachment`.
        unsafe { self.word.as_ref() }
    }

    /// Takes the word if it is free, and returns whether it has. No waiting, no system call.
    #[inline]
    pub(crate) fn try_take(&self, me: Id) -> bool {
        let is_taken = owner_word::try_take(self.word(), me);
        if is_taken {
            self.own.hold();
        }
        is_taken
    }

    /// Takes the word, waiting for its holder as long as `wait` says.
    ///
    /// # Errors
    /// `Timeout`, `Interrupted`, `Removed`; `Busy` where this thread holds it; and the errors of claiming a participant
    /// slot.
    pub(crate) fn take(&self, wait: Wait, operation: &'static str) -> Result<(), Cause> {
        let attachment = &*self.attachment;
        let me = attachment.me()?;
        if attachment.is_held_by_this_thread() {
            return Err(Cause::Busy(busy::OWN_LOCK));
        }
        owner_word::take_slow(
            self.word(),
            me,
            &mut Contender::new(attachment, self.policy, wait, operation),
        )?;
        self.own.hold();
        Ok(())
    }

    /// Releases the word, and wakes a waiter if there may be one. A full fence is between what came before and what
    /// the caller loads next ([`owner_word::leave`]).
    #[inline(always)]
    pub(crate) fn leave(&self) {
        self.own.unhold();
        if owner_word::leave(self.word()) {
            self.wake();
        }
    }

    #[cold]
    pub(crate) fn wake(&self) {
        Contender::wake(&self.attachment, self.policy, self.word());
    }

    /// Frees the word if it still names this slot, whose tenant has died ([`super::CortexSync::settle`]).
    ///
    /// # Safety
    /// `memory` is a lock area that begins with an owner word, still mapped; the caller holds the slot's beacon.
    pub(crate) unsafe fn settle(memory: NonNull<u8>, slot: u32) {
        // SAFETY: the caller's promise.
        owner_word::settle(unsafe { memory.cast::<AtomicU32>().as_ref() }, slot);
    }
}
