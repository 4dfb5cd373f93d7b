//! Creating: `shmget(IPC_EXCL)` with the mark of [`birth`], attach, header, the mode that was asked for, semaphore set,
//! own slot, then lock and value, and initialising → ready; last, a check whether the key is still ours. After a
//! failure every step is taken back in the opposite order; what cannot be taken back is named in a `DirtySystem`.
//! Wherever the creator dies, other processes know that what it leaves is ours, and from the slot on they know at once
//! that it died.

use super::attach::adopt;
use super::either::create_or_attach;
use super::existing::describe_existing;
use super::factory::{LockFactory, StaticLock};
use super::find::{check_key, check_name, Pauses, ATTEMPTS, OVERTAKEN};
use super::handle::Segment;
use super::memory;
use super::options::SegmentOptions;
use super::records;
use super::replace::{is_over, patience, replace};
use super::vanishing::warn_where_it_vanishes;
use crate::attachment::mapped_segment::{header, MappedSegment};
use crate::attachment::{remove_segment, Attachment};
use crate::copy;
use crate::error::names::noted;
use crate::error::remedy::remedy_for_owner;
use crate::error::{both, Attempt, Cause, CortexResult, Told};
use crate::key::{Key, Wanted};
use crate::locks::built_in::is_built_in;
use crate::locks::site::LockSite;
use crate::locks::CortexSync;
use crate::permission::{Owner, Permission};
use crate::protocol::beacons::{remove_set, Beacons};
use crate::protocol::format::{birth, state, Layout};
use crate::sys::shm::{self, Mapped, Mapping};
use crate::sys::{self, errno, random};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::Arc;

/// How many random keys are drawn before the call gives up.
const KEY_ATTEMPTS: u32 = 20;

impl SegmentOptions {
    /// Creates a zero-filled segment of `size` bytes.
    ///
    /// # Errors
    /// `CleanSystem` (`EEXIST`: the key is in use; the message says whether it is stale),
    /// `InvalidArgument`, `Name` (the key of this name is another name's), `Busy` with
    /// [`SegmentOptions::replace_stale`].
    pub fn create<L: CortexSync>(
        &self,
        key: impl Into<Key>,
        size: usize,
    ) -> CortexResult<Segment<L>> {
        let key = key.into();
        let wanted = Some(key.wanted()?);
        create(wanted, size, self, &StaticLock::new(None), None)
    }

    /// Creates a segment with these bytes, whose number is its size. No process ever attaches to anything else than all
    /// of them, which are the value of commit 0.
    ///
    /// # Errors
    /// As [`SegmentOptions::create`].
    pub fn create_with<L: CortexSync>(
        &self,
        key: impl Into<Key>,
        initial: &[u8],
    ) -> CortexResult<Segment<L>> {
        let key = key.into();
        let wanted = Some(key.wanted()?);
        let kind = StaticLock::new(None);
        create(wanted, initial.len(), self, &kind, Some(initial))
    }

    /// Attaches to the segment that has the key, or creates a zero-filled one where none has it: see
    /// [`SegmentOptions::open_or_create`].
    ///
    /// # Errors
    /// As [`SegmentOptions::create`] and [`SegmentOptions::attach`].
    pub fn create_or_attach<L: CortexSync>(
        &self,
        key: impl Into<Key>,
        size: usize,
    ) -> CortexResult<Segment<L>> {
        self.clone().open_or_create().create(key, size)
    }

    /// Creates a zero-filled segment under a random key, which [`Segment::key`] then returns.
    ///
    /// # Errors
    /// As [`SegmentOptions::create`].
    pub fn create_random<L: CortexSync>(&self, size: usize) -> CortexResult<Segment<L>> {
        create(None, size, self, &StaticLock::new(None), None)
    }
}

/// With the default lock. For another one, see [`SegmentOptions`].
impl Segment {
    /// Creates a zero-filled segment with default options: see [`SegmentOptions::create`].
    ///
    /// # Errors
    /// As [`SegmentOptions::create`].
    pub fn create(key: impl Into<Key>, size: usize) -> CortexResult<Self> {
        SegmentOptions::new().create(key, size)
    }

    /// Creates a zero-filled segment under a random key, with default options.
    ///
    /// # Errors
    /// As [`SegmentOptions::create`].
    pub fn create_random(size: usize) -> CortexResult<Self> {
        SegmentOptions::new().create_random(size)
    }
}

/// Creates a segment. Random keys are drawn where `wanted` is `None`. `value`, of `size` bytes, is the first value;
/// without it the segment starts as zeros.
pub(crate) fn create<K: LockFactory>(
    wanted: Option<Wanted<'_>>,
    size: usize,
    options: &SegmentOptions,
    kind: &K,
    value: Option<&[u8]>,
) -> CortexResult<Segment<K::Lock>> {
    match wanted {
        Some(wanted) => create_at(wanted, size, options, kind, value).on(wanted.number),
        None => create_anywhere(size, options, kind, value),
    }
}

