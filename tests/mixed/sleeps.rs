//! Sleeping and waking on a word of a segment by futex(2) itself, in place of the library.
//!
//! Nothing here ends by itself: what is not woken sleeps until the test's watchdog ends it.

use crate::common::Foreign;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Set in a word that somebody sleeps on.
pub const WAITING: u32 = 1;

/// In the form that is shared between processes, and without a time-out.
fn futex(word: &AtomicU32, operation: i32, value: u32) -> libc::c_long {
    let no_timeout = std::ptr::null::<libc::timespec>();
    // SAFETY: the word is live and aligned; without a time-out nothing else is read.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, no_timeout) }
}

/// Tries to wake one that sleeps on the word, until the kernel says that it woke one.
pub fn wake_one(segment: &Foreign, offset: usize) {
    while futex(segment.word(offset), libc::FUTEX_WAKE, 1) != 1 {
        std::thread::yield_now();
    }
}

/// A thread of this process that sleeps on a word as a process of the library's would, but for ever.
pub struct Sleeper(JoinHandle<libc::c_long>);

impl Sleeper {
    /// When this returns, it is asleep.
    pub fn new(segment: &Foreign, offset: usize) -> Self {
        let segment = Foreign::of(segment.id);
        let id = Arc::new(AtomicI32::new(0));
        let told = id.clone();
        let thread = std::thread::spawn(move || {
            let word = segment.word(offset);
            // SAFETY: gettid takes nothing.
            told.store(unsafe { libc::gettid() }, Ordering::SeqCst);
            // From here it can sleep in one place only.
            let expected = word.fetch_or(WAITING, Ordering::SeqCst) | WAITING;
            futex(word, libc::FUTEX_WAIT, expected)
        });
        let is_asleep = || {
            let stat = format!("/proc/self/task/{}/stat", id.load(Ordering::SeqCst));
            std::fs::read_to_string(stat).is_ok_and(|line| line.contains(") S "))
        };
        while !is_asleep() {
            std::thread::yield_now();
        }
        Self(thread)
    }

    /// Waits until somebody has woken it.
    pub fn join(self) {
        // -1 is a word that had another value already, so that nobody needed to wake.
        assert_eq!(self.0.join().expect("the sleeper"), 0, "it never slept");
    }
}
