//! The atomics that the algorithms are written on: the machine's, or loom's when a model runs.
//!
//! Model and production are the same source: `owner_word`, `commit` and `signal` take references to
//! these types and know nothing of mappings and semaphores.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};

#[cfg(loom)]
pub(crate) use crate::protocol::models::mortal::{AtomicU32, AtomicU64};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{fence, Ordering};

/// Orders everything before a read-modify-write that this thread has just made before everything
/// after it, as `fence(SeqCst)` does.
///
/// On x86 the `lock` prefix (implied by `xchg`) is itself a full barrier (Intel SDM vol. 3, 9.2.3.9),
/// so only the compiler must be held back; elsewhere it is the fence.
#[inline]
pub(crate) fn fence_after_rmw() {
    #[cfg(all(not(loom), any(target_arch = "x86", target_arch = "x86_64")))]
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(all(not(loom), any(target_arch = "x86", target_arch = "x86_64"))))]
    fence(Ordering::SeqCst);
}

/// One turn of a busy wait.
#[inline]
pub(crate) fn spin() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}
