//! Partial writes against a model: whatever is written, given up, marked or published, the segment's
//! bytes are those of a plain vector to which the same was done.

use crate::common::Kernel;
use neocortex::{
    CortexError, CortexSync, RwLock, Segment, SegmentObserver, SegmentOptions, Semaphore, SeqLock,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

/// A stretch of bytes, of which as much is used as fits into the segment.
#[derive(Debug, Clone)]
struct Stretch {
    offset: usize,
    bytes: Vec<u8>,
}

impl Stretch {
    fn of(&self, size: usize) -> (usize, &[u8]) {
        let offset = self.offset % (size + 1);
        (offset, &self.bytes[..self.bytes.len().min(size - offset)])
    }

    fn put(&self, into: &mut [u8]) {
        let (offset, bytes) = self.of(into.len());
        into[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

#[derive(Debug, Clone)]
enum Step {
    WriteAt(Stretch),
    WriteWhole(u8),
    /// Changed through a guard, and given up.
    Abort(Vec<Stretch>),
    /// Changed through a guard, and committed; with a mark of each change, or with none.
    Commit(Vec<Stretch>, bool),
    /// Changed (all of it, where the guard's contents are unspecified), published, changed again; at
    /// last committed or given up. The flags: refreshed, marked.
    Publish(Vec<(Stretch, bool, bool)>, bool),
    /// The guard's handle is forgotten with it, as if its process had been killed.
    Die(Stretch),
}

fn stretch() -> impl Strategy<Value = Stretch> {
    // Mostly short, some over several lines of 64 bytes, and near their edges.
    let offset = prop_oneof![
        any::<usize>().prop_map(|at| at % 5000),
        (0..80_usize).prop_map(|at| at * 64)
    ];
    let length = prop_oneof![4 => 0..70_usize, 1 => 0..1000_usize];
    (offset, length, any::<u8>()).prop_map(|(offset, length, first)| Stretch {
        offset,
        bytes: (0..length)
            .map(|at| first.wrapping_add(at as u8).wrapping_mul(3))
            .collect(),
    })
}

fn step() -> impl Strategy<Value = Step> {
    let stretches = || prop::collection::vec(stretch(), 0..4);
    let published = prop::collection::vec((stretch(), any::<bool>(), any::<bool>()), 1..4);
    prop_oneof![
        6 => stretch().prop_map(Step::WriteAt),
        1 => any::<u8>().prop_map(Step::WriteWhole),
        2 => stretches().prop_map(Step::Abort),
        3 => (stretches(), any::<bool>()).prop_map(|(changes, marked)| Step::Commit(changes, marked)),
        2 => (published, any::<bool>()).prop_map(|(rounds, last)| Step::Publish(rounds, last)),
        1 => stretch().prop_map(Step::Die),
    ]
}

/// What the bytes should be, and how often they were committed.
struct Model {
    bytes: Vec<u8>,
    version: u64,
    is_poisoned: bool,
}

impl Model {
    fn commit(&mut self, change: impl FnOnce(&mut [u8])) {
        change(&mut self.bytes);
        self.version += 1;
    }
}

fn perform<L: CortexSync>(
    segment: &Segment<L>,
    step: &Step,
    model: &mut Model,
) -> Result<(), CortexError> {
    let size = segment.size();
    match step {
        Step::WriteAt(change) => {
            let (offset, bytes) = change.of(size);
            segment.write_at(offset, bytes)?;
            if !bytes.is_empty() {
                model.commit(|bytes| change.put(bytes));
                model.is_poisoned = false;
            }
        }
        Step::WriteWhole(byte) => {
            segment.write_at(0, &vec![*byte; size])?;
            model.commit(|bytes| bytes.fill(*byte));
            model.is_poisoned = false;
        }
        Step::Abort(changes) => {
            let mut guard = segment.write_guard()?;
            assert_eq!(*guard, model.bytes);
            changes.iter().for_each(|change| change.put(&mut guard));
            model.is_poisoned = segment.is_in_place();
        }
        Step::Commit(changes, marked) => {
            let mut guard = segment.write_guard()?;
            assert_eq!(*guard, model.bytes);
            for change in changes {
                change.put(&mut guard);
                if *marked {
                    let (offset, bytes) = change.of(size);
                    guard.mark(offset, bytes.len())?;
                }
            }
            guard.commit()?;
            model.commit(|bytes| changes.iter().for_each(|change| change.put(bytes)));
        }
        Step::Publish(rounds, last) => {
            let mut guard = segment.write_guard()?;
            if segment.is_in_place() {
                assert!(matches!(
                    guard.publish(),
                    Err(CortexError::Unsupported { .. })
                ));
                return guard.commit().map(|()| model.commit(|_| ()));
            }
            let mut is_known = true;
            for (change, refreshed, marked) in rounds {
                if !is_known {
                    guard.copy_from_slice(&model.bytes);
                }
                assert_eq!(*guard, model.bytes);
                change.put(&mut guard);
                let (offset, bytes) = change.of(size);
                if *marked {
                    guard.mark(offset, bytes.len())?;
                }
                model.commit(|bytes| change.put(bytes));
                match refreshed {
                    true => guard.publish_and_refresh()?,
                    false => guard.publish()?,
                }
                is_known = *refreshed;
            }
            if !is_known {
                guard.copy_from_slice(&model.bytes);
            }
            let (change, ..) = &rounds[0];
            change.put(&mut guard);
            if *last {
                guard.commit()?;
                model.commit(|bytes| change.put(bytes));
            }
        }
        Step::Die(change) => {
            let doomed: Segment<L> = SegmentOptions::new().attach(segment.key(), size)?;
            let mut guard = doomed.write_guard()?;
            change.put(&mut guard);
            std::mem::forget(guard);
            model.is_poisoned = segment.is_in_place();
        }
    }
    Ok(())
}

fn run<L: CortexSync>(slots: u32, size: usize, steps: &[(Step, bool)]) -> TestCaseResult {
    let kernel = Kernel::new();
    let options = SegmentOptions::new().slots(slots).participants(4);
    let owner: Segment<L> = options.create(kernel.key(), size).unwrap();
    let other: Segment<L> = SegmentOptions::new().attach(owner.key(), size).unwrap();
    let observer = SegmentObserver::attach(owner.key(), size).unwrap();
    let mut model = Model {
        bytes: vec![0; size],
        version: 0,
        is_poisoned: false,
    };
    let mut bytes = vec![0; size];
    for (step, by_other) in steps {
        let handle = if *by_other { &other } else { &owner };
        let was_poisoned = model.is_poisoned;
        match perform(handle, step, &mut model) {
            Ok(()) => {}
            Err(CortexError::Poisoned { .. }) if was_poisoned => {
                prop_assert!(slots == 1);
                // Nothing was done. Healed in one of the two ways, in turn.
                if model.version % 2 == 0 {
                    owner.clear_poison().unwrap();
                    owner.read_at(0, &mut model.bytes).unwrap();
                    model.version += 1;
                } else {
                    other.write_at(0, &model.bytes).unwrap();
                    model.version += 1;
                }
                model.is_poisoned = false;
            }
            Err(error) => panic!("{error}"),
        }
        prop_assert_eq!(owner.version(), model.version);
        for handle in [&owner, &other] {
            // A dead holder is not in the way of looking, but a healthy lock is asked for.
            prop_assert_eq!(handle.is_poisoned(), model.is_poisoned);
            match handle.read_at(0, &mut bytes) {
                Ok(()) => prop_assert!(bytes == model.bytes, "other bytes after {step:?}"),
                Err(CortexError::Poisoned { .. }) => prop_assert!(model.is_poisoned),
                Err(error) => panic!("{error}"),
            }
        }
        if !model.is_poisoned {
            observer.read_at(0, &mut bytes).unwrap();
            prop_assert!(
                bytes == model.bytes,
                "the observer sees other bytes after {step:?}"
            );
            // A part of them, from anywhere.
            let from = size / 3;
            let mut part = vec![0; size / 2];
            other.read_at(from, &mut part).unwrap();
            prop_assert!(part == model.bytes[from..from + part.len()]);
        }
    }
    Ok(())
}

fn check<L: CortexSync>(cases: u32) {
    // Without a file of failed cases: a failure prints the shortest sequence that shows it.
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let steps = prop::collection::vec((step(), any::<bool>()), 1..40);
    let size = prop_oneof![1..10_usize, 60..70_usize, 100..5000_usize];
    TestRunner::new(config)
        .run(&(1..=8_u32, size, steps), |(slots, size, steps)| {
            run::<L>(slots, size, &steps)
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn bytes_are_those_of_the_model_seqlock() {
    check::<SeqLock>(200);
}

#[test]
fn bytes_are_those_of_the_model_rwlock() {
    check::<RwLock>(100);
}

#[test]
fn bytes_are_those_of_the_model_semaphore() {
    check::<Semaphore>(100);
}

#[test]
fn small_write_in_a_large_segment_copies_little() {
    // Not a clock but the bytes tell: what a small write does not touch stays what was scribbled
    // into the slot behind the library's back.
    let kernel = Kernel::new();
    let size = 1 << 20;
    for slots in [2, 3, 8] {
        let key = kernel.key();
        let segment: Segment = SegmentOptions::new()
            .slots(slots)
            .create(key, size)
            .unwrap();
        let raw = crate::common::Foreign::open(key);
        let first = raw.bytes().len() - slots as usize * size;
        for _ in 0..slots {
            segment.write_at(0, &vec![1; size]).unwrap();
        }
        for slot in 0..slots as usize {
            raw.put(first + slot * size + size - 8, &[0xEE; 8]);
        }
        // The slot has missed whole writes: these copy all, slot by slot.
        for _ in 1..slots {
            segment.write_at(0, &[2; 64]).unwrap();
        }
        for slot in 0..slots as usize {
            let mark = [slot as u8; 8];
            raw.put(first + slot * size + size / 2, &mark);
        }
        for value in 0..20 {
            segment.write_at(4096, &[value; 64]).unwrap();
        }
        let bytes = raw.bytes();
        for slot in 0..slots as usize {
            let at = first + slot * size + size / 2;
            assert_eq!(
                bytes[at..at + 8],
                [slot as u8; 8],
                "a small write copied the middle"
            );
        }
        // Given up once: one whole copy, into the slot that the next commit takes.
        drop(segment.write_guard().unwrap());
        let (from, to) = (
            segment.version() % u64::from(slots),
            (segment.version() + 1) % u64::from(slots),
        );
        segment.write_at(4096, &[99; 64]).unwrap();
        let bytes = raw.bytes();
        let at = first + to as usize * size + size / 2;
        assert_eq!(
            bytes[at..at + 8],
            [from as u8; 8],
            "what was given up may be anywhere"
        );
    }
}
