//! Access to a value without a copy, through a guard.

use super::cortex::Cortex;
use crate::error::CortexResult;
use crate::locks::CortexSync;
use crate::plain::{AnyBytes, Shared};
use crate::segment::{Contents, Limit, ReadGuard, WriteGuard};

impl<T, L> Cortex<T, L>
where
    T: Shared,
    L: CortexSync,
{
    /// Gives access to the current value without a copy. No process writes it while the guard lives.
    ///
    /// # Errors
    /// As [`Segment::read_guard`](crate::Segment::read_guard).
    #[inline]
    pub fn read_guard(&self) -> CortexResult<ReadGuard<'_, T, L>>
    where
        T: AnyBytes,
    {
        ReadGuard::begin(self.segment(), Limit::Handle)
    }

    /// Gives access to the next value without a copy. It starts as the current one; [`WriteGuard::commit`] makes it the
    /// current one, and dropping the guard rolls it back.
    ///
    /// # Errors
    /// As [`Segment::write_guard`](crate::Segment::write_guard).
    #[inline]
    pub fn write_guard(&self) -> CortexResult<WriteGuard<'_, T, L>>
    where
        T: AnyBytes,
    {
        WriteGuard::begin(self.segment(), Limit::Handle, Contents::Current)
    }

    /// [`Cortex::write_guard`] for a caller that writes the whole value: it starts as an unspecified older one. See
    /// [`Segment::overwrite_guard`](crate::Segment::overwrite_guard).
    ///
    /// # Errors
    /// As [`Segment::overwrite_guard`](crate::Segment::overwrite_guard).
    #[inline]
    pub fn overwrite_guard(&self) -> CortexResult<WriteGuard<'_, T, L>>
    where
        T: AnyBytes,
    {
        WriteGuard::begin(self.segment(), Limit::Handle, Contents::Unspecified)
    }
}
