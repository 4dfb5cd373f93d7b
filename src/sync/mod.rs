//! Locks: the trait, and the three that come with the crate.
//!
//! | lock | read | for |
//! |---|---|---|
//! | [`SeqLock`] (default) | optimistic: no store, no wait | values read often, copied out |
//! | [`RwLock`] | shared, one counter a participant | zero-copy read guards, large payloads |
//! | [`Semaphore`] | exclusive, sleeping on a System V semaphore | the API of neocortex 3 |
//!
//! All three stand on one owner word ([`owner`]), so that taking the lock and saying who took it are
//! one step, and a holder that was killed is passed by whoever comes next.

pub(crate) mod contend;
pub(crate) mod held;
pub(crate) mod owner;
mod rwlock;
#[cfg(all(test, not(loom)))]
mod scripted;
#[cfg(feature = "semaphore")]
mod semaphore;
pub(crate) mod seqlock;
pub(crate) mod shared;

pub use crate::lock_site::{LockSite, Participants};
pub use crate::site::Wait;
pub use rwlock::RwLock;
#[cfg(feature = "semaphore")]
pub use semaphore::{Semaphore, SemaphorePermission, SemaphoreSettings};
pub use seqlock::SeqLock;

use crate::error::CortexResult;
use crate::permission::Permission;
use std::ptr::NonNull;

/// What a lock was taken for, and is released from.
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
/// thread; several threads may do so through one value at once.
///
/// # Safety
/// Between a `write_lock` that returned `Ok` and its `release`, no other `write_lock` or `read_lock`
/// on the same segment returns `Ok`, in any process or thread; and what the former holder stored
/// before its `release` happens before what the next one does. The memory of the [`LockSite`] is
/// not used after the lock is dropped.
pub unsafe trait CortexSync: Sized + Send + Sync {
    /// What [`crate::CortexBuilder::with_lock`] hands to [`CortexSync::new`].
    type Settings;

    /// Stored in the segment, and compared when somebody attaches. 1 to 63 bytes.
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
    fn read_lock(&self, wait: Wait) -> CortexResult<()>;

    /// Takes the lock for writing. Errors as in [`CortexSync::read_lock`].
    ///
    /// # Errors
    /// As in [`CortexSync::read_lock`].
    fn write_lock(&self, wait: Wait) -> CortexResult<()>;

    /// Gives back what was taken.
    ///
    /// # Errors
    /// Where it could not be given back; the holder is then found dead when this process leaves.
    fn release(&self, access: Access) -> CortexResult<()>;

    /// The handle has become the owner: what the lock has in the kernel is now to be removed when
    /// the lock is dropped.
    fn force_ownership(&mut self);

    /// The permission that these settings ask for, where the builder names none.
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
    fn settle(memory: NonNull<u8>, slot: u32) {
        let _ = (memory, slot);
    }

    /// [`CortexSync::OPTIMISTIC_READS`], for a lock that is chosen at run time.
    #[doc(hidden)]
    #[inline]
    fn is_optimistic(&self) -> bool {
        Self::OPTIMISTIC_READS
    }

    /// Takes the lock for reading, as this participant, if that needs no waiting and no system call.
    #[doc(hidden)]
    #[inline]
    fn try_read_fast(&self, me: u32) -> bool {
        let _ = me;
        false
    }

    /// Takes the lock for writing, as this participant, if that needs no waiting and no system call.
    #[doc(hidden)]
    #[inline]
    fn try_write_fast(&self, me: u32) -> bool {
        let _ = me;
        false
    }

    /// [`CortexSync::release`] of a read, by a caller that has just asked who this process is.
    #[doc(hidden)]
    #[inline]
    fn release_read(&self, me: u32) -> CortexResult<()> {
        let _ = me;
        self.release(Access::Read)
    }

    /// This process does not own the segment (any more): dropping the lock must remove nothing.
    #[doc(hidden)]
    fn disown(&mut self) {}

    /// Set by the built-in locks: `release` ends with a SeqCst fence, so that the cortex need not add one
    /// before it looks for waiters.
    #[doc(hidden)]
    const RELEASE_IS_FENCE: bool = false;
}

#[cfg(all(test, not(loom)))]
mod tests;
