//! One process in one segment: the mapping, and the participant that this process is there.
//!
//! An [`Attachment`] owns the mapping ([`MappedSegment`]) and, in the process that claimed it, a participant slot. It
//! is what a lock is built on ([`crate::locks::site`]) and outlives it.
//!
//! **Fork.** The mapping is inherited, the slot is not: `me` is tagged with the epoch of the process
//! that claimed it, so that the first use in a child claims the child's own. There is no mutex here,
//! for a child could inherit it locked.
//!
//! **Invariant.** What is process-local (holder, interrupts) is never in the segment.

pub(crate) mod companion;
pub(crate) mod following;
mod living;
pub(crate) mod loss;
pub(crate) mod mapped_segment;
pub(crate) mod own_handles;
pub(crate) mod patience;
pub(crate) mod slots;
pub(crate) mod thread_guards;
pub(crate) mod thread_of_process;
mod waiters;

use crate::attachment::loss::Watch;
use crate::error::{Attempt, Cause, Leftover};
use crate::protocol::beacons::{self, BeaconValues, Beacons};
use crate::protocol::claimed_slot::ClaimedSlot;
use crate::protocol::format;
use crate::protocol::interrupts::Interrupts;
use crate::protocol::participants::{self, Id, ParticipantLine};
use crate::sys::sem::Set;
use crate::sys::shm::{self, Mapped};
use crate::sys::{errno, fork, futex, thread};
use mapped_segment::MappedSegment;
use own_handles::{OwnHandle, SegmentName};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;
use thread_guards::AttachmentId;

/// Settles what a dead tenant of a slot left in the lock area, before the slot has a new tenant.
/// What it requires is described at [`crate::CortexSync::settle`].
pub(crate) type Settle = unsafe fn(NonNull<u8>, u32);

/// One process's attachment with a participant slot of its own.
pub(crate) struct Attachment {
    pub(crate) mapped: MappedSegment,
    pub(crate) beacons: Beacons,
    settle: Settle,
    /// Whether the lock area begins with an owner word, as that of each built-in lock does.
    has_owner_word: bool,
    /// Which attachment of this process it is; never used twice.
    pub(crate) number: u64,
    me: ClaimedSlot,
    /// The word with the epoch of this process: 0 in a forked child that has not asked for its own.
    epoch: &'static AtomicU32,
    /// What this process's threads hold through it.
    pub(crate) own: OwnHandle,
    /// When writers are to ask whether the segment is still there. Beside what each write stores in any case.
    pub(crate) watch: Watch,
    /// Shared with a C handle, which outlives the attachment.
    pub(crate) interrupts: Arc<Interrupts>,
    /// Whether the log has a warning that this process may no longer ask whether others live.
    is_said_not_permitted: AtomicBool,
}

impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attachment")
            .field("key", &self.mapped.key)
            .finish_non_exhaustive()
    }
}

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// How often a forked child that finds no free slot looks again, a millisecond apart: another of its threads may
/// just have got the last one.
const CLAIM_RETRIES: u32 = 100;

impl Attachment {
    /// Takes over the mapping and claims a slot in it. `lit` says which slots were taken a moment ago, and
    /// `has_owner_word` whether the lock is a built-in one.
    pub(crate) fn join(
        mapped: MappedSegment,
        beacons: Beacons,
        lit: BeaconValues,
        settle: Settle,
        has_owner_word: bool,
    ) -> Result<Self, Cause> {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let attachment = Self {
            own: OwnHandle::register(SegmentName::of(&mapped), number),
            beacons,
            mapped,
            settle,
            has_owner_word,
            number,
            me: ClaimedSlot::new(),
            epoch: fork::epoch_word(),
            watch: Watch::new(),
            interrupts: Arc::new(Interrupts::new()),
            is_said_not_permitted: AtomicBool::new(false),
        };
        attachment.claim(Some(lit))?;
        Ok(attachment)
    }

    pub(crate) fn key(&self) -> i32 {
        self.mapped.key
    }

    #[inline]
    pub(crate) fn line(&self, slot: u32) -> &ParticipantLine {
        self.mapped.line(slot)
    }

