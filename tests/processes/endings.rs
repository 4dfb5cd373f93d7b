//! Ends of programs, threads and handles: exec, sixty-four threads, thread-local destructors, handles dropped in
//! every order, thousands of attachments one after the other and at once.
//!
//! What only C can do (`atexit`, `pthread_cancel`, destructors of C++ statics) is in `tests/c/endings.c` and
//! `tests/c/statics.cpp`; `fork` has a file of its own.

// It looks into the kernel as Linux has it.
#![cfg(target_os = "linux")]

use crate::by_lock;
use crate::common::{
    attachments, fork, mappings, proof, segment_id, segment_status, sets_of, Child, Gate, Kernel,
    Role, LOCKS,
};
use neocortex::inspect::{self, Untold, Who};
use neocortex::{
    Cortex, CortexBuilder, CortexError, CortexSync, Observer, Segment, SegmentObserver,
    SegmentOptions, SeqLock,
};
use std::cell::RefCell;
use std::sync::{Arc, Barrier};

type Value = [u64; 20];

fn create<L: CortexSync>(kernel: &Kernel, slots: u32, participants: u32) -> Cortex<Value, L> {
    CortexBuilder::new([0; 20])
        .key(kernel.key())
        .slots(slots)
        .participants(participants)
        .with_default_lock()
        .unwrap()
}

fn attach<L: CortexSync>(key: i32) -> Cortex<Value, L> {
    Cortex::attach(key).unwrap()
}

