//! Taking the segment's lock: immediately where it is free, else by waiting for it.

use super::handle::Segment;
use crate::attachment::patience::{Limit, Wait};
use crate::error::{CortexResult, Told};
use crate::locks::{Access, CortexSync, Seal};
use crate::protocol::interrupts::Call;
use crate::protocol::participants::Id;

/// Proof that the lock is taken. The call keeps it until it returns: a call that had to wait is counted until then.
pub(super) struct Taken<'a> {
    /// The participant that this process is.
    pub(super) me: Id,
    _call: Option<Call<'a>>,
}

impl<L: CortexSync> Segment<L> {
    /// Takes the lock for reading.
    #[inline]
    pub(super) fn take_read(&self, limit: Limit) -> CortexResult<Taken<'_>> {
        match self.attachment.claimed() {
            // SAFETY: a caller that takes the lock through the segment releases it through the segment, on this thread;
            // `me` is this process's id, which was just asked for.
            Some(me) if unsafe { self.lock.try_read_fast(me.0, Seal::HERE) } => {
                Ok(Taken { me, _call: None })
            }
            _ => self.take_slow(limit, Access::Read),
        }
    }

    /// Takes the lock for writing.
    #[inline]
    pub(super) fn take_write(&self, limit: Limit) -> CortexResult<Taken<'_>> {
        match self.take_write_at_once(&*self.lock) {
            Some(me) => Ok(Taken { me, _call: None }),
            None => self.take_slow(limit, Access::Write),
        }
    }

    /// Takes this lock, which is the segment's own, for writing if it is free. Returns the participant that this
    /// process is.
    #[inline(always)]
    pub(super) fn take_write_at_once(&self, lock: &impl CortexSync) -> Option<Id> {
        let me = self.attachment.claimed()?;
        // SAFETY: as in `take_read`.
        unsafe { lock.try_write_fast(me.0, Seal::HERE) }.then_some(me)
    }

    #[cold]
    pub(super) fn take_slow(&self, limit: Limit, access: Access) -> CortexResult<Taken<'_>> {
        let call = self.attachment.interrupts.begin();
        // A forked child claims its own slot here, before a lock of the caller's asks for it.
        let me = self.attachment.me().on(self.key())?;
        match access {
            // SAFETY: as in `take_read`.
            Access::Read => unsafe { self.lock.read_lock(self.wait(limit)) }?,
            // SAFETY: as in `take_read`.
            Access::Write => unsafe { self.lock.write_lock(self.wait(limit)) }?,
        }
        let _call = Some(call);
        Ok(Taken { me, _call })
    }

    /// Returns the limit of a write that may have to wait for room after it has waited for the lock: one time-out for
    /// both.
    #[inline]
    pub(super) fn write_limit(&self, limit: Limit) -> Limit {
        match self.slots.is_lossless() {
            true => limit.begun(self.timeout()),
            false => limit,
        }
    }

    /// Returns the wait that begins now. Only callers that have to wait read the clock, and only here.
    pub(super) fn wait(&self, limit: Limit) -> Wait {
        Wait::lasting(limit.timeout(self.timeout()))
    }
}
