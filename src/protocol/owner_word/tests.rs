//! The transitions one by one, in one thread. Their races and deaths are the models'.

use super::*;
use crate::error::Cause;
use crate::protocol::scripted::{Scripted, Step};

const SLOT: u32 = 2;

fn me() -> Id {
    Id::new(0, 5)
}

fn other() -> Id {
    Id::new(SLOT, 9)
}

fn now(word: &AtomicU32) -> u32 {
    word.load(Ordering::Relaxed)
}

fn nothing(_: Step) {}

#[test]
fn a_free_word_is_taken_and_left() {
    let word = AtomicU32::new(0);
    assert!(try_take(&word, me()));
    assert_eq!((now(&word), holder(now(&word))), (me().0, me()));
    assert!(!try_take(&word, other()));
    assert_eq!(now(&word), me().0);
    assert!(!leave(&word));
    assert_eq!(now(&word), 0);
    word.store(me().0 | WAITERS, Ordering::Relaxed);
    assert_eq!(holder(now(&word)), me());
    assert!(leave(&word), "somebody waits");
    assert_eq!(now(&word), 0);
    assert_eq!(holder(0).slot(), None);
}

#[test]
fn a_word_that_became_free_is_taken_without_asking_anybody() {
    for (before, steps) in [(0, vec![]), (RESTING, vec![Step::Rouse])] {
        let word = AtomicU32::new(before);
        let mut world = Scripted::new(Standing::Alive, |step| {
            assert_eq!((step, now(&word)), (Step::Rouse, me().0));
        });
        take_slow(&word, me(), &mut world).unwrap();
        assert_eq!((now(&word), world.steps()), (me().0, steps));
    }
}

#[test]
fn only_a_free_word_is_put_to_rest() {
    let word = AtomicU32::new(0);
    assert!(rest(&word));
    assert_eq!(now(&word), RESTING);
    assert!(rest(&word), "it is at rest already");
    assert_eq!(holder(now(&word)).slot(), None);
    assert!(!try_take(&word, me()), "that would rouse nobody");
    for held in [other().0, other().0 | WAITERS] {
        word.store(held, Ordering::Relaxed);
        assert!(!rest(&word));
        assert_eq!(now(&word), held);
    }
}

#[test]
fn a_taker_spins_then_sleeps_and_keeps_the_mark() {
    for mark in [0, WAITERS] {
        let word = AtomicU32::new(other().0 | mark);
        let mut world = Scripted::new(Standing::Alive, |step| {
            if matches!(step, Step::Sleep(_)) {
                assert!(leave(&word));
            }
        });
        world.spins = 2;
        take_slow(&word, me(), &mut world).unwrap();
        assert_eq!(now(&word), me().0 | WAITERS);
        let expected = [
            Step::Spin,
            Step::Spin,
            Step::Standing(other()),
            Step::MaySleep,
            Step::Sleep(other().0 | WAITERS),
        ];
        assert_eq!(world.steps(), expected);
    }
}

#[test]
fn a_word_that_changes_before_the_sleep_is_looked_at_again() {
    let word = AtomicU32::new(other().0);
    let mut world = Scripted::new(Standing::Alive, |step| {
        if step == Step::MaySleep {
            assert!(!leave(&word));
        }
    });
    take_slow(&word, me(), &mut world).unwrap();
    // It has not slept, so nobody's wake-up can have been lost on it.
    assert_eq!(now(&word), me().0);
    let expected = [Step::Standing(other()), Step::MaySleep, Step::LookAgain];
    assert_eq!(world.steps(), expected);
}

#[test]
fn who_has_no_time_to_sleep_changes_nothing() {
    let word = AtomicU32::new(other().0);
    let mut world = Scripted::new(Standing::Alive, nothing);
    world.naps = 0;
    let ended = take_slow(&word, me(), &mut world);
    assert!(matches!(ended, Err(Cause::Timeout(_))));
    assert_eq!(now(&word), other().0);
    // Time that is over later leaves the mark: others may sleep on it.
    world.naps = 2;
    let ended = take_slow(&word, me(), &mut world);
    assert!(matches!(ended, Err(Cause::Timeout(_))));
    assert_eq!(now(&word), other().0 | WAITERS);
}