fn is_held<L: CortexSync>(cortex: &Cortex<Value, L>) -> bool {
    match cortex.try_write([9; 20]) {
        Ok(()) => false,
        // By another thread, or by this one through another handle.
        Err(CortexError::Timeout { .. } | CortexError::Busy { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

fn alive<L: CortexSync>(cortex: &Cortex<Value, L>) -> u32 {
    cortex.segment().participants().unwrap().0
}

// ---- Processes that only the kernel can name --------------------------------------------------

/// Holds, and goes on without its first thread: what it has mapped is told in the others' folders alone.
fn holder_without_first_thread(kernel: &Kernel) {
    let owner = create::<SeqLock>(kernel, 2, 8);
    let child = fork(|| {
        let cortex = attach::<SeqLock>(owner.key());
        std::mem::forget(cortex.write_guard().unwrap());
        std::thread::spawn(|| loop {
            std::thread::park();
        });
        // SAFETY: ends this thread and no other one; what it owns stays, as what a killed thread owns.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    });
    let me = std::fs::read("/proc/self/cmdline").unwrap();
    let me = String::from_utf8_lossy(&me);
    let stat = format!("/proc/{}/stat", child.id());
    let is_first_over = || std::fs::read_to_string(&stat).unwrap().contains(") Z ");
    while !is_first_over() {
        std::thread::yield_now();
    }
    let info = inspect::segment(owner.key()).unwrap();
    assert_eq!(info.holder.unwrap().is_alive, Some(true));
    for holder in [
        inspect::people(&info).holder,
        inspect::holders([&info]).remove(0),
    ] {
        let Some(Who::Process(process)) = holder else {
            panic!("{holder:?}");
        };
        assert_eq!(process.pid, child.id());
        assert_eq!(
            process.command,
            me.trim_end_matches('\0').replace('\0', " ")
        );
    }
    child.kill();
    let info = inspect::segment(owner.key()).unwrap();
    assert_eq!(info.holder.unwrap().is_alive, Some(false));
    assert!(matches!(
        inspect::people(&info).holder,
        Some(Who::Untold {
            why: Untold::Dead,
            ..
        })
    ));
    owner.write([2; 20]).unwrap();
}

#[test]
fn holder_whose_first_thread_has_ended_is_named() {
    if crate::common::is_emulated(
        "P10",
        "a holder without its first thread",
        "the emulator's own /proc",
    ) {
        return;
    }
    holder_without_first_thread(&Kernel::new());
}

// ---- exec ------------------------------------------------------------------------------------

/// Attaches, takes what it is told to, and becomes another program: the next role.
#[test]
fn role_become_another_program() {
    use std::os::unix::process::CommandExt;
    fn run<L: CortexSync>(role: &Role) {
        let cortex = attach::<L>(role.key());
        let _read = (role.text(2) == "read").then(|| cortex.read_guard().unwrap());
        let mut write = (role.text(2) == "write").then(|| cortex.write_guard().unwrap());
        if let Some(guard) = &mut write {
            guard[0] = 99;
        }
        role.say("before");
        role.listen();
        let next = "role_other_program";
        let error = std::process::Command::new(std::env::current_exe().unwrap())
            .args([next, "--nocapture", "--test-threads=1"])
            .env("NEOCORTEX_TEST_ROLE", next)
            .exec();
        panic!("{error}");
    }
    let Some(role) = Role::of("role_become_another_program") else {
        return;
    };
    by_lock!(role.text(1), run(&role));
}

#[test]
fn role_other_program() {
    let Some(role) = Role::of("role_other_program") else {
        return;
    };
    // It has nothing of the program before, and takes part like any other.
    by_lock!(role.text(1), attach_anew(role.key()));
    role.say("after");
    role.listen();
}

fn attach_anew<L: CortexSync>(key: i32) {
    let cortex = attach::<L>(key);
    assert_eq!(alive(&cortex), 3);
    assert_eq!(cortex.version(), 0);
}

fn exec_while<L: CortexSync>(kernel: &Kernel, slots: u32, holds: &str) {
    let owner = create::<L>(kernel, slots, 8);
    let mut child = Child::spawn(
        "role_become_another_program",
        &[&owner.key(), &L::NAME, &holds],
    );
    child.expect("before");
    child.tell("exec");
    child.expect("after");
    // The mapping is gone. The kernel keeps what it would undo at the process's end: the beacon, and with it the
    // lock. That is the documented limit.
    assert_eq!(alive(&owner), 2);
    assert_eq!(is_held(&owner), holds != "nothing");
    // It is not named after the program that it is now.
    let info = inspect::segment(owner.key()).unwrap();
    let slot = info.tenants.iter().find(|one| one.slot == 1).unwrap();
    let people = inspect::people(&info);
    let found = people.participants.iter().find(|one| one.slot == 1);
    match &found.unwrap().who {
        Who::Untold { pid, why } => {
            assert_eq!(*pid, Some(child.id()));
            // An emulator is one program all the time.
            let is_emulated = std::env::var_os("NEOCORTEX_TEST_RUNNER").is_some();
            assert!(*why == Untold::NotMapped || is_emulated, "{why}");
            assert_eq!(slot.is_alive, Some(true));
        }
        who => panic!("{who:?}"),
    }
    child.kill();
    assert_eq!(alive(&owner), 1);
    owner.write([2; 20]).unwrap();
    assert_eq!(owner.read().unwrap(), [2; 20]);
}

const HOW_EXEC: &str = "execve while attached, and holding a read or a write guard: the beacon and the lock stay until \
    the process ends, then they are passed; each lock, both layouts";

#[test]
fn exec_keeps_the_lock_until_the_process_ends() {
    let kernel = Kernel::new();
    let mut cases = 0;
    for name in LOCKS {
        for slots in [1, 2] {
            for holds in ["nothing", "read", "write"] {
                by_lock!(name, exec_while(&kernel, slots, holds));
                cases += 1;
            }
        }
    }
    proof::passed("P2", HOW_EXEC, cases);
}

/// Another program run beside (`vfork` and `exec`, as `posix_spawn` does) has no part in what its parent holds.
fn run_beside<L: CortexSync>(kernel: &Kernel, slots: u32) {
    let owner = create::<L>(kernel, slots, 8);
    let other = attach::<L>(owner.key());
    let run = || {
        let status = std::process::Command::new("true").status().unwrap();
        assert!(status.success());
    };
    let mut guard = owner.write_guard().unwrap();
    guard.fill(1);
    run();
    assert!(is_held(&other));
    guard.commit().unwrap();
    let guard = owner.read_guard().unwrap();
    run();
    assert!(is_held(&other));
    assert_eq!(*guard, [1; 20]);
    drop(guard);
    other.write([2; 20]).unwrap();
    assert_eq!(alive(&owner), 2);
}

#[test]
fn a_program_run_beside_changes_nothing() {
    let kernel = Kernel::new();
    for name in LOCKS {
        for slots in [1, 2] {
            by_lock!(name, run_beside(&kernel, slots));
        }
    }
}

// ---- Threads ---------------------------------------------------------------------------------

const THREADS: u64 = 64;

fn threads_count_together<L: CortexSync>(kernel: &Kernel, slots: u32, rounds: u64) {
    let cortex = create::<L>(kernel, slots, 8);
    let start = Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                for round in 0..rounds {
                    if round % 2 == 0 {
                        cortex
                            .update(|value| value.iter_mut().for_each(|count| *count += 1))
                            .unwrap();
                    } else {
                        let mut guard = cortex.write_guard().unwrap();
                        guard.iter_mut().for_each(|count| *count += 1);
                        guard.commit().unwrap();
                    }
                    let value = cortex.read().unwrap();
                    assert!(
                        value.iter().all(|&count| count == value[0]),
                        "torn: {value:?}"
                    );
                    let guard = cortex.read_guard().unwrap();
                    assert!(
                        guard.iter().all(|&count| count == guard[0]),
                        "torn: {guard:?}",
                        guard = *guard
                    );
                }
            });
        }
    });
    assert_eq!(cortex.read().unwrap(), [THREADS * rounds; 20]);
    assert_eq!(cortex.version(), THREADS * rounds);
    assert_eq!(alive(&cortex), 1);
}

#[test]
fn sixty_four_threads_share_one_handle() {
    let kernel = Kernel::new();
    let rounds = proof::cases(100, 20_000);
    let mut cases = 0;
    for name in LOCKS {
        for slots in [1, 2] {
            by_lock!(name, threads_count_together(&kernel, slots, rounds));
            cases += THREADS * rounds;
        }
    }
    let how = "64 threads on one handle, updates and guards: every update counted once, nothing torn; each lock, \
        both layouts";
    proof::passed("P1", how, cases);
}

/// Uses a cortex when its thread ends.
struct AtThreadEnd(RefCell<Option<Box<dyn FnOnce()>>>);

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        if let Some(last) = self.0.take() {
            last();
        }
    }
}

