//! Waiting for a commit: no wake-up is lost, whichever way the writer commits, and none when the segment is
//! removed; what a writer stored before its commit is seen after the wait; a request is answered.
//!
//! A waiter that sleeps for ever is a deadlock, which loom reports; in production it would sleep out its
//! slice.

use super::explore;
use super::kernel::Kernel;
use crate::protocol::commit::{CommitLine, Ledger, LineRange, RangeLine};
use crate::protocol::format::{state, Header};
use crate::protocol::lifecycle;
use crate::protocol::owner_word;
use crate::protocol::participants::Id;
use crate::protocol::signal;
use loom::cell::UnsafeCell;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use std::time::Duration;

pub(super) struct Board {
    pub(super) kernel: Kernel,
    counters: CommitLine,
    ranges: RangeLine,
    /// What a writer stored, plainly and elsewhere, before each commit.
    notes: [UnsafeCell<u64>; 3],
}

// SAFETY: loom's cells report any two accesses that are not ordered; that is what is tried.
unsafe impl Sync for Board {}

impl Board {
    pub(super) fn new() -> Arc<Self> {
        let board = Self {
            kernel: Kernel::new(),
            counters: CommitLine::new(),
            ranges: RangeLine::new(),
            notes: std::array::from_fn(|_| UnsafeCell::new(0)),
        };
        board.ledger().initialise();
        Arc::new(board)
    }

    pub(super) fn ledger(&self) -> Ledger<'_> {
        Ledger {
            line: &self.counters,
            ranges: &self.ranges,
            slots: 2,
        }
    }

    /// As `Segment::wait_changed`; and what the writer noted before is seen.
    fn wait_changed(&self, since: u64) -> u64 {
        let look = || {
            let version = self.ledger().committed();
            (version != since).then_some(version)
        };
        let sleep = |word: &_, value| self.kernel.sleep(word, value);
        let version = signal::wait(&self.kernel.signal, look, sleep);
        // SAFETY: the commit comes after the note; loom checks it.
        let note = self.notes[version as usize].with(|note| unsafe { *note });
        assert_eq!(note, version);
        version
    }

    fn note(&self, commit: u64) {
        // SAFETY: only the writer of this commit stores it, before the commit; loom checks it.
        self.notes[commit as usize].with_mut(|note| unsafe { *note = commit });
    }

    /// As `Segment::wake_waiters`.
    pub(super) fn wake_waiters(&self) {
        if signal::is_awaited(&self.kernel.signal) && signal::announce(&self.kernel.signal) {
            self.kernel.wake(&self.kernel.signal.signal, true);
        }
    }

    /// As `WriteGuard::publish`.
    fn publish(&self, commit: u64) {
        self.note(commit);
        let (_, is_wanted) =
            signal::publish(self.ledger(), &self.kernel.signal, commit, LineRange::WHOLE);
        if is_wanted {
            self.wake_waiters();
        }
    }

    /// As `Segment::write_with`: the lock's release is the fence.
    fn write(&self, commit: u64) {
        assert!(owner_word::try_take(&self.kernel.word, Id::new(0, 1)));
        self.note(commit);
        self.ledger().commit(commit, LineRange::WHOLE);
        assert!(!owner_word::leave(&self.kernel.word), "nobody contends");
        self.wake_waiters();
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

/// Of two writers the slower finds the word changed and wakes no waiter: the other wakes for both.
#[test]
fn of_two_writers_one_wakes_for_both() {
    explore(Some(3), || {
        let board = Board::new();
        // Each takes the lock for its commit, and looks for waiters after it.
        let (first, second) = (Arc::clone(&board), Arc::clone(&board));
        let first = thread::spawn(move || first.publish(1));
        let second = thread::spawn(move || {
            while second.ledger().committed() != 1 {
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

/// A segment that is ready, and a thread that marks it as removed.
fn removed_by_another(board: &Arc<Board>) -> (Arc<Header>, thread::JoinHandle<()>) {
    let header = Arc::new(Header::new());
    assert!(header.transit(state::INITIALISING, state::READY));
    let (other, others) = (Arc::clone(board), Arc::clone(&header));
    let remover = thread::spawn(move || {
        lifecycle::mark_removed(&others, &other.kernel.signal);
        other.kernel.wake(&other.kernel.signal.signal, true);
    });
    (header, remover)
}

#[test]
fn a_removal_wakes_the_waiter() {
    explore(Some(4), || {
        let board = Board::new();
        let (header, remover) = removed_by_another(&board);
        let look = || (header.state() == state::REMOVED).then_some(());
        signal::wait(&board.kernel.signal, look, |word, value| {
            board.kernel.sleep(word, value);
        });
        remover.join().unwrap();
    });
}

/// A removal and a commit at the same time: whichever of the two changes the word, both are seen.
#[test]
fn a_commit_and_a_removal_both_reach_the_waiter() {
    explore(Some(3), || {
        let board = Board::new();
        let (header, remover) = removed_by_another(&board);
        let other = Arc::clone(&board);
        let writer = thread::spawn(move || other.publish(1));
        let look = || {
            let is_removed = header.state() == state::REMOVED;
            (is_removed && board.ledger().committed() == 1).then_some(())
        };
        signal::wait(&board.kernel.signal, look, |word, value| {
            board.kernel.sleep(word, value);
        });
        remover.join().unwrap();
        writer.join().unwrap();
    });
}

/// A publisher that never ends by itself, and pauses for as long as a reader asks; a reader that asks, reads while
/// nothing changes, and ends the pause.
#[test]
fn a_publisher_answers_a_request_where_a_read_gets_through() {
    explore(Some(3), || {
        let board = Board::new();
        let pauses = Arc::new((Mutex::new(false), Condvar::new()));
        let (other, its) = (Arc::clone(&board), Arc::clone(&pauses));
        let publisher = thread::spawn(move || {
            let mut commit = other.ledger().begin().commit;
            loop {
                let (begun, is_wanted) = signal::publish(
                    other.ledger(),
                    &other.kernel.signal,
                    commit,
                    LineRange::WHOLE,
                );
                if is_wanted {
                    break;
                }
                commit = begun.commit;
                thread::yield_now();
            }
            *its.0.lock().unwrap() = true;
            its.1.notify_all();
            let sleep = |word: &_, value| other.kernel.sleep(word, value);
            signal::pause(&other.kernel.signal, || false, sleep);
        });
        let request = board.kernel.signal.ask(Duration::ZERO);
        let mut has_paused = pauses.0.lock().unwrap();
        while !*has_paused {
            has_paused = pauses.1.wait(has_paused).unwrap();
        }
        drop(has_paused);
        assert!(board.ledger().snapshot(|_| ()).is_some());
        if board.kernel.signal.withdraw(request) {
            board.kernel.wake(board.kernel.signal.want(), true);
        }
        publisher.join().unwrap();
        assert!(!board.kernel.signal.is_asked());
    });
}
