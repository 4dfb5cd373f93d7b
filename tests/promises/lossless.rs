//! Back-pressure where the creator asks for it: a registered follower misses nothing, and holds up writers for no longer
//! than their time-out.

use crate::by_lock;
use crate::common::{fork, proof, spin, Child, Foreign, Kernel, Random, Role, LOCKS};
use neocortex::{
    inspect, Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, RwLock, Segment,
    SegmentObserver, SegmentOptions, SeqLock,
};
use std::time::Duration;

/// So that a hang is an error and not a watchdog's business.
const LONG: Option<Duration> = Some(Duration::from_secs(100));
const SOON: Duration = Duration::from_millis(20);

fn create<L: CortexSync>(kernel: &Kernel, slots: u32) -> Cortex<u64, L> {
    CortexBuilder::new(0)
        .key(kernel.key())
        .slots(slots)
        .lossless()
        .timeout(LONG)
        .with_default_lock()
        .unwrap()
}

#[track_caller]
fn is_full(result: CortexResult<()>) {
    let error = result.unwrap_err();
    assert!(matches!(error, CortexError::Timeout { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("a registered follower has not read"),
        "{error}"
    );
}

/// Writes in each way that there is, and waits in each of them.
#[test]
fn every_write_waits_for_a_registered_follower() {
    fn run<L: CortexSync>(kernel: &Kernel) {
        for slots in [2_u32, 3, 16, 1_000] {
            let cortex = create::<L>(kernel, slots);
            let other = Cortex::<u64, L>::attach(cortex.key()).unwrap();
            assert!(other.segment().is_lossless());
            // Without a follower nobody waits.
            for value in 1..=u64::from(3 * slots) {
                other.write_for(value, Duration::ZERO).unwrap();
            }
            let start = cortex.version();
            let mut follower = cortex.follow_registered(start).unwrap();
            let mut next = start;
            let mut write = || {
                next += 1;
                match next % 5 {
                    0 => other.write(next),
                    1 => other.segment().write_at(0, &next.to_ne_bytes()),
                    2 => other.update(|value| *value = next),
                    3 => {
                        let mut guard = other.segment().write_guard()?;
                        guard.copy_from_slice(&next.to_ne_bytes());
                        guard.commit()
                    }
                    _ => cortex.try_write(next),
                }
            };
            (0..slots).for_each(|_| write().unwrap());
            for _ in 0..2 {
                is_full(other.try_write(0));
                is_full(other.segment().write_at_for(SOON, 0, &[0; 8]));
                is_full(other.segment().try_write_guard().map(drop));
                is_full(other.update_for(Duration::ZERO, |_| {}).map(drop));
            }
            // Each that is read makes room for one, also for a handle that was told that it is full.
            for version in start + 1..start + 3 * u64::from(slots) {
                let found = follower.next(LONG).unwrap();
                assert_eq!(
                    (found.value, found.version, found.missed),
                    (version, version, 0)
                );
                write().unwrap();
                is_full(other.try_write(0));
            }
            drop(follower);
            other.try_write(0).unwrap();
        }
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, run(&kernel));
    }
}

/// What waits is woken; the lock is free meanwhile.
#[test]
fn a_writer_that_waits_for_room_is_woken_and_holds_no_lock() {
    let kernel = Kernel::new();
    let cortex = create::<RwLock>(&kernel, 2);
    let writer = Cortex::<u64, RwLock>::attach(cortex.key()).unwrap();
    writer.set_timeout(LONG);
    let mut follower = cortex.follow_registered(0).unwrap();
    writer.write(1).unwrap();
    writer.write(2).unwrap();
    let waits = || inspect::segment(cortex.key()).unwrap().waiting.for_room;
    assert!(!waits());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| writer.write(3));
        while !waits() {
            std::thread::yield_now();
        }
        // Others read, and take the lock.
        let guard = cortex.read_guard().unwrap();
        assert_eq!(*guard, 2);
        drop(guard);
        is_full(cortex.try_write(9));
        let found = follower.next(LONG).unwrap();
        assert_eq!((found.value, found.missed), (1, 0));
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(cortex.read().unwrap(), 3);
    // What ends a wait ends this one.
    for end in ["interrupted", "dropped", "removed"] {
        let start = cortex.version();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| writer.write(4));
            while !waits() {
                std::thread::yield_now();
            }
            match end {
                "interrupted" => writer.stop_waits(),
                "dropped" => drop(follower.clone()),
                _ => inspect::remove(cortex.key()).unwrap(),
            }
            if end == "dropped" {
                // A clone is not registered, and its end means nothing.
                assert_eq!(follower.next(LONG).unwrap().version, 2);
            }
            match (end, waiting.join().unwrap()) {
                ("interrupted", Err(CortexError::Interrupted { .. })) => writer.resume_waits(),
                ("dropped", Ok(())) => assert_eq!(cortex.version(), start + 1),
                ("removed", Err(CortexError::Removed { .. })) => {}
                (_, result) => panic!("{end}: {result:?}"),
            }
        });
    }
}

