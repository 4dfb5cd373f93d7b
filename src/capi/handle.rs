//! Handles: opening, closing, asking, waiting.

use super::any_lock::AnyLock;
use super::boundary::{borrow, check_not_null, enter, enter_for};
use super::held::Guards;
use super::options::{duration, neocortex_options, Request, ATTACH_FLAGS, CREATE_FLAGS};
use super::options::{NEOCORTEX_RANDOM_KEY, NEOCORTEX_READ_ONLY};
use super::status::{neocortex_status, NEOCORTEX_OK};
use crate::error::{CortexError, CortexResult};
use crate::inspect;
use crate::observer::SegmentObserver;
use crate::segment::{open, Segment};
use crate::sys::cancel;
use std::ffi::{c_char, CString};
use std::sync::Arc;

/// A handle: one process's attachment to a segment. Opaque.
///
/// Any thread may use it at any time, except during and after neocortex_close. A forked child may go on
/// using it, and closes its own copy.
pub struct neocortex_segment {
    // What a fast call needs comes first.
    access: Access,
    pub(super) guards: Guards,
    lock_name: CString,
}

enum Access {
    Full(Segment<AnyLock>),
    Observe(SegmentObserver),
}

impl neocortex_segment {
    fn new(access: Access) -> *mut Self {
        let name = match &access {
            Access::Full(segment) => segment.lock_name(),
            Access::Observe(observer) => observer.lock_name(),
        };
        let lock_name = CString::new(name).unwrap_or_default();
        // Shared with the threads that must roll back guards when they end (`held`), who keep it weakly.
        Arc::into_raw(Arc::new(Self {
            access,
            guards: Guards::default(),
            lock_name,
        }))
        .cast_mut()
    }

    /// The segment, where the handle can do more than read.
    #[inline]
    pub(super) fn full(&self, operation: &'static str) -> CortexResult<&Segment<AnyLock>> {
        match &self.access {
            Access::Full(segment) => Ok(segment),
            Access::Observe(observer) => Err(CortexError::ReadOnly {
                key: observer.key(),
                operation,
            }),
        }
    }

    /// [`neocortex_segment::full`] for those who do not say why not.
    #[inline]
    pub(super) fn full_at_once(&self) -> Option<&Segment<AnyLock>> {
        match &self.access {
            Access::Full(segment) => Some(segment),
            Access::Observe(_) => None,
        }
    }

    pub(super) fn read(&self, offset: usize, buffer: &mut [u8]) -> CortexResult<()> {
        match &self.access {
            Access::Full(segment) if !segment.is_in_place() && segment.lock().is_built_in() => {
                segment.read_at(offset, buffer)
            }
            // An attempt that a writer overtakes has spoilt its buffer, and in place it may be the
            // last one (the writer dies); the release of a caller's lock may fail after the copy. So it
            // is made elsewhere, for outputs are written on success only. The others always succeed in
            // the end, but for the exception that `neocortex_read` names.
            Access::Full(segment) => staged(buffer, |copy| segment.read_at(offset, copy)),
            Access::Observe(observer) => staged(buffer, |copy| observer.read_at(offset, copy)),
        }
    }

    fn size(&self) -> usize {
        match &self.access {
            Access::Full(segment) => segment.size(),
            Access::Observe(observer) => observer.size(),
        }
    }

    pub(super) fn key(&self) -> i32 {
        match &self.access {
            Access::Full(segment) => segment.key(),
            Access::Observe(observer) => observer.key(),
        }
    }

    /// Refuses a length before a slice is made of it: slices have limits of their own.
    #[inline]
    pub(super) fn check_length(&self, length: usize) -> CortexResult<()> {
        if length <= self.size() {
            return Ok(());
        }
        let detail = format!("{length} bytes do not fit into {} bytes", self.size());
        Err(CortexError::invalid(self.key(), detail))
    }
}

