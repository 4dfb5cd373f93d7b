//! Opening a handle: creating a segment, attaching to one.

use super::boundary::{borrow_text, enter_for};
use super::open_handle::{neocortex_segment, Opened};
use super::options::{
    neocortex_options, Request, ATTACH_FLAGS, CREATE_FLAGS, NEOCORTEX_RANDOM_KEY,
    NEOCORTEX_READ_ONLY,
};
use super::times::duration;
use crate::error::{Cause, CortexResult, Told};
use crate::key::{name_of, Key, Wanted};
use crate::segment::{self, SegmentObserver};
use crate::sys::cancel;
use std::ffi::{c_char, c_void};

/// Creates a segment of size bytes, all 0, under a key that is not in use.
///
/// key      any number but 0. size: more than 0.
/// options  NULL for the defaults: owner only, default lock, removed when this handle is closed.
///
/// Returns a handle for neocortex_close, or NULL: see neocortex_last_status. Fails with NEOCORTEX_ERR_CLEAN_SYSTEM (EEXIST
/// where the key is in use: neocortex_last_message says whether it is stale; ENOSPC or ENOMEM at a limit of the kernel);
/// _INVALID_ARGUMENT; _UNSUPPORTED (a flag or field that this version does not know); _BUSY where
/// NEOCORTEX_REPLACE_STALE finds a handle attached; with NEOCORTEX_FORCE_OWNERSHIP as neocortex_attach; _DIRTY_SYSTEM
/// where something is left that the message names.
///
/// # Safety
/// `options` is NULL or valid, with what it points to.
#[no_mangle]
pub unsafe extern "C" fn neocortex_create(
    key: i32,
    size: usize,
    options: *const neocortex_options,
) -> *mut neocortex_segment {
    let _uncancelled = cancel::Disabled::new();
    enter_for(std::ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        unsafe { create(Wanted::by_number(key), size, std::ptr::null(), options) }
    })
}

/// Creates a segment whose first value is initial, at commit count 0. Otherwise as neocortex_create.
///
/// initial  at least size bytes, copied; NULL: zeros.
///
/// No process can attach before the first value is whole: one that dies in here leaves nothing that others could
/// take for a value. What is found rather than made (NEOCORTEX_FORCE_OWNERSHIP) keeps the value that
/// it has; neocortex_was_created tells.
///
/// # Safety
/// `options` is NULL or valid, with what it points to; `initial` is NULL or valid for `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn neocortex_create_with(
    key: i32,
    size: usize,
    initial: *const c_void,
    options: *const neocortex_options,
) -> *mut neocortex_segment {
    let _uncancelled = cancel::Disabled::new();
    enter_for(std::ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        unsafe { create(Wanted::by_number(key), size, initial.cast(), options) }
    })
}

/// Creates a segment under a name in place of a key: see neocortex_key_of. Otherwise as neocortex_create.
///
/// name  1 to 255 bytes of UTF-8, ended by a 0, without control characters, that do not look like a number. It is copied.
///
/// The name is stored in the segment, and compared when a process attaches by name. Fails with NEOCORTEX_ERR_NAME, whatever
/// the options say, where the key that follows from it belongs to a cortex of another name, or of none: nothing is changed
/// then; _INVALID_ARGUMENT for a text that is not a valid name.
///
/// # Safety
/// `name` is NULL or a string; `options` is NULL or valid, with what it points to.
#[no_mangle]
pub unsafe extern "C" fn neocortex_create_named(
    name: *const c_char,
    size: usize,
    options: *const neocortex_options,
) -> *mut neocortex_segment {
    // SAFETY: the caller's promise.
    unsafe { neocortex_create_named_with(name, size, std::ptr::null(), options) }
}

/// neocortex_create_named with a first value, as neocortex_create_with.
///
/// # Safety
/// As for neocortex_create_named; `initial` is NULL or valid for `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn neocortex_create_named_with(
    name: *const c_char,
    size: usize,
    initial: *const c_void,
    options: *const neocortex_options,
) -> *mut neocortex_segment {
    let _uncancelled = cancel::Disabled::new();
    enter_for(std::ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        let key = unsafe { name_key(name) }?;
        // SAFETY: the caller's promise.
        unsafe { create(key.wanted()?, size, initial.cast(), options) }
    })
}

/// # Safety
/// As for neocortex_create_with.
unsafe fn create(
    wanted: Wanted<'_>,
    size: usize,
    initial: *const u8,
    options: *const neocortex_options,
) -> CortexResult<*mut neocortex_segment> {
    // SAFETY: the caller's promise.
    let request = unsafe { Request::read(options, CREATE_FLAGS) }.on(wanted.number)?;
    let is_random = request.flags & NEOCORTEX_RANDOM_KEY != 0;
    if is_random && wanted.name.is_some() {
        let detail = "`random_key` draws a key, and a name has its own. Choose one of them";
        return Err(Cause::invalid(detail).on(wanted.number));
    }
    // A size beyond what a slice may have is refused before the value is looked at.
    let has_value = !initial.is_null() && isize::try_from(size).is_ok();
    // SAFETY: not NULL, and the caller's promise; no longer than a slice may be.
    let value = has_value.then(|| unsafe { std::slice::from_raw_parts(initial, size) });
    let wanted = (!is_random).then_some(wanted);
    let segment = segment::create(wanted, size, &request.options, &request.lock, value)?;
    Ok(neocortex_segment::new(Opened::Full(segment)))
}

