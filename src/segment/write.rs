//! Writing. Every write is these steps, in this order, whatever the lock and the caller, because optimistic readers
//! and observers depend on the counters:
//!
//! 1. take the lock (`take`);
//! 2. refuse what must not be written ([`Segment::check_write`]);
//! 3. begin the commit, and bring its slot up to date ([`Segment::begin_commit`]);
//! 4. store the bytes into that slot;
//! 5. commit, release the lock, wake the waiters ([`Segment::end_write`]).
//!
//! [`Segment::write_with`] and [`Segment::update_with`] take these steps in one call, and so does `fast`, where the
//! lock is free. With a write guard, its user stores the bytes between 3 and 5. A guard that publishes commits and
//! begins anew without releasing the lock (`crate::protocol::signal::publish`).

use super::handle::{log_dropped_error, Segment};
use crate::attachment::patience::Limit;
use crate::attachment::slots::Lines;
use crate::copy;
use crate::error::{busy, CortexError, CortexResult};
use crate::locks::{Access, CortexSync};
use crate::protocol::commit::{Begun, LineRange};
use crate::protocol::participants::Id;
use crate::protocol::signal;
use crate::sys::futex;
use bytemuck::NoUninit;
use std::borrow::Borrow;

impl<L: CortexSync> Segment<L> {
    /// Replaces the bytes from `offset` on by `data`, in one commit. Its cost depends on how many bytes it changes.
    ///
    /// # Errors
    /// `InvalidArgument` where the range leaves the segment; `Timeout`, also where followers that registered leave no
    /// room ([`SegmentOptions::lossless`](crate::SegmentOptions::lossless)); `Interrupted`, `Busy`, `Poisoned`,
    /// `Removed`, and any error of the lock.
    #[inline]
    pub fn write_at(&self, offset: usize, data: &[u8]) -> CortexResult<()> {
        self.write_at_within(offset, data, Limit::Handle)
    }

    /// [`Segment::write_at`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Segment::write_at`].
    pub fn try_write_at(&self, offset: usize, data: &[u8]) -> CortexResult<()> {
        self.write_at_within(offset, data, Limit::Never)
    }

    #[inline]
    pub(crate) fn write_at_within(
        &self,
        offset: usize,
        data: &[u8],
        limit: Limit,
    ) -> CortexResult<()> {
        self.check_range(offset, data.len())?;
        // SAFETY: the range was checked.
        unsafe { self.store(offset, data.as_ptr(), data.len(), limit) }
    }

    /// # Safety
    /// The range is within the segment, and `data` is valid for `length` bytes.
    #[inline]
    pub(crate) unsafe fn store(
        &self,
        offset: usize,
        data: *const u8,
        length: usize,
        limit: Limit,
    ) -> CortexResult<()> {
        if length == 0 {
            return Ok(());
        }
        // SAFETY: the slot is valid for the checked range, and ours to write between begin and
        // commit; optimistic readers copy racily.
        let copy = |slot: *mut u8| unsafe { copy::store(data, slot.add(offset), length) };
        let is_whole = length == self.slots.size;
        let changed = if is_whole {
            LineRange::WHOLE
        } else {
            LineRange::covering(offset, length)
        };
        self.write_with(limit, is_whole, changed, copy)
    }

    /// Writes by `copy`, which is given the slot, and fills all of it if `is_whole`. Always inline, with all that calls it or
    /// is called where the lock is free: a call would take the value, and give the result, through memory, which is a
    /// tenth of the time of a small write.
    #[inline(always)]
    pub(crate) fn write_with(
        &self,
        limit: Limit,
        is_whole: bool,
        changed: LineRange,
        copy: impl FnOnce(*mut u8),
    ) -> CortexResult<()> {
        if self.take_write_at_once(&*self.lock).is_none() {
            return self.write_slow(limit, is_whole, changed, copy);
        }
        self.write_taken(limit, is_whole, changed, copy)
    }

