//! Waiting for the next commit: no wake-up is lost, and whatever else happens ends the wait too.

use crate::by_lock;
use crate::common::{Child, Gate, Kernel, Role, LOCKS};
use neocortex::{
    Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, Observer, RwLock, Segment,
    SegmentOptions, SeqLock,
};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::time::{Duration, Instant};

type Value = [u64; 2];

fn create<L: CortexSync>(kernel: &Kernel) -> Cortex<Value, L> {
    CortexBuilder::new([0; 2])
        .key(kernel.key())
        .with_default_lock()
        .unwrap()
}

#[track_caller]
fn is_late(result: CortexResult<u64>) {
    let error = result.unwrap_err();
    assert!(matches!(error, CortexError::Timeout { .. }), "{error}");
}

#[track_caller]
fn is_interrupted<T: std::fmt::Debug>(result: CortexResult<T>) {
    let error = result.unwrap_err();
    assert!(matches!(error, CortexError::Interrupted { .. }), "{error}");
}

#[test]
fn what_has_changed_already_is_not_waited_for() {
    let kernel = Kernel::new();
    for name in LOCKS {
        fn run<L: CortexSync>(kernel: &Kernel) {
            let cortex = create::<L>(kernel);
            let observer = Observer::<Value>::attach(cortex.key()).unwrap();
            for version in 1..20 {
                cortex.write([version; 2]).unwrap();
                assert_eq!(cortex.wait_changed(version - 1, None).unwrap(), version);
                assert_eq!(observer.wait_changed(version - 1, None).unwrap(), version);
                // Any other number is another version, older or not.
                assert_eq!(cortex.wait_changed(version + 7, None).unwrap(), version);
                assert_eq!(
                    cortex.wait_changed(u64::MAX, Some(Duration::ZERO)).unwrap(),
                    version
                );
            }
        }
        by_lock!(name, run(&kernel));
    }
}

#[test]
fn waits_end_when_their_time_is_over_and_not_before() {
    let kernel = Kernel::new();
    let cortex = create::<SeqLock>(&kernel);
    let observer = Observer::<Value>::attach(cortex.key()).unwrap();
    // Longer than the slices that a long wait is made of.
    for limit in [0, 1, 20, 130].map(Duration::from_millis) {
        let start = Instant::now();
        is_late(cortex.wait_changed(0, Some(limit)));
        assert!(start.elapsed() >= limit);
        let start = Instant::now();
        is_late(observer.wait_changed(0, Some(limit)));
        assert!(start.elapsed() >= limit);
    }
    // What does not commit ends no wait.
    drop(cortex.write_guard().unwrap());
    cortex.segment().write_at(0, &[]).unwrap();
    drop(cortex.read_guard().unwrap());
    is_late(cortex.wait_changed(0, Some(Duration::from_millis(5))));
}

#[test]
fn every_kind_of_commit_wakes() {
    fn run<L: CortexSync>(kernel: &Kernel) {
        let cortex = create::<L>(kernel);
        let waiter: Cortex<Value, L> = Cortex::attach(cortex.key()).unwrap();
        let changes: [fn(&Cortex<Value, L>); 8] = [
            |cortex| cortex.write([1; 2]).unwrap(),
            |cortex| cortex.try_write([1; 2]).unwrap(),
            |cortex| cortex.update(|value| value[0] += 1).unwrap(),
            |cortex| cortex.write_guard().unwrap().commit().unwrap(),
            |cortex| cortex.write_guard().unwrap().publish().unwrap(),
            |cortex| cortex.write_guard().unwrap().publish_and_refresh().unwrap(),
            |cortex| cortex.segment().write_at(3, &[1]).unwrap(),
            |cortex| cortex.segment().try_write_at(3, &[1]).unwrap(),
        ];
        for (version, change) in (0..).zip(changes) {
            let begun = Gate::new();
            std::thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    begun.open();
                    waiter.wait_changed(version, None).unwrap()
                });
                begun.pass();
                change(&cortex);
                assert_eq!(thread.join().unwrap(), version + 1);
            });
        }
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, run(&kernel));
    }
}

#[test]
fn healing_wakes_those_who_wait_in_place() {
    let kernel = Kernel::new();
    let cortex = CortexBuilder::new(0_u64)
        .key(kernel.key())
        .in_place()
        .create()
        .unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| cortex.wait_changed(0, None));
        drop(cortex.write_guard().unwrap());
        cortex.clear_poison().unwrap();
        assert_eq!(thread.join().unwrap().unwrap(), 1);
    });
}

