//! Which members the kernel is asked for, whether they are still there.
//!
//! A segment that was removed from the kernel's tables (`ipcrm(1)`) does not tell it, so the kernel has to be asked, by a
//! system call for each. A set asks for some of its members at a time, so that each has its turn within a second,
//! and a set of thousands does not spend its time with it.

use crate::attachment::patience::{LONG_SLICE, SLICE};
use crate::sys::clock;
use std::ops::Range;

#[derive(Debug)]
pub(crate) struct LossCheck {
    /// When it was last asked, in milliseconds.
    asked: u64,
    next: usize,
}

impl LossCheck {
    pub(crate) fn new() -> Self {
        Self {
            asked: clock::milliseconds(),
            next: 0,
        }
    }

    /// Returns the members, of so many, that are to be asked for now: none, most of the time.
    #[inline]
    pub(crate) fn turn(&mut self, count: usize) -> Range<usize> {
        self.turn_at(count, clock::milliseconds())
    }

    fn turn_at(&mut self, count: usize, now: u64) -> Range<usize> {
        let since = u128::from(now.wrapping_sub(self.asked));
        if since < SLICE.as_millis() {
            return 0..0;
        }
        self.asked = now;
        let begin = if self.next < count { self.next } else { 0 };
        // As many as it takes for every member to be asked for in the time of a long sleep.
        let share = match since < LONG_SLICE.as_millis() {
            true => (count * since as usize).div_ceil(LONG_SLICE.as_millis() as usize),
            false => return 0..count,
        };
        self.next = (begin + share).min(count);
        begin..self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_slept_for_long_asks_for_all() {
        let mut check = LossCheck::new();
        let begun = check.asked;
        for count in [0, 1, 20, 1000] {
            let now = check.asked + LONG_SLICE.as_millis() as u64;
            assert_eq!(check.turn_at(count, now), 0..count);
        }
        assert!(check.asked > begun);
    }

    #[test]
    fn each_member_has_its_turn_within_a_second() {
        for count in [0, 1, 2, 19, 20, 21, 1000] {
            let mut check = LossCheck::new();
            let begun = check.asked;
            let mut asked = vec![0; count];
            for millisecond in 0..1000 {
                for index in check.turn_at(count, begun + millisecond) {
                    asked[index] += 1;
                }
            }
            assert!(asked.iter().all(|&times| times > 0), "{count}: {asked:?}");
            let most = 25 * (count * 40).div_ceil(600);
            assert!(asked.iter().sum::<usize>() <= most, "{count}");
        }
    }
}
