//! Every commit in order, or the number of those that were missed.
//!
//! A follower stores nothing in the segment and takes no lock, so a slow one never holds up a writer: it is overtaken,
//! and is told so. `protocol/follow` decides which commit is read next. Here are the copies, the waits, and what a
//! follower does that is overtaken again and again: through a [`Segment`] the same as a read, which asks publishers to
//! pause and tries the lock; through a [`SegmentObserver`], which can do neither, it tries again until its time is over.

use super::contents::{out_of_range, HOLDS_RECORDS};
use super::followed::{Batch, Followed};
use super::handle::Segment;
use super::observer::SegmentObserver;
use super::source::{Backing, Source};
use crate::attachment::following::Registration;
use crate::attachment::patience::Wait;
use crate::attachment::slots::Slots;
use crate::copy;
use crate::error::{Cause, CortexError, CortexResult, WAITING_FOR_CHANGE};
use crate::locks::CortexSync;
use crate::protocol::follow::{kept_since, Commits, Found, Place};
use std::time::Duration;

/// Reads the commits of a segment in order, each of them once, or tells how many it missed.
///
/// Made by [`Segment::follow`] and [`SegmentObserver::follow`]. For a cortex of a type there is
/// [`Follower`](crate::Follower).
///
/// ```
/// use neocortex::{Segment, SegmentOptions, SeqLock};
///
/// # fn main() -> neocortex::CortexResult<()> {
/// # let key = Segment::<SeqLock>::create_random(8)?.key();
/// let log: Segment = SegmentOptions::new().slots(64).create(key, 8)?;
/// for event in [b"started.", b"running.", b"stopped."] {
///     log.write_at(0, event)?;
/// }
/// let mut follower = log.follow(0);
/// let mut event = [0; 8];
/// let first = follower.next(&mut event, None)?;
/// assert_eq!((&event, first.version, first.missed), (b"started.", 1, 0));
/// let mut rest = [0; 8 * 10];
/// let batch = follower.next_many(&mut rest)?;
/// assert_eq!((batch.count, &rest[..16]), (2, &b"running.stopped."[..]));
/// assert_eq!(follower.position(), log.version());
/// # Ok(()) }
/// ```
pub struct SegmentFollower<'a> {
    source: &'a dyn Source,
    pub(crate) slots: Slots,
    place: Place,
    /// Writers wait for it as long as this is there.
    pub(super) registration: Option<Registration<'a>>,
}

impl Clone for SegmentFollower<'_> {
    /// Returns a second follower at the same position, which is not registered.
    fn clone(&self) -> Self {
        Self {
            place: self.place.clone().waited_for(false),
            registration: None,
            ..*self
        }
    }
}

impl std::fmt::Debug for SegmentFollower<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentFollower")
            .field("key", &self.key())
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

impl<L: CortexSync> Segment<L> {
    /// Returns a follower that reads the commits after this position, in order.
    ///
    /// A position is a number: that of the last commit which need not be read. [`Segment::version`] is the position of
    /// a follower that reads what is committed from now on, [`Segment::kept_since`] of one that begins with the oldest
    /// commit that is kept. A program may store [`SegmentFollower::position`] and go on from there when it is started
    /// again.
    ///
    /// As many commits are kept as there are slots ([`SegmentOptions::slots`](crate::SegmentOptions::slots)), one less
    /// while a writer is at work. A follower that is later than that misses some, and is told how many. The initial
    /// value is no commit: [`Segment::read_at`] reads it.
    pub fn follow(&self, since: u64) -> SegmentFollower<'_> {
        SegmentFollower::new(self, self.slots, since)
    }

    /// Returns the position from which a follower reads the oldest commit that is kept now.
    pub fn kept_since(&self) -> u64 {
        kept_since(self.slots.ledger())
    }
}

impl SegmentObserver {
    /// Returns a follower that reads the commits after this position: see [`Segment::follow`].
    ///
    /// It needs read permission only. It cannot ask a publisher to pause, so with few slots and large values one that
    /// never pauses may keep it from reading anything.
    pub fn follow(&self, since: u64) -> SegmentFollower<'_> {
        SegmentFollower::new(self, self.mapped.slots, since)
    }

    /// Returns the position from which a follower reads the oldest commit that is kept now.
    pub fn kept_since(&self) -> u64 {
        kept_since(self.mapped.ledger())
    }
}

impl<'a> SegmentFollower<'a> {
    fn new(source: &'a dyn Source, slots: Slots, since: u64) -> Self {
        Self {
            source,
            slots,
            place: Place::after(since),
            registration: None,
        }
    }

    /// Returns the bytes of the longest record, or of the value.
    pub(crate) fn size(&self) -> usize {
        self.source.size()
    }

