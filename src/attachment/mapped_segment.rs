//! Typed access to a mapped segment: header, counters, signal, participants and slots, for attachments and observers.
//!
//! **Invariant.** Every reference into the segment is computed from the validated, private [`Layout`]; all
//! shared words are atomics.

use super::slots::Slots;
use crate::protocol::atomics::AtomicU32;
use crate::protocol::commit::Ledger;
use crate::protocol::format::{self, Header, Layout};
use crate::protocol::participants::ParticipantLine;
use crate::protocol::signal::SignalLine;
use crate::sys::shm::{self, Mapped, Mapping, ReadOnlyMapping};

/// Returns the header at the start of a mapping that is known to be large enough.
pub(crate) fn header(mapping: &impl Mapped) -> &Header {
    debug_assert!(mapping.size() >= format::LOCK_OFFSET);
    // SAFETY: callers attach only segments of at least LOCK_OFFSET bytes; shmat gives a page-aligned
    // address; a Header consists of atomics only, for which every bit pattern is a value.
    unsafe { mapping.base().cast::<Header>().as_ref() }
}

/// Returns the signal line of a mapping that is known to be large enough.
pub(crate) fn signal(mapping: &impl Mapped) -> &SignalLine {
    // SAFETY: as in `header`; the line ends before LOCK_OFFSET and consists of atomics.
    unsafe {
        mapping
            .base()
            .add(format::SIGNAL_OFFSET)
            .cast::<SignalLine>()
            .as_ref()
    }
}

/// A mapping and the parts of it that its layout describes, for attachments and observers. Through a read-only mapping
/// nothing may be stored: [`crate::attachment`] and what changes a segment ask for a `MappedSegment` of the other kind.
#[derive(Debug)]
pub(crate) struct MappedSegment<M: Mapped = Mapping> {
    pub(crate) mapping: M,
    pub(crate) layout: Layout,
    pub(crate) key: i32,
    /// Where the lines that every read and write looks at are, and the payload.
    pub(crate) slots: Slots,
}

impl<M: Mapped> MappedSegment<M> {
    /// `layout` was read from this mapping's header, or is what its header is to say.
    pub(crate) fn new(mapping: M, layout: Layout, key: i32) -> Self {
        Self {
            slots: Slots::new(mapping.base(), &layout),
            mapping,
            layout,
            key,
        }
    }

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

    pub(crate) fn ledger(&self) -> Ledger<'_> {
        self.slots.ledger()
    }

    pub(crate) fn signal(&self) -> &SignalLine {
        self.slots.signal()
    }

    /// One participant's line.
    #[inline]
    pub(crate) fn line(&self, slot: u32) -> &ParticipantLine {
        debug_assert!(slot < self.layout.shape.participants);
        self.at(self.layout.participants_offset + slot as usize * format::LINE)
    }

    /// A word of the lock area, by its number; `None` past the area's end.
    pub(crate) fn lock_word(&self, index: usize) -> Option<&AtomicU32> {
        let offset = index * size_of::<AtomicU32>();
        let is_within = offset + size_of::<AtomicU32>() <= self.layout.shape.lock_size;
        is_within.then(|| self.at(format::LOCK_OFFSET + offset))
    }

    /// Returns whether the owner, a replacer or a remover has taken the segment away.
    pub(crate) fn is_removed(&self) -> bool {
        self.header().state() == format::state::REMOVED
    }

    /// Returns whether the segment was removed from the kernel's tables without a mark in it. It makes a system call.
    ///
    /// A remover of this library stores the state first, and the kernel orders that store before its answer.
    pub(crate) fn is_lost(&self) -> bool {
        let id = self.mapping.id();
        shm::is_marked_removed(id) && !self.is_removed() && self.is_this(id)
    }

    /// Returns whether the id names this memory for this thread: in another IPC namespace it may name another segment.
    pub(crate) fn is_this(&self, id: i32) -> bool {
        let key = self.header().beacon_key();
        ReadOnlyMapping::attach(id).is_ok_and(|found| {
            found.size() == self.mapping.size() && header(&found).beacon_key() == key
        })
    }
}
