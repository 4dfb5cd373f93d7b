//! Waiting until a process has created the cortex that the caller wants to attach to.
//!
//! The kernel wakes no process when a key comes into use, so the key is polled: soon at first, and then at intervals
//! that grow to [`LONGEST_PAUSE`]. A hundred `shmget` calls a second cost a ten-thousandth of a processor.

use super::find::{Pauses, CREATOR_GONE};
use super::options::SegmentOptions;
use crate::attachment::patience::Wait;
use crate::error::{Cause, WAITING_FOR_CREATOR};
use crate::sys::errno;
use std::time::{Duration, Instant};

/// For how long what has a key has refused this user. Its creator may be about to give it to this user or this group
/// ([`SegmentOptions::owner`]): the kernel makes a segment the creator's own, and its owner is another call.
pub(super) struct Refusals(Option<Instant>);

impl Refusals {
    pub(super) fn new() -> Self {
        Self(None)
    }

    /// Whether an attempt was refused, and for so short a time that its creator may be at work still.
    pub(super) fn may_end<R>(&mut self, result: &Result<R, Cause>) -> bool {
        let is_refused = matches!(result, Err(cause) if cause.is_errno(errno::EACCES));
        if !is_refused {
            self.0 = None;
            return false;
        }
        self.0.get_or_insert_with(Instant::now).elapsed() < CREATOR_GONE
    }
}

const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// Returns whether the cause says that no segment has this key, or only one that was removed.
pub(super) fn is_missing(cause: &Cause) -> bool {
    matches!(cause.bare(), Cause::Removed) || cause.is_answer("shmget", errno::ENOENT)
}

/// Repeats an attempt to attach for as long as the options say, while no process has created the cortex or its creator
/// has not finished. `attempt` is given how long it may wait for a creator at work.
///
/// # Errors
/// `Timeout` where no process has created it by then; `Interrupted`; any other error of the attempt.
pub(super) fn wait_for_creator<R>(
    options: &SegmentOptions,
    attempt: impl Fn(Option<Duration>) -> Result<R, Cause>,
) -> Result<R, Cause> {
    let Some(timeout) = options.wait_for_creator else {
        return attempt(options.timeout);
    };
    let wait = Wait::lasting(timeout);
    let (pauses, mut pause) = (Pauses::new(options), FIRST_PAUSE);
    let mut refusals = Refusals::new();
    loop {
        // The wait for a cortex that has been begun counts too: neither bound may be exceeded.
        let longest = match (options.timeout, wait.left()) {
            (Some(timeout), Some(left)) => Some(timeout.min(left)),
            (timeout, left) => timeout.or(left),
        };
        let result = attempt(longest);
        let is_missing = match &result {
            Err(cause) if is_missing(cause) => true,
            // Its creator may have died, and another one may take its place.
            Err(cause) if matches!(cause.bare(), Cause::NotReady { .. }) => false,
            _ if refusals.may_end(&result) => false,
            _ => return result,
        };
        let left = wait.left().unwrap_or(LONGEST_PAUSE);
        if left == Duration::ZERO {
            return match is_missing {
                true => Err(Cause::Timeout(WAITING_FOR_CREATOR)),
                false => result,
            };
        }
        pauses.sleep_for(pause.min(left))?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
