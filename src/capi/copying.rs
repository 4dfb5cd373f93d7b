//! Reading and writing by copy.

use super::any_lock::AnyLock;
use super::boundary::{check_not_null, enter};
use super::open_handle::{handle, neocortex_segment};
use super::rollback::retrying;
use super::status::{neocortex_status, NEOCORTEX_OK};
use super::times::limit;
use crate::error::{CortexResult, Told};
use crate::segment::Limit;
use std::ffi::c_void;

/// Copies the first length bytes of the last committed value into buffer.
///
/// buffer  at least length bytes. length: up to the segment's size; 0 does nothing.
///
/// All bytes are of one commit. With the default lock this stores nothing and does not wait. May be
/// called by any thread and in a forked child. Fails with NEOCORTEX_ERR_TIMEOUT, _INTERRUPTED,
/// _POISONED, _INVALID_ARGUMENT, or what the lock fails with.
///
/// On failure the buffer is as it was, with one exception: with the default lock and two slots or more, a
/// read that writers overtook has written to it, and if it fails after that (_TIMEOUT, _INTERRUPTED, _REMOVED,
/// a system call) its contents are unspecified. Writers that keep to the protocol make way, and it succeeds.
/// In the in-place layout, with a lock made of callbacks, and through an observer, the value is copied by way of as much
/// memory again. Fails with NEOCORTEX_ERR_CLEAN_SYSTEM (ENOMEM) where there is none.
///
/// # Safety
/// `segment` is NULL or an open handle, `buffer` is NULL or valid for `length` bytes.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read(
    segment: *mut neocortex_segment,
    buffer: *mut c_void,
    length: usize,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { read(segment, 0, buffer, length, Limit::Handle) }
}

/// Copies length bytes from offset on. Fails with NEOCORTEX_ERR_INVALID_ARGUMENT where they reach beyond the segment;
/// otherwise as neocortex_read.
///
/// # Safety
/// As for neocortex_read.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_at(
    segment: *mut neocortex_segment,
    offset: usize,
    buffer: *mut c_void,
    length: usize,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { read(segment, offset, buffer, length, Limit::Handle) }
}

/// neocortex_read_at with a time-out of this call alone, whatever the handle's is.
///
/// timeout_ns  NEOCORTEX_FOREVER (any negative number), NEOCORTEX_TRY, or nanoseconds.
///
/// Changes nothing that other threads see. Fails with NEOCORTEX_ERR_TIMEOUT when the time is over, and with NEOCORTEX_TRY
/// where it would have to wait; otherwise as neocortex_read_at.
///
/// # Safety
/// As for neocortex_read.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_for(
    segment: *mut neocortex_segment,
    offset: usize,
    buffer: *mut c_void,
    length: usize,
    timeout_ns: i64,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { read(segment, offset, buffer, length, limit(timeout_ns)) }
}

/// # Safety
/// As for neocortex_read.
#[inline(always)]
unsafe fn read(
    segment: *mut neocortex_segment,
    offset: usize,
    buffer: *mut c_void,
    length: usize,
    limit: Limit,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    let full = unsafe { segment.as_ref() }.and_then(neocortex_segment::try_full);
    if let (Some(full), false) = (full, buffer.is_null()) {
        // SAFETY: not NULL, and the caller's promise.
        if unsafe { full.load_word_at_once(offset, buffer.cast(), length) } {
            return NEOCORTEX_OK;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { read_bytes(segment, offset, buffer, length, limit) }
}

/// # Safety
/// As for neocortex_read.
#[inline(never)]
unsafe fn read_bytes(
    segment: *mut neocortex_segment,
    offset: usize,
    buffer: *mut c_void,
    length: usize,
    limit: Limit,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    let full = unsafe { segment.as_ref() }.and_then(neocortex_segment::try_full);
    if let (Some(full), false) = (full, buffer.is_null()) {
        // SAFETY: not NULL, and the caller's promise.
        if unsafe { full.load_at_once(offset, buffer.cast(), length) } {
            return NEOCORTEX_OK;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { read_any(segment, offset, buffer, length, limit) }
}

/// # Safety
/// As for neocortex_read.
#[cold]
#[inline(never)]
unsafe fn read_any(
    segment: *mut neocortex_segment,
    offset: usize,
    buffer: *mut c_void,
    length: usize,
    limit: Limit,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        if length == 0 {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { read_into(segment, offset, buffer, length, limit) }.map(drop)
    })
}

/// Copies bytes of one commit, and returns which.
///
/// # Safety
/// `buffer` is NULL or valid for `length` bytes.
unsafe fn read_into(
    segment: &neocortex_segment,
    offset: usize,
    buffer: *mut c_void,
    length: usize,
    limit: Limit,
) -> CortexResult<u64> {
    check_not_null(buffer, "buffer").on(segment.key())?;
    segment.check_length(length)?;
    // SAFETY: not NULL, and the caller's promise; not longer than the segment, and so than any slice may be.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    retrying(segment, || segment.read(offset, buffer, limit))
}

/// Does the same as neocortex_read, and tells of which commit the bytes are.
///
/// buffer   at least length bytes. length: up to the segment's size; with 0 only the version is told.
/// version  how many writes were committed when this one was the last; written on success only.
///
/// For a loop that waits for change: give neocortex_wait this version next, and no commit is worked on twice.
/// (neocortex_commit_count before or after a read may be of another commit.) Fails as neocortex_read.
///
/// # Safety
/// As for neocortex_read; `version` is NULL or valid for a number.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_versioned(
    segment: *mut neocortex_segment,
    buffer: *mut c_void,
    length: usize,
    version: *mut u64,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        check_not_null(version, "version").on(segment.key())?;
        let found = match length {
            0 => retrying(segment, || segment.read(0, &mut [], Limit::Handle)),
            // SAFETY: the caller's promise.
            _ => unsafe { read_into(segment, 0, buffer, length, Limit::Handle) },
        }?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { version.write(found) };
        Ok(())
    })
}

