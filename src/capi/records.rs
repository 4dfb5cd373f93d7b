//! Records of any length.

use super::boundary::{check_not_null, enter, enter_for};
use super::open_handle::{handle, neocortex_segment, Opened};
use super::rollback::retrying;
use super::status::neocortex_status;
use super::times::{duration, limit};
use crate::error::{Cause, CortexError, CortexResult, Told, WAITING_FOR_CHANGE};
use crate::segment::Limit;
use std::ffi::c_void;

/// Returns whether the segment holds records (NEOCORTEX_RECORDS), and no value. false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_has_records(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match unsafe { handle(segment) }?.opened()? {
        Opened::Full(segment) => Ok(segment.has_records()),
        Opened::Observe(observer) => Ok(observer.has_records()),
    })
}

/// Makes a record the current one, in one commit: no process sees a part of it, and one that dies in here leaves the
/// record before. For a segment that was created with NEOCORTEX_RECORDS.
///
/// data        at least length bytes. length: up to the segment's size; 0 is a record too, for which data may be NULL.
/// timeout_ns  NEOCORTEX_FOREVER (any negative number), NEOCORTEX_TRY, or nanoseconds.
///
/// May be called by any thread and in a forked child. Fails with NEOCORTEX_ERR_UNSUPPORTED where the segment holds a
/// value; _INVALID_ARGUMENT where the record is longer than the segment; _TIMEOUT, _INTERRUPTED, _BUSY (this thread holds
/// a guard), _READ_ONLY, or what the lock fails with.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for `length` bytes.
#[no_mangle]
pub unsafe extern "C" fn neocortex_push(
    segment: *mut neocortex_segment,
    data: *const c_void,
    length: usize,
    timeout_ns: i64,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        let full = segment.full("push")?;
        let record = if length == 0 {
            &[]
        } else {
            check_not_null(data, "data").on(segment.key())?;
            segment.check_length(length)?;
            // SAFETY: the caller's promise; not longer than the segment, and so than any slice may be.
            unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) }
        };
        retrying(segment, || full.push_within(record, limit(timeout_ns)))
    })
}

/// Copies the newest record.
///
/// buffer  at least capacity bytes; NULL where capacity is 0.
/// length  the length of the record. Where that is more than capacity, the call fails with
///         NEOCORTEX_ERR_INVALID_ARGUMENT, and *length tells how much is needed: the segment's size is always enough.
///
/// Before the first push the record is empty, or what the segment was created with. On failure *length is otherwise as
/// it was, and the buffer is unspecified. Fails with NEOCORTEX_ERR_UNSUPPORTED where the segment holds a value;
/// _CORRUPT where another process has spoilt the length of the record; otherwise as neocortex_read.
///
/// # Safety
/// `segment` is NULL or an open handle, `buffer` is NULL or valid for `capacity` bytes, `length` is NULL or valid for a
/// number.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_record(
    segment: *mut neocortex_segment,
    buffer: *mut c_void,
    capacity: usize,
    length: *mut usize,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        check_not_null(length, "length").on(segment.key())?;
        let place = room(buffer, capacity).on(segment.key())?;
        let (found, _) = retrying(segment, || match segment.opened()? {
            // SAFETY: room for `capacity` bytes, by the caller's promise.
            Opened::Full(full) => unsafe { full.load_record(place, capacity, Limit::Handle) },
            // SAFETY: as above.
            Opened::Observe(observer) => unsafe { observer.load_record(place, capacity) },
        })?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { length.write(found) };
        fits(segment, found, capacity)
    })
}

/// Copies the record of the next commit after *since. Waits until there is one.
///
/// since       a position, as in neocortex_follow. It becomes the number of the commit that was read.
/// buffer      at least capacity bytes; NULL where capacity is 0.
/// timeout_ns  NEOCORTEX_FOREVER, NEOCORTEX_TRY, or nanoseconds.
/// length      the length of the record. Where that is more than capacity, the call fails with
///             NEOCORTEX_ERR_INVALID_ARGUMENT, *length tells how much is needed, and nothing is lost: *since is as it
///             was. The segment's size is always enough.
/// missed      how many commits before it were overwritten before they could be read.
///
/// On other failures *since, *length and *missed are as they were, and the buffer is unspecified. Fails with
/// NEOCORTEX_ERR_UNSUPPORTED where the segment holds a value; _CORRUPT where another process has spoilt the length of
/// the record: *since is then the number of that commit, and *missed counts it too, so the next call goes on after it;
/// otherwise as neocortex_follow.
///
/// # Safety
/// `segment` is NULL or an open handle, `buffer` is NULL or valid for `capacity` bytes, the others are NULL or valid for
/// a number.
#[no_mangle]
pub unsafe extern "C" fn neocortex_next_record(
    segment: *mut neocortex_segment,
    since: *mut u64,
    buffer: *mut c_void,
    capacity: usize,
    timeout_ns: i64,
    length: *mut usize,
    missed: *mut u64,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        let key = segment.key();
        check_not_null(since, "since").on(key)?;
        check_not_null(length, "length").on(key)?;
        check_not_null(missed, "missed").on(key)?;
        let place = room(buffer, capacity).on(key)?;
        let _call = segment.enter(WAITING_FOR_CHANGE)?;
        // SAFETY: not NULL, and the caller's promise.
        let position = unsafe { since.read() };
        let mut follower = segment.follow(position)?;
        // SAFETY: room for `capacity` bytes, by the caller's promise.
        let found = unsafe { follower.load_next_record(duration(timeout_ns), place, capacity) };
        if let Err(CortexError::Corrupt { .. }) = found {
            let passed = follower.passed();
            segment.acknowledge(passed);
            // SAFETY: not NULL, and the caller's promise.
            unsafe {
                since.write(passed);
                missed.write(passed.wrapping_sub(position));
            }
        }
        let found = found?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { length.write(found.value) };
        fits(segment, found.value, capacity)?;
        segment.acknowledge(found.version);
        // SAFETY: not NULL, and the caller's promise.
        unsafe {
            since.write(found.version);
            missed.write(found.missed);
        }
        Ok(())
    })
}

/// Returns the place of a buffer, which may be NULL where it has no room.
fn room(buffer: *mut c_void, capacity: usize) -> Result<*mut u8, Cause> {
    if capacity == 0 {
        return Ok(std::ptr::NonNull::dangling().as_ptr());
    }
    check_not_null(buffer, "buffer")?;
    Ok(buffer.cast())
}

/// Refuses a buffer that the record did not fit into.
fn fits(segment: &neocortex_segment, length: usize, capacity: usize) -> CortexResult<()> {
    if length <= capacity {
        return Ok(());
    }
    let detail = format!("the buffer has {capacity} bytes, and the record {length}");
    Err(Cause::invalid(detail).on(segment.key()))
}
