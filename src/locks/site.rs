//! What every lock gets from its segment, and may ask of it.

use crate::attachment::Attachment;
use crate::error::{Cause, CortexResult, Told};
use crate::permission::Permission;
use crate::protocol::participants::Id;
use std::ptr::NonNull;
use std::sync::Arc;

/// What a lock is given when it is made or attached: its bytes, its permission, which participants live.
#[derive(Debug)]
pub struct LockSite<'a> {
    pub(crate) attachment: &'a Arc<Attachment>,
    pub(crate) permission: Permission,
}

impl LockSite<'_> {
    /// Returns the segment's key.
    pub fn key(&self) -> i32 {
        self.attachment.key()
    }

    /// Returns the lock's own bytes in the segment: `SHARED_SIZE` of them, aligned to 64, zeroed before
    /// `new`. Valid until the lock is dropped. Other processes see every store, so use atomics.
    pub fn memory(&self) -> NonNull<u8> {
        self.attachment.lock_memory()
    }

    /// Refuses a lock area of less than `size` bytes: a lock of another crate may pass its `LockSite` on to one
    /// of the built-in locks, and must then keep as much as that one does.
    pub(crate) fn check_room(&self, size: usize) -> CortexResult<()> {
        let found = self.attachment.mapped.layout.shape.lock_size;
        if found >= size {
            return Ok(());
        }
        let (expected, found) = (size as u64, found as u64);
        let what = "lock size";
        Err(Cause::Layout {
            what,
            expected,
            found,
        })
        .on(self.key())
    }

    /// Returns the permission that any kernel object of the lock must have.
    pub fn permission(&self) -> Permission {
        self.permission
    }

    /// This process's participant id: see [`Participants::id`].
    ///
    /// # Errors
    /// `Full`, `Removed`, `CleanSystem`: no slot could be claimed.
    pub fn participant(&self) -> CortexResult<u32> {
        Ok(self.attachment.me().on(self.attachment.key())?.0)
    }

    /// Returns whether the participant with this id lives: see [`Participants::is_alive`].
    pub fn is_alive(&self, participant: u32) -> bool {
        self.participants().is_alive(participant)
    }

    /// Returns the participants, for a lock that asks the two questions later.
    pub fn participants(&self) -> Participants {
        Participants {
            attachment: Arc::clone(self.attachment),
        }
    }
}

/// The participants of a segment. A lock keeps it for as long as it lives.
#[derive(Debug, Clone)]
pub struct Participants {
    attachment: Arc<Attachment>,
}

impl Participants {
    /// This process's participant id: slot and generation, never 0, bit 0 always clear. Ask at each
    /// lock, for it changes in a forked child.
    ///
    /// # Errors
    /// In a forked child's first use: `Full`, `Removed`, `CleanSystem`.
    pub fn id(&self) -> CortexResult<u32> {
        Ok(self.attachment.me().on(self.attachment.key())?.0)
    }

    /// Returns whether the participant with this id lives. What cannot be found out counts as alive: a lock
    /// must never be taken from a holder on a guess. It costs one system call.
    pub fn is_alive(&self, id: u32) -> bool {
        self.attachment.is_alive(Id(id)).unwrap_or(true)
    }

    /// Returns the slot of an id, below the segment's participant limit; `None` for what is no id of this
    /// segment, whichever process has written it.
    pub fn slot(&self, id: u32) -> Option<u32> {
        let limit = self.attachment.mapped.layout.shape.participants;
        Id(id).slot().filter(|&slot| slot < limit)
    }
}
