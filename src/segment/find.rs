//! From a key to a segment that may be used: found, known to be ours, ready, and as expected.
//!
//! Whatever the state word says, it says it only beside our magic; and nothing but the header is read
//! before the header has been checked against itself and the segment's real size.

use super::removal::Surroundings;
use super::SegmentOptions;
use crate::error::{Attempt, CortexError, CortexResult};
use crate::format::{self, Layout};
use crate::lifecycle::{self, Look};
use crate::participants::{Beacons, Lit};
use crate::sys::shm::{self, Mapping, Status};
use crate::sys::{address, errno};
use crate::view::header;
use std::time::{Duration, Instant};

/// How long to wait for a creator that nobody can see: its segment has no other attachment.
const CREATOR_GONE: Duration = patience(500);
/// And for one that is attached, and may be copying a large value.
const CREATOR_BUSY: Duration = patience(5_000);

/// Milliseconds; next to none for a fuzzer, whose creators are dead or at work elsewhere, and never come.
const fn patience(milliseconds: u64) -> Duration {
    Duration::from_millis(if cfg!(fuzzing) { 1 } else { milliseconds })
}

/// How often what has just been replaced is looked for again.
pub(crate) const ATTEMPTS: u32 = 20;

/// A pause while another process finishes something brief.
pub(super) const PAUSE: Duration = Duration::from_micros(500);

pub(crate) fn check_key(key: i32) -> CortexResult<()> {
    if key == 0 {
        let detail = "key 0 is IPC_PRIVATE, which nobody could attach to; choose another";
        return Err(CortexError::invalid(key, detail));
    }
    Ok(())
}

/// The segment that a key names, mapped and known to bear our magic or to be still blank.
///
/// # Errors
/// `NotACortex` where it is not ours; `CleanSystem`.
pub(crate) fn open_mapping(key: i32, read_only: bool) -> CortexResult<Mapping> {
    check_key(key)?;
    let mut attempts = 1;
    loop {
        let id = shm::find(key).attempt("attach to", key)?;
        let mapping = match Mapping::attach(id, read_only) {
            // Removed between the two calls: the key tells what is there now.
            Err(failure) if errno::is_gone(failure.errno()) && attempts < ATTEMPTS => {
                attempts += 1;
                continue;
            }
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
        match lifecycle::look(header) {
            Look::Ready => return Ok(true),
            Look::Removed => return Ok(false),
            Look::Closing => reopen_if_abandoned(mapping, key)?,
            Look::NotYet => {}
            Look::Foreign => {
                let detail = "no magic number";
                return Err(CortexError::NotACortex { key, detail });
            }
            Look::Spoilt => {
                let detail = "its state is no state";
                return Err(CortexError::Corrupt { key, detail });
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
pub(crate) fn reopen_if_abandoned(mapping: &Mapping, key: i32) -> CortexResult<()> {
    let Ok((beacons, _)) = open_beacons(mapping, mapping.status(), key) else {
        return Ok(());
    };
    let surroundings = Surroundings::new(mapping, &beacons, key);
    if lifecycle::reopen_if_abandoned(header(mapping), &surroundings)? {
        tracing::warn!(key, "reopened a cortex whose replacer died");
    }
    Ok(())
}

/// The semaphore set of a segment, once its header and the set are checked, and which beacons were lit then.
/// `status` is the segment's.
pub(crate) fn open_beacons(
    mapping: &Mapping,
    status: &Status,
    key: i32,
) -> CortexResult<(Beacons, Lit)> {
    let header = header(mapping);
    let layout = header.read(key, mapping.size())?;
    let detail = "its header names no semaphore set";
    let set_id = header
        .beacon_id()
        .ok_or(CortexError::Corrupt { key, detail })?;
    Beacons::open(key, set_id, status, mapping.id(), layout.shape.participants)
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
