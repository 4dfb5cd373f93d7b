//! What a lossless cortex asks of an attachment: the place of its follower, and room for its writers.

use super::Attachment;
use crate::protocol::participants::Id;
use crate::protocol::room;
use crate::sys::futex;

impl Attachment {
    /// Returns the last commit for which the followers that registered leave room: the committed one where that is all.
    pub(crate) fn last_with_room(&self) -> u64 {
        let lines = || {
            let used = self.mapped.header().in_use.count();
            let slots = 0..used.min(self.mapped.layout.shape.participants);
            slots.map(|slot| (slot, self.line(slot)))
        };
        // Where it cannot be known, it may be alive.
        let is_dead = |slot| matches!(self.is_lit(slot), Ok(false));
        room::last_with_room(self.mapped.ledger(), lines, is_dead)
    }

    /// Says that this process, if it is registered, has read all up to this position.
    pub(crate) fn acknowledge(&self, position: u64) {
        let Some(id) = self.claimed() else {
            return;
        };
        let line = self.line(id.slot().unwrap_or(0));
        if room::is_registered(line, id.generation())
            && room::acknowledge(line, self.mapped.signal(), position)
        {
            self.wake_writers();
        }
    }

    /// Returns whether writers wait for this process, which is registered.
    #[cfg(feature = "capi")]
    pub(crate) fn is_following(&self) -> bool {
        let is_mine = |id: Id| {
            id.slot()
                .is_some_and(|slot| room::is_registered(self.line(slot), id.generation()))
        };
        self.mapped.slots.is_lossless() && self.claimed().is_some_and(is_mine)
    }

    /// Ends what the tenant of this slot, which is this process, follows, and lets the writers go on that wait for it.
    pub(crate) fn end_following(&self, slot: u32) {
        let (line, signal) = (self.line(slot), self.mapped.signal());
        if self.mapped.slots.is_lossless() && room::deregister(line, signal) {
            self.wake_writers();
        }
    }

    /// Wakes the writers that wait for room.
    #[cold]
    fn wake_writers(&self) {
        let signal = self.mapped.signal();
        if room::announce(signal) {
            futex::wake_all(&signal.room);
        }
    }
}

/// A follower's registration, which ends with it.
pub(crate) struct Registration<'a> {
    attachment: &'a Attachment,
    id: Id,
}

impl<'a> Registration<'a> {
    /// Returns the registration of the participant with this id, which this process is.
    pub(crate) fn new(attachment: &'a Attachment, id: Id) -> Self {
        Self { attachment, id }
    }

    /// Says what has been read. In a forked child it does nothing.
    pub(crate) fn acknowledge(&self, position: u64) {
        if self.is_here() {
            self.attachment.acknowledge(position);
        }
    }

    fn is_here(&self) -> bool {
        self.attachment.claimed() == Some(self.id)
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        if self.is_here() {
            self.attachment.end_following(self.id.slot().unwrap_or(0));
        }
    }
}
