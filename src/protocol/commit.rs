//! The commit protocol: `begun`, `committed`, and which slot is whose.
//!
//! A commit `c` lives in slot `c % n`. Under the lock's write access, with `c = committed`:
//!
//! 1. `begun = c + 1`, then a release fence ([`Ledger::begin_with`]);
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
//! spoilt slot pass its check. `src/protocol/models/commit.rs`, with `.ci/xtask models`, finds each of
//! the two fences and this rule indispensable.
//!
//! **Partial writes.** Each commit records which 64-byte lines it changed. Slot `(c + 1) % n` holds
//! commit `c + 1 - n`, so it is brought up to date by copying the union of the ranges of the `n - 1`
//! commits that it missed, from slot `c % n`: but only if `begun == committed` on entry, for
//! otherwise a writer has half written the slot, and all of it is copied.
//!
//! **The writers' own note.** Polling readers keep the commit line in their caches, so a writer does not load it:
//! after a commit its number is noted on the line of the ranges ([`Ledger::commit`]),
//! which only writers touch, and the note is taken back before the next one writes into its slot. Where
//! there is none, a writer died, gave up or went on holding the lock, and the counters say what happened.
//!
//! **More than the last commit.** Commit `k` stays in slot `k % n` until the writer of commit `k + n` begins. So the last
//! `n - 1` commits can be read as the last one can, by the same look at `begun`: [`crate::protocol::follow`].
//!
//! All counters wrap, and whatever a hostile peer stores in them, a slot index is below `n`.

use crate::protocol::atomics::{fence, AtomicU64, Ordering};

/// The counters, on a cache line of their own, or with both slots, where these fit behind them.
#[repr(C, align(64))]
pub(crate) struct CommitLine {
    pub(crate) begun: AtomicU64,
    pub(crate) committed: AtomicU64,
    /// Named, so that a reference to the line claims nothing of bytes that others store to.
    _slots: [AtomicU64; 6],
}

/// What writers know, and no reader touches.
#[repr(C, align(64))]
pub(crate) struct RangeLine {
    /// The last commit, if it is finished and no other has begun; else [`UNKNOWN`].
    last: AtomicU64,
    /// For each of the last seven commits, the lines of the payload that it changed.
    ranges: [AtomicU64; RANGES],
}

/// Of so many of the last commits the ranges are recorded. A slot misses one commit less than there are slots; with more
/// slots than these records and one, a partial write brings all of its slot up to date.
const RANGES: usize = 7;

/// What a new segment's note says; a commit of this number is not noted.
const UNKNOWN: u64 = 0;

#[cfg(any(loom, test))]
impl CommitLine {
    pub(crate) fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            _slots: std::array::from_fn(|_| AtomicU64::new(0)),
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
pub(crate) struct LineRange {
    pub(crate) first: u32,
    pub(crate) end: u32,
}

impl LineRange {
    pub(crate) const NONE: Self = Self {
        first: u32::MAX,
        end: 0,
    };
    /// Everything, also where the payload has more lines than 32 bits count.
    pub(crate) const WHOLE: Self = Self {
        first: 0,
        end: u32::MAX,
    };

    /// Returns the lines that hold `length` bytes from `offset`.
    pub(crate) fn covering(offset: usize, length: usize) -> Self {
        if length == 0 {
            return Self::NONE;
        }
        let first = offset / crate::protocol::format::LINE;
        let last = (offset + length - 1) / crate::protocol::format::LINE;
        match (u32::try_from(first), u32::try_from(last)) {
            (Ok(first), Ok(last)) if last < u32::MAX => Self {
                first,
                end: last + 1,
            },
            _ => Self::WHOLE,
        }
    }

    /// Returns the smallest range that holds both.
    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            end: self.end.max(other.end),
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.end <= self.first
    }