#[test]
fn removal_ends_every_wait() {
    fn run<L: CortexSync>(kernel: &Kernel) {
        let cortex = create::<L>(kernel);
        let key = cortex.key();
        let mut children: Vec<_> = (0..2)
            .map(|_| Child::spawn("role_wait_for_removal", &[&key, &L::NAME]))
            .collect();
        children
            .iter_mut()
            .for_each(|child| child.expect("waiting"));
        let waiter: Cortex<Value, L> = Cortex::attach(key).unwrap();
        let observer = Observer::<Value>::attach(key).unwrap();
        let begun = Gate::new();
        std::thread::scope(|scope| {
            let one = scope.spawn(|| {
                begun.open();
                waiter.wait_changed(0, None)
            });
            let two = scope.spawn(|| observer.wait_changed(0, None));
            begun.pass();
            drop(cortex);
            for result in [one.join().unwrap(), two.join().unwrap()] {
                let error = result.unwrap_err();
                assert!(matches!(error, CortexError::Removed { .. }), "{error}");
            }
        });
        children.into_iter().for_each(Child::finish);
        // What was committed before the removal is still told.
        waiter.write([1; 2]).unwrap();
        assert_eq!(waiter.wait_changed(0, None).unwrap(), 1);
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, run(&kernel));
    }
}

/// A waiter that looked just before the commit, and finds the removal after it, is told the commit first.
#[test]
fn a_commit_just_before_the_removal_is_told() {
    fn told(version: CortexResult<u64>) {
        assert!(matches!(version, Ok(1..=3)), "{version:?}");
    }
    let kernel = Kernel::new();
    for _ in 0..200 {
        let owner = create::<neocortex::SeqLock>(&kernel);
        let waiter = Cortex::<Value>::attach(owner.key()).unwrap();
        let observer = Observer::<Value>::attach(owner.key()).unwrap();
        let (one, two) = (Gate::new(), Gate::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                one.open();
                told(waiter.wait_changed(0, None));
            });
            scope.spawn(|| {
                two.open();
                told(observer.wait_changed(0, None));
            });
            one.pass();
            two.pass();
            (1..=3).for_each(|number| owner.write([number; 2]).unwrap());
            drop(owner);
        });
    }
}

#[test]
fn role_wait_for_removal() {
    fn run<L: CortexSync>(role: &Role) {
        let cortex: Cortex<Value, L> = Cortex::attach(role.key()).unwrap();
        role.say("waiting");
        let error = cortex.wait_changed(0, None).unwrap_err();
        assert!(matches!(error, CortexError::Removed { .. }), "{error}");
    }
    let Some(role) = Role::of("role_wait_for_removal") else {
        return;
    };
    by_lock!(role.text(1), run(&role));
}

// ---- Interrupts ------------------------------------------------------------------------------

#[test]
fn interrupt_ends_the_waits_of_all_threads_or_the_next_one() {
    fn run<L: CortexSync>(kernel: &Kernel) {
        let cortex = create::<L>(kernel);
        // Nobody waits: the next one is ended, and it alone.
        cortex.interrupt();
        is_interrupted(cortex.wait_changed(0, None));
        is_late(cortex.wait_changed(0, Some(Duration::from_millis(2))));
        // What need not wait is not ended.
        cortex.interrupt();
        cortex.write([1; 2]).unwrap();
        assert_eq!(cortex.wait_changed(0, None).unwrap(), 1);
        assert_eq!(cortex.read().unwrap(), [1; 2]);
        is_interrupted(cortex.wait_changed(1, None));

        for _ in 0..50 {
            let begun = Gate::new();
            std::thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    begun.open();
                    cortex.wait_changed(1, None)
                });
                begun.pass();
                cortex.interrupt();
                is_interrupted(thread.join().unwrap());
            });
        }
        // Another handle's waits are its own business.
        let other: Cortex<Value, L> = Cortex::attach(cortex.key()).unwrap();
        other.interrupt();
        is_late(cortex.wait_changed(1, Some(Duration::from_millis(2))));
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, run(&kernel));
    }
}

