//! Waiting for several values, by oneself and by a helper: no change is lost.
//!
//! A waiter that sleeps for ever is a deadlock, which loom reports; in production it would sleep out its slice. Each
//! thread that sleeps has a queue of its own, so that no wake-up for another hides that its own is missing.

use super::explore;
use super::kernel::SleepQueue;
use crate::protocol::atomics::{AtomicU32, AtomicU64, Ordering};
use crate::protocol::signal::{self, SignalLine};
use crate::protocol::telling::{Asked, Bell, Round};
use loom::sync::Arc;
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

/// A writer commits so often, a helper watches, and a poller gets to the last commit.
fn told(commits: u64, preemptions: usize) {
    explore(Some(preemptions), move || {
        let world = World::new();
        let (a, b) = (Arc::clone(&world), Arc::clone(&world));
        let writer = thread::spawn(move || (1..=commits).for_each(|version| a.commit(0, version)));
        let helper = thread::spawn(move || Helper::run(&b));
        let mut version = 0;
        while version != commits {
            version = poll(&world, version);
        }
        world.is_over.store(1, Ordering::Relaxed);
        world.ring_helper();
        writer.join().unwrap();
        helper.join().unwrap();
    });
}

#[test]
fn a_poller_is_told_of_a_change() {
    told(1, 3);
}

/// What was left out is taken in again.
#[test]
fn a_poller_is_told_of_changes_that_came_while_it_did_not_ask() {
    told(2, 2);
}
