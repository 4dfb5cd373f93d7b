//! Taking segments away: replacing the stale, removing, finishing what another remover began.
//!
//! Removal is by id, always: a key may belong to a successor by now. The state says removed before the kernel
//! is told; who finds it said and not done does it. A set without its way back can be found by the segment's
//! header alone, so it goes before the segment does.
//!
//! **Replacing.** The replacer holds the gate, waits for a moment in which nobody is attached, goes ready → closing,
//! and looks again: no beacon lit and no mapping but its own, or back to ready ([`crate::lifecycle`]). Closing lasts
//! for that look alone, because those who attach wait for its end, attached. If the replacer dies in closing, the
//! next one to come takes the gate and goes back to ready.

use super::find::{await_ready, open_beacons, open_mapping, ATTEMPTS, PAUSE};
use crate::error::{both, Attempt, CortexError, CortexResult};
use crate::format::state;
use crate::lifecycle::{self, Closing, World};
use crate::participants::{remove_set, segment_of, Beacons, Lit};
use crate::site::{self, remove_segment};
use crate::sys::sem::Set;
use crate::sys::shm::{self, Mapping, Status};
use crate::sys::{address, effective_user, errno, SysResult};
use crate::view::{self, header};

/// How often a participant who may be about to leave is looked for again.
const LOOKS: u32 = 20;
/// How often a mapping that takes no part is: somebody who lists cortexes, and may be stopped in the middle of it.
const LOOKS_WHEN_DARK: u32 = 100;

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
        // Nobody has finished it, or nobody can reopen it (its replacer died, and its set is not to be
        // had): stale if nobody is there.
        Err(CortexError::NotReady { .. }) => {
            let is_closing = header(&mapping).state() == state::CLOSING;
            let from = if is_closing {
                state::CLOSING
            } else {
                state::INITIALISING
            };
            return discard(&mapping, key, from);
        }
        Err(error) => return Err(error),
    }
    let replaced = open_beacons(&mapping, mapping.status(), key)
        .and_then(|(beacons, lit)| replace_whole(&mapping, &beacons, lit, key));
    match replaced {
        // Its set is spoilt or gone: with the last one who was attached, while this process looked, or alone.
        Err(CortexError::Corrupt { .. } | CortexError::Removed { .. }) => {
            match header(&mapping).state() {
                state::REMOVED => finish_removal(&mapping, key),
                _ => discard(&mapping, key, state::READY),
            }
        }
        result => result,
    }
}

/// [`replace`], of one that is ready and has its set.
///
/// # Errors
/// `Removed` where the set is gone, and what else is left is to be taken away.
fn replace_whole(mapping: &Mapping, beacons: &Beacons, lit: Lit, key: i32) -> CortexResult<()> {
    let busy = |detail| CortexError::Busy { key, detail };
    // Not even closed while somebody takes part: those who attach would have to wait.
    if !is_dark_soon(beacons, lit)? {
        return Err(busy(IN_USE));
    }
    let surroundings = Surroundings::new(mapping, beacons, key);
    if !beacons.claim_gate()? {
        return Err(busy("another process is replacing it"));
    }
    let is_closed = close(&surroundings);
    if !matches!(is_closed, Ok(true)) {
        return both(is_closed.map(drop), surroundings.release_gate());
    }
    // The gate goes with the set.
    both(
        remove_segment(mapping.id(), key),
        remove_set(beacons.set(), key),
    )
}

/// ready → closing → removed, if nobody is attached, or back to ready; the caller holds the gate. `false`
/// where it was removed by somebody else meanwhile.
fn close(surroundings: &Surroundings<'_>) -> CortexResult<bool> {
    for _ in 0..ATTEMPTS {
        if !look_until(LOOKS_WHEN_DARK, || surroundings.is_deserted(), |&it| it)? {
            break;
        }
        match lifecycle::close(header(surroundings.mapping), surroundings)? {
            Closing::Done => return Ok(true),
            Closing::Lost => return Ok(false),
            // Somebody came in between, who may merely look.
            Closing::InUse => {}
        }
    }
    Err(CortexError::Busy {
        key: surroundings.key,
        detail: IN_USE,
    })
}

const IN_USE: &str = "it is in use: somebody is attached";

