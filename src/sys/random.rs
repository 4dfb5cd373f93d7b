//! Numbers from the system's generator.

/// A random key: never 0, which is `IPC_PRIVATE` and cannot be attached by key. Positive, so that it
/// reads the same in `ipcs`, in shells and in C.
pub(crate) fn key() -> i32 {
    loop {
        let key = word() & i32::MAX as u32;
        if key != 0 {
            return key as i32;
        }
    }
}

#[cfg(target_os = "linux")]
fn word() -> u32 {
    let mut bytes = [0_u8; 4];
    loop {
        // SAFETY: a live buffer and its length. Up to 256 bytes come at once (getrandom(2)).
        let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        if count == 4 {
            return u32::from_ne_bytes(bytes);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn word() -> u32 {
    let mut bytes = [0_u8; 4];
    loop {
        // SAFETY: a live buffer and its length, below getentropy(2)'s limit of 256.
        if unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) } == 0 {
            return u32::from_ne_bytes(bytes);
        }
    }
}
