//! Sleeping for long while no process writes: a commit ends it, also where its writer dies before it wakes anybody, and
//! where one that came before died at any step.
//!
//! A long sleep lasts until it is ended, so that one which nobody ends is a deadlock, which loom reports. A short one is
//! a yield.

use super::kernel::{Participant, Sleep};
use super::mortal::live;
use super::signal::Board;
use super::{explore, explore_deaths};
use crate::protocol::commit::LineRange;
use crate::protocol::{owner_word, signal};
use loom::sync::Arc;
use loom::thread;
use std::cell::Cell;

impl Board {
    /// As `Segment::wait_changed`, by a waiter that has slept for some slices in vain.
    fn wait_long(&self) -> u64 {
        self.wait_long_within(u32::MAX).expect("time enough")
    }

    /// As above, by one whose time is over after so many short sleeps: two that yield to one another without end would be
    /// a run without end, for loom is not fair.
    fn wait_long_within(&self, naps: u32) -> Option<u64> {
        let (is_resting, naps) = (Cell::new(false), Cell::new(naps));
        let look = || {
            is_resting.set(owner_word::rest(&self.kernel.word));
            let version = self.ledger().committed();
            let is_over = naps.get() == 0;
            (version != 0 || is_over).then_some(version)
        };
        let sleep = |word: &_, value| match is_resting.get() {
            true => self.kernel.sleep(word, value),
            false => {
                naps.set(naps.get() - 1);
                thread::yield_now();
            }
        };
        let version = signal::wait(&self.kernel.signal, look, sleep);
        (version != 0).then_some(version)
    }

    /// As `Segment::write_with`, by one that dies before it wakes anybody.
    fn write_and_wake_nobody(&self, me: &mut Participant<'_>) {
        assert!(me.take());
        let commit = self.ledger().begin().commit;
        self.ledger().commit(commit, LineRange::WHOLE);
        me.leave();
    }
}

#[test]
fn a_commit_reaches_a_long_sleeper_whom_its_writer_does_not_wake() {
    explore(Some(4), || {
        let board = Board::new();
        let other = Arc::clone(&board);
        let id = board.kernel.join(0).unwrap();
        let writer = thread::spawn(move || {
            let mut me = Participant::new(&other.kernel, id, Sleep::Naps);
            other.write_and_wake_nobody(&mut me);
        });
        assert_eq!(board.wait_long(), 1);
        writer.join().unwrap();
    });
}

#[test]
fn a_commit_reaches_both_of_two_long_sleepers() {
    explore(Some(2), || {
        let board = Board::new();
        let id = board.kernel.join(0).unwrap();
        let threads = [(); 2].map(|()| {
            let other = Arc::clone(&board);
            thread::spawn(move || assert!(matches!(other.wait_long_within(2), Some(1) | None)))
        });
        let mut me = Participant::new(&board.kernel, id, Sleep::Naps);
        board.write_and_wake_nobody(&mut me);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// The first writer dies at any step, also while it rouses; the second takes over from it, commits, and wakes nobody.
#[test]
fn a_writer_that_dies_at_any_step_leaves_no_long_sleeper_behind() {
    explore_deaths(Some(2), |steps| {
        let board = Board::new();
        let ids = [0, 1].map(|slot| board.kernel.join(slot).unwrap());
        let other = Arc::clone(&board);
        let writers = thread::spawn(move || {
            let mut mortal = Participant::new(&other.kernel, ids[0], Sleep::Naps);
            let lived = live(steps, || {
                other.write_and_wake_nobody(&mut mortal);
                other.wake_waiters();
            });
            mortal.bury();
            let mut next = Participant::new(&other.kernel, ids[1], Sleep::Naps);
            other.write_and_wake_nobody(&mut next);
            lived
        });
        assert!(board.wait_long() <= 2);
        writers.join().unwrap()
    });
}

/// As above, where the dead writer's slot has its next tenant, which settles, before anybody else comes.
#[test]
fn the_next_tenant_of_a_dead_writers_slot_leaves_no_long_sleeper_behind() {
    explore_deaths(Some(2), |steps| {
        let board = Board::new();
        let id = board.kernel.join(0).unwrap();
        let other = Arc::clone(&board);
        let writers = thread::spawn(move || {
            let mut mortal = Participant::new(&other.kernel, id, Sleep::Naps);
            let lived = live(steps, || other.write_and_wake_nobody(&mut mortal));
            mortal.bury();
            let tenant = other.kernel.join(0).unwrap();
            let mut next = Participant::new(&other.kernel, tenant, Sleep::Naps);
            other.write_and_wake_nobody(&mut next);
            lived
        });
        assert!(board.wait_long() <= 2);
        writers.join().unwrap()
    });
}
