//! The handle of a segment: its parts, the questions that it answers, and how long its waits may last.
//!
//! **Invariant.** A range is checked in [`Segment::check_range`] before any pointer is made of it.

use super::contents::out_of_range;
use super::options::SegmentOptions;
use crate::attachment::companion::Companion;
use crate::attachment::patience::Timeout;
use crate::attachment::slots::Slots;
use crate::attachment::Attachment;
use crate::error::names::noted;
use crate::error::{CortexError, CortexResult, Told};
use crate::locks::{CortexSync, SeqLock};
use crate::protocol::interrupts::STOPPED;
use crate::protocol::of_process::AtomicOfProcess;
use crate::protocol::participants::Id;
use crate::sys::shm::Mapped;
use std::mem::ManuallyDrop;
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
pub struct Segment<L: CortexSync = SeqLock> {
    /// A copy of the attachment's slots, so that the fast paths follow no pointer to find them.
    pub(super) slots: Slots,
    // Dropped by hand: before the attachment lets go of its slot.
    pub(super) lock: ManuallyDrop<L>,
    pub(crate) attachment: Arc<Attachment>,
    timeout: Timeout,
    /// What its futures have of their own.
    pub(crate) companion: Companion,
    /// 1 in the process that took ownership through this handle last.
    pub(super) owner: AtomicOfProcess,
    /// Whether the lock has been told that this handle is, or was, the owner.
    pub(super) is_lock_told: bool,
    pub(super) was_created: bool,
}

impl<L: CortexSync> Segment<L> {
    /// Returns a handle that is not the owner and did not make the segment; the caller sets both where it is otherwise.
    pub(super) fn new(attachment: Arc<Attachment>, lock: L, options: &SegmentOptions) -> Self {
        if options.dump {
            attachment.mapped.mapping.include_in_dumps();
        }
        attachment
            .interrupts
            .let_signals_end_waits(options.interruptible);
        Self {
            slots: attachment.mapped.slots,
            lock: ManuallyDrop::new(lock),
            attachment,
            timeout: Timeout::new(options.timeout),
            companion: Companion::new(),
            owner: AtomicOfProcess::default(),
            is_lock_told: false,
            was_created: false,
        }
    }

    /// Returns the key that the segment was created under.
    pub fn key(&self) -> i32 {
        self.attachment.key()
    }

    /// Returns the name that the segment was created under; it is empty where the segment was created by number.
    pub fn name(&self) -> &str {
        &self.attachment.mapped.layout.shape.name
    }

    /// Returns the size of the payload in bytes; of a cortex of records, that of the longest record.
    pub fn size(&self) -> usize {
        self.attachment.mapped.layout.shape.size
    }

    /// Returns how many writes were committed since the segment was created. The count wraps after 2⁶⁴.
    #[inline]
    pub fn version(&self) -> u64 {
        self.slots.ledger().committed()
    }

    /// Returns the schema that the segment was created with; 0 is none.
    pub fn schema(&self) -> u64 {
        self.attachment.mapped.layout.shape.schema
    }

    /// Returns the name of the segment's lock.
    pub fn lock_name(&self) -> &str {
        &self.attachment.mapped.layout.shape.lock_name
    }

    /// Returns the lock itself, for what its own type can tell. Taking and releasing it are `unsafe`.
    pub fn lock(&self) -> &L {
        &self.lock
    }

    /// Returns whether this handle made the segment rather than finding it.
    pub fn was_created(&self) -> bool {
        self.was_created
    }

    /// Returns whether the segment was removed. Processes that are attached go on sharing it, and no other process can
    /// attach. The kernel is asked, so that a removal by `ipcrm(1)` is noticed too.
    pub fn is_removed(&self) -> bool {
        self.attachment.mapped.is_removed() || self.attachment.is_lost()
    }

    /// Returns whether writers edit the one payload slot in place.
    pub fn is_in_place(&self) -> bool {
        self.slots.count == 1
    }

