//! The lock that a new segment is made with, or that an existing one has.

use crate::attachment::Settle;
use crate::error::{Cause, CortexResult};
use crate::locks::site::LockSite;
use crate::locks::CortexSync;
use crate::permission::Permission;
use std::marker::PhantomData;

/// Makes the lock of a segment: from its type in Rust, from a name in the header or a table in C.
pub(crate) trait LockFactory {
    /// The type of the lock that it makes.
    type Lock: CortexSync;
    /// Returns the lock's name for the header of a new segment.
    fn name(&self) -> &str;
    fn shared_size(&self) -> usize;
    fn permission(&self) -> Permission;
    /// Refuses to attach to a segment that has another lock than this one.
    fn accept(&self, found: &str, shared_size: usize) -> Result<(), Cause>;
    fn make(&self, site: LockSite<'_>) -> CortexResult<Self::Lock>;
    fn attach(&self, found: &str, site: LockSite<'_>) -> CortexResult<Self::Lock>;
    /// Returns the function by which the lock with this name settles what a dead tenant left.
    fn settle(&self, name: &str) -> Settle;
}

/// A lock known by its type.
pub(crate) struct StaticLock<'a, L: CortexSync> {
    settings: Option<&'a L::Settings>,
    lock: PhantomData<L>,
}

impl<'a, L: CortexSync> StaticLock<'a, L> {
    pub(crate) fn new(settings: Option<&'a L::Settings>) -> Self {
        Self {
            settings,
            lock: PhantomData,
        }
    }
}

impl<L: CortexSync> LockFactory for StaticLock<'_, L> {
    type Lock = L;

    fn name(&self) -> &str {
        L::NAME
    }

    fn shared_size(&self) -> usize {
        L::SHARED_SIZE
    }

    fn permission(&self) -> Permission {
        L::permission(self.settings)
    }

    fn accept(&self, found: &str, shared_size: usize) -> Result<(), Cause> {
        check_name(L::NAME, found)?;
        check_size(L::SHARED_SIZE, shared_size)
    }

    fn make(&self, site: LockSite<'_>) -> CortexResult<L> {
        L::new(site, self.settings)
    }

    fn attach(&self, _found: &str, site: LockSite<'_>) -> CortexResult<L> {
        L::attach(site)
    }

    fn settle(&self, _name: &str) -> Settle {
        L::settle
    }
}

pub(crate) fn check_name(expected: &str, found: &str) -> Result<(), Cause> {
    if expected == found {
        return Ok(());
    }
    Err(Cause::Lock {
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}

/// Refuses a segment whose header claims another number of bytes for the lock than the lock will use.
pub(crate) fn check_size(expected: usize, found: usize) -> Result<(), Cause> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (expected as u64, found as u64);
    Err(Cause::Layout {
        what: "lock size",
        expected,
        found,
    })
}
