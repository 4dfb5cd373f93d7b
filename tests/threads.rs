//! Many threads on one handle: copies, guards, publishing and waiting at once, with every lock and layout; and many threads
//! that are told of the commits to some handles by wait sets, descriptors and futures.
//!
//! Under ThreadSanitizer (`.ci/sanitizers thread`) this is also the proof that the locks order what they guard: the
//! bytes behind guards are read and written by ordinary instructions. Only where a reader may copy them at the same
//! time, to throw the copy away, does a writer store them as the library does, word by word.

mod common;

use common::{check, filled, proof, Kernel, LOCKS};
use neocortex::{CortexSync, Segment, SegmentOptions, WaitSet, WriteGuard};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

const THREADS: usize = 64;

/// Bytes that tell one number; after them one counter for each thread.
const CHECKED: usize = 512;
const SIZE: usize = CHECKED + 8 * THREADS;

/// What all threads know.
struct Run<'a, L: CortexSync> {
    segment: &'a Segment<L>,
    start: Barrier,
    rounds: usize,
    /// How many commits there will be.
    commits: u64,
    /// Whether readers copy while guards are held.
    readers_copy: bool,
}

/// The counters in a payload.
fn counters(payload: &[u8]) -> Vec<u64> {
    payload[CHECKED..]
        .chunks_exact(8)
        .map(|bytes| u64::from_ne_bytes(bytes.try_into().expect("eight bytes")))
        .collect()
}

impl<L: CortexSync> Run<'_, L> {
    /// Whether somebody may be copying the bytes that a write guard shows.
    fn is_looked_at(&self) -> bool {
        L::OPTIMISTIC_READS && self.readers_copy
    }

    fn check(&self, payload: &[u8]) {
        check(&payload[..CHECKED]);
        assert!(counters(payload)
            .iter()
            .all(|&count| count <= self.rounds as u64));
    }

    /// Fills the checked bytes of a guard, and counts.
    fn write(&self, guard: &mut WriteGuard<'_, [u8], L>, thread: usize, round: usize) {
        let next = filled(CHECKED, (thread * self.rounds + round) as u32);
        let place = CHECKED + 8 * thread;
        let count = (round as u64 + 1).to_ne_bytes();
        if !self.is_looked_at() {
            guard[..CHECKED].copy_from_slice(&next);
            guard[place..place + 8].copy_from_slice(&count);
            return;
        }
        let places = (0..CHECKED).step_by(8).chain([place]);
        for (place, word) in places.zip(next.chunks_exact(8).chain([&count[..]])) {
            let word = u64::from_ne_bytes(word.try_into().expect("eight bytes"));
            // SAFETY: aligned, within the guard's bytes, and ours.
            let shared = unsafe { AtomicU64::from_ptr(guard[place..].as_mut_ptr().cast()) };
            shared.store(word, Ordering::Relaxed);
        }
    }

    fn copies(&self) {
        let mut payload = vec![0; SIZE];
        for _ in 0..self.rounds {
            if self.readers_copy {
                self.segment.read_at(0, &mut payload).unwrap();
                self.check(&payload);
            } else {
                self.check(&self.segment.read_guard().unwrap());
            }
        }
    }

    fn stores(&self, thread: usize) {
        for round in 0..self.rounds {
            let payload = filled(CHECKED, (thread * self.rounds + round) as u32);
            self.segment.write_at(0, &payload).unwrap();
            let count = (round as u64 + 1).to_ne_bytes();
            self.segment.write_at(CHECKED + 8 * thread, &count).unwrap();
        }
    }

    /// Two commits a round, where the layout lets a guard publish.
    fn guards(&self, thread: usize) {
        for round in 0..self.rounds {
            let mut guard = self.segment.write_guard().unwrap();
            if self.segment.is_in_place() {
                self.write(&mut guard, thread, round);
                guard.commit().unwrap();
                let guard = self.segment.write_guard().unwrap();
                guard.commit().unwrap();
                continue;
            }
            self.write(&mut guard, thread, round);
            guard.publish_and_refresh().unwrap();
            self.check(&guard);
            self.write(&mut guard, thread, round);
            guard.mark(0, CHECKED).unwrap();
            guard.mark(CHECKED + 8 * thread, 8).unwrap();
            guard.commit().unwrap();
            let mut given_up = self.segment.write_guard().unwrap();
            self.write(&mut given_up, thread, round + 7);
        }
    }

    fn waits(&self) {
        let mut seen = self.segment.version();
        while seen != self.commits {
            seen = self.segment.wait_changed(seen, None).unwrap();
            self.check(&self.segment.read_guard().unwrap());
        }
    }

    fn thread(&self, thread: usize) {
        self.start.wait();
        match thread % 4 {
            0 => self.copies(),
            1 => self.stores(thread),
            2 => self.guards(thread),
            _ => self.waits(),
        }
    }
}

