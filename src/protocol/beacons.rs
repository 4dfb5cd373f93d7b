//! Which participants live: the semaphore set of a segment, with one beacon for each participant slot.
//!
//! | index | value |
//! |---|---|
//! | 0 | the mark: this set is ours |
//! | 1–3 | the segment's id, 15 bits each: the way back for `reclaim` |
//! | 4 | the gate: held by the process that replaces the segment |
//! | 5 | the parking semaphore of the `Semaphore` lock |
//! | 6… | one beacon for each participant |
//!
//! A participant claims slot *i* with one `semop`: wait for zero, add one with `SEM_UNDO`, both
//! without waiting. The kernel takes the one back however the process dies. There is no moment
//! between claiming and being recorded, no process id, and nothing that a PID namespace changes.
//!
//! **Invariants.** The mark, the way back and the zeros are set in one `SETALL` before the set's id
//! is known to anyone; never `SETVAL` or `SETALL` after that, for they clear the undo entries. A
//! beacon is released only by the process that claimed it, with `SEM_UNDO`. An error of the kernel
//! (`EINVAL`, `EIDRM`: the set is gone; `EACCES`, `EPERM`: this process may not ask) is never taken for death.

use crate::error::remedy::remedy_for_owner;
use crate::error::{Attempt, Cause, Leftover};
use crate::permission::Owner;
use crate::sys::sem::Set;
#[cfg(feature = "semaphore")]
use crate::sys::SleepEnd;
use crate::sys::{errno, memory, SysResult};

/// "NC", within the 15 bits that a semaphore holds.
const MARK: u16 = 0x4E43;
const BACK: u16 = 1;
const GATE: u16 = 4;
#[cfg(feature = "semaphore")]
const PARKING: u16 = 5;
const FIRST: u16 = 6;

/// A segment's semaphore set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beacons {
    set: Set,
    segment_id: i32,
    limit: u16,
}

/// Which beacons were lit at some moment, by slot: 0 is out.
pub(crate) type BeaconValues = Vec<u16>;

/// Returns the 15-bit pieces of the segment id that the set carries.
fn way_back(segment_id: i32) -> [u16; 3] {
    let id = segment_id as u32;
    [id & 0x7FFF, id >> 15 & 0x7FFF, id >> 30].map(|piece| piece as u16)
}

/// Returns the segment id in the first values of a set; `None` without the mark.
fn segment_in(values: &[u16]) -> Option<i32> {
    let (&mark, back) = values.split_first()?;
    let pieces = back.iter().take(3).rev();
    let id = pieces.fold(0_u32, |id, &piece| id << 15 | u32::from(piece));
    (mark == MARK).then_some(id as i32)
}

/// Returns the segment id that a set of ours belongs to; `None` for a set that does not bear the mark.
pub(crate) fn segment_of(set: Set) -> SysResult<Option<i32>> {
    let values = set.first_values(BACK + 3)?;
    Ok(values.and_then(|values| segment_in(&values)))
}

/// Returns whether no beacon is lit in a set of ours, of whatever size.
pub(crate) fn is_deserted(set: Set) -> SysResult<bool> {
    let values = set.all_values()?;
    Ok(values.iter().skip(usize::from(FIRST)).all(|&lit| lit == 0))
}

/// Removes a set. It succeeds where the set is gone already.
pub(crate) fn remove_set(set: Set) -> Result<(), Cause> {
    match set.remove() {
        Err(failure) if !errno::is_gone(failure.errno()) => Err(failure)
            .attempt("remove the semaphores of")
            .map_err(|error| error.leaving(Leftover::Semaphores(set.id()))),
        _ => Ok(()),
    }
}

impl Beacons {
    /// Makes the set of a new segment, under the key that its header already names.
    pub(crate) fn create(
        beacon_key: i32,
        segment_id: i32,
        limit: u32,
        mode: u32,
        owner: Owner,
    ) -> Result<Self, Cause> {
        let count = usize::from(FIRST) + limit as usize;
        let mut values: Box<[u16]> = memory::zeroed(count).attempt("make the semaphores of")?;
        let set = Set::create(beacon_key, count, mode).attempt("make the semaphores of")?;
        values[0] = MARK;
        values[usize::from(BACK)..][..3].copy_from_slice(&way_back(segment_id));
        let initialise = || -> Result<(), Cause> {
            // Before the values: until they are set, a set whose maker died is known by its maker and its mode, which
            // stay as they are.
            if owner.is_given() {
                set.set_owner(owner.user, owner.group)
                    .attempt_or("give an owner to the semaphores of", remedy_for_owner)?;
            }
            set.initialise(&values)
                .attempt("initialise the semaphores of")
        };
        if let Err(error) = initialise() {
            return Err(error.after(remove_set(set)));
        }
        Ok(Self {
            set,
            segment_id,
            limit: limit as u16,
        })
    }

