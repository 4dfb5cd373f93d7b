//! Every commit in order: what it costs to push a record and to follow it, beside what else is used as a log or a queue.
//!
//! The bare ring in C (`ring.c`) is the limit. It has one writer for ever and wakes nobody; `that wakes` does what a
//! sleeper needs in order to be woken, `many writers` has a lock. Boost's queue hands each message to one receiver, and a
//! sender waits where it is full; iceoryx2's subscriber keeps the newest samples and reads them in place, where ours and
//! the rings' copy. cpp-ipc is not measured: neither Debian nor crates.io has it.

use super::contended::{duel, Actor};
use super::hand_over::{Pair, PROCESSORS, THOUGHT};
use super::lost;
use crate::c::boost::{Part, Queue};
use crate::c::{self, Api};
use crate::contest::{Contest, Row, Settings, Target, Unit, C, RUST};
use crate::helper;
use crate::iceoryx::{self, Broom};
use crate::place::Place;
use neocortex::{Cortex, CortexBuilder};
use std::time::{Duration, Instant};

/// As in ring.c.
const BURST: u64 = 64;
const ALONE: u32 = 0;
const WAKES: u32 = 1;
const SHARED: u32 = 2;
const LINE: usize = 64;

const BATCHED: &str = "neocortex, batches";
const WRITTEN: &str = "neocortex write";
const BARE: &str = "(bare ring)";
const BARE_BATCHED: &str = "(bare ring, batches)";
const WAKING: &str = "(bare ring that wakes)";
const WAKING_BATCHED: &str = "(bare ring that wakes, batches)";
const MANY: &str = "(bare ring, many writers)";
const APART: &str = "(bare ring, a line for each, batches)";
const BOOST: &str = "Boost message_queue";
const ICEORYX: &str = "iceoryx2 publish-subscribe";

const SLEEPER: &str = "push and follow there and back, to a sleeper";

pub fn rows(settings: &Settings) -> Vec<Row> {
    let _broom = Broom::new();
    let all = helper::affinity();
    helper::pin(PROCESSORS[0]);
    let mut rows = of_size::<1>(settings, "8 B", 1024);
    rows.extend(of_size::<32>(settings, "256 B", 1024));
    rows.extend(of_size::<8192>(settings, "64 KiB", 128));
    if settings.wants(SLEEPER) {
        rows.push(to_a_sleeper(settings));
    }
    rows.extend(lost::rows(settings));
    helper::unpin(&all);
    rows
}

pub fn log<const WORDS: usize>(slots: u32) -> Cortex<[u64; WORDS]> {
    CortexBuilder::zeroed()
        .random_key()
        .slots(slots)
        .create()
        .expect("a cortex")
}

fn of_size<const WORDS: usize>(settings: &Settings, name: &str, slots: u32) -> Vec<Row> {
    let mut rows = vec![];
    let work = format!("push and follow, {name}");
    if settings.wants(&work) {
        rows.push(push_and_follow::<WORDS>(settings, work, slots));
    }
    let work = format!("follow what is there, {name}");
    if settings.wants(&work) {
        rows.push(follow_again::<WORDS>(settings, work, slots));
    }
    for (what, share) in [("records that arrive", [1, 0]), ("pushes", [0, 1])] {
        let work = format!("one process pushes, one follows, {name}: {what}");
        if settings.wants(&work) {
            rows.push(two_processes::<WORDS>(
                settings,
                work,
                slots,
                ["r", "w"],
                share,
            ));
        }
    }
    let work = format!("two processes push, {name}");
    if settings.wants(&work) {
        rows.push(two_processes::<WORDS>(
            settings,
            work,
            slots,
            ["w", "w"],
            [1, 1],
        ));
    }
    rows
}

fn bare(gap: usize, slots: u32) -> Place {
    // SAFETY: computes a size.
    Place::new(unsafe { c::peers_ring_size(gap, slots.into()) })
}

fn sum(value: &[u64]) -> u64 {
    value[0] ^ value[value.len() - 1]
}

