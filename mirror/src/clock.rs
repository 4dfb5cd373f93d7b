//! Two clocks: the monotonic one of the host, which every process of a boot reads alike, and the wall clock, which only
//! people and the choice between equal claims look at.

use rustix::time::{clock_gettime, ClockId, Timespec};

/// Returns nanoseconds of `CLOCK_MONOTONIC`.
pub fn monotonic() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Returns nanoseconds since 1970, by the wall clock.
pub fn wall() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

fn nanoseconds(time: Timespec) -> u64 {
    let (seconds, rest) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000_000 + rest.unwrap_or(0)
}