/// Creates a segment under a random key.
fn create_anywhere<K: LockFactory>(
    size: usize,
    options: &SegmentOptions,
    kind: &K,
    value: Option<&[u8]>,
) -> CortexResult<Segment<K::Lock>> {
    let layout = options.layout(None, size, kind).on_no_key()?;
    warn_where_it_vanishes(None, options.persist);
    for _ in 0..KEY_ATTEMPTS {
        let key = random::key();
        match create_once(key, &layout, options, kind, value) {
            Ok(Some(segment)) => return Ok(segment),
            Ok(None) => {}
            Err(cause) if cause.is_errno(errno::EEXIST) => {}
            Err(cause) => return Err(cause.on(key)),
        }
    }
    Err(OVERTAKEN.on_no_key())
}

/// Creates a segment under this key.
fn create_at<K: LockFactory>(
    wanted: Wanted<'_>,
    size: usize,
    options: &SegmentOptions,
    kind: &K,
    value: Option<&[u8]>,
) -> Result<Segment<K::Lock>, Cause> {
    let key = wanted.number;
    let layout = options.layout(wanted.name, size, kind)?;
    warn_where_it_vanishes(Some(key), options.persist);
    check_key(key)?;
    if options.open_or_create {
        return create_or_attach(wanted, size, options, kind, &|| {
            create_once(key, &layout, options, kind, value)
        });
    }
    let wait = patience(options.timeout);
    let mut pauses = Pauses::new(options);
    let mut attempts = 0;
    while attempts < ATTEMPTS {
        attempts += 1;
        match create_once(key, &layout, options, kind, value) {
            Ok(Some(segment)) => return Ok(segment),
            // A replacer took the half-made segment away, so it is tried again.
            Ok(None) => {}
            Err(cause) if cause.is_errno(errno::EEXIST) && options.force_ownership => {
                let cause = match adopt(wanted, size, options, kind) {
                    Ok(segment) => return Ok(segment),
                    Err(cause) => cause,
                };
                match cause.bare() {
                    // It was removed since, before it was found or after, so it is created after all.
                    _ if cause.is_errno(errno::ENOENT) => {}
                    Cause::Removed => {}
                    // One of the attached processes may be dying.
                    Cause::Full { .. } if !is_over(wait) => {
                        attempts -= 1;
                        pauses.sleep()?;
                    }
                    Cause::NotReady { .. } if options.replace_stale => {
                        replace(wanted, wait, options)?;
                    }
                    _ => return Err(cause),
                }
            }
            Err(cause) if cause.is_errno(errno::EEXIST) && options.replace_stale => {
                replace(wanted, wait, options)?;
            }
            Err(cause) => {
                if cause.is_errno(errno::EEXIST) {
                    check_name(wanted)?;
                }
                return Err(cause);
            }
        }
    }
    Err(OVERTAKEN)
}

/// Makes one attempt at one key. Returns `None` where a replacer was faster.
fn create_once<K: LockFactory>(
    key: i32,
    layout: &Layout,
    options: &SegmentOptions,
    kind: &K,
    value: Option<&[u8]>,
) -> Result<Option<Segment<K::Lock>>, Cause> {
    let mode = layout.shape.mode;
    let make = |made_with: u32| {
        let id = memory::make(key, layout.total_size, made_with, options, || {
            describe_existing(key)
        })?;
        let is_marked = made_with != mode;
        match initialise(id, key, is_marked, layout, options, kind, value) {
            Ok(segment) => Ok(segment),
            Err(cause) => Err(cause.after(remove_segment(id))),
        }
    };
    match make(birth::marked(mode)) {
        // A user without a number in this user namespace cannot change a mode. Without the mark, what it leaves if it
        // is killed at once is not known to be ours.
        Err(cause) if cause.is_answer("shmctl(IPC_SET)", errno::EINVAL) => make(mode),
        result => result,
    }
}

