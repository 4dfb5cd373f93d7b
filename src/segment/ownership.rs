//! Which handle removes the segment when it is dropped: [`crate::protocol::ownership`] applied to a handle and the
//! kernel.

use super::find::{CREATOR_BUSY, PAUSE};
use super::handle::Segment;
use super::removal::check_right_to_own;
use crate::attachment::patience::{Wait, Waiting};
use crate::error::{busy, Cause, CortexResult, Told};
use crate::locks::CortexSync;
use crate::protocol::atomics::{AtomicU32, Ordering};
use crate::protocol::of_process::OfProcess;
use crate::protocol::ownership;
use crate::protocol::participants::Id;
use crate::sys::{fork, futex};

impl<L: CortexSync> Segment<L> {
    /// Returns whether dropping this handle, in this process, removes the segment. There is at most one such handle: a
    /// handle that adopts the segment becomes its owner, and the former owner is not one from then on.
    pub fn is_owner(&self) -> bool {
        self.owning().is_some()
    }

    /// Makes the segment stay when this handle is dropped. It does nothing where the handle is not the owner.
    ///
    /// Logs a warning where the kernel removes a segment with its last attachment all the same
    /// (`kernel.shm_rmid_forced`).
    pub fn persist(&self) {
        super::vanishing::warn_where_it_vanishes(Some(self.key()), true);
        if let Some(me) = self.owning() {
            ownership::persist(self.owner_word(), me);
        }
    }

    /// Makes this handle, in this process, the one that removes the segment when it is dropped, whichever handle was
    /// the owner before. It is for a child that goes on where its parent ends (`daemon(3)`), and for a process that
    /// takes over from one that is about to end; [`super::SegmentOptions::force_ownership`] does the same while
    /// attaching.
    ///
    /// # Errors
    /// `CleanSystem` (`EPERM`) where this user may not remove the segment; `Removed` where it was; `Busy` where the
    /// owner is about to remove it, and has not within the time-out; `Interrupted` while it waits for that; in a forked
    /// child also `Full`, because the child takes a participant slot.
    pub fn take_ownership(&self) -> CortexResult<()> {
        self.own().on(self.key())
    }

    /// [`Segment::take_ownership`].
    pub(super) fn own(&self) -> Result<(), Cause> {
        check_right_to_own(&self.attachment.mapped.mapping)?;
        let me = self.attachment.me()?;
        let _call = self.attachment.interrupts.begin();
        let patience = self.timeout().unwrap_or(CREATOR_BUSY).min(CREATOR_BUSY);
        let waiting = Waiting::new(
            &self.attachment.interrupts,
            Wait::lasting(Some(patience)),
            "taking ownership",
        );
        while !ownership::take(self.owner_word(), me, |id| self.attachment.is_alive(id))? {
            if self.is_removed() {
                break;
            }
            waiting.check().map_err(|cause| match cause {
                Cause::Timeout(_) => Cause::Busy(busy::OWNER_REMOVES),
                interrupted => interrupted,
            })?;
            waiting.woken(futex::sleep(waiting.nap(PAUSE)))?;
        }
        if self.is_removed() {
            return Err(Cause::Removed);
        }
        self.owner
            .store(OfProcess::new(fork::epoch(), 1), Ordering::Relaxed);
        Ok(())
    }

    /// Makes the handle the owner of the segment that it has just made, before or after any other process can see it.
    pub(super) fn own_new(&self) {
        if let Some(me) = self.attachment.claimed() {
            // No process is removing it; if a peer has stored that one is, the segment stays.
            let _ = ownership::take(self.owner_word(), me, |_| Ok(true));
            self.owner
                .store(OfProcess::new(fork::epoch(), 1), Ordering::Relaxed);
        }
    }

    /// Tells the lock that the handle is the owner, once.
    pub(super) fn tell_lock(&mut self) {
        if !self.is_lock_told {
            self.is_lock_told = true;
            self.lock.force_ownership();
        }
    }

    /// Returns whether this handle, which is being closed, is the one to remove the segment; from then on no other
    /// handle is.
    pub(super) fn begin_removal(&self) -> bool {
        self.owning()
            .is_some_and(|me| ownership::begin_removal(self.owner_word(), me))
    }

    /// Returns the id under which this handle owns the segment. A handle that never took ownership removes nothing,
    /// whatever a peer has stored in the word.
    fn owning(&self) -> Option<Id> {
        let is_mine = self.owner.count(fork::epoch(), Ordering::Relaxed) == 1;
        self.attachment
            .claimed()
            .filter(|&me| is_mine && ownership::is_owner(self.owner_word(), me))
    }

    fn owner_word(&self) -> &AtomicU32 {
        &self.attachment.mapped.header().owner
    }
}