thread_local! {
    static AT_END: AtThreadEnd = const { AtThreadEnd(RefCell::new(None)) };
}

fn thread_locals_use_it<L: CortexSync + 'static>(kernel: &Kernel) {
    let cortex = Arc::new(create::<L>(kernel, 2, 8));
    for is_first in [true, false] {
        let mine = Arc::clone(&cortex);
        let others: Vec<_> = (0..3).map(|_| create::<L>(kernel, 2, 8)).collect();
        std::thread::spawn(move || {
            let last = {
                let mine = Arc::clone(&mine);
                Box::new(move || {
                    mine.update(|value| value[0] += 1).unwrap();
                    let mut guard = mine.write_guard().unwrap();
                    guard[1] += 1;
                    guard.commit().unwrap();
                    let guards: Vec<_> = others.iter().map(|other| other.read_guard()).collect();
                    drop(guards);
                    drop(others);
                })
            };
            // Destroyed after what the library keeps for the thread, and before it.
            let use_it = || drop((mine.read().unwrap(), mine.read_guard().unwrap()));
            if !is_first {
                use_it();
            }
            AT_END.with(|at_end| at_end.0.replace(Some(last)));
            use_it();
        })
        .join()
        .unwrap();
    }
    assert_eq!(cortex.read().unwrap()[..3], [2, 2, 0]);
    assert_eq!(alive(&cortex), 1);
    // Made here, dropped there.
    let (key, id) = (cortex.key(), segment_id(cortex.key()));
    let moved = attach::<L>(key);
    std::thread::spawn(move || drop(moved)).join().unwrap();
    assert_eq!(alive(&cortex), 1);
    // A thread that panics rolls back.
    let mine = Arc::clone(&cortex);
    std::thread::spawn(move || {
        let mut guard = mine.write_guard().unwrap();
        guard[0] = 99;
        std::panic::resume_unwind(Box::new("with a guard held"));
    })
    .join()
    .unwrap_err();
    cortex.update(|value| value[1] += 1).unwrap();
    assert_eq!(cortex.read().unwrap()[..3], [2, 3, 0]);
    assert_eq!(segment_id(key), id);
    std::thread::spawn(move || drop(cortex)).join().unwrap();
    assert_eq!(segment_id(key), None);
}

#[test]
fn ends_of_threads_leave_nothing() {
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, thread_locals_use_it(&kernel));
    }
}

// ---- Handles ---------------------------------------------------------------------------------

/// What this process has that the library counts: descriptors, and segments attached.
#[cfg(target_os = "linux")]
fn possessions() -> [usize; 2] {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    [descriptors, attachments()]
}

/// What the allocator adds to and takes from as it likes: all mappings, pages of memory.
#[cfg(target_os = "linux")]
fn footprint() -> [usize; 2] {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let resident = pages.split(' ').nth(1).unwrap().parse().unwrap();
    [mappings().len(), resident]
}