#[test]
fn role_consume() {
    fn run<L: CortexSync>(role: &Role) {
        let cortex = Cortex::<u64, L>::attach(role.key()).unwrap();
        let mut follower = cortex.follow_registered(cortex.version()).unwrap();
        role.say("registered");
        loop {
            follower.next(LONG).unwrap();
        }
    }
    if let Some(role) = Role::of("role_consume") {
        by_lock!(role.text(1), run(&role));
    }
}

/// A consumer that stands still holds up a writer to its time-out, and one that has died does not.
#[test]
fn a_stopped_consumer_holds_up_to_the_time_out_and_a_dead_one_does_not() {
    fn run<L: CortexSync>(kernel: &Kernel) {
        let cortex = create::<L>(kernel, 4);
        for _ in 0..3 {
            let mut consumers =
                [(); 2].map(|()| Child::spawn("role_consume", &[&cortex.key(), &L::NAME]));
            for consumer in &mut consumers {
                consumer.expect("registered");
            }
            (0..100).for_each(|value| cortex.write(value).unwrap());
            consumers[0].signal(libc::SIGSTOP);
            consumers[0].await_stop();
            let mut count = 0;
            while cortex.write_for(0, SOON).is_ok() {
                count += 1;
                assert!(count <= 4, "more than there are slots");
            }
            is_full(cortex.write_for(0, SOON));
            consumers[0].kill();
            // It is asked for again, in each slice of the wait.
            (0..100).for_each(|value| cortex.write(value).unwrap());
            consumers[1].kill();
            (0..100).for_each(|value| cortex.write(value).unwrap());
        }
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, run(&kernel));
    }
    proof::passed(
        "P2 P13",
        "lossless: a stopped consumer holds a writer to its time-out, a killed one does not; each lock",
        3 * LOCKS.len() as u64,
    );
}

