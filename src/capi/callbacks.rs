//! A lock made of a C program's callbacks.

use super::lock::{
    neocortex_lock_ops, neocortex_lock_site, NEOCORTEX_ACCESS_READ, NEOCORTEX_ACCESS_WRITE,
    NEOCORTEX_LOCK_TIMED_OUT,
};
use super::times::{NEOCORTEX_FOREVER, NEOCORTEX_TRY};
use crate::error::{Cause, CortexError, CortexResult};
use crate::locks::sealed::Seal;
use crate::locks::{Access, CortexSync, LockSite, Wait};
use crate::protocol::atomics::{fence, Ordering};
use crate::sys::cancel;
use std::ffi::{c_int, c_void};

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
    /// Calls the table's create in the process that makes the segment, its attach in every other one.
    pub(super) fn make(
        ops: neocortex_lock_ops,
        site: LockSite<'_>,
        is_owner: bool,
    ) -> CortexResult<Self> {
        let key = site.key();
        let site = Box::new(neocortex_lock_site {
            key,
            memory: site.memory(),
            mode: site.permission().mode(),
            participants: site.participants(),
        });
        let make = if is_owner { ops.create } else { ops.attach };
        let make = make.ok_or_else(|| missing("create or attach").on(key))?;
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
        let take = take.ok_or_else(|| missing("read_lock or write_lock").on(self.key))?;
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
}

fn missing(entry: &str) -> Cause {
    Cause::invalid(format!(
        "the lock's table has no {entry}. Set it in neocortex_lock_ops"
    ))
}

/// Refuses to make a lock by its type whose table says what it is.
pub(super) fn made_by_its_table(site: &LockSite<'_>) -> CortexError {
    Cause::Unsupported("a lock that a C program chooses is made by its table, not by its type")
        .on(site.key())
}

// SAFETY: the author of the callbacks keeps the promise (neocortex_lock_ops).
unsafe impl CortexSync for Callbacks {
    type Settings = ();
    const NAME: &'static str = "callbacks";

    fn new(site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
        Err(made_by_its_table(&site))
    }

    fn attach(site: LockSite<'_>) -> CortexResult<Self> {
        Self::new(site, None)
    }

    unsafe fn read_lock(&self, wait: Wait) -> CortexResult<()> {
        self.take(self.ops.read_lock, wait, "read")
    }

    unsafe fn write_lock(&self, wait: Wait) -> CortexResult<()> {
        self.take(self.ops.write_lock, wait, "write")
    }

    /// Ends with a fence, as the built-in locks do: see `AnyLock::RELEASE_IS_FENCE`.
    unsafe fn release(&self, access: Access) -> CortexResult<()> {
        let missing = || missing("release").on(self.key);
        let release = self.ops.release.ok_or_else(missing)?;
        let _uncancelled = cancel::Disabled::new();
        let access = match access {
            Access::Read => NEOCORTEX_ACCESS_READ,
            Access::Write => NEOCORTEX_ACCESS_WRITE,
        };
        // SAFETY: as in `take`.
        let code = unsafe { release(self.lock, access) };
        fence(Ordering::SeqCst);
        match code {
            0 => Ok(()),
            code => Err(CortexError::Custom(code)),
        }
    }

    fn force_ownership(&mut self) {
        self.is_owner = true;
        if let Some(force_ownership) = self.ops.force_ownership {
            // SAFETY: as in `take`.
            unsafe { force_ownership(self.lock) };
        }
    }

    fn disown(&mut self, _: Seal) {
        self.is_owner = false;
    }
}

impl Drop for Callbacks {
    fn drop(&mut self) {
        if let Some(destroy) = self.ops.destroy {
            // SAFETY: as in `take`; called once, and nothing after it.
            unsafe { destroy(self.lock, c_int::from(self.is_owner)) };
        }
    }
}
