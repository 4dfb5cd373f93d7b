//! Locks: the trait, what a lock is given of its segment, and the ones that come with the crate ([`built_in`]).

pub(crate) mod built_in;
pub(crate) mod contend;
mod exclusive;
mod ownership;
mod rwlock;
pub(crate) mod site;

pub use crate::attachment::patience::Wait;
pub use exclusive::*;
pub use rwlock::RwLock;
pub use site::{LockSite, Participants};

use crate::error::CortexResult;
use crate::permission::Permission;
use std::ptr::NonNull;

/// The access for which a lock is taken and released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Taken by [`CortexSync::read_lock`].
    Read,
    /// Taken by [`CortexSync::write_lock`].
    Write,
}

/// A lock that travels with a segment. Implement it to plug in one of your own.
///
/// The cortex calls `read_lock` or `write_lock`, then `release` with the same access, from the same
/// thread; several threads may do so through one value at once. To take or release a lock is `unsafe`,
/// because the references that guards show depend on who holds it; the cortex does it, and a lock that
/// is built upon another one.
///
/// # Safety
/// Between a `write_lock` that returned `Ok` and its `release`, no other `write_lock` or `read_lock`
/// on the same segment returns `Ok`, in any process or thread; and what the former holder stored
/// before its `release` happens before what the next one does. No safe method of the lock's own takes
/// or releases it. Locks that do not understand each other have different names. The memory of the
/// [`LockSite`] is not used after the lock is dropped.
pub unsafe trait CortexSync: Sized + Send + Sync {
    /// The settings that [`crate::CortexBuilder::with_lock`] hands to [`CortexSync::new`].
    type Settings;

    /// Stored in the segment, and compared when a process attaches. 1 to 63 bytes.
    const NAME: &'static str;

    /// How many bytes the lock keeps in the segment.
    const SHARED_SIZE: usize = 0;

    /// Whether values are copied out without taking the lock, validated by the commit counters, and
    /// `read_lock` is only the fall-back and for read guards.
    const OPTIMISTIC_READS: bool = false;

    /// Makes the lock of a new segment, in zeroed memory.
    ///
    /// # Errors
    /// Whatever prevents it; the segment is then removed again.
    fn new(site: LockSite<'_>, settings: Option<&Self::Settings>) -> CortexResult<Self>;

    /// Joins the lock of an existing segment.
    ///
    /// # Errors
    /// Whatever prevents it; the segment is then detached again.
    fn attach(site: LockSite<'_>) -> CortexResult<Self>;

    /// Takes the lock for reading.
    ///
    /// # Errors
    /// `Timeout` when the wait is over; `Busy` where this thread holds it already; `Custom` for a
    /// code of your own.
    ///
    /// # Safety
    /// If it returns `Ok`, the caller releases it on this thread, and not in a forked child.
    unsafe fn read_lock(&self, wait: Wait) -> CortexResult<()>;

    /// Takes the lock for writing. Errors as in [`CortexSync::read_lock`].
    ///
    /// # Errors
    /// As in [`CortexSync::read_lock`].
    ///
    /// # Safety
    /// As for [`CortexSync::read_lock`].
    unsafe fn write_lock(&self, wait: Wait) -> CortexResult<()>;

    /// Releases the lock.
    ///
    /// # Errors
    /// Where it could not be released; other processes find the holder dead when this process leaves.
    ///
    /// # Safety
    /// This thread of this process has taken the lock with this access and not given it back yet; no
    /// reference into the payload depends on it any more.
    unsafe fn release(&self, access: Access) -> CortexResult<()>;

    /// Tells the lock that its handle has become the owner: what the lock has in the kernel must now be
    /// removed when the lock is dropped.
    fn force_ownership(&mut self);

    /// Returns the permission that these settings ask for, where the builder names none.
    fn permission(settings: Option<&Self::Settings>) -> Permission {
        let _ = settings;
        Permission::OwnerOnly
    }

    /// Frees whatever in the lock's bytes still refers to this participant slot, whose tenant has
    /// died. Called with the slot's beacon held, before its generation is raised, by the process
    /// that is about to become the next tenant; so no word of the lock ever refers to a slot that
    /// has been let again, and a compare-and-swap against a dead holder cannot hit a live one.
    ///
    /// The default does nothing: right for a lock that asks [`Participants::is_alive`] of the whole
    /// identifier.
    ///
    /// # Safety
    /// `memory` is that of a [`LockSite`] of this lock, still mapped, and the caller holds the slot's
    /// beacon.
    unsafe fn settle(memory: NonNull<u8>, slot: u32) {
        let _ = (memory, slot);
    }

    /// [`CortexSync::OPTIMISTIC_READS`], for a lock that is chosen at run time.
    #[doc(hidden)]
    #[inline]
    fn is_optimistic(&self, _: Seal) -> bool {
        Self::OPTIMISTIC_READS
    }

    /// Takes the lock for reading, as this participant, if that needs no waiting and no system call.
    ///
    /// # Safety
    /// As for [`CortexSync::read_lock`]; `me` is this process's participant.
    #[doc(hidden)]
    #[inline]
    unsafe fn try_read_fast(&self, me: u32, _: Seal) -> bool {
        let _ = me;
        false
    }

    /// Takes the lock for writing, as this participant, if that needs no waiting and no system call.
    ///
    /// # Safety
    /// As for [`CortexSync::try_read_fast`].
    #[doc(hidden)]
    #[inline]
    unsafe fn try_write_fast(&self, me: u32, _: Seal) -> bool {
        let _ = me;
        false
    }

    /// [`CortexSync::release`] of a read, by a caller that has just asked who this process is.
    ///
    /// # Safety
    /// As for [`CortexSync::release`]; `me` is the participant that took it.
    #[doc(hidden)]
    #[inline]
    unsafe fn release_read(&self, me: u32, _: Seal) -> CortexResult<()> {
        let _ = me;
        // SAFETY: the caller's promise.
        unsafe { self.release(Access::Read) }
    }

    /// Tells the lock that this process does not own the segment (any more): dropping it must remove nothing.
    #[doc(hidden)]
    fn disown(&mut self, _: Seal) {}

    /// Of the built-in locks: `release` ends with a SeqCst fence, so that the cortex need not add one
    /// before it looks for waiters.
    #[doc(hidden)]
    const RELEASE_IS_FENCE: sealed::Fence = sealed::Fence(false);
}

pub(crate) use sealed::Seal;

/// What is in a signature only so that no other crate can call or replace the method: the types cannot
/// be named there, and a [`Seal`] cannot be made there.
pub(crate) mod sealed {
    /// In the parameters of what this crate alone calls and implements.
    #[derive(Debug, Clone, Copy)]
    pub struct Seal(());

    impl Seal {
        /// For this crate.
        pub(crate) const HERE: Self = Self(());
    }

    /// Whether something is a fence.
    #[derive(Debug, Clone, Copy)]
    pub struct Fence(pub(crate) bool);
}

#[cfg(all(test, not(loom)))]
mod tests;