#[test]
fn a_mark_is_set_on_what_was_seen_and_on_nothing_else() {
    let word = AtomicU32::new(other().0);
    assert!(mark_waiters(&word, other().0));
    assert_eq!(now(&word), other().0 | WAITERS);
    assert!(mark_waiters(&word, other().0 | WAITERS));
    assert!(!mark_waiters(&word, other().0));
    word.store(me().0, Ordering::Relaxed);
    assert!(!mark_waiters(&word, other().0));
    assert_eq!(now(&word), me().0);
}

#[test]
fn a_dead_holder_is_passed_with_its_beacon_held() {
    for mark in [0, WAITERS] {
        let word = AtomicU32::new(other().0 | mark);
        let world = Scripted::new(Standing::Dead, |step| match step {
            Step::Claim(_) => assert_eq!(holder(now(&word)), other()),
            Step::Release(_) => assert_eq!(now(&word), RESTING),
            _ => {}
        });
        assert!(pass_dead(&word, now(&word), &world).unwrap());
        let expected = [
            Step::Standing(other()),
            Step::Claim(SLOT),
            Step::Release(SLOT),
            Step::Wake(RESTING),
            Step::Passed(other()),
        ];
        assert_eq!(world.steps(), expected);
    }
}

#[test]
fn a_dead_holder_is_taken_after_it_was_passed() {
    let word = AtomicU32::new(other().0);
    let mut world = Scripted::new(Standing::Dead, nothing);
    take_slow(&word, me(), &mut world).unwrap();
    assert_eq!(now(&word), me().0);
    let steps = world.steps();
    assert!(steps.ends_with(&[Step::LookAgain, Step::Rouse]));
    assert!(steps.contains(&Step::Passed(other())));
}

#[test]
fn a_live_holder_is_left_alone() {
    let word = AtomicU32::new(other().0);
    let world = Scripted::new(Standing::Alive, nothing);
    assert!(!pass_dead(&word, other().0, &world).unwrap());
    assert_eq!(now(&word), other().0);
    assert_eq!(world.steps(), [Step::Standing(other())]);
}

#[test]
fn a_dead_holder_that_another_passes_is_left_to_it() {
    let word = AtomicU32::new(other().0);
    let mut world = Scripted::new(Standing::Dead, nothing);
    world.is_claimable = false;
    assert!(!pass_dead(&word, other().0, &world).unwrap());
    assert_eq!(now(&word), other().0);
    assert_eq!(world.steps(), [Step::Standing(other()), Step::Claim(SLOT)]);
}

#[test]
fn nobody_is_told_of_a_dead_holder_whose_word_another_freed() {
    let word = AtomicU32::new(other().0);
    let world = Scripted::new(Standing::Dead, |step| {
        if matches!(step, Step::Claim(_)) {
            word.store(me().0, Ordering::Relaxed);
        }
    });
    assert!(pass_dead(&word, other().0, &world).unwrap());
    assert_eq!(now(&word), me().0);
    assert_eq!(world.steps().last(), Some(&Step::Release(SLOT)));
}

#[test]
fn a_word_that_nobody_can_have_written_is_swapped_away() {
    // Of another generation, and of no slot at all.
    for seen in [other().0, other().0 | WAITERS, 2] {
        let word = AtomicU32::new(seen);
        let world = Scripted::new(Standing::Impossible, nothing);
        assert!(pass_dead(&word, seen, &world).unwrap());
        assert_eq!(now(&word), RESTING);
        let dead = holder(seen);
        assert_eq!(
            world.steps(),
            [
                Step::Standing(dead),
                Step::Wake(RESTING),
                Step::Passed(dead)
            ]
        );
    }
    // Unless it changed meanwhile.
    let word = AtomicU32::new(me().0);
    let world = Scripted::new(Standing::Impossible, nothing);
    assert!(pass_dead(&word, other().0, &world).unwrap());
    assert_eq!(
        (now(&word), world.steps()),
        (me().0, vec![Step::Standing(other())])
    );
}

#[test]
fn a_new_tenant_settles_what_names_its_slot_and_nothing_else() {
    for mark in [0, WAITERS] {
        let word = AtomicU32::new(other().0 | mark);
        assert!(!settle(&word, SLOT + 1));
        assert!(!settle(&word, 0));
        assert_eq!(now(&word), other().0 | mark);
        assert!(settle(&word, SLOT));
        assert_eq!(now(&word), RESTING);
        assert!(!settle(&word, SLOT));
    }
}
