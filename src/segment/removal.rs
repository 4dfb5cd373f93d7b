//! Taking segments away: replacing the stale, removing, finishing what another remover began.
//!
//! Removal is by id, always: a key may belong to a successor by now. The state says removed before the kernel
//! is told; who finds it said and not done does it.
//!
//! **Replacing.** The replacer holds the gate, goes ready → closing, and looks: no beacon lit and no mapping
//! but its own, or back to ready. An attacher claims its beacon first and reads the state after, so one of
//! the two sees the other. If the replacer dies in closing, the next one to come takes the gate and goes
//! back to ready.

use super::find::{await_ready, is_gone, open_beacons, open_mapping, PAUSE};
use crate::error::{Attempt, CortexError, CortexResult, Leftover};
use crate::format::{state, Header};
use crate::participants::{segment_of, Beacons};
use crate::site::{self, header};
use crate::sys::sem::Set;
use crate::sys::shm::{self, Mapping, Status};
use crate::sys::{address, effective_user, errno};

/// How long somebody who attached and is about to leave again is waited for.
const LAST_LOOK: u32 = 20;

/// Takes a segment away that nobody is attached to.
///
/// # Errors
/// `Busy` where somebody is; `NotACortex`; `CleanSystem` (`EPERM`); `DirtySystem` where the segment is
/// gone and its semaphore set is not.
pub(crate) fn replace(key: i32) -> CortexResult<()> {
    let mapping = match open_mapping(key, false) {
        Err(error) if error.is_errno(errno::ENOENT) => return Ok(()),
        result => result?,
    };
    check_right_to_remove(&mapping, key)?;
    match await_ready(&mapping, key) {
        Ok(true) => {}
        Ok(false) => return finish_removal(&mapping, key),
        // Nobody has finished it: stale if nobody is there.
        Err(CortexError::NotReady { .. }) => return discard(&mapping, key, state::INITIALISING),
        Err(error) => return Err(error),
    }
    let beacons = match open_beacons(&mapping, key) {
        Ok(beacons) => beacons,
        // Ours and spoilt, or without its set: stale if nobody is there.
        Err(CortexError::Corrupt { .. } | CortexError::Removed { .. }) => {
            return discard(&mapping, key, state::READY);
        }
        Err(error) => return Err(error),
    };
    let busy = |detail| CortexError::Busy { key, detail };
    if !beacons.claim_gate()? {
        return Err(busy("another process is replacing it"));
    }
    let is_closed = close(&mapping, &beacons, key);
    if !matches!(is_closed, Ok(true)) {
        match beacons.release_gate() {
            // The set went with the last participant of a segment that its owner removed.
            Ok(()) | Err(CortexError::Removed { .. }) => {}
            Err(error) => return Err(error),
        }
        return is_closed.map(drop);
    }
    // The gate goes with the set.
    match beacons.set().remove() {
        Err(failure) if !is_gone(failure.errno()) => Err(failure)
            .attempt("remove the semaphores of", key)
            .map_err(|error| error.leaving(Leftover::Semaphores(beacons.set().id()))),
        _ => Ok(()),
    }
}

/// ready → closing → removed, if nobody is attached; the caller holds the gate. `false` where it was
/// removed by somebody else meanwhile.
fn close(mapping: &Mapping, beacons: &Beacons, key: i32) -> CortexResult<bool> {
    let header = header(mapping);
    let is_closing =
        header.transit(state::READY, state::CLOSING) || header.state() == state::CLOSING;
    if !is_closing {
        return Ok(false);
    }
    for _ in 0..LAST_LOOK {
        let is_dark = beacons.all()?.iter().all(|&lit| lit == 0);
        let status = shm::status(mapping.id()).attempt("look at", key)?;
        if is_dark && status.attached == 1 {
            header.transit(state::CLOSING, state::REMOVED);
            return shm::remove(mapping.id())
                .attempt("remove", key)
                .map(|()| true);
        }
        address::sleep(PAUSE);
    }
    header.transit(state::CLOSING, state::READY);
    Err(CortexError::Busy {
        key,
        detail: "it is in use: somebody is attached",
    })
}

