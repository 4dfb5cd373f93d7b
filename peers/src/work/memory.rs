//! A frame filled in place beside one memset of it; huge pages; memory that is there before the first write.

use crate::contest::{Contest, Row, Settings, Target, RUST};
use crate::place::Place;
use neocortex::{HugePages, Segment, SegmentOptions, SeqLock};
use std::hint::black_box;
use std::sync::atomic::{compiler_fence, Ordering};
use std::time::Instant;

/// Bytes of a frame of 1920 x 1080 points in three colours.
const FRAME: usize = 1920 * 1080 * 3;
const LARGE: usize = 64 << 20;

const FILL: &str = "fill a 1080p frame in place";
const FIRST: &str = "first write of 64 MiB";
const CREATE: &str = "create and drop 64 MiB";

/// What the whole of filling in place may cost, against one memset of the frame.
const NEAR_MEMSET: f64 = 1.1;

pub fn rows(settings: &Settings) -> Vec<Row> {
    let mut rows = Vec::new();
    if settings.wants(FILL) {
        rows.push(fill(settings));
    }
    for (work, is_read) in [
        ("read 64 MiB, by its pages", true),
        ("write 64 MiB, by its pages", false),
    ] {
        if settings.wants(work) {
            rows.push(pages(settings, work, is_read));
        }
    }
    if settings.wants(FIRST) {
        rows.push(first(settings));
    }
    if settings.wants(CREATE) {
        rows.push(create(settings));
    }
    rows
}

/// Two slots, every page of which is there.
fn whole(options: &SegmentOptions, size: usize) -> Option<Segment> {
    let segment = options.create_random::<SeqLock>(size).ok()?;
    let data = vec![7; size];
    for _ in 0..2 {
        segment.write_at(0, &data).expect("write");
    }
    Some(segment)
}

/// Two slots take turns, as two places do; in place it is the one.
fn fill(settings: &Settings) -> Row {
    const IN_PLACE: &str = "neocortex in place";
    // What the guard shows is filled, and nothing else is timed.
    const SLOTS: &str = "(memset of the slots)";
    let overwrite = |segment: &Segment, n: u64| {
        for number in 0..n {
            let mut guard = segment.overwrite_guard().expect("a guard");
            guard.fill(number as u8);
            guard.commit().expect("commit");
        }
    };
    let segment = whole(&SegmentOptions::new(), FRAME).expect("a segment");
    let current = whole(&SegmentOptions::new(), FRAME).expect("a segment");
    let single = whole(&SegmentOptions::new().in_place(), FRAME).expect("a segment");
    let stride = FRAME.next_multiple_of(4096);
    let place = Place::new(2 * stride);
    let shared = place.base();
    // SAFETY: the place has so many bytes.
    unsafe { shared.write_bytes(7, 2 * stride) };
    let set = |slot: usize, number: u64| {
        // SAFETY: the place has room for two, and is nobody else's.
        unsafe { shared.add(slot * stride).write_bytes(number as u8, FRAME) };
        compiler_fence(Ordering::SeqCst);
    };
    Contest::new(FILL)
        .fixed(settings.pick(31, 101), 16)
        .judged(RUST, |n| warm(n, |n| overwrite(&segment, n)))
        .judged(IN_PLACE, |n| warm(n, |n| overwrite(&single, n)))
        .judged("neocortex write_guard", |n| {
            warm(n, |n| {
                for number in 0..n {
                    let mut guard = current.write_guard().expect("a guard");
                    guard.fill(number as u8);
                    guard.commit().expect("commit");
                }
            })
        })
        .judged("(memset)", |n| {
            warm(n, |n| (0..n).for_each(|number| set(0, number)))
        })
        .judged("(memset, two places)", |n| {
            warm(n, |n| {
                (0..n).for_each(|number| set(number as usize & 1, number));
            })
        })
        .judged(SLOTS, |n| {
            // Of the same pages: where they lie decides what the caches keep of them.
            overwrite(&segment, 2);
            let mut spent = 0;
            for number in 0..n {
                let mut guard = segment.overwrite_guard().expect("a guard");
                let start = Instant::now();
                guard.fill(number as u8);
                compiler_fence(Ordering::SeqCst);
                spent += start.elapsed().as_nanos();
                guard.commit().expect("commit");
            }
            spent as f64 / n as f64
        })
        .target(Target::new(NEAR_MEMSET, SLOTS))
        .target(Target {
            ours: IN_PLACE,
            ..Target::new(NEAR_MEMSET, "(memset)")
        })
        .run(settings)
}

/// Nanoseconds of each of `n`, after two that are not timed: otherwise whose pages the column before has left in the
/// caches decides, and a frame of what is there takes less than half the time.
fn warm(n: u64, work: impl Fn(u64)) -> f64 {
    work(2);
    let start = Instant::now();
    work(n);
    start.elapsed().as_nanos() as f64 / n as f64
}

fn pages(settings: &Settings, work: &str, is_read: bool) -> Row {
    const HUGE: &str = "neocortex huge pages";
    let ordinary = whole(&SegmentOptions::new(), LARGE).expect("a segment");
    let huge = whole(&SegmentOptions::new().huge_pages(HugePages::Require), LARGE);
    let mut buffer = vec![7; LARGE];
    let mut other = vec![7; LARGE];
    let turn = |segment: &Segment, bytes: &mut [u8], n: u64| {
        for _ in 0..n {
            match is_read {
                true => segment.read_at(0, bytes).expect("read"),
                false => segment.write_at(0, bytes).expect("write"),
            }
            compiler_fence(Ordering::SeqCst);
        }
    };
    let mut contest = Contest::new(work).fixed(settings.pick(15, 41), 4);
    contest = contest.timed(RUST, |n| turn(&ordinary, &mut buffer, n));
    contest = match &huge {
        Some(huge) => contest.timed(HUGE, |n| turn(huge, &mut other, n)),
        None => contest.absent(HUGE, "too few huge pages are free (vm.nr_hugepages: 70)"),
    };
    contest.run(settings)
}

/// How a segment is made, by column.
fn ways() -> [(&'static str, SegmentOptions); 3] {
    let plain = SegmentOptions::new();
    let prefault = plain.clone().prefault();
    let huge = prefault.clone().huge_pages(HugePages::Require);
    [
        (RUST, plain),
        ("neocortex prefault", prefault),
        ("neocortex prefault, huge pages", huge),
    ]
}

/// The first write to a segment, in nanoseconds.
fn first(settings: &Settings) -> Row {
    let data = &*vec![7; LARGE];
    let mut contest = Contest::new(FIRST).fixed(settings.pick(9, 31), 1);
    for (column, options) in ways() {
        contest = match options.create_random::<SeqLock>(LARGE) {
            Err(error) => contest.absent(column, error.to_string()),
            Ok(_) => contest.judged(column, move |_| {
                let segment = options.create_random::<SeqLock>(LARGE).expect("a segment");
                let start = Instant::now();
                segment.write_at(0, data).expect("write");
                start.elapsed().as_nanos() as f64
            }),
        };
    }
    contest.run(settings)
}

/// What is paid for it when it is created.
fn create(settings: &Settings) -> Row {
    let mut contest = Contest::new(CREATE).fixed(settings.pick(9, 31), 1);
    for (column, options) in ways() {
        contest = match options.create_random::<SeqLock>(LARGE) {
            Err(error) => contest.absent(column, error.to_string()),
            Ok(_) => contest.timed(column, move |n| {
                for _ in 0..n {
                    black_box(options.create_random::<SeqLock>(LARGE).expect("a segment"));
                }
            }),
        };
    }
    contest.run(settings)
}
