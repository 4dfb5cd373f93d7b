//! A typed value that several processes share.

use super::checked::{check_bits, load_boxed, load_checked, load_into};
use crate::copy;
use crate::error::{CortexError, CortexResult, Told};
use crate::key::Key;
use crate::locks::{CortexSync, SeqLock};
use crate::plain::Shared;
use crate::protocol::commit::LineRange;
use crate::segment::{self, Limit, Segment, SegmentOptions, StaticLock};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// A value of type `T` in a System V segment, with a lock that travels with it.
///
/// `T` is plain data ([`trait@Shared`]): numbers, arrays of them, and structures and enumerations that
/// derive it. A `String`, a `Vec` or a reference does not compile, because what it points to is not
/// shared:
///
/// ```compile_fail
/// neocortex::CortexBuilder::new(String::from("no")).key(5).create().unwrap();
/// ```
///
/// Threads may share a handle. A forked child may go on using an inherited handle; its drop removes nothing. The owner
/// (the handle that created the cortex, or forced ownership) removes the cortex when it is dropped; processes that are
/// still attached keep their memory.
///
/// ```
/// use neocortex::{Cortex, CortexBuilder};
///
/// # fn main() -> neocortex::CortexResult<()> {
/// let owner = CortexBuilder::new([1_u32, 2, 3]).random_key().create()?;
/// let other: Cortex<[u32; 3]> = Cortex::attach(owner.key())?;
/// other.update(|value| value[0] = 10)?;
/// assert_eq!(owner.read()?, [10, 2, 3]);
/// # Ok(()) }
/// ```
pub struct Cortex<T, L: CortexSync = SeqLock> {
    segment: Segment<L>,
    value: PhantomData<fn(T) -> T>,
}

/// Values up to this many bytes are copied by word moves that the compiler lays out; larger ones by
/// the copy for any length.
pub(super) const SMALL: usize = 64;

/// Returns the options of a segment for a `T`, which holds no records, given those of the caller.
pub(super) fn options_for<T>(options: &SegmentOptions) -> SegmentOptions {
    let mut options = options
        .clone()
        .align(u32::try_from(align_of::<T>()).unwrap_or(u32::MAX));
    options.records = Some(false);
    options
}

/// Creates a cortex whose first value is this one, or all zeros.
pub(super) fn create<T: Shared, L: CortexSync>(
    key: Option<&Key>,
    options: &SegmentOptions,
    value: Option<&T>,
    settings: Option<&L::Settings>,
) -> CortexResult<Cortex<T, L>> {
    let options = options_for::<T>(options);
    let bytes = value.map(bytemuck::bytes_of);
    let kind = StaticLock::<L>::new(settings);
    let wanted = key.map(Key::wanted).transpose()?;
    segment::create(wanted, size_of::<T>(), &options, &kind, bytes).map(Cortex::from_segment)
}

// The bound is at each function, where a type that it refuses is told what to do.
impl<T, L: CortexSync> Cortex<T, L> {
    /// Attaches to the cortex with this key, a number or a name ([`Key`]). Both sides must use the same `T` and the
    /// same lock. Attaching compares the size, the alignment, the lock's name, and the schema where the builder set
    /// one.
    ///
    /// # Errors
    /// `CleanSystem` (`ENOENT`: no such key; `EACCES`: not permitted), `NotACortex`, `Format`, `Layout`, `Lock`, `Name`
    /// (the key of this name is another name's), `NotReady`, `Full`, `Corrupt`, `InvalidArgument` (a text that is not a
    /// valid name).
    pub fn attach(key: impl Into<Key>) -> CortexResult<Self>
    where
        T: Shared,
    {
        Self::attach_with(key, &SegmentOptions::new())
    }

