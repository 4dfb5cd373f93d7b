//! The operating system, thin and safe: shared memory, semaphores, sleeping, fork, threads.
//!
//! `libc` is called here and nowhere else (the C surface uses only its types). Every wrapper turns
//! the system's −1 into a [`Failure`] in [`check`] and retries `EINTR` in [`retry`], so that `errno`
//! is read at once and in one place. Nothing here knows what a cortex is.

pub(crate) mod address;
pub(crate) mod cancel;
pub(crate) mod fork;
#[cfg(feature = "capi")]
pub(crate) mod last_call;
pub(crate) mod random;
pub(crate) mod sem;
mod sem_abi;
pub(crate) mod shm;
pub(crate) mod table;
pub(crate) mod thread;

use std::io;

/// A system call that failed: which one, and what the system answered.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) call: &'static str,
    pub(crate) error: io::Error,
}

impl Failure {
    pub(crate) fn errno(&self) -> i32 {
        self.error.raw_os_error().unwrap_or(0)
    }
}

pub(crate) type SysResult<T> = Result<T, Failure>;

/// Turns the −1 of a system call into the error that `errno` names, read at once.
fn check(call: &'static str, result: libc::c_int) -> SysResult<libc::c_int> {
    if result == -1 {
        return Err(Failure {
            call,
            error: io::Error::last_os_error(),
        });
    }
    Ok(result)
}

/// Repeats a call for as long as a signal interrupts it.
fn retry<T>(mut attempt: impl FnMut() -> SysResult<T>) -> SysResult<T> {
    loop {
        match attempt() {
            Err(failure) if failure.errno() == libc::EINTR => continue,
            result => return result,
        }
    }
}

/// The error numbers that callers decide by, so that they need not name `libc`.
pub(crate) mod errno {
    pub(crate) use libc::{
        E2BIG, EACCES, EEXIST, EFBIG, EIDRM, EINVAL, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC,
        ENOSYS, EOVERFLOW, EPERM, ERANGE,
    };

    /// Whether it says that an object of System V is not there (any more).
    pub(crate) fn is_gone(number: i32) -> bool {
        matches!(number, EINVAL | EIDRM | ENOENT)
    }

    /// The symbolic name of an error number, for messages; empty for one this library never meets.
    pub(crate) fn name(number: i32) -> &'static str {
        match number {
            libc::E2BIG => "E2BIG",
            libc::EACCES => "EACCES",
            libc::EAGAIN => "EAGAIN",
            libc::EBADF => "EBADF",
            libc::EEXIST => "EEXIST",
            libc::EFAULT => "EFAULT",
            libc::EFBIG => "EFBIG",
            libc::EIDRM => "EIDRM",
            libc::EINTR => "EINTR",
            libc::EINVAL => "EINVAL",
            libc::EIO => "EIO",
            libc::EISDIR => "EISDIR",
            libc::ELOOP => "ELOOP",
            libc::EMFILE => "EMFILE",
            libc::ENAMETOOLONG => "ENAMETOOLONG",
            libc::ENFILE => "ENFILE",
            libc::ENODEV => "ENODEV",
            libc::ENOENT => "ENOENT",
            libc::ENOMEM => "ENOMEM",
            libc::ENOSPC => "ENOSPC",
            libc::ENOSYS => "ENOSYS",
            libc::ENOTDIR => "ENOTDIR",
            libc::ENXIO => "ENXIO",
            libc::EOVERFLOW => "EOVERFLOW",
            libc::EPERM => "EPERM",
            libc::ERANGE => "ERANGE",
            _ => "",
        }
    }
}

/// The effective user of this process.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// Bytes in a page of memory.
#[cfg(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
))]
pub(crate) fn page_size() -> usize {
    // SAFETY: sysconf(3) with a constant that POSIX requires; no memory is passed.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
