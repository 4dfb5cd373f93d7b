//! What a handle tells of its segment.

use super::boundary::{check_not_null, enter, enter_for};
use super::open_handle::{handle, neocortex_segment, Opened};
use super::status::neocortex_status;
use crate::error::Told;
use std::ffi::c_char;

/// Returns the key that the segment was created under; 0 for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_key(segment: *const neocortex_segment) -> i32 {
    // SAFETY: the caller's promise.
    enter_for(0, || Ok(unsafe { handle(segment) }?.key()))
}

/// Returns the size of the payload in bytes; 0 for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_size(segment: *const neocortex_segment) -> usize {
    // SAFETY: the caller's promise.
    enter_for(0, || unsafe { handle(segment) }?.size())
}

/// Returns how many writes were committed since the segment was created; 0 for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_commit_count(segment: *const neocortex_segment) -> u64 {
    // SAFETY: the caller's promise.
    enter_for(0, || match unsafe { handle(segment) }?.opened()? {
        Opened::Full(segment) => Ok(segment.version()),
        Opened::Observe(observer) => Ok(observer.version()),
    })
}

/// Returns whether closing this handle, in this process, removes the segment. false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_is_owner(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match unsafe { handle(segment) }?.opened()? {
        Opened::Full(segment) => Ok(segment.is_owner()),
        Opened::Observe(_) => Ok(false),
    })
}

/// Returns whether this handle made the segment rather than finding it. false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_was_created(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match unsafe { handle(segment) }?.opened()? {
        Opened::Full(segment) => Ok(segment.was_created()),
        Opened::Observe(_) => Ok(false),
    })
}

/// Returns whether a write in place was left unfinished; a write that is going on looks the same. false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_is_poisoned(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match unsafe { handle(segment) }?.opened()? {
        Opened::Full(segment) => Ok(segment.is_poisoned()),
        Opened::Observe(observer) => Ok(observer.is_poisoned()),
    })
}

/// Returns whether the segment was removed; handles that are attached go on sharing its memory. false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_is_removed(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match unsafe { handle(segment) }?.opened()? {
        Opened::Full(segment) => Ok(segment.is_removed()),
        Opened::Observe(observer) => Ok(observer.is_removed()),
    })
}

/// Returns the name of the segment's lock, valid while the handle is open; NULL for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_lock_name(segment: *const neocortex_segment) -> *const c_char {
    enter_for(std::ptr::null(), || {
        // SAFETY: the caller's promise.
        Ok(unsafe { handle(segment) }?.lock_name.as_ptr())
    })
}

/// Returns the name that the segment was created under, valid while the handle is open; "" where it was created by number;
/// NULL for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_name(segment: *const neocortex_segment) -> *const c_char {
    enter_for(std::ptr::null(), || {
        // SAFETY: the caller's promise.
        Ok(unsafe { handle(segment) }?.name.as_ptr())
    })
}

/// Returns the schema that the segment was created with; 0 for none, and for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_schema(segment: *const neocortex_segment) -> u64 {
    // SAFETY: the caller's promise.
    enter_for(0, || match unsafe { handle(segment) }?.opened()? {
        Opened::Full(segment) => Ok(segment.schema()),
        Opened::Observe(observer) => Ok(observer.schema()),
    })
}

/// Tells how many participants are attached now, in *alive, and how many can be, in *limit. Observers are not
/// counted. Fails with NEOCORTEX_ERR_REMOVED, _CLEAN_SYSTEM, _INVALID_ARGUMENT.
///
/// # Safety
/// `segment` is NULL or an open handle, the others are NULL or valid for a number.
#[no_mangle]
pub unsafe extern "C" fn neocortex_participants(
    segment: *mut neocortex_segment,
    alive: *mut u32,
    limit: *mut u32,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        check_not_null(alive, "alive").on(segment.key())?;
        check_not_null(limit, "limit").on(segment.key())?;
        let counts = match segment.opened()? {
            Opened::Full(segment) => segment.participants()?,
            Opened::Observe(observer) => observer.participants()?,
        };
        // SAFETY: not NULL, and the caller's promise.
        unsafe {
            alive.write(counts.0);
            limit.write(counts.1);
        }
        Ok(())
    })
}
