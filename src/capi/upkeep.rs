//! What a handle changes of its segment besides the value: an unfinished write, how long it stays, its owner.

use super::boundary::enter;
use super::open_handle::{handle, neocortex_segment};
use super::rollback::retrying;
use super::status::neocortex_status;
use crate::sys::cancel;

/// Declares an unfinished write in place finished, with whatever bytes are there. Does nothing in the
/// other layouts. It takes the lock. Fails with NEOCORTEX_ERR_TIMEOUT, _INTERRUPTED, _BUSY (this thread holds a guard),
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
        let segment = unsafe { handle(segment) }?;
        let _call = segment.enter("clear poison")?;
        let full = segment.full("clear poison")?;
        retrying(segment, || full.clear_poison())
    })
}

/// Makes the segment stay when this handle is closed. Fails with NEOCORTEX_ERR_READ_ONLY for an observer,
/// NEOCORTEX_ERR_INVALID_ARGUMENT for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_persist(segment: *mut neocortex_segment) -> neocortex_status {
    let _uncancelled = cancel::Disabled::new();
    enter(|| {
        // SAFETY: the caller's promise.
        unsafe { handle(segment) }?.full("persist")?.persist();
        Ok(())
    })
}

/// Makes this handle, in this process, the one that removes the segment when it is closed, instead of the owner before:
/// for a child that goes on where its parent ends (daemon(3)). In a forked child it takes a participant slot. Fails
/// with NEOCORTEX_ERR_CLEAN_SYSTEM (EPERM) where this user may not remove the segment; _REMOVED where it was removed; _BUSY
/// where its owner is about to remove it, and has not within the time-out; _INTERRUPTED while it waits for that; _FULL;
/// _READ_ONLY for an observer; _INVALID_ARGUMENT for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_take_ownership(
    segment: *mut neocortex_segment,
) -> neocortex_status {
    let _uncancelled = cancel::Disabled::new();
    enter(|| {
        // SAFETY: the caller's promise.
        unsafe { handle(segment) }?
            .full("take_ownership")?
            .take_ownership()
    })
}
