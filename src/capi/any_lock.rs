//! A lock that is chosen at run time: one of the built-in ones, or a C program's callbacks.

use super::lock::{
    neocortex_lock_ops, neocortex_lock_site, BUILT_IN, NEOCORTEX_ACCESS_READ,
    NEOCORTEX_ACCESS_WRITE, NEOCORTEX_FOREVER, NEOCORTEX_LOCK_TIMED_OUT, NEOCORTEX_TRY, TABLES,
};
use crate::error::{CortexError, CortexResult};
use crate::format::LOCK_NAME_LIMIT;
use crate::lock_site::LockSite;
use crate::permission::Permission;
use crate::segment::Kind;
use crate::site::{Settle, Wait};
use crate::sync::{Access, CortexSync, RwLock, Semaphore, SeqLock};
use crate::sys::cancel;
use std::ffi::{c_int, c_void, CStr, CString};

/// A lock made of callbacks.
pub struct Callbacks {
    ops: neocortex_lock_ops,
    lock: *mut c_void,
    key: i32,
    is_owner: bool,
    // Boxed: callbacks keep its address until destroy returns.
    _site: Box<neocortex_lock_site>,
}

// SAFETY: callbacks may be called from any thread, several at a time (neocortex_lock_ops).
unsafe impl Send for Callbacks {}
// SAFETY: as above.
unsafe impl Sync for Callbacks {}

impl Callbacks {
    fn make(ops: neocortex_lock_ops, site: LockSite<'_>, is_owner: bool) -> CortexResult<Self> {
        let key = site.key();
        let site = Box::new(neocortex_lock_site {
            key,
            memory: site.memory(),
            mode: site.permission().mode(),
            participants: site.participants(),
        });
        let make = if is_owner { ops.create } else { ops.attach };
        let make = make.ok_or_else(|| missing("create or attach"))?;
        let mut lock = std::ptr::null_mut();
        // SAFETY: the caller's table says so; the site is boxed and lives until after destroy.
        match unsafe { make(ops.ctx, &*site, &mut lock) } {
            0 => Ok(Self {
                ops,
                lock,
                key,
                is_owner,
                _site: site,
            }),
            code => Err(CortexError::Custom(code)),
        }
    }

    fn take(
        &self,
        take: Option<unsafe extern "C" fn(*mut c_void, i64) -> c_int>,
        wait: Wait,
        operation: &'static str,
    ) -> CortexResult<()> {
        let take = take.ok_or_else(|| missing("read_lock or write_lock"))?;
        // What a callback sleeps in may be a cancellation point.
        let _uncancelled = cancel::Disabled::new();
        let timeout = match (wait, wait.left()) {
            (Wait::Never, _) => NEOCORTEX_TRY,
            (_, None) => NEOCORTEX_FOREVER,
            (_, Some(left)) => i64::try_from(left.as_nanos()).unwrap_or(i64::MAX),
        };
        // SAFETY: `lock` is what the table's create or attach made.
        match unsafe { take(self.lock, timeout) } {
            0 => Ok(()),
            NEOCORTEX_LOCK_TIMED_OUT => Err(CortexError::Timeout {
                key: self.key,
                operation,
            }),
            code => Err(CortexError::Custom(code)),
        }
    }

    fn release(&self, access: Access) -> CortexResult<()> {
        let release = self.ops.release.ok_or_else(|| missing("release"))?;
        let _uncancelled = cancel::Disabled::new();
        let access = match access {
            Access::Read => NEOCORTEX_ACCESS_READ,
            Access::Write => NEOCORTEX_ACCESS_WRITE,
        };
        // SAFETY: as in `take`.
        match unsafe { release(self.lock, access) } {
            0 => Ok(()),
            code => Err(CortexError::Custom(code)),
        }
    }
}

fn missing(entry: &str) -> CortexError {
    CortexError::invalid(0, format!("the lock's table has no {entry}"))
}

impl Drop for Callbacks {
    fn drop(&mut self) {
        if let Some(destroy) = self.ops.destroy {
            // SAFETY: as in `take`; called once, and nothing after it.
            unsafe { destroy(self.lock, c_int::from(self.is_owner)) };
        }
    }
}

