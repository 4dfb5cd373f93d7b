//! One process's place in a segment: the mapping, and who this process is there.
//!
//! A [`Site`] owns the mapping ([`View`]) and, in the process that claimed it, a participant slot. It is what a
//! lock is built on ([`crate::lock_site`]) and outlives it.
//!
//! **Fork.** The mapping is inherited, the slot is not: `me` is tagged with the epoch of the process
//! that claimed it, so that the first use in a child claims the child's own. There is no mutex here,
//! for a child could inherit it locked.
//!
//! **Invariant.** What is process-local (holder, interrupts) never stands in the segment.

use crate::error::{Attempt, CortexError, CortexResult, Leftover};
use crate::format;
use crate::membership::Membership;
use crate::participants::{self, Beacons, Id, Line, Lit, Standing};
use crate::sync::held::{Home, Place};
use crate::sys::sem::Set;
use crate::sys::shm::{self, Mapping};
use crate::sys::{address, errno, fork, thread};
use crate::view::{header, View};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long to wait for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until it is had.
    Forever,
    /// Not at all.
    Never,
    /// Until this moment of the monotonic clock.
    Until(Instant),
}

impl Wait {
    /// The time left, `None` for ever, zero when it is over.
    pub fn left(self) -> Option<Duration> {
        match self {
            Self::Forever => None,
            Self::Never => Some(Duration::ZERO),
            Self::Until(end) => Some(end.saturating_duration_since(Instant::now())),
        }
    }

    /// The wait that begins now and lasts this long.
    pub(crate) fn lasting(timeout: Option<Duration>) -> Self {
        match timeout {
            None => Self::Forever,
            Some(Duration::ZERO) => Self::Never,
            // A deadline beyond what the clock can say is for ever.
            Some(timeout) => Instant::now()
                .checked_add(timeout)
                .map_or(Self::Forever, Self::Until),
        }
    }
}

/// Settles what a dead tenant of a slot left in the lock area, before the slot has a new tenant.
pub(crate) type Settle = fn(NonNull<u8>, u32);

/// One process's attachment with a participant slot of its own.
pub(crate) struct Site {
    pub(crate) view: View,
    pub(crate) beacons: Beacons,
    settle: Settle,
    /// Which attachment of this process it is; never used twice.
    pub(crate) number: u64,
    me: Membership,
    /// Where the epoch of this process stands: 0 in a forked child that has not asked for its own.
    epoch: &'static AtomicU32,
    /// The thread of this process that holds the owner word through this handle; 0 is none.
    holder: AtomicUsize,
    /// Read guards that are counted here rather than by their thread.
    pub(crate) home: Home,
    interrupts: AtomicU32,
    /// How many of the interrupts have ended a wait.
    interrupts_seen: AtomicU32,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site")
            .field("key", &self.view.key)
            .finish_non_exhaustive()
    }
}

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// How often a forked child that finds no free slot looks again, a millisecond apart, whether another thread of
/// its own has just got the last.
const LOOKS: u32 = 100;

impl Site {
    /// Takes the mapping and claims a slot in it. `lit` says which were taken a moment ago.
    pub(crate) fn join(
        view: View,
        beacons: Beacons,
        lit: Lit,
        settle: Settle,
    ) -> CortexResult<Self> {
        let site = Self {
            beacons: beacons.of_key(view.key),
            view,
            settle,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            me: Membership::new(),
            epoch: fork::place(),
            holder: AtomicUsize::new(0),
            home: Home::default(),
            interrupts: AtomicU32::new(0),
            interrupts_seen: AtomicU32::new(0),
        };
        site.claim(Some(lit))?;
        Ok(site)
    }

    pub(crate) fn key(&self) -> i32 {
        self.view.key
    }

    #[inline]
    pub(crate) fn line(&self, slot: u32) -> &Line {
        self.view.line(slot)
    }

    /// The lock's own bytes.
    #[inline]
    pub(crate) fn lock_memory(&self) -> NonNull<u8> {
        // SAFETY: within the mapping: the layout has `lock_size` bytes there.
        unsafe { self.view.mapping.base().add(format::LOCK_OFFSET) }
    }

    /// This process's participant id, claimed anew in a forked child.
    #[inline]
    pub(crate) fn me(&self) -> CortexResult<Id> {
        match self.claimed() {
            Some(id) => Ok(id),
            None => self.claim(None),
        }
    }

