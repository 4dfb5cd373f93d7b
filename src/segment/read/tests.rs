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
            let copy = |_, _| {
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

#[test]
fn a_reader_stopped_in_a_copy_asks_for_the_time_of_a_copy() {
    const STOPPED: Duration = Duration::from_millis(300);
    let segment = Segment::<SeqLock>::create_random(64).unwrap();
    let signal = segment.slots.signal();
    let (attempts, asked) = (Cell::new(0), Cell::new(Duration::ZERO));
    let (overtake, requests) = std::sync::mpsc::sync_channel::<()>(0);
    let (overtaken, answers) = std::sync::mpsc::sync_channel(0);
    std::thread::scope(|scope| {
        let segment = &segment;
        scope.spawn(move || {
            let mut guard = segment.write_guard().unwrap();
            for () in requests {
                guard.publish().unwrap();
                overtaken.send(()).unwrap();
            }
        });
        let be_overtaken = || {
            overtake.send(()).unwrap();
            answers.recv().unwrap();
        };
        be_overtaken();
        let copy = |_, _| {
            attempts.set(attempts.get() + 1);
            match attempts.get() {
                // Overtaken, until it asks.
                1..=ATTEMPTS => be_overtaken(),
                // Stopped as well.
                5 | 6 => {
                    std::thread::sleep(STOPPED);
                    be_overtaken();
                }
                _ => asked.set(signal.asked()),
            }
        };
        segment.read_with(Limit::Handle, copy).unwrap();
        drop(overtake);
    });
    assert_eq!(attempts.get(), 7);
    assert!(
        Duration::ZERO < asked.get() && asked.get() < STOPPED,
        "asked for a pause as if a copy took {:?}",
        asked.get()
    );
    assert!(!signal.is_asked(), "it got through");
}
