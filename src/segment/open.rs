//! Creating, attaching, adopting, replacing, removing.
//!
//! **Creating.** `shmget(IPC_EXCL)`, attach, header, semaphore set, own slot, lock, value, then
//! initialising → ready; and a look whether the key is still ours. Whatever fails is taken back in
//! the opposite order; what cannot be taken back is named in a `DirtySystem`.
//!
//! **Attaching.** Attach, check everything, claim a slot, *then* read the state again: a replacer
//! goes ready → closing first and looks at the beacons after, so one of the two sees the other.
//!
//! **Removing** is by id, always: a key may belong to a successor by now. The state says removed
//! before the kernel is told; who finds it said and not done does it.

use super::{Kind, Segment, SegmentOptions};
use crate::copy;
use crate::error::{Attempt, CortexError, CortexResult, Leftover};
use crate::format::{self, state, Header, Layout};
use crate::participants::{segment_of, Beacons};
use crate::permission::Permission;
use crate::site::{self, header, LockSite, Site, View};
use crate::sys::sem::Set;
use crate::sys::shm::{self, Mapping, Status};
use crate::sys::{address, effective_user, errno, random};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a random key is drawn before giving up.
const KEY_ATTEMPTS: u32 = 20;

/// How long to wait for a creator that nobody can see: its segment has no other attachment.
const CREATOR_GONE: Duration = Duration::from_millis(500);
/// And for one that is attached, and may be copying a large value.
const CREATOR_BUSY: Duration = Duration::from_secs(5);

/// How long somebody who attached and is about to leave again is waited for.
const LAST_LOOK: u32 = 20;

/// A pause while another process finishes something brief.
const PAUSE: Duration = Duration::from_micros(500);

pub(crate) fn check_key(key: i32) -> CortexResult<()> {
    if key == 0 {
        let detail = "key 0 is IPC_PRIVATE, which nobody could attach to; choose another";
        return Err(CortexError::invalid(key, detail));
    }
    Ok(())
}

/// Creates a segment. `key` `None` draws random ones. `value`, of `size` bytes, is the first value;
/// without it the segment starts as zeros.
pub(crate) fn create<K: Kind>(
    key: Option<i32>,
    size: usize,
    options: &SegmentOptions,
    kind: &K,
    value: Option<&[u8]>,
) -> CortexResult<Segment<K::Lock>> {
    let layout = options.layout(key.unwrap_or(0), size, kind)?;
    let Some(key) = key else {
        let mut attempts = 1;
        loop {
            match create_once(random::key(), &layout, options, kind, value) {
                Err(error) if error.is_errno(errno::EEXIST) && attempts < KEY_ATTEMPTS => {
                    attempts += 1;
                }
                Ok(None) => {}
                Ok(Some(segment)) => return Ok(segment),
                Err(error) => return Err(error),
            }
        }
    };
    check_key(key)?;
    loop {
        match create_once(key, &layout, options, kind, value) {
            Ok(Some(segment)) => return Ok(segment),
            // Somebody replaced the half-made segment: again.
            Ok(None) => {}
            Err(error) if error.is_errno(errno::EEXIST) && options.force_ownership => {
                match adopt(key, size, options, kind) {
                    // Removed since: create it after all.
                    Err(error) if error.is_errno(errno::ENOENT) => {}
                    Err(CortexError::NotReady { .. }) if options.replace_stale => {
                        replace(key)?;
                    }
                    result => return result,
                }
            }
            Err(error) if error.is_errno(errno::EEXIST) && options.replace_stale => replace(key)?,
            Err(error) => return Err(error),
        }
    }
}

