//! Waiting for a commit: no wake-up is lost, whichever way the writer commits.
//!
//! A waiter that sleeps for ever is a deadlock, which loom reports; in production it would sleep out its
//! slice.

use super::explore;
use super::kernel::Kernel;
use super::mortal::AtomicU64;
use crate::participants::Id;
use crate::primitive::Ordering;
use crate::signal::{self, SignalLine};
use crate::sync::owner;
use loom::sync::Arc;
use loom::thread;

struct Board {
    kernel: Kernel,
    committed: AtomicU64,
    line: SignalLine,
}

impl Board {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            kernel: Kernel::new(),
            committed: AtomicU64::new(0),
            line: SignalLine::new(),
        })
    }

    /// As `Segment::wait_changed`.
    fn wait_changed(&self, since: u64) -> u64 {
        loop {
            let expected = signal::prepare(&self.line);
            let version = self.committed.load(Ordering::Acquire);
            if version != since {
                return version;
            }
            self.kernel.sleep(&self.line.signal, expected);
        }
    }

    fn wake(&self, is_awaited: bool) {
        if is_awaited && signal::announce(&self.line) {
            self.kernel.wake(&self.line.signal, true);
        }
    }

    /// As `WriteGuard::publish`.
    fn publish(&self, commit: u64) {
        self.committed.store(commit, Ordering::Release);
        self.wake(signal::is_awaited_after_store(&self.line));
    }

    /// As `Segment::write_with`: the lock's release is the fence.
    fn write(&self, commit: u64) {
        assert!(owner::try_take(&self.kernel.word, Id::new(0, 1)));
        self.committed.store(commit, Ordering::Release);
        assert!(!owner::leave(&self.kernel.word), "nobody contends");
        self.wake(signal::is_awaited(&self.line));
    }
}

#[test]
fn a_published_commit_wakes_the_waiter() {
    explore(None, || {
        let board = Board::new();
        let other = Arc::clone(&board);
        let writer = thread::spawn(move || other.publish(1));
        assert_eq!(board.wait_changed(0), 1);
        writer.join().unwrap();
    });
}

#[test]
fn a_written_commit_wakes_the_waiter() {
    explore(None, || {
        let board = Board::new();
        let other = Arc::clone(&board);
        let writer = thread::spawn(move || other.write(1));
        assert_eq!(board.wait_changed(0), 1);
        writer.join().unwrap();
    });
}

#[test]
fn a_waiter_that_waits_again_is_woken_again() {
    explore(Some(3), || {
        let board = Board::new();
        let other = Arc::clone(&board);
        let writer = thread::spawn(move || {
            other.write(1);
            other.publish(2);
        });
        if board.wait_changed(0) == 1 {
            assert_eq!(board.wait_changed(1), 2);
        }
        writer.join().unwrap();
    });
}

#[test]
fn both_of_two_waiters_are_woken() {
    explore(Some(3), || {
        let board = Board::new();
        let threads = [(); 2].map(|()| {
            let other = Arc::clone(&board);
            thread::spawn(move || assert_eq!(other.wait_changed(0), 1))
        });
        board.publish(1);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// Of two writers the slower finds the word changed and wakes nobody: the other wakes for both.
#[test]
fn of_two_writers_one_wakes_for_both() {
    explore(Some(3), || {
        let board = Board::new();
        // Each takes the lock for its commit, and looks for waiters after it.
        let (first, second) = (Arc::clone(&board), Arc::clone(&board));
        let first = thread::spawn(move || first.publish(1));
        let second = thread::spawn(move || {
            while second.committed.load(Ordering::Acquire) != 1 {
                thread::yield_now();
            }
            second.publish(2);
        });
        let mut version = 0;
        while version != 2 {
            version = board.wait_changed(version);
        }
        first.join().unwrap();
        second.join().unwrap();
    });
}
