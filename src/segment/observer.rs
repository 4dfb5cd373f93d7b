//! Reading without taking part, through a read-only mapping, without a lock or a slot.
//!
//! An observer needs only read permission and cannot disturb any other process: it never stores, so it can neither ask
//! a writer to pause nor say that it waits. It validates each copy by the commit counters, which every writer keeps
//! whatever its lock, and looks again at growing, bounded intervals. While it waits for a change it sleeps on the signal
//! word all the same: where a participant waits too, the writer wakes both.

use super::contents::out_of_range;
use super::creator::wait_for_creator;
use super::find::{self, Arrival};
use super::memory;
use super::options::SegmentOptions;
use super::presence;
use crate::attachment::companion::Companion;
use crate::attachment::mapped_segment::{header, MappedSegment};
use crate::attachment::patience::{Pauses, Timeout, Wait, Waiting, LONGEST_PAUSE};
use crate::attachment::slots::Slots;
use crate::copy;
use crate::error::{Attempt, Cause, CortexResult, Told};
use crate::key::{Key, Wanted};
use crate::locks::built_in::is_built_in;
use crate::protocol::interrupts::{Interrupts, STOPPED};
use crate::protocol::owner_word;
use crate::sys::futex;
use crate::sys::shm::{self, Mapped, ReadOnlyMapping};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// Watches the bytes of a segment, read-only.
pub struct SegmentObserver {
    /// A copy of the mapping's slots, so that reading follows no pointer to find them.
    pub(super) slots: Slots,
    /// Shared with the wait sets that it is in.
    pub(crate) mapped: Arc<MappedSegment<ReadOnlyMapping>>,
    timeout: Timeout,
    /// What its futures have of their own.
    pub(crate) companion: Companion,
    pub(crate) interrupts: Arc<Interrupts>,
}

/// How many times a copy is tried before the observer begins to sleep in between.
const ATTEMPTS: u32 = 64;

impl SegmentObserver {
    /// Attaches read-only; a `size` of 0 accepts any size. The lock does not matter.
    ///
    /// # Errors
    /// `CleanSystem` (`ENOENT`; `EACCES` without read permission), `NotACortex`, `Format`, `Layout`, `Name`,
    /// `NotReady`, `Corrupt`, `InvalidArgument` (what is no name).
    pub fn attach(key: impl Into<Key>, size: usize) -> CortexResult<Self> {
        Self::attach_with(key, size, &SegmentOptions::new())
    }

    /// [`SegmentObserver::attach`] that also compares schema and alignment, begins with a time-out, or waits for the
    /// creator ([`SegmentOptions::wait_for_creator`]).
    ///
    /// # Errors
    /// As [`SegmentObserver::attach`].
    pub fn attach_with(
        key: impl Into<Key>,
        size: usize,
        options: &SegmentOptions,
    ) -> CortexResult<Self> {
        let key = key.into();
        let wanted = key.wanted()?;
        Self::arrive(wanted, size, options).on(wanted.number)
    }

    fn arrive(wanted: Wanted<'_>, size: usize, options: &SegmentOptions) -> Result<Self, Cause> {
        let mapped = wait_for_creator(options, |timeout| {
            Self::open(wanted.number, options, timeout)
        })?;
        wanted.check(&mapped.layout.shape.name)?;
        wanted.note_found(&mapped.layout.shape.name);
        find::check_shape(size, options, &mapped.layout)?;
        memory::prefault(&mapped, options)?;
        let observer = Self {
            slots: mapped.slots,
            mapped: Arc::new(mapped),
            timeout: Timeout::new(options.timeout),
            companion: Companion::new(),
            interrupts: Arc::new(Interrupts::new()),
        };
        observer
            .interrupts
            .let_signals_end_waits(options.interruptible);
        if options.dump {
            observer.mapped.mapping.include_in_dumps();
        }
        Ok(observer)
    }

    /// Maps the segment as soon as it is ready. `timeout` is how long to wait for a creator at work.
    fn open(
        key: i32,
        options: &SegmentOptions,
        timeout: Option<Duration>,
    ) -> Result<MappedSegment<ReadOnlyMapping>, Cause> {
        for _ in 0..find::ATTEMPTS {
            let mapping = match find::arrive_to_look(key, options, timeout)? {
                Arrival::Ready(mapping) => mapping,
                Arrival::Removed(mapping) => {
                    // It is removed, though the key is still there: that lasts only for a moment, unless the remover
                    // died.
                    let id = mapping.id();
                    drop(mapping);
                    find::Pauses::new(options).sleep_for(LONGEST_PAUSE)?;
                    if shm::find(key).is_ok_and(|found| found == id) {
                        return Err(Cause::Removed);
                    }
                    continue;
                }
            };
            let layout = header(&mapping).read(mapping.size())?;
            return Ok(MappedSegment::new(mapping, layout, key));
        }
        Err(find::OVERTAKEN)
    }

