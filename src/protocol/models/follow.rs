//! A follower: each commit that it accepts is whole, they come in order, and those that it misses are counted to the
//! last, whichever writer gives up or dies.

mod deaths;

use super::commit::{check, expect, Board, Turn, Value, WORDS};
use super::explore;
use crate::protocol::follow::{kept_since, Commits, Found, Place};
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

/// What happened in all interleavings of a model: accepted, missed, overtaken. They are not loom's atomics.
#[derive(Default)]
struct Happened([AtomicU32; 3]);

impl Happened {
    fn new() -> &'static Self {
        Box::leak(Box::default())
    }

    fn add(&self, got: &Got) {
        let these = [got.accepted.len() as u32, got.missed as u32, got.overtaken];
        for (count, this) in self.0.iter().zip(these) {
            count.fetch_add(this, SeqCst);
        }
    }

    /// Fails where the model has not tried what it is there for.
    fn judge(&self) {
        let counts = self.0.each_ref().map(|count| count.load(SeqCst));
        assert!(counts.iter().all(|&count| count != 0), "{counts:?}");
    }
}

/// Reads what is left when no writer disturbs it, and judges all that the follower has got: the commits that were made,
/// each of them once, or counted as missed.
fn finish(board: &Board, place: &mut Place, values: &[Value], mut got: Got) {
    let (ledger, newest) = (board.ledger(), values.len() as u64 - 1);
    let start = place.seen() - got.accepted.len() as u64 - got.missed;
    assert_eq!(ledger.committed(), newest, "a commit that is none");
    // What it knew of the counters may be old.
    let in_vain = got.overtaken + 1;
    while place.seen() != newest {
        let one = follow(board, place, u64::MAX, 1);
        got.accepted.extend(one.accepted);
        got.missed += one.missed;
        got.overtaken += one.overtaken;
        assert!(got.overtaken <= in_vain, "overtaken by no writer");
    }
    judge(values, &got);
    let told = start + got.accepted.len() as u64 + got.missed;
    assert_eq!(told, newest, "got and missed");
    // All that is said to be kept can be read at once.
    let kept = kept_since(ledger);
    if kept != newest {
        let all = follow(board, &mut Place::after(kept), u64::MAX, 1);
        judge(values, &all);
        assert_eq!(all.accepted.len() as u64, newest - kept, "what is kept");
    }
}

/// A follower makes so many attempts while a writer takes its turns, after those that were taken before; then it reads
/// what is left.
fn followed(
    slots: u32,
    limit: u64,
    attempts: usize,
    earlier: &'static [Turn],
    turns: &'static [Turn],
) {
    let happened = Happened::new();
    explore(Some(3), move || {
        let board = Board::new(slots);
        earlier.iter().for_each(|&turn| board.turn(turn, 0));
        let other = Arc::clone(&board);
        let writer = thread::spawn(move || turns.iter().for_each(|&turn| other.turn(turn, 0)));
        let mut place = Place::after(0);
        let got = follow(&board, &mut place, limit, attempts);
        writer.join().unwrap();
        happened.add(&got);
        let mut values = vec![[0; WORDS]];
        expect(&mut values, earlier, 0);
        expect(&mut values, turns, 0);
        finish(&board, &mut place, &values, got);
    });
    happened.judge();
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
