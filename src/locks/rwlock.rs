//! Shared reading without a shared counter: each participant counts its readers on its own line.
//!
//! The lock area holds the owner word ([`crate::protocol::owner_word`] has its states) and the queue word. With
//! *r* the sum of all reader counts:
//!
//! | word | r | state | a reader | a writer |
//! |---|---|---|---|---|
//! | 0 | 0 | free | counts itself, sees 0: in | takes the word: draining |
//! | 0 | > 0 | read | counts itself, sees 0: in | takes the word: draining |
//! | writer | > 0 | draining | counts itself, sees the writer, takes itself off, waits | sleeps on the lines that count |
//! | writer | 0 | written | as above | in |
//! | dead writer | any | — | frees the word | frees the word |
//!
//! The algorithm, and why it is right, is in [`crate::protocol::readers`].
//!
//! **Fairness.** A writer takes the word before it waits, so readers that keep coming do not starve
//! it. Readers that wait are counted in the queue word; a leaving writer that finds some gives them
//! the turn, and the next writer holds back until they have passed, for at most [`COURTESY`]: the
//! count is a courtesy, and a reader that died waiting delays one writer once.

use super::contend::{Contender, WaitPolicy};
use super::ownership::Ownership;
use super::sealed::{Fence, Seal};
use super::{Access, CortexSync, LockSite, Wait};
use crate::attachment::patience::Waiting;
use crate::attachment::thread_guards;
use crate::error::{busy, Cause, CortexResult, Told};
use crate::protocol::atomics::{AtomicU32, Ordering};
use crate::protocol::participants::{Id, ParticipantLine};
use crate::protocol::readers::{self, Entry, TURN};
use crate::sys::futex;
use std::ptr::NonNull;
use std::time::Duration;

/// How long a writer lets readers that waited go first.
const COURTESY: Duration = Duration::from_millis(1);

/// Every so many looks at many lines, a writer asks which of them are in use. To ask takes as long as to look at some
/// thousand lines, or less where there are fewer.
const LOOKS: u32 = 256;

/// Why a reader is not let in whose line counts too many already.
const CROWDED: Cause = Cause::Busy(busy::CROWDED);

/// Many readers or one writer. For zero-copy read guards, and for payloads so large that copying
/// them out costs more than two atomic additions.
///
/// Readers do not slow one another: each process counts on a cache line of its own. A writer pays by
/// looking at every line in use. The lock is taken over from a process that dies while it reads or writes.
#[derive(Debug)]
pub struct RwLock {
    ownership: Ownership,
    queue: NonNull<AtomicU32>,
    /// How often this handle has looked at many lines.
    looks: AtomicU32,
}

// SAFETY: the pointer is into the mapping that `ownership` keeps alive, and to an atomic.
unsafe impl Send for RwLock {}
// SAFETY: as above.
unsafe impl Sync for RwLock {}

impl RwLock {
    fn queue(&self) -> &AtomicU32 {
        // SAFETY: the lock area has SHARED_SIZE bytes, zeroed by the kernel; the mapping lives as
        // long as `ownership.attachment`.
        unsafe { self.queue.as_ref() }
    }

    fn line(&self) -> Result<&ParticipantLine, Cause> {
        Ok(self.line_of(self.ownership.attachment.me()?))
    }

    #[inline]
    fn line_of(&self, me: Id) -> &ParticipantLine {
        self.ownership.attachment.line(me.slot().unwrap_or(0))
    }

    /// Takes a reader off its line, and wakes the writer that may be waiting for that.
    #[inline]
    fn retreat(&self, line: &ParticipantLine) {
        if readers::retreat(self.ownership.word(), line) {
            futex::wake_all(line.word());
        }
    }

    #[cold]
    fn read_slow(&self, line: &ParticipantLine, entry: Entry, wait: Wait) -> Result<(), Cause> {
        let attachment = &*self.ownership.attachment;
        // A guard that this thread holds keeps the writer draining: no need to wait for it, and
        // waiting would be for ever.
        if entry == Entry::Barred && thread_guards::any(attachment.id(), &attachment.own.registered)
        {
            return Ok(());
        }
        self.retreat(line);
        if entry == Entry::Crowded {
            return Err(CROWDED);
        }
        if attachment.is_held_by_this_thread() {
            return Err(Cause::Busy(busy::OWN_WRITE));
        }
        let mut world = Contender::new(attachment, WaitPolicy::WordForAll, wait, "read");
        let is_in = readers::enter_slow(self.ownership.word(), self.queue(), line, &mut world)?;
        is_in.then_some(()).ok_or(CROWDED)
    }

    /// Holds back while it is the readers' turn, for a bounded time.
    ///
    /// # Errors
    /// `Interrupted`.
    fn give_way(&self) -> Result<(), Cause> {
        let queue = self.queue();
        if queue.load(Ordering::Relaxed) & TURN == 0 {
            return Ok(());
        }
        let interrupts = &self.ownership.attachment.interrupts;
        let waiting = Waiting::new(interrupts, Wait::lasting(Some(COURTESY)), "write");
        loop {
            let seen = queue.load(Ordering::Relaxed);
            if seen & TURN == 0 {
                return Ok(());
            }
            match waiting.check() {
                Ok(()) => waiting.woken(futex::wait(queue, seen, waiting.nap(COURTESY)))?,
                // A reader that is still counted died, or is slow: forget them all.
                Err(Cause::Timeout(_)) => {
                    let _ = queue.compare_exchange(seen, 0, Ordering::Relaxed, Ordering::Relaxed);
                    return Ok(());
                }
                Err(interrupted) => return Err(interrupted),
            }
        }
    }

