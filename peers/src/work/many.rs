//! Waiting for one of many values: a wait set, beside what programs do without one.

use crate::c;
use crate::contest::{Contest, Row, Settings, Target, RUST};
use crate::helper;
use crate::work::hand_over::{datagrams, Pair, PROCESSORS, THOUGHT};
use neocortex::{Cortex, CortexBuilder, SeqLock, WaitSet};
use std::future::Future;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::mpsc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::Thread;
use std::time::{Duration, Instant};

const ONE: &str = "hand-over and back, to a sleeper, one value in a set";
const MANY: &str = "hand-over and back, to a sleeper, one of 1,000 values";

/// How many values there are in the second row.
const COUNT: usize = 1_000;

pub fn rows(settings: &Settings) -> Vec<Row> {
    let all = helper::affinity();
    helper::pin(PROCESSORS[0]);
    let mut rows = Vec::new();
    if settings.wants(ONE) {
        rows.push(one(settings));
    }
    if settings.wants(MANY) {
        rows.push(one_of_many(settings));
    }
    helper::unpin(&all);
    rows
}

type Value = Cortex<f64, SeqLock>;

fn value() -> Value {
    let builder = CortexBuilder::new(0.0).random_key().participants(4);
    builder.create().expect("a cortex")
}

/// The other side answers in `back`, and with a ring also there. `wait` waits for its answer, after this version.
fn pair<'a>(
    back: Value,
    ring: Option<i32>,
    mut wait: impl FnMut(&Value, u64) + 'a,
) -> impl FnMut(u64) -> f64 + 'a {
    let there = value();
    let mut arguments = vec![there.key().to_string(), back.key().to_string()];
    let role = match ring {
        Some(ring) => {
            arguments.push(ring.to_string());
            "pong-ring"
        }
        None => {
            arguments.push(THOUGHT.to_string());
            "pong"
        }
    };
    let mut written = 0.0;
    let pair = Pair::new(role, &arguments, move |_, trips| {
        for trip in trips {
            // SAFETY: only looks at the clock.
            unsafe { c::peers_think(THOUGHT) };
            let start = Instant::now();
            written += 1.0;
            let since = back.version();
            there.write(written).expect("write");
            wait(&back, since);
            assert_eq!(back.read().expect("read"), written);
            *trip = (start.elapsed().as_nanos() as u64).saturating_sub(THOUGHT);
        }
    });
    pair.turn()
}

/// A set of so many values, of which one is the answer.
fn by_set(count: usize) -> impl FnMut(u64) -> f64 {
    let (back, others) = (value(), others(count - 1));
    let mut set = WaitSet::new();
    for other in &others {
        set.add(other);
    }
    set.add(&back);
    pair(back, None, move |_, _| {
        let _ = &others;
        set.wait(None).expect("wait");
    })
}

fn others(count: usize) -> Vec<Value> {
    (0..count).map(|_| value()).collect()
}

fn by_descriptor() -> impl FnMut(u64) -> f64 {
    let back = value();
    let mut set = WaitSet::new();
    set.add(&back);
    pair(back, None, move |_, _| loop {
        let mut poll = libc::pollfd {
            fd: set.fd().expect("a descriptor").as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live pollfd.
        unsafe { libc::poll(&mut poll, 1, -1) };
        if set.wait(Some(Duration::ZERO)).is_ok() {
            return;
        }
    })
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn by_future() -> impl FnMut(u64) -> f64 {
    pair(value(), None, |back, since| {
        let mut future = pin!(back.changed(since));
        let waker = Arc::new(Parked(std::thread::current())).into();
        while let Poll::Pending = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            std::thread::park();
        }
    })
}

/// What programs do that have an event loop and no descriptor.
fn by_thread() -> impl FnMut(u64) -> f64 {
    let back = value();
    let watched: Value = Cortex::attach(back.key()).expect("attach");
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut version = 0;
        // Until the owner removes it.
        while let Ok(now) = watched.wait_changed(version, None) {
            version = now;
            if tell.send(now).is_err() {
                return;
            }
        }
    });
    pair(back, None, move |_, since| {
        while told.recv().expect("the thread") <= since {}
    })
}

fn one(settings: &Settings) -> Row {
    let (rounds, n) = settings.pick((15, 1000), (41, 2000));
    let [input, output, their_input, their_output] = datagrams();
    let arguments = [their_input.to_string(), their_output.to_string()];
    let datagram = Pair::new("pong-fd", &arguments, move |n, trips| {
        // SAFETY: open descriptors, and room for n numbers.
        unsafe { c::peers_fd_ping(input, output, n, trips.as_mut_ptr()) }
    });
    Contest::new(ONE)
        .fixed(rounds, n)
        .judged(RUST, by_set(1))
        .judged(
            "wait_changed",
            pair(value(), None, |back, since| {
                back.wait_changed(since, None).expect("wait");
            }),
        )
        .judged("its descriptor, poll", by_descriptor())
        .judged("a future", by_future())
        .judged("a thread and a channel", by_thread())
        .judged("UNIX datagram, answered at once", datagram.turn())
        .target(Target::new(1.1, "wait_changed"))
        .target(Target::new(1.1, "a thread and a channel"))
        .run(settings)
}

fn one_of_many(settings: &Settings) -> Row {
    let (rounds, n) = settings.pick((15, 500), (41, 1000));
    let ring: Cortex<u32> = CortexBuilder::new(0)
        .random_key()
        .slots(1_024)
        .create()
        .expect("a ring");
    let others = others(COUNT - 1);
    let mut follower = ring.follow(0);
    let by_ring = pair(value(), Some(ring.key()), move |_, _| {
        let _ = &others;
        let next = follower.next(None).expect("next");
        assert_eq!((next.value as usize, next.missed), (COUNT - 1, 0));
    });
    Contest::new(MANY)
        .fixed(rounds, n)
        .judged(RUST, by_set(COUNT))
        .judged("a ring of indices", by_ring)
        .judged("a set of one", by_set(1))
        .target(Target::new(5.0, "a set of one"))
        .run(settings)
}