    /// [`Cortex::attach`] that also compares the schema, begins with a time-out, or waits for the creator
    /// ([`SegmentOptions::wait_for_creator`]).
    ///
    /// # Errors
    /// As [`Cortex::attach`].
    pub fn attach_with(key: impl Into<Key>, options: &SegmentOptions) -> CortexResult<Self>
    where
        T: Shared,
    {
        let key = key.into();
        if size_of::<T>() == 0 {
            return Err(CortexError::invalid(
                key.number()?,
                "a type of size 0 has nothing to share",
            ));
        }
        options_for::<T>(options)
            .attach(key, size_of::<T>())
            .map(Self::from_segment)
    }
}

impl<T, L> Cortex<T, L>
where
    T: Shared,
    L: CortexSync,
{
    pub(super) fn from_segment(segment: Segment<L>) -> Self {
        assert_eq!(
            segment.size(),
            size_of::<T>(),
            "checked when it was created or attached"
        );
        Self {
            segment,
            value: PhantomData,
        }
    }

    /// Returns a copy of the current value. With the default lock a read stores nothing in the segment and takes no
    /// lock.
    ///
    /// # Errors
    /// `InvalidValue` where the bytes are not a `T`; `Timeout`, `Interrupted`, `Busy`, `Poisoned`, and any error of the
    /// lock.
    #[inline]
    pub fn read(&self) -> CortexResult<T> {
        self.read_within(Limit::Handle)
    }

    /// Returns the current value and its version: how many writes had been committed, up to the one that made this
    /// value.
    ///
    /// A loop that waits for change gives this version to [`Cortex::wait_changed`] next, so that it processes no commit
    /// twice. ([`Cortex::version`] before or after a read may be that of another commit.)
    ///
    /// ```
    /// use neocortex::CortexBuilder;
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// let cortex = CortexBuilder::new(1.5).random_key().create()?;
    /// let (value, version) = cortex.read_versioned()?;
    /// assert_eq!((value, version), (1.5, 0));
    /// cortex.write(2.5)?;
    /// // At once: there is a newer one than that.
    /// cortex.wait_changed(version, None)?;
    /// assert_eq!(cortex.read_versioned()?, (2.5, 1));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Cortex::read`].
    #[inline]
    pub fn read_versioned(&self) -> CortexResult<(T, u64)> {
        self.read_versioned_within(Limit::Handle)
    }

    /// [`Cortex::read`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Cortex::read`].
    pub fn try_read(&self) -> CortexResult<T> {
        self.read_within(Limit::Never)
    }

    #[inline]
    pub(super) fn read_within(&self, limit: Limit) -> CortexResult<T> {
        self.read_versioned_within(limit).map(|(value, _)| value)
    }

    #[inline]
    pub(super) fn read_versioned_within(&self, limit: Limit) -> CortexResult<(T, u64)> {
        if size_of::<T>() <= SMALL {
            let copy = |commit, slot: *mut u8| {
                // SAFETY: the slot holds a T in 64-aligned, padded memory (check at attach).
                (unsafe { copy::load_value::<T::Bits>(slot) }, commit)
            };
            let (bits, version) = self.segment.read_with(limit, copy)?;
            // SAFETY: every bit pattern is a T::Bits (AnyBitPattern), and all bytes were copied.
            let value = check_bits(unsafe { bits.assume_init_ref() }).on(self.key())?;
            return Ok((value, version));
        }
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: room for a T.
        let version =
            unsafe { load_checked(value.as_mut_ptr(), self.loader(limit)) }.on(self.key())?;
        // SAFETY: all bytes were copied, and make a T.
        Ok((unsafe { value.assume_init() }, version))
    }

    /// Returns a function that copies the value's bytes to a place with room for them, and returns which commit they
    /// are from.
    fn loader(&self, limit: Limit) -> impl FnOnce(*mut u8) -> CortexResult<u64> + '_ {
        // SAFETY: the segment has T's size (from_segment), and so has the place.
        move |place| unsafe { self.segment.load(0, place, size_of::<T>(), limit) }
    }

    /// Returns the current value in a box, for values that are too large for the stack. The value is copied once.
    ///
    /// # Errors
    /// As [`Cortex::read`]; `CleanSystem` (`ENOMEM`) where there is no memory for the box.
    pub fn read_boxed(&self) -> CortexResult<Box<T>> {
        load_boxed(self.loader(Limit::Handle)).on(self.key())
    }

    /// Copies the current value into `value`, for values that are too large for the stack, or that are read again and
    /// again.
    ///
    /// The value is copied once where any bytes are a `T`. Where they must be checked (enumerations, `bool`) it is
    /// copied a second time, by way of a box, because `value` is a `T` at all times.
    ///
    /// ```
    /// use neocortex::CortexBuilder;
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// let cortex = CortexBuilder::<[u8; 8 << 20]>::zeroed().random_key().create()?;
    /// let mut frame = neocortex::bytemuck::zeroed_box::<[u8; 8 << 20]>();
    /// cortex.read_into(&mut frame)?;
    /// frame[0] = 1;
    /// cortex.write_ref(&frame)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Cortex::read`]. `value` is then as before, or, where any bytes are a `T`, unspecified.
    pub fn read_into(&self, value: &mut T) -> CortexResult<()>
    where
        T: 'static,
    {
        self.read_into_within(value, Limit::Handle)
    }

    pub(crate) fn read_into_within(&self, value: &mut T, limit: Limit) -> CortexResult<()>
    where
        T: 'static,
    {
        load_into(value, self.loader(limit)).on(self.key())
    }

    /// Makes `value` the current one, for all processes at once. A process that dies in this call leaves the previous
    /// value.
    ///
    /// # Errors
    /// `Timeout`, `Interrupted`, `Busy`, `Removed`, and any error of the lock.
    #[inline]
    pub fn write(&self, value: T) -> CortexResult<()> {
        self.write_within(&value, Limit::Handle)
    }

    /// [`Cortex::write`] of a value that is passed by reference, for values that are too large for the stack.
    ///
    /// # Errors
    /// As [`Cortex::write`].
    pub fn write_ref(&self, value: &T) -> CortexResult<()> {
        self.write_within(value, Limit::Handle)
    }

    /// [`Cortex::write`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Cortex::write`].
    pub fn try_write(&self, value: T) -> CortexResult<()> {
        self.write_within(&value, Limit::Never)
    }

    #[inline(always)]
    pub(super) fn write_within(&self, value: &T, limit: Limit) -> CortexResult<()> {
        if size_of::<T>() <= SMALL {
            // SAFETY: as in `read_within`; the slot is ours between begin and commit.
            let copy = |slot| unsafe { copy::store_value(value, slot) };
            return self.segment.write_with(limit, true, LineRange::WHOLE, copy);
        }
        let bytes = bytemuck::bytes_of(value);
        // SAFETY: the segment has T's size (from_segment).
        unsafe { self.segment.store(0, bytes.as_ptr(), bytes.len(), limit) }
    }

    /// Creates a cortex as neocortex 3 did: with this key, or a random one; where the key is in use and
    /// `force_ownership` is set, adopts what is there.
    ///
    /// # Errors
    /// As [`CortexBuilder::with_lock`](crate::CortexBuilder::with_lock).
    #[deprecated(
        since = "4.0.0",
        note = "use `CortexBuilder::new(data).key(key).with_default_lock()`"
    )]
    pub fn new(
        key: Option<i32>,
        data: T,
        force_ownership: bool,
        lock_settings: Option<&L::Settings>,
    ) -> CortexResult<Self> {
        let mut options = SegmentOptions::new();
        if force_ownership && key.is_some() {
            options = options.force_ownership();
        }
        let key = key.map(Key::from);
        create(key.as_ref(), &options, Some(&data), lock_settings)
    }

    /// Returns the segment of bytes under the value.
    #[inline]
    pub fn segment(&self) -> &Segment<L> {
        &self.segment
    }

    /// Drops the handle, and returns the error that a plain drop can only log.
    ///
    /// # Errors
    /// As [`Segment::close`].
    pub fn close(self) -> CortexResult<()> {
        self.segment.close()
    }
}
