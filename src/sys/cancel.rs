//! Keeping `pthread_cancel` out of Rust frames.
//!
//! Cancelling unwinds with a foreign exception; inside an `extern "C"` Rust function that aborts the
//! process, `catch_unwind` or not. So all code that may sleep, log or take long runs with cancellation
//! disabled; a cancellation is delivered at the thread's next cancellation point after that.
//!
//! A thread with asynchronous cancelability, which POSIX allows to call nearly nothing, would be cancelled
//! the moment that it is enabled again, still within Rust; so it is left with the deferred kind. That covers
//! a call that waits; one that does not wait is not covered, and the header says so.

/// Disables cancellation while it lives, and then restores the state.
pub(crate) struct Disabled {
    previous: libc::c_int,
    // The state belongs to the thread.
    _not_send: std::marker::PhantomData<*const ()>,
}

extern "C" {
    // POSIX; `libc` declares it for some targets only.
    fn pthread_setcancelstate(state: libc::c_int, previous: *mut libc::c_int) -> libc::c_int;
    fn pthread_setcanceltype(kind: libc::c_int, previous: *mut libc::c_int) -> libc::c_int;
}

/// Linux and OpenBSD count 0 enable, 1 disable; so do FreeBSD and NetBSD; macOS has it reversed.
const DISABLE: libc::c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };

/// Deferred is 0 on Linux and the BSDs, 2 on macOS.
const DEFERRED: libc::c_int = if cfg!(target_vendor = "apple") { 2 } else { 0 };

impl Disabled {
    pub(crate) fn new() -> Self {
        let (mut previous, mut ignored) = (DISABLE, 0);
        // SAFETY: a valid state, a valid type, and live places for the former ones.
        unsafe {
            pthread_setcancelstate(DISABLE, &mut previous);
            pthread_setcanceltype(DEFERRED, &mut ignored);
        }
        Self {
            previous,
            _not_send: std::marker::PhantomData,
        }
    }
}

impl Drop for Disabled {
    fn drop(&mut self) {
        let mut ignored = 0;
        // SAFETY: the state that this function itself returned for this thread.
        unsafe { pthread_setcancelstate(self.previous, &mut ignored) };
    }
}
