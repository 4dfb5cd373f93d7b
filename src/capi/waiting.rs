//! Waiting for a change, and ending waits.

use super::boundary::{check_not_null, enter, enter_for};
use super::open_handle::{handle, neocortex_segment, Opened};
use super::status::{neocortex_status, NEOCORTEX_ERR_INVALID_ARGUMENT, NEOCORTEX_OK};
use super::times::{duration, NEOCORTEX_FOREVER};
use crate::error::{Told, WAITING_FOR_CHANGE};
use crate::protocol::interrupts::STOPPED;

/// Sleeps until the commit count is another than since, and stores it in *count. It returns at once where the count
/// already is.
///
/// timeout_ns  NEOCORTEX_FOREVER, NEOCORTEX_TRY, or nanoseconds.
///
/// Fails with NEOCORTEX_ERR_TIMEOUT; _REMOVED when the segment is removed; _INTERRUPTED by neocortex_interrupt,
/// neocortex_stop_waits or neocortex_close; _BUSY at once where this thread holds a guard, because then no commit can come. Any
/// number of threads and processes may wait; one that dies does not disturb the others.
///
/// # Safety
/// `segment` is NULL or an open handle, `count` is NULL or valid for a number.
#[no_mangle]
pub unsafe extern "C" fn neocortex_wait(
    segment: *mut neocortex_segment,
    since: u64,
    timeout_ns: i64,
    count: *mut u64,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        check_not_null(count, "count").on(segment.key())?;
        let timeout = duration(timeout_ns);
        let _call = segment.enter(WAITING_FOR_CHANGE)?;
        let version = match segment.opened()? {
            Opened::Full(full) if full.version() == since && segment.guards.is_writing() => {
                return Err(full.waits_for_itself());
            }
            Opened::Full(full) => full.wait_changed(since, timeout)?,
            Opened::Observe(observer) => observer.wait_changed(since, timeout)?,
        };
        // SAFETY: not NULL, and the caller's promise.
        unsafe { count.write(version) };
        Ok(())
    })
}

/// Ends every wait of this process through this handle, or else its next one, with NEOCORTEX_ERR_INTERRUPTED. Threads
/// that begin to wait a moment later do wait: neocortex_stop_waits is for several threads. Async-signal-safe, made for
/// signal handlers. Locks made of callbacks do not see it. Fails with NEOCORTEX_ERR_INVALID_ARGUMENT for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_interrupt(segment: *mut neocortex_segment) -> neocortex_status {
    // No `enter`: it may allocate, and a signal handler must not.
    // SAFETY: the caller's promise.
    match unsafe { segment.as_ref() }.and_then(neocortex_segment::get) {
        Some(Opened::Full(segment)) => segment.interrupt(),
        Some(Opened::Observe(observer)) => observer.interrupt(),
        None => return NEOCORTEX_ERR_INVALID_ARGUMENT,
    }
    NEOCORTEX_OK
}

/// Ends every wait of this process through this handle with NEOCORTEX_ERR_INTERRUPTED: those that have begun, and those
/// that begin later, until neocortex_resume_waits. This stops any number of threads for certain, whereas
/// neocortex_interrupt may come just before one of them begins to wait. Calls that need not wait go on.
///
/// Async-signal-safe. Locks made of callbacks do not see it. Fails with NEOCORTEX_ERR_INVALID_ARGUMENT for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_stop_waits(segment: *mut neocortex_segment) -> neocortex_status {
    // SAFETY: the caller's promise. No `enter`, as in neocortex_interrupt.
    match unsafe { segment.as_ref() } {
        Some(segment) => segment.stop_waits(STOPPED),
        None => return NEOCORTEX_ERR_INVALID_ARGUMENT,
    }
    NEOCORTEX_OK
}

/// Lets calls through this handle wait again after neocortex_stop_waits. Async-signal-safe. Fails with
/// NEOCORTEX_ERR_INVALID_ARGUMENT for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_resume_waits(
    segment: *mut neocortex_segment,
) -> neocortex_status {
    // SAFETY: the caller's promise. No `enter`, as in neocortex_interrupt.
    match unsafe { segment.as_ref() } {
        Some(segment) => segment.interrupts.resume(STOPPED),
        None => return NEOCORTEX_ERR_INVALID_ARGUMENT,
    }
    NEOCORTEX_OK
}

/// Returns how long any wait through this handle may last: NEOCORTEX_FOREVER, NEOCORTEX_TRY, or nanoseconds. NEOCORTEX_FOREVER
/// for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_timeout(segment: *const neocortex_segment) -> i64 {
    enter_for(NEOCORTEX_FOREVER, || {
        // SAFETY: the caller's promise.
        let timeout = match unsafe { handle(segment) }?.opened()? {
            Opened::Full(segment) => segment.timeout(),
            Opened::Observe(observer) => observer.timeout(),
        };
        let nanoseconds = timeout.map(|timeout| timeout.as_nanos());
        Ok(nanoseconds.map_or(NEOCORTEX_FOREVER, |nanoseconds| {
            // What does not fit is 292 years.
            i64::try_from(nanoseconds).unwrap_or(i64::MAX)
        }))
    })
}

/// Sets how long any wait through this handle may last from now on: NEOCORTEX_FOREVER, NEOCORTEX_TRY, or
/// nanoseconds. Fails with NEOCORTEX_ERR_INVALID_ARGUMENT for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_set_timeout(
    segment: *mut neocortex_segment,
    timeout_ns: i64,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        match unsafe { handle(segment) }?.opened()? {
            Opened::Full(segment) => segment.set_timeout(duration(timeout_ns)),
            Opened::Observe(observer) => observer.set_timeout(duration(timeout_ns)),
        }
        Ok(())
    })
}
