//! From copied bytes to a value: the bytes are a `T` only if they pass its check.

use crate::error::{Attempt, Cause, CortexResult};
use crate::sys::{errno, Failure};
use bytemuck::CheckedBitPattern;
use std::any::TypeId;
use std::mem::MaybeUninit;

/// Returns room for a value. A lack of memory is an error here, and does not end the program.
pub(super) fn boxed<T>() -> Result<Box<MaybeUninit<T>>, Cause> {
    let mut room = Vec::<MaybeUninit<T>>::new();
    if room.try_reserve_exact(1).is_err() {
        let error = std::io::Error::from_raw_os_error(errno::ENOMEM);
        let call = "malloc";
        return Err(Failure { call, error }).attempt("copy the value of");
    }
    // SAFETY: there is room for one, and a MaybeUninit needs no value. (A push would take it by way of the stack.)
    unsafe { room.set_len(1) };
    let slice = Box::into_raw(room.into_boxed_slice());
    // SAFETY: a boxed slice of one element has the layout of a box of it, and was just given up.
    Ok(unsafe { Box::from_raw(slice.cast()) })
}

/// Copies a value to a place, checks it there, and returns which commit it is from. After an error the place holds
/// unspecified bytes.
///
/// # Safety
/// `place` is aligned and valid for writing and reading a `T`; where `load` succeeds it has written all of its bytes.
pub(super) unsafe fn load_checked<T: CheckedBitPattern>(
    place: *mut T,
    load: impl FnOnce(*mut u8) -> CortexResult<u64>,
) -> Result<u64, Cause> {
    let version = load(place.cast())?;
    // SAFETY: T::Bits has T's size and alignment (CheckedBitPattern), every bit pattern is one of its values,
    // and all bytes were copied.
    match T::is_valid_bit_pattern(unsafe { &*place.cast::<T::Bits>() }) {
        true => Ok(version),
        false => Err(invalid::<T>()),
    }
}

/// Returns a value in a box, loaded and checked there.
pub(super) fn load_boxed<T: CheckedBitPattern>(
    load: impl FnOnce(*mut u8) -> CortexResult<u64>,
) -> Result<Box<T>, Cause> {
    let mut value = boxed::<T>()?;
    // SAFETY: a box of a T's size and alignment, to which no other code has a pointer.
    unsafe { load_checked(value.as_mut_ptr(), load) }?;
    // SAFETY: all bytes were copied, and make a T.
    Ok(unsafe { value.assume_init() })
}

/// Loads a value over another one. The place holds a `T` at all times.
pub(super) fn load_into<T: CheckedBitPattern + 'static>(
    value: &mut T,
    load: impl FnOnce(*mut u8) -> CortexResult<u64>,
) -> Result<(), Cause> {
    if TypeId::of::<T>() == TypeId::of::<T::Bits>() {
        // SAFETY: a reference to a T; whatever bytes an attempt leaves are a T, for T is its own bits.
        return unsafe { load_checked(value, load) }.map(drop);
    }
    let loaded = load_boxed(load)?;
    // SAFETY: two different values of a type that is Copy. (An assignment would take it by way of the stack.)
    unsafe { std::ptr::copy_nonoverlapping(&*loaded, value, 1) };
    Ok(())
}

/// Returns the value that bits make which were copied racily and are checked here.
#[inline]
pub(super) fn check_bits<T: CheckedBitPattern>(bits: &T::Bits) -> Result<T, Cause> {
    if T::is_valid_bit_pattern(bits) {
        // SAFETY: CheckedBitPattern promises that bits which pass its check are a T, and that the
        // two types have the same size.
        return Ok(unsafe { std::mem::transmute_copy(bits) });
    }
    Err(invalid::<T>())
}

#[cold]
pub(super) fn invalid<T>() -> Cause {
    Cause::InvalidValue(std::any::type_name::<T>())
}
