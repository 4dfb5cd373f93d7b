//! Event loops and futures: a descriptor is readable until the changes are taken, and a future loses none.

use crate::common::{fork, is_attached, remove_segment, remove_set, segment_id, sets_of, Kernel};
use neocortex::{Cortex, CortexBuilder, CortexError, Observer, WaitSet};
use std::future::Future;
use std::os::fd::AsRawFd;
use std::pin::{pin, Pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

const NEVER: Option<Duration> = Some(Duration::ZERO);

fn create(kernel: &Kernel) -> Cortex<u64> {
    CortexBuilder::new(0)
        .key(kernel.key())
        .participants(4)
        .create()
        .unwrap()
}

/// Waits so many milliseconds, or for ever, until the set's descriptor is readable.
fn is_readable(set: &mut WaitSet, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd {
        fd: set.fd().unwrap().as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one live pollfd.
    unsafe { libc::poll(&mut poll, 1, milliseconds) == 1 }
}

/// Everything was taken. A helper that was slower than this thread may still tell of what was taken.
fn is_taken(set: &mut WaitSet) {
    while is_readable(set, 0) {
        set.wait(NEVER).unwrap_err();
    }
}

/// The smallest executor: a thread that is unparked.
struct Parked {
    thread: Thread,
    wakes: AtomicU32,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        self.thread.unpark();
    }
}

fn parked() -> (Arc<Parked>, Waker) {
    let parked = Arc::new(Parked {
        thread: std::thread::current(),
        wakes: AtomicU32::new(0),
    });
    (Arc::clone(&parked), parked.into())
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let (_, waker) = parked();
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[test]
fn a_descriptor_is_readable_until_the_changes_are_taken() {
    let kernel = Kernel::new();
    for count in [1, 3, 130] {
        let values: Vec<_> = (0..count).map(|_| create(&kernel)).collect();
        let mut set = WaitSet::new();
        let members: Vec<_> = values.iter().map(|value| set.add(value)).collect();
        assert!(!is_readable(&mut set, 5));
        for turn in 1..20_u64 {
            let at = turn as usize * 97 % count;
            values[at].write(turn).unwrap();
            assert!(is_readable(&mut set, -1));
            assert!(is_readable(&mut set, 0), "nothing was taken");
            assert_eq!(set.wait(NEVER).unwrap()[0].member, members[at]);
            is_taken(&mut set);
        }
        // What is added is told of too, and what has changed by then.
        let late = create(&kernel);
        late.write(1).unwrap();
        let member = set.add_since(&late, 0);
        assert!(is_readable(&mut set, 0));
        assert_eq!(set.wait(None).unwrap()[0].member, member);
        late.write(2).unwrap();
        assert!(is_readable(&mut set, -1));
        assert_eq!(set.wait(None).unwrap()[0].version, 2);
        drop(late);
        assert!(is_readable(&mut set, -1));
        assert!(set.wait(NEVER).unwrap()[0].is_removed);
        assert!(set.remove(members[0]));
        values[0].write(0).unwrap();
        is_taken(&mut set);
    }
}

#[test]
fn a_descriptor_tells_of_a_removal_without_a_word() {
    let kernel = Kernel::new();
    let value = create(&kernel);
    let observer = Observer::<u64>::attach(value.key()).unwrap();
    let mut set = WaitSet::new();
    set.add(&observer);
    assert!(!is_readable(&mut set, 5));
    let id = segment_id(value.key()).unwrap();
    sets_of(id).into_iter().for_each(remove_set);
    remove_segment(id);
    assert!(is_readable(&mut set, -1));
    assert!(set.wait(NEVER).unwrap()[0].is_removed);
    assert!(set.is_empty());
    is_taken(&mut set);
}

#[test]
fn a_future_waits_for_the_next_commit_and_is_told_of_a_removal() {
    let kernel = Kernel::new();
    let value = create(&kernel);
    let other: Cortex<u64> = Cortex::attach(value.key()).unwrap();
    let observer = Observer::<u64>::attach(value.key()).unwrap();
    value.write(1).unwrap();
    assert_eq!(block_on(other.changed(0)).unwrap(), 1);
    assert_eq!(block_on(observer.changed(7)).unwrap(), 1);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..200).for_each(|turn| value.write(turn).unwrap()));
        let mut version = 1;
        while version < 201 {
            let next = block_on(other.changed(version)).unwrap();
            assert!(next > version);
            version = next;
        }
    });
    // One after the other: each waits for what the other has been told.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0..100 {
                assert_eq!(
                    block_on(observer.changed(201 + 2 * turn)).unwrap(),
                    202 + 2 * turn
                );
                value.write(turn).unwrap();
            }
        });
        for turn in 0..100 {
            value.write(turn).unwrap();
            assert_eq!(
                block_on(other.changed(202 + 2 * turn)).unwrap(),
                203 + 2 * turn
            );
        }
    });
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| block_on(other.changed(401)));
        drop(value);
        let error = waits.join().unwrap().unwrap_err();
        assert!(matches!(error, CortexError::Removed { .. }), "{error}");
    });
}

