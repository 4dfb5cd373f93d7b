//! Attaching to an existing segment, and adopting one, which is attaching as its new owner.
//!
//! Attach, check everything, claim a slot, *then* read the state again: a replacer goes ready → closing first and looks
//! at the beacons after, so one of the two sees the other.

use super::creator::wait_for_creator;
use super::factory::{LockFactory, StaticLock};
use super::find::{
    arrive, await_open, check_name_in, check_shape, open_mapping, Arrival, ATTEMPTS, OVERTAKEN,
};
use super::handle::Segment;
use super::memory;
use super::options::SegmentOptions;
use super::presence::open_beacons;
use super::removal::{check_right_to_own, check_right_to_remove_set, finish_removal};
use crate::attachment::mapped_segment::{header, MappedSegment};
use crate::attachment::Attachment;
use crate::error::names::noted;
use crate::error::{Cause, CortexResult, Told};
use crate::key::{Key, Wanted};
use crate::locks::built_in::is_built_in;
use crate::locks::site::LockSite;
use crate::locks::CortexSync;
use crate::permission::Permission;
use crate::protocol::format::state;
use crate::sys::shm::{self, Mapped, Mapping};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

impl SegmentOptions {
    /// Attaches to an existing segment. A `size` of 0 accepts any size, and a schema of 0 any schema. Of the options,
    /// the schema, the alignment, the time-out, `wait_for_creator`, `interruptible`, `prefault` and `dump` have an
    /// effect.
    ///
    /// # Errors
    /// `CleanSystem` (`ENOENT`: no such key; `EACCES`), `NotACortex`, `Format`, `Layout`, `Lock`, `Name` (the key of
    /// this name is another name's), `NotReady`, `Full`, `Corrupt`, `InvalidArgument` (what is no name); `Timeout` with
    /// [`SegmentOptions::wait_for_creator`].
    pub fn attach<L: CortexSync>(
        &self,
        key: impl Into<Key>,
        size: usize,
    ) -> CortexResult<Segment<L>> {
        let key = key.into();
        attach(key.wanted()?, size, self, &StaticLock::new(None))
    }
}

/// With the default lock. For another one, see [`SegmentOptions`].
impl Segment {
    /// Attaches to an existing segment; a `size` of 0 accepts any size: see [`SegmentOptions::attach`].
    ///
    /// # Errors
    /// As [`SegmentOptions::attach`].
    pub fn attach(key: impl Into<Key>, size: usize) -> CortexResult<Self> {
        SegmentOptions::new().attach(key, size)
    }
}

pub(crate) fn attach<K: LockFactory>(
    wanted: Wanted<'_>,
    size: usize,
    options: &SegmentOptions,
    kind: &K,
) -> CortexResult<Segment<K::Lock>> {
    wait_for_creator(options, |timeout| {
        attach_within(wanted, size, options, kind, timeout)
    })
    .on(wanted.number)
}

/// `timeout` is how long to wait for a creator at work.
pub(super) fn attach_within<K: LockFactory>(
    wanted: Wanted<'_>,
    size: usize,
    options: &SegmentOptions,
    kind: &K,
    timeout: Option<Duration>,
) -> Result<Segment<K::Lock>, Cause> {
    let key = wanted.number;
    for _ in 0..ATTEMPTS {
        let mapping = match arrive(key, options, timeout)? {
            Arrival::Ready(mapping) => mapping,
            Arrival::Removed(mapping) => {
                finish_removal(&mapping, key)?;
                continue;
            }
        };
        let layout = header(&mapping).read(mapping.size())?;
        wanted.check(&layout.shape.name)?;
        wanted.note_found(&layout.shape.name);
        check_shape(size, options, &layout)?;
        let found = layout.shape.lock_name.clone();
        kind.accept(&found, layout.shape.lock_size)?;
        let (beacons, lit) = match open_beacons(&mapping, &layout, mapping.status()) {
            Err(Cause::Removed) => {
                // The set is gone: either the segment is too, or the set was removed alone.
                if header(&mapping).state() == state::REMOVED
                    || shm::find(key).is_ok_and(|id| id != mapping.id())
                {
                    continue;
                }
                let detail = "its semaphore set was removed";
                return Err(Cause::corrupt(detail));
            }
            result => result?,
        };
        let permission = Permission::Custom(layout.shape.mode);
        let mapped = MappedSegment::new(mapping, layout, key);
        let attachment = match Attachment::join(
            mapped,
            beacons,
            lit,
            kind.settle(&found),
            is_built_in(&found),
        ) {
            Err(Cause::Removed) => continue,
            result => Arc::new(result?),
        };
        // The slot is claimed: from here on a replacer sees this process. This process now sees a replacer that was
        // faster.
        if !await_open(&attachment.mapped.mapping, key, options)
            .map_err(|cause| cause.after(attachment.leave()))?
        {
            attachment.leave()?;
            continue;
        }
        memory::prefault(&attachment.mapped, options)
            .map_err(|cause| cause.after(attachment.leave()))?;
        let join = || {
            kind.attach(
                &found,
                LockSite {
                    attachment: &attachment,
                    permission,
                },
            )
        };
        let lock = match catch_unwind(AssertUnwindSafe(join)) {
            Ok(Ok(lock)) => lock,
            Ok(Err(error)) => return Err(Cause::from(error).after(attachment.leave())),
            Err(panic) => {
                let left = attachment.leave();
                tracing::error!(
                    key,
                    name = noted(key),
                    ?left,
                    "a lock panicked while it was attached"
                );
                resume_unwind(panic);
            }
        };
        return Ok(Segment::new(attachment, lock, options));
    }
    Err(OVERTAKEN)
}

/// Attaches as the new owner, which needs the right to remove the segment.
pub(super) fn adopt<K: LockFactory>(
    wanted: Wanted<'_>,
    size: usize,
    options: &SegmentOptions,
    kind: &K,
) -> Result<Segment<K::Lock>, Cause> {
    let mapping: Mapping = open_mapping(wanted.number)?;
    check_name_in(&mapping, wanted)?;
    check_right_to_own(&mapping)?;
    drop(mapping);
    let mut segment = attach_within(wanted, size, options, kind, options.timeout)?;
    // The key may belong to another segment by now.
    check_right_to_own(&segment.attachment.mapped.mapping)?;
    check_right_to_remove_set(segment.attachment.beacons.set())?;
    segment.own()?;
    segment.tell_lock();
    if options.persist {
        segment.persist();
    }
    Ok(segment)
}
