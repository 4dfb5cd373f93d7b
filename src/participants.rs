//! Who is alive: beacons, slots and generations.
//!
//! Each segment owns one System V semaphore set:
//!
//! | index | value |
//! |---|---|
//! | 0 | the mark: this set is ours |
//! | 1–3 | the segment's id, 15 bits each: the way back for `reclaim` |
//! | 4 | the gate: held by whoever is replacing the segment |
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
//! (`EINVAL`, `EIDRM`: the set is gone) is never taken for death.
//!
//! In the segment, each slot has a line with its generation (18 bits) and its reader count (14
//! bits) in one word. A claimant first settles what a dead tenant left (see
//! [`crate::CortexSync::settle`]), then raises the generation and zeroes the count in one step. So
//! an identifier (slot, generation) whose slot has another generation names nobody alive.

use crate::error::{Attempt, CortexError, CortexResult, Leftover};
use crate::primitive::{AtomicU32, Ordering};
use crate::sys::sem::Set;
use crate::sys::{errno, SysResult};

/// "NC", within the 15 bits that a semaphore holds.
const MARK: u16 = 0x4E43;
const BACK: u16 = 1;
const GATE: u16 = 4;
#[cfg(feature = "semaphore")]
const PARKING: u16 = 5;
const FIRST: u16 = 6;

const GENERATION_BITS: u32 = 18;
const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;
const READERS_BITS: u32 = 14;
const READERS_MASK: u32 = (1 << READERS_BITS) - 1;

/// The most read guards that one participant can hold at a time: the count must never reach the
/// generation above it, and every thread of the process may be one ahead of its check.
pub(crate) const READERS_CEILING: u32 = READERS_MASK / 2;

/// A participant: which slot, and the how-many-eth tenant of it. Never 0; bit 0 is always clear,
/// so that an owner word can keep a flag there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) u32);

impl Id {
    pub(crate) fn new(slot: u32, generation: u32) -> Self {
        Self((slot + 1) << (GENERATION_BITS + 1) | (generation & GENERATION_MASK) << 1)
    }

    /// The slot, or `None` for a word that no participant has (0 among them).
    pub(crate) fn slot(self) -> Option<u32> {
        (self.0 >> (GENERATION_BITS + 1)).checked_sub(1)
    }

    pub(crate) fn generation(self) -> u32 {
        self.0 >> 1 & GENERATION_MASK
    }
}

/// What is known of a participant id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Alive,
    /// Its beacon is out and its slot has had no other tenant.
    Dead,
    /// No participant has this id: its slot has another generation or does not exist. Within the
    /// protocol no word refers to such an id for longer than a claim takes.
    Impossible,
}

/// What is known of an id, given the line of its slot and a way to ask for its beacon.
///
/// Whoever read the id from a shared word read it with acquire, and whoever stored it there did so
/// with release, after [`move_in`]: so the generation seen here is not older than the id.
pub(crate) fn standing(
    id: Id,
    line: &Line,
    is_lit: impl FnOnce() -> CortexResult<bool>,
) -> CortexResult<Standing> {
    if line.generation() != id.generation() {
        return Ok(Standing::Impossible);
    }
    Ok(if is_lit()? {
        Standing::Alive
    } else {
        Standing::Dead
    })
}

/// Makes the caller, who has just claimed the slot's beacon, its next tenant.
pub(crate) fn move_in(slot: u32, line: &Line, high_water: &AtomicU32, settle: impl FnOnce()) -> Id {
    // We hold the beacon, the generation is still the dead tenant's: nobody else acts for this
    // slot, and whatever words refer to it are the dead one's.
    settle();
    // Before this participant can add a reader: a writer that misses it in its scan is seen by the
    // reader's look at the owner word. The fences of both order it.
    high_water.fetch_max(slot + 1, Ordering::Relaxed);
    Id::new(slot, line.raise_generation())
}

/// One participant's cache line.
#[repr(C, align(64))]
pub(crate) struct Line {
    /// Generation above, reader count below.
    word: AtomicU32,
}