    /// Lets writers overwrite what has been read, where they wait for it.
    #[inline]
    pub(crate) fn acknowledge(&self) {
        if let Some(registration) = &self.registration {
            registration.acknowledge(self.place.passed());
        }
    }

    /// Returns the number of the last commit that was read; before the first, what [`Segment::follow`] was given. It may
    /// be stored, and a new follower goes on from there.
    pub fn position(&self) -> u64 {
        self.place.seen()
    }

    /// Waits for the next commit and copies it into `buffer`: its first bytes, as many as the buffer has room for.
    ///
    /// # Errors
    /// `Timeout` after `timeout` (`None` waits for ever), also where writers overtook every copy until then; `Removed`
    /// where the segment was removed and every commit that is kept has been read; `InvalidArgument` where the buffer is
    /// larger than the segment, and where the position is after the version, so that it is none of this segment;
    /// `Interrupted`; `Busy` where this thread holds a guard, so that no commit can come; `Poisoned` in place. The
    /// follower's position is then as before.
    pub fn next(
        &mut self,
        buffer: &mut [u8],
        timeout: Option<Duration>,
    ) -> CortexResult<Followed<()>> {
        let copy = self.copier(buffer)?;
        let found = self.next_within(timeout, 1, copy)?.only();
        self.acknowledge();
        Ok(found)
    }

    /// [`SegmentFollower::next`] that does not wait: `None` where there is no new commit.
    ///
    /// # Errors
    /// As [`SegmentFollower::next`]. `Timeout` where writers overtook many copies.
    pub fn try_next(&mut self, buffer: &mut [u8]) -> CortexResult<Option<Followed<()>>> {
        let copy = self.copier(buffer)?;
        let commits = self.next_now(Wait::Never, 1, copy)?;
        self.acknowledge();
        Ok(commits.map(Commits::only))
    }

    /// Copies the next commits into `buffer`, one after the other, each as long as the segment: as many as there are now
    /// and fit whole. It does not wait: see [`SegmentFollower::wait`].
    ///
    /// It looks at the segment's counters once for all of them, so for small values it is several times as fast as
    /// [`SegmentFollower::next`].
    ///
    /// # Errors
    /// As [`SegmentFollower::try_next`]; `InvalidArgument` where the buffer is smaller than the segment.
    pub fn next_many(&mut self, buffer: &mut [u8]) -> CortexResult<Batch> {
        let room = self.room_in(buffer.len());
        // SAFETY: so many values fit into the buffer, which is exclusively ours.
        let batch = unsafe { self.next_many_within(None, buffer.as_mut_ptr(), room) }?;
        self.acknowledge();
        Ok(batch)
    }

    /// Waits until there is a commit to read. It may be overwritten before it is read, if writers are that fast; a newer
    /// one is then there.
    ///
    /// # Errors
    /// `Timeout`, `Removed`, `Interrupted`, `Busy`, as [`Segment::wait_changed`].
    pub fn wait(&self, timeout: Option<Duration>) -> CortexResult<()> {
        if self.place.knows_more() {
            return Ok(());
        }
        let since = self.place.passed();
        self.source.wait_changed(since, timeout).map(drop)
    }

    /// Returns how many values fit into so many bytes; none where the slots hold records.
    pub(crate) fn room_in(&self, length: usize) -> usize {
        length.checked_div(self.slots.size).unwrap_or(0)
    }

    /// Copies up to `room` commits one after the other to a place. `wait` is how long to wait for the first; with `None`
    /// none is waited for.
    ///
    /// # Safety
    /// The place is valid for writing `room` times the segment's size.
    pub(crate) unsafe fn next_many_within(
        &mut self,
        wait: Option<Wait>,
        place: *mut u8,
        room: usize,
    ) -> CortexResult<Batch> {
        let (slots, size) = (self.slots, self.slots.size);
        if room == 0 {
            let detail = format!("the buffer has no room for one value of {size} bytes");
            let cause = match self.slots.has_records() {
                false => Cause::invalid(detail),
                true => HOLDS_RECORDS,
            };
            return Err(cause.on(self.key()));
        }
        // SAFETY: `read` asks for no more commits than there are slots, nor than `room`, for which the caller vouches.
        let copy = |first, count| unsafe { slots.load_many(first, count, place) };
        let limit = room as u64;
        match wait {
            None => {
                Ok((self.next_now(Wait::Never, limit, copy)?)
                    .map_or(Batch::default(), Commits::batch))
            }
            Some(wait) => self.next_until(wait, limit, copy).map(Commits::batch),
        }
    }

