use super::*;
use crate::protocol::atomics::Ordering;
use crate::protocol::commit::{CommitLine, LineRange, RangeLine};
use std::cell::Cell;

/// A segment in which the slot of a commit holds its number.
struct Log {
    line: CommitLine,
    ranges: RangeLine,
    slots: Vec<Cell<u64>>,
}

/// What a slot holds while a writer is at work in it.
const HALF: u64 = u64::MAX;

impl Log {
    fn new(slots: u32) -> Self {
        let log = Self {
            line: CommitLine::new(),
            ranges: RangeLine::new(),
            slots: vec![Cell::new(0); slots as usize],
        };
        log.ledger().initialise();
        log
    }

    fn ledger(&self) -> Ledger<'_> {
        let slots = self.slots.len() as u32;
        Ledger {
            line: &self.line,
            ranges: &self.ranges,
            slots,
        }
    }

    /// A writer that begins and dies.
    fn begin(&self) -> u64 {
        let commit = self.ledger().begin().commit;
        self.slots[self.ledger().slot(commit)].set(HALF);
        commit
    }

    fn write(&self, times: u64) {
        for _ in 0..times {
            let commit = self.begin();
            self.slots[self.ledger().slot(commit)].set(commit);
            self.ledger().commit(commit, LineRange::WHOLE);
        }
    }

    fn copy(&self, commit: u64) -> u64 {
        self.slots[self.ledger().slot(commit)].get()
    }

    /// An attempt that no writer disturbs.
    fn read(&self, place: &mut Place, limit: u64) -> Found<Vec<u64>> {
        place.read(self.ledger(), limit, |first, count| {
            (0..count).map(|index| self.copy(first + index)).collect()
        })
    }
}

fn commits(commits: std::ops::RangeInclusive<u64>, missed: u64) -> Found<Vec<u64>> {
    Found::Commits(Commits {
        first: *commits.start(),
        count: commits.end() - commits.start() + 1,
        missed,
        copied: commits.collect(),
    })
}

#[test]
fn each_commit_comes_once_and_in_order() {
    for slots in [2, 3, 8, 9, 100] {
        let log = Log::new(slots);
        let mut place = Place::after(0);
        assert_eq!(log.read(&mut place, 9), Found::Nothing);
        log.write(2);
        assert_eq!(log.read(&mut place, 1), commits(1..=1, 0));
        assert_eq!((place.seen(), place.passed()), (1, 1));
        assert_eq!(log.read(&mut place, 9), commits(2..=2, 0));
        assert_eq!(log.read(&mut place, 9), Found::Nothing);
        // A writer that has begun, or has died, is no commit.
        log.begin();
        assert_eq!(log.read(&mut place, 9), Found::Nothing);
        log.write(1);
        assert_eq!(log.read(&mut place, 9), commits(3..=3, 0));
    }
}

#[test]
fn what_was_overwritten_is_counted_to_the_last_commit() {
    for slots in [2_u32, 3, 7, 8, 16, 100] {
        let n = u64::from(slots);
        let log = Log::new(slots);
        log.write(1000);
        // All that is kept, where no writer is at work.
        let mut place = Place::after(100);
        let oldest = 1001 - n;
        assert_eq!(kept_since(log.ledger()), oldest - 1);
        assert_eq!(
            log.read(&mut place, u64::MAX),
            commits(oldest..=1000, oldest - 101)
        );
        let mut place = Place::after(kept_since(log.ledger()));
        assert_eq!(log.read(&mut place, u64::MAX), commits(oldest..=1000, 0));
        // One less, where a writer has begun, or died.
        log.begin();
        assert_eq!(kept_since(log.ledger()), oldest);
        let mut place = Place::after(0);
        assert_eq!(
            log.read(&mut place, u64::MAX),
            commits(oldest + 1..=1000, oldest)
        );
    }
    let log = Log::new(16);
    assert_eq!(kept_since(log.ledger()), 0);
    log.write(15);
    log.begin();
    // The initial value, which is overwritten, is no commit that a follower reads.
    assert_eq!(kept_since(log.ledger()), 0);
    assert_eq!(log.read(&mut Place::after(0), 99), commits(1..=15, 0));
}

/// It was overtaken in what was there before it registered, and writers keep the rest for it.
#[test]
fn a_follower_that_writers_wait_for_goes_on_with_the_oldest_commit() {
    for (is_waited_for, next) in [(true, 7), (false, 9)] {
        let log = Log::new(16);
        log.write(16);
        let mut place = Place::after(0).waited_for(is_waited_for);
        let found = place.read(log.ledger(), 1, |_, _| log.write(6));
        assert_eq!(found, Found::Overtaken);
        assert_eq!(log.read(&mut place, 1), commits(next..=next, next - 1));
    }
}

/// Each copy is in vain: the next one begins later, and at last with the newest commit.
#[test]
fn the_lead_of_an_overtaken_follower_grows_and_bounds_its_batches() {
    let log = Log::new(64);
    log.write(1000);
    let mut place = Place::after(0);
    let mut leads = vec![];
    for _ in 0..8 {
        let found = place.read(log.ledger(), u64::MAX, |first, count| {
            let oldest = 1 + kept_since(log.ledger());
            leads.push((first - oldest, count));
            // So many that even the newest commit is overwritten.
            log.write(64);
        });
        assert_eq!(found, Found::Overtaken);
    }
    let expected = [
        (0, 64),
        (8, 8),
        (16, 16),
        (32, 32),
        (63, 1),
        (63, 1),
        (63, 1),
        (63, 1),
    ];
    assert_eq!(leads, expected);
    // Every commit up to here is accounted for.
    let newest = 1000 + 8 * 64;
    assert_eq!(
        log.read(&mut place, 9),
        commits(newest..=newest, newest - 1)
    );
    log.write(3);
    let after = (newest + 1)..=(newest + 3);
    assert_eq!(log.read(&mut place, u64::MAX), commits(after, 0));
}