    /// Returns whether a write in place was left unfinished. It is a snapshot: a writer at work looks the same.
    pub fn is_poisoned(&self) -> bool {
        self.slots.count == 1 && self.slots.ledger().is_unfinished()
    }

    /// Returns how many participants are attached now, and how many can be.
    ///
    /// # Errors
    /// `Removed`, `CleanSystem`.
    pub fn participants(&self) -> CortexResult<(u32, u32)> {
        Ok((
            self.attachment.alive().on(self.key())?,
            self.attachment.mapped.layout.shape.participants,
        ))
    }

    /// Returns the id of this handle's participant in the segment: never 0, and another one in a forked child and for
    /// each handle. An id is used again only after 2^18 participants have had its slot.
    ///
    /// A program writes it into the value, and others ask [`Segment::is_alive`] whether the process that did so is still
    /// there: a leader, the worker that took a job.
    ///
    /// ```
    /// use neocortex::{Cortex, CortexBuilder};
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// let leader = CortexBuilder::new(0_u32).random_key().create()?;
    /// leader.write(leader.participant()?)?;
    ///
    /// // Elsewhere:
    /// let other: Cortex<u32> = Cortex::attach(leader.key())?;
    /// let who = other.read()?;
    /// assert!(other.is_alive(who)?);
    /// drop(leader);
    /// assert!(!other.is_alive(who)?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// In a forked child's first use: `Full`, `Removed`, `CleanSystem`.
    pub fn participant(&self) -> CortexResult<u32> {
        Ok(self.attachment.me().on(self.key())?.0)
    }

    /// Returns whether the participant with this id lives: whether its handle is open in a process that runs, or is
    /// stopped. What was never an id is dead. It costs one system call.
    ///
    /// # Errors
    /// `Removed`, `CleanSystem`: it cannot be known. A program that takes a process's place must not take that for a
    /// death.
    pub fn is_alive(&self, participant: u32) -> CortexResult<bool> {
        self.attachment.is_alive(Id(participant)).on(self.key())
    }

    /// Sets how long any wait through this handle may last; `None` is for ever, and zero is no wait at all.
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        self.timeout.set(timeout);
    }

    /// Returns the time-out in force.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout.get()
    }

    /// Ends every wait of this process through this handle, or the next one, with `Interrupted`.
    /// Async-signal-safe. A lock of your own sees it only between its waits.
    pub fn interrupt(&self) {
        self.attachment.interrupt();
    }

    /// Ends every wait of this process through this handle with `Interrupted`: those that have begun, and those that
    /// begin later, until [`Segment::resume_waits`]. This stops any number of threads for certain, whereas
    /// [`Segment::interrupt`] may come just before one of them begins to wait. Async-signal-safe. A lock of your own
    /// sees it only between its waits.
    ///
    /// Calls that need not wait go on as before.
    pub fn stop_waits(&self) {
        self.attachment.stop_waits(STOPPED);
    }

    /// Lets calls through this handle wait again. Async-signal-safe.
    pub fn resume_waits(&self) {
        self.attachment.interrupts.resume(STOPPED);
    }

    /// Refuses a range that is not within the segment. This is the one place where offsets and lengths are checked.
    #[inline]
    pub(super) fn check_range(&self, offset: usize, length: usize) -> CortexResult<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.slots.size => Ok(()),
            _ => Err(self.out_of_range(offset, length)),
        }
    }

    #[cold]
    fn out_of_range(&self, offset: usize, length: usize) -> CortexError {
        out_of_range(&self.slots, offset, length).on(self.key())
    }

    #[cold]
    pub(super) fn poisoned(&self) -> CortexError {
        CortexError::Poisoned { key: self.key() }
    }
}

#[cold]
pub(super) fn log_dropped_error(key: i32, error: &CortexError, what: &str) {
    tracing::error!(key, name = noted(key), %error, "{what}");
}
