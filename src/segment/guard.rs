//! Zero-copy access: the bytes in the segment themselves, for as long as a guard lives.
//!
//! **What a guard's reference may be trusted with.** Within the protocol nobody writes what a read
//! guard shows, and nobody reads, other than racily and to throw it away, what a write guard shows.
//! A peer that breaks the protocol can change the bytes under the reference; the copying calls are
//! for those who must not trust their peers.
//!
//! A guard belongs to the thread and the process that took it. In a forked child an inherited guard
//! is void: dropping it releases nothing, because the holder's id is not the child's.

use super::{Limit, Segment};
use crate::commit::{Begun, Lines};
use crate::error::{CortexError, CortexResult};
use crate::participants::Id;
use crate::primitive::Ordering;
use crate::signal;
use crate::sync::{held, Access, CortexSync};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// What a guard can show: bytes, or one value that is plain data.
///
/// # Safety
/// `at` returns a pointer to at most `size` bytes from `first` on, for which every content is a value.
pub unsafe trait Payload {
    /// The payload at `first`, which is aligned for it.
    #[doc(hidden)]
    fn at(first: NonNull<u8>, size: usize) -> NonNull<Self>;
}

// SAFETY: exactly the bytes given; every byte is a value.
unsafe impl Payload for [u8] {
    fn at(first: NonNull<u8>, size: usize) -> NonNull<Self> {
        NonNull::slice_from_raw_parts(first, size)
    }
}

// SAFETY: a cortex of T is attached only where the size is T's; AnyBitPattern says that every
// content is a value.
unsafe impl<T: bytemuck::AnyBitPattern> Payload for T {
    fn at(first: NonNull<u8>, _size: usize) -> NonNull<Self> {
        first.cast()
    }
}

/// The current value, without a copy. Nobody writes while it lives.
#[must_use = "dropping the guard ends the access"]
pub struct ReadGuard<'a, T: Payload + ?Sized, L: CortexSync> {
    segment: &'a Segment<L>,
    value: NonNull<T>,
    me: Id,
    /// A guard ends on the thread that began it.
    _not_send: PhantomData<*const ()>,
}

/// The next value, without a copy: it starts as the current one, and takes its place at
/// [`WriteGuard::commit`]. Dropped before that, nothing has happened; in the in-place layout, where
/// it cannot be undone, the segment is then poisoned.
#[must_use = "dropping the guard without `commit` rolls back"]
pub struct WriteGuard<'a, T: Payload + ?Sized, L: CortexSync> {
    segment: &'a Segment<L>,
    value: NonNull<T>,
    me: Id,
    begun: Begun,
    changed: Lines,
    /// Whether the slot held the current value when this commit began, so that marks are to be
    /// believed.
    is_current: bool,
    _not_send: PhantomData<*const ()>,
}

impl<L: CortexSync> Segment<L> {
    /// Takes the lock for reading and shows the current bytes. See [`ReadGuard`].
    ///
    /// # Errors
    /// Those of taking the lock (`Timeout`, `Interrupted`, `Busy`, …); `Poisoned`.
    pub fn read_guard(&self) -> CortexResult<ReadGuard<'_, [u8], L>> {
        ReadGuard::begin(self)
    }

    /// Takes the lock for writing and shows the bytes of the next commit, which start as the current
    /// ones. See [`WriteGuard`].
    ///
    /// # Errors
    /// Those of taking the lock (`Timeout`, `Interrupted`, `Busy`, …); `Poisoned`.
    pub fn write_guard(&self) -> CortexResult<WriteGuard<'_, [u8], L>> {
        WriteGuard::begin(self)
    }

    /// A slot as the payload it holds.
    fn payload<T: Payload + ?Sized>(&self, commit: u64) -> NonNull<T> {
        let first = self.slots.of(commit);
        // SAFETY: a slot is in the mapping, whose base is not null.
        T::at(unsafe { NonNull::new_unchecked(first) }, self.slots.size)
    }
}

impl<'a, T: Payload + ?Sized, L: CortexSync> ReadGuard<'a, T, L> {
    #[inline]
    pub(crate) fn begin(segment: &'a Segment<L>) -> CortexResult<Self> {
        let me = segment.take_read(Limit::Handle)?;
        let ledger = segment.slots.ledger();
        if segment.slots.count == 1 && ledger.is_unfinished() {
            segment.lock.release(Access::Read)?;
            return Err(segment.poisoned());
        }
        held::add(segment.site.place());
        let value = segment.payload(ledger.committed());
        Ok(Self {
            segment,
            value,
            me,
            _not_send: PhantomData,
        })
    }

    /// Ends the access; what a drop can only log.
    ///
    /// # Errors
    /// Those of the lock's release.
    pub fn end(self) -> CortexResult<()> {
        std::mem::ManuallyDrop::new(self).finish()
    }

    #[inline]
    fn finish(&mut self) -> CortexResult<()> {
        if self.segment.site.claimed() != Some(self.me) {
            return Ok(());
        }
        held::remove(self.segment.site.place());
        self.segment.lock.release_read(self.me.0)
    }
}

impl<T: Payload + ?Sized, L: CortexSync> Deref for ReadGuard<'_, T, L> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the slot of the last commit, valid for T (Payload::at); under the read lock nobody
        // writes a slot within the protocol.
        unsafe { self.value.as_ref() }
    }
}

impl<T: Payload + ?Sized, L: CortexSync> Drop for ReadGuard<'_, T, L> {
    #[inline]
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::error!(key = self.segment.key(), %error, "ending a read guard");
        }
    }
}

