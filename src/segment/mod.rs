//! Bytes that several processes share: reading, writing, partial writes, removal.
//!
//! **Invariants.** A range is checked in [`Segment::check_range`] before any pointer is made of it.
//! Whatever takes the lock's write access goes through [`Segment::begin_write`] and the commit
//! protocol, whatever the lock, because optimistic readers and observers depend on the counters.
//! Waiters are woken after the lock is released and a SeqCst fence.

mod guard;
mod kind;
pub(crate) mod open;
mod options;
mod wait;

pub(crate) use guard::Payload;
pub use guard::{ReadGuard, WriteGuard};
#[cfg(feature = "capi")]
pub(crate) use kind::check_size;
pub(crate) use kind::{Kind, Typed};
pub use options::SegmentOptions;

use crate::commit::{Begun, CommitLine, Ledger, Lines, RangeLine};
use crate::copy;
use crate::error::{CortexError, CortexResult, Leftover};
use crate::participants::Id;
use crate::primitive::{fence, Ordering};
use crate::signal;
use crate::site::{Site, Wait};
use crate::sync::{Access, CortexSync, SeqLock};
use crate::sys::shm;
use crate::sys::{address, fork};
use bytemuck::NoUninit;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::Arc;
use std::time::Duration;

/// A shared piece of memory of a fixed size, read and written by copying or through guards.
///
/// It may be used from any number of threads. A forked child can go on using an inherited handle:
/// its first use that needs a participant slot claims one of its own, its guards are void, and its
/// drop removes nothing.
///
/// ```
/// use neocortex::Segment;
///
/// # fn main() -> neocortex::CortexResult<()> {
/// # let key = neocortex::Segment::<neocortex::SeqLock>::create_random(8)?.key();
/// let segment: Segment = Segment::create(key, 1024)?;
/// segment.write_at(10, b"shared")?;
///
/// let elsewhere: Segment = Segment::attach(key, 1024)?;
/// let mut bytes = [0; 6];
/// elsewhere.read_at(10, &mut bytes)?;
/// assert_eq!(&bytes, b"shared");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Segment<L: CortexSync = SeqLock> {
    slots: Slots,
    // Dropped by hand: before the site lets go of its slot.
    lock: ManuallyDrop<L>,
    pub(crate) site: Arc<Site>,
    /// Nanoseconds that a wait may last; [`FOREVER`] is for ever.
    timeout: AtomicU64,
    /// The epoch of the process that is to remove the segment; 0 is none.
    owner: AtomicU32,
    was_created: bool,
}

const FOREVER: u64 = u64::MAX;

/// How long a call may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// As long as the handle's time-out says.
    Handle,
    /// Not at all.
    Never,
}

/// What the fast paths need, in one place, so that they follow no pointer to find it.
#[derive(Debug)]
struct Slots {
    line: NonNull<CommitLine>,
    ranges: NonNull<RangeLine>,
    base: NonNull<u8>,
    stride: usize,
    count: u32,
    size: usize,
}

// SAFETY: the pointers are into the site's mapping, which the segment keeps alive; what they point
// to is atomics, or payload that is copied racily or under the lock.
unsafe impl Send for Slots {}
// SAFETY: as above.
unsafe impl Sync for Slots {}

impl Slots {
    #[inline]
    fn ledger(&self) -> Ledger<'_> {
        // SAFETY: both point to lines of atomics in the mapping (`View::ledger`).
        let (line, ranges) = unsafe { (self.line.as_ref(), self.ranges.as_ref()) };
        Ledger {
            line,
            ranges,
            slots: self.count,
        }
    }

    /// The first byte of a slot.
    #[inline]
    fn at(&self, slot: usize) -> *mut u8 {
        debug_assert!(slot < self.count as usize);
        // SAFETY: `slot` is below `count`, so the slot is in the mapping.
        unsafe { self.base.as_ptr().add(slot * self.stride) }
    }

    /// The first byte of the slot that holds this commit.
    #[inline]
    fn of(&self, commit: u64) -> *mut u8 {
        if self.count == 2 {
            // The default layout without a multiplication, which would stand in the way of every read.
            let offset = self.stride & (commit as usize & 1).wrapping_neg();
            // SAFETY: 0 or one stride, and there are two slots.
            return unsafe { self.base.as_ptr().add(offset) };
        }
        self.of_many(commit)
    }

    #[cold]
    fn of_many(&self, commit: u64) -> *mut u8 {
        self.at(self.ledger().slot(commit))
    }
}

