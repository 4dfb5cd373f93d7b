//! The state of a segment: which process changes it, and when its contents may be used. It works on references and a
//! trait for the world around it, so that the models run it too; [`crate::protocol::format::state`] has the table of
//! transitions.
//!
//! **Ordering.** A transition is a release and a look is an acquire: a process that sees a segment ready sees all
//! that its creator wrote. Every transition is a read-modify-write, so what follows ready still carries it.
//!
//! **Why no process takes part in a replaced segment.** An attacher claims its beacon and looks at the state
//! after; a replacer goes ready → closing and looks at the beacons after. Claiming and asking are system
//! calls (full barriers), so one of the two sees the other. Only the holder of the gate changes closing back,
//! so a replacer that is stopped in between finds the state as it left it. A process that is attached without a beacon
//! (an observer, a process that lists) keeps its memory.
//!
//! **A creator** holds a beacon before the header names the set: a set that is named and in which no beacon is lit is a
//! dead creator's. Without a named set only a time-out decides, and it may be wrong: then initialising → removed is
//! what the creator's own transition finds, and it begins anew. So no process has to know which others are attached.

use crate::error::Cause;
use crate::protocol::atomics::spin;
use crate::protocol::format::{state, Header};
use crate::protocol::signal::{self, SignalLine};

/// What the state needs to know of the world around it.
pub(crate) trait GateKeeper {
    /// Claims the gate; `false` where another process holds it. The kernel releases it if the holder dies.
    fn claim_gate(&self) -> Result<bool, Cause>;
    /// Releases it.
    fn release_gate(&self) -> Result<(), Cause>;
    /// Returns whether no beacon is lit.
    fn is_deserted(&self) -> Result<bool, Cause>;
}

/// What an attacher finds when it looks at the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// The segment may be used.
    Ready,
    /// The segment was removed.
    Removed,
    /// A replacer is looking whether the segment is in use, or died while it was.
    Closing,
    /// The creator has not finished, or died before it did.
    NotYet,
    /// The segment is not a cortex.
    Foreign,
    /// A cortex whose state word a process has overwritten.
    Spoilt(u32),
}

/// Looks at the state once. The state word counts only beside our magic.
pub(crate) fn observe(header: &Header) -> Look {
    if header.is_blank() {
        return Look::NotYet;
    }
    let state = header.state();
    if !header.has_magic_beside(state) {
        return Look::Foreign;
    }
    match state {
        state::INITIALISING => Look::NotYet,
        state::READY => Look::Ready,
        state::CLOSING => Look::Closing,
        state::REMOVED => Look::Removed,
        other => Look::Spoilt(other),
    }
}

/// What is known of the creator of a segment that is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creator {
    /// It holds a beacon.
    Lives,
    /// It held one, and died.
    Died,
    /// There is no set yet to ask, or it may not be asked.
    Unknown,
}

/// Returns what is known of the creator; `is_deserted` asks the beacons of the set that the header names.
pub(crate) fn creator(header: &Header, is_deserted: impl FnOnce() -> Option<bool>) -> Creator {
    if header.beacon_id().is_none() {
        return Creator::Unknown;
    }
    match is_deserted() {
        Some(true) => Creator::Died,
        Some(false) => Creator::Lives,
        None => Creator::Unknown,
    }
}

/// How an attempt to close ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The state is removed, and the caller is to remove the segment.
    Done,
    /// A process takes part; the state is as before.
    InUse,
    /// No process takes part, and it was made to stay; the state is as before.
    Kept,
    /// Another process removed it.
    Lost,
}

/// Takes the state from ready over closing to removed, if no process takes part and it was not made to stay. The caller
/// holds the gate.
///
/// # Errors
/// Those of the world; the state is then as before.
pub(crate) fn close(header: &Header, world: &impl GateKeeper) -> Result<Closing, Cause> {
    let is_closing =
        header.transit(state::READY, state::CLOSING) || header.state() == state::CLOSING;
    if !is_closing {
        return Ok(Closing::Lost);
    }
    // The beacons first: a process that says that it is to stay has one, and none that gets one now gets in.
    let is_deserted = world.is_deserted();
    let is_kept = header.is_persistent();
    if let (Ok(true), false) = (&is_deserted, is_kept) {
        header.transit(state::CLOSING, state::REMOVED);
        return Ok(Closing::Done);
    }
    header.transit(state::CLOSING, state::READY);
    is_deserted.map(|is_deserted| match is_deserted {
        true => Closing::Kept,
        false => Closing::InUse,
    })
}

/// Puts a segment back to ready whose replacer died while it looked: the gate is free, the state is closing.
/// Returns whether it did.
///
/// # Errors
/// Those of the world.
pub(crate) fn reopen_if_abandoned(header: &Header, world: &impl GateKeeper) -> Result<bool, Cause> {
    if !world.claim_gate()? {
        return Ok(false);
    }
    let is_reopened = header.transit(state::CLOSING, state::READY);
    world.release_gate()?;
    Ok(is_reopened)
}

/// Says that a segment which is not whole is removed, unless its state is another by now. Returns whether it did.
pub(crate) fn discard(header: &Header, from: u32) -> bool {
    header.sign();
    header.transit(from, state::REMOVED)
}

/// Says that the segment is removed, whatever its state, and changes the signal word, so that a waiter for
/// change looks again. Its sleepers are then to be woken.
pub(crate) fn mark_removed(header: &Header, line: &SignalLine) {
    header.sign();
    loop {
        let now = header.state();
        if now == state::REMOVED || header.transit(now, state::REMOVED) {
            break;
        }
        spin();
    }
    // As after a commit: a waiter that this does not see sees the state.
    if signal::is_awaited_after_store(line) {
        signal::announce(line);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
