//! Calls with a time-out of their own, which leave the handle's time-out as it is.
//!
//! [`Segment::set_timeout`] applies to the handle, and so to every thread that uses it: a thread that sets it for one
//! call changes how long the others wait. These calls change nothing that is shared.

use super::cortex::Cortex;
use crate::error::CortexResult;
use crate::locks::CortexSync;
use crate::plain::{AnyBytes, Shared};
use crate::segment::{Contents, Limit, ReadGuard, Segment, SegmentObserver, WriteGuard};
use std::time::Duration;

impl<L: CortexSync> Segment<L> {
    /// [`Segment::read_at`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Segment::read_at`].
    pub fn read_at_for(
        &self,
        timeout: Duration,
        offset: usize,
        buffer: &mut [u8],
    ) -> CortexResult<()> {
        self.read_at_within(offset, buffer, Limit::lasting(Some(timeout)))
            .map(drop)
    }

    /// [`Segment::read_versioned`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Segment::read_at`].
    pub fn read_versioned_for(
        &self,
        timeout: Duration,
        offset: usize,
        buffer: &mut [u8],
    ) -> CortexResult<u64> {
        self.read_at_within(offset, buffer, Limit::lasting(Some(timeout)))
    }

    /// [`Segment::write_at`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Segment::write_at`].
    pub fn write_at_for(&self, timeout: Duration, offset: usize, data: &[u8]) -> CortexResult<()> {
        self.write_at_within(offset, data, Limit::lasting(Some(timeout)))
    }

    /// [`Segment::read_guard`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Segment::read_guard`].
    pub fn read_guard_for(&self, timeout: Duration) -> CortexResult<ReadGuard<'_, [u8], L>> {
        ReadGuard::begin(self, Limit::lasting(Some(timeout)))
    }

    /// [`Segment::write_guard`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Segment::write_guard`].
    pub fn write_guard_for(&self, timeout: Duration) -> CortexResult<WriteGuard<'_, [u8], L>> {
        WriteGuard::begin(self, Limit::lasting(Some(timeout)), Contents::Current)
    }

    /// [`Segment::read_guard`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Segment::read_guard`].
    pub fn try_read_guard(&self) -> CortexResult<ReadGuard<'_, [u8], L>> {
        ReadGuard::begin(self, Limit::Never)
    }

    /// [`Segment::write_guard`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Segment::write_guard`].
    pub fn try_write_guard(&self) -> CortexResult<WriteGuard<'_, [u8], L>> {
        WriteGuard::begin(self, Limit::Never, Contents::Current)
    }

    /// [`Segment::overwrite_guard`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Segment::overwrite_guard`].
    pub fn overwrite_guard_for(&self, timeout: Duration) -> CortexResult<WriteGuard<'_, [u8], L>> {
        let limit = Limit::lasting(Some(timeout));
        WriteGuard::begin(self, limit, Contents::Unspecified)
    }

    /// [`Segment::overwrite_guard`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Segment::overwrite_guard`].
    pub fn try_overwrite_guard(&self) -> CortexResult<WriteGuard<'_, [u8], L>> {
        WriteGuard::begin(self, Limit::Never, Contents::Unspecified)
    }
}

impl SegmentObserver {
    /// [`SegmentObserver::read_versioned`] that waits no longer than `timeout`, whatever the observer's time-out is.
    ///
    /// # Errors
    /// As [`SegmentObserver::read_at`].
    pub fn read_versioned_for(
        &self,
        timeout: Duration,
        offset: usize,
        buffer: &mut [u8],
    ) -> CortexResult<u64> {
        self.read_at_within(offset, buffer, Some(timeout))
    }
}

