//! A forked child may use inherited handles; it removes nothing and releases nothing of its parent's.

use crate::by_lock;
use crate::common::{fork, segment_id, sets_of, Child, Gate, Kernel, Role, LOCKS};
use neocortex::{
    inspect, Cortex, CortexBuilder, CortexError, CortexSync, Observer, Segment, SegmentObserver,
    SegmentOptions,
};
use std::time::Duration;

/// So that waiting for what the parent holds ends.
const SHORT: Option<Duration> = Some(Duration::from_millis(20));

type Value = [u64; 20];

fn create<L: CortexSync>(kernel: &Kernel, slots: u32) -> Cortex<Value, L> {
    CortexBuilder::new([1; 20])
        .key(kernel.key())
        .slots(slots)
        .with_default_lock()
        .unwrap()
}

macro_rules! every_lock {
    ($($(#[$meta:meta])* $name:ident = $function:ident;)*) => { $(
        #[test]
        fn $name() {
            let kernel = Kernel::new();
            for name in LOCKS {
                println!("{name}");
                by_lock!(name, $function(&kernel));
            }
        }
    )* };
}

every_lock! {
    child_uses_inherited_handles_of_every_kind = uses_inherited_handles;
    child_that_drops_removes_nothing = drops_handles;
    child_that_drops_guards_releases_nothing = drops_guards;
    child_cannot_commit_what_its_parent_began = commits_guards;
    child_that_claimed_its_own_slot_still_releases_nothing_of_the_parents = claims_then_drops_guards;
    child_forked_within_an_update_changes_nothing = forks_within_update;
    child_outlives_its_parent = outlives;
    child_killed_while_holding_is_passed = killed_while_holding;
    grandchild_is_as_good_as_a_child = grandchild;
    many_children_count_together = count_together;
}

fn uses_inherited_handles<L: CortexSync>(kernel: &Kernel) {
    for slots in [1, 2] {
        let owner = create::<L>(kernel, slots);
        let key = owner.key();
        let attached: Cortex<Value, L> = Cortex::attach(key).unwrap();
        let segment: Segment<L> = SegmentOptions::new().attach(key, 0).unwrap();
        let observer = Observer::<Value>::attach(key).unwrap();
        let bytes = SegmentObserver::attach(key, 0).unwrap();
        fork(|| {
            assert!(!owner.is_owner());
            for (handle, value) in [(&owner, 2), (&attached, 5)] {
                handle.write([value; 20]).unwrap();
                assert_eq!(handle.read().unwrap(), [value; 20]);
                handle.update(|current| current[0] += 1).unwrap();
                let mut guard = handle.write_guard().unwrap();
                guard[1] += 1;
                guard.commit().unwrap();
                assert_eq!(
                    handle.read_guard().unwrap()[..3],
                    [value + 1, value + 1, value]
                );
                assert_eq!(observer.read().unwrap(), handle.read().unwrap());
            }
            segment.write_at(160 - 8, &99_u64.to_ne_bytes()).unwrap();
            let mut last = [0; 8];
            bytes.read_at(152, &mut last).unwrap();
            assert_eq!(u64::from_ne_bytes(last), 99);
            // Three of the parent's, three of the child's.
            assert_eq!(owner.segment().participants().unwrap().0, 6);
            let version = owner.version();
            assert_eq!(attached.wait_changed(version - 1, None).unwrap(), version);
            let late = segment
                .wait_changed(version, Some(Duration::ZERO))
                .unwrap_err();
            assert!(matches!(late, CortexError::Timeout { .. }), "{late}");
        })
        .join();
        assert!(owner.is_owner());
        assert_eq!(
            owner.segment().participants().unwrap().0,
            3,
            "the child's slots are free again"
        );
        let value = owner.read().unwrap();
        assert_eq!((value[0], value[1], value[2], value[19]), (6, 6, 5, 99));
        assert_eq!(owner.version(), 7);
        owner.write([0; 20]).unwrap();
    }
}

fn drops_handles<L: CortexSync>(kernel: &Kernel) {
    let owner = create::<L>(kernel, 2);
    let attached: Cortex<Value, L> = Cortex::attach(owner.key()).unwrap();
    let id = segment_id(owner.key()).unwrap();
    // Moved into the child's copy of the closure, and dropped there alone.
    let pair = std::mem::ManuallyDrop::new((owner, attached));
    for uses_first in [false, true] {
        fork(|| {
            // SAFETY: this is the child's copy, which it owns; the parent keeps its own.
            let (owner, attached) = unsafe { std::ptr::read(&*pair) };
            if uses_first {
                owner.write([3; 20]).unwrap();
                attached.write([4; 20]).unwrap();
            }
            owner.persist();
            drop(owner);
            attached.close().unwrap();
        })
        .join();
        assert_eq!(segment_id(pair.0.key()), Some(id));
        assert_eq!(sets_of(id).len(), 1);
        assert!(!pair.1.segment().is_removed());
        assert_eq!(pair.0.segment().participants().unwrap().0, 2);
        assert!(pair.0.is_owner(), "the child's persist is the child's");
        pair.1.write([5; 20]).unwrap();
    }
    let key = pair.0.key();
    let (owner, attached) = std::mem::ManuallyDrop::into_inner(pair);
    drop((attached, owner));
    assert_ne!(segment_id(key), Some(id));
    assert!(sets_of(id).is_empty());
}

/// Whether the value is taken, asked by another process.
fn is_held<L: CortexSync>(key: i32) {
    Child::spawn("role_find_it_held", &[&key, &L::NAME]).finish();
}

#[test]
fn role_find_it_held() {
    fn ask<L: CortexSync>(role: &Role) {
        let cortex: Cortex<Value, L> = Cortex::attach(role.key()).unwrap();
        let late = cortex.try_write([9; 20]).unwrap_err();
        assert!(
            matches!(late, CortexError::Timeout { .. }),
            "not held: {late}"
        );
    }
    let Some(role) = Role::of("role_find_it_held") else {
        return;
    };
    by_lock!(role.text(1), ask(&role));
}

fn drops_guards<L: CortexSync>(kernel: &Kernel) {
    for slots in [1, 2] {
        let owner = create::<L>(kernel, slots);
        let mut guard = owner.write_guard().unwrap();
        guard[0] = 2;
        let guard = std::mem::ManuallyDrop::new(guard);
        fork(|| {
            // SAFETY: the child's copy of the guard.
            drop(unsafe { std::ptr::read(&*guard) });
        })
        .join();
        is_held::<L>(owner.key());
        std::mem::ManuallyDrop::into_inner(guard).commit().unwrap();
        assert_eq!(owner.read().unwrap()[..2], [2, 1]);

        let guard = std::mem::ManuallyDrop::new(owner.read_guard().unwrap());
        fork(|| {
            // SAFETY: the child's copy of the guard.
            drop(unsafe { std::ptr::read(&*guard) });
        })
        .join();
        is_held::<L>(owner.key());
        drop(std::mem::ManuallyDrop::into_inner(guard));
        owner.try_write([7; 20]).unwrap();
    }
}

fn commits_guards<L: CortexSync>(kernel: &Kernel) {
    let owner = create::<L>(kernel, 2);
    let guard = std::mem::ManuallyDrop::new(owner.write_guard().unwrap());
    fork(|| {
        // SAFETY: the child's copy of the guard.
        let mut guard = unsafe { std::ptr::read(&*guard) };
        let refused = guard.publish().unwrap_err();
        assert!(matches!(refused, CortexError::Busy { .. }), "{refused}");
        let refused = guard.publish_and_refresh().unwrap_err();
        assert!(matches!(refused, CortexError::Busy { .. }), "{refused}");
        let refused = guard.commit().unwrap_err();
        assert!(matches!(refused, CortexError::Busy { .. }), "{refused}");
    })
    .join();
    assert_eq!(owner.version(), 0);
    is_held::<L>(owner.key());
    drop(std::mem::ManuallyDrop::into_inner(guard));
    owner.try_write([7; 20]).unwrap();
}

fn claims_then_drops_guards<L: CortexSync>(kernel: &Kernel) {
    let owner = create::<L>(kernel, 2);
    owner.set_timeout(SHORT);
    let mut guard = owner.write_guard().unwrap();
    guard[0] = 2;
    let guard = std::mem::ManuallyDrop::new(guard);
    fork(|| {
        // Waits for its parent, as any other process would, and is not told that it holds it itself.
        let late = owner.write([9; 20]).unwrap_err();
        assert!(matches!(late, CortexError::Timeout { .. }), "{late}");
        // SAFETY: the child's copy of the guard.
        drop(unsafe { std::ptr::read(&*guard) });
        let late = owner.write([9; 20]).unwrap_err();
        assert!(matches!(late, CortexError::Timeout { .. }), "{late}");
    })
    .join();
    is_held::<L>(owner.key());
    std::mem::ManuallyDrop::into_inner(guard).commit().unwrap();

    let guard = std::mem::ManuallyDrop::new(owner.read_guard().unwrap());
    fork(|| {
        let late = owner.write([9; 20]).unwrap_err();
        assert!(matches!(late, CortexError::Timeout { .. }), "{late}");
        // SAFETY: the child's copy of the guard.
        drop(unsafe { std::ptr::read(&*guard) });
        let late = owner.write([9; 20]).unwrap_err();
        assert!(matches!(late, CortexError::Timeout { .. }), "{late}");
    })
    .join();
    is_held::<L>(owner.key());
    drop(std::mem::ManuallyDrop::into_inner(guard));
    assert_eq!(owner.read().unwrap()[0], 2);
    owner.try_write([7; 20]).unwrap();
}

fn forks_within_update<L: CortexSync>(kernel: &Kernel) {
    let owner = create::<L>(kernel, 2);
    owner
        .update(|value| {
            let child = fork(|| {
                let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    assert_eq!(owner.version(), 0);
                }));
                assert!(refused.is_ok());
            });
            child.join();
            value[0] = 2;
        })
        .unwrap();
    // The child returns from the closure itself.
    let (mut from, mut to) = crate::common::pipe();
    let me = std::process::id();
    let result = owner.update(|value| {
        // SAFETY: the child reports through the pipe and `_exit`s below.
        let child = unsafe { libc::fork() };
        assert_ne!(child, -1);
        value[1] = if child == 0 { 100 } else { 3 };
        child
    });
    if std::process::id() != me {
        use std::io::Write;
        let is_refused = matches!(result, Err(CortexError::Busy { .. }));
        let _ = to.write_all(if is_refused {
            b"refused"
        } else {
            b"not refused"
        });
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    drop(to);
    let mut words = String::new();
    std::io::Read::read_to_string(&mut from, &mut words).unwrap();
    // SAFETY: a child of ours; its status does not matter.
    unsafe { libc::waitpid(result.unwrap(), std::ptr::null_mut(), 0) };
    assert_eq!(words, "refused");
    assert_eq!(owner.read().unwrap()[..3], [2, 3, 1]);
    assert_eq!(owner.version(), 2);
}

