//! What cortexes exist on this machine, and which of them are stale.
//!
//! Everything here observes through read-only mappings, except [`reclaim`] and [`remove`], which take
//! away.

use crate::error::CortexResult;
use crate::segment::open;

/// Takes away the stale cortex with this key: one that nobody is attached to, with its semaphores.
/// Nothing happens where the key is free.
///
/// # Errors
/// `Busy` where somebody is attached; `NotACortex`; `CleanSystem` (`EPERM`); `DirtySystem`.
pub fn reclaim(key: i32) -> CortexResult<()> {
    open::replace(key)
}

/// Removes the cortex with this key, in use or not. Those attached keep their memory and go on
/// sharing it; nobody else can attach.
///
/// # Errors
/// `CleanSystem` (`ENOENT`, `EPERM`), `NotACortex`.
pub fn remove(key: i32) -> CortexResult<()> {
    open::remove(key)
}
