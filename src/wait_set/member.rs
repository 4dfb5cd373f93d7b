//! What a wait set has of a member: its memory, kept mapped, and what the waiter looks at in it.

use crate::attachment::companion::Companion;
use crate::attachment::mapped_segment::MappedSegment;
use crate::attachment::slots::Slots;
use crate::attachment::Attachment;
use crate::locks::CortexSync;
use crate::protocol::atomics::{AtomicU32, Ordering};
use crate::protocol::signal;
use crate::segment::{Backing, Segment, SegmentFollower, SegmentObserver};
use crate::sys::shm::ReadOnlyMapping;
use std::sync::Arc;

/// What can be in a [`WaitSet`](super::WaitSet): a [`Cortex`](crate::Cortex), an [`Observer`](crate::Observer), a
/// [`Segment`] or a [`SegmentObserver`]. It cannot be implemented elsewhere.
pub trait Watchable: Sealed {}

impl<W: Sealed + ?Sized> Watchable for W {}

/// Gives a wait set the memory of a handle.
pub trait Sealed {
    fn memory(&self) -> Memory;
}

impl<L: CortexSync> Sealed for Segment<L> {
    fn memory(&self) -> Memory {
        Memory(Kind::Participant(Arc::clone(&self.attachment)))
    }
}

impl Sealed for SegmentObserver {
    fn memory(&self) -> Memory {
        Memory(Kind::Observer(Arc::clone(&self.mapped)))
    }
}

/// The memory of a segment, which stays mapped while this lives, whatever becomes of the handle.
#[derive(Debug, Clone)]
pub struct Memory(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Participant(Arc<Attachment>),
    /// It is read-only: nothing is ever stored in it.
    Observer(Arc<MappedSegment<ReadOnlyMapping>>),
}

impl Memory {
    /// Returns the memory of what is followed, and what its futures share.
    pub(crate) fn of_follower<'a>(follower: &SegmentFollower<'a>) -> (Self, &'a Companion) {
        let (kind, companion) = match follower.backing() {
            Backing::Participant(of, companion) => (Kind::Participant(Arc::clone(of)), companion),
            Backing::Observer(of, companion) => (Kind::Observer(Arc::clone(of)), companion),
        };
        (Self(kind), companion)
    }

    #[inline]
    fn slots(&self) -> &Slots {
        match &self.0 {
            Kind::Participant(attachment) => &attachment.mapped.slots,
            Kind::Observer(mapped) => &mapped.slots,
        }
    }

    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.slots().ledger().committed()
    }

    /// Returns whether the segment says that it was removed.
    #[inline]
    pub(crate) fn is_marked_removed(&self) -> bool {
        match &self.0 {
            Kind::Participant(attachment) => attachment.mapped.is_removed(),
            Kind::Observer(mapped) => mapped.is_removed(),
        }
    }

    /// Returns whether it was removed without saying so. It makes a system call.
    pub(crate) fn is_lost(&self) -> bool {
        match &self.0 {
            Kind::Participant(attachment) => attachment.is_lost(),
            Kind::Observer(mapped) => mapped.is_lost(),
        }
    }

    /// Returns the word that a writer changes when it wakes waiters.
    #[inline]
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.slots().signal().signal
    }

    /// Says that a process waits, where this process may store that, and returns the value with which to sleep on the
    /// word.
    #[inline]
    pub(crate) fn ask(&self) -> u32 {
        match &self.0 {
            Kind::Participant(_) => signal::ask(self.slots().signal()),
            // The fence that follows orders it before the look. Where no participant waits, nobody wakes this process.
            Kind::Observer(_) => self.word().load(Ordering::Relaxed),
        }
    }

    /// Puts its lock to rest. Returns whether a waiter may sleep for long.
    pub(crate) fn rest(&self) -> bool {
        match &self.0 {
            Kind::Participant(attachment) => attachment.rest(),
            Kind::Observer(_) => false,
        }
    }

    /// Returns whether a writer wakes those who have asked.
    #[inline]
    pub(crate) fn is_woken(&self) -> bool {
        matches!(self.0, Kind::Participant(_))
    }
}