fn outlives<L: CortexSync>(kernel: &Kernel) {
    // The parent removes, then the child goes on.
    let owner = create::<L>(kernel, 2);
    let id = segment_id(owner.key()).unwrap();
    let (used, gone) = (Gate::new(), Gate::new());
    let child = fork(|| {
        owner.write([2; 20]).unwrap();
        used.open();
        gone.pass();
        assert!(owner.segment().is_removed());
        owner.write([3; 20]).unwrap();
        assert_eq!(owner.read().unwrap(), [3; 20]);
        let removed = owner.wait_changed(owner.version(), None).unwrap_err();
        assert!(matches!(removed, CortexError::Removed { .. }), "{removed}");
        // SAFETY: the child's copy, which it owns.
        drop(unsafe { std::ptr::read(&owner) });
        assert!(
            sets_of(id).is_empty(),
            "whoever leaves last takes the semaphores away"
        );
    });
    used.pass();
    assert_eq!(owner.read().unwrap(), [2; 20]);
    drop(owner);
    gone.open();
    child.join();

    // The same, where the child has not used the handle before: the semaphores are gone.
    let owner = create::<L>(kernel, 2);
    let gone = Gate::new();
    let child = fork(|| {
        gone.pass();
        if L::OPTIMISTIC_READS {
            assert_eq!(owner.read().unwrap(), [1; 20]);
        }
        let removed = owner.write([3; 20]).unwrap_err();
        assert!(matches!(removed, CortexError::Removed { .. }), "{removed}");
        // SAFETY: the child's copy, which it owns.
        drop(unsafe { std::ptr::read(&owner) });
    });
    drop(owner);
    gone.open();
    child.join();
}

