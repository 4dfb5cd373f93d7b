//! Taking segments away: removing a segment, and finishing a removal that another process began. Replacing is in
//! [`super::replace`].
//!
//! Removal is always by id: a key may belong to a successor by now. The kernel is asked whether this process may remove
//! the segment before anything is changed. The state says removed before the kernel removes the segment; a process that
//! finds the state removed and the segment still there removes it. A set without its way back can be found by the
//! segment's header alone, so it is removed before the segment.

use super::find::{check_blank, check_name_in, open_mapping, PAUSE};
use super::presence::{find_beacons, unmarked};
use crate::attachment::mapped_segment::{self, header};
use crate::attachment::{self, remove_segment};
use crate::error::{both, Attempt, Cause};
use crate::key::Wanted;
use crate::protocol::beacons::{self, remove_set, segment_of, Beacons};
use crate::protocol::lifecycle;
use crate::sys::sem::Set;
use crate::sys::shm::{self, Mapped, Mapping, Status};
use crate::sys::{errno, futex, SysResult};

/// The semaphore set of a segment that was not finished, or not removed to the end.
struct Orphan {
    set: Set,
    /// Whether no process holds anything in it: its creator died before it set the way back, or no beacon is lit.
    is_deserted: bool,
}

impl Orphan {
    /// Removes the set, unless a process holds a beacon in it. That process will find the segment removed, and removes
    /// the set when it leaves.
    fn remove(self) -> Result<(), Cause> {
        match self.is_deserted {
            true => remove_set(self.set),
            false => Ok(()),
        }
    }
}

/// Returns the semaphore set that the key in a header names, if it is this segment's.
///
/// A peer may have forged the key, to make this process remove another set of this library. So the set must have the
/// segment's creator and mode. It must also have its way back, or everything that a set has whose maker died before it
/// set that.
fn orphan(mapping: &Mapping, status: &Status) -> SysResult<Option<Orphan>> {
    let beacon_key = header(mapping).beacon_key();
    if beacon_key == 0 {
        return Ok(None);
    }
    let look = || -> SysResult<Option<Orphan>> {
        let status = &unmarked(mapping, status)?;
        let set = Set::find(beacon_key)?;
        let found = set.status()?;
        if found.creator != status.creator || found.mode != status.mode {
            return Ok(None);
        }
        if segment_of(set)? == Some(mapping.id()) {
            let is_deserted = beacons::is_deserted(set)?;
            return Ok(Some(Orphan { set, is_deserted }));
        }
        // Without its way back the key is the proof, with everything else as the creator would have made it.
        let Ok(layout) = header(mapping).read(mapping.size()) else {
            return Ok(None);
        };
        let is_deserted = Beacons::is_untouched(set, status, layout.shape.participants)?;
        Ok(is_deserted.then_some(Orphan { set, is_deserted }))
    };
    match look() {
        Err(failure) if errno::is_gone(failure.errno()) => Ok(None),
        result => result,
    }
}

/// Returns the set that is there now that the state says removed: a creator may have made it, or claimed a slot in it,
/// since the look `before`.
fn recheck(before: Option<Orphan>, mapping: &Mapping) -> Option<Orphan> {
    match orphan(mapping, mapping.status()) {
        Ok(found) => found,
        Err(_) => before,
    }
}

/// Returns the beacons, where the set can be opened. A set that is spoilt or gone is not an error.
fn beacons_if_whole(mapping: &Mapping) -> Result<Option<Beacons>, Cause> {
    match find_beacons(mapping) {
        Err(cause @ Cause::System(_)) => Err(cause),
        result => Ok(result.ok().map(|(beacons, _)| beacons)),
    }
}

/// Removes the cortex that has this key, in use or not. Attached processes keep their memory.
///
/// # Errors
/// `CleanSystem` (`ENOENT`, `EPERM`), `Name`, `NotACortex`; `DirtySystem` where it could not be taken away whole.
pub(crate) fn remove(wanted: Wanted<'_>) -> Result<(), Cause> {
    let mapping: Mapping = open_mapping(wanted.number)?;
    check_name_in(&mapping, wanted)?;
    check_right_to_remove(&mapping)?;
    check_blank(&mapping)?;
    // Before anything is changed: what cannot be looked for, or may not be removed, would be left.
    let beacons = beacons_if_whole(&mapping)?;
    let before = removable(&mapping)?;
    if let Some(beacons) = &beacons {
        check_right_to_remove_set(beacons.set())?;
    }
    mark_removed(&mapping);
    let set = match (&beacons, recheck(before, &mapping)) {
        (None, Some(orphan)) => orphan.remove(),
        _ => Ok(()),
    };
    // The set goes first: without its way back only the segment's header names it.
    let removed = both(set, remove_segment(mapping.id()));
    let dark = beacons.map_or(Ok(()), |beacons| attachment::remove_if_dark(&beacons));
    both(removed, dark)
}

