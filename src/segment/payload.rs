//! The types that a guard can refer to, and what a write guard starts with.

use crate::attachment::slots::Slots;
use crate::plain::AnyBytes;
use std::ptr::NonNull;

/// What a write guard shows when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// The current value.
    Current,
    /// Whatever the slot holds, an older value or a part of one: the caller writes all of it.
    Unspecified,
}

/// What a guard can show: bytes, or one value that is plain data.
///
/// # Safety
/// `at` returns a pointer to at most `size` bytes from `first` on, for which every content is a value.
pub unsafe trait Payload {
    /// Returns the payload at `first`, which is aligned for it.
    #[doc(hidden)]
    fn at(first: NonNull<u8>, size: usize) -> NonNull<Self>;
}

// SAFETY: exactly the bytes given; every byte is a value.
unsafe impl Payload for [u8] {
    #[inline]
    fn at(first: NonNull<u8>, size: usize) -> NonNull<Self> {
        NonNull::slice_from_raw_parts(first, size)
    }
}

// SAFETY: a cortex of T is attached only where the size is T's; AnyBytes says that every content is a value.
unsafe impl<T: AnyBytes> Payload for T {
    #[inline]
    fn at(first: NonNull<u8>, _size: usize) -> NonNull<Self> {
        first.cast()
    }
}

impl Slots {
    /// Returns a pointer to the payload in the slot of this commit.
    #[inline]
    pub(super) fn payload<T: Payload + ?Sized>(&self, commit: u64) -> NonNull<T> {
        let first = self.of(commit);
        // SAFETY: a slot is in the mapping, whose base is not null.
        T::at(unsafe { NonNull::new_unchecked(first) }, self.size)
    }

    /// [`Slots::payload`], where that of the commit before it is `before`.
    #[inline]
    pub(super) fn payload_after<T: Payload + ?Sized>(
        &self,
        before: NonNull<T>,
        commit: u64,
    ) -> NonNull<T> {
        let first = self.after(before.as_ptr().cast(), commit);
        // SAFETY: as in `payload`.
        T::at(unsafe { NonNull::new_unchecked(first) }, self.size)
    }
}
