//! What is followed: a segment, or the observer of one.

use super::handle::Segment;
use super::observer::SegmentObserver;
use crate::attachment::patience::Wait;
use crate::error::{CortexResult, Told};
use crate::locks::{Access, CortexSync};
use std::time::Duration;

/// What a follower needs of that which it follows, besides its slots.
pub(super) trait Source: Sync {
    fn key(&self) -> i32;

    fn size(&self) -> usize;

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

    fn wait_changed(&self, since: u64, timeout: Option<Duration>) -> CortexResult<u64> {
        self.wait_changed(since, timeout)
    }

    fn insist(&self, wait: Wait, attempt: &mut dyn FnMut() -> bool) -> CortexResult<()> {
        let attempt = || attempt().then_some(());
        self.poll("read", wait.left(), attempt, || self.why_in_vain())
            .on(self.key())
    }
}
