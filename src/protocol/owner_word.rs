//! The owner word: 0 is free, [`RESTING`] is free and at rest, anything else is (slot, generation, waiters bit) of the
//! holder.
//!
//! | word | transition | by |
//! |---|---|---|
//! | 0 | → me | [`try_take`] |
//! | 0 | → me + waiters | a taker that has slept: others may sleep still |
//! | 0 | → resting | [`rest`], by a process that waits for a commit and is about to sleep for long |
//! | resting | → me (+ waiters) | [`take_slow`], which then rouses those who sleep for long |
//! | holder | → holder + waiters | a contender, before it sleeps |
//! | holder (+ waiters) | → 0 | [`leave`]; wakes if the bit was set |
//! | dead holder (+ waiters) | → resting | [`pass_dead`], with the dead slot's beacon held; wakes |
//! | dead holder (+ waiters) | → resting | [`settle`], by the slot's next tenant before it is one; the waiters look again within their slice |
//!
//! **Rest.** A writer that is killed between its commit and its wake-up leaves those who wait for the commit asleep until
//! their sleep ends by itself, so that they must not sleep for long where a writer may be in that state. A word at rest
//! says that none is: the next taker finds it, and rouses the sleepers before it does anything else. A taker that dies
//! before it has roused them leaves its name in the word, and whoever frees the word puts it back to rest. So while a
//! process sleeps for long, no commit is made. A fast path never takes a word at rest, which costs it nothing.
//!
//! **Ordering.** Taking is acquire, leaving is release: what one holder stored the next one sees.
//! Taking is release too, and a process that judges a holder has loaded the word with acquire: the
//! generation of the holder's slot is then not seen older than the word. Otherwise a contender could
//! find a new tenant's word and the old generation, and take the holder for an impossible one.
//! Freeing a dead holder's word is release: the kernel's semaphore operation before it (a full barrier
//! on both sides) orders it after everything the dead process stored.
//!
//! **Why no live holder is ever robbed.** The word of a dead holder is compare-and-swapped only while holding
//! the beacon of the slot that it names. The slot then has no tenant and can get none, so no word
//! that names it can appear meanwhile, however long this process is stopped. And no word names a
//! slot that has been let again, because the new tenant settles it before it raises the generation.
//! A word whose generation is not its slot's was therefore not written within the protocol (a
//! process has overwritten it), and may be swapped away at any time.
//!
//! The functions are written against [`OwnerWorld`], which is the kernel in production and a model in
//! `cfg(loom)`.

use crate::error::Cause;
use crate::protocol::atomics::{fence_after_rmw, AtomicU32, Ordering};
use crate::protocol::participants::{Id, Standing};

/// Set while a process may be sleeping until the word changes.
pub(crate) const WAITERS: u32 = 1;

/// Free, and processes may sleep for long until a taker [rouses](OwnerWorld::rouse) them.
pub(crate) const RESTING: u32 = WAITERS;

/// Returns the participant that a word names; id 0 for a free one, at rest or not.
pub(crate) fn holder(word: u32) -> Id {
    Id(word & !WAITERS)
}

/// What the owner word needs to know of the world around it.
pub(crate) trait OwnerWorld {
    /// Returns what is known of a participant.
    fn standing(&self, id: Id) -> Result<Standing, Cause>;
    /// Returns whether a slot's beacon is held.
    fn is_lit(&self, slot: u32) -> Result<bool, Cause>;
    /// Claims a slot's beacon; `false` where it is taken.
    fn claim(&self, slot: u32) -> Result<bool, Cause>;
    /// Releases a beacon that `claim` took.
    fn release(&self, slot: u32) -> Result<(), Cause>;
    /// A busy wait before the first sleep: `false` when it has lasted long enough.
    fn spin(&mut self) -> bool;
    /// Asked before another look without a sleep in between. Within the protocol such looks are few; a
    /// peer that scribbles over the word without pause must not keep this process from noticing that
    /// its time is over.
    fn recheck(&mut self) -> Result<(), Cause> {
        Ok(())
    }
    /// Asked before anything is changed in order to sleep: an error where there is no time to.
    fn may_sleep(&mut self) -> Result<(), Cause> {
        Ok(())
    }
    /// Sleeps while the word has this value, for a bounded time; an error ends the taking.
    fn sleep(&mut self, word: &AtomicU32, value: u32) -> Result<(), Cause>;
    /// Wakes at least one sleeper.
    fn wake(&self, word: &AtomicU32);
    /// Wakes every process that waits for a commit, whether or not its word says that it waits: a taker that was killed
    /// may have cleared that. The caller has just taken a word at rest.
    fn rouse(&self);
    /// Reports that the word was taken over from a dead holder. No lock is held.
    fn passed(&self, dead: Id);
}