#[test]
fn a_follower_in_a_task_reads_every_commit() {
    let kernel = Kernel::new();
    let value: Cortex<u64> = CortexBuilder::new(0)
        .key(kernel.key())
        .slots(1_024)
        .create()
        .unwrap();
    let other: Cortex<u64> = Cortex::attach(value.key()).unwrap();
    let observer = Observer::<u64>::attach(value.key()).unwrap();
    for mut follower in [other.follow(0), observer.follow(0)] {
        // Of the position that it had, and not of the follower, which goes on.
        let first = follower.arrived();
        let written = value.version();
        std::thread::scope(|scope| {
            scope.spawn(|| (1..=300).for_each(|turn| value.write(written + turn).unwrap()));
            assert!(block_on(first).unwrap() > 0);
            while follower.position() < written + 300 {
                block_on(follower.arrived()).unwrap();
                while let Some(commit) = follower.try_next().unwrap() {
                    assert_eq!((commit.value, commit.missed), (commit.version, 0));
                }
            }
        });
        let (_, waker) = parked();
        assert!(poll_once(pin!(follower.arrived()), &waker).is_pending());
    }
    // What is kept is read first.
    value.write(601).unwrap();
    let mut late = other.follow(600);
    drop(value);
    assert_eq!(block_on(late.arrived()).unwrap(), 601);
    assert_eq!(late.try_next().unwrap().unwrap().value, 601);
    let error = block_on(late.arrived()).unwrap_err();
    assert!(matches!(error, CortexError::Removed { .. }), "{error}");
}

/// As in a `select!` whose other branch is faster: nothing is lost, and nobody is woken who does not wait.
#[test]
fn a_future_may_be_dropped_at_any_time() {
    let kernel = Kernel::new();
    let value = create(&kernel);
    let other: Cortex<u64> = Cortex::attach(value.key()).unwrap();
    let (asleep, waker) = parked();
    for turn in 0..50 {
        let mut dropped = Box::pin(other.changed(turn));
        assert!(poll_once(dropped.as_mut(), &waker).is_pending());
        drop(dropped);
        let mut all = [0; 3].map(|_| Box::pin(other.changed(turn)));
        let wakers = [0; 3].map(|_| parked());
        for (one, (_, waker)) in all.iter_mut().zip(&wakers) {
            assert!(poll_once(one.as_mut(), waker).is_pending());
        }
        value.write(turn).unwrap();
        for (one, (parked, waker)) in all.iter_mut().zip(&wakers) {
            while parked.wakes.load(Ordering::Relaxed) == 0 {
                std::thread::park();
            }
            match poll_once(one.as_mut(), waker) {
                Poll::Ready(version) => assert_eq!(version.unwrap(), turn + 1),
                Poll::Pending => panic!("it was woken for nothing"),
            }
        }
    }
    assert_eq!(asleep.wakes.load(Ordering::Relaxed), 0);
    // With the handle goes the helper's mapping.
    let key = value.key();
    drop(other);
    drop(value);
    assert!(!is_attached(key));
}

