//! Guards: what is committed is there for everybody, what is not never happened.

use crate::by_lock;
use crate::common::{check, fill, filled, Child, Gate, Kernel, Role, LOCKS};
use neocortex::{
    Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, Observer, RwLock, Segment,
    SegmentOptions, SeqLock,
};
use std::fmt::Debug;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::Barrier;
use std::time::Duration;

type Value = [u64; 100];

fn create<L: CortexSync>(kernel: &Kernel, slots: u32) -> Cortex<Value, L> {
    CortexBuilder::new([1; 100])
        .key(kernel.key())
        .slots(slots)
        .with_default_lock()
        .unwrap()
}

fn again<L: CortexSync>(cortex: &Cortex<Value, L>) -> Cortex<Value, L> {
    Cortex::attach(cortex.key()).unwrap()
}

#[track_caller]
fn is_busy<T: Debug>(result: CortexResult<T>) {
    let error = result.unwrap_err();
    assert!(matches!(error, CortexError::Busy { .. }), "{error}");
}

/// Asks from another thread: this one would be told `Busy`, whichever handle it asks through.
fn elsewhere<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

macro_rules! is_late {
    ($result:expr) => {
        timed_out(elsewhere(|| $result.map(drop)))
    };
}

#[track_caller]
fn timed_out<T: Debug>(result: CortexResult<T>) {
    let error = result.unwrap_err();
    assert!(matches!(error, CortexError::Timeout { .. }), "{error}");
}

#[track_caller]
fn is_poisoned<T: Debug>(result: CortexResult<T>) {
    let error = result.unwrap_err();
    assert!(matches!(error, CortexError::Poisoned { .. }), "{error}");
}

macro_rules! every_lock {
    ($($name:ident = $function:ident($($slots:literal)*);)*) => { $(
        #[test]
        fn $name() {
            let kernel = Kernel::new();
            for name in LOCKS {
                for slots in [$($slots),*] {
                    println!("{name} with {slots} slots");
                    by_lock!(name, $function(&kernel, slots));
                }
            }
        }
    )* };
}

every_lock! {
    commit_shows_everybody_the_new_value = commits(1 2 3 8);
    uncommitted_guard_never_happened = rolls_back(2 3 8);
    panic_rolls_back = panics(2 3);
    publish_commits_and_goes_on_holding = publishes(2 3 8);
    publish_and_refresh_shows_what_was_published = refreshes(2 3 8);
    publishing_in_place_is_unsupported = publishes_in_place(1);
    marked_commits_change_what_they_mark = marks(1 2 3 8);
    second_use_on_the_same_thread_is_busy_not_a_deadlock = reenters(1 2 3);
    a_thread_does_not_wait_for_itself_through_another_handle = reenters_by_another_handle(1 2 3);
    abandoned_write_in_place_poisons_until_healed = poisons(1);
    observer_is_told_that_nobody_will_finish_a_write_in_place = tells_observers(1);
    in_place_read_guard_shows_the_one_slot = reads_in_place(1);
    guard_forgotten_by_a_dropped_handle_is_passed = forgets(1 2);
    guards_of_two_threads_take_turns = takes_turns(1 2);
    bytes_and_typed_guards_show_the_same = bytes(1 2 3);
}

fn commits<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    let other = again(&cortex);
    let observer = Observer::<Value>::attach(cortex.key()).unwrap();
    let mut expected = [1; 100];
    for round in 0..30 {
        let handle = if round % 2 == 0 { &cortex } else { &other };
        let mut guard = handle.write_guard().unwrap();
        assert_eq!(*guard, expected, "starts as the current value");
        guard[round] = 1000 + round as u64;
        expected[round] = 1000 + round as u64;
        if slots > 1 {
            assert_ne!(observer.read().unwrap(), expected, "not before the commit");
        }
        guard.commit().unwrap();
        assert_eq!(*cortex.read_guard().unwrap(), expected);
        assert_eq!(*other.read_guard().unwrap(), expected);
        assert_eq!(observer.read().unwrap(), expected);
        assert_eq!(other.version(), round as u64 + 1);
    }
}

