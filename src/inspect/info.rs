//! What can be seen of a cortex from outside: figures, participants, holder, state.

use std::time::{Duration, SystemTime};

/// A snapshot of a cortex, taken from outside.
///
/// The figures are of about one moment; while other processes write, they are not of exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SegmentInfo {
    /// Its key; 0 once it was removed while a process is still attached.
    pub key: i32,
    /// The name that it was created under; empty where it was created by number. It is kept when the key is gone.
    pub name: String,
    /// The kernel's id of the segment (`ipcrm -m`).
    pub id: i32,
    /// The version of its format.
    pub format: u32,
    /// Bytes in the payload; in the longest record, where it holds records.
    pub size: usize,
    /// Whether it holds records of any length ([`Segment::push`](crate::Segment::push)).
    pub has_records: bool,
    /// Whether writers wait for followers that registered ([`Segment::follow_registered`](crate::Segment::follow_registered)).
    pub is_lossless: bool,
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
    /// How many participants live; `None` where this user may not read its semaphores, or they are gone.
    pub alive: Option<u32>,
    /// How many participants died and still hold something: the lock, or a place among its readers. The next process
    /// that needs it takes over from them. `None` as for `alive`.
    pub dead: Option<u32>,
    /// How many participants can be attached.
    pub participants: u32,
    /// The participants that live, and the dead ones that still hold something, by slot.
    pub tenants: Vec<Participant>,
    /// Writes committed since it was created.
    pub commits: u64,
    /// The commit begun last. It differs from `commits` while a process writes, or after a writer has died or given up.
    pub begun: u64,
    /// The participant that has the lock, exclusively; `None` where none has it, or where it is a lock of a user's own.
    pub holder: Option<Holder>,
    /// What processes wait for.
    pub waiting: Waiting,
    /// When it was created.
    pub created: SystemTime,
    /// What may be done with it now.
    pub state: SegmentState,
    /// Whether a write in place was left unfinished (or is going on).
    pub is_poisoned: bool,
    /// Whether its semaphore set is gone though the segment was not removed (`ipcrm -s`), or is not its own. Its living
    /// participants cannot be known then, no process can attach, and an attached process waits in vain for a lock whose
    /// holder has died. [`reclaim`](super::reclaim) takes the cortex away once no process is attached.
    pub has_lost_semaphores: bool,
    /// Whether it is to stay with no process attached (`persist`). No process was to remove it, so none that was to has
    /// died.
    pub is_persistent: bool,
    /// Whether it is stale, and [`reclaim`](super::reclaim) takes it away: no participant lives, and it was not made to stay; or its
    /// creator died before it was ready. A process that merely observes does not count, and keeps its memory.
    pub is_stale: bool,
}

/// The participant that has a built-in lock: for writing, or for a guard of a lock that reads exclusively.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Holder {
    /// Its participant slot.
    pub slot: u32,
    /// The how-many-eth tenant of that slot.
    pub generation: u32,
    /// Whether it lives. The next process that takes the lock takes over from a dead holder. `None` where this user may
    /// not read the semaphores, or where the holder was leaving at this very moment.
    pub is_alive: Option<bool>,
}

/// A participant: a handle attached for reading and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Participant {
    /// Its slot.
    pub slot: u32,
    /// The how-many-eth tenant of that slot.
    pub generation: u32,
    /// How many read guards it holds, with `RwLock`.
    pub readers: u32,
    /// Whether it lives; `None` where this user may not read the semaphores, or they are gone.
    pub is_alive: Option<bool>,
}

/// What processes wait for. These are flags in the segment, which a waiter sets and the process that wakes it clears:
/// each says that a process has waited since the last wake, which may have given up or died since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Waiting {
    /// A process sleeps until the lock is free.
    pub for_lock: bool,
    /// A process sleeps until the next commit (`wait_changed`).
    pub for_change: bool,
    /// A reader that writers overtook asks them to pause.
    pub for_pause: bool,
    /// A writer sleeps until a registered follower has read ([`Segment::follow_registered`](crate::Segment::follow_registered)).
    pub for_room: bool,
    /// How many readers wait for a writer of an `RwLock`.
    pub readers: u32,
}

/// The state of a segment's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum SegmentState {
    /// Its creator is at work, or has died.
    Initialising,
    /// In use.
    Ready,
    /// A process is looking whether it can be replaced.
    Closing,
    /// It was taken away, and exists until the last process detaches.
    Removed,
}

/// Returns a time that the kernel tells in seconds.
pub(super) fn time(second: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(second))
}