/// Whether every beacon is out, now or in a moment.
fn is_dark_soon(beacons: &Beacons, lit: Lit) -> CortexResult<bool> {
    let is_dark = |lit: &Lit| lit.iter().all(|&lit| lit == 0);
    let mut known = Some(lit);
    let look = || known.take().map_or_else(|| beacons.all(), Ok);
    let last = look_until(LOOKS, look, is_dark)?;
    Ok(is_dark(&last))
}

/// Looks so often, a moment apart, until it is as wanted; what was seen last.
fn look_until<T, E>(
    looks: u32,
    mut look: impl FnMut() -> Result<T, E>,
    is_wanted: impl Fn(&T) -> bool,
) -> Result<T, E> {
    for _ in 1..looks {
        let seen = look()?;
        if is_wanted(&seen) {
            return Ok(seen);
        }
        address::sleep(PAUSE);
    }
    look()
}

/// What the lifecycle asks of the kernel.
pub(super) struct Surroundings<'a> {
    mapping: &'a Mapping,
    beacons: &'a Beacons,
    key: i32,
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(mapping: &'a Mapping, beacons: &'a Beacons, key: i32) -> Self {
        Self {
            mapping,
            beacons,
            key,
        }
    }
}

impl World for Surroundings<'_> {
    // A set that is gone went with the segment, whose replacer was not dead: the next look at the state says so.

    fn claim_gate(&self) -> CortexResult<bool> {
        match self.beacons.claim_gate() {
            Err(CortexError::Removed { .. }) => Ok(false),
            result => result,
        }
    }

    fn release_gate(&self) -> CortexResult<()> {
        match self.beacons.release_gate() {
            Err(CortexError::Removed { .. }) => Ok(()),
            result => result,
        }
    }

    fn is_deserted(&self) -> CortexResult<bool> {
        let is_dark = self.beacons.all()?.iter().all(|&lit| lit == 0);
        let status = shm::status(self.mapping.id()).attempt("look at", self.key)?;
        Ok(is_dark && status.attached == 1)
    }
}

/// Takes away a segment of ours that is not whole, if nobody else is attached.
fn discard(mapping: &Mapping, key: i32, from: u32) -> CortexResult<()> {
    let status = status_alone(mapping).attempt("look at", key)?;
    if status.attached != 1 {
        let detail = "it is not ready, but somebody is attached and may be making it";
        return Err(CortexError::Busy { key, detail });
    }
    // Before anything is changed: what cannot be looked for would be left.
    let before = orphan(mapping, &status).attempt("look for the semaphores of", key)?;
    if !lifecycle::discard(header(mapping), from) {
        // Its creator came to life again, or another replacer was faster: look again.
        return Ok(());
    }
    let set = look_again(before, mapping, &status);
    // The set goes first: without its way back only the segment's header names it.
    both(
        set.map_or(Ok(()), |orphan| remove_set(orphan.set, key)),
        remove_segment(mapping.id(), key),
    )
}

/// What the kernel says of a segment, as soon as nobody but the caller is attached; somebody who merely looks
/// is for a moment only.
fn status_alone(mapping: &Mapping) -> SysResult<Status> {
    let look = || shm::status(mapping.id());
    look_until(LOOKS_WHEN_DARK, look, |status| status.attached <= 1)
}

/// The semaphore set of a segment that was not finished, or not removed to the end.
struct Orphan {
    set: Set,
    /// Its creator died before it set the way back, so nobody ever claimed anything in it.
    is_blank: bool,
}

/// The semaphore set that the key in a header names, if it is this segment's.
///
/// A peer may have forged the key, to have us remove some other set of ours: so it must have the segment's
/// creator and mode, and its way back or all that a set has whose maker died before it set that.
fn orphan(mapping: &Mapping, status: &Status) -> SysResult<Option<Orphan>> {
    let beacon_key = header(mapping).beacon_key();
    if beacon_key == 0 {
        return Ok(None);
    }
    let look = || -> SysResult<Option<Orphan>> {
        let set = Set::find(beacon_key)?;
        let found = set.status()?;
        if found.creator != status.creator || found.mode != status.mode {
            return Ok(None);
        }
        if segment_of(set)? == Some(mapping.id()) {
            let is_blank = false;
            return Ok(Some(Orphan { set, is_blank }));
        }
        // Without the mark: the key is the proof, with everything else as the creator would have made it.
        let Ok(layout) = header(mapping).read(0, mapping.size()) else {
            return Ok(None);
        };
        let is_blank = Beacons::is_untouched(set, status, layout.shape.participants)?;
        Ok(is_blank.then_some(Orphan { set, is_blank }))
    };
    match look() {
        Err(failure) if errno::is_gone(failure.errno()) => Ok(None),
        result => result,
    }
}

