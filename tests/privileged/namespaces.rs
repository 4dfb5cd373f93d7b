//! Containers: PID namespaces that share an IPC namespace, and processes that leave the IPC namespace.
//!
//! A *world* is a PID namespace whose first process runs a closure of the test; other processes of it are
//! given the number that the test asks for. Needs root, or user namespaces for everybody.

#![cfg(target_os = "linux")]

use crate::by_lock;
use crate::common::{
    become_root_inside, fork, is_permitted, proof, segment_id, segment_status, set_mode, sets_of,
    unshare, Forked, Gate, Kernel, LOCKS,
};
use neocortex::capi::*;
use neocortex::inspect::{Untold, Who};
use neocortex::{
    inspect, Cortex, CortexBuilder, CortexError, CortexSync, Observer, SegmentOptions, Semaphore,
};
use std::time::Duration;

type Value = [u64; 20];

/// The parking semaphore's place in a set (`src/protocol/participants.rs`).
const PARKING: i32 = 5;

const HOW_WORLDS: &str = "two PID namespaces on one IPC namespace, both with a process 1 and a process 2: holders \
    and readers killed, one by one and with their namespace, numbers used again; each lock, both layouts";
const HOW_PEOPLE: &str =
    "which process holds, told outside its PID namespace and not told in another one";
const HOW_LEAVING: &str =
    "separate IPC namespaces: no such segment; unshare(CLONE_NEWIPC) while attached and holding";
const HOW_DOUBLES: &str =
    "unshare(CLONE_NEWIPC) while attached, to where another cortex has the same ids: waits, a \
    forked child, dropping a participant and the owner leave it as it is";

const HOW_USERS: &str =
    "user namespaces, at a cortex of mode 0600: its user under another number is let in, another \
    user is refused though it is root inside, and gives nothing to a user without a number there";

const HOW_UNMAPPED: &str =
    "a user without a number in its user namespace (no map, or none of groups) creates, through Rust and C, each \
    lock: the mode cannot be changed there; the cortex has the mode that was asked for, is used from inside and \
    outside, is removed, replaced and adopted by its user, and leaves nothing";

/// A PID namespace in this IPC namespace.
struct World {
    end: Gate,
    outside: Forked,
}

impl World {
    /// Runs `first` as its process 1.
    fn new(first: impl FnOnce()) -> Self {
        let end = Gate::new();
        let outside = fork(|| {
            assert!(unshare(libc::CLONE_NEWPID));
            let inside = fork(|| {
                assert_eq!(std::process::id(), 1);
                first();
            });
            end.pass();
            inside.kill();
        });
        Self { end, outside }
    }

    /// Kills its process 1, and with it all the others; when this returns they are gone.
    fn kill(self) {
        self.end.open();
        self.outside.join();
    }
}

/// Arguments of `clone3(2)`, up to those of Linux 5.5.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

/// Forks with a system call of its own, so that no handler of the libc's runs, and with this process number.
fn fork_as(number: i32, work: impl FnOnce()) {
    let arguments = CloneArguments {
        exit_signal: libc::SIGCHLD as u64,
        set_tid: (&raw const number) as u64,
        set_tid_size: 1,
        ..Default::default()
    };
    // SAFETY: without CLONE_VM it is a fork; the child runs `work` and `_exit`s. This process has one
    // thread, so that no lock of the allocator's is inherited.
    let id = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<CloneArguments>(),
        )
    };
    if id == 0 {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(result.is_err())) };
    }
    assert_eq!(
        id,
        number as libc::c_long,
        "{}",
        std::io::Error::last_os_error()
    );
}

/// Waits for the end of a child with this number: its status.
fn reap(number: i32) -> i32 {
    let mut status = 0;
    // SAFETY: a child of this process, and a live place.
    assert_eq!(unsafe { libc::waitpid(number, &mut status, 0) }, number);
    status
}

fn kill(number: i32) {
    // SAFETY: no pointers; a child of this process that it has not waited for.
    assert_eq!(unsafe { libc::kill(number, libc::SIGKILL) }, 0);
    assert_eq!(libc::WTERMSIG(reap(number)), libc::SIGKILL);
}