#[cfg(target_os = "linux")]
fn attaches_and_leaves<L: CortexSync>(kernel: &Kernel, cycles: usize) {
    let owner = create::<L>(kernel, 2, 3);
    let key = owner.key();
    let id = segment_id(key).unwrap();
    let spare = kernel.key();
    // A process of its own, in which nothing else happens.
    fork(|| {
        let cycle = |number: u64| {
            let cortex = attach::<L>(key);
            cortex.write([number; 20]).unwrap();
            assert_eq!(cortex.read_guard().unwrap()[0], number);
            let observer = Observer::<Value>::attach(key).unwrap();
            assert_eq!(observer.read().unwrap(), [number; 20]);
            assert_eq!(alive(&cortex), 2);
            drop(Cortex::<Value, L>::attach(spare));
            let made = CortexBuilder::new([number; 20])
                .key(spare)
                .with_default_lock::<L>()
                .unwrap();
            assert_eq!(made.read().unwrap(), [number; 20]);
        };
        (0..64).for_each(cycle);
        let (before, allocated) = (possessions(), footprint());
        assert_ne!(before[1], 0, "the owner's own is inherited");
        (0..cycles as u64).for_each(cycle);
        assert_eq!(possessions(), before, "descriptors and attachments");
        // One for every sixteenth cycle would be a leak.
        let now = footprint();
        assert!(
            (0..2).all(|which| now[which] < allocated[which] + cycles / 16),
            "mappings and pages: {allocated:?}, {now:?}"
        );
    })
    .join();
    assert_eq!(alive(&owner), 1);
    assert_eq!(sets_of(id).len(), 1);
    assert_eq!(segment_id(spare), None);
}

#[test]
#[cfg(target_os = "linux")]
fn thousands_of_attachments_leave_no_trace() {
    let kernel = Kernel::new();
    let cycles = proof::cases(4096, 200_000);
    for name in LOCKS {
        by_lock!(name, attaches_and_leaves(&kernel, cycles as usize));
    }
    let how = "attach, use, detach, create and remove over and over in one process: no descriptor, mapping, page, slot \
        or kernel object more than before; each lock";
    proof::passed("P5", how, cycles * LOCKS.len() as u64);
}

/// Every order of the numbers below `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let insert = |order: Vec<usize>| {
        (0..count).map(move |place| {
            let mut longer = order.clone();
            longer.insert(place, count - 1);
            longer
        })
    };
    orders(count - 1).into_iter().flat_map(insert).collect()
}

#[allow(deprecated)] // what libc calls it with musl; to be `__key` there too
fn key_of(status: &libc::shmid_ds) -> libc::key_t {
    #[cfg(target_env = "musl")]
    return status.shm_perm.__ipc_perm_key;
    #[cfg(not(target_env = "musl"))]
    return status.shm_perm.__key;
}

/// Owner (0), one attached that a guard borrows (1), another (2), an observer (3), the guard (4).
fn drops_in_order<L: CortexSync>(kernel: &Kernel, order: &[usize], slots: u32, reads: bool) {
    let key = kernel.key();
    let make = |number: u64| {
        let builder = CortexBuilder::new([number; 20]).key(key).slots(slots);
        builder.with_default_lock::<L>().unwrap()
    };
    let mut owner = Some(make(5));
    let id = segment_id(key).unwrap();
    let borrowed: *mut Cortex<Value, L> = Box::into_raw(Box::new(attach::<L>(key)));
    // SAFETY: from Box::into_raw, and given back below, after the guard's end.
    let mut lender = Some(unsafe { &*borrowed });
    let mut other = Some(attach::<L>(key));
    let mut observer = Some(Observer::<Value>::attach(key).unwrap());
    let mut read = reads.then(|| lender.unwrap().read_guard().unwrap());
    let mut write = (!reads).then(|| lender.unwrap().write_guard().unwrap());
    let mut successor = None;
    let mut expected = 5;
    for &which in order {
        match which {
            0 => {
                drop(owner.take());
                assert_eq!(segment_id(key), None, "the owner removes, whoever is there");
                successor = Some(make(7));
            }
            1 => {
                lender = None;
                // SAFETY: from Box::into_raw, once; its guard has ended (the caller's orders).
                drop(unsafe { Box::from_raw(borrowed) });
            }
            2 => drop(other.take()),
            3 => drop(observer.take()),
            _ => {
                drop(read.take());
                if let Some(mut guard) = write.take() {
                    guard[0] = 50;
                    guard.commit().unwrap();
                    expected = 50;
                }
            }
        }
        let is_removed = owner.is_none();
        let handles = || owner.iter().chain(other.iter()).chain(lender);
        let is_free = read.is_none() && write.is_none();
        for handle in handles() {
            assert_eq!(handle.segment().is_removed(), is_removed);
            if is_free {
                handle.update(|value| value[0] += 1).unwrap();
                expected += 1;
            }
        }
        // In place, a reader has to wait for a writer that holds.
        if is_free || slots > 1 && L::OPTIMISTIC_READS {
            handles().for_each(|handle| assert_eq!(handle.read().unwrap()[0], expected));
        }
        if let Some(observer) = observer.as_ref().filter(|_| is_free || slots > 1) {
            assert_eq!(observer.segment().is_removed(), is_removed);
            assert_eq!(observer.read().unwrap()[0], expected);
        }
    }
    if let Some(successor) = successor {
        assert_eq!(successor.read().unwrap(), [7; 20]);
        assert_ne!(segment_id(key), Some(id));
    }
    assert_eq!(segment_id(key), None);
    // A child that a parallel test forks has it mapped.
    assert!(segment_status(id).is_none_or(|status| key_of(&status) == 0));
    assert!(sets_of(id).is_empty());
}

