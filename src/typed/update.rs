//! Changing a value by a function of the current one, under the lock.

use super::checked::{boxed, check_bits, invalid};
use super::cortex::Cortex;
use crate::copy;
use crate::error::{CortexError, CortexResult, Told};
use crate::locks::CortexSync;
use crate::plain::Shared;
use crate::segment::Limit;
use std::mem::MaybeUninit;

/// Values up to this many bytes are changed on the stack; larger ones in a box.
const INLINE: usize = 1024;

impl<T, L> Cortex<T, L>
where
    T: Shared,
    L: CortexSync,
{
    /// Changes the value by `change`, as one step: no process writes in between, and if `change` panics the value is as
    /// before. Returns what `change` returns.
    ///
    /// # Errors
    /// The errors of reading and of writing; where the lock's release fails, the change has been made. A call on the
    /// same cortex from within `change` fails with `Busy`, through whichever handle.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> CortexResult<R> {
        self.update_within(Limit::Handle, change)
    }

    pub(crate) fn update_within<R>(
        &self,
        limit: Limit,
        change: impl FnOnce(&mut T) -> R,
    ) -> CortexResult<R> {
        self.change(limit, |value| Ok(change(value)))
    }

    /// [`Cortex::update`] with a change that may refuse: if it returns an error, or panics, the value is as before.
    ///
    /// ```
    /// use neocortex::{CortexBuilder, CortexError};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let stock = CortexBuilder::new(3_u32).random_key().create()?;
    /// let sell = |count: u32| {
    ///     stock.try_update(|left| -> Result<u32, Box<dyn std::error::Error>> {
    ///         *left = left.checked_sub(count).ok_or("not so many left")?;
    ///         Ok(*left)
    ///     })
    /// };
    /// assert_eq!(sell(2)?, 1);
    /// assert!(sell(2).is_err());
    /// assert_eq!(stock.read()?, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What `change` returns, and what [`Cortex::update`] fails with.
    pub fn try_update<R, E: From<CortexError>>(
        &self,
        change: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        self.change(Limit::Handle, change)
    }

    /// Changes small values on the stack, and large ones in a box.
    fn change<R, E: From<CortexError>>(
        &self,
        limit: Limit,
        change: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        if size_of::<T>() > INLINE {
            return self
                .segment()
                .update_with::<T, Box<T>, R, E>(limit, |slot| {
                    let mut bits = boxed::<T>().on(self.key())?;
                    // SAFETY: the slot holds T's bytes, and the box has room for them.
                    unsafe { copy::load(slot, bits.as_mut_ptr().cast(), size_of::<T>()) };
                    // SAFETY: as in `load_checked`.
                    if !T::is_valid_bit_pattern(unsafe { &*bits.as_ptr().cast::<T::Bits>() }) {
                        return Err(invalid::<T>().on(self.key()).into());
                    }
                    // SAFETY: all bytes were copied, and make a T.
                    let mut value = unsafe { bits.assume_init() };
                    let result = change(&mut value)?;
                    Ok((value, result))
                });
        }
        self.segment().update_with::<T, T, R, E>(limit, |slot| {
            let mut bits = MaybeUninit::<T::Bits>::uninit();
            // SAFETY: the slot holds T's bytes; every bit pattern is a T::Bits.
            let bits = unsafe {
                copy::load(slot, bits.as_mut_ptr().cast(), size_of::<T>());
                bits.assume_init_ref()
            };
            let mut value: T = check_bits(bits).on(self.key())?;
            let result = change(&mut value)?;
            Ok((value, result))
        })
    }
}
