//! A cheap name for the calling thread, unique among the threads that live in this process; and starting threads.

use super::{Failure, SysResult};
use std::thread::JoinHandle;

/// Returns the name of the calling thread. It is never 0, and even. Another thread may get the same one after this
/// thread has ended.
#[inline]
pub(crate) fn token() -> usize {
    #[cfg(all(
        target_os = "linux",
        target_arch = "x86_64",
        target_pointer_width = "64"
    ))]
    {
        let token: usize;
        // SAFETY: on x86-64 Linux the word at fs:0 is the thread control block's own address
        // (ELF TLS ABI, variant II); reading it has no effect. It spares a call in a shared library.
        unsafe {
            std::arch::asm!("mov {}, fs:0", out(reg) token, options(nostack, preserves_flags, readonly))
        };
        token
    }
    #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
    {
        let token: usize;
        // SAFETY: TPIDR_EL0 is the thread pointer of the ELF TLS ABI; reading it has no effect.
        unsafe {
            std::arch::asm!("mrs {}, tpidr_el0", out(reg) token, options(nostack, preserves_flags, nomem))
        };
        token
    }
    #[cfg(not(all(
        target_os = "linux",
        any(
            all(target_arch = "x86_64", target_pointer_width = "64"),
            target_arch = "aarch64"
        )
    )))]
    {
        thread_local! {
            static PLACE: u64 = const { 0 };
        }
        PLACE.with(|place| std::ptr::from_ref(place) as usize)
    }
}

/// Starts a thread on which every signal is blocked.
///
/// # Errors
/// `EAGAIN` where the system has no more threads, `ENOMEM`.
pub(crate) fn spawn_without_signals(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> SysResult<JoinHandle<()>> {
    // A thread begins with the mask of the one that starts it.
    // SAFETY: a signal set is plain old data; all zeros is a value, and is overwritten.
    let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    // SAFETY: live signal sets; neither call can fail with these arguments.
    unsafe {
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
    }
    let result = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work);
    // SAFETY: the mask that this thread had.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
    result.map_err(|error| Failure {
        call: "pthread_create",
        error,
    })
}
