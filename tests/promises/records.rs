//! Records of any length: each is read whole and with its own length, or not at all.

use crate::by_lock;
use crate::common::{fork, proof, spin, Child, Foreign, Kernel, Random, Role, LOCKS};
use neocortex::{
    inspect, Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, Observer, RwLock,
    Segment, SegmentObserver, SegmentOptions, SeqLock,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// So that a hang is an error and not a watchdog's business.
const LONG: Option<Duration> = Some(Duration::from_secs(100));
/// How soon a follower notices that the writers are gone.
const SOON: Option<Duration> = Some(Duration::from_millis(20));

fn create<L: CortexSync>(kernel: &Kernel, slots: u32, size: usize) -> Segment<L> {
    let options = SegmentOptions::new().records().slots(slots).timeout(LONG);
    options.create(kernel.key(), size).unwrap()
}

/// A record whose bytes follow from its first and from its length.
fn record(seed: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| seed.wrapping_add((at * (length | 1)) as u8))
        .collect()
}

#[test]
fn a_record_is_read_with_its_own_length() {
    fn run<L: CortexSync>(kernel: &Kernel) {
        for (slots, size) in [(2, 1), (3, 57), (16, 300), (1_000, 4_096)] {
            let segment = create::<L>(kernel, slots, size);
            let observer = SegmentObserver::attach(segment.key(), size).unwrap();
            let other: Segment<L> = SegmentOptions::new().attach(segment.key(), 0).unwrap();
            assert_eq!((other.size(), observer.size()), (size, size));
            assert!(other.has_records() && observer.has_records());
            let info = inspect::segment(segment.key()).unwrap();
            assert!(info.has_records && info.size == size);
            let mut found = vec![1, 2, 3];
            assert_eq!(other.read_record(&mut found).unwrap(), 0);
            assert!(found.is_empty(), "nothing was pushed");
            let mut followers = [segment.follow(0), observer.follow(0)];
            let lengths = [0, 1, 7, 8, 9, 55, 56, 57, 64, 255, 300, 4_096, 0];
            let lengths = lengths.into_iter().filter(|&length| length <= size);
            for (version, length) in (1..).zip(lengths) {
                let pushed = record(version as u8, length);
                other.push(&pushed).unwrap();
                for read in [
                    segment.read_record(&mut found),
                    observer.read_record(&mut found),
                ] {
                    assert_eq!(read.unwrap(), version);
                    assert_eq!(found, pushed);
                }
                for follower in &mut followers {
                    let next = follower.next_record(&mut found, LONG).unwrap();
                    assert_eq!((next.version, next.missed), (version, 0));
                    assert_eq!((&found, follower.position()), (&pushed, version));
                    assert_eq!(follower.try_next_record(&mut found).unwrap(), None);
                    let late = follower.next_record(&mut found, Some(Duration::ZERO));
                    assert!(matches!(late.unwrap_err(), CortexError::Timeout { .. }));
                }
            }
            segment.try_push(b"!").unwrap();
            segment.push_for(Duration::ZERO, b"").unwrap();
            // Both are in a vector that had no room for one.
            for follower in &mut followers {
                let mut first = Vec::new();
                follower.try_next_record(&mut first).unwrap().unwrap();
                let next = follower.next_record(&mut found, None).unwrap();
                assert_eq!((&first[..], found.len(), next.missed), (&b"!"[..], 0, 0));
            }
        }
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, run(&kernel));
    }
}

#[test]
fn the_first_record_is_what_it_was_created_with() {
    let kernel = Kernel::new();
    let options = SegmentOptions::new().records();
    let segment: Segment = options
        .create_with(kernel.key(), b"nine bytes"[1..].as_ref())
        .unwrap();
    let mut found = Vec::new();
    assert_eq!(segment.read_record(&mut found).unwrap(), 0);
    assert_eq!(found, b"ine bytes");
    // It is no commit.
    assert_eq!(segment.follow(0).try_next_record(&mut found).unwrap(), None);
}

fn is_unsupported<T: std::fmt::Debug>(result: CortexResult<T>) {
    let error = result.unwrap_err();
    assert!(matches!(error, CortexError::Unsupported { .. }), "{error}");
}

/// What is opened for the other.
fn differs<T: std::fmt::Debug>(result: CortexResult<T>) {
    let error = result.unwrap_err();
    let is_it = matches!(error, CortexError::Layout { what: "records", expected, found, .. } if expected != found);
    assert!(is_it, "{error}");
}

