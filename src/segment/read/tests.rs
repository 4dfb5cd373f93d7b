use super::*;
use crate::SeqLock;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

#[test]
fn a_slow_reader_gets_through_beside_a_publisher_that_never_pauses() {
    const READS: u32 = 100;
    let segment = Segment::<SeqLock>::create_random(8).unwrap();
    let is_over = AtomicBool::new(false);
    let attempts = Cell::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut guard = segment.write_guard().unwrap();
            while !is_over.load(Ordering::Relaxed) {
                guard.publish().unwrap();
            }
        });
        while segment.version() == 0 {
            std::thread::yield_now();
        }
        for _ in 0..READS {
            let copy = |_| {
                attempts.set(attempts.get() + 1);
                // As long as fifteen usual pauses.
                let start = Instant::now();
                while start.elapsed() < Duration::from_micros(30) {}
            };
            segment.read_with(Limit::Handle, copy).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    // Some before it asks, some while the publisher comes to its next commit.
    let attempts = attempts.get();
    assert!(attempts < READS * 4 * ATTEMPTS, "{attempts} attempts");
}
