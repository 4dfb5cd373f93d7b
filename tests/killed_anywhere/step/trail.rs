//! Where an operation can be interrupted: what was seen when it ran undisturbed, and the places to kill it.

use crate::common::Random;

/// A place in an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Stops at system calls before it; an odd number stands before a call, an even one after it.
    pub(super) stops: u32,
    pub(super) within: Within,
    /// Whether the calls of a loop that waits are left out of the count: how often it looks is never the same.
    pub(super) is_after_pause: bool,
}

/// A system call: its number, its second argument, and how deep it is called.
pub(super) type Call = (libc::c_long, libc::c_long, libc::c_long);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// At the stop itself.
    Stop,
    /// So many instructions after it.
    Instruction(u32),
    /// After so many instructions that changed the segment.
    Change(u32),
}

impl Point {
    pub fn is_call(self) -> bool {
        self.within == Within::Stop
    }
}

/// What was seen of an operation that ran undisturbed.
#[derive(Debug, Default)]
pub struct Trail {
    /// Each system call.
    pub(super) calls: Vec<Call>,
    /// Every stop at a system call, and every change of the segment.
    pub(super) events: Vec<Point>,
    /// How many instructions follow each stop; the first entry is from the beginning on.
    pub(super) instructions: Vec<u32>,
}

impl Trail {
    /// Where to kill. The bounded form: every stop, every change, and so many others at random. The long form:
    /// every stop and every instruction.
    pub fn points(&self, others: usize, random: &mut Random) -> Vec<Point> {
        let instruction = |stops: usize, number| Point {
            stops: stops as u32,
            within: Within::Instruction(number),
            is_after_pause: false,
        };
        let mut points = self.events.clone();
        if crate::common::proof::is_long() {
            points.retain(|point| point.is_call());
            for (stops, &count) in self.instructions.iter().enumerate() {
                points.extend((1..=count).map(|number| instruction(stops, number)));
            }
        } else {
            let total: u32 = self.instructions.iter().sum();
            for _ in 0..others.min(total as usize) {
                let mut number = random.below(total as usize) as u32;
                let mut stops = 0;
                while number >= self.instructions[stops] {
                    number -= self.instructions[stops];
                    stops += 1;
                }
                points.push(instruction(stops, number + 1));
            }
        }
        let Some((first, last, pause)) = self.pause() else {
            return points;
        };
        // Before the loop and in its first turns as they are; what comes after it by the calls that are not its
        // own.
        points.retain_mut(|point| {
            if point.stops < first {
                return true;
            }
            let own = |stop: u32| pause.contains(&self.calls[(stop as usize - 1) / 2]);
            let is_out = point.stops >= last && !own(point.stops);
            point.is_after_pause = true;
            point.stops = (1..=point.stops).filter(|&stop| !own(stop)).count() as u32;
            is_out
        });
        points
    }

    /// The loop that waits, if there is one: the stop at its third sleep, the one at its last, and its calls.
    fn pause(&self) -> Option<(u32, u32, &[Call])> {
        let is_sleep = |&index: &usize| self.calls[index].0 == libc::SYS_clock_nanosleep;
        let sleeps: Vec<_> = (0..self.calls.len()).filter(is_sleep).collect();
        match sleeps[..] {
            [_, _, first, second, .., last] => Some((
                2 * first as u32,
                2 * last as u32,
                &self.calls[first..second],
            )),
            _ => None,
        }
    }

    /// The calls that a point after a pause does not count.
    pub fn pauses(&self) -> &[Call] {
        self.pause().map_or(&[], |pause| pause.2)
    }

    pub fn len(&self) -> (usize, u32) {
        (self.events.len(), self.instructions.iter().sum())
    }
}
