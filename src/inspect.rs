//! What cortexes exist on this machine, what state they are in, which are stale, and taking those away.
//!
//! [`survey`], [`segments`] and [`segment`] look through read-only mappings, claim nothing and disturb
//! nobody; [`reclaim`], [`reclaim_orphans`] and [`remove`] take away. The command `neocortex` stands on
//! this module.

mod look;

use crate::error::{Attempt, CortexError, CortexResult, Leftover};
use crate::participants::{remove_set, segment_of};
use crate::segment::{find, removal};
use crate::sys::sem::Set;
use crate::sys::shm;
use crate::sys::{errno, table, SysResult};
use std::time::SystemTime;

/// What can be seen of a cortex from outside.
///
/// The figures are of about one moment; while others write, not of exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// Its key; 0 once it was removed while somebody is still attached.
    pub key: i32,
    /// The kernel's id of the segment (`ipcrm -m`).
    pub id: i32,
    /// The version of its format.
    pub format: u32,
    /// Bytes in the payload.
    pub size: usize,
    /// Bytes in the whole segment.
    pub total_size: usize,
    /// The payload's alignment.
    pub align: u32,
    /// Payload slots; 1 is the in-place layout.
    pub slots: u32,
    /// Bytes from one payload slot to the next.
    pub slot_stride: usize,
    /// Where the payload slots begin, from the segment's start.
    pub slots_offset: usize,
    /// Where the participants' lines begin.
    pub participants_offset: usize,
    /// The lock's name.
    pub lock: String,
    /// Bytes that the lock keeps in the segment.
    pub lock_size: usize,
    /// The schema; 0 is none.
    pub schema: u64,
    /// The key of its semaphore set.
    pub beacon_key: i32,
    /// The kernel's id of its semaphore set (`ipcrm -s`), as its header says; `None` before it is made.
    pub beacon_id: Option<i32>,
    /// The user who owns it.
    pub owner: u32,
    /// The user who made it.
    pub creator: u32,
    /// Its permission bits.
    pub mode: u32,
    /// Mappings in all processes, observers' among them.
    pub attached: u64,
    /// Participants that live; `None` where its semaphores may not be read or are gone.
    pub alive: Option<u32>,
    /// Participants that died and still hold something: the lock, or a place among its readers. Whoever comes
    /// next passes them. `None` as for `alive`.
    pub dead: Option<u32>,
    /// Participants there is room for.
    pub participants: u32,
    /// Those who live, and the dead that still hold something, by slot.
    pub tenants: Vec<Participant>,
    /// Writes committed since it was created.
    pub commits: u64,
    /// The commit begun last. Another than `commits` while somebody writes, or has died or given up writing.
    pub begun: u64,
    /// Who has the lock, exclusively; `None` where nobody has, or it is a lock of a user's own.
    pub holder: Option<Holder>,
    /// What somebody waits for.
    pub waiting: Waiting,
    /// When it was created.
    pub created: SystemTime,
    /// What may be done with it now.
    pub state: SegmentState,
    /// Whether a write in place was left unfinished (or is going on).
    pub is_poisoned: bool,
    /// Whether it is to stay without anybody attached (`persist`): nobody was to remove it, so nobody died
    /// who was.
    pub is_persistent: bool,
    /// Whether [`reclaim`] would take it away: nobody is attached, and no participant lives.
    pub is_stale: bool,
}

/// Who has a built-in lock: for writing, or for a guard of a lock that reads exclusively.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Its participant slot.
    pub slot: u32,
    /// The how-many-eth tenant of that slot.
    pub generation: u32,
    /// Whether it lives. A dead holder is passed by whoever takes the lock next. `None` where the semaphores
    /// may not be read, or it was leaving at this very moment.
    pub is_alive: Option<bool>,
}

/// A participant: a handle attached for reading and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// Its slot.
    pub slot: u32,
    /// The how-many-eth tenant of that slot.
    pub generation: u32,
    /// Read guards that it holds, with `RwLock`.
    pub readers: u32,
    /// Whether it lives; `None` where its semaphores may not be read or are gone.
    pub is_alive: Option<bool>,
}

/// What somebody waits for. These are flags in the segment, set by who waits and cleared by who wakes:
/// each says that somebody has waited since the last wake, and may have given up or died since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// Somebody sleeps until the lock is free.
    pub for_lock: bool,
    /// Somebody sleeps until the next commit (`wait_changed`).
    pub for_change: bool,
    /// A reader whom writers overtook asks them to pause.
    pub for_pause: bool,
    /// Readers that wait for a writer of an `RwLock`.
    pub readers: u32,
}

/// The state of a segment's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SegmentState {
    /// Its creator is at work, or died.
    Initialising,
    /// In use.
    Ready,
    /// Somebody is looking whether it can be replaced.
    Closing,
    /// Taken away; it exists until the last one detaches.
    Removed,
}

/// A segment in the kernel's table.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// Its key.
    pub key: i32,
    /// The kernel's id of it.
    pub id: i32,
    /// Mappings in all processes; `None` where this user may not ask.
    pub attached: Option<u64>,
    /// What it is: a cortex; or `NotACortex`; or one that is not whole (`NotReady`, `Corrupt`) or of another
    /// version (`Format`); or not for this user to read (`CleanSystem`, `EACCES`).
    pub cortex: CortexResult<SegmentInfo>,
}

