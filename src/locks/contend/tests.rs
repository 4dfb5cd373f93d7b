//! One contender's patience, on a real segment.

use super::*;
use crate::error::{Attempt, Told};
use crate::locks::tests::{is_late, Handle};
use crate::locks::SeqLock;
use crate::segment::Segment;
use crate::sys::{errno, Failure};
use std::sync::Mutex;

fn contender<'a>(segment: &'a Segment, policy: WaitPolicy, wait: Wait) -> Contender<'a> {
    Contender::new(&segment.attachment, policy, wait, "write")
}

fn segment() -> Segment {
    Handle::<SeqLock>::create().segment
}

#[test]
fn a_busy_wait_is_short_and_only_for_who_waits_at_all() {
    let segment = segment();
    let mut patient = contender(&segment, WaitPolicy::Word, Wait::Forever);
    let mut turns = vec![];
    while turns.len() < 100 {
        let now = patient.turns;
        if !patient.spin() {
            break;
        }
        turns.push(now);
    }
    let (growing, most) = turns.split_at(4);
    assert_eq!(growing, [1, 2, 4, 8]);
    assert!(most.iter().all(|&turns| turns == MOST_TURNS));
    let all = turns.iter().sum::<u32>();
    assert!((SPINS..SPINS + MOST_TURNS).contains(&all), "{turns:?}");
    assert!(!patient.spin());
    assert!(!contender(&segment, WaitPolicy::Word, Wait::Never).spin());
}

#[test]
fn every_64th_look_is_at_the_clock() {
    let segment = segment();
    let mut late = contender(&segment, WaitPolicy::Word, Wait::Never);
    for _ in 0..3 {
        for _ in 0..SPIN_RETRIES - 1 {
            late.recheck().unwrap();
        }
        is_late(late.recheck().on(1), "write");
    }
}

#[test]
fn who_has_no_time_may_not_sleep() {
    let segment = segment();
    let word = AtomicU32::new(0);
    let mut late = contender(&segment, WaitPolicy::Word, Wait::Never);
    is_late(late.may_sleep().on(1), "write");
    is_late(late.sleep(&word, 0).on(1), "write");
    let mut patient = contender(&segment, WaitPolicy::Word, Wait::Forever);
    patient.may_sleep().unwrap();
    assert_eq!(patient.waiting.nap(Duration::MAX), Duration::MAX);
    let hour = Duration::from_secs(3600);
    let long = contender(&segment, WaitPolicy::Word, Wait::lasting(Some(hour)));
    long.waiting.check().unwrap();
    let left = long.waiting.nap(Duration::MAX);
    assert!(left > hour / 2 && left <= hour);
}

#[test]
fn an_interrupt_ends_the_wait_that_it_finds() {
    let segment = segment();
    let is_interrupted = |result: Result<(), Cause>| matches!(result, Err(Cause::Interrupted(_)));
    let mut contender = contender(&segment, WaitPolicy::Word, Wait::Forever);
    contender.may_sleep().unwrap();
    segment.interrupt();
    assert!(is_interrupted(contender.may_sleep()));
    assert!(is_interrupted(contender.sleep(&AtomicU32::new(0), 0)));
    // The next wait has begun after it.
    super::Contender::new(
        &segment.attachment,
        WaitPolicy::Word,
        Wait::Forever,
        "write",
    )
    .may_sleep()
    .unwrap();
}

#[test]
fn sleeps_grow_up_to_the_longest() {
    let segment = segment();
    let mut contender = contender(&segment, WaitPolicy::Word, Wait::Forever);
    // Another value than it is to sleep on: it does not sleep.
    let word = AtomicU32::new(1);
    let mut naps = vec![contender.nap.as_millis()];
    for _ in 0..5 {
        contender.sleep(&word, 2).unwrap();
        naps.push(contender.nap.as_millis());
    }
    assert_eq!(naps, [2, 4, 8, 16, 16, 16]);
}

#[test]
#[cfg(feature = "semaphore")]
fn who_parks_is_woken_through_the_semaphore() {
    let segment = segment();
    let parked = || segment.attachment.beacons.set().value(5).unwrap();
    let word = AtomicU32::new(1);
    let mut contender = contender(&segment, WaitPolicy::Parking, Wait::Forever);
    OwnerWorld::wake(&contender, &word);
    assert_eq!(parked(), 1);
    contender.sleep(&word, 1).unwrap();
    assert_eq!(parked(), 0);
}

#[test]
fn beacons_are_the_segments() {
    let segment = segment();
    let me = segment.attachment.me().unwrap();
    let slot = me.slot().unwrap();
    let contender = contender(&segment, WaitPolicy::Word, Wait::Never);
    assert_eq!(contender.standing(me).unwrap(), Standing::Alive);
    let other = Id::new(slot + 1, 1);
    assert_eq!(contender.standing(other).unwrap(), Standing::Impossible);
    assert!(contender.is_lit(slot).unwrap());
    assert!(!contender.claim(slot).unwrap(), "its own");
    assert!(!contender.is_lit(slot + 1).unwrap());
    assert!(contender.claim(slot + 1).unwrap());
    assert!(contender.is_lit(slot + 1).unwrap());
    contender.release(slot + 1).unwrap();
    assert!(!contender.is_lit(slot + 1).unwrap());
}

/// Counts what is said at the level of a warning.
#[derive(Default)]
struct Warnings(Mutex<u32>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        assert_eq!(*event.metadata().level(), tracing::Level::WARN);
        *self.0.lock().unwrap() += 1;
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_dead_holder_that_was_passed_is_a_warning() {
    let segment = segment();
    let contender = contender(&segment, WaitPolicy::Word, Wait::Never);
    let warnings = std::sync::Arc::new(Warnings::default());
    tracing::subscriber::with_default(std::sync::Arc::clone(&warnings), || {
        contender.passed(Id::new(1, 1));
    });
    assert_eq!(*warnings.0.lock().unwrap(), 1);
}

#[test]
fn what_may_not_be_asked_is_no_death_and_is_said_once() {
    let segment = segment();
    let warnings = std::sync::Arc::new(Warnings::default());
    let answer = |errno| {
        let failure = Failure {
            call: "semctl(GETVAL)",
            error: std::io::Error::from_raw_os_error(errno),
        };
        Err::<bool, _>(failure).attempt("ask for a participant of")
    };
    tracing::subscriber::with_default(std::sync::Arc::clone(&warnings), || {
        for errno in [errno::EACCES, errno::EPERM] {
            assert!(unless_not_permitted(&segment.attachment, answer(errno), true).unwrap());
            assert!(!unless_not_permitted(&segment.attachment, answer(errno), false).unwrap());
        }
    });
    assert_eq!(*warnings.0.lock().unwrap(), 1);
    // Any other failure is one, and an answer is an answer.
    assert!(unless_not_permitted(&segment.attachment, answer(errno::ENOSYS), true).is_err());
    assert!(!unless_not_permitted(&segment.attachment, Ok(false), true).unwrap());
}