/// Pushes a burst by `push` and follows it, and so on.
fn in_bursts(n: u64, mut push: impl FnMut(u64), mut follow: impl FnMut(u64) -> u64) -> u64 {
    let mut seen = 0;
    let mut done = 0;
    while done < n {
        let burst = BURST.min(n - done);
        (done..done + burst).for_each(&mut push);
        let mut left = burst;
        while left > 0 {
            left -= follow(left);
            seen += 1;
        }
        done += burst;
    }
    seen
}

/// How this library follows: one record at a time into registers, or into a place; or in batches.
struct Reader<'a, const WORDS: usize> {
    follower: neocortex::Follower<'a, [u64; WORDS]>,
    value: Box<[u64; WORDS]>,
    values: Vec<[u64; WORDS]>,
    seen: u64,
}

impl<'a, const WORDS: usize> Reader<'a, WORDS> {
    fn new(cortex: &'a Cortex<[u64; WORDS]>, since: u64) -> Self {
        Self {
            follower: cortex.follow(since),
            value: zeros(),
            values: Vec::with_capacity(BURST as usize),
            seen: 0,
        }
    }

    /// Takes one that is there.
    #[inline(always)]
    fn one(&mut self) -> u64 {
        if WORDS == 1 {
            let found = self.follower.next(None).expect("next");
            self.seen ^= sum(&found.value);
            assert_eq!(found.missed, 0);
        } else {
            let found = self
                .follower
                .next_into(&mut self.value, None)
                .expect("next");
            self.seen ^= sum(&*self.value);
            assert_eq!(found.missed, 0);
        }
        1
    }

    /// Takes so many that are there.
    #[inline(always)]
    fn take(&mut self, is_batched: bool, count: u64) {
        let mut left = count;
        while left > 0 {
            let taken = match is_batched {
                true => self.many(),
                false => self.one(),
            };
            left = left.saturating_sub(taken);
        }
    }

    #[inline(always)]
    fn many(&mut self) -> u64 {
        let batch = self
            .follower
            .next_many(&mut self.values)
            .expect("next_many");
        self.seen ^= self.values.iter().fold(0, |seen, value| seen ^ sum(value));
        batch.count as u64
    }
}

fn zeros<const WORDS: usize>() -> Box<[u64; WORDS]> {
    vec![0; WORDS].try_into().expect("the same length")
}

/// Through a guard that is held all the time, as a writer does that owns the value.
#[inline(never)]
fn run_published<const WORDS: usize>(
    cortex: &Cortex<[u64; WORDS]>,
    is_batched: bool,
    n: u64,
) -> u64 {
    let mut reader = Reader::new(cortex, cortex.version());
    let mut value = zeros::<WORDS>();
    let mut guard = cortex.overwrite_guard().expect("a guard");
    let mut done = 0;
    while done < n {
        let burst = BURST.min(n - done);
        for number in done..done + burst {
            value[0] = number;
            *guard = *value;
            guard.publish().expect("publish");
        }
        reader.take(is_batched, burst);
        done += burst;
    }
    guard.abort().expect("abort");
    reader.seen
}

/// As one of any number of writers.
#[inline(never)]
fn run_written<const WORDS: usize>(cortex: &Cortex<[u64; WORDS]>, n: u64) -> u64 {
    let mut reader = Reader::new(cortex, cortex.version());
    let mut value = zeros::<WORDS>();
    let mut done = 0;
    while done < n {
        let burst = BURST.min(n - done);
        for number in done..done + burst {
            value[0] = number;
            write(cortex, &value);
        }
        reader.take(false, burst);
        done += burst;
    }
    reader.seen
}

#[inline(always)]
fn write<const WORDS: usize>(cortex: &Cortex<[u64; WORDS]>, value: &[u64; WORDS]) {
    match WORDS {
        1 => cortex.write(*value).expect("write"),
        _ => cortex.write_ref(value).expect("write"),
    }
}

