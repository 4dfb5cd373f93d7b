//! Reading a value without taking part: see [`SegmentObserver`].

use super::checked::{load_boxed, load_checked, load_into};
use super::cortex::options_for;
use crate::error::{CortexError, CortexResult, Told};
use crate::key::Key;
use crate::plain::Readable;
use crate::segment::{SegmentObserver, SegmentOptions};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::time::Duration;

/// Watches a value, read-only. It needs read permission only, takes no lock and no slot, and disturbs no other process.
///
/// ```
/// use neocortex::{CortexBuilder, Observer};
///
/// # fn main() -> neocortex::CortexResult<()> {
/// let cortex = CortexBuilder::new(1.5).random_key().create()?;
/// let observer = Observer::<f64>::attach(cortex.key())?;
/// assert_eq!(observer.read()?, 1.5);
/// # Ok(()) }
/// ```
pub struct Observer<T> {
    segment: SegmentObserver,
    value: PhantomData<fn() -> T>,
}

// The bound is at each function, where a type that it refuses is told what to do.
impl<T> Observer<T> {
    /// Attaches read-only. The size and the alignment must be those of `T`; the lock does not matter.
    ///
    /// # Errors
    /// As [`SegmentObserver::attach`].
    pub fn attach(key: impl Into<Key>) -> CortexResult<Self>
    where
        T: Readable,
    {
        Self::attach_with(key, &SegmentOptions::new())
    }

    /// [`Observer::attach`] that also compares the schema, begins with a time-out, or waits for the creator
    /// ([`SegmentOptions::wait_for_creator`]).
    ///
    /// # Errors
    /// As [`SegmentObserver::attach`].
    pub fn attach_with(key: impl Into<Key>, options: &SegmentOptions) -> CortexResult<Self>
    where
        T: Readable,
    {
        let key = key.into();
        if size_of::<T>() == 0 {
            return Err(CortexError::invalid(
                key.number()?,
                "a type of size 0 has nothing to share",
            ));
        }
        let segment =
            SegmentObserver::attach_with(key, size_of::<T>(), &options_for::<T>(options))?;
        Ok(Self {
            segment,
            value: PhantomData,
        })
    }
}

impl<T: Readable> Observer<T> {
    /// Returns a copy of the current value.
    ///
    /// # Errors
    /// `InvalidValue` where the bytes are not a `T`; `Timeout`, `Interrupted`.
    pub fn read(&self) -> CortexResult<T> {
        self.read_within(self.segment.timeout())
    }

    /// [`Observer::read`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Observer::read`].
    pub fn try_read(&self) -> CortexResult<T> {
        self.read_within(Some(Duration::ZERO))
    }

    /// [`Observer::read`] with a time-out of its own, whatever the observer's is; zero does not wait.
    ///
    /// # Errors
    /// As [`Observer::read`].
    pub fn read_for(&self, timeout: Duration) -> CortexResult<T> {
        self.read_within(Some(timeout))
    }

    /// Returns the current value and its version: see [`Cortex::read_versioned`](crate::Cortex::read_versioned).
    ///
    /// # Errors
    /// As [`Observer::read`].
    pub fn read_versioned(&self) -> CortexResult<(T, u64)> {
        self.read_versioned_within(self.segment.timeout())
    }

    fn read_within(&self, timeout: Option<Duration>) -> CortexResult<T> {
        self.read_versioned_within(timeout).map(|(value, _)| value)
    }

    fn read_versioned_within(&self, timeout: Option<Duration>) -> CortexResult<(T, u64)> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: room for a T.
        let version =
            unsafe { load_checked(value.as_mut_ptr(), self.loader(timeout)) }.on(self.key())?;
        // SAFETY: all bytes were copied, and make a T.
        Ok((unsafe { value.assume_init() }, version))
    }

    /// Returns a function that copies the value's bytes to a place with room for them, and returns which commit they
    /// are from.
    fn loader(&self, timeout: Option<Duration>) -> impl FnOnce(*mut u8) -> CortexResult<u64> + '_ {
        // SAFETY: the segment has T's size (checked on attach), and so has the place.
        move |place| unsafe { self.segment.load(0, place, size_of::<T>(), timeout) }
    }

    /// Returns the current value in a box: see [`Cortex::read_boxed`](crate::Cortex::read_boxed).
    ///
    /// # Errors
    /// As [`Observer::read`]; `CleanSystem` (`ENOMEM`).
    pub fn read_boxed(&self) -> CortexResult<Box<T>> {
        load_boxed(self.loader(self.segment.timeout())).on(self.key())
    }

    /// Copies the current value into `value`: see [`Cortex::read_into`](crate::Cortex::read_into).
    ///
    /// # Errors
    /// As [`Observer::read`]. `value` is then as before, or, where any bytes are a `T`, unspecified.
    pub fn read_into(&self, value: &mut T) -> CortexResult<()>
    where
        T: 'static,
    {
        load_into(value, self.loader(self.segment.timeout())).on(self.key())
    }

    /// Returns the observer of the bytes under the value.
    pub fn segment(&self) -> &SegmentObserver {
        &self.segment
    }
}
