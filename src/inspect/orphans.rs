//! Semaphore sets whose segment is gone: the last process of a removed segment leaves its set when it is killed.

use super::info::time;
use crate::error::{Attempt, Cause, CortexResult, Leftover, Told};
use crate::protocol::beacons::segment_of;
use crate::sys::sem::Set;
use crate::sys::shm;
use crate::sys::{errno, table, SysResult};
use std::time::SystemTime;

/// A semaphore set of ours whose segment does not exist any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Orphan {
    /// The kernel's id of it (`ipcrm -s`).
    pub id: i32,
    /// The user who owns it.
    pub owner: u32,
    /// When it was made, or when its owner or mode was changed; `None` where the system does not tell.
    pub changed: Option<SystemTime>,
}

/// Returns the [`orphans`] with what the kernel says of them.
///
/// # Errors
/// `CleanSystem`.
pub fn orphan_sets() -> CortexResult<Vec<Orphan>> {
    let what = "look for semaphores without a segment";
    let mut orphans = Vec::new();
    for (set, changed) in sets_without_segment().attempt(what).on_no_key()? {
        match set.status() {
            Ok(status) => orphans.push(Orphan {
                id: set.id(),
                owner: status.owner,
                changed: changed.and_then(time),
            }),
            // It was taken away meanwhile.
            Err(failure) if errno::is_gone(failure.errno()) => {}
            Err(failure) => return Err(failure).attempt(what).on_no_key(),
        }
    }
    Ok(orphans)
}

/// Removes one of the [`orphans`], if it still is one, and returns whether it did.
///
/// # Errors
/// `CleanSystem` (`EPERM`: it is another user's).
pub fn reclaim_orphan(id: i32) -> CortexResult<bool> {
    let set = Set::from_id(id);
    let is_one = match is_orphan(set) {
        Err(failure) if errno::is_gone(failure.errno()) => false,
        result => result
            .attempt("look for semaphores without a segment")
            .on_no_key()?,
    };
    if !is_one {
        return Ok(false);
    }
    match set.remove() {
        Err(failure) if errno::is_gone(failure.errno()) => Ok(false),
        result => result
            .attempt("remove semaphores without a segment")
            .map(|()| true)
            .on_no_key(),
    }
}

/// Returns the ids of this library's semaphore sets whose segment does not exist any more, as far as this user may
/// look: the last process of a removed segment leaves its set when it is killed. The list is empty where the system
/// does not tell which sets exist.
///
/// # Errors
/// `CleanSystem`.
pub fn orphans() -> CortexResult<Vec<i32>> {
    let sets = sets_without_segment()
        .attempt("look for semaphores without a segment")
        .on_no_key()?;
    Ok(sets.into_iter().map(|(set, _)| set.id()).collect())
}

/// Removes the [`orphans`] that this user may remove, and returns their ids. Another user's sets are left to that user.
///
/// # Errors
/// `CleanSystem`; `DirtySystem`, which names the set that could not be taken away.
pub fn reclaim_orphans() -> CortexResult<Vec<i32>> {
    let remove = |set: Set| match set.remove() {
        Err(failure) if !errno::is_gone(failure.errno()) => Err(failure)
            .attempt("remove semaphores without a segment")
            .map_err(|cause| cause.leaving(Leftover::Semaphores(set.id()))),
        _ => Ok(()),
    };
    sets_without_segment()
        .attempt("look for semaphores without a segment")
        .and_then(|sets| remove_orphans(sets, remove))
        .on_no_key()
}

/// Removes these sets, and returns the ids of those that this user could remove.
pub(super) fn remove_orphans(
    sets: Vec<(Set, Option<u64>)>,
    remove: impl Fn(Set) -> Result<(), Cause>,
) -> Result<Vec<i32>, Cause> {
    let mut removed = Vec::new();
    for (set, _) in sets {
        match remove(set) {
            Ok(()) => removed.push(set.id()),
            // It is another user's, and stays that user's to reclaim.
            Err(cause) if cause.answer() == Some(errno::EPERM) => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(removed)
}

/// Returns this library's sets without a segment, each with the second in which it was made or changed, where the
/// system tells.
pub(super) fn sets_without_segment() -> SysResult<Vec<(Set, Option<u64>)>> {
    let sets = match table::semaphore_sets() {
        // The system does not tell which sets exist.
        Err(failure) if failure.errno() == errno::ENOENT => return Ok(Vec::new()),
        result => result?,
    };
    let mut orphans = Vec::new();
    for row in sets {
        let set = Set::from_id(row.id);
        match is_orphan(set) {
            Ok(true) => orphans.push((set, row.changed)),
            Ok(false) => {}
            // It is gone meanwhile, or closed to this user.
            Err(failure) if errno::is_gone(failure.errno()) => {}
            Err(failure) if failure.errno() == errno::EACCES => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(orphans)
}

/// Returns whether a set is ours, and its segment gone for certain, not merely closed to this user.
fn is_orphan(set: Set) -> SysResult<bool> {
    let Some(segment_id) = segment_of(set)? else {
        return Ok(false);
    };
    match shm::status(segment_id) {
        Ok(_) => Ok(false),
        Err(failure) if errno::is_gone(failure.errno()) => Ok(true),
        Err(failure) => Err(failure),
    }
}
