//! Where the lines and the slots of a mapping are: all that the fast paths need, in one place, so that they follow no
//! pointer to find it.

use crate::copy;
use crate::protocol::commit::{slot_of, CommitLine, Ledger, RangeLine};
use crate::protocol::format::{self, Layout};
use crate::protocol::signal::SignalLine;
use std::ptr::NonNull;

/// The addresses and sizes that the fast paths need, in one place, so that they follow no pointer to find them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slots {
    /// The mapping's base, from which the lines stand at fixed distances: one register for all three.
    head: NonNull<u8>,
    /// Where slots 0 and 1 begin; in the in-place layout both are the one slot.
    first_two: [NonNull<u8>; 2],
    stride: usize,
    pub(crate) count: u32,
    /// What is special: one word, behind `count`, because fast paths copy all of this.
    kind: u32,
    /// The bytes of the value; 0 where the slots hold records, so that no range of a value is within it.
    pub(crate) size: usize,
}

// SAFETY: the pointers are into the mapping, which the holder of a copy of this keeps alive; what they point
// to is atomics, or payload that is copied racily or under the lock.
unsafe impl Send for Slots {}
// SAFETY: as above.
unsafe impl Sync for Slots {}

/// There are two slots, and nothing is special.
const DEFAULT: u32 = 1;
/// Writers edit in place or wait for followers, or the slots hold records: what fast paths do not know.
const SPECIAL: u32 = 2;
const HAS_RECORDS: u32 = 4;
/// There are two slots of one word each, and nothing is special.
const IS_WORD: u32 = 16;
const IS_LOSSLESS: u32 = 8;

/// References to the lines that a write uses.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a> {
    pub(crate) ledger: Ledger<'a>,
    pub(crate) signal: &'a SignalLine,
}

impl Slots {
    /// Returns whether there are two slots, and nothing is special.
    #[cfg(feature = "capi")]
    #[inline]
    pub(crate) fn is_default(&self) -> bool {
        let is_default = self.kind & DEFAULT != 0;
        if is_default {
            // So that callers need not ask which slot is where.
            // SAFETY: `new` sets the kind so for two slots alone, and nothing changes either.
            unsafe { std::hint::assert_unchecked(self.count == 2) };
        }
        is_default
    }

    /// Returns whether there are two slots of one word each, and nothing is special.
    #[cfg(feature = "capi")]
    #[inline]
    pub(crate) fn is_word_alone(&self) -> bool {
        let is_word = self.kind & IS_WORD != 0;
        if is_word {
            // SAFETY: as in `is_default`; the size likewise.
            unsafe { std::hint::assert_unchecked(self.count == 2 && self.size == 8) };
        }
        is_word
    }

    /// Returns whether writers edit in place or wait for followers, or the slots hold records.
    #[inline]
    pub(crate) fn is_special(&self) -> bool {
        self.kind & SPECIAL != 0
    }

    /// Returns whether the slots hold records, and no value.
    #[inline]
    pub(crate) fn has_records(&self) -> bool {
        self.kind & HAS_RECORDS != 0
    }

    /// Returns whether writers wait for the followers that registered.
    #[inline]
    pub(crate) fn is_lossless(&self) -> bool {
        self.kind & IS_LOSSLESS != 0
    }

