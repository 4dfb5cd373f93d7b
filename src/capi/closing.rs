//! Closing a handle that other threads may be waiting through, and removing a segment by its key.
//!
//! The calls that wait are interrupted and waited for ([`crate::protocol::interrupts`]), so that none of them touches what is
//! taken apart. A thread may be just about to count its call when the handle is closed: it then finds the handle's own
//! memory, which says that it is closed, and which is kept until [`KEPT`] further handles were closed.

use super::boundary::enter;
use super::open_handle::{neocortex_segment, Opened};
use super::status::{neocortex_status, NEOCORTEX_OK};
use crate::error::names::noted;
use crate::error::{busy, CortexError, CortexResult};
use crate::inspect;
use crate::protocol::interrupts::{CLOSED, CLOSING};
use crate::sys::{cancel, futex};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Closes a handle; the owner's also removes the segment. NULL does nothing.
///
/// Other threads may be waiting through it, in neocortex_wait or for the lock: their calls end with
/// NEOCORTEX_ERR_INTERRUPTED, if they do not succeed first, and have left before anything is freed. Any other use of
/// the handle while it is closed, and every use after that, is forbidden. So is closing it in a signal
/// handler, or in a callback of its lock or of the log.
///
/// Fails with NEOCORTEX_ERR_BUSY while a guard is held through it in this process, it is in a wait set, or a call stays for a second in a lock
/// made of callbacks, which cannot be interrupted: it is then still open. After any other failure it is closed: fails
/// with NEOCORTEX_ERR_CLEAN_SYSTEM, or _DIRTY_SYSTEM where something is left that the message names. In a forked child it
/// never removes anything.
///
/// # Safety
/// `segment` is NULL or an open handle, which no other thread uses now, but to wait, or later.
#[no_mangle]
pub unsafe extern "C" fn neocortex_close(segment: *mut neocortex_segment) -> neocortex_status {
    if segment.is_null() {
        return NEOCORTEX_OK;
    }
    let _uncancelled = cancel::Disabled::new();
    enter(|| {
        // SAFETY: not NULL, and the caller's promise.
        unsafe { close(segment) }
    })
}

/// Removes the cortex with this key, in use or not. Handles that are attached keep sharing its memory; no
/// other can attach.
///
/// Fails with NEOCORTEX_ERR_CLEAN_SYSTEM (ENOENT, or EPERM where it is another user's), _NOT_A_CORTEX,
/// _DIRTY_SYSTEM (something is left that the message names), _INVALID_ARGUMENT.
#[no_mangle]
pub extern "C" fn neocortex_remove(key: i32) -> neocortex_status {
    let _uncancelled = cancel::Disabled::new();
    enter(|| inspect::remove(key))
}

/// Removes the cortex with this key and its semaphores, if no handle is attached to it any more.
/// Returns NEOCORTEX_OK where the key is free. Fails with NEOCORTEX_ERR_BUSY where a handle is attached; otherwise as
/// neocortex_remove.
#[no_mangle]
pub extern "C" fn neocortex_reclaim(key: i32) -> neocortex_status {
    let _uncancelled = cancel::Disabled::new();
    enter(|| inspect::reclaim(key))
}

/// How many closed handles are kept.
const KEPT: usize = 64;

/// The closed handles that are kept; null is none.
static BURIED: [AtomicPtr<neocortex_segment>; KEPT] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; KEPT];
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// How long calls in a lock made of callbacks are waited for, which cannot be interrupted.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest sleep between two looks whether a call is left.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// Interrupts the calls that wait through the handle, waits until they have left it, and takes it apart.
///
/// # Errors
/// `Busy` where a guard is held, or a call stays in a lock made of callbacks: the handle is as it was. Those of
/// `Segment::close`, after which it is closed.
///
/// # Safety
/// An open handle, which the caller gives up.
unsafe fn close(segment: *mut neocortex_segment) -> CortexResult<()> {
    // SAFETY: the caller's promise.
    let handle = unsafe { &*segment };
    handle.opened()?;
    refuse_use(handle)?;
    handle.stop_waits(CLOSING);
    // A call that was about to end may have begun a guard instead.
    let result = await_calls(handle).and_then(|()| refuse_use(handle));
    if let Err(error) = result {
        handle.interrupts.resume(CLOSING);
        return Err(error);
    }
    handle.interrupts.stop(CLOSED);
    // SAFETY: no call is left that has counted itself, and those that do from here on look no further; the caller
    // promises that there are no others.
    let opened = unsafe { handle.take() };
    // SAFETY: made by Arc::into_raw in `neocortex_segment::new`; kept from here on by the table.
    bury(unsafe { Arc::from_raw(segment) });
    match opened {
        Some(Opened::Full(segment)) => segment.close(),
        Some(Opened::Observe(_)) | None => Ok(()),
    }
}

/// Refuses to close a handle while a guard is held through it, or it is in a wait set.
fn refuse_use(handle: &neocortex_segment) -> CortexResult<()> {
    let has_guards = |full: &_| !handle.guards.are_none(full);
    let detail = match handle.sets.load(Ordering::Relaxed) {
        0 if handle.try_full().is_some_and(has_guards) => busy::HAS_GUARD,
        0 => return Ok(()),
        _ => busy::IS_MEMBER,
    };
    let key = handle.key();
    // A destructor drops the status, and the cortex then stays for as long as the process lives.
    tracing::error!(
        key,
        name = noted(key),
        "closing a cortex: {detail}, so that it stays open"
    );
    Err(CortexError::Busy { key, detail })
}

fn await_calls(handle: &neocortex_segment) -> CortexResult<()> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(20);
    let may_stay = handle
        .try_full()
        .is_some_and(|full| !full.lock().is_built_in());
    while !handle.interrupts.are_over() {
        if may_stay && start.elapsed() >= PATIENCE {
            let detail = busy::IN_CALLBACK;
            return Err(CortexError::Busy {
                key: handle.key(),
                detail,
            });
        }
        futex::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        // A call that looked just before the waits were stopped may have gone to sleep since.
        handle.stop_waits(CLOSING);
    }
    Ok(())
}

/// Keeps a closed handle's memory for a while.
fn bury(handle: Arc<neocortex_segment>) {
    let place = NEXT.fetch_add(1, Ordering::Relaxed) % KEPT;
    let former = BURIED[place].swap(Arc::into_raw(handle).cast_mut(), Ordering::AcqRel);
    if !former.is_null() {
        // SAFETY: made by Arc::into_raw above, and taken out of the table by this call alone.
        drop(unsafe { Arc::from_raw(former) });
    }
}
