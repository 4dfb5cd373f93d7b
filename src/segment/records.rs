//! Records: values of any length up to the segment's size, each written whole and read with its length.
//!
//! A slot of a cortex of records begins with the length of its record, and the bytes follow. A push is a whole write,
//! so it brings nothing up to date; bytes of an older record that remain behind a shorter one are never read. All else
//! is as for values: one commit is one record, and is read by the same look at the counters.
//!
//! **A length in shared memory is not trusted.** A copy reads it once, and copies no more bytes than the slot and the
//! destination have, whatever it says: it may be torn, or a hostile peer's. A length that is longer than a slot in a
//! copy that counts is `Corrupt`.
//!
//! **A destination that is too short** is found out after the copy, which never allocates: it may be made again and
//! again. Room for the whole record is then made, where there is memory for it, and the record is read again. So a
//! peer that changes lengths all the time makes a reader allocate no more than the segment itself has.

use super::contents::{HOLDS_A_VALUE, HOLDS_RECORDS};
use super::follow::SegmentFollower;
use super::followed::Followed;
use super::handle::Segment;
use super::observer::SegmentObserver;
use crate::attachment::patience::{Limit, Wait};
use crate::attachment::slots::Slots;
use crate::copy;
use crate::error::{Attempt, Cause, CortexError, CortexResult, Told};
use crate::locks::CortexSync;
use crate::protocol::commit::LineRange;
use crate::protocol::format::RECORD_HEAD;
use crate::sys::memory;
use std::time::Duration;

/// Writes a record to a slot.
///
/// # Safety
/// The slot is one of a cortex of records, in which the record has room, and it is the caller's to write.
pub(super) unsafe fn store(record: &[u8], slot: *mut u8) {
    // SAFETY: a slot begins with the length, aligned like the slot, and the caller vouches for the bytes.
    unsafe {
        copy::store_value(&(record.len() as u64), slot);
        copy::store(record.as_ptr(), slot.add(RECORD_HEAD), record.len());
    }
}

/// The slots of a cortex of records.
#[derive(Clone, Copy)]
struct Records {
    slots: Slots,
    /// The bytes of the longest record.
    longest: usize,
}

impl Records {
    /// Returns these slots as those of records of up to `size` bytes.
    ///
    /// # Errors
    /// `Unsupported` where they hold a value.
    fn new(slots: Slots, size: usize) -> Result<Self, Cause> {
        match slots.has_records() {
            true => Ok(Self {
                slots,
                longest: size,
            }),
            false => Err(HOLDS_A_VALUE),
        }
    }

    /// Copies the record in a slot racily, as far as it has bytes and there is room. Returns the length that the slot
    /// says, which means nothing until the copy is validated.
    ///
    /// # Safety
    /// The slot is one of these, and `place` is valid for writing `room` bytes.
    unsafe fn load(&self, slot: *mut u8, place: *mut u8, room: usize) -> u64 {
        // SAFETY: a slot begins with the length, and every content of it is a number.
        let length = unsafe { copy::load_value::<u64>(slot).assume_init() };
        let most = room.min(self.longest);
        let copied = usize::try_from(length).unwrap_or(most).min(most);
        // SAFETY: a slot has `longest` bytes after the length, and the caller vouches for the place.
        unsafe { copy::load(slot.add(RECORD_HEAD), place, copied) };
        length
    }

    /// Returns a length that was read from a slot, if a record can have it.
    ///
    /// # Errors
    /// `Corrupt`.
    fn checked(&self, length: u64) -> Result<usize, Cause> {
        let longest = self.longest;
        match usize::try_from(length) {
            Ok(length) if length <= longest => Ok(length),
            _ => Err(Cause::corrupt(format!(
                "a record of it says that it has {length} bytes, and none has more than {longest}"
            ))),
        }
    }
}

/// Makes the bytes that were copied to a vector its contents, where the whole record had room; else makes room for it.
/// Returns whether it had room.
///
/// # Safety
/// As much of the record as the empty vector had room for was copied there.
unsafe fn take_copied(record: &mut Vec<u8>, length: usize) -> Result<bool, Cause> {
    if length > record.capacity() {
        return match record.try_reserve(length) {
            Ok(()) => Ok(false),
            Err(_) => Err(memory::none()).attempt("read a record of"),
        };
    }
    // SAFETY: so many bytes were copied.
    unsafe { record.set_len(length) };
    Ok(true)
}

/// Reads into a vector. `read` is given a place with its room, and returns the length of the record and what else it
/// read.
fn read_into<R>(
    record: &mut Vec<u8>,
    mut read: impl FnMut(*mut u8, usize) -> Result<(usize, R), Cause>,
) -> Result<R, Cause> {
    loop {
        record.clear();
        let (length, result) = read(record.as_mut_ptr(), record.capacity())?;
        // SAFETY: `read` copied the record there.
        if unsafe { take_copied(record, length) }? {
            return Ok(result);
        }
    }
}