#[test]
fn a_set_in_a_future_tells_all_that_have_changed() {
    let kernel = Kernel::new();
    for count in [2, 130] {
        let values: Vec<_> = (0..count).map(|_| create(&kernel)).collect();
        let mut set = WaitSet::new();
        let members: Vec<_> = values.iter().map(|value| set.add(value)).collect();
        let (asleep, waker) = parked();
        let mut dropped = Box::pin(set.changed());
        assert!(poll_once(dropped.as_mut(), &waker).is_pending());
        drop(dropped);
        std::thread::scope(|scope| {
            scope.spawn(|| values.iter().for_each(|value| value.write(1).unwrap()));
            let mut told = Vec::new();
            while told.len() < count {
                told.extend(block_on(set.changed()).unwrap().iter().map(|it| it.member));
            }
            told.sort();
            assert_eq!(told, members);
        });
        assert_eq!(asleep.wakes.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn a_forked_child_has_helpers_and_descriptors_of_its_own() {
    let kernel = Kernel::new();
    let value = create(&kernel);
    let other: Cortex<u64> = Cortex::attach(value.key()).unwrap();
    let mut set = WaitSet::new();
    set.add(&other);
    assert!(!is_readable(&mut set, 5));
    let (_, waker) = parked();
    let mut pending = Box::pin(other.changed(0));
    assert!(poll_once(pending.as_mut(), &waker).is_pending());
    fork(|| {
        value.write(1).unwrap();
        assert_eq!(block_on(pending.as_mut()).unwrap(), 1);
        assert!(is_readable(&mut set, -1));
        assert_eq!(set.wait(NEVER).unwrap()[0].version, 1);
        value.write(2).unwrap();
        assert!(is_readable(&mut set, -1));
        assert_eq!(block_on(other.changed(1)).unwrap(), 2);
    })
    .join();
    // The parent's is as it was.
    assert!(is_readable(&mut set, -1));
    assert_eq!(set.wait(NEVER).unwrap()[0].version, 2);
    is_taken(&mut set);
    assert_eq!(block_on(pending).unwrap(), 2);
}

/// The system has no more threads, or no more descriptors. A process of its own, for the helpers of other tests would do.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(neocortex_portable)))]
fn what_the_system_refuses_is_said_and_works_when_it_does_not() {
    let kernel = Kernel::new();
    let key = kernel.key();
    crate::common::Child::spawn("role_is_refused", &[&key]).finish();
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(neocortex_portable)))]
fn role_is_refused() {
    use crate::wait_set::refuse;
    let Some(role) = crate::common::Role::of("role_is_refused") else {
        return;
    };
    let value: Cortex<u64> = CortexBuilder::new(0).key(role.key()).create().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            refuse(libc::SYS_eventfd2 as u32, libc::EMFILE);
            let error = WaitSet::new().fd().unwrap_err();
            assert_eq!(error.system().unwrap().raw_os_error(), Some(libc::EMFILE));
            for call in [libc::SYS_clone3, libc::SYS_clone] {
                refuse(call as u32, libc::EAGAIN);
            }
            let error = block_on(value.changed(0)).unwrap_err();
            assert_eq!(error.system().unwrap().raw_os_error(), Some(libc::EAGAIN));
            // A set that is too large to sleep by itself looks at intervals.
            let mut set = WaitSet::new();
            for _ in 0..130 {
                set.add(&value);
            }
            set.wait(Some(Duration::from_millis(5))).unwrap_err();
            value.write(1).unwrap();
            assert_eq!(set.wait(None).unwrap().len(), 130);
        });
    });
    // Another thread, without the filter.
    let (_, waker) = parked();
    let mut future = Box::pin(value.changed(1));
    assert!(poll_once(future.as_mut(), &waker).is_pending());
}

#[cfg(feature = "stream")]
mod streams {
    use super::*;
    use futures_core::stream::FusedStream;
    use futures_util::StreamExt;
    use neocortex::{SegmentOptions, SeqLock};

