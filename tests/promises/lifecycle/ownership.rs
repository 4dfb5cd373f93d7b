//! The ordinary life: who owns a cortex, who removes it, and when.

use super::errno;
use crate::by_lock;
use crate::common::{
    proof, segment_id, segment_status, sets_of, Child, Foreign, Kernel, Role, LOCKS,
};
use neocortex::{inspect, Cortex, CortexBuilder, CortexError, CortexSync, Observer, RwLock};
use std::collections::HashSet;
use std::time::Duration;

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
fn adopting_moves_ownership_and_the_former_owner_only_detaches() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let build = || CortexBuilder::new(1_u32).key(key).force_ownership();
    let first = build().create().unwrap();
    let second = build().create().unwrap();
    assert!(!first.is_owner() && second.is_owner());
    first.persist();
    assert!(
        second.is_owner(),
        "who does not own it cannot let it stay either"
    );
    drop(first);
    assert!(
        segment_id(key).is_some(),
        "the former owner removes nothing"
    );
    let third = build().create().unwrap();
    second.take_ownership().unwrap();
    assert!(second.is_owner() && !third.is_owner());
    let attached: Cortex<u32> = Cortex::attach(key).unwrap();
    assert!(!attached.is_owner());
    attached.take_ownership().unwrap();
    assert!(attached.is_owner() && !second.is_owner());
    drop((second, third));
    let id = segment_id(key).expect("still there");
    assert!(inspect::segment(key).is_ok_and(|info| !info.is_persistent));
    drop(attached);
    assert!(segment_id(key).is_none() && sets_of(id).is_empty());
}

#[test]
fn who_adopts_to_let_it_stay_leaves_it_without_an_owner() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let build = || CortexBuilder::new(1_u32).key(key);
    let first = build().create().unwrap();
    let second = build().force_ownership().persist().create().unwrap();
    assert!(!first.is_owner() && !second.is_owner());
    drop((first, second));
    assert!(inspect::segment(key).is_ok_and(|info| info.is_persistent));
    inspect::remove(key).unwrap();
}

/// Whatever the order, one of them removes it, and only when it is the last owner that closes.
#[test]
fn owners_that_close_while_others_adopt_remove_it_once() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let rounds = 200;
    for _ in 0..rounds {
        let build = || CortexBuilder::new(1_u32).key(key).force_ownership();
        let first = build().create().unwrap();
        let barrier = std::sync::Barrier::new(3);
        std::thread::scope(|scope| {
            let adopters = [(); 2].map(|()| {
                scope.spawn(|| {
                    barrier.wait();
                    build().create().unwrap()
                })
            });
            barrier.wait();
            drop(first);
            let [one, other] = adopters.map(|adopter| adopter.join().unwrap());
            // Both of one segment: it is there as long as its owner is.
            assert!(one.is_owner() != other.is_owner());
            assert!(!one.segment().is_removed() && !other.segment().is_removed());
            let (owner, former) = if one.is_owner() {
                (one, other)
            } else {
                (other, one)
            };
            drop(former);
            assert!(segment_id(key).is_some());
            drop(owner);
            assert!(segment_id(key).is_none());
        });
    }
    proof::passed(
        "P12",
        "an owner closes while two adopt: one owner at every moment, which alone removes",
        rounds,
    );
}

/// The owner died between beginning to remove the segment and saying so: bit 0 of the owner word.
#[test]
fn owner_killed_when_it_had_begun_to_remove_is_taken_over_from() {
    const OWNER: usize = 172;
    let kernel = Kernel::new();
    let key = kernel.key();
    let build = || CortexBuilder::new(1_u32).key(key).force_ownership();
    let begin_removal = |word: &[u8]| {
        let word = u32::from_ne_bytes(word.try_into().unwrap());
        assert_ne!(word, 0, "there is an owner");
        Foreign::open(key).put(OWNER, &(word | 1).to_ne_bytes());
    };
    let owner = build().create().unwrap();
    let word = Foreign::open(key).bytes()[OWNER..OWNER + 4].to_vec();
    begin_removal(&word);
    assert!(!owner.is_owner());
    // It lives, and does not get on.
    let other: Cortex<u32> = Cortex::attach(key).unwrap();
    other.set_timeout(Some(Duration::from_millis(5)));
    assert!(matches!(
        other.take_ownership(),
        Err(CortexError::Busy { .. })
    ));
    // Now it does not live any more.
    drop(owner);
    other.take_ownership().unwrap();
    assert!(other.is_owner());
    drop(other);
    assert!(segment_id(key).is_none());
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