/// Replaces the first length bytes by data, in one commit: no process sees a part of it, and one that
/// dies in here leaves the value before.
///
/// data  at least length bytes. length: up to the segment's size; 0 does nothing.
///
/// May be called by any thread and in a forked child. Fails with NEOCORTEX_ERR_TIMEOUT, _INTERRUPTED,
/// _BUSY (this thread holds a guard), _POISONED, _READ_ONLY, _INVALID_ARGUMENT, or what the lock fails
/// with.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for `length` bytes.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write(
    segment: *mut neocortex_segment,
    data: *const c_void,
    length: usize,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { write(segment, 0, data, length, Limit::Handle) }
}

/// Replaces length bytes from offset on, in one commit. Its cost depends on how many bytes it changes. Fails with
/// NEOCORTEX_ERR_INVALID_ARGUMENT where they reach beyond the segment; otherwise as neocortex_write.
///
/// # Safety
/// As for neocortex_write.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_at(
    segment: *mut neocortex_segment,
    offset: usize,
    data: *const c_void,
    length: usize,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { write(segment, offset, data, length, Limit::Handle) }
}

/// neocortex_write_at with a time-out of this call alone, whatever the handle's is.
///
/// timeout_ns  NEOCORTEX_FOREVER (any negative number), NEOCORTEX_TRY, or nanoseconds.
///
/// Changes nothing that other threads see. Fails with NEOCORTEX_ERR_TIMEOUT when the time is over, and with NEOCORTEX_TRY
/// where it would have to wait: nothing was written then. Otherwise as neocortex_write_at.
///
/// # Safety
/// As for neocortex_write.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_for(
    segment: *mut neocortex_segment,
    offset: usize,
    data: *const c_void,
    length: usize,
    timeout_ns: i64,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { write(segment, offset, data, length, limit(timeout_ns)) }
}

/// # Safety
/// As for neocortex_write.
#[inline(always)]
unsafe fn write(
    segment: *mut neocortex_segment,
    offset: usize,
    data: *const c_void,
    length: usize,
    limit: Limit,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    let full = unsafe { segment.as_ref() }.and_then(neocortex_segment::try_full);
    if let (Some(full), false) = (full, data.is_null()) {
        if let AnyLock::SeqLock(lock) = full.lock() {
            // SAFETY: not NULL, and the caller's promise.
            if unsafe { full.store_word_at_once(lock, offset, data.cast(), length) } {
                return NEOCORTEX_OK;
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { write_bytes(segment, offset, data, length, limit) }
}

/// # Safety
/// As for neocortex_write.
#[inline(never)]
unsafe fn write_bytes(
    segment: *mut neocortex_segment,
    offset: usize,
    data: *const c_void,
    length: usize,
    limit: Limit,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    let full = unsafe { segment.as_ref() }.and_then(neocortex_segment::try_full);
    if let (Some(full), false) = (full, data.is_null()) {
        let is_written = match full.lock() {
            // SAFETY: not NULL, and the caller's promise.
            AnyLock::SeqLock(lock) => unsafe {
                full.store_at_once(lock, offset, data.cast(), length)
            },
            // SAFETY: as above.
            lock => unsafe { full.store_at_once(lock, offset, data.cast(), length) },
        };
        if is_written {
            return NEOCORTEX_OK;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { write_any(segment, offset, data, length, limit) }
}

/// # Safety
/// As for neocortex_write.
#[cold]
#[inline(never)]
unsafe fn write_any(
    segment: *mut neocortex_segment,
    offset: usize,
    data: *const c_void,
    length: usize,
    limit: Limit,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        if length == 0 {
            return Ok(());
        }
        check_not_null(data, "data").on(segment.key())?;
        let full = segment.full("write")?;
        segment.check_length(length)?;
        // SAFETY: the caller's promise; not longer than the segment, and so than any slice may be.
        let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) };
        retrying(segment, || full.write_at_within(offset, data, limit))
    })
}
