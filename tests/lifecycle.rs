//! Creating, attaching, replacing, removing: nothing is lost, nothing is left, nothing foreign touched.

mod common;

use common::{
    remove_segment, segment_id, segment_status, set_mode, sets_of, Child, Foreign, Kernel, Random,
    Role, LOCKS,
};
use neocortex::{
    inspect, Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, LockSite, Observer,
    Permission, RwLock, Segment, SegmentObserver, SegmentOptions, Semaphore, SemaphorePermission,
    SemaphoreSettings, SeqLock, Wait,
};
use std::collections::HashSet;

fn errno<T: std::fmt::Debug>(result: CortexResult<T>) -> (i32, String) {
    let error = result.unwrap_err();
    let CortexError::CleanSystem(system) = &error else {
        panic!("not a CleanSystem: {error:?}")
    };
    assert!(system.left().is_empty());
    (
        system.raw_os_error().expect("an error number"),
        error.to_string(),
    )
}

// ---- The ordinary life -----------------------------------------------------------------------

#[test]
fn owner_that_drops_leaves_nothing() {
    fn live<L: CortexSync>(kernel: &Kernel) {
        let key = kernel.key();
        let owner: Cortex<f64, L> = CortexBuilder::new(42.0)
            .key(key)
            .with_default_lock()
            .unwrap();
        let id = segment_id(key).unwrap();
        assert!(owner.is_owner() && owner.segment().was_created());
        {
            let other: Cortex<f64, L> = Cortex::attach(key).unwrap();
            assert!(!other.is_owner() && !other.segment().was_created());
            other.write(1.0).unwrap();
            assert_eq!(owner.read().unwrap(), 1.0);
        }
        assert_eq!(
            segment_id(key),
            Some(id),
            "one that only attached removes nothing"
        );
        assert_eq!(sets_of(id).len(), 1);
        drop(owner);
        assert!(segment_id(key).is_none() && sets_of(id).is_empty());
        assert!(segment_status(id).is_none());
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, live(&kernel));
    }
}

#[test]
fn close_of_the_owner_leaves_nothing_and_says_so() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let owner = CortexBuilder::new(1_u8).key(key).create().unwrap();
    let id = segment_id(key).unwrap();
    owner.close().unwrap();
    assert!(segment_id(key).is_none() && sets_of(id).is_empty());
}

#[test]
fn attached_keep_their_memory_when_the_owner_goes() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let owner = CortexBuilder::new(7_u64).key(key).create().unwrap();
    let one: Cortex<u64> = Cortex::attach(key).unwrap();
    let two: Cortex<u64> = Cortex::attach(key).unwrap();
    let observer = Observer::<u64>::attach(key).unwrap();
    let id = segment_id(key).unwrap();
    assert!(!one.segment().is_removed());
    drop(owner);
    assert!(one.segment().is_removed() && observer.segment().is_removed());
    one.write(8).unwrap();
    two.update(|value| *value += 1).unwrap();
    assert_eq!((one.read().unwrap(), observer.read().unwrap()), (9, 9));
    assert_eq!(errno(Cortex::<u64>::attach(key)).0, libc::ENOENT);
    // The key is free for a successor, whom the old ones do not see.
    let successor = CortexBuilder::new(100_u64).key(key).create().unwrap();
    two.write(10).unwrap();
    assert_eq!(successor.read().unwrap(), 100);
    drop((one, two, observer));
    assert!(
        sets_of(id).is_empty(),
        "whoever leaves last takes the semaphores away"
    );
    assert_eq!(successor.read().unwrap(), 100);
}

#[test]
fn persisted_cortex_outlives_its_maker() {
    let kernel = Kernel::new();
    let key = kernel.key();
    drop(
        CortexBuilder::new(5_i32)
            .key(key)
            .persist()
            .create()
            .unwrap(),
    );
    let attached: Cortex<i32> = Cortex::attach(key).unwrap();
    assert_eq!(attached.read().unwrap(), 5);
    drop(attached);
    let adopted = CortexBuilder::new(0_i32)
        .key(key)
        .force_ownership()
        .create()
        .unwrap();
    assert_eq!(adopted.read().unwrap(), 5);
    adopted.persist();
    assert!(!adopted.is_owner());
    drop(adopted);
    let id = segment_id(key).unwrap();
    inspect::remove(key).unwrap();
    assert!(segment_id(key).is_none() && sets_of(id).is_empty());
    assert_eq!(errno(inspect::remove(key)).0, libc::ENOENT);
}

