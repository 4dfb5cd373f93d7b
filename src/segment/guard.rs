//! Zero-copy access: the bytes in the segment themselves, for as long as a guard lives.
//!
//! **What a guard's reference may be trusted with.** Within the protocol nobody writes what a read
//! guard shows, and nobody reads, other than racily and to throw it away, what a write guard shows.
//! A peer that breaks the protocol can change the bytes under the reference; the copying calls are
//! for those who must not trust their peers.
//!
//! A guard belongs to the thread and the process that took it. In a forked child an inherited guard
//! is void: dropping it releases nothing, because the holder's id is not the child's.

use super::{Limit, Segment, Slots};
use crate::commit::{Begun, Lines};
use crate::error::{CortexError, CortexResult};
use crate::participants::Id;
use crate::primitive::{AtomicU32, Ordering};
use crate::signal;
use crate::sync::held::{self, Place};
use crate::sync::{Access, CortexSync};
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
    #[inline]
    fn at(first: NonNull<u8>, size: usize) -> NonNull<Self> {
        NonNull::slice_from_raw_parts(first, size)
    }
}

// SAFETY: a cortex of T is attached only where the size is T's; AnyBitPattern says that every
// content is a value.
unsafe impl<T: bytemuck::AnyBitPattern> Payload for T {
    #[inline]
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
    /// Of the process that took it.
    place: Place,
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
    /// Of the process that took it.
    place: Place,
    /// The segment's, at hand: a loop that publishes keeps them in registers, where it would have to load
    /// the segment's again after every commit.
    slots: Slots,
    epoch: &'static AtomicU32,
    /// The commit that has begun.
    commit: u64,
    /// What was marked: none is all. All from the start where the slot did not hold the current value
    /// when this commit began, so that marks change nothing.
    changed: Lines,
    _not_send: PhantomData<*const ()>,
}

impl Slots {
    /// A slot as the payload it holds.
    #[inline]
    fn payload<T: Payload + ?Sized>(&self, commit: u64) -> NonNull<T> {
        let first = self.of(commit);
        // SAFETY: a slot is in the mapping, whose base is not null.
        T::at(unsafe { NonNull::new_unchecked(first) }, self.size)
    }
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
    #[inline]
    fn payload<T: Payload + ?Sized>(&self, commit: u64) -> NonNull<T> {
        self.slots.payload(commit)
    }
}

impl<'a, T: Payload + ?Sized, L: CortexSync> ReadGuard<'a, T, L> {
    #[inline]
    pub(crate) fn begin(segment: &'a Segment<L>) -> CortexResult<Self> {
        let me = segment.take_read(Limit::Handle)?;
        if segment.slots.count == 1 {
            segment.refuse_unfinished()?;
        }
        let place = segment.site.place();
        held::add(place);
        let value = segment.payload(segment.slots.ledger().committed());
        Ok(Self {
            segment,
            value,
            me,
            place,
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
        if !self.segment.site.is_here(self.place) {
            return Ok(());
        }
        held::remove(self.place);
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
            unheard(self.segment.key(), &error, "ending a read guard");
        }
    }
}

impl<'a, T: Payload + ?Sized, L: CortexSync> WriteGuard<'a, T, L> {
    #[inline]
    pub(crate) fn begin(segment: &'a Segment<L>) -> CortexResult<Self> {
        segment.take_write(Limit::Handle)?;
        let place = segment.site.place();
        let begun = segment.begin_write(false)?;
        let value = segment.payload(begun.commit);
        Ok(Self {
            segment,
            value,
            place,
            slots: segment.slots,
            epoch: segment.site.epoch(),
            commit: begun.commit,
            changed: Lines::NONE,
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
            .commit(guard.commit, guard.changed());
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
        self.changed = Lines::WHOLE;
        Ok(())
    }

    /// [`WriteGuard::publish`], after which the guard shows the value just published. Costs a copy
    /// of what the last commits changed.
    ///
    /// # Errors
    /// As [`WriteGuard::publish`].
    pub fn publish_and_refresh(&mut self) -> CortexResult<()> {
        let begun = self.publish_inner()?;
        self.segment.catch_up(begun);
        self.changed = Lines::NONE;
        Ok(())
    }

    #[inline]
    fn publish_inner(&mut self) -> CortexResult<Begun> {
        let slots = self.slots;
        if !self.place.is_of(self.epoch.load(Ordering::Relaxed)) || slots.count == 1 {
            return Err(self.segment.refuse_to_publish(self.place));
        }
        let (ledger, line) = (slots.ledger(), slots.signal());
        ledger.commit(self.commit, self.changed());
        if signal::is_awaited_after_store(line) | (line.want.load(Ordering::Relaxed) != 0) {
            self.segment.attend();
        }
        let begun = ledger.begin_next(self.commit);
        self.commit = begun.commit;
        self.value = slots.payload(begun.commit);
        Ok(begun)
    }

    /// Gives up: as dropping, but says what went wrong.
    ///
    /// # Errors
    /// Those of the lock's release.
    pub fn abort(self) -> CortexResult<()> {
        let guard = std::mem::ManuallyDrop::new(self);
        guard.segment.give_up(guard.place)
    }

    #[inline]
    fn check_mine(&self) -> CortexResult<()> {
        if self.segment.site.is_here(self.place) {
            return Ok(());
        }
        Err(self.segment.not_mine())
    }

    #[inline]
    fn changed(&self) -> Lines {
        if self.changed.is_empty() {
            Lines::WHOLE
        } else {
            self.changed
        }
    }
}

#[cold]
fn unheard(key: i32, error: &CortexError, what: &str) {
    tracing::error!(key, %error, "{what}");
}

impl<L: CortexSync> Segment<L> {
    /// Refuses to show what a writer in place left half way; the lock, taken for reading, is then
    /// released.
    #[cold]
    fn refuse_unfinished(&self) -> CortexResult<()> {
        if self.slots.ledger().is_unfinished() {
            self.lock.release(Access::Read)?;
            return Err(self.poisoned());
        }
        Ok(())
    }

    /// Ends a write without a commit, unless it is the parent's.
    fn give_up(&self, place: Place) -> CortexResult<()> {
        if !self.site.is_here(place) {
            return Ok(());
        }
        self.lock.release(Access::Write)
    }

    #[cold]
    fn roll_back(&self, place: Place) {
        if let Err(error) = self.give_up(place) {
            unheard(self.key(), &error, "rolling back a write guard");
        }
    }

    #[cold]
    fn not_mine(&self) -> CortexError {
        let detail = "the guard was taken before the fork and belongs to the parent";
        CortexError::Busy {
            key: self.key(),
            detail,
        }
    }

    #[cold]
    fn refuse_to_publish(&self, place: Place) -> CortexError {
        if !self.site.is_here(place) {
            return self.not_mine();
        }
        let detail = "the in-place layout has one slot and cannot publish; commit instead";
        CortexError::Unsupported {
            key: self.key(),
            detail,
        }
    }

    /// What somebody asks of a publisher: to be woken, or to get through.
    #[cold]
    fn attend(&self) {
        self.wake_waiters();
        if self.slots.signal().want.load(Ordering::Relaxed) != 0 {
            self.pause_for_readers();
        }
    }

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
    // So short that it is inlined even where a panic unwinds: a guard whose address nobody takes is kept
    // in registers by a loop that publishes.
    #[inline(always)]
    fn drop(&mut self) {
        self.segment.roll_back(self.place);
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
