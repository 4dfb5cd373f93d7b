//! Waiting for many values at once: each change is told once and none is lost, whatever else happens.

// Half of it is about Linux's way to wait for several words.
#![cfg_attr(not(target_os = "linux"), allow(unused_imports, dead_code))]

use crate::common::{
    fork, is_attached, remove_segment, remove_set, segment_id, sets_of, Child, Foreign, Gate,
    Kernel, Role,
};
use neocortex::{
    Change, Cortex, CortexBuilder, CortexError, CortexResult, Member, Observer, Segment, SeqLock,
    WaitSet,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One that sleeps by itself, one that nearly does not, and one whose helpers are three.
const COUNTS: [usize; 4] = [1, 8, 127, 260];

const SHORT: Option<Duration> = Some(Duration::from_millis(5));

fn create(kernel: &Kernel) -> Cortex<u64> {
    CortexBuilder::new(0)
        .key(kernel.key())
        .participants(4)
        .create()
        .unwrap()
}

fn create_many(kernel: &Kernel, count: usize) -> Vec<Cortex<u64>> {
    (0..count).map(|_| create(kernel)).collect()
}

fn set_of(values: &[Cortex<u64>]) -> (WaitSet, Vec<Member>) {
    let mut set = WaitSet::new();
    let members = values.iter().map(|value| set.add(value)).collect();
    (set, members)
}

#[track_caller]
fn is_late(result: CortexResult<&[Change]>) {
    let error = result.unwrap_err();
    assert!(matches!(error, CortexError::Timeout { .. }), "{error}");
}

#[track_caller]
fn is_interrupted(result: CortexResult<&[Change]>) {
    let error = result.unwrap_err();
    assert!(matches!(error, CortexError::Interrupted { .. }), "{error}");
}

/// The one change that a wait tells.
#[track_caller]
fn told(set: &mut WaitSet) -> (Member, u64, bool) {
    match set.wait(None).unwrap() {
        &[change] => (change.member, change.version, change.is_removed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_change_of_each_kind_of_member_is_told_once() {
    let kernel = Kernel::new();
    let one = create(&kernel);
    let other: Cortex<u64> = Cortex::attach(one.key()).unwrap();
    let segment: Segment = Segment::create(kernel.key(), 100).unwrap();
    let observer = Observer::<u64>::attach(one.key()).unwrap();
    let mut set = WaitSet::new();
    assert!(set.is_empty());
    is_late(set.wait(Some(Duration::ZERO)));
    is_late(set.wait(SHORT));

    let first = set.add(&one);
    let bytes = set.add(&segment);
    let seen = set.add(&observer);
    let again = set.add(&other);
    assert_eq!(set.len(), 4);
    is_late(set.wait(Some(Duration::ZERO)));
    segment.write_at(3, &[1]).unwrap();
    segment.write_at(3, &[2]).unwrap();
    assert_eq!(told(&mut set), (bytes, 2, false));
    is_late(set.wait(SHORT));
    one.write(7).unwrap();
    let mut members: Vec<_> = set.wait(None).unwrap().iter().map(|it| it.member).collect();
    members.sort();
    assert_eq!(members, [first, seen, again]);
    is_late(set.wait(SHORT));

    for member in [first, again, seen] {
        assert!(set.remove(member));
        assert!(!set.remove(member));
    }
    one.write(8).unwrap();
    is_late(set.wait(SHORT));
    // What is known is told, and what is not known is not.
    let late = set.add_since(&one, 1);
    assert_eq!(told(&mut set), (late, 2, false));
    assert!(set.remove(late));
    set.add_since(&one, 2);
    is_late(set.wait(SHORT));
}

#[test]
fn a_commit_to_any_member_wakes() {
    let kernel = Kernel::new();
    for count in COUNTS {
        let values = create_many(&kernel, count);
        let (mut set, members) = set_of(&values);
        let (told, tells) = std::sync::mpsc::channel();
        let begun = Gate::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                begun.open();
                for _ in 0..20 {
                    for change in set.wait(None).unwrap() {
                        told.send(*change).unwrap();
                    }
                }
            });
            begun.pass();
            for turn in 0..20 {
                let at = turn * 97 % count;
                values[at].write(1).unwrap();
                let change = tells.recv().unwrap();
                assert_eq!(change.member, members[at]);
                assert_eq!(change.version, values[at].version());
            }
        });
        is_late(set.wait(SHORT));
    }
}

