//! Structures that grow from version to version of the library.

use crate::error::{CortexError, CortexResult};
use std::ffi::c_void;

/// A structure of the library that C programs allocate: it begins with its size, all zeros is one of
/// its values, and fields are only ever added at its end.
///
/// # Safety
/// `repr(C)`, a `size_t` first, valid when zeroed.
pub(super) unsafe trait Versioned: Copy {}

/// Copies a structure that was compiled against this or another version of the header.
///
/// # Safety
/// Valid for as many bytes as its first field says, and at least for that field.
pub(super) unsafe fn read_versioned<T: Versioned>(
    key: i32,
    given: *const c_void,
    what: &str,
) -> CortexResult<T> {
    // SAFETY: the caller's promise; unaligned, for that costs nothing here.
    let size = unsafe { given.cast::<usize>().read_unaligned() };
    if size < size_of::<T>() {
        let detail = format!("{what}: struct_size {size} is less than {}", size_of::<T>());
        return Err(CortexError::invalid(key, detail));
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(given.cast::<u8>(), size) };
    if bytes[size_of::<T>()..].iter().any(|&byte| byte != 0) {
        let detail = "a structure has fields that this version of the library does not know";
        return Err(CortexError::Unsupported { key, detail });
    }
    // SAFETY: `size_of::<T>()` bytes are there; Versioned says what they may be.
    Ok(unsafe { given.cast::<T>().read_unaligned() })
}