/// Takes away a segment of ours that is not whole, if its state still is `from`, even while processes are attached. A
/// creator that was wrongly taken for dead finds it removed and begins anew.
///
/// # Errors
/// `NotACortex`; `CleanSystem`; `DirtySystem`.
pub(super) fn discard(mapping: &Mapping, from: u32) -> Result<(), Cause> {
    check_blank(mapping)?;
    // Before anything is changed: what cannot be looked for, or may not be removed, would be left.
    let before = removable(mapping)?;
    if !lifecycle::discard(header(mapping), from) {
        // Its creator has finished, or another process has taken it away.
        return Ok(());
    }
    let orphan = recheck(before, mapping);
    // The set goes first: without its way back only the segment's header names it.
    both(
        orphan.map_or(Ok(()), |orphan| orphan.remove()),
        remove_segment(mapping.id()),
    )
}

/// Returns the set of a segment that is not whole, after checking that this process may remove both.
fn removable(mapping: &Mapping) -> Result<Option<Orphan>, Cause> {
    let found = orphan(mapping, mapping.status()).attempt("look for the semaphores of")?;
    if let Some(orphan) = &found {
        check_right_to_remove_set(orphan.set)?;
    }
    Ok(found)
}

/// Finishes the removal of a segment whose state says removed while the kernel still has the key: its remover died
/// between the two steps, or is about to take the second. To take it here is right in either case, because removal is
/// by id. The set is removed too, if no process is left that would remove it when it leaves.
pub(crate) fn finish_removal(mapping: &Mapping, key: i32) -> Result<(), Cause> {
    let beacons = beacons_if_whole(mapping)?;
    // The set goes first: without its way back only the segment's header names it.
    let set = match beacons {
        Some(_) => Ok(()),
        None => orphan(mapping, mapping.status())
            .attempt("look for the semaphores of")?
            .map_or(Ok(()), |orphan| orphan.remove()),
    };
    match shm::remove(mapping.id()) {
        // This user may remove neither the segment nor the set, so the remover gets a moment.
        Err(failure) if matches!(failure.errno(), errno::EPERM | errno::EACCES) => {
            futex::sleep(PAUSE);
            match shm::find(key) {
                Ok(id) if id == mapping.id() => Err(Cause::Removed),
                _ => Ok(()),
            }
        }
        Err(failure) if !errno::is_gone(failure.errno()) => {
            both(Err(failure).attempt("remove"), set)
        }
        // The last process removes the set, and that may be this one.
        _ => {
            let dark = beacons.map_or(Ok(()), |beacons| attachment::remove_if_dark(&beacons));
            both(set, dark)
        }
    }
}

/// Marks the segment as removed, whatever its state, and wakes the processes that wait for change.
pub(crate) fn mark_removed(mapping: &Mapping) {
    let signal = mapped_segment::signal(mapping);
    lifecycle::mark_removed(header(mapping), signal);
    futex::wake_all(&signal.signal);
}

/// Refuses with `EPERM` where this process may not remove the segment, before anything is changed rather than after.
pub(crate) fn check_right_to_remove(mapping: &Mapping) -> Result<(), Cause> {
    shm::check_right_to_remove(mapping.id()).attempt("remove")
}

/// Does the same for a call that is to make this handle the owner, which removes the segment in the end.
pub(super) fn check_right_to_own(mapping: &Mapping) -> Result<(), Cause> {
    shm::check_right_to_remove(mapping.id()).attempt("own")
}

/// Does the same as [`check_right_to_remove`] for the semaphore set.
pub(super) fn check_right_to_remove_set(set: Set) -> Result<(), Cause> {
    set.check_right_to_remove()
        .attempt("remove the semaphores of")
}