/// Writers that never pause: the versions that are told go up, and the last of each member comes.
#[test]
fn no_change_is_lost_beside_writers_that_never_pause() {
    const WRITES: u64 = 3_000;
    let kernel = Kernel::new();
    for count in [3, 130] {
        let values = create_many(&kernel, count);
        let (mut set, members) = set_of(&values);
        let mut versions = vec![0; count];
        std::thread::scope(|scope| {
            for half in 0..2 {
                let values = &values;
                scope.spawn(move || {
                    for turn in 0..WRITES {
                        values[(2 * turn as usize + half) % count]
                            .write(turn)
                            .unwrap();
                    }
                });
            }
            let wanted = |versions: &[u64]| versions.iter().sum::<u64>() == 2 * WRITES;
            while !wanted(&versions) {
                for change in set.wait(None).unwrap() {
                    let at = members.iter().position(|it| *it == change.member).unwrap();
                    assert!(change.version > versions[at]);
                    versions[at] = change.version;
                }
            }
        });
        is_late(set.wait(SHORT));
    }
}

#[test]
fn a_removal_is_told_once_and_the_member_is_gone() {
    let kernel = Kernel::new();
    for count in [2, 128] {
        let mut values = create_many(&kernel, count);
        let (mut set, mut members) = set_of(&values);
        let observer = Observer::<u64>::attach(values[0].key()).unwrap();
        let seen = set.add(&observer);
        let begun = Gate::new();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                begun.open();
                let mut told = set.wait(None).unwrap().to_vec();
                // The two members see it one after the other.
                if told.len() == 1 {
                    told.extend(set.wait(None).unwrap());
                }
                told
            });
            begun.pass();
            // With what was committed before.
            let first = values.remove(0);
            first.write(1).unwrap();
            drop(first);
            let mut told = waiter.join().unwrap();
            // The commit alone, where a waiter was as fast as that.
            told.retain(|change| change.is_removed);
            assert!(told.iter().all(|change| change.version == 1), "{told:?}");
        });
        while set.len() > count - 1 {
            set.wait(None).unwrap();
        }
        assert!(!set.remove(seen) && !set.remove(members.remove(0)));
        is_late(set.wait(SHORT));
        values[0].write(1).unwrap();
        assert_eq!(told(&mut set), (members[0], 1, false));
    }
}

/// As `ipcrm(1)` removes it: nothing is told to anybody.
#[test]
fn a_removal_without_a_word_is_noticed() {
    let kernel = Kernel::new();
    for count in [1, 128] {
        let values = create_many(&kernel, count);
        let observer = Observer::<u64>::attach(values[0].key()).unwrap();
        let (mut set, members) = set_of(&values);
        let seen = set.add(&observer);
        let id = segment_id(values[0].key()).unwrap();
        sets_of(id).into_iter().for_each(remove_set);
        remove_segment(id);
        let mut told = Vec::new();
        while told.len() < 2 {
            let changes = set.wait(None).unwrap();
            assert!(changes.iter().all(|it| it.is_removed && it.version == 0));
            told.extend(changes.iter().map(|change| change.member));
        }
        told.sort();
        assert_eq!(told, [members[0], seen]);
        assert_eq!(set.len(), count - 1);
    }
}

#[test]
fn an_interrupt_ends_the_wait_or_the_next_one() {
    let kernel = Kernel::new();
    for count in [0, 1, 128] {
        let values = create_many(&kernel, count);
        let (mut set, _) = set_of(&values);
        let interrupter = set.interrupter();
        set.interrupt();
        is_interrupted(set.wait(None));
        is_late(set.wait(SHORT));
        for _ in 0..20 {
            let begun = Gate::new();
            std::thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    begun.open();
                    is_interrupted(set.wait(None));
                });
                begun.pass();
                interrupter.interrupt();
                thread.join().unwrap();
            });
        }
        if let Some(value) = values.first() {
            // What is there already is told, and the interrupt ends the next wait.
            interrupter.interrupt();
            value.write(1).unwrap();
            told(&mut set);
            is_interrupted(set.wait(SHORT));
            // A member's own waits are not the set's.
            value.interrupt();
            is_late(set.wait(SHORT));
        }
    }
}

