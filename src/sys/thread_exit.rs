//! A function that the system calls at the end of each thread that has asked for it, with the destructors of
//! thread keys (`pthread_key_create(3)`).
//!
//! Those come after the destructors of thread-locals, and a destructor that asks is served too, so this is for what
//! first happens there: the destructor of a thread-local would not run any more.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Such a function.
pub(crate) struct LastCall {
    run: extern "C" fn(*mut c_void),
    /// One more than the key; 0 is none yet.
    key: AtomicUsize,
}

impl LastCall {
    pub(crate) const fn new(run: extern "C" fn(*mut c_void)) -> Self {
        let key = AtomicUsize::new(0);
        Self { run, key }
    }

    /// Asks for the call at the end of the calling thread; asking again changes nothing. Where the system has no key
    /// left, it is not called.
    pub(crate) fn ask(&self) {
        if let Some(key) = self.made() {
            // SAFETY: a key made below and never deleted. The value is not followed, only not null.
            unsafe { libc::pthread_setspecific(key, std::ptr::from_ref(self).cast()) };
        }
    }

    /// Withdraws the request: from here on nothing may keep the shared library loaded that the function is in.
    pub(crate) fn cancel(&self) {
        if let Some(key) = self.key() {
            // SAFETY: as in `ask`.
            unsafe { libc::pthread_setspecific(key, std::ptr::null()) };
        }
    }

    fn key(&self) -> Option<libc::pthread_key_t> {
        let key = self.key.load(Ordering::Relaxed).checked_sub(1)?;
        Some(key as libc::pthread_key_t)
    }

    fn made(&self) -> Option<libc::pthread_key_t> {
        if let Some(key) = self.key() {
            return Some(key);
        }
        super::loaded::stay();
        let mut key = 0;
        // SAFETY: a live place, and a function that may be called by any thread at its end.
        if unsafe { libc::pthread_key_create(&mut key, Some(self.run)) } != 0 {
            return None;
        }
        let mine = key as usize + 1;
        let is_mine = self
            .key
            .compare_exchange(0, mine, Ordering::Relaxed, Ordering::Relaxed);
        if is_mine.is_err() {
            // SAFETY: made above, and nobody else knows it.
            unsafe { libc::pthread_key_delete(key) };
        }
        self.key()
    }
}
