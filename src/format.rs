//! The bytes of a segment, version 1.
//!
//! Fixed-width fields, native endian, no pointers; the same for 32- and 64-bit programs and for
//! every libc. Offsets from the segment's start:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 256 | [`Header`] |
//! | 256 | 64 | commit line: `begun`, `committed` ([`crate::commit`]) |
//! | 320 | 64 | the writers' note of the last commit, and the ranges changed by the last seven |
//! | 384 | 64 | signal line: change notification, `want` ([`crate::signal`]) |
//! | 448 | the lock's size, rounded up to 64 | lock area |
//! | … | 64 each | participants ([`crate::participants`]) |
//! | … | slot stride each | payload slots, the first aligned to max(64, alignment) |
//!
//! **Invariants.** A header is written once, before `state` becomes ready, except for `state`, `flags` and
//! `high_water`. An attacher reads each field once into a [`Layout`], recomputes every offset from
//! the few that are free, and refuses the segment if one differs: nothing is ever read through an
//! offset that was not computed here. No field wider than 32 bits is loaded in one piece, because a
//! 32-bit program may see the segment read-only and have no such load.

use crate::error::{CortexError, CortexResult};
use crate::primitive::{AtomicU32, Ordering};

/// `NEOCORTX` in memory order.
pub(crate) const MAGIC: [u32; 2] = [u32::from_ne_bytes(*b"NEOC"), u32::from_ne_bytes(*b"ORTX")];
/// Raised whenever an older library could misread the bytes.
pub(crate) const VERSION: u32 = 1;

pub(crate) const HEADER_SIZE: usize = 256;
pub(crate) const COMMIT_OFFSET: usize = HEADER_SIZE;
pub(crate) const RANGES_OFFSET: usize = 320;
pub(crate) const SIGNAL_OFFSET: usize = 384;
pub(crate) const LOCK_OFFSET: usize = 448;
/// Everything that two processes write often stands on a line of its own.
pub(crate) const LINE: usize = 64;

/// The longest lock name, in bytes.
pub(crate) const LOCK_NAME_LIMIT: usize = 63;
/// The most participants: as many as an owner word can tell apart.
pub(crate) const PARTICIPANT_LIMIT: u32 = 4096;
/// Set in `flags` while no handle is to remove the segment: it stays on purpose, not because its owner died.
const PERSISTENT: u32 = 1;
/// The most payload slots.
pub(crate) const SLOT_LIMIT: u32 = 8;
/// The largest alignment: `shmat(2)` promises no more than a page.
pub(crate) const ALIGN_LIMIT: u32 = 4096;
/// The most bytes a lock may keep in the segment.
pub(crate) const LOCK_SIZE_LIMIT: usize = 1 << 20;

/// `state`: what may be done with the segment. Every transition is a compare-and-swap.
///
/// | from | to | by |
/// |---|---|---|
/// | initialising | ready | the creator, when all is written |
/// | ready | closing | a replacer that holds the gate, while it looks whether anyone is attached |
/// | closing | ready | the replacer that found somebody, or the next gate holder if it died |
/// | closing, ready | removed | the replacer, the owner that closes, or a remover, before `IPC_RMID` |
/// | initialising | removed | a replacer, once the creator is known to be gone |
pub(crate) mod state {
    /// What the kernel hands out.
    pub(crate) const INITIALISING: u32 = 0;
    pub(crate) const READY: u32 = 1;
    pub(crate) const CLOSING: u32 = 2;
    pub(crate) const REMOVED: u32 = 3;
}

/// A 64-bit field in two halves, in memory order, so that it lies as a `u64` would.
#[repr(C, align(8))]
pub(crate) struct Field64([AtomicU32; 2]);

impl Field64 {
    pub(crate) fn load(&self) -> u64 {
        let halves = [
            self.0[0].load(Ordering::Relaxed),
            self.0[1].load(Ordering::Relaxed),
        ];
        bytemuck::cast(halves)
    }

    fn store(&self, value: u64) {
        let halves: [u32; 2] = bytemuck::cast(value);
        self.0[0].store(halves[0], Ordering::Relaxed);
        self.0[1].store(halves[1], Ordering::Relaxed);
    }
}