/// How often an optimistic read is tried before it asks writers to pause.
const ATTEMPTS: u32 = 4;

/// And before it gives up or sleeps. Measured with a publisher that never pauses: 22 at every size.
const ENOUGH_ATTEMPTS: u32 = 64;

impl<L: CortexSync> Segment<L> {
    /// Creates a zero-filled segment with default options: see [`SegmentOptions::create`].
    ///
    /// # Errors
    /// As [`SegmentOptions::create`].
    pub fn create(key: i32, size: usize) -> CortexResult<Self> {
        SegmentOptions::new().create(key, size)
    }

    /// The same under a random key.
    ///
    /// # Errors
    /// As [`SegmentOptions::create`].
    pub fn create_random(size: usize) -> CortexResult<Self> {
        SegmentOptions::new().create_random(size)
    }

    /// Attaches to an existing segment; `size` 0 accepts any: see [`SegmentOptions::attach`].
    ///
    /// # Errors
    /// As [`SegmentOptions::attach`].
    pub fn attach(key: i32, size: usize) -> CortexResult<Self> {
        SegmentOptions::new().attach(key, size)
    }

    fn new(site: Arc<Site>, lock: L, options: &SegmentOptions) -> Self {
        let view = &site.view;
        let ledger = view.ledger();
        let slots = Slots {
            line: NonNull::from(ledger.line),
            ranges: NonNull::from(ledger.ranges),
            // SAFETY: the slots begin within the mapping (Layout), whose base is not null.
            base: unsafe { view.mapping.base().add(view.layout.slots_offset) },
            stride: view.layout.slot_stride,
            count: view.layout.shape.slots,
            size: view.layout.shape.size,
        };
        let segment = Self {
            slots,
            lock: ManuallyDrop::new(lock),
            site,
            timeout: AtomicU64::new(FOREVER),
            owner: AtomicU32::new(0),
            was_created: false,
        };
        segment.set_timeout(options.timeout);
        segment
    }

    /// The key it was created under.
    pub fn key(&self) -> i32 {
        self.site.key()
    }

    /// Bytes in the payload.
    pub fn size(&self) -> usize {
        self.slots.size
    }

    /// How many writes were committed since it was created. Wraps after 2⁶⁴.
    #[inline]
    pub fn version(&self) -> u64 {
        self.slots.ledger().committed()
    }

    /// The schema it was created with; 0 is none.
    pub fn schema(&self) -> u64 {
        self.site.view.layout.shape.schema
    }

    /// The name of its lock.
    pub fn lock_name(&self) -> &str {
        &self.site.view.layout.shape.lock_name
    }

    /// The lock itself.
    pub fn lock(&self) -> &L {
        &self.lock
    }

    /// Whether dropping this handle, in this process, removes the segment.
    pub fn is_owner(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == fork::epoch()
    }

    /// Whether this handle made the segment, rather than finding it.
    pub fn was_created(&self) -> bool {
        self.was_created
    }

    /// Whether the segment was removed; those attached go on sharing it, nobody else can attach.
    pub fn is_removed(&self) -> bool {
        self.site.view.is_removed()
    }

    /// Whether writers edit the one payload slot in place.
    pub fn is_in_place(&self) -> bool {
        self.slots.count == 1
    }

    /// Whether a write in place was left unfinished. A snapshot: a writer at work looks the same.
    pub fn is_poisoned(&self) -> bool {
        self.slots.count == 1 && self.slots.ledger().is_unfinished()
    }

