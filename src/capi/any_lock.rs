//! A lock that is chosen at run time: one of the built-in ones, or a C program's callbacks.

use super::callbacks::{made_by_its_table, Callbacks};
use crate::error::CortexResult;
use crate::locks::sealed::{Fence, Seal};
use crate::locks::{Access, CortexSync, LockSite, Wait};

/// Makes the type from the table of the built-in locks ([`crate::locks`]). The C interface has all of them.
macro_rules! any_lock {
    ($($lock:ident $name:literal $function:ident [$($condition:meta)?])*) => {
        /// A lock that is chosen at run time.
        pub enum AnyLock {
            $(
                #[doc = concat!("The built-in lock \"", $name, "\".")]
                $lock(crate::$lock),
            )*
            /// The caller's.
            Callbacks(Callbacks),
        }

        $(
            impl From<crate::$lock> for AnyLock {
                fn from(lock: crate::$lock) -> Self {
                    Self::$lock(lock)
                }
            }
        )*
    };
}

crate::built_in_locks!([any_lock]);

/// Calls a function of the lock that it is.
macro_rules! dispatch {
    ($any:expr, $inner:ident => $call:expr) => {
        crate::built_in_locks!([dispatch] @match ($any, $inner, $call))
    };
    (
        @match ($any:expr, $inner:ident, $call:expr)
        $($lock:ident $name:literal $function:ident [$($condition:meta)?])*
    ) => {
        match $any {
            $(AnyLock::$lock($inner) => $call,)*
            AnyLock::Callbacks($inner) => $call,
        }
    };
}

impl AnyLock {
    /// Returns whether several read guards can be held at once.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::RwLock(_))
    }

    /// Returns whether its release cannot fail, and calls nothing of the program's.
    #[inline]
    pub(super) fn is_built_in(&self) -> bool {
        !matches!(self, Self::Callbacks(_))
    }
}

// SAFETY: each of the variants keeps the promise.
unsafe impl CortexSync for AnyLock {
    type Settings = ();
    const NAME: &'static str = "any";
    // Every variant's release ends with a fence.
    const RELEASE_IS_FENCE: Fence = Fence(true);

    fn new(site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
        Err(made_by_its_table(&site))
    }

    fn attach(site: LockSite<'_>) -> CortexResult<Self> {
        Self::new(site, None)
    }

    unsafe fn read_lock(&self, wait: Wait) -> CortexResult<()> {
        // SAFETY: the caller's promise.
        dispatch!(self, lock => unsafe { lock.read_lock(wait) })
    }

    unsafe fn write_lock(&self, wait: Wait) -> CortexResult<()> {
        // SAFETY: the caller's promise.
        dispatch!(self, lock => unsafe { lock.write_lock(wait) })
    }

    #[inline]
    unsafe fn release(&self, access: Access) -> CortexResult<()> {
        // SAFETY: the caller's promise.
        dispatch!(self, lock => unsafe { lock.release(access) })
    }

    fn force_ownership(&mut self) {
        dispatch!(self, lock => lock.force_ownership());
    }

    fn disown(&mut self, seal: Seal) {
        dispatch!(self, lock => lock.disown(seal));
    }

    #[inline]
    fn is_optimistic(&self, seal: Seal) -> bool {
        dispatch!(self, lock => lock.is_optimistic(seal))
    }

    #[inline]
    unsafe fn try_read_fast(&self, me: u32, seal: Seal) -> bool {
        // SAFETY: the caller's promise.
        dispatch!(self, lock => unsafe { lock.try_read_fast(me, seal) })
    }

    #[inline]
    unsafe fn release_read(&self, me: u32, seal: Seal) -> CortexResult<()> {
        // SAFETY: the caller's promise.
        dispatch!(self, lock => unsafe { lock.release_read(me, seal) })
    }

    #[inline]
    unsafe fn try_write_fast(&self, me: u32, seal: Seal) -> bool {
        // SAFETY: the caller's promise.
        dispatch!(self, lock => unsafe { lock.try_write_fast(me, seal) })
    }
}
