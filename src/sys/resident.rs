//! The pages of a segment: allocated now, kept in memory, or huge.
//!
//! The kernel gives a segment its pages when they are first touched, zeroes them then, and may swap them out
//! (`shmget(2)`). Where a first touch must not take long, or must not fail half way, that is done beforehand.

use super::{check, errno, page_size, retry, SysResult};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

/// How the pages of a mapping are touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    Read,
    Write,
}

/// Whether the system has segments of huge pages that a program asks for (`SHM_HUGETLB`). Elsewhere they are the
/// kernel's own affair (superpages on FreeBSD, macOS and illumos).
pub(crate) const HAS_HUGE_PAGES: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// `SHM_HUGETLB` of `<linux/shm.h>`, the same on every architecture; `libc` does not have it for Linux.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) const HUGE: libc::c_int = 0o4000;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) const HUGE: libc::c_int = 0;

/// Whether the system locks a segment in memory (`SHM_LOCK`). FreeBSD has the name and answers `EINVAL`.
pub(crate) const CAN_LOCK: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Keeps the pages of a segment in memory: those that it has, and those that it gets (`shmctl(2)`, `SHM_LOCK`). Huge
/// ones are there in any case. Fails with `EPERM` where this process may lock none, `ENOMEM` where that is more than it
/// may.
pub(crate) fn lock_in_memory(id: i32) -> SysResult<()> {
    /// `SHM_LOCK` of `<linux/shm.h>`; `libc` does not have it for Linux.
    const LOCK: libc::c_int = 11;
    // SAFETY: SHM_LOCK ignores the pointer.
    let lock = || unsafe { libc::shmctl(id, LOCK, std::ptr::null_mut()) };
    retry(|| check("shmctl(SHM_LOCK)", lock())).map(drop)
}

/// Makes the kernel find memory for every page of a mapping, and enters it in this process's page table; the contents
/// stay as they are.
///
/// On Linux from 5.14 on by `madvise(2)`, which answers with an error (`ENOMEM`, `EFAULT`) where there is none.
/// Elsewhere each page is touched, and a system without memory for it sends `SIGBUS`, or ends a process of its
/// choice, as at any first touch.
///
/// # Safety
/// `size` bytes from `base` on are mapped from a segment, writable where they are touched to write.
pub(super) unsafe fn populate(base: NonNull<u8>, size: usize, touch: Touch) -> SysResult<()> {
    // SAFETY: the caller's promise.
    match unsafe { ask_for_pages(base, size, touch) } {
        // An older kernel.
        Err(failure) if failure.errno() == errno::EINVAL => {}
        result => return result,
    }
    for offset in (0..size).step_by(page_size()) {
        // SAFETY: within the mapping, whose bytes other processes may use meanwhile: an atomic access.
        let byte = unsafe { AtomicU8::from_ptr(base.as_ptr().add(offset)) };
        match touch {
            Touch::Read => byte.load(Ordering::Relaxed),
            Touch::Write => byte.fetch_or(0, Ordering::Relaxed),
        };
    }
    Ok(())
}

/// # Safety
/// As for [`populate`].
#[cfg(any(target_os = "linux", target_os = "android"))]
unsafe fn ask_for_pages(base: NonNull<u8>, size: usize, touch: Touch) -> SysResult<()> {
    // Of `<asm-generic/mman-common.h>`; an older `libc` does not have them.
    const POPULATE_READ: libc::c_int = 22;
    const POPULATE_WRITE: libc::c_int = 23;
    let (call, advice) = match touch {
        Touch::Read => ("madvise(MADV_POPULATE_READ)", POPULATE_READ),
        Touch::Write => ("madvise(MADV_POPULATE_WRITE)", POPULATE_WRITE),
    };
    // SAFETY: exactly the mapping, whose contents the advice does not change.
    let ask = || unsafe { libc::madvise(base.as_ptr().cast(), size, advice) };
    retry(|| check(call, ask())).map(drop)
}

/// # Safety
/// As for [`populate`].
#[cfg(not(any(target_os = "linux", target_os = "android")))]
unsafe fn ask_for_pages(_base: NonNull<u8>, _size: usize, _touch: Touch) -> SysResult<()> {
    Err(super::Failure {
        call: "madvise",
        error: std::io::Error::from_raw_os_error(errno::EINVAL),
    })
}