#[test]
fn waits_end_when_their_time_is_over_and_not_before() {
    let kernel = Kernel::new();
    for count in [0, 1, 128] {
        let values = create_many(&kernel, count);
        let (mut set, _) = set_of(&values);
        // Longer than the slices that a long wait is made of.
        for limit in [0, 1, 20, 130].map(Duration::from_millis) {
            let start = Instant::now();
            is_late(set.wait(Some(limit)));
            assert!(start.elapsed() >= limit);
        }
    }
}

/// Its memory stays mapped while the set watches it, and no longer.
#[test]
fn a_handle_may_be_dropped_while_it_is_in_a_set() {
    let kernel = Kernel::new();
    for count in [1, 128] {
        let values = create_many(&kernel, count);
        let role = Child::spawn("role_keeps_and_writes", &[&values[0].key()]);
        let mut set = WaitSet::new();
        let mut keys = Vec::new();
        let mut members = Vec::new();
        for value in values {
            keys.push(value.key());
            value.persist();
            members.push(set.add(&value));
        }
        let mut role = role;
        role.expect("attached");
        role.tell("write");
        assert_eq!(told(&mut set), (members[0], 1, false));
        assert!(keys.iter().all(|&key| is_attached(key)));
        assert!(set.remove(members[0]));
        assert!(!is_attached(keys[0]));
        role.finish();
        drop(set);
        assert!(!keys.iter().any(|&key| is_attached(key)));
        keys.into_iter()
            .for_each(|key| neocortex::inspect::remove(key).unwrap());
    }
}

#[test]
fn role_keeps_and_writes() {
    let Some(role) = Role::of("role_keeps_and_writes") else {
        return;
    };
    let value: Cortex<u64> = Cortex::attach(role.key()).unwrap();
    role.say("attached");
    role.listen();
    value.write(1).unwrap();
}

#[test]
fn parent_and_child_are_both_told() {
    let kernel = Kernel::new();
    for count in [2, 130] {
        let values = create_many(&kernel, count);
        let (mut set, members) = set_of(&values);
        // Where there are helpers, they are the parent's.
        is_late(set.wait(SHORT));
        let (ready, go) = (Gate::new(), Gate::new());
        let child = fork(|| {
            is_late(set.wait(SHORT));
            ready.open();
            assert_eq!(told(&mut set), (members[0], 1, false));
            values[1].write(1).unwrap();
            assert_eq!(told(&mut set), (members[1], 1, false));
            go.pass();
            drop(std::mem::take(&mut set));
        });
        ready.pass();
        values[0].write(1).unwrap();
        let mut versions = 0;
        while versions < 2 {
            versions += set.wait(None).unwrap().len();
        }
        go.open();
        child.join();
        values[0].write(2).unwrap();
        assert_eq!(told(&mut set), (members[0], 2, false));
    }
}

/// The signal word (`src/protocol/signal.rs`).
const SIGNAL: usize = 640;

/// A peer that changes the word again and again, and commits nothing, keeps nobody from sleeping.
#[test]
#[cfg(target_os = "linux")]
fn a_word_that_changes_without_a_commit_makes_nobody_spin() {
    fn work() -> Duration {
        // SAFETY: plain old data.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: a live buffer.
        unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
        let of = |time: libc::timeval| {
            Duration::from_micros(time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64)
        };
        of(usage.ru_utime) + of(usage.ru_stime)
    }
    /// A waiter that never sleeps has all of the processor that it gets.
    fn sleeps(wait: impl FnOnce(Option<Duration>)) {
        let (before, start) = (work(), Instant::now());
        wait(Some(Duration::from_millis(200)));
        let (worked, took) = (work() - before, start.elapsed());
        assert!(worked < took / 3, "{worked:?} of {took:?}");
    }
    let kernel = Kernel::new();
    let value = create(&kernel);
    let observer = Observer::<u64>::attach(value.key()).unwrap();
    let hostile = Foreign::open(value.key());
    let is_over = AtomicBool::new(false);
    let mut set = WaitSet::new();
    set.add(&value);
    set.add(&observer);
    let word = hostile.word(SIGNAL);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                word.fetch_add(2, Ordering::Relaxed);
            }
        });
        sleeps(|timeout| is_late(set.wait(timeout)));
        sleeps(|timeout| drop(value.wait_changed(0, timeout).unwrap_err()));
        sleeps(|timeout| drop(observer.wait_changed(0, timeout).unwrap_err()));
        is_over.store(true, Ordering::Relaxed);
    });
}

