//! Tells a process from the processes that were forked from it.
//!
//! [`epoch`] is a number that differs between a process and every process forked from it. It lives
//! in a page that the kernel zeroes in the child (`MADV_WIPEONFORK`, `madvise(2)`; `minherit(2)` on
//! the BSDs), so that `_Fork` and a raw `clone` are seen too; where there is no such page,
//! `pthread_atfork` advances it.

use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The word in the wiped page, or [`FALLBACK`]; null before the first question.
static EPOCH_WORD: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

/// The last epoch given out; an ordinary variable, inherited by a child.
static LAST: AtomicU32 = AtomicU32::new(0);

/// The epoch where no page can be wiped; zeroed in the child by `pthread_atfork`.
static FALLBACK: AtomicU32 = AtomicU32::new(0);

/// Returns the epoch of this process. It is never 0 and never `u32::MAX`, stays the same for the life of a process, and
/// is another one in a forked child.
#[inline]
pub(crate) fn epoch() -> u32 {
    let word = epoch_word();
    match word.load(Ordering::Relaxed) {
        0 => next_epoch(word),
        epoch => epoch,
    }
}

/// Returns the word that has the epoch, for callers that look at it often. It is 0 in a forked child until a thread has
/// called [`epoch`]. The word is always the same.
#[inline]
pub(crate) fn epoch_word() -> &'static AtomicU32 {
    let address = EPOCH_WORD.load(Ordering::Acquire);
    // SAFETY: once set, EPOCH_WORD points to a word that is never unmapped.
    unsafe { address.as_ref() }.unwrap_or_else(make_epoch_word)
}

#[cold]
fn make_epoch_word() -> &'static AtomicU32 {
    super::loaded::stay();
    let fresh = wiped_page().unwrap_or_else(|| {
        // SAFETY: the function given is async-signal-safe: it stores to a static.
        unsafe { libc::pthread_atfork(None, None, Some(forget_epoch)) };
        (&raw const FALLBACK).cast_mut()
    });
    // A thread that was faster wins; the page made here is then left unused (once, at most a page).
    let null = std::ptr::null_mut();
    let address =
        match EPOCH_WORD.compare_exchange(null, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(winner) => winner,
        };
    // SAFETY: as in `epoch_word`.
    let word = unsafe { &*address };
    next_epoch(word);
    word
}

#[cold]
fn next_epoch(word: &AtomicU32) -> u32 {
    loop {
        let epoch = word.load(Ordering::Relaxed);
        if epoch != 0 {
            return epoch;
        }
        let next = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if next != 0 && next != u32::MAX {
            let _ = word.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

extern "C" fn forget_epoch() {
    FALLBACK.store(0, Ordering::Relaxed);
}

/// A page that reads as zeros in a forked child.
#[cfg(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
))]
fn wiped_page() -> Option<*mut AtomicU32> {
    let size = super::page_size();
    // SAFETY: a new anonymous private mapping, placed by the kernel.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: exactly the mapping made above.
    let advised = unsafe {
        // QEMU's user emulation says yes to any advice and follows none: no system knows this one.
        if libc::madvise(page, size, -1) == 0 {
            -1
        } else {
            libc::madvise(page, size, libc::MADV_WIPEONFORK)
        }
    };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: exactly the mapping made above. INHERIT_ZERO is 3 in FreeBSD's and OpenBSD's
    // <sys/mman.h> (MAP_INHERIT_ZERO), 4 in NetBSD's.
    let advised =
        unsafe { libc::minherit(page, size, if cfg!(target_os = "netbsd") { 4 } else { 3 }) };
    if advised != 0 {
        // SAFETY: the mapping made above, which nobody else knows.
        unsafe { libc::munmap(page, size) };
        return None;
    }
    Some(page.cast())
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
)))]
fn wiped_page() -> Option<*mut AtomicU32> {
    None
}

#[cfg(test)]
mod tests {
    use super::epoch;

    #[test]
    fn epoch_is_stable_and_differs_in_a_child() {
        let before = epoch();
        assert_ne!(before, 0);
        assert_eq!(before, epoch());
        // SAFETY: the child only loads and stores atomics before `_exit`.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let differs = epoch() != before && epoch() == epoch();
            // SAFETY: ends this child at once, running nothing of the parent's.
            unsafe { libc::_exit(if differs { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: our own child, and a live place for its status.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
        assert_eq!(before, epoch());
    }
}
