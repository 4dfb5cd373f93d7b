//! What a process left behind that died: found, replaced, adopted; and what is not stale.

use super::errno;
use crate::common::{proof, segment_id, segment_status, sets_of, Child, Kernel, Role};
use neocortex::{inspect, Cortex, CortexBuilder, CortexError, CortexResult, Observer, RwLock};
use std::sync::atomic::{AtomicBool, Ordering};

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
    // Adopted with the dead owner's value, by one that dies as well.
    leave_stale(key, 11);

    let old = segment_id(key).unwrap();
    // Of whatever size, lock and participants.
    let builder = CortexBuilder::new([9_u8; 1000]).key(key).replace_stale();
    let replaced: Cortex<_, RwLock> = builder.with_default_lock().unwrap();
    assert_eq!(replaced.read().unwrap(), [9; 1000]);
    assert_ne!(segment_id(key), Some(old));
    assert!(sets_of(old).is_empty());
}

/// A process made a cortex and was killed.
fn leave_stale(key: i32, value: u64) {
    let mut owner = Child::spawn("role_leave_stale", &[&key, &value]);
    owner.expect("left");
    owner.finish();
}

#[test]
fn role_leave_stale() {
    let Some(role) = Role::of("role_leave_stale") else {
        return;
    };
    let value = role.number(1) as u64;
    let builder = CortexBuilder::new(value).key(role.key());
    let cortex = builder.force_ownership().create().unwrap();
    assert_eq!(cortex.read().unwrap(), value);
    role.say("left");
    // SAFETY: ends the process at once: nothing is dropped, and nobody looks for what was not.
    unsafe { libc::_exit(0) }
}

#[test]
fn who_merely_observes_keeps_its_memory_and_keeps_nobody_from_replacing() {
    let kernel = Kernel::new();
    let key = kernel.key();
    leave_stale(key, 1);
    let observer = Observer::<u64>::attach(key).unwrap();
    assert!(inspect::segment(key).unwrap().is_stale);
    let (_, message) = errno(CortexBuilder::new(1_u64).key(key).create());
    assert!(message.contains("is stale"), "{message}");
    let next = CortexBuilder::new(2_u64).key(key).replace_stale().create();
    let next = next.unwrap();
    assert_eq!((observer.read().unwrap(), next.read().unwrap()), (1, 2));
    assert!(observer.segment().is_removed());
    drop(next);
    leave_stale(key, 3);
    let observer = Observer::<u64>::attach(key).unwrap();
    inspect::reclaim(key).unwrap();
    assert_eq!(observer.read().unwrap(), 3);
    assert_eq!(segment_id(key), None);
    inspect::reclaim(key).expect("nothing to do");
}

#[test]
fn what_was_made_to_stay_is_not_stale() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let build = |value: u64| CortexBuilder::new(value).key(key);
    drop(build(42).persist().create().unwrap());
    let is_kept = |result: CortexResult<()>| {
        let message = result.unwrap_err().to_string();
        let advice = format!("`neocortex remove {key}`");
        assert!(
            message.contains("busy") && message.contains(&advice),
            "{message}"
        );
    };
    is_kept(build(1).replace_stale().create().map(drop));
    is_kept(inspect::reclaim(key));
    let (number, message) = errno(build(1).create());
    assert_eq!(number, libc::EEXIST);
    assert!(
        message.contains("made to stay") && message.contains("not stale"),
        "{message}"
    );
    let info = inspect::segment(key).unwrap();
    assert!(info.is_persistent && !info.is_stale);
    // Whoever wants its value takes it over, and it is not kept any more.
    let builder = build(1).force_ownership().replace_stale();
    let adopted = builder.create().unwrap();
    assert_eq!(adopted.read().unwrap(), 42);
    drop(adopted);
    assert_eq!(segment_id(key), None);
    drop(build(43).persist().create().unwrap());
    inspect::remove(key).expect("by name");
    assert_eq!(segment_id(key), None);
    proof::passed(
        "P11",
        "what was made to stay: neither replaced as stale, nor reclaimed, nor created over; adopted or removed by key alone",
        5,
    );
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
    for round in 0..400_u64 {
        let key = kernel.key();
        let owner = CortexBuilder::new(1_u64).key(key).create().unwrap();
        let id = segment_id(key).unwrap();
        let is_at_it = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let builder = || CortexBuilder::new(2_u64).key(key).replace_stale();
                is_at_it.store(true, Ordering::Release);
                not_busy(|| match round % 2 {
                    0 => builder().create().map(drop),
                    _ => inspect::reclaim(key),
                });
            });
            while !is_at_it.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            // It looks again and again, attached for a moment each time: the owner goes at any of these moments.
            for _ in 0..round * 7_919 % 20_000 {
                std::hint::spin_loop();
            }
            drop(owner);
        });
        assert!(segment_id(key).is_none() && segment_status(id).is_none());
        assert!(sets_of(id).is_empty());
    }
}

/// Who looks whether a cortex can be taken away leaves it open while somebody takes part.
#[test]
fn looking_whether_it_is_stale_keeps_nobody_out() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let owner = CortexBuilder::new(1_u64).key(key).create().unwrap();
    std::thread::scope(|scope| {
        let reclaimer = scope.spawn(|| inspect::reclaim(key).unwrap_err());
        while !reclaimer.is_finished() {
            let state = inspect::segment(key).unwrap().state;
            assert_eq!(state, inspect::SegmentState::Ready);
        }
        let busy = reclaimer.join().unwrap();
        assert!(matches!(busy, CortexError::Busy { .. }), "{busy}");
    });
    drop(owner);
    assert!(segment_id(key).is_none());
}

#[test]
fn many_replacers_make_one_cortex() {
    let kernel = Kernel::new();
    for _ in 0..30 {
        let key = kernel.key();
        leave_stale(key, 0);
        let start = std::sync::Barrier::new(4);
        let replace = |value: u64| {
            start.wait();
            let builder = CortexBuilder::new(value).key(key).replace_stale();
            // Those that lose need not be patient.
            let timeout = std::time::Duration::from_millis(10);
            builder.timeout(Some(timeout)).create()
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
                Cortex::<u64>::attach(key).unwrap().read().unwrap(),
                one.read().unwrap()
            );
        } else {
            // Each saw another one looking: then the old one is still there, and whole.
            inspect::reclaim(key).unwrap();
        }
    }
}
