//! The lock of neocortex 3: exclusive for readers and writers, sleeping on a semaphore.
//!
//! Who holds it stands in the owner word like in every built-in lock ([`super::owner`] has the
//! states), so a killed holder is passed. Where the original slept in `sem_wait` on a named POSIX
//! semaphore, this one sleeps on the parking semaphore of the segment's own System V set: no file
//! that a peer can truncate, no name to collide, no umask.

use super::contend::Bed;
use super::seqlock::Ownership;
use super::{Access, CortexSync, LockSite, Wait};
use crate::error::CortexResult;
use crate::participants::Id;
use crate::permission::Permission;
use std::ptr::NonNull;

/// Who may use a [`Semaphore`] cortex; the same as [`Permission`], under the name of neocortex 3.
pub use crate::permission::Permission as SemaphorePermission;

/// Settings of the [`Semaphore`] lock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SemaphoreSettings {
    /// The permission of every kernel object of the cortex.
    pub mode: SemaphorePermission,
}

/// One lock for reading and writing, which sleeps on a System V semaphore while it is contended.
#[derive(Debug)]
pub struct Semaphore {
    ownership: Ownership,
}

// SAFETY: as for `SeqLock`: the owner word admits one holder; the semaphore only ends sleeps.
unsafe impl CortexSync for Semaphore {
    type Settings = SemaphoreSettings;
    const NAME: &'static str = "semaphore";
    const SHARED_SIZE: usize = Ownership::SHARED_SIZE;
    const RELEASE_IS_FENCE: bool = true;

    fn new(site: LockSite<'_>, _settings: Option<&SemaphoreSettings>) -> CortexResult<Self> {
        Self::attach(site)
    }

    fn attach(site: LockSite<'_>) -> CortexResult<Self> {
        Ok(Self {
            ownership: Ownership::new(&site, Bed::Parking),
        })
    }

    fn read_lock(&self, wait: Wait) -> CortexResult<()> {
        self.ownership.take(wait, "read")
    }

    fn write_lock(&self, wait: Wait) -> CortexResult<()> {
        self.ownership.take(wait, "write")
    }

    #[inline]
    fn release(&self, _access: Access) -> CortexResult<()> {
        self.ownership.leave();
        Ok(())
    }

    #[inline]
    fn try_read_fast(&self, me: u32) -> bool {
        self.ownership.try_take(Id(me))
    }

    #[inline]
    fn try_write_fast(&self, me: u32) -> bool {
        self.ownership.try_take(Id(me))
    }

    fn force_ownership(&mut self) {}

    fn permission(settings: Option<&SemaphoreSettings>) -> Permission {
        settings.map_or_else(Permission::default, |settings| settings.mode)
    }

    fn settle(memory: NonNull<u8>, slot: u32) {
        Ownership::settle(memory, slot);
    }
}