#[test]
fn removal_by_key_while_in_use_leaves_the_attached_their_memory() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let owner = CortexBuilder::new(5_i32).key(key).create().unwrap();
    let other: Cortex<i32> = Cortex::attach(key).unwrap();
    let id = segment_id(key).unwrap();
    inspect::remove(key).unwrap();
    assert_eq!(segment_id(key), None);
    other.write(6).unwrap();
    assert_eq!(owner.read().unwrap(), 6);
    drop((owner, other));
    assert!(sets_of(id).is_empty());
}

#[test]
fn force_ownership_creates_or_adopts_with_the_value() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let first = CortexBuilder::new(1_u32)
        .key(key)
        .force_ownership()
        .create()
        .unwrap();
    assert!(first.segment().was_created());
    first.write(2).unwrap();
    let second = CortexBuilder::new(3_u32)
        .key(key)
        .force_ownership()
        .create()
        .unwrap();
    assert!(second.is_owner() && !second.segment().was_created());
    assert_eq!(second.read().unwrap(), 2);
    // Another type, lock or schema is refused, and nothing changes.
    let build = || CortexBuilder::new(1_u64).key(key).force_ownership();
    assert!(matches!(
        build().create(),
        Err(CortexError::Layout { what: "size", .. })
    ));
    let build = || CortexBuilder::new(1_u32).key(key).force_ownership();
    assert!(matches!(
        build().with_default_lock::<RwLock>(),
        Err(CortexError::Lock { .. })
    ));
    assert!(matches!(
        build().schema(9).create(),
        Err(CortexError::Layout { what: "schema", .. })
    ));
    drop(second);
    assert_eq!(segment_id(key), None, "the new owner removes");
    assert_eq!(first.read().unwrap(), 2);
}

#[test]
fn random_keys_are_distinct_and_never_zero() {
    let kernel = Kernel::new();
    let made: Vec<_> = (0..64_u32)
        .map(|value| {
            CortexBuilder::new(value)
                .random_key()
                .participants(1)
                .create()
                .unwrap()
        })
        .inspect(|cortex| kernel.watch(cortex.key()))
        .collect();
    let keys: HashSet<_> = made.iter().map(Cortex::key).collect();
    assert_eq!(keys.len(), 64);
    assert!(!keys.contains(&0));
    for (cortex, value) in made.iter().zip(0..) {
        drop(Observer::<u32>::attach(cortex.key()).unwrap());
        assert_eq!(cortex.read().unwrap(), value);
    }
}

#[test]
fn participants_are_limited_and_a_slot_comes_back() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let owner = CortexBuilder::new(1_u8)
        .key(key)
        .participants(2)
        .create()
        .unwrap();
    let mut child = Child::spawn("role_attach_and_stay", &[&key]);
    child.expect("attached");
    assert_eq!(owner.segment().participants().unwrap(), (2, 2));
    let full = Cortex::<u8>::attach(key).unwrap_err();
    assert!(matches!(full, CortexError::Full { limit: 2, .. }), "{full}");
    assert_eq!(Observer::<u8>::attach(key).unwrap().read().unwrap(), 1);
    child.kill();
    assert_eq!(owner.segment().participants().unwrap(), (1, 2));
    for _ in 0..10 {
        drop(Cortex::<u8>::attach(key).unwrap());
    }
}

#[test]
fn role_attach_and_stay() {
    let Some(role) = Role::of("role_attach_and_stay") else {
        return;
    };
    let _cortex: Cortex<u8> = Cortex::attach(role.key()).unwrap();
    role.say("attached");
    role.listen();
}

// ---- Stale ones ------------------------------------------------------------------------------

#[test]
fn role_create_and_stay() {
    let Some(role) = Role::of("role_create_and_stay") else {
        return;
    };
    let _cortex = CortexBuilder::new(11_u64).key(role.key()).create().unwrap();
    role.say("created");
    role.listen();
}

#[test]
fn stale_after_sigkill_is_replaced_or_adopted_and_in_use_is_busy() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let build = |value: u64| CortexBuilder::new(value).key(key);
    let mut child = Child::spawn("role_create_and_stay", &[&key]);
    child.expect("created");
    let (number, message) = errno(build(1).create());
    assert_eq!(number, libc::EEXIST);
    assert!(
        message.contains("in use, not stale: 1 attached"),
        "{message}"
    );
    let busy = build(1).replace_stale().create().unwrap_err();
    assert!(matches!(busy, CortexError::Busy { .. }), "{busy}");
    assert!(matches!(
        inspect::reclaim(key),
        Err(CortexError::Busy { .. })
    ));
    // Refused, and untouched: still ready, still with its value.
    let value = Cortex::<u64>::attach(key).unwrap().read().unwrap();
    assert_eq!(value, 11);
    child.kill();
    let (number, message) = errno(build(1).create());
    assert_eq!(number, libc::EEXIST);
    assert!(
        message.contains("is stale") && message.contains("replace_stale"),
        "{message}"
    );
    let adopted = build(1).force_ownership().create().unwrap();
    assert_eq!(
        adopted.read().unwrap(),
        11,
        "adopted with the dead owner's value"
    );
    adopted.persist();
    drop(adopted);

    let old = segment_id(key).unwrap();
    // Of whatever size, lock and participants.
    let builder = CortexBuilder::new([9_u8; 1000]).key(key).replace_stale();
    let replaced: Cortex<_, RwLock> = builder.with_default_lock().unwrap();
    assert_eq!(replaced.read().unwrap(), [9; 1000]);
    assert_ne!(segment_id(key), Some(old));
    assert!(sets_of(old).is_empty());
}

