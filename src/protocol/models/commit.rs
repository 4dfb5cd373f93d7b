//! The commit protocol: no reader accepts a torn copy or goes back in time, whichever writer gives up or dies;
//! a partial write leaves what a whole one would.

use super::mortal::{live, AtomicU64};
use super::{explore, explore_deaths};
use crate::protocol::atomics::Ordering::Relaxed;
use crate::protocol::commit::{Begun, CommitLine, Ledger, LineRange, RangeLine};
use crate::protocol::format::LINE;
use loom::sync::Arc;
use loom::thread;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// Each word stands for a line of the payload.
pub(super) const WORDS: usize = 2;

pub(super) type Value = [u64; WORDS];

/// What a fresh slot other than the first holds. No value contains it.
const RUBBISH: u64 = 99;

/// What a writer does in one turn.
#[derive(Clone, Copy)]
pub(super) enum Turn {
    /// Commits both words.
    Whole,
    /// Commits one word, and leaves the other as it is.
    Part(usize),
    /// Writes one word and gives up.
    GiveUp,
    /// Publishes both words twice, and gives up the commit that it has then begun.
    Publish,
    /// Publishes one word, brings the next slot up to date, and commits the other.
    Refresh,
}
use Turn::{GiveUp, Part, Publish, Refresh, Whole};

pub(super) struct Board {
    line: CommitLine,
    ranges: RangeLine,
    slots: Vec<[AtomicU64; WORDS]>,
}

impl Board {
    pub(super) fn new(slots: u32) -> Arc<Self> {
        let board = Self {
            line: CommitLine::new(),
            ranges: RangeLine::new(),
            slots: (0..slots)
                .map(|slot| {
                    [(); WORDS].map(|()| AtomicU64::new(if slot == 0 { 0 } else { RUBBISH }))
                })
                .collect(),
        };
        board.ledger().initialise();
        Arc::new(board)
    }

    pub(super) fn ledger(&self) -> Ledger<'_> {
        Ledger {
            line: &self.line,
            ranges: &self.ranges,
            slots: self.slots.len() as u32,
        }
    }

    /// Returns the racy copy.
    pub(super) fn copy(&self, slot: usize) -> Value {
        std::array::from_fn(|word| self.slots[slot][word].load(Relaxed))
    }

    /// Returns what is committed. For a caller that comes after all writers so far.
    fn value(&self) -> Value {
        let ledger = self.ledger();
        self.copy(ledger.slot(ledger.committed()))
    }

    fn write(&self, commit: u64, word: usize, value: u64) {
        self.slots[self.ledger().slot(commit)][word].store(value, Relaxed);
    }

    /// As `Segment::catch_up`.
    fn catch_up(&self, begun: Begun) {
        let ledger = self.ledger();
        let missed = ledger.missed(begun).bytes(WORDS * LINE);
        let from = self.copy(ledger.slot(begun.commit - 1));
        for word in missed.start / LINE..missed.end / LINE {
            self.write(begun.commit, word, from[word]);
        }
    }

    /// Writes both words.
    fn whole(&self, commit: u64, who: u64) -> LineRange {
        (0..WORDS).for_each(|word| self.write(commit, word, commit + who));
        LineRange::WHOLE
    }

    /// Writes one word of a slot that is up to date.
    fn part(&self, commit: u64, word: usize, who: u64) -> LineRange {
        self.write(commit, word, commit + who);
        LineRange::covering(word * LINE, LINE)
    }

    /// Commits and begins the next commit, as `signal::publish`.
    fn publish(&self, commit: u64, changed: LineRange) -> Begun {
        self.ledger().publish(commit, changed, || ()).0
    }

    /// One turn under the lock, as `Segment::write_with` and a guard take it; every word it writes is
    /// the commit's number plus `who`.
    pub(super) fn turn(&self, turn: Turn, who: u64) {
        let ledger = self.ledger();
        let begun = ledger.begin();
        let commit = begun.commit;
        if !matches!(turn, Whole | Publish) && self.slots.len() > 1 {
            self.catch_up(begun);
        }
        match turn {
            Whole => ledger.commit(commit, self.whole(commit, who)),
            Part(word) => ledger.commit(commit, self.part(commit, word, who)),
            GiveUp => {
                self.write(commit, 0, RUBBISH);
                self.give_up();
            }
            Publish => {
                let second = self.publish(commit, self.whole(commit, who)).commit;
                let third = self.publish(second, self.whole(second, who)).commit;
                self.write(third, 0, RUBBISH);
                self.give_up();
            }
            Refresh => {
                let next = self.publish(commit, self.part(commit, 0, who));
                self.catch_up(next);
                let changed = self.part(next.commit, 1, who);
                ledger.commit(next.commit, changed);
            }
        }
    }

    /// Giving up, like dying, stores nothing: `begun` stays.
    fn give_up(&self) {}

    /// One optimistic attempt.
    fn attempt(&self) -> Option<(u64, Value)> {
        let ledger = self.ledger();
        ledger.snapshot(|commit| (commit, self.copy(ledger.slot(commit))))
    }
}

