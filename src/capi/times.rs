//! Times as C programs give them: nanoseconds, for ever, or not at all.

use crate::segment::Limit;
use std::time::Duration;

/// Wait for ever. Any negative number of nanoseconds means the same.
pub const NEOCORTEX_FOREVER: i64 = -1;
/// Do not wait.
pub const NEOCORTEX_TRY: i64 = 0;

/// Returns the limit for one call with a time-out of its own.
#[inline]
pub(super) fn limit(timeout_ns: i64) -> Limit {
    Limit::lasting(duration(timeout_ns))
}

/// Returns how long to wait; `None` is for ever.
pub(super) fn duration(timeout_ns: i64) -> Option<Duration> {
    u64::try_from(timeout_ns).ok().map(Duration::from_nanos)
}