#[test]
fn handles_may_be_dropped_in_every_order() {
    let kernel = Kernel::new();
    let mut cases = 0;
    // A guard borrows its handle: the compiler refuses the other half.
    let place = |order: &[usize], which| order.iter().position(|&it| it == which);
    for order in orders(5)
        .iter()
        .filter(|order| place(order, 4) < place(order, 1))
    {
        for name in LOCKS {
            for slots in [1, 2] {
                for reads in [false, true] {
                    by_lock!(name, drops_in_order(&kernel, order, slots, reads));
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 60 * 12);
    let how = "owner, two attached, an observer and a guard dropped in every order that compiles: the others keep \
        sharing, the key is free for a successor, nothing is left; each lock, both layouts";
    proof::passed("P5", how, cases);
}

// ---- Participants ----------------------------------------------------------------------------

fn is_full<T>(result: Result<T, CortexError>, most: u32) {
    match result {
        Err(CortexError::Full { limit, .. }) => assert_eq!(limit, most),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("not full"),
    }
}

/// All there can be at once: each handle is a participant, in whatever process it is.
fn most_participants<L: CortexSync>(kernel: &Kernel) {
    const MOST: u32 = 4096;
    const PROCESSES: usize = 4;
    let owner = create::<L>(kernel, 2, MOST);
    let key = owner.key();
    let [attached, count, counted, leave, left, end] = &std::array::from_fn(|_| Gate::new());
    let processes: Vec<_> = (0..PROCESSES)
        .map(|number| {
            let mine = MOST as usize / PROCESSES - usize::from(number == 0);
            fork(move || {
                let mut handles: Vec<_> = (0..mine).map(|_| attach::<L>(key)).collect();
                attached.open();
                count.pass();
                // The last of them, so the highest slots too, and all readers at once where they share.
                for handle in [&handles[0], &handles[mine / 2], &handles[mine - 1]] {
                    handle.update(|value| value[0] += 1).unwrap();
                    drop(handle.read_guard().unwrap());
                }
                counted.open();
                if number == 1 {
                    leave.pass();
                    handles.pop();
                    left.open();
                }
                end.pass();
            })
        })
        .collect();
    processes.iter().for_each(|_| attached.pass());
    assert_eq!(owner.segment().participants().unwrap(), (MOST, MOST));
    is_full(Cortex::<Value, L>::attach(key), MOST);
    processes.iter().for_each(|_| count.open());
    processes.iter().for_each(|_| counted.pass());
    owner.update(|value| value[0] += 1).unwrap();
    assert_eq!(owner.read().unwrap()[0], 3 * PROCESSES as u64 + 1);
    // One leaves: there is room for one.
    leave.open();
    left.pass();
    let late = attach::<L>(key);
    late.update(|value| value[0] += 1).unwrap();
    is_full(Cortex::<Value, L>::attach(key), MOST);
    // A process is killed: there is room for all that it had.
    let quarter = MOST / PROCESSES as u32;
    let mut processes = processes.into_iter();
    processes.next_back().unwrap().kill();
    assert_eq!(alive(&owner), MOST - quarter);
    let again: Vec<_> = (0..quarter).map(|_| attach::<L>(key)).collect();
    again[quarter as usize - 1]
        .update(|value| value[0] += 1)
        .unwrap();
    is_full(Cortex::<Value, L>::attach(key), MOST);
    drop(again);
    processes.for_each(|process| process.kill());
    assert_eq!(alive(&owner), 2);
    assert_eq!(late.read().unwrap()[0], 3 * PROCESSES as u64 + 3);
}

#[test]
fn four_thousand_and_ninety_six_take_part_at_once() {
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, most_participants(&kernel));
    }
    let how = "4,096 participants attached at once in five processes, one more refused; one leaves and 1,024 are \
        killed, and their places are taken again; each lock";
    proof::passed("P2 P10", how, 4096 * LOCKS.len() as u64);
}

/// Few places, all taken: who is refused, who is not, and who comes after.
fn places_run_out<L: CortexSync>(kernel: &Kernel, killed: bool) {
    let owner = create::<L>(kernel, 2, 3);
    let key = owner.key();
    let mine = attach::<L>(key);
    let [attached, leave] = &std::array::from_fn(|_| Gate::new());
    let process = fork(|| {
        let theirs = attach::<L>(key);
        let guard = theirs.write_guard().unwrap();
        attached.open();
        leave.pass();
        guard.commit().unwrap();
        theirs.close().unwrap();
    });
    attached.pass();
    is_full(Cortex::<Value, L>::attach(key), 3);
    is_full(SegmentOptions::new().attach::<L>(key, 0), 3);
    let text = SegmentOptions::new()
        .attach::<L>(key, 0)
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("all 3") && text.contains("participants"),
        "{text}"
    );
    // Observers take no place, and a forked child needs none to copy with the default lock.
    assert_eq!(
        Observer::<Value>::attach(key).unwrap().read().unwrap(),
        [0; 20]
    );
    assert_eq!(
        SegmentObserver::attach(key, 0)
            .unwrap()
            .participants()
            .unwrap(),
        (3, 3)
    );
    fork(|| {
        if L::OPTIMISTIC_READS {
            assert_eq!(mine.read().unwrap(), [0; 20]);
        }
        is_full(mine.write([9; 20]), 3);
        is_full(mine.write_guard(), 3);
        is_full(mine.read_guard(), 3);
    })
    .join();
    if killed {
        process.kill();
    } else {
        leave.open();
        process.join();
    }
    attach::<L>(key).write([1; 20]).unwrap();
    fork(|| mine.write([2; 20]).unwrap()).join();
    drop(mine);
    let (first, second) = (attach::<L>(key), attach::<L>(key));
    is_full(Cortex::<Value, L>::attach(key), 3);
    assert_eq!(first.read().unwrap(), second.read().unwrap());
    assert_eq!(owner.read().unwrap(), [2; 20]);
}

