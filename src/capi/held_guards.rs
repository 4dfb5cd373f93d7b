//! What a handle knows of the guards that this process holds through it.
//!
//! | guard | where it is kept | which thread finds it |
//! |---|---|---|
//! | write | in the handle ([`HeldGuards`]) | the one whose token stands beside it |
//! | read, of the thread registered in the handle | a count in the handle ([`RegisteredThread`]) | that thread |
//! | read, of another thread | a count in the thread's own storage ([`thread_guards`]) | that thread |
//!
//! So nothing is locked, which a forked child could inherit locked, and no guard is ended on another thread. The first
//! thread that begins a guard through a handle is registered there until it ends: its guards need no thread-local storage,
//! for which a shared library has to call a function.
//!
//! The handle must not be closed while a guard is held through it, so it can tell how many there are
//! ([`HeldGuards::are_none`]). What a child inherits is void: all of this is tagged with the epoch of the process that it
//! belongs to.
//!
//! [`RegisteredThread`]: crate::attachment::thread_guards::RegisteredThread

use super::any_lock::AnyLock;
use crate::attachment::thread_of_process::ThreadOfProcess;
use crate::protocol::of_process::AtomicOfProcess;
use crate::segment::{Segment, WriteGuard};
use crate::sys::{fork, thread};
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;

/// A write guard, whose handle is kept by the rules of the interface for as long as it is held.
pub(super) type Writing = WriteGuard<'static, [u8], AnyLock>;

/// In `writer`: another thread has given the guard up. A token is even.
const ABANDONED: usize = 1;

/// What a handle knows of the guards begun through it.
#[derive(Default)]
pub(super) struct HeldGuards {
    /// The read guards of threads that are not registered.
    abroad: AtomicOfProcess,
    /// How many read guards were given up by another thread than began them.
    pub(super) given_up: AtomicOfProcess,
    /// The thread that has the write guard. Stored by that thread alone, but for [`ABANDONED`].
    writer: ThreadOfProcess,
    /// The write guard; touched by its thread alone. A child may find its parent's here, which is void.
    writing: UnsafeCell<Option<ManuallyDrop<Writing>>>,
}

// SAFETY: the cell is touched by the thread alone that `writer` names, and a guard is ended by the thread that
// began it; the rest is atomics.
unsafe impl Send for HeldGuards {}
// SAFETY: as above.
unsafe impl Sync for HeldGuards {}

impl HeldGuards {
    /// Returns whether no thread of this process holds a guard.
    pub(super) fn are_none(&self, segment: &Segment<AnyLock>) -> bool {
        self.writer.of(fork::epoch()) == 0 && self.count_reads(segment) == 0
    }

    /// Returns how many read guards threads of this process hold.
    pub(super) fn count_reads(&self, segment: &Segment<AnyLock>) -> u32 {
        let epoch = fork::epoch();
        let abroad = self.abroad.count(epoch, Ordering::Acquire);
        segment
            .attachment
            .own
            .registered
            .count(epoch)
            .saturating_add(abroad)
    }

    /// Returns whether this thread holds the write guard.
    pub(super) fn is_writing(&self) -> bool {
        self.writing().is_some()
    }

    /// Changes the count of the read guards of threads that are not registered.
    pub(super) fn count_abroad(&self, change: impl Fn(u32) -> u32) {
        self.abroad.change(fork::epoch(), Ordering::AcqRel, change);
    }

    /// Returns this thread's write guard.
    #[inline]
    #[allow(clippy::mut_from_ref)] // what makes it exclusive is the thread
    pub(super) fn writing(&self) -> Option<&mut Writing> {
        if self.writer.token(Ordering::Relaxed) != thread::token() {
            return None;
        }
        // SAFETY: `writer` names this thread, so no other one touches the cell; callers end one borrow
        // before they begin another.
        let guard = unsafe { &mut *self.writing.get() }.as_mut()?;
        // A child finds its parent's, if the thread that forked held it.
        guard.is_mine().then_some(&mut **guard)
    }

    /// Returns whether another thread of this process has the write guard.
    pub(super) fn is_written_elsewhere(&self) -> bool {
        let writer = self.writer.of(fork::epoch()) & !ABANDONED;
        writer != 0 && writer != thread::token()
    }

    /// Notes that the write guard of another thread was given up by this one.
    pub(super) fn abandon(&self) {
        let writer = self.writer.token(Ordering::Relaxed);
        if writer != 0 {
            // Release: what this thread wrote by way of the guard comes before its own thread rolls it back. Fails
            // where that thread has just ended it.
            self.writer
                .replace(writer, writer | ABANDONED, Ordering::Release);
        }
    }

    /// Makes this thread's write guard its own again, if another thread has given it up. Returns whether one had.
    pub(super) fn recover(&self) -> bool {
        let token = thread::token();
        // Acquire: see `abandon`.
        self.writer
            .replace(token | ABANDONED, token, Ordering::Acquire)
    }

    /// Keeps a write guard that this thread has just been given. Returns the payload.
    #[inline]
    pub(super) fn put(&self, mut guard: Writing) -> *mut u8 {
        let data = guard.as_mut_ptr();
        // SAFETY: this thread has the segment's write lock, so no other thread of this process has a
        // write guard, and `writer` is 0 or names a thread of the parent.
        unsafe { *self.writing.get() = Some(ManuallyDrop::new(guard)) };
        // In this order: a thread that sees this process's epoch does not see a thread of the parent's.
        self.writer.set(thread::token(), Ordering::Release);
        self.writer.arrive(fork::epoch());
        data
    }

    /// Ends this thread's write guard by `end`. Returns `None` where it has none.
    #[inline]
    pub(super) fn end<R>(&self, end: impl FnOnce(Writing) -> R) -> Option<R> {
        self.writing()?;
        // SAFETY: as in `writing`, which has just found the guard.
        let guard = unsafe { &mut *self.writing.get() }.take()?;
        // Before the lock is released: the next holder may be a thread that writes here too.
        self.writer.set(0, Ordering::Release);
        Some(end(ManuallyDrop::into_inner(guard)))
    }
}
