//! Fast paths for the C interface: no waiting, no system call, no error value.
//!
//! The C surface runs these before it sets up anything against panics, and none of them panics. Where one of them
//! returns `false` or `None`, nothing has happened, and the ordinary call does the work or says why it cannot.

use super::handle::Segment;
use super::write_guard::WriteGuard;
use crate::attachment::slots::{Lines, Slots};
use crate::copy;
use crate::locks::{CortexSync, Seal};
use crate::protocol::commit::{Begun, LineRange};

/// The size of the values that go through a register, as in typed reads and writes.
const WORD: usize = size_of::<u64>();

impl<L: CortexSync> Segment<L> {
    /// [`Segment::read_at`] of a word, with an optimistic lock, if the first attempt succeeds. Returns whether it did.
    ///
    /// # Safety
    /// `buffer` is valid for `length` bytes, unless the range is outside the segment.
    #[inline]
    pub(crate) unsafe fn load_word_at_once(
        &self,
        offset: usize,
        buffer: *mut u8,
        length: usize,
    ) -> bool {
        // A copy, which the compiler can keep in registers across the racy load.
        let slots = self.slots;
        if !slots.is_word(offset, length) || !self.lock.is_optimistic(Seal::HERE) {
            return false;
        }
        // SAFETY: eight bytes of a slot, aligned like the slot itself.
        let load = |commit| unsafe { copy::load_value::<u64>(slots.of(commit).add(offset)) };
        let word = slots.ledger().snapshot(load);
        if let Some(word) = word {
            // SAFETY: the caller vouches for eight bytes, and all of a word are initialised.
            unsafe { buffer.cast::<u64>().write_unaligned(word.assume_init()) };
        }
        word.is_some()
    }

    /// [`Segment::read_at`] in a layout of two slots or more, with an optimistic lock, if the first attempt succeeds.
    /// Returns whether it did; else the buffer's contents are unspecified.
    ///
    /// # Safety
    /// `buffer` is valid for `length` bytes, unless the range is outside the segment.
    #[inline]
    pub(crate) unsafe fn load_at_once(
        &self,
        offset: usize,
        buffer: *mut u8,
        length: usize,
    ) -> bool {
        let slots = self.slots;
        let is_known = slots.count > 1 && self.lock.is_optimistic(Seal::HERE);
        if !is_known || !slots.is_within(offset, length) {
            return false;
        }
        // SAFETY: within a slot, and the caller vouches for the buffer; the copy is racy by design.
        let load = |commit| unsafe { copy::load(slots.of(commit).add(offset), buffer, length) };
        slots.ledger().snapshot(load).is_some()
    }

    /// [`Segment::write_at`] with this lock, which is the segment's own, if the lock is free. Returns whether it did.
    ///
    /// # Safety
    /// `data` is valid for `length` bytes, unless the range is outside the segment.
    #[inline]
    pub(crate) unsafe fn store_at_once(
        &self,
        lock: &impl CortexSync,
        offset: usize,
        data: *const u8,
        length: usize,
    ) -> bool {
        let slots = self.slots;
        if slots.is_special() || !slots.is_within(offset, length) {
            return false;
        }
        let lines = slots.lines();
        let Some(next) = self.begin_at_once(lines, lock) else {
            return false;
        };
        let is_whole = length == slots.size;
        let begun = self.begin_commit(lines, next, is_whole);
        // SAFETY: within a slot, which is ours between begin and commit, and the caller vouches for the data.
        unsafe { copy::store(data, slots.of(begun.commit).add(offset), length) };
        let changed = match is_whole {
            true => LineRange::WHOLE,
            false => LineRange::covering(offset, length),
        };
        // The lock was taken by a fast path, so it is a built-in one, whose release does not fail.
        let _ = self.end_write(lines, lock, begun.commit, changed);
        true
    }

    /// Replaces a value that is one word, with this lock, which is the segment's own, if the lock is free. Returns
    /// whether it did.
    ///
    /// # Safety
    /// `data` is valid for `length` bytes, unless the range is outside the segment.
    #[inline(always)]
    pub(crate) unsafe fn store_word_at_once(
        &self,
        lock: &impl CortexSync,
        offset: usize,
        data: *const u8,
        length: usize,
    ) -> bool {
        let slots = self.slots;
        // A word that is the whole value: its offset is 0.
        if offset != 0 || length != WORD || !slots.is_word_alone() {
            return false;
        }
        let lines = slots.lines();
        let Some(next) = self.begin_at_once(lines, lock) else {
            return false;
        };
        let begun = self.begin_commit(lines, next, true);
        // SAFETY: the caller vouches for eight bytes, and a slot has them, aligned like itself.
        unsafe {
            let value = data.cast::<u64>().read_unaligned();
            copy::store_value(&value, slots.of(begun.commit));
        }
        // The lock was taken by a fast path, so it is a built-in one, whose release does not fail.
        let _ = self.end_write(lines, lock, begun.commit, LineRange::WHOLE);
        true
    }

    /// Takes this lock, which is the segment's own, for writing, if it is free, and returns which commit the write is
    /// to make, in a layout of two slots or more.
    #[inline(always)]
    fn begin_at_once(&self, lines: Lines<'_>, lock: &impl CortexSync) -> Option<Begun> {
        let ledger = lines.ledger;
        // The ordinary call asks whether the segment is still there.
        if self.attachment.watch.is_due(ledger.noted()) {
            return None;
        }
        self.take_write_at_once(lock)?;
        Some(ledger.next())
    }

    /// Takes the segment's lock for reading, if it is free, and returns the payload. The caller counts the guard, and
    /// releases the lock.
    #[inline]
    pub(crate) fn begin_read_at_once(&self, lock: &impl CortexSync) -> Option<*mut u8> {
        let slots = self.slots;
        let me = self.attachment.claimed().filter(|_| !slots.is_special())?;
        // SAFETY: the caller releases it, on this thread.
        let is_taken = unsafe { lock.try_read_fast(me.0, Seal::HERE) };
        is_taken.then(|| slots.of(slots.ledger().committed()))
    }

    /// [`Segment::write_guard`] by the segment's lock, if it is free.
    #[inline]
    pub(crate) fn write_guard_at_once(
        &self,
        lock: &impl CortexSync,
    ) -> Option<WriteGuard<'_, [u8], L>> {
        let slots = self.slots;
        if slots.is_special() {
            return None;
        }
        let lines = slots.lines();
        let next = self.begin_at_once(lines, lock)?;
        let begun = self.begin_commit(lines, next, false);
        Some(WriteGuard::of_begun(self, begun, LineRange::NONE))
    }
}

impl Slots {
    /// Returns whether the range has bytes, and all of them are in the value.
    #[inline]
    fn is_within(&self, offset: usize, length: usize) -> bool {
        length != 0 && offset <= self.size && length <= self.size - offset
    }

    /// Returns whether the range is an aligned word within a segment of the default layout.
    #[inline]
    fn is_word(&self, offset: usize, length: usize) -> bool {
        length == WORD
            && offset % WORD == 0
            && self.is_default()
            && self.size >= WORD
            && offset <= self.size - WORD
    }
}
