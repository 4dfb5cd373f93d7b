//! What is followed: a segment, or the observer of one.

use super::handle::Segment;
use super::observer::SegmentObserver;
use crate::attachment::companion::Companion;
use crate::attachment::mapped_segment::MappedSegment;
use crate::attachment::patience::Wait;
use crate::attachment::Attachment;
use crate::error::{CortexResult, Told};
use crate::locks::{Access, CortexSync};
use crate::sys::shm::ReadOnlyMapping;
use std::sync::Arc;
use std::time::Duration;

/// The memory of what is followed, and what its futures share.
pub(crate) enum Backing<'a> {
    Participant(&'a Arc<Attachment>, &'a Companion),
    Observer(&'a Arc<MappedSegment<ReadOnlyMapping>>, &'a Companion),
}

/// What a follower needs of that which it follows, besides its slots.
pub(super) trait Source: Sync {
    fn key(&self) -> i32;

    fn size(&self) -> usize;

    fn backing(&self) -> Backing<'_>;

    fn wait_changed(&self, since: u64, timeout: Option<Duration>) -> CortexResult<u64>;

    /// Calls `attempt`, which writers have overtaken, until it returns `true`.
    fn insist(&self, wait: Wait, attempt: &mut dyn FnMut() -> bool) -> CortexResult<()>;
}

impl<L: CortexSync> Source for Segment<L> {
    fn key(&self) -> i32 {
        self.key()
    }

    fn size(&self) -> usize {
        self.size()
    }

    fn backing(&self) -> Backing<'_> {
        Backing::Participant(&self.attachment, &self.companion)
    }

    fn wait_changed(&self, since: u64, timeout: Option<Duration>) -> CortexResult<u64> {
        self.wait_changed(since, timeout)
    }

    fn insist(&self, wait: Wait, attempt: &mut dyn FnMut() -> bool) -> CortexResult<()> {
        self.insist(wait, |is_locked| {
            let is_done = attempt();
            if is_locked {
                // SAFETY: it was taken on this thread, for this attempt, and the copy is made.
                unsafe { self.lock.release(Access::Read) }?;
                if !is_done && self.is_poisoned() {
                    return Err(self.poisoned());
                }
            }
            Ok(is_done.then_some(()))
        })
    }
}

impl Source for SegmentObserver {
    fn key(&self) -> i32 {
        self.key()
    }

    fn size(&self) -> usize {
        self.size()
    }

    fn backing(&self) -> Backing<'_> {
        Backing::Observer(&self.mapped, &self.companion)
    }

    fn wait_changed(&self, since: u64, timeout: Option<Duration>) -> CortexResult<u64> {
        self.wait_changed(since, timeout)
    }

    fn insist(&self, wait: Wait, attempt: &mut dyn FnMut() -> bool) -> CortexResult<()> {
        let attempt = || attempt().then_some(());
        self.poll("read", wait.left(), attempt, || self.why_in_vain())
            .on(self.key())
    }
}