    #[inline]
    pub(crate) fn lines(&self) -> Lines<'_> {
        Lines {
            ledger: self.ledger(),
            signal: self.signal(),
        }
    }

    /// Returns the slots of a mapping that this layout describes.
    pub(crate) fn new(base: NonNull<u8>, layout: &Layout) -> Self {
        let (count, stride) = (layout.shape.slots, layout.slot_stride);
        let (has_records, is_lossless) = (layout.shape.has_records(), layout.shape.is_lossless());
        let features = [(has_records, HAS_RECORDS), (is_lossless, IS_LOSSLESS)];
        let features = features.iter().filter(|(has, _)| *has);
        let kind = match (
            features
                .map(|(_, bit)| bit | SPECIAL)
                .fold(0, |all, bit| all | bit),
            count,
        ) {
            (0, 1) => SPECIAL,
            (0, 2) if layout.shape.size == size_of::<u64>() => DEFAULT | IS_WORD,
            (0, 2) => DEFAULT,
            (features, _) => features,
        };
        let size = match has_records {
            false => layout.shape.size,
            true => 0,
        };
        // SAFETY: the slots begin within the mapping, which the layout was checked against.
        let first = unsafe { base.add(layout.slots_offset) };
        let second = match count {
            1 => first,
            // SAFETY: there is one more slot.
            _ => unsafe { first.add(stride) },
        };
        Self {
            head: base,
            first_two: [first, second],
            stride,
            count,
            kind,
            size,
        }
    }

    #[inline]
    pub(crate) fn ledger(&self) -> Ledger<'_> {
        // SAFETY: two lines of atomics, at offsets within any mapping that has a layout.
        let (line, ranges) = unsafe {
            (
                self.line::<CommitLine>(format::COMMIT_OFFSET),
                self.line::<RangeLine>(format::RANGES_OFFSET),
            )
        };
        Ledger {
            line,
            ranges,
            slots: self.count,
        }
    }

    #[inline]
    pub(crate) fn signal(&self) -> &SignalLine {
        // SAFETY: as in `ledger`.
        unsafe { self.line(format::SIGNAL_OFFSET) }
    }

    /// # Safety
    /// The offset is that of a `T` before the lock area, and `T` consists of atomics.
    #[inline]
    unsafe fn line<T>(&self, offset: usize) -> &T {
        // SAFETY: the caller's promise; the holder of this keeps the mapping alive.
        unsafe { self.head.add(offset).cast::<T>().as_ref() }
    }

    /// Returns the first byte of a slot.
    #[inline]
    pub(crate) fn at(&self, slot: usize) -> *mut u8 {
        debug_assert!(slot < self.count as usize);
        // SAFETY: `slot` is below `count`, so the slot is in the mapping.
        unsafe { self.first_two[0].as_ptr().add(slot * self.stride) }
    }

    /// Returns the first byte of the slot that holds this commit, for a caller that has all of this in registers.
    #[inline]
    pub(crate) fn of(&self, commit: u64) -> *mut u8 {
        if self.count == 2 {
            // The default layout without a multiplication, which would stand in the way of every read.
            let offset = self.stride & (commit as usize & 1).wrapping_neg();
            // SAFETY: 0 or one stride, and there are two slots.
            return unsafe { self.first_two[0].as_ptr().add(offset) };
        }
        self.of_many(commit)
    }

    /// Returns the same as [`Slots::of`], for a caller that has loaded `count` and nothing else: with one more load and
    /// no arithmetic.
    #[inline]
    pub(crate) fn look_up(&self, count: u32, commit: u64) -> *mut u8 {
        if count > 2 {
            return self.of_many(commit);
        }
        self.first_two[commit as usize & 1].as_ptr()
    }

    #[cold]
    fn of_many(&self, commit: u64) -> *mut u8 {
        self.of_any(commit)
    }

    /// Returns the same as [`Slots::of`], for a caller that expects more than two slots.
    #[inline]
    pub(crate) fn of_any(&self, commit: u64) -> *mut u8 {
        self.at(slot_of(commit, self.count))
    }

    /// Returns the first byte of the slot that holds this commit, where that of the commit before it is `before`.
    #[inline]
    pub(crate) fn after(&self, before: *mut u8, commit: u64) -> *mut u8 {
        if self.count == 2 {
            return self.of(commit);
        }
        let first = self.first_two[0].as_ptr();
        let next = before.wrapping_add(self.stride);
        // Where the counter wraps, after 2^64 commits, it goes on as before: no process gets there.
        match next == first.wrapping_add(self.count as usize * self.stride) {
            true => first,
            false => next,
        }
    }

    /// Copies so many commits, from this one on, to a place, one after the other. The bytes mean nothing until
    /// validated.
    ///
    /// # Safety
    /// `count` is at most the number of slots, and the place is valid for writing `count` times `size` bytes.
    pub(crate) unsafe fn load_many(&self, first: u64, count: u64, place: *mut u8) {
        let start = slot_of(first, self.count);
        let (count, until_last) = (count as usize, self.count as usize - start);
        // Those that are in the slots to the last one, and then those that are in the first slots.
        let head = count.min(until_last);
        // SAFETY: so many slots there are from `start` on; the caller vouches for the place.
        unsafe { copy::load_many(self.at(start), self.stride, place, self.size, head) };
        if head < count {
            // SAFETY: as above, from slot 0 on. The slots of the first part are others, for there are not as many commits
            // as to come back to them.
            unsafe {
                let place = place.add(head * self.size);
                copy::load_many(self.at(0), self.stride, place, self.size, count - head);
            }
        }
    }
}