/// Fills a segment that was just made, and gives it its owner, and its mode where it was made with the mark. After an
/// error nothing but the segment itself is left.
fn initialise<K: LockFactory>(
    id: i32,
    key: i32,
    is_marked: bool,
    layout: &Layout,
    options: &SegmentOptions,
    kind: &K,
    value: Option<&[u8]>,
) -> Result<Option<Segment<K::Lock>>, Cause> {
    let mapping = match Mapping::attach(id) {
        // This process was stopped for so long that a replacer took the empty segment away.
        Err(failure) if errno::is_gone(failure.errno()) => {
            return remove_segment(id).map(|()| None);
        }
        result => result.attempt("attach to the new segment of")?,
    };
    let beacons = match make_beacons(&mapping, is_marked, layout, options.owner) {
        // A remover did not wait for us, and took the set away under our hands. A set that is left is told.
        Err(cause) if header(&mapping).state() == state::REMOVED && cause.is_clean() => {
            return remove_segment(id).map(|()| None);
        }
        result => result?,
    };
    let take_back = |cause: Cause| cause.after(remove_set(beacons.set()));
    let mapped = MappedSegment::new(mapping, layout.clone(), key);
    // No other process can have claimed anything yet.
    let lit = sys::memory::zeroed(layout.shape.participants as usize)
        .attempt("create")
        .map_err(take_back)?
        .into_vec();
    let attachment = match Attachment::join(
        mapped,
        beacons,
        lit,
        kind.settle(kind.name()),
        is_built_in(kind.name()),
    ) {
        // As above.
        Err(Cause::Removed) => return remove_segment(id).map(|()| None),
        result => Arc::new(result.map_err(take_back)?),
    };
    // From here on the set says whether this process lives.
    attachment.mapped.header().set_beacon_id(beacons.set().id());
    let give_up = |cause: Cause| {
        attachment
            .mapped
            .header()
            .transit(state::INITIALISING, state::REMOVED);
        take_back(cause)
    };
    memory::prepare(&attachment.mapped, options).map_err(give_up)?;
    attachment.mapped.ledger().initialise();
    if let Some(value) = value {
        let (slots, value) = (
            attachment.mapped.slots,
            &value[..value.len().min(layout.shape.size)],
        );
        match layout.shape.has_records() {
            // SAFETY: slot 0 has room for a record of `size` bytes, and no process reads it before the state is ready.
            true => unsafe { records::store(value, slots.of(0)) },
            // SAFETY: as above.
            false => unsafe { copy::store(value.as_ptr(), slots.of(0), value.len()) },
        }
    }
    let permission = Permission::Custom(layout.shape.mode);
    let make = || {
        kind.make(LockSite {
            attachment: &attachment,
            permission,
        })
    };
    let lock = match catch_unwind(AssertUnwindSafe(make)) {
        Ok(Ok(lock)) => lock,
        Ok(Err(error)) => return Err(give_up(error.into())),
        Err(panic) => {
            attachment
                .mapped
                .header()
                .transit(state::INITIALISING, state::REMOVED);
            let set = remove_set(beacons.set());
            let segment = shm::remove(id);
            if set.is_err() || segment.is_err() {
                tracing::error!(
                    key,
                    name = noted(key),
                    ?set,
                    ?segment,
                    "left behind by a lock that panicked"
                );
            }
            resume_unwind(panic);
        }
    };
    let mut segment = Segment::new(attachment, lock, options);
    segment.was_created = true;
    segment.is_lock_told = true;
    // This comes before any other process can see it.
    if !options.persist {
        segment.own_new();
    }
    let header = segment.attachment.mapped.header();
    let is_ready = header.transit(state::INITIALISING, state::READY);
    // A replacer may have taken us for dead while we were stopped: then the key is not ours now.
    let found = shm::find(key);
    if is_ready && found.as_ref().is_ok_and(|&found| found == id) {
        return Ok(Some(segment));
    }
    // It is taken away like an owner's, because a process may have attached meanwhile.
    segment.own_new();
    let taken_back = segment.end();
    match found {
        Err(failure) if is_ready && failure.errno() != errno::ENOENT => {
            both(Err(failure).attempt("find again"), taken_back).map(|()| None)
        }
        _ => taken_back.map(|()| None),
    }
}

/// Writes the header, gives the segment its mode and owner, and makes the semaphore set, its key in the header before it
/// exists.
fn make_beacons(
    mapping: &Mapping,
    is_marked: bool,
    layout: &Layout,
    owner: Owner,
) -> Result<Beacons, Cause> {
    let header = header(mapping);
    let shape = &layout.shape;
    let mut beacon_key = random::key();
    header.write(layout, beacon_key);
    // The magic is there now, so the mark may go.
    if is_marked || owner.is_given() {
        let set = shm::set_permission(mapping.id(), shape.mode, owner.user, owner.group);
        match owner.is_given() {
            true => set.attempt_or("give an owner to", remedy_for_owner)?,
            false => set.attempt("set the permission of")?,
        }
    }
    let mut attempts = 1;
    loop {
        match Beacons::create(
            beacon_key,
            mapping.id(),
            shape.participants,
            shape.mode,
            owner,
        ) {
            Err(cause) if cause.is_errno(errno::EEXIST) && attempts < KEY_ATTEMPTS => {
                attempts += 1;
                beacon_key = random::key();
                header.write(layout, beacon_key);
            }
            result => return result,
        }
    }
}
