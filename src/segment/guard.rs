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

/// How many times the usual pause a publisher grants at most: peers may ask for more than they need.
const LONGEST_PAUSE: u32 = 256;

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

    /// A guard that this thread holds and has kept as a count; `None` where this process has taken none.
    #[cfg(feature = "capi")]
    pub(crate) fn resume(segment: &'a Segment<L>) -> Option<Self> {
        let me = segment.site.claimed()?;
        let value = segment.payload(segment.slots.ledger().committed());
        Some(Self {
            segment,
            value,
            me,
            place: segment.site.place(),
            _not_send: PhantomData,
        })
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
        let begun = segment.begin_write(false)?;
        Ok(Self::of_begun(segment, begun))
    }

    /// The guard of a thread that has just taken the lock for writing and begun a commit.
    #[inline]
    pub(super) fn of_begun(segment: &'a Segment<L>, begun: Begun) -> Self {
        Self {
            segment,
            value: segment.payload(begun.commit),
            place: segment.site.place(),
            slots: segment.slots,
            epoch: segment.site.epoch(),
            commit: begun.commit,
            changed: Lines::NONE,
            _not_send: PhantomData,
        }
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
        if !self.can_publish() {
            return Err(self.segment.refuse_to_publish(self.place));
        }
        let (begun, is_wanted) = self.go_on();
        if is_wanted {
            self.segment.attend();
        }
        Ok(begun)
    }

    /// Commits and begins the next; whether somebody asks something of a publisher. That can be answered
    /// after the next commit has begun, for it leaves the one just made alone.
    #[inline]
    fn go_on(&mut self) -> (Begun, bool) {
        let slots = self.slots;
        let (begun, is_wanted) =
            signal::publish(slots.ledger(), slots.signal(), self.commit, self.changed());
        self.commit = begun.commit;
        self.value = slots.payload(begun.commit);
        (begun, is_wanted)
    }

    /// Gives up: as dropping, but says what went wrong.
    ///
    /// # Errors
    /// Those of the lock's release.
    pub fn abort(self) -> CortexResult<()> {
        let guard = std::mem::ManuallyDrop::new(self);
        guard.segment.give_up(guard.place)
    }

    /// Whether it was taken in this very process.
    #[inline]
    pub(crate) fn is_mine(&self) -> bool {
        self.place.is_of(self.epoch.load(Ordering::Relaxed))
    }

    /// Whether [`WriteGuard::publish`] does not fail.
    #[inline]
    fn can_publish(&self) -> bool {
        self.is_mine() && self.slots.count > 1
    }

    /// [`WriteGuard::publish`] in the default layout, for a caller that knows the guard to be its own; whether
    /// it is then to [attend](Segment::attend). `None`, and nothing has happened, in another layout.
    #[cfg(feature = "capi")]
    #[inline]
    pub(crate) fn publish_at_once(&mut self) -> Option<bool> {
        if self.slots.count != 2 {
            return None;
        }
        let (_, is_wanted) = self.go_on();
        self.changed = Lines::WHOLE;
        Some(is_wanted)
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
    pub(crate) fn attend(&self) {
        self.wake_waiters();
        if self.slots.signal().is_asked() {
            self.pause_for_readers();
        }
    }

    /// Lets starved readers through.
    #[cold]
    fn pause_for_readers(&self) {
        let length = pause_length(self.slots.size, self.site.view.signal().grant());
        let start = Instant::now();
        while start.elapsed() < length {
            crate::primitive::spin();
        }
    }
}

/// How long readers need who asked, the slowest of whom takes so long for its copy.
fn pause_length(size: usize, copy: Duration) -> Duration {
    // A copy runs at no less than a byte in a quarter of a nanosecond, where it is not slow.
    let usual = Duration::from_nanos(2_000 + size as u64 / 4);
    // Time for the rest of one that is in vain, for a whole one, and some more.
    usual.max(copy.saturating_mul(3)).min(usual * LONGEST_PAUSE)
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_long_enough_for_a_slow_copy_and_bounded() {
        let micros = Duration::from_micros;
        assert_eq!(pause_length(8, micros(0)), Duration::from_nanos(2_002));
        assert_eq!(pause_length(8, micros(30)), micros(90));
        assert_eq!(
            pause_length(4 << 20, micros(30)),
            Duration::from_nanos(2_000 + (1 << 20))
        );
        for asked in [micros(1_000), Duration::MAX] {
            assert_eq!(
                pause_length(8, asked),
                Duration::from_nanos(2_002) * LONGEST_PAUSE
            );
        }
    }
}
