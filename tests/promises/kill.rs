//! A process that is killed hurts nobody: not in the middle of a write, not while it holds a lock.

use crate::by_lock;
use crate::common::{check, fill, filled, spin, Child, Kernel, Random, Role};
use neocortex::{
    Cortex, CortexBuilder, CortexError, CortexSync, RwLock, Segment, SegmentObserver,
    SegmentOptions, Semaphore, SeqLock,
};
use std::time::Duration;

const SIZE: usize = 4096;
const KILLS: u32 = 200;

/// Value number *n* is the *n*th commit, so that a lost or an invented one shows.
fn number<L: CortexSync>(segment: &Segment<L>, buffer: &mut [u8]) -> u32 {
    segment
        .read_at(0, buffer)
        .expect("nobody is left who could be in the way");
    check(buffer)
}

/// So that a hang is an error and not a watchdog's business.
const LONG: Option<Duration> = Some(Duration::from_secs(100));

fn options(slots: u32) -> SegmentOptions {
    SegmentOptions::new().slots(slots).timeout(LONG)
}

fn create<L: CortexSync>(kernel: &Kernel, slots: u32) -> Segment<L> {
    let segment: Segment<L> = options(slots).create(kernel.key(), SIZE).unwrap();
    let mut guard = segment.write_guard().unwrap();
    fill(&mut guard, 1);
    guard.commit().unwrap();
    segment
}

/// Writes the next numbers for ever, in each way that there is.
fn write_on<L: CortexSync>(segment: &Segment<L>) {
    let mut buffer = vec![0; SIZE];
    loop {
        let mut guard = segment.write_guard().unwrap();
        let last = check(&guard);
        fill(&mut guard, last + 1);
        guard.commit().unwrap();
        // There is one writer: nobody else counts on.
        for next in last + 2..last + 6 {
            fill(&mut buffer, next);
            segment.write_at(0, &buffer).unwrap();
        }
        if !segment.is_in_place() {
            let mut guard = segment.write_guard().unwrap();
            for next in last + 6..last + 9 {
                fill(&mut guard, next);
                guard.publish().unwrap();
            }
        }
    }
}

#[test]
fn role_write_on() {
    fn run<L: CortexSync>(role: &Role) {
        let segment: Segment<L> = options(2).attach(role.key(), SIZE).unwrap();
        role.say("ready");
        write_on(&segment);
    }
    let Some(role) = Role::of("role_write_on") else {
        return;
    };
    by_lock!(role.text(1), run(&role));
}

fn writers_killed_in_the_middle<L: CortexSync>(slots: u32) {
    let kernel = Kernel::new();
    let mut random = Random::new();
    let segment: Segment<L> = create(&kernel, slots);
    let observer = SegmentObserver::attach(segment.key(), SIZE).unwrap();
    observer.set_timeout(LONG);
    let mut buffer = vec![0; SIZE];
    let mut poisoned = 0;
    for _ in 0..KILLS {
        let mut child = Child::spawn("role_write_on", &[&segment.key(), &L::NAME]);
        child.expect("ready");
        let start = segment.version();
        let commits = random.below(200) as u64;
        while segment.version() < start + commits {
            std::hint::spin_loop();
        }
        spin(random.below(2000));
        let before = segment.version();
        child.kill();

        let committed = segment.version();
        assert!(committed >= before, "a commit was lost");
        match segment.read_at(0, &mut buffer) {
            Ok(()) => assert_eq!(u64::from(check(&buffer)), committed),
            Err(CortexError::Poisoned { .. }) if slots == 1 => {
                poisoned += 1;
                assert!(segment.is_poisoned());
                let partial = segment.write_at(8, &[1]).unwrap_err();
                assert!(matches!(partial, CortexError::Poisoned { .. }), "{partial}");
                assert_eq!(segment.version(), committed);
            }
            Err(error) => panic!("{error}"),
        }
        if slots > 1 {
            observer.read_at(0, &mut buffer).unwrap();
            assert_eq!(u64::from(check(&buffer)), committed);
        }
        // A whole write, which also heals.
        let next = committed as u32 + 1;
        segment.write_at(0, &filled(SIZE, next)).unwrap();
        assert_eq!(segment.version(), u64::from(next));
        assert_eq!(number(&segment, &mut buffer), next);
        // A partial one, which brings the slot up to date.
        segment.write_at(0, &filled(SIZE, next + 1)).unwrap();
        let half = filled(SIZE, next + 1);
        segment.write_at(100, &half[100..1000]).unwrap();
        segment.write_at(0, &filled(SIZE, next + 3)).unwrap();
        assert_eq!(number(&segment, &mut buffer), next + 3);
    }
    println!(
        "{} with {slots} slots: {poisoned} of {KILLS} kills poisoned it",
        L::NAME
    );
    let (alive, _) = segment.participants().unwrap();
    assert_eq!(alive, 1);
}

#[test]
fn writer_killed_mid_write_keeps_last_commit_seqlock() {
    writers_killed_in_the_middle::<SeqLock>(2);
}

#[test]
fn writer_killed_mid_write_keeps_last_commit_rwlock() {
    writers_killed_in_the_middle::<RwLock>(2);
}

#[test]
fn writer_killed_mid_write_keeps_last_commit_semaphore() {
    writers_killed_in_the_middle::<Semaphore>(2);
}

#[test]
fn writer_killed_mid_write_in_three_slots_keeps_last_commit() {
    writers_killed_in_the_middle::<SeqLock>(3);
}

