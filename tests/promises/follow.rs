//! Every commit in order: a follower gets each of them once and whole, or is told exactly how many it missed.

use crate::by_lock;
use crate::common::{spin, Child, Kernel, Random, Role, LOCKS};
use neocortex::{
    Batch, Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, Followed, Observer,
    Segment, SegmentObserver, SegmentOptions, SeqLock,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Commit k holds k in each of its words, whoever makes it: copied through registers, or by the copy for any length.
type Small = [u64; 1];
type Large = [u64; 40];

/// So that a hang is an error and not a watchdog's business.
const LONG: Option<Duration> = Some(Duration::from_secs(100));
/// How soon a follower notices that the writers are gone.
const SOON: Option<Duration> = Some(Duration::from_millis(20));

/// Makes the next commits for ever, in each way that there is.
fn append<const WORDS: usize, L: CortexSync>(cortex: &Cortex<[u64; WORDS], L>) {
    let mut random = Random::new();
    loop {
        match random.below(8) {
            0 => {
                let mut guard = cortex.write_guard().unwrap();
                *guard = [guard[0] + 1; WORDS];
                guard.commit().unwrap();
            }
            1 => {
                let mut guard = cortex.write_guard().unwrap();
                let last = guard[0];
                for next in 1..4 {
                    *guard = [last + next; WORDS];
                    guard.publish().unwrap();
                }
            }
            // Given up: no commit.
            2 => {
                let mut guard = cortex.write_guard().unwrap();
                guard[0] = 0;
                guard.abort().unwrap();
            }
            _ => {
                let change = |value: &mut [u64; WORDS]| *value = [value[0] + 1; WORDS];
                cortex.update(change).unwrap();
            }
        }
    }
}

#[test]
fn role_append() {
    fn run<L: CortexSync>(role: &Role) {
        let options = SegmentOptions::new().timeout(LONG);
        match role.number(2) {
            1 => append(&Cortex::<Small, L>::attach_with(role.key(), &options).unwrap()),
            _ => append(&Cortex::<Large, L>::attach_with(role.key(), &options).unwrap()),
        }
    }
    if let Some(role) = Role::of("role_append") {
        by_lock!(role.text(1), run(&role));
    }
}

/// What one follower has read: that is compared with the version at each record.
#[derive(Default)]
struct Account {
    got: u64,
    missed: u64,
}

impl Account {
    fn add(&mut self, values: &[u64], version: u64, missed: u64) {
        self.got += 1;
        self.missed += missed;
        assert_eq!(self.got + self.missed, version, "got and missed");
        assert!(values.iter().all(|&word| word == version), "not whole");
    }

    fn add_batch<const WORDS: usize>(&mut self, values: &[[u64; WORDS]], batch: Batch) {
        assert_eq!(values.len(), batch.count);
        let mut missed = batch.missed;
        for (value, version) in values.iter().zip(batch.version..) {
            self.add(value, version, std::mem::take(&mut missed));
        }
    }
}

/// Reads until the writers are gone and the last commit has been read. `read` returns whether there was something.
fn drain(
    is_over: &AtomicBool,
    version: impl Fn() -> u64,
    mut read: impl FnMut(&mut Account) -> CortexResult<bool>,
) -> Account {
    let mut account = Account::default();
    loop {
        let was_over = is_over.load(Ordering::SeqCst);
        match read(&mut account) {
            Ok(true) | Err(CortexError::Timeout { .. }) => {}
            Ok(false) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
        if was_over && account.got + account.missed == version() {
            return account;
        }
    }
}

/// Writers are killed again and again while followers of each kind read.
fn storm<const WORDS: usize, L: CortexSync>(slots: u32, kills: u32) {
    let kernel = Kernel::new();
    let cortex: Cortex<[u64; WORDS], L> = CortexBuilder::new([0; WORDS])
        .key(kernel.key())
        .slots(slots)
        .timeout(LONG)
        .with_default_lock()
        .unwrap();
    let key = cortex.key();
    let observer = Observer::<[u64; WORDS]>::attach(key).unwrap();
    let bytes = SegmentObserver::attach(key, 0).unwrap();
    let is_over = AtomicBool::new(false);
    let version = || cortex.version();
    let accounts: Vec<Account> = std::thread::scope(|scope| {
        let one = scope.spawn(|| {
            let mut follower = cortex.follow(0);
            drain(&is_over, version, |account| {
                let found = follower.next(SOON)?;
                account.add(&found.value, found.version, found.missed);
                assert_eq!(follower.position(), found.version);
                Ok(true)
            })
        });
        let many = scope.spawn(|| {
            let mut follower = observer.follow(0);
            let mut values = Vec::with_capacity(100);
            drain(&is_over, version, |account| {
                let batch = follower.next_many(&mut values)?;
                account.add_batch(&values, batch);
                Ok(batch.count > 0)
            })
        });
        let slow = scope.spawn(|| {
            let mut follower = bytes.follow(0);
            let mut random = Random::new();
            let mut value = [0; WORDS];
            drain(&is_over, version, |account| {
                spin(random.below(20_000));
                let buffer = neocortex::bytemuck::cast_slice_mut(&mut value);
                let Some(found) = follower.try_next(buffer)? else {
                    return Ok(false);
                };
                account.add(&value, found.version, found.missed);
                Ok(true)
            })
        });
        let mut random = Random::new();
        let spawn = || Child::spawn("role_append", &[&key, &L::NAME, &WORDS]);
        let mut writers = [spawn(), spawn()];
        for _ in 0..kills {
            let start = version();
            let commits = random.below(4_000) as u64;
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
        [one, many, slow]
            .map(|follower| follower.join().unwrap())
            .into()
    });
    for account in &accounts {
        println!(
            "{} slots, {WORDS} words, {}: got {}, missed {}",
            slots,
            L::NAME,
            account.got,
            account.missed
        );
        assert_ne!(account.got, 0);
    }
    if slots == 16 {
        assert_ne!(accounts[2].missed, 0, "the slow one was never overtaken");
    }
    // What is kept can be read again, by whoever comes now.
    let mut follower = cortex.follow(cortex.kept_since());
    let mut values = Vec::with_capacity(slots as usize);
    let batch = follower.next_many(&mut values).unwrap();
    assert_eq!(batch.missed, 0);
    let kept = u64::from(slots).min(version());
    assert!(
        (kept - 1..=kept).contains(&(batch.count as u64)),
        "{batch:?}"
    );
    assert_eq!(follower.position(), version());
}

#[test]
fn every_commit_of_killed_writers_is_read_or_counted_with_16_slots() {
    storm::<1, SeqLock>(16, 40);
    storm::<40, SeqLock>(16, 40);
}

#[test]
fn every_commit_of_killed_writers_is_read_or_counted_with_1_024_slots() {
    storm::<1, SeqLock>(1_024, 30);
    storm::<40, neocortex::RwLock>(1_000, 30);
}

#[test]
fn every_commit_of_killed_writers_is_read_or_counted_with_65_536_slots() {
    storm::<1, neocortex::Semaphore>(65_536, 20);
    storm::<40, SeqLock>(65_536, 20);
}

fn create<L: CortexSync>(kernel: &Kernel, slots: u32) -> Cortex<u64, L> {
    CortexBuilder::new(0)
        .key(kernel.key())
        .slots(slots)
        .with_default_lock()
        .unwrap()
}

fn found<T>(value: T, version: u64, missed: u64) -> Followed<T> {
    Followed {
        value,
        version,
        missed,
    }
}

/// A follower that another process started where the last one ended reads on without a gap.
#[test]
fn a_position_is_a_number_that_outlives_its_follower() {
    fn run<L: CortexSync>(kernel: &Kernel) {
        for slots in [4, 5, 64, 1_000, 65_535] {
            let cortex = create::<L>(kernel, slots);
            (1..=3).for_each(|value| cortex.write(value).unwrap());
            let mut follower = cortex.follow(1);
            assert_eq!(follower.try_next().unwrap(), Some(found(2, 2, 0)));
            let position = follower.position();
            let other = Cortex::<u64, L>::attach(cortex.key()).unwrap();
            let mut follower = other.follow(position);
            assert_eq!(follower.next(SOON).unwrap(), found(3, 3, 0));
            assert_eq!(follower.try_next().unwrap(), None);
            // What it lost while it was away is a number too.
            let last = 3 + u64::from(slots) + 10;
            (4..=last).for_each(|value| cortex.write(value).unwrap());
            assert_eq!(cortex.kept_since(), 13);
            assert_eq!(follower.next(None).unwrap(), found(14, 14, 10));
        }
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, run(&kernel));
    }
}

#[test]
fn a_follower_that_waits_is_woken_or_told_why_not() {
    let kernel = Kernel::new();
    let cortex = create::<SeqLock>(&kernel, 4);
    let observer = Observer::<u64>::attach(cortex.key()).unwrap();
    for mut follower in [cortex.follow(0), observer.follow(1)] {
        let start = cortex.version();
        assert_eq!(follower.position(), start);
        let error = follower.next(SOON).unwrap_err();
        assert!(matches!(error, CortexError::Timeout { .. }), "{error}");
        let error = follower.wait(Some(Duration::ZERO)).unwrap_err();
        assert!(matches!(error, CortexError::Timeout { .. }), "{error}");
        let value = std::thread::scope(|scope| {
            let waiter = scope.spawn(move || {
                follower.wait(LONG).unwrap();
                follower.next(LONG).unwrap()
            });
            std::thread::sleep(Duration::from_millis(10));
            cortex.write(start + 1).unwrap();
            waiter.join().unwrap()
        });
        assert_eq!(value, found(start + 1, start + 1, 0));
    }
    // This thread's own guard keeps every commit from coming.
    let guard = cortex.write_guard().unwrap();
    let error = cortex.follow(cortex.version()).next(LONG).unwrap_err();
    assert!(matches!(error, CortexError::Busy { .. }), "{error}");
    drop(guard);
    cortex.stop_waits();
    let error = cortex.follow(cortex.version()).next(LONG).unwrap_err();
    assert!(matches!(error, CortexError::Interrupted { .. }), "{error}");
    cortex.resume_waits();
    // What was committed before the end is read before the end is told.
    let mut followers = [cortex.follow(1), observer.follow(1)];
    neocortex::inspect::remove(cortex.key()).unwrap();
    for follower in &mut followers {
        assert_eq!(follower.next(LONG).unwrap(), found(2, 2, 0));
        let error = follower.next(LONG).unwrap_err();
        assert!(matches!(error, CortexError::Removed { .. }), "{error}");
        assert_eq!(follower.position(), 2);
    }
}

#[test]
fn a_position_of_another_cortex_is_refused() {
    let kernel = Kernel::new();
    let cortex = create::<SeqLock>(&kernel, 4);
    cortex.write(1).unwrap();
    let observer = Observer::<u64>::attach(cortex.key()).unwrap();
    for mut follower in [cortex.follow(2), observer.follow(1_000)] {
        let position = follower.position();
        for error in [
            follower.next(LONG).unwrap_err(),
            follower.try_next().unwrap_err(),
            follower.next_many(&mut Vec::with_capacity(1)).unwrap_err(),
        ] {
            assert!(matches!(error, CortexError::InvalidArgument { .. }));
            let text = error.to_string();
            assert!(text.contains("is ahead of version 1"), "{text}");
        }
        assert_eq!(follower.position(), position);
    }
}

/// Bytes that are no value are passed over, counted as missed, and never stop a follower.
#[test]
fn what_is_no_value_is_an_error_once_and_counts_as_missed() {
    let kernel = Kernel::new();
    let cortex = CortexBuilder::new(false)
        .key(kernel.key())
        .slots(8)
        .create()
        .unwrap();
    let write = |byte: u8| cortex.segment().write_at(0, &[byte]).unwrap();
    [1, 2, 0, 1].into_iter().for_each(write);
    let is_invalid = |error: &CortexError| matches!(error, CortexError::InvalidValue { .. });
    let mut follower = cortex.follow(0);
    assert_eq!(follower.next(LONG).unwrap(), found(true, 1, 0));
    assert!(is_invalid(&follower.next(LONG).unwrap_err()));
    assert_eq!(follower.position(), 1);
    assert_eq!(follower.try_next().unwrap(), Some(found(false, 3, 1)));
    // A batch ends before it.
    let mut follower = cortex.follow(0);
    let mut values = Vec::with_capacity(8);
    let batch = |count, version, missed| Batch {
        count,
        version,
        missed,
    };
    assert_eq!(follower.next_many(&mut values).unwrap(), batch(1, 1, 0));
    assert!(is_invalid(&follower.next_many(&mut values).unwrap_err()));
    assert_eq!(follower.next_many(&mut values).unwrap(), batch(2, 3, 1));
    assert_eq!(values, [false, true]);
    assert_eq!(follower.next_many(&mut values).unwrap(), batch(0, 0, 0));
    // Into a value that is there, which stays.
    let mut follower = cortex.follow(1);
    let mut value = true;
    assert!(is_invalid(
        &follower.next_into(&mut value, LONG).unwrap_err()
    ));
    assert!(value);
    let next = follower.next_into(&mut value, LONG).unwrap();
    assert_eq!((value, next), (false, found((), 3, 1)));
    // The last one is invalid: there is nothing more, and a wait does not end at once.
    write(3);
    let mut follower = cortex.follow(4);
    assert!(is_invalid(&follower.try_next().unwrap_err()));
    assert_eq!(follower.try_next().unwrap(), None);
    let error = follower.next(SOON).unwrap_err();
    assert!(matches!(error, CortexError::Timeout { .. }), "{error}");
    write(1);
    assert_eq!(follower.next(LONG).unwrap(), found(true, 6, 1));
}

#[test]
fn bytes_are_followed_into_buffers_of_the_right_size() {
    let kernel = Kernel::new();
    let options = SegmentOptions::new().slots(9);
    let segment: Segment = options.create(kernel.key(), 12).unwrap();
    let record = |number: u8| [number; 12];
    (1..=5).for_each(|number| segment.write_at(0, &record(number)).unwrap());
    // With more slots than ranges are noted a partial write is whole to a follower too.
    segment.write_at(3, &[9]).unwrap();
    let observer = SegmentObserver::attach(segment.key(), 12).unwrap();
    for mut follower in [segment.follow(0), observer.follow(0)] {
        let is_refused = |error| matches!(error, CortexError::InvalidArgument { .. });
        assert!(is_refused(follower.next(&mut [0; 13], LONG).unwrap_err()));
        assert!(is_refused(follower.try_next(&mut [0; 13]).unwrap_err()));
        assert!(is_refused(follower.next_many(&mut [0; 11]).unwrap_err()));
        assert_eq!(follower.position(), 0);
        // The beginning of one, and as many as fit.
        let mut start = [0; 3];
        assert_eq!(follower.next(&mut start, LONG).unwrap(), found((), 1, 0));
        assert_eq!(start, [1; 3]);
        let mut many = [7; 12 * 3 + 11];
        let batch = follower.next_many(&mut many).unwrap();
        assert_eq!((batch.count, batch.version, batch.missed), (3, 2, 0));
        let expected = [record(2), record(3), record(4)].concat();
        assert_eq!((&many[..36], &many[36..]), (&expected[..], &[7; 11][..]));
        let batch = follower.next_many(&mut many).unwrap();
        assert_eq!((batch.count, batch.version), (2, 5));
        assert_eq!(many[12..24], [5, 5, 5, 9, 5, 5, 5, 5, 5, 5, 5, 5]);
        assert_eq!(follower.next_many(&mut many).unwrap().count, 0);
    }
    let error = segment.follow(0).next_many(&mut []).unwrap_err();
    assert!(error.to_string().contains("12 bytes"), "{error}");
    let mut none: Vec<u64> = vec![];
    let cortex = create::<SeqLock>(&kernel, 2);
    cortex.write(1).unwrap();
    let error = cortex.follow(0).next_many(&mut none).unwrap_err();
    assert!(matches!(error, CortexError::InvalidArgument { .. }));
}

/// There is one slot, so only the newest commit is there, and none while it is written.
#[test]
fn in_place_the_newest_commit_is_followed() {
    let kernel = Kernel::new();
    let options = SegmentOptions::new().in_place();
    let segment: Segment = options.create(kernel.key(), 8).unwrap();
    let observer = SegmentObserver::attach(segment.key(), 8).unwrap();
    (1..=3).for_each(|number| segment.write_at(0, &[number; 8]).unwrap());
    assert_eq!(segment.kept_since(), 2);
    let mut buffer = [0; 8];
    for mut follower in [segment.follow(0), observer.follow(0)] {
        assert_eq!(follower.next(&mut buffer, LONG).unwrap(), found((), 3, 2));
        assert_eq!(buffer, [3; 8]);
        assert_eq!(follower.try_next(&mut buffer).unwrap(), None);
    }
    // One that was not finished is no commit; the one before it is lost with it.
    drop(segment.write_guard().unwrap());
    assert!(segment.is_poisoned());
    for mut follower in [segment.follow(0), observer.follow(0)] {
        let error = follower.next(&mut buffer, LONG).unwrap_err();
        assert!(matches!(error, CortexError::Poisoned { .. }), "{error}");
    }
    segment.write_at(0, &[4; 8]).unwrap();
    for mut follower in [segment.follow(2), observer.follow(2)] {
        assert_eq!(follower.next(&mut buffer, LONG).unwrap(), found((), 4, 1));
        assert_eq!(buffer, [4; 8]);
    }
}

#[test]
fn role_publish_followed() {
    let Some(role) = Role::of("role_publish_followed") else {
        return;
    };
    let cortex = Cortex::<[u64; 8192]>::attach(role.key()).unwrap();
    let mut guard = cortex.write_guard().unwrap();
    role.say("ready");
    for number in guard[0] + 1.. {
        guard.fill(number);
        guard.publish().unwrap();
    }
}

/// With two slots each copy of 64 KiB is overtaken, unless the publisher makes way.
#[test]
fn a_follower_gets_through_beside_a_publisher_that_never_pauses() {
    let kernel = Kernel::new();
    for slots in [2, 3, 16] {
        let cortex = CortexBuilder::<[u64; 8192]>::zeroed()
            .key(kernel.key())
            .slots(slots)
            .create()
            .unwrap();
        let mut child = Child::spawn("role_publish_followed", &[&cortex.key()]);
        child.expect("ready");
        let mut follower = cortex.follow(0);
        let mut account = Account::default();
        let mut value = neocortex::bytemuck::zeroed_box::<[u64; 8192]>();
        for _ in 0..200 {
            let next = follower.next_into(&mut value, LONG).unwrap();
            account.add(&value[..], next.version, next.missed);
        }
        // One that does not wait gets through as well.
        for _ in 0..50 {
            if let Some(next) = follower.try_next().unwrap() {
                account.add(&next.value, next.version, next.missed);
            }
        }
        println!("{slots} slots: missed {}", account.missed);
        child.kill();
    }
}

/// Both are numbers in this process: one moves without the other.
#[test]
fn clones_read_each_at_their_own_pace() {
    let kernel = Kernel::new();
    let cortex = create::<SeqLock>(&kernel, 8);
    (1..=4).for_each(|value| cortex.write(value).unwrap());
    let mut first = cortex.follow(0);
    assert_eq!(first.next(None).unwrap().value, 1);
    let mut second = first.clone();
    assert_eq!(first.next(None).unwrap().value, 2);
    assert_eq!(second.next(None).unwrap().value, 2);
    assert_eq!((first.position(), second.position()), (2, 2));
    assert!(format!("{second:?}").contains("position: 2"), "{second:?}");
}
