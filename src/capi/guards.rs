//! Access without a copy: a guard begun by one call, ended by another.

use super::boundary::{check_not_null, enter};
use super::open_handle::{handle, neocortex_segment};
use super::own_guards::{self, Kind};
use super::status::{neocortex_status, NEOCORTEX_OK};
use super::times::limit;
use crate::error::{CortexError, CortexResult, Told};
use crate::segment::Limit;
use std::ffi::c_void;

/// Begins to read without a copy: *data points to the current value, which does not change until
/// neocortex_read_end on the same thread.
///
/// With the default lock and the semaphore no other guard can be held meanwhile; use neocortex_lock_rwlock for many
/// readers. In a forked child an inherited guard is void.
///
/// Fails with NEOCORTEX_ERR_BUSY where this thread holds a guard, through whichever handle of the cortex, except for reads
/// within reads with the read/write lock (through another handle only while no writer waits); _TIMEOUT, _INTERRUPTED,
/// _POISONED, _READ_ONLY (an observer copies), _INVALID_ARGUMENT, or what the lock fails with.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for a pointer.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_begin(
    segment: *mut neocortex_segment,
    data: *mut *const c_void,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { begin(segment, data.cast(), Kind::Read, Limit::Handle) }
}

/// neocortex_read_begin with a time-out of this call alone, whatever the handle's is.
///
/// timeout_ns  NEOCORTEX_FOREVER (any negative number), NEOCORTEX_TRY, or nanoseconds.
///
/// Changes nothing that other threads see. Fails with NEOCORTEX_ERR_TIMEOUT when the time is over, and with NEOCORTEX_TRY
/// where it would have to wait; otherwise as neocortex_read_begin.
///
/// # Safety
/// As for neocortex_read_begin.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_begin_for(
    segment: *mut neocortex_segment,
    timeout_ns: i64,
    data: *mut *const c_void,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { begin(segment, data.cast(), Kind::Read, limit(timeout_ns)) }
}

/// Begins a guard of any kind.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for a pointer.
#[inline(always)]
unsafe fn begin(
    segment: *mut neocortex_segment,
    data: *mut *mut c_void,
    kind: Kind,
    limit: Limit,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    if let (Some(segment), false) = (unsafe { segment.as_ref() }, data.is_null()) {
        // SAFETY: a handle is a box that `close` keeps while it has guards.
        if let Some(first) = unsafe { own_guards::begin_fast(segment, kind) } {
            // SAFETY: not NULL, and the caller's promise.
            unsafe { data.write(first.cast()) };
            return NEOCORTEX_OK;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { begin_slow(segment, data, kind, limit) }
}

/// # Safety
/// As for [`begin`].
#[cold]
unsafe fn begin_slow(
    segment: *mut neocortex_segment,
    data: *mut *mut c_void,
    kind: Kind,
    limit: Limit,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        check_not_null(data, "data").on(segment.key())?;
        // SAFETY: a handle is a box that `close` keeps while it has guards.
        let first = unsafe { own_guards::begin(segment, kind, limit) }?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { data.write(first.cast()) };
        Ok(())
    })
}

/// Ends what this thread's last neocortex_read_begin began. Fails with NEOCORTEX_ERR_INVALID_ARGUMENT where there is
/// nothing to end, or what the lock's release fails with.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_end(segment: *mut neocortex_segment) -> neocortex_status {
    // SAFETY: the caller's promise.
    if unsafe { segment.as_ref() }.is_some_and(own_guards::end_read_fast) {
        return NEOCORTEX_OK;
    }
    // SAFETY: the caller's promise.
    unsafe { end_slow(segment, own_guards::end_read) }
}

/// Begins to write without a copy: *data points to where the next value goes, which holds the current
/// one. Other processes see nothing of it until neocortex_write_commit, _publish or _abort on the same thread.
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
    unsafe { begin(segment, data, Kind::Write, Limit::Handle) }
}

