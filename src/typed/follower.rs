//! Every commit of a value in order: see [`SegmentFollower`].

use super::checked::{check_bits, invalid, load_into};
use super::cortex::{Cortex, SMALL};
use super::observer::Observer;
use crate::attachment::patience::Wait;
use crate::copy;
use crate::error::{Cause, CortexError, CortexResult, Told};
use crate::locks::CortexSync;
use crate::plain::{Readable, Shared};
use crate::segment::{Batch, Followed, SegmentFollower};
use crate::wait_set::Changed;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::time::Duration;

/// Reads the commits of a cortex in order, each of them once, or tells how many it missed.
///
/// Made by [`Cortex::follow`] and [`Observer::follow`]. It stores nothing in the segment: any number of followers may
/// read, each at its own pace, and no writer waits for one of them. How far a follower may be behind is the number of
/// slots ([`CortexBuilder::slots`](crate::CortexBuilder::slots)).
///
/// ```
/// use neocortex::CortexBuilder;
///
/// # fn main() -> neocortex::CortexResult<()> {
/// let cortex = CortexBuilder::new(0_u64).random_key().slots(4).create()?;
/// let mut follower = cortex.follow(cortex.version());
/// assert_eq!(follower.try_next()?, None);
/// for value in [10, 20] {
///     cortex.write(value)?;
/// }
/// let first = follower.next(None)?;
/// assert_eq!((first.value, first.version, first.missed), (10, 1, 0));
/// for value in 3..=9 {
///     cortex.write(value * 10)?;
/// }
/// // Four slots keep the commits 6 to 9. A follower that was overtaken goes on a little beyond the oldest.
/// let next = follower.next(None)?;
/// assert_eq!((next.value, next.version, next.missed), (70, 7, 5));
/// assert_eq!(next.version, 1 + 1 + next.missed);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Follower<'a, T> {
    inner: SegmentFollower<'a>,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Follower<'_, T> {
    /// Returns a second follower at the same position.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            value: PhantomData,
        }
    }
}

impl<T, L> Cortex<T, L>
where
    T: Shared,
    L: CortexSync,
{
    /// Returns a follower that reads the commits after this position, in order: see
    /// [`Segment::follow`](crate::Segment::follow).
    pub fn follow(&self, since: u64) -> Follower<'_, T> {
        Follower {
            inner: self.segment().follow(since),
            value: PhantomData,
        }
    }

    /// Returns a follower that writers wait for, in a cortex that was created lossless: see
    /// [`Segment::follow_registered`](crate::Segment::follow_registered).
    ///
    /// # Errors
    /// As [`Segment::follow_registered`](crate::Segment::follow_registered).
    pub fn follow_registered(&self, since: u64) -> CortexResult<Follower<'_, T>> {
        Ok(Follower {
            inner: self.segment().follow_registered(since)?,
            value: PhantomData,
        })
    }

    /// Returns the position from which a follower reads the oldest commit that is kept now.
    pub fn kept_since(&self) -> u64 {
        self.segment().kept_since()
    }
}

impl<T: Readable> Observer<T> {
    /// Returns a follower that reads the commits after this position, in order: see
    /// [`SegmentObserver::follow`](crate::SegmentObserver::follow).
    pub fn follow(&self, since: u64) -> Follower<'_, T> {
        Follower {
            inner: self.segment().follow(since),
            value: PhantomData,
        }
    }

    /// Returns the position from which a follower reads the oldest commit that is kept now.
    pub fn kept_since(&self) -> u64 {
        self.segment().kept_since()
    }
}

impl<'a, T: Readable> Follower<'a, T> {
    /// Waits for the next commit, and returns it.
    ///
    /// # Errors
    /// As [`SegmentFollower::next`]. `InvalidValue` where the bytes of the commit are not a `T`: it is passed over, and
    /// counts as missed.
    #[inline]
    pub fn next(&mut self, timeout: Option<Duration>) -> CortexResult<Followed<T>> {
        if let Some(found) = self.next_fast() {
            return found;
        }
        // Field by field: moved as a whole, it would share its place in memory with what the fast path found, which would
        // then be stored in parts and loaded at once, and a processor waits for that.
        let Followed {
            value,
            version,
            missed,
        } = self.next_slow(timeout)?;
        Ok(Followed {
            value,
            version,
            missed,
        })
    }

