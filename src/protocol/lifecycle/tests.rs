//! Each look and each transition in one thread, against a world of answers. Races and deaths are the models'.

use super::*;
use crate::error::Cause;
use crate::protocol::atomics::Ordering;
use crate::protocol::format::{Layout, Shape, MAGIC};
use std::cell::Cell;

/// A world that answers so.
struct Answers {
    /// Whether the gate is free.
    is_free: Cell<bool>,
    claims: Cell<u32>,
    /// `None`: it cannot say.
    is_deserted: Option<bool>,
}

impl Answers {
    fn new(is_deserted: Option<bool>) -> Self {
        Self {
            is_free: Cell::new(true),
            claims: Cell::new(0),
            is_deserted,
        }
    }
}

impl GateKeeper for Answers {
    fn claim_gate(&self) -> Result<bool, Cause> {
        self.claims.set(self.claims.get() + 1);
        Ok(self.is_free.replace(false))
    }

    fn release_gate(&self) -> Result<(), Cause> {
        assert!(!self.is_free.replace(true), "nobody held the gate");
        Ok(())
    }

    fn is_deserted(&self) -> Result<bool, Cause> {
        self.is_deserted.ok_or(Cause::Removed)
    }
}

/// A segment in this state whose creator has written all.
fn segment(state: u32) -> Header {
    let shape = Shape {
        size: 8,
        align: 8,
        slots: 2,
        schema: 0,
        participants: 1,
        lock_size: 4,
        lock_name: "seqlock".into(),
        mode: 0o600,
        features: 0,
        name: String::new(),
    };
    let header = Header::new();
    header.write(&Layout::new(shape).expect("a layout"), 5);
    header.owner.store(2, Ordering::Relaxed);
    header.state.store(state, Ordering::Relaxed);
    header
}

#[test]
fn a_state_counts_only_beside_the_magic() {
    const STATES: [u32; 6] = [
        state::INITIALISING,
        state::READY,
        state::CLOSING,
        state::REMOVED,
        4,
        u32::MAX,
    ];
    let of = |magic| STATES.map(|state| observe(&Header::begun(magic, state)));
    let [ready, closing, removed] = [Look::Ready, Look::Closing, Look::Removed];
    let (not_yet, spoilt, foreign) = (Look::NotYet, Look::Spoilt, Look::Foreign);
    assert_eq!(
        of(MAGIC),
        [
            not_yet,
            ready,
            closing,
            removed,
            spoilt(4),
            spoilt(u32::MAX)
        ]
    );
    // What its creator has only begun.
    for magic in [[0, 0], [MAGIC[0], 0], [0, MAGIC[1]]] {
        let expected = [not_yet, foreign, foreign, foreign, foreign, foreign];
        assert_eq!(of(magic), expected, "{magic:?}");
    }
    for magic in [[1, 0], [MAGIC[1], MAGIC[0]], [MAGIC[0], 1], [1, MAGIC[1]]] {
        assert_eq!(of(magic), [foreign; 6], "{magic:?}");
    }
}

#[test]
fn a_segment_closes_when_it_is_deserted() {
    for from in [state::READY, state::CLOSING] {
        for (is_deserted, closing, to) in [
            (true, Closing::Done, state::REMOVED),
            (false, Closing::InUse, state::READY),
        ] {
            let header = segment(from);
            let ended = close(&header, &Answers::new(Some(is_deserted)));
            assert_eq!(ended.unwrap(), closing);
            assert_eq!(header.state(), to);
        }
        let header = segment(from);
        assert!(close(&header, &Answers::new(None)).is_err());
        assert_eq!(header.state(), state::READY);
    }
}

#[test]
fn what_was_made_to_stay_is_not_closed() {
    for from in [state::READY, state::CLOSING] {
        for (is_deserted, closing) in [(true, Closing::Kept), (false, Closing::InUse)] {
            let header = segment(from);
            header
                .owner
                .store(crate::protocol::ownership::NOBODY, Ordering::Relaxed);
            let ended = close(&header, &Answers::new(Some(is_deserted)));
            assert_eq!((ended.unwrap(), header.state()), (closing, state::READY));
        }
    }
}

#[test]
fn a_creator_is_known_by_the_set_that_the_header_names() {
    let header = segment(state::INITIALISING);
    let unasked = || panic!("there is no set to ask");
    assert_eq!(creator(&header, unasked), Creator::Unknown);
    header.set_beacon_id(0);
    for (is_deserted, expected) in [
        (Some(true), Creator::Died),
        (Some(false), Creator::Lives),
        (None, Creator::Unknown),
    ] {
        assert_eq!(creator(&header, || is_deserted), expected);
    }
}

#[test]
fn what_is_neither_ready_nor_closing_is_not_closed() {
    for from in [state::INITIALISING, state::REMOVED, 4] {
        let header = segment(from);
        let lost = close(&header, &Answers::new(Some(true))).unwrap();
        assert_eq!((lost, header.state()), (Closing::Lost, from));
    }
}

#[test]
fn an_abandoned_segment_is_reopened_by_who_gets_the_gate() {
    for (from, is_reopened) in [(state::CLOSING, true), (state::READY, false)] {
        let (header, world) = (segment(from), Answers::new(None));
        assert_eq!(reopen_if_abandoned(&header, &world).unwrap(), is_reopened);
        assert_eq!(header.state(), state::READY);
        assert_eq!((world.claims.get(), world.is_free.get()), (1, true));
    }
    let (header, world) = (segment(state::CLOSING), Answers::new(None));
    world.is_free.set(false);
    assert!(!reopen_if_abandoned(&header, &world).unwrap());
    assert_eq!(
        (header.state(), world.is_free.get()),
        (state::CLOSING, false)
    );
}

#[test]
fn a_segment_that_is_not_whole_is_discarded_unless_it_became_so() {
    let header = Header::new();
    assert!(discard(&header, state::INITIALISING));
    assert_eq!(observe(&header), Look::Removed);
    assert!(!discard(&header, state::INITIALISING));
    let header = segment(state::READY);
    assert!(!discard(&header, state::INITIALISING));
    assert_eq!(observe(&header), Look::Ready);
}

#[test]
fn a_removal_changes_the_word_that_waiters_sleep_on() {
    for from in [
        state::INITIALISING,
        state::READY,
        state::CLOSING,
        state::REMOVED,
        4,
    ] {
        for (word, expected) in [(6, 6), (7, 8)] {
            let header = Header::begun([0, 0], from);
            let line = SignalLine::new();
            line.signal.store(word, Ordering::Relaxed);
            mark_removed(&header, &line);
            assert_eq!(observe(&header), Look::Removed);
            assert_eq!(line.signal.load(Ordering::Relaxed), expected);
        }
    }
}
