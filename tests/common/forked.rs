//! Forks of this process, and pipes by which processes and threads wait for one another.

use super::kernel::{KEYS, PROCESSES};
use super::lock;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

/// A forked child of this process; ended when dropped.
pub struct Forked {
    id: i32,
    report: std::fs::File,
    is_over: bool,
}

/// Runs `work` in a fork of this process. A panic in there is this test's, at [`Forked::join`].
pub fn fork(work: impl FnOnce()) -> Forked {
    let (report, mut to) = pipe();
    // Held meanwhile: in the child nobody would give back what another thread holds now.
    let (mut processes, keys) = (lock(&PROCESSES), lock(&KEYS));
    // SAFETY: the child runs `work`, which uses this library and what it allocates, and `_exit`s.
    let id = unsafe { libc::fork() };
    assert_ne!(id, -1);
    drop(keys);
    if id == 0 {
        drop(processes);
        #[cfg(target_os = "linux")]
        // SAFETY: a system call and nothing else.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let code = match result {
            Ok(()) => 0,
            Err(payload) => {
                let words = payload.downcast_ref::<String>().map(String::as_str);
                let words = words
                    .or(payload.downcast_ref::<&str>().copied())
                    .unwrap_or("?");
                let _ = to.write_all(words.as_bytes());
                1
            }
        };
        // SAFETY: ends the child at once; nothing of the parent's is run.
        unsafe { libc::_exit(code) };
    }
    processes.push(id);
    Forked {
        id,
        report,
        is_over: false,
    }
}

impl Forked {
    pub fn id(&self) -> i32 {
        self.id
    }

    pub fn join(mut self) {
        let mut words = String::new();
        self.report.read_to_string(&mut words).expect("the pipe");
        let mut status = 0;
        // SAFETY: a child of ours, a live place.
        assert_eq!(unsafe { libc::waitpid(self.id, &mut status, 0) }, self.id);
        self.is_over = true;
        assert_eq!(status, 0, "the forked child failed: {words}");
    }

    /// Waits for its end, however it ends: the status, as `waitpid` gives it.
    pub fn wait(mut self) -> i32 {
        let mut status = 0;
        // SAFETY: a child of ours, a live place.
        assert_eq!(unsafe { libc::waitpid(self.id, &mut status, 0) }, self.id);
        self.is_over = true;
        status
    }

    /// Kills it; when this returns, the kernel has taken the process down.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if !self.is_over {
            // SAFETY: a child of ours that was not waited for yet.
            unsafe {
                libc::kill(self.id, libc::SIGKILL);
                libc::waitpid(self.id, std::ptr::null_mut(), 0);
            }
            self.is_over = true;
        }
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        self.end();
    }
}

/// (where it comes out, where it goes in); not inherited through `exec`.
pub fn pipe() -> (std::fs::File, std::fs::File) {
    let mut ends = [0; 2];
    // SAFETY: a live array of two; the descriptors are new, and each gets one owner.
    unsafe {
        #[cfg(not(target_vendor = "apple"))]
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        // macOS has no pipe2: a child started between these two inherits the pipe.
        #[cfg(target_vendor = "apple")]
        {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            for end in ends {
                assert_ne!(libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC), -1);
            }
        }
        (
            std::fs::File::from_raw_fd(ends[0]),
            std::fs::File::from_raw_fd(ends[1]),
        )
    }
}

/// A place where a process waits for another: one byte through a pipe.
pub struct Gate {
    from: std::fs::File,
    to: std::fs::File,
}

impl Gate {
    pub fn new() -> Self {
        let (from, to) = pipe();
        Self { from, to }
    }

    pub fn open(&self) {
        (&self.to).write_all(b".").expect("the pipe");
    }

    pub fn pass(&self) {
        (&self.from).read_exact(&mut [0]).expect("the pipe");
    }
}
