//! Numbers from the system's generator. They must differ, and need not be secret: a process that draws a key that is in
//! use draws again.

/// Returns a random key: never 0, which is `IPC_PRIVATE` and cannot be attached by key. Positive, so that it
/// reads the same in `ipcs`, in shells and in C.
pub(crate) fn key() -> i32 {
    loop {
        let key = word() & i32::MAX as u32;
        if key != 0 {
            return key as i32;
        }
    }
}

fn word() -> u32 {
    let mut bytes = [0_u8; 4];
    if fill(&mut bytes) {
        u32::from_ne_bytes(bytes)
    } else {
        without_generator()
    }
}

/// Returns a number that differs from process to process and from call to call, for where the generator does not answer
/// (a sandbox that forbids the call, a kernel that lacks it).
#[cold]
fn without_generator() -> u32 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    use std::sync::atomic::{AtomicU32, Ordering};
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let mut hasher = DefaultHasher::new();
    std::process::id().hash(&mut hasher);
    CALLS.fetch_add(1, Ordering::Relaxed).hash(&mut hasher);
    std::time::Instant::now().hash(&mut hasher);
    std::time::SystemTime::now().hash(&mut hasher);
    hasher.finish() as u32
}

#[cfg(target_os = "linux")]
fn fill(bytes: &mut [u8; 4]) -> bool {
    loop {
        // SAFETY: a live buffer and its length. Up to 256 bytes come at once (getrandom(2)).
        match unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) } {
            4 => return true,
            -1 if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
            _ => return false,
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn fill(bytes: &mut [u8; 4]) -> bool {
    // SAFETY: a live buffer and its length, below getentropy(2)'s limit of 256.
    unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_differ_with_and_without_the_generator() {
        for word in [word, without_generator] {
            let drawn: std::collections::HashSet<u32> = (0..64).map(|_| word()).collect();
            // Two of 64 are the same once in two million runs; three pairs of them never.
            assert!(drawn.len() > 61, "{drawn:?}");
        }
        assert!((0..64).all(|_| key() > 0));
    }
}