    /// [`Follower::next`] that does not wait: `None` where there is no new commit.
    ///
    /// # Errors
    /// As [`Follower::next`]. `Timeout` where writers overtook many copies.
    #[inline]
    pub fn try_next(&mut self) -> CortexResult<Option<Followed<T>>> {
        if let Some(found) = self.next_fast() {
            return found.map(Some);
        }
        // As in `next`.
        let found = self.try_next_slow()?;
        Ok(found.map(|found| Followed {
            value: found.value,
            version: found.version,
            missed: found.missed,
        }))
    }

    /// Makes one attempt at the next commit of a small value, through registers. `None` where that did not read one.
    #[inline(always)]
    fn next_fast(&mut self) -> Option<CortexResult<Followed<T>>> {
        if size_of::<T>() > SMALL {
            return None;
        }
        let (before, slots) = (self.inner.position(), self.inner.slots);
        // SAFETY: the slot holds a T in 64-aligned, padded memory (check at attach).
        let copy = |first, _| unsafe { copy::load_value::<T::Bits>(slots.of_any(first)) };
        let found = self.inner.read_once(copy)?;
        Some(self.checked(before, found))
    }

    /// [`Follower::next`] of a large value, or from the second attempt on. It has a copier of its own: if the fast path
    /// lent it one, that would have to be in memory each time.
    #[cold]
    #[inline(never)]
    fn next_slow(&mut self, timeout: Option<Duration>) -> CortexResult<Followed<T>> {
        let before = self.inner.position();
        let slots = self.inner.slots;
        let mut value = MaybeUninit::<T>::uninit();
        let place = value.as_mut_ptr().cast::<u8>();
        // SAFETY: the segment has T's size, checked when it was created or attached, and so has the place.
        let copy =
            move |first, _| unsafe { copy::load(slots.of_any(first), place, size_of::<T>()) };
        let found = self.inner.next_within(timeout, 1, copy)?.only();
        // SAFETY: all bytes were copied.
        unsafe { self.check(before, found.version, &value) }?;
        self.inner.acknowledge();
        // SAFETY: they were checked to make a T. It is moved once, for it may be large.
        Ok(found.with(unsafe { value.assume_init() }))
    }

    /// [`Follower::try_next`], as [`Follower::next_slow`].
    #[cold]
    #[inline(never)]
    fn try_next_slow(&mut self) -> CortexResult<Option<Followed<T>>> {
        let before = self.inner.position();
        let slots = self.inner.slots;
        let mut value = MaybeUninit::<T>::uninit();
        let place = value.as_mut_ptr().cast::<u8>();
        // SAFETY: as in `next_slow`.
        let copy =
            move |first, _| unsafe { copy::load(slots.of_any(first), place, size_of::<T>()) };
        let Some(commits) = self.inner.next_now(Wait::Never, 1, copy)? else {
            return Ok(None);
        };
        let found = commits.only();
        // SAFETY: all bytes were copied.
        unsafe { self.check(before, found.version, &value) }?;
        self.inner.acknowledge();
        // SAFETY: as in `next_slow`.
        Ok(Some(found.with(unsafe { value.assume_init() })))
    }

    /// [`Follower::next`] that copies the value over another one, for values that are too large for the stack.
    ///
    /// # Errors
    /// As [`Follower::next`]. `value` is then as before, or, where any bytes are a `T`, unspecified.
    pub fn next_into(
        &mut self,
        value: &mut T,
        timeout: Option<Duration>,
    ) -> CortexResult<Followed<()>>
    where
        T: 'static,
    {
        let before = self.inner.position();
        let slots = self.inner.slots;
        let mut found = None;
        let inner = &mut self.inner;
        let result = load_into(value, |place| {
            // SAFETY: as in `next_slow`; `load_into` gives a place for a T.
            let copy =
                move |first, _| unsafe { copy::load(slots.of_any(first), place, size_of::<T>()) };
            let commit = inner.next_within(timeout, 1, copy)?.only();
            found = Some(commit);
            Ok(commit.version)
        });
        match (result.on(self.inner.key()), found) {
            (Ok(()), Some(found)) => {
                self.inner.acknowledge();
                Ok(found)
            }
            (Err(error), Some(found)) => {
                self.inner.go_to(before, found.version);
                Err(error)
            }
            (Err(error), None) => Err(error),
            (Ok(()), None) => unreachable!("what was loaded was found"),
        }
    }

