//! How long a call may wait, and what ends its wait.

use crate::error::Cause;
use crate::protocol::atomics::Ordering;
use crate::protocol::interrupts::Interrupts;
use crate::sys::{futex, SleepEnd};
use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long to wait for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until the lock is taken.
    Forever,
    /// Not at all.
    Never,
    /// Until this moment of the monotonic clock.
    Until(Instant),
}

impl Wait {
    /// Returns the time left, `None` for ever, zero when it is over.
    pub fn left(self) -> Option<Duration> {
        match self {
            Self::Forever => None,
            Self::Never => Some(Duration::ZERO),
            Self::Until(end) => Some(end.saturating_duration_since(Instant::now())),
        }
    }

    /// Returns the wait that begins now and lasts this long.
    pub(crate) fn lasting(timeout: Option<Duration>) -> Self {
        match timeout {
            None => Self::Forever,
            Some(Duration::ZERO) => Self::Never,
            // A deadline beyond what the clock can say is for ever.
            Some(timeout) => Instant::now()
                .checked_add(timeout)
                .map_or(Self::Forever, Self::Until),
        }
    }
}

/// The longest sleep of a waiter for change, where a writer may be at work. A writer that is killed between its commit and
/// its wake leaves the waiters asleep for at most that long; with the time to get a processor, a waiter returns within
/// 50 ms.
pub(crate) const SLICE: Duration = Duration::from_millis(40);

/// The longest sleep of a waiter for change where no writer is at work ([`crate::protocol::owner_word::rest`]). The kernel
/// is asked after each whether the segment is still there, so that a removal is noticed within a second.
pub(crate) const LONG_SLICE: Duration = Duration::from_millis(600);

/// After so many slices in vain, a second, a waiter puts the owner word to rest. The next writer then has to wake it twice,
/// so a value that is written every second, or more often, is waited for in slices.
const SLICES_IN_VAIN: u32 = 25;

/// How long a waiter for change sleeps: short at first, and long where nothing happens.
#[derive(Debug, Default)]
pub(crate) struct Slices {
    in_vain: u32,
    is_resting: bool,
}

impl Slices {
    /// Asks `rest` whether a writer may be at work, where that is worth it. To be called after the waiter has said that it
    /// waits, and before it looks.
    #[inline]
    pub(crate) fn prepare(&mut self, rest: impl FnOnce() -> bool) {
        self.is_resting = self.in_vain >= SLICES_IN_VAIN && rest();
    }

    /// Returns how long to sleep after that look.
    pub(crate) fn next(&self) -> Duration {
        match self.is_resting {
            true => LONG_SLICE,
            false => SLICE,
        }
    }

    /// Notes how a sleep ended that brought nothing new.
    pub(crate) fn note(&mut self, end: SleepEnd) {
        match end {
            SleepEnd::TimeOver => self.in_vain = self.in_vain.saturating_add(1),
            SleepEnd::Other => self.in_vain = 0,
            SleepEnd::Signal => {}
        }
    }
}

/// The longest pause of a waiter that nobody wakes.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// Pauses that grow to [`LONGEST_PAUSE`]: for a waiter that nobody wakes.
#[derive(Debug)]
pub(crate) struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(Duration::from_micros(10))
    }
}

impl Pauses {
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

/// Keeps a waiter from spinning where a word changes again and again and nothing was committed, as a hostile peer can
/// have it. A commit changes its word once at most.
#[derive(Debug)]
pub(crate) struct NeedlessWakes {
    left: u32,
    allowed: u32,
}

impl NeedlessWakes {
    /// For a waiter for so many values.
    pub(crate) fn of(words: usize) -> Self {
        let allowed = u32::try_from(words).unwrap_or(u32::MAX).saturating_add(16);
        Self {
            left: allowed,
            allowed,
        }
    }

