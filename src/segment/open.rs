//! Creating, attaching, adopting.
//!
//! **Creating.** `shmget(IPC_EXCL)`, attach, header, semaphore set, own slot, lock, value, then
//! initialising → ready; and a look whether the key is still ours. Whatever fails is taken back in
//! the opposite order; what cannot be taken back is named in a `DirtySystem`.
//!
//! **Attaching.** Attach, check everything, claim a slot, *then* read the state again: a replacer
//! goes ready → closing first and looks at the beacons after, so one of the two sees the other.

use super::find::{await_ready, check_key, check_shape, open_beacons, open_mapping, ATTEMPTS};
use super::removal::{check_right_to_remove, finish_removal, replace};
use super::{Kind, Segment, SegmentOptions};
use crate::copy;
use crate::error::{both, Attempt, CortexError, CortexResult};
use crate::format::{self, state, Layout};
use crate::lock_site::LockSite;
use crate::participants::{remove_set, Beacons};
use crate::permission::Permission;
use crate::site::{remove_segment, Site};
use crate::sys::shm::{self, Mapping};
use crate::sys::{errno, random};
use crate::view::{header, View};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::Arc;

/// How often a random key is drawn before giving up.
const KEY_ATTEMPTS: u32 = 20;

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
                Err(error) if error.is_errno(errno::EEXIST) && attempts < KEY_ATTEMPTS => {}
                Ok(None) if attempts < KEY_ATTEMPTS => {}
                Ok(None) => return Err(overtaken(0)),
                Ok(Some(segment)) => return Ok(segment),
                Err(error) => return Err(error),
            }
            attempts += 1;
        }
    };
    check_key(key)?;
    for _ in 0..ATTEMPTS {
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
    Err(overtaken(key))
}

fn overtaken(key: i32) -> CortexError {
    CortexError::Busy {
        key,
        detail: "other processes remove and replace it all the time",
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
        (number == errno::EEXIST).then(|| describe_existing(key))
    })?;
    match furnish(id, key, layout, options, kind, value) {
        Ok(segment) => Ok(segment),
        Err(error) => Err(error.after(remove_segment(id, key))),
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
        Err(failure) if errno::is_gone(failure.errno()) => {
            return remove_segment(id, key).map(|()| None);
        }
        result => result.attempt("attach to the new segment of", key)?,
    };
    let beacons = match make_beacons(&mapping, key, layout) {
        // A remover did not wait for us, and took the set away under our hands.
        Err(_) if header(&mapping).state() == state::REMOVED => {
            return remove_segment(id, key).map(|()| None);
        }
        result => result?,
    };
    let take_back = |error: CortexError| error.after(remove_set(beacons.set(), key));
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
    // Nobody else can have claimed anything yet.
    let lit = vec![0; layout.shape.participants as usize];
    let site = match Site::join(view, beacons, lit, kind.settle(kind.name())) {
        // As above.
        Err(CortexError::Removed { .. }) => return remove_segment(id, key).map(|()| None),
        result => Arc::new(result.map_err(take_back)?),
    };
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
    let header = segment.site.view.header();
    header.set_persistent(options.persist);
    let is_ready = header.transit(state::INITIALISING, state::READY);
    // A replacer may have taken us for dead while we were stopped: then the key is not ours now.
    let found = shm::find(key);
    if is_ready && found.as_ref().is_ok_and(|&found| found == id) {
        segment.set_owner(!options.persist);
        return Ok(Some(segment));
    }
    // Taken away like an owner's: somebody may have attached meanwhile.
    segment.set_owner(true);
    let taken_back = segment.close();
    match found {
        Err(failure) if is_ready && failure.errno() != errno::ENOENT => {
            both(Err(failure).attempt("find again", key), taken_back).map(|()| None)
        }
        _ => taken_back.map(|()| None),
    }
}

/// Writes the header and makes the semaphore set, its key in the header before it exists.
fn make_beacons(mapping: &Mapping, key: i32, layout: &Layout) -> CortexResult<Beacons> {
    let header = header(mapping);
    let shape = &layout.shape;
    let mut attempts = 1;
    loop {
        let beacon_key = random::key();
        header.write(layout, beacon_key);
        match Beacons::create(
            key,
            beacon_key,
            mapping.id(),
            shape.participants,
            shape.mode,
        ) {
            Err(error) if error.is_errno(errno::EEXIST) && attempts < KEY_ATTEMPTS => {
                attempts += 1;
            }
            result => {
                let beacons = result?;
                header.set_beacon_id(beacons.set().id());
                return Ok(beacons);
            }
        }
    }
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

pub(crate) fn attach<K: Kind>(
    key: i32,
    size: usize,
    options: &SegmentOptions,
    kind: &K,
) -> CortexResult<Segment<K::Lock>> {
    for _ in 0..ATTEMPTS {
        let mapping = open_mapping(key, false)?;
        if !await_ready(&mapping, key)? {
            finish_removal(&mapping, key)?;
            continue;
        }
        let layout = header(&mapping).read(key, mapping.size())?;
        check_shape(key, size, options, &layout)?;
        let found = layout.shape.lock_name.clone();
        kind.accept(key, &found, layout.shape.lock_size)?;
        let (beacons, lit) = match open_beacons(&mapping, mapping.status(), key) {
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
        let site = match Site::join(view, beacons, lit, kind.settle(&found)) {
            Err(CortexError::Removed { .. }) => continue,
            result => Arc::new(result?),
        };
        // Claimed: from here on a replacer sees us. One that was faster is seen by us now.
        if !await_ready(&site.view.mapping, key).map_err(|error| error.after(site.leave()))? {
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
            Ok(Err(error)) => return Err(error.after(site.leave())),
            Err(panic) => {
                let left = site.leave();
                tracing::error!(key, ?left, "a lock panicked while it was attached");
                resume_unwind(panic);
            }
        };
        return Ok(Segment::new(site, lock, options));
    }
    Err(overtaken(key))
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