fn create<L: CortexSync>(kernel: &Kernel, slots: u32) -> Cortex<Value, L> {
    CortexBuilder::new([1; 20])
        .key(kernel.key())
        .slots(slots)
        .with_default_lock()
        .unwrap()
}

fn is_held<L: CortexSync>(cortex: &Cortex<Value, L>) -> bool {
    match cortex.try_write([9; 20]) {
        Ok(()) => false,
        // By another thread, or by this one through another handle.
        Err(CortexError::Timeout { .. } | CortexError::Busy { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

/// Holds in one world, and is killed there, while the other one looks, has processes with the same numbers,
/// and loses one of them.
fn holder_and_its_namesakes<L: CortexSync>(kernel: &Kernel, slots: u32, reads: bool) {
    let owner = create::<L>(kernel, slots);
    let key = owner.key();
    let attach = || Cortex::<Value, L>::attach(key).unwrap();
    let [held, found, die, again, look, looked, never] = &std::array::from_fn(|_| Gate::new());

    let here = World::new(|| {
        let _mine = attach();
        fork_as(2, || {
            let cortex = attach();
            let _read = reads.then(|| cortex.read_guard().unwrap());
            let mut write = (!reads).then(|| cortex.write_guard().unwrap());
            if let Some(guard) = &mut write {
                guard[0] = 99;
            }
            held.open();
            never.pass();
        });
        die.pass();
        kill(2);
        // The dead holder's number is used again, by a participant.
        fork_as(2, || {
            let _other = attach();
            again.open();
            never.pass();
        });
        never.pass();
    });
    held.pass();

    let there = World::new(|| {
        let first = attach();
        // There is no process 2 in this world, but the holder is alive.
        assert!(is_held(&first));
        let die_here = Gate::new();
        fork_as(2, || {
            let cortex = attach();
            assert!(is_held(&cortex));
            die_here.open();
            never.pass();
        });
        die_here.pass();
        kill(2);
        // Process 2 of this world was killed; the holder is alive.
        assert!(is_held(&first));
        fork_as(2, || {
            let second = attach();
            assert!(is_held(&second));
            found.open();
            look.pass();
            // The holder was killed, though this process has its number, and so has another one there.
            second.write([2; 20]).unwrap();
            looked.open();
            never.pass();
        });
        found.open();
        look.pass();
        first.write([2; 20]).unwrap();
        looked.open();
        never.pass();
    });
    found.pass();
    found.pass();
    assert!(is_held(&owner));
    assert_eq!(owner.segment().participants().unwrap().0, 5);
    die.open();
    again.pass();
    look.open();
    look.open();
    looked.pass();
    looked.pass();
    assert_eq!(owner.read().unwrap(), [2; 20]);
    assert_eq!(owner.version(), 2);
    there.kill();
    owner.update(|value| value[1] += 1).unwrap();
    assert_eq!(owner.segment().participants().unwrap().0, 3);
    here.kill();
    owner.update(|value| value[1] += 1).unwrap();
    assert_eq!(owner.read().unwrap()[..3], [2, 4, 2]);
    assert_eq!(owner.segment().participants().unwrap().0, 1);
}

/// All of a world is killed at once, its first process holding.
fn world_killed_while_holding<L: CortexSync>(kernel: &Kernel, slots: u32, reads: bool) {
    let owner = create::<L>(kernel, slots);
    let key = owner.key();
    let [held, never] = &std::array::from_fn(|_| Gate::new());
    let world = World::new(|| {
        let cortex: Cortex<Value, L> = Cortex::attach(key).unwrap();
        let _read = reads.then(|| cortex.read_guard().unwrap());
        let _write = (!reads).then(|| cortex.write_guard().unwrap());
        held.open();
        never.pass();
    });
    held.pass();
    // Process 1 holds, and this world has a process 1 as well.
    assert!(is_held(&owner));
    world.kill();
    owner.write([3; 20]).unwrap();
    assert_eq!(owner.read().unwrap(), [3; 20]);
}

#[test]
fn process_numbers_do_not_matter() {
    if !is_permitted(libc::CLONE_NEWPID, "P2 P8", HOW_WORLDS) {
        return;
    }
    let kernel = Kernel::new();
    let mut cases = 0;
    for _ in 0..proof::cases(10, 1000) {
        for name in LOCKS {
            for slots in [1, 2] {
                for reads in [false, true] {
                    println!("{name}, {slots} slots, reads: {reads}");
                    by_lock!(name, holder_and_its_namesakes(&kernel, slots, reads));
                    by_lock!(name, world_killed_while_holding(&kernel, slots, reads));
                    cases += 2;
                }
            }
        }
    }
    proof::passed("P2 P8", HOW_WORLDS, cases);
}

/// What can be told of a holder, from where its process has a number and from where it has none.
#[test]
fn people_of_another_pid_namespace_cannot_be_told() {
    if !is_permitted(libc::CLONE_NEWPID, "P8", HOW_PEOPLE)
        || crate::common::is_emulated("P8", HOW_PEOPLE, "the emulator's own /proc")
    {
        return;
    }
    let kernel = Kernel::new();
    let owner = create::<neocortex::SeqLock>(&kernel, 2);
    let key = owner.key();
    let [held, told, never] = &std::array::from_fn(|_| Gate::new());
    let holder = World::new(|| {
        let cortex: Cortex<Value> = Cortex::attach(key).unwrap();
        let _guard = cortex.write_guard().unwrap();
        held.open();
        never.pass();
    });
    held.pass();
    let info = inspect::segment(key).unwrap();
    // Here it has a number, which is not the one that it has there.
    let people = inspect::people(&info);
    let Some(Who::Process(process)) = &people.holder else {
        panic!("{:?}", people.holder);
    };
    assert!(process.pid > 1, "{process:?}");
    assert_eq!(inspect::holders([&info])[0], people.holder);
    let world = World::new(|| {
        let _mine: Cortex<Value> = Cortex::attach(key).unwrap();
        let info = inspect::segment(key).unwrap();
        let people = inspect::people(&info);
        let elsewhere = |who: &Who| {
            matches!(
                who,
                Who::Untold {
                    pid: None,
                    why: Untold::OtherNamespace
                }
            )
        };
        assert!(elsewhere(people.holder.as_ref().unwrap()), "{people:?}");
        assert!(elsewhere(&people.maker), "{people:?}");
        assert!(elsewhere(&people.participants[0].who), "{people:?}");
        // Its own number is known, and /proc shows that of another process.
        let Who::Untold { pid, why } = people.participants[2].who else {
            panic!("{people:?}");
        };
        assert_eq!((pid, why), (Some(1), Untold::OtherProc));
        assert_eq!((people.onlookers.len(), people.waiters.len()), (0, 0));
        assert_eq!(people.unseen_mappings, info.attached);
        told.open();
        never.pass();
    });
    told.pass();
    world.kill();
    holder.kill();
    proof::passed("P8", HOW_PEOPLE, 2);
}

fn assert_says_no_such_segment(error: &CortexError, key: i32) {
    assert!(matches!(error, CortexError::CleanSystem(_)), "{error:?}");
    assert_eq!(error.system().unwrap().raw_os_error(), Some(libc::ENOENT));
    let text = error.to_string();
    for part in [&format!("key {key}"), "shmget: ENOENT", "IPC namespace"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

fn from_another_ipc_namespace<L: CortexSync + std::fmt::Debug>(kernel: &Kernel) {
    let owner = create::<L>(kernel, 2);
    let key = owner.key();
    fork(|| {
        assert!(unshare(libc::CLONE_NEWIPC));
        assert_says_no_such_segment(&Cortex::<Value, L>::attach(key).unwrap_err(), key);
        assert_says_no_such_segment(&SegmentOptions::new().attach::<L>(key, 0).unwrap_err(), key);
        assert_says_no_such_segment(&Observer::<Value>::attach(key).unwrap_err(), key);
        assert_says_no_such_segment(&inspect::remove(key).unwrap_err(), key);
        inspect::reclaim(key).unwrap();
        assert_eq!(inspect::segments().unwrap(), []);
        // The key is free there.
        let other: Cortex<Value, L> = CortexBuilder::new([5; 20])
            .key(key)
            .with_default_lock()
            .unwrap();
        other.write([6; 20]).unwrap();
        other.close().unwrap();
    })
    .join();
    assert_eq!(owner.read().unwrap(), [1; 20]);
    owner.write([2; 20]).unwrap();
}

/// The documented limit: whoever leaves is taken for dead, and its locks are passed.
fn leaves_while_attached<L: CortexSync + std::fmt::Debug>(kernel: &Kernel, holds: bool) {
    let owner = create::<L>(kernel, 2);
    let key = owner.key();
    let id = segment_id(key).unwrap();
    let [attached, leave, left, close] = &std::array::from_fn(|_| Gate::new());
    let child = fork(|| {
        let cortex: Cortex<Value, L> = Cortex::attach(key).unwrap();
        let guard = holds.then(|| cortex.write_guard().unwrap());
        attached.open();
        leave.pass();
        assert!(unshare(libc::CLONE_NEWIPC));
        left.open();
        close.pass();
        drop(guard);
        // The memory is still shared, and there is nobody to ask who is alive.
        assert_eq!(cortex.segment().size(), 160);
        let removed = cortex.segment().participants().unwrap_err();
        assert!(matches!(removed, CortexError::Removed { .. }), "{removed}");
        assert_says_no_such_segment(&Cortex::<Value, L>::attach(key).unwrap_err(), key);
        cortex.close().unwrap();
    });
    attached.pass();
    assert_eq!(owner.segment().participants().unwrap().0, 2);
    assert_eq!(is_held(&owner), holds);
    leave.open();
    left.pass();
    assert_eq!(owner.segment().participants().unwrap().0, 1);
    owner.write([2; 20]).unwrap();
    assert_eq!(owner.read().unwrap(), [2; 20]);
    close.open();
    child.join();
    assert_eq!(segment_id(key), Some(id));
    assert_eq!(sets_of(id).len(), 1);
    owner.write([3; 20]).unwrap();
    assert_eq!(owner.read().unwrap(), [3; 20]);
}

/// A cortex and its second handle, the first of a new IPC namespace: the ids are those of any other that was.
fn first_of_a_namespace<L: CortexSync>(key: i32) -> [Cortex<Value, L>; 2] {
    assert!(unshare(libc::CLONE_NEWIPC));
    let builder = CortexBuilder::new([1; 20]).key(key);
    let owner = builder.with_default_lock().unwrap();
    [owner, Cortex::attach(key).unwrap()]
}

/// The ids of the cortex's segment and of its set.
fn ids(key: i32) -> (i32, i32) {
    let id = segment_id(key).unwrap();
    (id, sets_of(id)[0])
}

/// What somebody has left behind never acts on what has its ids where it is now.
fn comes_to_its_double<L: CortexSync + std::fmt::Debug>(kernel: &Kernel) {
    let keys = [kernel.key(), kernel.key()];
    let [found, locked] = &std::array::from_fn(|_| Gate::new());
    fork(|| {
        let [owner, participant] = first_of_a_namespace::<L>(keys[0]);
        let there = ids(keys[0]);
        // Holds, from where it was made, a lock that is not to be passed.
        let holder = fork(|| {
            let cortex: Cortex<Value, L> = Cortex::attach(keys[0]).unwrap();
            let guard = cortex.write_guard().unwrap();
            locked.open();
            found.pass();
            drop(guard);
        });
        locked.pass();
        let [double, other] = first_of_a_namespace::<L>(keys[1]);
        assert_eq!(ids(keys[1]), there);
        let alive = || double.segment().participants().unwrap().0;
        assert_eq!(alive(), 2);
        // The holder has a segment with this id mapped, and it is another one.
        let people = inspect::people(&inspect::segment(keys[1]).unwrap());
        assert_eq!(people.onlookers, []);

        // The holder's beacon is out here, for it is another one.
        for left in [&owner, &participant] {
            let removed = left.write([2; 20]).unwrap_err();
            assert!(matches!(removed, CortexError::Removed { .. }), "{removed}");
            let removed = left.segment().participants().unwrap_err();
            assert!(matches!(removed, CortexError::Removed { .. }), "{removed}");
        }
        assert_eq!(owner.version(), 0);
        // A child of this process has to claim a place of its own.
        fork(|| {
            let removed = participant.write([2; 20]).unwrap_err();
            assert!(matches!(removed, CortexError::Removed { .. }), "{removed}");
        })
        .join();
        assert_eq!(alive(), 2);
        participant.close().unwrap();
        assert_eq!(alive(), 2);
        owner.close().unwrap();
        assert_eq!(ids(keys[1]), there);
        assert_eq!(alive(), 2);
        assert!(!double.segment().is_removed());
        other.write([3; 20]).unwrap();
        other.close().unwrap();
        assert_eq!(alive(), 1);
        double.close().unwrap();
        found.open();
        holder.join();
    })
    .join();
}

/// Nor does it sleep on the double's parking semaphore, or wake there.
fn parks_beside_its_double(kernel: &Kernel) {
    let keys = [kernel.key(), kernel.key()];
    fork(|| {
        let [owner, participant] = first_of_a_namespace::<Semaphore>(keys[0]);
        let guard = participant.write_guard().unwrap();
        let _double = first_of_a_namespace::<Semaphore>(keys[1]);
        // SAFETY: no pointers.
        let parked = || unsafe { libc::semctl(ids(keys[1]).1, PARKING, libc::GETVAL) };
        assert_eq!(parked(), 0);
        // The beacon of the guard's slot is lit here: it is the double's.
        owner.set_timeout(Some(Duration::from_millis(20)));
        // By another thread, which is in the same namespace: this one would be told that it holds the guard.
        let write = || owner.write([2; 20]).unwrap_err();
        let removed = std::thread::scope(|scope| scope.spawn(write).join().unwrap());
        assert!(matches!(removed, CortexError::Removed { .. }), "{removed}");
        // There was somebody to wake.
        drop(guard);
        assert_eq!(parked(), 0);
    })
    .join();
}

#[test]
fn ids_of_another_ipc_namespace_are_strangers() {
    if !is_permitted(libc::CLONE_NEWIPC, "P5 P8", HOW_DOUBLES) {
        return;
    }
    let kernel = Kernel::new();
    parks_beside_its_double(&kernel);
    for name in LOCKS {
        by_lock!(name, comes_to_its_double(&kernel));
    }
    proof::passed("P5 P8", HOW_DOUBLES, LOCKS.len() as u64 + 1);
}

#[test]
fn another_ipc_namespace_has_no_such_segment() {
    if !is_permitted(libc::CLONE_NEWIPC, "P8 P10", HOW_LEAVING) {
        return;
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, from_another_ipc_namespace(&kernel));
        by_lock!(name, leaves_while_attached(&kernel, false));
        by_lock!(name, leaves_while_attached(&kernel, true));
    }
    proof::passed("P8 P10", HOW_LEAVING, 3 * LOCKS.len() as u64);
}

#[test]
fn users_are_who_they_are_outside_their_namespace() {
    if !is_permitted(libc::CLONE_NEWUSER, "P6 P8", HOW_USERS) {
        return;
    }
    let kernel = Kernel::new();
    let owner: Cortex<u64> = CortexBuilder::new(1).key(kernel.key()).create().unwrap();
    let key = owner.key();
    fork(|| {
        // Without a map it is the overflow number, 65534.
        // SAFETY: no pointers.
        let before = unsafe { libc::geteuid() };
        assert!(unshare(libc::CLONE_NEWUSER));
        // SAFETY: no pointers.
        assert_ne!(unsafe { libc::geteuid() }, before);
        Cortex::<u64>::attach(key).unwrap().write(2).unwrap();
    })
    .join();
    assert_eq!(owner.read().unwrap(), 2);
    // SAFETY: no pointers.
    if unsafe { libc::geteuid() } != 0 {
        proof::not_run(
            "P6 P8",
            HOW_USERS,
            "not root, who alone becomes another user",
        );
        return;
    }
    fork(|| {
        become_root_inside(1234);
        for error in [
            Cortex::<u64>::attach(key).unwrap_err(),
            Observer::<u64>::attach(key).unwrap_err(),
            inspect::remove(key).unwrap_err(),
        ] {
            let errno = error.system().unwrap().raw_os_error();
            assert!(matches!(errno, Some(libc::EACCES | libc::EPERM)), "{error}");
        }
    })
    .join();
    assert_eq!(owner.read().unwrap(), 2);
    // A user without a number inside cannot be given anything, and nothing is left.
    let other = kernel.key();
    fork(|| {
        become_root_inside(1234);
        std::fs::write("/proc/self/setgroups", "deny").unwrap();
        std::fs::write("/proc/self/gid_map", "0 1234 1").unwrap();
        let builder = || CortexBuilder::new(1_u64).key(other);
        let error = builder().owner(Some(77), None).create().unwrap_err();
        assert!(matches!(error, CortexError::CleanSystem(_)), "{error}");
        assert_eq!(error.system().unwrap().raw_os_error(), Some(libc::EINVAL));
        assert!(error.to_string().contains("user namespace"), "{error}");
        assert_eq!(segment_id(other), None);
        drop(builder().owner(Some(0), None).create().unwrap());
    })
    .join();
    proof::passed("P6 P8", HOW_USERS, 3);
}

/// What the kernel answers to a change of a segment's mode to what it is.
fn change_nothing(id: i32) -> std::io::Result<()> {
    let mut status = segment_status(id).unwrap();
    // SAFETY: a live status, which the kernel reads.
    let result = unsafe { libc::shmctl(id, libc::IPC_SET, &raw mut status) };
    match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Has no number any more.
fn lose_number() {
    // SAFETY: no pointers, in a process of one thread.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWUSER) }, 0);
}

/// The same through C: makes, writes, reads, takes the place of what is stale, closes.
fn make_in_c(key: i32, lock: &str) {
    // SAFETY: integers and pointers that may be NULL.
    let mut options: neocortex_options = unsafe { std::mem::zeroed() };
    options.struct_size = size_of::<neocortex_options>();
    options.mode = 0o640;
    options.lock = crate::common::c_lock(lock);
    let value: Value = [7; 20];
    let mut seen: Value = [0; 20];
    let size = size_of::<Value>();
    // Nobody closes it.
    fork(|| {
        // SAFETY: options live.
        assert!(!unsafe { neocortex_create(key, size, &options) }.is_null());
    })
    .join();
    options.flags = NEOCORTEX_REPLACE_STALE;
    // SAFETY: options and buffers live; the handle is closed once.
    unsafe {
        let handle = neocortex_create(key, size, &options);
        assert!(!handle.is_null() && neocortex_is_owner(handle));
        let written = neocortex_write(handle, value.as_ptr().cast(), size);
        assert_eq!(written, NEOCORTEX_OK);
        let read = neocortex_read(handle, seen.as_mut_ptr().cast(), size);
        assert_eq!((read, seen), (NEOCORTEX_OK, value));
        let id = segment_id(key).unwrap();
        assert_eq!(segment_status(id).unwrap().shm_perm.mode, 0o640);
        assert_eq!(neocortex_close(handle), NEOCORTEX_OK);
    }
    assert_eq!(segment_id(key), None);
}

/// How many segments and semaphore sets this IPC namespace has.
fn table_lengths() -> [usize; 2] {
    ["shm", "sem"].map(|table| {
        let table = std::fs::read_to_string(format!("/proc/sysvipc/{table}")).unwrap();
        table.lines().count() - 1
    })
}

/// Alone in an IPC namespace: what was made in vain is gone at once, and all of it in the end.
fn makes_one_and_leaves_nothing<L: CortexSync + std::fmt::Debug>(kernel: &Kernel) {
    let key = kernel.key();
    fork(|| {
        let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWIPC;
        // SAFETY: no pointers, in a process of one thread.
        assert_eq!(unsafe { libc::unshare(flags) }, 0);
        let cortex: Cortex<Value, L> = CortexBuilder::new([1; 20])
            .key(key)
            .with_default_lock()
            .unwrap();
        let refused = change_nothing(segment_id(key).unwrap()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
        assert_eq!(table_lengths(), [1, 1]);
        cortex.close().unwrap();
        assert_eq!(table_lengths(), [0, 0]);
    })
    .join();
}

#[test]
fn user_without_a_number_creates_all_the_same() {
    if !is_permitted(libc::CLONE_NEWUSER, "P6 P8 P10", HOW_UNMAPPED) {
        return;
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, make_without_a_number(&kernel, lose_number));
        by_lock!(name, makes_one_and_leaves_nothing(&kernel));
    }
    // SAFETY: no pointers.
    if unsafe { libc::geteuid() } != 0 {
        let why = "not root, who alone becomes another user";
        proof::not_run("P6 P8 P10", HOW_UNMAPPED, why);
        return;
    }
    // A map of users, and none of groups.
    let inside: fn() = || become_root_inside(1234);
    for name in LOCKS {
        by_lock!(name, make_without_a_number(&kernel, inside));
    }
    proof::passed("P6 P8 P10", HOW_UNMAPPED, 3 * LOCKS.len() as u64);
}

fn make_without_a_number<L: CortexSync + std::fmt::Debug>(kernel: &Kernel, become_it: fn()) {
    let key = kernel.key();
    let (made, end) = (Gate::new(), Gate::new());
    let creator = fork(|| {
        become_it();
        let builder = || {
            CortexBuilder::new([1; 20])
                .key(key)
                .permission(neocortex::Permission::Custom(0o640))
        };
        let cortex: Cortex<Value, L> = builder().with_default_lock().unwrap();
        let id = segment_id(key).unwrap();
        // Or this tries nothing.
        let refused = change_nothing(id).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
        let mode = u32::from(segment_status(id).unwrap().shm_perm.mode);
        assert_eq!((mode, set_mode(sets_of(id)[0])), (0o640, 0o640));
        assert!(cortex.is_owner());
        // Another of its user may remove it.
        fork(|| {
            let other: Cortex<Value, L> = Cortex::attach(key).unwrap();
            other.write([2; 20]).unwrap();
            other.take_ownership().unwrap();
            std::mem::forget(other);
        })
        .join();
        assert_eq!(cortex.read().unwrap(), [2; 20]);
        assert!(!cortex.is_owner());
        cortex.take_ownership().unwrap();
        made.open();
        end.pass();
        assert_eq!(cortex.read().unwrap(), [3; 20]);
        cortex.close().unwrap();
        assert_eq!(segment_id(key), None);
        // Each other way to its end.
        let keep = || {
            let cortex: Cortex<Value, L> = builder().persist().with_default_lock().unwrap();
            cortex.close().unwrap();
        };
        keep();
        inspect::remove(key).unwrap();
        keep();
        let adopted: Cortex<Value, L> = builder().force_ownership().with_default_lock().unwrap();
        adopted.close().unwrap();
        fork(|| std::mem::forget(builder().with_default_lock::<L>().unwrap())).join();
        let replaced: Cortex<Value, L> = builder().replace_stale().with_default_lock().unwrap();
        replaced.close().unwrap();
        fork(|| std::mem::forget(builder().with_default_lock::<L>().unwrap())).join();
        inspect::reclaim(key).unwrap();
        assert_eq!(segment_id(key), None);
        make_in_c(key, L::NAME);
    });
    made.pass();
    let outside: Cortex<Value, L> = Cortex::attach(key).unwrap();
    assert_eq!(outside.read().unwrap(), [2; 20]);
    outside.write([3; 20]).unwrap();
    outside.close().unwrap();
    end.open();
    creator.join();
}
