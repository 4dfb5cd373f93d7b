//! Reading and writing by copy.

use super::boundary::{check_not_null, enter};
use super::handle::{handle, neocortex_segment};
use super::status::neocortex_status;
use std::ffi::c_void;

/// Copies the first length bytes of the last committed value into buffer.
///
/// buffer  at least length bytes. length: up to the segment's size; 0 does nothing.
///
/// All bytes are of one commit. With the default lock this stores nothing and waits for nobody. May be
/// called by any thread and in a forked child. Fails with NEOCORTEX_ERR_TIMEOUT, _INTERRUPTED,
/// _POISONED, _INVALID_ARGUMENT, or what the lock fails with.
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
    unsafe { neocortex_read_at(segment, 0, buffer, length) }
}

/// Copies length bytes from offset on. As neocortex_read.
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
    unsafe { neocortex_write_at(segment, 0, data, length) }
}

/// Replaces length bytes from offset on, in one commit. Costs what it changes. As neocortex_write.
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
