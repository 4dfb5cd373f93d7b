//! The commit protocol: `begun`, `committed`, and which slot is whose.
//!
//! A commit `c` lives in slot `c % n`. Under the lock's write access, with `c = committed`:
//!
//! 1. `begun = c + 1`, then a release fence ([`Ledger::begin`]);
//! 2. bring slot `(c + 1) % n` up to date, if the write is partial, and write into it;
//! 3. record the range that changed, then `committed = c + 1`, release ([`Ledger::commit`]).
//!
//! A reader stores nothing ([`Ledger::snapshot`]): `c = committed` (acquire), copy slot `c % n`,
//! acquire fence, and the copy is whole if `begun - c <= n - 1`.
//!
//! **Why that holds.** Slot `c % n` is next written for commit `c + n`, and that writer stored
//! `begun = c + n` and fenced (release) before its first store into the slot. If the copy saw any of
//! those stores, the reader's acquire fence and the writer's release fence synchronise, so the
//! reader's load of `begun` sees at least `c + n` and the copy is thrown away. With one slot the
//! same formula asks for `begun == c`. The load of `committed` (acquire) pairs with the store of it
//! (release): the copy sees everything of commit `c`.
//!
//! **`begun` never decreases.** A writer that gives up, or dies, leaves `begun = c + 1`; the next
//! writer restarts the same commit in the same slot. Lowering it would let a reader that copied the
//! spoilt slot pass its check. `src/models/commit.rs`, with `.ci/loom-bites`, finds each of
//! the two fences and this rule indispensable.
//!
//! **Partial writes.** Each commit records which 64-byte lines it changed. Slot `(c + 1) % n` holds
//! commit `c + 1 - n`, so it is brought up to date by copying the union of the ranges of the `n - 1`
//! commits that it missed, from slot `c % n`: but only if `begun == committed` on entry, for
//! otherwise somebody has half written the slot, and all of it is copied.
//!
//! **The writers' own note.** Readers that look all the time keep taking the commit line away from the writer, so
//! a writer does not load it: after a commit its number is noted on the line of the ranges ([`Ledger::commit`]),
//! which only writers touch, and the note is taken back before the next one writes into its slot. Where
//! there is none, somebody died, gave up or went on holding the lock, and the counters say what happened.
//!
//! All counters wrap, and whatever a hostile peer stores in them, a slot index is below `n`.

use crate::primitive::{fence, AtomicU64, Ordering};

/// The counters, on a cache line of their own.
#[repr(C, align(64))]
pub(crate) struct CommitLine {
    pub(crate) begun: AtomicU64,
    pub(crate) committed: AtomicU64,
}

/// What writers know, and nobody else touches.
#[repr(C, align(64))]
pub(crate) struct RangeLine {
    /// The last commit, if it is finished and no other has begun; else [`UNKNOWN`].
    last: AtomicU64,
    /// For each of the last seven commits, the lines of the payload that it changed.
    ranges: [AtomicU64; RANGES],
}

/// A slot misses at most one commit less than there are slots.
const RANGES: usize = crate::format::SLOT_LIMIT as usize - 1;

/// What a new segment's note says; a commit of this number is not noted.
const UNKNOWN: u64 = 0;

#[cfg(any(loom, test))]
impl CommitLine {
    pub(crate) fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            committed: AtomicU64::new(0),
        }
    }
}