/// The first bytes of a segment.
#[repr(C)]
pub(crate) struct Header {
    magic: [AtomicU32; 2],
    version: AtomicU32,
    /// See [`state`].
    pub(crate) state: AtomicU32,
    total_size: Field64,
    payload_size: Field64,
    schema: Field64,
    payload_align: AtomicU32,
    slots: AtomicU32,
    slot_stride: Field64,
    slots_offset: Field64,
    lock_size: AtomicU32,
    participants_offset: AtomicU32,
    participant_limit: AtomicU32,
    /// One above the highest participant slot ever claimed; only grows.
    pub(crate) high_water: AtomicU32,
    /// The beacon set's key, written before the set is made.
    pub(crate) beacon_key: AtomicU32,
    /// The beacon set's id plus one; 0 before it is made.
    beacon_id: AtomicU32,
    mode: AtomicU32,
    /// See [`PERSISTENT`].
    flags: AtomicU32,
    /// Seconds since 1970 when it was made.
    created: Field64,
    lock_name: [AtomicU32; 16],
}

#[cfg(not(loom))]
const _: () = assert!(std::mem::size_of::<Header>() <= HEADER_SIZE);

/// Everything about a segment that is free to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) size: usize,
    pub(crate) align: u32,
    /// 1 is the in-place layout.
    pub(crate) slots: u32,
    pub(crate) schema: u64,
    pub(crate) participants: u32,
    pub(crate) lock_size: usize,
    pub(crate) lock_name: String,
    pub(crate) mode: u32,
}

/// A shape and all that follows from it; the validated, private copy of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) shape: Shape,
    pub(crate) participants_offset: usize,
    pub(crate) slots_offset: usize,
    pub(crate) slot_stride: usize,
    pub(crate) total_size: usize,
}

/// Rounds up to a multiple of a power of two.
fn round_up(value: usize, multiple: usize) -> Option<usize> {
    Some(value.checked_add(multiple - 1)? & !(multiple - 1))
}

impl Layout {
    /// Computes the layout, or says which argument cannot be.
    pub(crate) fn new(shape: Shape) -> Result<Self, String> {
        if shape.size == 0 {
            return Err("the size must not be 0".into());
        }
        if !shape.align.is_power_of_two() || shape.align > ALIGN_LIMIT {
            let align = shape.align;
            return Err(format!(
                "alignment {align} is not a power of two up to {ALIGN_LIMIT}"
            ));
        }
        if !(1..=SLOT_LIMIT).contains(&shape.slots) {
            return Err(format!(
                "{} slots: there may be 2 to {SLOT_LIMIT}",
                shape.slots
            ));
        }
        if !(1..=PARTICIPANT_LIMIT).contains(&shape.participants) {
            let count = shape.participants;
            return Err(format!(
                "{count} participants: there may be 1 to {PARTICIPANT_LIMIT}"
            ));
        }
        if shape.lock_size > LOCK_SIZE_LIMIT {
            return Err(format!(
                "a lock may keep at most {LOCK_SIZE_LIMIT} bytes in the segment"
            ));
        }
        let name = shape.lock_name.as_bytes();
        if name.is_empty() || name.len() > LOCK_NAME_LIMIT || name.contains(&0) {
            return Err(format!(
                "a lock's name has 1 to {LOCK_NAME_LIMIT} bytes, none of them 0"
            ));
        }
        Self::compute(&shape)
            .map(
                |(participants_offset, slots_offset, slot_stride, total_size)| Self {
                    shape,
                    participants_offset,
                    slots_offset,
                    slot_stride,
                    total_size,
                },
            )
            .ok_or_else(|| "the size is too large for this machine".into())
    }

