//! The state of a segment: who changes it, and when what is in it may be used. On references and a view of the
//! world, so that the models run it too; [`crate::format::state`] has the table of transitions.
//!
//! **Ordering.** A transition is a release and a look is an acquire: whoever sees a segment ready sees all
//! that its creator wrote. Every transition is a read-modify-write, so what follows ready still carries it.
//!
//! **Why nobody is attached to what was replaced.** An attacher claims its beacon and looks at the state
//! after; a replacer goes ready → closing and looks at the beacons after. Claiming and asking are system
//! calls (full barriers), so one of the two sees the other. Only the holder of the gate changes closing back,
//! so a replacer that is stopped in between finds the state as it left it.

use crate::error::CortexResult;
use crate::format::{state, Header};
use crate::primitive::spin;
use crate::signal::{self, SignalLine};

/// What the state needs to know of the world around it.
pub(crate) trait World {
    /// Claims the gate; `false` where somebody holds it. The kernel releases it if the holder dies.
    fn claim_gate(&self) -> CortexResult<bool>;
    /// Releases it.
    fn release_gate(&self) -> CortexResult<()>;
    /// Whether no beacon is lit and nobody but the caller is attached.
    fn is_deserted(&self) -> CortexResult<bool>;
}

/// What an attacher finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It may be used.
    Ready,
    /// It was taken away.
    Removed,
    /// A replacer looks whether it is in use, or died while it did.
    Closing,
    /// Its creator is at work, or died.
    NotYet,
    /// No cortex.
    Foreign,
    /// A cortex, of which somebody has spoilt the state.
    Spoilt,
}

/// One look at the state. Whatever the state word says, it says it only beside our magic.
pub(crate) fn look(header: &Header) -> Look {
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
        _ => Look::Spoilt,
    }
}

/// How an attempt to close ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The state is removed, and the caller is to remove the segment.
    Done,
    /// Somebody is attached; the state is as before.
    InUse,
    /// Somebody else removed it.
    Lost,
}

/// ready → closing → removed, if nobody is attached. The caller holds the gate.
///
/// # Errors
/// Those of the world; the state is then as before.
pub(crate) fn close(header: &Header, world: &impl World) -> CortexResult<Closing> {
    let is_closing =
        header.transit(state::READY, state::CLOSING) || header.state() == state::CLOSING;
    if !is_closing {
        return Ok(Closing::Lost);
    }
    let is_deserted = world.is_deserted();
    if let Ok(true) = is_deserted {
        header.transit(state::CLOSING, state::REMOVED);
        return Ok(Closing::Done);
    }
    header.transit(state::CLOSING, state::READY);
    is_deserted.map(|_| Closing::InUse)
}

/// Puts a segment back to ready whose replacer died while it looked: the gate is free, the state is closing.
/// Whether it did.
///
/// # Errors
/// Those of the world.
pub(crate) fn reopen_if_abandoned(header: &Header, world: &impl World) -> CortexResult<bool> {
    if !world.claim_gate()? {
        return Ok(false);
    }
    let is_reopened = header.transit(state::CLOSING, state::READY);
    world.release_gate()?;
    Ok(is_reopened)
}

/// Says that a segment which is not whole is removed, unless its state is another by now; whether it did.
pub(crate) fn discard(header: &Header, from: u32) -> bool {
    header.sign();
    header.transit(from, state::REMOVED)
}

/// Says that the segment is removed, whatever its state, and changes the signal word, so that whoever waits for
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
