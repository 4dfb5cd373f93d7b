//! Which lock a segment is made with, or found with.

use crate::error::{CortexError, CortexResult};
use crate::lock_site::LockSite;
use crate::permission::Permission;
use crate::site::Settle;
use crate::sync::CortexSync;
use std::marker::PhantomData;

/// How a lock comes to be: by its type in Rust, by a name in the header or a table in C.
pub(crate) trait Kind {
    /// What the segment then holds.
    type Lock: CortexSync;
    /// What a new segment's header says.
    fn name(&self) -> &str;
    fn shared_size(&self) -> usize;
    fn permission(&self) -> Permission;
    /// Whether a segment with this lock can be attached.
    fn accept(&self, key: i32, found: &str, shared_size: usize) -> CortexResult<()>;
    fn make(&self, site: LockSite<'_>) -> CortexResult<Self::Lock>;
    fn attach(&self, found: &str, site: LockSite<'_>) -> CortexResult<Self::Lock>;
    /// How the lock with this name settles what a dead tenant left.
    fn settle(&self, name: &str) -> Settle;
}

/// A lock known by its type.
pub(crate) struct Typed<'a, L: CortexSync> {
    settings: Option<&'a L::Settings>,
    lock: PhantomData<L>,
}

impl<'a, L: CortexSync> Typed<'a, L> {
    pub(crate) fn new(settings: Option<&'a L::Settings>) -> Self {
        Self {
            settings,
            lock: PhantomData,
        }
    }
}

impl<L: CortexSync> Kind for Typed<'_, L> {
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

    fn accept(&self, key: i32, found: &str, shared_size: usize) -> CortexResult<()> {
        check_name(key, L::NAME, found)?;
        check_size(key, L::SHARED_SIZE, shared_size)
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

pub(crate) fn check_name(key: i32, expected: &str, found: &str) -> CortexResult<()> {
    if expected == found {
        return Ok(());
    }
    Err(CortexError::Lock {
        key,
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}

/// The lock's bytes must be as many as it will use, whatever the header claims.
pub(crate) fn check_size(key: i32, expected: usize, found: usize) -> CortexResult<()> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (expected as u64, found as u64);
    Err(CortexError::Layout {
        key,
        what: "lock size",
        expected,
        found,
    })
}
