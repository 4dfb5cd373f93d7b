//! Typed values as members of wait sets.

use super::{Cortex, Observer};
use crate::locks::CortexSync;
use crate::plain::{Readable, Shared};
use crate::wait_set::member::{Memory, Sealed};
use crate::wait_set::Changed;

impl<T: Shared, L: CortexSync> Sealed for Cortex<T, L> {
    fn memory(&self) -> Memory {
        self.segment().memory()
    }
}

impl<T: Readable> Sealed for Observer<T> {
    fn memory(&self) -> Memory {
        self.segment().memory()
    }
}

impl<T: Shared, L: CortexSync> Cortex<T, L> {
    /// Returns a future that waits until the version is another than `since`: see
    /// [`Segment::changed`](crate::Segment::changed).
    ///
    /// # Errors
    /// As [`Segment::changed`](crate::Segment::changed).
    pub fn changed(&self, since: u64) -> Changed<'_> {
        self.segment().changed(since)
    }
}

impl<T: Readable> Observer<T> {
    /// Returns a future that waits until the version is another than `since`: see
    /// [`Segment::changed`](crate::Segment::changed).
    ///
    /// # Errors
    /// As [`Segment::changed`](crate::Segment::changed).
    pub fn changed(&self, since: u64) -> Changed<'_> {
        self.segment().changed(since)
    }
}