    /// Returns the key that the segment was created under.
    pub fn key(&self) -> i32 {
        self.mapped.key
    }

    /// Returns the name that the segment was created under; it is empty where the segment was created by number.
    pub fn name(&self) -> &str {
        &self.mapped.layout.shape.name
    }

    /// Returns the size of the payload in bytes; of a cortex of records, that of the longest record.
    pub fn size(&self) -> usize {
        self.mapped.layout.shape.size
    }

    /// Returns how many writes were committed since the segment was created.
    pub fn version(&self) -> u64 {
        self.slots.ledger().committed()
    }

    /// Returns the name of the segment's lock.
    pub fn lock_name(&self) -> &str {
        &self.mapped.layout.shape.lock_name
    }

    /// Returns the schema that the segment was created with; 0 is none.
    pub fn schema(&self) -> u64 {
        self.mapped.layout.shape.schema
    }

    /// Returns how many participants can be attached; an observer is not one of them.
    pub fn participant_limit(&self) -> u32 {
        self.mapped.layout.shape.participants
    }

    /// Returns how many participants are attached now, and how many can be.
    ///
    /// # Errors
    /// `Removed`, `Corrupt`, `CleanSystem`.
    pub fn participants(&self) -> CortexResult<(u32, u32)> {
        let mapping = &self.mapped.mapping;
        // The mode may have changed by now.
        let status = shm::status(mapping.id()).attempt("look at");
        let (_, lit) = status
            .and_then(|status| presence::open_beacons(mapping, &self.mapped.layout, &status))
            .on(self.key())?;
        let alive = lit.into_iter().filter(|&lit| lit != 0).count();
        Ok((alive as u32, self.participant_limit()))
    }

    /// Returns whether the segment was removed. The kernel is asked, so that a removal by `ipcrm(1)` is noticed too.
    pub fn is_removed(&self) -> bool {
        self.mapped.is_removed() || self.mapped.is_lost()
    }

    /// Returns whether a write in place was left unfinished. It is a snapshot: a writer at work looks the same.
    pub fn is_poisoned(&self) -> bool {
        self.mapped.layout.is_in_place() && self.mapped.ledger().is_unfinished()
    }