/// Takes a free word, and returns whether it has: the fast path.
#[inline]
pub(crate) fn try_take(word: &AtomicU32, me: Id) -> bool {
    word.compare_exchange(0, me.0, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// Releases the word. Returns whether a sleeper must be woken. A SeqCst fence is between what came before and what
/// the caller loads next: looking for those who wait for a commit relies on it.
#[inline]
#[must_use]
pub(crate) fn leave(word: &AtomicU32) -> bool {
    let must_wake = word.swap(0, Ordering::Release) & WAITERS != 0;
    fence_after_rmw();
    must_wake
}

/// Takes a word that was not free at first sight: spins, takes over from a dead holder, sleeps.
///
/// # Errors
/// Whatever the world's `sleep` answers when time is over, or the kernel when asked who is alive.
pub(crate) fn take_slow(
    word: &AtomicU32,
    me: Id,
    world: &mut impl OwnerWorld,
) -> Result<(), Cause> {
    let mut mine = me.0;
    loop {
        // Acquire: the holder is judged by its slot's generation (`participants::standing`).
        let seen = word.load(Ordering::Acquire);
        if holder(seen).0 == 0 {
            if word
                .compare_exchange(seen, mine, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                if seen == RESTING {
                    world.rouse();
                }
                return Ok(());
            }
            world.recheck()?;
            continue;
        }
        if world.spin() {
            continue;
        }
        if pass_dead(word, seen, world)? {
            world.recheck()?;
            continue;
        }
        world.may_sleep()?;
        if mark_waiters(word, seen) {
            let marked = seen | WAITERS;
            // From here on a wake-up may have been meant for others too, or have gone to a process
            // that died: a taker that has slept leaves the bit set.
            mine |= WAITERS;
            world.sleep(word, marked)?;
        } else {
            world.recheck()?;
        }
    }
}

/// Puts a free word to rest, for a process that waits for a commit. Returns whether the word is at rest: the caller may
/// then sleep for long, if a look at `committed` after this finds nothing, on the value that the signal word had before.
///
/// Acquire, twice: that look finds what the last holder committed, also where another process put the word to rest.
pub(crate) fn rest(word: &AtomicU32) -> bool {
    match word.compare_exchange(0, RESTING, Ordering::Acquire, Ordering::Acquire) {
        Ok(_) => true,
        Err(seen) => seen == RESTING,
    }
}

/// Sets the waiters bit, before the caller sleeps. Returns `false` if the word is not what was seen any more.
pub(crate) fn mark_waiters(word: &AtomicU32, seen: u32) -> bool {
    let marked = seen | WAITERS;
    seen == marked
        || word
            .compare_exchange(seen, marked, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
}

/// Frees the word if its holder is dead. Returns whether it did, or the word changed meanwhile.
pub(crate) fn pass_dead(
    word: &AtomicU32,
    seen: u32,
    world: &impl OwnerWorld,
) -> Result<bool, Cause> {
    let dead = holder(seen);
    match (world.standing(dead)?, dead.slot()) {
        (Standing::Alive, _) => return Ok(false),
        (Standing::Dead, Some(slot)) => {
            if !world.claim(slot)? {
                // Another contender is freeing it, or a new tenant, which settles: both are brief.
                return Ok(false);
            }
            let freed = settle(word, slot);
            world.release(slot)?;
            if !freed {
                return Ok(true);
            }
        }
        _ => {
            // It was not written within the protocol, so it orders nothing.
            let freed = word.compare_exchange(seen, RESTING, Ordering::Relaxed, Ordering::Relaxed);
            if freed.is_err() {
                return Ok(true);
            }
        }
    }
    world.wake(word);
    world.passed(dead);
    Ok(true)
}

/// Frees a word that names this slot, and returns whether it did. The caller holds the slot's beacon.
pub(crate) fn settle(word: &AtomicU32, slot: u32) -> bool {
    loop {
        let seen = word.load(Ordering::Relaxed);
        if holder(seen).slot() != Some(slot) {
            return false;
        }
        if word
            .compare_exchange(seen, RESTING, Ordering::Release, Ordering::Relaxed)
            .is_ok()
        {
            return true;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
