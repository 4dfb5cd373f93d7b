//! What a follower has read.

use crate::protocol::follow::Commits;

/// One commit, as a follower reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed<T> {
    /// The value that was committed. `()` where the follower has copied it into the caller's buffer.
    pub value: T,
    /// The number of the commit. It is the position of the follower from then on.
    pub version: u64,
    /// How many commits were made between the one that this follower read before and this one, and can no longer be
    /// read.
    pub missed: u64,
}

impl<T> Followed<T> {
    /// Returns another value of the same commit.
    pub(crate) fn with<V>(&self, value: V) -> Followed<V> {
        Followed {
            value,
            version: self.version,
            missed: self.missed,
        }
    }
}

/// Several commits that follow one another, as a follower reads them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Batch {
    /// How many there are; 0 where there is no new one. `version` and `missed` are then 0 too.
    pub count: usize,
    /// The number of the first. The others have the numbers after it.
    pub version: u64,
    /// How many commits before the first were missed.
    pub missed: u64,
}

impl<R> Commits<R> {
    pub(crate) fn only(self) -> Followed<R> {
        Followed {
            value: self.copied,
            version: self.first,
            missed: self.missed,
        }
    }

    pub(crate) fn batch(self) -> Batch {
        Batch {
            count: self.count as usize,
            version: self.first,
            missed: self.missed,
        }
    }
}