#[test]
fn with_two_slots_an_overtaken_follower_reads_the_newest_commit() {
    let log = Log::new(2);
    log.write(5);
    let mut place = Place::after(3);
    let found = place.read(log.ledger(), 1, |first, _| {
        assert_eq!(first, 4);
        log.begin();
    });
    assert_eq!(found, Found::Overtaken);
    assert_eq!(log.read(&mut place, 1), commits(5..=5, 1));
}

/// Writers that finish, begin or die before, during and after each copy, against what a list of all commits says.
#[test]
fn got_and_missed_equal_the_version_at_every_record() {
    let mut seed = 1_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for slots in [2, 3, 4, 7, 8, 9, 16, 31, 64] {
        let n = u64::from(slots);
        let log = Log::new(slots);
        let mut place = Place::after(0);
        let (mut got, mut lost, mut vain) = (0, 0, 0);
        for _ in 0..20_000 {
            match random(8) {
                0 => drop(log.begin()),
                1 => log.write(random(2 * n)),
                _ => log.write(random(3)),
            }
            let limit = 1 + random(n);
            let meanwhile = random(n + n / 2);
            let found = place.read(log.ledger(), limit, |first, count| {
                let middle = random(count);
                let mut copy = vec![];
                for index in 0..count {
                    if index == middle {
                        log.write(meanwhile * random(2));
                    }
                    copy.push(log.copy(first + index));
                }
                copy
            });
            match found {
                Found::Commits(Commits {
                    first,
                    count,
                    missed,
                    copied,
                }) => {
                    assert!(count <= limit);
                    lost += missed;
                    for (commit, value) in (first..).zip(&copied) {
                        got += 1;
                        assert_eq!(*value, commit, "not whole");
                        assert_eq!(got + lost, commit);
                    }
                    assert_eq!(copied.len() as u64, count);
                    assert_eq!(place.seen(), got + lost);
                }
                Found::Nothing => assert_eq!(log.ledger().committed(), got + lost),
                Found::Overtaken => vain += 1,
                Found::Behind(_) => panic!("no counter goes back"),
            }
        }
        assert!(got > 5_000 && lost > 50 && vain > 50, "{got} {lost} {vain}");
    }
}

/// As a caller does that could not use what it has copied.
#[test]
fn what_a_caller_refuses_counts_as_missed() {
    let log = Log::new(8);
    log.write(3);
    let mut place = Place::after(0);
    assert_eq!(log.read(&mut place, 9), commits(1..=3, 0));
    place.go_to(1, 1);
    assert_eq!(log.read(&mut place, 9), commits(2..=3, 0));
    place.go_to(1, 3);
    assert_eq!((place.seen(), place.passed()), (1, 3));
    assert_eq!(log.read(&mut place, 9), Found::Nothing);
    log.write(1);
    assert_eq!(log.read(&mut place, 9), commits(4..=4, 2));
}

#[test]
fn a_place_ahead_of_the_version_is_said() {
    let log = Log::new(8);
    log.write(3);
    for ahead in [4, 1000, 3 + u64::MAX / 2] {
        let mut place = Place::after(ahead);
        assert_eq!(log.read(&mut place, 9), Found::Behind(3), "{ahead}");
        assert_eq!(place.seen(), ahead);
    }
}

#[test]
fn counters_wrap() {
    let log = Log::new(4);
    log.line.committed.store(u64::MAX - 1, Ordering::Relaxed);
    log.line.begun.store(u64::MAX - 1, Ordering::Relaxed);
    log.ledger().commit(u64::MAX - 1, LineRange::WHOLE);
    let mut place = Place::after(u64::MAX - 1);
    log.write(2);
    let first = |found| match found {
        Found::Commits(commits) => (commits.first, commits.missed),
        other => panic!("{other:?}"),
    };
    assert_eq!(first(place.read(log.ledger(), 1, |_, _| ())), (u64::MAX, 0));
    assert_eq!(first(place.read(log.ledger(), 1, |_, _| ())), (0, 0));
    log.write(9);
    assert_eq!(first(place.read(log.ledger(), 1, |_, _| ())), (6, 5));
}

/// A peer that stores anything in the counters: each call makes at most one copy, of slots that there are.
#[test]
fn whatever_the_counters_say_a_call_ends() {
    let mut seed = 7_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        match seed >> 62 {
            0 => (seed >> 40) & 63,
            1 => u64::MAX - ((seed >> 40) & 63),
            _ => seed,
        }
    };
    for slots in [1, 2, 7, 16] {
        let log = Log::new(slots);
        for _ in 0..20_000 {
            let mut place = Place::after(random());
            for _ in 0..4 {
                log.line.begun.store(random(), Ordering::Relaxed);
                log.line.committed.store(random(), Ordering::Relaxed);
                let (begun, committed) = (random(), random());
                let copies = Cell::new(0);
                let limit = random().max(1);
                let _ = place.read(log.ledger(), limit, |first, count| {
                    assert!(count >= 1 && count <= limit);
                    assert!(count <= u64::from(slots));
                    assert!(log.ledger().slot(first) < slots as usize);
                    copies.set(copies.get() + 1);
                    log.line.begun.store(begun, Ordering::Relaxed);
                    log.line.committed.store(committed, Ordering::Relaxed);
                });
                assert!(copies.get() <= 1);
                let _ = kept_since(log.ledger());
            }
        }
    }
}
