//! Signals, with and without `SA_RESTART`, during every kind of wait: no `EINTR` comes out, and no wait ends for it,
//! unless the handle was opened with `interruptible`: then each of them ends so.
//!
//! A signal is sent to the waiting thread again and again, each after the handler of the one before has run, until
//! the count is full; then what is waited for happens. Nothing is timed.
#![cfg(unix)]

use crate::by_lock;
#[cfg(target_os = "linux")]
use crate::common::fork;
use crate::common::{proof, Foreign, Kernel, LOCKS};
use neocortex::{
    Cortex, CortexError, CortexResult, CortexSync, Segment, SegmentObserver, SegmentOptions,
    SeqLock,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::Duration;

/// Handlers that have run.
static HANDLED: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_signal: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::SeqCst);
}

/// The handler is the process's: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

fn handle(flags: libc::c_int) {
    // SAFETY: a live, zeroed action with a handler that only counts.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count as *const () as usize;
        action.sa_flags = flags;
        assert_eq!(
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()),
            0
        );
    }
}

/// Runs `wait` on a thread of its own, has it interrupted `times` times, and then lets `release` end it.
fn interrupted(times: u64, wait: impl FnOnce() + Send, release: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            // SAFETY: names the calling thread.
            tell.send(unsafe { libc::pthread_self() } as usize)
                .expect("the test listens");
            wait();
            is_over.store(true, Ordering::SeqCst);
        });
        let thread = told.recv().expect("the waiter began") as libc::pthread_t;
        for _ in 0..times {
            assert!(
                !is_over.load(Ordering::SeqCst),
                "the wait ended for a signal"
            );
            let before = HANDLED.load(Ordering::SeqCst);
            // SAFETY: the thread has not ended: it waits for what only `release` does, or the line above fails.
            assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGUSR1) }, 0);
            while HANDLED.load(Ordering::SeqCst) == before {
                std::thread::yield_now();
            }
        }
        release();
        waiter.join().expect("the wait");
    });
}

fn options() -> SegmentOptions {
    SegmentOptions::new().participants(8)
}

/// Every wait of a handle with this lock; how many signals they have withstood.
fn every_wait<L: CortexSync>(times: u64) -> u64 {
    let kernel = Kernel::new();
    let key = kernel.key();
    let owner: Segment<L> = options().create(key, 64).expect("the owner");
    let other: Segment<L> = options().attach(key, 64).expect("another handle");
    // A writer waits for a writer; a reader waits for a writer; a writer waits for a reader.
    let guard = owner.write_guard().expect("a guard");
    interrupted(
        times,
        || other.write_at(0, &[1; 64]).expect("a write"),
        || drop(guard),
    );
    let guard = owner.write_guard().expect("a guard");
    interrupted(
        times,
        || drop(other.read_guard().expect("a read guard")),
        || drop(guard),
    );
    let guard = owner.read_guard().expect("a guard");
    interrupted(
        times,
        || other.write_at(0, &[2; 64]).expect("a write"),
        || drop(guard),
    );
    // A wait for change, by a participant and by an observer.
    let seen = other.version();
    let wait = || assert_eq!(other.wait_changed(seen, None).expect("a change"), seen + 1);
    interrupted(times, wait, || {
        owner.write_at(0, &[3; 64]).expect("a write")
    });
    let observer = SegmentObserver::attach(key, 64).expect("an observer");
    let wait = || {
        assert_eq!(
            observer.wait_changed(seen + 1, None).expect("a change"),
            seen + 2
        )
    };
    interrupted(times, wait, || {
        owner.write_at(0, &[4; 64]).expect("a write")
    });
    5 * times
}

/// Attaching, while the creator has not finished.
fn attach_to_an_unready_one<L: CortexSync>(times: u64) -> u64 {
    let kernel = Kernel::new();
    let key = kernel.key();
    let owner: Segment<L> = options().create(key, 64).expect("the owner");
    let words = Foreign::open(key);
    /// Where the state stands in the header (`src/protocol/format.rs`): 0 is initialising, 1 ready.
    const STATE: usize = 12;
    words.put(STATE, &0_u32.to_ne_bytes());
    let attach = || drop(options().attach::<L>(key, 64).expect("ready in the end"));
    interrupted(times, attach, || words.put(STATE, &1_u32.to_ne_bytes()));
    drop(owner);
    times
}

