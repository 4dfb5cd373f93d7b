//! Back-pressure, where the creator has asked for it: writers that wait for followers, and followers that register.
//!
//! `protocol/room` decides for which commit there is room. Here are a writer's wait, for which it gives the lock back, so
//! that it holds up no other process than those who write, and the registration of a follower in its participant line.
//!
//! **Invariant.** A write to a lossless cortex looks at the followers ([`Segment::make_room`]) before each commit after
//! the last one for which there was room when its process looked last
//! ([`Watch::look_after`](crate::attachment::loss::Watch::look_after)). Both are under the lock. What does not look
//! (fast paths, a guard that publishes) is for other cortexes.

use super::follow::SegmentFollower;
use super::handle::Segment;
use super::observer::SegmentObserver;
use crate::attachment::following::Registration;
use crate::attachment::patience::{Limit, Wait, Waiting, SLICE};
use crate::error::{busy, Cause, CortexResult, Told, WAITING_FOR_ROOM};
use crate::locks::CortexSync;
use crate::protocol::commit::Begun;
use crate::protocol::participants::Id;
use crate::protocol::room;
use crate::sys::futex;

/// The error of a registration where no writer would wait.
const NOT_LOSSLESS: Cause = Cause::Unsupported(
    "its writers wait for no follower. It must be created with `lossless`; without it, `follow` tells what was missed",
);

/// The error of a second registration.
const FOLLOWS_ALREADY: Cause = Cause::Busy(busy::FOLLOWS_ALREADY);

impl<L: CortexSync> Segment<L> {
    /// Returns whether writers wait for the followers that registered
    /// ([`SegmentOptions::lossless`](crate::SegmentOptions::lossless)).
    pub fn is_lossless(&self) -> bool {
        self.slots.is_lossless()
    }

    /// Returns a follower that writers wait for, in a cortex that was created
    /// [`lossless`](crate::SegmentOptions::lossless): it misses no commit that is made after this call.
    ///
    /// Of the commits after `since` that are made already, it reads those that are still kept, and counts the others as
    /// missed, as every follower does ([`Segment::follow`]). What it has read is free to be overwritten as soon as the
    /// call that reads it returns.
    ///
    /// One follower can be registered through a handle at a time. It is until it is dropped, or its process ends; a clone
    /// of it is not registered, and neither is it in a forked child. A thread that itself writes more than there is room
    /// for, and does not read, waits until its time-out.
    ///
    /// ```
    /// use neocortex::{CortexError, CortexBuilder};
    /// use std::time::Duration;
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// let jobs = CortexBuilder::new(0_u32).random_key().slots(2).lossless().create()?;
    /// let mut worker = jobs.follow_registered(jobs.version())?;
    /// jobs.write(1)?;
    /// jobs.write(2)?;
    /// let full = jobs.write_for(3, Duration::ZERO);
    /// assert!(matches!(full, Err(CortexError::Timeout { .. })));
    /// assert_eq!(worker.next(None)?.value, 1);
    /// jobs.write(3)?;
    /// assert_eq!((worker.next(None)?.value, worker.next(None)?.missed), (2, 0));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Unsupported` where the cortex is not lossless; `Busy` where a follower is registered through this handle; `Full`,
    /// in a forked child that finds no participant slot.
    pub fn follow_registered(&self, since: u64) -> CortexResult<SegmentFollower<'_>> {
        let id = self.register(since)?;
        let registration = Registration::new(&self.attachment, id);
        let mut follower = self.follow(since).waited_for();
        follower.registration = Some(registration);
        Ok(follower)
    }

    /// Registers this process as a follower that has read all up to `since`.
    ///
    /// # Errors
    /// As [`Segment::follow_registered`].
    pub(crate) fn register(&self, since: u64) -> CortexResult<Id> {
        if !self.slots.is_lossless() {
            return Err(NOT_LOSSLESS.on(self.key()));
        }
        let id = self.attachment.me().on(self.key())?;
        let line = self.attachment.line(id.slot().unwrap_or(0));
        // What is overwritten already is no reason to wait.
        let position = since.max(self.kept_since());
        let registered = room::register(line, self.slots.ledger(), id.generation(), position);
        match registered {
            Some(_) => Ok(id),
            None => Err(FOLLOWS_ALREADY.on(self.key())),
        }
    }

    /// Ends the registration of this process, if there is one.
    #[cfg(feature = "capi")]
    pub(crate) fn unregister(&self) {
        if let Some(slot) = self.attachment.claimed().and_then(Id::slot) {
            self.attachment.end_following(slot);
        }
    }

    /// Waits until no follower that registered needs what the next write overwrites, for a caller that has the lock for
    /// writing. Returns that write, and the last commit for which there is room. The lock is free while it waits, and
    /// taken again afterwards; on an error it is free.
    #[cold]
    pub(super) fn make_room(&self, limit: Limit) -> CortexResult<(Begun, u64)> {
        let ledger = self.slots.ledger();
        let mut wait = None;
        loop {
            let next = ledger.next();
            let last = self.attachment.last_with_room();
            if last != next.commit.wrapping_sub(1) {
                return Ok((next, last));
            }
            self.release_write()?;
            let wait = *wait.get_or_insert_with(|| self.wait(limit));
            self.await_room(wait)?;
            // SAFETY: the caller releases it, on this thread, as the lock that it had taken.
            unsafe { self.lock.write_lock(wait) }?;
        }
    }

    fn await_room(&self, wait: Wait) -> CortexResult<()> {
        let attachment = &self.attachment;
        let _call = attachment.interrupts.begin();
        let waiting = Waiting::new(&attachment.interrupts, wait, WAITING_FOR_ROOM);
        let look = || {
            if attachment.last_with_room() != self.version() {
                return Some(Ok(()));
            }
            if self.is_removed() {
                return Some(Err(Cause::Removed));
            }
            waiting.check().err().map(Err)
        };
        room::wait(self.slots.signal(), look, |word, value| {
            // In slices: a follower may be killed before it says that it has read, or wakes. The next look returns the error,
            // unless there is room.
            let _ = waiting.woken(futex::wait(word, value, waiting.nap(SLICE)));
        })
        .on(self.key())
    }
}

impl SegmentObserver {
    /// Returns whether writers wait for followers that registered; an observer cannot be one of them.
    pub fn is_lossless(&self) -> bool {
        self.mapped.slots.is_lossless()
    }
}
