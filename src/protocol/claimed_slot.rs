//! Which participant this process is, among all threads of it and across `fork`.
//!
//! The word holds (epoch of the process that claimed, participant id). A forked child inherits the word and
//! has another epoch, so its first use claims a slot of its own. Its threads may do so at the same time: each
//! claims a slot, one wins the word, and the others give theirs back.
//!
//! **Ordering.** The word is stored with release and loaded with acquire: a thread that takes a lock in the
//! name of an id which another thread has claimed passes on that the id's generation was raised
//! ([`crate::protocol::participants::standing`]). Otherwise a contender could see the id and the generation before it,
//! and take a live holder for one that cannot be.

use crate::error::Cause;
use crate::protocol::atomics::Ordering;
use crate::protocol::of_process::{AtomicOfProcess, OfProcess};
use crate::protocol::participants::Id;

/// The word that the module describes.
pub(crate) struct ClaimedSlot(AtomicOfProcess);

impl ClaimedSlot {
    pub(crate) fn new() -> Self {
        Self(AtomicOfProcess::default())
    }

    /// Returns the id that the process with this epoch has claimed, if it has.
    #[inline]
    pub(crate) fn of(&self, epoch: u32) -> Option<Id> {
        self.0.load(Ordering::Acquire).of(epoch).map(Id)
    }

    /// Returns the epoch in the word: that of the process that claimed last.
    #[inline]
    pub(crate) fn epoch(&self) -> u32 {
        self.0.load(Ordering::Relaxed).epoch()
    }

    /// Claims a slot by `claim` for the process with this epoch, unless one of its threads has. Before the word names
    /// this process, `arrive` is called; an id that another thread was faster than is given back.
    ///
    /// Where `claim` fails in a forked child, the slot that was wanted may have gone to another thread that has not
    /// said so yet: `wait` is asked whether to look again, after a moment.
    ///
    /// # Errors
    /// Those of `claim`, when `wait` answers `false`; those of `give_back`.
    pub(crate) fn claim(
        &self,
        epoch: u32,
        mut claim: impl FnMut() -> Result<Id, Cause>,
        mut wait: impl FnMut(&Cause) -> bool,
        arrive: impl FnOnce(),
        give_back: impl FnOnce(Id) -> Result<(), Cause>,
    ) -> Result<Id, Cause> {
        let inherited = self.0.load(Ordering::Acquire);
        if let Some(id) = inherited.of(epoch) {
            return Ok(Id(id));
        }
        let id = loop {
            match (claim(), self.of(epoch)) {
                (Ok(id), _) => break id,
                (Err(_), Some(id)) => return Ok(id),
                // Where no process has ever claimed, there is no other thread yet.
                (Err(error), None) if inherited == OfProcess::NOBODY || !wait(&error) => {
                    return Err(error)
                }
                _ => {}
            }
        };
        arrive();
        let mine = OfProcess::new(epoch, id.0);
        match self
            .0
            .compare_exchange(inherited, mine, Ordering::Release, Ordering::Acquire)
        {
            Ok(_) => Ok(id),
            Err(winner) => {
                // Another thread of this process was faster: its slot serves both.
                give_back(id)?;
                Ok(winner.of(epoch).map_or(id, Id))
            }
        }
    }

    /// Forgets the slot, which is no longer this process's.
    pub(crate) fn leave(&self) {
        self.0.store(OfProcess::NOBODY, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