#[test]
fn a_place_is_free_again_when_one_leaves_or_dies() {
    let kernel = Kernel::new();
    for name in LOCKS {
        for killed in [false, true] {
            by_lock!(name, places_run_out(&kernel, killed));
        }
    }
}

/// Whether each of this process's mappings of this key would be part of a core dump, in the order of their addresses.
fn are_dumped(key: i32) -> Vec<bool> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").expect("the own mappings");
    let name = format!("/SYSV{key:08x}");
    let mut dumped = Vec::new();
    let mut is_ours = false;
    for line in smaps.lines() {
        if line.contains('/') || line.ends_with(']') || line.ends_with(" 0 ") {
            is_ours = line.contains(&name);
        }
        // proc(5): dd is MADV_DONTDUMP.
        if is_ours && line.starts_with("VmFlags:") {
            dumped.push(!line.split_whitespace().any(|flag| flag == "dd"));
        }
    }
    dumped
}

/// A process that dumps its core keeps its lock for as long; 2 GiB took 11 s.
#[test]
fn core_dumps_leave_segments_out_unless_asked() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let created: Segment = Segment::create(key, 5000).unwrap();
    assert_eq!(are_dumped(key), [false]);
    let attached: Segment = Segment::attach(key, 0).unwrap();
    let observer = SegmentObserver::attach(key, 0).unwrap();
    assert_eq!(are_dumped(key), [false; 3]);
    drop((attached, observer));
    let dump = SegmentOptions::new().dump();
    let attached: Segment = dump.attach(key, 0).unwrap();
    let observer = SegmentObserver::attach_with(key, 0, &dump).unwrap();
    let mut all = are_dumped(key);
    all.sort_unstable();
    assert_eq!(all, [false, true, true]);
    drop((created, attached, observer));

    let key = kernel.key();
    let cortex = CortexBuilder::new(7_u64).key(key).dump().create().unwrap();
    assert_eq!(are_dumped(key), [true]);
    drop(cortex);
}