/// Takes away a segment of ours that is not whole, if nobody else is attached.
fn discard(mapping: &Mapping, key: i32, from: u32) -> CortexResult<()> {
    let header = header(mapping);
    let status = shm::status(mapping.id()).attempt("look at", key)?;
    if status.attached != 1 {
        let detail = "it is not ready, but somebody is attached and may be making it";
        return Err(CortexError::Busy { key, detail });
    }
    if !header.transit(from, state::REMOVED) {
        // Its creator came to life again, or another replacer was faster: look again.
        return Ok(());
    }
    let beacons = orphan(header, mapping.id(), &status);
    shm::remove(mapping.id()).attempt("remove", key)?;
    match beacons.map(|set| (set, set.remove())) {
        Some((set, Err(failure))) if !is_gone(failure.errno()) => Err(failure)
            .attempt("remove the semaphores of", key)
            .map_err(|error| error.leaving(Leftover::Semaphores(set.id()))),
        _ => Ok(()),
    }
}

/// The semaphore set of a half-made segment, found by the key in its header and its way back.
fn orphan(header: &Header, segment_id: i32, status: &Status) -> Option<Set> {
    let beacon_key = header.beacon_key();
    if beacon_key == 0 {
        return None;
    }
    let set = Set::find(beacon_key).ok()?;
    // Made, and the creator died before it set the way back: all zeros, and the key is the proof.
    let is_ours = segment_of(set).ok()? == Some(segment_id)
        || (set.value(0).ok()? == 0 && set.status().ok()?.creator == status.creator);
    is_ours.then_some(set)
}

/// Removes whatever cortex has this key, in use or not. Those attached keep their memory.
///
/// # Errors
/// `CleanSystem` (`ENOENT`, `EPERM`), `NotACortex`.
pub(crate) fn remove(key: i32) -> CortexResult<()> {
    let mapping = open_mapping(key, false)?;
    if header(&mapping).is_blank() {
        return Err(CortexError::NotACortex {
            key,
            detail: "blank: nothing was ever written to it",
        });
    }
    check_right_to_remove(&mapping, key)?;
    let status = shm::status(mapping.id()).attempt("look at", key)?;
    let beacons = open_beacons(&mapping, key).ok();
    let orphan = orphan(header(&mapping), mapping.id(), &status);
    mark_removed(&mapping);
    match shm::remove(mapping.id()) {
        Err(failure) if !is_gone(failure.errno()) => {
            return Err(failure).attempt("remove", key);
        }
        _ => {}
    }
    match (beacons, orphan) {
        (Some(beacons), _) => site::remove_if_dark(&beacons, key),
        (None, Some(set)) if status.attached <= 1 => match set.remove() {
            Err(failure) if !is_gone(failure.errno()) => Err(failure)
                .attempt("remove the semaphores of", key)
                .map_err(|error| error.leaving(Leftover::Semaphores(set.id()))),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The state says removed and the kernel still has the key: its remover died between the two, or is
/// about to do it. Doing it for it is right either way, for it is by id.
pub(crate) fn finish_removal(mapping: &Mapping, key: i32) -> CortexResult<()> {
    match shm::remove(mapping.id()) {
        Err(failure) if is_gone(failure.errno()) => Ok(()),
        Err(failure) if matches!(failure.errno(), errno::EPERM | errno::EACCES) => {
            // Not ours to do. Give the remover a moment.
            address::sleep(PAUSE);
            match shm::find(key) {
                Ok(id) if id == mapping.id() => Err(CortexError::Removed { key }),
                _ => Ok(()),
            }
        }
        result => result.attempt("remove", key),
    }
}

/// Says in the segment that it is removed, whatever its state, and wakes those who wait for change.
pub(crate) fn mark_removed(mapping: &Mapping) {
    let header = header(mapping);
    loop {
        let now = header.state();
        if now == state::REMOVED || header.transit(now, state::REMOVED) {
            break;
        }
    }
    let signal = site::signal(mapping);
    crate::signal::announce(signal);
    address::wake_all(&signal.signal);
}

/// `EPERM` now rather than when the handle is dropped.
pub(crate) fn check_right_to_remove(mapping: &Mapping, key: i32) -> CortexResult<()> {
    let status = shm::status(mapping.id()).attempt("look at", key)?;
    let user = effective_user();
    if user == 0 || user == status.owner || user == status.creator {
        return Ok(());
    }
    let error = std::io::Error::from_raw_os_error(errno::EPERM);
    Err(crate::sys::Failure {
        call: "shmctl(IPC_RMID)",
        error,
    })
    .attempt("own", key)
}
