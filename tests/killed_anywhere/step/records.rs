//! Pushing and following in a lossless cortex of records, killed everywhere: the others miss nothing, and no registration
//! of a dead follower holds them up.

use super::operations::{LONG, SHORT};
use super::{die_after, wind_up, Point, Tally, Tracee, Trail, Where, Work};
use crate::common::{proof, Random};
use neocortex::{CortexError, CortexSync, Segment, SegmentFollower, SegmentOptions};
use std::mem::ManuallyDrop;
use std::time::Instant;

const KEY: i32 = 1;
const SIZE: usize = 150;
const SLOTS: u32 = 4;

/// The record of a commit: its length and its bytes follow from the number.
fn record(number: u64) -> Vec<u8> {
    let length = number as usize * 37 % (SIZE + 1);
    (0..length).map(|at| (number as usize + at) as u8).collect()
}

fn attach<L: CortexSync>() -> Segment<L> {
    let options = SegmentOptions::new().records().timeout(LONG);
    options.attach(KEY, SIZE).expect("attach")
}

fn push<L: CortexSync>(segment: &Segment<L>) {
    let next = record(segment.version() + 1);
    segment.push(&next).expect("a survivor pushes");
}

struct Operation {
    name: &'static str,
    /// Whether there is room for its commits only after a survivor has read.
    is_full: bool,
    /// How many commits it makes.
    commits: u64,
    prepare: fn() -> Work,
}

fn operations<L: CortexSync + 'static>() -> [Operation; 4] {
    // The handles are forgotten, for leaving is an operation of its own.
    [
        Operation {
            name: "push",
            is_full: false,
            commits: 2,
            prepare: || {
                let segment = ManuallyDrop::new(attach::<L>());
                let next = segment.version() + 1;
                let records = [record(next), record(next + 1)];
                Box::new(move || {
                    for record in &records {
                        segment.push(record).expect("push");
                    }
                    std::mem::forget(records);
                })
            },
        },
        Operation {
            name: "push, no room, giving up",
            is_full: true,
            commits: 0,
            prepare: || {
                let segment = ManuallyDrop::new(attach::<L>());
                let next = record(segment.version() + 1);
                Box::new(move || {
                    match segment.push_for(SHORT, &next) {
                        Err(CortexError::Timeout { .. }) => {}
                        result => panic!("there was no room: {result:?}"),
                    }
                    std::mem::forget(next);
                })
            },
        },
        Operation {
            name: "follow_registered, next_record, end",
            is_full: true,
            commits: 0,
            prepare: || {
                let segment = ManuallyDrop::new(attach::<L>());
                let mut found = Vec::with_capacity(SIZE);
                Box::new(move || {
                    let since = segment.kept_since();
                    let mut follower = segment.follow_registered(since).expect("registered");
                    let next = follower.next_record(&mut found, LONG).expect("a record");
                    assert!(found == record(next.version));
                    drop(follower);
                    std::mem::forget(found);
                })
            },
        },
        Operation {
            name: "close, registered",
            is_full: true,
            commits: 0,
            prepare: || {
                let segment = attach::<L>();
                std::mem::forget(segment.follow_registered(0).expect("registered"));
                Box::new(move || segment.close().expect("close"))
            },
        },
    ]
}

/// The others: one writes, and one follows, registered.
struct Survivors<'a, L: CortexSync> {
    writer: &'a Segment<L>,
    follower: SegmentFollower<'a>,
    got: u64,
}

impl<L: CortexSync> Survivors<'_, L> {
    /// Reads so many commits, none of which was missed.
    fn read(&mut self, count: u64) {
        let mut found = Vec::new();
        for _ in 0..count {
            let next = self.follower.next_record(&mut found, LONG).expect("read");
            self.got += 1;
            assert_eq!((next.version, next.missed), (self.got, 0), "it missed one");
            assert!(
                found == record(next.version),
                "not whole, or another record"
            );
        }
    }

    /// Leaves as much room as the operation is to have.
    fn prepare(&mut self, operation: &Operation) {
        self.read(self.writer.version() - self.got);
        if operation.is_full {
            (0..SLOTS).for_each(|_| push(self.writer));
        }
    }

    /// After a death: everything that was committed is read, and more than all slots are written again.
    fn go_on(&mut self, version: u64, commits: u64, died: Instant, tally: &mut Tally) {
        let now = self.writer.version();
        assert!((version..=version + commits).contains(&now), "{now}");
        self.read(now - self.got);
        push(self.writer);
        tally.time(died.elapsed());
        for _ in 0..2 * SLOTS {
            push(self.writer);
            self.read(1);
        }
        self.read(1);
        assert_eq!(self.writer.participants().expect("ask").0, 2);
    }
}

fn kill_at<L: CortexSync + 'static>(
    survivors: &mut Survivors<'_, L>,
    operation: &Operation,
    point: Point,
    trail: &Trail,
    tally: &mut Tally,
) {
    wind_up();
    survivors.prepare(operation);
    let version = survivors.writer.version();
    let mut other = Tracee::start(operation.prepare);
    let arrival = other.run_to(KEY, point, trail);
    tally.count(point, arrival);
    let died = other.kill();
    survivors.go_on(version, operation.commits, died, tally);
}

/// Every operation with this lock, killed everywhere.
pub fn run<L: CortexSync + 'static>() -> Tally {
    let (mut random, mut tally) = (Random::new(), Tally::default());
    die_after(|| {
        let options = SegmentOptions::new().records().lossless().slots(SLOTS);
        let options = options.participants(4);
        std::mem::forget(options.create::<L>(KEY, SIZE).expect("create"));
    });
    let (writer, reader) = (attach::<L>(), attach::<L>());
    let mut survivors = Survivors {
        writer: &writer,
        follower: reader.follow_registered(0).expect("registered"),
        got: 0,
    };
    for operation in &operations::<L>() {
        survivors.prepare(operation);
        let version = writer.version();
        let trail = Tracee::start(operation.prepare).record(KEY, u32::MAX);
        survivors.go_on(version, operation.commits, Instant::now(), &mut tally);
        let points = trail.points(proof::cases(10, 0) as usize, &mut random);
        println!("{}, {}: {} kills", L::NAME, operation.name, points.len());
        for point in points {
            let _where = Where(operation.name, format!("{point:?}"));
            kill_at(&mut survivors, operation, point, &trail, &mut tally);
        }
    }
    drop(survivors);
    drop((writer, reader));
    super::expect_nothing_after_reclaim(KEY);
    tally
}