    /// Returns whether the next sleep must last, whatever the words say.
    pub(crate) fn are_too_many(&mut self) -> bool {
        let are_too_many = self.left == 0;
        // After it the words are tried once more.
        self.left = self.left.max(u32::from(are_too_many));
        are_too_many
    }

    /// Notes how a sleep on words ended that brought nothing new.
    pub(crate) fn note(&mut self, end: SleepEnd) {
        match end {
            SleepEnd::Other => self.left = self.left.saturating_sub(1),
            SleepEnd::TimeOver => self.left = self.allowed,
            SleepEnd::Signal => {}
        }
    }

    /// Sleeps on a word, or, where too many sleeps have ended early, without one.
    pub(crate) fn sleep(
        &mut self,
        nap: Duration,
        on_word: impl FnOnce(Duration) -> SleepEnd,
    ) -> SleepEnd {
        if self.are_too_many() {
            return futex::sleep(nap.min(LONGEST_PAUSE));
        }
        let end = on_word(nap);
        self.note(end);
        end
    }
}

const FOREVER: u64 = u64::MAX;

/// How long a call may wait. It is handed down through every call, so it is no larger than two registers: in memory it
/// would be loaded in wider pieces than it was stored in, for which the processor waits at each floor.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// As long as the handle's time-out says.
    Handle,
    /// Not at all.
    Never,
    /// So many nanoseconds, whatever the handle's time-out says; [`FOREVER`] is for ever.
    For(u64),
    /// As long as a wait that has begun: until so many nanoseconds after [`epoch`].
    Until(u64),
}

const _: () = assert!(size_of::<Limit>() <= 16);

/// Returns the moment from which [`Limit::Until`] counts.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

impl Limit {
    /// A time-out of this call alone; `None` is for ever.
    pub(crate) fn lasting(timeout: Option<Duration>) -> Self {
        Self::For(nanoseconds(timeout))
    }

    /// Returns the time-out of a call through a handle that has this one.
    pub(crate) fn timeout(self, of_handle: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Handle => of_handle,
            Self::Never => Some(Duration::ZERO),
            Self::For(nanoseconds) => duration(nanoseconds),
            Self::Until(end) => {
                let end = epoch() + Duration::from_nanos(end);
                Some(end.saturating_duration_since(Instant::now()))
            }
        }
    }

    /// Returns the same limit for several waits one after the other, the first of which begins now.
    pub(crate) fn begun(self, of_handle: Option<Duration>) -> Self {
        let epoch = epoch();
        match Wait::lasting(self.timeout(of_handle)) {
            Wait::Forever => Self::For(FOREVER),
            Wait::Never => Self::Never,
            Wait::Until(end) => {
                Self::Until(nanoseconds(Some(end.saturating_duration_since(epoch))))
            }
        }
    }
}

/// A time-out as a number; `None`, and what does not fit, is [`FOREVER`].
fn nanoseconds(timeout: Option<Duration>) -> u64 {
    timeout.map_or(FOREVER, |timeout| {
        u64::try_from(timeout.as_nanos()).unwrap_or(FOREVER)
    })
}

/// Returns the time-out that such a number stands for.
fn duration(nanoseconds: u64) -> Option<Duration> {
    (nanoseconds != FOREVER).then(|| Duration::from_nanos(nanoseconds))
}

/// The time-out of a handle, which any of its threads may change.
#[derive(Debug)]
pub(crate) struct Timeout(AtomicU64);

impl Timeout {
    pub(crate) fn new(timeout: Option<Duration>) -> Self {
        Self(AtomicU64::new(nanoseconds(timeout)))
    }