/// neocortex_write_begin with a time-out of this call alone, whatever the handle's is.
///
/// timeout_ns  NEOCORTEX_FOREVER (any negative number), NEOCORTEX_TRY, or nanoseconds.
///
/// Changes nothing that other threads see. Fails with NEOCORTEX_ERR_TIMEOUT when the time is over, and with NEOCORTEX_TRY
/// where it would have to wait; otherwise as neocortex_write_begin.
///
/// # Safety
/// As for neocortex_write_begin.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_begin_for(
    segment: *mut neocortex_segment,
    timeout_ns: i64,
    data: *mut *mut c_void,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { begin(segment, data, Kind::Write, limit(timeout_ns)) }
}

/// Does the same as neocortex_write_begin for a caller that writes all of the value: the current one is not copied to
/// *data first, which halves the cost of filling a large value.
///
/// timeout_ns  NEOCORTEX_FOREVER (any negative number), NEOCORTEX_TRY, or nanoseconds; neocortex_timeout tells the
///             handle's.
///
/// *data points to initialised memory of this segment, in which there is an older value, or what a write that was given
/// up left of one. At neocortex_write_commit all of it is the value, whatever was marked. It is ended as what
/// neocortex_write_begin began. In the in-place layout *data is the value itself, and a poisoned one is healed by the
/// commit. Fails as neocortex_write_begin, but never with _POISONED.
///
/// # Safety
/// As for neocortex_write_begin.
#[no_mangle]
pub unsafe extern "C" fn neocortex_overwrite_begin(
    segment: *mut neocortex_segment,
    timeout_ns: i64,
    data: *mut *mut c_void,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { begin_slow(segment, data, Kind::Overwrite, limit(timeout_ns)) }
}

/// Makes what this thread wrote since neocortex_write_begin the current value, for all processes at once.
/// Fails with NEOCORTEX_ERR_INVALID_ARGUMENT where this thread has not begun, or what the lock's release fails with: the
/// commit is made then.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_commit(
    segment: *mut neocortex_segment,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    if unsafe { segment.as_ref() }.is_some_and(own_guards::commit_fast) {
        return NEOCORTEX_OK;
    }
    // SAFETY: the caller's promise.
    unsafe { end_slow(segment, own_guards::commit) }
}

/// Discards what was written: the value stays as it was. In the in-place layout it cannot be undone, so the segment is
/// poisoned.
/// Fails with NEOCORTEX_ERR_INVALID_ARGUMENT where this thread has not begun, or what the lock's release fails with.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_abort(
    segment: *mut neocortex_segment,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { end_slow(segment, own_guards::abort) }
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

/// Commits and keeps the lock: *data then points to where the next value goes, whose bytes are unspecified, so write
/// all of them. For a writer that owns the value for long; readers with the default lock and observers go on.
/// Fails with NEOCORTEX_ERR_UNSUPPORTED in the in-place layout; _INVALID_ARGUMENT where this thread has not begun.
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
        if let Some((next, is_wanted)) = own_guards::publish_fast(segment) {
            // SAFETY: not NULL, and the caller's promise.
            unsafe { data.write(next.cast()) };
            if is_wanted {
                return serve_waiters(segment);
            }
            return NEOCORTEX_OK;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { publish_slow(segment, data) }
}

#[cold]
fn serve_waiters(segment: &neocortex_segment) -> neocortex_status {
    enter(|| own_guards::with_write(segment, |guard| guard.serve_waiters()))
}

/// # Safety
/// As for neocortex_write_publish.
#[cold]
unsafe fn publish_slow(
    segment: *mut neocortex_segment,
    data: *mut *mut c_void,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        check_not_null(data, "data").on(segment.key())?;
        let (next, result) = own_guards::with_write(segment, |guard| {
            let result = guard.publish();
            Ok((guard.as_mut_ptr(), result))
        })?;
        // Also where publishing finds that the segment was removed: the value is published, and the slot that the guard
        // had before must no longer be written to.
        if matches!(result, Ok(()) | Err(CortexError::Removed { .. })) {
            // SAFETY: not NULL, and the caller's promise.
            unsafe { data.write(next.cast()) };
        }
        result
    })
}

/// Says that this thread's write guard changed these bytes, and those of its other marks, and no others:
/// a small change in a large segment then costs what it changes. Without a mark all counts as changed.
/// Fails with NEOCORTEX_ERR_INVALID_ARGUMENT where this thread has not begun, or where they reach beyond the segment.
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
        own_guards::with_write(unsafe { handle(segment) }?, |guard| {
            guard.mark(offset, length)
        })
    })
}