fn rolls_back<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    let other = again(&cortex);
    for round in 1..20 {
        let mut guard = cortex.write_guard().unwrap();
        guard.fill(99);
        if round % 2 == 0 {
            guard.mark(0, 8).unwrap();
        }
        drop(guard);
        assert_eq!(other.read().unwrap(), [round; 100]);
        assert_eq!(other.version(), round - 1);
        assert!(!other.segment().is_poisoned());
        // The next commit starts from the last one, not from what was given up.
        let mut guard = other.write_guard().unwrap();
        assert_eq!(*guard, [round; 100]);
        guard.fill(round + 1);
        guard.commit().unwrap();
        assert_eq!(cortex.read().unwrap(), [round + 1; 100]);
    }
}

fn panics<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    let other = again(&cortex);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = cortex.write_guard().unwrap();
        guard.fill(99);
        resume_unwind(Box::new("half way"));
    }));
    assert!(result.is_err());
    assert_eq!(other.read().unwrap(), [1; 100]);
    other.try_write([2; 100]).expect("the lock is free");
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _guard = cortex.read_guard().unwrap();
        resume_unwind(Box::new("half way"));
    }));
    assert!(result.is_err());
    other.try_write([3; 100]).expect("the lock is free");
    cortex
        .try_write([4; 100])
        .expect("this thread does not hold it any more");
}

fn publishes<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    let other = again(&cortex);
    let observer = Observer::<Value>::attach(cortex.key()).unwrap();
    let mut guard = cortex.write_guard().unwrap();
    for value in 2..40 {
        guard.fill(value);
        guard.publish().unwrap();
        assert_eq!(observer.read().unwrap(), [value; 100]);
        assert_eq!(observer.version(), value - 1);
        if L::OPTIMISTIC_READS {
            assert_eq!(other.try_read().unwrap(), [value; 100]);
        }
        is_late!(other.try_write([0; 100]));
    }
    // What was begun after the last publish is given up.
    guard.fill(99);
    drop(guard);
    assert_eq!(other.read().unwrap(), [39; 100]);
    let guard = other.write_guard().unwrap();
    assert_eq!(*guard, [39; 100]);
    drop(guard);
    // A mark after a publish is not believed, for the guard's contents were unspecified.
    let mut guard = cortex.write_guard().unwrap();
    guard.fill(40);
    guard.publish().unwrap();
    guard.fill(41);
    guard.mark(0, 8).unwrap();
    guard.commit().unwrap();
    for value in 41..60 {
        let mut guard = other.write_guard().unwrap();
        assert_eq!(*guard, [value; 100]);
        guard.fill(value + 1);
        guard.commit().unwrap();
    }
}

fn refreshes<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    let observer = Observer::<Value>::attach(cortex.key()).unwrap();
    let mut expected = [1; 100];
    let mut guard = cortex.write_guard().unwrap();
    for round in 0..100 {
        assert_eq!(*guard, expected);
        guard[round] = 1000;
        expected[round] = 1000;
        if round % 3 != 0 {
            guard.mark(round * 8, 8).unwrap();
        }
        if round % 10 == 9 {
            // Unspecified after this, until all of it is written.
            guard.publish().unwrap();
            *guard = expected;
        }
        guard.publish_and_refresh().unwrap();
        assert_eq!(observer.read().unwrap(), expected);
    }
    drop(guard);
    assert_eq!(cortex.read().unwrap(), expected);
}

fn publishes_in_place<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    let mut guard = cortex.write_guard().unwrap();
    guard.fill(2);
    for result in [guard.publish(), guard.publish_and_refresh()] {
        let error = result.unwrap_err();
        assert!(matches!(error, CortexError::Unsupported { .. }), "{error}");
    }
    assert_eq!(cortex.version(), 0);
    guard.commit().unwrap();
    assert_eq!(cortex.read().unwrap(), [2; 100]);
    assert_eq!(cortex.version(), 1);
}