    #[test]
    fn a_stream_yields_every_commit_and_ends_with_the_cortex() {
        let kernel = Kernel::new();
        let value: Cortex<u64> = CortexBuilder::new(0)
            .key(kernel.key())
            .slots(1_024)
            .create()
            .unwrap();
        let other: Cortex<u64> = Cortex::attach(value.key()).unwrap();
        let mut commits = other.follow(0).into_stream();
        std::thread::scope(|scope| {
            scope.spawn(|| (1..=300).for_each(|turn| value.write(turn).unwrap()));
            for version in 1..=300 {
                let commit = block_on(commits.next()).unwrap().unwrap();
                let found = (commit.value, commit.version, commit.missed);
                assert_eq!(found, (version, version, 0));
            }
        });
        let (parked, waker) = parked();
        assert!(poll_once(pin!(commits.next()), &waker).is_pending());
        // The follower goes on where the stream was.
        value.write(301).unwrap();
        let mut follower = commits.into_follower();
        assert_eq!(follower.try_next().unwrap().unwrap().value, 301);
        value.write(302).unwrap();
        let mut commits = follower.into_stream();
        drop(value);
        assert_eq!(block_on(commits.next()).unwrap().unwrap().value, 302);
        let error = block_on(commits.next()).unwrap().unwrap_err();
        assert!(matches!(error, CortexError::Removed { .. }), "{error}");
        assert!(commits.is_terminated());
        assert!(block_on(commits.next()).is_none());
        drop(parked);
    }

    /// A position of a former cortex is told once, and not for ever.
    #[test]
    fn a_stream_is_over_after_an_error_that_would_come_again() {
        let kernel = Kernel::new();
        let value = create(&kernel);
        let mut commits = value.follow(1_000).into_stream();
        let error = block_on(commits.next()).unwrap().unwrap_err();
        assert!(
            matches!(error, CortexError::InvalidArgument { .. }),
            "{error}"
        );
        assert!(block_on(commits.next()).is_none());
    }

    /// What is no value of the type was passed over, and counts as missed.
    #[test]
    fn a_stream_goes_on_after_a_commit_that_is_no_value() {
        let kernel = Kernel::new();
        let value: Cortex<u8> = CortexBuilder::new(0)
            .key(kernel.key())
            .slots(8)
            .create()
            .unwrap();
        let flag: Cortex<bool> = Cortex::attach(value.key()).unwrap();
        let mut commits = flag.follow(0).into_stream();
        for byte in [1, 7, 0] {
            value.write(byte).unwrap();
        }
        assert!(block_on(commits.next()).unwrap().unwrap().value);
        let error = block_on(commits.next()).unwrap().unwrap_err();
        assert!(matches!(error, CortexError::InvalidValue { .. }), "{error}");
        let last = block_on(commits.next()).unwrap().unwrap();
        assert_eq!((last.value, last.missed), (false, 1));
    }

    #[test]
    fn a_stream_of_a_segment_yields_records_and_values() {
        let kernel = Kernel::new();
        let options = SegmentOptions::new().slots(8).records();
        let log = options.create::<SeqLock>(kernel.key(), 100).unwrap();
        let mut records = log.follow(0).into_stream();
        log.push(b"first").unwrap();
        log.push(b"").unwrap();
        for (record, version) in [(&b"first"[..], 1), (b"", 2)] {
            let found = block_on(records.next()).unwrap().unwrap();
            assert_eq!((&found.value[..], found.version), (record, version));
        }
        assert_eq!(records.into_follower().position(), 2);

        let options = SegmentOptions::new().slots(8);
        let values = options.create::<SeqLock>(kernel.key(), 4).unwrap();
        let mut commits = values.follow(0).into_stream();
        values.write_at(1, b"x").unwrap();
        assert_eq!(
            block_on(commits.next()).unwrap().unwrap().value,
            [0, b'x', 0, 0]
        );
    }

    #[test]
    fn a_stream_of_a_set_yields_each_change_once() {
        let kernel = Kernel::new();
        let values = [create(&kernel), create(&kernel)];
        let mut set = WaitSet::new();
        let members = [0, 1].map(|index| set.add(&values[index]));
        let (_, waker) = parked();
        {
            let mut changes = set.changes();
            assert!(poll_once(pin!(changes.next()), &waker).is_pending());
            for (value, member) in values.iter().zip(members) {
                value.write(1).unwrap();
                let some = block_on(changes.next()).unwrap().unwrap();
                assert_eq!(some.len(), 1);
                assert_eq!((some[0].member, some[0].version), (member, 1));
            }
            assert!(poll_once(pin!(changes.next()), &waker).is_pending());
            assert!(!changes.is_terminated());
        }
        // The stream has gone, the set is there.
        values[0].write(2).unwrap();
        assert_eq!(set.wait(None).unwrap().len(), 1);
    }
}