    /// Returns the lock's own bytes.
    #[inline]
    pub(crate) fn lock_memory(&self) -> NonNull<u8> {
        // SAFETY: within the mapping: the layout has `lock_size` bytes there.
        unsafe { self.mapped.mapping.base().add(format::LOCK_OFFSET) }
    }

    /// This process's participant id, claimed anew in a forked child.
    #[inline]
    pub(crate) fn me(&self) -> Result<Id, Cause> {
        match self.claimed() {
            Some(id) => Ok(id),
            None => self.claim(None),
        }
    }

    /// Returns the id that this very process has claimed, if it has.
    #[inline]
    pub(crate) fn claimed(&self) -> Option<Id> {
        self.me.of(self.epoch.load(Ordering::Relaxed))
    }

    /// `lit` says which slots were taken a moment ago, where the caller has just asked.
    #[cold]
    fn claim(&self, mut lit: Option<BeaconValues>) -> Result<Id, Cause> {
        let epoch = fork::epoch();
        // The holder that was inherited: the parent's thread that held through this handle. No thread of this
        // process can hold before `me` names the process.
        let holder = self.own.holder.token(Ordering::Relaxed);
        let arrive = || {
            self.own.holder.replace(holder, 0, Ordering::Relaxed);
            self.own.holder.arrive(epoch);
        };
        let mut looks = CLAIM_RETRIES;
        let wait = |error: &Cause| {
            looks -= 1;
            let is_worth_it = looks > 0 && matches!(error, Cause::Full { .. });
            if is_worth_it {
                futex::sleep(Duration::from_millis(1));
            }
            is_worth_it
        };
        self.me.claim(
            epoch,
            || self.claim_slot(lit.take()),
            wait,
            arrive,
            |id| self.beacons.release(id.slot().unwrap_or(0)),
        )
    }

    fn claim_slot(&self, lit: Option<BeaconValues>) -> Result<Id, Cause> {
        if let Some(lit) = lit {
            if let Some(id) = self.claim_dark(&lit)? {
                return Ok(id);
            }
        }
        let limit = self.mapped.layout.shape.participants;
        self.claim_dark(&self.all()?)?.ok_or(Cause::Full { limit })
    }

    /// Claims the first slot that was free and still is.
    fn claim_dark(&self, lit: &[u16]) -> Result<Option<Id>, Cause> {
        // No slot beyond the layout, whatever the set has.
        let slots = 0..self.mapped.layout.shape.participants;
        let dark = slots.zip(lit).filter(|&(_, &lit)| lit == 0);
        for (slot, _) in dark {
            if !self.beacons.claim(slot)? {
                continue;
            }
            // SAFETY: the lock area of this segment, whose lock this is the `settle` of; the beacon has just
            // been claimed.
            let settle = || unsafe { (self.settle)(self.lock_memory(), slot) };
            let in_use = &self.mapped.header().in_use;
            let id = participants::move_in(slot, self.line(slot), in_use, settle);
            return Ok(Some(id));
        }
        Ok(None)
    }

    /// Returns whether the kernel's ids still name, for this thread, the objects that it is attached to.
    ///
    /// They do not once it has gone to another IPC namespace (`unshare(2)`, `setns(2)`). Each namespace counts its ids
    /// from 0, so there they may well name another cortex, whose set is as large and has the same way back.
    /// What no two have in common is the random key of the set.
    pub(crate) fn ids_are_ours(&self) -> bool {
        let MappedSegment { mapping, .. } = &self.mapped;
        let key = self.mapped.header().beacon_key();
        if Set::find(key).is_ok_and(|set| set == self.beacons.set()) {
            return true;
        }
        // The key was spoilt, or the set was removed alone: is it the same memory?
        self.mapped.is_this(mapping.id())
    }

    /// `Removed` where they do not: the set is as good as gone.
    pub(crate) fn check_ids(&self) -> Result<(), Cause> {
        match self.ids_are_ours() {
            true => Ok(()),
            false => Err(Cause::Removed),
        }
    }

    /// Returns whether the segment was removed from the kernel's tables without a mark in it. It makes a system
    /// call, until the loss is known.
    pub(crate) fn is_lost(&self) -> bool {
        self.watch.is_known() || self.watch.note(self.mapped.is_lost())
    }

