//! A clock that is cheap to read, for what happens a few times in a second.

/// Returns the milliseconds since some moment, to within ten of them (Linux: as old as the last tick,
/// `clock_gettime(2)`).
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn milliseconds() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a live timespec; the clock exists since Linux 2.6.32, and where it did not the time would stay 0.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// As above.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn milliseconds() -> u64 {
    static BEGAN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let began = BEGAN.get_or_init(std::time::Instant::now);
    began.elapsed().as_millis() as u64
}