    /// Replaces the contents of `values` by the next commits: as many as there are now, and as the vector has capacity
    /// for. It does not wait: see [`Follower::wait`].
    ///
    /// It looks at the segment's counters once for all of them, so for small values it is several times as fast as
    /// [`Follower::next`].
    ///
    /// ```
    /// use neocortex::CortexBuilder;
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// let cortex = CortexBuilder::new(0_u64).random_key().slots(64).create()?;
    /// (1..=10).try_for_each(|value| cortex.write(value))?;
    /// let mut follower = cortex.follow(0);
    /// let mut values = Vec::with_capacity(8);
    /// let batch = follower.next_many(&mut values)?;
    /// assert_eq!((batch.count, batch.version, batch.missed), (8, 1, 0));
    /// assert_eq!(values, [1, 2, 3, 4, 5, 6, 7, 8]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Follower::try_next`]; `InvalidArgument` where the vector has no capacity. `InvalidValue` concerns the first
    /// commit: where a later one is not a `T`, the batch ends before it.
    pub fn next_many(&mut self, values: &mut Vec<T>) -> CortexResult<Batch> {
        let before = self.inner.position();
        values.clear();
        let (place, room) = (values.as_mut_ptr(), values.capacity());
        // SAFETY: the vector has room for so many, each of the segment's size.
        let mut batch = unsafe { self.inner.next_many_within(None, place.cast(), room)? };
        let valid = (0..batch.count)
            .take_while(|&index| {
                // SAFETY: `count` values were copied there; T::Bits has T's size and alignment, and any bytes are one.
                T::is_valid_bit_pattern(unsafe { &*place.add(index).cast::<T::Bits>() })
            })
            .count();
        // SAFETY: so many were copied, and are a T.
        unsafe { values.set_len(valid) };
        if valid < batch.count {
            if valid == 0 {
                self.inner.go_to(before, batch.version);
                return Err(invalid::<T>().on(self.inner.key()));
            }
            let last = batch.version.wrapping_add(valid as u64 - 1);
            self.inner.go_to(last, last);
            batch.count = valid;
        }
        self.inner.acknowledge();
        Ok(batch)
    }

    /// Waits until there is a commit to read: see [`SegmentFollower::wait`].
    ///
    /// # Errors
    /// As [`SegmentFollower::wait`].
    pub fn wait(&self, timeout: Option<Duration>) -> CortexResult<()> {
        self.inner.wait(timeout)
    }

    /// Returns a future that waits until there is a commit to read: see [`SegmentFollower::arrived`].
    ///
    /// # Errors
    /// As [`SegmentFollower::arrived`].
    pub fn arrived(&self) -> Changed<'a> {
        self.inner.arrived()
    }

    /// Returns the number of the last commit that was read: see [`SegmentFollower::position`].
    pub fn position(&self) -> u64 {
        self.inner.position()
    }

    /// Returns the value of a commit that was copied, or passes over it. `before` is the position before it.
    #[inline]
    fn checked(
        &mut self,
        before: u64,
        found: Followed<MaybeUninit<T::Bits>>,
    ) -> CortexResult<Followed<T>> {
        let version = found.version;
        // SAFETY: every bit pattern is a T::Bits (AnyBitPattern), and all bytes were copied.
        match check_bits(unsafe { found.value.assume_init_ref() }) {
            Ok(value) => {
                self.inner.acknowledge();
                Ok(found.with(value))
            }
            Err(cause) => Err(self.pass_over(before, version, cause)),
        }
    }

    /// Passes over a commit whose bytes are not a `T`.
    ///
    /// # Safety
    /// All bytes of `value` are initialised.
    unsafe fn check(
        &mut self,
        before: u64,
        version: u64,
        value: &MaybeUninit<T>,
    ) -> CortexResult<()> {
        // SAFETY: T::Bits has T's size and alignment, every bit pattern is one (AnyBitPattern), and the caller vouches
        // for the bytes.
        match T::is_valid_bit_pattern(unsafe { &*value.as_ptr().cast::<T::Bits>() }) {
            true => Ok(()),
            false => Err(self.pass_over(before, version, invalid::<T>())),
        }
    }

    #[cold]
    fn pass_over(&mut self, before: u64, version: u64, cause: Cause) -> CortexError {
        self.inner.go_to(before, version);
        cause.on(self.inner.key())
    }
}