    fn compute(shape: &Shape) -> Option<(usize, usize, usize, usize)> {
        let align = (shape.align as usize).max(LINE);
        let participants_offset = LOCK_OFFSET.checked_add(round_up(shape.lock_size, LINE)?)?;
        let lines = (shape.participants as usize).checked_mul(LINE)?;
        let slots_offset = round_up(participants_offset.checked_add(lines)?, align)?;
        let slot_stride = round_up(shape.size, align)?;
        let payload = slot_stride.checked_mul(shape.slots as usize)?;
        let total_size = slots_offset.checked_add(payload)?;
        // Offsets within a mapping must fit an isize (the rule of pointer arithmetic).
        isize::try_from(total_size).ok()?;
        Some((participants_offset, slots_offset, slot_stride, total_size))
    }

    /// Whether one slot is edited in place.
    pub(crate) fn is_in_place(&self) -> bool {
        self.shape.slots == 1
    }
}

impl Header {
    /// What the kernel hands out.
    #[cfg(any(loom, test))]
    pub(crate) fn new() -> Self {
        fn words<const COUNT: usize>() -> [AtomicU32; COUNT] {
            std::array::from_fn(|_| word())
        }
        fn word() -> AtomicU32 {
            AtomicU32::new(0)
        }
        fn field() -> Field64 {
            Field64(words())
        }
        Self {
            magic: words(),
            version: word(),
            state: word(),
            total_size: field(),
            payload_size: field(),
            schema: field(),
            payload_align: word(),
            slots: word(),
            slot_stride: field(),
            slots_offset: field(),
            lock_size: word(),
            participants_offset: word(),
            participant_limit: word(),
            high_water: word(),
            beacon_key: word(),
            beacon_id: word(),
            mode: word(),
            flags: word(),
            created: field(),
            lock_name: words(),
        }
    }

