//! How a waiter for many values sleeps: on all the words at once, or, where the system refuses that, for growing pauses.

use crate::attachment::patience::{NeedlessWakes, Pauses, Slices, LONGEST_PAUSE};
use crate::sys::futex::{self, AnyEnd, Expected};
use std::time::Duration;

/// Of one wait.
pub(super) struct Sleep {
    pauses: Pauses,
    pub(super) slices: Slices,
    wakes: NeedlessWakes,
}

impl Sleep {
    /// For a waiter for so many values.
    pub(super) fn of(count: usize) -> Self {
        Self {
            pauses: Pauses::default(),
            slices: Slices::default(),
            wakes: NeedlessWakes::of(count),
        }
    }

    /// Begins a new wait, after something new was found.
    pub(super) fn begin_anew(&mut self, count: usize) {
        *self = Self::of(count);
    }

    /// Sleeps until a word has another value than expected. `bell` is of this process. `are_woken` is whether
    /// the writers wake this waiter at all the other words; `limit` shortens the sleep to the time that is left.
    pub(super) fn sleep<'a>(
        &mut self,
        bell: Expected<'a>,
        words: impl Iterator<Item = Expected<'a>>,
        are_woken: bool,
        limit: impl Fn(Duration) -> Duration,
    ) {
        if self.wakes.are_too_many() {
            futex::wait_own(bell.word, bell.value, limit(LONGEST_PAUSE));
            return;
        }
        let longest = match are_woken {
            true => self.slices.next(),
            false => self.pauses.next(),
        };
        match futex::wait_any(bell, words, limit(longest)) {
            AnyEnd::Slept(end) => {
                self.wakes.note(end);
                self.slices.note(end);
            }
            AnyEnd::Refused => self.pause(bell, limit),
        }
    }

    /// Sleeps a while, for a waiter whose words nobody watches.
    pub(super) fn pause(&mut self, bell: Expected<'_>, limit: impl Fn(Duration) -> Duration) {
        futex::wait_own(bell.word, bell.value, limit(self.pauses.next()));
    }
}
