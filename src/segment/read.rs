//! Reading by copy: optimistically where the lock allows it, else under the lock.

use super::handle::Segment;
use crate::attachment::patience::{Limit, Wait, Waiting};
use crate::copy;
use crate::error::{CortexError, CortexResult, Told};
use crate::locks::{Access, CortexSync, Seal};
use crate::protocol::signal::SignalLine;
use crate::sys::futex;
use std::time::{Duration, Instant};

/// How many times an optimistic read is tried before it asks writers to pause.
const ATTEMPTS: u32 = 4;

/// How many times it is tried before it gives up or sleeps. Measured with a publisher that never pauses: 22 at every
/// size.
const ENOUGH_ATTEMPTS: u32 = 64;

impl<L: CortexSync> Segment<L> {
    /// Copies the bytes from `offset` on into `buffer`, all from one commit.
    ///
    /// # Errors
    /// `InvalidArgument` where the range leaves the segment; `Timeout`, `Interrupted`, `Poisoned`, and any error of the
    /// lock. The buffer's contents are then unspecified.
    #[inline]
    pub fn read_at(&self, offset: usize, buffer: &mut [u8]) -> CortexResult<()> {
        self.read_at_within(offset, buffer, Limit::Handle).map(drop)
    }

    /// [`Segment::read_at`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Segment::read_at`].
    pub fn try_read_at(&self, offset: usize, buffer: &mut [u8]) -> CortexResult<()> {
        self.read_at_within(offset, buffer, Limit::Never).map(drop)
    }

    #[inline]
    pub(crate) fn read_at_within(
        &self,
        offset: usize,
        buffer: &mut [u8],
        limit: Limit,
    ) -> CortexResult<u64> {
        self.check_range(offset, buffer.len())?;
        // SAFETY: the range was checked, and the buffer is exclusively ours.
        unsafe { self.load(offset, buffer.as_mut_ptr(), buffer.len(), limit) }
    }

    /// [`Segment::read_at`] that also returns the version of the commit that the bytes are from.
    ///
    /// A loop that waits for change gives this version to [`Segment::wait_changed`] next, so that it processes no
    /// commit twice. ([`Segment::version`] before or after the read may be that of another commit.)
    ///
    /// ```
    /// use neocortex::Segment;
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// let segment = Segment::<neocortex::SeqLock>::create_random(8)?;
    /// segment.write_at(0, b"8 bytes.")?;
    /// let mut bytes = [0; 8];
    /// let version = segment.read_versioned(0, &mut bytes)?;
    /// assert_eq!((version, &bytes), (1, b"8 bytes."));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Segment::read_at`].
    #[inline]
    pub fn read_versioned(&self, offset: usize, buffer: &mut [u8]) -> CortexResult<u64> {
        self.read_at_within(offset, buffer, Limit::Handle)
    }

    /// Copies the bytes of one commit, and returns its version.
    ///
    /// # Safety
    /// The range is within the segment, and `buffer` is valid for `length` bytes.
    #[inline]
    pub(crate) unsafe fn load(
        &self,
        offset: usize,
        buffer: *mut u8,
        length: usize,
        limit: Limit,
    ) -> CortexResult<u64> {
        let copy = move |commit, slot: *mut u8| {
            // SAFETY: any slot is valid for the checked range; the copy is racy by design.
            unsafe { copy::load(slot.add(offset), buffer, length) };
            commit
        };
        self.read_with(limit, copy)
    }

    /// Reads by `copy`, which is given the number of the last commit and its slot, as many times as it takes: its last
    /// result is from one commit. The closure is `Copy`, so that its captures stay in registers: only the slow path
    /// gets a copy of them in memory. Always inline, as [`Segment::write_with`].
    #[inline(always)]
    pub(crate) fn read_with<R>(
        &self,
        limit: Limit,
        copy: impl Fn(u64, *mut u8) -> R + Copy,
    ) -> CortexResult<R> {
        if self.lock.is_optimistic(Seal::HERE) {
            let (slots, count) = (&self.slots, self.slots.count);
            let attempt = |commit| copy(commit, slots.look_up(count, commit));
            match slots.ledger().snapshot(attempt) {
                Some(result) => Ok(result),
                None => self.read_overtaken(limit, copy),
            }
        } else {
            let _taken = self.take_read(limit)?;
            self.read_locked(copy)
        }
    }