    /// How many participants are attached now, and how many can be.
    ///
    /// # Errors
    /// `Removed`, `CleanSystem`.
    pub fn participants(&self) -> CortexResult<(u32, u32)> {
        Ok((self.site.alive()?, self.site.view.layout.shape.participants))
    }

    /// How long any wait through this handle may last; `None` is for ever, zero not at all.
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        let nanoseconds = timeout.map_or(FOREVER, |timeout| {
            u64::try_from(timeout.as_nanos()).unwrap_or(FOREVER)
        });
        self.timeout.store(nanoseconds, Ordering::Relaxed);
    }

    /// The time-out in force.
    pub fn timeout(&self) -> Option<Duration> {
        match self.timeout.load(Ordering::Relaxed) {
            FOREVER => None,
            nanoseconds => Some(Duration::from_nanos(nanoseconds)),
        }
    }

    /// Ends every wait of this process through this handle, or the next one, with `Interrupted`.
    /// Async-signal-safe. A lock of your own sees it only between its waits.
    pub fn interrupt(&self) {
        self.site.interrupt();
    }

    /// From now on dropping the handle removes nothing.
    pub fn persist(&self) {
        self.set_owner(false);
    }

    fn set_owner(&self, is_owner: bool) {
        self.owner
            .store(if is_owner { fork::epoch() } else { 0 }, Ordering::Relaxed);
    }

    fn force_ownership(&mut self) {
        self.lock.force_ownership();
    }

    /// The one place where offsets and lengths are judged.
    #[inline]
    fn check_range(&self, offset: usize, length: usize) -> CortexResult<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.slots.size => Ok(()),
            _ => Err(self.out_of_range(offset, length)),
        }
    }

    #[cold]
    fn out_of_range(&self, offset: usize, length: usize) -> CortexError {
        let size = self.slots.size;
        let detail = format!("{length} bytes at offset {offset} do not fit into {size} bytes");
        CortexError::invalid(self.key(), detail)
    }

    #[cold]
    fn poisoned(&self) -> CortexError {
        CortexError::Poisoned { key: self.key() }
    }

    // Reading.

    /// Copies the bytes from `offset` on into `buffer`: all from one commit.
    ///
    /// # Errors
    /// `InvalidArgument` where the range leaves the segment; `Timeout`, `Interrupted`, `Poisoned`,
    /// and whatever the lock fails with. The buffer's contents are then unspecified.
    #[inline]
    pub fn read_at(&self, offset: usize, buffer: &mut [u8]) -> CortexResult<()> {
        self.check_range(offset, buffer.len())?;
        // SAFETY: the range was checked, and the buffer is exclusively ours.
        unsafe { self.load(offset, buffer.as_mut_ptr(), buffer.len(), Limit::Handle) }
    }

    /// [`Segment::read_at`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Segment::read_at`].
    pub fn try_read_at(&self, offset: usize, buffer: &mut [u8]) -> CortexResult<()> {
        self.check_range(offset, buffer.len())?;
        // SAFETY: as in `read_at`.
        unsafe { self.load(offset, buffer.as_mut_ptr(), buffer.len(), Limit::Never) }
    }

    /// # Safety
    /// The range is within the segment, and `buffer` is valid for `length` bytes.
    #[inline]
    pub(crate) unsafe fn load(
        &self,
        offset: usize,
        buffer: *mut u8,
        length: usize,
        limit: Limit,
    ) -> CortexResult<()> {
        // SAFETY: any slot is valid for the checked range; the copy is racy by design.
        let copy = |slot: *mut u8| unsafe { copy::load(slot.add(offset), buffer, length) };
        self.read_with(limit, copy)
    }

    /// Reads by `copy`, which is given the slot of the last commit, as often as it takes: its last
    /// result is from one commit.
    #[inline]
    pub(crate) fn read_with<R>(
        &self,
        limit: Limit,
        copy: impl Fn(*mut u8) -> R,
    ) -> CortexResult<R> {
        if self.lock.is_optimistic() {
            match self
                .slots
                .ledger()
                .snapshot(|commit| copy(self.slots.of(commit)))
            {
                Some(result) => Ok(result),
                None => self.read_overtaken(limit, copy),
            }
        } else {
            self.take_read(limit)?;
            self.read_locked(copy)
        }
    }

    /// Reads and releases.
    fn read_locked<R>(&self, copy: impl Fn(*mut u8) -> R) -> CortexResult<R> {
        let ledger = self.slots.ledger();
        let is_poisoned = self.slots.count == 1 && ledger.is_unfinished();
        let result = (!is_poisoned).then(|| copy(self.slots.of(ledger.committed())));
        self.lock.release(Access::Read)?;
        result.ok_or_else(|| self.poisoned())
    }

    /// A reader whom writers overtook: asks them to pause, tries the lock, and waits in between.
    #[cold]
    fn read_overtaken<R>(&self, limit: Limit, copy: impl Fn(*mut u8) -> R) -> CortexResult<R> {
        let wait = self.wait(limit);
        let interrupts = self.site.interrupts_seen();
        let want = &self.site.view.signal().want;
        let (key, operation) = (self.key(), "read");
        let mut pause = Duration::from_micros(10);
        for attempt in 0_u32.. {
            if let Some(result) = self
                .slots
                .ledger()
                .snapshot(|commit| copy(self.slots.of(commit)))
            {
                return Ok(result);
            }
            if attempt < ATTEMPTS {
                crate::primitive::spin();
                continue;
            }
            want.store(1, Ordering::Relaxed);
            match self.lock.read_lock(Wait::Never) {
                Ok(()) => return self.read_locked(copy),
                Err(CortexError::Timeout { .. }) => {}
                Err(error) => return Err(error),
            }
            // With two slots and more the publisher's pause comes soon after the request, so that
            // even a read that must not wait gets through. In place there is nothing to read until the
            // writer is done.
            if self.slots.count > 1 && attempt < ENOUGH_ATTEMPTS {
                continue;
            }
            if self.site.was_interrupted(interrupts) {
                return Err(CortexError::Interrupted { key, operation });
            }
            let left = wait.left();
            if left == Some(Duration::ZERO) {
                break;
            }
            address::sleep(left.map_or(pause, |left| pause.min(left)));
            pause = (pause * 2).min(Duration::from_millis(1));
        }
        Err(CortexError::Timeout { key, operation })
    }

    // Writing.

    /// Replaces the bytes from `offset` on by `data`, in one commit. Costs what it changes.
    ///
    /// # Errors
    /// `InvalidArgument` where the range leaves the segment; `Timeout`, `Interrupted`, `Busy`,
    /// `Poisoned`, `Removed`, and whatever the lock fails with.
    #[inline]
    pub fn write_at(&self, offset: usize, data: &[u8]) -> CortexResult<()> {
        self.check_range(offset, data.len())?;
        // SAFETY: the range was checked.
        unsafe { self.store(offset, data.as_ptr(), data.len(), Limit::Handle) }
    }

    /// [`Segment::write_at`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Segment::write_at`].
    pub fn try_write_at(&self, offset: usize, data: &[u8]) -> CortexResult<()> {
        self.check_range(offset, data.len())?;
        // SAFETY: the range was checked.
        unsafe { self.store(offset, data.as_ptr(), data.len(), Limit::Never) }
    }

    /// # Safety
    /// The range is within the segment, and `data` is valid for `length` bytes.
    #[inline]
    pub(crate) unsafe fn store(
        &self,
        offset: usize,
        data: *const u8,
        length: usize,
        limit: Limit,
    ) -> CortexResult<()> {
        if length == 0 {
            return Ok(());
        }
        // SAFETY: the slot is valid for the checked range, and ours to write between begin and
        // commit; optimistic readers copy racily.
        let copy = |slot: *mut u8| unsafe { copy::store(data, slot.add(offset), length) };
        let is_whole = length == self.slots.size;
        let changed = if is_whole {
            Lines::WHOLE
        } else {
            Lines::covering(offset, length)
        };
        self.write_with(limit, is_whole, changed, copy)
    }

    /// Writes by `copy`, which is given the slot: all of it, if `is_whole`.
    #[inline]
    pub(crate) fn write_with(
        &self,
        limit: Limit,
        is_whole: bool,
        changed: Lines,
        copy: impl FnOnce(*mut u8),
    ) -> CortexResult<()> {
        self.take_write(limit)?;
        let begun = self.begin_write(is_whole)?;
        copy(self.slots.of(begun.commit));
        self.slots.ledger().commit(begun, changed);
        self.release_write()?;
        self.wake_waiters();
        Ok(())
    }

    /// Begins a commit under the write lock, and brings its slot up to date unless all of it will be
    /// written. On an error the lock is released.
    #[inline]
    fn begin_write(&self, is_whole: bool) -> CortexResult<Begun> {
        let ledger = self.slots.ledger();
        if !is_whole && self.slots.count == 1 && ledger.is_unfinished() {
            self.lock.release(Access::Write)?;
            return Err(self.poisoned());
        }
        let begun = ledger.begin();
        if !is_whole && self.slots.count > 1 {
            self.catch_up(begun);
        }
        Ok(begun)
    }

    /// Copies what the slot of this commit has missed from the slot of the last.
    fn catch_up(&self, begun: Begun) {
        let ledger = self.slots.ledger();
        let range = ledger.missed(begun).bytes(self.slots.size);
        let from = self.slots.of(begun.commit.wrapping_sub(1));
        let to = self.slots.of(begun.commit);
        // SAFETY: two different slots (the layout has at least two), each valid for `size` bytes,
        // of which the range is a part (Lines::bytes).
        unsafe { copy::transfer(from.add(range.start), to.add(range.start), range.len()) };
    }

    #[inline]
    fn release_write(&self) -> CortexResult<()> {
        self.lock.release(Access::Write)?;
        if !L::RELEASE_IS_FENCE {
            fence(Ordering::SeqCst);
        }
        Ok(())
    }

    /// Wakes those who wait for a commit. The caller has passed a SeqCst fence since it.
    #[inline]
    fn wake_waiters(&self) {
        let line = self.site.view.signal();
        if signal::is_awaited(line) {
            self.wake_waiters_slow();
        }
    }

    #[cold]
    fn wake_waiters_slow(&self) {
        let line = self.site.view.signal();
        if signal::announce(line) {
            address::wake_all(&line.signal);
        }
    }

    /// Takes the lock for reading; who this process then is.
    #[inline]
    fn take_read(&self, limit: Limit) -> CortexResult<Id> {
        match self.site.claimed() {
            Some(me) if self.lock.try_read_fast(me.0) => Ok(me),
            _ => self.take_slow(limit, Access::Read),
        }
    }

    /// Takes the lock for writing; who this process then is.
    #[inline]
    fn take_write(&self, limit: Limit) -> CortexResult<Id> {
        match self.site.claimed() {
            Some(me) if self.lock.try_write_fast(me.0) => Ok(me),
            _ => self.take_slow(limit, Access::Write),
        }
    }

    #[cold]
    fn take_slow(&self, limit: Limit, access: Access) -> CortexResult<Id> {
        // A forked child claims its own slot here, before a lock of the caller's asks for it.
        let me = self.site.me()?;
        match access {
            Access::Read => self.lock.read_lock(self.wait(limit))?,
            Access::Write => self.lock.write_lock(self.wait(limit))?,
        }
        Ok(me)
    }

    /// The wait that begins now: the only look at the clock, and only by those who have to wait.
    fn wait(&self, limit: Limit) -> Wait {
        match limit {
            Limit::Never => Wait::Never,
            Limit::Handle => Wait::lasting(self.timeout()),
        }
    }

    /// Replaces the whole value by what `change` makes of the current one, under the write lock. If
    /// `change` fails or panics, nothing has happened, in any layout.
    pub(crate) fn update_with<T: NoUninit, R>(
        &self,
        change: impl FnOnce(*const u8) -> CortexResult<(T, R)>,
    ) -> CortexResult<R> {
        /// Releases what was taken, on a panic too.
        struct Release<'a, L: CortexSync>(&'a Segment<L>, Id);
        impl<L: CortexSync> Drop for Release<'_, L> {
            fn drop(&mut self) {
                // A child forked within `change` holds nothing.
                if self.0.site.claimed() != Some(self.1) {
                    return;
                }
                if let Err(error) = self.0.release_write() {
                    tracing::error!(key = self.0.key(), %error, "ending an update");
                }
            }
        }
        let me = self.take_write(Limit::Handle)?;
        let release = Release(self, me);
        let ledger = self.slots.ledger();
        if self.slots.count == 1 && ledger.is_unfinished() {
            return Err(self.poisoned());
        }
        let (value, result) = change(self.slots.of(ledger.committed()))?;
        if self.site.claimed() != Some(me) {
            let detail = "the update began before the fork and belongs to the parent";
            return Err(CortexError::Busy {
                key: self.key(),
                detail,
            });
        }
        // Nothing was begun until here, so that a failed `change` leaves no unfinished commit.
        let begun = ledger.begin();
        let bytes = bytemuck::bytes_of(&value);
        // SAFETY: the slot is valid for `size` bytes and ours between begin and commit.
        unsafe {
            let slot = self.slots.of(begun.commit);
            copy::store(bytes.as_ptr(), slot, bytes.len().min(self.slots.size));
        }
        ledger.commit(begun, Lines::WHOLE);
        drop(release);
        self.wake_waiters();
        Ok(result)
    }

    /// Declares an unfinished write in place finished, with whatever bytes are there. Nothing to do
    /// in the other layouts.
    ///
    /// # Errors
    /// Those of taking the lock for writing.
    pub fn clear_poison(&self) -> CortexResult<()> {
        self.take_write(Limit::Handle)?;
        if self.slots.count == 1 && self.slots.ledger().is_unfinished() {
            self.slots.ledger().heal();
        }
        self.release_write()?;
        self.wake_waiters();
        Ok(())
    }

    /// Drops the handle and says what went wrong, which a plain drop can only log.
    ///
    /// # Errors
    /// `CleanSystem` where the participant slot could not be released; `DirtySystem` with what is
    /// left in the kernel.
    pub fn close(self) -> CortexResult<()> {
        let mut segment = ManuallyDrop::new(self);
        let result = segment.shut();
        // SAFETY: `shut` has dropped the lock; the site is the one field left with something to
        // drop, and nothing uses the segment after this.
        unsafe { std::ptr::drop_in_place(&mut segment.site) };
        result
    }

    /// Everything that a drop does, except dropping the site. Called once.
    fn shut(&mut self) -> CortexResult<()> {
        let is_owner = self.is_owner();
        if !is_owner {
            self.lock.disown();
        }
        // SAFETY: called once (by `close`, which forgets the rest, or by `drop`), and the lock is
        // not used after it.
        unsafe { ManuallyDrop::drop(&mut self.lock) };
        let mut removal = Ok(());
        if is_owner {
            let mapping = &self.site.view.mapping;
            open::mark_removed(mapping);
            if let Err(failure) = shm::remove(mapping.id()) {
                if !open::is_gone(failure.errno()) {
                    use crate::error::Attempt;
                    removal = Err(failure)
                        .attempt("remove", self.key())
                        .map_err(|error| error.leaving(Leftover::Segment(mapping.id())));
                }
            }
        }
        removal.and(self.site.leave())
    }
}

impl<L: CortexSync> Drop for Segment<L> {
    fn drop(&mut self) {
        let key = self.key();
        if let Err(error) = self.shut() {
            tracing::error!(key, %error, "closing a cortex");
        }
    }
}