    /// Returns the set that a header names, once it is known to be that segment's own: mark, way back,
    /// size, creator and mode. Otherwise a forged header could aim our operations at another set.
    /// And which of its beacons were lit then.
    pub(crate) fn open(
        set_id: i32,
        segment: &crate::sys::shm::Status,
        segment_id: i32,
        limit: u32,
    ) -> Result<(Self, BeaconValues), Cause> {
        let set = Set::from_id(set_id);
        let gone = |failure: crate::sys::Failure| match failure.errno() {
            errno::EINVAL | errno::EIDRM => Cause::Removed,
            _ => Err::<(), _>(failure)
                .attempt("look at the semaphores of")
                .unwrap_err(),
        };
        let status = set.status().map_err(gone)?;
        let same_maker = status.creator == segment.creator && status.mode == segment.mode;
        let beacons = Self {
            set,
            segment_id,
            limit: limit as u16,
        };
        match beacons.values().map_err(gone)? {
            Some(lit) if same_maker => Ok((beacons, lit)),
            _ => {
                let detail =
                    "its header names a semaphore set that belongs to another segment, or to none";
                Err(Cause::corrupt(detail))
            }
        }
    }

    /// Returns whether a set is one for this segment that no process has touched since it was made in one call: its
    /// maker died before the next, which sets the mark.
    pub(crate) fn is_untouched(
        set: Set,
        segment: &crate::sys::shm::Status,
        limit: u32,
    ) -> SysResult<bool> {
        let status = set.status()?;
        let count = FIRST + limit as u16;
        let is_blank = |values: Vec<u16>| values.iter().all(|&value| value == 0);
        if status.creator != segment.creator
            || status.mode != segment.mode
            || !set.values(count)?.is_some_and(is_blank)
        {
            return Ok(false);
        }
        for index in 0..count {
            if set.last_process(index)? != 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn set(&self) -> Set {
        self.set
    }

    /// An error of the kernel about this set, in context. A set that is gone means that the segment
    /// was removed; it never means that a participant is dead.
    fn context<T>(&self, what: &'static str, result: SysResult<T>) -> Result<T, Cause> {
        match result {
            Err(failure) if matches!(failure.errno(), errno::EINVAL | errno::EIDRM) => {
                Err(Cause::Removed)
            }
            result => result.attempt(what),
        }
    }

    /// Claims a semaphore in one step; `false` where it is taken.
    fn claim_one(&self, what: &'static str, index: u16) -> Result<bool, Cause> {
        self.claimed(what, self.set.claim(index))
    }

    /// Returns what the kernel answered to a claim, in context.
    fn claimed(&self, what: &'static str, result: SysResult<bool>) -> Result<bool, Cause> {
        match result {
            // With the set still there it is not about the set: macOS and the BSDs answer so where the
            // process has as many undo entries as they allow.
            Err(failure) if failure.errno() == errno::EINVAL && self.set.value(0).is_ok() => {
                Err(failure).attempt(what)
            }
            result => self.context(what, result),
        }
    }

    /// Claims a slot's beacon in one step; `false` where it is taken.
    pub(crate) fn claim(&self, slot: u32) -> Result<bool, Cause> {
        self.claim_one("claim a participant slot of", FIRST + slot as u16)
    }

    pub(crate) fn release(&self, slot: u32) -> Result<(), Cause> {
        let released = self.set.release(FIRST + slot as u16);
        self.context("release a participant slot of", released)
            .map(drop)
    }

    /// Returns whether a process holds the slot's beacon now.
    pub(crate) fn is_lit(&self, slot: u32) -> Result<bool, Cause> {
        let value = self.set.value(FIRST + slot as u16);
        self.context("ask for a participant of", value)
            .map(|value| value != 0)
    }

    /// Returns the process that last claimed or released the slot's beacon, or that was holding it when it died; 0
    /// where this process has no number for it. It is information: nothing is decided by it.
    pub(crate) fn last_process(&self, slot: u32) -> Result<i32, Cause> {
        let process = self.set.last_process(FIRST + slot as u16);
        self.context("ask for the process of a participant of", process)
    }

    /// Returns every beacon; `None` where the set is not this segment's.
    fn values(&self) -> SysResult<Option<BeaconValues>> {
        let mine = |values: &Vec<u16>| segment_in(values) == Some(self.segment_id);
        let values = self.set.values(FIRST + self.limit)?.filter(mine);
        Ok(values.map(|mut values| {
            values.drain(..usize::from(FIRST));
            values
        }))
    }

    /// Returns every beacon.
    pub(crate) fn all(&self) -> Result<BeaconValues, Cause> {
        let lit = self.context("ask for the participants of", self.values())?;
        // Another set has its id by now.
        lit.ok_or(Cause::Removed)
    }

    pub(crate) fn claim_gate(&self) -> Result<bool, Cause> {
        self.claim_one("close the gate of", GATE)
    }

    pub(crate) fn release_gate(&self) -> Result<(), Cause> {
        self.context("open the gate of", self.set.release(GATE))
            .map(drop)
    }

    #[cfg(feature = "semaphore")]
    /// Sleeps on the parking semaphore, at most `limit`.
    pub(crate) fn park(&self, limit: std::time::Duration) -> Result<SleepEnd, Cause> {
        self.context("wait for", self.set.take(PARKING, limit))
    }

    #[cfg(feature = "semaphore")]
    /// Returns how many threads sleep on the parking semaphore.
    pub(crate) fn parked(&self) -> Result<u32, Cause> {
        self.context("ask for the sleepers of", self.set.sleepers(PARKING))
    }

    #[cfg(feature = "semaphore")]
    /// Wakes one that parks. A surplus wake costs the next sleeper one look; a set that is gone has
    /// no sleepers.
    pub(crate) fn unpark(&self) {
        let _ = self.set.post(PARKING);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
