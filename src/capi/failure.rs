//! The last failure of each thread: kept when a call fails, asked for afterwards.

use super::status::{neocortex_status, status_of, NEOCORTEX_OK};
use super::thread_exit::{self, CleanUp};
use crate::error::surface::{in_words_of, Surface};
use crate::error::CortexError;
use std::cell::RefCell;
use std::ffi::{c_char, c_int, CString};
use std::mem::ManuallyDrop;

/// A thread's last failure.
struct Failure {
    status: neocortex_status,
    os_error: c_int,
    custom: c_int,
    /// In the words of the Rust interface.
    message: String,
    /// The message as it was shown, for each surface that asked. Kept, because the caller has pointers to it.
    shown: Vec<(Surface, CString)>,
}

thread_local! {
    /// Without a destructor, so that failures are kept also for `atexit` handlers and for the
    /// destructors of C++ statics and of thread keys, which run after those of the thread's locals.
    static LAST: RefCell<ManuallyDrop<Option<Failure>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
}

/// Frees this thread's last failure.
fn forget() {
    LAST.with(|last| drop(last.borrow_mut().take()));
}

/// Returns one thing about this thread's last failure.
fn last<R>(default: R, get: impl FnOnce(&Failure) -> R) -> R {
    LAST.with(|last| last.borrow().as_ref().map_or(default, get))
}

/// Keeps a failure for this thread, and returns its status.
#[cold]
#[inline(never)]
pub(super) fn record(error: CortexError) -> neocortex_status {
    let status = status_of(&error);
    let os_error = error
        .system()
        .and_then(|error| error.raw_os_error())
        .unwrap_or(0);
    let custom = if let CortexError::Custom(code) = error {
        code
    } else {
        0
    };
    keep(status, os_error, custom, error.to_string());
    status
}

/// Keeps a failure for this thread.
pub(super) fn keep(status: neocortex_status, os_error: c_int, custom: c_int, message: String) {
    thread_exit::register(CleanUp::LastFailure, forget);
    LAST.with(|last| {
        **last.borrow_mut() = Some(Failure {
            status,
            os_error,
            custom,
            message,
            shown: Vec::new(),
        });
    });
}

/// Returns this thread's last message in the words of a surface.
fn show(surface: Surface) -> *const c_char {
    LAST.with_borrow_mut(|last| {
        let Some(failure) = last.as_mut() else {
            return c"".as_ptr();
        };
        if let Some((_, text)) = failure.shown.iter().find(|(whose, _)| *whose == surface) {
            return text.as_ptr();
        }
        let said = in_words_of(surface, &failure.message);
        // A message never has a NUL, unless a lock's name is hostile: cut it there.
        let text = said.split('\0').next().unwrap_or_default();
        let text = CString::new(text).unwrap_or_default();
        // Its bytes stay where they are when the list grows.
        let shown = text.as_ptr();
        failure.shown.push((surface, text));
        shown
    })
}

/// Returns the status of this thread's last failure; NEOCORTEX_OK if none of its calls ever failed. Success
/// does not clear it.
#[no_mangle]
pub extern "C" fn neocortex_last_status() -> neocortex_status {
    last(NEOCORTEX_OK, |failure| failure.status)
}

/// Returns the system's error number (errno) of this thread's last failure, 0 if it had none.
#[no_mangle]
pub extern "C" fn neocortex_last_os_error() -> c_int {
    last(0, |failure| failure.os_error)
}

/// Returns what a lock's callback returned, if that was this thread's last failure; else 0.
#[no_mangle]
pub extern "C" fn neocortex_last_custom() -> c_int {
    last(0, |failure| failure.custom)
}

/// Returns this thread's last failure in words: what was tried, on which key, what the system answered, what
/// to do next. Never NULL; empty if none of its calls ever failed. Valid until the thread's next
/// failure or its end; success does not clear it.
#[no_mangle]
pub extern "C" fn neocortex_last_message() -> *const c_char {
    show(Surface::C)
}

/// For neocortex_last_message_as: functions and constants as this header names them.
pub const NEOCORTEX_WORDS_C: u32 = 0_u32;
/// For neocortex_last_message_as: members as neocortex.hpp names them.
pub const NEOCORTEX_WORDS_CPP: u32 = 1_u32;
/// For neocortex_last_message_as: methods and arguments as the Python package names them.
pub const NEOCORTEX_WORDS_PYTHON: u32 = 2_u32;

/// neocortex_last_message in the words of another language's layer, for its exceptions.
///
/// words  One of the NEOCORTEX_WORDS_ constants; any other number is NEOCORTEX_WORDS_C.
///
/// Never NULL, and valid as long as what neocortex_last_message returns.
#[no_mangle]
pub extern "C" fn neocortex_last_message_as(words: u32) -> *const c_char {
    show(match words {
        NEOCORTEX_WORDS_CPP => Surface::Cpp,
        NEOCORTEX_WORDS_PYTHON => Surface::Python,
        _ => Surface::C,
    })
}
