//! Writing: whatever takes the lock's write access follows the commit protocol here, whatever the lock, because
//! optimistic readers and observers depend on the counters.

use super::{Limit, Segment};
use crate::commit::{Begun, Lines};
use crate::copy;
use crate::error::{CortexError, CortexResult};
use crate::participants::Id;
use crate::signal;
use crate::sync::{Access, CortexSync};
use crate::sys::address;
use bytemuck::NoUninit;

impl<L: CortexSync> Segment<L> {
    /// Replaces the bytes from `offset` on by `data`, in one commit. Costs what it changes.
    ///
    /// # Errors
    /// `InvalidArgument` where the range leaves the segment; `Timeout`, `Interrupted`, `Busy`,
    /// `Poisoned`, `Removed`, and whatever the lock fails with.
    #[inline]
    pub fn write_at(&self, offset: usize, data: &[u8]) -> CortexResult<()> {
        self.check_range(offset, data.len())?;
        // SAFETY: the range was checked.
        unsafe { self.store(offset, data.as_ptr(), data.len(), Limit::Handle) }
    }

    /// [`Segment::write_at`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Segment::write_at`].
    pub fn try_write_at(&self, offset: usize, data: &[u8]) -> CortexResult<()> {
        self.check_range(offset, data.len())?;
        // SAFETY: the range was checked.
        unsafe { self.store(offset, data.as_ptr(), data.len(), Limit::Never) }
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
            Lines::WHOLE
        } else {
            Lines::covering(offset, length)
        };
        self.write_with(limit, is_whole, changed, copy)
    }

    /// Writes by `copy`, which is given the slot: all of it, if `is_whole`.
    #[inline]
    pub(crate) fn write_with(
        &self,
        limit: Limit,
        is_whole: bool,
        changed: Lines,
        copy: impl FnOnce(*mut u8),
    ) -> CortexResult<()> {
        self.take_write(limit)?;
        let begun = self.begin_write(is_whole)?;
        copy(self.slots.look_up(self.slots.count, begun.commit));
        self.slots.ledger().commit(begun.commit, changed);
        self.release_write()?;
        self.wake_waiters();
        Ok(())
    }

    /// Begins a commit under the write lock, and brings its slot up to date unless all of it will be
    /// written. On an error the lock is released.
    #[inline]
    pub(super) fn begin_write(&self, is_whole: bool) -> CortexResult<Begun> {
        let ledger = self.slots.ledger();
        if !is_whole && self.slots.count == 1 && ledger.is_unfinished() {
            self.lock.release(Access::Write)?;
            return Err(self.poisoned());
        }
        let begun = ledger.begin();
        if !is_whole && self.slots.count > 1 {
            self.catch_up(begun);
        }
        Ok(begun)
    }

    /// Copies what the slot of this commit has missed from the slot of the last.
    pub(super) fn catch_up(&self, begun: Begun) {
        let ledger = self.slots.ledger();
        let range = ledger.missed(begun).bytes(self.slots.size);
        let from = self.slots.of(begun.commit.wrapping_sub(1));
        let to = self.slots.of(begun.commit);
        // SAFETY: two different slots (the layout has at least two), each valid for `size` bytes,
        // of which the range is a part (Lines::bytes).
        unsafe { copy::transfer(from.add(range.start), to.add(range.start), range.len()) };
    }

    #[inline]
    pub(super) fn release_write(&self) -> CortexResult<()> {
        self.lock.release(Access::Write)
    }

    /// Wakes those who wait for a commit, after the lock was released.
    #[inline]
    pub(super) fn wake_waiters(&self) {
        let line = self.slots.signal();
        let is_awaited = if L::RELEASE_IS_FENCE {
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
        let line = self.site.view.signal();
        if signal::announce(line) {
            address::wake_all(&line.signal);
        }
    }

    /// Replaces the whole value by what `change` makes of the current one, under the write lock. If
    /// `change` fails or panics, nothing has happened, in any layout.
    pub(crate) fn update_with<T: NoUninit, R>(
        &self,
        change: impl FnOnce(*const u8) -> CortexResult<(T, R)>,
    ) -> CortexResult<R> {
        /// Releases what was taken, on a panic too.
        struct Release<'a, L: CortexSync>(&'a Segment<L>, Id);
        impl<L: CortexSync> Drop for Release<'_, L> {
            fn drop(&mut self) {
                // A child forked within `change` holds nothing.
                if self.0.site.claimed() != Some(self.1) {
                    return;
                }
                if let Err(error) = self.0.release_write() {
                    tracing::error!(key = self.0.key(), %error, "ending an update");
                }
            }
        }
        let me = self.take_write(Limit::Handle)?;
        let release = Release(self, me);
        let ledger = self.slots.ledger();
        if self.slots.count == 1 && ledger.is_unfinished() {
            return Err(self.poisoned());
        }
        let (value, result) = change(self.slots.of(ledger.committed()))?;
        if self.site.claimed() != Some(me) {
            let detail = "the update began before the fork and belongs to the parent";
            return Err(CortexError::Busy {
                key: self.key(),
                detail,
            });
        }
        // Nothing was begun until here, so that a failed `change` leaves no unfinished commit.
        let begun = ledger.begin();
        let bytes = bytemuck::bytes_of(&value);
        // SAFETY: the slot is valid for `size` bytes and ours between begin and commit.
        unsafe {
            let slot = self.slots.of(begun.commit);
            copy::store(bytes.as_ptr(), slot, bytes.len().min(self.slots.size));
        }
        ledger.commit(begun.commit, Lines::WHOLE);
        drop(release);
        self.wake_waiters();
        Ok(result)
    }

    /// Declares an unfinished write in place finished, with whatever bytes are there. Nothing to do
    /// in the other layouts.
    ///
    /// # Errors
    /// Those of taking the lock for writing.
    pub fn clear_poison(&self) -> CortexResult<()> {
        self.take_write(Limit::Handle)?;
        if self.slots.count == 1 && self.slots.ledger().is_unfinished() {
            self.slots.ledger().heal();
        }
        self.release_write()?;
        self.wake_waiters();
        Ok(())
    }
}
