//! The operations on a cortex that others are attached to.
//!
//! Value number *n* is the *n*th commit. An operation says what the payload is after each of its commits, so
//! that after a death the version decides which bytes must be there, to the last one.

use super::Work;
use crate::common::{fill, filled};
use neocortex::{Cortex, CortexError, CortexResult, CortexSync, Segment, SegmentOptions, WaitSet};
use std::time::Duration;

/// Three lines, so that a range can be a part.
pub const SIZE: usize = 192;
pub type Value = [u64; SIZE / 8];
/// What partial writes change: within the second line and the third.
pub const PART: std::ops::Range<usize> = 72..136;

/// So that a hang is an error and not the watchdog's business.
pub(super) const LONG: Option<Duration> = Some(Duration::from_secs(10));
/// For operations that are meant to give up.
pub const SHORT: Duration = Duration::from_millis(4);

/// What the others do meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    Free,
    /// One holds the lock for writing: the operation has to wait.
    WriteHeld,
    ReadHeld,
    /// The one that held the lock has just been killed: the operation has to find out.
    HolderDead,
    /// One sleeps until the next commit: the operation has to wake it.
    Awaited,
    /// One sleeps until the next commit, for long, beside a lock at rest: the operation has to wake it first.
    Resting,
}

pub struct Operation {
    pub name: &'static str,
    pub scene: Scene,
    /// What the payload is after each commit, the state before it first.
    pub images: fn(u32) -> Vec<Vec<u8>>,
    /// Attaches to the key; the value has this number.
    pub prepare: fn(i32, u32) -> Work,
}

impl Operation {
    /// Whether it waits for ever, for another that holds the lock.
    pub fn waits(&self) -> bool {
        matches!(self.scene, Scene::WriteHeld | Scene::ReadHeld)
            && !self.name.ends_with("giving up")
    }
}

pub fn value(number: u32) -> Value {
    bytemuck::pod_read_unaligned(&filled(SIZE, number))
}

pub fn same(number: u32) -> Vec<Vec<u8>> {
    vec![filled(SIZE, number)]
}

pub fn whole(number: u32) -> Vec<Vec<u8>> {
    vec![filled(SIZE, number), filled(SIZE, number + 1)]
}

pub fn part(number: u32) -> Vec<Vec<u8>> {
    let mut images = whole(number);
    let before = images[0].clone();
    let after = &mut images[1];
    after[..PART.start].copy_from_slice(&before[..PART.start]);
    after[PART.end..].copy_from_slice(&before[PART.end..]);
    images
}

pub fn three(number: u32) -> Vec<Vec<u8>> {
    (number..number + 4)
        .map(|number| filled(SIZE, number))
        .collect()
}

pub(super) fn attach<L: CortexSync + 'static>(key: i32) -> Segment<L> {
    SegmentOptions::new()
        .timeout(LONG)
        .attach(key, SIZE)
        .expect("attach")
}

fn give_up<T>(result: CortexResult<T>) {
    match result {
        Err(CortexError::Timeout { .. }) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was held"),
    }
}

/// An operation on an attached segment, with the current value and the next three. The handle is forgotten, for
/// leaving is an operation of its own.
macro_rules! operation {
    ($lock:ident, $name:expr, $scene:ident, $images:expr, |$segment:ident, $values:ident| $body:expr) => {
        Operation {
            name: $name,
            scene: Scene::$scene,
            images: $images,
            prepare: |key, number| {
                let $segment = std::mem::ManuallyDrop::new(attach::<$lock>(key));
                // Never freed, which would be a part of the operation.
                let $values: &'static [Vec<u8>] = three(number).leak();
                let _ = $values;
                Box::new(move || $body)
            },
        }
    };
}

