//! Which cortexes exist on this machine, what state they are in, which are stale, and how to remove those.
//!
//! [`survey`], [`segments`] and [`segment`] look through read-only mappings, claim nothing and disturb no process;
//! [`people`] and [`holders`] say which processes are behind what they saw; [`reclaim`], [`reclaim_orphans`] and
//! [`remove`] take away. The command `neocortex` is made of this module.
//!
//! With the feature `serde` what these functions return can be serialised.

mod info;
mod orphans;
mod people;
mod snapshot;

pub use info::{Holder, Participant, SegmentInfo, SegmentState, Waiting};
pub use orphans::{orphan_sets, orphans, reclaim_orphan, reclaim_orphans, Orphan};
pub use people::{
    holders, people, Onlooker, People, Process, SlotProcess, Untold, Waiter, WaitsFor, Who,
};

use crate::error::{Attempt, Cause, CortexError, CortexResult, Told};
use crate::key::{Key, Wanted};
use crate::protocol::beacons::remove_set;
use crate::segment::{find, removal, replace, SegmentOptions};
use crate::sys::shm;
use crate::sys::{errno, memory, table};
use info::time;
use orphans::{remove_orphans, sets_without_segment};
use std::time::SystemTime;

/// A segment in the kernel's table.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Found {
    /// Its key.
    pub key: i32,
    /// The kernel's id of it.
    pub id: i32,
    /// How many mappings there are in all processes; `None` where this user may not ask.
    pub attached: Option<u64>,
    /// The user who owns it; `None` as above.
    pub owner: Option<u32>,
    /// When it was made, or when its owner or mode was changed, as the kernel says; `None` as above.
    pub changed: Option<SystemTime>,
    /// What it is: a cortex; or `NotACortex`; or one that is not whole (`NotReady`, `Corrupt`) or of another
    /// version (`Format`); or not for this user to read (`CleanSystem`, `EACCES`).
    ///
    /// With serde it is `{"Ok": …}`, or `{"Err": "the message"}`.
    #[cfg_attr(feature = "serde", serde(serialize_with = "message_of_error"))]
    pub cortex: CortexResult<SegmentInfo>,
}

#[cfg(feature = "serde")]
fn message_of_error<S: serde::Serializer>(
    cortex: &CortexResult<SegmentInfo>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&cortex.as_ref().map_err(ToString::to_string), serializer)
}

/// Returns every segment on this machine (in this IPC namespace), whichever program made it.
///
/// # Errors
/// `Unsupported` where the system does not tell which segments exist (Linux does, in `/proc/sysvipc/shm`;
/// elsewhere `ipcs -m` is asked); `CleanSystem` where it could not be asked.
pub fn survey() -> CortexResult<Vec<Found>> {
    let ids = match table::segments() {
        Err(failure) if failure.errno() == errno::ENOENT => {
            return Err(Cause::Unsupported(table::HINT).on_no_key())
        }
        result => result.attempt("list the segments").on_no_key()?,
    };
    let find = |table::Row { key, id, .. }| {
        let status = shm::status(id).attempt("look at");
        let known = status.as_ref().ok();
        Found {
            key,
            id,
            attached: known.map(|status| status.attached),
            owner: known.map(|status| status.owner),
            changed: known.and_then(|status| time(status.changed)),
            cortex: status
                .and_then(|status| snapshot::look(key, id, &status))
                .on(key),
        }
    };
    let is_there = |found: &Found| {
        found
            .cortex
            .as_ref()
            .err()
            .is_none_or(|error| !is_gone(error))
    };
    let count = ids.len();
    let found = ids.into_iter().map(find).filter(is_there);
    memory::gather(count, found)
        .attempt("list the segments")
        .on_no_key()
}

/// Returns whether the error says that the object is not there any more.
fn is_gone(error: &CortexError) -> bool {
    let number = error.system().and_then(|failure| failure.raw_os_error());
    number.is_some_and(errno::is_gone)
}

