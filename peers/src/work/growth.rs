//! How a cost grows with the size of things: participants, payload, waiters, segments.
//!
//! A row is one kind of work; its cells are the sizes, smallest first. What is said to be constant must not
//! grow in step with the size: the verdict is the exponent of growth from the first size to the last,
//! 0 for a constant and 1 for a cost that is linear.

use crate::contest::{Contest, Figure, Row, Settings, Unit};
use crate::helper::Helper;
use crate::work::number::cortex;
use neocortex::{Cortex, CortexBuilder, CortexSync, RwLock, Segment, SeqLock};
use std::time::Instant;

const PARTICIPANTS: &str = "grows with participants";
const PAYLOAD: &str = "grows with payload";
const WAITERS: &str = "grows with waiters";
const SEGMENTS: &str = "grows with segments";

pub fn rows(settings: &Settings) -> Vec<Row> {
    let mut rows = Vec::new();
    if settings.wants(PARTICIPANTS) {
        rows.extend(participants(settings));
    }
    if settings.wants(PAYLOAD) {
        rows.extend(payload(settings));
    }
    if settings.wants(WAITERS) {
        rows.push(waiters(settings));
    }
    if settings.wants(SEGMENTS) {
        rows.extend(segments(settings));
    }
    rows
}

/// A cortex in which so many participants live, all of this process.
struct Crowd<L: CortexSync> {
    owner: Cortex<f64, L>,
    others: Vec<Cortex<f64, L>>,
}

impl<L: CortexSync> Crowd<L> {
    fn new(count: usize) -> Self {
        let owner = CortexBuilder::new(42.0)
            .random_key()
            .participants(4096)
            .with_default_lock::<L>()
            .expect("a cortex");
        // The last place is left for the one that attaches and drops.
        let others = (1..count.min(4095)).map(|_| Cortex::attach(owner.key()).expect("attach"));
        let others = others.collect();
        Self { owner, others }
    }

    /// A cortex in which so many participants have lived, of which one does now.
    fn gone(count: usize) -> Self {
        let mut crowd = Self::new(count);
        crowd.others.clear();
        crowd
    }
}

fn participants(settings: &Settings) -> Vec<Row> {
    let sizes = [1, 16, 256, 4095];
    let seqlocks = sizes.map(Crowd::<SeqLock>::new);
    let rwlocks = sizes.map(Crowd::<RwLock>::new);
    let deserted = sizes.map(Crowd::<RwLock>::gone);
    let mut contests = [
        "read f64 (constant)",
        "write f64 (constant)",
        "RwLock read guard (constant)",
        "RwLock write (linear)",
        "RwLock write, when they have gone (constant)",
        "attach and drop, room for 4096 (linear)",
    ]
    .map(|work| Contest::new(format!("{PARTICIPANTS}: {work}")));
    for (index, size) in sizes.into_iter().enumerate() {
        let (seqlock, rwlock) = (&seqlocks[index].owner, &rwlocks[index].owner);
        let [read, write, guard, exclude, alone, attach] = contests;
        let deserted = &deserted[index].owner;
        contests = [
            read.timed(size.to_string(), move |n| {
                (0..n).fold(0, |seen, _| seen ^ seqlock.read().expect("read").to_bits())
            }),
            write.timed(size.to_string(), move |n| {
                (0..n).for_each(|_| seqlock.write(1.5).expect("write"));
            }),
            guard.timed(size.to_string(), move |n| {
                (0..n).fold(0, |seen, _| {
                    seen ^ rwlock.read_guard().expect("a guard").to_bits()
                })
            }),
            exclude.timed(size.to_string(), move |n| {
                (0..n).for_each(|_| rwlock.write(1.5).expect("write"));
            }),
            alone.timed(size.to_string(), move |n| {
                (0..n).for_each(|_| deserted.write(1.5).expect("write"));
            }),
            attach.timed(size.to_string(), move |n| {
                (0..n).for_each(|_| {
                    drop(Cortex::<f64>::attach(seqlock.key()).expect("attach"));
                });
            }),
        ];
    }
    contests.map(|contest| contest.run(settings)).into()
}

/// Sizes of a payload, by name.
fn payload_sizes(settings: &Settings) -> Vec<(usize, &'static str)> {
    let mut sizes = vec![
        (64, "64 B"),
        (64 << 10, "64 KiB"),
        (64 << 20, "64 MiB"),
        (1 << 30, "1 GiB"),
    ];
    // Two slots of 1 GiB are filled once each.
    sizes.truncate(settings.pick(3, 4));
    sizes
}

fn payload(settings: &Settings) -> Vec<Row> {
    let sizes = payload_sizes(settings);
    let segments: Vec<Segment> = sizes
        .iter()
        .map(|&(size, _)| {
            let segment = Segment::create_random(size).expect("a segment");
            // Every page of both slots is there before anything is measured.
            let data = vec![1; size];
            segment.write_at(0, &data).expect("write");
            segment.write_at(0, &data).expect("write");
            segment
        })
        .collect();
    let mut read = Contest::new(format!("{PAYLOAD}: read_at 64 B (constant)"));
    let mut write = Contest::new(format!("{PAYLOAD}: write_at 64 B, one place (constant)"));
    let mut guard = Contest::new(format!("{PAYLOAD}: write guard that marks 64 B (constant)"));
    let mut create = Contest::new(format!("{PAYLOAD}: create and drop, untouched (constant)"));
    for ((size, name), segment) in sizes.into_iter().zip(&segments) {
        let middle = size / 2 / 64 * 64;
        read = read.timed(name, move |n| {
            let mut bytes = [0; 64];
            (0..n).for_each(|_| segment.read_at(middle, &mut bytes).expect("read"));
            bytes[0]
        });
        write = write.timed(name, move |n| {
            (0..n).for_each(|_| segment.write_at(middle, &[2; 64]).expect("write"));
        });
        guard = guard.timed(name, move |n| {
            for _ in 0..n {
                let mut guard = segment.write_guard().expect("a guard");
                guard[middle] = 3;
                guard.mark(middle, 64).expect("mark");
                guard.commit().expect("commit");
            }
        });
        create = create.timed(name, move |n| {
            (0..n).for_each(|_| drop(Segment::<SeqLock>::create_random(size).expect("a segment")));
        });
    }
    [read, write, guard, create]
        .map(|contest| contest.run(settings))
        .into()
}

