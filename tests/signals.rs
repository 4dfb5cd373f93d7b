//! Signals, with and without `SA_RESTART`, during every kind of wait: no `EINTR` comes out, and no wait ends for it.
//!
//! A signal is sent to the waiting thread again and again, each after the handler of the one before has run, until
//! the count is full; then what is waited for happens. Nothing is timed.
#![cfg(unix)]

mod common;

use common::{proof, Foreign, Kernel, LOCKS};
use neocortex::{CortexSync, Segment, SegmentObserver, SegmentOptions};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;

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
    /// Where the state stands in the header (`src/format.rs`): 0 is initialising, 1 ready.
    const STATE: usize = 12;
    words.put(STATE, &0_u32.to_ne_bytes());
    let attach = || drop(options().attach::<L>(key, 64).expect("ready in the end"));
    interrupted(times, attach, || words.put(STATE, &1_u32.to_ne_bytes()));
    drop(owner);
    times
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