    /// [`Segment::write_with`] where the lock is not free. It is a function of its own, because what it keeps until the
    /// call is over would cost the fast path two accesses to the stack.
    #[cold]
    #[inline(never)]
    fn write_slow(
        &self,
        limit: Limit,
        is_whole: bool,
        changed: LineRange,
        copy: impl FnOnce(*mut u8),
    ) -> CortexResult<()> {
        let limit = self.write_limit(limit);
        let _taken = self.take_slow(limit, Access::Write)?;
        self.write_taken(limit, is_whole, changed, copy)
    }

    /// The rest of [`Segment::write_with`], under the lock.
    #[inline(always)]
    fn write_taken(
        &self,
        limit: Limit,
        is_whole: bool,
        changed: LineRange,
        copy: impl FnOnce(*mut u8),
    ) -> CortexResult<()> {
        // A copy, so that the compiler need not load it again after stores by other processes, which it must expect.
        let lines = self.slots.lines();
        let begun = self.begin_write(lines, is_whole, limit)?;
        copy(self.slots.look_up(lines.ledger.slots, begun.commit));
        self.end_write(lines, &*self.lock, begun.commit, changed)
    }

    /// Takes steps 2 and 3. On an error it releases the lock.
    #[inline(always)]
    pub(super) fn begin_write(
        &self,
        lines: Lines<'_>,
        is_whole: bool,
        limit: Limit,
    ) -> CortexResult<Begun> {
        let next = self.check_write(lines, is_whole, limit)?;
        Ok(self.begin_commit(lines, next, is_whole))
    }

    /// Refuses to write over what a writer in place left half way, and where the segment is known to be lost; on an
    /// error it releases the lock. Returns which commit the write is to make.
    #[inline(always)]
    fn check_write(&self, lines: Lines<'_>, is_whole: bool, limit: Limit) -> CortexResult<Begun> {
        let ledger = lines.ledger;
        if !is_whole && ledger.slots == 1 && ledger.is_unfinished() {
            self.release_write()?;
            return Err(self.poisoned());
        }
        let next = ledger.next();
        match self.attachment.watch.is_due(next.commit) {
            true => self.look_before_write(next, limit),
            false => Ok(next),
        }
    }

    /// Begins the commit that [`Segment::check_write`] returned, and brings its slot up to date unless all of it will
    /// be written.
    #[inline(always)]
    pub(super) fn begin_commit(&self, lines: Lines<'_>, next: Begun, is_whole: bool) -> Begun {
        let begun = lines.ledger.begin_with(next);
        if !is_whole && lines.ledger.slots > 1 {
            self.catch_up(begun);
        }
        begun
    }

    /// Commits, releases this lock, which is the segment's own, and wakes the waiters for a commit. The commit is made
    /// whether or not the lock can be released, so they are woken in either case.
    #[inline(always)]
    pub(super) fn end_write(
        &self,
        lines: Lines<'_>,
        lock: &impl CortexSync,
        commit: u64,
        changed: LineRange,
    ) -> CortexResult<()> {
        lines.ledger.commit(commit, changed);
        // SAFETY: every caller has taken it for writing on this thread, and is done with the payload; its guard, if any,
        // is consumed.
        let released = unsafe { lock.release(Access::Write) };
        self.wake_waiters(lines);
        released
    }

    /// Asks whether there is room for this write in a lossless cortex, and waits for it; then, whether the segment is
    /// still there. [`Watch::is_due`](crate::attachment::loss::Watch::is_due) says that it is time to ask. Returns the
    /// write that is to begin, under the lock. On an error it releases the lock.
    #[cold]
    #[inline(never)]
    fn look_before_write(&self, mut next: Begun, limit: Limit) -> CortexResult<Begun> {
        let mut last = None;
        if self.slots.is_lossless() {
            let found = self.make_room(limit)?;
            next = found.0;
            last = Some(found.1);
        }
        if self.attachment.is_known_to_be_lost(next.commit) {
            self.release_write()?;
            return Err(CortexError::Removed { key: self.key() });
        }
        if let Some(last) = last {
            self.attachment.watch.look_after(last);
        }
        Ok(next)
    }

