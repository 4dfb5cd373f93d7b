//! Names in place of keys.

use super::boundary::{borrow_text, check_not_null, enter};
use super::status::neocortex_status;
use crate::error::Told;
use crate::key::{key_of, name_of};
use crate::protocol::name::schema_from;
use std::ffi::{c_char, CStr};

/// Computes the key that follows from a name, and stores it in *key. It is the same in every program and language;
/// nothing is looked up.
///
/// name  1 to 255 bytes of UTF-8, ended by a 0, without control characters, that do not look like a number (decimal,
///       negative, 0x...).
///
/// FNV-1a of 64 bits over the bytes, the two halves xor-ed, then & 0x3FFFFFFF | 0x40000000. Fails with
/// NEOCORTEX_ERR_INVALID_ARGUMENT for a text that is not a valid name, and for NULL.
///
/// # Safety
/// `name` is NULL or a string, `key` is NULL or valid for a number.
#[no_mangle]
pub unsafe extern "C" fn neocortex_key_of(name: *const c_char, key: *mut i32) -> neocortex_status {
    enter(|| {
        check_not_null(key, "key").on_no_key()?;
        // SAFETY: the caller's promise.
        let number = key_of(name_of(unsafe { borrow_text(name, "name") }?.to_bytes())?)?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { key.write(number) };
        Ok(())
    })
}

/// Returns a number that follows from a text and is never 0, for the schema of the options: the text is a description
/// of the type. Both sides give the same description, in whatever language; otherwise they cannot attach to one
/// another's segments (NEOCORTEX_ERR_LAYOUT). Size, alignment and lock alone cannot ensure that.
///
/// FNV-1a of 64 bits over the bytes of the string; 0 becomes 1. 0 for NULL.
///
/// # Safety
/// `description` is NULL or a string.
#[no_mangle]
pub unsafe extern "C" fn neocortex_schema_of(description: *const c_char) -> u64 {
    if description.is_null() {
        return 0;
    }
    // SAFETY: not NULL, and the caller's promise.
    schema_from(unsafe { CStr::from_ptr(description) }.to_bytes())
}