/// What was found before the state said removed, or else what a creator made in between.
fn look_again(before: Option<Orphan>, mapping: &Mapping, status: &Status) -> Option<Orphan> {
    before.or_else(|| orphan(mapping, status).ok().flatten())
}

/// The beacons, where the set can be had; one that is spoilt or gone is no reason to stop.
fn beacons_if_whole(mapping: &Mapping, key: i32) -> CortexResult<Option<Beacons>> {
    match open_beacons(mapping, mapping.status(), key) {
        Err(error @ CortexError::CleanSystem(_)) => Err(error),
        result => Ok(result.ok().map(|(beacons, _)| beacons)),
    }
}

/// Removes whatever cortex has this key, in use or not. Those attached keep their memory.
///
/// # Errors
/// `CleanSystem` (`ENOENT`, `EPERM`), `NotACortex`; `DirtySystem` where it could not be taken away whole.
pub(crate) fn remove(key: i32) -> CortexResult<()> {
    let mapping = open_mapping(key, false)?;
    if header(&mapping).is_blank() {
        return Err(CortexError::NotACortex {
            key,
            detail: "blank: nothing was ever written to it",
        });
    }
    check_right_to_remove(&mapping, key)?;
    // Before anything is changed: what cannot be looked for would be left.
    let beacons = beacons_if_whole(&mapping, key)?;
    let status = match beacons {
        Some(_) => shm::status(mapping.id()),
        None => status_alone(&mapping),
    };
    let status = status.attempt("look at", key)?;
    let before = orphan(&mapping, &status).attempt("look for the semaphores of", key)?;
    mark_removed(&mapping);
    let set = match look_again(before, &mapping, &status) {
        // First: without its way back only the segment's header names it.
        Some(orphan) if beacons.is_none() && (orphan.is_blank || status.attached <= 1) => {
            remove_set(orphan.set, key)
        }
        _ => Ok(()),
    };
    let removed = both(set, remove_segment(mapping.id(), key));
    let dark = beacons.map_or(Ok(()), |beacons| site::remove_if_dark(&beacons, key));
    both(removed, dark)
}

/// The state says removed and the kernel still has the key: its remover died between the two, or is
/// about to do it. Doing it for it is right either way, for it is by id. The set goes too, if nobody is left who
/// would remove it when leaving.
pub(crate) fn finish_removal(mapping: &Mapping, key: i32) -> CortexResult<()> {
    let beacons = beacons_if_whole(mapping, key)?;
    let status = beacons.is_none().then(|| status_alone(mapping));
    let orphan = match status {
        Some(Ok(status)) => orphan(mapping, &status)
            .attempt("look for the semaphores of", key)?
            .filter(|orphan| orphan.is_blank || status.attached == 1),
        _ => None,
    };
    // First: without its way back only the segment's header names it.
    let set = orphan.map_or(Ok(()), |orphan| remove_set(orphan.set, key));
    match shm::remove(mapping.id()) {
        // Not ours to do, nor is the set. Give the remover a moment.
        Err(failure) if matches!(failure.errno(), errno::EPERM | errno::EACCES) => {
            address::sleep(PAUSE);
            match shm::find(key) {
                Ok(id) if id == mapping.id() => Err(CortexError::Removed { key }),
                _ => Ok(()),
            }
        }
        Err(failure) if !errno::is_gone(failure.errno()) => {
            both(Err(failure).attempt("remove", key), set)
        }
        // The set is the last one's to remove: that may be this process.
        _ => {
            let dark = beacons.map_or(Ok(()), |beacons| site::remove_if_dark(&beacons, key));
            both(set, dark)
        }
    }
}

/// Says in the segment that it is removed, whatever its state, and wakes those who wait for change.
pub(crate) fn mark_removed(mapping: &Mapping) {
    let signal = view::signal(mapping);
    lifecycle::mark_removed(header(mapping), signal);
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

#[cfg(all(test, not(loom)))]
mod tests;
