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
//! **Ordering.** A reader adds to its line, passes a SeqCst fence, and loads the word; a writer swaps
//! itself into the word, passes a SeqCst fence, and loads the lines. The fences are in one order, so
//! at least one of the two sees the other: never are both in. A reader that sees 0 (acquire) sees
//! what the last writer stored before its release; a writer that sees a line at 0 (the lines change by
//! SeqCst read-modify-writes) comes after what its readers loaded.
//!
//! **Dead readers.** A line whose beacon is out is reset by compare-and-swap with the generation in
//! it. A new tenant raises the generation first, so the reset can hit nobody alive.
//!
//! **Fairness.** A writer takes the word before it waits, so readers that keep coming do not starve
//! it. Readers that wait are counted in the queue word; a leaving writer that finds some gives them
//! the turn, and the next writer holds back until they have passed, for at most [`COURTESY`]: the
//! count is a courtesy, and a reader that died waiting delays one writer once.

use super::contend::{Bed, Contender};
use super::owner::{self, World};
use super::seqlock::Ownership;
use super::{held, Access, CortexSync, LockSite, Wait};
use crate::error::{CortexError, CortexResult};
use crate::participants::{Line, READERS_CEILING};
use crate::primitive::{fence_after_rmw, AtomicU32, Ordering};
use crate::sys::address;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// Set in the queue word while it is the waiting readers' turn.
const TURN: u32 = 1 << 31;

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
        let slot = self.ownership.site.me()?.slot().unwrap_or(0);
        Ok(self.ownership.site.line(slot))
    }

    /// Counts this reader; `Ok(false)` where a writer has the word. It stays counted.
    #[inline]
    fn enter(&self, line: &Line) -> CortexResult<bool> {
        if line.add_reader() >= READERS_CEILING {
            self.retreat(line);
            let detail = "too many read guards are held (or were forgotten) by this process";
            return Err(CortexError::Busy {
                key: self.ownership.site.key(),
                detail,
            });
        }
        fence_after_rmw();
        Ok(self.ownership.word().load(Ordering::Acquire) == 0)
    }

    /// Takes a reader off its line, and wakes the writer that may be waiting for that.
    #[inline]
    fn retreat(&self, line: &Line) {
        line.remove_reader();
        fence_after_rmw();
        if self.ownership.word().load(Ordering::Relaxed) != 0 {
            address::wake_all(line.word());
        }
    }

    #[cold]
    fn read_slow(&self, line: &Line, wait: Wait) -> CortexResult<()> {
        let site = &*self.ownership.site;
        // A guard that this thread holds keeps the writer draining: no need to wait for it, and
        // waiting would be for ever.
        if held::any(site.number) {
            return Ok(());
        }
        self.retreat(line);
        if site.is_held_by_this_thread() {
            let detail = "this thread holds it for writing, through this handle";
            return Err(CortexError::Busy {
                key: site.key(),
                detail,
            });
        }
        let word = self.ownership.word();
        let mut world = Contender::new(site, Bed::WordForAll, wait, "read");
        let mut queued = false;
        let result = loop {
            let seen = word.load(Ordering::Relaxed);
            if owner::holder(seen).0 == 0 {
                match self.enter(line) {
                    Ok(true) => break Ok(()),
                    Ok(false) => self.retreat(line),
                    Err(error) => break Err(error),
                }
                continue;
            }
            if world.spin() {
                continue;
            }
            match owner::pass_dead(word, seen, &world) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => break Err(error),
            }
            if !queued {
                self.queue().fetch_add(1, Ordering::Relaxed);
                queued = true;
            }
            let marked = seen | owner::WAITERS;
            let is_marked = seen == marked
                || word
                    .compare_exchange(seen, marked, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            if is_marked {
                if let Err(error) = world.sleep(word, marked) {
                    break Err(error);
                }
            }
        };
        if queued {
            self.leave_queue();
        }
        result
    }

    /// One reader less waits; the last one ends the readers' turn.
    fn leave_queue(&self) {
        let queue = self.queue();
        let mut seen = queue.load(Ordering::Relaxed);
        loop {
            let next = match seen & !TURN {
                // A writer ran out of patience and forgot the count.
                0 => return,
                1 => 0,
                _ => seen - 1,
            };
            match queue.compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) if next == 0 && seen & TURN != 0 => return address::wake_all(queue),
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Holds back while it is the readers' turn, for a bounded time.
    #[cold]
    fn give_way(&self) {
        let queue = self.queue();
        let start = Instant::now();
        loop {
            let seen = queue.load(Ordering::Relaxed);
            if seen & TURN == 0 {
                return;
            }
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

    /// Waits until no line counts a reader. The caller has the word.
    #[inline]
    fn drain(&self, wait: Wait) -> CortexResult<()> {
        let site = &*self.ownership.site;
        let limit = site.view.layout.shape.participants;
        let used = site
            .view
            .header()
            .high_water
            .load(Ordering::SeqCst)
            .min(limit);
        for slot in 0..used {
            if Line::readers(site.line(slot).load()) != 0 {
                self.drain_slow(slot, wait)?;
            }
        }
        Ok(())
    }

    #[cold]
    fn drain_slow(&self, slot: u32, wait: Wait) -> CortexResult<()> {
        let site = &*self.ownership.site;
        let line = site.line(slot);
        let is_own = site.me()?.slot() == Some(slot);
        if is_own && held::any(site.number) {
            let detail = "this thread holds it for reading, through this handle";
            return Err(CortexError::Busy {
                key: site.key(),
                detail,
            });
        }
        let mut world = Contender::new(site, Bed::WordForAll, wait, "write");
        loop {
            let seen = line.load();
            if Line::readers(seen) == 0 {
                return Ok(());
            }
            if world.spin() {
                continue;
            }
            if !site.beacons.is_lit(slot)? {
                line.forget_readers(seen);
                continue;
            }
            let nap = world.next_nap()?;
            address::wait(line.word(), seen, nap);
        }
    }
}

// SAFETY: see the module's argument: a writer is in only while it has the word and every line is at
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

    #[inline]
    fn read_lock(&self, wait: Wait) -> CortexResult<()> {
        let line = self.line()?;
        if self.enter(line)? {
            return Ok(());
        }
        self.read_slow(line, wait)
    }

    #[inline]
    fn write_lock(&self, wait: Wait) -> CortexResult<()> {
        if self.queue().load(Ordering::Relaxed) & TURN != 0 && wait != Wait::Never {
            self.give_way();
        }
        self.ownership.take(wait, "write")?;
        fence_after_rmw();
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

    fn force_ownership(&mut self) {}

    fn settle(memory: NonNull<u8>, slot: u32) {
        Ownership::settle(memory, slot);
    }
}