impl<'a, T: Payload + ?Sized, L: CortexSync> WriteGuard<'a, T, L> {
    #[inline]
    pub(crate) fn begin(segment: &'a Segment<L>) -> CortexResult<Self> {
        let me = segment.take_write(Limit::Handle)?;
        let begun = segment.begin_write(false)?;
        let value = segment.payload(begun.commit);
        Ok(Self {
            segment,
            value,
            me,
            begun,
            changed: Lines::NONE,
            is_current: true,
            _not_send: PhantomData,
        })
    }

    /// Says that this guard changed these bytes, and those of its other marks, and nothing else; so
    /// that a small change in a large segment costs what it changes. Without a mark all counts as
    /// changed.
    ///
    /// # Errors
    /// `InvalidArgument` where the range leaves the segment.
    pub fn mark(&mut self, offset: usize, length: usize) -> CortexResult<()> {
        self.segment.check_range(offset, length)?;
        self.changed = self.changed.union(Lines::covering(offset, length));
        Ok(())
    }

    /// Makes the new value the current one, for everybody at once, and releases the lock.
    ///
    /// # Errors
    /// `Busy` in a forked child, whose inherited guard is void; those of the lock's release.
    #[inline]
    pub fn commit(self) -> CortexResult<()> {
        let guard = std::mem::ManuallyDrop::new(self);
        guard.check_mine()?;
        guard
            .segment
            .slots
            .ledger()
            .commit(guard.begun, guard.changed());
        guard.segment.release_write()?;
        guard.segment.wake_waiters();
        Ok(())
    }

    /// Makes the new value the current one and goes on holding the lock, for a writer that owns the
    /// value for long. Optimistic readers and observers go on. What the guard shows after it is
    /// unspecified (an older value): write all of it before the next commit, or use
    /// [`WriteGuard::publish_and_refresh`].
    ///
    /// # Errors
    /// `Unsupported` in the in-place layout; `Busy` in a forked child.
    #[inline]
    pub fn publish(&mut self) -> CortexResult<()> {
        self.publish_inner()?;
        self.is_current = false;
        Ok(())
    }

    /// [`WriteGuard::publish`], after which the guard shows the value just published. Costs a copy
    /// of what the last commits changed.
    ///
    /// # Errors
    /// As [`WriteGuard::publish`].
    pub fn publish_and_refresh(&mut self) -> CortexResult<()> {
        self.publish_inner()?;
        self.segment.catch_up(self.begun);
        self.is_current = true;
        Ok(())
    }

    #[inline]
    fn publish_inner(&mut self) -> CortexResult<()> {
        self.check_mine()?;
        let segment = self.segment;
        if segment.slots.count == 1 {
            let detail = "the in-place layout has one slot and cannot publish; commit instead";
            return Err(CortexError::Unsupported {
                key: segment.key(),
                detail,
            });
        }
        let ledger = segment.slots.ledger();
        ledger.commit(self.begun, self.changed());
        if signal::is_awaited_after_store(segment.site.view.signal()) {
            segment.wake_waiters_slow();
        }
        if segment.site.view.signal().want.load(Ordering::Relaxed) != 0 {
            segment.pause_for_readers();
        }
        self.begun = ledger.begin();
        self.changed = Lines::NONE;
        self.value = segment.payload(self.begun.commit);
        Ok(())
    }

    /// Gives up: as dropping, but says what went wrong.
    ///
    /// # Errors
    /// Those of the lock's release.
    pub fn abort(self) -> CortexResult<()> {
        std::mem::ManuallyDrop::new(self).finish()
    }

    fn check_mine(&self) -> CortexResult<()> {
        if self.segment.site.claimed() == Some(self.me) {
            return Ok(());
        }
        let detail = "the guard was taken before the fork and belongs to the parent";
        Err(CortexError::Busy {
            key: self.segment.key(),
            detail,
        })
    }

    fn changed(&self) -> Lines {
        if self.changed.is_empty() || !self.is_current {
            Lines::WHOLE
        } else {
            self.changed
        }
    }

    #[inline]
    fn finish(&mut self) -> CortexResult<()> {
        if self.segment.site.claimed() != Some(self.me) {
            return Ok(());
        }
        self.segment.lock.release(Access::Write)
    }
}

impl<L: CortexSync> Segment<L> {
    /// Lets starved readers through: about the time that one needs to copy the value.
    #[cold]
    fn pause_for_readers(&self) {
        self.site.view.signal().want.store(0, Ordering::Relaxed);
        // A copy runs at no less than a byte in a quarter of a nanosecond, or it is not in cache.
        let length = Duration::from_nanos(2_000 + self.slots.size as u64 / 4);
        let start = Instant::now();
        while start.elapsed() < length {
            crate::primitive::spin();
        }
    }
}

impl<T: Payload + ?Sized, L: CortexSync> Deref for WriteGuard<'_, T, L> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the slot of the next commit, valid for T (Payload::at), ours under the write lock.
        unsafe { self.value.as_ref() }
    }
}

impl<T: Payload + ?Sized, L: CortexSync> DerefMut for WriteGuard<'_, T, L> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; the guard is borrowed exclusively.
        unsafe { self.value.as_mut() }
    }
}

impl<T: Payload + ?Sized, L: CortexSync> Drop for WriteGuard<'_, T, L> {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::error!(key = self.segment.key(), %error, "rolling back a write guard");
        }
    }
}

impl<T: Payload + ?Sized + std::fmt::Debug, L: CortexSync> std::fmt::Debug for ReadGuard<'_, T, L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReadGuard").field(&&**self).finish()
    }
}

impl<T: Payload + ?Sized + std::fmt::Debug, L: CortexSync> std::fmt::Debug
    for WriteGuard<'_, T, L>
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WriteGuard").field(&&**self).finish()
    }
}
