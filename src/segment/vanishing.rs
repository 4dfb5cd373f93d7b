//! A warning where the kernel removes a segment that is to stay: `kernel.shm_rmid_forced`.
//!
//! With this setting the kernel removes a segment with its last attachment. As long as one process is attached,
//! everything is as promised. A segment that is to outlive all its processes is gone afterwards, and its semaphores
//! stay behind until `reclaim`. No call can keep the promise then, so the caller that relies on it gets a warning.

use crate::error::names::noted;
use crate::sys::table::removes_with_last;
use std::sync::atomic::{AtomicBool, Ordering};

/// Warns where a new segment will not stay as promised. It warns each time where the segment is to stay with no process
/// attached, and once in a process where it is to stay for its successors after every participant has died.
/// `key` is `None` where it is yet to be drawn.
pub(super) fn warn_where_it_vanishes(key: Option<i32>, is_to_stay: bool) {
    static HAS_ASKED: AtomicBool = AtomicBool::new(false);
    // Relaxed: it publishes nothing else; at worst two threads ask the kernel.
    let is_first = !HAS_ASKED.swap(true, Ordering::Relaxed);
    if !(is_to_stay || is_first) || !removes_with_last() {
        return;
    }
    match is_to_stay {
        true => tracing::warn!(
            key,
            name = key.and_then(noted),
            "kernel.shm_rmid_forced is 1: the kernel removes this segment with its last attachment, although it is to stay (persist). Set it to 0 (sysctl -w kernel.shm_rmid_forced=0), or keep a process attached"
        ),
        false => tracing::warn!(
            key,
            name = key.and_then(noted),
            "kernel.shm_rmid_forced is 1: the kernel removes a segment with its last attachment, so no value outlives the processes that share it. Set it to 0 (sysctl -w kernel.shm_rmid_forced=0) where that matters"
        ),
    }
}
