//! Containers: PID namespaces that share an IPC namespace, and processes that leave the IPC namespace.
//!
//! A *world* is a PID namespace whose first process runs a closure of the test; other processes of it are
//! given the number that the test asks for. Needs root, or user namespaces for everybody.

#![cfg(target_os = "linux")]

#[macro_use]
mod common;

use common::{fork, proof, segment_id, sets_of, Forked, Gate, Kernel, LOCKS};
use neocortex::{
    inspect, Cortex, CortexBuilder, CortexError, CortexSync, Observer, Segment, Semaphore,
};
use std::time::Duration;

type Value = [u64; 20];

/// The parking semaphore's place in a set (`src/participants.rs`).
const PARKING: i32 = 5;

const HOW_WORLDS: &str = "two PID namespaces on one IPC namespace, both with a process 1 and a process 2: holders \
    and readers killed, one by one and with their namespace, numbers used again; each lock, both layouts";
const HOW_LEAVING: &str =
    "separate IPC namespaces: no such segment; unshare(CLONE_NEWIPC) while attached and holding";
const HOW_DOUBLES: &str =
    "unshare(CLONE_NEWIPC) while attached, to where another cortex has the same ids: waits, a \
    forked child, dropping a participant and the owner leave it as it is";

const HOW_USERS: &str =
    "user namespaces, at a cortex of mode 0600: its user under another number is let in, another \
    user is refused though it is root inside";

/// Enters new namespaces, as root or by way of a user namespace of its own. Whether it could.
fn unshare(flags: i32) -> bool {
    // SAFETY: system calls without pointers, in a process of one thread.
    unsafe { libc::unshare(flags) == 0 || libc::unshare(flags | libc::CLONE_NEWUSER) == 0 }
}

/// Whether this machine lets us; says so where it does not.
fn is_permitted(flags: i32, promises: &str, how: &str) -> bool {
    let (mut answer, mut to) = common::pipe();
    fork(|| {
        use std::io::Write;
        let is_permitted = unshare(flags);
        to.write_all(&[u8::from(is_permitted)]).unwrap();
    })
    .join();
    drop(to);
    let mut byte = [0];
    std::io::Read::read_exact(&mut answer, &mut byte).expect("the child answers");
    if byte[0] == 0 {
        proof::not_run(promises, how, "neither root nor user namespaces");
    }
    byte[0] == 1
}

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
        Err(CortexError::Timeout { .. }) => true,
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
        assert_says_no_such_segment(&Segment::<L>::attach(key, 0).unwrap_err(), key);
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
        let removed = owner.write([2; 20]).unwrap_err();
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

/// Becomes root of a user namespace, who is this user outside.
fn become_root_inside(user: u32) {
    // SAFETY: system calls without pointers, in a process of one thread.
    unsafe {
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setgid(user), 0);
        assert_eq!(libc::setuid(user), 0);
        // Or its files in /proc stay root's.
        assert_eq!(libc::prctl(libc::PR_SET_DUMPABLE, 1), 0);
        assert_eq!(libc::unshare(libc::CLONE_NEWUSER), 0);
    }
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1")).unwrap();
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::geteuid() }, 0);
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
    proof::passed("P6 P8", HOW_USERS, 2);
}
