//! The boundary between C and Rust: checks for NULL, stops panics, keeps failures.

use super::failure::{keep, record};
use super::status::{neocortex_status, NEOCORTEX_ERR_PANIC, NEOCORTEX_OK};
use crate::error::{Cause, CortexResult, Told};
use std::ffi::{c_char, CStr};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Runs a call and returns its status. A failure is kept for the thread; a panic becomes a status.
///
/// Within the net already the result becomes a number: an error is large, and a result that is moved is loaded in wider
/// pieces than it was stored in, for which the processor waits (12 ns of a read of 64 bytes were that).
#[inline]
pub(super) fn enter(call: impl FnOnce() -> CortexResult<()>) -> neocortex_status {
    let call = || match call() {
        Ok(()) => NEOCORTEX_OK,
        Err(error) => record(error),
    };
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(panicked)
}

/// Runs a call that returns something else than a status, and returns `default` if it fails.
#[inline]
pub(super) fn enter_for<R>(default: R, call: impl FnOnce() -> CortexResult<R>) -> R {
    let call = || match call() {
        Ok(result) => Some(result),
        Err(error) => {
            record(error);
            None
        }
    };
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        panicked(panic);
        None
    });
    result.unwrap_or(default)
}

#[cold]
fn panicked(panic: Box<dyn std::any::Any + Send>) -> neocortex_status {
    let text = panic
        .downcast::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|panic| panic.downcast::<String>().map(|text| *text))
        .unwrap_or_else(|panic| {
            // Its own drop may panic in turn, and that would cross.
            std::mem::forget(panic);
            String::new()
        });
    keep(
        NEOCORTEX_ERR_PANIC,
        0,
        0,
        format!("neocortex panicked, which is a defect of it: {text}"),
    );
    NEOCORTEX_ERR_PANIC
}

/// Returns what a pointer points to, unless it is NULL.
///
/// # Safety
/// NULL, or valid for reads for `'a`, aligned and initialised.
#[inline]
pub(super) unsafe fn borrow<'a, T>(pointer: *const T, name: &str) -> CortexResult<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name).on_no_key())
}

/// Returns what a string pointer points to, unless it is NULL.
///
/// # Safety
/// NULL, or a string that lives for `'a`.
pub(super) unsafe fn borrow_text<'a>(text: *const c_char, name: &str) -> CortexResult<&'a CStr> {
    check_not_null(text, name).on_no_key()?;
    // SAFETY: not NULL, and the caller's promise.
    Ok(unsafe { CStr::from_ptr(text) })
}

/// Refuses a NULL.
#[inline]
pub(super) fn check_not_null<T>(pointer: *const T, name: &str) -> Result<(), Cause> {
    if pointer.is_null() {
        return Err(null(name));
    }
    Ok(())
}

#[cold]
fn null(name: &str) -> Cause {
    let why = match name {
        "segment" => "The call that was to make it has failed, or it was closed",
        _ => "Pass a pointer to it",
    };
    Cause::invalid(format!("{name} is NULL. {why}"))
}

#[cfg(test)]
mod tests {
    use super::super::failure::{neocortex_last_message, neocortex_last_status};
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn a_panic_becomes_a_status_whatever_it_carries() {
        let message = || {
            // SAFETY: a string that is valid until this thread's next failure.
            let message = unsafe { CStr::from_ptr(neocortex_last_message()) };
            message.to_str().unwrap().to_owned()
        };
        assert_eq!(enter(|| panic!("plainly")), NEOCORTEX_ERR_PANIC);
        assert!(
            message().ends_with("a defect of it: plainly"),
            "{}",
            message()
        );
        assert_eq!(enter_for(7, || panic!("by {}", 8)), 7);
        assert_eq!(neocortex_last_status(), NEOCORTEX_ERR_PANIC);
        assert!(message().ends_with("a defect of it: by 8"), "{}", message());
        /// Panics again when it is dropped.
        struct Again;
        impl Drop for Again {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        let carried = || std::panic::resume_unwind(Box::new(Again));
        assert_eq!(enter(carried), NEOCORTEX_ERR_PANIC);
        assert!(message().ends_with("a defect of it: "), "{}", message());
    }
}