/// Runs `wait` on a thread of its own, which signals until it has ended; it must have ended for a signal.
fn ended<R: Send>(what: &str, wait: impl FnOnce() -> CortexResult<R> + Send) {
    let is_over = AtomicBool::new(false);
    let (tell, told) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let is_over = &is_over;
        let waiter = scope.spawn(move || {
            // SAFETY: names the calling thread.
            tell.send(unsafe { libc::pthread_self() } as usize)
                .expect("the test listens");
            let result = wait().map(drop);
            is_over.store(true, Ordering::SeqCst);
            // Not gone before the last signal to it was sent.
            released.recv().expect("the test ends it");
            result
        });
        let thread = told.recv().expect("the waiter began") as libc::pthread_t;
        while !is_over.load(Ordering::SeqCst) {
            let before = HANDLED.load(Ordering::SeqCst);
            // SAFETY: the thread has not ended: it waits for `release`.
            assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGUSR1) }, 0);
            while HANDLED.load(Ordering::SeqCst) == before {
                std::thread::yield_now();
            }
            // Time to fall asleep again: a handler that runs between two sleeps ends none.
            std::thread::sleep(Duration::from_millis(1));
        }
        release.send(()).expect("the waiter listens");
        let error = waiter.join().expect("the wait").expect_err(what);
        assert!(
            matches!(error, CortexError::Interrupted { .. }),
            "{what}: {error}"
        );
    });
}

/// Every wait of a handle with this lock, in both layouts; how many there were.
fn every_wait_ends<L: CortexSync>(name: &str) -> u64 {
    let kernel = Kernel::new();
    let mut waits = 0;
    let mut ends = |what: &str, wait: &(dyn Fn() -> CortexResult<()> + Sync)| {
        ended(&format!("{what}, {name}"), wait);
        waits += 1;
    };
    for slots in [2, 1] {
        let key = kernel.key();
        let options = options().slots(slots);
        let owner: Segment<L> = options.create(key, 64).expect("the owner");
        let options = options.interruptible();
        let other: Segment<L> = options.attach(key, 64).expect("another handle");
        let cortex = Cortex::<[u64; 8], L>::attach_with(key, &options).expect("a typed handle");
        let observer = SegmentObserver::attach_with(key, 64, &options).expect("an observer");
        let mut guard = owner.write_guard().expect("a guard");
        guard.fill(1);
        ends("a write", &|| other.write_at(0, &[1; 64]));
        ends("a read guard", &|| other.read_guard().map(drop));
        ends("a write guard", &|| other.write_guard().map(drop));
        ends("an overwrite guard", &|| other.overwrite_guard().map(drop));
        ends("a guard with a time-out", &|| {
            other.write_guard_for(Duration::from_secs(3600)).map(drop)
        });
        ends("an update", &|| cortex.update(|value| value[0] += 1));
        ends("healing", &|| other.clear_poison());
        ends("waiting for change", &|| {
            other.wait_changed(0, None).map(drop)
        });
        ends("observing changes", &|| {
            observer.wait_changed(0, None).map(drop)
        });
        if slots == 1 || name != "seqlock" {
            ends("a read", &|| other.read_at(0, &mut [0; 64]));
        }
        if slots == 1 {
            ends("observing", &|| observer.read_at(0, &mut [0; 64]));
        }
        guard.commit().expect("a commit");
        let guard = owner.read_guard().expect("a guard");
        ends("a write after a reader", &|| other.write_at(0, &[1; 64]));
        drop(guard);
        // Nothing is left of them: the next ones find nobody in the way.
        other.write_at(0, &[2; 64]).expect("a write");
        owner.write_at(0, &[3; 64]).expect("a write");
    }
    waits
}

/// Creating and attaching, while another process has not finished, or uses what is to be replaced.
fn opening_ends() -> u64 {
    let kernel = Kernel::new();
    let key = kernel.key();
    let hour = Some(Duration::from_secs(3600));
    let options = options().interruptible().timeout(hour);
    let owner: Segment = SegmentOptions::new()
        .participants(1)
        .create(key, 64)
        .expect("the owner");
    ended("replacing what is in use", || {
        options.clone().replace_stale().create::<SeqLock>(key, 64)
    });
    ended("adopting what is full", || {
        options.clone().force_ownership().create::<SeqLock>(key, 64)
    });
    let words = Foreign::open(key);
    const STATE: usize = 12;
    words.put(STATE, &0_u32.to_ne_bytes());
    ended("attaching", || options.attach::<SeqLock>(key, 64));
    ended("observing", || {
        SegmentObserver::attach_with(key, 64, &options)
    });
    ended("creating or attaching", || {
        options.create_or_attach::<SeqLock>(key, 64)
    });
    ended("waiting for an unfinished one", || {
        let options = options.clone().wait_for_creator(None);
        options.attach::<SeqLock>(key, 64)
    });
    words.put(STATE, &1_u32.to_ne_bytes());
    drop(owner);
    ended("waiting for a creator", || {
        let options = options.clone().wait_for_creator(None);
        options.attach::<SeqLock>(key, 64)
    });
    7
}

