//! Replacing a stale cortex.
//!
//! **Stale**, in every surface, is a cortex in which no participant lives and which was not made to stay (`persist`),
//! or one that was never finished and whose creator is gone. A process that is merely attached, to observe or to list,
//! keeps its memory and prevents no process from replacing the cortex.
//!
//! **Replacing.** The replacer holds the gate, goes ready → closing, and looks at the beacons. If one is lit, it goes
//! back to ready ([`crate::protocol::lifecycle`]). Closing lasts for that look alone, because processes that attach
//! wait for its end. If the replacer dies in closing, the next process to come takes the gate and goes back to ready.
//!
//! **Waiting.** A dying process has its beacon until the kernel has freed its memory, which takes a while where that is
//! large. So a replacer looks again until its time is over, and is not attached in between.

use super::find::{check_name_in, open_mapping, Pauses, Silence, CREATOR_GONE};
use super::presence::{creator, find_beacons, observe, reopen_if_abandoned, Surroundings};
use super::removal::{check_right_to_remove, check_right_to_remove_set, discard, finish_removal};
use super::SegmentOptions;
use crate::attachment::mapped_segment::header;
use crate::attachment::patience::Wait;
use crate::attachment::remove_segment;
use crate::error::busy::{IN_USE, KEPT};
use crate::error::{both, Attempt, Cause};
use crate::key::Wanted;
use crate::protocol::beacons::{remove_set, BeaconValues, Beacons};
use crate::protocol::format::state;
use crate::protocol::lifecycle::{self, Closing, Creator, GateKeeper, Look};
use crate::sys::errno;
use crate::sys::shm::{self, Mapped, Mapping};
use std::time::Duration;

/// How long a call without a time-out waits for a key that is in use; otherwise it would wait until another program's
/// service ends. It is as long as the kernel takes for about 16 GiB of a dead owner's memory.
const IN_USE_PATIENCE: Duration = Duration::from_secs(1);

/// Returns the wait of a call that is to replace or adopt a cortex.
pub(crate) fn patience(timeout: Option<Duration>) -> Wait {
    Wait::lasting(Some(timeout.unwrap_or(IN_USE_PATIENCE)))
}

/// Returns whether the wait is over.
pub(super) fn is_over(wait: Wait) -> bool {
    wait.left() == Some(Duration::ZERO)
}

/// The result of one look at the segment that has the key.
enum Outcome {
    /// The segment does not have the key any more.
    Done,
    /// It is in use, and may cease to be.
    InUse(Cause),
    /// It will soon be known whether its creator, or its replacer, lives.
    Unknown,
}

/// Takes the stale cortex with this key away.
///
/// # Errors
/// `Busy` where it stays in use for all the time given, or was made to stay; `Name`; `NotACortex`; `CleanSystem`
/// (`EPERM`); `DirtySystem` where the segment is gone and its semaphore set is not; `Interrupted`.
pub(crate) fn replace(
    wanted: Wanted<'_>,
    wait: Wait,
    options: &SegmentOptions,
) -> Result<(), Cause> {
    let (mut silence, mut pauses) = (Silence::new(), Pauses::new(options));
    loop {
        match attempt(wanted, &mut silence)? {
            Outcome::Done => return Ok(()),
            Outcome::InUse(cause) if is_over(wait) => return Err(cause),
            // It is waited for whatever the time-out, also by a call that never waits: it lasts half a second at most, and
            // then the segment is taken away. The silence is measured within one call, so that calls which ended earlier
            // would never take it away, however often they are repeated.
            Outcome::InUse(_) | Outcome::Unknown => {}
        }
        pauses.sleep()?;
    }
}

/// Takes a stale cortex away, for a call that attaches to any other one. Everything else is left as it is, including
/// what this user may not remove.
///
/// # Errors
/// As [`replace`], except `Busy` and `EPERM`.
pub(super) fn replace_if_stale(wanted: Wanted<'_>, options: &SegmentOptions) -> Result<(), Cause> {
    let (mut silence, mut pauses) = (Silence::new(), Pauses::new(options));
    loop {
        match attempt(wanted, &mut silence) {
            // It is waited for half a second at most. A segment whose replacer has died is ready now.
            Ok(Outcome::Unknown) => pauses.sleep()?,
            Ok(_) | Err(Cause::Busy(_)) => return Ok(()),
            Err(cause) if cause.is_not_permitted() => return Ok(()),
            Err(cause) => return Err(cause),
        }
    }
}

