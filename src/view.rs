//! A mapping as what it is: header, counters, signal, participants and slots, for sites and observers alike.
//!
//! **Invariant.** Every reference into the segment is computed from the validated, private [`Layout`]; all
//! shared words are atomics.

use crate::commit::{CommitLine, Ledger, RangeLine};
use crate::format::{self, Header, Layout};
use crate::participants::Line;
use crate::primitive::AtomicU32;
use crate::signal::SignalLine;
use crate::sys::shm::Mapping;

/// The header at the start of a mapping that is known to be large enough.
pub(crate) fn header(mapping: &Mapping) -> &Header {
    debug_assert!(mapping.size() >= format::LOCK_OFFSET);
    // SAFETY: callers attach only segments of at least LOCK_OFFSET bytes; shmat gives a page-aligned
    // address; a Header consists of atomics only, for which every bit pattern is a value.
    unsafe { mapping.base().cast::<Header>().as_ref() }
}

/// The signal line of a mapping that is known to be large enough.
pub(crate) fn signal(mapping: &Mapping) -> &SignalLine {
    // SAFETY: as in `header`; the line ends before LOCK_OFFSET and consists of atomics.
    unsafe {
        mapping
            .base()
            .add(format::SIGNAL_OFFSET)
            .cast::<SignalLine>()
            .as_ref()
    }
}

/// The views of a mapping that its layout describes; what sites and observers share.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) mapping: Mapping,
    pub(crate) layout: Layout,
    pub(crate) key: i32,
}

impl View {
    pub(crate) fn header(&self) -> &Header {
        header(&self.mapping)
    }

    /// A reference to something that consists of atomics, at an offset within the layout.
    #[inline]
    fn at<T>(&self, offset: usize) -> &T {
        debug_assert!(offset + size_of::<T>() <= self.mapping.size());
        // SAFETY: the layout was checked against the mapping's size, `T` consists of atomics, and
        // every offset used below is a multiple of its alignment from a page-aligned base.
        unsafe { self.mapping.base().add(offset).cast::<T>().as_ref() }
    }

    #[inline]
    pub(crate) fn ledger(&self) -> Ledger<'_> {
        Ledger {
            line: self.at::<CommitLine>(format::COMMIT_OFFSET),
            ranges: self.at::<RangeLine>(format::RANGES_OFFSET),
            slots: self.layout.shape.slots,
        }
    }

    #[inline]
    pub(crate) fn signal(&self) -> &SignalLine {
        signal(&self.mapping)
    }

    /// One participant's line.
    #[inline]
    pub(crate) fn line(&self, slot: u32) -> &Line {
        debug_assert!(slot < self.layout.shape.participants);
        self.at(self.layout.participants_offset + slot as usize * format::LINE)
    }

    /// A word of the lock area, by its number; `None` past the area's end.
    pub(crate) fn lock_word(&self, index: usize) -> Option<&AtomicU32> {
        let offset = index * size_of::<AtomicU32>();
        let is_within = offset + size_of::<AtomicU32>() <= self.layout.shape.lock_size;
        is_within.then(|| self.at(format::LOCK_OFFSET + offset))
    }

    /// The first byte of a payload slot. Valid for `slot_stride` bytes.
    #[inline]
    pub(crate) fn slot(&self, slot: usize) -> *mut u8 {
        debug_assert!(slot < self.layout.shape.slots as usize);
        let offset = self.layout.slots_offset + slot * self.layout.slot_stride;
        // SAFETY: `slot` is below the slot count (Ledger::slot), so the offset is in the mapping.
        unsafe { self.mapping.base().add(offset).as_ptr() }
    }

    /// Whether the owner, a replacer or a remover has taken the segment away.
    pub(crate) fn is_removed(&self) -> bool {
        self.header().state() == format::state::REMOVED
    }
}