#[test]
fn replace_stale_and_reclaim_spare_whoever_only_observes() {
    let kernel = Kernel::new();
    let key = kernel.key();
    drop(
        CortexBuilder::new(1_u8)
            .key(key)
            .persist()
            .create()
            .unwrap(),
    );
    let observer = Observer::<u8>::attach(key).unwrap();
    assert!(matches!(
        inspect::reclaim(key),
        Err(CortexError::Busy { .. })
    ));
    assert_eq!(observer.read().unwrap(), 1);
    drop(observer);
    inspect::reclaim(key).unwrap();
    assert_eq!(segment_id(key), None);
    inspect::reclaim(key).expect("nothing to do");
}

/// Somebody looks whether a cortex is stale while its owner drops it.
#[test]
fn owner_that_goes_meanwhile_is_no_failure_of_replacing_or_reclaiming() {
    let kernel = Kernel::new();
    // Until it is no longer in use, which may end before this process is seen to be attached.
    fn not_busy(mut attempt: impl FnMut() -> CortexResult<()>) {
        loop {
            match attempt() {
                Err(CortexError::Busy { .. }) => {}
                result => return result.unwrap(),
            }
        }
    }
    for round in 0..100 {
        let key = kernel.key();
        let owner = CortexBuilder::new(1_u64).key(key).create().unwrap();
        let id = segment_id(key).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let builder = || CortexBuilder::new(2_u64).key(key).replace_stale();
                not_busy(|| match round % 2 {
                    0 => builder().create().map(drop),
                    _ => inspect::reclaim(key),
                });
            });
            // It looks.
            while segment_status(id).unwrap().shm_nattch < 2 {
                std::hint::spin_loop();
            }
            drop(owner);
        });
        assert!(segment_id(key).is_none() && segment_status(id).is_none());
        assert!(sets_of(id).is_empty());
    }
}

/// Who looks whether a cortex can be taken away leaves it open while somebody merely looks on.
#[test]
fn looking_whether_it_is_stale_keeps_nobody_out() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let builder = CortexBuilder::new(1_u64).key(key).persist();
    drop(builder.create().unwrap());
    let observer = Observer::<u64>::attach(key).unwrap();
    std::thread::scope(|scope| {
        let reclaimer = scope.spawn(|| inspect::reclaim(key).unwrap_err());
        while !reclaimer.is_finished() {
            let state = inspect::segment(key).unwrap().state;
            assert_eq!(state, inspect::SegmentState::Ready);
        }
        let busy = reclaimer.join().unwrap();
        assert!(matches!(busy, CortexError::Busy { .. }), "{busy}");
    });
    drop(observer);
    inspect::reclaim(key).unwrap();
    assert!(segment_id(key).is_none());
}