fn marks<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    let other = again(&cortex);
    let mut expected = [1; 100];
    for round in 0..60_usize {
        let mut guard = cortex.write_guard().unwrap();
        assert_eq!(*guard, expected);
        let (first, second) = (round * 7 % 100, round * 31 % 100);
        for place in [first, second] {
            guard[place] += 1;
            expected[place] += 1;
            guard.mark(place * 8, 8).unwrap();
        }
        guard.mark(3, 0).unwrap();
        guard.commit().unwrap();
        assert_eq!(other.read().unwrap(), expected);
    }
}

fn reenters<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    {
        let _guard = cortex.write_guard().unwrap();
        is_busy(cortex.write([2; 100]));
        is_busy(cortex.try_write([2; 100]));
        is_busy(cortex.update(|_| ()));
        is_busy(cortex.write_guard().map(drop));
        is_busy(cortex.read_guard().map(drop));
        is_busy(cortex.clear_poison());
        match L::OPTIMISTIC_READS && slots > 1 {
            true => assert_eq!(cortex.read().unwrap(), [1; 100]),
            false => is_busy(cortex.read()),
        }
        // Another thread waits for it like anybody.
        cortex.set_timeout(Some(Duration::from_millis(5)));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                is_late!(cortex.write([2; 100]));
            });
            scope.spawn(|| is_late!(cortex.write_guard().map(drop)));
        });
        if slots == 1 {
            // So as not to poison.
            _guard.commit().unwrap();
        }
    }
    {
        let guard = cortex.read_guard().unwrap();
        is_busy(cortex.write([2; 100]));
        is_busy(cortex.update(|_| ()));
        is_busy(cortex.write_guard().map(drop));
        match L::NAME {
            "rwlock" => assert_eq!(*cortex.read_guard().unwrap(), *guard),
            _ => is_busy(cortex.read_guard().map(drop)),
        }
        match L::NAME {
            "semaphore" => is_busy(cortex.read()),
            _ => assert_eq!(cortex.read().unwrap(), [1; 100]),
        }
    }
    cortex.write([2; 100]).unwrap();
    assert_eq!(cortex.read().unwrap(), [2; 100]);
}

/// What this thread holds through one handle it is not made to wait for through another.
fn reenters_by_another_handle<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    let other = again(&cortex);
    let stranger = create::<L>(kernel, slots);
    let is_readable = L::OPTIMISTIC_READS && slots > 1;
    for round in 0..2 {
        // Whether a call may wait for ever or not at all.
        other.set_timeout((round == 1).then_some(Duration::ZERO));
        {
            let guard = cortex.write_guard().unwrap();
            is_busy(other.write([2; 100]));
            is_busy(other.segment().write_at(8, &[1]));
            is_busy(other.update(|_| ()));
            is_busy(other.write_guard().map(drop));
            is_busy(other.read_guard().map(drop));
            is_busy(other.clear_poison());
            is_busy(other.wait_changed(other.version(), None));
            match is_readable {
                true => assert_eq!(other.read().unwrap(), [1; 100]),
                false => is_busy(other.read()),
            }
            // Another cortex is another matter, and so is another thread.
            stranger.write([2; 100]).unwrap();
            is_late!(other.write_for([2; 100], Duration::from_millis(5)));
            // So as not to poison.
            guard.commit().unwrap();
        }
        // Nothing is written in place before the closure has ended.
        let inside = cortex.update(|_| match L::OPTIMISTIC_READS {
            true => assert_eq!(other.read().unwrap(), [1; 100]),
            false => is_busy(other.read()),
        });
        inside.unwrap();
        {
            let guard = cortex.read_guard().unwrap();
            is_busy(other.write([2; 100]));
            is_busy(other.update(|_| ()));
            is_busy(other.write_guard().map(drop));
            is_busy(other.wait_changed(other.version(), None));
            match L::NAME {
                "rwlock" => assert_eq!(*other.read_guard().unwrap(), *guard),
                _ => is_busy(other.read_guard().map(drop)),
            }
            match L::NAME {
                "semaphore" => is_busy(other.read()),
                _ => assert_eq!(other.read().unwrap(), [1; 100]),
            }
            stranger.write([3; 100]).unwrap();
            is_late!(other.write_for([2; 100], Duration::from_millis(5)));
        }
        // And through one that was attached when the guard was there already, and is gone.
        let _guard = cortex.write_guard().unwrap();
        is_busy(again(&cortex).write([2; 100]));
        _guard.commit().unwrap();
        other.write([1; 100]).unwrap();
    }
}

