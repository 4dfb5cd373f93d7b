//! Shared reading without a shared counter: each participant counts its readers on its own line.
//!
//! The lock area holds the owner word ([`super::owner`] has its states) and the queue word. With
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
//! The algorithm, and why it is right, is in [`super::shared`].
//!
//! **Fairness.** A writer takes the word before it waits, so readers that keep coming do not starve
//! it. Readers that wait are counted in the queue word; a leaving writer that finds some gives them
//! the turn, and the next writer holds back until they have passed, for at most [`COURTESY`]: the
//! count is a courtesy, and a reader that died waiting delays one writer once.

use super::contend::{Bed, Contender};
use super::seqlock::Ownership;
use super::shared::{self, Entry, TURN};
use super::{held, Access, CortexSync, LockSite, Wait};
use crate::error::{CortexError, CortexResult};
use crate::participants::{Id, Line};
use crate::primitive::{AtomicU32, Ordering};
use crate::sys::address;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// How long a writer lets readers that waited go first.
const COURTESY: Duration = Duration::from_millis(1);

/// Many readers or one writer. For zero-copy read guards, and for payloads so large that copying
/// them out costs more than two atomic additions.
///
/// Readers do not slow one another: each process counts on a cache line of its own. A writer pays by
/// looking at every line in use. A process that dies reading or writing is passed.
#[derive(Debug)]
pub struct RwLock {
    ownership: Ownership,
    queue: NonNull<AtomicU32>,
}

// SAFETY: the pointer is into the mapping that `ownership` keeps alive, and to an atomic.
unsafe impl Send for RwLock {}
// SAFETY: as above.
unsafe impl Sync for RwLock {}

impl RwLock {
    fn queue(&self) -> &AtomicU32 {
        // SAFETY: the lock area has SHARED_SIZE bytes, zeroed by the kernel; the mapping lives as
        // long as `ownership.site`.
        unsafe { self.queue.as_ref() }
    }

    fn line(&self) -> CortexResult<&Line> {
        Ok(self.line_of(self.ownership.site.me()?))
    }

    #[inline]
    fn line_of(&self, me: Id) -> &Line {
        self.ownership.site.line(me.slot().unwrap_or(0))
    }

    /// Takes a reader off its line, and wakes the writer that may be waiting for that.
    #[inline]
    fn retreat(&self, line: &Line) {
        if shared::retreat(self.ownership.word(), line) {
            address::wake_all(line.word());
        }
    }

    #[cold]
    fn read_slow(&self, line: &Line, entry: Entry, wait: Wait) -> CortexResult<()> {
        let site = &*self.ownership.site;
        // A guard that this thread holds keeps the writer draining: no need to wait for it, and
        // waiting would be for ever.
        if entry == Entry::Barred && held::any(site.place(), &site.home) {
            return Ok(());
        }
        self.retreat(line);
        if entry == Entry::Crowded {
            return Err(self.crowded());
        }
        if site.is_held_by_this_thread() {
            let detail = "this thread holds it for writing, through this handle";
            return Err(CortexError::Busy {
                key: site.key(),
                detail,
            });
        }
        let mut world = Contender::new(site, Bed::WordForAll, wait, "read");
        let is_in = shared::enter_slow(self.ownership.word(), self.queue(), line, &mut world)?;
        is_in.then_some(()).ok_or_else(|| self.crowded())
    }

    fn crowded(&self) -> CortexError {
        let detail = "too many read guards are held (or were forgotten) by this process";
        CortexError::Busy {
            key: self.ownership.site.key(),
            detail,
        }
    }

