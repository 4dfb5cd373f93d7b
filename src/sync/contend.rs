//! Waiting for an owner word in the real world: beacons, sleep, deadlines, interrupts.

use super::owner::World;
use super::Wait;
use crate::error::{CortexError, CortexResult};
use crate::participants::{Id, Standing};
use crate::primitive::AtomicU32;
use crate::site::Site;
use crate::sys::address;
use std::time::Duration;

/// Turns of the busy wait: some two microseconds, longer than a short write holds the lock. More would only keep
/// the holder from a processor that it may be waiting for.
const SPINS: u32 = 128;

/// Turns between two looks, at most. Two processes that write all the time make 2.7 times the commits that
/// they make with a look at each turn.
const MOST_TURNS: u32 = 16;

/// The first sleep, and the longest. A killed holder is noticed when a sleep ends, so the longest is
/// what keeps that within 20 ms; the first is what makes it 10 ms typically.
const FIRST_SLEEP: Duration = Duration::from_millis(2);
const LONGEST_SLEEP: Duration = Duration::from_millis(16);

/// How often the word may change under this process's eyes before it looks at the clock.
const LOOKS: u32 = 64;

/// Where a contender sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bed {
    /// On the word itself; one sleeper is woken.
    Word,
    /// On the word itself; all are woken, for readers and writers sleep there alike.
    WordForAll,
    /// On the set's parking semaphore.
    #[cfg(feature = "semaphore")]
    Parking,
}

/// One attempt to take a lock.
pub(crate) struct Contender<'a> {
    pub(crate) site: &'a Site,
    bed: Bed,
    wait: Wait,
    operation: &'static str,
    spins: u32,
    turns: u32,
    nap: Duration,
    looks: u32,
    interrupts: u32,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(site: &'a Site, bed: Bed, wait: Wait, operation: &'static str) -> Self {
        let interrupts = site.interrupts_seen();
        Self {
            site,
            bed,
            wait,
            operation,
            spins: SPINS,
            turns: 1,
            nap: FIRST_SLEEP,
            looks: 0,
            interrupts,
        }
    }

    /// The time left; `None` is for ever.
    ///
    /// # Errors
    /// `Timeout` when it is over, `Interrupted` when this handle's waits were ended.
    fn time_left(&self) -> CortexResult<Option<Duration>> {
        let (key, operation) = (self.site.key(), self.operation);
        if self.site.was_interrupted(self.interrupts) {
            return Err(CortexError::Interrupted { key, operation });
        }
        match self.wait.left() {
            Some(Duration::ZERO) => Err(CortexError::Timeout { key, operation }),
            left => Ok(left),
        }
    }

    /// Wakes whoever sleeps on the word or, for a parking lock, on its semaphore.
    pub(crate) fn wake(site: &Site, bed: Bed, word: &AtomicU32) {
        match bed {
            Bed::Word => address::wake_one(word),
            Bed::WordForAll => address::wake_all(word),
            #[cfg(feature = "semaphore")]
            Bed::Parking => {
                let _ = word;
                if site.ids_are_ours() {
                    site.beacons.unpark();
                }
            }
        }
        let _ = site;
    }
}

impl World for Contender<'_> {
    fn standing(&self, id: Id) -> CortexResult<Standing> {
        self.site.standing(id)
    }

    fn is_lit(&self, slot: u32) -> CortexResult<bool> {
        self.site.is_lit(slot)
    }

    fn claim(&self, slot: u32) -> CortexResult<bool> {
        self.site.beacons.claim(slot)
    }

    fn release(&self, slot: u32) -> CortexResult<()> {
        self.site.beacons.release(slot)
    }

    fn spin(&mut self) -> bool {
        if self.spins == 0 || self.wait == Wait::Never {
            return false;
        }
        self.spins = self.spins.saturating_sub(self.turns);
        // At growing intervals: each look takes the line away from whoever holds the lock.
        (0..self.turns).for_each(|_| crate::primitive::spin());
        self.turns = (self.turns * 2).min(MOST_TURNS);
        true
    }

    fn look_again(&mut self) -> CortexResult<()> {
        self.looks += 1;
        if self.looks % LOOKS == 0 {
            self.time_left()?;
        }
        Ok(())
    }

    fn may_sleep(&mut self) -> CortexResult<()> {
        self.time_left().map(drop)
    }

    fn sleep(&mut self, word: &AtomicU32, value: u32) -> CortexResult<()> {
        let left = self.time_left()?;
        let nap = self.nap.min(left.unwrap_or(Duration::MAX));
        self.nap = (self.nap * 2).min(LONGEST_SLEEP);
        match self.bed {
            Bed::Word | Bed::WordForAll => address::wait(word, value, nap),
            #[cfg(feature = "semaphore")]
            Bed::Parking => {
                self.site.check_ids()?;
                self.site.beacons.park(nap)?;
            }
        }
        Ok(())
    }

    fn wake(&self, word: &AtomicU32) {
        Self::wake(self.site, self.bed, word);
    }

    fn passed(&self, dead: Id) {
        tracing::warn!(
            key = self.site.key(),
            slot = dead.slot(),
            "passed a dead holder; the last committed value stands"
        );
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