/// One attempt at one key; `None` where a replacer was faster.
fn create_once<K: Kind>(
    key: i32,
    layout: &Layout,
    options: &SegmentOptions,
    kind: &K,
    value: Option<&[u8]>,
) -> CortexResult<Option<Segment<K::Lock>>> {
    let mode = layout.shape.mode;
    let id = shm::create(key, layout.total_size, mode).attempt_or("create", key, |number| {
        if number == errno::EEXIST {
            describe_existing(key)
        } else {
            String::new()
        }
    })?;
    match furnish(id, key, layout, options, kind, value) {
        Ok(segment) => Ok(segment),
        Err(error) => Err(match shm::remove(id) {
            Err(failure) if !is_gone(failure.errno()) => error.leaving(Leftover::Segment(id)),
            _ => error,
        }),
    }
}

/// Fills a segment that was just made. On an error nothing but the segment itself is left.
fn furnish<K: Kind>(
    id: i32,
    key: i32,
    layout: &Layout,
    options: &SegmentOptions,
    kind: &K,
    value: Option<&[u8]>,
) -> CortexResult<Option<Segment<K::Lock>>> {
    let mapping = match Mapping::attach(id, false) {
        // Stopped for so long that a replacer took the empty segment away.
        Err(failure) if is_gone(failure.errno()) => return Ok(None),
        result => result.attempt("attach to the new segment of", key)?,
    };
    let beacons = make_beacons(&mapping, key, layout)?;
    let take_back = |error: CortexError| match beacons.set().remove() {
        Err(failure) if !is_gone(failure.errno()) => {
            error.leaving(Leftover::Semaphores(beacons.set().id()))
        }
        _ => error,
    };
    let view = View {
        mapping,
        layout: layout.clone(),
        key,
    };
    // SAFETY: slot 0 is valid for `size` bytes, and nobody reads it before the state is ready.
    let fill = |slot: *mut u8, value: &[u8]| unsafe {
        copy::store(value.as_ptr(), slot, value.len().min(layout.shape.size));
    };
    view.ledger().initialise();
    if let Some(value) = value {
        fill(view.slot(0), value);
    }
    let site = Site::join(view, beacons, kind.settle(kind.name())).map_err(take_back)?;
    let site = Arc::new(site);
    let permission = Permission::Custom(layout.shape.mode);
    let make = || {
        kind.make(LockSite {
            site: &site,
            permission,
        })
    };
    let lock = match catch_unwind(AssertUnwindSafe(make)) {
        Ok(Ok(lock)) => lock,
        Ok(Err(error)) => {
            site.view
                .header()
                .transit(state::INITIALISING, state::REMOVED);
            return Err(take_back(error));
        }
        Err(panic) => {
            site.view
                .header()
                .transit(state::INITIALISING, state::REMOVED);
            let gone = take_back(CortexError::Custom(0));
            let removed = shm::remove(id);
            if removed.is_err() || matches!(gone, CortexError::DirtySystem(_)) {
                tracing::error!(key, ?removed, %gone, "left behind by a lock that panicked");
            }
            resume_unwind(panic);
        }
    };
    let mut segment = Segment::new(site, lock, options);
    segment.was_created = true;
    let is_ready = segment
        .site
        .view
        .header()
        .transit(state::INITIALISING, state::READY);
    // A replacer may have taken us for dead while we were stopped: then the key is not ours now.
    let still_ours = is_ready && shm::find(key).is_ok_and(|found| found == id);
    if !still_ours {
        drop(segment);
        if let Err(failure) = shm::remove(id) {
            if !is_gone(failure.errno()) {
                return Err(failure).attempt("remove the superseded segment of", key);
            }
        }
        let _ = beacons.set().remove();
        return Ok(None);
    }
    segment.set_owner(!options.persist);
    Ok(Some(segment))
}

/// Writes the header and makes the semaphore set, its key in the header before it exists.
fn make_beacons(mapping: &Mapping, key: i32, layout: &Layout) -> CortexResult<Beacons> {
    let header = header(mapping);
    let shape = &layout.shape;
    let mut attempts = 1;
    loop {
        let beacon_key = random::key();
        header.write(layout, beacon_key);
        match Beacons::create(beacon_key, mapping.id(), shape.participants, shape.mode) {
            Ok(beacons) => {
                header.set_beacon_id(beacons.set().id());
                return Ok(beacons.of_key(key));
            }
            Err(failure) if failure.errno() == errno::EEXIST && attempts < KEY_ATTEMPTS => {
                attempts += 1;
            }
            result => return result.attempt("make the semaphores of", key),
        }
    }
}

