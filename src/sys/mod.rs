//! The operating system, thin and safe: shared memory, semaphores, sleeping, fork, threads.
//!
//! `libc` is called here and nowhere else (the C surface uses only its types). Every wrapper turns
//! the system's −1 into a [`Failure`] in [`check`] and retries `EINTR` in [`retry`], so that `errno`
//! is read at once and in one place. Nothing here knows what a cortex is.

pub(crate) mod cancel;
pub(crate) mod clock;
pub(crate) mod event;
pub(crate) mod fork;
pub(crate) mod futex;
mod loaded;
pub(crate) mod memory;
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), allow(dead_code))]
pub(crate) mod proc;
pub(crate) mod random;
pub(crate) mod resident;
pub(crate) mod sem;
mod sem_abi;
pub(crate) mod shm;
pub(crate) mod table;
pub(crate) mod thread;
#[cfg(feature = "capi")]
pub(crate) mod thread_exit;

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

/// How a sleep ended. Callers look again in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SleepEnd {
    /// A signal handler has run on this thread, and ended it early.
    Signal,
    /// Its time was over.
    TimeOver,
    /// It was woken, or there was nothing to sleep for.
    Other,
}

impl SleepEnd {
    /// Makes it from the result that a sleeping call has just returned.
    ///
    /// Sleeps have a time-out, with which none of these calls goes on after a handler, whatever `SA_RESTART` says
    /// (signal(7), "Interruption of system calls"; OpenBSD's futex(2) then answers `ECANCELED`). Stopping and
    /// continuing a process runs no handler: Linux goes on with a sleep on a word or for a time by itself. It ends
    /// semtimedop(2) as a signal does, so nothing that a handler is to end sleeps there. Other systems may end others.
    fn of(result: libc::c_long) -> Self {
        let is_signal = |number| {
            number == libc::EINTR || cfg!(target_os = "openbsd") && number == libc::ECANCELED
        };
        match io::Error::last_os_error().raw_os_error() {
            Some(number) if result == -1 && is_signal(number) => Self::Signal,
            Some(libc::ETIMEDOUT) if result == -1 => Self::TimeOver,
            _ => Self::Other,
        }
    }
}

/// The error numbers that callers decide by, so that they need not name `libc`.
pub(crate) mod errno {
    pub(crate) use libc::{
        E2BIG, EACCES, EAGAIN, EEXIST, EFAULT, EFBIG, EIDRM, EINTR, EINVAL, EIO, EISDIR, ELOOP,
        EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, ENOSYS, ENOTDIR, EOVERFLOW, EPERM, ERANGE,
    };

    /// Returns whether this error number says that an object of System V is not there (any more).
    pub(crate) fn is_gone(number: i32) -> bool {
        matches!(number, EINVAL | EIDRM | ENOENT)
    }

    /// Returns the symbolic name of an error number, for messages; empty for one of no name here. It has more names
    /// than the calls of this library have errors: a seccomp filter may answer with any number.
    pub(crate) fn name(number: i32) -> &'static str {
        match number {
            libc::E2BIG => "E2BIG",
            libc::EACCES => "EACCES",
            libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
            libc::EAGAIN => "EAGAIN",
            libc::EALREADY => "EALREADY",
            libc::EBADF => "EBADF",
            libc::EBUSY => "EBUSY",
            libc::ECANCELED => "ECANCELED",
            libc::ECHILD => "ECHILD",
            libc::ECONNREFUSED => "ECONNREFUSED",
            libc::EDEADLK => "EDEADLK",
            libc::EDOM => "EDOM",
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
            libc::EMSGSIZE => "EMSGSIZE",
            libc::ENAMETOOLONG => "ENAMETOOLONG",
            libc::ENFILE => "ENFILE",
            libc::ENODEV => "ENODEV",
            libc::ENOENT => "ENOENT",
            libc::ENOEXEC => "ENOEXEC",
            libc::ENOLCK => "ENOLCK",
            libc::ENOMEM => "ENOMEM",
            libc::ENOSPC => "ENOSPC",
            libc::ENOSYS => "ENOSYS",
            libc::ENOTDIR => "ENOTDIR",
            libc::ENOTSUP => "ENOTSUP",
            libc::ENOTTY => "ENOTTY",
            libc::ENXIO => "ENXIO",
            libc::EOVERFLOW => "EOVERFLOW",
            libc::EPERM => "EPERM",
            libc::EPIPE => "EPIPE",
            libc::ERANGE => "ERANGE",
            libc::EROFS => "EROFS",
            libc::ESPIPE => "ESPIPE",
            libc::ESRCH => "ESRCH",
            libc::ETIMEDOUT => "ETIMEDOUT",
            libc::EXDEV => "EXDEV",
            _ => "",
        }
    }
}

/// Returns the effective user of this process.
#[cfg(test)]
pub(crate) fn effective_user() -> u32 {
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// Bytes in a page of memory.
pub(crate) fn page_size() -> usize {
    // SAFETY: sysconf(3) with a constant that POSIX requires; no memory is passed.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
