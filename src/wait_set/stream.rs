//! Streams for async programs (feature `stream`): every commit of a value, and the changes of a set.

use super::changed::Changed;
use super::set::{Change, WaitSet};
use crate::error::{CortexError, CortexResult};
use crate::segment::{Followed, SegmentFollower};
use futures_core::stream::{FusedStream, Stream};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What every stream of commits has besides its follower.
#[derive(Default)]
pub(crate) struct Arrivals<'a> {
    awaited: Option<Changed<'a>>,
    pub(crate) is_over: bool,
}

impl<'a> Arrivals<'a> {
    /// Polls for the next commit. After an error that would come again the stream is over.
    pub(crate) fn poll_next<F, R>(
        &mut self,
        context: &mut Context<'_>,
        follower: &mut F,
        try_next: impl Fn(&mut F) -> CortexResult<Option<R>>,
        arrived: impl Fn(&F) -> Changed<'a>,
    ) -> Poll<Option<CortexResult<R>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        loop {
            match try_next(follower) {
                Ok(Some(commit)) => {
                    self.awaited = None;
                    return Poll::Ready(Some(Ok(commit)));
                }
                Ok(None) => {}
                // Overtaken again and again: other tasks have their turn first.
                Err(CortexError::Timeout { .. }) => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(error) => return self.fail(error),
            }
            let awaited = self.awaited.get_or_insert_with(|| arrived(follower));
            match Pin::new(awaited).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(_)) => self.awaited = None,
                Poll::Ready(Err(error)) => return self.fail(error),
            }
        }
    }

    fn fail<R>(&mut self, error: CortexError) -> Poll<Option<CortexResult<R>>> {
        // A commit that is no value was passed over.
        let goes_on = matches!(
            error,
            CortexError::InvalidValue { .. } | CortexError::Corrupt { .. }
        );
        self.is_over = !goes_on;
        self.awaited = None;
        Poll::Ready(Some(Err(error)))
    }
}

/// Every commit of a segment, in order, or the number of those that were missed: [`SegmentFollower::into_stream`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct SegmentCommits<'a> {
    follower: SegmentFollower<'a>,
    arrivals: Arrivals<'a>,
}

impl<'a> SegmentFollower<'a> {
    /// Returns the commits as a stream, for any executor: each with a copy of the value, or of the record (feature
    /// `stream`).
    ///
    /// ```
    /// # async fn task(log: neocortex::Segment) -> neocortex::CortexResult<()> {
    /// use futures_util::StreamExt;
    /// use neocortex::SegmentCommits;
    ///
    /// let mut records: SegmentCommits<'_> = log.follow(0).into_stream();
    /// if let Some(record) = records.next().await {
    ///     println!("{}", String::from_utf8_lossy(&record?.value));
    /// }
    /// // Without a task it goes on from there.
    /// let mut follower = records.into_follower();
    /// let mut record = Vec::new();
    /// follower.next_record(&mut record, None)?;
    /// # Ok(()) }
    /// ```
    ///
    /// It may be dropped at any time, and [`SegmentCommits::into_follower`] gives the follower back: no commit is lost. It is
    /// over after an error, such as `Removed` when the segment was removed and every commit that is kept has been read;
    /// but for `Corrupt`, where a record was passed over.
    ///
    /// # Errors
    /// Of an item: as [`SegmentFollower::try_next`] or [`SegmentFollower::try_next_record`], and
    /// [`SegmentFollower::arrived`]. Where writers overtake it again and again it gives way to other tasks and goes on.
    pub fn into_stream(self) -> SegmentCommits<'a> {
        SegmentCommits {
            follower: self,
            arrivals: Arrivals::default(),
        }
    }

    fn try_next_owned(&mut self) -> CortexResult<Option<Followed<Vec<u8>>>> {
        let mut bytes = Vec::new();
        let found = if self.slots.has_records() {
            self.try_next_record(&mut bytes)?
        } else {
            bytes.resize(self.size(), 0);
            self.try_next(&mut bytes)?
        };
        Ok(found.map(|found| found.with(bytes)))
    }
}

impl<'a> SegmentCommits<'a> {
    /// Returns the follower, at the position after the last commit that was yielded.
    pub fn into_follower(self) -> SegmentFollower<'a> {
        self.follower
    }
}

impl Stream for SegmentCommits<'_> {
    type Item = CortexResult<Followed<Vec<u8>>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.arrivals.poll_next(
            context,
            &mut this.follower,
            SegmentFollower::try_next_owned,
            SegmentFollower::arrived,
        )
    }
}

impl FusedStream for SegmentCommits<'_> {
    fn is_terminated(&self) -> bool {
        self.arrivals.is_over
    }
}

/// The changes of a set, as often as there are any: [`WaitSet::changes`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct Changes<'a> {
    set: &'a mut WaitSet,
    is_over: bool,
    /// The number of the waker that the listener keeps.
    number: Option<u64>,
}

impl WaitSet {
    /// Returns the changes as a stream, for any executor: an item is what [`WaitSet::changed`] yields (feature `stream`).
    ///
    /// ```
    /// # async fn task(pose: neocortex::Cortex<f64>) -> neocortex::CortexResult<()> {
    /// use futures_util::StreamExt;
    /// use neocortex::{Changes, WaitSet};
    ///
    /// let mut set = WaitSet::new();
    /// set.add(&pose);
    /// let mut changes: Changes<'_> = set.changes();
    /// while let Some(some) = changes.next().await {
    ///     for change in some? {
    ///         println!("{:?} has version {}", change.member, change.version);
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// It may be dropped at any time; no change is lost. It is over after an error.
    ///
    /// # Errors
    /// Of an item: as [`WaitSet::changed`].
    pub fn changes(&mut self) -> Changes<'_> {
        Changes {
            set: self,
            is_over: false,
            number: None,
        }
    }
}

impl Stream for Changes<'_> {
    type Item = CortexResult<Vec<Change>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        let found = this.set.poll_changes(&mut this.number, context);
        this.is_over = matches!(found, Poll::Ready(Err(_)));
        found.map(Some)
    }
}

impl FusedStream for Changes<'_> {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        self.set.forget_waker(&mut self.number);
    }
}