fn is_invalid<T: std::fmt::Debug>(result: CortexResult<T>) {
    let error = result.unwrap_err();
    assert!(
        matches!(error, CortexError::InvalidArgument { .. }),
        "{error}"
    );
}

/// Calls that are about values say so, and change nothing; the lock is free afterwards.
#[test]
fn calls_for_values_are_refused_in_a_cortex_of_records() {
    fn run<L: CortexSync>(kernel: &Kernel) {
        let segment = create::<L>(kernel, 4, 16);
        let key = segment.key();
        let observer = SegmentObserver::attach(key, 0).unwrap();
        segment.push(b"five!").unwrap();
        let mut bytes = [0; 16];
        let now = Duration::ZERO;
        for _ in 0..2 {
            is_unsupported(segment.read_at(0, &mut bytes));
            is_unsupported(segment.try_read_at(1, &mut bytes[..8]));
            is_unsupported(segment.read_versioned(0, &mut bytes));
            is_unsupported(segment.read_at_for(now, 0, &mut bytes));
            is_unsupported(segment.write_at(0, &bytes));
            is_unsupported(segment.try_write_at(0, &bytes[..8]));
            is_unsupported(segment.read_guard().map(drop));
            is_unsupported(segment.try_read_guard().map(drop));
            is_unsupported(segment.write_guard().map(drop));
            is_unsupported(segment.overwrite_guard_for(now).map(drop));
            is_unsupported(observer.read_at(0, &mut bytes));
            is_unsupported(segment.follow(0).next(&mut bytes, LONG));
            is_unsupported(observer.follow(0).next_many(&mut bytes));
        }
        differs(Cortex::<[u8; 16], L>::attach(key).map(drop));
        differs(Observer::<[u8; 16]>::attach(key).map(drop));
        let value = CortexBuilder::new([0_u8; 16]).key(key);
        differs(
            value
                .clone()
                .open_or_create()
                .with_default_lock::<L>()
                .map(drop),
        );
        differs(value.force_ownership().with_default_lock::<L>().map(drop));
        let options = SegmentOptions::new();
        differs(options.create_or_attach::<L>(key, 16).map(drop));
        let same = options
            .clone()
            .records()
            .create_or_attach::<L>(key, 16)
            .unwrap();
        assert!(!same.was_created() && segment.is_owner());
        is_invalid(segment.push(&[0; 17]));
        is_invalid(segment.try_push(&[0; 1_000]));
        let mut found = Vec::new();
        assert_eq!(segment.read_record(&mut found).unwrap(), 1);
        assert_eq!(found, b"five!");
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, run(&kernel));
    }
    for options in [
        SegmentOptions::new().records().in_place(),
        SegmentOptions::new().in_place().records(),
    ] {
        is_invalid(options.create::<SeqLock>(kernel.key(), 8).map(drop));
    }
    let most = usize::MAX - 7;
    is_invalid(
        SegmentOptions::new()
            .records()
            .create_random::<SeqLock>(most)
            .map(drop),
    );
}

#[test]
fn calls_for_records_are_refused_in_a_cortex_of_a_value() {
    let kernel = Kernel::new();
    for slots in [1, 2, 9] {
        let options = SegmentOptions::new().slots(slots);
        let segment: Segment = options.create(kernel.key(), 8).unwrap();
        let observer = SegmentObserver::attach(segment.key(), 8).unwrap();
        assert!(!segment.has_records() && !observer.has_records());
        let mut found = Vec::new();
        is_unsupported(segment.push(b""));
        is_unsupported(segment.push(b"12345678"));
        is_unsupported(segment.read_record(&mut found));
        is_unsupported(observer.read_record(&mut found));
        is_unsupported(segment.follow(0).next_record(&mut found, LONG));
        is_unsupported(observer.follow(0).try_next_record(&mut found));
        let records = SegmentOptions::new().records();
        differs(records.attach::<SeqLock>(segment.key(), 8).map(drop));
        differs(
            records
                .create_or_attach::<SeqLock>(segment.key(), 8)
                .map(drop),
        );
        differs(SegmentObserver::attach_with(segment.key(), 8, &records).map(drop));
        assert_eq!(segment.version(), 0);
    }
}

/// Where the length of the record of a commit is in the segment.
fn length_at(segment: &Segment, commit: usize) -> usize {
    let info = inspect::segment(segment.key()).unwrap();
    info.slots_offset + commit % info.slots as usize * info.slot_stride
}