fn push_and_follow<const WORDS: usize>(settings: &Settings, work: String, slots: u32) -> Row {
    let size = 8 * WORDS;
    let [alone, batched, written] = [(); 3].map(|()| log::<WORDS>(slots));
    let api = Api::load();
    let handle = api.as_ref().map(|api| (api, api.create_log(size, slots)));
    let mut rings = vec![
        (BARE, ALONE, false, size),
        (BARE_BATCHED, ALONE, true, size),
        (WAKING, WAKES, false, size),
        (WAKING_BATCHED, WAKES, true, size),
        (MANY, SHARED, false, size),
    ];
    if size < LINE {
        rings.push((APART, ALONE, true, LINE));
    }
    let gap = size.max(LINE);
    let rings: Vec<_> = rings
        .into_iter()
        .map(|ring| (ring, bare(gap, slots)))
        .collect();
    let name = format!("{}queue", iceoryx::prefix(std::process::id()));
    let queue = Queue::create(&name, 2 * BURST as usize, size);
    Queue::remove(&name);
    let place = iceoryx::Place::new();
    let topic = place.topic::<WORDS>(&format!("run-{WORDS}"), 2 * BURST as usize);
    let mut value = zeros::<WORDS>();
    let mut contest = Contest::new(work)
        .timed(RUST, |n| run_published(&alone, false, n))
        .timed(BATCHED, |n| run_published(&batched, true, n))
        .timed(WRITTEN, |n| run_written(&written, n));
    if let Some((api, handle)) = &handle {
        let mut since = 0;
        // SAFETY: an open handle of values of this size.
        contest = contest.timed(C, move |n| unsafe {
            let burst = BURST as usize;
            c::peers_api_follow(*api, handle.pointer, size, burst, burst, since, n);
            // The commit that ends the guard is one more.
            since += n + 1;
        });
    }
    for ((column, how, is_batched, gap), place) in &rings {
        // SAFETY: a ring with so many slots so far apart.
        contest = contest.timed(*column, move |n| unsafe {
            c::peers_ring_run(place.base(), *how, *is_batched, size, *gap, n)
        });
    }
    contest = match &queue {
        Some(queue) => contest.timed(BOOST, |n| queue.run(BURST as usize, n)),
        None => contest.absent(BOOST, c::boost::MISSING),
    };
    contest = contest.timed(ICEORYX, |n| {
        let push = |number| {
            value[0] = number;
            topic.publish(&value);
        };
        let mut seen = 0;
        let follow = |_| {
            seen ^= topic.next(|value| sum(value)).expect("a sample");
            1
        };
        in_bursts(n, push, follow)
    });
    contest = contest.target(Target::new(1.5, WAKING));
    contest = contest.target(Target::new(1.5, WAKING_BATCHED).of(BATCHED));
    contest = contest.target(Target::new(1.5, MANY).of(WRITTEN));
    if WORDS <= 32 {
        contest = contest.target(Target::new(1.0 / 3.0, BOOST));
        contest = contest.target(Target::new(0.2, ICEORYX));
    }
    contest.run(settings)
}

/// What is kept is followed from its beginning again and again, and nobody pushes.
fn follow_again<const WORDS: usize>(settings: &Settings, work: String, slots: u32) -> Row {
    let size = 8 * WORDS;
    let cortex = log::<WORDS>(slots);
    let value = zeros::<WORDS>();
    for _ in 0..2 * slots {
        cortex.write_ref(&value).expect("write");
    }
    // A repetition is a burst, for a batch is not less.
    let again = |is_batched: bool, n: u64| {
        let (start, end) = (cortex.kept_since(), cortex.version());
        let mut seen = 0;
        let mut done = 0;
        while done < n {
            let mut reader = Reader::new(&cortex, start);
            let count = (end - start).min(n - done);
            reader.take(is_batched, count);
            seen ^= reader.seen;
            done += count;
        }
        seen
    };
    let gap = size.max(LINE);
    let rings = [size, gap].map(|gap| {
        let place = bare(gap, slots);
        // SAFETY: a ring with so many slots so far apart.
        unsafe { c::peers_ring_run(place.base(), ALONE, true, size, gap, 2 * u64::from(slots)) };
        (gap, place)
    });
    let timed = |run: &dyn Fn(u64) -> u64, n: u64| {
        let start = Instant::now();
        std::hint::black_box(run(n * BURST));
        start.elapsed().as_nanos() as f64 / (n * BURST) as f64
    };
    let mut contest = Contest::new(work)
        .judged(RUST, |n| timed(&|n| again(false, n), n))
        .judged(BATCHED, |n| timed(&|n| again(true, n), n));
    for (column, is_batched, (gap, place)) in [
        (BARE, false, &rings[0]),
        (BARE_BATCHED, true, &rings[0]),
        (APART, true, &rings[1]),
    ] {
        if column == APART && size >= LINE {
            continue;
        }
        // SAFETY: as above.
        let again =
            move |n| unsafe { c::peers_ring_again(place.base(), is_batched, size, *gap, n) };
        contest = contest.judged(column, move |n| timed(&again, n));
    }
    contest
        .target(Target::new(1.5, BARE))
        .target(Target::new(1.5, BARE_BATCHED).of(BATCHED))
        .run(settings)
}

