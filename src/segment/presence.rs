//! Which processes take part in a segment, asked of the kernel: its semaphore set, its creator, and the holder of its
//! gate.

use crate::attachment::mapped_segment::header;
use crate::error::names::noted;
use crate::error::{Attempt, Cause};
use crate::protocol::beacons::{BeaconValues, Beacons};
use crate::protocol::format::{birth, Layout};
use crate::protocol::lifecycle::{self, Creator, GateKeeper, Look};
use crate::sys::shm::{self, Mapped, Mapping, Status};
use crate::sys::SysResult;

/// Reads the state of a segment of ours once.
///
/// # Errors
/// `NotACortex`, `Corrupt`.
pub(super) fn observe(mapping: &impl Mapped) -> Result<Look, Cause> {
    match lifecycle::observe(header(mapping)) {
        Look::Foreign => Err(Cause::NotACortex("no magic number")),
        Look::Spoilt(state) => {
            let detail = format!("the state word {state} is not one that this library writes");
            Err(Cause::corrupt(detail))
        }
        look => Ok(look),
    }
}

/// Returns what is known of the process that makes a segment which is not ready.
pub(super) fn creator(mapping: &impl Mapped) -> Creator {
    let is_deserted = || {
        let (_, lit) = find_beacons(mapping).ok()?;
        Some(lit.iter().all(|&lit| lit == 0))
    };
    lifecycle::creator(header(mapping), is_deserted)
}

/// Puts a segment back to ready whose replacer died while it looked: the gate is free, the state is
/// closing.
pub(crate) fn reopen_if_abandoned(mapping: &Mapping, key: i32) -> Result<(), Cause> {
    let Ok((beacons, _)) = find_beacons(mapping) else {
        return Ok(());
    };
    let surroundings = Surroundings::new(&beacons);
    if lifecycle::reopen_if_abandoned(header(mapping), &surroundings)? {
        tracing::warn!(
            key,
            name = noted(key),
            "reopened a cortex whose replacer died"
        );
    }
    Ok(())
}

/// Returns the kernel's status of a segment. The kernel is asked again if `status` is from the time when the segment
/// was being made: its mode was then the mark of [`birth`], and its set has the mode that the segment has now.
pub(crate) fn unmarked(mapping: &impl Mapped, status: &Status) -> SysResult<Status> {
    match birth::is_marked(status.mode) {
        true => shm::status(mapping.id()),
        false => Ok(*status),
    }
}

/// Checks the semaphore set of a segment of this layout, and returns it with the beacons that were lit then. `status`
/// is the segment's. Of the header, only the set's id is read here. A layout is read once for everything that follows
/// from it, because a process that may write to the segment could change the header in between.
pub(crate) fn open_beacons(
    mapping: &impl Mapped,
    layout: &Layout,
    status: &Status,
) -> Result<(Beacons, BeaconValues), Cause> {
    let status = &unmarked(mapping, status).attempt("look at")?;
    let detail = "its header names no semaphore set";
    let set_id = header(mapping)
        .beacon_id()
        .ok_or_else(|| Cause::corrupt(detail))?;
    Beacons::open(set_id, status, mapping.id(), layout.shape.participants)
}

/// Does the same as [`open_beacons`] for a caller that has read no layout and needs only the set.
pub(crate) fn find_beacons(mapping: &impl Mapped) -> Result<(Beacons, BeaconValues), Cause> {
    let layout = header(mapping).read(mapping.size())?;
    open_beacons(mapping, &layout, mapping.status())
}

/// Answers what the lifecycle asks of the kernel.
pub(super) struct Surroundings<'a> {
    beacons: &'a Beacons,
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(beacons: &'a Beacons) -> Self {
        Self { beacons }
    }
}

impl GateKeeper for Surroundings<'_> {
    // A set that is gone was removed with the segment, whose replacer was not dead: the next look at the state says so.

    fn claim_gate(&self) -> Result<bool, Cause> {
        match self.beacons.claim_gate() {
            Err(Cause::Removed) => Ok(false),
            result => result,
        }
    }

    fn release_gate(&self) -> Result<(), Cause> {
        match self.beacons.release_gate() {
            Err(Cause::Removed) => Ok(()),
            result => result,
        }
    }

    fn is_deserted(&self) -> Result<bool, Cause> {
        Ok(self.beacons.all()?.iter().all(|&lit| lit == 0))
    }
}
