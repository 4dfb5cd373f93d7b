//! A follower: each commit that it accepts is whole, they come in order, and those that it misses are counted to the
//! last, whichever writer gives up or dies.

use super::commit::{check, expect, Board, Turn, Value, WORDS};
use super::mortal::live;
use super::{explore, explore_deaths};
use crate::protocol::follow::{Commits, Found, Place};
use loom::sync::Arc;
use loom::thread;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use Turn::{GiveUp, Part, Publish, Whole};

/// What a follower has got, and what it was told.
#[derive(Default)]
struct Got {
    accepted: Vec<(u64, Value)>,
    missed: u64,
    /// Attempts in vain.
    overtaken: u32,
}

/// So many attempts, of up to `limit` commits each.
fn follow(board: &Board, place: &mut Place, limit: u64, attempts: usize) -> Got {
    let mut got = Got::default();
    let (ledger, start) = (board.ledger(), place.seen());
    for _ in 0..attempts {
        let before = got.accepted.len() as u64;
        let copy = |first, count| {
            (first..first + count)
                .map(|commit| (commit, board.copy(ledger.slot(commit))))
                .collect::<Vec<_>>()
        };
        match place.read(ledger, limit, copy) {
            Found::Commits(Commits {
                first,
                count,
                missed,
                copied,
            }) => {
                got.missed += missed;
                got.accepted.extend(copied);
                assert_eq!(count, got.accepted.len() as u64 - before, "all of a batch");
                let told = start + got.accepted.len() as u64 + got.missed;
                assert_eq!(told, first + count - 1, "got and missed");
            }
            Found::Nothing => thread::yield_now(),
            Found::Overtaken => got.overtaken += 1,
            Found::Behind(version) => panic!("the version went back to {version}"),
        }
        assert_eq!(place.seen(), start + got.accepted.len() as u64 + got.missed);
    }
    got
}

/// Checks what a follower has got against the values that were committed.
fn judge(values: &[Value], got: &Got) {
    check(values, &got.accepted);
    let is_once = |pair: &[(u64, Value)]| pair[0].0 < pair[1].0;
    assert!(got.accepted.windows(2).all(is_once), "a commit twice");
}

/// A follower makes so many attempts while a writer takes its turns, after those that were taken before; then it reads
/// what is left, which is the newest commit at least.
fn followed(
    slots: u32,
    limit: u64,
    attempts: usize,
    earlier: &'static [Turn],
    turns: &'static [Turn],
) {
    // Not loom's: they count over all interleavings.
    let happened = std::sync::Arc::new([0; 3].map(AtomicU32::new));
    let counts = std::sync::Arc::clone(&happened);
    explore(Some(3), move || {
        let board = Board::new(slots);
        earlier.iter().for_each(|&turn| board.turn(turn, 0));
        let other = Arc::clone(&board);
        let writer = thread::spawn(move || turns.iter().for_each(|&turn| other.turn(turn, 0)));
        let mut place = Place::after(0);
        let got = follow(&board, &mut place, limit, attempts);
        writer.join().unwrap();
        let mut values = vec![[0; WORDS]];
        expect(&mut values, earlier, 0);
        expect(&mut values, turns, 0);
        judge(&values, &got);
        // Nothing disturbs it now; what it knew of the counters may be old.
        let mut rest = Got::default();
        while place.seen() != values.len() as u64 - 1 {
            let one = follow(&board, &mut place, u64::MAX, 1);
            rest.accepted.extend(one.accepted);
            rest.overtaken += one.overtaken;
            assert!(rest.overtaken <= 1, "overtaken by no writer");
        }
        judge(&values, &rest);
        let these = [got.accepted.len() as u32, got.missed as u32, got.overtaken];
        for (count, this) in counts.iter().zip(these) {
            count.fetch_add(this, SeqCst);
        }
    });
    let happened = happened.iter().map(|count| count.load(SeqCst));
    assert!(
        happened.clone().all(|count| count != 0),
        "{:?}",
        happened.collect::<Vec<_>>()
    );
}

#[test]
fn a_follower_reads_whole_commits_in_order_or_is_told_how_many_it_missed() {
    followed(2, 1, 2, &[Whole], &[Whole, Whole]);
    followed(3, 1, 2, &[Whole], &[Whole, Part(0), Whole]);
}

#[test]
fn a_follower_of_writers_that_give_up_and_publish() {
    followed(2, 1, 1, &[Whole], &[Whole, GiveUp, Part(1)]);
    followed(2, 1, 1, &[Whole], &[Publish]);
}

/// The oldest commit of a batch is the one that is overwritten first.
#[test]
fn a_batch_is_whole_if_its_oldest_commit_is() {
    followed(3, 3, 1, &[Whole, Whole, Whole], &[Whole, Whole]);
}

/// A writer dies before any one of its stores, and another goes on, while the follower reads.
#[test]
fn a_follower_of_writers_that_die() {
    static ACCEPTED: AtomicU32 = AtomicU32::new(0);
    static OVERTAKEN: AtomicU32 = AtomicU32::new(0);
    const FIRST: &[Turn] = &[Whole, Part(0)];
    const SECOND: &[Turn] = &[Part(1)];
    explore_deaths(Some(2), move |steps| {
        let board = Board::new(2);
        board.turn(Whole, 0);
        let other = Arc::clone(&board);
        let writers = thread::spawn(move || {
            let mortal = Arc::clone(&other);
            let lived = thread::spawn(move || {
                live(steps, || {
                    FIRST.iter().for_each(|&turn| mortal.turn(turn, 0))
                })
            });
            let lived = lived.join().unwrap();
            let committed = other.ledger().committed() as usize;
            let mut values = vec![[0; WORDS]];
            expect(&mut values, &[Whole], 0);
            expect(&mut values, FIRST, 0);
            values.truncate(committed + 1);
            SECOND.iter().for_each(|&turn| other.turn(turn, 10));
            expect(&mut values, SECOND, 10);
            (lived, values)
        });
        let got = follow(&board, &mut Place::after(0), 1, 2);
        let (lived, values) = writers.join().unwrap();
        judge(&values, &got);
        ACCEPTED.fetch_add(got.accepted.len() as u32, SeqCst);
        OVERTAKEN.fetch_add(got.overtaken, SeqCst);
        lived
    });
    assert_ne!(ACCEPTED.load(SeqCst), 0);
    assert_ne!(OVERTAKEN.load(SeqCst), 0);
}