/// Whether an error number says that the object is not there any more.
pub(crate) fn is_gone(number: i32) -> bool {
    matches!(number, errno::EINVAL | errno::EIDRM | errno::ENOENT)
}

/// What lies under a key that is in use, for the message of `EEXIST`.
fn describe_existing(key: i32) -> String {
    let Ok(id) = shm::find(key) else {
        return "It was removed meanwhile; try again".into();
    };
    let Ok(status) = shm::status(id) else {
        return "It exists and this user may not look at it; choose another key".into();
    };
    let attached = status.attached;
    let is_ours = status.size >= format::LOCK_OFFSET
        && Mapping::attach(id, true).is_ok_and(|mapping| header(&mapping).has_magic());
    match (is_ours, attached) {
        (false, _) => format!(
            "A segment that is not a cortex has this key ({} bytes, {attached} attached); choose another key",
            status.size
        ),
        (true, 0) => "The existing cortex is stale: nobody is attached. `replace_stale` takes its place, `force_ownership` adopts it with its value".into(),
        (true, attached) => format!(
            "The existing cortex is in use, not stale: {attached} attached. Attach to it, or choose another key"
        ),
    }
}

/// The segment that a key names, mapped and known to bear our magic or to be still blank.
///
/// # Errors
/// `NotACortex` where it is not ours; `CleanSystem`.
pub(crate) fn open_mapping(key: i32, read_only: bool) -> CortexResult<Mapping> {
    check_key(key)?;
    loop {
        let id = shm::find(key).attempt("attach to", key)?;
        let mapping = match Mapping::attach(id, read_only) {
            // Removed between the two calls: the key tells what is there now.
            Err(failure) if is_gone(failure.errno()) => continue,
            result => result.attempt("attach to", key)?,
        };
        if mapping.size() < format::LOCK_OFFSET {
            return Err(CortexError::NotACortex {
                key,
                detail: "too small for a header",
            });
        }
        let header = header(&mapping);
        if !header.is_blank() && !header.has_magic() {
            return Err(CortexError::NotACortex {
                key,
                detail: "no magic number",
            });
        }
        return Ok(mapping);
    }
}

/// Waits, bounded, until the segment is ready; `false` where it was removed.
pub(crate) fn await_ready(mapping: &Mapping, key: i32) -> CortexResult<bool> {
    let header = header(mapping);
    let start = Instant::now();
    let mut patience = CREATOR_GONE;
    let mut pause = Duration::from_micros(20);
    loop {
        // Whatever the state word says, it says it only beside our magic.
        if !header.is_blank() && !header.has_magic() {
            let detail = "no magic number";
            return Err(CortexError::NotACortex { key, detail });
        }
        match header.state() {
            state::READY if header.has_magic() => return Ok(true),
            state::REMOVED if header.has_magic() => return Ok(false),
            state::CLOSING if header.has_magic() => reopen_if_abandoned(mapping, key)?,
            state::INITIALISING => {}
            // The magic came after the look at it: look again.
            state::READY | state::CLOSING | state::REMOVED => {}
            _ => {
                return Err(CortexError::Corrupt {
                    key,
                    detail: "its state is no state",
                })
            }
        }
        let attached = shm::status(mapping.id()).map_or(1, |status| status.attached);
        if attached > 1 {
            patience = CREATOR_BUSY;
        }
        let waited = start.elapsed();
        if waited >= patience {
            return Err(CortexError::NotReady {
                key,
                waited_ms: waited.as_millis() as u64,
            });
        }
        address::sleep(pause);
        pause = (pause * 2).min(PAUSE * 4);
    }
}

