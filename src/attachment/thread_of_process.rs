//! A thread of one process, which a forked child does not take for one of its own.
//!
//! A token of a thread ([`crate::sys::thread::token`]) is as wide as an address, so that the epoch of its process is
//! in a word of its own, where an [`OfProcess`](crate::protocol::of_process::OfProcess) has both in one.
//!
//! **Ordering.** A process that takes the place of its parent first puts away the parent's thread, then stores its epoch
//! with release; a thread looks at the epoch first, with acquire. So a thread that sees this process's epoch does not
//! see the parent's thread, whose token may be this thread's.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// A thread, and the process that it is of: see the module. The default is no thread.
#[derive(Debug, Default)]
pub(crate) struct ThreadOfProcess {
    /// The token; 0 is none. It means nothing in a process of another epoch.
    thread: AtomicUsize,
    /// [`MOVING`] while a child's first thread takes the place of the parent's.
    epoch: AtomicU32,
}

/// No process has this epoch ([`crate::sys::fork::epoch`]).
const MOVING: u32 = u32::MAX;

impl ThreadOfProcess {
    /// Returns the token, of whatever process it is.
    #[inline]
    pub(crate) fn token(&self, order: Ordering) -> usize {
        self.thread.load(order)
    }

    /// Returns whether it is this thread of the process with this epoch.
    #[inline]
    pub(crate) fn is(&self, epoch: u32, token: usize) -> bool {
        // Acquire, and first: see the module.
        self.epoch.load(Ordering::Acquire) == epoch && self.thread.load(Ordering::Relaxed) == token
    }

    /// Returns the token where it is of the process with this epoch, else 0. Acquire: the caller sees what the thread
    /// stored before it [put](Self::set) its token there.
    // Of the write guards of C alone.
    #[cfg_attr(not(feature = "capi"), allow(dead_code))]
    #[inline]
    pub(crate) fn of(&self, epoch: u32) -> usize {
        match self.epoch.load(Ordering::Acquire) == epoch {
            true => self.thread.load(Ordering::Acquire),
            false => 0,
        }
    }

    /// Puts a thread there, of the process that it is of already; 0 is none.
    #[inline]
    pub(crate) fn set(&self, token: usize, order: Ordering) {
        self.thread.store(token, order);
    }

    /// Puts another thread in the place of one. Returns whether it was that one.
    pub(crate) fn replace(&self, seen: usize, token: usize, order: Ordering) -> bool {
        self.thread
            .compare_exchange(seen, token, order, Ordering::Relaxed)
            .is_ok()
    }

    /// Notes that it is of the process with this epoch. Any thread of the parent's has been put away.
    #[inline]
    pub(crate) fn arrive(&self, epoch: u32) {
        // Release: see the module.
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Puts a thread there, where none of its process is. The thread acquires what the last one released when it was
    /// put away.
    pub(crate) fn claim(&self, epoch: u32, token: usize) {
        let found = self.epoch.load(Ordering::Acquire);
        if found == epoch {
            self.replace(0, token, Ordering::Acquire);
            return;
        }
        // Of several threads that find the parent's, one takes its place.
        let is_first = found != MOVING
            && self
                .epoch
                .compare_exchange(found, MOVING, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_first {
            self.thread.store(token, Ordering::Relaxed);
            self.arrive(epoch);
        }
    }

    /// Makes it no thread of no process.
    pub(crate) fn reset(&self) {
        self.thread.store(0, Ordering::Relaxed);
        self.epoch.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_takes_the_place_of_the_parents() {
        let thread = ThreadOfProcess::default();
        thread.claim(7, 16);
        assert!(thread.is(7, 16) && !thread.is(7, 32) && !thread.is(8, 16));
        assert_eq!((thread.of(7), thread.of(8)), (16, 0));
        // It is taken.
        thread.claim(7, 32);
        assert!(thread.is(7, 16));
        // In a child.
        thread.claim(8, 32);
        assert!(thread.is(8, 32) && !thread.is(7, 16));
        // While another thread of a child takes its place.
        thread.epoch.store(MOVING, Ordering::Relaxed);
        thread.claim(9, 16);
        assert_eq!((thread.of(9), thread.of(8)), (0, 0));
        thread.reset();
        assert_eq!(thread.token(Ordering::Relaxed), 0);
    }
}
