//! Access without a copy: a guard begun by one call, ended by another.

use super::boundary::{check_not_null, enter};
use super::handle::{handle, neocortex_segment};
use super::held;
use super::status::{neocortex_status, NEOCORTEX_OK};
use crate::error::CortexResult;
use std::ffi::c_void;

/// Begins to read without a copy: *data points to the current value, which nobody writes until
/// neocortex_read_end on the same thread.
///
/// With the default lock and the semaphore this excludes everyone; use neocortex_lock_rwlock for many
/// readers. A thread that holds a guard through this handle gets NEOCORTEX_ERR_BUSY, except for reads
/// within reads with the read/write lock. In a forked child an inherited guard is void. Fails as well
/// with NEOCORTEX_ERR_TIMEOUT, _INTERRUPTED, _POISONED, _READ_ONLY (an observer copies), _INVALID_ARGUMENT,
/// or what the lock fails with.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for a pointer.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_begin(
    segment: *mut neocortex_segment,
    data: *mut *const c_void,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { begin(segment, data.cast(), false) }
}

/// Begins a guard of either kind.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for a pointer.
#[inline(always)]
unsafe fn begin(
    segment: *mut neocortex_segment,
    data: *mut *mut c_void,
    is_write: bool,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    if let (Some(segment), false) = (unsafe { segment.as_ref() }, data.is_null()) {
        // SAFETY: a handle is a box that `close` keeps while it has guards.
        if let Some(first) = unsafe { held::begin_at_once(segment, is_write) } {
            // SAFETY: not NULL, and the caller's promise.
            unsafe { data.write(first.cast()) };
            return NEOCORTEX_OK;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { begin_slow(segment, data, is_write) }
}

/// # Safety
/// As for [`begin`].
#[cold]
unsafe fn begin_slow(
    segment: *mut neocortex_segment,
    data: *mut *mut c_void,
    is_write: bool,
) -> neocortex_status {
    enter(|| {
        check_not_null(data, "data")?;
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        // SAFETY: a handle is a box that `close` keeps while it has guards.
        let first = unsafe { held::begin(segment, is_write) }?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { data.write(first.cast()) };
        Ok(())
    })
}

/// Ends what this thread's last neocortex_read_begin began. NEOCORTEX_ERR_INVALID_ARGUMENT if there is
/// nothing to end, or what the lock's release fails with.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_end(segment: *mut neocortex_segment) -> neocortex_status {
    // SAFETY: the caller's promise.
    if unsafe { segment.as_ref() }.is_some_and(held::end_read_at_once) {
        return NEOCORTEX_OK;
    }
    // SAFETY: the caller's promise.
    unsafe { end_slow(segment, held::end_read) }
}

/// Begins to write without a copy: *data points to where the next value goes, which holds the current
/// one. Nothing is seen by anybody until neocortex_write_commit, _publish or _abort on the same thread.
///
/// In the in-place layout *data is the value itself. Fails with NEOCORTEX_ERR_TIMEOUT, _INTERRUPTED, _BUSY
/// (this thread holds a guard), _POISONED, _READ_ONLY, _INVALID_ARGUMENT, or what the lock fails with.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for a pointer.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_begin(
    segment: *mut neocortex_segment,
    data: *mut *mut c_void,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { begin(segment, data, true) }
}

/// Makes what this thread wrote since neocortex_write_begin the current value, for everybody at once.
/// NEOCORTEX_ERR_INVALID_ARGUMENT if this thread has not begun; what the lock's release fails with comes
/// after the commit.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_commit(
    segment: *mut neocortex_segment,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    if unsafe { segment.as_ref() }.is_some_and(held::commit_at_once) {
        return NEOCORTEX_OK;
    }
    // SAFETY: the caller's promise.
    unsafe { end_slow(segment, held::commit) }
}

/// Gives up: nothing happened. In the in-place layout it cannot be undone, so the segment is poisoned.
/// NEOCORTEX_ERR_INVALID_ARGUMENT if this thread has not begun, or what the lock's release fails with.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_abort(
    segment: *mut neocortex_segment,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { end_slow(segment, held::abort) }
}

/// # Safety
/// `segment` is NULL or an open handle.
#[cold]
unsafe fn end_slow(
    segment: *mut neocortex_segment,
    end: impl FnOnce(&neocortex_segment) -> CortexResult<()>,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    enter(|| end(unsafe { handle(segment) }?))
}

/// Commits and goes on holding: *data then points to where the next value goes, whose bytes are
/// unspecified, so write all of them. For a writer that owns the value for long; readers with the default
/// lock and observers go on. NEOCORTEX_ERR_UNSUPPORTED in the in-place layout,
/// NEOCORTEX_ERR_INVALID_ARGUMENT if this thread has not begun.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for a pointer.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_publish(
    segment: *mut neocortex_segment,
    data: *mut *mut c_void,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    if let (Some(segment), false) = (unsafe { segment.as_ref() }, data.is_null()) {
        if let Some((next, attends)) = held::publish_at_once(segment) {
            // SAFETY: not NULL, and the caller's promise.
            unsafe { data.write(next.cast()) };
            if let Some(full) = attends {
                full.attend();
            }
            return NEOCORTEX_OK;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { publish_slow(segment, data) }
}

/// # Safety
/// As for neocortex_write_publish.
#[cold]
unsafe fn publish_slow(
    segment: *mut neocortex_segment,
    data: *mut *mut c_void,
) -> neocortex_status {
    enter(|| {
        check_not_null(data, "data")?;
        // SAFETY: the caller's promise.
        let next = held::with_write(unsafe { handle(segment) }?, |guard| {
            guard.publish()?;
            Ok(guard.as_mut_ptr())
        })?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { data.write(next.cast()) };
        Ok(())
    })
}

/// Says that this thread's write guard changed these bytes, and those of its other marks, and no others:
/// a small change in a large segment then costs what it changes. Without a mark all counts as changed.
/// NEOCORTEX_ERR_INVALID_ARGUMENT if this thread has not begun, or where they reach beyond the segment.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_mark(
    segment: *mut neocortex_segment,
    offset: usize,
    length: usize,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        held::with_write(unsafe { handle(segment) }?, |guard| {
            guard.mark(offset, length)
        })
    })
}