#[cfg(any(loom, test))]
impl RangeLine {
    pub(crate) fn new() -> Self {
        Self {
            last: AtomicU64::new(UNKNOWN),
            ranges: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

/// A range of 64-byte payload lines, `first..end`; `end < first` never occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) first: u32,
    pub(crate) end: u32,
}

impl Lines {
    pub(crate) const NONE: Self = Self {
        first: u32::MAX,
        end: 0,
    };
    /// Everything, also where the payload has more lines than 32 bits count.
    pub(crate) const WHOLE: Self = Self {
        first: 0,
        end: u32::MAX,
    };

    /// The lines that hold `length` bytes from `offset`.
    pub(crate) fn covering(offset: usize, length: usize) -> Self {
        if length == 0 {
            return Self::NONE;
        }
        let first = offset / crate::format::LINE;
        let last = (offset + length - 1) / crate::format::LINE;
        match (u32::try_from(first), u32::try_from(last)) {
            (Ok(first), Ok(last)) if last < u32::MAX => Self {
                first,
                end: last + 1,
            },
            _ => Self::WHOLE,
        }
    }

    /// The smallest range that holds both.
    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            end: self.end.max(other.end),
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.end <= self.first
    }

    /// The range in bytes, within a payload of `size` bytes.
    pub(crate) fn bytes(self, size: usize) -> std::ops::Range<usize> {
        if self.is_empty() {
            return 0..0;
        }
        if self.end == u32::MAX {
            return 0..size;
        }
        let line = crate::format::LINE;
        let start = (self.first as usize).saturating_mul(line).min(size);
        start..(self.end as usize).saturating_mul(line).min(size)
    }

    fn pack(self) -> u64 {
        u64::from(self.first) << 32 | u64::from(self.end)
    }

    fn unpack(packed: u64) -> Self {
        Self {
            first: (packed >> 32) as u32,
            end: packed as u32,
        }
    }
}

/// The protocol on one segment's counters.
#[derive(Clone, Copy)]
pub(crate) struct Ledger<'a> {
    pub(crate) line: &'a CommitLine,
    pub(crate) ranges: &'a RangeLine,
    /// How many slots, 1 to 8.
    pub(crate) slots: u32,
}

/// A write that has begun: which commit it will be, and whether the last one was finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun {
    /// The commit this will be.
    pub(crate) commit: u64,
    /// Whether every write before this one was committed: the slot to be written holds exactly
    /// commit `commit - n`.
    pub(crate) is_clean: bool,
}

impl CommitLine {
    /// What is to be written next, by the counters alone.
    #[cold]
    fn next(&self) -> Begun {
        let committed = self.committed.load(Ordering::Relaxed);
        let begun = self.begun.load(Ordering::Relaxed);
        Begun {
            commit: committed.wrapping_add(1),
            is_clean: begun == committed,
        }
    }
}