/// Fills a buffer by way of another one, on success only.
#[cold]
fn staged(buffer: &mut [u8], fill: impl FnOnce(&mut [u8]) -> CortexResult<()>) -> CortexResult<()> {
    let mut copy = vec![0; buffer.len()];
    fill(&mut copy)?;
    buffer.copy_from_slice(&copy);
    Ok(())
}

/// The handle behind a pointer.
///
/// # Safety
/// NULL, or a handle that is not closed meanwhile.
#[inline]
pub(super) unsafe fn handle<'a>(
    segment: *const neocortex_segment,
) -> CortexResult<&'a neocortex_segment> {
    // SAFETY: the caller's promise.
    unsafe { borrow(segment, "segment") }
}

/// Creates a segment of size bytes, all 0, under a key that is not in use.
///
/// key      any number but 0. size: more than 0.
/// options  NULL for the defaults: owner only, default lock, removed when this handle is closed.
///
/// Returns a handle for neocortex_close, or NULL: see neocortex_last_status. An existing key is
/// NEOCORTEX_ERR_CLEAN_SYSTEM with EEXIST, and neocortex_last_message says whether it is stale; a limit of
/// the kernel is the same with ENOSPC or ENOMEM. Fails as well with NEOCORTEX_ERR_INVALID_ARGUMENT;
/// _UNSUPPORTED (a flag or field that this version does not know); _BUSY where NEOCORTEX_REPLACE_STALE finds
/// somebody attached; with NEOCORTEX_FORCE_OWNERSHIP as neocortex_attach; _DIRTY_SYSTEM where something is
/// left that the message names.
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
        let request = unsafe { Request::read(key, options, CREATE_FLAGS) }?;
        let key = (request.flags & NEOCORTEX_RANDOM_KEY == 0).then_some(key);
        let segment = open::create(key, size, &request.options, &request.choice, None)?;
        Ok(neocortex_segment::new(Access::Full(segment)))
    })
}

/// Attaches to the segment with this key, whatever built-in lock it has. size 0 accepts any size.
///
/// Waits, for a bounded time, while the creator is still initialising. Returns a handle for
/// neocortex_close, or NULL: see neocortex_last_status. A missing key is NEOCORTEX_ERR_CLEAN_SYSTEM with
/// ENOENT, one of somebody else EACCES. Fails as well with NEOCORTEX_ERR_NOT_A_CORTEX; _FORMAT; _LAYOUT
/// (another size, alignment or schema); _LOCK (another one, or one that needs callbacks); _NOT_READY (the
/// creator is slow, or died); _FULL; _CORRUPT; _INVALID_ARGUMENT.
#[no_mangle]
pub extern "C" fn neocortex_attach(key: i32, size: usize) -> *mut neocortex_segment {
    // SAFETY: no options.
    unsafe { neocortex_attach_with(key, size, std::ptr::null()) }
}

/// Attaches with options: of them schema, align, timeout_ns, lock and the flags NEOCORTEX_READ_ONLY and
/// NEOCORTEX_NEVER_WAIT count. Otherwise as neocortex_attach; NEOCORTEX_ERR_UNSUPPORTED where the options
/// have a flag or field that this version does not know.
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
        let request = unsafe { Request::read(key, options, ATTACH_FLAGS) }?;
        let access = if request.flags & NEOCORTEX_READ_ONLY != 0 {
            Access::Observe(SegmentObserver::attach_with(key, size, &request.options)?)
        } else {
            Access::Full(open::attach(key, size, &request.options, &request.choice)?)
        };
        Ok(neocortex_segment::new(access))
    })
}