    /// Reads under the lock, and releases it.
    #[inline]
    fn read_locked<R>(&self, copy: impl Fn(u64, *mut u8) -> R) -> CortexResult<R> {
        let ledger = self.slots.ledger();
        let is_poisoned = self.slots.count == 1 && ledger.is_unfinished();
        let result = (!is_poisoned).then(|| {
            let commit = ledger.committed();
            copy(commit, self.slots.of(commit))
        });
        // SAFETY: the caller took it on this thread, and the copy is made.
        unsafe { self.lock.release(Access::Read) }?;
        result.ok_or_else(|| self.poisoned())
    }

    /// Reads where writers overtook the reader.
    #[cold]
    fn read_overtaken<R>(&self, limit: Limit, copy: impl Fn(u64, *mut u8) -> R) -> CortexResult<R> {
        let (slots, ledger) = (&self.slots, self.slots.ledger());
        self.insist(self.wait(limit), |is_locked| match is_locked {
            true => self.read_locked(&copy).map(Some),
            false => Ok(ledger.snapshot(|commit| copy(commit, slots.of(commit)))),
        })
    }

    /// Attempts to copy until that succeeds, where writers have overtaken the reader: asks them to pause, tries the lock,
    /// and waits in between. `attempt` is told whether the lock was taken for reading; it releases it then.
    pub(super) fn insist<R>(
        &self,
        wait: Wait,
        mut attempt: impl FnMut(bool) -> CortexResult<Option<R>>,
    ) -> CortexResult<R> {
        // The call is counted until it is over.
        let _call = self.attachment.interrupts.begin();
        let waiting = Waiting::new(&self.attachment.interrupts, wait, "read");
        let signal = self.attachment.mapped.signal();
        let mut pause = Duration::from_micros(10);
        let mut request = Request { signal, asked: 0 };
        // The quickest attempt tells how long a copy takes: in the others the reader may have been stopped.
        let mut quickest = Duration::MAX;
        let mut attempts = 0_u32;
        loop {
            let start = Instant::now();
            if let Some(result) = attempt(false)? {
                return Ok(result);
            }
            quickest = quickest.min(start.elapsed());
            attempts = attempts.saturating_add(1);
            if attempts <= ATTEMPTS {
                crate::protocol::atomics::spin();
                continue;
            }
            request.asked = signal.ask(quickest);
            // SAFETY: `attempt` releases it, on this thread, right after this.
            match unsafe { self.lock.read_lock(Wait::Never) } {
                Ok(()) => {
                    if let Some(result) = attempt(true)? {
                        return Ok(result);
                    }
                }
                Err(CortexError::Timeout { .. }) => {}
                Err(error) => return Err(error),
            }
            // With two slots and more the publisher's pause comes soon after the request, so that
            // even a read that must not wait gets through. In place there is nothing to read until the
            // writer is done.
            if self.slots.count > 1 && attempts <= ENOUGH_ATTEMPTS {
                continue;
            }
            waiting.check().on(self.key())?;
            waiting
                .woken(futex::sleep(waiting.nap(pause)))
                .on(self.key())?;
            pause = (pause * 2).min(Duration::from_millis(1));
        }
    }
}

/// A reader's request for a pause, which ends when the reader has succeeded or given up.
struct Request<'a> {
    signal: &'a SignalLine,
    /// 0 stands for no request.
    asked: u32,
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if self.asked != 0 && self.signal.withdraw(self.asked) {
            futex::wake_all(self.signal.want());
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
