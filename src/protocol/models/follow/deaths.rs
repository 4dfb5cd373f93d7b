//! A follower of writers that die: what was planted here to go wrong (`OF_DEATHS` in `xtask/src/rules.rs`) is noticed by
//! these models alone.

use super::super::explore_deaths;
use super::super::mortal::live;
use super::{expect, finish, follow, Board, Happened, Turn, WORDS};
use crate::protocol::follow::Place;
use loom::sync::Arc;
use loom::thread;
use Turn::{GiveUp, Part, Publish, Whole};

/// A follower makes so many attempts while a writer dies before any one of its stores and another one goes on, after
/// the turns that were taken before; then it reads what is left.
fn survived(
    slots: u32,
    limit: u64,
    attempts: usize,
    earlier: &'static [Turn],
    first: &'static [Turn],
    second: &'static [Turn],
) {
    let happened = Happened::new();
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
            second.iter().for_each(|&turn| other.turn(turn, 10));
            expect(&mut values, second, 10);
            (lived, values)
        });
        let mut place = Place::after(0);
        let got = follow(&board, &mut place, limit, attempts);
        let (lived, values) = writers.join().unwrap();
        happened.add(&got);
        finish(&board, &mut place, &values, got);
        lived
    });
    happened.judge();
}

#[test]
fn a_follower_that_is_overtaken() {
    survived(2, 1, 2, &[Whole], &[Whole, Part(0)], &[Part(1)]);
}

#[test]
fn no_writer_makes_what_the_dead_one_has_begun() {
    survived(2, 1, 1, &[Whole, Whole], &[Part(0)], &[]);
    survived(2, 1, 1, &[Whole, Whole], &[Part(0)], &[GiveUp]);
    survived(2, 1, 1, &[Whole], &[Publish], &[GiveUp, Part(1)]);
}

#[test]
fn a_batch_of_which_some_are_overwritten() {
    survived(3, 3, 1, &[Whole, Whole, Whole], &[Whole], &[Part(1)]);
}