    /// Holds back while it is the readers' turn, for a bounded time.
    fn give_way(&self) {
        let queue = self.queue();
        let mut start = None;
        loop {
            let seen = queue.load(Ordering::Relaxed);
            if seen & TURN == 0 {
                return;
            }
            let start = *start.get_or_insert_with(Instant::now);
            match COURTESY.checked_sub(start.elapsed()) {
                Some(left) => address::wait(queue, seen, left),
                // Whoever is still counted died, or is slow: forget them all.
                None => {
                    let _ = queue.compare_exchange(seen, 0, Ordering::Relaxed, Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    /// Waits until no line counts a reader. The caller has just taken the word.
    #[inline]
    fn drain(&self, wait: Wait) -> CortexResult<()> {
        let site = &*self.ownership.site;
        let (high_water, limit) = (
            &site.view.header().high_water,
            site.view.layout.shape.participants,
        );
        shared::drain(
            high_water,
            limit,
            |slot| site.line(slot),
            |slot| self.outwait(slot, wait),
        )
    }

    #[cold]
    fn outwait(&self, slot: u32, wait: Wait) -> CortexResult<()> {
        let site = &*self.ownership.site;
        let is_own = site.me()?.slot() == Some(slot);
        if is_own && held::any(site.place(), &site.home) {
            let detail = "this thread holds it for reading, through this handle";
            return Err(CortexError::Busy {
                key: site.key(),
                detail,
            });
        }
        let mut world = Contender::new(site, Bed::WordForAll, wait, "write");
        shared::outwait(slot, site.line(slot), &mut world)
    }
}

// SAFETY: see the argument in `shared`: a writer is in only while it has the word and every line is at
// 0, a reader only while its line counts it and it saw the word free after that.
unsafe impl CortexSync for RwLock {
    type Settings = ();
    const NAME: &'static str = "rwlock";
    const SHARED_SIZE: usize = Ownership::SHARED_SIZE + size_of::<AtomicU32>();
    const RELEASE_IS_FENCE: bool = true;

    fn new(site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
        Self::attach(site)
    }

    fn attach(site: LockSite<'_>) -> CortexResult<Self> {
        // SAFETY: within the lock's SHARED_SIZE bytes.
        let queue = unsafe { site.memory().add(Ownership::SHARED_SIZE) }.cast();
        Ok(Self {
            ownership: Ownership::new(&site, Bed::WordForAll),
            queue,
        })
    }

    fn read_lock(&self, wait: Wait) -> CortexResult<()> {
        let line = self.line()?;
        match shared::enter(self.ownership.word(), line) {
            Entry::Inside => Ok(()),
            entry => self.read_slow(line, entry, wait),
        }
    }

    fn write_lock(&self, wait: Wait) -> CortexResult<()> {
        if wait != Wait::Never {
            self.give_way();
        }
        if !self.ownership.try_take(self.ownership.site.me()?) {
            self.ownership.take(wait, "write")?;
        }
        self.drain(wait).inspect_err(|_| self.ownership.leave())
    }

    #[inline]
    fn release(&self, access: Access) -> CortexResult<()> {
        match access {
            Access::Read => self.retreat(self.line()?),
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
    fn try_read_fast(&self, me: u32) -> bool {
        let line = self.line_of(Id(me));
        let is_in = shared::enter(self.ownership.word(), line) == Entry::Inside;
        if !is_in {
            self.retreat(line);
        }
        is_in
    }

    #[inline]
    fn try_write_fast(&self, me: u32) -> bool {
        if self.queue().load(Ordering::Relaxed) & TURN != 0 || !self.ownership.try_take(Id(me)) {
            return false;
        }
        let site = &*self.ownership.site;
        let (high_water, limit) = (
            &site.view.header().high_water,
            site.view.layout.shape.participants,
        );
        // Any reader at all is for `write_lock` to wait for.
        let is_drained = shared::drain(
            high_water,
            limit,
            |slot| site.line(slot),
            |_| Err(CortexError::Custom(0)),
        )
        .is_ok();
        if !is_drained {
            self.ownership.leave();
        }
        is_drained
    }

    #[inline]
    fn release_read(&self, me: u32) -> CortexResult<()> {
        self.retreat(self.line_of(Id(me)));
        Ok(())
    }

    fn force_ownership(&mut self) {}

    fn settle(memory: NonNull<u8>, slot: u32) {
        Ownership::settle(memory, slot);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
