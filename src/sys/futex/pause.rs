//! Sleeping for a time, without a word.

use crate::sys::{cancel, SleepEnd};
use std::time::Duration;

/// Returns the C library's form of a duration.
pub(crate) fn timespec(duration: Duration) -> libc::timespec {
    // SAFETY: timespec is plain old data; all zeros is one of its values.
    let mut timespec: libc::timespec = unsafe { std::mem::zeroed() };
    timespec.tv_sec = duration.as_secs().try_into().unwrap_or(i32::MAX.into());
    timespec.tv_nsec = duration.subsec_nanos() as _;
    timespec
}

/// Sleeps for about that long; a signal ends it early.
pub(crate) fn sleep(duration: Duration) -> SleepEnd {
    let _uncancelled = cancel::Disabled::new();
    let request = timespec(duration);
    // SAFETY: a live timespec; the remainder is not asked for.
    let result = unsafe { libc::nanosleep(&request, std::ptr::null_mut()) };
    SleepEnd::of(result.into())
}
