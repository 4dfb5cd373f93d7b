//! Who removes the segment: owners that close, adopt and die.

use super::kernel::Beacon;
use super::mortal::live;
use super::{explore, explore_deaths};
use crate::error::Cause;
use crate::protocol::atomics::{AtomicU32, Ordering};
use crate::protocol::ownership;
use crate::protocol::participants::{self, Id, ParticipantLine, Standing};
use crate::protocol::slots_in_use::SlotsInUse;
use loom::sync::Arc;
use loom::thread;

const SLOTS: usize = 3;

struct Segment {
    owner: AtomicU32,
    is_removed: AtomicU32,
    lines: [ParticipantLine; SLOTS],
    beacons: [Beacon; SLOTS],
    in_use: SlotsInUse,
}

impl Segment {
    /// Made by the tenant of slot 0, who owns it.
    fn new() -> (Arc<Self>, Id) {
        let segment = Self {
            owner: AtomicU32::new(ownership::NOBODY),
            is_removed: AtomicU32::new(0),
            lines: std::array::from_fn(|_| ParticipantLine::new()),
            beacons: std::array::from_fn(|_| Beacon::new()),
            in_use: SlotsInUse::new(),
        };
        let creator = segment.join(0);
        assert!(segment.take(creator));
        (Arc::new(segment), creator)
    }

    fn join(&self, slot: u32) -> Id {
        assert!(self.beacons[slot as usize].claim());
        participants::move_in(slot, &self.lines[slot as usize], &self.in_use, || {})
    }

    fn is_alive(&self, id: Id) -> Result<bool, Cause> {
        let slot = id.slot().expect("a participant") as usize;
        let is_lit = || Ok(self.beacons[slot].is_lit());
        let standing = participants::standing(id, &self.lines[slot], is_lit)?;
        Ok(standing == Standing::Alive)
    }

    fn take(&self, me: Id) -> bool {
        ownership::take(&self.owner, me, |id| self.is_alive(id)).expect("everybody is known")
    }

    /// As a handle's end. Returns whether it removes the segment.
    fn close(&self, me: Id) -> bool {
        let is_mine = ownership::begin_removal(&self.owner, me);
        if is_mine {
            self.is_removed.store(1, Ordering::Relaxed);
        }
        is_mine
    }
}

#[test]
fn of_an_owner_that_closes_and_two_that_adopt_and_close_exactly_one_removes() {
    explore(Some(2), || {
        let (segment, creator) = Segment::new();
        let others = [1, 2].map(|slot| {
            let segment = Arc::clone(&segment);
            thread::spawn(move || {
                let me = segment.join(slot);
                segment.take(me) && segment.close(me)
            })
        });
        let removers = u32::from(segment.close(creator))
            + others
                .map(|other| u32::from(other.join().unwrap()))
                .iter()
                .sum::<u32>();
        assert_eq!(removers, 1);
    });
}

/// The owner dies at any step of its closing; the other adopts once it can.
#[test]
fn what_was_adopted_is_not_removed_by_its_former_owner() {
    explore_deaths(Some(3), |steps| {
        let (segment, creator) = Segment::new();
        let other = Arc::clone(&segment);
        let owner = thread::spawn(move || {
            let lived = live(steps, || {
                other.close(creator);
            });
            if !lived {
                other.beacons[0].put_out();
            }
            lived
        });
        let me = segment.join(1);
        let is_adopted = loop {
            if segment.take(me) {
                break true;
            }
            if segment.is_removed.load(Ordering::Relaxed) != 0 {
                break false;
            }
            thread::yield_now();
        };
        let lived = owner.join().unwrap();
        let is_removed = segment.is_removed.load(Ordering::Relaxed) != 0;
        assert_ne!(is_adopted, is_removed);
        lived
    });
}
