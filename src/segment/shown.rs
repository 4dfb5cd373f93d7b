//! What a handle shows of itself (`{:?}`): what a program's log can use, and no address.

use super::handle::Segment;
use super::observer::SegmentObserver;
use crate::locks::CortexSync;
use std::fmt;

impl<L: CortexSync> Segment<L> {
    /// Adds what there is to know without asking the kernel.
    pub(crate) fn show(&self, shown: &mut fmt::DebugStruct<'_, '_>) {
        shown
            .field("key", &self.key())
            .field("name", &self.name())
            .field("size", &self.size())
            .field("lock", &format_args!("{}", self.lock_name()))
            .field("version", &self.version())
            .field("is_owner", &self.is_owner());
    }
}

impl SegmentObserver {
    /// As [`Segment::show`].
    pub(crate) fn show(&self, shown: &mut fmt::DebugStruct<'_, '_>) {
        shown
            .field("key", &self.key())
            .field("name", &self.name())
            .field("size", &self.size())
            .field("lock", &format_args!("{}", self.lock_name()))
            .field("version", &self.version());
    }
}

impl<L: CortexSync> fmt::Debug for Segment<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Segment");
        self.show(&mut shown);
        shown.finish_non_exhaustive()
    }
}

impl fmt::Debug for SegmentObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SegmentObserver");
        self.show(&mut shown);
        shown.finish_non_exhaustive()
    }
}
