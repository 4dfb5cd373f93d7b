//! A typed value that several processes share.

use crate::commit::Lines;
use crate::copy;
use crate::error::{CortexError, CortexResult};
use crate::segment::{Limit, Payload, ReadGuard, Segment, SegmentOptions, WriteGuard};
use crate::sync::{CortexSync, SeqLock};
use bytemuck::{AnyBitPattern, CheckedBitPattern, NoUninit};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::time::Duration;

/// A value of type `T` in a System V segment, with a lock that travels with it.
///
/// `T` is plain data without padding ([`NoUninit`]) whose bytes are checked when they are read
/// ([`CheckedBitPattern`]): numbers, arrays of them, and structs and enums that derive the two. A
/// `String`, a `Vec` or a reference does not compile, for what it points to is not shared:
///
/// ```compile_fail
/// neocortex::CortexBuilder::new(String::from("no")).key(5).create().unwrap();
/// ```
///
/// Threads may share a handle. A forked child may go on using an inherited one; its drop removes
/// nothing. The owner (the handle that created the cortex, or forced ownership) removes it when it is
/// dropped; those still attached keep their memory.
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
#[derive(Debug)]
pub struct Cortex<T, L: CortexSync = SeqLock> {
    segment: Segment<L>,
    value: PhantomData<fn(T) -> T>,
}

/// Values up to this many bytes are copied by word moves that the compiler lays out; larger ones by
/// the copy for any length.
const SMALL: usize = 64;

/// What the options of a typed segment are, given those of the caller.
pub(crate) fn options_for<T>(options: &SegmentOptions) -> SegmentOptions {
    options
        .clone()
        .align(u32::try_from(align_of::<T>()).unwrap_or(u32::MAX))
}

/// The value that racily copied, then validated bits make.
#[inline]
pub(crate) fn check_bits<T: CheckedBitPattern>(key: i32, bits: &T::Bits) -> CortexResult<T> {
    if T::is_valid_bit_pattern(bits) {
        // SAFETY: CheckedBitPattern promises that bits which pass its check are a T, and that the
        // two types have the same size.
        return Ok(unsafe { std::mem::transmute_copy(bits) });
    }
    Err(invalid::<T>(key))
}

#[cold]
fn invalid<T>(key: i32) -> CortexError {
    CortexError::InvalidValue {
        key,
        type_name: std::any::type_name::<T>(),
    }
}