/// Two processes for some time: one pushes without a pause and one follows, or both push.
fn two_processes<const WORDS: usize>(
    settings: &Settings,
    work: String,
    slots: u32,
    access: [&str; 2],
    share: [u64; 2],
) -> Row {
    let size = 8 * WORDS;
    let gap = size.max(LINE);
    let logs = [(); 3].map(|()| log::<WORDS>(slots));
    let rings = [(); 3].map(|()| bare(gap, slots));
    let duration = Duration::from_millis(settings.pick(40, 100));
    let is_one_writer = access[0] == "r";
    let mut kinds = vec![(WRITTEN, format!("log write one {WORDS}"), logs[0].key())];
    if is_one_writer {
        kinds.extend([
            (RUST, format!("log publish one {WORDS}"), logs[1].key()),
            (BATCHED, format!("log publish many {WORDS}"), logs[2].key()),
            (WAKING, format!("ring 1 one {size}"), rings[0].id),
            (WAKING_BATCHED, format!("ring 1 many {size}"), rings[1].id),
        ]);
    }
    kinds.push((MANY, format!("ring 2 one {size}"), rings[2].id));
    let run = std::process::id();
    let name = format!("{}queue-{WORDS}", iceoryx::prefix(run));
    let queue = Queue::create(&name, slots as usize, size);
    if queue.is_some() {
        let how = if is_one_writer { "apart" } else { "both" };
        kinds.push((BOOST, format!("queue {how} {name}"), 0));
    }
    let place = iceoryx::Place::new();
    if is_one_writer {
        // Both ends in this process too, so that the service outlives the helper's.
        kinds.push((ICEORYX, format!("topic {run} {WORDS}"), slots as i32));
    }
    let mut contest = Contest::counted(work, Unit::PerSecond).fixed(settings.pick(9, 31), 1);
    for (column, kind, id) in &kinds {
        contest = contest.judged(*column, duel((column, kind, *id), access, share, duration));
    }
    let row = contest.run(settings);
    Queue::remove(&name);
    drop((queue, place));
    row
}

/// What one of two processes does; see `two_processes` for the words of a kind.
pub fn actor(kind: &str, id: i32, is_write: bool) -> Actor {
    let words: Vec<&str> = kind.split(' ').collect();
    match words[..] {
        ["log", how, many, "1"] => ours::<1>(how, many == "many", id, is_write),
        ["log", how, many, "32"] => ours::<32>(how, many == "many", id, is_write),
        ["log", how, many, "8192"] => ours::<8192>(how, many == "many", id, is_write),
        ["ring", how, many, size] => {
            let (how, size): (u32, usize) =
                (how.parse().expect("0 to 2"), size.parse().expect("a size"));
            let is_batched = many == "many";
            let slots = if size > 256 { 128 } else { 1024 };
            // SAFETY: computes a size.
            let bytes = unsafe { c::peers_ring_size(size.max(LINE), slots) };
            let place = Place::attach(id, bytes);
            Box::new(move |stop| {
                // SAFETY: a ring with so many slots, attached for as long as this lives.
                unsafe {
                    match is_write {
                        true => {
                            c::peers_ring_push_until(place.base(), how, size, size, stop.as_ptr())
                        }
                        false => c::peers_ring_follow_until(
                            place.base(),
                            is_batched,
                            size,
                            size,
                            stop.as_ptr(),
                        ),
                    }
                }
            })
        }
        ["queue", how, name] => {
            let queue = Queue::open(name);
            let part = match (how, is_write) {
                ("both", _) => Part::Both,
                (_, true) => Part::Push,
                (_, false) => Part::Take,
            };
            Box::new(move |stop| queue.until(part, stop.as_ptr()))
        }
        ["topic", run, "1"] => topic::<1>(run, id, is_write),
        ["topic", run, "32"] => topic::<32>(run, id, is_write),
        ["topic", run, "8192"] => topic::<8192>(run, id, is_write),
        _ => panic!("no such kind: {kind}"),
    }
}