#[test]
fn many_replacers_make_one_cortex() {
    let kernel = Kernel::new();
    for _ in 0..30 {
        let key = kernel.key();
        drop(
            CortexBuilder::new(0_usize)
                .key(key)
                .persist()
                .create()
                .unwrap(),
        );
        let start = std::sync::Barrier::new(4);
        let replace = |value| {
            start.wait();
            CortexBuilder::new(value).key(key).replace_stale().create()
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=4)
                .map(|value| scope.spawn(move || replace(value)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let made: Vec<_> = results.iter().flatten().collect();
        for refused in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(matches!(refused, CortexError::Busy { .. }), "{refused}");
        }
        assert!(made.len() <= 1, "two took the same key");
        if let [one] = made[..] {
            assert_eq!(
                Cortex::<usize>::attach(key).unwrap().read().unwrap(),
                one.read().unwrap()
            );
        } else {
            // Each saw another one looking: then the old one is still there, and whole.
            inspect::reclaim(key).unwrap();
        }
    }
}

// ---- Half made -------------------------------------------------------------------------------

/// A lock whose making stops until the test says go on. It keeps no promise of a lock.
#[derive(Debug)]
struct Slow;

// SAFETY: used for nothing but creating, attaching and reading a value that nobody writes.
unsafe impl CortexSync for Slow {
    type Settings = ();
    const NAME: &'static str = "slow";

    fn new(_site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
        let role = Role::of("role_create_slowly").expect("only the role makes one");
        role.say("half");
        role.listen();
        Ok(Self)
    }

    fn attach(_site: LockSite<'_>) -> CortexResult<Self> {
        Ok(Self)
    }

    fn read_lock(&self, _wait: Wait) -> CortexResult<()> {
        Ok(())
    }

    fn write_lock(&self, _wait: Wait) -> CortexResult<()> {
        Err(CortexError::Custom(1))
    }

    fn release(&self, _access: neocortex::Access) -> CortexResult<()> {
        Ok(())
    }

    fn force_ownership(&mut self) {}
}

#[test]
fn role_create_slowly() {
    let Some(role) = Role::of("role_create_slowly") else {
        return;
    };
    let builder = CortexBuilder::new(0xABCD_u64).key(role.key());
    let cortex: Cortex<u64, Slow> = builder.with_default_lock().unwrap();
    role.say("made");
    role.listen();
    assert_eq!(cortex.read().unwrap(), 0xABCD);
}

#[test]
fn attaching_waits_for_a_creator_at_work() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let mut creator = Child::spawn("role_create_slowly", &[&key]);
    creator.expect("half");
    let value = std::thread::scope(|scope| {
        let attacher = scope.spawn(|| Cortex::<u64, Slow>::attach(key)?.read());
        let observer = scope.spawn(|| Observer::<u64>::attach(key)?.read());
        creator.tell("go on");
        creator.expect("made");
        (
            attacher.join().unwrap().unwrap(),
            observer.join().unwrap().unwrap(),
        )
    });
    assert_eq!(
        value,
        (0xABCD, 0xABCD),
        "never a value before its initialisation"
    );
    creator.tell("end");
    creator.finish();
}

#[test]
fn creator_killed_half_way_is_not_ready_and_then_replaced() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let mut creator = Child::spawn("role_create_slowly", &[&key]);
    creator.expect("half");
    let half = segment_id(key).unwrap();
    assert_eq!(
        sets_of(half).len(),
        1,
        "so that there is something to leave behind"
    );
    creator.kill();
    let not_ready = Cortex::<u64, Slow>::attach(key).unwrap_err();
    assert!(
        matches!(not_ready, CortexError::NotReady { .. }),
        "{not_ready}"
    );
    assert!(not_ready.to_string().contains("replace_stale"));
    let not_ready = Observer::<u64>::attach(key).unwrap_err();
    assert!(
        matches!(not_ready, CortexError::NotReady { .. }),
        "{not_ready}"
    );
    let replaced = CortexBuilder::new(1_u64)
        .key(key)
        .replace_stale()
        .create()
        .unwrap();
    assert_eq!(replaced.read().unwrap(), 1);
    assert!(
        sets_of(half).is_empty(),
        "the semaphores of the half-made one are gone too"
    );
}

#[test]
fn stopped_creator_is_busy_and_finishes_when_it_goes_on() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let mut creator = Child::spawn("role_create_slowly", &[&key]);
    creator.expect("half");
    creator.signal(libc::SIGSTOP);
    creator.await_stop();
    let busy = CortexBuilder::new(1_u64)
        .key(key)
        .replace_stale()
        .create()
        .unwrap_err();
    assert!(
        matches!(busy, CortexError::Busy { .. }),
        "it is attached, hence alive: {busy}"
    );
    creator.tell("go on");
    creator.signal(libc::SIGCONT);
    creator.expect("made");
    assert_eq!(
        Cortex::<u64, Slow>::attach(key).unwrap().read().unwrap(),
        0xABCD
    );
    creator.tell("end");
    creator.finish();
}

#[test]
fn creator_whose_half_made_segment_was_removed_makes_it_again() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let mut creator = Child::spawn("role_create_slowly", &[&key]);
    creator.expect("half");
    let first = segment_id(key).unwrap();
    inspect::remove(key).unwrap();
    creator.tell("go on");
    creator.expect("half");
    creator.tell("go on");
    creator.expect("made");
    assert_ne!(segment_id(key), Some(first));
    assert!(sets_of(first).is_empty());
    assert_eq!(
        Cortex::<u64, Slow>::attach(key).unwrap().read().unwrap(),
        0xABCD
    );
    creator.tell("end");
    creator.finish();
}