impl Line {
    #[cfg(any(loom, test))]
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU32::new(0),
        }
    }

    pub(crate) fn generation(&self) -> u32 {
        Self::generation_in(self.word.load(Ordering::Relaxed))
    }

    /// The generation in a loaded word.
    pub(crate) fn generation_in(word: u32) -> u32 {
        word >> READERS_BITS
    }

    /// Starts the next generation with no readers; the caller holds the slot's beacon. Release: a
    /// writer that sees no reader here comes after what the dead tenant's readers loaded.
    pub(crate) fn raise_generation(&self) -> u32 {
        loop {
            let seen = self.word.load(Ordering::Relaxed);
            let generation = (seen >> READERS_BITS).wrapping_add(1) & GENERATION_MASK;
            let next = generation << READERS_BITS;
            if self
                .word
                .compare_exchange(seen, next, Ordering::Release, Ordering::Relaxed)
                .is_ok()
            {
                return generation;
            }
        }
    }

    /// Counts one more reader; the count before. A fence is to follow.
    #[inline]
    pub(crate) fn add_reader(&self) -> u32 {
        self.word.fetch_add(1, Ordering::Relaxed) & READERS_MASK
    }

    /// Counts one reader less. Release: what it loaded comes before what a writer stores that sees it gone.
    #[inline]
    pub(crate) fn remove_reader(&self) {
        self.word.fetch_sub(1, Ordering::Release);
    }

    /// The whole word, to look at and to sleep on. Acquire: see [`Line::remove_reader`].
    pub(crate) fn load(&self) -> u32 {
        self.word.load(Ordering::Acquire)
    }

    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// The readers that a loaded word counts.
    pub(crate) fn readers(word: u32) -> u32 {
        word & READERS_MASK
    }

    /// Forgets the readers of a dead tenant, if the word is still what was `seen`. The kernel, asked for
    /// the beacon, has ordered it after what they loaded.
    pub(crate) fn forget_readers(&self, seen: u32) {
        let empty = seen & !READERS_MASK;
        let _ = self
            .word
            .compare_exchange(seen, empty, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// A segment's semaphore set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beacons {
    set: Set,
    segment_id: i32,
    limit: u16,
    key: i32,
}

/// Which beacons were lit at some moment, by slot: 0 is out.
pub(crate) type Lit = Vec<u16>;

/// The 15-bit pieces of the segment id that the set carries.
fn way_back(segment_id: i32) -> [u16; 3] {
    let id = segment_id as u32;
    [id & 0x7FFF, id >> 15 & 0x7FFF, id >> 30].map(|piece| piece as u16)
}

/// The segment id in the first values of a set; `None` without the mark.
fn segment_in(values: &[u16]) -> Option<i32> {
    let (&mark, back) = values.split_first()?;
    let pieces = back.iter().take(3).rev();
    let id = pieces.fold(0_u32, |id, &piece| id << 15 | u32::from(piece));
    (mark == MARK).then_some(id as i32)
}

/// The segment id that a set of ours belongs to; `None` for a set that does not bear the mark.
pub(crate) fn segment_of(set: Set) -> SysResult<Option<i32>> {
    let values = set.first_values(BACK + 3)?;
    Ok(values.and_then(|values| segment_in(&values)))
}

/// Removes a set; one that is gone is removed.
pub(crate) fn remove_set(set: Set, key: i32) -> CortexResult<()> {
    match set.remove() {
        Err(failure) if !errno::is_gone(failure.errno()) => Err(failure)
            .attempt("remove the semaphores of", key)
            .map_err(|error| error.leaving(Leftover::Semaphores(set.id()))),
        _ => Ok(()),
    }
}

impl Beacons {
    /// Makes the set of a new segment with this key, under the key that its header already names.
    pub(crate) fn create(
        key: i32,
        beacon_key: i32,
        segment_id: i32,
        limit: u32,
        mode: u32,
    ) -> CortexResult<Self> {
        let count = usize::from(FIRST) + limit as usize;
        let set = Set::create(beacon_key, count, mode).attempt("make the semaphores of", key)?;
        let mut values = vec![0_u16; count];
        values[0] = MARK;
        values[usize::from(BACK)..][..3].copy_from_slice(&way_back(segment_id));
        let initialised = set.initialise(&values);
        if let Err(error) = initialised.attempt("initialise the semaphores of", key) {
            return Err(error.after(remove_set(set, key)));
        }
        Ok(Self {
            set,
            segment_id,
            limit: limit as u16,
            key,
        })
    }

    /// The set that a header names, once it is known to be that segment's own: mark, way back,
    /// size, creator and mode. Otherwise a forged header could aim our operations at another set.
    /// And which of its beacons were lit then.
    pub(crate) fn open(
        key: i32,
        set_id: i32,
        segment: &crate::sys::shm::Status,
        segment_id: i32,
        limit: u32,
    ) -> CortexResult<(Self, Lit)> {
        let set = Set::from_id(set_id);
        let gone = |failure: crate::sys::Failure| match failure.errno() {
            errno::EINVAL | errno::EIDRM => CortexError::Removed { key },
            _ => Err::<(), _>(failure)
                .attempt("look at the semaphores of", key)
                .unwrap_err(),
        };
        let status = set.status().map_err(gone)?;
        let same_maker = status.creator == segment.creator && status.mode == segment.mode;
        let beacons = Self {
            set,
            segment_id,
            limit: limit as u16,
            key,
        };
        match beacons.values().map_err(gone)? {
            Some(lit) if same_maker => Ok((beacons, lit)),
            _ => {
                let detail = "its header names a semaphore set that is not its own";
                Err(CortexError::Corrupt { key, detail })
            }
        }
    }

    /// Whether a set is one for this segment that nobody has touched since it was made in one call: its maker
    /// died before the next, which sets the mark.
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

    /// The same set, with the segment's key for messages.
    pub(crate) fn of_key(self, key: i32) -> Self {
        Self { key, ..self }
    }

    pub(crate) fn set(&self) -> Set {
        self.set
    }

    /// An error of the kernel about this set, in context. A set that is gone means that the segment
    /// was removed; it never means that a participant is dead.
    fn context<T>(&self, what: &str, result: SysResult<T>) -> CortexResult<T> {
        match result {
            Err(failure) if matches!(failure.errno(), errno::EINVAL | errno::EIDRM) => {
                Err(CortexError::Removed { key: self.key })
            }
            result => result.attempt(what, self.key),
        }
    }

    /// Claims a semaphore in one step; `false` where it is taken.
    fn claim_one(&self, what: &str, index: u16) -> CortexResult<bool> {
        self.claimed(what, self.set.claim(index))
    }

    /// What the kernel answered to a claim, in context.
    fn claimed(&self, what: &str, result: SysResult<bool>) -> CortexResult<bool> {
        match result {
            // With the set still there it is not about the set: macOS and the BSDs answer so where the
            // process has as many undo entries as they allow.
            Err(failure) if failure.errno() == errno::EINVAL && self.set.value(0).is_ok() => {
                Err(failure).attempt(what, self.key)
            }
            result => self.context(what, result),
        }
    }

    /// Claims a slot's beacon in one step; `false` where it is taken.
    pub(crate) fn claim(&self, slot: u32) -> CortexResult<bool> {
        self.claim_one("claim a participant slot of", FIRST + slot as u16)
    }

    pub(crate) fn release(&self, slot: u32) -> CortexResult<()> {
        let released = self.set.release(FIRST + slot as u16);
        self.context("release a participant slot of", released)
            .map(drop)
    }

    /// Whether somebody holds the slot's beacon now.
    pub(crate) fn is_lit(&self, slot: u32) -> CortexResult<bool> {
        let value = self.set.value(FIRST + slot as u16);
        self.context("ask for a participant of", value)
            .map(|value| value != 0)
    }

    /// Every beacon; `None` where the set is not this segment's.
    fn values(&self) -> SysResult<Option<Lit>> {
        let mine = |values: &Vec<u16>| segment_in(values) == Some(self.segment_id);
        let values = self.set.values(FIRST + self.limit)?.filter(mine);
        Ok(values.map(|mut values| {
            values.drain(..usize::from(FIRST));
            values
        }))
    }

    /// Every beacon.
    pub(crate) fn all(&self) -> CortexResult<Lit> {
        let lit = self.context("ask for the participants of", self.values())?;
        // Another set has its id by now.
        lit.ok_or(CortexError::Removed { key: self.key })
    }

    pub(crate) fn claim_gate(&self) -> CortexResult<bool> {
        self.claim_one("close the gate of", GATE)
    }

    pub(crate) fn release_gate(&self) -> CortexResult<()> {
        self.context("open the gate of", self.set.release(GATE))
            .map(drop)
    }

    #[cfg(feature = "semaphore")]
    /// Sleeps on the parking semaphore, at most `limit`.
    pub(crate) fn park(&self, limit: std::time::Duration) -> CortexResult<()> {
        self.context("wait for", self.set.take(PARKING, limit))
            .map(drop)
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
