//! Waiting for several values, by oneself and by a helper: no change is lost.
//!
//! A waiter that sleeps for ever is a deadlock, which loom reports; in production it would sleep out its slice. Each
//! thread that sleeps has a queue of its own, so that no wake-up for another hides that its own is missing.

use super::explore;
use super::kernel::SleepQueue;
use crate::protocol::atomics::{AtomicU32, AtomicU64, Ordering};
use crate::protocol::signal::{self, SignalLine};
use crate::protocol::telling::{Asked, Bell, Round};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// Two values, a waiter for both, another one or a helper, and what they say to one another.
struct World {
    lines: [SignalLine; 2],
    versions: [AtomicU64; 2],
    waiter: SleepQueue,
    other: SleepQueue,
    poller: SleepQueue,
    asked: Asked,
    bell: Bell,
    bell_of_helper: Bell,
    is_over: AtomicU32,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            lines: [(); 2].map(|()| SignalLine::new()),
            versions: [(); 2].map(|()| AtomicU64::new(0)),
            waiter: SleepQueue::new(),
            other: SleepQueue::new(),
            poller: SleepQueue::new(),
            asked: Asked::new(),
            bell: Bell::new(),
            bell_of_helper: Bell::new(),
            is_over: AtomicU32::new(0),
        })
    }

    /// Nothing but the fences orders a version: more than a ledger allows.
    fn version(&self, value: usize) -> u64 {
        self.versions[value].load(Ordering::Relaxed)
    }

    /// As `WriteGuard::publish`, and `Segment::wake_waiters` for all who may sleep on the word; the poller does not.
    fn commit(&self, value: usize, version: u64) {
        self.versions[value].store(version, Ordering::Relaxed);
        let line = &self.lines[value];
        if signal::is_awaited_after_store(line) && signal::announce(line) {
            self.waiter.wake(true);
            self.other.wake(true);
        }
    }

    fn ring_helper(&self) {
        self.bell_of_helper.ring();
        self.other.wake(true);
    }
}

/// As `WaitSet::wait`, without helpers.
#[derive(Default)]
struct Waiter {
    values: [u32; 2],
}

impl Waiter {
    fn ask(&mut self, world: &World) {
        self.values = [0, 1].map(|value| signal::ask(&world.lines[value]));
    }

    /// Returns when both values have these versions.
    fn wait(world: &World, wanted: [u64; 2]) {
        signal::wait_any(
            &mut Self::default(),
            |waiter| waiter.ask(world),
            |_| ([0, 1].map(|value| world.version(value)) == wanted).then_some(()),
            |waiter| {
                let words = [0, 1].map(|at| (&world.lines[at].signal, waiter.values[at]));
                world.waiter.sleep(&words);
            },
        );
    }
}

#[test]
fn any_of_two_values_wakes_the_waiter() {
    explore(Some(3), || {
        let world = World::new();
        let writers = [0, 1].map(|value| {
            let world = Arc::clone(&world);
            thread::spawn(move || world.commit(value, 1))
        });
        Waiter::wait(&world, [1, 1]);
        writers.map(|writer| writer.join().unwrap());
    });
}

/// Whichever of the two sets the bit, both are woken.
#[test]
fn a_waiter_for_two_values_and_one_for_one_of_them_are_both_woken() {
    explore(Some(3), || {
        let world = World::new();
        let (a, b) = (Arc::clone(&world), Arc::clone(&world));
        let writer = thread::spawn(move || a.commit(1, 1));
        let single = thread::spawn(move || {
            let look = || (b.version(1) == 1).then_some(());
            signal::wait(&b.lines[1], look, |word, value| {
                b.other.sleep(&[(word, value)]);
            });
        });
        Waiter::wait(&world, [0, 1]);
        writer.join().unwrap();
        single.join().unwrap();
    });
}

/// As `wait_set::helper`, with one watch.
#[derive(Default)]
struct Helper {
    heard: u32,
    value: u32,
    seen: u64,
    left_out: Option<Round>,
    has_news: bool,
}

impl Helper {
    fn begin(&mut self, world: &World) {
        self.heard = world.bell_of_helper.heard();
        self.left_out = self
            .left_out
            .filter(|&round| !world.asked.is_in_again(round));
        if self.left_out.is_none() {
            self.value = signal::ask(&world.lines[0]);
        }
    }

    fn look(&mut self, world: &World) -> Option<()> {
        let version = world.version(0);
        self.has_news = self.left_out.is_none() && version != self.seen;
        if self.has_news {
            self.seen = version;
            self.left_out = match world.asked.take() {
                true => None,
                false => world.asked.leave_out(),
            };
            if self.left_out.is_none() {
                world.bell.ring();
                world.poller.wake(true);
            }
        }
        (world.is_over.load(Ordering::Relaxed) != 0).then_some(())
    }

    fn sleep(&mut self, world: &World) {
        if self.has_news {
            return;
        }
        let bell = (world.bell_of_helper.word(), self.heard);
        let word = (&world.lines[0].signal, self.value);
        match self.left_out {
            None => world.other.sleep(&[bell, word]),
            Some(_) => world.other.sleep(&[bell]),
        }
    }

    fn run(world: &World) {
        signal::wait_any(
            &mut Self::default(),
            |helper| helper.begin(world),
            |helper| helper.look(world),
            |helper| helper.sleep(world),
        );
    }
}