/// Has the kernel refuse this call to this thread from now on.
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(neocortex_portable)))]
pub fn refuse(number: u32, errno: i32) {
    let code = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut program = [
        code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        code(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        code(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: a live program of that length; both calls are for this thread alone.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program),
            0
        );
    }
}

/// A sandbox that comes after the first wait: `futex_waitv` is refused from then on.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(neocortex_portable)))]
fn a_set_goes_on_where_the_system_refuses_to_sleep_on_several_words() {
    const FUTEX_WAITV: u32 = 449;
    let kernel = Kernel::new();
    for errno in [libc::EPERM, libc::ENOSYS] {
        let values = create_many(&kernel, 3);
        let (mut set, members) = set_of(&values);
        let interrupter = set.interrupter();
        let begun = Gate::new();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                is_late(set.wait(SHORT));
                refuse(FUTEX_WAITV, errno);
                is_late(set.wait(SHORT));
                begun.open();
                assert_eq!(told(&mut set), (members[1], 1, false));
                begun.open();
                is_interrupted(set.wait(None));
            });
            begun.pass();
            values[1].write(1).unwrap();
            begun.pass();
            interrupter.interrupt();
            waiter.join().unwrap();
        });
    }
}

/// The helpers of a large set are there while it is, and with every signal blocked.
#[test]
#[cfg(target_os = "linux")]
fn helpers_end_with_the_last_set() {
    let kernel = Kernel::new();
    let key = kernel.key();
    Child::spawn("role_has_helpers", &[&key]).finish();
}

#[test]
#[cfg(target_os = "linux")]
fn role_has_helpers() {
    fn helpers() -> Vec<u64> {
        let mut masks = Vec::new();
        for task in std::fs::read_dir("/proc/self/task").unwrap() {
            let status = task.unwrap().path().join("status");
            let text = std::fs::read_to_string(status).unwrap_or_default();
            let value = |field| text.lines().find_map(|line: &str| line.strip_prefix(field));
            if value("Name:").is_some_and(|name| name.trim() == "neocortex") {
                masks.push(u64::from_str_radix(value("SigBlk:").unwrap().trim(), 16).unwrap());
            }
        }
        masks
    }
    let Some(role) = Role::of("role_has_helpers") else {
        return;
    };
    let value: Cortex<u64, SeqLock> = CortexBuilder::new(0).key(role.key()).create().unwrap();
    let mut sets = [0, 1].map(|_| WaitSet::new());
    for set in &mut sets {
        let members: Vec<_> = (0..200).map(|_| set.add(&value)).collect();
        is_late(set.wait(SHORT));
        value.write(1).unwrap();
        assert_eq!(set.wait(None).unwrap().len(), 200);
        // One more than a set that sleeps by itself may have.
        members[128..]
            .iter()
            .for_each(|&member| assert!(set.remove(member)));
        is_late(set.wait(SHORT));
    }
    let masks = helpers();
    // SIGKILL (9) and SIGSTOP (19) cannot be blocked, and glibc keeps 32 and 33 for itself.
    let must = 0x7fff_ffff & !(1 << 8) & !(1 << 18);
    assert!((2..=4).contains(&masks.len()), "{masks:x?}");
    assert!(masks.iter().all(|mask| mask & must == must), "{masks:x?}");
    let [one, other] = sets;
    drop(one);
    assert!(!helpers().is_empty());
    drop(other);
    assert_eq!(helpers().len(), 0);
}
