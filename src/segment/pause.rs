//! A publisher's pause for readers that it overtakes again and again.
//!
//! The publisher holds the lock during the pause, so the pause is short whatever the readers ask: a few copies, and a
//! few milliseconds for a reader that must first get a processor. It ends when a reader has succeeded. After the first
//! microseconds the publisher sleeps, because the reader may need the processor that the publisher runs on.

use super::handle::Segment;
use crate::locks::CortexSync;
use crate::protocol::signal;
use crate::sys::futex;
use std::time::{Duration, Instant};

/// How long a pause lasts even if a reader succeeds at once, unless a copy is quicker: other readers that ask need as
/// much time.
const SURE: Duration = Duration::from_micros(100);

/// How long the publisher spins before it sleeps.
const SPIN: Duration = Duration::from_micros(20);

/// By how much the longest pause exceeds four usual ones: for a reader without a processor, or with a slow one.
const SLACK: Duration = Duration::from_millis(16);

/// The longest pause is at most this many usual ones, where [`SLACK`] would allow more.
const LONGEST: u32 = 256;

impl<L: CortexSync> Segment<L> {
    /// Pauses so that starved readers can finish a copy.
    #[cold]
    pub(super) fn pause_for_readers(&self) {
        let line = self.slots.signal();
        let start = Instant::now();
        let longest = pause_length(self.size(), line.asked());
        let sure = usual(self.size()).min(SURE);
        while start.elapsed() < sure || line.is_asked() && start.elapsed() < longest.min(SPIN) {
            crate::protocol::atomics::spin();
        }
        let left = || longest.checked_sub(start.elapsed());
        signal::pause(
            line,
            || left().is_none(),
            |word, value| {
                // The sleep lasts milliseconds, and is not a wait of the caller's: a signal only ends it early.
                futex::wait(word, value, left().unwrap_or_default());
            },
        );
    }
}

/// Returns how long a reader needs whose copy takes a quarter of a nanosecond for each byte.
fn usual(size: usize) -> Duration {
    Duration::from_nanos(2_000 + size as u64 / 4)
}

/// Returns how long the readers need that asked for a pause, if the slowest of them takes `copy` for its copy.
fn pause_length(size: usize, copy: Duration) -> Duration {
    let usual = usual(size);
    // Time for the rest of a copy that is in vain, for a whole one, and a reserve.
    let needed = usual.max(copy.saturating_mul(3));
    needed.min(usual * LONGEST).min(usual * 4 + SLACK)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::SeqLock;

    #[test]
    fn a_pause_is_long_enough_for_a_slow_copy_and_bounded() {
        let micros = Duration::from_micros;
        assert_eq!(pause_length(8, micros(0)), Duration::from_nanos(2_002));
        assert_eq!(pause_length(8, micros(30)), micros(90));
        assert_eq!(
            pause_length(4 << 20, micros(30)),
            Duration::from_nanos(2_000 + (1 << 20))
        );
        for asked in [micros(1_000), Duration::MAX] {
            assert_eq!(pause_length(8, asked), usual(8) * 256);
        }
        // A few copies and milliseconds, also where the copy that was asked for took a minute.
        for size in [1 << 20, 64 << 20, 1 << 30] {
            for asked in [Duration::from_secs(60), Duration::MAX] {
                assert_eq!(pause_length(size, asked), usual(size) * 4 + SLACK);
            }
        }
    }

    #[test]
    fn a_pause_takes_note_of_every_request() {
        let segment = Segment::<SeqLock>::create_random(8).unwrap();
        let line = segment.slots.signal();
        for copy in [Duration::ZERO, Duration::from_micros(200), Duration::MAX] {
            line.ask(copy);
            segment.pause_for_readers();
            assert!(!line.is_asked());
        }
    }
}
