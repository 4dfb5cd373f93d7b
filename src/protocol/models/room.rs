//! Writers that wait for a follower: it misses nothing that is committed after it has registered, and nobody waits for
//! ever.

use super::kernel::Kernel;
use super::mortal::{live, AtomicU32, AtomicU64};
use super::{explore, explore_deaths};
use crate::protocol::commit::{CommitLine, Ledger, LineRange, RangeLine};
use crate::protocol::follow::{Commits, Found, Place};
use crate::protocol::participants::{Id, ParticipantLine};
use crate::protocol::room;
use crate::protocol::signal::{self, SignalLine};
use loom::sync::{Arc, Mutex, MutexGuard};
use loom::thread;
use std::sync::atomic::Ordering::Relaxed;

const SLOTS: u32 = 2;
/// The participant slot of the follower.
const SLOT: u32 = 0;

struct Board {
    kernel: Kernel,
    counters: CommitLine,
    ranges: RangeLine,
    signal: SignalLine,
    /// Whether sleeps end by themselves, as in production, where a dead process wakes nobody.
    naps: bool,
    /// What each slot holds: the number of its commit.
    slots: [AtomicU64; SLOTS as usize],
    /// The lock, which is tried by models of its own.
    lock: Mutex<()>,
}

impl Board {
    fn new() -> Arc<Self> {
        Self::with(false)
    }

    /// With a participant in the slot of the follower, and sleeps that end by themselves.
    fn of_mortals() -> (Arc<Self>, Id) {
        let board = Self::with(true);
        let id = board.kernel.join(SLOT).expect("nobody else is there");
        (board, id)
    }

    fn with(naps: bool) -> Arc<Self> {
        let board = Self {
            kernel: Kernel::new(),
            counters: CommitLine::new(),
            ranges: RangeLine::new(),
            signal: SignalLine::new(),
            naps,
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

    fn line(&self) -> &ParticipantLine {
        &self.kernel.lines[SLOT as usize]
    }

    fn last_with_room(&self) -> u64 {
        let lines = || std::iter::once((SLOT, self.line()));
        let is_dead = |slot| self.naps && !self.kernel.is_lit(slot);
        room::last_with_room(self.ledger(), lines, is_dead)
    }

    fn sleep(&self, word: &AtomicU32, value: u32) {
        match self.naps {
            true => thread::yield_now(),
            false => self.kernel.sleep(word, value),
        }
    }

    /// As `Segment::make_room` and what follows it. `kept` is what `Watch` keeps.
    fn write(&self, kept: &mut u64) {
        self.write_holding(kept, &mut None);
    }

    /// With a place for what it holds, outside of the life of a mortal.
    fn write_holding<'a>(&'a self, kept: &mut u64, held: &mut Option<MutexGuard<'a, ()>>) {
        let ledger = self.ledger();
        loop {
            *held = Some(self.lock.lock().unwrap());
            let next = ledger.next();
            if next.commit > *kept {
                *kept = self.last_with_room();
            }
            if next.commit <= *kept {
                let begun = ledger.begin_with(next);
                self.slots[ledger.slot(begun.commit)].store(begun.commit, Relaxed);
                ledger.commit(begun.commit, LineRange::WHOLE);
                *held = None;
                self.wake_follower();
                return;
            }
            *held = None;
            let look = || (self.last_with_room() != ledger.committed()).then_some(());
            room::wait(&self.signal, look, |word, value| self.sleep(word, value));
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
                    if room::acknowledge(self.line(), &self.signal, first) {
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
        signal::wait(&self.signal, look, |word, value| self.sleep(word, value));
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
        let generation = self.line().generation();
        room::register(self.line(), self.ledger(), generation, position)
            .expect("it is the only one")
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
        let mut place = Place::after(0).waited_for(true);
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
        board.follow(&mut Place::after(0).waited_for(true), sure, 4);
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
        board.follow(&mut Place::after(0).waited_for(true), sure, 3);
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
        if room::deregister(board.line(), &board.signal) {
            board.wake();
        }
        writer.join().unwrap();
        assert_eq!(board.ledger().committed(), 3);
    });
}

/// It registers, reads and says so, and dies before any of its stores: writers never wait for ever, and what it reads until
/// then is whole and complete.
#[test]
fn a_writer_goes_on_past_a_follower_that_dies_anywhere() {
    explore_deaths(Some(2), |steps| {
        let (board, _) = Board::of_mortals();
        let other = Arc::clone(&board);
        let follower = thread::spawn(move || {
            let lived = live(steps, || {
                let sure = other.register(0);
                other.follow(&mut Place::after(0).waited_for(true), sure, 2);
            });
            other.kernel.put_out(SLOT);
            lived
        });
        let mut kept = 0;
        (0..4).for_each(|_| board.write(&mut kept));
        assert_eq!(board.ledger().committed(), 4);
        follower.join().unwrap()
    });
}

/// Its slot has another tenant by then, which lives and does not follow.
#[test]
fn no_writer_waits_for_the_tenant_after_a_follower_that_died() {
    explore(Some(2), || {
        let (board, _) = Board::of_mortals();
        board.register(0);
        let other = Arc::clone(&board);
        let next = thread::spawn(move || {
            other.kernel.put_out(SLOT);
            other.kernel.join(SLOT).expect("it has died")
        });
        let mut kept = 0;
        (0..3).for_each(|_| board.write(&mut kept));
        next.join().unwrap();
    });
}

/// A writer dies before any of its stores; the next one goes on, and the follower misses nothing.
#[test]
fn a_follower_misses_nothing_of_writers_of_which_one_dies_anywhere() {
    explore_deaths(Some(2), |steps| {
        let (board, _) = Board::of_mortals();
        board.register(0);
        let other = Arc::clone(&board);
        let writers = thread::spawn(move || {
            let (mut kept, mut held) = (0, None);
            let lived = live(steps, || other.write_holding(&mut kept, &mut held));
            // The owner word passes from the dead (`models::owner`).
            drop(held);
            let mut kept = 0;
            (0..2).for_each(|_| other.write(&mut kept));
            lived
        });
        let mut place = Place::after(0).waited_for(true);
        board.follow(&mut place, 0, 2);
        let lived = writers.join().unwrap();
        let last = board.ledger().committed();
        assert!(last == 3 || last == 2 && !lived);
        board.follow(&mut place, 0, last);
        lived
    });
}
