//! Reading and writing by copy.

use super::any_lock::AnyLock;
use super::boundary::{check_not_null, enter};
use super::handle::{handle, neocortex_segment};
use super::status::{neocortex_status, NEOCORTEX_OK};
use std::ffi::c_void;

/// Copies the first length bytes of the last committed value into buffer.
///
/// buffer  at least length bytes. length: up to the segment's size; 0 does nothing.
///
/// All bytes are of one commit. With the default lock this stores nothing and waits for nobody. May be
/// called by any thread and in a forked child. Fails with NEOCORTEX_ERR_TIMEOUT, _INTERRUPTED,
/// _POISONED, _INVALID_ARGUMENT, or what the lock fails with.
///
/// On failure the buffer is as it was, with one exception: with the default lock and two slots or more, a
/// read that writers overtook has written to it, and if it fails after that (_TIMEOUT, _INTERRUPTED, _REMOVED,
/// a system call) its contents are unspecified. Writers that keep to the protocol make way, and it succeeds.
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
    unsafe { read(segment, 0, buffer, length) }
}

/// Copies length bytes from offset on. As neocortex_read; NEOCORTEX_ERR_INVALID_ARGUMENT where they reach
/// beyond the segment.
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
    unsafe { read(segment, offset, buffer, length) }
}

/// # Safety
/// As for neocortex_read.
#[inline(always)]
unsafe fn read(
    segment: *mut neocortex_segment,
    offset: usize,
    buffer: *mut c_void,
    length: usize,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    let full = unsafe { segment.as_ref() }.and_then(neocortex_segment::full_at_once);
    if let (Some(full), false) = (full, buffer.is_null()) {
        // SAFETY: not NULL, and the caller's promise.
        if unsafe { full.load_word_at_once(offset, buffer.cast(), length) } {
            return NEOCORTEX_OK;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { read_any(segment, offset, buffer, length) }
}

/// # Safety
/// As for neocortex_read.
#[inline(never)]
unsafe fn read_any(
    segment: *mut neocortex_segment,
    offset: usize,
    buffer: *mut c_void,
    length: usize,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        if length == 0 {
            return Ok(());
        }
        check_not_null(buffer, "buffer")?;
        segment.check_length(length)?;
        // SAFETY: the caller's promise; not longer than the segment, and so than any slice may be.
        let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
        segment.read(offset, buffer)
    })
}

/// Replaces the first length bytes by data, in one commit: nobody sees a part of it, and a process that
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
    unsafe { write(segment, 0, data, length) }
}

/// Replaces length bytes from offset on, in one commit. Costs what it changes. As neocortex_write;
/// NEOCORTEX_ERR_INVALID_ARGUMENT where they reach beyond the segment.
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
    unsafe { write(segment, offset, data, length) }
}

/// # Safety
/// As for neocortex_write.
#[inline(always)]
unsafe fn write(
    segment: *mut neocortex_segment,
    offset: usize,
    data: *const c_void,
    length: usize,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    let full = unsafe { segment.as_ref() }.and_then(neocortex_segment::full_at_once);
    if let (Some(full), false) = (full, data.is_null()) {
        if let AnyLock::SeqLock(lock) = full.lock() {
            // SAFETY: not NULL, and the caller's promise.
            if unsafe { full.store_word_at_once(lock, offset, data.cast(), length) } {
                return NEOCORTEX_OK;
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { write_any(segment, offset, data, length) }
}

/// # Safety
/// As for neocortex_write.
#[inline(never)]
unsafe fn write_any(
    segment: *mut neocortex_segment,
    offset: usize,
    data: *const c_void,
    length: usize,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        if length == 0 {
            return Ok(());
        }
        check_not_null(data, "data")?;
        let full = segment.full("write")?;
        segment.check_length(length)?;
        // SAFETY: the caller's promise; not longer than the segment, and so than any slice may be.
        let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) };
        full.write_at(offset, data)
    })
}
