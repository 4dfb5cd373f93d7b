//! The sources of [`super`]: the process numbers that the kernel has, and the processes that have them.

use super::who::{untold, Process, Untold, WaitsFor, Who};
use crate::inspect::info::{Participant, SegmentInfo};
use crate::inspect::snapshot;
use crate::protocol::beacons::Beacons;
use crate::protocol::format;
use crate::sys::{proc, shm};
use std::collections::HashMap;

/// What the kernel knows of a participant: the number of its process and whether it is alive, or why there is none.
pub(super) type Number = Result<(i32, bool), Untold>;

/// Returns the number of the process behind each of these participants of a cortex, and how many mappings of the cortex
/// there are.
///
/// The number is asked for between two looks: it is the tenant's that both saw alive in the slot. (A process that
/// claims the slot after that tenant's death is the tenant only a moment later, when it raises the generation. In
/// that moment it is taken for its predecessor.)
pub(super) fn numbers(info: &SegmentInfo, participants: &[Participant]) -> (Vec<Number>, u64) {
    let nothing = |why| vec![Err(why); participants.len()];
    let Ok(status) = shm::status(info.id) else {
        return (nothing(Untold::Left), info.attached);
    };
    let Some(beacons) = beacons(info, &status) else {
        return (nothing(Untold::NoSemaphores), status.attached);
    };
    let asked: Vec<_> = participants
        .iter()
        .map(|one| beacons.last_process(one.slot))
        .collect();
    let again = snapshot::look(info.key, info.id, &status);
    let is_still_there = |one: &Participant| {
        let mut tenants = again.iter().flat_map(|again| &again.tenants);
        tenants.any(|other| {
            (one.slot, one.generation, one.is_alive)
                == (other.slot, other.generation, other.is_alive)
        })
    };
    let number = |(one, asked): (&Participant, _)| match (asked, one.is_alive) {
        (Ok(pid), Some(is_alive)) if is_still_there(one) => Ok((pid, is_alive)),
        (Ok(_), Some(_)) => Err(Untold::Left),
        _ => Err(Untold::NoSemaphores),
    };
    let numbers = participants.iter().zip(asked).map(number).collect();
    (numbers, status.attached)
}

/// Returns the semaphores of a cortex, if they are known to be its own.
fn beacons(info: &SegmentInfo, status: &shm::Status) -> Option<Beacons> {
    let set = info.beacon_id?;
    let (beacons, _) = Beacons::open(set, status, info.id, info.participants).ok()?;
    Some(beacons)
}

/// The processes that were looked at so far.
pub(super) struct Known {
    is_told: bool,
    processes: HashMap<i32, proc::Seen>,
}

impl Known {
    pub(super) fn new() -> Self {
        Self {
            is_told: proc::is_told(),
            processes: HashMap::new(),
        }
    }

    /// Returns the numbers of all processes, where they can be looked at.
    pub(super) fn everyone(&self) -> Vec<i32> {
        match self.is_told {
            true => proc::processes(),
            false => Vec::new(),
        }
    }

    fn look(&mut self, pid: i32) -> &proc::Seen {
        self.processes.entry(pid).or_insert_with(|| proc::look(pid))
    }

    /// Returns a process that has the segment mapped, and where it has it.
    pub(super) fn with(&mut self, pid: i32, id: i32) -> Option<(Process, &[proc::MappedRange])> {
        let proc::Seen::Process(seen) = self.look(pid) else {
            return None;
        };
        let mapped = ranges_of(&seen.mapped, id);
        (!mapped.is_empty()).then(|| (named(pid, seen), mapped))
    }

    /// Returns the process with this number if it has the segment mapped, or why it cannot be named.
    fn named(&mut self, pid: i32, id: i32) -> Who {
        let why = match (self.is_told, self.look(pid)) {
            (false, _) if proc::IS_SUPPORTED => Untold::OtherProc,
            (false, _) => Untold::System,
            (true, proc::Seen::Process(seen)) if !ranges_of(&seen.mapped, id).is_empty() => {
                return Who::Process(named(pid, seen))
            }
            (true, proc::Seen::Process(_) | proc::Seen::WithoutSegments) => Untold::NotMapped,
            (true, proc::Seen::Gone) => Untold::Gone,
            (true, proc::Seen::Closed) => Untold::Forbidden,
        };
        untold(Some(pid), why)
    }

    pub(super) fn who(&mut self, id: i32, number: Number) -> Who {
        match number {
            Err(why) => untold(None, why),
            Ok((pid, false)) => untold((pid != 0).then_some(pid), Untold::Dead),
            Ok((0, true)) => untold(None, Untold::OtherNamespace),
            Ok((pid, true)) => self.named(pid, id),
        }
    }

    pub(super) fn maker(&mut self, id: i32) -> Who {
        match shm::status(id) {
            Ok(status) if status.maker != 0 => self.named(status.maker, id),
            Ok(_) => untold(None, Untold::OtherNamespace),
            Err(_) => untold(None, Untold::Gone),
        }
    }
}

/// Returns the ranges that map the segment with this id, out of all ranges, which are ordered by the id.
fn ranges_of(mapped: &[proc::MappedRange], id: i32) -> &[proc::MappedRange] {
    let start = mapped.partition_point(|range| range.id < id);
    let end = mapped.partition_point(|range| range.id <= id);
    &mapped[start..end]
}

fn named(pid: i32, seen: &proc::Process) -> Process {
    Process {
        pid,
        uid: seen.user,
        command: seen.command.clone(),
        started: seen.started,
    }
}

#[cfg(feature = "semaphore")]
pub(super) fn parked(info: &SegmentInfo) -> Option<u32> {
    let status = shm::status(info.id).ok()?;
    let is_it = info.lock == "semaphore";
    is_it
        .then(|| beacons(info, &status)?.parked().ok())
        .flatten()
}

#[cfg(not(feature = "semaphore"))]
pub(super) fn parked(_info: &SegmentInfo) -> Option<u32> {
    None
}

/// Returns what a thread sleeps for, if that belongs to this cortex.
pub(super) fn waits_for(
    info: &SegmentInfo,
    sleeper: &proc::Sleeper,
    mapped: &[proc::MappedRange],
) -> Option<WaitsFor> {
    if info.beacon_id.is_some_and(|set| sleeper.is_on_set(set)) {
        return Some(WaitsFor::Lock);
    }
    let word = sleeper.word()?;
    let offset = mapped.iter().find_map(|range| range.offset_of(word))?;
    let into_slots = offset.checked_sub(info.slots_offset);
    let is_in_slots = into_slots.is_some_and(|at| at < info.slots as usize * info.slot_stride);
    Some(match offset {
        _ if is_in_slots => WaitsFor::Value,
        _ if offset >= info.participants_offset => WaitsFor::Readers {
            slot: ((offset - info.participants_offset) / format::LINE) as u32,
        },
        format::LOCK_OFFSET.. => WaitsFor::Lock,
        format::SIGNAL_OFFSET.. => WaitsFor::Change,
        _ => return None,
    })
}