/// Between making the set and claiming a place in it, for which a large value gives time.
#[test]
fn creator_whose_set_was_removed_makes_it_again() {
    const SIZE: usize = 4 << 20;
    fn create(key: i32) -> CortexResult<()> {
        let cortex = CortexBuilder::new([7_u8; SIZE]).key(key).create()?;
        assert_eq!(cortex.segment().size(), SIZE);
        cortex.close()
    }
    let kernel = Kernel::new();
    for _ in 0..20 {
        let key = kernel.key();
        let creator = std::thread::Builder::new().stack_size(16 * SIZE);
        let creator = creator.spawn(move || create(key)).unwrap();
        // As soon as the header names the set.
        let is_named = || inspect::segment(key).is_ok_and(|info| info.beacon_id.is_some());
        while !is_named() && !creator.is_finished() {
            std::hint::spin_loop();
        }
        let _ = inspect::remove(key);
        creator.join().unwrap().unwrap();
        assert!(segment_id(key).is_none());
    }
}

#[test]
fn blank_segment_of_a_dead_creator_is_not_ready_and_then_replaced() {
    let kernel = Kernel::new();
    // A creator that was killed right after its first system call.
    let key = kernel.key();
    drop(Foreign::create(key, 20_000));
    let not_ready = Segment::<SeqLock>::attach(key, 0).unwrap_err();
    assert!(
        matches!(not_ready, CortexError::NotReady { waited_ms: 1.., .. }),
        "{not_ready}"
    );
    // One that was killed right before its last: a real header, state 0.
    let pattern = kernel.key();
    let real: Cortex<u64> = CortexBuilder::new(1_u64).key(pattern).create().unwrap();
    let bytes = Foreign::open(pattern).bytes();
    drop(real);
    let unfinished = kernel.key();
    let half = Foreign::create(unfinished, bytes.len());
    half.put(0, &bytes);
    half.put(12, &[0; 4]);
    drop(half);
    let not_ready = Cortex::<u64>::attach(unfinished).unwrap_err();
    assert!(
        matches!(not_ready, CortexError::NotReady { .. }),
        "{not_ready}"
    );
    for key in [key, unfinished] {
        let replaced = CortexBuilder::new(3_u64)
            .key(key)
            .replace_stale()
            .create()
            .unwrap();
        assert_eq!(replaced.read().unwrap(), 3);
    }
}

// ---- Bad input -------------------------------------------------------------------------------

#[test]
fn missing_key_is_enoent_and_says_what_next() {
    let kernel = Kernel::new();
    let key = kernel.key();
    for result in [
        Cortex::<f64>::attach(key).map(drop),
        Observer::<f64>::attach(key).map(drop),
        Segment::<RwLock>::attach(key, 0).map(drop),
    ] {
        let (number, message) = errno(result);
        assert_eq!(number, libc::ENOENT);
        assert!(
            message.contains(&format!("attach to key {key}")),
            "{message}"
        );
        assert!(message.contains("shmget: ENOENT"), "{message}");
        assert!(message.contains("neocortex list"), "{message}");
    }
}

#[test]
fn key_zero_and_size_zero_are_refused() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let refused = |result: CortexResult<()>| {
        let error = result.unwrap_err();
        assert!(
            matches!(error, CortexError::InvalidArgument { .. }),
            "{error}"
        );
    };
    refused(CortexBuilder::new(1.0).key(0).create().map(drop));
    refused(
        CortexBuilder::new(1.0)
            .key(0)
            .force_ownership()
            .create()
            .map(drop),
    );
    refused(
        CortexBuilder::new(1.0)
            .key(0)
            .replace_stale()
            .create()
            .map(drop),
    );
    refused(Cortex::<f64>::attach(0).map(drop));
    refused(Observer::<f64>::attach(0).map(drop));
    refused(Segment::<SeqLock>::create(0, 8).map(drop));
    refused(Segment::<SeqLock>::create(key, 0).map(drop));
    refused(Segment::<SeqLock>::create_random(0).map(drop));
    refused(CortexBuilder::new(()).key(key).create().map(drop));
    refused(CortexBuilder::new([0_u64; 0]).key(key).create().map(drop));
    refused(inspect::reclaim(0));
    refused(inspect::remove(0));
    // And figures that cannot be.
    let options = SegmentOptions::new;
    let create = |options: SegmentOptions| refused(options.create::<SeqLock>(key, 8).map(drop));
    create(options().slots(0));
    create(options().slots(9));
    create(options().participants(0));
    create(options().participants(4097));
    create(options().align(96));
    create(options().align(8192));
    refused(Segment::<SeqLock>::create(key, usize::MAX).map(drop));
    refused(Segment::<SeqLock>::create(key, isize::MAX as usize).map(drop));
    assert_eq!(segment_id(key), None);
}