    /// Copies what the slot of this commit has missed from the slot of the last.
    #[inline]
    pub(super) fn catch_up(&self, begun: Begun) {
        let ledger = self.slots.ledger();
        let range = ledger.missed(begun).bytes(self.slots.size);
        let from = self.slots.of(begun.commit.wrapping_sub(1));
        let to = self.slots.of(begun.commit);
        // SAFETY: each slot is valid for `size` bytes, of which the range is a part (LineRange::bytes). They are two (the
        // layout has at least two), or one, where the counter goes past its end, which takes a hostile peer.
        unsafe { copy::transfer(from.add(range.start), to.add(range.start), range.len()) };
    }

    /// Releases the lock, for a caller that has taken it for writing on this thread and is done with the payload.
    #[inline]
    pub(super) fn release_write(&self) -> CortexResult<()> {
        // SAFETY: every caller has taken it (`take_write`), and its guard, if any, is consumed.
        unsafe { self.lock.release(Access::Write) }
    }

    /// Wakes the waiters for a commit, after the lock was released.
    #[inline(always)]
    pub(super) fn wake_waiters(&self, lines: Lines<'_>) {
        let line = lines.signal;
        let is_awaited = if L::RELEASE_IS_FENCE.0 {
            signal::is_awaited(line)
        } else {
            signal::is_awaited_after_store(line)
        };
        if is_awaited {
            self.wake_waiters_slow();
        }
    }

    #[cold]
    pub(super) fn wake_waiters_slow(&self) {
        let line = self.attachment.mapped.signal();
        if signal::announce(line) {
            futex::wake_all(&line.signal);
        }
    }

    /// Replaces the whole value by what `change` makes of the current one, under the write lock. If `change` fails or
    /// panics, the value is as before, in any layout. Where the lock's release fails, the change has been made.
    ///
    /// `change` returns the new value itself, or a box of it where it is large.
    pub(crate) fn update_with<T: NoUninit, V: Borrow<T>, R, E: From<CortexError>>(
        &self,
        limit: Limit,
        change: impl FnOnce(*const u8) -> Result<(V, R), E>,
    ) -> Result<R, E> {
        /// Releases the lock, on a panic too.
        struct Release<'a, L: CortexSync>(&'a Segment<L>, Id);
        impl<L: CortexSync> Drop for Release<'_, L> {
            fn drop(&mut self) {
                // A child forked within `change` holds nothing.
                if self.0.attachment.claimed() != Some(self.1) {
                    return;
                }
                if let Err(error) = self.0.release_write() {
                    log_dropped_error(self.0.key(), &error, "ending an update");
                }
            }
        }
        let limit = self.write_limit(limit);
        let taken = self.take_write(limit)?;
        let me = taken.me;
        let (slots, lines) = (&self.slots, self.slots.lines());
        let next = self.check_write(lines, false, limit)?;
        let release = Release(self, me);
        let (value, result) = change(slots.of(next.commit.wrapping_sub(1)))?;
        if self.attachment.claimed() != Some(me) {
            let detail = busy::PARENTS_UPDATE;
            return Err(CortexError::Busy {
                key: self.key(),
                detail,
            }
            .into());
        }
        std::mem::forget(release);
        // Nothing was begun until here, so that a failed `change` leaves no unfinished commit.
        let begun = self.begin_commit(lines, next, true);
        let bytes = bytemuck::bytes_of(value.borrow());
        // SAFETY: the slot is valid for `size` bytes and ours between begin and commit.
        unsafe {
            let slot = slots.of(begun.commit);
            copy::store(bytes.as_ptr(), slot, bytes.len().min(slots.size));
        }
        self.end_write(lines, &*self.lock, begun.commit, LineRange::WHOLE)?;
        Ok(result)
    }

    /// Declares an unfinished write in place finished, with the bytes that are there. It does nothing in the other
    /// layouts.
    ///
    /// # Errors
    /// The errors of taking the lock for writing.
    pub fn clear_poison(&self) -> CortexResult<()> {
        let _taken = self.take_write(Limit::Handle)?;
        if self.slots.count == 1 && self.slots.ledger().is_unfinished() {
            self.slots.ledger().mark_finished();
        }
        let released = self.release_write();
        self.wake_waiters(self.slots.lines());
        released
    }
}