/// Puts a segment back to ready whose replacer died while it looked: the gate is free, the state is
/// closing.
fn reopen_if_abandoned(mapping: &Mapping, key: i32) -> CortexResult<()> {
    let header = header(mapping);
    let Ok(beacons) = open_beacons(mapping, key) else {
        return Ok(());
    };
    if beacons.claim_gate()? {
        if header.transit(state::CLOSING, state::READY) {
            tracing::warn!(key, "reopened a cortex whose replacer died");
        }
        beacons.release_gate()?;
    }
    Ok(())
}

/// The layout and the semaphore set of a segment, both checked.
pub(crate) fn open_beacons(mapping: &Mapping, key: i32) -> CortexResult<Beacons> {
    let header = header(mapping);
    let layout = header.read(key, mapping.size())?;
    let detail = "its header names no semaphore set";
    let set_id = header
        .beacon_id()
        .ok_or(CortexError::Corrupt { key, detail })?;
    let status = shm::status(mapping.id()).attempt("look at", key)?;
    Beacons::open(
        key,
        set_id,
        &status,
        mapping.id(),
        layout.shape.participants,
    )
}

/// Refuses a segment that is not what the caller expects.
pub(crate) fn check_shape(
    key: i32,
    size: usize,
    options: &SegmentOptions,
    layout: &Layout,
) -> CortexResult<()> {
    let shape = &layout.shape;
    let differs = |what, expected, found| {
        Err(CortexError::Layout {
            key,
            what,
            expected,
            found,
        })
    };
    if size != 0 && size != shape.size {
        return differs("size", size as u64, shape.size as u64);
    }
    if options.schema != 0 && options.schema != shape.schema {
        return differs("schema", options.schema, shape.schema);
    }
    if options.align > shape.align {
        return differs("alignment", options.align.into(), shape.align.into());
    }
    Ok(())
}

pub(crate) fn attach<K: Kind>(
    key: i32,
    size: usize,
    options: &SegmentOptions,
    kind: &K,
) -> CortexResult<Segment<K::Lock>> {
    loop {
        let mapping = open_mapping(key, false)?;
        if !await_ready(&mapping, key)? {
            finish_removal(&mapping, key)?;
            continue;
        }
        let layout = header(&mapping).read(key, mapping.size())?;
        check_shape(key, size, options, &layout)?;
        let found = layout.shape.lock_name.clone();
        kind.accept(key, &found, layout.shape.lock_size)?;
        let beacons = match open_beacons(&mapping, key) {
            Err(CortexError::Removed { .. }) => {
                // The set is gone: so is the segment, or somebody removed the set alone.
                if header(&mapping).state() == state::REMOVED
                    || shm::find(key).is_ok_and(|id| id != mapping.id())
                {
                    continue;
                }
                let detail = "its semaphore set was removed";
                return Err(CortexError::Corrupt { key, detail });
            }
            result => result?,
        };
        let permission = Permission::Custom(layout.shape.mode);
        let view = View {
            mapping,
            layout,
            key,
        };
        let site = match Site::join(view, beacons, kind.settle(&found)) {
            Err(CortexError::Removed { .. }) => continue,
            result => Arc::new(result?),
        };
        // Claimed: from here on a replacer sees us. One that was faster is seen by us now.
        if !await_ready(&site.view.mapping, key).inspect_err(|_| drop(site.leave()))? {
            site.leave()?;
            continue;
        }
        let join = || {
            kind.attach(
                &found,
                LockSite {
                    site: &site,
                    permission,
                },
            )
        };
        let lock = match catch_unwind(AssertUnwindSafe(join)) {
            Ok(Ok(lock)) => lock,
            Ok(Err(error)) => return Err(site.leave().err().unwrap_or(error)),
            Err(panic) => {
                let left = site.leave();
                tracing::error!(key, ?left, "a lock panicked while it was attached");
                resume_unwind(panic);
            }
        };
        return Ok(Segment::new(site, lock, options));
    }
}