fn poisons<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    let other = again(&cortex);
    let observer = Observer::<Value>::attach(cortex.key()).unwrap();
    observer.set_timeout(Some(Duration::from_millis(5)));
    let abandon: [fn(&Cortex<Value, L>); 3] = [
        |cortex| drop(cortex.write_guard().unwrap()),
        |cortex| cortex.write_guard().unwrap()[5] = 77,
        |cortex| {
            let result = catch_unwind(AssertUnwindSafe(|| {
                let mut guard = cortex.write_guard().unwrap();
                guard[5] = 77;
                resume_unwind(Box::new("half way"));
            }));
            assert!(result.is_err());
        },
    ];
    for (round, abandon) in abandon.iter().cycle().take(12).enumerate() {
        abandon(&cortex);
        let version = cortex.version();
        for handle in [&cortex, &other] {
            assert!(handle.segment().is_poisoned());
            is_poisoned(handle.read());
            is_poisoned(handle.try_read());
            is_poisoned(handle.update(|_| ()));
            is_poisoned(handle.read_guard().map(drop));
            is_poisoned(handle.write_guard().map(drop));
            is_poisoned(handle.segment().write_at(8, &[1]));
            is_poisoned(handle.segment().read_at(0, &mut [0]));
        }
        assert!(observer.segment().is_poisoned());
        is_poisoned(observer.read());
        observer.set_timeout(Some(Duration::ZERO));
        is_poisoned(observer.read());
        observer.set_timeout(None);
        is_poisoned(observer.read());
        assert_eq!(cortex.version(), version, "nothing of that was a commit");
        // Healed by whoever comes.
        if round % 2 == 0 {
            other.write([9; 100]).unwrap();
            assert_eq!(cortex.read().unwrap(), [9; 100]);
            assert_eq!(cortex.version(), version + 1);
        } else {
            other.clear_poison().unwrap();
            assert_eq!(cortex.read().unwrap()[6..], [9; 94]);
        }
        assert!(!cortex.segment().is_poisoned() && !observer.segment().is_poisoned());
        assert_eq!(observer.read().unwrap(), cortex.read().unwrap());
        cortex.segment().write_at(0, &[9]).unwrap();
        cortex.update(|value| value[0] = 9).unwrap();
    }
    // Without poison there is nothing to heal, and nothing is counted.
    let version = cortex.version();
    cortex.clear_poison().unwrap();
    assert_eq!(cortex.version(), version);
}

fn reads_in_place<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    let other = again(&cortex);
    for value in 2..10 {
        let first = std::ptr::from_ref(&*cortex.read_guard().unwrap()).addr();
        other.write([value; 100]).unwrap();
        let guard = cortex.read_guard().unwrap();
        assert_eq!(*guard, [value; 100]);
        assert_eq!(
            std::ptr::from_ref(&*guard).addr(),
            first,
            "always the same bytes"
        );
        is_late!(other.try_write([0; 100]));
    }
}

