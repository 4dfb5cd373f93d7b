//! A set in an event loop: a descriptor for `epoll(7)` and its like, and a future.
//!
//! Helpers watch all members then, also of a small set, for the program's own thread sleeps elsewhere.

use super::set::{Change, WaitSet};
use crate::error::{Attempt, Cause, CortexResult, Told};
use crate::sys::event::Event;
use std::future::Future;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

impl WaitSet {
    /// Returns a descriptor that is readable while a change is to be told, for `epoll`, `poll`, or an event loop that is
    /// built on them. [`WaitSet::wait`] with a time-out of zero takes the changes, and makes it unreadable; nothing is read
    /// from the descriptor itself. It is the same until the set is dropped, which closes it. Now and then it is readable where
    /// nothing is to be told: the wait then times out, and makes it unreadable.
    ///
    /// From the first call on threads of the library, on which all signals are blocked, watch the members: one for each
    /// 127 of them. A forked child calls it again, and gets a descriptor of its own.
    ///
    /// # Errors
    /// `CleanSystem` where there are no more descriptors or threads. [`WaitSet::wait`] fails so too from then on, while a new
    /// member finds no thread; the descriptor is then readable.
    pub fn fd(&mut self) -> CortexResult<BorrowedFd<'_>> {
        self.open_event().on_no_key()?;
        let event = self.listener.event.get();
        Ok(event.expect("it was just opened").as_fd())
    }

    fn open_event(&mut self) -> Result<(), Cause> {
        self.settle_in();
        if self.listener.event.get().is_none() {
            let event = Event::new().attempt("open a descriptor for a wait set")?;
            let _ = self.listener.event.set(event);
        }
        self.arm()
    }

    /// Makes the descriptor readable where there is something to be told, and from the next change on.
    pub(super) fn arm(&mut self) -> Result<(), Cause> {
        if self.listener.event.get().is_none() {
            return Ok(());
        }
        let watched = self.have_watched();
        if let Some(event) = self.listener.event.get() {
            event.clear();
        }
        self.ask_helpers();
        // After it was asked for: what comes from here on is told.
        if let Some(event) = self.listener.event.get() {
            if watched.is_err() || self.has_news() {
                event.set();
            }
        }
        watched
    }

    /// Returns a future that waits until at least one member has changed or was removed, and yields all that have, as
    /// [`WaitSet::wait`] does, for any executor. It may be dropped at any time; no change is lost. An interrupt does not end
    /// it.
    ///
    /// # Errors
    /// `CleanSystem` where the system has no more threads.
    pub fn changed(&mut self) -> ChangedAny<'_> {
        ChangedAny {
            set: self,
            number: None,
        }
    }
}

impl WaitSet {
    /// Polls for changes. `number` is that of the waker which the listener keeps.
    pub(super) fn poll_changes(
        &mut self,
        number: &mut Option<u64>,
        context: &mut Context<'_>,
    ) -> Poll<CortexResult<Vec<Change>>> {
        self.settle_in();
        let found = match self.take_changes() {
            Some(found) => Some(Ok(found)),
            None => match self.listen(number, context) {
                // After it was asked for: what comes from here on is told.
                Ok(()) => self.take_changes().map(Ok),
                Err(cause) => Some(Err(cause)),
            },
        };
        found.map_or(Poll::Pending, |found| Poll::Ready(found.on_no_key()))
    }

    fn take_changes(&mut self) -> Option<Vec<Change>> {
        let has_any = self.look(usize::MAX);
        has_any.then(|| {
            // Where that fails the descriptor is readable, and the next wait tells why.
            let _ = self.arm();
            self.changes.clone()
        })
    }

    fn listen(&mut self, number: &mut Option<u64>, context: &Context<'_>) -> Result<(), Cause> {
        self.have_watched()?;
        *number = Some(self.listener.keep_waker(*number, context.waker()));
        self.ask_helpers();
        Ok(())
    }

    /// Has the waker forgotten that [`WaitSet::poll_changes`] has kept.
    pub(super) fn forget_waker(&self, number: &mut Option<u64>) {
        if let Some(number) = number.take() {
            self.listener.forget_waker(number);
        }
    }
}

/// Waits until any member of a set has changed: [`WaitSet::changed`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct ChangedAny<'a> {
    set: &'a mut WaitSet,
    /// The number of the waker that the listener keeps.
    number: Option<u64>,
}

impl Future for ChangedAny<'_> {
    type Output = CortexResult<Vec<Change>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.set.poll_changes(&mut this.number, context)
    }
}

impl Drop for ChangedAny<'_> {
    fn drop(&mut self) {
        self.set.forget_waker(&mut self.number);
    }
}