/// Attaches as the new owner. Needs the right to remove.
fn adopt<K: Kind>(
    key: i32,
    size: usize,
    options: &SegmentOptions,
    kind: &K,
) -> CortexResult<Segment<K::Lock>> {
    let mapping = open_mapping(key, false)?;
    check_right_to_remove(&mapping, key)?;
    let id = mapping.id();
    drop(mapping);
    let mut segment = attach(key, size, options, kind)?;
    if segment.site.view.mapping.id() != id {
        check_right_to_remove(&segment.site.view.mapping, key)?;
    }
    segment.force_ownership();
    segment.set_owner(!options.persist);
    Ok(segment)
}

/// `EPERM` now rather than when the handle is dropped.
fn check_right_to_remove(mapping: &Mapping, key: i32) -> CortexResult<()> {
    let status = shm::status(mapping.id()).attempt("look at", key)?;
    let user = effective_user();
    if user == 0 || user == status.owner || user == status.creator {
        return Ok(());
    }
    let error = std::io::Error::from_raw_os_error(errno::EPERM);
    Err(crate::sys::Failure {
        call: "shmctl(IPC_RMID)",
        error,
    })
    .attempt("own", key)
}

/// The state says removed and the kernel still has the key: its remover died between the two, or is
/// about to do it. Doing it for it is right either way, for it is by id.
fn finish_removal(mapping: &Mapping, key: i32) -> CortexResult<()> {
    match shm::remove(mapping.id()) {
        Err(failure) if is_gone(failure.errno()) => Ok(()),
        Err(failure) if matches!(failure.errno(), errno::EPERM | errno::EACCES) => {
            // Not ours to do. Give the remover a moment.
            address::sleep(PAUSE);
            match shm::find(key) {
                Ok(id) if id == mapping.id() => Err(CortexError::Removed { key }),
                _ => Ok(()),
            }
        }
        result => result.attempt("remove", key),
    }
}

/// Takes a segment away that nobody is attached to.
///
/// # Errors
/// `Busy` where somebody is; `NotACortex`; `CleanSystem` (`EPERM`); `DirtySystem` where the segment is
/// gone and its semaphore set is not.
pub(crate) fn replace(key: i32) -> CortexResult<()> {
    let mapping = match open_mapping(key, false) {
        Err(error) if error.is_errno(errno::ENOENT) => return Ok(()),
        result => result?,
    };
    check_right_to_remove(&mapping, key)?;
    match await_ready(&mapping, key) {
        Ok(true) => {}
        Ok(false) => return finish_removal(&mapping, key),
        // Nobody has finished it: stale if nobody is there.
        Err(CortexError::NotReady { .. }) => return discard(&mapping, key, state::INITIALISING),
        Err(error) => return Err(error),
    }
    let beacons = match open_beacons(&mapping, key) {
        Ok(beacons) => beacons,
        // Ours and spoilt, or without its set: stale if nobody is there.
        Err(CortexError::Corrupt { .. } | CortexError::Removed { .. }) => {
            return discard(&mapping, key, state::READY);
        }
        Err(error) => return Err(error),
    };
    let busy = |detail| CortexError::Busy { key, detail };
    if !beacons.claim_gate()? {
        return Err(busy("another process is replacing it"));
    }
    let is_closed = close(&mapping, &beacons, key);
    if !matches!(is_closed, Ok(true)) {
        match beacons.release_gate() {
            // The set went with the last participant of a segment that its owner removed.
            Ok(()) | Err(CortexError::Removed { .. }) => {}
            Err(error) => return Err(error),
        }
        return is_closed.map(drop);
    }
    // The gate goes with the set.
    match beacons.set().remove() {
        Err(failure) if !is_gone(failure.errno()) => Err(failure)
            .attempt("remove the semaphores of", key)
            .map_err(|error| error.leaving(Leftover::Semaphores(beacons.set().id()))),
        _ => Ok(()),
    }
}