#[test]
fn writer_killed_mid_write_in_place_poisons_at_worst_seqlock() {
    writers_killed_in_the_middle::<SeqLock>(1);
}

#[test]
fn writer_killed_mid_write_in_place_poisons_at_worst_rwlock() {
    writers_killed_in_the_middle::<RwLock>(1);
}

/// Holds what the test asks for until it is killed.
fn hold<L: CortexSync>(role: &Role) {
    let segment: Segment<L> = options(2).attach(role.key(), SIZE).unwrap();
    let other: Segment<L> = options(2).attach(role.key(), SIZE).unwrap();
    match role.text(2) {
        "write" => {
            let mut guard = segment.write_guard().unwrap();
            let garbage = 1000 + role.number(3) % 2000;
            guard[..garbage].fill(0xEE);
            role.say("held");
            role.listen();
        }
        "publish" => {
            let mut guard = segment.write_guard().unwrap();
            let last = check(&guard);
            for next in last + 1..last + 4 {
                fill(&mut guard, next);
                guard.publish().unwrap();
            }
            guard[5..2000].fill(0xEE);
            role.say("held");
            role.listen();
        }
        "read" => {
            let first = segment.read_guard().unwrap();
            // The shared lock twice, through two slots.
            let second = (L::NAME == "rwlock").then(|| other.read_guard().unwrap());
            let third = (L::NAME == "rwlock").then(|| segment.read_guard().unwrap());
            assert!(second.is_none_or(|second| second[..] == first[..]));
            role.say("held");
            role.listen();
            drop(third);
        }
        "update" => {
            let word: Cortex<[u8; SIZE], L> = Cortex::attach(role.key()).unwrap();
            word.update(|value| {
                value.fill(0xEE);
                role.say("held");
                role.listen();
            })
            .unwrap();
        }
        other => panic!("{other}"),
    }
    unreachable!("it is killed while it listens");
}

#[test]
fn role_hold() {
    let Some(role) = Role::of("role_hold") else {
        return;
    };
    by_lock!(role.text(1), hold(&role));
}

fn holder_killed<L: CortexSync>(slots: u32) {
    let kernel = Kernel::new();
    let segment: Segment<L> = create(&kernel, slots);
    let mut buffer = vec![0; SIZE];
    for round in 0..10 {
        for what in ["write", "publish", "read", "update"] {
            if slots == 1 && what == "publish" {
                continue;
            }
            let mut child = Child::spawn(
                "role_hold",
                &[&segment.key(), &L::NAME, &what, &(round * 307)],
            );
            child.expect("held");
            let late = segment.try_write_at(0, &[1]).unwrap_err();
            assert!(
                matches!(late, CortexError::Timeout { .. }),
                "not held ({what}): {late}"
            );
            let before = segment.version();
            child.kill();
            if slots == 1 && what == "write" {
                let poisoned = segment.read_at(0, &mut buffer).unwrap_err();
                assert!(
                    matches!(poisoned, CortexError::Poisoned { .. }),
                    "{poisoned}"
                );
                let poisoned = segment.write_guard().map(drop).unwrap_err();
                assert!(
                    matches!(poisoned, CortexError::Poisoned { .. }),
                    "{poisoned}"
                );
                if round % 2 == 0 {
                    segment.clear_poison().unwrap();
                    segment
                        .read_at(0, &mut buffer)
                        .expect("declared whole, garbage and all");
                    assert_eq!(buffer[..1000], [0xEE; 1000]);
                }
            } else {
                let number = number(&segment, &mut buffer);
                assert_eq!(
                    (u64::from(number), segment.version()),
                    (before, before),
                    "{what}"
                );
            }
            let next = segment.version() as u32 + 1;
            segment.write_at(0, &filled(SIZE, next)).unwrap();
            let guard = segment.read_guard().unwrap();
            assert_eq!(check(&guard), next, "{what}");
        }
    }
}

#[test]
fn holder_killed_is_passed_seqlock() {
    holder_killed::<SeqLock>(2);
}

#[test]
fn holder_killed_is_passed_rwlock() {
    holder_killed::<RwLock>(2);
}

#[test]
fn holder_killed_is_passed_semaphore() {
    holder_killed::<Semaphore>(2);
}

#[test]
fn holder_killed_in_place_poisons_and_a_whole_write_heals() {
    holder_killed::<SeqLock>(1);
    holder_killed::<RwLock>(1);
    holder_killed::<Semaphore>(1);
}

#[test]
fn owner_killed_leaves_the_attached_at_work() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let mut owner = Child::spawn("role_own", &[&key]);
    owner.expect("ready");
    let attached: Cortex<u64> = Cortex::attach(key).unwrap();
    owner.kill();
    assert!(!attached.segment().is_removed());
    attached.update(|value| *value += 1).unwrap();
    assert_eq!(Cortex::<u64>::attach(key).unwrap().read().unwrap(), 8);
    let busy = CortexBuilder::new(0_u64)
        .key(key)
        .replace_stale()
        .create()
        .unwrap_err();
    assert!(matches!(busy, CortexError::Busy { .. }), "{busy}");
    drop(attached);
    drop(
        CortexBuilder::new(0_u64)
            .key(key)
            .replace_stale()
            .create()
            .unwrap(),
    );
}

#[test]
fn role_own() {
    let Some(role) = Role::of("role_own") else {
        return;
    };
    let _cortex = CortexBuilder::new(7_u64).key(role.key()).create().unwrap();
    role.say("ready");
    role.listen();
}