fn attempt(wanted: Wanted<'_>, silence: &mut Silence) -> Result<Outcome, Cause> {
    let key = wanted.number;
    let mapping: Mapping = match open_mapping(key) {
        Err(cause) if cause.is_errno(errno::ENOENT) => return Ok(Outcome::Done),
        result => result?,
    };
    check_name_in(&mapping, wanted)?;
    check_right_to_remove(&mapping)?;
    let from = match observe(&mapping)? {
        Look::Removed => return finish_removal(&mapping, key).map(|()| Outcome::Done),
        Look::Ready => return replace_ready(&mapping, key),
        Look::Closing => {
            reopen_if_abandoned(&mapping, key)?;
            state::CLOSING
        }
        _ => state::INITIALISING,
    };
    if from == state::INITIALISING {
        match creator(&mapping) {
            Creator::Lives => {
                silence.of(mapping.id(), true);
                return Ok(in_use("its creator is at work"));
            }
            Creator::Died => return discard(&mapping, from).map(|()| Outcome::Done),
            Creator::Unknown => {}
        }
    }
    if silence.of(mapping.id(), false) < CREATOR_GONE {
        return Ok(Outcome::Unknown);
    }
    if from == state::CLOSING {
        // No process could reopen it: its replacer died, and its set cannot be opened.
        return discard_spoilt(&mapping, from);
    }
    discard(&mapping, from).map(|()| Outcome::Done)
}

fn in_use(detail: &'static str) -> Outcome {
    Outcome::InUse(Cause::Busy(detail))
}

fn replace_ready(mapping: &Mapping, key: i32) -> Result<Outcome, Cause> {
    let replaced =
        find_beacons(mapping).and_then(|(beacons, lit)| replace_whole(mapping, &beacons, &lit));
    match replaced {
        // Its set is spoilt or gone: it was removed with the last participant, while this process looked, or alone.
        Err(Cause::Corrupt(_) | Cause::Removed) => match header(mapping).state() {
            state::REMOVED => finish_removal(mapping, key).map(|()| Outcome::Done),
            _ => discard_spoilt(mapping, state::READY),
        },
        result => result,
    }
}

/// [`replace`], of one that is ready and has its set.
///
/// # Errors
/// `Removed` where the set is gone, and the caller is to take away what else is left.
fn replace_whole(
    mapping: &Mapping,
    beacons: &Beacons,
    lit: &BeaconValues,
) -> Result<Outcome, Cause> {
    // It is not even closed while a process takes part, because processes that attach would have to wait.
    if lit.iter().any(|&lit| lit != 0) {
        return Ok(in_use(IN_USE));
    }
    if header(mapping).is_persistent() {
        return Err(Cause::Busy(KEPT));
    }
    check_right_to_remove_set(beacons.set())?;
    let surroundings = Surroundings::new(beacons);
    if !beacons.claim_gate()? {
        return Ok(in_use("another process is replacing it"));
    }
    let closing = lifecycle::close(header(mapping), &surroundings);
    if matches!(closing, Ok(Closing::Done)) {
        // Removing the set removes the gate too.
        return both(remove_segment(mapping.id()), remove_set(beacons.set()))
            .map(|()| Outcome::Done);
    }
    let opened = surroundings.release_gate();
    match closing {
        Ok(Closing::InUse) => opened.map(|()| in_use(IN_USE)),
        Ok(Closing::Kept) => Err(Cause::Busy(KEPT).after(opened)),
        // It was removed meanwhile.
        Ok(Closing::Lost | Closing::Done) => opened.map(|()| Outcome::Done),
        Err(cause) => Err(cause.after(opened)),
    }
}

/// Takes away a cortex whose set is spoilt or gone, so that its participants cannot be known, if no process is attached
/// to it.
fn discard_spoilt(mapping: &Mapping, from: u32) -> Result<Outcome, Cause> {
    if header(mapping).is_persistent() {
        return Err(Cause::Busy(KEPT));
    }
    let status = shm::status(mapping.id()).attempt("look at")?;
    if status.attached > 1 {
        let detail = "its semaphores are gone, so that nobody can say who takes part, and a process is attached";
        return Ok(in_use(detail));
    }
    discard(mapping, from).map(|()| Outcome::Done)
}

#[cfg(all(test, not(loom)))]
mod tests;
