//! Writers that wait for a follower: it misses nothing that is committed after it has registered, and nobody waits for
//! ever.

use super::explore;
use super::kernel::Kernel;
use super::mortal::AtomicU64;
use crate::protocol::commit::{CommitLine, Ledger, LineRange, RangeLine};
use crate::protocol::follow::{Commits, Found, Place};
use crate::protocol::participants::ParticipantLine;
use crate::protocol::room;
use crate::protocol::signal::{self, SignalLine};
use loom::sync::{Arc, Mutex};
use loom::thread;
use std::sync::atomic::Ordering::Relaxed;

const SLOTS: u32 = 2;

struct Board {
    kernel: Kernel,
    counters: CommitLine,
    ranges: RangeLine,
    signal: SignalLine,
    line: ParticipantLine,
    /// What each slot holds: the number of its commit.
    slots: [AtomicU64; SLOTS as usize],
    /// The lock, which is tried by models of its own.
    lock: Mutex<()>,
}

impl Board {
    fn new() -> Arc<Self> {
        let board = Self {
            kernel: Kernel::new(),
            counters: CommitLine::new(),
            ranges: RangeLine::new(),
            signal: SignalLine::new(),
            line: ParticipantLine::new(),
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
            lock: Mutex::new(()),
        };
        board.ledger().initialise();
        Arc::new(board)
    }

    fn ledger(&self) -> Ledger<'_> {
        Ledger {
            line: &self.counters,
            ranges: &self.ranges,
            slots: SLOTS,
        }
    }

    fn last_with_room(&self) -> u64 {
        let lines = || std::iter::once((0, &self.line));
        room::last_with_room(self.ledger(), lines, |_| false)
    }

    /// As `Segment::make_room` and what follows it. `kept` is what `Watch` keeps.
    fn write(&self, kept: &mut u64) {
        let ledger = self.ledger();
        loop {
            let locked = self.lock.lock().unwrap();
            let next = ledger.next();
            if next.commit > *kept {
                *kept = self.last_with_room();
            }
            if next.commit <= *kept {
                let begun = ledger.begin_with(next);
                self.slots[ledger.slot(begun.commit)].store(begun.commit, Relaxed);
                ledger.commit(begun.commit, LineRange::WHOLE);
                drop(locked);
                self.wake_follower();
                return;
            }
            drop(locked);
            let look = || (self.last_with_room() != ledger.committed()).then_some(());
            room::wait(&self.signal, look, |word, value| {
                self.kernel.sleep(word, value);
            });
        }
    }

    /// Reads up to this commit, and misses none after `sure`.
    fn follow(&self, place: &mut Place, sure: u64, last: u64) {
        let ledger = self.ledger();
        while place.seen() < last {
            let copy = |first, _| self.slots[ledger.slot(first)].load(Relaxed);
            match place.read(ledger, 1, copy) {
                Found::Commits(Commits {
                    first,
                    missed,
                    copied,
                    ..
                }) => {
                    assert_eq!(copied, first, "not whole");
                    assert!(missed == 0 || first <= sure + 1, "missed one");
                    if room::acknowledge(&self.line, &self.signal, first) {
                        self.wake();
                    }
                }
                Found::Nothing => self.wait_changed(place.passed()),
                Found::Overtaken => assert!(place.seen() < sure, "though it is registered"),
                Found::Behind(version) => panic!("the version went back to {version}"),
            }
        }
    }

    /// As `Segment::wait_changed`.
    fn wait_changed(&self, since: u64) {
        let look = || (self.ledger().committed() != since).then_some(());
        let sleep = |word: &_, value| self.kernel.sleep(word, value);
        signal::wait(&self.signal, look, sleep);
    }

    /// As `Segment::wake_waiters`.
    fn wake_follower(&self) {
        if signal::is_awaited_after_store(&self.signal) && signal::announce(&self.signal) {
            self.kernel.wake(&self.signal.signal, true);
        }
    }

    fn wake(&self) {
        if room::announce(&self.signal) {
            self.kernel.wake(&self.signal.room, true);
        }
    }

    fn register(&self, position: u64) -> u64 {
        room::register(&self.line, self.ledger(), 0, position).expect("it is the only one")
    }
}

/// The third commit needs the slot of the first.
#[test]
fn a_writer_waits_until_a_registered_follower_has_read() {
    explore(Some(3), || {
        let board = Board::new();
        assert_eq!(board.register(0), 0);
        let other = Arc::clone(&board);
        let writer = thread::spawn(move || {
            let mut kept = 0;
            (0..4).for_each(|_| other.write(&mut kept));
        });
        let mut place = Place::after(0);
        board.follow(&mut place, 0, 2);
        writer.join().unwrap();
        board.follow(&mut place, 0, 4);
    });
}

/// Whatever writers have kept from before, they overwrite nothing that comes after the registration.
#[test]
fn a_follower_that_registers_beside_writers_misses_nothing_from_then_on() {
    explore(Some(2), || {
        let board = Board::new();
        let mut kept = 0;
        board.write(&mut kept);
        assert_eq!(kept, 2, "as many as there are slots");
        let other = Arc::clone(&board);
        let writer = thread::spawn(move || (0..3).for_each(|_| other.write(&mut kept)));
        let sure = board.register(0);
        board.follow(&mut Place::after(0), sure, 4);
        writer.join().unwrap();
    });
}

/// One writer has looked before, and goes by that; the other looks while the follower registers. It may have the lock
/// before the first has passed the fence behind its commit.
#[test]
fn two_writers_beside_a_follower_that_registers() {
    explore(Some(2), || {
        let board = Board::new();
        let writers = [(2, 1), (0, 2)].map(|(mut kept, commits)| {
            let other = Arc::clone(&board);
            thread::spawn(move || (0..commits).for_each(|_| other.write(&mut kept)))
        });
        let sure = board.register(0);
        board.follow(&mut Place::after(0), sure, 3);
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

/// A follower that leaves wakes the writer that waits for it.
#[test]
fn a_writer_goes_on_when_the_follower_leaves() {
    explore(Some(3), || {
        let board = Board::new();
        assert_eq!(board.register(0), 0);
        let other = Arc::clone(&board);
        let writer = thread::spawn(move || {
            let mut kept = 0;
            (0..3).for_each(|_| other.write(&mut kept));
        });
        if room::deregister(&board.line, &board.signal) {
            board.wake();
        }
        writer.join().unwrap();
        assert_eq!(board.ledger().committed(), 3);
    });
}
