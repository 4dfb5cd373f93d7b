//! Two processes at once: commits a second, and readers beside a publisher that never pauses.

use super::PROCESSORS;
use crate::c;
use crate::contest::{Contest, Figure, Row, Settings, Target, Unit, RUST};
use crate::helper::{self, Helper};
use crate::place::{Peers, Place, Signals};
use crate::work::number::cortex;
use hdrhistogram::Histogram;
use neocortex::{Cortex, CortexSync, RwLock, Segment, SeqLock};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const BOTH_WRITE: &str = "contended: two processes write f64, commits";
const ONE_READS: &str = "contended: one writes, one reads f64";
const PUBLISHER: &str = "reader beside a publisher that never pauses";

pub(super) type Actor = Box<dyn FnMut(&AtomicU32) -> u64>;

/// Who competes: the column, the kind, what the other process finds it by.
type Kind<'a> = (&'a str, &'a str, i32);

pub fn rows(settings: &Settings) -> Vec<Row> {
    let all = helper::affinity();
    helper::pin(PROCESSORS[0]);
    let mut rows = Vec::new();
    let (seqlock, rwlock) = (cortex::<SeqLock>(), cortex::<RwLock>());
    let peers = Peers::new();
    let mut kinds: Vec<Kind<'_>> = vec![
        (RUST, "seqlock", seqlock.key()),
        ("neocortex RwLock", "rwlock", rwlock.key()),
        ("pthread robust", "robust", peers.place.id),
        ("pthread rwlock", "pthread-rwlock", peers.place.id),
    ];
    if c::boost::mutex().is_some() {
        kinds.push(("Boost mutex", "boost-mutex", peers.boost().id));
        kinds.push(("Boost sharable", "boost-sharable", peers.boost().id));
    }
    for (work, access, share) in [
        (BOTH_WRITE.to_owned(), ["w", "w"], [1, 1]),
        (format!("{ONE_READS}, commits"), ["w", "r"], [1, 0]),
        (format!("{ONE_READS}, reads"), ["w", "r"], [0, 1]),
    ] {
        if !settings.wants(&work) {
            continue;
        }
        let mut contest = Contest::counted(work, Unit::PerSecond).fixed(settings.pick(9, 31), 1);
        for &kind in &kinds {
            let duration = Duration::from_millis(settings.pick(40, 100));
            contest = contest.judged(kind.0, duel(kind, access, share, duration));
        }
        if c::boost::mutex().is_none() {
            contest = contest.absent("Boost mutex", c::boost::MISSING);
        }
        // The aim is commits; what a reader gets beside them is told.
        if share[0] == 1 {
            contest = contest.target(Target::new(1.2, ""));
        }
        rows.push(contest.run(settings));
    }
    for (size, name) in [
        (8, "8 B"),
        (4 << 10, "4 KiB"),
        (64 << 10, "64 KiB"),
        (1 << 20, "1 MiB"),
        (16 << 20, "16 MiB"),
    ] {
        let work = format!("{PUBLISHER}, {name}");
        if settings.wants(&work) {
            rows.extend(beside_publisher(settings, &work, size));
        }
    }
    helper::unpin(&all);
    rows
}

/// A turn of two processes; what it gave a second: of this side's, of the other's, or both.
pub(super) fn duel(
    (_, kind, id): Kind<'_>,
    access: [&str; 2],
    share: [u64; 2],
    duration: Duration,
) -> impl FnMut(u64) -> f64 {
    let place = Place::new(4096);
    let arguments = [
        kind.to_owned(),
        id.to_string(),
        place.id.to_string(),
        access[1].to_owned(),
    ];
    let mut helper = Helper::start("contend", &arguments);
    let mut act = actor(kind, id, access[0] == "w");
    move |_| {
        let signals = Signals::of(&place);
        for word in [&signals.ready, &signals.go, &signals.stop] {
            word.store(0, Ordering::SeqCst);
        }
        helper.tell("go");
        while signals.ready.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        let (own, elapsed) = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(duration);
                signals.stop.store(1, Ordering::SeqCst);
            });
            signals.go.store(1, Ordering::SeqCst);
            let start = Instant::now();
            (act(&signals.stop), start.elapsed())
        });
        let others: u64 = helper.answer().parse().expect("a count");
        (own * share[0] + others * share[1]) as f64 / elapsed.as_secs_f64()
    }
}