/// Adds the values that these turns commit, after those committed before.
pub(super) fn expect(values: &mut Vec<Value>, turns: &[Turn], who: u64) {
    for turn in turns {
        let commits: &[Turn] = match turn {
            Whole | Part(_) => std::slice::from_ref(turn),
            GiveUp => &[],
            Publish => &[Whole, Whole],
            Refresh => &[Part(0), Part(1)],
        };
        for commit in commits {
            let mut value = *values.last().unwrap();
            let new = values.len() as u64 + who;
            match *commit {
                Part(word) => value[word] = new,
                _ => value = [new; WORDS],
            }
            values.push(value);
        }
    }
}

/// That what a reader accepted is what was committed, in order.
pub(super) fn check(values: &[Value], accepted: &[(u64, Value)]) {
    for (commit, value) in accepted {
        assert_eq!(*value, values[*commit as usize], "a torn copy of {commit}");
    }
    assert!(
        accepted.is_sorted_by_key(|&(commit, _)| commit),
        "back in time: {accepted:?}"
    );
}

/// One writer takes its turns while a reader makes so many attempts.
fn overtake(slots: u32, attempts: usize, turns: &'static [Turn]) {
    static ACCEPTED: AtomicU32 = AtomicU32::new(0);
    static REFUSED: AtomicU32 = AtomicU32::new(0);
    explore(Some(3), move || {
        let board = Board::new(slots);
        let other = Arc::clone(&board);
        let writer = thread::spawn(move || turns.iter().for_each(|&turn| other.turn(turn, 0)));
        let accepted: Vec<_> = (0..attempts).filter_map(|_| board.attempt()).collect();
        writer.join().unwrap();
        let mut values = vec![[0; WORDS]];
        expect(&mut values, turns, 0);
        check(&values, &accepted);
        assert_eq!(board.value(), *values.last().unwrap());
        ACCEPTED.fetch_add(accepted.len() as u32, SeqCst);
        REFUSED.fetch_add((attempts - accepted.len()) as u32, SeqCst);
    });
    assert_ne!(ACCEPTED.load(SeqCst), 0);
    assert_ne!(REFUSED.load(SeqCst), 0);
}

#[test]
fn one_slot_is_never_read_torn() {
    overtake(1, 2, &[Whole, Whole]);
}

#[test]
fn two_slots_are_never_read_torn() {
    overtake(2, 2, &[Whole, Whole, Whole]);
}

#[test]
fn three_slots_are_never_read_torn() {
    overtake(3, 1, &[Whole, Whole, Whole, Whole]);
}

#[test]
fn giving_up_tears_nothing() {
    overtake(1, 1, &[GiveUp, Whole]);
    overtake(2, 1, &[Whole, GiveUp, Whole]);
    overtake(3, 1, &[Whole, Whole, GiveUp]);
}

#[test]
fn partial_writes_equal_whole_ones() {
    overtake(2, 1, &[Part(0), Part(1), Part(0)]);
    overtake(2, 1, &[Part(0), GiveUp, Part(1)]);
    // What was given up lies where the last commit changed nothing.
    overtake(2, 1, &[Part(1), Part(1), GiveUp, Part(1)]);
    overtake(3, 1, &[Part(0), Part(1), Part(1), Part(0)]);
    overtake(3, 1, &[Whole, Part(1), GiveUp, Part(0)]);
}