#[test]
fn existing_key_says_what_has_it() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let foreign = Foreign::create(key, 4096);
    foreign.put(0, b"something else");
    let (number, message) = errno(CortexBuilder::new(1.0).key(key).create());
    assert_eq!(number, libc::EEXIST);
    assert!(message.contains(&format!("create key {key}")), "{message}");
    assert!(
        message.contains("EEXIST") && message.contains("not a cortex"),
        "{message}"
    );
    remove_segment(foreign.id);
}

#[test]
fn foreign_segment_is_not_a_cortex_and_untouched() {
    let kernel = Kernel::new();
    let mut random = Random::new();
    for size in [1, 16, 255, 447, 448, 449, 4096, 20_000] {
        let key = kernel.key();
        let foreign = Foreign::create(key, size);
        let bytes: Vec<u8> = (0..size).map(|_| random.next() as u8 | 1).collect();
        foreign.put(0, &bytes);
        let is_refused = |result: CortexResult<()>| {
            let error = result.unwrap_err();
            assert!(
                matches!(error, CortexError::NotACortex { .. }),
                "{size} bytes: {error}"
            );
        };
        let build = || CortexBuilder::new(1_u64).key(key);
        is_refused(Cortex::<u64>::attach(key).map(drop));
        is_refused(Observer::<u64>::attach(key).map(drop));
        is_refused(SegmentObserver::attach(key, 0).map(drop));
        is_refused(build().force_ownership().create().map(drop));
        is_refused(build().replace_stale().create().map(drop));
        is_refused(build().replace_stale().force_ownership().create().map(drop));
        is_refused(inspect::reclaim(key));
        is_refused(inspect::remove(key));
        assert!(foreign.bytes() == bytes, "{size} bytes: touched");
        assert_eq!(segment_id(key), Some(foreign.id));
        // Detached again. A process that another test is just starting has our mappings until it runs its program.
        while segment_status(foreign.id).unwrap().shm_nattch != 1 {
            std::thread::yield_now();
        }
        remove_segment(foreign.id);
    }
}

#[test]
fn real_header_in_a_segment_of_another_size_is_corrupt_and_untouched() {
    let kernel = Kernel::new();
    let pattern = kernel.key();
    let real = CortexBuilder::new([1_u8; 5000])
        .key(pattern)
        .create()
        .unwrap();
    let bytes = Foreign::open(pattern).bytes();
    for size in [
        448,
        512,
        4096,
        bytes.len() - 1,
        bytes.len() + 1,
        bytes.len() * 2,
    ] {
        let key = kernel.key();
        let foreign = Foreign::create(key, size);
        foreign.put(0, &bytes[..size.min(bytes.len())]);
        let before = foreign.bytes();
        let error = Cortex::<[u8; 5000]>::attach(key).unwrap_err();
        assert!(
            matches!(error, CortexError::Corrupt { .. }),
            "{size}: {error}"
        );
        let error = Observer::<[u8; 5000]>::attach(key).unwrap_err();
        assert!(
            matches!(error, CortexError::Corrupt { .. }),
            "{size}: {error}"
        );
        assert!(foreign.bytes() == before);
        remove_segment(foreign.id);
    }
    // Of the right size: the semaphores that it names belong to the real one.
    let key = kernel.key();
    let copy = Foreign::create(key, bytes.len());
    copy.put(0, &bytes);
    let error = Cortex::<[u8; 5000]>::attach(key).unwrap_err();
    assert!(matches!(error, CortexError::Corrupt { .. }), "{error}");
    assert!(copy.bytes() == bytes);
    remove_segment(copy.id);
    assert_eq!(
        real.segment().participants().unwrap().0,
        1,
        "nothing was claimed in the real one"
    );
}

#[test]
fn spoilt_header_is_refused_or_harmless() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let real = CortexBuilder::new([7_u64; 100]).key(key).create().unwrap();
    let raw = Foreign::open(key);
    let header = raw.bytes()[..256].to_vec();
    let mut random = Random::new();
    for round in 0..3000 {
        // Not the state, whose values are all meaningful (3 removes).
        let at = match random.below(252) {
            at @ 0..12 => at,
            at => at + 4,
        };
        let byte = random.next() as u8;
        raw.put(at, &[byte]);
        if round % 3 == 0 {
            let at = 16 + random.below(112);
            raw.put(at, &[random.next() as u8]);
        }
        match Cortex::<[u64; 100]>::attach(key) {
            Ok(attached) => assert_eq!(attached.read().unwrap(), [7; 100]),
            Err(
                CortexError::NotACortex { .. }
                | CortexError::Format { .. }
                | CortexError::Layout { .. }
                | CortexError::Lock { .. }
                | CortexError::Corrupt { .. },
            ) => {}
            Err(error) => panic!("byte {byte:#x} at {at}: {error}"),
        }
        if let Ok(observer) = Observer::<[u64; 100]>::attach(key) {
            assert_eq!(observer.read().unwrap(), [7; 100]);
        }
        raw.put(0, &header);
    }
    assert_eq!(real.segment().participants().unwrap().0, 1);
}

