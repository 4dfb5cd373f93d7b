//! Which processes are behind a cortex: its holder, its participants, the waiters, and others that have it mapped.
//!
//! **It is information, and nothing is decided by it.** The segment holds no process numbers. The kernel
//! knows them all the same:
//!
//! | what | says | how it is checked |
//! |---|---|---|
//! | `GETPID` of a beacon (`semctl(2)`) | which process claimed the slot, or died in it | the slot had the same living tenant before and after |
//! | `shm_cpid` (`shmctl(2)`) | which process made the segment | it has it mapped still |
//! | `/proc/PID/maps` | which processes have it mapped, by the segment's id | the same IPC namespace: ids are counted in each |
//! | `/proc/PID/task/TID/syscall` | which of its words a thread sleeps on | – |
//! | `GETNCNT` of the parking semaphore | how many sleep for a `Semaphore` lock | – |
//!
//! A process is named only if it has the segment mapped and its time of start was the same before and after that was
//! read: its number may be another's by now. `shm_lpid` is not used: every look changes it.

mod kernel;
mod who;

pub use who::{Onlooker, People, Process, SlotProcess, Untold, Waiter, WaitsFor, Who};

use super::info::{Participant, SegmentInfo};
use crate::sys::proc;
use kernel::{numbers, parked, waits_for, Known};
use who::untold;

/// Returns which processes are behind a cortex that was looked at. It goes through all processes of the machine.
///
/// This does not fail: where something cannot be known, the answer says so.
///
/// ```
/// use neocortex::{inspect, CortexBuilder};
///
/// # fn main() -> neocortex::CortexResult<()> {
/// let cortex = CortexBuilder::new(1.5).random_key().create()?;
/// let _guard = cortex.write_guard()?;
/// let info = inspect::segment(cortex.key())?;
/// match inspect::people(&info).holder {
///     Some(inspect::Who::Process(process)) => assert_eq!(process.pid as u32, std::process::id()),
///     // Not Linux, or a `/proc` that shows other processes.
///     other => println!("{other:?}"),
/// }
/// # Ok(()) }
/// ```
pub fn people(info: &SegmentInfo) -> People {
    let mut known = Known::new();
    let (numbers, attached) = numbers(info, &info.tenants);
    let participants: Vec<SlotProcess> = info
        .tenants
        .iter()
        .zip(numbers)
        .map(|(one, number)| SlotProcess {
            slot: one.slot,
            generation: one.generation,
            who: known.who(info.id, number),
        })
        .collect();
    let is_holder = |one: &&SlotProcess| {
        info.holder
            .is_some_and(|holder| (holder.slot, holder.generation) == (one.slot, one.generation))
    };
    let holder = info.holder.map(|_| {
        let found = participants.iter().find(is_holder);
        found.map_or_else(|| untold(None, Untold::Left), |one| one.who.clone())
    });
    let maker = known.maker(info.id);
    let takes_part = |pid| {
        let mut processes = participants.iter().filter_map(|one| process(&one.who));
        processes.any(|process| process.pid == pid)
    };
    let (mut onlookers, mut waiters, mut closed, mut seen) = (Vec::new(), Vec::new(), 0, 0);
    for pid in known.everyone() {
        let Some((process, mapped)) = known.with(pid, info.id) else {
            continue;
        };
        seen += mapped.len() as u64;
        match proc::sleepers(pid) {
            Some(sleepers) => waiters.extend(sleepers.iter().filter_map(|sleeper| {
                Some(Waiter {
                    process: process.clone(),
                    thread: sleeper.thread,
                    waits_for: waits_for(info, sleeper, mapped)?,
                })
            })),
            None => closed += 1,
        }
        if !takes_part(pid) {
            onlookers.push(Onlooker {
                process,
                mappings: mapped.len() as u32,
                is_read_only: mapped.iter().all(|range| !range.is_writable),
            });
        }
    }
    People {
        maker,
        holder,
        participants,
        onlookers,
        waiters,
        closed_processes: closed,
        parked: parked(info),
        unseen_mappings: attached.saturating_sub(seen),
    }
}

/// Returns the process behind the holder of each of these cortexes, in their order; `None` where there is no holder.
/// Only the holders' processes are looked at, each once.
pub fn holders<'a>(infos: impl IntoIterator<Item = &'a SegmentInfo>) -> Vec<Option<Who>> {
    let mut known = Known::new();
    let mut of = |info: &SegmentInfo| {
        let holder = info.holder?;
        let is_holder =
            |one: &&Participant| (one.slot, one.generation) == (holder.slot, holder.generation);
        let Some(&tenant) = info.tenants.iter().find(is_holder) else {
            return Some(untold(None, Untold::Left));
        };
        let (numbers, _) = numbers(info, &[tenant]);
        numbers.first().map(|&number| known.who(info.id, number))
    };
    infos.into_iter().map(&mut of).collect()
}

fn process(who: &Who) -> Option<&Process> {
    match who {
        Who::Process(process) => Some(process),
        Who::Untold { .. } => None,
    }
}
