//! The status codes: their numbers, and what each means.
//!
//! What other files say of the statuses (the C++ layer, the guide, the ABI record, the command) is held to this one by
//! tests/c/statuses.rs.

use crate::error::CortexError;
use std::ffi::{c_char, c_int, CStr};

/// What a function answers: NEOCORTEX_OK or one of the negative NEOCORTEX_ERR_ constants, which are
/// fixed for ever. Functions of a later version may answer with codes that are not listed here.
pub type neocortex_status = i32;

/// Success.
pub const NEOCORTEX_OK: neocortex_status = 0;
/// A system call failed; nothing was left behind.
pub const NEOCORTEX_ERR_CLEAN_SYSTEM: neocortex_status = -1;
/// A system call failed and kernel objects were left behind; the message names them.
pub const NEOCORTEX_ERR_DIRTY_SYSTEM: neocortex_status = -2;
/// An argument that was never valid: NULL, key 0, a range outside the segment, a guard not begun.
pub const NEOCORTEX_ERR_INVALID_ARGUMENT: neocortex_status = -3;
/// The segment was not made by this library; it was left untouched.
pub const NEOCORTEX_ERR_NOT_A_CORTEX: neocortex_status = -4;
/// The segment was made by a version of this library with another format.
pub const NEOCORTEX_ERR_FORMAT: neocortex_status = -5;
/// Another size, alignment or schema than was asked for.
pub const NEOCORTEX_ERR_LAYOUT: neocortex_status = -6;
/// Another lock than was asked for.
pub const NEOCORTEX_ERR_LOCK: neocortex_status = -7;
/// The creator has not finished, or died before it did.
pub const NEOCORTEX_ERR_NOT_READY: neocortex_status = -8;
/// The time ran out.
pub const NEOCORTEX_ERR_TIMEOUT: neocortex_status = -9;
/// A write in place was not finished; a whole write or neocortex_clear_poison heals it.
pub const NEOCORTEX_ERR_POISONED: neocortex_status = -10;
/// The bytes are not a value of the type. (Only from typed layers; bytes have no such values.)
pub const NEOCORTEX_ERR_INVALID_VALUE: neocortex_status = -11;
/// The handle can only read.
pub const NEOCORTEX_ERR_READ_ONLY: neocortex_status = -12;
/// In use in a way that forbids this, or held by the calling thread.
pub const NEOCORTEX_ERR_BUSY: neocortex_status = -13;
/// The segment's bookkeeping contradicts itself: something wrote over it.
pub const NEOCORTEX_ERR_CORRUPT: neocortex_status = -14;
/// Every participant slot is taken.
pub const NEOCORTEX_ERR_FULL: neocortex_status = -15;
/// This segment, lock, platform or version does not do that.
pub const NEOCORTEX_ERR_UNSUPPORTED: neocortex_status = -16;
/// The lock's callback failed with a code of its own: neocortex_last_custom tells it.
pub const NEOCORTEX_ERR_CUSTOM: neocortex_status = -17;
/// A defect of this library; nothing is known of what the call did.
pub const NEOCORTEX_ERR_PANIC: neocortex_status = -18;
/// The segment was removed while the call waited.
pub const NEOCORTEX_ERR_REMOVED: neocortex_status = -19;
/// neocortex_interrupt ended the wait.
pub const NEOCORTEX_ERR_INTERRUPTED: neocortex_status = -20;
/// A cortex of another name, or of none, has the key that follows from the name; the message says both.
pub const NEOCORTEX_ERR_NAME: neocortex_status = -21;

