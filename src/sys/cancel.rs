//! Keeping `pthread_cancel` out of Rust frames.
//!
//! Cancelling unwinds with a foreign exception; inside an `extern "C"` Rust function that aborts the
//! process, `catch_unwind` or not. So whatever may sleep, log or take long runs with cancellation
//! disabled; it is delivered at the thread's next cancellation point after that.

/// Cancellation is disabled while this lives, and then as it was.
pub(crate) struct Disabled {
    previous: libc::c_int,
    // The state belongs to the thread.
    _not_send: std::marker::PhantomData<*const ()>,
}

extern "C" {
    // POSIX; `libc` declares it for some targets only.
    fn pthread_setcancelstate(state: libc::c_int, previous: *mut libc::c_int) -> libc::c_int;
}

/// Linux and OpenBSD count 0 enable, 1 disable; so do FreeBSD and NetBSD; macOS has it reversed.
const DISABLE: libc::c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };

impl Disabled {
    pub(crate) fn new() -> Self {
        let mut previous = DISABLE;
        // SAFETY: a valid state and a live place for the former one.
        unsafe { pthread_setcancelstate(DISABLE, &mut previous) };
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