/// A lock that is chosen at run time.
pub enum AnyLock {
    /// The default.
    SeqLock(SeqLock),
    /// Many readers or one writer.
    RwLock(RwLock),
    /// Exclusive, on a System V semaphore.
    Semaphore(Semaphore),
    /// The caller's.
    Callbacks(Callbacks),
}

impl AnyLock {
    /// Whether several read guards can be held at once.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::RwLock(_))
    }

    /// Whether its release cannot fail, and calls nothing of the program's.
    #[inline]
    pub(super) fn is_built_in(&self) -> bool {
        !matches!(self, Self::Callbacks(_))
    }
}

// SAFETY: each of the variants keeps the promise, or the author of the callbacks does
// (neocortex_lock_ops).
unsafe impl CortexSync for AnyLock {
    type Settings = ();
    const NAME: &'static str = "any";
    // The built-in locks end with a fence; `release` adds one for callbacks.
    const RELEASE_IS_FENCE: bool = true;

    fn new(site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
        let detail = "a lock of any kind is made by its table, not by its type";
        Err(CortexError::Unsupported {
            key: site.key(),
            detail,
        })
    }

    fn attach(site: LockSite<'_>) -> CortexResult<Self> {
        Self::new(site, None)
    }

    fn read_lock(&self, wait: Wait) -> CortexResult<()> {
        match self {
            Self::SeqLock(lock) => lock.read_lock(wait),
            Self::RwLock(lock) => lock.read_lock(wait),
            Self::Semaphore(lock) => lock.read_lock(wait),
            Self::Callbacks(lock) => lock.take(lock.ops.read_lock, wait, "read"),
        }
    }

    fn write_lock(&self, wait: Wait) -> CortexResult<()> {
        match self {
            Self::SeqLock(lock) => lock.write_lock(wait),
            Self::RwLock(lock) => lock.write_lock(wait),
            Self::Semaphore(lock) => lock.write_lock(wait),
            Self::Callbacks(lock) => lock.take(lock.ops.write_lock, wait, "write"),
        }
    }

    #[inline]
    fn release(&self, access: Access) -> CortexResult<()> {
        match self {
            Self::SeqLock(lock) => lock.release(access),
            Self::RwLock(lock) => lock.release(access),
            Self::Semaphore(lock) => lock.release(access),
            Self::Callbacks(lock) => {
                let result = lock.release(access);
                crate::primitive::fence(crate::primitive::Ordering::SeqCst);
                result
            }
        }
    }

    fn force_ownership(&mut self) {
        if let Self::Callbacks(lock) = self {
            lock.is_owner = true;
            if let Some(force_ownership) = lock.ops.force_ownership {
                // SAFETY: as in `Callbacks::take`.
                unsafe { force_ownership(lock.lock) };
            }
        }
    }

    fn disown(&mut self) {
        if let Self::Callbacks(lock) = self {
            lock.is_owner = false;
        }
    }

    #[inline]
    fn is_optimistic(&self) -> bool {
        matches!(self, Self::SeqLock(_))
    }

    #[inline]
    fn try_read_fast(&self, me: u32) -> bool {
        match self {
            Self::SeqLock(lock) => lock.try_read_fast(me),
            Self::RwLock(lock) => lock.try_read_fast(me),
            Self::Semaphore(lock) => lock.try_read_fast(me),
            Self::Callbacks(_) => false,
        }
    }

    #[inline]
    fn release_read(&self, me: u32) -> CortexResult<()> {
        match self {
            Self::SeqLock(lock) => lock.release_read(me),
            Self::RwLock(lock) => lock.release_read(me),
            Self::Semaphore(lock) => lock.release_read(me),
            Self::Callbacks(_) => self.release(Access::Read),
        }
    }

    #[inline]
    fn try_write_fast(&self, me: u32) -> bool {
        match self {
            Self::SeqLock(lock) => lock.try_write_fast(me),
            Self::RwLock(lock) => lock.try_write_fast(me),
            Self::Semaphore(lock) => lock.try_write_fast(me),
            Self::Callbacks(_) => false,
        }
    }
}

