//! The locks that one participant holds at a time, for reading and for writing.
//!
//! They have the states and transitions of the owner word ([`crate::protocol::owner_word`]), and take over from a dead
//! holder. They differ in their name, in how a waiter sleeps, and in whether values are read without the lock.
//! A reader without the lock has no state; read guards, and readers that were overtaken too often, take the word like
//! a writer.

use super::contend::WaitPolicy;
use super::ownership::Ownership;
use super::sealed::{Fence, Seal};
use super::{Access, CortexSync, LockSite, Wait};
use crate::error::{CortexResult, Told};
use crate::permission::Permission;
use crate::protocol::participants::Id;
use std::ptr::NonNull;

/// Who may use a [`Semaphore`] cortex; the same as [`Permission`], under the name of neocortex 3.
#[cfg(feature = "semaphore")]
pub use crate::permission::Permission as SemaphorePermission;

/// Settings of the [`Semaphore`] lock.
#[cfg(feature = "semaphore")]
#[derive(Debug, Clone, Copy, Default)]
pub struct SemaphoreSettings {
    /// The permission of every kernel object of the cortex.
    pub mode: SemaphorePermission,
}

/// Makes an exclusive lock: its type, its settings, its name, where a waiter sleeps, whether values are read without
/// the lock, and the permission that its settings ask for.
macro_rules! exclusive_lock {
    (
        $(#[$attribute:meta])*
        $lock:ident($settings:ty), $name:literal, $policy:expr,
        optimistic: $is_optimistic:literal, permission: $permission:expr
    ) => {
        $(#[$attribute])*
        #[derive(Debug)]
        pub struct $lock {
            ownership: Ownership,
        }

        // SAFETY: the owner word is taken by compare-and-swap from 0 with acquire and given back with
        // release, so one participant holds it at a time; within a process, all threads use the same word.
        // Where a waiter sleeps decides nothing: it takes the word like every other process when it wakes.
        unsafe impl CortexSync for $lock {
            type Settings = $settings;
            const NAME: &'static str = $name;
            const SHARED_SIZE: usize = Ownership::SHARED_SIZE;
            const RELEASE_IS_FENCE: Fence = Fence(true);
            const OPTIMISTIC_READS: bool = $is_optimistic;

            fn new(site: LockSite<'_>, _settings: Option<&$settings>) -> CortexResult<Self> {
                Self::attach(site)
            }

            fn attach(site: LockSite<'_>) -> CortexResult<Self> {
                Ok(Self {
                    ownership: Ownership::new(&site, $policy, Self::SHARED_SIZE)?,
                })
            }

            unsafe fn read_lock(&self, wait: Wait) -> CortexResult<()> {
                self.ownership.take(wait, "read").on(self.ownership.key())
            }

            unsafe fn write_lock(&self, wait: Wait) -> CortexResult<()> {
                self.ownership.take(wait, "write").on(self.ownership.key())
            }

            #[inline(always)]
            unsafe fn release(&self, _access: Access) -> CortexResult<()> {
                self.ownership.leave();
                Ok(())
            }

            #[inline]
            unsafe fn try_read_fast(&self, me: u32, _: Seal) -> bool {
                self.ownership.try_take(Id(me))
            }

            #[inline]
            unsafe fn try_write_fast(&self, me: u32, _: Seal) -> bool {
                self.ownership.try_take(Id(me))
            }

            fn force_ownership(&mut self) {}

            fn permission(settings: Option<&$settings>) -> Permission {
                settings.map_or_else(Permission::default, $permission)
            }

            unsafe fn settle(memory: NonNull<u8>, slot: u32) {
                // SAFETY: the caller's promise; the lock area begins with the owner word.
                unsafe { Ownership::settle(memory, slot) };
            }
        }
    };
}

exclusive_lock! {
    /// The default lock. Reading copies the last committed value without a store and without waiting,
    /// however many read and write; writers take turns.
    ///
    /// A read guard is exclusive: for long zero-copy reads by many, use [`super::RwLock`].
    SeqLock(()), "seqlock", WaitPolicy::Word,
    optimistic: true, permission: |()| Permission::OwnerOnly
}

#[cfg(feature = "semaphore")]
exclusive_lock! {
    /// One lock for reading and writing, which sleeps on a System V semaphore while it is contended.
    ///
    /// It is the lock of neocortex 3. Where that slept in `sem_wait` on a named POSIX semaphore, this one sleeps on the
    /// parking semaphore of the segment's own System V set: no file that a peer can truncate, no name to collide, no
    /// umask.
    Semaphore(SemaphoreSettings), "semaphore", WaitPolicy::Parking,
    optimistic: false, permission: |settings| settings.mode
}
