//! One contender's patience, on a real segment.

use super::*;
use crate::segment::Segment;
use crate::sync::tests::{is_late, Handle};
use crate::sync::SeqLock;
use std::sync::Mutex;

fn contender<'a>(segment: &'a Segment, bed: Bed, wait: Wait) -> Contender<'a> {
    Contender::new(&segment.site, bed, wait, "write")
}

fn segment() -> Segment {
    Handle::<SeqLock>::create().segment
}

#[test]
fn a_busy_wait_is_short_and_only_for_who_waits_at_all() {
    let segment = segment();
    let mut patient = contender(&segment, Bed::Word, Wait::Forever);
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
    assert!(!contender(&segment, Bed::Word, Wait::Never).spin());
}

#[test]
fn every_64th_look_is_at_the_clock() {
    let segment = segment();
    let mut late = contender(&segment, Bed::Word, Wait::Never);
    for _ in 0..3 {
        for _ in 0..LOOKS - 1 {
            late.look_again().unwrap();
        }
        is_late(late.look_again(), "write");
    }
}

#[test]
fn who_has_no_time_may_not_sleep() {
    let segment = segment();
    let word = AtomicU32::new(0);
    let mut late = contender(&segment, Bed::Word, Wait::Never);
    is_late(late.may_sleep(), "write");
    is_late(late.sleep(&word, 0), "write");
    let mut patient = contender(&segment, Bed::Word, Wait::Forever);
    patient.may_sleep().unwrap();
    assert_eq!(patient.time_left().unwrap(), None);
    let hour = Duration::from_secs(3600);
    let long = contender(&segment, Bed::Word, Wait::lasting(Some(hour)));
    let left = long.time_left().unwrap().expect("an end");
    assert!(left > hour / 2 && left <= hour);
}

#[test]
fn an_interrupt_ends_the_wait_that_it_finds() {
    let segment = segment();
    let is_interrupted =
        |result: CortexResult<()>| matches!(result, Err(CortexError::Interrupted { .. }));
    let mut contender = contender(&segment, Bed::Word, Wait::Forever);
    contender.may_sleep().unwrap();
    segment.interrupt();
    assert!(is_interrupted(contender.may_sleep()));
    assert!(is_interrupted(contender.sleep(&AtomicU32::new(0), 0)));
    // The next wait has begun after it.
    super::Contender::new(&segment.site, Bed::Word, Wait::Forever, "write")
        .may_sleep()
        .unwrap();
}

#[test]
fn sleeps_grow_up_to_the_longest() {
    let segment = segment();
    let mut contender = contender(&segment, Bed::Word, Wait::Forever);
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
    let parked = || segment.site.beacons.set().value(5).unwrap();
    let word = AtomicU32::new(1);
    let mut contender = contender(&segment, Bed::Parking, Wait::Forever);
    World::wake(&contender, &word);
    assert_eq!(parked(), 1);
    contender.sleep(&word, 1).unwrap();
    assert_eq!(parked(), 0);
}

#[test]
fn beacons_are_the_segments() {
    let segment = segment();
    let me = segment.site.me().unwrap();
    let slot = me.slot().unwrap();
    let contender = contender(&segment, Bed::Word, Wait::Never);
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
    let contender = contender(&segment, Bed::Word, Wait::Never);
    let warnings = std::sync::Arc::new(Warnings::default());
    tracing::subscriber::with_default(std::sync::Arc::clone(&warnings), || {
        contender.passed(Id::new(1, 1));
    });
    assert_eq!(*warnings.0.lock().unwrap(), 1);
}