#[test]
fn publishing_tears_nothing() {
    overtake(2, 2, &[Publish, Whole]);
    overtake(2, 1, &[Publish, Part(1)]);
    overtake(2, 1, &[Part(1), Refresh, Part(0)]);
    overtake(3, 1, &[Publish, Refresh]);
}

/// A writer dies before any one of its stores, and another goes on, while a reader makes an attempt.
fn succeed(slots: u32, first: &'static [Turn], second: &'static [Turn]) {
    succeed_after(&[], slots, first, second);
}

/// The same on a board on which these turns were taken.
fn succeed_after(
    earlier: &'static [Turn],
    slots: u32,
    first: &'static [Turn],
    second: &'static [Turn],
) {
    explore_deaths(Some(2), move |steps| {
        let board = Board::new(slots);
        earlier.iter().for_each(|&turn| board.turn(turn, 0));
        let other = Arc::clone(&board);
        // The second comes after the first by the owner word, in production (`models::owner`).
        let writers = thread::spawn(move || {
            let mortal = Arc::clone(&other);
            let lived = thread::spawn(move || {
                live(steps, || {
                    first.iter().for_each(|&turn| mortal.turn(turn, 0))
                })
            });
            let lived = lived.join().unwrap();
            let committed = other.ledger().committed() as usize;
            let mut values = vec![[0; WORDS]];
            expect(&mut values, earlier, 0);
            expect(&mut values, first, 0);
            values.truncate(committed + 1);
            if slots > 1 {
                let before = other.value();
                assert_eq!(before, values[committed], "the last commit did not stand");
            } else {
                // In place it cannot stand, but every process can see that.
                assert!(other.value() == values[committed] || other.ledger().is_unfinished());
            }
            second.iter().for_each(|&turn| other.turn(turn, 10));
            expect(&mut values, second, 10);
            assert_eq!(other.value(), *values.last().unwrap());
            (lived, values)
        });
        let accepted: Vec<_> = board.attempt().into_iter().collect();
        let (lived, values) = writers.join().unwrap();
        check(&values, &accepted);
        lived
    });
}

#[test]
fn a_writer_that_dies_at_any_step_with_one_slot() {
    succeed(1, &[Whole], &[Whole]);
}

#[test]
fn a_writer_that_dies_at_any_step_with_two_slots() {
    succeed(2, &[Whole, Part(0)], &[Part(1)]);
    succeed(2, &[Part(1)], &[Part(0), Whole]);
}

#[test]
fn a_writer_that_dies_at_any_step_with_three_slots() {
    succeed(3, &[Part(0), Part(1)], &[Part(1), Part(0)]);
}

#[test]
fn a_publisher_that_dies_at_any_step() {
    succeed(2, &[Publish], &[Part(0)]);
    succeed(2, &[Part(1), Refresh], &[Part(0)]);
}

/// After more commits than there are records, so that one left out would show an old one.
#[test]
fn a_commit_is_never_without_its_range() {
    succeed_after(&[Part(0); 8], 2, &[Part(1)], &[Part(0)]);
}

/// What a dead writer left half way in place is declared whole: every reader then reads what that process saw.
#[test]
fn what_was_healed_reads_as_the_healer_saw_it() {
    explore_deaths(Some(3), |steps| {
        let board = Board::new(1);
        let other = Arc::clone(&board);
        let healer = thread::spawn(move || {
            let mortal = Arc::clone(&other);
            let lived = thread::spawn(move || live(steps, || mortal.turn(Whole, 0)));
            let lived = lived.join().unwrap();
            if other.ledger().is_unfinished() {
                other.ledger().mark_finished();
            }
            assert!(!other.ledger().is_unfinished());
            (lived, other.value())
        });
        let accepted = board.attempt();
        let (lived, healed) = healer.join().unwrap();
        match accepted {
            Some((0, value)) => assert_eq!(value, [0; WORDS]),
            Some((1, value)) => assert_eq!(value, healed),
            Some((commit, _)) => panic!("there is no commit {commit}"),
            None => {}
        }
        lived
    });
}