#[test]
fn child_of_a_killed_parent_goes_on() {
    let kernel = Kernel::new();
    for name in LOCKS {
        let key = kernel.key();
        let mut parent = Child::spawn("role_fork_and_die", &[&key, &name]);
        parent.expect("both");
        parent.kill();
        // The child has seen its parent go, and counts on.
        fn watch<L: CortexSync>(key: i32) {
            let cortex: Cortex<Value, L> = Cortex::attach(key).unwrap();
            let mut version = cortex.version();
            while cortex.read().unwrap()[1] == 0 {
                version = cortex.wait_changed(version, None).unwrap();
            }
            // Tells the child to end, and awaits it.
            let mut ended = cortex.segment().participants().unwrap().0;
            cortex.update(|value| value[2] = 1).unwrap();
            while ended > 1 {
                std::thread::yield_now();
                ended = cortex.segment().participants().unwrap().0;
            }
        }
        by_lock!(name, watch(key));
        // Not `reclaim`: a child that a parallel test forks is attached to whatever this process is.
        inspect::remove(key).unwrap();
    }
}

#[test]
fn role_fork_and_die() {
    fn run<L: CortexSync>(role: &Role) {
        let cortex: Cortex<Value, L> = CortexBuilder::new([0; 20])
            .key(role.key())
            .with_default_lock()
            .unwrap();
        // Held by the parent when it dies.
        let guard = cortex.write_guard().unwrap();
        let parent = std::process::id();
        // SAFETY: the child uses this library, and `_exit`s.
        if unsafe { libc::fork() } == 0 {
            role.say("both");
            cortex.update(|value| value[0] = 1).unwrap();
            assert_ne!(
                std::os::unix::process::parent_id(),
                parent,
                "not before the parent died"
            );
            while cortex
                .update(|value| {
                    value[1] += 1;
                    value[2]
                })
                .unwrap()
                == 0
            {}
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        role.listen();
        drop(guard);
    }
    let Some(role) = Role::of("role_fork_and_die") else {
        return;
    };
    by_lock!(role.text(1), run(&role));
}

fn killed_while_holding<L: CortexSync>(kernel: &Kernel) {
    let owner = create::<L>(kernel, 2);
    for reads in [false, true] {
        let held = Gate::new();
        let never = Gate::new();
        let child = fork(|| {
            let _read = reads.then(|| owner.read_guard().unwrap());
            let _write = (!reads).then(|| owner.write_guard().unwrap());
            held.open();
            never.pass();
        });
        held.pass();
        let late = owner.try_write([2; 20]).unwrap_err();
        assert!(matches!(late, CortexError::Timeout { .. }), "{late}");
        child.kill();
        owner.write([2; 20]).unwrap();
        assert_eq!(owner.read().unwrap(), [2; 20]);
    }
}

fn grandchild<L: CortexSync>(kernel: &Kernel) {
    let owner = create::<L>(kernel, 2);
    fork(|| {
        owner.update(|value| value[0] += 1).unwrap();
        fork(|| {
            owner.update(|value| value[0] += 1).unwrap();
            assert_eq!(owner.segment().participants().unwrap().0, 3);
            fork(|| owner.update(|value| value[0] += 1).unwrap()).join();
        })
        .join();
        owner.update(|value| value[0] += 1).unwrap();
    })
    .join();
    assert_eq!(owner.read().unwrap()[0], 5);
    assert_eq!(owner.segment().participants().unwrap().0, 1);
}

fn count_together<L: CortexSync>(kernel: &Kernel) {
    let owner = create::<L>(kernel, 2);
    owner.write([0; 20]).unwrap();
    let work = || {
        for _ in 0..500 {
            owner
                .update(|value| value.iter_mut().for_each(|count| *count += 1))
                .unwrap();
            let value = owner.read().unwrap();
            assert!(value.iter().all(|&count| count == value[0]));
        }
    };
    let children: Vec<_> = (0..4).map(|_| fork(work)).collect();
    work();
    children.into_iter().for_each(|child| child.join());
    assert_eq!(owner.read().unwrap(), [2500; 20]);
}

#[test]
fn threads_of_a_child_claim_one_slot_between_them() {
    let how = "threads of a forked child claim one slot between them";
    let why = "qemu-user ends a forked child that makes threads, by an assertion of its own";
    if crate::common::is_emulated("P9", how, why) {
        return;
    }
    let kernel = Kernel::new();
    let owner = create::<neocortex::SeqLock>(&kernel, 2);
    for _ in 0..20 {
        fork(|| {
            let start = std::sync::Barrier::new(4);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        start.wait();
                        owner.update(|value| value[0] += 1).unwrap();
                    });
                }
            });
            assert_eq!(owner.segment().participants().unwrap().0, 2);
        })
        .join();
    }
    assert_eq!(owner.read().unwrap()[0], 81);
}