/// Which lock a C program asked for.
pub(super) struct Choice {
    name: CString,
    /// The caller's table; `None` for a built-in lock.
    ops: Option<neocortex_lock_ops>,
    shared_size: usize,
    /// Nothing was asked for: attaching takes any built-in lock.
    is_open: bool,
}

impl Choice {
    /// Reads and checks the table. NULL is the default lock or, when attaching, any built-in one.
    ///
    /// # Safety
    /// NULL, or valid for `struct_size` bytes; its name is NULL or a C string.
    pub(super) unsafe fn read(key: i32, ops: *const neocortex_lock_ops) -> CortexResult<Self> {
        if ops.is_null() {
            let shared_size = SeqLock::SHARED_SIZE;
            return Ok(Self {
                name: BUILT_IN[0].into(),
                ops: None,
                shared_size,
                is_open: true,
            });
        }
        let invalid = |detail: &str| CortexError::invalid(key, detail.to_owned());
        // SAFETY: the caller's promise; the library knows one version of the table.
        let ops = unsafe { super::versioned::read_versioned(key, ops.cast(), "the lock's table") }?;
        let ops: neocortex_lock_ops = ops;
        let marks: [*mut c_void; 3] = std::array::from_fn(|index| TABLES[index].ctx);
        if let Some(index) = marks.iter().position(|&mark| mark == ops.ctx) {
            let shared_size = TABLES[index].shared_size;
            let name = BUILT_IN[index].into();
            return Ok(Self {
                name,
                ops: None,
                shared_size,
                is_open: false,
            });
        }
        if ops.name.is_null() {
            return Err(invalid("the lock's table has no name"));
        }
        // SAFETY: the caller's promise.
        let name: CString = unsafe { CStr::from_ptr(ops.name) }.into();
        if name.to_str().is_err() || !(1..=LOCK_NAME_LIMIT).contains(&name.as_bytes().len()) {
            return Err(invalid("a lock's name has 1 to 63 bytes of UTF-8"));
        }
        if BUILT_IN.contains(&name.as_c_str()) {
            return Err(invalid("the lock has the name of a built-in lock"));
        }
        let has_all = ops.create.is_some()
            && ops.attach.is_some()
            && ops.read_lock.is_some()
            && ops.write_lock.is_some()
            && ops.release.is_some();
        if !has_all {
            let detail = "the lock's table lacks create, attach, read_lock, write_lock or release";
            return Err(invalid(detail));
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
        match name {
            SeqLock::NAME => SeqLock::attach(site).map(AnyLock::SeqLock),
            RwLock::NAME => RwLock::attach(site).map(AnyLock::RwLock),
            Semaphore::NAME => Semaphore::attach(site).map(AnyLock::Semaphore),
            _ => Err(self.mismatch(site.key(), name)),
        }
    }

    fn mismatch(&self, key: i32, found: &str) -> CortexError {
        let expected = if self.is_open {
            "seqlock, rwlock or semaphore"
        } else {
            self.name()
        };
        CortexError::Lock {
            key,
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }
}

impl Kind for Choice {
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

    fn accept(&self, key: i32, found: &str, shared_size: usize) -> CortexResult<()> {
        let built_in = BUILT_IN
            .iter()
            .position(|name| name.to_bytes() == found.as_bytes());
        let expected = match built_in {
            Some(index) if self.is_open => TABLES[index].shared_size,
            _ if !self.is_open && self.name() == found => self.shared_size,
            _ => return Err(self.mismatch(key, found)),
        };
        crate::segment::check_size(key, expected, shared_size)
    }

    fn make(&self, site: LockSite<'_>) -> CortexResult<AnyLock> {
        self.build(self.name(), site, true)
    }

    fn attach(&self, found: &str, site: LockSite<'_>) -> CortexResult<AnyLock> {
        self.build(found, site, false)
    }

    fn settle(&self, name: &str) -> Settle {
        match name {
            SeqLock::NAME => SeqLock::settle,
            RwLock::NAME => RwLock::settle,
            Semaphore::NAME => Semaphore::settle,
            _ => |_, _| {},
        }
    }
}
