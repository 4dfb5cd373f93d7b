//! The default lock: values are copied out without taking anything; writers take the owner word.
//!
//! States and transitions are the owner word's ([`super::owner`]); a reader has none. Read guards,
//! and readers that were overtaken too often, take the word like a writer.

use super::contend::{Bed, Contender};
use super::owner;
use super::{Access, CortexSync, LockSite, Wait};
use crate::error::{CortexError, CortexResult};
use crate::participants::Id;
use crate::primitive::AtomicU32;
use crate::site::Site;
use std::ptr::NonNull;
use std::sync::Arc;

/// Exclusive ownership of a segment's owner word: what all built-in locks stand on.
#[derive(Debug)]
pub(crate) struct Ownership {
    word: NonNull<AtomicU32>,
    pub(crate) site: Arc<Site>,
    bed: Bed,
}

// SAFETY: the pointer is into the site's mapping, which `site` keeps alive, and to an atomic.
unsafe impl Send for Ownership {}
// SAFETY: as above.
unsafe impl Sync for Ownership {}

impl Ownership {
    /// What it keeps in the lock area.
    pub(crate) const SHARED_SIZE: usize = size_of::<AtomicU32>();

    pub(crate) fn new(site: &LockSite<'_>, bed: Bed) -> Self {
        Self {
            word: site.memory().cast(),
            site: Arc::clone(site.site),
            bed,
        }
    }

    #[inline]
    pub(crate) fn word(&self) -> &AtomicU32 {
        // SAFETY: the lock area begins with the owner word (SHARED_SIZE), 64-aligned, zeroed by the
        // kernel; the mapping lives as long as `site`.
        unsafe { self.word.as_ref() }
    }

    /// Takes a free word: no waiting, no system call.
    #[inline]
    pub(crate) fn try_take(&self, me: Id) -> bool {
        let is_taken = owner::try_take(self.word(), me);
        if is_taken {
            self.site.hold();
        }
        is_taken
    }

    pub(crate) fn take(&self, wait: Wait, operation: &'static str) -> CortexResult<()> {
        let site = &*self.site;
        let me = site.me()?;
        if site.is_held_by_this_thread() {
            let detail = "this thread holds it already, through this handle";
            return Err(CortexError::Busy {
                key: site.key(),
                detail,
            });
        }
        owner::take_slow(
            self.word(),
            me,
            &mut Contender::new(site, self.bed, wait, operation),
        )?;
        site.hold();
        Ok(())
    }

    /// Lets go, and wakes. A full fence stands between what came before and what the caller loads
    /// next ([`owner::leave`]).
    #[inline]
    pub(crate) fn leave(&self) {
        self.site.unhold();
        if owner::leave(self.word()) {
            self.wake();
        }
    }

    #[cold]
    pub(crate) fn wake(&self) {
        Contender::wake(&self.site, self.bed, self.word());
    }

    pub(crate) fn settle(memory: NonNull<u8>, slot: u32) {
        // SAFETY: as in `word`.
        owner::settle(unsafe { memory.cast::<AtomicU32>().as_ref() }, slot);
    }
}

/// The default lock. Reading copies the last committed value without a store and without waiting,
/// however many read and write; writers take turns.
///
/// A read guard is exclusive: for long zero-copy reads by many, use [`super::RwLock`].
#[derive(Debug)]
pub struct SeqLock {
    ownership: Ownership,
}

// SAFETY: the owner word is taken by compare-and-swap from 0 with acquire and given back with
// release, so one participant holds it at a time; within a process, all threads use the same word.
unsafe impl CortexSync for SeqLock {
    type Settings = ();
    const NAME: &'static str = "seqlock";
    const SHARED_SIZE: usize = Ownership::SHARED_SIZE;
    const RELEASE_IS_FENCE: bool = true;
    const OPTIMISTIC_READS: bool = true;

    fn new(site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
        Self::attach(site)
    }

    fn attach(site: LockSite<'_>) -> CortexResult<Self> {
        Ok(Self {
            ownership: Ownership::new(&site, Bed::Word),
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

    fn settle(memory: NonNull<u8>, slot: u32) {
        Ownership::settle(memory, slot);
    }
}
