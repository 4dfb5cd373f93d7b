//! The state of a segment: a creator, attachers and replacers, of whom any may die.

use super::kernel::Beacon;
use super::mortal::live;
use super::{explore, explore_deaths};
use crate::error::Cause;
use crate::protocol::atomics::Ordering;
use crate::protocol::format::{state, Header, Layout, Shape};
use crate::protocol::lifecycle::{self, Closing, Creator, GateKeeper, Look};
use crate::protocol::ownership::NOBODY;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// A segment and its semaphore set; and what its creator stored last, plainly.
struct Segment {
    header: Header,
    gate: Beacon,
    /// The creator's.
    creator: Beacon,
    /// An attacher's.
    beacon: Beacon,
    value: UnsafeCell<u32>,
}

// SAFETY: loom's cell reports any two accesses that are not ordered; that is what is tried.
unsafe impl Sync for Segment {}

/// The creator, who owns it: not [`NOBODY`].
const OWNER: u32 = 2;

const TOTAL_SIZE: usize = 704 + 64 + 64 + 64;

fn layout() -> Layout {
    let shape = Shape {
        size: 8,
        align: 8,
        slots: 1,
        schema: 7,
        participants: 1,
        lock_size: 4,
        lock_name: "seqlock".into(),
        mode: 0o600,
        ..Shape::default()
    };
    Layout::new(shape).expect("a layout")
}

impl Segment {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            header: Header::new(),
            gate: Beacon::new(),
            creator: Beacon::new(),
            beacon: Beacon::new(),
            value: UnsafeCell::new(0),
        })
    }

    /// One that is ready, whose creator has left.
    fn ready() -> Arc<Self> {
        let segment = Self::new();
        segment.create();
        segment.creator.put_out();
        segment
    }

    /// As `initialise`; the creator's beacon stays lit.
    fn create(&self) -> bool {
        self.header.write(&layout(), 77);
        assert!(
            self.creator.claim(),
            "nobody else claims before it is ready"
        );
        self.header.set_beacon_id(5);
        super::mortal::step();
        // SAFETY: no other thread looks before the state is ready; loom checks it.
        self.value.with_mut(|value| unsafe { *value = 42 });
        self.header.owner.store(OWNER, Ordering::Relaxed);
        self.header.transit(state::INITIALISING, state::READY)
    }

    /// As what a replacer asks of one that is not ready.
    fn ask_for_creator(&self) -> Creator {
        lifecycle::creator(&self.header, || Some(!self.creator.is_lit()))
    }

    /// What is to be seen in a ready segment.
    fn check(&self) {
        assert_eq!(self.header.read(TOTAL_SIZE).ok(), Some(layout()));
        assert_eq!(
            (self.header.beacon_key(), self.header.beacon_id()),
            (77, Some(5))
        );
        // SAFETY: its creator stored it before ready; loom checks it.
        assert_eq!(self.value.with(|value| unsafe { *value }), 42);
    }
}

/// A process that looks at a segment's state.
struct Visitor<'a> {
    segment: &'a Segment,
    holds_the_gate: Cell<bool>,
}

impl<'a> Visitor<'a> {
    fn new(segment: &'a Segment) -> Self {
        Self {
            segment,
            holds_the_gate: Cell::new(false),
        }
    }

    /// As `await_ready`. Returns whether it is ready and not removed.
    fn await_ready(&self) -> bool {
        loop {
            match lifecycle::observe(&self.segment.header) {
                Look::Ready => return true,
                Look::Removed => return false,
                Look::Closing => {
                    lifecycle::reopen_if_abandoned(&self.segment.header, self).unwrap();
                }
                Look::NotYet => {}
                Look::Foreign | Look::Spoilt(_) => panic!("taken for something else"),
            }
            thread::yield_now();
        }
    }

    /// As `attach`. Returns whether it is in.
    fn attach(&self) -> bool {
        if !self.await_ready() {
            return false;
        }
        assert!(self.segment.beacon.claim(), "nobody else attaches");
        let is_in = self.await_ready();
        if !is_in {
            self.segment.beacon.put_out();
        }
        is_in
    }

    /// As `replace`. Returns whether it took the segment away.
    fn replace(&self) -> bool {
        if !self.claim_gate().unwrap() {
            return false;
        }
        let segment = self.segment;
        let closing = lifecycle::close(&segment.header, self).unwrap();
        if closing != Closing::Done {
            self.release_gate().unwrap();
        }
        closing == Closing::Done
    }

    /// The kernel releases the gate of the dead.
    fn bury(&self) {
        if self.holds_the_gate.replace(false) {
            self.segment.gate.put_out();
        }
    }
}

