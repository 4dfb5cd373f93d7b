//! What a lock of any kind is given of its segment, and may ask of it.

use crate::error::CortexResult;
use crate::participants::Id;
use crate::permission::Permission;
use crate::site::Site;
use std::ptr::NonNull;
use std::sync::Arc;

/// What a lock is given when it is made or attached: its bytes, its permission, who is alive.
#[derive(Debug)]
pub struct LockSite<'a> {
    pub(crate) site: &'a Arc<Site>,
    pub(crate) permission: Permission,
}

impl LockSite<'_> {
    /// The segment's key.
    pub fn key(&self) -> i32 {
        self.site.key()
    }

    /// The lock's own bytes in the segment: `SHARED_SIZE` of them, aligned to 64, zeroed before
    /// `new`. Valid until the lock is dropped. Other processes see every store, so use atomics.
    pub fn memory(&self) -> NonNull<u8> {
        self.site.lock_memory()
    }

    /// The permission that any kernel object of the lock must have.
    pub fn permission(&self) -> Permission {
        self.permission
    }

    /// This process's participant id: see [`Participants::id`].
    ///
    /// # Errors
    /// `Full`, `Removed`, `CleanSystem`: no slot could be claimed.
    pub fn participant(&self) -> CortexResult<u32> {
        Ok(self.site.me()?.0)
    }

    /// Whether the participant with this id lives: see [`Participants::is_alive`].
    pub fn is_alive(&self, participant: u32) -> bool {
        self.participants().is_alive(participant)
    }

    /// What a lock keeps to ask the two questions later.
    pub fn participants(&self) -> Participants {
        Participants {
            site: Arc::clone(self.site),
        }
    }
}

/// Who takes part in a segment; kept by a lock for as long as it lives.
#[derive(Debug, Clone)]
pub struct Participants {
    site: Arc<Site>,
}

impl Participants {
    /// This process's participant id: slot and generation, never 0, bit 0 always clear. Ask at each
    /// lock, for it changes in a forked child.
    ///
    /// # Errors
    /// In a forked child's first use: `Full`, `Removed`, `CleanSystem`.
    pub fn id(&self) -> CortexResult<u32> {
        Ok(self.site.me()?.0)
    }

    /// Whether the participant with this id lives. What cannot be found out counts as alive: a lock
    /// must never be taken from somebody on a guess. Costs one system call.
    pub fn is_alive(&self, id: u32) -> bool {
        self.site.is_alive(Id(id)).unwrap_or(true)
    }

    /// The slot of an id, below the segment's participant limit; `None` for no id at all.
    pub fn slot(&self, id: u32) -> Option<u32> {
        Id(id).slot()
    }
}
