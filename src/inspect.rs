//! What cortexes exist on this machine, which of them are stale, and taking those away.
//!
//! [`segments`] looks through read-only mappings and disturbs nobody; [`reclaim`] and [`remove`] take
//! away.

use crate::error::{CortexError, CortexResult};
use crate::format::{self, state};
use crate::participants::{segment_of, Beacons};
use crate::segment::{find, removal};
use crate::site::{header, View};
use crate::sys::shm::{self, Mapping, Status};
use crate::sys::table;
use std::time::{Duration, SystemTime};

/// What can be seen of a cortex from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// Its key; 0 once it was removed while somebody is still attached.
    pub key: i32,
    /// The kernel's id of the segment (`ipcrm -m`).
    pub id: i32,
    /// Bytes in the payload.
    pub size: usize,
    /// Bytes in the whole segment.
    pub total_size: usize,
    /// The payload's alignment.
    pub align: u32,
    /// Payload slots; 1 is the in-place layout.
    pub slots: u32,
    /// The lock's name.
    pub lock: String,
    /// The schema; 0 is none.
    pub schema: u64,
    /// The user who owns it.
    pub owner: u32,
    /// Its permission bits.
    pub mode: u32,
    /// Mappings in all processes.
    pub attached: u64,
    /// Participants that live; `None` where its semaphores may not be read or are gone.
    pub alive: Option<u32>,
    /// Participants there is room for.
    pub participants: u32,
    /// Writes committed since it was created.
    pub commits: u64,
    /// When it was created.
    pub created: SystemTime,
    /// What may be done with it now.
    pub state: SegmentState,
    /// Whether a write in place was left unfinished (or is going on).
    pub is_poisoned: bool,
    /// Whether nobody is attached, so that [`reclaim`] would take it away.
    pub is_stale: bool,
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

/// Every cortex on this machine (in this IPC namespace) that this user may read.
///
/// Segments that are not cortexes are left out, and so are those that this user may not read.
///
/// # Errors
/// `Unsupported` where the system does not tell which segments exist (Linux does, in
/// `/proc/sysvipc/shm`).
pub fn segments() -> CortexResult<Vec<SegmentInfo>> {
    let ids = table::segments().map_err(|_| CortexError::Unsupported {
        key: 0,
        detail: "this system does not list its segments in /proc/sysvipc/shm",
    })?;
    Ok(ids
        .into_iter()
        .filter_map(|(key, id)| look(key, id))
        .collect())
}

/// Looks at one segment; `None` where it is not a cortex, or gone, or not for this user.
fn look(key: i32, id: i32) -> Option<SegmentInfo> {
    // Before this process is counted as attached itself.
    let status = shm::status(id).ok()?;
    if status.size < format::LOCK_OFFSET {
        return None;
    }
    let mapping = Mapping::attach(id, true).ok()?;
    if !header(&mapping).has_magic() {
        return None;
    }
    let layout = header(&mapping).read(key, mapping.size()).ok()?;
    let alive = alive(&mapping, &status, layout.shape.participants);
    let view = View {
        mapping,
        layout,
        key,
    };
    let (header, shape) = (view.header(), &view.layout.shape);
    Some(SegmentInfo {
        key,
        id,
        size: shape.size,
        total_size: view.layout.total_size,
        align: shape.align,
        slots: shape.slots,
        lock: shape.lock_name.clone(),
        schema: shape.schema,
        owner: status.owner,
        mode: status.mode,
        attached: status.attached,
        alive,
        participants: shape.participants,
        commits: view.ledger().committed(),
        created: SystemTime::UNIX_EPOCH + Duration::from_secs(header.created()),
        state: match header.state() {
            state::INITIALISING => SegmentState::Initialising,
            state::READY => SegmentState::Ready,
            state::CLOSING => SegmentState::Closing,
            _ => SegmentState::Removed,
        },
        is_poisoned: view.layout.is_in_place() && view.ledger().is_unfinished(),
        is_stale: status.attached == 0,
    })
}

fn alive(mapping: &Mapping, status: &Status, limit: u32) -> Option<u32> {
    let set_id = header(mapping).beacon_id()?;
    let beacons = Beacons::open(0, set_id, status, mapping.id(), limit).ok()?;
    let alive = beacons
        .all()
        .ok()?
        .into_iter()
        .filter(|&lit| lit != 0)
        .count();
    Some(alive as u32)
}

/// Takes away the stale cortex with this key: one that nobody is attached to, with its semaphores;
/// and the semaphore sets of ours whose segment does not exist any more (those that the last process
/// of a removed segment left when it was killed). Nothing happens where there is nothing.
///
/// # Errors
/// `Busy` where somebody is attached; `NotACortex`; `CleanSystem` (`EPERM`); `DirtySystem`.
pub fn reclaim(key: i32) -> CortexResult<()> {
    removal::replace(key)?;
    for set in table::semaphore_sets().unwrap_or_default() {
        let set = crate::sys::sem::Set::from_id(set);
        let Ok(Some(segment_id)) = segment_of(set) else {
            continue;
        };
        // Only where the segment is gone for certain, not merely closed to this user.
        let is_orphan = matches!(
            shm::status(segment_id),
            Err(failure) if find::is_gone(failure.errno())
        );
        if is_orphan {
            // Another user's set is another user's to reclaim.
            let _ = set.remove();
        }
    }
    Ok(())
}

/// Removes the cortex with this key, in use or not. Those attached keep their memory and go on
/// sharing it; nobody else can attach.
///
/// # Errors
/// `CleanSystem` (`ENOENT`, `EPERM`), `NotACortex`.
pub fn remove(key: i32) -> CortexResult<()> {
    removal::remove(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CortexBuilder, RwLock};

    #[test]
    #[cfg(target_os = "linux")]
    fn segments_lists_ours_with_its_figures() {
        let cortex = CortexBuilder::new([0_u64; 4])
            .random_key()
            .schema(9)
            .participants(5)
            .with_default_lock::<RwLock>()
            .unwrap();
        cortex.write([1; 4]).unwrap();
        let all = segments().unwrap();
        let info = all
            .iter()
            .find(|info| info.key == cortex.key())
            .expect("listed");
        assert_eq!(
            (info.size, info.slots, info.schema, info.mode),
            (32, 2, 9, 0o600)
        );
        assert_eq!(
            (info.lock.as_str(), info.alive, info.participants),
            ("rwlock", Some(1), 5)
        );
        assert_eq!(
            (info.commits, info.state, info.is_stale),
            (1, SegmentState::Ready, false)
        );
        let key = cortex.key();
        drop(cortex);
        assert!(segments().unwrap().iter().all(|info| info.key != key));
    }
}