/// A length that no record has is an error, once for each follower, and makes no room.
#[test]
fn a_forged_length_is_corrupt_and_passed_over() {
    let kernel = Kernel::new();
    let segment = create::<SeqLock>(&kernel, 8, 100);
    let observer = SegmentObserver::attach(segment.key(), 0).unwrap();
    let forged = Foreign::open(segment.key());
    let is_corrupt = |result: CortexResult<()>| {
        let error = result.unwrap_err();
        assert!(matches!(error, CortexError::Corrupt { .. }), "{error}");
    };
    let lengths = [101, 1 << 32, 1 << 63, u64::MAX - 7, u64::MAX];
    for length in lengths {
        let since = segment.version();
        for number in 1..=3 {
            segment
                .push(&record(number, 10 * usize::from(number)))
                .unwrap();
        }
        forged.put(
            length_at(&segment, since as usize + 2),
            &length.to_ne_bytes(),
        );
        let mut found = Vec::new();
        for mut follower in [segment.follow(since), observer.follow(since)] {
            follower.next_record(&mut found, LONG).unwrap();
            assert_eq!(found, record(1, 10));
            is_corrupt(follower.next_record(&mut found, LONG).map(drop));
            assert_eq!((found.len(), follower.position()), (0, since + 1));
            let next = follower.try_next_record(&mut found).unwrap().unwrap();
            assert_eq!((next.version, next.missed), (since + 3, 1));
            assert_eq!(found, record(3, 30));
        }
        forged.put(
            length_at(&segment, since as usize + 3),
            &length.to_ne_bytes(),
        );
        is_corrupt(segment.read_record(&mut found).map(drop));
        is_corrupt(observer.read_record(&mut found).map(drop));
        assert!(
            found.is_empty() && found.capacity() <= 200,
            "{}",
            found.capacity()
        );
    }
    // A shorter one is a record too, for a peer that may write may write records.
    segment.push(&record(9, 100)).unwrap();
    let last = segment.version() as usize;
    forged.put(length_at(&segment, last), &5_u64.to_ne_bytes());
    let mut found = Vec::new();
    segment.read_record(&mut found).unwrap();
    assert_eq!(found, record(9, 100)[..5]);
    proof::passed(
        "P7",
        "a record whose length is forged",
        lengths.len() as u64,
    );
}

