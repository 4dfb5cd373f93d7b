//! The header: its fields in one table, from which follow the structure, its writing, its reading and the page
//! `docs/segment.md`.
//!
//! **Invariants.** It is written once, before `state` becomes ready, except for `state`, `owner` and `in_use`. An
//! attacher reads each field once, computes every offset from the few that are free, and refuses the segment if one
//! differs. No field wider than 32 bits is loaded in one piece, because a 32-bit program may see the segment read-only
//! and have no such load; but for `in_use`, which only participants load.

#[cfg(any(loom, test))]
use super::fields::Blank;
use super::fields::{header, Field, Field64, Stored};
use super::layout::{Layout, Shape, HEADER_SIZE, LOSSLESS, RECORDS};
use super::state;
use crate::error::Cause;
use crate::protocol::atomics::{AtomicU32, Ordering};
use crate::protocol::name;
use crate::protocol::slots_in_use::SlotsInUse;

/// `NEOCORTX` in memory order.
pub(crate) const MAGIC: [u32; 2] = [u32::from_ne_bytes(*b"NEOC"), u32::from_ne_bytes(*b"ORTX")];
/// Raised whenever an older library could misread the bytes.
pub(crate) const VERSION: u32 = 1;
/// The bits of `features` that this library knows: additions within version 1 that a library which does not know them
/// must not touch.
const KNOWN_FEATURES: u32 = RECORDS | LOSSLESS;

header! {
    /// The first bytes of a segment. The texts are those of `docs/segment.md`; a new field goes to the end, and into
    /// the page, where the test `segment_md_says_what_is` wants it.
    struct Header {
        /// `NEOCORTX`
        magic: [AtomicU32; 2], later;
        /// 1
        version: AtomicU32, written { VERSION };
        /// 0 initialising, 1 ready, 2 closing, 3 removed
        pub(crate) state: AtomicU32, later;
        /// bytes in the segment
        total_size: Field64, follows { |layout| layout.total_size as u64 };
        /// bytes in the value, or in the longest record
        payload_size: Field64, chosen { size };
        /// the user's number; 0 is none
        schema: Field64, chosen { schema };
        /// a power of two up to 4096
        payload_align: AtomicU32, chosen { align };
        /// 1 is the in-place layout; else 2 to 65536
        slots: AtomicU32, chosen { slots };
        /// payload size, for records 8 more, rounded up to the larger of 64 and the alignment; 16 for [small](#small-values) ones
        slot_stride: Field64, follows { |layout| layout.slot_stride as u64 };
        /// where payload slot 0 is
        slots_offset: Field64, follows { |layout| layout.slots_offset as u64 };
        /// bytes that the lock keeps
        lock_size: AtomicU32, chosen { lock_size };
        /// where participant 0 is
        participants_offset: AtomicU32, follows { |layout| layout.participants_offset as u32 };
        /// 1 to 4096
        participant_limit: AtomicU32, chosen { participants };
        /// reserved, 0
        unused: AtomicU32, later;
        /// key of the semaphore set, written before the set is made
        pub(crate) beacon_key: AtomicU32, later;
        /// its id plus one; 0 before it is made
        beacon_id: AtomicU32, later;
        /// permission bits
        mode: AtomicU32, chosen { mode };
        /// reserved, 0
        flags: AtomicU32, later;
        /// seconds since 1970
        created: Field64, written { seconds_since_1970() };
        /// UTF-8, ended by a 0
        lock_name: [AtomicU32; 16], chosen { lock_name };
        /// one bit for each addition to version 1 that a program must know of: 1 records (a slot begins with the
        /// length of the record in it, 8 bytes), 2 lossless (writers wait for followers that registered).
        /// Where one is set that it does not know, an attacher refuses the segment (`Format`)
        features: AtomicU32, chosen { features };
        /// the participant id of the handle that removes the segment when it is closed; 0 is none, and the segment
        /// stays. An id is (slot + 1: 13 bits, generation: 18 bits, a 0); bit 0 is set when that handle has begun to
        /// remove it
        pub(crate) owner: AtomicU32, later;
        /// bytes in `name`; 0 where there is none
        name_length: AtomicU32, follows { |layout| layout.shape.name.len() as u32 };
        /// the name of the segment: up to 255 bytes of UTF-8, ended by a 0 ([names](#names))
        name: [AtomicU32; NAME_WORDS], chosen { name };
        /// one above the highest participant slot in use (16 bits), and how often that has changed (48 bits)
        pub(crate) in_use: SlotsInUse, later;
    }
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Header>() <= HEADER_SIZE);

/// The words that the segment's own name fills: 255 bytes and a 0.
const NAME_WORDS: usize = (name::LIMIT + 1) / size_of::<u32>();

/// Refuses what no program could give as a name: bytes that a peer has put there are shown to no user.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name::why_not(name).is_none() {
        return Ok(());
    }
    Err("the name in its header is none that this library writes")
}

fn seconds_since_1970() -> u64 {
    std::time::UNIX_EPOCH
        .elapsed()
        .map_or(0, |age| age.as_secs())
}