/// Returns every cortex on this machine (in this IPC namespace) that this user may read: the [`survey`] without
/// segments that are no cortex, are not whole, or are closed to this user.
///
/// # Errors
/// As [`survey`]; `CleanSystem` where one could not be looked at for another reason.
pub fn segments() -> CortexResult<Vec<SegmentInfo>> {
    let mut all = Vec::new();
    let found = survey()?;
    all.try_reserve_exact(found.len())
        .map_err(|_| memory::none())
        .attempt("list the segments")
        .on_no_key()?;
    for found in found {
        match found.cortex {
            Ok(info) => all.push(info),
            Err(error) if error.system().is_some() && !error.is_errno(errno::EACCES) => {
                return Err(error)
            }
            Err(_) => {}
        }
    }
    Ok(all)
}

/// Returns what can be seen of the cortex with this key, in whatever state it is, and disturbs no process. It needs
/// read permission.
///
/// # Errors
/// `CleanSystem` (`ENOENT`, `EACCES`), `NotACortex`, `NotReady` at once where its header is not written
/// yet, `Format`, `Name`, `Corrupt`, `InvalidArgument` (what is no name).
pub fn segment(key: impl Into<Key>) -> CortexResult<SegmentInfo> {
    let key = key.into();
    let wanted = key.wanted()?;
    let key = wanted.number;
    find::check_key(key).on(key)?;
    for attempt in 1.. {
        let id = shm::find(key).attempt("look at").on(key)?;
        let status = shm::status(id).attempt("look at");
        let look = status.and_then(|status| snapshot::look(key, id, &status));
        match look.on(key) {
            // It was removed between the two calls: the key is looked up again.
            Err(error) if is_gone(&error) && attempt < find::ATTEMPTS => continue,
            result => {
                let info = result?;
                wanted.check(&info.name)?;
                return Ok(info);
            }
        }
    }
    unreachable!("the last attempt returns")
}

/// Removes the stale cortex with this key and its semaphores, and the [`orphans`]. It does nothing where no segment has
/// the key.
///
/// A cortex is stale if no participant lives in it and it was not made to stay, or if it was never finished. A process
/// that observes it keeps its memory. A dying participant counts as living until the kernel has freed its memory; the
/// call waits for that, up to a second.
///
/// # Errors
/// `Busy` where a participant lives, or it was made to stay ([`remove`] takes that away); `Name`; `NotACortex`; `CleanSystem`
/// (`EPERM`); `DirtySystem` where not all of it could be taken away.
pub fn reclaim(key: impl Into<Key>) -> CortexResult<()> {
    let key = key.into();
    let wanted = key.wanted()?;
    replace(wanted)?;
    sets_without_segment()
        .attempt("look for semaphores without a segment, after")
        .and_then(|orphans| remove_orphans(orphans, remove_set))
        .map(drop)
        .on(wanted.number)
}

/// Removes the stale cortex with this key and its semaphores, and nothing else: [`reclaim`] without the [`orphans`],
/// which may belong to other users.
///
/// # Errors
/// As [`reclaim`].
pub fn reclaim_alone(key: impl Into<Key>) -> CortexResult<()> {
    replace(key.into().wanted()?)
}

fn replace(wanted: Wanted<'_>) -> CortexResult<()> {
    let options = SegmentOptions::new();
    replace::replace(wanted, replace::patience(None), &options)
        .map_err(|cause| cause.of_trying_to("reclaim"))
        .on(wanted.number)
}

/// Removes the cortex with this key, in use or not. Attached processes keep their memory and go on sharing it; no other
/// process can attach.
///
/// # Errors
/// `CleanSystem` (`ENOENT`, `EPERM`), `Name` (the key of this name is another name's), `NotACortex`; `DirtySystem`
/// where not all of it could be taken away; `InvalidArgument` (what is no name).
pub fn remove(key: impl Into<Key>) -> CortexResult<()> {
    let key = key.into();
    let wanted = key.wanted()?;
    removal::remove(wanted)
        .map_err(|cause| cause.of_trying_to("remove"))
        .on(wanted.number)
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