/// Every segment on this machine (in this IPC namespace), whoever made it.
///
/// # Errors
/// `Unsupported` where the system does not tell which segments exist (Linux does, in `/proc/sysvipc/shm`;
/// elsewhere `ipcs -m` is asked); `CleanSystem` where it could not be asked.
pub fn survey() -> CortexResult<Vec<Found>> {
    let ids = match table::segments() {
        Err(failure) if failure.errno() == errno::ENOENT => {
            return Err(CortexError::Unsupported {
                key: 0,
                detail: table::HINT,
            })
        }
        result => result.attempt_without_key("list the segments")?,
    };
    let find = |(key, id)| {
        let status = shm::status(id).attempt("look at", key);
        Found {
            key,
            id,
            attached: status.as_ref().ok().map(|status| status.attached),
            cortex: status.and_then(|status| look::look(key, id, &status)),
        }
    };
    let is_there = |found: &Found| {
        found
            .cortex
            .as_ref()
            .err()
            .is_none_or(|error| !is_gone(error))
    };
    Ok(ids.into_iter().map(find).filter(is_there).collect())
}

/// Whether it says that the object is not there any more.
fn is_gone(error: &CortexError) -> bool {
    let number = error.system().and_then(|failure| failure.raw_os_error());
    number.is_some_and(errno::is_gone)
}

/// Every cortex on this machine (in this IPC namespace) that this user may read: [`survey`] without what
/// is not a cortex, not whole, or not for this user.
///
/// # Errors
/// As [`survey`]; `CleanSystem` where one could not be looked at for another reason.
pub fn segments() -> CortexResult<Vec<SegmentInfo>> {
    let mut all = Vec::new();
    for found in survey()? {
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

/// Looks at the cortex with this key, in whatever state it is, and disturbs nobody. Needs read permission.
///
/// # Errors
/// `CleanSystem` (`ENOENT`, `EACCES`), `NotACortex`, `NotReady` at once where its header is not written
/// yet, `Format`, `Corrupt`.
pub fn segment(key: i32) -> CortexResult<SegmentInfo> {
    find::check_key(key)?;
    for attempt in 1.. {
        let id = shm::find(key).attempt("look at", key)?;
        let status = shm::status(id).attempt("look at", key);
        match status.and_then(|status| look::look(key, id, &status)) {
            // Removed between the two calls: the key tells what is there now.
            Err(error) if is_gone(&error) && attempt < find::ATTEMPTS => continue,
            result => return result,
        }
    }
    unreachable!("the last attempt returns")
}

/// Takes away the stale cortex with this key: one that nobody is attached to, with its semaphores;
/// and the [`orphans`]. Nothing happens where there is nothing.
///
/// # Errors
/// `Busy` where somebody is attached; `NotACortex`; `CleanSystem` (`EPERM`); `DirtySystem` where not all of
/// it could be taken away.
pub fn reclaim(key: i32) -> CortexResult<()> {
    removal::replace(key)?;
    let orphans =
        sets_without_segment().attempt("look for semaphores without a segment, after", key)?;
    remove_orphans(orphans, |set| remove_set(set, key)).map(drop)
}

/// The ids of the semaphore sets of ours whose segment does not exist any more, as far as this user may
/// look: what the last process of a removed segment left when it was killed. None where the system does
/// not tell.
///
/// # Errors
/// `CleanSystem`.
pub fn orphans() -> CortexResult<Vec<i32>> {
    let sets =
        sets_without_segment().attempt_without_key("look for semaphores without a segment")?;
    Ok(sets.into_iter().map(Set::id).collect())
}

/// Takes away the [`orphans`] that this user may, and says which those were. Another user's set is another
/// user's to reclaim.
///
/// # Errors
/// `CleanSystem`; `DirtySystem`, which names the set that could not be taken away.
pub fn reclaim_orphans() -> CortexResult<Vec<i32>> {
    let sets =
        sets_without_segment().attempt_without_key("look for semaphores without a segment")?;
    remove_orphans(sets, |set| match set.remove() {
        Err(failure) if !errno::is_gone(failure.errno()) => Err(failure)
            .attempt_without_key("remove semaphores without a segment")
            .map_err(|error| error.leaving(Leftover::Semaphores(set.id()))),
        _ => Ok(()),
    })
}

fn remove_orphans(
    sets: Vec<Set>,
    remove: impl Fn(Set) -> CortexResult<()>,
) -> CortexResult<Vec<i32>> {
    let mut removed = Vec::new();
    for set in sets {
        match remove(set) {
            Ok(()) => removed.push(set.id()),
            Err(error) if error.is_errno(errno::EPERM) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

fn sets_without_segment() -> SysResult<Vec<Set>> {
    let sets = match table::semaphore_sets() {
        // A system that does not tell.
        Err(failure) if failure.errno() == errno::ENOENT => return Ok(Vec::new()),
        result => result?,
    };
    let mut orphans = Vec::new();
    for set in sets.into_iter().map(Set::from_id) {
        match is_orphan(set) {
            Ok(true) => orphans.push(set),
            Ok(false) => {}
            // Gone meanwhile, or not for this user.
            Err(failure) if errno::is_gone(failure.errno()) => {}
            Err(failure) if failure.errno() == errno::EACCES => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(orphans)
}

/// Whether a set is ours, and its segment gone for certain, not merely closed to this user.
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

/// Removes the cortex with this key, in use or not. Those attached keep their memory and go on
/// sharing it; nobody else can attach.
///
/// # Errors
/// `CleanSystem` (`ENOENT`, `EPERM`), `NotACortex`; `DirtySystem` where not all of it could be taken away.
pub fn remove(key: i32) -> CortexResult<()> {
    removal::remove(key)
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