    /// To be asked before a write for which [`Watch::is_due`] says so: whether the segment is known to be lost.
    #[cold]
    #[inline(never)]
    pub(crate) fn is_known_to_be_lost(&self, commit: u64) -> bool {
        self.watch.look(commit, || self.mapped.is_lost())
    }

    /// Returns the id under which this process's read guards here are noted.
    #[inline]
    pub(crate) fn id(&self) -> AttachmentId {
        AttachmentId::new(self.me.epoch(), self.number)
    }

    /// Returns whether this is the process of an id that [`Attachment::id`] gave.
    #[inline]
    pub(crate) fn is_here(&self, attachment_id: AttachmentId) -> bool {
        attachment_id.is_of(self.epoch.load(Ordering::Relaxed))
    }

    /// Returns the word with the epoch of this process.
    #[inline]
    pub(crate) fn epoch(&self) -> &'static AtomicU32 {
        self.epoch
    }

    /// Returns whether this thread holds the owner word through this handle. Only this thread stores its own
    /// token, and it clears it before it lets go.
    pub(crate) fn is_held_by_this_thread(&self) -> bool {
        self.claimed().is_some() && self.own.holder.token(Ordering::Relaxed) == thread::token()
    }

    /// Returns whether this thread holds a guard of this cortex, through any handle: it must then never wait for the
    /// lock.
    pub(crate) fn is_guarded_by_this_thread(&self) -> bool {
        own_handles::is_guarded_by_this_thread(self.own.segment())
    }

    /// Returns whether this thread holds a read guard of this cortex, through any handle.
    pub(crate) fn is_read_by_this_thread(&self) -> bool {
        own_handles::is_read_by_this_thread(self.own.segment())
    }

    /// Releases the slot, and removes the semaphore set if the segment is gone and no participant is left.
    ///
    /// In a forked child that claimed nothing there is nothing to release. In another IPC namespace there is nothing
    /// either, for the kernel took the beacon back on the way there.
    pub(crate) fn leave(&self) -> Result<(), Cause> {
        let slot = self.claimed().and_then(Id::slot);
        if (slot.is_some() || self.mapped.is_removed()) && !self.ids_are_ours() {
            self.me.leave();
            return Ok(());
        }
        if let Some(slot) = slot {
            self.end_following(slot);
            match self.beacons.release(slot) {
                Ok(()) | Err(Cause::Removed) => {}
                // Lit until this process ends: the last to leave will not find all beacons out.
                Err(error) if self.mapped.is_removed() => {
                    return Err(error.leaving(Leftover::Semaphores(self.beacons.set().id())));
                }
                Err(error) => return Err(error),
            }
            self.me.leave();
        }
        if self.mapped.is_removed() || self.is_lost() {
            remove_if_dark(&self.beacons)?;
        }
        Ok(())
    }

    /// Unmaps the segment, and returns the error that a drop can only log.
    pub(crate) fn detach(self) -> Result<(), Cause> {
        let id = self.mapped.mapping.id();
        self.mapped
            .mapping
            .detach()
            .attempt("detach from")
            .map_err(|cause| cause.leaving(Leftover::Attachment(id)))
    }
}

/// Removes the semaphore set of a removed segment once every beacon is out.
///
/// The last to leave sees all of them out, because each releases its own before it looks.
pub(crate) fn remove_if_dark(beacons: &Beacons) -> Result<(), Cause> {
    match beacons.all() {
        Ok(all) if all.iter().all(|&lit| lit == 0) => beacons::remove_set(beacons.set()),
        Ok(_) | Err(Cause::Removed) => Ok(()),
        Err(error) => Err(error.leaving(Leftover::Semaphores(beacons.set().id()))),
    }
}

/// Removes exactly this segment. It succeeds where the segment is gone already.
pub(crate) fn remove_segment(id: i32) -> Result<(), Cause> {
    match shm::remove(id) {
        Err(failure) if !errno::is_gone(failure.errno()) => Err(failure)
            .attempt("remove")
            .map_err(|cause| cause.leaving(Leftover::Segment(id))),
        _ => Ok(()),
    }
}