impl<L: CortexSync> Segment<L> {
    /// Returns whether it holds records ([`SegmentOptions::records`](crate::SegmentOptions::records)), and no value.
    pub fn has_records(&self) -> bool {
        self.slots.has_records()
    }

    /// Refuses a cortex of records.
    #[cold]
    pub(super) fn check_holds_value(&self) -> CortexResult<()> {
        match self.has_records() {
            true => Err(HOLDS_RECORDS.on(self.key())),
            false => Ok(()),
        }
    }

    /// Makes a record the current one, for all processes at once. It may have any length up to the segment's size, 0
    /// too. A process that dies in this call leaves the previous record, and followers see nothing of this one.
    ///
    /// ```
    /// use neocortex::{Segment, SegmentOptions};
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// # let key = Segment::<neocortex::SeqLock>::create_random(8)?.key();
    /// let log: Segment = SegmentOptions::new().records().slots(1_000).create(key, 4096)?;
    /// log.push(b"started")?;
    /// log.push(br#"{"temperature": 21.5}"#)?;
    ///
    /// let mut record = Vec::new();
    /// log.read_record(&mut record)?;
    /// assert_eq!(record, br#"{"temperature": 21.5}"#);
    ///
    /// let mut follower = log.follow(0);
    /// let first = follower.next_record(&mut record, None)?;
    /// assert_eq!((&record[..], first.version, first.missed), (&b"started"[..], 1, 0));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` where it is longer than the segment; `Unsupported` where the segment holds a value;
    /// `Timeout`, `Interrupted`, `Busy`, `Removed`, and any error of the lock.
    #[inline]
    pub fn push(&self, record: &[u8]) -> CortexResult<()> {
        self.push_within(record, Limit::Handle)
    }

    /// [`Segment::push`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Segment::push`].
    pub fn try_push(&self, record: &[u8]) -> CortexResult<()> {
        self.push_within(record, Limit::Never)
    }

    /// [`Segment::push`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Segment::push`].
    pub fn push_for(&self, timeout: Duration, record: &[u8]) -> CortexResult<()> {
        self.push_within(record, Limit::lasting(Some(timeout)))
    }

    #[inline]
    pub(crate) fn push_within(&self, record: &[u8], limit: Limit) -> CortexResult<()> {
        if !self.has_records() || record.len() > self.size() {
            return Err(self.refuse(record.len()));
        }
        // SAFETY: it has room in a slot, which is ours to write between begin and commit.
        let copy = |slot: *mut u8| unsafe { store(record, slot) };
        self.write_with(limit, true, LineRange::WHOLE, copy)
    }

    /// Returns the error for a record that this cortex cannot take.
    #[cold]
    fn refuse(&self, length: usize) -> CortexError {
        let longest = self.size();
        let cause = match self.has_records() {
            false => HOLDS_A_VALUE,
            true => Cause::invalid(format!(
                "a record of {length} bytes is longer than the {longest} bytes that there are"
            )),
        };
        cause.on(self.key())
    }

    /// Replaces the contents of `record` by the newest record, and returns its version. Before the first push it is
    /// empty, or what the cortex was created with.
    ///
    /// # Errors
    /// `Unsupported` where the segment holds a value; `Corrupt` where a peer has spoilt the length of the record;
    /// `CleanSystem` (`ENOMEM`) where there is no memory for it; `Timeout`, `Interrupted`, and any error of the lock.
    /// `record` is then empty.
    pub fn read_record(&self, record: &mut Vec<u8>) -> CortexResult<u64> {
        read_into(record, |place, room| {
            // SAFETY: as much room as the vector has.
            Ok(unsafe { self.load_record(place, room, Limit::Handle) }?)
        })
        .on(self.key())
    }

    /// Copies as much of the newest record as there is room for. Returns its length and its version.
    ///
    /// # Safety
    /// `place` is valid for writing `room` bytes.
    pub(crate) unsafe fn load_record(
        &self,
        place: *mut u8,
        room: usize,
        limit: Limit,
    ) -> CortexResult<(usize, u64)> {
        let records = Records::new(self.slots, self.size()).on(self.key())?;
        let copy = move |commit, slot| {
            // SAFETY: a slot of this segment, and the caller vouches for the place.
            (unsafe { records.load(slot, place, room) }, commit)
        };
        let (length, version) = self.read_with(limit, copy)?;
        Ok((records.checked(length).on(self.key())?, version))
    }
}

impl SegmentObserver {
    /// Returns whether it holds records ([`SegmentOptions::records`](crate::SegmentOptions::records)), and no value.
    pub fn has_records(&self) -> bool {
        self.mapped.slots.has_records()
    }

    /// Replaces the contents of `record` by the newest record, and returns its version: see
    /// [`Segment::read_record`].
    ///
    /// # Errors
    /// As [`Segment::read_record`].
    pub fn read_record(&self, record: &mut Vec<u8>) -> CortexResult<u64> {
        read_into(record, |place, room| {
            // SAFETY: as much room as the vector has.
            Ok(unsafe { self.load_record(place, room) }?)
        })
        .on(self.key())
    }

