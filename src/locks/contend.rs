//! Waiting for an owner word in production: beacons, sleep, deadlines, interrupts.

use super::Wait;
use crate::attachment::patience::Waiting;
use crate::attachment::Attachment;
use crate::error::names::noted;
use crate::error::{busy, Cause};
use crate::protocol::atomics::AtomicU32;
use crate::protocol::owner_word::OwnerWorld;
use crate::protocol::participants::{Id, Standing};
use crate::protocol::signal;
use crate::sys::futex;
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

/// How often the word may change while this process looks, before it looks at the clock.
const SPIN_RETRIES: u32 = 64;

/// Where a contender sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitPolicy {
    /// On the word itself; one sleeper is woken.
    Word,
    /// On the word itself; all are woken, for readers and writers sleep there alike.
    WordForAll,
    /// On the set's parking semaphore; on the word where a signal handler is to end the wait. Linux ends a sleep on a
    /// semaphore with `EINTR` also when the process was stopped and goes on, and nobody can tell this from a handler; a
    /// sleep on a word goes on then (signal(7)). So a wake is for both: one more call where a process waits.
    #[cfg(feature = "semaphore")]
    Parking,
}

/// One attempt to take a lock.
pub(crate) struct Contender<'a> {
    pub(crate) attachment: &'a Attachment,
    policy: WaitPolicy,
    waiting: Waiting<'a>,
    spins: u32,
    turns: u32,
    nap: Duration,
    looks: u32,
    /// Whether this thread's own guards have been looked for.
    has_asked: bool,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(
        attachment: &'a Attachment,
        policy: WaitPolicy,
        wait: Wait,
        operation: &'static str,
    ) -> Self {
        Self {
            attachment,
            policy,
            waiting: Waiting::new(&attachment.interrupts, wait, operation),
            spins: SPINS,
            turns: 1,
            nap: FIRST_SLEEP,
            looks: 0,
            has_asked: false,
        }
    }

    /// Refuses to wait for this thread itself: the holder of the lock is this thread through another handle, or a
    /// writer that waits until this thread's read guard ends. Letting a reader in on that account would be wrong: it
    /// counts on the line of its own handle, which the writer may have passed.
    fn refuse_own_guards(&self) -> Result<(), Cause> {
        if !self.attachment.is_guarded_by_this_thread() {
            return Ok(());
        }
        Err(Cause::Busy(busy::OWN_GUARD))
    }

    /// Wakes the sleepers on the word or, for a parking lock, on its semaphore, as the policy says.
    pub(crate) fn wake(attachment: &Attachment, policy: WaitPolicy, word: &AtomicU32) {
        match policy {
            WaitPolicy::Word => futex::wake_one(word),
            WaitPolicy::WordForAll => futex::wake_all(word),
            #[cfg(feature = "semaphore")]
            WaitPolicy::Parking => {
                futex::wake_one(word);
                if attachment.ids_are_ours() {
                    attachment.beacons.unpark();
                }
            }
        }
        let _ = attachment;
    }
}

/// Returns an answer about a peer's life. Where the kernel does not let this process ask (it has become another user
/// since it attached, or is in a sandbox now), the peer may be alive, so the answer is the one of a living peer. The
/// wait then goes on to its time-out, and a process that may ask takes over from a dead holder meanwhile.
fn unless_not_permitted<T>(
    attachment: &Attachment,
    answer: Result<T, Cause>,
    of_the_living: T,
) -> Result<T, Cause> {
    match answer {
        Err(cause) if cause.is_not_permitted() => {
            attachment.warn_once_of_changed_credentials(cause);
            Ok(of_the_living)
        }
        answer => answer,
    }
}

impl OwnerWorld for Contender<'_> {
    fn standing(&self, id: Id) -> Result<Standing, Cause> {
        unless_not_permitted(
            self.attachment,
            self.attachment.standing(id),
            Standing::Alive,
        )
    }

    fn is_lit(&self, slot: u32) -> Result<bool, Cause> {
        unless_not_permitted(self.attachment, self.attachment.is_lit(slot), true)
    }

    fn claim(&self, slot: u32) -> Result<bool, Cause> {
        // As if another process had been faster: the contender looks again after the next sleep.
        unless_not_permitted(self.attachment, self.attachment.beacons.claim(slot), false)
    }

    fn release(&self, slot: u32) -> Result<(), Cause> {
        self.attachment.beacons.release(slot)
    }

    fn spin(&mut self) -> bool {
        if self.spins == 0 || self.waiting.is_none() {
            return false;
        }
        self.spins = self.spins.saturating_sub(self.turns);
        // At growing intervals: each look takes the line away from the holder of the lock.
        (0..self.turns).for_each(|_| crate::protocol::atomics::spin());
        self.turns = (self.turns * 2).min(MOST_TURNS);
        true
    }

    fn recheck(&mut self) -> Result<(), Cause> {
        self.looks += 1;
        if self.looks % SPIN_RETRIES == 0 {
            self.waiting.check()?;
        }
        Ok(())
    }

    fn may_sleep(&mut self) -> Result<(), Cause> {
        // Once: what this thread holds does not change while it waits.
        if !self.has_asked {
            self.has_asked = true;
            self.refuse_own_guards()?;
        }
        self.waiting.check()
    }

    fn sleep(&mut self, word: &AtomicU32, value: u32) -> Result<(), Cause> {
        self.waiting.check()?;
        if self.attachment.is_lost() {
            return Err(Cause::Removed);
        }
        let nap = self.waiting.nap(self.nap);
        self.nap = (self.nap * 2).min(LONGEST_SLEEP);
        let end = match self.policy {
            WaitPolicy::Word | WaitPolicy::WordForAll => futex::wait(word, value, nap),
            #[cfg(feature = "semaphore")]
            WaitPolicy::Parking if self.attachment.interrupts.are_sent_by_signals() => {
                futex::wait(word, value, nap)
            }
            #[cfg(feature = "semaphore")]
            WaitPolicy::Parking => {
                self.attachment.check_ids()?;
                match self.attachment.beacons.park(nap) {
                    // The semaphore is closed to this process: it sleeps for as long on the word.
                    Err(cause) if cause.is_not_permitted() => futex::wait(word, value, nap),
                    result => result?,
                }
            }
        };
        // Noted at once, also where the lock is free by now: the call may wait more than once, and would otherwise
        // forget what ended this sleep.
        self.waiting.woken(end)
    }

    fn wake(&self, word: &AtomicU32) {
        Self::wake(self.attachment, self.policy, word);
    }

    fn rouse(&self) {
        let line = self.attachment.mapped.signal();
        signal::rouse(line);
        futex::wake_all(&line.signal);
    }

    fn passed(&self, dead: Id) {
        tracing::warn!(
            key = self.attachment.key(),
            name = noted(self.attachment.key()),
            slot = dead.slot(),
            "passed a dead holder; the last committed value stands"
        );
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
