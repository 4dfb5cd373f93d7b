//! Which participant this process is, among all threads of it and across `fork`.
//!
//! The word holds (epoch of the process that claimed, participant id). A forked child inherits the word and
//! has another epoch, so its first use claims a slot of its own. Its threads may do so at the same time: each
//! claims a slot, one wins the word, and the others give theirs back.
//!
//! **Ordering.** The word is stored with release and loaded with acquire: a thread that takes a lock in the
//! name of an id which another thread has claimed passes on that the id's generation was raised
//! ([`crate::participants::standing`]). Otherwise a contender could see the id and the generation before it, and
//! take a live holder for one that cannot be.

use crate::error::{CortexError, CortexResult};
use crate::participants::Id;
use crate::primitive::{AtomicU64, Ordering};

/// The word; see the module.
pub(crate) struct Membership(AtomicU64);

/// What the word holds while nothing is claimed: an epoch that no process has, and that no wiped page shows.
const NOBODY: u64 = u64::MAX << 32;

impl Membership {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(NOBODY))
    }

    /// The id that the process with this epoch has claimed, if it has.
    #[inline]
    pub(crate) fn of(&self, epoch: u32) -> Option<Id> {
        let me = self.0.load(Ordering::Acquire);
        ((me >> 32) as u32 == epoch).then_some(Id(me as u32))
    }

    /// The epoch in the word, in the upper half: that of the process that claimed last.
    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & NOBODY
    }

    /// Claims by `claim` for the process with this epoch, unless one of its threads has. Before the word names
    /// this process, `arrive` is called; an id that another thread was faster than is given back.
    ///
    /// Where `claim` fails in a forked child, the slot that was wanted may have gone to another thread that has not
    /// said so yet: `wait` is asked whether to look again, after a moment.
    ///
    /// # Errors
    /// Those of `claim`, when `wait` has had enough; those of `give_back`.
    pub(crate) fn claim(
        &self,
        epoch: u32,
        mut claim: impl FnMut() -> CortexResult<Id>,
        mut wait: impl FnMut(&CortexError) -> bool,
        arrive: impl FnOnce(),
        give_back: impl FnOnce(Id) -> CortexResult<()>,
    ) -> CortexResult<Id> {
        let inherited = self.0.load(Ordering::Acquire);
        if (inherited >> 32) as u32 == epoch {
            return Ok(Id(inherited as u32));
        }
        let id = loop {
            match (claim(), self.of(epoch)) {
                (Ok(id), _) => break id,
                (Err(_), Some(id)) => return Ok(id),
                // Where nobody has ever claimed, there is no other thread yet.
                (Err(error), None) if inherited == NOBODY || !wait(&error) => return Err(error),
                _ => {}
            }
        };
        arrive();
        let mine = u64::from(epoch) << 32 | u64::from(id.0);
        match self
            .0
            .compare_exchange(inherited, mine, Ordering::Release, Ordering::Acquire)
        {
            Ok(_) => Ok(id),
            Err(winner) => {
                // Another thread of this process was faster: its slot serves both.
                give_back(id)?;
                Ok(Id(winner as u32))
            }
        }
    }

    /// The slot was given back.
    pub(crate) fn leave(&self) {
        self.0.store(NOBODY, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
