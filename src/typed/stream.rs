//! The commits of a cortex as a stream (feature `stream`).

use super::Follower;
use crate::error::CortexResult;
use crate::plain::Readable;
use crate::segment::Followed;
use crate::wait_set::Arrivals;
use futures_core::stream::{FusedStream, Stream};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Every commit of a cortex, in order, or the number of those that were missed: [`Follower::into_stream`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct Commits<'a, T> {
    follower: Follower<'a, T>,
    arrivals: Arrivals<'a>,
}

impl<'a, T: Readable> Follower<'a, T> {
    /// Returns the commits as a stream, for any executor (feature `stream`).
    ///
    /// ```
    /// # async fn task(log: neocortex::Cortex<u64>) -> neocortex::CortexResult<()> {
    /// use futures_util::StreamExt;
    /// use neocortex::Commits;
    ///
    /// let mut commits: Commits<'_, u64> = log.follow(log.version()).into_stream();
    /// while let Some(commit) = commits.next().await {
    ///     let commit = commit?;
    ///     println!("{}: {}, {} missed before it", commit.version, commit.value, commit.missed);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// It may be dropped at any time, and [`Commits::into_follower`] gives the follower back: no commit is lost. It is over
    /// after an error, such as `Removed` when the cortex was removed and every commit that is kept has been read; but for
    /// `InvalidValue`, where a commit was passed over.
    ///
    /// # Errors
    /// Of an item: as [`Follower::try_next`] and [`Follower::arrived`]. Where writers overtake it again and again it gives
    /// way to other tasks and goes on.
    pub fn into_stream(self) -> Commits<'a, T> {
        Commits {
            follower: self,
            arrivals: Arrivals::default(),
        }
    }
}

impl<'a, T> Commits<'a, T> {
    /// Returns the follower, at the position after the last commit that was yielded.
    pub fn into_follower(self) -> Follower<'a, T> {
        self.follower
    }
}

impl<T: Readable> Stream for Commits<'_, T> {
    type Item = CortexResult<Followed<T>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.arrivals.poll_next(
            context,
            &mut this.follower,
            Follower::try_next,
            Follower::arrived,
        )
    }
}

impl<T: Readable> FusedStream for Commits<'_, T> {
    fn is_terminated(&self) -> bool {
        self.arrivals.is_over
    }
}