    /// Copies as much of the newest record as there is room for. Returns its length and its version.
    ///
    /// # Safety
    /// `place` is valid for writing `room` bytes.
    pub(crate) unsafe fn load_record(
        &self,
        place: *mut u8,
        room: usize,
    ) -> CortexResult<(usize, u64)> {
        let slots = self.mapped.slots;
        let records = Records::new(slots, self.size()).on(self.key())?;
        let copy = |commit| {
            // SAFETY: a slot of this segment, and the caller vouches for the place.
            let length = unsafe { records.load(slots.of(commit), place, room) };
            (length, commit)
        };
        let ledger = slots.ledger();
        let attempt = || ledger.snapshot(copy);
        let (length, version) = self
            .poll("read", self.timeout(), attempt, || None)
            .on(self.key())?;
        Ok((records.checked(length).on(self.key())?, version))
    }
}

impl SegmentFollower<'_> {
    /// Waits for the next commit, and replaces the contents of `record` by its record.
    ///
    /// # Errors
    /// As [`SegmentFollower::next`]. `Unsupported` where the segment holds a value. `Corrupt` where a peer has spoilt
    /// the length of the record: it is passed over, and counts as missed. `CleanSystem` (`ENOMEM`) where there is no
    /// memory for it: the next call tries again. `record` is then empty.
    pub fn next_record(
        &mut self,
        record: &mut Vec<u8>,
        timeout: Option<Duration>,
    ) -> CortexResult<Followed<()>> {
        self.record_into(record, |follower, place, room| {
            // SAFETY: as much room as the vector has.
            unsafe { follower.load_next_record(timeout, place, room) }.map(Some)
        })
        .map(|found| found.expect("it waits until there is one"))
    }

    /// [`SegmentFollower::next_record`] that does not wait: `None` where there is no new commit.
    ///
    /// # Errors
    /// As [`SegmentFollower::next_record`]. `Timeout` where writers overtook many copies.
    pub fn try_next_record(&mut self, record: &mut Vec<u8>) -> CortexResult<Option<Followed<()>>> {
        self.record_into(record, |follower, place, room| {
            // SAFETY: the place has as much room as the vector has.
            let copy = unsafe { follower.record_copier(place, room) }?;
            let before = follower.position();
            match follower.next_now(Wait::Never, 1, copy)? {
                Some(commits) => follower.with_length(before, commits.only()).map(Some),
                None => Ok(None),
            }
        })
    }

    /// Reads into a vector. `next` is given a place with its room.
    fn record_into(
        &mut self,
        record: &mut Vec<u8>,
        mut next: impl FnMut(&mut Self, *mut u8, usize) -> CortexResult<Option<Followed<usize>>>,
    ) -> CortexResult<Option<Followed<()>>> {
        let before = self.position();
        loop {
            record.clear();
            let Some(found) = next(self, record.as_mut_ptr(), record.capacity())? else {
                return Ok(None);
            };
            // SAFETY: `next` copied the record there.
            let taken = unsafe { take_copied(record, found.value) };
            if let Ok(true) = taken {
                self.acknowledge();
                return Ok(Some(found.with(())));
            }
            // It is read again, if it is still kept.
            self.go_to(before, found.version.wrapping_sub(1));
            taken.on(self.key())?;
        }
    }

    /// Waits for the next commit, and copies as much of its record as there is room for. The value that it returns is
    /// the length of the record. A caller for which that is too long moves the position back.
    ///
    /// # Safety
    /// `place` is valid for writing `room` bytes.
    pub(crate) unsafe fn load_next_record(
        &mut self,
        timeout: Option<Duration>,
        place: *mut u8,
        room: usize,
    ) -> CortexResult<Followed<usize>> {
        // SAFETY: the caller vouches for the place.
        let copy = unsafe { self.record_copier(place, room) }?;
        let before = self.position();
        let found = self.next_within(timeout, 1, copy)?.only();
        self.with_length(before, found)
    }

    fn records(&self) -> CortexResult<Records> {
        Records::new(self.slots, self.size()).on(self.key())
    }

    /// Returns a function that copies as much of the record of a commit as there is room for.
    ///
    /// # Safety
    /// `place` is valid for writing `room` bytes for as long as the function is called.
    unsafe fn record_copier(
        &self,
        place: *mut u8,
        room: usize,
    ) -> CortexResult<impl Fn(u64, u64) -> u64 + Copy> {
        let records = self.records()?;
        // SAFETY: a slot of this segment; for the rest the caller has vouched.
        Ok(move |first, _| unsafe { records.load(records.slots.of(first), place, room) })
    }

    /// Returns a commit with the length of its record, or passes over it.
    fn with_length(&mut self, before: u64, found: Followed<u64>) -> CortexResult<Followed<usize>> {
        match self.records()?.checked(found.value) {
            Ok(length) => Ok(found.with(length)),
            Err(cause) => {
                self.go_to(before, found.version);
                Err(cause.on(self.key()))
            }
        }
    }
}