/// Closes a handle; the owner's also removes the segment. NULL is fine.
///
/// NEOCORTEX_ERR_BUSY while a guard is held through it in this process: it is then still open. After any
/// other answer it is closed: NEOCORTEX_ERR_CLEAN_SYSTEM, or _DIRTY_SYSTEM where something is left that the
/// message names. In a forked child it never removes anything.
///
/// # Safety
/// `segment` is NULL or a handle that no other thread uses now or later.
#[no_mangle]
pub unsafe extern "C" fn neocortex_close(segment: *mut neocortex_segment) -> neocortex_status {
    if segment.is_null() {
        return NEOCORTEX_OK;
    }
    let _uncancelled = cancel::Disabled::new();
    enter(|| {
        // SAFETY: the caller's promise.
        let open = unsafe { handle(segment) }?;
        if let Some(full) = open
            .full_at_once()
            .filter(|full| !open.guards.are_none(full))
        {
            let detail = "a guard is held through this handle";
            return Err(CortexError::Busy {
                key: full.key(),
                detail,
            });
        }
        // SAFETY: made by Arc::into_raw in `neocortex_segment::new`; the caller gives it up.
        let closed = unsafe { Arc::from_raw(segment) };
        // A thread that is ending may look into it at this moment; it then drops it.
        match Arc::into_inner(closed).map(|closed| closed.access) {
            Some(Access::Full(segment)) => segment.close(),
            Some(Access::Observe(_)) | None => Ok(()),
        }
    })
}

/// Removes the cortex with this key, in use or not. Those attached keep sharing its memory; nobody else
/// can attach.
///
/// Fails with NEOCORTEX_ERR_CLEAN_SYSTEM (ENOENT, or EPERM where it is another user's), _NOT_A_CORTEX,
/// _DIRTY_SYSTEM (something is left that the message names), _INVALID_ARGUMENT.
#[no_mangle]
pub extern "C" fn neocortex_remove(key: i32) -> neocortex_status {
    let _uncancelled = cancel::Disabled::new();
    enter(|| inspect::remove(key))
}

/// Takes away the cortex with this key and its semaphores, if nobody is attached to it any more.
/// NEOCORTEX_ERR_BUSY where somebody is; NEOCORTEX_OK where the key is free; else as neocortex_remove.
#[no_mangle]
pub extern "C" fn neocortex_reclaim(key: i32) -> neocortex_status {
    let _uncancelled = cancel::Disabled::new();
    enter(|| inspect::reclaim(key))
}

/// The key it was created under; 0 for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_key(segment: *const neocortex_segment) -> i32 {
    // SAFETY: the caller's promise.
    enter_for(0, || Ok(unsafe { handle(segment) }?.key()))
}

/// Bytes in the payload; 0 for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_size(segment: *const neocortex_segment) -> usize {
    // SAFETY: the caller's promise.
    enter_for(0, || Ok(unsafe { handle(segment) }?.size()))
}

/// How many writes were committed since the segment was created; 0 for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_commit_count(segment: *const neocortex_segment) -> u64 {
    // SAFETY: the caller's promise.
    enter_for(0, || match &unsafe { handle(segment) }?.access {
        Access::Full(segment) => Ok(segment.version()),
        Access::Observe(observer) => Ok(observer.version()),
    })
}

/// Sleeps until the commit count is another than since, and gives it in *count. At once where it already
/// is.
///
/// timeout_ns  NEOCORTEX_FOREVER, NEOCORTEX_TRY, or nanoseconds.
///
/// Fails with NEOCORTEX_ERR_TIMEOUT; _REMOVED when the segment is removed; _INTERRUPTED by
/// neocortex_interrupt. Any number of threads and processes may wait; one that dies disturbs nobody.
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
        check_not_null(count, "count")?;
        let timeout = duration(timeout_ns);
        // SAFETY: the caller's promise.
        let version = match &unsafe { handle(segment) }?.access {
            Access::Full(segment) => segment.wait_changed(since, timeout)?,
            Access::Observe(observer) => observer.wait_changed(since, timeout)?,
        };
        // SAFETY: not NULL, and the caller's promise.
        unsafe { count.write(version) };
        Ok(())
    })
}