fn ours<const WORDS: usize>(how: &str, is_batched: bool, key: i32, is_write: bool) -> Actor {
    let cortex = Cortex::<[u64; WORDS]>::attach(key).expect("attach");
    let is_published = how == "publish";
    let mut value = zeros::<WORDS>();
    let mut values = Vec::with_capacity(BURST as usize);
    Box::new(move |stop| {
        let is_over = || stop.load(std::sync::atomic::Ordering::Relaxed) != 0;
        let mut n = 0;
        if is_write && is_published {
            let mut guard = cortex.overwrite_guard().expect("a guard");
            while !is_over() {
                value[0] = n;
                *guard = *value;
                guard.publish().expect("publish");
                n += 1;
            }
            guard.abort().expect("abort");
            return n;
        }
        let mut follower = cortex.follow(cortex.version());
        while !is_over() {
            if is_write {
                value[0] = n;
                write(&cortex, &value);
                n += 1;
            } else if is_batched {
                n += follower
                    .next_many(&mut values)
                    .map_or(0, |batch| batch.count as u64);
                std::hint::black_box(&values);
            } else if WORDS == 1 {
                n += u64::from(follower.try_next().is_ok_and(|found| found.is_some()));
            } else if follower.next_into(&mut value, Some(Duration::ZERO)).is_ok() {
                n += 1;
            }
        }
        n
    })
}

fn topic<const WORDS: usize>(run: &str, kept: i32, is_write: bool) -> Actor {
    let place = iceoryx::Place::of(run.parse().expect("a process"));
    let topic = place.topic::<WORDS>(&format!("duel-{WORDS}"), kept as usize);
    let value = zeros::<WORDS>();
    Box::new(move |stop| {
        let _ = &place;
        let mut n = 0;
        while stop.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            if is_write {
                topic.publish(&value);
                n += 1;
            } else {
                n += u64::from(
                    topic
                        .next(|value| std::hint::black_box(sum(value)))
                        .is_some(),
                );
            }
        }
        n
    })
}

/// A record there, which wakes a follower that sleeps, and one back.
fn to_a_sleeper(settings: &Settings) -> Row {
    let (rounds, n) = settings.pick((15, 300), (41, 1000));
    let (there, back) = (log::<1>(1024), log::<1>(1024));
    let arguments = [there.key(), back.key()].map(|key| key.to_string());
    let mut follower_since = 0;
    let ours = Pair::new("pong-follow", &arguments, |_, trips| {
        let mut follower = back.follow(follower_since);
        for trip in trips {
            // SAFETY: only looks at the clock.
            unsafe { c::peers_think(THOUGHT) };
            let start = Instant::now();
            there.write([1]).expect("write");
            let found = follower.next(None).expect("next");
            assert_eq!(found.missed, 0);
            *trip = (start.elapsed().as_nanos() as u64).saturating_sub(THOUGHT);
        }
        follower_since = follower.position();
    });
    let place = Place::new(4096);
    let arguments = [place.id.to_string(), THOUGHT.to_string(), false.to_string()];
    let futex = Pair::new("pong-futex", &arguments, |n, trips| {
        // SAFETY: a page of shared memory, and room for n numbers.
        unsafe { c::peers_futex_ping(place.base(), THOUGHT, false, n, trips.as_mut_ptr()) };
    });
    Contest::new(SLEEPER)
        .fixed(rounds, n)
        .judged(RUST, ours.turn())
        .judged("futex", futex.turn())
        .target(Target::new(1.1, "futex"))
        .run(settings)
}
