//! Bytes that several processes share: reading, writing, partial writes, removal.
//!
//! **Invariants.** A range is checked in [`Segment::check_range`] before any pointer is made of it.
//! Whatever takes the lock's write access goes through [`Segment::begin_write`] and the commit
//! protocol, whatever the lock, because optimistic readers and observers depend on the counters.
//! Waiters are woken after the lock is released and a SeqCst fence.

#[cfg(feature = "capi")]
mod at_once;
pub(crate) mod find;
mod guard;
mod kind;
pub(crate) mod open;
mod options;
mod read;
pub(crate) mod removal;
mod wait;
mod write;

pub(crate) use guard::Payload;
pub use guard::{ReadGuard, WriteGuard};
#[cfg(feature = "capi")]
pub(crate) use kind::check_size;
pub(crate) use kind::{Kind, Typed};
pub use options::SegmentOptions;

use crate::commit::{CommitLine, Ledger, RangeLine};
use crate::error::{both, CortexError, CortexResult};
use crate::format;
use crate::participants::Id;
use crate::primitive::Ordering;
use crate::signal::SignalLine;
use crate::site::{remove_segment, Site, Wait};
use crate::sync::{Access, CortexSync, SeqLock};
use crate::sys::fork;
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
#[derive(Debug, Clone, Copy)]
struct Slots {
    /// The mapping's base, from which the lines stand at fixed distances: one register for all three.
    head: NonNull<u8>,
    /// Where slots 0 and 1 begin; in place, there is the one.
    first_two: [NonNull<u8>; 2],
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
        // SAFETY: two lines of atomics, at offsets within any mapping that has a layout.
        let (line, ranges) = unsafe {
            (
                self.line::<CommitLine>(format::COMMIT_OFFSET),
                self.line::<RangeLine>(format::RANGES_OFFSET),
            )
        };
        Ledger {
            line,
            ranges,
            slots: self.count,
        }
    }

    #[inline]
    fn signal(&self) -> &SignalLine {
        // SAFETY: as in `ledger`.
        unsafe { self.line(format::SIGNAL_OFFSET) }
    }

    /// # Safety
    /// The offset is that of a `T` before the lock area, and `T` consists of atomics.
    #[inline]
    unsafe fn line<T>(&self, offset: usize) -> &T {
        // SAFETY: the caller's promise; the segment keeps the mapping alive.
        unsafe { self.head.add(offset).cast::<T>().as_ref() }
    }

    /// The first byte of a slot.
    #[inline]
    fn at(&self, slot: usize) -> *mut u8 {
        debug_assert!(slot < self.count as usize);
        // SAFETY: `slot` is below `count`, so the slot is in the mapping.
        unsafe { self.first_two[0].as_ptr().add(slot * self.stride) }
    }

    /// The first byte of the slot that holds this commit, for a caller that has all of this in registers.
    #[inline]
    fn of(&self, commit: u64) -> *mut u8 {
        if self.count == 2 {
            // The default layout without a multiplication, which would stand in the way of every read.
            let offset = self.stride & (commit as usize & 1).wrapping_neg();
            // SAFETY: 0 or one stride, and there are two slots.
            return unsafe { self.first_two[0].as_ptr().add(offset) };
        }
        self.of_many(commit)
    }

    /// The same for a caller that has loaded `count` and nothing else: by one more load, and no arithmetic.
    #[inline]
    fn look_up(&self, count: u32, commit: u64) -> *mut u8 {
        if count > 2 {
            return self.of_many(commit);
        }
        self.first_two[commit as usize & 1].as_ptr()
    }

    #[cold]
    fn of_many(&self, commit: u64) -> *mut u8 {
        self.at(self.ledger().slot(commit))
    }
}

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
        let (count, stride) = (view.layout.shape.slots, view.layout.slot_stride);
        // SAFETY: the slots begin within the mapping (Layout), whose base is not null.
        let first = unsafe { view.mapping.base().add(view.layout.slots_offset) };
        let second = match count {
            1 => first,
            // SAFETY: there is one more slot.
            _ => unsafe { first.add(stride) },
        };
        let slots = Slots {
            head: view.mapping.base(),
            first_two: [first, second],
            stride,
            count,
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
        if self.is_owner() {
            self.set_owner(false);
        }
    }

    /// Says who removes the segment: this handle in this process, or nobody.
    fn set_owner(&self, is_owner: bool) {
        self.site.view.header().set_persistent(!is_owner);
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
        let site = unsafe { std::ptr::read(&segment.site) };
        // A lock of the caller's own may have kept its participants beyond its end.
        both(result, Arc::into_inner(site).map_or(Ok(()), Site::detach))
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
            // From another IPC namespace it cannot be removed: who comes to it next finds it said, and does it.
            removal::mark_removed(mapping);
            if self.site.ids_are_ours() {
                removal = remove_segment(mapping.id(), self.key());
            }
        }
        both(removal, self.site.leave())
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
