//! What a follower that sleeps loses when a writer begins that never pauses, and how many slots it takes to lose nothing.
//!
//! The follower is asleep when the first commit of a long burst comes. Until it has woken the writer goes on; what does
//! not fit into the slots is lost, and so is what a follower does not catch up with afterwards.

use super::log::log;
use crate::contest::{Contest, Row, Settings, Unit};
use crate::helper::{self, Helper};
use neocortex::Cortex;
use std::time::Duration;

const LOST: &str = "lost by a follower that sleeps, of 1,000,000 commits without a pause";
const MEANWHILE: &str = "commits made until a sleeping follower has woken";

const COMMITS: u64 = 1_000_000;
const SLOTS: [u32; 7] = [2, 16, 256, 1024, 4096, 16_384, 65_536];

pub fn rows(settings: &Settings) -> Vec<Row> {
    let mut rows = vec![];
    for (how, is_batched) in [("one by one", false), ("in batches", true)] {
        let work = format!("{LOST}, {how}");
        if settings.wants(&work) {
            let mut contest = Contest::counted(work, Unit::Share).fixed(settings.pick(7, 21), 1);
            for slots in SLOTS {
                let column = format!("{slots} slots");
                contest = contest.judged(column, burst(slots, is_batched, false));
            }
            rows.push(contest.run(settings));
        }
    }
    if settings.wants(MEANWHILE) {
        let row = Contest::counted(MEANWHILE, Unit::Count)
            .fixed(settings.pick(15, 101), 1)
            .judged(
                "neocortex, the first record and what it missed",
                burst(2, false, true),
            )
            .run(settings);
        rows.push(row);
    }
    rows
}

/// A turn: the share that is lost of a burst, or how many commits came before the first one that was read.
fn burst(slots: u32, is_batched: bool, is_first: bool) -> impl FnMut(u64) -> f64 {
    let cortex = log::<1>(slots);
    let mut helper = Helper::start("burst", &[cortex.key().to_string()]);
    move |_| {
        let start = cortex.version();
        let mut follower = cortex.follow(start);
        let mut values = Vec::with_capacity(64);
        helper.tell(COMMITS);
        let mut missed = 0;
        let first = follower.next(None).expect("next");
        missed += first.missed;
        while follower.position() != start + COMMITS {
            missed += match is_batched {
                true => follower
                    .next_many(&mut values)
                    .map_or(0, |batch| batch.missed),
                false => (follower.try_next())
                    .ok()
                    .flatten()
                    .map_or(0, |found| found.missed),
            };
        }
        assert_eq!(helper.answer(), "done");
        match is_first {
            true => first.version as f64 - start as f64,
            false => missed as f64 / COMMITS as f64,
        }
    }
}

/// The other process: waits until the follower sleeps, and commits so often without a pause.
pub fn play(key: i32) {
    let cortex = Cortex::<[u64; 1]>::attach(key).expect("attach");
    helper::serve(|n| {
        let n: u64 = n.parse().expect("a count");
        // The follower has nothing to do, and is asleep soon.
        std::thread::sleep(Duration::from_millis(2));
        let mut guard = cortex.overwrite_guard().expect("a guard");
        for number in 0..n {
            *guard = [number];
            guard.publish().expect("publish");
        }
        guard.abort().expect("abort");
        "done".to_owned()
    });
}