/// A peer may store any cursor: writers end with their time-out, or go on, and a follower is told the truth.
#[test]
fn a_hostile_cursor_holds_up_to_the_time_out() {
    let kernel = Kernel::new();
    let cortex = create::<SeqLock>(&kernel, 4);
    let info = inspect::segment(cortex.key()).unwrap();
    let forged = Foreign::open(cortex.key());
    // The one participant has slot 0: `follows` and `cursor` in its line (`src/protocol/room.rs`).
    let (follows, cursor) = (info.participants_offset + 4, info.participants_offset + 8);
    let generation = info.tenants[0].generation;
    (0..10).for_each(|value| cortex.write(value).unwrap());
    let cursors = [0, 1, 6, u64::MAX, 1 << 63, 11, u64::MAX / 2, 9];
    for number in cursors {
        forged.put(cursor, &number.to_ne_bytes());
        for word in [generation << 2 | 1, u32::MAX, 1, generation << 2 | 2] {
            forged.put(follows, &word.to_ne_bytes());
            for _ in 0..6 {
                match cortex.write_for(0, Duration::from_millis(1)) {
                    Ok(()) | Err(CortexError::Timeout { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
    forged.put(follows, &0_u32.to_ne_bytes());
    (0..10).for_each(|value| cortex.write(value).unwrap());
    // A follower whose cursor a peer has moved ahead misses what was overwritten, and says so.
    let mut follower = cortex.follow_registered(cortex.version()).unwrap();
    let start = cortex.version();
    forged.put(cursor, &u64::MAX.wrapping_sub(5).to_ne_bytes());
    forged.put(cursor, &(start + 100).to_ne_bytes());
    (0..20).for_each(|value| cortex.write(value).unwrap());
    let found = follower.next(LONG).unwrap();
    assert_eq!(found.version, start + 1 + found.missed);
    assert!(found.missed > 0);
    proof::passed(
        "P7",
        "lossless: a forged registration and cursor",
        cursors.len() as u64,
    );
}

#[test]
fn one_follower_is_registered_through_a_handle_while_it_lives() {
    let kernel = Kernel::new();
    let cortex = create::<SeqLock>(&kernel, 2);
    let first = cortex.follow_registered(0).unwrap();
    let again = cortex.follow_registered(0).unwrap_err();
    assert!(matches!(again, CortexError::Busy { .. }), "{again}");
    let other = Cortex::<u64>::attach(cortex.key()).unwrap();
    let mut second = other.follow_registered(0).unwrap();
    cortex.write(1).unwrap();
    cortex.write(2).unwrap();
    second.next(LONG).unwrap();
    is_full(cortex.try_write(3));
    // A forked child reads on, and is no follower that anybody waits for.
    fork(|| {
        let mut inherited = first.clone();
        assert_eq!(inherited.next(LONG).unwrap().version, 1);
        is_full(cortex.try_write(3));
        std::mem::forget(inherited);
        let mut own = cortex.follow_registered(0).unwrap();
        assert_eq!(own.next(LONG).unwrap().version, 1);
    })
    .join();
    is_full(cortex.try_write(3));
    drop(first);
    cortex.write(3).unwrap();
    is_full(cortex.try_write(4));
    // Closing the handle ends it, too.
    std::mem::forget(second);
    drop(other);
    cortex.try_write(4).unwrap();
    drop(cortex.follow_registered(4).unwrap());

    let plain = CortexBuilder::new(0_u64)
        .key(kernel.key())
        .create()
        .unwrap();
    let refused = plain.follow_registered(0).unwrap_err();
    assert!(
        matches!(refused, CortexError::Unsupported { .. }),
        "{refused}"
    );
    assert!(!plain.segment().is_lossless());
    let mut guard = cortex.write_guard().unwrap();
    let refused = guard.publish().unwrap_err();
    assert!(
        matches!(refused, CortexError::Unsupported { .. }),
        "{refused}"
    );
    guard.commit().unwrap();
    let observer = SegmentObserver::attach(cortex.key(), 8).unwrap();
    assert!(observer.is_lossless() && inspect::segment(cortex.key()).unwrap().is_lossless);
    let in_place = SegmentOptions::new().lossless().in_place();
    let refused = in_place.create::<SeqLock>(kernel.key(), 8).unwrap_err();
    assert!(
        matches!(refused, CortexError::InvalidArgument { .. }),
        "{refused}"
    );
}

/// Bytes that are no value are passed over, and make room as all others.
#[test]
fn what_is_no_value_makes_room() {
    let kernel = Kernel::new();
    let builder = CortexBuilder::new(false).key(kernel.key()).slots(2);
    let cortex = builder.lossless().create().unwrap();
    let mut follower = cortex.follow_registered(0).unwrap();
    for round in 0..10 {
        cortex.segment().try_write_at(0, &[2]).unwrap();
        cortex.segment().try_write_at(0, &[1]).unwrap();
        let invalid = follower.next(LONG).unwrap_err();
        assert!(
            matches!(invalid, CortexError::InvalidValue { .. }),
            "{invalid}"
        );
        let found = follower.next(LONG).unwrap();
        assert_eq!(
            (found.value, found.version, found.missed),
            (true, 2 * round + 2, 1)
        );
    }
}

#[test]
fn role_produce() {
    fn run<L: CortexSync>(role: &Role) {
        let options = SegmentOptions::new().records().timeout(LONG);
        let segment: Segment<L> = options.attach(role.key(), 0).unwrap();
        let mut random = Random::new();
        loop {
            let length = 1 + random.below(segment.size());
            segment.push(&vec![length as u8; length]).unwrap();
        }
    }
    if let Some(role) = Role::of("role_produce") {
        by_lock!(role.text(1), run(&role));
    }
}

/// Writers are killed again and again, waiting or writing; the follower gets all that they have committed.
fn storm<L: CortexSync>(slots: u32, kills: u32) {
    let kernel = Kernel::new();
    let options = SegmentOptions::new().records().lossless().slots(slots);
    let segment: Segment<L> = options.timeout(LONG).create(kernel.key(), 200).unwrap();
    let mut follower = segment.follow_registered(0).unwrap();
    let spawn = || Child::spawn("role_produce", &[&segment.key(), &L::NAME]);
    let mut writers = [spawn(), spawn()];
    let (mut random, mut record, mut got) = (Random::new(), Vec::new(), 0);
    let mut read = |most: usize, timeout| {
        for _ in 0..most {
            match follower.next_record(&mut record, Some(timeout)) {
                Ok(found) => {
                    got += 1;
                    assert_eq!((found.version, found.missed), (got, 0), "it missed one");
                    assert!(record.iter().all(|&byte| byte == record.len() as u8));
                }
                Err(CortexError::Timeout { .. }) if timeout.is_zero() => break,
                Err(error) => panic!("{error}"),
            }
        }
        got
    };
    for _ in 0..kills {
        read(random.below(500), Duration::from_secs(100));
        spin(random.below(20_000));
        let victim = &mut writers[random.below(2)];
        victim.kill();
        *victim = spawn();
    }
    writers.iter_mut().for_each(Child::kill);
    let got = read(usize::MAX, Duration::ZERO);
    assert_eq!(got, segment.version());
    println!("{slots} slots, {}: {got} records", L::NAME);
}

#[test]
fn a_registered_follower_of_killed_writers_misses_nothing() {
    storm::<SeqLock>(2, 20);
    storm::<RwLock>(16, 20);
    storm::<neocortex::Semaphore>(1_000, 10);
    proof::passed(
        "P2 P13",
        "lossless: writers killed while they write or wait for room; a registered follower gets every record",
        50,
    );
}