fn forgets<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    for reads in [true, false] {
        let other = again(&cortex);
        match reads {
            true => std::mem::forget(other.read_guard().unwrap()),
            false => std::mem::forget(other.write_guard().unwrap()),
        }
        is_late!(cortex.try_write([2; 100]));
        drop(other);
        // Its participant is gone, so its holder is dead.
        cortex.write([2; 100]).unwrap();
        assert_eq!(cortex.read().unwrap(), [2; 100]);
    }
    // Its slot has a new tenant before anybody looks.
    for reads in [true, false] {
        let other = again(&cortex);
        match reads {
            true => std::mem::forget(other.read_guard().unwrap()),
            false => std::mem::forget(other.write_guard().unwrap()),
        }
        drop(other);
        let tenant = again(&cortex);
        assert_eq!(tenant.segment().participants().unwrap().0, 2);
        cortex.write([3; 100]).unwrap();
        tenant.write([4; 100]).unwrap();
    }
}

/// Whoever only looks is told that nobody will finish a write in place: its writer is gone, or the cortex is. Never of
/// a writer at work.
fn tells_observers<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    let observer = Observer::<Value>::attach(cortex.key()).unwrap();
    let tries = |expected: fn(CortexResult<Value>)| {
        for timeout in [Duration::ZERO, Duration::from_millis(5)] {
            observer.set_timeout(Some(timeout));
            expected(elsewhere(|| observer.read()));
        }
    };
    let guard = cortex.write_guard().unwrap();
    tries(timed_out);
    guard.commit().unwrap();
    assert_eq!(observer.read().unwrap(), [1; 100]);
    // Its word still names it, and its beacon is out.
    let other = again(&cortex);
    std::mem::forget(other.write_guard().unwrap());
    tries(timed_out);
    drop(other);
    tries(is_poisoned);
    observer.set_timeout(None);
    is_poisoned(observer.read());
    // It has let go.
    cortex.clear_poison().unwrap();
    assert_eq!(observer.read().unwrap(), [1; 100]);
    drop(cortex.write_guard().unwrap());
    tries(is_poisoned);
    drop(cortex);
    observer.set_timeout(None);
    let removed = observer.read();
    assert!(matches!(removed, Err(CortexError::Removed { .. })));
    tries(|result| assert!(matches!(result, Err(CortexError::Removed { .. }))));
}

fn takes_turns<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    let rounds = 300;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..rounds {
                    let mut guard = cortex.write_guard().unwrap();
                    let next = guard[0] + 1;
                    assert!(guard.iter().all(|&word| word == guard[0]));
                    guard.fill(next);
                    guard.commit().unwrap();
                    let guard = cortex.read_guard().unwrap();
                    assert!(guard.iter().all(|&word| word == guard[0]));
                }
            });
        }
    });
    assert_eq!(cortex.read().unwrap(), [1 + 3 * rounds; 100]);
}

fn bytes<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let cortex = create::<L>(kernel, slots);
    let segment: Segment<L> = SegmentOptions::new().attach(cortex.key(), 800).unwrap();
    let mut guard = segment.write_guard().unwrap();
    assert_eq!(guard.len(), 800);
    guard[8..16].copy_from_slice(&5_u64.to_ne_bytes());
    guard.commit().unwrap();
    assert_eq!(cortex.read_guard().unwrap()[..3], [1, 5, 1]);
    assert_eq!(segment.read_guard().unwrap()[8..16], 5_u64.to_ne_bytes());
}

// ---- Sharing (RwLock) ------------------------------------------------------------------------

#[test]
fn readers_share_and_keep_writers_out() {
    let kernel = Kernel::new();
    let cortex = create::<RwLock>(&kernel, 2);
    let handles: Vec<_> = (0..5).map(|_| again(&cortex)).collect();
    let inside = Barrier::new(10);
    std::thread::scope(|scope| {
        for index in 0..9 {
            let (handles, inside, cortex) = (&handles, &inside, &cortex);
            scope.spawn(move || {
                let guard = handles[index % 5].read_guard().unwrap();
                let again = handles[index % 5].read_guard().unwrap();
                // Nobody passes before all are in.
                inside.wait();
                is_late!(cortex.try_write([2; 100]));
                assert_eq!(*guard, *again);
                inside.wait();
            });
        }
        inside.wait();
        inside.wait();
    });
    cortex.try_write([2; 100]).unwrap();
    assert_eq!(*handles[0].read_guard().unwrap(), [2; 100]);
}

