//! Linux: `futex_waitv(2)`, since 5.16.
//!
//! Its words and its time-out have layouts of the kernel's, the same on 32 and 64 bits. A kernel without it, and a
//! filter in front of one that has it, refuse it: the caller then looks at growing intervals. The answer is not kept,
//! because a filter may be put on one thread alone, and at any time.

use super::any::{AnyEnd, Expected, ANY_LIMIT};
use crate::sys::{cancel, SleepEnd};
use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// The same number in every table of calls that has it, after the table's offset (`asm/unistd.h`); the `libc` crate has it
/// for few machines.
const FUTEX_WAITV: libc::c_long = 449
    + if cfg!(all(target_arch = "x86_64", target_pointer_width = "32")) {
        0x4000_0000
    } else if cfg!(any(target_arch = "mips", target_arch = "mips32r6")) {
        4000
    } else if cfg!(any(target_arch = "mips64", target_arch = "mips64r6")) {
        5000
    } else {
        0
    };

/// `FUTEX_32` of `<linux/futex.h>`: a word of 32 bits, shared between processes.
const SHARED: u32 = 2;
/// The same word, in this process alone (`FUTEX_PRIVATE_FLAG`).
const PRIVATE: u32 = SHARED | 128;

/// The kernel's `struct futex_waitv`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

impl Waiter {
    fn new(expected: Expected<'_>, flags: u32) -> Self {
        Self {
            value: expected.value.into(),
            address: expected.word.as_ptr() as usize as u64,
            flags,
            reserved: 0,
        }
    }
}

/// The kernel's `__kernel_timespec`.
#[repr(C)]
struct Moment {
    seconds: i64,
    nanoseconds: i64,
}

impl Moment {
    /// The moment so far from now, on the monotonic clock. What the clock cannot say is as good as never.
    fn after(limit: Duration) -> Self {
        // SAFETY: timespec is plain old data; all zeros is one of its values.
        let mut now: libc::timespec = unsafe { std::mem::zeroed() };
        // SAFETY: a live timespec; the clock is always there.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
        let nanoseconds = now.tv_nsec as i64 + i64::from(limit.subsec_nanos());
        let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
        Self {
            seconds: seconds
                .saturating_add(now.tv_sec as i64)
                .saturating_add(nanoseconds / 1_000_000_000),
            nanoseconds: nanoseconds % 1_000_000_000,
        }
    }
}

pub(crate) fn wait_any<'a>(
    own: Expected<'a>,
    shared: impl Iterator<Item = Expected<'a>>,
    limit: Duration,
) -> AnyEnd {
    let _uncancelled = cancel::Disabled::new();
    let mut waiters = [MaybeUninit::<Waiter>::uninit(); ANY_LIMIT + 1];
    waiters[0].write(Waiter::new(own, PRIVATE));
    let mut count = 1;
    for (place, expected) in waiters[1..].iter_mut().zip(shared) {
        place.write(Waiter::new(expected, SHARED));
        count += 1;
    }
    let end = Moment::after(limit);
    // SAFETY: `count` waiters were written, their words are live and aligned (they are borrowed), and the time-out is
    // live and of the kernel's layout; the kernel reads them. No flags are defined.
    let result = unsafe {
        libc::syscall(
            FUTEX_WAITV,
            waiters.as_ptr(),
            count as libc::c_uint,
            0 as libc::c_uint,
            &raw const end,
            libc::CLOCK_MONOTONIC,
        )
    };
    if result != -1 {
        return AnyEnd::Slept(SleepEnd::Other);
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => AnyEnd::Slept(SleepEnd::TimeOver),
        Some(libc::EINTR) => AnyEnd::Slept(SleepEnd::Signal),
        // A word had another value.
        Some(libc::EAGAIN) => AnyEnd::Slept(SleepEnd::Other),
        _ => AnyEnd::Refused,
    }
}