impl<T, L> Cortex<T, L>
where
    T: CheckedBitPattern + NoUninit,
    L: CortexSync,
{
    pub(crate) fn from_segment(segment: Segment<L>) -> Self {
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

    /// Attaches to the cortex with this key. Both sides must use the same `T` and the same lock; what
    /// is compared is size, alignment, the lock's name, and the schema where the builder set one.
    ///
    /// # Errors
    /// `CleanSystem` (`ENOENT`: no such key; `EACCES`: not permitted), `NotACortex`, `Format`,
    /// `Layout`, `Lock`, `NotReady`, `Full`, `Corrupt`.
    pub fn attach(key: i32) -> CortexResult<Self> {
        Self::attach_with(key, &SegmentOptions::new())
    }

    /// [`Cortex::attach`] that also compares the schema, or begins with a time-out.
    ///
    /// # Errors
    /// As [`Cortex::attach`].
    pub fn attach_with(key: i32, options: &SegmentOptions) -> CortexResult<Self> {
        if size_of::<T>() == 0 {
            return Err(CortexError::invalid(
                key,
                "a type of size 0 has nothing to share",
            ));
        }
        options_for::<T>(options)
            .attach(key, size_of::<T>())
            .map(Self::from_segment)
    }

    /// The current value, copied out. With the default lock this stores nothing and takes nothing.
    ///
    /// # Errors
    /// `InvalidValue` where the bytes are not a `T`; `Timeout`, `Interrupted`, `Busy`, `Poisoned`,
    /// and whatever the lock fails with.
    #[inline]
    pub fn read(&self) -> CortexResult<T> {
        self.read_within(Limit::Handle)
    }

    /// [`Cortex::read`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Cortex::read`].
    pub fn try_read(&self) -> CortexResult<T> {
        self.read_within(Limit::Never)
    }

    #[inline]
    fn read_within(&self, limit: Limit) -> CortexResult<T> {
        if size_of::<T>() <= SMALL {
            let copy = |slot: *mut u8| {
                // SAFETY: the slot holds a T in 64-aligned, padded memory (check at attach).
                unsafe { copy::load_value::<T::Bits>(slot) }
            };
            let bits = self.segment.read_with(limit, copy)?;
            // SAFETY: every bit pattern is a T::Bits (AnyBitPattern), and all bytes were copied.
            return check_bits(self.key(), unsafe { bits.assume_init_ref() });
        }
        let mut bits = MaybeUninit::<T::Bits>::uninit();
        // SAFETY: T::Bits has T's size, which is the segment's (from_segment).
        unsafe {
            self.segment
                .load(0, bits.as_mut_ptr().cast(), size_of::<T>(), limit)?
        };
        // SAFETY: as above.
        check_bits(self.key(), unsafe { bits.assume_init_ref() })
    }

    /// Makes `value` the current one, for everybody at once. A process that dies in here leaves the
    /// value before.
    ///
    /// # Errors
    /// `Timeout`, `Interrupted`, `Busy`, `Removed`, and whatever the lock fails with.
    #[inline]
    pub fn write(&self, value: T) -> CortexResult<()> {
        self.write_within(&value, Limit::Handle)
    }

    /// [`Cortex::write`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Cortex::write`].
    pub fn try_write(&self, value: T) -> CortexResult<()> {
        self.write_within(&value, Limit::Never)
    }

    #[inline]
    fn write_within(&self, value: &T, limit: Limit) -> CortexResult<()> {
        if size_of::<T>() <= SMALL {
            // SAFETY: as in `read_within`; the slot is ours between begin and commit.
            let copy = |slot| unsafe { copy::store_value(value, slot) };
            return self.segment.write_with(limit, true, Lines::WHOLE, copy);
        }
        let bytes = bytemuck::bytes_of(value);
        // SAFETY: the segment has T's size (from_segment).
        unsafe { self.segment.store(0, bytes.as_ptr(), bytes.len(), limit) }
    }

    /// Changes the value by `change`, as one step: nobody writes in between, and if `change` panics
    /// nothing has happened. Returns what `change` returns.
    ///
    /// # Errors
    /// Those of reading and of writing. Calling the same handle from within `change` is `Busy`.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> CortexResult<R> {
        self.segment.update_with(|slot| {
            let mut bits = MaybeUninit::<T::Bits>::uninit();
            // SAFETY: the slot holds T's bytes; every bit pattern is a T::Bits.
            let bits = unsafe {
                copy::load(slot, bits.as_mut_ptr().cast(), size_of::<T>());
                bits.assume_init_ref()
            };
            let mut value: T = check_bits(self.key(), bits)?;
            let result = change(&mut value);
            Ok((value, result))
        })
    }

    /// Bytes of the segment under the value.
    pub fn segment(&self) -> &Segment<L> {
        &self.segment
    }

    /// Drops the handle and says what went wrong, which a plain drop can only log.
    ///
    /// # Errors
    /// As [`Segment::close`].
    pub fn close(self) -> CortexResult<()> {
        self.segment.close()
    }

    /// The key it was created under.
    pub fn key(&self) -> i32 {
        self.segment.key()
    }

    /// How many writes were committed since it was created.
    pub fn version(&self) -> u64 {
        self.segment.version()
    }

    /// Whether dropping this handle, in this process, removes the cortex.
    pub fn is_owner(&self) -> bool {
        self.segment.is_owner()
    }

    /// How long any wait through this handle may last: see [`Segment::set_timeout`].
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        self.segment.set_timeout(timeout);
    }

    /// Sleeps until the version is another than `since`: see [`Segment::wait_changed`].
    ///
    /// # Errors
    /// As [`Segment::wait_changed`].
    pub fn wait_changed(&self, since: u64, timeout: Option<Duration>) -> CortexResult<u64> {
        self.segment.wait_changed(since, timeout)
    }

    /// Ends every wait through this handle, or the next one: see [`Segment::interrupt`].
    pub fn interrupt(&self) {
        self.segment.interrupt();
    }

    /// From now on dropping the handle removes nothing.
    pub fn persist(&self) {
        self.segment.persist();
    }

    /// Heals an in-place cortex: see [`Segment::clear_poison`].
    ///
    /// # Errors
    /// As [`Segment::clear_poison`].
    pub fn clear_poison(&self) -> CortexResult<()> {
        self.segment.clear_poison()
    }
}

impl<T, L> Cortex<T, L>
where
    T: AnyBitPattern + NoUninit + Payload,
    L: CortexSync,
{
    /// The current value without a copy; nobody writes while the guard lives.
    ///
    /// # Errors
    /// As [`Segment::read_guard`].
    #[inline]
    pub fn read_guard(&self) -> CortexResult<ReadGuard<'_, T, L>> {
        ReadGuard::begin(&self.segment)
    }

    /// The next value without a copy, starting as the current one; committed by
    /// [`WriteGuard::commit`], rolled back when dropped.
    ///
    /// # Errors
    /// As [`Segment::write_guard`].
    #[inline]
    pub fn write_guard(&self) -> CortexResult<WriteGuard<'_, T, L>> {
        WriteGuard::begin(&self.segment)
    }
}