impl<T, L> Cortex<T, L>
where
    T: Shared,
    L: CortexSync,
{
    /// [`Cortex::read`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Cortex::read`].
    pub fn read_for(&self, timeout: Duration) -> CortexResult<T> {
        self.read_within(Limit::lasting(Some(timeout)))
    }

    /// [`Cortex::write`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// ```
    /// use neocortex::{CortexBuilder, CortexError};
    /// use std::time::Duration;
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// let cortex = CortexBuilder::new(1.5).random_key().create()?;
    /// match cortex.write_for(2.5, Duration::from_millis(20)) {
    ///     Err(CortexError::Timeout { .. }) => println!("another process holds it"),
    ///     result => result?,
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Cortex::write`].
    pub fn write_for(&self, value: T, timeout: Duration) -> CortexResult<()> {
        self.write_within(&value, Limit::lasting(Some(timeout)))
    }

    /// [`Cortex::read_versioned`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Cortex::read`].
    pub fn read_versioned_for(&self, timeout: Duration) -> CortexResult<(T, u64)> {
        self.read_versioned_within(Limit::lasting(Some(timeout)))
    }

    /// [`Cortex::read_into`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Cortex::read_into`].
    pub fn read_into_for(&self, value: &mut T, timeout: Duration) -> CortexResult<()>
    where
        T: 'static,
    {
        self.read_into_within(value, Limit::lasting(Some(timeout)))
    }

    /// [`Cortex::write_ref`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Cortex::write`].
    pub fn write_ref_for(&self, value: &T, timeout: Duration) -> CortexResult<()> {
        self.write_within(value, Limit::lasting(Some(timeout)))
    }

    /// [`Cortex::update`] that waits no longer than `timeout` for the lock, whatever the handle's time-out is; with
    /// [`Duration::ZERO`] it does not wait.
    ///
    /// # Errors
    /// As [`Cortex::update`].
    pub fn update_for<R>(
        &self,
        timeout: Duration,
        change: impl FnOnce(&mut T) -> R,
    ) -> CortexResult<R> {
        self.update_within(Limit::lasting(Some(timeout)), change)
    }
}

impl<T, L> Cortex<T, L>
where
    T: Shared,
    L: CortexSync,
{
    /// [`Cortex::read_guard`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Segment::read_guard`].
    pub fn read_guard_for(&self, timeout: Duration) -> CortexResult<ReadGuard<'_, T, L>>
    where
        T: AnyBytes,
    {
        ReadGuard::begin(self.segment(), Limit::lasting(Some(timeout)))
    }

    /// [`Cortex::write_guard`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Segment::write_guard`].
    pub fn write_guard_for(&self, timeout: Duration) -> CortexResult<WriteGuard<'_, T, L>>
    where
        T: AnyBytes,
    {
        WriteGuard::begin(
            self.segment(),
            Limit::lasting(Some(timeout)),
            Contents::Current,
        )
    }

    /// [`Cortex::read_guard`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Segment::read_guard`].
    pub fn try_read_guard(&self) -> CortexResult<ReadGuard<'_, T, L>>
    where
        T: AnyBytes,
    {
        ReadGuard::begin(self.segment(), Limit::Never)
    }

    /// [`Cortex::write_guard`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Segment::write_guard`].
    pub fn try_write_guard(&self) -> CortexResult<WriteGuard<'_, T, L>>
    where
        T: AnyBytes,
    {
        WriteGuard::begin(self.segment(), Limit::Never, Contents::Current)
    }

    /// [`Cortex::overwrite_guard`] that waits no longer than `timeout`, whatever the handle's time-out is.
    ///
    /// # Errors
    /// As [`Segment::overwrite_guard`].
    pub fn overwrite_guard_for(&self, timeout: Duration) -> CortexResult<WriteGuard<'_, T, L>>
    where
        T: AnyBytes,
    {
        let limit = Limit::lasting(Some(timeout));
        WriteGuard::begin(self.segment(), limit, Contents::Unspecified)
    }

    /// [`Cortex::overwrite_guard`] that never waits: `Timeout` where it would have to.
    ///
    /// # Errors
    /// As [`Segment::overwrite_guard`].
    pub fn try_overwrite_guard(&self) -> CortexResult<WriteGuard<'_, T, L>>
    where
        T: AnyBytes,
    {
        WriteGuard::begin(self.segment(), Limit::Never, Contents::Unspecified)
    }
}
