//! FreeBSD: `_umtx_op(2)`. The forms without `_PRIVATE` are shared between processes.

use super::pause::timespec;
use crate::sys::{cancel, SleepEnd};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while `*word == expected`, at most `limit`.
pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Duration) -> SleepEnd {
    let _uncancelled = cancel::Disabled::new();
    let timeout = timespec(limit);
    // SAFETY: the word and the timespec are live; the fourth argument is the size of the fifth.
    let result = unsafe {
        libc::_umtx_op(
            word.as_ptr().cast(),
            libc::UMTX_OP_WAIT_UINT,
            expected.into(),
            size_of::<libc::timespec>() as *mut libc::c_void,
            (&raw const timeout).cast_mut().cast(),
        )
    };
    SleepEnd::of(result.into())
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