    /// Returns the slots whose lines count readers ([`readers::reading_slots`]). The caller has just taken the word.
    #[inline]
    fn reading_slots(&self) -> impl Iterator<Item = u32> + '_ {
        let attachment = &*self.ownership.attachment;
        readers::reading_slots(
            &attachment.mapped.header().in_use,
            attachment.mapped.layout.shape.participants,
            |slot| attachment.line(slot),
            || self.look_at_many(),
        )
    }

    /// Now and then asks which of many lines are in use.
    #[cold]
    fn look_at_many(&self) {
        if self.looks.fetch_add(1, Ordering::Relaxed) % LOOKS == 0 {
            self.ownership.attachment.leave_out_the_gone();
        }
    }

    /// Takes the lock for writing, waiting for the readers that were let in and for those that have the turn.
    fn write_slow(&self, wait: Wait) -> Result<(), Cause> {
        if wait != Wait::Never {
            self.give_way()?;
        }
        if !self.ownership.try_take(self.ownership.attachment.me()?) {
            self.ownership.take(wait, "write")?;
        }
        let drain = || {
            self.reading_slots()
                .try_for_each(|slot| self.outwait(slot, wait))
        };
        drain().inspect_err(|_| self.ownership.leave())
    }

    #[cold]
    fn outwait(&self, slot: u32, wait: Wait) -> Result<(), Cause> {
        let attachment = &*self.ownership.attachment;
        // Not whether it is held for writing: it is, by this very call.
        if attachment.is_read_by_this_thread() {
            return Err(Cause::Busy(busy::OWN_READ));
        }
        let mut world = Contender::new(attachment, WaitPolicy::WordForAll, wait, "write");
        readers::outwait(slot, attachment.line(slot), &mut world)
    }
}

// SAFETY: see the argument in `protocol::readers`: a writer is in only while it has the word and every line is at
// 0, a reader only while its line counts it and it saw the word free after that.
unsafe impl CortexSync for RwLock {
    type Settings = ();
    const NAME: &'static str = "rwlock";
    const SHARED_SIZE: usize = Ownership::SHARED_SIZE + size_of::<AtomicU32>();
    const RELEASE_IS_FENCE: Fence = Fence(true);

    fn new(site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
        Self::attach(site)
    }

    fn attach(site: LockSite<'_>) -> CortexResult<Self> {
        let ownership = Ownership::new(&site, WaitPolicy::WordForAll, Self::SHARED_SIZE)?;
        // SAFETY: within the SHARED_SIZE bytes that there are (`Ownership::new`).
        let queue = unsafe { site.memory().add(Ownership::SHARED_SIZE) }.cast();
        let looks = AtomicU32::new(0);
        Ok(Self {
            ownership,
            queue,
            looks,
        })
    }

    unsafe fn read_lock(&self, wait: Wait) -> CortexResult<()> {
        let line = self.line().on(self.ownership.key())?;
        match readers::enter(self.ownership.word(), line) {
            Entry::Inside => Ok(()),
            entry => self.read_slow(line, entry, wait).on(self.ownership.key()),
        }
    }

    unsafe fn write_lock(&self, wait: Wait) -> CortexResult<()> {
        self.write_slow(wait).on(self.ownership.key())
    }

    #[inline]
    unsafe fn release(&self, access: Access) -> CortexResult<()> {
        match access {
            Access::Read => self.retreat(self.line().on(self.ownership.key())?),
            Access::Write => {
                if self.queue().load(Ordering::Relaxed) & !TURN != 0 {
                    self.queue().fetch_or(TURN, Ordering::Relaxed);
                }
                self.ownership.leave();
            }
        }
        Ok(())
    }

    #[inline]
    unsafe fn try_read_fast(&self, me: u32, _: Seal) -> bool {
        let line = self.line_of(Id(me));
        let is_in = readers::enter(self.ownership.word(), line) == Entry::Inside;
        if !is_in {
            self.retreat(line);
        }
        is_in
    }

    #[inline]
    unsafe fn try_write_fast(&self, me: u32, _: Seal) -> bool {
        if self.queue().load(Ordering::Relaxed) & TURN != 0 || !self.ownership.try_take(Id(me)) {
            return false;
        }
        // Any reader at all is for `write_lock` to wait for.
        let is_drained = self.reading_slots().next().is_none();
        if !is_drained {
            self.ownership.leave();
        }
        is_drained
    }

    #[inline]
    unsafe fn release_read(&self, me: u32, _: Seal) -> CortexResult<()> {
        self.retreat(self.line_of(Id(me)));
        Ok(())
    }

    fn force_ownership(&mut self) {}

    unsafe fn settle(memory: NonNull<u8>, slot: u32) {
        // SAFETY: the caller's promise; the lock area begins with the owner word.
        unsafe { Ownership::settle(memory, slot) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
