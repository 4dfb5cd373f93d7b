//! Everywhere: looking at the word at growing, bounded intervals.

use super::pause::sleep;
use crate::sys::SleepEnd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Waits while `*word == expected`, at most `limit`. The pauses grow from 20 µs to 1 ms: prompt when the change is
/// near, cheap when it is not.
pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Duration) -> SleepEnd {
    let start = Instant::now();
    let mut pause = Duration::from_micros(20);
    // Acquire: what was stored before the change is seen by the caller that looks next.
    while word.load(Ordering::Acquire) == expected {
        let Some(left) = limit.checked_sub(start.elapsed()) else {
            return SleepEnd::TimeOver;
        };
        if sleep(pause.min(left)) == SleepEnd::Signal {
            return SleepEnd::Signal;
        }
        pause = (pause * 2).min(Duration::from_millis(1));
    }
    SleepEnd::Other
}

/// Does nothing: no thread sleeps on the word.
pub(crate) fn wake_one(_word: &AtomicU32) {}

/// Does nothing: no thread sleeps on the word.
pub(crate) fn wake_all(_word: &AtomicU32) {}
