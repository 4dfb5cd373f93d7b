//! Which participants of a segment live.

use super::Attachment;
use crate::error::names::noted;
use crate::error::Cause;
use crate::protocol::beacons::BeaconValues;
use crate::protocol::participants::{self, Id, Standing};
use std::sync::atomic::Ordering;

impl Attachment {
    /// Returns whether the participant with this id lives. An id that cannot be is dead; an error is not.
    pub(crate) fn is_alive(&self, id: Id) -> Result<bool, Cause> {
        match self.standing(id)? {
            Standing::Alive => Ok(true),
            Standing::Dead | Standing::Impossible => Ok(false),
        }
    }

    pub(crate) fn standing(&self, id: Id) -> Result<Standing, Cause> {
        let Some(slot) = id
            .slot()
            .filter(|&slot| slot < self.mapped.layout.shape.participants)
        else {
            return Ok(Standing::Impossible);
        };
        participants::standing(id, self.line(slot), || self.is_lit(slot))
    }

    /// Returns whether a process holds the slot's beacon now. Where none does, its participant is dead, so this is said
    /// of our own set only.
    pub(crate) fn is_lit(&self, slot: u32) -> Result<bool, Cause> {
        let is_lit = self.beacons.is_lit(slot)?;
        if !is_lit {
            self.check_ids()?;
        }
        Ok(is_lit)
    }

    /// Logs, once for each handle, that the kernel does not tell this process any more whether others live.
    #[cold]
    pub(crate) fn warn_once_of_changed_credentials(&self, cause: Cause) {
        if !self.is_said_not_permitted.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                key = self.key(),
                name = noted(self.key()),
                error = %cause.on(self.key()),
                "this process may no longer ask whether others live (has it changed its user since it attached?): waits go on to their time-out, also where the holder of the lock has died"
            );
        }
    }

    /// Returns the value of every beacon.
    pub(super) fn all(&self) -> Result<BeaconValues, Cause> {
        self.check_ids()?;
        self.beacons.all()
    }

    /// Has every line that is looked at be one that may count: asks the kernel up to which slot participants live.
    #[cold]
    pub(crate) fn leave_out_the_gone(&self) {
        let in_use = &self.mapped.header().in_use;
        let seen = in_use.look();
        // Where it cannot be known, all are looked at as before.
        let Ok(lit) = self.all() else { return };
        let count = lit
            .iter()
            .rposition(|&lit| lit != 0)
            .map_or(0, |slot| slot + 1);
        in_use.lower(seen, count as u32);
    }

    /// Returns how many participants live now.
    pub(crate) fn alive(&self) -> Result<u32, Cause> {
        let alive = self.all()?.into_iter().filter(|&lit| lit != 0).count();
        Ok(alive as u32)
    }
}