    /// Sets how long a read or a wait may last; `None` is for ever, and zero is no wait at all.
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        self.timeout.set(timeout);
    }

    /// Returns the time-out in force.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout.get()
    }

    /// Ends every wait through this observer, or the next one, within a millisecond.
    /// Async-signal-safe.
    pub fn interrupt(&self) {
        self.interrupts.send();
    }

    /// Ends every wait through this observer, and every one that begins later, until
    /// [`SegmentObserver::resume_waits`]: see [`crate::Segment::stop_waits`]. Async-signal-safe.
    pub fn stop_waits(&self) {
        self.interrupts.stop(STOPPED);
    }

    /// Lets reads and waits through this observer wait again. Async-signal-safe.
    pub fn resume_waits(&self) {
        self.interrupts.resume(STOPPED);
    }

    /// Copies the bytes from `offset` on into `buffer`, all from one commit.
    ///
    /// # Errors
    /// `InvalidArgument` where the range leaves the segment; `Poisoned` where a write in place was left unfinished and
    /// no living process has the lock, `Removed` where the segment was removed then; `Timeout`, also where this user
    /// may not read the semaphores, so that a dead writer looks like a slow one; `Interrupted`.
    pub fn read_at(&self, offset: usize, buffer: &mut [u8]) -> CortexResult<()> {
        self.read_at_within(offset, buffer, self.timeout())
            .map(drop)
    }

    /// [`SegmentObserver::read_at`] that also returns the version of the commit that the bytes are from: see
    /// [`crate::Segment::read_versioned`].
    ///
    /// # Errors
    /// As [`SegmentObserver::read_at`].
    pub fn read_versioned(&self, offset: usize, buffer: &mut [u8]) -> CortexResult<u64> {
        self.read_at_within(offset, buffer, self.timeout())
    }

    /// [`SegmentObserver::read_at`] with a time-out of its own, whatever the observer's is; zero does not wait.
    ///
    /// # Errors
    /// As [`SegmentObserver::read_at`].
    pub fn read_at_for(
        &self,
        timeout: Duration,
        offset: usize,
        buffer: &mut [u8],
    ) -> CortexResult<()> {
        self.read_at_within(offset, buffer, Some(timeout)).map(drop)
    }

    pub(crate) fn read_at_within(
        &self,
        offset: usize,
        buffer: &mut [u8],
        timeout: Option<Duration>,
    ) -> CortexResult<u64> {
        let (length, slots) = (buffer.len(), &self.mapped.slots);
        if offset
            .checked_add(length)
            .is_none_or(|end| end > slots.size)
        {
            return Err(out_of_range(slots, offset, length).on(self.key()));
        }
        // SAFETY: the range was checked, the buffer is exclusively ours.
        unsafe { self.load(offset, buffer.as_mut_ptr(), buffer.len(), timeout) }
    }

    /// Copies the bytes of one commit, and returns its version.
    ///
    /// # Safety
    /// The range is within the segment, and `buffer` is valid for `length` bytes.
    pub(crate) unsafe fn load(
        &self,
        offset: usize,
        buffer: *mut u8,
        length: usize,
        timeout: Option<Duration>,
    ) -> CortexResult<u64> {
        let slots = self.slots;
        let ledger = self.slots.ledger();
        let copy = |commit| {
            // SAFETY: any slot is valid for the checked range.
            unsafe { copy::load(slots.of(commit).add(offset), buffer, length) };
            commit
        };
        self.poll(
            "read",
            timeout,
            || ledger.snapshot(copy),
            || self.why_in_vain(),
        )
        .on(self.key())
    }

    /// Returns why a read in place cannot succeed, where that is known: the segment was removed, or its writer is gone.
    pub(super) fn why_in_vain(&self) -> Option<Cause> {
        if !self.is_poisoned() {
            return None;
        }
        if self.is_removed() {
            return Some(Cause::Removed);
        }
        self.is_abandoned().then_some(Cause::Poisoned)
    }

    /// Returns whether a write in place was begun by a process that is gone, or that has released the lock without
    /// finishing it. Where that cannot be known, it counts as a writer at work.
    ///
    /// A writer has the lock before it begins. So where the same write is unfinished before and after a moment at which
    /// no living process has the lock, no living process writes. The question to the kernel in between is a full
    /// barrier.
    fn is_abandoned(&self) -> bool {
        let (ledger, shape) = (self.mapped.ledger(), &self.mapped.layout.shape);
        let look = || {
            let word = self
                .mapped
                .lock_word(0)
                .filter(|_| is_built_in(&shape.lock_name));
            // Acquire: the generation below is then not seen older than the word.
            let word = word.map(|word| word.load(Ordering::Acquire));
            (
                ledger.begun(),
                ledger.committed(),
                word.map(owner_word::holder),
            )
        };
        let before = look();
        let Ok(status) = shm::status(self.mapped.mapping.id()) else {
            return false;
        };
        let lit = || {
            let found = presence::open_beacons(&self.mapped.mapping, &self.mapped.layout, &status);
            found.ok().map(|(_, lit)| lit)
        };
        let is_nobody = match before.2 {
            // A lock of a user's own does not tell its holder, which may be any living process.
            None => lit().is_some_and(|lit| lit.iter().all(|&lit| lit == 0)),
            Some(holder) => match holder.slot() {
                None => true,
                Some(slot) => {
                    slot < shape.participants
                        && self.mapped.line(slot).generation() == holder.generation()
                        && lit().is_some_and(|lit| lit[slot as usize] == 0)
                }
            },
        };
        is_nobody && before.0 != before.1 && look() == before
    }

    /// Tries until `attempt` returns a result: immediately, then with pauses that grow to a millisecond. `judge` may
    /// end it with an error.
    pub(super) fn poll<R>(
        &self,
        operation: &'static str,
        timeout: Option<Duration>,
        mut attempt: impl FnMut() -> Option<R>,
        judge: impl Fn() -> Option<Cause>,
    ) -> Result<R, Cause> {
        if let Some(result) = attempt() {
            return Ok(result);
        }
        let _call = self.interrupts.begin();
        let wait = Wait::lasting(timeout);
        let waiting = Waiting::new(&self.interrupts, wait, operation);
        let mut pauses = Pauses::default();
        let mut count = 0_u32;
        loop {
            if let Some(result) = attempt() {
                return Ok(result);
            }
            if count >= ATTEMPTS {
                if let Some(cause) = judge() {
                    return Err(cause);
                }
            }
            if let Err(end) = waiting.check() {
                // `judge` is asked even where the time is over before so many attempts: this process may have had no
                // processor.
                let is_late = matches!(end, Cause::Timeout(_));
                return Err(is_late.then(&judge).flatten().unwrap_or(end));
            }
            if count > ATTEMPTS {
                waiting.woken(futex::sleep(waiting.nap(pauses.next())))?;
            } else {
                count += 1;
                crate::protocol::atomics::spin();
            }
        }
    }
}