#[test]
fn layout_error_gives_both_figures() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let real = CortexBuilder::new([1_u32; 4])
        .key(key)
        .schema(77)
        .create()
        .unwrap();
    let figures = |result: CortexResult<()>| match result.unwrap_err() {
        CortexError::Layout {
            key: found_key,
            what,
            expected,
            found,
        } => {
            assert_eq!(found_key, key);
            (what, expected, found)
        }
        other => panic!("{other}"),
    };
    let sizes = ("size", 12, 16);
    assert_eq!(figures(Cortex::<[u32; 3]>::attach(key).map(drop)), sizes);
    assert_eq!(figures(Observer::<[u32; 3]>::attach(key).map(drop)), sizes);
    assert_eq!(
        figures(Segment::<SeqLock>::attach(key, 12).map(drop)),
        sizes
    );
    let schema = SegmentOptions::new().schema(78);
    let schemas = ("schema", 78, 77);
    assert_eq!(
        figures(Cortex::<[u32; 4]>::attach_with(key, &schema).map(drop)),
        schemas
    );
    assert_eq!(
        figures(Observer::<[u32; 4]>::attach_with(key, &schema).map(drop)),
        schemas
    );
    let aligned = SegmentOptions::new().align(1024);
    assert_eq!(
        figures(aligned.attach::<SeqLock>(key, 16).map(drop)),
        ("alignment", 1024, 64)
    );
    let message = Cortex::<[u32; 3]>::attach(key).unwrap_err().to_string();
    assert!(message.contains("size is 16, expected 12"), "{message}");
    // What agrees is let in, also with another type of the same bytes.
    let right = SegmentOptions::new().schema(77);
    assert_eq!(
        Cortex::<[u32; 4]>::attach_with(key, &right)
            .unwrap()
            .read()
            .unwrap(),
        [1; 4]
    );
    assert_eq!(
        real.segment().participants().unwrap().0,
        1,
        "the refused claimed nothing"
    );
}

#[test]
fn large_alignment_is_kept() {
    #[derive(Debug, Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
    #[repr(C, align(1024))]
    struct Wide([u8; 1024]);
    let kernel = Kernel::new();
    let key = kernel.key();
    let cortex = CortexBuilder::new(Wide([3; 1024]))
        .key(key)
        .slots(3)
        .create()
        .unwrap();
    let other: Cortex<Wide> = Cortex::attach(key).unwrap();
    for value in 0..6 {
        let mut guard = other.write_guard().unwrap();
        assert_eq!(std::ptr::from_ref(&*guard).addr() % 1024, 0);
        guard.0 = [value; 1024];
        guard.commit().unwrap();
        assert_eq!(cortex.read_guard().unwrap().0, [value; 1024]);
    }
    drop((cortex, other));
    let _narrow = CortexBuilder::new([0_u8; 1024]).key(key).create().unwrap();
    let error = Cortex::<Wide>::attach(key).unwrap_err();
    let right = matches!(
        error,
        CortexError::Layout {
            what: "alignment",
            expected: 1024,
            found: 64,
            ..
        }
    );
    assert!(right, "{error}");
}

#[test]
fn lock_error_gives_both_names() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let _real: Cortex<u8, RwLock> = CortexBuilder::new(1).key(key).with_default_lock().unwrap();
    let error = Cortex::<u8, Semaphore>::attach(key).unwrap_err();
    let CortexError::Lock {
        expected, found, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!((expected.as_str(), found.as_str()), ("semaphore", "rwlock"));
    let message = error.to_string();
    assert!(
        message.contains("\"semaphore\"") && message.contains("\"rwlock\""),
        "{message}"
    );
    assert_eq!(
        Observer::<u8>::attach(key).unwrap().segment().lock_name(),
        "rwlock"
    );
}