/// Lengths that change all the time: every call ends, and what it says is bounded.
#[test]
fn lengths_that_flip_lead_nowhere() {
    let kernel = Kernel::new();
    let segment = create::<SeqLock>(&kernel, 2, 5_000);
    let observer = SegmentObserver::attach(segment.key(), 0).unwrap();
    segment.push(&record(1, 5_000)).unwrap();
    let at = length_at(&segment, 1);
    let is_over = AtomicBool::new(false);
    let (mut whole, mut spoilt) = (0_u32, 0_u32);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let forged = Foreign::open(segment.key());
            let mut random = Random::new();
            while !is_over.load(Ordering::Relaxed) {
                let length = match random.below(4) {
                    0 => u64::MAX,
                    1 => 5_001,
                    _ => random.below(5_001) as u64,
                };
                forged.put(at, &length.to_ne_bytes());
            }
        });
        while whole.min(spoilt) < 100 {
            std::thread::yield_now();
            let mut found = Vec::new();
            let since = segment.version() - 1;
            for result in [
                segment.read_record(&mut found).map(drop),
                observer.read_record(&mut found).map(drop),
                segment
                    .follow(since)
                    .next_record(&mut found, LONG)
                    .map(drop),
            ] {
                match result {
                    Ok(()) => whole += 1,
                    Err(CortexError::Corrupt { .. }) => spoilt += 1,
                    Err(error) => panic!("{error}"),
                }
                assert!(found.len() <= 5_000 && found.capacity() <= 10_000);
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// A record that says itself whether it is whole: its length, then bytes that follow from both.
fn sealed(random: &mut Random, size: usize) -> Vec<u8> {
    let length = match random.below(8) {
        0 => 0,
        1 => size,
        _ => random.below(size + 1),
    };
    record(random.below(256) as u8, length)
}

fn check(found: &[u8]) {
    let whole = found
        .first()
        .is_none_or(|&seed| found == record(seed, found.len()));
    assert!(whole, "{} bytes, not whole", found.len());
}

#[test]
fn role_push() {
    fn run<L: CortexSync>(role: &Role) {
        let options = SegmentOptions::new().records().timeout(LONG);
        let segment: Segment<L> = options.attach(role.key(), 0).unwrap();
        let mut random = Random::new();
        loop {
            segment.push(&sealed(&mut random, segment.size())).unwrap();
        }
    }
    if let Some(role) = Role::of("role_push") {
        by_lock!(role.text(1), run(&role));
    }
}

/// Reads until the writers are gone and the last commit has been read.
fn drain(
    is_over: &AtomicBool,
    version: impl Fn() -> u64,
    mut next: impl FnMut(&mut Vec<u8>) -> CortexResult<Option<neocortex::Followed<()>>>,
) -> (u64, u64) {
    let (mut got, mut missed, mut found) = (0, 0, Vec::new());
    loop {
        let was_over = is_over.load(Ordering::SeqCst);
        match next(&mut found) {
            Ok(Some(commit)) => {
                got += 1;
                missed += commit.missed;
                assert_eq!(got + missed, commit.version, "got and missed");
                check(&found);
            }
            Ok(None) => std::thread::yield_now(),
            Err(CortexError::Timeout { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        if was_over && got + missed == version() {
            return (got, missed);
        }
    }
}

/// Writers are killed again and again while others follow, and read.
fn storm<L: CortexSync>(slots: u32, size: usize, kills: u32) {
    let kernel = Kernel::new();
    let segment = create::<L>(&kernel, slots, size);
    let key = segment.key();
    let observer = SegmentObserver::attach(key, 0).unwrap();
    let is_over = AtomicBool::new(false);
    let version = || segment.version();
    std::thread::scope(|scope| {
        let one = scope.spawn(|| {
            let mut follower = segment.follow(0);
            drain(&is_over, version, |found| {
                follower.next_record(found, SOON).map(Some)
            })
        });
        let slow = scope.spawn(|| {
            let mut follower = observer.follow(0);
            let mut random = Random::new();
            drain(&is_over, version, |found| {
                spin(random.below(20_000));
                follower.try_next_record(found)
            })
        });
        let reader = scope.spawn(|| {
            let (mut reads, mut last, mut found) = (0_u64, 0, Vec::new());
            while !is_over.load(Ordering::SeqCst) {
                let version = segment.read_record(&mut found).unwrap();
                check(&found);
                assert!(version >= last, "an older record");
                last = version;
                reads += 1;
            }
            reads
        });
        let mut random = Random::new();
        let spawn = || Child::spawn("role_push", &[&key, &L::NAME]);
        let mut writers = [spawn(), spawn()];
        for _ in 0..kills {
            let start = version();
            let commits = random.below(3_000) as u64;
            while version() - start < commits {
                std::thread::yield_now();
            }
            spin(random.below(2_000));
            let victim = &mut writers[random.below(2)];
            victim.kill();
            *victim = spawn();
        }
        writers.iter_mut().for_each(Child::kill);
        is_over.store(true, Ordering::SeqCst);
        let accounts = [one, slow].map(|follower| follower.join().unwrap());
        println!("{slots} slots of {size} bytes, {}: {accounts:?}", L::NAME);
        assert!(accounts.iter().all(|&(got, _)| got > 0));
        assert_ne!(reader.join().unwrap(), 0);
    });
}

#[test]
fn every_record_of_killed_writers_is_whole_or_counted_as_missed() {
    storm::<SeqLock>(16, 56, 20);
    storm::<SeqLock>(1_000, 3_000, 20);
    storm::<RwLock>(2, 700, 20);
    proof::passed("P1 P2 P13", "records of any length by writers that are killed: each whole, in order, or counted as missed", 60);
}

/// A forked child pushes through an inherited handle, and takes nothing away from its parent.
#[test]
fn a_forked_child_pushes_through_an_inherited_handle() {
    let kernel = Kernel::new();
    let segment = create::<SeqLock>(&kernel, 4, 32);
    segment.push(b"parent").unwrap();
    fork(|| segment.push(b"child").unwrap()).join();
    let mut found = Vec::new();
    assert_eq!(segment.read_record(&mut found).unwrap(), 2);
    assert_eq!(found, b"child");
    let mut follower = segment.follow(0);
    follower.next_record(&mut found, LONG).unwrap();
    assert_eq!(found, b"parent");
}
