//! Finds out whether the segment was removed from the kernel's tables without a mark in it (`ipcrm(1)`, a session
//! manager that clears up after its user). Its key then leads nowhere, or to another segment.
//!
//! Nothing in the segment tells of it, so the kernel is asked: by a waiter, in each slice of its wait; by a caller of
//! `is_removed`; and by writers now and then ([`Watch`]).

use crate::protocol::atomics::Ordering;
use crate::sys::clock;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// A writer asks the kernel when so many milliseconds have passed since it last did.
const INTERVAL: u64 = 250;
/// How many commits may come between two looks at the clock, at most. A writer that has been fast and becomes slow
/// makes as many before it notices.
const MOST_COMMITS: u64 = 128;
/// Between two looks at the clock lie about as many milliseconds at most, while the writer keeps its pace.
const PACE: u64 = 10;

/// When a handle's writers are to ask next. All of it is of one process, and lost updates among its threads do no harm:
/// one of them asks a little earlier or later.
pub(crate) struct Watch {
    /// From which commit on the next look at the clock is due.
    ///
    /// The commits of all writers count, so that a writer among others looks earlier and never later, and a write that
    /// is not due stores nothing here. A peer that spoils the counter spoils this and no more.
    due: AtomicU64,
    /// The number of commits between the last look and the one that is due.
    commits: AtomicU64,
    looked: AtomicU64,
    asked: AtomicU64,
    is_lost: AtomicBool,
}

impl Watch {
    pub(crate) fn new() -> Self {
        let now = clock::milliseconds();
        Self {
            due: AtomicU64::new(0),
            commits: AtomicU64::new(1),
            looked: AtomicU64::new(now),
            asked: AtomicU64::new(now),
            is_lost: AtomicBool::new(false),
        }
    }

    /// Returns whether [`Watch::look`] is due before a write that is to make this commit. It stays due until that look.
    #[inline]
    pub(crate) fn is_due(&self, commit: u64) -> bool {
        commit >= self.due.load(Ordering::Relaxed)
    }

    /// Returns the first commit before which a look is due.
    #[inline]
    pub(crate) fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }

    /// Looks at the clock, and asks `is_lost` where that is due. Returns whether the segment is known to be lost.
    #[inline]
    pub(crate) fn look(&self, commit: u64, is_lost: impl FnOnce() -> bool) -> bool {
        self.look_at(commit, clock::milliseconds(), is_lost)
    }

    fn look_at(&self, commit: u64, now: u64, is_lost: impl FnOnce() -> bool) -> bool {
        if now.wrapping_sub(self.asked.load(Ordering::Relaxed)) >= INTERVAL {
            self.asked.store(now, Ordering::Relaxed);
            self.note(is_lost());
        }
        if self.is_known() {
            // Again: another thread may have looked when it was not known.
            self.due.store(0, Ordering::Relaxed);
            return true;
        }
        let took = now.wrapping_sub(self.looked.swap(now, Ordering::Relaxed));
        let commits = self.commits.load(Ordering::Relaxed);
        let next = match took {
            0..=PACE => commits * 2,
            _ => commits * PACE / took,
        };
        let next = next.clamp(1, MOST_COMMITS);
        self.commits.store(next, Ordering::Relaxed);
        self.due.store(commit.wrapping_add(next), Ordering::Relaxed);
        false
    }

    /// Makes a look due before each commit after this one.
    pub(crate) fn look_after(&self, commit: u64) {
        let next = commit.wrapping_add(1);
        // By one thread at a time, which has the lock; others only make a look due at once.
        self.due.fetch_min(next, Ordering::Relaxed);
    }

    /// Keeps the answer, if it is yes, and returns it. A look is due before each write from then on.
    pub(crate) fn note(&self, is_lost: bool) -> bool {
        if is_lost {
            self.is_lost.store(true, Ordering::Relaxed);
            self.due.store(0, Ordering::Relaxed);
        }
        is_lost
    }

    pub(crate) fn is_known(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the first commit from this one on before which a look is due.
    fn next_due(watch: &Watch, commit: u64) -> u64 {
        (commit..)
            .find(|&commit| watch.is_due(commit))
            .expect("it is due some time")
    }

    #[test]
    fn a_slow_writer_asks_at_each_write() {
        let watch = Watch::new();
        let begun = watch.asked.load(Ordering::Relaxed);
        for second in 1..20 {
            assert!(watch.is_due(second));
            let mut is_asked = false;
            let look = || {
                is_asked = true;
                false
            };
            assert!(!watch.look_at(second, begun + 1000 * second, look));
            assert!(is_asked);
        }
    }

    #[test]
    fn a_fast_writer_asks_four_times_in_a_second_and_looks_at_the_clock_a_hundred_times() {
        let watch = Watch::new();
        let begun = watch.asked.load(Ordering::Relaxed);
        let (mut asked, mut most, mut commit) = (0, 0, 0);
        // A write each tenth of a millisecond.
        while commit < 100_000 {
            let next = next_due(&watch, commit + 1);
            most = most.max(next - commit);
            commit = next;
            watch.look_at(commit, begun + commit / 10, || {
                asked += 1;
                false
            });
        }
        assert!((36..=40).contains(&asked), "{asked}");
        assert!((64..=MOST_COMMITS).contains(&most), "{most}");
    }

    /// What others commit makes it look earlier, and not one write later.
    #[test]
    fn who_writes_among_others_looks_at_each_write() {
        let watch = Watch::new();
        let begun = watch.asked.load(Ordering::Relaxed);
        for write in 1..1000 {
            let commit = write * 2 * MOST_COMMITS;
            assert!(watch.is_due(commit));
            watch.look_at(commit, begun, || panic!("not yet"));
            assert!(!watch.is_due(commit));
        }
    }

    #[test]
    fn what_is_lost_stays_lost() {
        let watch = Watch::new();
        let begun = watch.asked.load(Ordering::Relaxed);
        assert!(!watch.look_at(1, begun + INTERVAL - 1, || panic!("not yet")));
        assert!(!watch.is_due(1));
        assert!(watch.look_at(next_due(&watch, 2), begun + INTERVAL, || true));
        assert!((0..100).all(|commit| watch.is_due(commit)));
        // Another thread stores what it found before.
        watch.due.store(u64::MAX, Ordering::Relaxed);
        assert!(watch.look_at(101, begun + INTERVAL, || panic!("it is known")));
        assert!(watch.is_due(102));
    }
}