#[test]
fn ranges_that_leave_the_segment_are_refused() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let segment: Segment = Segment::create(key, 100).unwrap();
    let observer = SegmentObserver::attach(key, 100).unwrap();
    let refused = |result: CortexResult<()>| {
        let error = result.unwrap_err();
        assert!(
            matches!(error, CortexError::InvalidArgument { .. }),
            "{error}"
        );
    };
    for (offset, length) in [
        (0, 101),
        (100, 1),
        (99, 2),
        (101, 0),
        (usize::MAX, 1),
        (usize::MAX, 2),
        (usize::MAX - 1, 8),
    ] {
        let mut buffer = vec![0xAA_u8; length];
        refused(segment.read_at(offset, &mut buffer));
        refused(segment.try_read_at(offset, &mut buffer));
        refused(segment.write_at(offset, &buffer));
        refused(segment.try_write_at(offset, &buffer));
        refused(observer.read_at(offset, &mut buffer));
        assert_eq!(buffer, vec![0xAA; length]);
        refused(segment.write_guard().unwrap().mark(offset, length));
    }
    let guard = || segment.write_guard().unwrap();
    refused(guard().mark(1, usize::MAX));
    refused(guard().mark(usize::MAX, usize::MAX));
    for offset in [0, 50, 100] {
        segment.write_at(offset, &[]).unwrap();
        segment.read_at(offset, &mut []).unwrap();
        observer.read_at(offset, &mut []).unwrap();
    }
    assert_eq!(segment.version(), 0);
    let mut all = [1; 100];
    segment.read_at(0, &mut all).unwrap();
    assert_eq!(all, [0; 100]);
}

// ---- Permissions -----------------------------------------------------------------------------

#[test]
fn permission_is_that_of_every_object_whatever_the_umask() {
    let kernel = Kernel::new();
    for umask in [0, 0o77, 0o777] {
        let mut child = Child::spawn("role_create_with_umask", &[&umask]);
        for _ in 0..8 {
            kernel.watch(child.hear().parse().unwrap());
            child.tell("watched");
        }
        child.finish();
    }
}

#[test]
fn role_create_with_umask() {
    let Some(role) = Role::of("role_create_with_umask") else {
        return;
    };
    let umask = role.number(0) as libc::mode_t;
    // SAFETY: takes no pointers; this process is the role's own.
    unsafe { libc::umask(umask) };
    let modes = |key: i32| {
        role.say(key);
        role.listen();
        let id = segment_id(key).unwrap();
        let [set] = sets_of(id)[..] else {
            panic!("not one set")
        };
        (
            u32::from(segment_status(id).unwrap().shm_perm.mode) & 0o777,
            set_mode(set),
        )
    };
    let build = || CortexBuilder::new(1_u8).random_key();
    for (permission, mode) in [
        (SemaphorePermission::OwnerOnly, 0o600),
        (SemaphorePermission::OwnerAndGroup, 0o660),
        (SemaphorePermission::ReadWriteForOthers, 0o666),
        (SemaphorePermission::ReadOnlyForOthers, 0o664),
        (SemaphorePermission::FullAccessForEveryone, 0o666),
        (SemaphorePermission::Custom(0o640), 0o640),
    ] {
        let settings = SemaphoreSettings { mode: permission };
        let cortex = build().with_lock::<Semaphore>(&settings).unwrap();
        assert_eq!(
            modes(cortex.key()),
            (mode, mode),
            "{permission:?} with umask {umask:o}"
        );
        drop(Cortex::<u8, Semaphore>::attach(cortex.key()).unwrap());
    }
    let cortex = build().create().unwrap();
    assert_eq!(modes(cortex.key()), (0o600, 0o600), "the default");
    // The builder's word goes over the settings'.
    let settings = SemaphoreSettings {
        mode: SemaphorePermission::OwnerAndGroup,
    };
    let builder = build().permission(Permission::ReadOnlyForOthers);
    let cortex = builder.with_lock::<Semaphore>(&settings).unwrap();
    assert_eq!(modes(cortex.key()), (0o664, 0o664));
}

// ---- Memory ----------------------------------------------------------------------------------

#[test]
fn overhead_is_a_page_with_32_participants_and_three_with_128() {
    #[allow(clippy::unnecessary_cast)] // an int on OpenBSD
    fn size<L: CortexSync>(kernel: &Kernel, participants: u32) -> usize {
        let key = kernel.key();
        let builder = CortexBuilder::new(1.0_f64)
            .key(key)
            .participants(participants);
        let _cortex = builder.with_default_lock::<L>().unwrap();
        segment_status(segment_id(key).unwrap()).unwrap().shm_segsz as usize
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        assert!(by_lock!(name, size(&kernel, 32)) <= 4096 + size_of::<f64>());
        assert!(by_lock!(name, size(&kernel, 128)) <= 3 * 4096 + size_of::<f64>());
    }
    // And the default is 128.
    let key = kernel.key();
    let cortex = CortexBuilder::new(1.0_f64).key(key).create().unwrap();
    assert_eq!(cortex.segment().participants().unwrap(), (1, 128));
}
