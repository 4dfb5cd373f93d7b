//! What a call can do in a straight line: without waiting, without a system call, without a message.
//!
//! For callers whose other ways are dear. The C surface runs these before it sets up anything against
//! panics, and none of them panics; where one answers no, nothing has happened, and the ordinary way does
//! the work or says why not.

use super::guard::WriteGuard;
use super::{Segment, Slots};
use crate::commit::Lines;
use crate::copy;
use crate::sync::{Access, CortexSync};

/// The size of the values that go through a register, as in typed reads and writes.
const WORD: usize = size_of::<u64>();

impl<L: CortexSync> Segment<L> {
    /// [`Segment::read_at`] of a word, with an optimistic lock, if the first attempt succeeds.
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
        if !slots.is_word(offset, length) || !self.lock.is_optimistic() {
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

    /// Replaces a value that is one word, with this lock, which is the segment's own, if nobody is in the way.
    ///
    /// # Safety
    /// `data` is valid for `length` bytes, unless the range is outside the segment.
    #[inline]
    pub(crate) unsafe fn store_word_at_once(
        &self,
        lock: &impl CortexSync,
        offset: usize,
        data: *const u8,
        length: usize,
    ) -> bool {
        let slots = self.slots;
        if !slots.is_word(offset, length) || slots.size != WORD {
            return false;
        }
        match self.site.claimed() {
            Some(me) if lock.try_write_fast(me.0) => {}
            _ => return false,
        }
        // SAFETY: the caller vouches for eight bytes, and a slot has them, aligned like itself.
        let store = |slot: *mut u8| unsafe {
            copy::store_value(&data.cast::<u64>().read_unaligned(), slot);
        };
        let ledger = slots.ledger();
        let begun = ledger.begin();
        store(slots.of(begun.commit));
        ledger.commit(begun.commit, Lines::WHOLE);
        // Taken the fast way, so a built-in lock, whose release does not fail and ends with a fence.
        let _ = lock.release(Access::Write);
        self.wake_waiters();
        true
    }

    /// Takes the segment's lock for reading, if nobody is in the way; the payload. To be counted, and
    /// released, by the caller.
    #[inline]
    pub(crate) fn begin_read_at_once(&self, lock: &impl CortexSync) -> Option<*mut u8> {
        let slots = self.slots;
        let me = self.site.claimed().filter(|_| slots.count > 1)?;
        let is_taken = lock.try_read_fast(me.0);
        is_taken.then(|| slots.of(slots.ledger().committed()))
    }

    /// [`Segment::write_guard`] by the segment's lock, if nobody is in the way.
    #[inline]
    pub(crate) fn write_guard_at_once(
        &self,
        lock: &impl CortexSync,
    ) -> Option<WriteGuard<'_, [u8], L>> {
        let me = self.site.claimed().filter(|_| self.slots.count > 1)?;
        if !lock.try_write_fast(me.0) {
            return None;
        }
        let begun = self.slots.ledger().begin();
        self.catch_up(begun);
        Some(WriteGuard::of_begun(self, begun))
    }
}

impl Slots {
    /// Whether the range is an aligned word within a segment of the default layout.
    #[inline]
    fn is_word(&self, offset: usize, length: usize) -> bool {
        length == WORD
            && offset % WORD == 0
            && self.count == 2
            && self.size >= WORD
            && offset <= self.size - WORD
    }
}