    /// Returns the range in bytes, within a payload of `size` bytes.
    #[inline]
    pub(crate) fn bytes(self, size: usize) -> std::ops::Range<usize> {
        if self.is_empty() {
            return 0..0;
        }
        if self.end == u32::MAX {
            return 0..size;
        }
        let line = crate::protocol::format::LINE;
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
    /// How many slots, 1 to 65,536.
    pub(crate) slots: u32,
}

/// Returns which of so many slots holds this commit. Below `slots` whatever the commit.
#[inline]
pub(crate) fn slot_of(commit: u64, slots: u32) -> usize {
    let slots = u64::from(slots);
    // No division where the count is a power of two. (A multiplication by a stored reciprocal in place of the division
    // takes four instructions more of a publisher in the default layout, who needs neither: measured.)
    if slots.is_power_of_two() {
        return (commit & (slots - 1)) as usize;
    }
    (commit % slots) as usize
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
    /// Returns what is to be written next, by the counters alone.
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
    /// [`slot_of`] this segment.
    #[cfg(any(loom, test))]
    pub(crate) fn slot(&self, commit: u64) -> usize {
        slot_of(commit, self.slots)
    }

    /// Returns the last commit. Acquire: a process that sees it sees what its writer stored before, elsewhere too.
    #[inline]
    pub(crate) fn committed(&self) -> u64 {
        self.line.committed.load(Ordering::Acquire)
    }

    /// Returns the commit that was begun last: the committed one, or the one being written.
    #[cfg(not(loom))]
    pub(crate) fn begun(&self) -> u64 {
        self.line.begun.load(Ordering::Relaxed)
    }

    /// Returns whether a write in place was begun and not finished. For the holder of the lock.
    #[inline]
    pub(crate) fn is_unfinished(&self) -> bool {
        let committed = self.line.committed.load(Ordering::Relaxed);
        self.line.begun.load(Ordering::Relaxed) != committed
    }

    /// [`Ledger::begin_with`], of the next write.
    #[cfg(any(loom, test))]
    pub(crate) fn begin(&self) -> Begun {
        self.begin_with(self.next())
    }

    /// Returns which write is to begin next, under the lock's write access. Stores nothing.
    #[inline]
    pub(crate) fn next(&self) -> Begun {
        // Relaxed: the lock's acquire made the former holder's stores visible.
        let last = self.ranges.last.load(Ordering::Relaxed);
        if last == UNKNOWN {
            return self.line.next();
        }
        Begun {
            commit: last.wrapping_add(1),
            is_clean: true,
        }
    }

    /// Returns the last commit as its writer noted it; 0 where there is no note. For a caller that does not have the
    /// lock it may be older.
    #[cfg(feature = "capi")]
    #[inline]
    pub(crate) fn noted(&self) -> u64 {
        self.ranges.last.load(Ordering::Relaxed)
    }

    /// Step 1, under the lock's write access, of the write that [`Ledger::next`] returned.
    #[inline]
    pub(crate) fn begin_with(&self, next: Begun) -> Begun {
        self.ranges.last.store(UNKNOWN, Ordering::Relaxed);
        self.line.begun.store(next.commit, Ordering::Relaxed);
        // Pairs with the acquire fence in `snapshot`: a reader that sees a store that we make into the
        // slot from here on also sees `begun`. And a writer that comes after our death finds no note.
        fence(Ordering::Release);
        next
    }

    /// Returns what slot `begun.commit % n` has missed since it was last written.
    #[inline]
    pub(crate) fn missed(&self, begun: Begun) -> LineRange {
        if self.slots == 2 && begun.is_clean {
            return self.changed_by(begun.commit.wrapping_sub(1));
        }
        self.missed_of_many(begun)
    }

    fn missed_of_many(&self, begun: Begun) -> LineRange {
        if self.slots == 1 {
            return LineRange::NONE;
        }
        if !begun.is_clean || self.slots as usize > RANGES + 1 {
            return LineRange::WHOLE;
        }
        (1..u64::from(self.slots))
            .map(|back| begun.commit.wrapping_sub(back))
            .map(|commit| self.changed_by(commit))
            .fold(LineRange::NONE, LineRange::union)
    }

    #[inline]
    fn changed_by(&self, commit: u64) -> LineRange {
        LineRange::unpack(self.range(commit).load(Ordering::Relaxed))
    }

    #[inline]
    fn range(&self, commit: u64) -> &AtomicU64 {
        // For the layout in common use without a multiplication, and so for the one in place, whose ranges no process
        // reads.
        let place = match self.slots {
            0..=2 => commit & 1,
            slots => Self::place_of_many(slots, commit),
        };
        &self.ranges.ranges[place as usize]
    }

    /// Where the counter wraps, after 2^64 commits, the places jump. With more slots than there are records no process
    /// reads them.
    #[cold]
    fn place_of_many(slots: u32, commit: u64) -> u64 {
        match slots as usize > RANGES + 1 {
            true => commit & 1,
            false => commit % RANGES as u64,
        }
    }

    /// Step 3, by a writer who lets the lock go now.
    #[inline]
    pub(crate) fn commit(&self, commit: u64, changed: LineRange) {
        self.announce(commit, changed);
        // Release: a writer that dies between the two has made the commit, and no note of it.
        self.ranges.last.store(commit, Ordering::Release);
    }

    /// Step 3, and step 1 of the next commit, by a writer that goes on holding the lock: no other process has changed
    /// the counters, so they need not be read, nor noted. `between` runs when the commit is there to be seen.
    #[inline]
    pub(crate) fn publish<R>(
        &self,
        commit: u64,
        changed: LineRange,
        between: impl FnOnce() -> R,
    ) -> (Begun, R) {
        self.announce(commit, changed);
        let result = between();
        let next = Begun {
            commit: commit.wrapping_add(1),
            is_clean: true,
        };
        self.line.begun.store(next.commit, Ordering::Relaxed);
        // As in `begin_with`.
        fence(Ordering::Release);
        (next, result)
    }

    #[inline]
    fn announce(&self, commit: u64, changed: LineRange) {
        self.range(commit).store(changed.pack(), Ordering::Relaxed);
        // Release: a reader that sees the number sees the slot; the next writer sees the range.
        self.line.committed.store(commit, Ordering::Release);
    }

    /// The state of a new segment: commit 0, of which every slot but the first has missed all. Nobody
    /// looks before the segment's state is ready, and that is a release.
    pub(crate) fn initialise(&self) {
        for range in &self.ranges.ranges {
            range.store(LineRange::WHOLE.pack(), Ordering::Relaxed);
        }
        self.ranges.last.store(UNKNOWN, Ordering::Relaxed);
        self.line.begun.store(0, Ordering::Relaxed);
        self.line.committed.store(0, Ordering::Relaxed);
    }

    /// Declares an unfinished write in place finished: the bytes stay as they are. For the holder
    /// of the lock.
    pub(crate) fn mark_finished(&self) {
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
        self.still_holds(commit).then_some(result)
    }

    /// Returns whether what was copied from the slots of this commit and of later ones is whole. Each of them was seen
    /// as committed, by an acquire load, before it was copied.
    #[inline]
    pub(crate) fn still_holds(&self, commit: u64) -> bool {
        // Pairs with the release fence in `begin_with`.
        fence(Ordering::Acquire);
        let begun = self.line.begun.load(Ordering::Relaxed);
        begun.wrapping_sub(commit) < u64::from(self.slots)
    }

    /// Returns how many commits before this one, which was seen as committed, are whole now, as far as a look at `begun`
    /// tells. It says where to look, and no more: [`Ledger::still_holds`] says what a copy is worth.
    pub(crate) fn kept_before(&self, committed: u64) -> u64 {
        // The writer of the next commit, at work or dead, has begun to overwrite one slot.
        let is_next_begun = self.line.begun.load(Ordering::Relaxed) != committed;
        u64::from(self.slots - 1).saturating_sub(is_next_begun.into())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