impl Ledger<'_> {
    /// Which slot holds this commit. Below `slots` whatever the number.
    #[inline]
    pub(crate) fn slot(&self, commit: u64) -> usize {
        let slots = u64::from(self.slots);
        // No division for the two layouts in common use.
        if slots.is_power_of_two() {
            (commit & (slots - 1)) as usize
        } else {
            (commit % slots) as usize
        }
    }

    /// The last commit. Acquire: whoever sees it sees what its writer stored before, elsewhere too.
    #[inline]
    pub(crate) fn committed(&self) -> u64 {
        self.line.committed.load(Ordering::Acquire)
    }

    /// The commit that was begun last: the committed one, or the one being written.
    #[cfg(not(loom))]
    pub(crate) fn begun(&self) -> u64 {
        self.line.begun.load(Ordering::Relaxed)
    }

    /// Whether a write in place was begun and not finished. For the holder of the lock.
    #[inline]
    pub(crate) fn is_unfinished(&self) -> bool {
        let committed = self.line.committed.load(Ordering::Relaxed);
        self.line.begun.load(Ordering::Relaxed) != committed
    }

    /// Step 1, under the lock's write access.
    #[inline]
    pub(crate) fn begin(&self) -> Begun {
        // Relaxed: the lock's acquire made the former holder's stores visible.
        let last = self.ranges.last.load(Ordering::Relaxed);
        let next = if last == UNKNOWN {
            self.line.next()
        } else {
            self.ranges.last.store(UNKNOWN, Ordering::Relaxed);
            Begun {
                commit: last.wrapping_add(1),
                is_clean: true,
            }
        };
        self.line.begun.store(next.commit, Ordering::Relaxed);
        // Pairs with the acquire fence in `snapshot`: whoever sees a store that we make into the
        // slot from here on also sees `begun`. And who comes after our death finds no note.
        fence(Ordering::Release);
        next
    }

    /// What slot `begun.commit % n` has missed since it was last written.
    pub(crate) fn missed(&self, begun: Begun) -> Lines {
        if self.slots == 1 {
            return Lines::NONE;
        }
        if !begun.is_clean {
            return Lines::WHOLE;
        }
        (1..u64::from(self.slots))
            .map(|back| begun.commit.wrapping_sub(back))
            .map(|commit| Lines::unpack(self.range(commit).load(Ordering::Relaxed)))
            .fold(Lines::NONE, Lines::union)
    }

    #[inline]
    fn range(&self, commit: u64) -> &AtomicU64 {
        // For the layout in common use without a multiplication. Where the counter wraps, after 2^64 commits, the
        // others' places jump.
        let place = match self.slots {
            2 => commit & 1,
            _ => commit % RANGES as u64,
        };
        &self.ranges.ranges[place as usize]
    }

    /// Step 3, by a writer who lets the lock go now.
    #[inline]
    pub(crate) fn commit(&self, commit: u64, changed: Lines) {
        self.announce(commit, changed);
        // Release: whoever dies between the two has made the commit, and no note of it.
        self.ranges.last.store(commit, Ordering::Release);
    }

    /// Step 3, and step 1 of the next commit, by a writer who goes on holding the lock: nobody else has changed
    /// the counters, so they need not be read, nor noted. `between` runs when the commit is there to be seen.
    #[inline]
    pub(crate) fn publish<R>(
        &self,
        commit: u64,
        changed: Lines,
        between: impl FnOnce() -> R,
    ) -> (Begun, R) {
        self.announce(commit, changed);
        let result = between();
        let next = Begun {
            commit: commit.wrapping_add(1),
            is_clean: true,
        };
        self.line.begun.store(next.commit, Ordering::Relaxed);
        // As in `begin`.
        fence(Ordering::Release);
        (next, result)
    }

    #[inline]
    fn announce(&self, commit: u64, changed: Lines) {
        self.range(commit).store(changed.pack(), Ordering::Relaxed);
        // Release: a reader that sees the number sees the slot; the next writer sees the range.
        self.line.committed.store(commit, Ordering::Release);
    }

    /// The state of a new segment: commit 0, of which every slot but the first has missed all. Nobody
    /// looks before the segment's state is ready, and that is a release.
    pub(crate) fn initialise(&self) {
        for range in &self.ranges.ranges {
            range.store(Lines::WHOLE.pack(), Ordering::Relaxed);
        }
        self.ranges.last.store(UNKNOWN, Ordering::Relaxed);
        self.line.begun.store(0, Ordering::Relaxed);
        self.line.committed.store(0, Ordering::Relaxed);
    }

    /// Declares an unfinished write in place finished: the bytes stay as they are. For the holder
    /// of the lock.
    pub(crate) fn heal(&self) {
        let begun = self.line.begun.load(Ordering::Relaxed);
        // Release: a reader that sees the number sees the bytes that the holder sees.
        self.line.committed.store(begun, Ordering::Release);
    }

    /// One optimistic attempt: `copy` is given the commit and copies its slot racily; its result counts
    /// only if this returns it.
    #[inline]
    pub(crate) fn snapshot<R>(&self, copy: impl FnOnce(u64) -> R) -> Option<R> {
        let commit = self.line.committed.load(Ordering::Acquire);
        let result = copy(commit);
        // Pairs with the release fence in `begin`.
        fence(Ordering::Acquire);
        let begun = self.line.begun.load(Ordering::Relaxed);
        (begun.wrapping_sub(commit) < u64::from(self.slots)).then_some(result)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
