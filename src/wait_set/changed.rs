//! A future that waits for the next commit of one value.

use super::helper::Watch;
use super::listener::Listener;
use super::member::{Memory, Sealed};
use super::registry::Registration;
use crate::attachment::companion::Companion;
use crate::error::{Attempt, Cause, CortexResult, Told};
use crate::locks::CortexSync;
use crate::segment::{removed_at, Segment, SegmentFollower, SegmentObserver};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What a handle has of its own for its futures: a helper watches the value for as long as the handle lives.
struct Ear {
    listener: Arc<Listener>,
    registration: Registration,
}

impl Ear {
    fn new(memory: &Memory) -> Result<Self, Cause> {
        let listener = Listener::new(None);
        let watch = Watch::new(memory.clone(), &listener, memory.version());
        let registration = Registration::new(watch).attempt("start a thread that waits for")?;
        Ok(Self {
            listener,
            registration,
        })
    }
}

/// Waits until the version is another than it was: [`Segment::changed`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Changed<'a> {
    memory: Memory,
    companion: &'a Companion,
    key: i32,
    since: u64,
    /// Where this future's waker is.
    heard_by: Option<(Arc<Ear>, u64)>,
}

impl Changed<'_> {
    fn look(&self) -> Option<Result<u64, Cause>> {
        let version = self.memory.version();
        if version != self.since {
            return Some(Ok(version));
        }
        (self.memory.is_marked_removed() || self.memory.is_lost())
            .then(|| removed_at(self.memory.version(), self.since))
    }

    fn listen(&mut self, context: &Context<'_>) -> Result<(), Cause> {
        let ear = self.companion.get_or_make(|| Ear::new(&self.memory))?;
        let before = self.heard_by.take();
        // A forked child has another ear.
        let number = before
            .filter(|(old, _)| Arc::ptr_eq(old, &ear))
            .map(|it| it.1);
        let number = ear.listener.keep_waker(number, context.waker());
        if ear.listener.asked.ask() {
            ear.registration.helper().ring();
        }
        self.heard_by = Some((ear, number));
        Ok(())
    }
}

impl Future for Changed<'_> {
    type Output = CortexResult<u64>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let found = match this.look() {
            Some(found) => Some(found),
            None => match this.listen(context) {
                // After it was asked for: what comes from here on is told.
                Ok(()) => this.look(),
                Err(cause) => Some(Err(cause)),
            },
        };
        found.map_or(Poll::Pending, |found| Poll::Ready(found.on(this.key)))
    }
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        if let Some((ear, number)) = self.heard_by.take() {
            ear.listener.forget_waker(number);
        }
    }
}

impl<L: CortexSync> Segment<L> {
    /// Returns a future that waits until the version is another than `since`, and yields it: as
    /// [`Segment::wait_changed`], for any executor. It is ready at once where the version already is.
    ///
    /// It may be dropped at any time; no change is lost, because the next one is made with the version that is known. A
    /// thread of the library, on which all signals are blocked, sleeps for all futures of up to 127 handles; it is started
    /// by the first that must wait, and ends with the last of those handles. [`Segment::interrupt`] does not end it.
    ///
    /// # Errors
    /// `Removed` when the segment is removed; `CleanSystem` where the system has no more threads.
    pub fn changed(&self, since: u64) -> Changed<'_> {
        Changed {
            memory: self.memory(),
            companion: &self.companion,
            key: self.key(),
            since,
            heard_by: None,
        }
    }
}

impl SegmentObserver {
    /// Returns a future that waits until the version is another than `since`: see [`Segment::changed`]. Where no
    /// participant waits for the same change, it is noticed within a millisecond.
    ///
    /// # Errors
    /// As [`Segment::changed`].
    pub fn changed(&self, since: u64) -> Changed<'_> {
        Changed {
            memory: self.memory(),
            companion: &self.companion,
            key: self.key(),
            since,
            heard_by: None,
        }
    }
}

impl<'a> SegmentFollower<'a> {
    /// Returns a future that waits until there is a commit to read, and yields the version: as [`SegmentFollower::wait`],
    /// for any executor. The commit may be overwritten before it is read, if writers are that fast; a newer one is then
    /// there. The follower may be used meanwhile: the future is of the position that it has now.
    ///
    /// ```
    /// # async fn task(log: neocortex::Cortex<u64>) -> neocortex::CortexResult<()> {
    /// let mut follower = log.follow(log.version());
    /// loop {
    ///     follower.arrived().await?;
    ///     while let Some(commit) = follower.try_next()? {
    ///         println!("{}: {}", commit.version, commit.value);
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Removed` where the segment was removed and every commit that is kept has been read; `CleanSystem` where the system
    /// has no more threads.
    pub fn arrived(&self) -> Changed<'a> {
        let (memory, companion) = Memory::of_follower(self);
        Changed {
            memory,
            companion,
            key: self.key(),
            since: self.passed(),
            heard_by: None,
        }
    }
}