/// Any number of threads are stopped for certain, also those that are just about to wait.
#[test]
fn stopped_waits_end_whenever_they_begin() {
    const THREADS: usize = 8;
    fn run<L: CortexSync>(kernel: &Kernel) {
        let cortex = create::<L>(kernel);
        let other: Cortex<Value, L> = Cortex::attach(cortex.key()).unwrap();
        let observer = Observer::<Value>::attach(cortex.key()).unwrap();
        for _ in 0..10 {
            let begun = std::sync::Barrier::new(2 * THREADS + 1);
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        begun.wait();
                        // One interrupt would end one of them at most.
                        (0..3).for_each(|_| is_interrupted(cortex.wait_changed(0, None)));
                    });
                    scope.spawn(|| {
                        begun.wait();
                        (0..3).for_each(|_| is_interrupted(observer.wait_changed(0, None)));
                    });
                }
                begun.wait();
                cortex.stop_waits();
                observer.segment().stop_waits();
            });
            // What need not wait goes on, and other handles wait.
            assert_eq!(cortex.read().unwrap(), [0; 2]);
            is_late(other.wait_changed(0, Some(Duration::from_millis(2))));
            let guard = other.write_guard().unwrap();
            std::thread::scope(|scope| {
                // From another thread: this one would be told `Busy`.
                scope.spawn(|| is_interrupted(cortex.write([1; 2])));
            });
            drop(guard);
            cortex.resume_waits();
            observer.segment().resume_waits();
            is_late(cortex.wait_changed(0, Some(Duration::from_millis(2))));
            is_late(observer.wait_changed(0, Some(Duration::from_millis(2))));
        }
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, run(&kernel));
    }
}

#[test]
fn a_wait_that_its_own_thread_keeps_from_ending_is_busy() {
    #[track_caller]
    fn is_busy<T: std::fmt::Debug>(result: CortexResult<T>) {
        let error = result.unwrap_err();
        assert!(matches!(error, CortexError::Busy { .. }), "{error}");
    }
    fn run<L: CortexSync>(kernel: &Kernel) {
        let cortex = create::<L>(kernel);
        let other: Cortex<Value, L> = Cortex::attach(cortex.key()).unwrap();
        let mut guard = cortex.write_guard().unwrap();
        is_busy(cortex.wait_changed(0, None));
        is_busy(other.wait_changed(0, None));
        guard.publish().unwrap();
        // What it has published itself is news.
        assert_eq!(cortex.wait_changed(0, None).unwrap(), 1);
        is_busy(cortex.wait_changed(1, Some(Duration::MAX)));
        drop(guard);
        let guard = cortex.read_guard().unwrap();
        is_busy(cortex.wait_changed(1, None));
        is_busy(other.wait_changed(1, None));
        drop(guard);
        cortex
            .update(|_| is_busy(cortex.wait_changed(1, None)))
            .unwrap();
        is_late(cortex.wait_changed(2, Some(Duration::from_millis(2))));
        // Another thread's guard ends some time.
        let guard = cortex.write_guard().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| cortex.wait_changed(2, None));
            guard.commit().unwrap();
            assert_eq!(waiter.join().unwrap().unwrap(), 3);
        });
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, run(&kernel));
    }
}

#[test]
fn interrupt_ends_the_waits_of_an_observer_or_the_next_one() {
    let kernel = Kernel::new();
    let cortex = create::<SeqLock>(&kernel);
    let observer = Observer::<Value>::attach(cortex.key()).unwrap();
    for _ in 0..50 {
        observer.segment().interrupt();
        is_interrupted(observer.wait_changed(0, None));
        let begun = Gate::new();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                begun.open();
                observer.wait_changed(0, None)
            });
            begun.pass();
            observer.segment().interrupt();
            is_interrupted(thread.join().unwrap());
        });
    }
    // One ends one wait, and none that need not wait.
    is_late(observer.wait_changed(0, Some(Duration::from_millis(2))));
    observer.segment().interrupt();
    cortex.write([1; 2]).unwrap();
    assert_eq!(observer.wait_changed(0, None).unwrap(), 1);
    assert_eq!(observer.read().unwrap(), [1; 2]);
    is_interrupted(observer.wait_changed(1, None));

    // In place, a value that somebody is writing is waited for.
    let cortex: Cortex<Value> = CortexBuilder::new([0; 2])
        .key(kernel.key())
        .in_place()
        .create()
        .unwrap();
    let observer = Observer::<Value>::attach(cortex.key()).unwrap();
    let guard = cortex.write_guard().unwrap();
    observer.segment().interrupt();
    is_interrupted(observer.read());
    guard.commit().unwrap();
    assert_eq!(observer.read().unwrap(), [0; 2]);
}

