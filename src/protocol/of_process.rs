//! A value that counts in one process only: a forked child has no value.
//!
//! The value is in one word with the epoch of its process ([`crate::sys::fork::epoch`]), so that both change at
//! once and no child takes its parent's value for its own.

use crate::protocol::atomics::{AtomicU64, Ordering};

/// A value, and the epoch of its process: see the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OfProcess(u64);

impl OfProcess {
    /// The value of no process: its epoch is one that no process has, and that no wiped page shows.
    pub(crate) const NOBODY: Self = Self::new(u32::MAX, 0);

    #[inline]
    pub(crate) const fn new(epoch: u32, value: u32) -> Self {
        Self((epoch as u64) << 32 | value as u64)
    }

    /// Returns the epoch of the process that the value belongs to.
    #[inline]
    pub(crate) fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Returns the value, where it belongs to the process with this epoch.
    #[inline]
    pub(crate) fn of(self, epoch: u32) -> Option<u32> {
        (self.epoch() == epoch).then_some(self.0 as u32)
    }
}

/// An [`OfProcess`] that threads share.
#[cfg_attr(not(loom), derive(Debug))]
pub(crate) struct AtomicOfProcess(AtomicU64);

impl Default for AtomicOfProcess {
    fn default() -> Self {
        Self::new(OfProcess::NOBODY)
    }
}

impl AtomicOfProcess {
    pub(crate) fn new(value: OfProcess) -> Self {
        Self(AtomicU64::new(value.0))
    }

    #[inline]
    pub(crate) fn load(&self, order: Ordering) -> OfProcess {
        OfProcess(self.0.load(order))
    }

    #[inline]
    pub(crate) fn store(&self, value: OfProcess, order: Ordering) {
        self.0.store(value.0, order);
    }

    #[inline]
    pub(crate) fn compare_exchange(
        &self,
        seen: OfProcess,
        new: OfProcess,
        success: Ordering,
        failure: Ordering,
    ) -> Result<OfProcess, OfProcess> {
        self.0
            .compare_exchange(seen.0, new.0, success, failure)
            .map(OfProcess)
            .map_err(OfProcess)
    }

    /// Returns the count of the process with this epoch: 0 where another process's is there.
    #[inline]
    pub(crate) fn count(&self, epoch: u32, order: Ordering) -> u32 {
        self.load(order).of(epoch).unwrap_or(0)
    }

    /// Changes the count of the process with this epoch, which begins at 0 where another process's is there.
    pub(crate) fn change(&self, epoch: u32, order: Ordering, change: impl Fn(u32) -> u32) {
        let mut seen = self.load(Ordering::Relaxed);
        loop {
            let next = OfProcess::new(epoch, change(seen.of(epoch).unwrap_or(0)));
            match self.compare_exchange(seen, next, order, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_another_processs_is_none_and_counts_nothing() {
        let value = OfProcess::new(7, u32::MAX);
        assert_eq!(value.of(7), Some(u32::MAX));
        assert_eq!((value.of(6), value.of(0)), (None, None));
        assert_eq!(OfProcess::NOBODY.of(0), None);
        let count = AtomicOfProcess::new(OfProcess::new(7, 3));
        count.change(8, Ordering::Relaxed, |count| count + 1);
        assert_eq!(count.count(8, Ordering::Relaxed), 1);
        assert_eq!(count.count(7, Ordering::Relaxed), 0);
    }
}