/// Attaches to the segment with this key, whatever built-in lock it has. size 0 accepts any size.
///
/// Waits, for a bounded time, while the creator is still initialising. Returns a handle for neocortex_close, or NULL: see
/// neocortex_last_status. Fails with NEOCORTEX_ERR_CLEAN_SYSTEM (ENOENT where no segment has the key, EACCES where this
/// user may not use it); _NOT_A_CORTEX; _FORMAT; _LAYOUT (another size, alignment or schema); _LOCK (another one, or one
/// that needs callbacks); _NOT_READY (the creator is slow, or died); _FULL; _CORRUPT; _INVALID_ARGUMENT.
#[no_mangle]
pub extern "C" fn neocortex_attach(key: i32, size: usize) -> *mut neocortex_segment {
    // SAFETY: no options.
    unsafe { neocortex_attach_with(key, size, std::ptr::null()) }
}

/// Attaches with options. Of them schema, align, timeout_ns, lock and the flags NEOCORTEX_READ_ONLY, NEOCORTEX_NEVER_WAIT,
/// NEOCORTEX_INTERRUPTIBLE, NEOCORTEX_PREFAULT and NEOCORTEX_DUMP have an effect. Fails with NEOCORTEX_ERR_UNSUPPORTED
/// where the options have a flag or field that this version does not know; otherwise as neocortex_attach.
///
/// # Safety
/// `options` is NULL or valid, with what it points to.
#[no_mangle]
pub unsafe extern "C" fn neocortex_attach_with(
    key: i32,
    size: usize,
    options: *const neocortex_options,
) -> *mut neocortex_segment {
    let _uncancelled = cancel::Disabled::new();
    enter_for(std::ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        unsafe { attach(key.into(), size, options, None) }
    })
}

/// Attaches to the segment that was created under this name: see neocortex_create_named. Fails with NEOCORTEX_ERR_NAME
/// where the key that follows from the name is that of a cortex of another name, or of none (neocortex_last_message says
/// both); otherwise as neocortex_attach_with.
///
/// # Safety
/// `name` is NULL or a string; `options` is NULL or valid, with what it points to.
#[no_mangle]
pub unsafe extern "C" fn neocortex_attach_named(
    name: *const c_char,
    size: usize,
    options: *const neocortex_options,
) -> *mut neocortex_segment {
    let _uncancelled = cancel::Disabled::new();
    enter_for(std::ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        unsafe { attach(name_key(name)?, size, options, None) }
    })
}

/// Attaches as neocortex_attach_with, as soon as a process has created the segment and it is ready. With it, programs
/// can start in any order.
///
/// timeout_ns  for how long to wait for that: NEOCORTEX_FOREVER, NEOCORTEX_TRY, or nanoseconds. The time-out of the
///             options is that of the handle, as ever.
///
/// When the time is over, fails with NEOCORTEX_ERR_TIMEOUT where no process has created it, and with
/// NEOCORTEX_ERR_NOT_READY where one has begun to. The kernel cannot wake a process that waits for a key, so the key is
/// polled, at intervals that grow from 100 microseconds to 10 milliseconds. A segment that cannot be used ends the wait
/// at once, as in neocortex_attach_with; one that this user may not open (EACCES) after half a second, because its
/// creator may still be about to give it to this user or group.
///
/// # Safety
/// `options` is NULL or valid, with what it points to.
#[no_mangle]
pub unsafe extern "C" fn neocortex_attach_wait(
    key: i32,
    size: usize,
    options: *const neocortex_options,
    timeout_ns: i64,
) -> *mut neocortex_segment {
    let _uncancelled = cancel::Disabled::new();
    enter_for(std::ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        unsafe { attach(key.into(), size, options, Some(timeout_ns)) }
    })
}

/// neocortex_attach_named that waits for the creator, as neocortex_attach_wait.
///
/// # Safety
/// As for neocortex_attach_named.
#[no_mangle]
pub unsafe extern "C" fn neocortex_attach_named_wait(
    name: *const c_char,
    size: usize,
    options: *const neocortex_options,
    timeout_ns: i64,
) -> *mut neocortex_segment {
    let _uncancelled = cancel::Disabled::new();
    enter_for(std::ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        unsafe { attach(name_key(name)?, size, options, Some(timeout_ns)) }
    })
}

/// Returns the name as a key.
///
/// # Safety
/// NULL, or a string.
unsafe fn name_key(name: *const c_char) -> CortexResult<Key> {
    // SAFETY: the caller's promise.
    let name = unsafe { borrow_text(name, "name") }?;
    Ok(name_of(name.to_bytes())?.into())
}

/// `wait_ns` is for how long to wait for a creator.
///
/// # Safety
/// `options` is NULL or valid, with what it points to.
unsafe fn attach(
    key: Key,
    size: usize,
    options: *const neocortex_options,
    wait_ns: Option<i64>,
) -> CortexResult<*mut neocortex_segment> {
    let wanted = key.wanted()?;
    // SAFETY: the caller's promise.
    let mut request = unsafe { Request::read(options, ATTACH_FLAGS) }.on(wanted.number)?;
    request.options.wait_for_creator = wait_ns.map(duration);
    let opened = if request.flags & NEOCORTEX_READ_ONLY != 0 {
        Opened::Observe(SegmentObserver::attach_with(&key, size, &request.options)?)
    } else {
        Opened::Full(segment::attach(
            wanted,
            size,
            &request.options,
            &request.lock,
        )?)
    };
    Ok(neocortex_segment::new(opened))
}