    /// Returns a function that copies the first bytes of a commit.
    fn copier<'b>(&self, buffer: &'b mut [u8]) -> CortexResult<impl Fn(u64, u64) + Copy + 'b> {
        let (slots, length) = (self.slots, buffer.len());
        if length > slots.size {
            return Err(out_of_range(&slots, 0, length).on(self.key()));
        }
        let start = buffer.as_mut_ptr();
        // SAFETY: the length was checked, and the buffer is borrowed for as long as this function lives.
        Ok(move |first, _| unsafe { copy::load(slots.of_any(first), start, length) })
    }

    /// Makes one attempt at the next commit, by `copy`. `None` where that did not read one.
    #[inline(always)]
    pub(crate) fn read_once<R>(&mut self, copy: impl FnOnce(u64, u64) -> R) -> Option<Followed<R>> {
        match self.place.read(self.slots.ledger(), 1, copy) {
            Found::Commits(commits) => Some(commits.only()),
            _ => None,
        }
    }

    /// Reads the next commits, up to `limit`, by `copy`, which is given the first and their count. It waits until there
    /// is one.
    #[inline]
    pub(crate) fn next_within<R>(
        &mut self,
        timeout: Option<Duration>,
        limit: u64,
        copy: impl Fn(u64, u64) -> R + Copy,
    ) -> CortexResult<Commits<R>> {
        // The clock is read only where that does not succeed at once.
        match self.place.read(self.slots.ledger(), limit, copy) {
            Found::Commits(commits) => Ok(commits),
            _ => self.next_until(Wait::lasting(timeout), limit, copy),
        }
    }

    /// [`SegmentFollower::next_within`] from its second attempt on.
    #[cold]
    fn next_until<R>(
        &mut self,
        wait: Wait,
        limit: u64,
        copy: impl Fn(u64, u64) -> R + Copy,
    ) -> CortexResult<Commits<R>> {
        loop {
            if let Some(commits) = self.next_now(wait, limit, copy)? {
                return Ok(commits);
            }
            let since = self.place.passed();
            self.source.wait_changed(since, wait.left())?;
            // Only where a peer changes the version back and forth can there be nothing.
            if wait.left() == Some(Duration::ZERO) {
                let last = self.next_now(Wait::Never, limit, copy)?;
                return last.ok_or_else(|| Cause::Timeout(WAITING_FOR_CHANGE).on(self.key()));
            }
        }
    }

    /// Reads the next commits, if there are any now. `wait` is how long it may take where writers overtake the copies.
    #[inline]
    pub(crate) fn next_now<R>(
        &mut self,
        wait: Wait,
        limit: u64,
        copy: impl Fn(u64, u64) -> R + Copy,
    ) -> CortexResult<Option<Commits<R>>> {
        match self.place.read(self.slots.ledger(), limit, copy) {
            Found::Commits(commits) => Ok(Some(commits)),
            Found::Nothing => Ok(None),
            Found::Overtaken => self.next_overtaken(wait, limit, copy),
            Found::Behind(version) => Err(self.ahead_of(version)),
        }
    }

    /// [`SegmentFollower::next_now`] where writers have overtaken the first copy.
    #[cold]
    fn next_overtaken<R>(
        &mut self,
        wait: Wait,
        limit: u64,
        copy: impl Fn(u64, u64) -> R + Copy,
    ) -> CortexResult<Option<Commits<R>>> {
        let (slots, source) = (self.slots, self.source);
        let mut found = Found::Overtaken;
        source.insist(wait, &mut || {
            found = self.place.read(slots.ledger(), limit, copy);
            !matches!(found, Found::Overtaken)
        })?;
        match found {
            Found::Commits(commits) => Ok(Some(commits)),
            Found::Behind(version) => Err(self.ahead_of(version)),
            _ => Ok(None),
        }
    }

    /// Moves the position back to one that it had, where the caller could not use all that it has read. The commits
    /// from there to `passed` count as missed.
    pub(crate) fn go_to(&mut self, position: u64, passed: u64) {
        self.place.go_to(position, passed);
    }

    /// Returns the last commit that is not read any more.
    pub(crate) fn passed(&self) -> u64 {
        self.place.passed()
    }

    pub(crate) fn key(&self) -> i32 {
        self.source.key()
    }

    /// Has it skip no commit that writers keep for it, where they wait for it.
    pub(crate) fn waited_for(mut self) -> Self {
        self.place = self.place.waited_for(true);
        self
    }

    pub(crate) fn backing(&self) -> Backing<'a> {
        self.source.backing()
    }

    #[cold]
    fn ahead_of(&self, version: u64) -> CortexError {
        let position = self.place.passed();
        let detail = format!(
            "position {position} is ahead of version {version}, so it is one of another cortex, which had this key before. Begin with the oldest commit that is kept, or with the next one"
        );
        Cause::invalid(detail).on(self.key())
    }
}
