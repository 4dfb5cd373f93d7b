//! The line between C and Rust: NULL, panics, failures.

use super::status::{keep, neocortex_status, record, NEOCORTEX_ERR_PANIC, NEOCORTEX_OK};
use crate::error::{CortexError, CortexResult};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Runs a call: a failure is kept for the thread, a panic does not cross.
#[inline]
pub(super) fn enter(call: impl FnOnce() -> CortexResult<()>) -> neocortex_status {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => NEOCORTEX_OK,
        Ok(Err(error)) => record(&error),
        Err(panic) => panicked(panic),
    }
}

/// Runs a call that returns something else than a status: `default` stands for a failure.
#[inline]
pub(super) fn enter_for<R>(default: R, call: impl FnOnce() -> CortexResult<R>) -> R {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => {
            record(&error);
            default
        }
        Err(panic) => {
            panicked(panic);
            default
        }
    }
}

#[cold]
fn panicked(panic: Box<dyn std::any::Any + Send>) -> neocortex_status {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    keep(
        NEOCORTEX_ERR_PANIC,
        0,
        0,
        format!("neocortex panicked, which is a defect of it: {text}"),
    );
    // The payload's own drop may panic in turn, and that would cross.
    std::mem::forget(panic);
    NEOCORTEX_ERR_PANIC
}

/// What a pointer points to, unless it is NULL.
///
/// # Safety
/// NULL, or valid for reads for `'a`, aligned and initialised.
#[inline]
pub(super) unsafe fn borrow<'a, T>(pointer: *const T, name: &str) -> CortexResult<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

/// Refuses a NULL.
#[inline]
pub(super) fn check_not_null<T>(pointer: *const T, name: &str) -> CortexResult<()> {
    if pointer.is_null() {
        return Err(null(name));
    }
    Ok(())
}

#[cold]
pub(super) fn null(name: &str) -> CortexError {
    CortexError::invalid(0, format!("{name} is NULL"))
}
