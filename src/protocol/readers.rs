//! The algorithm of [`super::RwLock`], on references: readers on their lines, a writer on the word.
//!
//! [`super::owner_word`] describes the owner word and its transitions; the lock has the table of states. The lock
//! and the models call this module.
//!
//! **Ordering.** A reader adds to its line, passes a SeqCst fence, and loads the word; a writer swaps
//! itself into the word, passes a SeqCst fence, and loads the lines. The fences are in one order, so
//! at least one of the two sees the other: never are both in. A reader that sees a free word (acquire) sees
//! what the last writer stored before its release; a writer that sees a line at 0 (an acquire; lines
//! change by read-modify-writes, and taking off is a release) comes after what its readers loaded. A reader that leaves
//! takes itself off, passes a SeqCst fence, and looks for a writer in the word, so that no writer sleeps on a line that
//! no process will wake.
//!
//! **Dead readers.** A line whose beacon is out is reset by compare-and-swap with the generation in
//! it. A new tenant raises the generation first, so the reset can hit no living reader.

use super::owner_word::{self, OwnerWorld};
use crate::error::Cause;
use crate::protocol::atomics::{fence_after_rmw, AtomicU32, Ordering};
use crate::protocol::participants::{ParticipantLine, READERS_CEILING};
use crate::protocol::slots_in_use::SlotsInUse;

/// The bit of the queue word that is set while it is the waiting readers' turn.
pub(crate) const TURN: u32 = 1 << 31;

/// Up to so many lines it does not matter how many of them are in use.
const MANY: u32 = 16;

/// How a reader's attempt ended. Its line counts it in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It reads.
    Inside,
    /// A writer has the word.
    Barred,
    /// The line counts too many already.
    Crowded,
}

/// Counts a reader on its line and looks for a writer: the fast path.
#[inline]
pub(crate) fn enter(word: &AtomicU32, line: &ParticipantLine) -> Entry {
    if line.add_reader() >= READERS_CEILING {
        return Entry::Crowded;
    }
    fence_after_rmw();
    if owner_word::holder(word.load(Ordering::Acquire)).0 == 0 {
        Entry::Inside
    } else {
        Entry::Barred
    }
}

/// Takes a reader off its line. Returns whether the sleepers on the line must be woken.
#[inline]
#[must_use]
pub(crate) fn retreat(word: &AtomicU32, line: &ParticipantLine) -> bool {
    line.remove_reader();
    fence_after_rmw();
    owner_word::holder(word.load(Ordering::Relaxed)).0 != 0
}

/// Enters once there is no writer. Returns `false` where the line counts too many. The caller is not counted
/// before, and after it only if it is in.
///
/// # Errors
/// Those of [`owner_word::take_slow`].
pub(crate) fn enter_slow(
    word: &AtomicU32,
    queue: &AtomicU32,
    line: &ParticipantLine,
    world: &mut impl OwnerWorld,
) -> Result<bool, Cause> {
    let mut queued = false;
    let result = wait_and_enter(word, queue, line, world, &mut queued);
    if queued && leave_queue(queue) {
        world.wake(queue);
    }
    result
}

fn wait_and_enter(
    word: &AtomicU32,
    queue: &AtomicU32,
    line: &ParticipantLine,
    world: &mut impl OwnerWorld,
    queued: &mut bool,
) -> Result<bool, Cause> {
    loop {
        // Acquire: the holder is judged by its slot's generation.
        let seen = word.load(Ordering::Acquire);
        if owner_word::holder(seen).0 == 0 {
            let entry = enter(word, line);
            if entry == Entry::Inside {
                return Ok(true);
            }
            if retreat(word, line) {
                world.wake(line.word());
            }
            if entry == Entry::Crowded {
                return Ok(false);
            }
            world.recheck()?;
            continue;
        }
        if world.spin() {
            continue;
        }
        if owner_word::pass_dead(word, seen, world)? {
            world.recheck()?;
            continue;
        }
        world.may_sleep()?;
        if !*queued {
            queue.fetch_add(1, Ordering::Relaxed);
            *queued = true;
        }
        if owner_word::mark_waiters(word, seen) {
            world.sleep(word, seen | owner_word::WAITERS)?;
        } else {
            world.recheck()?;
        }
    }
}

/// Counts one waiting reader less. Returns whether it was the last of the readers' turn, for which writers wait.
fn leave_queue(queue: &AtomicU32) -> bool {
    let mut seen = queue.load(Ordering::Relaxed);
    loop {
        let next = match seen & !TURN {
            // A writer that had waited long enough has reset the count.
            0 => return false,
            1 => 0,
            _ => seen - 1,
        };
        match queue.compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return next == 0 && seen & TURN != 0,
            Err(now) => seen = now,
        }
    }
}

/// Returns the slots whose lines count readers when they are looked at, one after the other. The caller has just
/// swapped itself into the word: once each of them was found empty, or [outwaited](outwait), no reader is in. `many` is
/// called where they are more than a writer looks at for nothing.
#[inline]
pub(crate) fn reading_slots<'a>(
    in_use: &SlotsInUse,
    limit: u32,
    line: impl Fn(u32) -> &'a ParticipantLine,
    many: impl FnOnce(),
) -> impl Iterator<Item = u32> {
    fence_after_rmw();
    let used = in_use.count().min(limit);
    if used > MANY {
        many();
    }
    (0..used).filter(move |&slot| ParticipantLine::readers(line(slot).load()) != 0)
}

/// Waits until a slot's line counts no reader, or only a dead tenant's. The caller has the word.
///
/// # Errors
/// Those of [`owner_word::take_slow`].
pub(crate) fn outwait(
    slot: u32,
    line: &ParticipantLine,
    world: &mut impl OwnerWorld,
) -> Result<(), Cause> {
    loop {
        let seen = line.load();
        if ParticipantLine::readers(seen) == 0 {
            return Ok(());
        }
        if world.spin() {
            continue;
        }
        if !world.is_lit(slot)? {
            line.forget_readers(seen);
            world.recheck()?;
            continue;
        }
        world.sleep(line.word(), seen)?;
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
