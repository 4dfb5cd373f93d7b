//! One process's place in a segment: the mapping, and who this process is there.
//!
//! A [`Site`] owns the mapping and, in the process that claimed it, a participant slot. It is what a
//! lock is built on ([`LockSite`]) and outlives it.
//!
//! **Fork.** The mapping is inherited, the slot is not: `me` is tagged with the epoch of the process
//! that claimed it, so that the first use in a child claims the child's own. There is no mutex here,
//! for a child could inherit it locked.
//!
//! **Invariants.** Every reference into the segment is computed from the validated, private
//! [`Layout`]; all shared words are atomics. What is process-local (holder, interrupts) never
//! stands in the segment.

use crate::commit::{CommitLine, Ledger, RangeLine};
use crate::error::{CortexError, CortexResult, Leftover};
use crate::format::{self, Header, Layout};
use crate::participants::{self, Beacons, Id, Line, Standing};
use crate::permission::Permission;
use crate::signal::SignalLine;
use crate::sys::shm::Mapping;
use crate::sys::{address, errno, fork, thread};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The header at the start of a mapping that is known to be large enough.
pub(crate) fn header(mapping: &Mapping) -> &Header {
    debug_assert!(mapping.size() >= format::LOCK_OFFSET);
    // SAFETY: callers attach only segments of at least LOCK_OFFSET bytes; shmat gives a page-aligned
    // address; a Header consists of atomics only, for which every bit pattern is a value.
    unsafe { mapping.base().cast::<Header>().as_ref() }
}

/// The signal line of a mapping that is known to be large enough.
pub(crate) fn signal(mapping: &Mapping) -> &SignalLine {
    // SAFETY: as in `header`; the line ends before LOCK_OFFSET and consists of atomics.
    unsafe {
        mapping
            .base()
            .add(format::SIGNAL_OFFSET)
            .cast::<SignalLine>()
            .as_ref()
    }
}

/// The views of a mapping that its layout describes; what sites and observers share.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) mapping: Mapping,
    pub(crate) layout: Layout,
    pub(crate) key: i32,
}

impl View {
    pub(crate) fn header(&self) -> &Header {
        header(&self.mapping)
    }

    /// A reference to something that consists of atomics, at an offset within the layout.
    #[inline]
    fn at<T>(&self, offset: usize) -> &T {
        debug_assert!(offset + size_of::<T>() <= self.mapping.size());
        // SAFETY: the layout was checked against the mapping's size, `T` consists of atomics, and
        // every offset used below is a multiple of 64 from a page-aligned base.
        unsafe { self.mapping.base().add(offset).cast::<T>().as_ref() }
    }

    #[inline]
    pub(crate) fn ledger(&self) -> Ledger<'_> {
        Ledger {
            line: self.at::<CommitLine>(format::COMMIT_OFFSET),
            ranges: self.at::<RangeLine>(format::RANGES_OFFSET),
            slots: self.layout.shape.slots,
        }
    }

    #[inline]
    pub(crate) fn signal(&self) -> &SignalLine {
        signal(&self.mapping)
    }

    /// The first byte of a payload slot. Valid for `slot_stride` bytes.
    #[inline]
    pub(crate) fn slot(&self, slot: usize) -> *mut u8 {
        debug_assert!(slot < self.layout.shape.slots as usize);
        let offset = self.layout.slots_offset + slot * self.layout.slot_stride;
        // SAFETY: `slot` is below the slot count (Ledger::slot), so the offset is in the mapping.
        unsafe { self.mapping.base().add(offset).as_ptr() }
    }

    /// Whether the owner, a replacer or a remover has taken the segment away.
    pub(crate) fn is_removed(&self) -> bool {
        self.header().state() == format::state::REMOVED
    }
}

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
    /// (epoch of the process that claimed, participant id); [`NOBODY`] is none.
    me: AtomicU64,
    /// Where the epoch of this process stands: 0 in a forked child that has not asked for its own.
    epoch: &'static AtomicU32,
    /// The thread of this process that holds the owner word through this handle; 0 is none.
    holder: AtomicUsize,
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

/// What `me` holds while nothing is claimed: an epoch that no process has, and that no wiped page shows.
const NOBODY: u64 = u64::MAX << 32;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

impl Site {
    /// Takes the mapping and claims a slot in it.
    pub(crate) fn join(view: View, beacons: Beacons, settle: Settle) -> CortexResult<Self> {
        let site = Self {
            beacons: beacons.of_key(view.key),
            view,
            settle,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            me: AtomicU64::new(NOBODY),
            epoch: fork::place(),
            holder: AtomicUsize::new(0),
            interrupts: AtomicU32::new(0),
            interrupts_seen: AtomicU32::new(0),
        };
        site.me()?;
        Ok(site)
    }

    pub(crate) fn key(&self) -> i32 {
        self.view.key
    }

