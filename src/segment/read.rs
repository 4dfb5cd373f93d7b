//! Reading by copy: optimistic where the lock allows it, else under the lock.

use super::{Limit, Segment};
use crate::copy;
use crate::error::{CortexError, CortexResult};
use crate::sync::{Access, CortexSync, Wait};
use crate::sys::address;
use std::time::{Duration, Instant};

/// How often an optimistic read is tried before it asks writers to pause.
const ATTEMPTS: u32 = 4;

/// And before it gives up or sleeps. Measured with a publisher that never pauses: 22 at every size.
const ENOUGH_ATTEMPTS: u32 = 64;

impl<L: CortexSync> Segment<L> {
    /// Copies the bytes from `offset` on into `buffer`: all from one commit.
    ///
    /// # Errors
    /// `InvalidArgument` where the range leaves the segment; `Timeout`, `Interrupted`, `Poisoned`,
    /// and whatever the lock fails with. The buffer's contents are then unspecified.
    #[inline]
    pub fn read_at(&self, offset: usize, buffer: &mut [u8]) -> CortexResult<()> {
        self.check_range(offset, buffer.len())?;
        // SAFETY: the range was checked, and the buffer is exclusively ours.
        unsafe { self.load(offset, buffer.as_mut_ptr(), buffer.len(), Limit::Handle) }
    }

    /// [`Segment::read_at`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Segment::read_at`].
    pub fn try_read_at(&self, offset: usize, buffer: &mut [u8]) -> CortexResult<()> {
        self.check_range(offset, buffer.len())?;
        // SAFETY: as in `read_at`.
        unsafe { self.load(offset, buffer.as_mut_ptr(), buffer.len(), Limit::Never) }
    }

    /// # Safety
    /// The range is within the segment, and `buffer` is valid for `length` bytes.
    #[inline]
    pub(crate) unsafe fn load(
        &self,
        offset: usize,
        buffer: *mut u8,
        length: usize,
        limit: Limit,
    ) -> CortexResult<()> {
        // SAFETY: any slot is valid for the checked range; the copy is racy by design.
        let copy = move |slot: *mut u8| unsafe { copy::load(slot.add(offset), buffer, length) };
        self.read_with(limit, copy)
    }

    /// Reads by `copy`, which is given the slot of the last commit, as often as it takes: its last
    /// result is from one commit. `Copy`, so that what it knows stays in registers: only the slow way gets a copy of
    /// it in memory.
    #[inline]
    pub(crate) fn read_with<R>(
        &self,
        limit: Limit,
        copy: impl Fn(*mut u8) -> R + Copy,
    ) -> CortexResult<R> {
        if self.lock.is_optimistic() {
            let (slots, count) = (&self.slots, self.slots.count);
            let attempt = |commit| copy(slots.look_up(count, commit));
            match slots.ledger().snapshot(attempt) {
                Some(result) => Ok(result),
                None => self.read_overtaken(limit, copy),
            }
        } else {
            self.take_read(limit)?;
            self.read_locked(copy)
        }
    }

    /// Reads and releases.
    fn read_locked<R>(&self, copy: impl Fn(*mut u8) -> R) -> CortexResult<R> {
        let ledger = self.slots.ledger();
        let is_poisoned = self.slots.count == 1 && ledger.is_unfinished();
        let result = (!is_poisoned).then(|| copy(self.slots.of(ledger.committed())));
        self.lock.release(Access::Read)?;
        result.ok_or_else(|| self.poisoned())
    }

    /// A reader whom writers overtook: asks them to pause, tries the lock, and waits in between.
    #[cold]
    fn read_overtaken<R>(&self, limit: Limit, copy: impl Fn(*mut u8) -> R) -> CortexResult<R> {
        let wait = self.wait(limit);
        let interrupts = self.site.interrupts_seen();
        let signal = self.site.view.signal();
        let (key, operation) = (self.key(), "read");
        let mut pause = Duration::from_micros(10);
        for attempt in 0_u32.. {
            let start = Instant::now();
            if let Some(result) = self
                .slots
                .ledger()
                .snapshot(|commit| copy(self.slots.of(commit)))
            {
                return Ok(result);
            }
            if attempt < ATTEMPTS {
                crate::primitive::spin();
                continue;
            }
            signal.ask(start.elapsed());
            match self.lock.read_lock(Wait::Never) {
                Ok(()) => return self.read_locked(copy),
                Err(CortexError::Timeout { .. }) => {}
                Err(error) => return Err(error),
            }
            // With two slots and more the publisher's pause comes soon after the request, so that
            // even a read that must not wait gets through. In place there is nothing to read until the
            // writer is done.
            if self.slots.count > 1 && attempt < ENOUGH_ATTEMPTS {
                continue;
            }
            if self.site.was_interrupted(interrupts) {
                return Err(CortexError::Interrupted { key, operation });
            }
            let left = wait.left();
            if left == Some(Duration::ZERO) {
                break;
            }
            address::sleep(left.map_or(pause, |left| pause.min(left)));
            pause = (pause * 2).min(Duration::from_millis(1));
        }
        Err(CortexError::Timeout { key, operation })
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