impl GateKeeper for Visitor<'_> {
    fn claim_gate(&self) -> Result<bool, Cause> {
        let is_claimed = self.segment.gate.claim();
        self.holds_the_gate.set(is_claimed);
        Ok(is_claimed)
    }

    fn release_gate(&self) -> Result<(), Cause> {
        super::mortal::step();
        self.holds_the_gate.set(false);
        self.segment.gate.put_out();
        Ok(())
    }

    fn is_deserted(&self) -> Result<bool, Cause> {
        Ok(!self.segment.beacon.is_lit() && !self.segment.creator.is_lit())
    }
}

#[test]
fn who_sees_it_ready_sees_what_its_creator_wrote() {
    static READY: AtomicU32 = AtomicU32::new(0);
    static HALF_MADE: AtomicU32 = AtomicU32::new(0);
    explore(Some(2), || {
        let segment = Segment::new();
        let other = Arc::clone(&segment);
        let creator = thread::spawn(move || assert!(other.create()));
        for _ in 0..2 {
            match lifecycle::observe(&segment.header) {
                Look::Ready => {
                    segment.check();
                    READY.fetch_add(1, SeqCst);
                }
                Look::NotYet => {
                    if !segment.header.is_blank() {
                        HALF_MADE.fetch_add(1, SeqCst);
                    }
                }
                otherwise => panic!("taken for {otherwise:?}"),
            }
        }
        creator.join().unwrap();
    });
    assert_ne!(READY.load(SeqCst), 0);
    assert_ne!(HALF_MADE.load(SeqCst), 0);
}

/// A reclaimer that finds the key of a half-made segment judges the set by what the header says.
#[test]
fn who_finds_the_key_finds_the_rest() {
    static FOUND: AtomicU32 = AtomicU32::new(0);
    explore(Some(2), || {
        let segment = Segment::new();
        let other = Arc::clone(&segment);
        let creator = thread::spawn(move || assert!(other.create()));
        if segment.header.beacon_key() != 0 {
            assert_eq!(segment.header.read(TOTAL_SIZE).ok(), Some(layout()));
            FOUND.fetch_add(1, SeqCst);
        }
        creator.join().unwrap();
    });
    assert_ne!(FOUND.load(SeqCst), 0);
}

/// A creator died before the magic, a replacer takes the segment away: a process that sees it removed takes it for
/// ours.
#[test]
fn a_blank_segment_is_signed_before_it_is_removed() {
    explore(Some(2), || {
        let segment = Segment::new();
        let other = Arc::clone(&segment);
        let replacer =
            thread::spawn(move || lifecycle::discard(&other.header, state::INITIALISING));
        let seen = lifecycle::observe(&segment.header);
        assert!(matches!(seen, Look::NotYet | Look::Removed), "{seen:?}");
        assert!(replacer.join().unwrap());
        assert_eq!(lifecycle::observe(&segment.header), Look::Removed);
    });
}

#[test]
fn a_creator_and_a_replacer_that_takes_it_for_dead_never_both_win() {
    explore(Some(2), || {
        let segment = Segment::new();
        let other = Arc::clone(&segment);
        let creator = thread::spawn(move || other.create());
        let is_discarded = lifecycle::discard(&segment.header, state::INITIALISING);
        assert_ne!(creator.join().unwrap(), is_discarded);
    });
}

/// A living creator is never taken for dead by the set that the header names.
#[test]
fn a_creator_that_lives_is_not_taken_for_dead() {
    static UNKNOWN: AtomicU32 = AtomicU32::new(0);
    static LIVES: AtomicU32 = AtomicU32::new(0);
    explore(Some(3), || {
        let segment = Segment::new();
        let other = Arc::clone(&segment);
        let creator = thread::spawn(move || other.create());
        match segment.ask_for_creator() {
            Creator::Unknown => UNKNOWN.fetch_add(1, SeqCst),
            Creator::Lives => LIVES.fetch_add(1, SeqCst),
            Creator::Died => panic!("taken for dead"),
        };
        assert!(creator.join().unwrap());
    });
    assert_ne!(UNKNOWN.load(SeqCst), 0);
    assert_ne!(LIVES.load(SeqCst), 0);
}