/// From a commit until the last of so many waiting threads, in another process, has seen it.
fn waiters(settings: &Settings) -> Row {
    let (rounds, n) = settings.pick((9, 5), (21, 20));
    let mut contest =
        Contest::new(format!("{WAITERS}: write until all have seen it (linear)")).fixed(rounds, n);
    for count in [1_u32, 10, 100, 1000] {
        let (value, seen) = (cortex::<SeqLock>(), cortex::<SeqLock>());
        let arguments = [
            value.key().to_string(),
            seen.key().to_string(),
            count.to_string(),
        ];
        let helper = Helper::start("crowd", &arguments);
        let mut number = 0.0;
        contest = contest.judged(count.to_string(), move |n| {
            let _ = &helper;
            let mut total = 0;
            for _ in 0..n {
                let before = seen.version();
                let start = Instant::now();
                number += 1.0;
                value.write(number).expect("write");
                // The last of the crowd commits here.
                seen.wait_changed(before, None).expect("wait");
                total += start.elapsed().as_nanos() as u64;
                assert_eq!(seen.read().expect("read"), number);
            }
            total as f64 / n as f64
        });
    }
    contest.run(settings)
}

/// The other process: this many threads wait for each commit, and the last to see it says so.
pub fn crowd(value: i32, seen: i32, count: u32) {
    use std::sync::atomic::{AtomicU64, Ordering};
    let value = Cortex::<f64>::attach(value).expect("attach");
    let seen = Cortex::<f64>::attach(seen).expect("attach");
    let arrived = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                let mut since = 0;
                loop {
                    // One commit after the other: nobody begins the next before all have seen this one.
                    since = value.wait_changed(since, None).expect("wait");
                    let arrivals = arrived.fetch_add(1, Ordering::AcqRel) + 1;
                    if arrivals == since * u64::from(count) {
                        seen.write(value.read().expect("read")).expect("write");
                    }
                }
            });
        }
        crate::helper::serve(|_| String::new());
        // The parent is done with us; the threads wait for ever.
        std::process::exit(0);
    });
}

fn segments(settings: &Settings) -> Vec<Row> {
    let sizes = [1, 64, 1024, 4000];
    let mut crowd: Vec<Cortex<f64>> = Vec::new();
    let mut cells = [Vec::new(), Vec::new()];
    for size in sizes {
        let small = || {
            CortexBuilder::new(42.0)
                .random_key()
                .participants(2)
                .create()
        };
        while crowd.len() < size {
            match small() {
                Ok(cortex) => crowd.push(cortex),
                // Fewer segments, or semaphores, are allowed here: said in the table.
                Err(error) => {
                    eprintln!("{} segments: {error}", crowd.len());
                    break;
                }
            }
        }
        let name = crowd.len().to_string();
        let middle = &crowd[crowd.len() / 2];
        let contests = [
            Contest::new("read").timed(name.clone(), |n| {
                (0..n).fold(0, |seen, _| seen ^ middle.read().expect("read").to_bits())
            }),
            Contest::new("attach").timed(name, |n| {
                for _ in 0..n {
                    drop(Cortex::<f64>::attach(middle.key()).expect("attach"));
                }
            }),
        ];
        for (cells, contest) in cells.iter_mut().zip(contests) {
            cells.extend(contest.run(settings).cells);
        }
    }
    let [reads, attaches] = cells;
    [
        ("read f64 (constant)", reads),
        ("attach and drop (constant)", attaches),
    ]
    .map(|(work, cells)| Row {
        cells,
        ..Row::new(format!("{SEGMENTS}: {work}"), Unit::Nanoseconds)
    })
    .into()
}

/// The exponent of growth from the first cell to the last, both named by a number or a size in bytes.
pub fn exponent(row: &Row) -> Option<f64> {
    let point = |(name, outcome): &(String, crate::contest::Outcome)| match outcome {
        crate::contest::Outcome::Measured(figure) => Some((size_of_name(name)?, *figure)),
        crate::contest::Outcome::NotMeasured(_) => None,
    };
    let (first, last): ((f64, Figure), (f64, Figure)) =
        (point(row.cells.first()?)?, point(row.cells.last()?)?);
    (last.0 > first.0).then(|| (last.1.median / first.1.median).ln() / (last.0 / first.0).ln())
}

fn size_of_name(name: &str) -> Option<f64> {
    let mut words = name.split(' ');
    let number: f64 = words.next()?.parse().ok()?;
    let unit = match words.next() {
        Some("KiB") => 1024.0,
        Some("MiB") => 1024.0 * 1024.0,
        Some("GiB") => 1024.0 * 1024.0 * 1024.0,
        _ => 1.0,
    };
    Some(number * unit)
}

/// Whether a row is one of these.
pub fn is_growth(row: &Row) -> bool {
    row.work.starts_with("grows with ")
}
