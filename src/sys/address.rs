//! Sleeping on a word of shared memory until another process changes it.
//!
//! A wait may end early for any reason (a signal, a wake meant for somebody else); callers look
//! again. On Linux it is the shared futex (`futex(2)`, without `FUTEX_PRIVATE_FLAG`), on FreeBSD
//! `_umtx_op`'s shared form, on OpenBSD its `futex(2)`. Elsewhere, and with
//! `--cfg neocortex_portable`, it is sleeping at growing, bounded intervals, where a wake is
//! nothing. (macOS 14.4 has `os_sync_wait_on_address`; linking to it would refuse older systems.)

use std::sync::atomic::AtomicU32;
use std::time::Duration;

pub(crate) fn timespec(duration: Duration) -> libc::timespec {
    // SAFETY: timespec is plain old data; all zeros is one of its values.
    let mut timespec: libc::timespec = unsafe { std::mem::zeroed() };
    timespec.tv_sec = duration.as_secs().try_into().unwrap_or(i32::MAX.into());
    timespec.tv_nsec = duration.subsec_nanos() as _;
    timespec
}

/// Sleeps for about that long; a signal ends it early.
pub(crate) fn sleep(duration: Duration) {
    let _uncancelled = super::cancel::Disabled::new();
    let request = timespec(duration);
    // SAFETY: a live timespec; the remainder is not asked for.
    unsafe { libc::nanosleep(&request, std::ptr::null_mut()) };
}

pub(crate) use platform::{wait, wake_all, wake_one};

#[cfg(all(target_os = "linux", not(neocortex_portable)))]
mod platform {
    use super::*;

    /// Sleeps while `*word == expected`, at most `limit`.
    pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Duration) {
        let _uncancelled = crate::sys::cancel::Disabled::new();
        let timeout = timespec(limit);
        // SAFETY: the word is live and aligned, the timespec is live; FUTEX_WAIT reads both. The
        // time-out is relative and on the monotonic clock (futex(2)).
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAIT,
                expected,
                &timeout,
            )
        };
    }

    fn wake(word: &AtomicU32, count: libc::c_int) {
        // SAFETY: FUTEX_WAKE only uses the address to find the sleepers.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
    }

    pub(crate) fn wake_one(word: &AtomicU32) {
        wake(word, 1);
    }

    pub(crate) fn wake_all(word: &AtomicU32) {
        wake(word, libc::c_int::MAX);
    }
}

#[cfg(all(target_os = "freebsd", not(neocortex_portable)))]
mod platform {
    use super::*;

    // The forms without _PRIVATE are shared between processes (_umtx_op(2)).
    pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Duration) {
        let _uncancelled = crate::sys::cancel::Disabled::new();
        let timeout = timespec(limit);
        // SAFETY: the word and the timespec are live; the fourth argument is the size of the fifth.
        unsafe {
            libc::_umtx_op(
                word.as_ptr().cast(),
                libc::UMTX_OP_WAIT_UINT,
                expected.into(),
                std::mem::size_of::<libc::timespec>() as *mut libc::c_void,
                (&raw const timeout).cast_mut().cast(),
            )
        };
    }

    fn wake(word: &AtomicU32, count: libc::c_ulong) {
        // SAFETY: the address only names the sleepers.
        unsafe {
            libc::_umtx_op(
                word.as_ptr().cast(),
                libc::UMTX_OP_WAKE,
                count,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
    }

    pub(crate) fn wake_one(word: &AtomicU32) {
        wake(word, 1);
    }

    pub(crate) fn wake_all(word: &AtomicU32) {
        wake(word, libc::c_int::MAX as libc::c_ulong);
    }
}

#[cfg(all(target_os = "openbsd", not(neocortex_portable)))]
mod platform {
    use super::*;

    pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Duration) {
        let _uncancelled = crate::sys::cancel::Disabled::new();
        let timeout = timespec(limit);
        let word = word.as_ptr();
        // SAFETY: the word and the timespec are live; FUTEX_WAIT reads both.
        unsafe {
            libc::futex(
                word,
                libc::FUTEX_WAIT,
                expected as _,
                &timeout,
                std::ptr::null_mut(),
            )
        };
    }

    fn wake(word: &AtomicU32, count: libc::c_int) {
        let word = word.as_ptr();
        // SAFETY: the address only names the sleepers.
        unsafe {
            libc::futex(
                word,
                libc::FUTEX_WAKE,
                count,
                std::ptr::null(),
                std::ptr::null_mut(),
            )
        };
    }

    pub(crate) fn wake_one(word: &AtomicU32) {
        wake(word, 1);
    }

    pub(crate) fn wake_all(word: &AtomicU32) {
        wake(word, libc::c_int::MAX);
    }
}

#[cfg(any(
    neocortex_portable,
    not(any(target_os = "linux", target_os = "freebsd", target_os = "openbsd"))
))]
mod platform {
    use super::*;
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    /// Polls with pauses of 20 µs growing to 1 ms: prompt when the change is near, cheap when not.
    pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Duration) {
        let start = Instant::now();
        let mut pause = Duration::from_micros(20);
        while word.load(Ordering::Acquire) == expected {
            let Some(left) = limit.checked_sub(start.elapsed()) else {
                return;
            };
            sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(1));
        }
    }

    pub(crate) fn wake_one(_word: &AtomicU32) {}

    pub(crate) fn wake_all(_word: &AtomicU32) {}
}