/// Forks past the handlers of the libc: by a raw `clone`, or by `_Fork` where there is one.
#[cfg(target_os = "linux")]
fn fork_raw(by_clone: bool) -> Option<i32> {
    if by_clone {
        // SAFETY: with these arguments it is a fork. The caller has one thread.
        return Some(unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as i32);
    }
    // SAFETY: a string; the symbol, where it is there, is this function (POSIX.1-2024).
    unsafe {
        let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"_Fork".as_ptr());
        let function: Option<extern "C" fn() -> i32> = std::mem::transmute(symbol);
        function.map(|function| function())
    }
}

#[cfg(target_os = "linux")]
fn bypasses_handlers<L: CortexSync>(kernel: &Kernel) -> u64 {
    let mut cases = 0;
    for by_clone in [true, false] {
        for reads in [false, true] {
            let owner = create::<L>(kernel, 2);
            // In a process of one thread, so that the child inherits no lock of the allocator's.
            fork(|| {
                let read = reads.then(|| owner.read_guard().unwrap());
                let write = (!reads).then(|| owner.write_guard().unwrap());
                let guards = std::mem::ManuallyDrop::new((read, write));
                let Some(id) = fork_raw(by_clone) else {
                    return;
                };
                if id == 0 {
                    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        assert!(owner.try_write([9; 20]).is_err());
                        // SAFETY: this process's copy of the guards.
                        drop(unsafe { std::ptr::read(&*guards) });
                        assert!(owner.try_write([9; 20]).is_err());
                        assert_eq!(owner.segment().participants().unwrap().0, 3);
                    }));
                    // SAFETY: ends this process.
                    unsafe { libc::_exit(i32::from(result.is_err())) };
                }
                let mut status = 0;
                // SAFETY: a child of this process, and a live place.
                assert_eq!(unsafe { libc::waitpid(id, &mut status, 0) }, id);
                assert_eq!(status, 0, "the child found its parent's guard released");
                is_held::<L>(owner.key());
                let (read, write) = std::mem::ManuallyDrop::into_inner(guards);
                drop(read);
                if let Some(mut guard) = write {
                    guard[0] = 2;
                    guard.commit().unwrap();
                }
                owner.try_write([7; 20]).unwrap();
            })
            .join();
            cases += 1;
        }
    }
    cases
}

