//! Everything about a segment that is free to choose, and all the sizes and offsets that follow from it.

pub(crate) const HEADER_SIZE: usize = 512;
pub(crate) const COMMIT_OFFSET: usize = HEADER_SIZE;
pub(crate) const RANGES_OFFSET: usize = 576;
pub(crate) const SIGNAL_OFFSET: usize = 640;
pub(crate) const LOCK_OFFSET: usize = 704;
/// Where slots lie that fit into the commit line: behind its two counters.
pub(crate) const SMALL_OFFSET: usize = COMMIT_OFFSET + 16;
/// The bytes of such a slot, and the least alignment of any.
pub(crate) const SMALL_SLOT: usize = 16;
/// Up to so many bytes a value is aligned to [`SMALL_SLOT`] where nothing else is asked for, and to [`LINE`] above.
const SMALL_VALUE: usize = 32;
/// The size of a cache line. Everything that two processes write often is on a line of its own.
pub(crate) const LINE: usize = 64;

/// The longest lock name, in bytes.
pub(crate) const LOCK_NAME_LIMIT: usize = 63;
/// The most participants: as many as an owner word can tell apart.
pub(crate) const PARTICIPANT_LIMIT: u32 = 4096;
/// The most payload slots.
pub(crate) const SLOT_LIMIT: u32 = 65_536;
/// The largest alignment: `shmat(2)` promises no more than a page.
pub(crate) const ALIGN_LIMIT: u32 = 4096;
/// The most bytes a lock may keep in the segment.
pub(crate) const LOCK_SIZE_LIMIT: usize = 1 << 20;

/// The bit of `features` for records of any length: each slot begins with the length of the record in it.
pub(crate) const RECORDS: u32 = 1;
/// The bit of `features` for writers that wait for registered followers.
pub(crate) const LOSSLESS: u32 = 2;
/// The bytes in which a slot says how long its record is.
pub(crate) const RECORD_HEAD: usize = size_of::<u64>();

/// Everything about a segment that is free to choose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The bytes of the value, or of the longest record.
    pub(crate) size: usize,
    pub(crate) align: u32,
    /// 1 is the in-place layout.
    pub(crate) slots: u32,
    pub(crate) schema: u64,
    pub(crate) participants: u32,
    pub(crate) lock_size: usize,
    pub(crate) lock_name: String,
    pub(crate) mode: u32,
    /// The additions to version 1 that it has, a bit for each.
    pub(crate) features: u32,
    /// The segment's own name, which is one by [`crate::protocol::name`]; empty where it was made by number alone.
    pub(crate) name: String,
}

impl Shape {
    /// Returns whether the slots hold records of any length.
    pub(crate) fn has_records(&self) -> bool {
        self.features & RECORDS != 0
    }

    /// Returns whether writers wait for the followers that registered.
    pub(crate) fn is_lossless(&self) -> bool {
        self.features & LOSSLESS != 0
    }

    /// Returns the alignment of a payload of so many bytes for which this one is asked for.
    pub(crate) fn align(asked: u32, size: usize) -> u32 {
        let least = if size <= SMALL_VALUE {
            SMALL_SLOT
        } else {
            LINE
        };
        asked.max(least as u32)
    }

    /// Returns whether both slots fit into the commit line, so that a reader that has learnt of a commit has its value too.
    fn is_small(&self) -> bool {
        let fits = self.size <= SMALL_SLOT - self.head() && self.align as usize <= SMALL_SLOT;
        self.slots == 2 && fits
    }

    /// Returns how many bytes are in a slot before the payload.
    fn head(&self) -> usize {
        match self.has_records() {
            true => RECORD_HEAD,
            false => 0,
        }
    }
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
    /// Computes the layout, or returns which argument is not valid.
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
                "{} slots were asked for, and 2 to {SLOT_LIMIT} are possible",
                shape.slots
            ));
        }
        if shape.slots == 1 && shape.features != 0 {
            return Err("a cortex of `records`, or that is `lossless`, has 2 slots or more, and is not `in_place`".into());
        }
        if !(1..=PARTICIPANT_LIMIT).contains(&shape.participants) {
            let count = shape.participants;
            return Err(format!(
                "{count} participants were asked for, and 1 to {PARTICIPANT_LIMIT} are possible"
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
        if shape.is_small() {
            let total_size = participants_offset.checked_add(lines)?;
            return Some((participants_offset, SMALL_OFFSET, SMALL_SLOT, total_size));
        }
        let slots_offset = round_up(participants_offset.checked_add(lines)?, align)?;
        let slot_stride = round_up(shape.size.checked_add(shape.head())?, align)?;
        let payload = slot_stride.checked_mul(shape.slots as usize)?;
        let total_size = slots_offset.checked_add(payload)?;
        // Offsets within a mapping must fit an isize (the rule of pointer arithmetic).
        isize::try_from(total_size).ok()?;
        Some((participants_offset, slots_offset, slot_stride, total_size))
    }

    /// Returns whether this is the in-place layout, in which the one slot is edited in place.
    pub(crate) fn is_in_place(&self) -> bool {
        self.shape.slots == 1
    }
}
