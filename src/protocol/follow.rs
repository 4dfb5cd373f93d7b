//! The place of a follower: which commit it reads next, and how many it has missed.
//!
//! A follower reads one commit after the other, and stores nothing in the segment. Commit `k` is in slot `k % n`; the
//! follower sees by an acquire load of `committed` that it was made, copies the slot, passes an acquire fence, and the
//! copy is whole if `begun - k < n` ([`Ledger::still_holds`]). So writers never wait for a follower: one that is slower
//! than they are is overtaken.
//!
//! **A batch** of commits is copied after one look at `committed` and before one look at `begun`. It is whole if its
//! oldest commit is, because the others are overwritten later.
//!
//! **Overtaken**, a follower goes on with a commit that is still kept. How many it has missed is the difference between
//! the commit that it reads next and the one that it read last, so nothing else counts them. It goes on some commits
//! beyond the oldest that is kept, because the oldest is overwritten next: an eighth of the slots, twice as many after
//! each copy in vain, at last the newest commit. Batches are then no larger than that lead. A follower that writers wait
//! for ([`super::room`]) has no lead, or it would skip commits that they keep for it: it is overtaken only until it has come
//! to the first of those.
//!
//! **Invariant.** Between calls `seen < next <= known + 1`, in the order of the counters, and the commits from `next` to
//! `known` were made. Whatever a hostile peer stores in the counters, a call of [`Place::read`] makes one attempt.

use crate::protocol::commit::Ledger;

/// A follower's place among the commits of a segment.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The last commit that was read.
    seen: u64,
    /// The last commit that is known to be made.
    known: u64,
    /// The commit to read next: the one after `seen`, or a later one, where those between are lost.
    next: u64,
    /// How many copies in a row were in vain.
    overtaken: u32,
    /// Whether writers wait for it.
    is_waited_for: bool,
}

/// Commits that were copied, and are whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Commits<R> {
    pub(crate) first: u64,
    /// How many they are, at least 1.
    pub(crate) count: u64,
    /// How many before them were not read, and are lost.
    pub(crate) missed: u64,
    /// What the copy returned.
    pub(crate) copied: R,
}

/// What an attempt to read has found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<R> {
    Commits(Commits<R>),
    /// No commit is there that has not been read.
    Nothing,
    /// Writers were faster than the copy. The next attempt reads later commits.
    Overtaken,
    /// The version, which is before the follower's place: the place is one among the commits of another segment, or a
    /// peer has spoilt the counters.
    Behind(u64),
}

impl Place {
    /// Returns the place after this commit.
    pub(crate) fn after(seen: u64) -> Self {
        Self {
            seen,
            known: seen,
            next: seen.wrapping_add(1),
            overtaken: 0,
            is_waited_for: false,
        }
    }

    /// Returns this place as that of a follower that writers wait for, or do not.
    pub(crate) fn waited_for(self, is_waited_for: bool) -> Self {
        Self {
            is_waited_for,
            ..self
        }
    }

    /// Returns the last commit that was read.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Returns the last commit that need not be looked at any more. A version that is another one ends a wait.
    pub(crate) fn passed(&self) -> u64 {
        self.next.wrapping_sub(1)
    }

    /// Makes one attempt to read up to `limit` commits, at least one. `copy` is given the first and their count, which is
    /// at most the number of slots, and copies their slots racily; its result counts only if this returns it.
    #[inline(always)]
    pub(crate) fn read<R>(
        &mut self,
        ledger: Ledger<'_>,
        limit: u64,
        copy: impl FnOnce(u64, u64) -> R,
    ) -> Found<R> {
        if self.known == self.passed() {
            // Acquire: it sees what the writers of this commit and of those before it have stored.
            let committed = ledger.committed();
            if committed == self.known {
                return Found::Nothing;
            }
            if !is_later(committed, self.known) {
                return Found::Behind(committed);
            }
            self.known = committed;
        }
        if self.known.wrapping_sub(self.next) >= u64::from(ledger.slots) {
            self.go_on(ledger);
        }
        let first = self.next;
        let count = match limit {
            1 => 1,
            _ => {
                let there = self.known.wrapping_sub(first).wrapping_add(1);
                there.min(limit).min(self.longest_batch(ledger))
            }
        };
        let copied = copy(first, count);
        if !ledger.still_holds(first) {
            self.was_in_vain(ledger);
            return Found::Overtaken;
        }
        let missed = first.wrapping_sub(self.seen).wrapping_sub(1);
        let last = first.wrapping_add(count - 1);
        self.go_to(last, last);
        self.overtaken = 0;
        Found::Commits(Commits {
            first,
            count,
            missed,
            copied,
        })
    }

    /// Returns whether a commit that was not read is known to be made.
    pub(crate) fn knows_more(&self) -> bool {
        self.known != self.passed()
    }

    /// Moves the place: the last commit that was read, and the last that is not to be looked at again. A caller that has
    /// not taken all of a batch moves it back by this; the commits between the two then count as missed.
    #[inline]
    pub(crate) fn go_to(&mut self, seen: u64, passed: u64) {
        self.seen = seen;
        self.next = passed.wrapping_add(1);
    }

    /// Returns how many commits beyond the oldest one the next copy begins.
    #[inline]
    fn lead(&self, ledger: Ledger<'_>) -> u64 {
        let Some(doublings) = self.overtaken.checked_sub(1) else {
            return 0;
        };
        if self.is_waited_for {
            return 0;
        }
        let slots = u64::from(ledger.slots);
        // 2^16 slots: after so many doublings it is the newest commit in any case.
        ((slots / 8).max(1) << doublings.min(16)).min(slots)
    }

    #[inline]
    fn longest_batch(&self, ledger: Ledger<'_>) -> u64 {
        match self.lead(ledger) {
            0 => u64::MAX,
            lead => lead,
        }
    }

    #[cold]
    fn was_in_vain(&mut self, ledger: Ledger<'_>) {
        self.overtaken = self.overtaken.saturating_add(1);
        self.go_on(ledger);
    }

    /// Goes on with a commit that is still kept, given that `next` is, or may be, overwritten.
    #[cold]
    fn go_on(&mut self, ledger: Ledger<'_>) {
        // Acquire: as in `read`.
        let committed = ledger.committed();
        // The counter has gone back only where a peer has spoilt it.
        if is_later(committed, self.known) {
            self.known = committed;
        }
        // At most the distance from `next` to the newest commit, so that `next` is not moved back.
        let kept = ledger.kept_before(self.known);
        let back = kept.saturating_sub(self.lead(ledger));
        self.next = self
            .known
            .wrapping_sub(back.min(self.known.wrapping_sub(self.next)));
    }
}

/// Returns whether a commit comes after another one. The counters wrap.
#[inline]
fn is_later(commit: u64, other: u64) -> bool {
    (1..=u64::MAX / 2).contains(&commit.wrapping_sub(other))
}

/// Returns the place from which a follower reads the oldest commit that is kept now. Commit 0, the initial value, is not
/// read by followers.
pub(crate) fn kept_since(ledger: Ledger<'_>) -> u64 {
    let committed = ledger.committed();
    committed.saturating_sub(ledger.kept_before(committed) + 1)
}

#[cfg(all(test, not(loom)))]
mod tests;
