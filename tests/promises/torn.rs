//! A reader never sees a torn value: writers and readers in separate processes, at every size.

use crate::by_lock;
use crate::common::{check, fill, Child, Kernel, Role};
use neocortex::{CortexSync, RwLock, Segment, SegmentObserver, SegmentOptions, Semaphore, SeqLock};
use std::time::Duration;

const SIZES: [usize; 6] = [8, 64, 72, 4096, 64 << 10, 1 << 20];

/// So that a starved reader is an error and not a watchdog's business.
const LONG: Option<Duration> = Some(Duration::from_secs(60));

/// How many operations each process does, so that each size takes about as long.
fn count(size: usize) -> u32 {
    (3_000_000 / (size + 1000)).clamp(8, 1500) as u32
}

fn attach<L: CortexSync>(role: &Role) -> (Segment<L>, usize) {
    let size = role.number(2);
    (
        SegmentOptions::new()
            .timeout(LONG)
            .attach(role.key(), size)
            .unwrap(),
        size,
    )
}

fn write<L: CortexSync>(role: &Role) {
    let (segment, size) = attach::<L>(role);
    let first = role.number(3) as u32;
    let mut payload = vec![0; size];
    role.say("ready");
    role.listen();
    for number in first..first + count(size) {
        match number % 4 {
            0 | 1 => {
                fill(&mut payload, number);
                segment.write_at(0, &payload).unwrap();
            }
            2 => {
                let mut guard = segment.write_guard().unwrap();
                check(&guard);
                fill(&mut guard, number);
                guard.commit().unwrap();
            }
            // Half written, then taken back (or, in place, finished).
            _ => {
                let mut guard = segment.write_guard().unwrap();
                fill(&mut guard[..size / 16 * 8], number);
                if segment.is_in_place() {
                    fill(&mut guard, number);
                    guard.commit().unwrap();
                }
            }
        }
    }
}

fn publish<L: CortexSync>(role: &Role) {
    let (segment, size) = attach::<L>(role);
    let first = role.number(3) as u32;
    role.say("ready");
    role.listen();
    let mut guard = segment.write_guard().unwrap();
    for number in first..first + 4 * count(size) {
        fill(&mut guard, number);
        guard.publish().unwrap();
    }
}

fn read<L: CortexSync>(role: &Role) {
    let (segment, size) = attach::<L>(role);
    let mut payload = vec![0; size];
    role.say("ready");
    role.listen();
    for round in 0..count(size) {
        if round % 4 == 3 {
            check(&segment.read_guard().unwrap());
        } else {
            segment.read_at(0, &mut payload).unwrap();
            check(&payload);
        }
    }
}

fn observe(role: &Role) {
    let size = role.number(2);
    let options = SegmentOptions::new().timeout(LONG);
    let observer = SegmentObserver::attach_with(role.key(), size, &options).unwrap();
    let mut payload = vec![0; size];
    role.say("ready");
    role.listen();
    for _ in 0..count(size) {
        observer.read_at(0, &mut payload).unwrap();
        check(&payload);
    }
}

#[test]
fn role_write() {
    let Some(role) = Role::of("role_write") else {
        return;
    };
    by_lock!(role.text(1), write(&role));
}

#[test]
fn role_publish() {
    let Some(role) = Role::of("role_publish") else {
        return;
    };
    by_lock!(role.text(1), publish(&role));
}

#[test]
fn role_read() {
    let Some(role) = Role::of("role_read") else {
        return;
    };
    by_lock!(role.text(1), read(&role));
}

#[test]
fn role_observe() {
    let Some(role) = Role::of("role_observe") else {
        return;
    };
    observe(&role);
}

fn race<L: CortexSync>(slots: u32, roles: &[&str]) {
    let kernel = Kernel::new();
    for size in SIZES {
        let options = SegmentOptions::new().slots(slots);
        let segment: Segment<L> = options.create(kernel.key(), size).unwrap();
        let mut guard = segment.write_guard().unwrap();
        fill(&mut guard, 0);
        guard.commit().unwrap();
        let mut children: Vec<_> = roles
            .iter()
            .zip((0..).step_by(1_000_000))
            .map(|(role, first)| Child::spawn(role, &[&segment.key(), &L::NAME, &size, &first]))
            .collect();
        children.iter_mut().for_each(|child| child.expect("ready"));
        children.iter_mut().for_each(|child| child.tell("go"));
        children.into_iter().for_each(Child::finish);
        let mut payload = vec![0; size];
        segment.read_at(0, &mut payload).unwrap();
        check(&payload);
    }
}

const MANY: &[&str] = &["role_write", "role_write", "role_read", "role_observe"];

macro_rules! races {
    ($($name:ident: $lock:ty, $slots:literal;)*) => { $(
        #[test]
        fn $name() {
            race::<$lock>($slots, MANY);
        }
    )* };
}

races! {
    reader_never_sees_a_torn_value_seqlock_1: SeqLock, 1;
    reader_never_sees_a_torn_value_seqlock_2: SeqLock, 2;
    reader_never_sees_a_torn_value_seqlock_3: SeqLock, 3;
    reader_never_sees_a_torn_value_seqlock_8: SeqLock, 8;
    reader_never_sees_a_torn_value_rwlock_1: RwLock, 1;
    reader_never_sees_a_torn_value_rwlock_2: RwLock, 2;
    reader_never_sees_a_torn_value_rwlock_3: RwLock, 3;
    reader_never_sees_a_torn_value_rwlock_8: RwLock, 8;
    reader_never_sees_a_torn_value_semaphore_1: Semaphore, 1;
    reader_never_sees_a_torn_value_semaphore_2: Semaphore, 2;
    reader_never_sees_a_torn_value_semaphore_3: Semaphore, 3;
    reader_never_sees_a_torn_value_semaphore_8: Semaphore, 8;
}

#[test]
fn reader_beside_a_publisher_never_sees_a_torn_value() {
    for slots in [2, 3, 8] {
        race::<SeqLock>(slots, &["role_publish", "role_read", "role_observe"]);
    }
}