/// Returns the status that a failure has in C.
pub(super) fn status_of(error: &CortexError) -> neocortex_status {
    match error {
        CortexError::CleanSystem(_) => NEOCORTEX_ERR_CLEAN_SYSTEM,
        CortexError::DirtySystem(_) => NEOCORTEX_ERR_DIRTY_SYSTEM,
        CortexError::InvalidArgument { .. } => NEOCORTEX_ERR_INVALID_ARGUMENT,
        CortexError::NotACortex { .. } => NEOCORTEX_ERR_NOT_A_CORTEX,
        CortexError::Format { .. } => NEOCORTEX_ERR_FORMAT,
        CortexError::Layout { .. } => NEOCORTEX_ERR_LAYOUT,
        CortexError::Lock { .. } => NEOCORTEX_ERR_LOCK,
        CortexError::NotReady { .. } => NEOCORTEX_ERR_NOT_READY,
        CortexError::Name { .. } => NEOCORTEX_ERR_NAME,
        CortexError::Timeout { .. } => NEOCORTEX_ERR_TIMEOUT,
        CortexError::Poisoned { .. } => NEOCORTEX_ERR_POISONED,
        CortexError::InvalidValue { .. } => NEOCORTEX_ERR_INVALID_VALUE,
        CortexError::ReadOnly { .. } => NEOCORTEX_ERR_READ_ONLY,
        CortexError::Busy { .. } => NEOCORTEX_ERR_BUSY,
        CortexError::Corrupt { .. } => NEOCORTEX_ERR_CORRUPT,
        CortexError::Full { .. } => NEOCORTEX_ERR_FULL,
        CortexError::Unsupported { .. } => NEOCORTEX_ERR_UNSUPPORTED,
        CortexError::Custom(_) => NEOCORTEX_ERR_CUSTOM,
        CortexError::Removed { .. } => NEOCORTEX_ERR_REMOVED,
        CortexError::Interrupted { .. } => NEOCORTEX_ERR_INTERRUPTED,
    }
}

/// Returns what a status means, in a few words. Never NULL, whatever the number; static.
#[no_mangle]
pub extern "C" fn neocortex_strerror(status: c_int) -> *const c_char {
    let text: &CStr = match status {
        NEOCORTEX_OK => c"success",
        NEOCORTEX_ERR_CLEAN_SYSTEM => c"a system call failed; nothing was left behind",
        NEOCORTEX_ERR_DIRTY_SYSTEM => c"a system call failed; kernel objects were left behind",
        NEOCORTEX_ERR_INVALID_ARGUMENT => c"invalid argument",
        NEOCORTEX_ERR_NOT_A_CORTEX => c"the segment is not a cortex",
        NEOCORTEX_ERR_FORMAT => c"the segment has another format version",
        NEOCORTEX_ERR_LAYOUT => c"the segment has another size, alignment or schema",
        NEOCORTEX_ERR_LOCK => c"the segment has another lock",
        NEOCORTEX_ERR_NOT_READY => c"the segment's creator has not finished",
        NEOCORTEX_ERR_TIMEOUT => c"timed out",
        NEOCORTEX_ERR_POISONED => c"poisoned: a write in place was not finished",
        NEOCORTEX_ERR_INVALID_VALUE => c"the bytes are not a valid value",
        NEOCORTEX_ERR_READ_ONLY => c"the handle is read-only",
        NEOCORTEX_ERR_BUSY => c"busy",
        NEOCORTEX_ERR_CORRUPT => c"the segment is corrupt",
        NEOCORTEX_ERR_FULL => c"every participant slot is taken",
        NEOCORTEX_ERR_UNSUPPORTED => c"not supported",
        NEOCORTEX_ERR_CUSTOM => c"the lock failed with its own code",
        NEOCORTEX_ERR_PANIC => c"a defect of neocortex: it panicked",
        NEOCORTEX_ERR_REMOVED => c"the segment was removed",
        NEOCORTEX_ERR_INTERRUPTED => c"interrupted",
        NEOCORTEX_ERR_NAME => c"another name has the key of this one",
        _ => c"unknown status",
    };
    text.as_ptr()
}

/// Returns the version of the library that is running, as "MAJOR.MINOR.PATCH"; static.
#[no_mangle]
pub extern "C" fn neocortex_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