    /// The id that this very process has claimed, if it has.
    #[inline]
    pub(crate) fn claimed(&self) -> Option<Id> {
        self.me.of(self.epoch.load(Ordering::Relaxed))
    }

    /// `lit` says which slots were taken a moment ago, where somebody has just asked.
    #[cold]
    fn claim(&self, mut lit: Option<Lit>) -> CortexResult<Id> {
        let epoch = fork::epoch();
        // What is still the parent's: the thread that held through this handle. No thread of this
        // process can hold before `me` names the process.
        let holder = self.holder.load(Ordering::Relaxed);
        let arrive = || {
            let _ = self
                .holder
                .compare_exchange(holder, 0, Ordering::Relaxed, Ordering::Relaxed);
        };
        let mut looks = LOOKS;
        let wait = |error: &CortexError| {
            looks -= 1;
            let is_worth_it = looks > 0 && matches!(error, CortexError::Full { .. });
            if is_worth_it {
                address::sleep(Duration::from_millis(1));
            }
            is_worth_it
        };
        self.me.claim(
            epoch,
            || self.claim_slot(lit.take()),
            wait,
            arrive,
            |id| self.beacons.release(id.slot().unwrap_or(0)),
        )
    }

    fn claim_slot(&self, lit: Option<Lit>) -> CortexResult<Id> {
        if let Some(lit) = lit {
            if let Some(id) = self.claim_dark(&lit)? {
                return Ok(id);
            }
        }
        self.claim_dark(&self.all()?)?
            .ok_or_else(|| CortexError::Full {
                key: self.key(),
                limit: self.view.layout.shape.participants,
            })
    }

    /// Claims the first slot that was free and still is.
    fn claim_dark(&self, lit: &[u16]) -> CortexResult<Option<Id>> {
        let dark = (0..).zip(lit).filter(|&(_, &lit)| lit == 0);
        for (slot, _) in dark {
            if !self.beacons.claim(slot)? {
                continue;
            }
            let settle = || (self.settle)(self.lock_memory(), slot);
            let high_water = &self.view.header().high_water;
            let id = participants::move_in(slot, self.line(slot), high_water, settle);
            return Ok(Some(id));
        }
        Ok(None)
    }

    /// Whether the participant with this id lives. An id that cannot be is dead; an error is not.
    pub(crate) fn is_alive(&self, id: Id) -> CortexResult<bool> {
        match self.standing(id)? {
            Standing::Alive => Ok(true),
            Standing::Dead | Standing::Impossible => Ok(false),
        }
    }

    pub(crate) fn standing(&self, id: Id) -> CortexResult<Standing> {
        let Some(slot) = id
            .slot()
            .filter(|&slot| slot < self.view.layout.shape.participants)
        else {
            return Ok(Standing::Impossible);
        };
        participants::standing(id, self.line(slot), || self.is_lit(slot))
    }

    /// Whether somebody holds the slot's beacon now. That nobody does is death, so it is said of our own set only.
    pub(crate) fn is_lit(&self, slot: u32) -> CortexResult<bool> {
        let is_lit = self.beacons.is_lit(slot)?;
        if !is_lit {
            self.check_ids()?;
        }
        Ok(is_lit)
    }

    /// Every beacon.
    fn all(&self) -> CortexResult<Lit> {
        self.check_ids()?;
        self.beacons.all()
    }

    /// How many participants live now.
    pub(crate) fn alive(&self) -> CortexResult<u32> {
        let alive = self.all()?.into_iter().filter(|&lit| lit != 0).count();
        Ok(alive as u32)
    }

    /// Whether the kernel's ids still name, for this thread, what it is attached to.
    ///
    /// They do not once it has gone to another IPC namespace (`unshare(2)`, `setns(2)`). Each counts its ids
    /// from 0, so there they may well name another cortex, whose set is as large and has the same way back.
    /// What no two have in common is the random key of the set.
    pub(crate) fn ids_are_ours(&self) -> bool {
        let View { mapping, .. } = &self.view;
        let key = self.view.header().beacon_key();
        if Set::find(key).is_ok_and(|set| set == self.beacons.set()) {
            return true;
        }
        // The key was spoilt, or the set was removed alone: is it the same memory?
        Mapping::attach(mapping.id(), true)
            .is_ok_and(|found| found.size() == mapping.size() && header(&found).beacon_key() == key)
    }

    /// `Removed` where they do not: the set is as good as gone.
    pub(crate) fn check_ids(&self) -> CortexResult<()> {
        match self.ids_are_ours() {
            true => Ok(()),
            false => Err(CortexError::Removed { key: self.key() }),
        }
    }

