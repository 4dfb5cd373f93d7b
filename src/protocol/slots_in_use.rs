//! Which participant slots are looked at: all below a mark, which follows the tenants that live.
//!
//! Who joins raises the mark above its slot. Who looks at every line (a writer of the read/write lock, whose time this is)
//! now and then asks the kernel which beacons are lit, and lowers it to the highest of them, so that what a crowd costs
//! goes with the crowd.
//!
//! **No tenant that lives is above the mark**, once it has raised it. The mark has the number of its changes beside it, and
//! joining changes it even where it is high enough. Lowering loads the mark, asks for the beacons, and exchanges what it
//! loaded. A tenant that had claimed its beacon before it was asked for is seen lit. One that claimed it afterwards
//! changes the mark later than it was loaded: before the exchange, which then fails, or after it, and then it raises
//! the mark again. A number of 48 bits does not come round while a process is stopped between the two.
//!
//! **Ordering.** Changes are relaxed: the kernel's operation on the beacons, before each of them, orders it after all that
//! a tenant did whose beacon is out. Counting is an acquire, so that a writer which leaves out a line comes after what
//! its readers loaded, as one does that sees it empty. That a writer sees the mark of a reader which does not see the
//! writer is the work of the fences in [`super::readers`] and [`super::room`].

use crate::protocol::atomics::{AtomicU64, Ordering};

/// The mark is in the lower bits, the number of its changes above.
const MARK_BITS: u32 = 16;

/// The mark, and the number of its changes: see the module.
#[repr(transparent)]
pub(crate) struct SlotsInUse(AtomicU64);

/// The mark as it was loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen(u64);

impl SlotsInUse {
    /// Returns one as the kernel hands it out: no slot is in use.
    #[cfg(any(loom, test))]
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Returns one above the highest slot in use. A hostile peer may have stored more than there are.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        mark(self.0.load(Ordering::Acquire))
    }

    /// Says that this slot is in use, whose beacon the caller has claimed.
    pub(crate) fn raise(&self, slot: u32) {
        let mut seen = self.look();
        while let Err(now) = self.change(seen, mark(seen.0).max(slot + 1)) {
            seen = now;
        }
    }

    /// Loads the mark, for [`SlotsInUse::lower`], before the beacons are asked for.
    pub(crate) fn look(&self) -> Seen {
        Seen(self.0.load(Ordering::Relaxed))
    }

    /// Says that no slot from `count` on is in use: the kernel said so after the mark was `seen`. Nothing changes where the
    /// mark is another by now.
    pub(crate) fn lower(&self, seen: Seen, count: u32) {
        if count < mark(seen.0) {
            let _ = self.change(seen, count);
        }
    }

    fn change(&self, seen: Seen, mark: u32) -> Result<(), Seen> {
        let number = (seen.0 >> MARK_BITS).wrapping_add(1);
        let next = number << MARK_BITS | u64::from(mark & ((1 << MARK_BITS) - 1));
        self.0
            .compare_exchange(seen.0, next, Ordering::Relaxed, Ordering::Relaxed)
            .map_or_else(|now| Err(Seen(now)), |_| Ok(()))
    }
}

fn mark(word: u64) -> u32 {
    (word & ((1 << MARK_BITS) - 1)) as u32
}

#[cfg(all(test, not(loom)))]
mod tests;