#[test]
fn every_wait_ends_for_a_signal_where_that_was_asked_for() {
    let _turn = TURN.lock();
    let times = proof::cases(3, 100);
    let mut waits = 0;
    for flags in [0, libc::SA_RESTART] {
        handle(flags);
        for _ in 0..times {
            for lock in LOCKS {
                waits += by_lock!(lock, every_wait_ends(lock));
            }
            waits += opening_ends();
        }
    }
    proof::passed(
        "P10",
        "signals with and without SA_RESTART during every wait of an interruptible handle: it ends with Interrupted",
        waits,
    );
}

#[test]
fn no_wait_ends_for_a_signal() {
    let _turn = TURN.lock();
    let times = proof::cases(1000, 20_000);
    let mut signals = 0;
    for flags in [0, libc::SA_RESTART] {
        handle(flags);
        for lock in LOCKS {
            signals += by_lock!(lock, every_wait(times));
            // Bounded by the five seconds that a creator at work is given.
            signals += by_lock!(lock, attach_to_an_unready_one(times.min(1000)));
        }
    }
    proof::passed(
        "P10",
        "signals with and without SA_RESTART during every wait: no EINTR comes out",
        signals,
    );
}

/// The state of a process, by which the kernel's table shows it: `S` sleeps, `T` is stopped, `Z` has ended.
#[cfg(target_os = "linux")]
fn state(process: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a child of ours");
    let (_, fields) = stat.rsplit_once(") ").expect("a command in brackets");
    fields.chars().next().expect("a state")
}

#[cfg(target_os = "linux")]
fn until(process: i32, wanted: char) {
    while state(process) != wanted {
        assert_ne!(state(process), 'Z', "the wait ended for a stop");
        std::thread::yield_now();
    }
}

/// A process waits so, is stopped and continued that often, and goes on waiting; then a handler ends the wait.
#[cfg(target_os = "linux")]
fn stopped(what: &str, times: u64, wait: impl Fn() -> CortexResult<()>) {
    let child = fork(|| {
        HANDLED.store(0, Ordering::SeqCst);
        let error = wait().expect_err(what);
        assert!(
            matches!(error, CortexError::Interrupted { .. }),
            "{what}: {error}"
        );
        let handled = HANDLED.load(Ordering::SeqCst);
        assert_ne!(handled, 0, "{what}: it ended, and no handler has run");
    });
    let signal = |number| {
        // SAFETY: a child of ours that was not waited for yet.
        assert_eq!(unsafe { libc::kill(child.id(), number) }, 0);
    };
    until(child.id(), 'S');
    for _ in 0..times {
        signal(libc::SIGSTOP);
        until(child.id(), 'T');
        signal(libc::SIGCONT);
        until(child.id(), 'S');
    }
    while state(child.id()) != 'Z' {
        signal(libc::SIGUSR1);
        // Time to fall asleep again: a handler that runs between two sleeps ends none.
        std::thread::sleep(Duration::from_millis(1));
    }
    child.join();
}

#[cfg(target_os = "linux")]
fn every_wait_outlives_a_stop<L: CortexSync>(name: &str, times: u64) -> u64 {
    let kernel = Kernel::new();
    let key = kernel.key();
    let owner: Segment<L> = options().create(key, 64).expect("the owner");
    let attach = || {
        let options = options().interruptible();
        let segment = options.attach::<L>(key, 64).expect("another handle");
        // Not taken apart by the child, which ends at once.
        std::mem::ManuallyDrop::new(segment)
    };
    let guard = owner.write_guard().expect("a guard");
    stopped(&format!("a write, {name}"), times, || {
        attach().write_at(0, &[1; 64])
    });
    stopped(&format!("a read guard, {name}"), times, || {
        attach().read_guard().map(drop)
    });
    stopped(&format!("waiting for change, {name}"), times, || {
        let segment = attach();
        segment.wait_changed(segment.version(), None).map(drop)
    });
    guard.commit().expect("a commit");
    3 * times
}

/// Nobody can tell a stop from a handler by what `semtimedop` answers.
#[test]
#[cfg(target_os = "linux")]
fn stopping_and_continuing_ends_no_wait_that_a_handler_ends() {
    let _turn = TURN.lock();
    handle(0);
    let times = proof::cases(100, 2_000);
    let mut stops = 0;
    for lock in LOCKS {
        stops += by_lock!(lock, every_wait_outlives_a_stop(lock, times));
    }
    proof::passed(
        "P10",
        "a process that waits by an interruptible handle is stopped and continued: it goes on waiting",
        stops,
    );
}
