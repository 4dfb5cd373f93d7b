//! One that waits for a commit beside a lock at rest, as the library's own do (`src/protocol/owner_word.rs`), but for ever:
//! what is not woken sleeps until the test's watchdog ends it.

use crate::common::Foreign;
use crate::sleeps::Sleeper;
use std::sync::atomic::Ordering;

/// Where the segment has these words: see `src/protocol/format.rs`.
const SIGNAL: usize = 640;
pub const LOCK: usize = 704;

/// Free, and processes may sleep for long.
const RESTING: u32 = 1;

pub struct LongSleeper(Sleeper);

impl LongSleeper {
    /// When this returns the lock is at rest, and a thread of this process is asleep.
    pub fn beside(segment: &Foreign) -> Self {
        let word = segment.word(LOCK);
        let before = word.compare_exchange(0, RESTING, Ordering::SeqCst, Ordering::SeqCst);
        assert!(matches!(before, Ok(_) | Err(RESTING)), "{before:?}");
        Self(Sleeper::new(segment, SIGNAL))
    }

    /// Whether the next writer takes the lock without waking who sleeps for long.
    pub fn would_be_passed_by(segment: &Foreign) -> bool {
        segment.word(LOCK).load(Ordering::SeqCst) == 0
    }

    /// Waits until somebody has woken it.
    pub fn join(self) {
        self.0.join();
    }
}
