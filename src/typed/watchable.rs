//! Typed values as members of wait sets.

use super::{Cortex, Observer};
use crate::locks::CortexSync;
use crate::wait_set::member::{Memory, Sealed};
use crate::wait_set::Changed;
use bytemuck::{CheckedBitPattern, NoUninit};

impl<T: CheckedBitPattern + NoUninit, L: CortexSync> Sealed for Cortex<T, L> {
    fn memory(&self) -> Memory {
        self.segment().memory()
    }
}

impl<T: CheckedBitPattern> Sealed for Observer<T> {
    fn memory(&self) -> Memory {
        self.segment().memory()
    }
}

impl<T: CheckedBitPattern + NoUninit, L: CortexSync> Cortex<T, L> {
    /// Returns a future that waits until the version is another than `since`: see
    /// [`Segment::changed`](crate::Segment::changed).
    ///
    /// # Errors
    /// As [`Segment::changed`](crate::Segment::changed).
    pub fn changed(&self, since: u64) -> Changed<'_> {
        self.segment().changed(since)
    }
}

impl<T: CheckedBitPattern> Observer<T> {
    /// Returns a future that waits until the version is another than `since`: see
    /// [`Segment::changed`](crate::Segment::changed).
    ///
    /// # Errors
    /// As [`Segment::changed`](crate::Segment::changed).
    pub fn changed(&self, since: u64) -> Changed<'_> {
        self.segment().changed(since)
    }
}