#[test]
fn interrupt_ends_the_wait_for_a_lock() {
    fn run<L: CortexSync>(kernel: &Kernel) {
        for slots in [1, 2] {
            let builder = CortexBuilder::new([0_u64; 2])
                .key(kernel.key())
                .slots(slots);
            let holder: Cortex<Value, L> = builder.with_default_lock().unwrap();
            let cortex: Cortex<Value, L> = Cortex::attach(holder.key()).unwrap();
            let guard = holder.write_guard().unwrap();
            let waits: [fn(&Cortex<Value, L>); 4] = [
                |cortex| is_interrupted(cortex.write([1; 2])),
                |cortex| is_interrupted(cortex.update(|_| ())),
                |cortex| is_interrupted(cortex.write_guard().map(drop)),
                |cortex| is_interrupted(cortex.read_guard().map(drop)),
            ];
            for wait in waits {
                let begun = Gate::new();
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        begun.open();
                        wait(&cortex);
                    });
                    begun.pass();
                    cortex.interrupt();
                });
            }
            if !(L::OPTIMISTIC_READS && slots > 1) {
                cortex.interrupt();
                std::thread::scope(|scope| {
                    // From another thread: this one would be told `Busy`.
                    scope.spawn(|| is_interrupted(cortex.read()));
                });
            }
            guard.commit().unwrap();
            cortex.write([1; 2]).unwrap();
        }
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, run(&kernel));
    }
}

#[test]
fn signal_handler_may_interrupt() {
    let kernel = Kernel::new();
    let cortex = create::<SeqLock>(&kernel);
    let mut child = Child::spawn("role_wait_for_signals", &[&cortex.key()]);
    for _ in 0..50 {
        child.expect("waiting");
        child.signal(libc::SIGUSR1);
        child.expect("interrupted");
    }
    child.expect("waiting");
    cortex.write([1; 2]).unwrap();
    child.expect("changed");
    // A signal whose handler does nothing ends nothing.
    child.expect("waiting");
    for _ in 0..20 {
        child.signal(libc::SIGUSR2);
    }
    cortex.write([2; 2]).unwrap();
    child.expect("changed");
    child.finish();
}

static WATCHED: AtomicPtr<Cortex<Value>> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn interrupt(_signal: libc::c_int) {
    // SAFETY: set before the handler was installed, to what lives as long as the process.
    unsafe { &*WATCHED.load(Ordering::Relaxed) }.interrupt();
}

extern "C" fn ignore(_signal: libc::c_int) {}

#[test]
fn role_wait_for_signals() {
    let Some(role) = Role::of("role_wait_for_signals") else {
        return;
    };
    let cortex: &'static Cortex<Value> = Box::leak(Box::new(Cortex::attach(role.key()).unwrap()));
    WATCHED.store(std::ptr::from_ref(cortex).cast_mut(), Ordering::Relaxed);
    for (signal, handler) in [
        (libc::SIGUSR1, interrupt as extern "C" fn(_)),
        (libc::SIGUSR2, ignore as extern "C" fn(_)),
    ] {
        // SAFETY: handlers that are async-signal-safe.
        unsafe { libc::signal(signal, handler as *const () as libc::sighandler_t) };
    }
    let mut version = 0;
    while version < 2 {
        role.say("waiting");
        match cortex.wait_changed(version, None) {
            Ok(now) => {
                version = now;
                role.say("changed");
            }
            Err(CortexError::Interrupted { .. }) => role.say("interrupted"),
            Err(error) => panic!("{error}"),
        }
    }
}

// ---- Many ------------------------------------------------------------------------------------

#[test]
fn many_waiters_all_wake_and_a_dead_one_disturbs_nobody() {
    let kernel = Kernel::new();
    let cortex = create::<RwLock>(&kernel);
    let key = cortex.key();
    let spawn = || Child::spawn("role_follow", &[&key, &200]);
    let mut children: Vec<_> = (0..4).map(|_| spawn()).collect();
    children
        .iter_mut()
        .for_each(|child| child.expect("following"));
    // Killed asleep: nothing is committed before.
    for _ in 0..5 {
        let mut victim = spawn();
        victim.expect("following");
        victim.kill();
    }
    let seen = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut version = 0;
                while version < 200 {
                    version = cortex.wait_changed(version, None).unwrap();
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for value in 1..=200 {
            cortex.write([value; 2]).unwrap();
            std::thread::yield_now();
        }
    });
    assert!(seen.load(Ordering::Relaxed) >= 4);
    children.into_iter().for_each(Child::finish);
    assert_eq!(cortex.segment().participants().unwrap().0, 1);
}