/// Waits until a writer has announced itself: from then on no stranger gets in for reading.
fn await_writer(stranger: &Cortex<Value, RwLock>) {
    stranger.set_timeout(Some(Duration::ZERO));
    while stranger.read_guard().is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn reader_enters_again_while_a_writer_waits_for_it() {
    let kernel = Kernel::new();
    let cortex = create::<RwLock>(&kernel, 2);
    let (writer, stranger) = (again(&cortex), again(&cortex));
    for _ in 0..50 {
        let guard = cortex.read_guard().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| writer.update(|value| value[0] += 1).unwrap());
            await_writer(&stranger);
            // This thread must not wait for a writer that waits for this thread.
            let second = cortex.read_guard().unwrap();
            let third = cortex.read_guard().unwrap();
            assert_eq!(cortex.read().unwrap(), *guard);
            drop(guard);
            assert_eq!(*second, *third);
        });
    }
    assert_eq!(cortex.read().unwrap()[0], 51);
}

#[test]
fn writer_is_not_starved_by_readers_that_keep_coming() {
    let kernel = Kernel::new();
    let cortex = create::<RwLock>(&kernel, 2);
    let mut children: Vec<_> = (0..3)
        .map(|_| Child::spawn("role_read_until_told", &[&cortex.key()]))
        .collect();
    children
        .iter_mut()
        .for_each(|child| child.expect("reading"));
    for _ in 0..200 {
        cortex
            .update(|value| value.iter_mut().for_each(|word| *word += 1))
            .unwrap();
    }
    cortex.write([0; 100]).unwrap();
    children.into_iter().for_each(Child::finish);
}

#[test]
fn role_read_until_told() {
    let Some(role) = Role::of("role_read_until_told") else {
        return;
    };
    let handles: [Cortex<Value, RwLock>; 2] =
        std::array::from_fn(|_| Cortex::attach(role.key()).unwrap());
    let mut guard = handles[0].read_guard().unwrap();
    role.say("reading");
    for turn in 1.. {
        assert!(guard.iter().all(|&word| word == guard[0]));
        if guard[0] == 0 {
            break;
        }
        // Through the other handle, so that one guard is always held: unless a writer waits, for
        // which this thread must not make it wait.
        let handle = &handles[turn % 2];
        handle.set_timeout(Some(Duration::ZERO));
        guard = match handle.read_guard() {
            Ok(next) => next,
            Err(CortexError::Busy { .. }) => {
                drop(guard);
                handle.set_timeout(None);
                handle.read_guard().unwrap()
            }
            Err(error) => panic!("{error}"),
        };
    }
}

#[test]
fn readers_are_not_starved_by_writers_that_keep_coming() {
    let kernel = Kernel::new();
    let cortex = create::<RwLock>(&kernel, 2);
    let key = cortex.key();
    let mut children: Vec<_> = (0..2)
        .map(|_| Child::spawn("role_write_until_told", &[&key]))
        .collect();
    children
        .iter_mut()
        .for_each(|child| child.expect("writing"));
    for _ in 0..200 {
        let guard = cortex.read_guard().unwrap();
        assert!(guard[1..].iter().all(|&word| word == guard[1]));
    }
    children.iter_mut().for_each(|child| child.tell("end"));
    children.into_iter().for_each(Child::finish);
}

#[test]
fn role_write_until_told() {
    let Some(role) = Role::of("role_write_until_told") else {
        return;
    };
    let cortex: Cortex<Value, RwLock> = Cortex::attach(role.key()).unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            role.listen();
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        role.say("writing");
        while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
            cortex
                .update(|value| value[1..].iter_mut().for_each(|word| *word += 1))
                .unwrap();
        }
    });
}