pub(super) fn operations<L: CortexSync + 'static>(slots: u32) -> Vec<Operation> {
    let mut all = vec![
        operation!(L, "read", Free, same, |segment, values| {
            let mut buffer = [0; SIZE];
            segment.read_at(0, &mut buffer).expect("read");
            assert!(buffer == values[0][..]);
        }),
        operation!(L, "write", Free, whole, |segment, values| {
            segment.write_at(0, &values[1]).expect("write")
        }),
        operation!(L, "write_at", Free, part, |segment, values| {
            segment
                .write_at(PART.start, &values[1][PART])
                .expect("write_at")
        }),
        Operation {
            name: "update",
            scene: Scene::Free,
            images: whole,
            prepare: |key, number| {
                let cortex = Cortex::<Value, L>::attach(key).expect("attach");
                let cortex = std::mem::ManuallyDrop::new(cortex);
                let next = value(number + 1);
                Box::new(move || cortex.update(|value| *value = next).expect("update"))
            },
        },
        operation!(L, "write guard, commit", Free, whole, |segment, values| {
            let mut guard = segment.write_guard().expect("guard");
            guard.copy_from_slice(&values[1]);
            guard.commit().expect("commit")
        }),
        operation!(
            L,
            "overwrite guard, commit",
            Free,
            whole,
            |segment, values| {
                let mut guard = segment.overwrite_guard().expect("guard");
                guard.copy_from_slice(&values[1]);
                guard.commit().expect("commit")
            }
        ),
        operation!(L, "read_versioned", Free, same, |segment, values| {
            let mut buffer = [0; SIZE];
            let version = segment.read_versioned(0, &mut buffer).expect("read");
            assert!(buffer == values[0][..] && version == segment.version());
        }),
        operation!(L, "read guard", Free, same, |segment, values| {
            let guard = segment.read_guard().expect("guard");
            assert!(guard[..] == values[0][..]);
            guard.end().expect("end")
        }),
        operation!(L, "wait_changed", Free, same, |segment, values| {
            give_up(segment.wait_changed(segment.version(), Some(SHORT)))
        }),
        Operation {
            name: "wait of a set",
            scene: Scene::Free,
            images: same,
            prepare: |key, _| {
                let segment = std::mem::ManuallyDrop::new(attach::<L>(key));
                let mut set = std::mem::ManuallyDrop::new(WaitSet::new());
                set.add(&*segment);
                Box::new(move || give_up(set.wait(Some(SHORT))))
            },
        },
        Operation {
            name: "close, not the owner",
            scene: Scene::Free,
            images: same,
            prepare: |key, _| {
                let segment = attach::<L>(key);
                Box::new(move || segment.close().expect("close"))
            },
        },
        operation!(
            L,
            "write, held by a reader",
            ReadHeld,
            same,
            |segment, values| { segment.write_at(0, &values[1]).expect("write") }
        ),
        operation!(
            L,
            "write, held by a reader, giving up",
            ReadHeld,
            same,
            |segment, values| {
                segment.set_timeout(Some(SHORT));
                give_up(segment.write_at(0, &values[1]))
            }
        ),
        operation!(L, "write, awaited", Awaited, whole, |segment, values| {
            segment.write_at(0, &values[1]).expect("write")
        }),
        operation!(L, "write, at rest", Resting, whole, |segment, values| {
            segment.write_at(0, &values[1]).expect("write")
        }),
        operation!(
            L,
            "read guard, at rest",
            Resting,
            same,
            |segment, values| {
                let guard = segment.read_guard().expect("guard");
                assert!(guard[..] == values[0][..]);
                guard.end().expect("end")
            }
        ),
        operation!(
            L,
            "write, holder dead",
            HolderDead,
            whole,
            |segment, values| { segment.write_at(0, &values[1]).expect("write") }
        ),
        operation!(
            L,
            "read guard, holder dead",
            HolderDead,
            same,
            |segment, values| {
                let guard = segment.read_guard().expect("guard");
                assert!(guard[..] == values[0][..]);
                drop(guard)
            }
        ),
    ];
    if slots == 1 {
        all.push(Operation {
            name: "clear_poison",
            scene: Scene::Free,
            images: whole,
            prepare: |key, number| {
                let segment = std::mem::ManuallyDrop::new(attach::<L>(key));
                let mut guard = segment.write_guard().expect("guard");
                fill(&mut guard, number + 1);
                guard.abort().expect("abort");
                Box::new(move || segment.clear_poison().expect("clear_poison"))
            },
        });
    } else {
        all.push(operation!(
            L,
            "write guard, abort",
            Free,
            same,
            |segment, values| {
                let mut guard = segment.write_guard().expect("guard");
                guard.copy_from_slice(&values[1]);
                guard.abort().expect("abort")
            }
        ));
        all.push(operation!(L, "publish", Free, three, |segment, values| {
            let mut guard = segment.write_guard().expect("guard");
            for value in &values[1..3] {
                guard.copy_from_slice(value);
                guard.publish().expect("publish");
            }
            guard.copy_from_slice(&values[3]);
            guard.commit().expect("commit")
        }));
        all.push(operation!(
            L,
            "publish, at rest",
            Resting,
            three,
            |segment, values| {
                let mut guard = segment.write_guard().expect("guard");
                for value in &values[1..3] {
                    guard.copy_from_slice(value);
                    guard.publish().expect("publish");
                }
                guard.copy_from_slice(&values[3]);
                guard.commit().expect("commit")
            }
        ));
        all.push(operation!(
            L,
            "mark, publish_and_refresh",
            Free,
            part,
            |segment, values| {
                let mut guard = segment.write_guard().expect("guard");
                guard.mark(PART.start, PART.len()).expect("mark");
                guard[PART].copy_from_slice(&values[1][PART]);
                guard.publish_and_refresh().expect("publish");
                drop(guard)
            }
        ));
        all.push(operation!(
            L,
            "write, held by a writer",
            WriteHeld,
            same,
            |segment, values| { segment.write_at(0, &values[1]).expect("write") }
        ));
        all.push(operation!(
            L,
            "read guard, held by a writer",
            WriteHeld,
            same,
            |segment, values| { drop(segment.read_guard().expect("guard")) }
        ));
        all.push(operation!(
            L,
            "read guard, held by a writer, giving up",
            WriteHeld,
            same,
            |segment, values| {
                segment.set_timeout(Some(SHORT));
                give_up(segment.read_guard())
            }
        ));
    }
    all
}