/// All threads at once on one handle; how many calls they made at least.
fn share<L: CortexSync>(kernel: &Kernel, slots: u32, readers_copy: bool) -> u64 {
    let rounds = proof::cases(40, 4_000) as usize;
    let segment: Segment<L> = SegmentOptions::new()
        .slots(slots)
        .create(kernel.key(), SIZE)
        .unwrap();
    segment.write_at(0, &filled(CHECKED, 0)).unwrap();
    let writers = THREADS as u64 / 2;
    let run = Run {
        segment: &segment,
        start: Barrier::new(THREADS),
        rounds,
        commits: 1 + 2 * writers * rounds as u64,
        readers_copy,
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let run = &run;
            scope.spawn(move || run.thread(thread));
        }
    });
    assert_eq!(segment.version(), run.commits, "a commit was lost");
    let mut payload = vec![0; SIZE];
    segment.read_at(0, &mut payload).unwrap();
    for (thread, &count) in counters(&payload).iter().enumerate() {
        let expected = if matches!(thread % 4, 1 | 2) {
            rounds
        } else {
            0
        };
        assert_eq!(
            count, expected as u64,
            "a write of thread {thread} was lost"
        );
    }
    (THREADS * rounds) as u64
}

/// A thread that is unparked.
struct Parked(std::thread::Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Arc::new(Parked(std::thread::current())).into();
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// How a thread is told of the last commit of every value.
fn is_told(values: &[Segment], last: u64, how: usize) {
    let mut set = WaitSet::new();
    // Three sleep by themselves; more than 127 have helpers.
    for value in values.iter().cycle().take([3, 130][how % 2]) {
        set.add_since(value, 0);
    }
    let are_last = || values.iter().all(|value| value.version() == last);
    match how {
        0 | 1 => {
            while !are_last() {
                set.wait(None).unwrap();
            }
        }
        2 | 3 => {
            while !are_last() {
                block_on(set.changed()).unwrap();
            }
        }
        4 | 5 => {
            while !are_last() {
                set.fd().unwrap();
                let _ = set.wait(Some(Duration::from_millis(1)));
            }
        }
        _ => values.iter().for_each(|value| {
            let mut version = 0;
            while version != last {
                version = block_on(value.changed(version)).unwrap();
            }
        }),
    }
}

#[test]
fn sets_and_futures_of_many_threads_are_told_the_last_commit() {
    let kernel = Kernel::new();
    let values: Vec<Segment> = (0..3)
        .map(|_| Segment::create(kernel.key(), SIZE).unwrap())
        .collect();
    let last = proof::cases(200, 20_000);
    std::thread::scope(|scope| {
        for how in 0..16 {
            let values = &values;
            scope.spawn(move || is_told(values, last, how % 8));
        }
        for value in &values {
            scope.spawn(move || {
                (0..last).for_each(|round| value.write_at(0, &round.to_ne_bytes()).unwrap())
            });
        }
    });
}

#[test]
fn threads_of_one_handle_tear_nothing_and_lose_nothing() {
    let kernel = Kernel::new();
    let mut calls = 0;
    for name in LOCKS {
        for slots in [1, 2, 3] {
            println!("{name} with {slots} slots");
            calls += by_lock!(name, share(&kernel, slots, true));
            // The default lock's readers need not copy: then the guards are all that is tried.
            if name == "seqlock" {
                calls += by_lock!(name, share(&kernel, slots, false));
            }
        }
    }
    proof::passed(
        "P1",
        "64 threads on one handle copy, publish, commit, roll back and wait: nothing torn, no write lost",
        calls,
    );
}
