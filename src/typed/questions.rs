//! What a cortex and an observer tell of themselves, and how long their waits may last: the calls that are the same for
//! every type, passed on to the bytes underneath.

use super::cortex::Cortex;
use super::observer::Observer;
use crate::error::CortexResult;
use crate::locks::CortexSync;
use crate::plain::{Readable, Shared};
#[allow(unused_imports)] // For the links.
use crate::segment::{Segment, SegmentObserver};
use std::any::type_name;
use std::fmt;
use std::time::Duration;

impl<T, L> Cortex<T, L>
where
    T: Shared,
    L: CortexSync,
{
    /// Returns the key that the cortex was created under.
    pub fn key(&self) -> i32 {
        self.segment().key()
    }

    /// Returns the name that the cortex was created under; it is empty where the cortex was created by number.
    pub fn name(&self) -> &str {
        self.segment().name()
    }

    /// Returns how many writes were committed since the cortex was created.
    pub fn version(&self) -> u64 {
        self.segment().version()
    }

    /// Returns the schema that the cortex was created with; 0 is none.
    pub fn schema(&self) -> u64 {
        self.segment().schema()
    }

    /// Returns whether the cortex was removed: see [`Segment::is_removed`].
    pub fn is_removed(&self) -> bool {
        self.segment().is_removed()
    }

    /// Returns whether a write in place was left unfinished: see [`Segment::is_poisoned`].
    pub fn is_poisoned(&self) -> bool {
        self.segment().is_poisoned()
    }

    /// Returns how many participants are attached now, and how many can be: see [`Segment::participants`].
    ///
    /// # Errors
    /// As [`Segment::participants`].
    pub fn participants(&self) -> CortexResult<(u32, u32)> {
        self.segment().participants()
    }

    /// Returns the id by which other processes can ask whether this one lives: see [`Segment::participant`].
    ///
    /// # Errors
    /// As [`Segment::participant`].
    pub fn participant(&self) -> CortexResult<u32> {
        self.segment().participant()
    }

    /// Returns whether the participant with this id lives: see [`Segment::is_alive`].
    ///
    /// # Errors
    /// As [`Segment::is_alive`].
    pub fn is_alive(&self, participant: u32) -> CortexResult<bool> {
        self.segment().is_alive(participant)
    }

    /// Returns whether this handle made the cortex rather than finding it.
    pub fn was_created(&self) -> bool {
        self.segment().was_created()
    }

    /// Returns whether dropping this handle, in this process, removes the cortex.
    pub fn is_owner(&self) -> bool {
        self.segment().is_owner()
    }

    /// Sets how long any wait through this handle may last: see [`Segment::set_timeout`].
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        self.segment().set_timeout(timeout);
    }

    /// Returns the time-out in force: see [`Segment::timeout`].
    pub fn timeout(&self) -> Option<Duration> {
        self.segment().timeout()
    }

    /// Sleeps until the version is another than `since`: see [`Segment::wait_changed`].
    ///
    /// # Errors
    /// As [`Segment::wait_changed`].
    pub fn wait_changed(&self, since: u64, timeout: Option<Duration>) -> CortexResult<u64> {
        self.segment().wait_changed(since, timeout)
    }

    /// Ends every wait through this handle, or the next one: see [`Segment::interrupt`].
    pub fn interrupt(&self) {
        self.segment().interrupt();
    }

    /// Ends every wait through this handle, also those that begin later: see [`Segment::stop_waits`].
    pub fn stop_waits(&self) {
        self.segment().stop_waits();
    }

    /// Lets calls through this handle wait again: see [`Segment::resume_waits`].
    pub fn resume_waits(&self) {
        self.segment().resume_waits();
    }

    /// Makes the cortex stay when this handle is dropped: see [`Segment::persist`].
    pub fn persist(&self) {
        self.segment().persist();
    }

    /// Makes this handle the one that removes the cortex when it is dropped: see [`Segment::take_ownership`].
    ///
    /// # Errors
    /// As [`Segment::take_ownership`].
    pub fn take_ownership(&self) -> CortexResult<()> {
        self.segment().take_ownership()
    }

    /// Declares an unfinished write in an in-place cortex finished: see [`Segment::clear_poison`].
    ///
    /// # Errors
    /// As [`Segment::clear_poison`].
    pub fn clear_poison(&self) -> CortexResult<()> {
        self.segment().clear_poison()
    }
}

impl<T: Readable> Observer<T> {
    /// Returns the key that the cortex was created under.
    pub fn key(&self) -> i32 {
        self.segment().key()
    }

    /// Returns the name that the cortex was created under; it is empty where the cortex was created by number.
    pub fn name(&self) -> &str {
        self.segment().name()
    }

    /// Returns how many writes were committed since the cortex was created.
    pub fn version(&self) -> u64 {
        self.segment().version()
    }

    /// Returns the schema that the cortex was created with; 0 is none.
    pub fn schema(&self) -> u64 {
        self.segment().schema()
    }

    /// Returns whether the cortex was removed: see [`SegmentObserver::is_removed`].
    pub fn is_removed(&self) -> bool {
        self.segment().is_removed()
    }

    /// Returns whether a write in place was left unfinished: see [`SegmentObserver::is_poisoned`].
    pub fn is_poisoned(&self) -> bool {
        self.segment().is_poisoned()
    }

    /// Returns how many participants are attached now, and how many can be: see [`SegmentObserver::participants`].
    ///
    /// # Errors
    /// As [`SegmentObserver::participants`].
    pub fn participants(&self) -> CortexResult<(u32, u32)> {
        self.segment().participants()
    }

    /// Sets how long a read or a wait may last: see [`SegmentObserver::set_timeout`].
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        self.segment().set_timeout(timeout);
    }

    /// Returns the time-out in force.
    pub fn timeout(&self) -> Option<Duration> {
        self.segment().timeout()
    }

    /// Sleeps until the version is another than `since`, and returns it: see [`SegmentObserver::wait_changed`].
    ///
    /// # Errors
    /// As [`SegmentObserver::wait_changed`].
    pub fn wait_changed(&self, since: u64, timeout: Option<Duration>) -> CortexResult<u64> {
        self.segment().wait_changed(since, timeout)
    }

    /// Ends every wait through this observer, or the next one: see [`SegmentObserver::interrupt`].
    pub fn interrupt(&self) {
        self.segment().interrupt();
    }

    /// Ends every wait through this observer, also those that begin later: see [`SegmentObserver::stop_waits`].
    pub fn stop_waits(&self) {
        self.segment().stop_waits();
    }

    /// Lets calls through this observer wait again: see [`SegmentObserver::resume_waits`].
    pub fn resume_waits(&self) {
        self.segment().resume_waits();
    }
}

impl<T, L> fmt::Debug for Cortex<T, L>
where
    T: Shared,
    L: CortexSync,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Cortex");
        shown.field("type", &format_args!("{}", type_name::<T>()));
        self.segment().show(&mut shown);
        shown.finish_non_exhaustive()
    }
}

impl<T: Readable> fmt::Debug for Observer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Observer");
        shown.field("type", &format_args!("{}", type_name::<T>()));
        self.segment().show(&mut shown);
        shown.finish_non_exhaustive()
    }
}
