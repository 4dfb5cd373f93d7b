//! What handles tell: of themselves, of the cortex, and of who lives in it.

use crate::common::{Child, Kernel, Role};
use neocortex::{
    Cortex, CortexBuilder, CortexError, CortexSync, Observer, RwLock, Segment, SegmentObserver,
    SegmentOptions, WaitSet,
};
use std::time::Duration;

#[test]
fn a_handle_shown_for_debugging_has_its_key_and_no_address() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let cortex = CortexBuilder::new(1.5).key(key).create().unwrap();
    cortex.write(2.5).unwrap();
    let observer = Observer::<f64>::attach(key).unwrap();
    let mut set = WaitSet::new();
    set.add(&cortex);
    let shown = [
        format!("{cortex:?}"),
        format!("{:?}", cortex.segment()),
        format!("{observer:?}"),
        format!("{:?}", observer.segment()),
        format!("{:?}", cortex.follow(0)),
    ];
    for shown in &shown {
        assert!(shown.contains(&key.to_string()), "{shown}");
    }
    for shown in shown.iter().chain([&format!("{set:?}")]) {
        assert!(!shown.contains("0x"), "{shown}");
    }
    assert_eq!(
        shown[0],
        format!("Cortex {{ type: f64, key: {key}, name: \"\", size: 8, lock: seqlock, version: 1, is_owner: true, .. }}")
    );
}

/// A participant writes its id into the value; others ask whether it lives.
#[test]
fn a_process_is_known_to_live_until_it_is_killed() {
    let kernel = Kernel::new();
    let cortex = CortexBuilder::new(0_u32)
        .key(kernel.key())
        .create()
        .unwrap();
    let mut child = Child::spawn("role_leader", &[&cortex.key()]);
    child.expect("leads");
    let leader = cortex.read().unwrap();
    assert_ne!(leader, cortex.participant().unwrap());
    assert!(cortex.is_alive(leader).unwrap());
    assert!(cortex.is_alive(cortex.participant().unwrap()).unwrap());
    assert_eq!(cortex.participants().unwrap(), (2, 128));
    child.kill();
    assert!(!cortex.is_alive(leader).unwrap());
    assert_eq!(cortex.participants().unwrap(), (1, 128));
    // The next one in the slot is another one.
    let mut child = Child::spawn("role_leader", &[&cortex.key()]);
    child.expect("leads");
    let next = cortex.read().unwrap();
    assert_ne!(next, leader);
    assert!(cortex.is_alive(next).unwrap());
    assert!(!cortex.is_alive(leader).unwrap());
    child.tell("leave");
    child.finish();
    assert!(!cortex.is_alive(next).unwrap());
    for impossible in [0, 1, u32::MAX] {
        assert!(!cortex.is_alive(impossible).unwrap());
    }
}

#[test]
fn role_leader() {
    let Some(role) = Role::of("role_leader") else {
        return;
    };
    let cortex: Cortex<u32> = Cortex::attach(role.key()).unwrap();
    cortex.write(cortex.participant().unwrap()).unwrap();
    role.say("leads");
    assert_eq!(role.listen(), "leave");
}

#[test]
fn every_handle_tells_of_a_removal_and_of_its_time_out() {
    let kernel = Kernel::new();
    let owner = CortexBuilder::new(1.5)
        .key(kernel.key())
        .schema(7)
        .create()
        .unwrap();
    let other: Cortex<f64> = Cortex::attach(owner.key()).unwrap();
    let observer = Observer::<f64>::attach(owner.key()).unwrap();
    assert_eq!((other.schema(), observer.schema()), (7, 7));
    assert_eq!((other.timeout(), observer.timeout()), (None, None));
    let second = Some(Duration::from_secs(1));
    other.set_timeout(second);
    observer.set_timeout(second);
    assert_eq!((other.timeout(), observer.timeout()), (second, second));
    assert_eq!(observer.participants().unwrap(), (2, 128));
    assert!(!other.is_removed() && !observer.is_removed());
    drop(owner);
    assert!(other.is_removed() && observer.is_removed());
    assert_eq!(observer.try_read().unwrap(), 1.5);
}

/// In place, an observer cannot read while a process writes.
#[test]
fn an_observer_that_would_have_to_wait_says_so_and_is_interrupted() {
    let kernel = Kernel::new();
    let cortex = CortexBuilder::new(1.5)
        .key(kernel.key())
        .in_place()
        .create()
        .unwrap();
    let observer = Observer::<f64>::attach(cortex.key()).unwrap();
    let guard = cortex.write_guard().unwrap();
    assert!(observer.is_poisoned() && cortex.is_poisoned());
    let error = observer.try_read().unwrap_err();
    assert!(matches!(error, CortexError::Timeout { .. }), "{error}");
    observer.interrupt();
    let error = observer.read().unwrap_err();
    assert!(matches!(error, CortexError::Interrupted { .. }), "{error}");
    observer.stop_waits();
    for _ in 0..2 {
        let error = observer.wait_changed(0, None).unwrap_err();
        assert!(matches!(error, CortexError::Interrupted { .. }), "{error}");
    }
    observer.resume_waits();
    guard.commit().unwrap();
    assert_eq!(observer.try_read().unwrap(), 1.5);
    assert!(!observer.is_poisoned() && !cortex.is_poisoned());
}

#[test]
fn one_set_of_options_creates_and_attaches() {
    let kernel = Kernel::new();
    let options = SegmentOptions::new()
        .schema(9)
        .participants(5)
        .slots(3)
        .timeout(Some(Duration::from_secs(2)));
    let key = kernel.key();
    let cortex = CortexBuilder::new(1_u64)
        .key(key)
        .options(&options)
        .create()
        .unwrap();
    assert_eq!(cortex.participants().unwrap(), (1, 5));
    assert_eq!((cortex.schema(), cortex.timeout()), (9, options_timeout()));
    let other: Cortex<u64> = Cortex::attach_with(key, &options).unwrap();
    assert_eq!(other.timeout(), options_timeout());
    let refused = Cortex::<u64>::attach_with(key, &options.clone().schema(8)).unwrap_err();
    assert!(matches!(refused, CortexError::Layout { .. }), "{refused}");
}

fn options_timeout() -> Option<Duration> {
    Some(Duration::from_secs(2))
}

/// The type says nothing, so the lock is the default one; options take any.
#[test]
fn a_segment_without_a_type_has_the_default_lock() {
    let kernel = Kernel::new();
    let (one, two) = (kernel.key(), kernel.key());
    let segment = Segment::create(one, 64).unwrap();
    let attached = Segment::attach(one, 0).unwrap();
    attached.write_at(8, b"shared").unwrap();
    let mut bytes = [0; 6];
    segment.read_at(8, &mut bytes).unwrap();
    assert_eq!(&bytes, b"shared");
    assert_eq!(
        SegmentObserver::attach(one, 64).unwrap().lock_name(),
        "seqlock"
    );

    let segment = SegmentOptions::new().create::<RwLock>(two, 64).unwrap();
    assert_eq!(segment.lock_name(), RwLock::NAME);
    let refused = Segment::attach(two, 64).unwrap_err();
    assert!(matches!(refused, CortexError::Lock { .. }), "{refused}");
}
