//! Access without a copy: a guard begun by one call, ended by another.

use super::boundary::{check_not_null, enter};
use super::handle::{handle, neocortex_segment};
use super::held::{self, Guard};
use super::status::neocortex_status;
use std::ffi::c_void;

/// Begins to read without a copy: *data points to the current value, which nobody writes until
/// neocortex_read_end on the same thread.
///
/// With the default lock and the semaphore this excludes everyone; use neocortex_lock_rwlock for many
/// readers. A thread that holds a guard through this handle gets NEOCORTEX_ERR_BUSY, except for reads
/// within reads with the read/write lock. In a forked child an inherited guard is void.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for a pointer.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_begin(
    segment: *mut neocortex_segment,
    data: *mut *const c_void,
) -> neocortex_status {
    enter(|| {
        check_not_null(data, "data")?;
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        let full = segment.full("read without a copy")?;
        // SAFETY: a handle is a box that `close` keeps while the count is not zero.
        let first = unsafe { held::begin(full, &segment.held, false) }?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { data.write(first.cast()) };
        Ok(())
    })
}

/// Ends what this thread's last neocortex_read_begin began. NEOCORTEX_ERR_INVALID_ARGUMENT if there is
/// nothing to end.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_end(segment: *mut neocortex_segment) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let full = unsafe { handle(segment) }?.full("read without a copy")?;
        held::end(full, false, |guard| match guard {
            Guard::Read(guard) => guard.end(),
            Guard::Write(_) => unreachable!("found by its kind"),
        })
    })
}

/// Begins to write without a copy: *data points to where the next value goes, which holds the current
/// one. Nothing is seen by anybody until neocortex_write_commit, _publish or _abort on the same thread.
///
/// In the in-place layout *data is the value itself.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for a pointer.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_begin(
    segment: *mut neocortex_segment,
    data: *mut *mut c_void,
) -> neocortex_status {
    enter(|| {
        check_not_null(data, "data")?;
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        let full = segment.full("write")?;
        // SAFETY: a handle is a box that `close` keeps while the count is not zero.
        let first = unsafe { held::begin(full, &segment.held, true) }?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { data.write(first.cast()) };
        Ok(())
    })
}

/// Ends this thread's write guard one way or the other.
///
/// # Safety
/// `segment` is NULL or an open handle.
unsafe fn end_write(segment: *mut neocortex_segment, is_commit: bool) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let full = unsafe { handle(segment) }?.full("write")?;
        held::end(full, true, |guard| match guard {
            Guard::Write(guard) if is_commit => guard.commit(),
            Guard::Write(guard) => guard.abort(),
            Guard::Read(_) => unreachable!("found by its kind"),
        })
    })
}

/// Makes what this thread wrote since neocortex_write_begin the current value, for everybody at once.
/// NEOCORTEX_ERR_INVALID_ARGUMENT if this thread has not begun.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_commit(
    segment: *mut neocortex_segment,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { end_write(segment, true) }
}

/// Gives up: nothing happened. In the in-place layout it cannot be undone, so the segment is poisoned.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_abort(
    segment: *mut neocortex_segment,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { end_write(segment, false) }
}

/// Commits and goes on holding: *data then points to where the next value goes, whose bytes are
/// unspecified, so write all of them. For a writer that owns the value for long; readers with the default
/// lock and observers go on. NEOCORTEX_ERR_UNSUPPORTED in the in-place layout.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for a pointer.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_publish(
    segment: *mut neocortex_segment,
    data: *mut *mut c_void,
) -> neocortex_status {
    enter(|| {
        check_not_null(data, "data")?;
        // SAFETY: the caller's promise.
        let full = unsafe { handle(segment) }?.full("write")?;
        let next = held::with_write(full, |guard| {
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
        let full = unsafe { handle(segment) }?.full("write")?;
        held::with_write(full, |guard| guard.mark(offset, length))
    })
}