/// A creator dies at any step, and a replacer that finds it dead or has waited takes its segment away; a creator that
/// lives and was taken for dead finds it removed.
#[test]
fn a_creator_that_dies_at_any_step_leaves_what_can_be_taken_away() {
    static DIED: AtomicU32 = AtomicU32::new(0);
    explore_deaths(Some(3), |steps| {
        let segment = Segment::new();
        let other = Arc::clone(&segment);
        let mortal = thread::spawn(move || {
            let mut is_ready = false;
            let lived = live(steps, || is_ready = other.create());
            if !lived && other.creator.is_lit() {
                other.creator.put_out();
            }
            (lived, is_ready)
        });
        // As a replacer whose patience is over at once.
        let is_discarded = match segment.ask_for_creator() {
            Creator::Lives => false,
            Creator::Died | Creator::Unknown => {
                lifecycle::discard(&segment.header, state::INITIALISING)
            }
        };
        let (lived, is_ready) = mortal.join().unwrap();
        assert!(!(is_ready && is_discarded), "a live creator was robbed");
        if lived {
            assert_ne!(
                is_ready, is_discarded,
                "a creator does not know how it ended"
            );
        }
        let is_finished = segment.header.state() == state::READY;
        if !lived && !is_discarded && !is_finished {
            assert_ne!(segment.ask_for_creator(), Creator::Lives);
            assert!(lifecycle::discard(&segment.header, state::INITIALISING));
            DIED.fetch_add(1, SeqCst);
        }
        lived
    });
    assert_ne!(DIED.load(SeqCst), 0);
}

/// The last participant says that the cortex is to stay, and leaves, while a replacer looks.
#[test]
fn what_was_made_to_stay_is_not_replaced() {
    static KEPT: AtomicU32 = AtomicU32::new(0);
    static IN_USE: AtomicU32 = AtomicU32::new(0);
    explore(Some(3), || {
        let segment = Segment::ready();
        assert!(segment.beacon.claim());
        let other = Arc::clone(&segment);
        let participant = thread::spawn(move || {
            let header = &other.header;
            header.owner.store(NOBODY, Ordering::Relaxed);
            other.beacon.put_out();
        });
        let replacer = Visitor::new(&segment);
        assert!(replacer.claim_gate().unwrap());
        match lifecycle::close(&segment.header, &replacer).unwrap() {
            Closing::Kept => KEPT.fetch_add(1, SeqCst),
            Closing::InUse => IN_USE.fetch_add(1, SeqCst),
            otherwise => panic!("{otherwise:?}"),
        };
        assert_eq!(segment.header.state(), state::READY);
        participant.join().unwrap();
    });
    assert_ne!(KEPT.load(SeqCst), 0);
    assert_ne!(IN_USE.load(SeqCst), 0);
}

#[test]
fn an_attacher_and_a_replacer_never_both_win() {
    static ATTACHED: AtomicU32 = AtomicU32::new(0);
    static REPLACED: AtomicU32 = AtomicU32::new(0);
    explore(Some(3), || {
        let segment = Segment::ready();
        let other = Arc::clone(&segment);
        let attacher = thread::spawn(move || Visitor::new(&other).attach());
        let is_replaced = Visitor::new(&segment).replace();
        let is_attached = attacher.join().unwrap();
        assert!(!(is_attached && is_replaced), "attached to a removed one");
        assert!(is_attached || is_replaced, "neither");
        ATTACHED.fetch_add(is_attached.into(), SeqCst);
        REPLACED.fetch_add(is_replaced.into(), SeqCst);
    });
    assert_ne!(ATTACHED.load(SeqCst), 0);
    assert_ne!(REPLACED.load(SeqCst), 0);
}

#[test]
fn two_replacers_and_an_attacher_never_win_together() {
    explore(Some(2), || {
        let segment = Segment::ready();
        let others = [(); 2].map(|()| Arc::clone(&segment));
        let [first, second] = others;
        let attacher = thread::spawn(move || Visitor::new(&first).attach());
        let replacer = thread::spawn(move || Visitor::new(&second).replace());
        let is_replaced = [Visitor::new(&segment).replace(), replacer.join().unwrap()];
        let is_attached = attacher.join().unwrap();
        let winners = u32::from(is_attached) + is_replaced.map(u32::from).iter().sum::<u32>();
        assert_eq!(winners, 1);
    });
}

#[test]
fn a_replacer_that_dies_at_any_step_keeps_nobody_out() {
    explore_deaths(Some(3), |steps| {
        let segment = Segment::ready();
        let other = Arc::clone(&segment);
        let mortal = thread::spawn(move || {
            let replacer = Visitor::new(&other);
            let mut is_replaced = false;
            let lived = live(steps, || is_replaced = replacer.replace());
            let is_removed = other.header.state() == state::REMOVED;
            assert!(is_removed || !is_replaced);
            replacer.bury();
            (lived, is_removed)
        });
        let is_attached = Visitor::new(&segment).attach();
        let (lived, is_removed) = mortal.join().unwrap();
        assert_ne!(is_attached, is_removed);
        lived
    });
}
