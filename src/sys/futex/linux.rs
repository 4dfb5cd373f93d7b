//! Linux: `futex(2)`, shared between processes.
//!
//! The time-out has a layout of the kernel's, which is not that of the C library's `timespec`: on 32 bits a library with
//! a `time_t` of 64 bits and one with a `time_t` of 32 bits call the same kernel. So the two layouts stand here.

use crate::sys::{cancel, SleepEnd};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// The kernel's `__kernel_timespec`: for `futex` on 64 bits, and for `futex_time64` on 32.
#[repr(C)]
struct Time64 {
    seconds: i64,
    nanoseconds: i64,
}

impl Time64 {
    fn new(duration: Duration) -> Self {
        Self {
            seconds: duration.as_secs().try_into().unwrap_or(i64::MAX),
            nanoseconds: duration.subsec_nanos().into(),
        }
    }
}

/// Sleeps while `*word == expected`, at most `limit`.
pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Duration) -> SleepEnd {
    let _uncancelled = cancel::Disabled::new();
    SleepEnd::of(call_wait(libc::FUTEX_WAIT, word, expected, limit))
}

/// [`wait`] on a word that only threads of this process change, and wake by [`wake_own`].
pub(crate) fn wait_own(word: &AtomicU32, expected: u32, limit: Duration) -> SleepEnd {
    let _uncancelled = cancel::Disabled::new();
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    SleepEnd::of(call_wait(operation, word, expected, limit))
}

/// Calls the kernel with a time-out of this layout.
///
/// # Safety
/// `number` is a call of the family `futex` whose time-out has the layout `T`, and `operation` is FUTEX_WAIT.
unsafe fn call<T>(
    number: libc::c_long,
    operation: libc::c_int,
    word: &AtomicU32,
    expected: u32,
    timeout: &T,
) -> libc::c_long {
    let timeout: *const T = timeout;
    // SAFETY: the word is live and aligned, the time-out is live and of the call's layout (the caller's promise);
    // FUTEX_WAIT reads both. The time-out is relative and on the monotonic clock (futex(2)).
    unsafe { libc::syscall(number, word.as_ptr(), operation, expected, timeout) }
}

/// On 64 bits there is one call. (x32 has 64-bit times too.)
#[cfg(any(target_pointer_width = "64", target_arch = "x86_64"))]
fn call_wait(
    operation: libc::c_int,
    word: &AtomicU32,
    expected: u32,
    limit: Duration,
) -> libc::c_long {
    // SAFETY: on 64 bits and on x32 the layout is this one.
    unsafe {
        call(
            libc::SYS_futex,
            operation,
            word,
            expected,
            &Time64::new(limit),
        )
    }
}

/// On 32 bits there are two: `futex_time64` since Linux 5.1, and `futex` with a time-out of 32-bit halves before.
#[cfg(not(any(target_pointer_width = "64", target_arch = "x86_64")))]
fn call_wait(
    operation: libc::c_int,
    word: &AtomicU32,
    expected: u32,
    limit: Duration,
) -> libc::c_long {
    use narrow::{Time32, FUTEX_TIME64};
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Whether the kernel, or a filter in front of it, has refused the newer call. Relaxed: it is a hint and nothing else
    /// depends on it; a thread that does not see it yet asks once more.
    static LACKS_TIME64: AtomicBool = AtomicBool::new(false);
    if !LACKS_TIME64.load(Ordering::Relaxed) {
        // SAFETY: `futex_time64` takes a `__kernel_timespec`.
        let answer = unsafe { call(FUTEX_TIME64, operation, word, expected, &Time64::new(limit)) };
        let error = std::io::Error::last_os_error().raw_os_error();
        // No answer that futex(2) has for FUTEX_WAIT: the kernel is older, or a filter does not know the call.
        if answer != -1 || !matches!(error, Some(libc::ENOSYS | libc::EPERM)) {
            return answer;
        }
        LACKS_TIME64.store(true, Ordering::Relaxed);
    }
    // SAFETY: on 32 bits `futex` takes the kernel's `old_timespec32`.
    unsafe {
        call(
            libc::SYS_futex,
            operation,
            word,
            expected,
            &Time32::new(limit),
        )
    }
}

#[cfg(not(any(target_pointer_width = "64", target_arch = "x86_64")))]
mod narrow {
    use std::time::Duration;

    /// The same number in every table of calls, on MIPS after its offset (`asm/unistd.h`); the `libc` crate has it for
    /// few machines.
    pub(super) const FUTEX_TIME64: libc::c_long =
        if cfg!(any(target_arch = "mips", target_arch = "mips32r6")) {
            4422
        } else {
            422
        };

    /// The kernel's `old_timespec32`.
    #[repr(C)]
    pub(super) struct Time32 {
        seconds: i32,
        nanoseconds: i32,
    }

    impl Time32 {
        pub(super) fn new(duration: Duration) -> Self {
            Self {
                seconds: duration.as_secs().try_into().unwrap_or(i32::MAX),
                nanoseconds: duration.subsec_nanos() as i32,
            }
        }
    }
}

fn wake(operation: libc::c_int, word: &AtomicU32, count: libc::c_int) {
    // SAFETY: FUTEX_WAKE only uses the address to find the sleepers.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, count) };
}

pub(crate) fn wake_one(word: &AtomicU32) {
    wake(libc::FUTEX_WAKE, word, 1);
}

pub(crate) fn wake_all(word: &AtomicU32) {
    wake(libc::FUTEX_WAKE, word, libc::c_int::MAX);
}

/// Wakes the threads of this process that sleep by [`wait_own`], or on their own word of several.
pub(crate) fn wake_own(word: &AtomicU32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    wake(operation, word, libc::c_int::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(word: &AtomicU32, expected: u32, limit: Duration) -> Option<i32> {
        (call_wait(libc::FUTEX_WAIT, word, expected, limit) == -1)
            .then(|| std::io::Error::last_os_error().raw_os_error())
            .flatten()
    }

    /// A time-out of another layout than the kernel's is refused at once (`EINVAL`), or read as another time.
    #[test]
    fn a_wait_ends_by_its_own_time_out_and_not_by_a_wrong_layout() {
        let word = AtomicU32::new(7);
        let limits = [0, 1, 999_999_999, 1_000_000_001].map(Duration::from_nanos);
        for limit in limits {
            let start = std::time::Instant::now();
            assert_eq!(answer(&word, 7, limit), Some(libc::ETIMEDOUT), "{limit:?}");
            assert!(start.elapsed() >= limit, "{limit:?}");
        }
        assert_eq!(answer(&word, 8, Duration::MAX), Some(libc::EAGAIN));
    }

    #[test]
    #[cfg(not(any(target_pointer_width = "64", target_arch = "x86_64")))]
    fn the_older_call_has_its_own_layout() {
        let (word, limit) = (AtomicU32::new(7), Duration::from_millis(3));
        let start = std::time::Instant::now();
        // SAFETY: as in `call_wait`.
        let answer = unsafe {
            call(
                libc::SYS_futex,
                libc::FUTEX_WAIT,
                &word,
                7,
                &narrow::Time32::new(limit),
            )
        };
        let error = std::io::Error::last_os_error().raw_os_error();
        assert_eq!((answer, error), (-1, Some(libc::ETIMEDOUT)));
        assert!(start.elapsed() >= limit);
    }
}