impl Header {
    /// Writes everything but the state. The magic goes first, so that a segment whose creator died
    /// half way is known to be ours.
    pub(crate) fn write(&self, layout: &Layout, beacon_key: i32) {
        self.sign();
        self.write_fields(layout);
        // Release: a reclaimer that finds the key finds the rest as well.
        self.beacon_key.store(beacon_key as u32, Ordering::Release);
    }

    /// Reads every field that is decided once, and checks each against the others and against the real size.
    ///
    /// # Errors
    /// `Format` for another version or features that are not known, `Corrupt` where the fields contradict one another.
    pub(crate) fn read(&self, segment_size: usize) -> Result<Layout, Cause> {
        let version = Field::load(&self.version);
        let features = Field::load(&self.features) & !KNOWN_FEATURES;
        // Another version may have something else where the features are.
        if version != VERSION || features != 0 {
            return Err(Cause::Format {
                found: version,
                supported: VERSION,
                features: if version == VERSION { features } else { 0 },
            });
        }
        let mut shape = self.read_shape().map_err(Cause::corrupt)?;
        // Permission is nine bits, whatever else a program has put there.
        shape.mode &= 0o777;
        check_name(&shape.name).map_err(Cause::corrupt)?;
        let layout = Layout::new(shape)
            .map_err(|detail| Cause::corrupt(format!("in its header, {detail}")))?;
        if let Some(field) = self.contradiction(&layout) {
            return Err(Cause::corrupt(format!(
                "`{field}` in its header does not follow from the sizes and counts there"
            )));
        }
        if layout.total_size != segment_size {
            let said = layout.total_size;
            return Err(Cause::corrupt(format!(
                "its header says {said} bytes in a segment of {segment_size}"
            )));
        }
        Ok(layout)
    }

    /// Returns the name in a header that may not be finished: `None` while it is not written, and where it is spoilt.
    /// It is written before the key of the semaphore set, and never changed: so a process that sees it sees it whole.
    pub(crate) fn name_if_written(&self) -> Option<String> {
        if self.beacon_key() == 0 || Field::load(&self.version) != VERSION {
            return None;
        }
        let name: String = Stored::from_field(Field::load(&self.name)).ok()?;
        let is_whole = Field::load(&self.name_length) as usize == name.len();
        (is_whole && check_name(&name).is_ok()).then_some(name)
    }

    /// Writes the magic; it changes nothing where the magic is there already. A process that says removed in a segment
    /// that its creator left blank does this first: a state counts only beside the magic, and a remover that dies
    /// before it tells the kernel would leave a segment that no process takes for ours.
    pub(crate) fn sign(&self) {
        Field::store(&self.magic, MAGIC);
    }

    /// Returns whether nothing has been written yet, not even the magic.
    pub(crate) fn is_blank(&self) -> bool {
        Field::load(&self.magic) == [0, 0]
            && self.state.load(Ordering::Relaxed) == state::INITIALISING
    }

    /// Returns whether the magic is ours.
    pub(crate) fn has_magic(&self) -> bool {
        self.has_magic_beside(self.state())
    }

    /// Returns whether the magic is ours, beside a state that was looked at before. The creator writes its two halves
    /// one after the other, and they may be seen in either order; once the state is another (an acquire), both are
    /// seen. So the state is looked at first: else the creator could finish between the look at one half of the magic
    /// and that at the state.
    pub(crate) fn has_magic_beside(&self, state: u32) -> bool {
        let found = Field::load(&self.magic);
        let is_half_made = [[MAGIC[0], 0], [0, MAGIC[1]]].contains(&found);
        found == MAGIC || (is_half_made && state == state::INITIALISING)
    }

    pub(crate) fn state(&self) -> u32 {
        self.state.load(Ordering::Acquire)
    }

    /// Changes the state from `from`. Returns `false` if it was not `from`.
    pub(crate) fn transit(&self, from: u32, to: u32) -> bool {
        self.state
            .compare_exchange(from, to, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Returns the semaphore set's key; 0 while it is not written. A process that sees it sees all that was written
    /// before.
    pub(crate) fn beacon_key(&self) -> i32 {
        self.beacon_key.load(Ordering::Acquire) as i32
    }

    pub(crate) fn set_beacon_id(&self, id: i32) {
        self.beacon_id
            .store((id as u32).wrapping_add(1), Ordering::Relaxed);
    }

    /// Returns the semaphore set's id. Where it is seen before the state is ready, the set bears the proof itself.
    pub(crate) fn beacon_id(&self) -> Option<i32> {
        match self.beacon_id.load(Ordering::Relaxed) {
            0 => None,
            stored => Some(stored.wrapping_sub(1) as i32),
        }
    }

    /// Returns whether the segment stays when no process is attached any more: it has no owner.
    pub(crate) fn is_persistent(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == crate::protocol::ownership::NOBODY
    }

    pub(crate) fn created(&self) -> u64 {
        Field::load(&self.created)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