#[test]
fn writer_that_gives_up_lets_readers_in_again() {
    let kernel = Kernel::new();
    let cortex = create::<RwLock>(&kernel, 2);
    let (writer, stranger) = (again(&cortex), &again(&cortex));
    let guard = cortex.read_guard().unwrap();
    writer.set_timeout(Some(Duration::from_millis(500)));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            is_late!(writer.write([2; 100]));
        });
        await_writer(stranger);
        // This thread would make the writer wait, and wait for it.
        stranger.set_timeout(None);
        is_busy(stranger.read_guard().map(drop));
        is_busy(stranger.read());
        // Another waits for the writer; it gets in when that gives up, although the first reader stays.
        let value = *guard;
        scope.spawn(move || assert_eq!(*stranger.read_guard().unwrap(), value));
    });
    drop(guard);
    writer.write([3; 100]).unwrap();
    assert_eq!(stranger.read().unwrap(), [3; 100]);
}

#[test]
fn writer_killed_while_it_waits_for_readers_lets_readers_in() {
    let kernel = Kernel::new();
    let cortex = create::<RwLock>(&kernel, 2);
    let stranger = again(&cortex);
    for _ in 0..10 {
        let guard = cortex.read_guard().unwrap();
        let mut child = Child::spawn("role_write_until_told", &[&cortex.key()]);
        child.expect("writing");
        await_writer(&stranger);
        child.kill();
        stranger.set_timeout(None);
        assert_eq!(*stranger.read_guard().unwrap(), *guard);
        drop(guard);
        cortex.write([3; 100]).unwrap();
    }
}

#[test]
fn read_guards_have_a_ceiling() {
    let kernel = Kernel::new();
    let cortex = create::<RwLock>(&kernel, 2);
    let mut guards = Vec::new();
    let refused = loop {
        match cortex.read_guard() {
            Ok(guard) => guards.push(guard),
            Err(error) => break error,
        }
        assert!(guards.len() < 1 << 14, "the count runs into the generation");
    };
    assert!(matches!(refused, CortexError::Busy { .. }), "{refused}");
    let stranger = again(&cortex);
    drop(stranger.read_guard().unwrap());
    is_late!(stranger.try_write([2; 100]));
    drop(guards);
    stranger.try_write([2; 100]).unwrap();
    assert_eq!(*cortex.read_guard().unwrap(), [2; 100]);
}

// ---- A reader beside a writer that never pauses ----------------------------------------------

#[test]
fn reader_beside_a_publisher_that_never_pauses_gets_through() {
    let kernel = Kernel::new();
    for size in [8, 4096, 1 << 20] {
        for slots in [2, 3] {
            let options = SegmentOptions::new().slots(slots);
            let segment: Segment<SeqLock> = options.create(kernel.key(), size).unwrap();
            segment.write_at(0, &filled(size, 7)).unwrap();
            let over = std::sync::atomic::AtomicBool::new(false);
            let begun = Gate::new();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let payloads = [filled(size, 1), filled(size, 2)];
                    let mut guard = segment.write_guard().unwrap();
                    begun.open();
                    for payload in payloads.iter().cycle() {
                        guard.copy_from_slice(payload);
                        guard.publish().unwrap();
                        if over.load(std::sync::atomic::Ordering::Relaxed) {
                            break;
                        }
                    }
                });
                begun.pass();
                let reader: Segment<SeqLock> = Segment::attach(segment.key(), size).unwrap();
                let mut payload = vec![0; size];
                for _ in 0..30 {
                    reader.read_at(0, &mut payload).unwrap();
                    check(&payload);
                }
                over.store(true, std::sync::atomic::Ordering::Relaxed);
            });
            let mut guard = segment.write_guard().unwrap();
            fill(&mut guard, 3);
            guard.commit().unwrap();
        }
    }
}