/// ready → closing → removed, if nobody is attached; the caller holds the gate. `false` where it was
/// removed by somebody else meanwhile.
fn close(mapping: &Mapping, beacons: &Beacons, key: i32) -> CortexResult<bool> {
    let header = header(mapping);
    let is_closing =
        header.transit(state::READY, state::CLOSING) || header.state() == state::CLOSING;
    if !is_closing {
        return Ok(false);
    }
    for _ in 0..LAST_LOOK {
        let is_dark = beacons.all()?.iter().all(|&lit| lit == 0);
        let status = shm::status(mapping.id()).attempt("look at", key)?;
        if is_dark && status.attached == 1 {
            header.transit(state::CLOSING, state::REMOVED);
            return shm::remove(mapping.id())
                .attempt("remove", key)
                .map(|()| true);
        }
        address::sleep(PAUSE);
    }
    header.transit(state::CLOSING, state::READY);
    Err(CortexError::Busy {
        key,
        detail: "it is in use: somebody is attached",
    })
}

/// Takes away a segment of ours that is not whole, if nobody else is attached.
fn discard(mapping: &Mapping, key: i32, from: u32) -> CortexResult<()> {
    let header = header(mapping);
    let status = shm::status(mapping.id()).attempt("look at", key)?;
    if status.attached != 1 {
        let detail = "it is not ready, but somebody is attached and may be making it";
        return Err(CortexError::Busy { key, detail });
    }
    if !header.transit(from, state::REMOVED) {
        // Its creator came to life again, or another replacer was faster: look again.
        return Ok(());
    }
    let beacons = orphan(header, mapping.id(), &status);
    shm::remove(mapping.id()).attempt("remove", key)?;
    match beacons.map(|set| (set, set.remove())) {
        Some((set, Err(failure))) if !is_gone(failure.errno()) => Err(failure)
            .attempt("remove the semaphores of", key)
            .map_err(|error| error.leaving(Leftover::Semaphores(set.id()))),
        _ => Ok(()),
    }
}

/// The semaphore set of a half-made segment, found by the key in its header and its way back.
fn orphan(header: &Header, segment_id: i32, status: &Status) -> Option<Set> {
    let beacon_key = header.beacon_key();
    if beacon_key == 0 {
        return None;
    }
    let set = Set::find(beacon_key).ok()?;
    // Made, and the creator died before it set the way back: all zeros, and the key is the proof.
    let is_ours = segment_of(set).ok()? == Some(segment_id)
        || (set.value(0).ok()? == 0 && set.status().ok()?.creator == status.creator);
    is_ours.then_some(set)
}

/// Removes whatever cortex has this key, in use or not. Those attached keep their memory.
///
/// # Errors
/// `CleanSystem` (`ENOENT`, `EPERM`), `NotACortex`.
pub(crate) fn remove(key: i32) -> CortexResult<()> {
    let mapping = open_mapping(key, false)?;
    if header(&mapping).is_blank() {
        return Err(CortexError::NotACortex {
            key,
            detail: "blank: nothing was ever written to it",
        });
    }
    check_right_to_remove(&mapping, key)?;
    let status = shm::status(mapping.id()).attempt("look at", key)?;
    let beacons = open_beacons(&mapping, key).ok();
    let orphan = orphan(header(&mapping), mapping.id(), &status);
    mark_removed(&mapping);
    match shm::remove(mapping.id()) {
        Err(failure) if !is_gone(failure.errno()) => {
            return Err(failure).attempt("remove", key);
        }
        _ => {}
    }
    match (beacons, orphan) {
        (Some(beacons), _) => site::remove_if_dark(&beacons, key),
        (None, Some(set)) if status.attached <= 1 => match set.remove() {
            Err(failure) if !is_gone(failure.errno()) => Err(failure)
                .attempt("remove the semaphores of", key)
                .map_err(|error| error.leaving(Leftover::Semaphores(set.id()))),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Says in the segment that it is removed, whatever its state, and wakes those who wait for change.
pub(crate) fn mark_removed(mapping: &Mapping) {
    let header = header(mapping);
    loop {
        let now = header.state();
        if now == state::REMOVED || header.transit(now, state::REMOVED) {
            break;
        }
    }
    let signal = site::signal(mapping);
    crate::signal::announce(signal);
    address::wake_all(&signal.signal);
}
