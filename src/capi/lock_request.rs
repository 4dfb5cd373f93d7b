//! Which lock a C program asks for: reads its table, and makes the lock.

use super::any_lock::AnyLock;
use super::callbacks::Callbacks;
use super::lock::{neocortex_lock_ops, BUILT_IN};
use super::versioned::read_versioned;
use crate::attachment::Settle;
use crate::error::{Cause, CortexResult};
use crate::locks::{CortexSync, LockSite};
use crate::permission::Permission;
use crate::protocol::format::LOCK_NAME_LIMIT;
use crate::segment::{check_size, LockFactory};
use std::ffi::{CStr, CString};

/// Which lock a C program asked for.
pub(super) struct LockRequest {
    name: CString,
    /// The caller's table; `None` for a built-in lock.
    ops: Option<neocortex_lock_ops>,
    shared_size: usize,
    /// Nothing was asked for: attaching takes any built-in lock.
    is_open: bool,
}

/// Returns the place of the built-in lock with this name in [`BUILT_IN`].
fn built_in(name: &[u8]) -> Option<usize> {
    let mut names = BUILT_IN.iter().map(|(name, _)| name.to_bytes());
    names.position(|built_in| built_in == name)
}

impl LockRequest {
    fn built_in(index: usize, is_open: bool) -> Self {
        let (name, shared_size) = BUILT_IN[index];
        Self {
            name: name.into(),
            ops: None,
            shared_size,
            is_open,
        }
    }

    /// Reads and checks the table. NULL is the default lock or, when attaching, any built-in one.
    ///
    /// # Safety
    /// NULL, or valid for `struct_size` bytes; its name is NULL or a C string.
    pub(super) unsafe fn read(ops: *const neocortex_lock_ops) -> Result<Self, Cause> {
        if ops.is_null() {
            return Ok(Self::built_in(0, true));
        }
        // SAFETY: the caller's promise; the library knows one version of the table.
        let ops = unsafe { read_versioned(ops.cast(), "the lock's table") }?;
        let ops: neocortex_lock_ops = ops;
        if let Some(index) = ops.built_in() {
            return Ok(Self::built_in(index, false));
        }
        if ops.name.is_null() {
            return Err(Cause::invalid("the lock's table has no name. Set it in neocortex_lock_ops: both sides must have the same"));
        }
        // SAFETY: the caller's promise.
        let name = unsafe { CStr::from_ptr(ops.name) };
        if name.to_str().is_err() || !(1..=LOCK_NAME_LIMIT).contains(&name.count_bytes()) {
            return Err(Cause::invalid(
                "the name in the lock's table does not have 1 to 63 bytes of UTF-8",
            ));
        }
        let name: CString = name.into();
        if built_in(name.to_bytes()).is_some() {
            return Err(Cause::invalid("the lock's table has the name of a built-in lock. Choose another, or use that lock's own table"));
        }
        let has_all = ops.create.is_some()
            && ops.attach.is_some()
            && ops.read_lock.is_some()
            && ops.write_lock.is_some()
            && ops.release.is_some();
        if !has_all {
            let detail = "the lock's table has no create, attach, read_lock, write_lock or release. A lock needs all five";
            return Err(Cause::invalid(detail));
        }
        Ok(Self {
            name,
            ops: Some(ops),
            shared_size: ops.shared_size,
            is_open: false,
        })
    }

    fn build(&self, name: &str, site: LockSite<'_>, is_new: bool) -> CortexResult<AnyLock> {
        if let Some(ops) = self.ops {
            return Callbacks::make(ops, site, is_new).map(AnyLock::Callbacks);
        }
        crate::with_built_in_lock!(
            name,
            Lock => Lock::attach(site).map(AnyLock::from),
            _ => Err(self.mismatch(name).on(site.key()))
        )
    }

    fn mismatch(&self, found: &str) -> Cause {
        let expected = if self.is_open {
            let names = BUILT_IN.iter().map(|(name, _)| name.to_string_lossy());
            names.collect::<Vec<_>>().join(" or ")
        } else {
            self.name().to_owned()
        };
        Cause::Lock {
            expected,
            found: found.to_owned(),
        }
    }
}

impl LockFactory for LockRequest {
    type Lock = AnyLock;

    fn name(&self) -> &str {
        self.name.to_str().unwrap_or_default()
    }

    fn shared_size(&self) -> usize {
        self.shared_size
    }

    fn permission(&self) -> Permission {
        Permission::OwnerOnly
    }

    fn accept(&self, found: &str, shared_size: usize) -> Result<(), Cause> {
        let expected = match built_in(found.as_bytes()) {
            Some(index) if self.is_open => BUILT_IN[index].1,
            _ if !self.is_open && self.name() == found => self.shared_size,
            _ => return Err(self.mismatch(found)),
        };
        check_size(expected, shared_size)
    }

    fn make(&self, site: LockSite<'_>) -> CortexResult<AnyLock> {
        self.build(self.name(), site, true)
    }

    fn attach(&self, found: &str, site: LockSite<'_>) -> CortexResult<AnyLock> {
        self.build(found, site, false)
    }

    fn settle(&self, name: &str) -> Settle {
        crate::with_built_in_lock!(name, Lock => Lock::settle, _ => |_, _| {})
    }
}