#[test]
fn role_follow() {
    let Some(role) = Role::of("role_follow") else {
        return;
    };
    let cortex: Cortex<Value, RwLock> = Cortex::attach(role.key()).unwrap();
    let last = role.number(1) as u64;
    role.say("following");
    let mut version = 0;
    while version < last {
        let now = cortex.wait_changed(version, None).unwrap();
        assert!(now > version);
        assert!(cortex.read().unwrap()[0] >= now);
        version = now;
    }
}

/// Ping-pong: each round is one commit of either side, and neither goes on without the other's. A
/// wake-up that is lost costs a slice of 50 ms; a thousand of them, the watchdog.
fn hammer<L: CortexSync>(rounds: u64) {
    let kernel = Kernel::new();
    let cortex = create::<L>(&kernel);
    let mut child = Child::spawn("role_answer", &[&cortex.key(), &L::NAME, &rounds]);
    child.expect("ready");
    let mut slow = 0;
    for round in 0..rounds {
        let version = 2 * round;
        cortex.write([round; 2]).unwrap();
        let start = Instant::now();
        let now = match cortex.wait_changed(version + 1, None).unwrap() {
            // The first look may see our own commit only where it was another than asked for.
            now if now == version + 2 => now,
            now => panic!("version {now} in round {round}"),
        };
        slow += u32::from(start.elapsed() >= Duration::from_millis(45));
        assert_eq!(now, version + 2);
        assert_eq!(cortex.read().unwrap(), [round, round + 1]);
    }
    child.finish();
    println!("{}: {slow} of {rounds} rounds took a whole slice", L::NAME);
}

#[test]
fn role_answer() {
    fn run<L: CortexSync>(role: &Role) {
        let cortex: Segment<L> = SegmentOptions::new().attach(role.key(), 16).unwrap();
        let rounds = role.number(2) as u64;
        role.say("ready");
        for round in 0..rounds {
            let version = 2 * round;
            assert_eq!(cortex.wait_changed(version, None).unwrap(), version + 1);
            cortex.write_at(8, &(round + 1).to_ne_bytes()).unwrap();
        }
    }
    let Some(role) = Role::of("role_answer") else {
        return;
    };
    by_lock!(role.text(1), run(&role));
}

#[test]
fn no_wake_up_is_lost_seqlock() {
    hammer::<SeqLock>(20_000);
}

#[test]
fn no_wake_up_is_lost_rwlock() {
    hammer::<RwLock>(20_000);
}

#[test]
fn no_wake_up_is_lost_semaphore() {
    hammer::<neocortex::Semaphore>(20_000);
}

/// `ipcrm`, or a session manager, takes segment and set: nothing in the segment tells of it.
fn taken_away<L: CortexSync>(
    kernel: &crate::common::Kernel,
    with_set: bool,
) -> neocortex::Segment<L> {
    let key = kernel.key();
    let segment = SegmentOptions::new().create::<L>(key, 8).unwrap();
    let id = crate::common::segment_id(key).unwrap();
    let sets = crate::common::sets_of(id);
    assert!(!segment.is_removed());
    crate::common::remove_segment(id);
    if with_set {
        sets.into_iter().for_each(crate::common::remove_set);
    }
    segment
}

#[test]
fn what_the_kernel_was_told_to_remove_ends_waits_and_is_known() {
    let kernel = crate::common::Kernel::new();
    for with_set in [false, true] {
        let segment = taken_away::<neocortex::SeqLock>(&kernel, with_set);
        assert!(segment.is_removed());
        let waited = segment.wait_changed(0, None);
        assert!(
            matches!(waited, Err(CortexError::Removed { .. })),
            "{waited:?}"
        );
    }
    let key = kernel.key();
    let segment = neocortex::Segment::<neocortex::SeqLock>::create(key, 8).unwrap();
    let observer = neocortex::SegmentObserver::attach(key, 8).unwrap();
    assert!(!observer.is_removed());
    crate::common::remove_segment(crate::common::segment_id(key).unwrap());
    assert!(observer.is_removed());
    let waited = observer.wait_changed(0, None);
    assert!(
        matches!(waited, Err(CortexError::Removed { .. })),
        "{waited:?}"
    );
    drop(segment);
}

