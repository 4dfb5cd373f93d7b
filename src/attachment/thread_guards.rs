//! Which read guards this thread holds, so that it is never made to wait for itself.
//!
//! An owner word says which process holds it and the handle says which thread, so a thread that
//! would wait for its own write guard is told `Busy`. Readers are only counted; this module tells a
//! thread's own guards from those of others.
//!
//! Guards on one attachment at a time are the common case, and cost a comparison and an addition; further
//! attachments go to a list. Where thread-local storage is slow, as in a shared library, a handle has a
//! [`RegisteredThread`]: one thread whose guards it counts itself.

use super::thread_of_process::ThreadOfProcess;
use crate::protocol::of_process::{AtomicOfProcess, OfProcess};
use crate::sys::{fork, thread};
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;

/// An attachment of a process: its number, of which the lower half tells apart all that a process can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttachmentId(OfProcess);

impl AttachmentId {
    #[inline]
    pub(crate) fn new(epoch: u32, number: u64) -> Self {
        Self(OfProcess::new(epoch, number as u32))
    }

    /// Returns whether it is of the process with this epoch.
    #[inline]
    pub(crate) fn is_of(self, epoch: u32) -> bool {
        self.0.of(epoch).is_some()
    }
}

thread_local! {
    /// The attachment of the guards that are counted here, and their number.
    static FIRST: (Cell<AttachmentId>, Cell<u32>) =
        const { (Cell::new(AttachmentId(OfProcess::NOBODY)), Cell::new(0)) };
    /// The guards on further attachments. It has no destructor, so that it serves to the thread's very end: an
    /// empty list holds no memory.
    static OTHERS: RefCell<ManuallyDrop<Vec<(AttachmentId, u32)>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

/// Notes one more read guard of this thread.
#[inline]
pub(crate) fn add(attachment_id: AttachmentId) {
    FIRST.with(|(first, count)| {
        if count.get() == 0 {
            first.set(attachment_id);
            count.set(1);
        } else if first.get() == attachment_id {
            count.set(count.get() + 1);
        } else {
            add_other(attachment_id);
        }
    });
}

/// Notes that one read guard of this thread has ended.
#[inline]
pub(crate) fn remove(attachment_id: AttachmentId) {
    FIRST.with(|(first, count)| {
        if first.get() == attachment_id && count.get() != 0 {
            count.set(count.get() - 1);
        } else {
            remove_other(attachment_id);
        }
    });
}

/// Returns whether this thread holds a read guard there; `registered` is that of the same attachment.
pub(crate) fn any(attachment_id: AttachmentId, registered: &RegisteredThread) -> bool {
    registered.any() || is_counted(attachment_id)
}

/// Returns whether [`add`] counts a guard of this thread there.
pub(crate) fn is_counted(attachment_id: AttachmentId) -> bool {
    let is_first = FIRST.with(|(first, count)| first.get() == attachment_id && count.get() != 0);
    is_first || OTHERS.with(|others| others.borrow().iter().any(|entry| entry.0 == attachment_id))
}

/// Returns how many guards of this thread [`add`] counts there.
#[cfg(feature = "capi")]
pub(crate) fn counted(attachment_id: AttachmentId) -> u32 {
    let first = FIRST.with(|(first, count)| {
        if first.get() == attachment_id {
            count.get()
        } else {
            0
        }
    });
    let others = OTHERS.with(|others| {
        let others = others.borrow();
        let here = others.iter().filter(|entry| entry.0 == attachment_id);
        here.map(|entry| entry.1).sum::<u32>()
    });
    first + others
}

#[cold]
fn add_other(attachment_id: AttachmentId) {
    OTHERS.with(|others| {
        let mut others = others.borrow_mut();
        match others.iter_mut().find(|entry| entry.0 == attachment_id) {
            Some(entry) => entry.1 += 1,
            None => others.push((attachment_id, 1)),
        }
    });
}

#[cold]
fn remove_other(attachment_id: AttachmentId) {
    OTHERS.with(|others| {
        let mut others = others.borrow_mut();
        if let Some(index) = others.iter().position(|entry| entry.0 == attachment_id) {
            others[index].1 -= 1;
            if others[index].1 == 0 {
                others.swap_remove(index);
            }
            if others.is_empty() {
                **others = Vec::new();
            }
        }
    });
}

/// The read guards through one handle of the thread that is registered there, counted by plain stores of that
/// thread. The caller that registers a thread [unregisters](RegisteredThread::unregister) it before the thread ends,
/// for another thread may get the same token.
///
/// A forked child inherits the registration of a thread that it does not have, and its next thread may well get that
/// thread's token ([`ThreadOfProcess`]).
#[derive(Debug, Default)]
pub(crate) struct RegisteredThread {
    thread: ThreadOfProcess,
    /// The guards of a parent process do not count.
    count: AtomicOfProcess,
}

#[cfg_attr(not(feature = "capi"), allow(dead_code))]
impl RegisteredThread {
    /// Returns whether this thread, of the process with this epoch, is the registered one.
    #[inline]
    pub(crate) fn is_mine(&self, epoch: u32) -> bool {
        self.thread.is(epoch, thread::token())
    }

    /// Registers this thread, where no thread of its process is registered.
    pub(crate) fn register(&self) {
        self.thread.claim(fork::epoch(), thread::token());
    }

    /// Makes this record one in which no thread is registered, for another handle.
    pub(crate) fn reset(&self) {
        self.thread.reset();
        self.count.store(OfProcess::NOBODY, Ordering::Relaxed);
    }

    /// Unregisters this thread, if it is the registered one.
    pub(crate) fn unregister(&self) {
        if self.is_mine(fork::epoch()) {
            self.thread.set(0, Ordering::Release);
        }
    }

    /// Returns how many guards the registered thread holds.
    #[inline]
    pub(crate) fn count(&self, epoch: u32) -> u32 {
        // Acquire: a caller that finds none may take the handle apart.
        self.count.count(epoch, Ordering::Acquire)
    }

    /// Notes how many guards there are now. Only the registered thread calls it.
    #[inline]
    pub(crate) fn set(&self, epoch: u32, count: u32) {
        self.count
            .store(OfProcess::new(epoch, count), Ordering::Release);
    }

    /// Returns whether this thread is registered and holds a guard.
    fn any(&self) -> bool {
        let epoch = fork::epoch();
        self.is_mine(epoch) && self.count(epoch) != 0
    }
}

#[cfg(test)]
mod tests;
