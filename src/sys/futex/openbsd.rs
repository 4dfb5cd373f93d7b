//! OpenBSD: its own `futex(2)`, shared between processes.

use super::pause::timespec;
use crate::sys::{cancel, SleepEnd};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while `*word == expected`, at most `limit`.
pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Duration) -> SleepEnd {
    let _uncancelled = cancel::Disabled::new();
    let timeout = timespec(limit);
    let word = word.as_ptr();
    // SAFETY: the word and the timespec are live; FUTEX_WAIT reads both.
    let result = unsafe {
        libc::futex(
            word,
            libc::FUTEX_WAIT,
            expected as _,
            &timeout,
            std::ptr::null_mut(),
        )
    };
    SleepEnd::of(result.into())
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
