//! A descriptor that is readable while something is to be taken: for `epoll(7)`, `poll(2)`, `select(2)` and all that is
//! built on them.
//!
//! On Linux an `eventfd(2)`; elsewhere, and with `--cfg neocortex_portable`, a pipe. Both are closed on `exec`, and
//! never block.

use super::{check, SysResult};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// See the module.
#[derive(Debug)]
pub(crate) struct Event {
    read: OwnedFd,
    /// The other end of a pipe.
    write: Option<OwnedFd>,
}

impl Event {
    /// # Errors
    /// `EMFILE`, `ENFILE` where there are no more descriptors; `ENOMEM`.
    #[cfg(all(target_os = "linux", not(neocortex_portable)))]
    pub(crate) fn new() -> SysResult<Self> {
        // SAFETY: eventfd(2) takes no pointers.
        let made = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        let made = check("eventfd", made)?;
        Ok(Self {
            // SAFETY: a descriptor that was just made, and that nothing else owns.
            read: unsafe { OwnedFd::from_raw_fd(made) },
            write: None,
        })
    }

    /// # Errors
    /// `EMFILE`, `ENFILE` where there are no more descriptors.
    #[cfg(not(all(target_os = "linux", not(neocortex_portable))))]
    pub(crate) fn new() -> SysResult<Self> {
        let mut ends = [-1; 2];
        // SAFETY: room for two descriptors.
        check("pipe", unsafe { libc::pipe(ends.as_mut_ptr()) })?;
        // SAFETY: descriptors that were just made, and that nothing else owns.
        let [read, write] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        for end in [&read, &write] {
            // SAFETY: fcntl(2) with these commands takes no pointers.
            let results = unsafe {
                [
                    libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC),
                    libc::fcntl(end.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK),
                ]
            };
            for result in results {
                check("fcntl", result)?;
            }
        }
        Ok(Self {
            read,
            write: Some(write),
        })
    }

    /// Makes it readable. It may be already.
    pub(crate) fn set(&self) {
        let to = self.write.as_ref().unwrap_or(&self.read);
        let one = 1_u64;
        // An eventfd takes eight bytes, a pipe any number. It fails where it is full, so readable.
        // SAFETY: a live number.
        let write =
            || unsafe { libc::write(to.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        while write() == -1 && is_interrupted() {}
    }

    /// Makes it unreadable, unless it is set meanwhile.
    pub(crate) fn clear(&self) {
        let mut taken = [0_u8; 512];
        loop {
            // SAFETY: a live buffer of that length.
            let result = unsafe {
                libc::read(
                    self.read.as_raw_fd(),
                    taken.as_mut_ptr().cast(),
                    taken.len(),
                )
            };
            // An eventfd is empty after one read, a pipe after one that does not fill the buffer.
            let is_full = usize::try_from(result).is_ok_and(|read| read == taken.len());
            if !(is_full || result == -1 && is_interrupted()) {
                break;
            }
        }
    }
}

/// Returns whether the call that just failed was interrupted: neither end ever blocks, so no kernel that is known does that.
fn is_interrupted() -> bool {
    std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_readable(event: &Event) -> bool {
        let mut poll = libc::pollfd {
            fd: event.as_fd().as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live pollfd.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    }

    #[test]
    fn it_is_readable_from_set_to_clear_however_often_it_is_set() {
        let event = Event::new().unwrap();
        assert!(!is_readable(&event));
        for times in [1, 2, 100_000] {
            (0..times).for_each(|_| event.set());
            assert!(is_readable(&event));
            event.clear();
            assert!(!is_readable(&event));
            event.clear();
        }
    }
}