    pub(crate) fn set(&self, timeout: Option<Duration>) {
        // Relaxed: nothing else is published by it.
        self.0.store(nanoseconds(timeout), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Option<Duration> {
        duration(self.0.load(Ordering::Relaxed))
    }
}

/// A wait that has begun, of whatever kind: for a lock, for a change, for a copy that no writer overtakes. Its call is
/// counted as one that may wait ([`Interrupts::begin`]).
pub(crate) struct Waiting<'a> {
    interrupts: &'a Interrupts,
    /// The interrupts that had been seen when it began.
    seen: u32,
    wait: Wait,
    /// Whether a signal has ended it.
    is_signalled: Cell<bool>,
    operation: &'static str,
}

impl<'a> Waiting<'a> {
    /// `operation` is the name in the errors of what the caller does.
    pub(crate) fn new(interrupts: &'a Interrupts, wait: Wait, operation: &'static str) -> Self {
        Self {
            interrupts,
            seen: interrupts.seen(),
            wait,
            is_signalled: Cell::new(false),
            operation,
        }
    }

    /// Returns whether the call must not wait at all.
    pub(crate) fn is_none(&self) -> bool {
        self.wait == Wait::Never
    }

    /// Checks whether the wait may go on. The waiter calls it after each look at what it waits for.
    ///
    /// # Errors
    /// `Interrupted` when the handle's waits were ended, `Timeout` when the time is over.
    pub(crate) fn check(&self) -> Result<(), Cause> {
        if self.is_signalled.get() || self.interrupts.was_sent(self.seen) {
            return Err(self.interrupted());
        }
        if self.wait.left() == Some(Duration::ZERO) {
            return Err(Cause::Timeout(self.operation));
        }
        Ok(())
    }

    /// Returns whether the wait may sleep for long. Where signals end it, a handler that runs between the last look and the
    /// sleep is noticed only when the sleep is over.
    pub(crate) fn may_be_long(&self) -> bool {
        !self.interrupts.are_sent_by_signals()
    }

    /// Returns how long to sleep now: for as long as this, or for the time that is left.
    pub(crate) fn nap(&self, longest: Duration) -> Duration {
        self.wait.left().map_or(longest, |left| left.min(longest))
    }

    /// Notes how a sleep has ended. The waiter calls it after each sleep.
    ///
    /// # Errors
    /// `Interrupted` where a signal ended it, and signals end the waits of this handle; [`Waiting::check`] says so from
    /// then on as well.
    pub(crate) fn woken(&self, end: SleepEnd) -> Result<(), Cause> {
        if !self.interrupts.are_sent_by(end) {
            return Ok(());
        }
        self.is_signalled.set(true);
        Err(self.interrupted())
    }

    #[cold]
    fn interrupted(&self) -> Cause {
        Cause::Interrupted(self.operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_sleeps_for_long_after_some_slices_in_vain_and_only_where_no_writer_is_at_work() {
        let mut slices = Slices::default();
        for _ in 0..SLICES_IN_VAIN {
            slices.prepare(|| panic!("it is too early"));
            assert_eq!(slices.next(), SLICE);
            slices.note(SleepEnd::TimeOver);
        }
        slices.prepare(|| false);
        assert_eq!(slices.next(), SLICE);
        slices.prepare(|| true);
        assert_eq!(slices.next(), LONG_SLICE);
        slices.note(SleepEnd::Signal);
        slices.prepare(|| true);
        assert_eq!(slices.next(), LONG_SLICE);
        slices.note(SleepEnd::Other);
        slices.prepare(|| panic!("a writer has just come"));
        assert_eq!(slices.next(), SLICE);
    }

    #[test]
    fn a_word_that_changes_without_news_is_slept_on_less_and_less() {
        let mut wakes = NeedlessWakes::of(1);
        let mut tries = |ends: SleepEnd, count: usize| {
            let mut tried = 0;
            for _ in 0..count {
                wakes.sleep(Duration::ZERO, |_| {
                    tried += 1;
                    ends
                });
            }
            tried
        };
        assert_eq!(tries(SleepEnd::Other, 17), 17);
        assert_eq!(tries(SleepEnd::Other, 10), 5, "every other sleep lasts");
        assert_eq!(tries(SleepEnd::TimeOver, 2), 1);
        assert_eq!(tries(SleepEnd::Other, 17), 17, "it was quiet meanwhile");
    }
}