/// As a poller: it looks, asks, looks again, and sleeps on its bell alone.
fn poll(world: &World, since: u64) -> u64 {
    loop {
        let heard = world.bell.heard();
        let found = world.version(0);
        if found != since {
            return found;
        }
        if world.asked.ask() {
            world.ring_helper();
        }
        let found = world.version(0);
        if found != since {
            return found;
        }
        world.poller.sleep(&[(world.bell.word(), heard)]);
    }
}

/// A writer commits, a helper watches, and a poller gets to the commit.
#[test]
fn a_poller_is_told_of_a_change() {
    explore(Some(3), || {
        let world = World::new();
        let (a, b) = (Arc::clone(&world), Arc::clone(&world));
        let writer = thread::spawn(move || a.commit(0, 1));
        let helper = thread::spawn(move || Helper::run(&b));
        assert_eq!(poll(&world, 0), 1);
        world.is_over.store(1, Ordering::Relaxed);
        world.ring_helper();
        writer.join().unwrap();
        helper.join().unwrap();
    });
}

/// A helper for two pollers, two threads with a future each, without the words that it sleeps on: it makes the changes
/// itself, so that nothing but what it tells and leaves out orders a version.
struct Told {
    asked: Asked,
    version: AtomicU64,
    bell_of_helper: Bell,
    helper: SleepQueue,
    bells: [Bell; 2],
    pollers: [SleepQueue; 2],
    /// Which pollers are to be woken, as `Listener::wakers`.
    wakers: Mutex<[bool; 2]>,
}

impl Told {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            asked: Asked::new(),
            version: AtomicU64::new(0),
            bell_of_helper: Bell::new(),
            helper: SleepQueue::new(),
            bells: [(); 2].map(|()| Bell::new()),
            pollers: [(); 2].map(|()| SleepQueue::new()),
            wakers: Mutex::new([false; 2]),
        })
    }

    /// As `Listener::tell`.
    fn tell(&self) {
        let woken = std::mem::take(&mut *self.wakers.lock().unwrap());
        for at in (0..2).filter(|&at| woken[at]) {
            self.bells[at].ring();
            self.pollers[at].wake(true);
        }
    }

    /// As `wait_set::helper`: sees the changes after `seen`, each as soon as the value is in.
    fn watch(&self, mut left_out: Option<Round>, seen: u64, last: u64) {
        for version in seen + 1..=last {
            loop {
                let heard = self.bell_of_helper.heard();
                left_out = left_out.filter(|&round| !self.asked.is_in_again(round));
                if left_out.is_none() {
                    break;
                }
                self.helper.sleep(&[(self.bell_of_helper.word(), heard)]);
            }
            self.version.store(version, Ordering::Relaxed);
            left_out = match self.asked.take() {
                true => None,
                false => self.asked.leave_out(),
            };
            if left_out.is_none() {
                self.tell();
            }
        }
    }

    /// As `Changed::poll`, again and again: gets to the last version.
    fn poll(&self, at: usize, mut since: u64, last: u64) {
        while since != last {
            let heard = self.bells[at].heard();
            let look = || self.version.load(Ordering::Relaxed);
            let mut found = look();
            if found == since {
                self.wakers.lock().unwrap()[at] = true;
                if self.asked.ask() {
                    self.bell_of_helper.ring();
                    self.helper.wake(true);
                }
                found = look();
            }
            if found == since {
                self.pollers[at].sleep(&[(self.bells[at].word(), heard)]);
            }
            since = found;
        }
    }
}

/// What was not asked for is left out, unless it is asked for meanwhile, and taken in again.
#[test]
fn what_was_left_out_is_taken_in_again() {
    explore(Some(3), || {
        let told = Told::new();
        let other = Arc::clone(&told);
        let helper = thread::spawn(move || other.watch(None, 0, 3));
        told.poll(0, 0, 3);
        helper.join().unwrap();
    });
}

/// It begins with a value that the helper has left out.
#[test]
fn a_poller_has_a_value_taken_in_that_was_left_out_before() {
    explore(Some(3), || {
        let told = Told::new();
        told.version.store(1, Ordering::Relaxed);
        let left_out = told.asked.leave_out();
        assert!(left_out.is_some());
        let other = Arc::clone(&told);
        let helper = thread::spawn(move || other.watch(left_out, 1, 2));
        told.poll(0, 1, 2);
        helper.join().unwrap();
    });
}

/// It asked in a call that ended by its time-out, and is told between that one and the next.
#[test]
fn a_poller_that_had_asked_before_it_looks_is_told() {
    explore(Some(3), || {
        let told = Told::new();
        assert!(!told.asked.ask());
        *told.wakers.lock().unwrap() = [true, false];
        let other = Arc::clone(&told);
        let helper = thread::spawn(move || other.watch(None, 0, 1));
        told.poll(0, 0, 1);
        helper.join().unwrap();
    });
}

/// One of them begins the round in which the value is in again; the other only looks.
#[test]
fn two_pollers_are_both_told() {
    explore(Some(2), || {
        let told = Told::new();
        let (a, b) = (Arc::clone(&told), Arc::clone(&told));
        let helper = thread::spawn(move || a.watch(None, 0, 1));
        let second = thread::spawn(move || b.poll(1, 0, 1));
        told.poll(0, 0, 1);
        helper.join().unwrap();
        second.join().unwrap();
    });
}