    /// Writes everything but the state. The magic goes first, so that a segment whose creator died
    /// half way is known to be ours.
    pub(crate) fn write(&self, layout: &Layout, beacon_key: i32) {
        let shape = &layout.shape;
        self.sign();
        self.version.store(VERSION, Ordering::Relaxed);
        self.total_size.store(layout.total_size as u64);
        self.payload_size.store(shape.size as u64);
        self.schema.store(shape.schema);
        self.payload_align.store(shape.align, Ordering::Relaxed);
        self.slots.store(shape.slots, Ordering::Relaxed);
        self.slot_stride.store(layout.slot_stride as u64);
        self.slots_offset.store(layout.slots_offset as u64);
        self.lock_size
            .store(shape.lock_size as u32, Ordering::Relaxed);
        self.participants_offset
            .store(layout.participants_offset as u32, Ordering::Relaxed);
        self.participant_limit
            .store(shape.participants, Ordering::Relaxed);
        self.mode.store(shape.mode, Ordering::Relaxed);
        let seconds = std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |age| age.as_secs());
        self.created.store(seconds);
        let mut name = [0_u8; LOCK_NAME_LIMIT + 1];
        name[..shape.lock_name.len()].copy_from_slice(shape.lock_name.as_bytes());
        let words: [u32; 16] = bytemuck::cast(name);
        for (field, word) in self.lock_name.iter().zip(words) {
            field.store(word, Ordering::Relaxed);
        }
        // Release: a reclaimer that finds the key finds the rest as well.
        self.beacon_key.store(beacon_key as u32, Ordering::Release);
    }

    /// Writes the magic; nothing changes where it stands already. Whoever says removed in a segment that its
    /// creator left blank does this first: a state counts only beside the magic, and a remover that dies before
    /// the kernel is told would leave a segment that nobody takes for ours.
    pub(crate) fn sign(&self) {
        self.magic[0].store(MAGIC[0], Ordering::Relaxed);
        self.magic[1].store(MAGIC[1], Ordering::Relaxed);
    }

    /// Whether nothing has been written yet, not even the magic.
    pub(crate) fn is_blank(&self) -> bool {
        self.magic
            .iter()
            .all(|word| word.load(Ordering::Relaxed) == 0)
            && self.state.load(Ordering::Relaxed) == state::INITIALISING
    }

    /// Whether the magic is ours.
    pub(crate) fn has_magic(&self) -> bool {
        self.has_magic_beside(self.state())
    }

    /// Whether the magic is ours, beside a state that was looked at before. The creator writes its two halves one
    /// after the other, and they may be seen in either order; once the state is another (an acquire), both are
    /// seen. So the state is looked at first: else the creator could finish between the look at one half of the
    /// magic and that at the state.
    pub(crate) fn has_magic_beside(&self, state: u32) -> bool {
        let found = [0, 1].map(|half| self.magic[half].load(Ordering::Relaxed));
        let is_half_made = [[MAGIC[0], 0], [0, MAGIC[1]]].contains(&found);
        found == MAGIC || (is_half_made && state == state::INITIALISING)
    }

    pub(crate) fn state(&self) -> u32 {
        self.state.load(Ordering::Acquire)
    }

    /// One transition of the state; `false` if it was not `from`.
    pub(crate) fn transit(&self, from: u32, to: u32) -> bool {
        self.state
            .compare_exchange(from, to, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// The semaphore set's key; 0 while it is not written, and who sees it sees all that was written before.
    pub(crate) fn beacon_key(&self) -> i32 {
        self.beacon_key.load(Ordering::Acquire) as i32
    }

    pub(crate) fn set_beacon_id(&self, id: i32) {
        self.beacon_id
            .store((id as u32).wrapping_add(1), Ordering::Relaxed);
    }

    /// The semaphore set's id. Where it is seen before the state is ready, the set bears the proof itself.
    pub(crate) fn beacon_id(&self) -> Option<i32> {
        match self.beacon_id.load(Ordering::Relaxed) {
            0 => None,
            stored => Some(stored.wrapping_sub(1) as i32),
        }
    }

    /// Whether it is to stay when nobody is attached any more. For those who look and clean up: nothing
    /// else depends on it.
    pub(crate) fn is_persistent(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & PERSISTENT != 0
    }

    pub(crate) fn set_persistent(&self, is_persistent: bool) {
        if is_persistent {
            self.flags.fetch_or(PERSISTENT, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!PERSISTENT, Ordering::Relaxed);
        }
    }

    pub(crate) fn created(&self) -> u64 {
        self.created.load()
    }

    /// Reads every field once and checks each against the others and against the real size.
    ///
    /// # Errors
    /// `Format` for another version, `Corrupt` where the fields contradict one another.
    pub(crate) fn read(&self, key: i32, segment_size: usize) -> CortexResult<Layout> {
        let version = self.version.load(Ordering::Relaxed);
        if version != VERSION {
            return Err(CortexError::Format {
                key,
                found: version,
                supported: VERSION,
            });
        }
        let corrupt = |detail| CortexError::Corrupt { key, detail };
        let words: [u32; 16] =
            std::array::from_fn(|index| self.lock_name[index].load(Ordering::Relaxed));
        let name: [u8; LOCK_NAME_LIMIT + 1] = bytemuck::cast(words);
        let length = name.iter().position(|&byte| byte == 0);
        let length = length.ok_or_else(|| corrupt("the lock's name has no end"))?;
        let lock_name = std::str::from_utf8(&name[..length])
            .map_err(|_| corrupt("the lock's name is not UTF-8"))?
            .to_owned();
        let size = usize::try_from(self.payload_size.load())
            .map_err(|_| corrupt("the size does not fit this machine"))?;
        let shape = Shape {
            size,
            align: self.payload_align.load(Ordering::Relaxed),
            slots: self.slots.load(Ordering::Relaxed),
            schema: self.schema.load(),
            participants: self.participant_limit.load(Ordering::Relaxed),
            lock_size: self.lock_size.load(Ordering::Relaxed) as usize,
            lock_name,
            mode: self.mode.load(Ordering::Relaxed) & 0o777,
        };
        let layout = Layout::new(shape).map_err(|_| corrupt("a figure in the header is absurd"))?;
        let agrees = self.total_size.load() == layout.total_size as u64
            && self.slot_stride.load() == layout.slot_stride as u64
            && self.slots_offset.load() == layout.slots_offset as u64
            && self.participants_offset.load(Ordering::Relaxed) as usize
                == layout.participants_offset;
        if !agrees {
            return Err(corrupt("the header's offsets contradict its sizes"));
        }
        if layout.total_size != segment_size {
            return Err(corrupt("the segment is not as large as its header says"));
        }
        Ok(layout)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
