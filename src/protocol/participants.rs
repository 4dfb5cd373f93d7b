//! Participants: slots, their tenants, and the generations that tell one tenant from the next.
//!
//! In the segment, each slot has a line with its generation (18 bits) and its reader count (14
//! bits) in one word. A process that has claimed the slot's beacon ([`crate::protocol::beacons`]) first settles what a
//! dead tenant left (see [`crate::CortexSync::settle`]), then raises the generation and zeroes the count in one step.
//! So an identifier (slot, generation) whose slot has another generation names no living participant.

use crate::error::Cause;
use crate::protocol::atomics::{AtomicU32, AtomicU64, Ordering};
use crate::protocol::slots_in_use::SlotsInUse;

const GENERATION_BITS: u32 = 18;
const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;
const READERS_BITS: u32 = 14;
const READERS_MASK: u32 = (1 << READERS_BITS) - 1;

/// The most read guards that one participant can hold at a time: the count must never reach the
/// generation above it, and every thread of the process may be one ahead of its check.
pub(crate) const READERS_CEILING: u32 = READERS_MASK / 2;

/// A participant: slot index plus generation. Never 0; bit 0 is always clear,
/// so that an owner word can keep a flag there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) u32);

impl Id {
    pub(crate) fn new(slot: u32, generation: u32) -> Self {
        Self((slot + 1) << (GENERATION_BITS + 1) | (generation & GENERATION_MASK) << 1)
    }

    /// Returns the slot, or `None` for a word that no participant has (0 among them).
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
    /// The participant's beacon is out and its slot has had no other tenant.
    Dead,
    /// No participant has this id: its slot has another generation or does not exist. Within the
    /// protocol no word refers to such an id for longer than a claim takes.
    Impossible,
}

/// Returns what is known of an id, given the line of its slot and a way to ask for its beacon.
///
/// The caller that read the id from a shared word read it with acquire, and the process that stored it there did so
/// with release, after [`move_in`]: so the generation seen here is not older than the id.
pub(crate) fn standing(
    id: Id,
    line: &ParticipantLine,
    is_lit: impl FnOnce() -> Result<bool, Cause>,
) -> Result<Standing, Cause> {
    if line.generation() != id.generation() {
        return Ok(Standing::Impossible);
    }
    Ok(if is_lit()? {
        Standing::Alive
    } else {
        Standing::Dead
    })
}

/// Makes the caller, which has just claimed the slot's beacon, the slot's next tenant.
pub(crate) fn move_in(
    slot: u32,
    line: &ParticipantLine,
    in_use: &SlotsInUse,
    settle: impl FnOnce(),
) -> Id {
    // We hold the beacon, the generation is still the dead tenant's: no other process acts for this
    // slot, and whatever words refer to it are the dead one's.
    settle();
    // Before this participant can add a reader: a writer that misses it in its scan is seen by the
    // reader's look at the owner word. The fences of both order it.
    in_use.raise(slot);
    Id::new(slot, line.raise_generation())
}

/// One participant's cache line.
#[repr(C, align(64))]
pub(crate) struct ParticipantLine {
    /// The generation in the upper bits, the reader count in the lower ones.
    word: AtomicU32,
    /// Whether this participant is a follower that writers wait for: see [`crate::protocol::room`].
    pub(super) follows: AtomicU32,
    /// The last commit that this follower has read.
    pub(super) cursor: AtomicU64,
}

impl ParticipantLine {
    #[cfg(any(loom, test))]
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU32::new(0),
            follows: AtomicU32::new(0),
            cursor: AtomicU64::new(0),
        }
    }

    pub(crate) fn generation(&self) -> u32 {
        Self::generation_in(self.word.load(Ordering::Relaxed))
    }

    /// Returns the generation in a loaded word.
    pub(crate) fn generation_in(word: u32) -> u32 {
        word >> READERS_BITS
    }

    /// Starts the next generation with no readers. The caller holds the slot's beacon. Release: a
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

    /// Counts one more reader, and returns the count before. A fence must follow.
    #[inline]
    pub(crate) fn add_reader(&self) -> u32 {
        self.word.fetch_add(1, Ordering::Relaxed) & READERS_MASK
    }

    /// Counts one reader less. Release: what it loaded comes before what a writer stores that sees it gone.
    #[inline]
    pub(crate) fn remove_reader(&self) {
        self.word.fetch_sub(1, Ordering::Release);
    }

    /// Returns the whole word, to look at and to sleep on. Acquire: see [`ParticipantLine::remove_reader`].
    pub(crate) fn load(&self) -> u32 {
        self.word.load(Ordering::Acquire)
    }

    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// Returns the readers that a loaded word counts.
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

#[cfg(all(test, not(loom)))]
mod tests;