/// A writer that is alone asks now and then; who waits for the lock asks in each slice.
#[test]
fn writers_notice_what_the_kernel_was_told_to_remove() {
    let kernel = crate::common::Kernel::new();
    for with_set in [false, true] {
        let segment = taken_away::<neocortex::SeqLock>(&kernel, with_set);
        let error = loop {
            if let Err(error) = segment.write_at(0, &[1; 8]) {
                break error;
            }
        };
        assert!(matches!(error, CortexError::Removed { .. }), "{error}");
        let again = segment.write_at(0, &[2; 8]);
        assert!(
            matches!(again, Err(CortexError::Removed { .. })),
            "{again:?}"
        );
        assert!(matches!(
            segment.write_guard(),
            Err(CortexError::Removed { .. })
        ));
        let mut bytes = [0; 8];
        segment.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes, [1; 8], "what was committed is still to be read");
    }
    let key = kernel.key();
    let segment = neocortex::Segment::<neocortex::SeqLock>::create(key, 8).unwrap();
    let other = neocortex::Segment::<neocortex::SeqLock>::attach(key, 8).unwrap();
    let guard = segment.write_guard().unwrap();
    crate::common::remove_segment(crate::common::segment_id(key).unwrap());
    // From another thread: this one would be told `Busy`.
    let wait = || other.write_at(0, &[1; 8]);
    let waited = std::thread::scope(|scope| scope.spawn(wait).join().unwrap());
    assert!(
        matches!(waited, Err(CortexError::Removed { .. })),
        "{waited:?}"
    );
    drop(guard);
}

/// Who holds the lock and publishes notices too; and the shortest ways of the C surface do.
#[test]
fn publishers_and_the_shortest_ways_of_c_notice_it_too() {
    let kernel = crate::common::Kernel::new();
    let segment = taken_away::<neocortex::SeqLock>(&kernel, true);
    let mut guard = segment.write_guard().unwrap();
    let error = loop {
        guard.fill(1);
        if let Err(error) = guard.publish() {
            break error;
        }
    };
    assert!(matches!(error, CortexError::Removed { .. }), "{error}");
    let again = guard.publish_and_refresh();
    assert!(
        matches!(again, Err(CortexError::Removed { .. })),
        "{again:?}"
    );
    drop(guard);
    let mut bytes = [0; 8];
    segment.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [1; 8]);
    drop(segment);
    #[cfg(feature = "capi")]
    for publishes in [false, true] {
        removed_from_c(kernel.key(), publishes);
    }
}

/// Writes through the C functions until they say that somebody has removed the segment.
#[cfg(feature = "capi")]
fn removed_from_c(key: i32, publishes: bool) {
    use neocortex::capi;
    let value = 7_u64;
    let bytes = (&raw const value).cast();
    // SAFETY: a handle that is open until the end; eight bytes are written to eight bytes.
    unsafe {
        let segment = capi::neocortex_create(key, 8, std::ptr::null());
        assert!(!segment.is_null());
        assert_eq!(capi::neocortex_write(segment, bytes, 8), 0);
        let mut next = std::ptr::null_mut();
        if publishes {
            assert_eq!(capi::neocortex_write_begin(segment, &mut next), 0);
        }
        let write = |next: &mut *mut std::ffi::c_void| {
            if !publishes {
                return capi::neocortex_write(segment, bytes, 8);
            }
            next.cast::<u64>().write(value);
            capi::neocortex_write_publish(segment, next)
        };
        for _ in 0..100 {
            assert_eq!(write(&mut next), 0);
        }
        let id = crate::common::segment_id(key).unwrap();
        let sets = crate::common::sets_of(id);
        crate::common::remove_segment(id);
        sets.into_iter().for_each(crate::common::remove_set);
        let mut status = 0;
        while status == 0 {
            let before = next;
            status = write(&mut next);
            assert!(!publishes || next != before, "where the next value goes");
        }
        assert_eq!(status, capi::NEOCORTEX_ERR_REMOVED);
        assert_eq!(write(&mut next), capi::NEOCORTEX_ERR_REMOVED);
        if publishes {
            assert_eq!(capi::neocortex_write_abort(segment), 0);
        }
        assert_eq!(capi::neocortex_close(segment), 0);
    }
}

/// An owner's removal is said in the segment, and those attached go on sharing it.
#[test]
fn what_its_owner_removed_is_written_to_as_before() {
    let kernel = crate::common::Kernel::new();
    let key = kernel.key();
    let owner = neocortex::Segment::<neocortex::SeqLock>::create(key, 8).unwrap();
    let other = neocortex::Segment::<neocortex::SeqLock>::attach(key, 8).unwrap();
    drop(owner);
    assert!(other.is_removed());
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_millis(600) {
        other.write_at(0, &[1; 8]).unwrap();
    }
}