#[test]
#[cfg(target_os = "linux")]
fn forks_past_the_handlers_of_the_libc_are_seen() {
    let how = "forked by clone(2) and by _Fork with a read or a write guard held: the child uses the handle, drops \
        the guard and ends, the parent's guard stays good; each lock";
    let why = "qemu-user does not follow MADV_WIPEONFORK";
    if crate::common::is_emulated("P9", how, why) {
        return;
    }
    let kernel = Kernel::new();
    let mut cases = 0;
    for name in LOCKS {
        cases += by_lock!(name, bypasses_handlers(&kernel));
    }
    crate::common::proof::passed("P9", how, cases);
}

/// `daemon(3)`: the child goes on where its parent ends, and takes the cortex with it.
#[test]
fn child_that_takes_ownership_is_the_one_that_removes() {
    let kernel = Kernel::new();
    let owner = create::<neocortex::SeqLock>(&kernel, 2);
    let key = owner.key();
    fork(|| {
        assert!(!owner.is_owner());
        owner.take_ownership().unwrap();
        assert!(owner.is_owner());
        // Its end without a close removes nothing; tests/c/fork.c closes.
    })
    .join();
    assert!(!owner.is_owner(), "ownership has moved");
    drop(owner);
    assert!(segment_id(key).is_some(), "and this was not the owner");
    inspect::reclaim(key).unwrap();
    assert!(segment_id(key).is_none());
}