/// The other process of a duel.
pub fn assist(kind: &str, id: i32, signals: i32, is_write: bool) {
    let place = Place::attach(signals, 4096);
    let mut act = actor(kind, id, is_write);
    helper::serve(|_| {
        let signals = Signals::of(&place);
        signals.ready.store(1, Ordering::Release);
        while signals.go.load(Ordering::Acquire) == 0 {
            std::hint::spin_loop();
        }
        act(&signals.stop).to_string()
    });
}

fn actor(kind: &str, id: i32, is_write: bool) -> Actor {
    let c_loop = |size, run: c::boost::LoopUntil| -> Actor {
        let area = Place::attach(id, size);
        // SAFETY: the area lives as long as the closure, and was initialised.
        Box::new(move |stop| unsafe { run(area.base(), stop.as_ptr()) })
    };
    // SAFETY: returns a constant.
    let size = unsafe { c::peers_area_size() };
    let pick =
        |read: c::boost::LoopUntil, write: c::boost::LoopUntil| if is_write { write } else { read };
    match kind {
        "seqlock" => ours::<SeqLock>(id, is_write),
        "rwlock" => ours::<RwLock>(id, is_write),
        "robust" => c_loop(
            size,
            pick(c::peers_robust_read_until, c::peers_robust_write_until),
        ),
        "pthread-rwlock" => c_loop(
            size,
            pick(c::peers_rwlock_read_until, c::peers_rwlock_write_until),
        ),
        "boost-mutex" | "boost-sharable" => {
            let loops = if kind == "boost-mutex" {
                c::boost::mutex()
            } else {
                c::boost::sharable()
            };
            let loops = loops.expect("asked for only where it is there");
            c_loop(c::boost::size(), pick(loops.read_until, loops.write_until))
        }
        kind => super::log::actor(kind, id, is_write),
    }
}

fn ours<L: CortexSync + 'static>(key: i32, is_write: bool) -> Actor {
    let cortex = Cortex::<f64, L>::attach(key).expect("attach");
    Box::new(move |stop| {
        let mut count = 0;
        while stop.load(Ordering::Relaxed) == 0 {
            if is_write {
                cortex.write(count as f64).expect("write");
            } else {
                std::hint::black_box(cortex.read().expect("read"));
            }
            count += 1;
        }
        count
    })
}

/// How long reads take while another process publishes one value after the other.
fn beside_publisher(settings: &Settings, work: &str, size: usize) -> Vec<Row> {
    eprintln!("{work} ...");
    let segment = Segment::<SeqLock>::create_random(size).expect("a segment");
    let place = Place::new(4096);
    let arguments = [segment.key().to_string(), place.id.to_string()];
    let mut helper = Helper::start("publish", &arguments);
    let signals = Signals::of(&place);
    helper.tell("go");
    while signals.ready.load(Ordering::Acquire) == 0 {
        std::thread::yield_now();
    }
    let mut histogram = Histogram::<u64>::new(3).expect("three digits");
    let mut buffer = vec![0; size];
    let start = Instant::now();
    let length = Duration::from_millis(settings.pick(500, 3000));
    while start.elapsed() < length {
        let start = Instant::now();
        segment.read_at(0, &mut buffer).expect("read");
        let elapsed = start.elapsed().as_nanos() as u64;
        histogram.record(elapsed).expect("any number");
        let (first, middle, last) = (buffer[0], buffer[size / 2], buffer[size - 1]);
        assert!(first == middle && middle == last, "a torn value");
    }
    let elapsed = start.elapsed().as_secs_f64();
    signals.stop.store(1, Ordering::SeqCst);
    let published: f64 = helper.answer().parse().expect("a count");
    let single = |name: &str, unit, value| {
        Row::new(format!("{work}: {name}"), unit).cell(RUST, Figure::single(value))
    };
    vec![
        single("mean", Unit::Nanoseconds, histogram.mean()),
        single(
            "99.9 %",
            Unit::Nanoseconds,
            histogram.value_at_quantile(0.999) as f64,
        ),
        single("slowest", Unit::Nanoseconds, histogram.max() as f64),
        single("reads", Unit::PerSecond, histogram.len() as f64 / elapsed),
        single("commits", Unit::PerSecond, published / elapsed),
    ]
}