    #[inline]
    pub(crate) fn line(&self, slot: u32) -> &Line {
        debug_assert!(slot < self.view.layout.shape.participants);
        self.view
            .at(self.view.layout.participants_offset + slot as usize * format::LINE)
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
            None => self.claim(),
        }
    }

    /// The id that this very process has claimed, if it has.
    #[inline]
    pub(crate) fn claimed(&self) -> Option<Id> {
        let me = self.me.load(Ordering::Relaxed);
        ((me >> 32) as u32 == self.epoch.load(Ordering::Relaxed)).then_some(Id(me as u32))
    }

    #[cold]
    fn claim(&self) -> CortexResult<Id> {
        let epoch = fork::epoch();
        // What is still the parent's: the thread that held through this handle. No thread of this
        // process can hold before `me` names the process.
        let holder = self.holder.load(Ordering::Relaxed);
        let inherited = self.me.load(Ordering::Acquire);
        if (inherited >> 32) as u32 == epoch {
            return Ok(Id(inherited as u32));
        }
        let id = match (self.claim_slot(), self.claimed()) {
            (Ok(id), _) => id,
            // The last free slot went to another thread of this process.
            (Err(_), Some(id)) => return Ok(id),
            (Err(error), None) => return Err(error),
        };
        let _ = self
            .holder
            .compare_exchange(holder, 0, Ordering::Relaxed, Ordering::Relaxed);
        let mine = u64::from(epoch) << 32 | u64::from(id.0);
        match self
            .me
            .compare_exchange(inherited, mine, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Ok(id),
            Err(winner) => {
                // Another thread of this process was faster: its slot serves both.
                self.beacons.release(id.slot().unwrap_or(0))?;
                Ok(Id(winner as u32))
            }
        }
    }

    fn claim_slot(&self) -> CortexResult<Id> {
        let limit = self.view.layout.shape.participants;
        let dark = self
            .beacons
            .all()?
            .into_iter()
            .enumerate()
            .filter(|&(_, lit)| lit == 0);
        for slot in dark.map(|(slot, _)| slot as u32) {
            if !self.beacons.claim(slot)? {
                continue;
            }
            let settle = || (self.settle)(self.lock_memory(), slot);
            let high_water = &self.view.header().high_water;
            return Ok(participants::move_in(
                slot,
                self.line(slot),
                high_water,
                settle,
            ));
        }
        Err(CortexError::Full {
            key: self.key(),
            limit,
        })
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
        participants::standing(id, self.line(slot), || self.beacons.is_lit(slot))
    }

    /// How many participants live now.
    pub(crate) fn alive(&self) -> CortexResult<u32> {
        let alive = self
            .beacons
            .all()?
            .into_iter()
            .filter(|&lit| lit != 0)
            .count();
        Ok(alive as u32)
    }

    /// What this process's read guards here are noted under.
    #[inline]
    pub(crate) fn place(&self) -> crate::sync::held::Place {
        let epoch = self.me.load(Ordering::Relaxed) & NOBODY;
        crate::sync::held::Place(epoch | self.number & !NOBODY)
    }

    /// Whether this is the process to which a place given by [`Site::place`] belongs.
    #[inline]
    pub(crate) fn is_here(&self, place: crate::sync::held::Place) -> bool {
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
        self.interrupts.fetch_add(1, Ordering::SeqCst);
        address::wake_all(&self.view.signal().signal);
    }

    /// What to compare with during a wait that begins now.
    pub(crate) fn interrupts_seen(&self) -> u32 {
        self.interrupts_seen.load(Ordering::Relaxed)
    }

    /// Whether an interrupt has come that no wait had seen at `entry`; it is then seen.
    pub(crate) fn was_interrupted(&self, entry: u32) -> bool {
        let now = self.interrupts.load(Ordering::SeqCst);
        if now != entry {
            self.interrupts_seen.store(now, Ordering::Relaxed);
        }
        now != entry
    }

    /// Lets go of the slot, and of the semaphore set if the segment is gone and nobody is left.
    ///
    /// In a forked child that claimed nothing there is nothing to let go of.
    pub(crate) fn leave(&self) -> CortexResult<()> {
        if let Some(slot) = self.claimed().and_then(Id::slot) {
            match self.beacons.release(slot) {
                Ok(()) | Err(CortexError::Removed { .. }) => {}
                Err(error) => return Err(error),
            }
            self.me.store(NOBODY, Ordering::Relaxed);
        }
        if self.view.is_removed() {
            remove_if_dark(&self.beacons, self.key())?;
        }
        Ok(())
    }
}

/// Removes the semaphore set of a removed segment once every beacon is out.
///
/// Whoever leaves last sees all of them out, because each releases its own before it looks.
pub(crate) fn remove_if_dark(beacons: &Beacons, key: i32) -> CortexResult<()> {
    match beacons.all() {
        Ok(all) if all.iter().all(|&lit| lit == 0) => {}
        Ok(_) | Err(CortexError::Removed { .. }) => return Ok(()),
        Err(error) => return Err(error),
    }
    use crate::error::Attempt;
    match beacons.set().remove() {
        Err(failure) if !matches!(failure.errno(), errno::EINVAL | errno::EIDRM) => Err(failure)
            .attempt("remove the semaphores of", key)
            .map_err(|error| error.leaving(Leftover::Semaphores(beacons.set().id()))),
        _ => Ok(()),
    }
}

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
