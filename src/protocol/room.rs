//! Room for the next commit: what writers know of the followers that they wait for.
//!
//! In a lossless cortex no writer overwrites what a registered follower has not read. The follower's participant line
//! says whether its tenant follows (`follows`), and the last commit that it has read (`cursor`). Commit `k` goes into the
//! slot of commit `k - n`, so it may begin where `k - n <= cursor` for each follower that lives ([`last_with_room`]).
//!
//! **Few looks.** Cursors only grow, so a writer keeps the last commit for which there was room, and looks at the lines
//! again before the next one after it. Where nobody follows it is `committed + n`: never more, because a follower may
//! register later.
//!
//! **Registering.** The follower stores `cursor` and `follows`, passes a SeqCst fence, and loads `committed`. A writer
//! loads `committed`, passes a SeqCst fence, and looks at the lines. So either the writer sees the follower, or the
//! follower sees a commit that is not older than the one that the writer went by. Whatever writers have kept then lets
//! them overwrite no commit after that one: the follower misses none of those after it.
//!
//! **Waiting** is on the word `room`, as for a commit ([`super::signal`]): the writer sets the waiting bit, passes a
//! fence, and looks; the follower stores its cursor, passes a fence, and looks at the bit. The writer does not have the
//! lock meanwhile, and looks again under it.
//!
//! **The dead** are asked for only where one is in the way. `follows` names the generation of its tenant, so what a dead
//! tenant left says nothing of the next one, and is cleared by a compare-and-swap. A hostile peer can store any cursor:
//! one that is ahead of `committed` counts for nothing, and one that is behind makes writers wait until their time is
//! over, as a follower does that reads nothing.

use crate::protocol::atomics::{fence, AtomicU32, Ordering};
use crate::protocol::commit::Ledger;
use crate::protocol::participants::ParticipantLine;
use crate::protocol::signal::{self, SignalLine};

/// Set in `follows` while the tenant that it names follows.
const FOLLOWS: u32 = 1;
/// Set in `follows` while the tenant that it names is about to store its cursor.
const REGISTERS: u32 = 2;
/// The generation is above these two bits.
const SHIFT: u32 = 2;

/// Returns what is in `follows` while the tenant of this generation follows.
fn following(generation: u32) -> u32 {
    generation << SHIFT | FOLLOWS
}

/// Registers the line's tenant as a follower that has read all up to `position`. Returns the commit after which it misses
/// none; `None` where the tenant follows already.
pub(crate) fn register(
    line: &ParticipantLine,
    ledger: Ledger<'_>,
    generation: u32,
    position: u64,
) -> Option<u64> {
    let registering = generation << SHIFT | REGISTERS;
    let seen = line.follows.load(Ordering::Relaxed);
    let is_mine = seen == following(generation) || seen == registering;
    // One thread of the tenant at a time.
    if is_mine
        || (line.follows)
            .compare_exchange(seen, registering, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
    {
        return None;
    }
    line.cursor.store(position, Ordering::Relaxed);
    // Relaxed: a writer that sees this and an older cursor, which is not after `committed`, keeps enough.
    line.follows.store(following(generation), Ordering::Relaxed);
    // Pairs with the fence in `last_with_room`.
    fence(Ordering::SeqCst);
    Some(ledger.committed())
}

/// Returns whether the tenant of this generation follows.
pub(crate) fn is_registered(line: &ParticipantLine, generation: u32) -> bool {
    line.follows.load(Ordering::Relaxed) == following(generation)
}

/// Says that the line's tenant, which follows, has read all up to `position`. Returns whether a writer may sleep until
/// there is room.
pub(crate) fn acknowledge(line: &ParticipantLine, signal: &SignalLine, position: u64) -> bool {
    // Release: the copy, and the look at `begun` that validates it, come before what a writer stores that sees this.
    line.cursor.store(position, Ordering::Release);
    signal::is_word_awaited_after_store(&signal.room)
}

/// Ends the following of the line's tenant. Returns whether a writer may sleep until there is room.
pub(crate) fn deregister(line: &ParticipantLine, signal: &SignalLine) -> bool {
    line.follows.store(0, Ordering::Relaxed);
    signal::is_word_awaited_after_store(&signal.room)
}

/// Returns the last commit for which there is room now: at least the committed one, and that where there is none.
/// `lines` returns those that have had a tenant, and is called after the fence, so that a follower that has come since is
/// among them. `is_dead` is asked of a slot whose follower is in the way.
pub(crate) fn last_with_room<'a, I: Iterator<Item = (u32, &'a ParticipantLine)>>(
    ledger: Ledger<'_>,
    lines: impl FnOnce() -> I,
    mut is_dead: impl FnMut(u32) -> bool,
) -> u64 {
    let committed = ledger.committed();
    // Pairs with the fence in `register`.
    fence(Ordering::SeqCst);
    let slots = u64::from(ledger.slots);
    let mut behind = 0;
    for (slot, line) in lines() {
        let follows = line.follows.load(Ordering::Relaxed);
        if follows != following(line.generation()) {
            continue;
        }
        // Acquire: pairs with the release in `acknowledge`.
        let by = committed.wrapping_sub(line.cursor.load(Ordering::Acquire));
        let is_ahead = by > u64::MAX / 2;
        if is_ahead || by <= behind {
            continue;
        }
        if by >= slots && is_dead(slot) {
            // Another tenant may follow by now.
            let _ = line
                .follows
                .compare_exchange(follows, 0, Ordering::Relaxed, Ordering::Relaxed);
            continue;
        }
        behind = by;
    }
    committed.wrapping_add(slots - behind.min(slots))
}

/// Alternately looks and sleeps on the word `room`, until a look finds something.
pub(crate) fn wait<R>(
    signal: &SignalLine,
    look: impl FnMut() -> Option<R>,
    sleep: impl FnMut(&AtomicU32, u32),
) -> R {
    signal::wait_on(&signal.room, look, sleep)
}

/// Returns whether a writer may sleep until there is room, for a report.
#[cfg(not(loom))]
pub(crate) fn is_awaited(signal: &SignalLine) -> bool {
    signal::is_word_awaited(&signal.room)
}

/// Changes the word `room`; then every sleeper on it must be woken. Returns `false` if another follower just did.
pub(crate) fn announce(signal: &SignalLine) -> bool {
    signal::announce_on(&signal.room)
}

#[cfg(all(test, not(loom)))]
mod tests;