/// Ends every wait of this process through this handle, or else its next one, with
/// NEOCORTEX_ERR_INTERRUPTED. Async-signal-safe: made for signal handlers. Locks made of callbacks do not
/// see it. NEOCORTEX_ERR_INVALID_ARGUMENT for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_interrupt(segment: *mut neocortex_segment) -> neocortex_status {
    // No `enter`: it may allocate, and a signal handler must not.
    // SAFETY: the caller's promise.
    match unsafe { segment.as_ref() }.map(|segment| &segment.access) {
        Some(Access::Full(segment)) => segment.interrupt(),
        Some(Access::Observe(observer)) => observer.interrupt(),
        None => return super::status::NEOCORTEX_ERR_INVALID_ARGUMENT,
    }
    NEOCORTEX_OK
}

/// Declares an unfinished write in place finished, with whatever bytes are there. Does nothing in the
/// other layouts. Takes the lock: NEOCORTEX_ERR_TIMEOUT, _INTERRUPTED, _BUSY (this thread holds a guard),
/// _READ_ONLY, _INVALID_ARGUMENT, or what the lock fails with.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_clear_poison(
    segment: *mut neocortex_segment,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        unsafe { handle(segment) }?
            .full("clear poison")?
            .clear_poison()
    })
}

/// From now on closing this handle removes nothing. NEOCORTEX_ERR_READ_ONLY for an observer,
/// NEOCORTEX_ERR_INVALID_ARGUMENT for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_persist(segment: *mut neocortex_segment) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        unsafe { handle(segment) }?.full("persist")?.persist();
        Ok(())
    })
}

/// How long any wait through this handle may last from now on: NEOCORTEX_FOREVER, NEOCORTEX_TRY, or
/// nanoseconds. NEOCORTEX_ERR_INVALID_ARGUMENT for NULL.
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
        match &unsafe { handle(segment) }?.access {
            Access::Full(segment) => segment.set_timeout(duration(timeout_ns)),
            Access::Observe(observer) => observer.set_timeout(duration(timeout_ns)),
        }
        Ok(())
    })
}

/// Whether closing this handle, in this process, removes the segment. false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_is_owner(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match &unsafe { handle(segment) }?.access {
        Access::Full(segment) => Ok(segment.is_owner()),
        Access::Observe(_) => Ok(false),
    })
}

/// Whether this handle made the segment rather than finding it. false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_was_created(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match &unsafe { handle(segment) }?.access {
        Access::Full(segment) => Ok(segment.was_created()),
        Access::Observe(_) => Ok(false),
    })
}

/// Whether a write in place was left unfinished; a writer at work looks the same. false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_is_poisoned(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match &unsafe { handle(segment) }?.access {
        Access::Full(segment) => Ok(segment.is_poisoned()),
        Access::Observe(observer) => Ok(observer.is_poisoned()),
    })
}

/// Whether the segment was removed; those attached go on sharing its memory. false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_is_removed(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match &unsafe { handle(segment) }?.access {
        Access::Full(segment) => Ok(segment.is_removed()),
        Access::Observe(observer) => Ok(observer.is_removed()),
    })
}

/// The name of the segment's lock, valid while the handle is open; NULL for NULL.
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

/// The schema that the segment was created with; 0 for none, and for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_schema(segment: *const neocortex_segment) -> u64 {
    // SAFETY: the caller's promise.
    enter_for(0, || match &unsafe { handle(segment) }?.access {
        Access::Full(segment) => Ok(segment.schema()),
        Access::Observe(observer) => Ok(observer.schema()),
    })
}

/// How many participants are attached now, in *alive, and how many can be, in *limit. Observers are not
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
        check_not_null(alive, "alive")?;
        check_not_null(limit, "limit")?;
        // SAFETY: the caller's promise.
        let counts = match &unsafe { handle(segment) }?.access {
            Access::Full(segment) => segment.participants()?,
            Access::Observe(observer) => observer.participants()?,
        };
        // SAFETY: not NULL, and the caller's promise.
        unsafe {
            alive.write(counts.0);
            limit.write(counts.1);
        }
        Ok(())
    })
}