    /// What this process's read guards here are noted under.
    #[inline]
    pub(crate) fn place(&self) -> Place {
        Place(self.me.epoch() | self.number & u64::from(u32::MAX))
    }

    /// Whether this is the process to which a place given by [`Site::place`] belongs.
    #[inline]
    pub(crate) fn is_here(&self, place: Place) -> bool {
        place.is_of(self.epoch.load(Ordering::Relaxed))
    }

    /// Where the epoch of this process stands.
    #[inline]
    pub(crate) fn epoch(&self) -> &'static AtomicU32 {
        self.epoch
    }

    /// Notes that this thread now holds the owner word through this handle.
    #[inline]
    pub(crate) fn hold(&self) {
        self.holder.store(thread::token(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn unhold(&self) {
        self.holder.store(0, Ordering::Relaxed);
    }

    /// Whether this thread holds the owner word through this handle. Only this thread stores its own
    /// token, and it clears it before it lets go.
    pub(crate) fn is_held_by_this_thread(&self) -> bool {
        self.claimed().is_some() && self.holder.load(Ordering::Relaxed) == thread::token()
    }

    /// Ends every wait through this handle, or the next one. Async-signal-safe: two atomics and, to
    /// wake sleepers of other threads, system calls that no lock of this process guards.
    pub(crate) fn interrupt(&self) {
        // Release: who finds itself interrupted sees what was stored before.
        self.interrupts.fetch_add(1, Ordering::Release);
        address::wake_all(&self.view.signal().signal);
    }

    /// What to compare with during a wait that begins now.
    pub(crate) fn interrupts_seen(&self) -> u32 {
        self.interrupts_seen.load(Ordering::Relaxed)
    }

    /// Whether an interrupt has come that no wait had seen at `entry`; it is then seen.
    pub(crate) fn was_interrupted(&self, entry: u32) -> bool {
        let now = self.interrupts.load(Ordering::Acquire);
        if now != entry {
            self.interrupts_seen.store(now, Ordering::Relaxed);
        }
        now != entry
    }

    /// Lets go of the slot, and of the semaphore set if the segment is gone and nobody is left.
    ///
    /// In a forked child that claimed nothing there is nothing to let go of; in another IPC namespace neither, for
    /// the kernel took the beacon back on the way there.
    pub(crate) fn leave(&self) -> CortexResult<()> {
        let slot = self.claimed().and_then(Id::slot);
        if (slot.is_some() || self.view.is_removed()) && !self.ids_are_ours() {
            self.me.leave();
            return Ok(());
        }
        if let Some(slot) = slot {
            match self.beacons.release(slot) {
                Ok(()) | Err(CortexError::Removed { .. }) => {}
                // Lit until this process ends: whoever leaves last will not find all of them out.
                Err(error) if self.view.is_removed() => {
                    return Err(error.leaving(Leftover::Semaphores(self.beacons.set().id())));
                }
                Err(error) => return Err(error),
            }
            self.me.leave();
        }
        if self.view.is_removed() {
            remove_if_dark(&self.beacons, self.key())?;
        }
        Ok(())
    }

    /// Unmaps the segment, and says what a drop can only log.
    pub(crate) fn detach(self) -> CortexResult<()> {
        let (key, id) = (self.key(), self.view.mapping.id());
        self.view
            .mapping
            .detach()
            .attempt("detach from", key)
            .map_err(|error| error.leaving(Leftover::Attachment(id)))
    }
}

/// Removes the semaphore set of a removed segment once every beacon is out.
///
/// Whoever leaves last sees all of them out, because each releases its own before it looks.
pub(crate) fn remove_if_dark(beacons: &Beacons, key: i32) -> CortexResult<()> {
    match beacons.all() {
        Ok(all) if all.iter().all(|&lit| lit == 0) => participants::remove_set(beacons.set(), key),
        Ok(_) | Err(CortexError::Removed { .. }) => Ok(()),
        Err(error) => Err(error.leaving(Leftover::Semaphores(beacons.set().id()))),
    }
}

/// Removes exactly this segment; one that is gone is removed.
pub(crate) fn remove_segment(id: i32, key: i32) -> CortexResult<()> {
    match shm::remove(id) {
        Err(failure) if !errno::is_gone(failure.errno()) => Err(failure)
            .attempt("remove", key)
            .map_err(|error| error.leaving(Leftover::Segment(id))),
        _ => Ok(()),
    }
}
