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
//! All counters wrap, and whatever a hostile peer stores in them, a slot index is below `n`.

use crate::primitive::{fence, AtomicU64, Ordering};

/// The counters, on a cache line of their own.
#[repr(C, align(64))]
pub(crate) struct CommitLine {
    pub(crate) begun: AtomicU64,
    pub(crate) committed: AtomicU64,
}

/// For each of the last eight commits, the lines of the payload that it changed. Touched by writers
/// only.
#[repr(C, align(64))]
pub(crate) struct RangeLine {
    ranges: [AtomicU64; 8],
}

#[cfg(loom)]
impl CommitLine {
    pub(crate) fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            committed: AtomicU64::new(0),
        }
    }
}

#[cfg(loom)]
impl RangeLine {
    pub(crate) fn new() -> Self {
        Self {
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

    #[inline]
    pub(crate) fn committed(&self) -> u64 {
        self.line.committed.load(Ordering::Acquire)
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
        let committed = self.line.committed.load(Ordering::Relaxed);
        let begun = self.line.begun.load(Ordering::Relaxed);
        let commit = committed.wrapping_add(1);
        self.line.begun.store(commit, Ordering::Relaxed);
        // Pairs with the acquire fence in `snapshot`: whoever sees a store that we make into the
        // slot from here on also sees `begun`.
        fence(Ordering::Release);
        Begun {
            commit,
            is_clean: begun == committed,
        }
    }

    /// Step 1 of the commit after `last`, by the writer who has just made that one and still holds the
    /// lock: nobody else has changed the counters, so they need not be read.
    #[inline]
    pub(crate) fn begin_next(&self, last: u64) -> Begun {
        let commit = last.wrapping_add(1);
        self.line.begun.store(commit, Ordering::Relaxed);
        // As in `begin`.
        fence(Ordering::Release);
        Begun {
            commit,
            is_clean: true,
        }
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
        &self.ranges.ranges[(commit & 7) as usize]
    }

    /// Step 3.
    #[inline]
    pub(crate) fn commit(&self, commit: u64, changed: Lines) {
        self.range(commit).store(changed.pack(), Ordering::Relaxed);
        // Release: a reader that sees the number sees the slot; the next writer sees the range.
        self.line.committed.store(commit, Ordering::Release);
    }

    /// The state of a new segment: commit 0, of which every slot but the first has missed all.
    pub(crate) fn initialise(&self) {
        for range in &self.ranges.ranges {
            range.store(Lines::WHOLE.pack(), Ordering::Relaxed);
        }
        self.line.begun.store(0, Ordering::Relaxed);
        self.line.committed.store(0, Ordering::Release);
    }

    /// Declares an unfinished write in place finished: the bytes stay as they are. For the holder
    /// of the lock.
    pub(crate) fn heal(&self) {
        let begun = self.line.begun.load(Ordering::Relaxed);
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
mod tests {
    use super::*;

    fn line() -> (CommitLine, RangeLine) {
        let zero = || AtomicU64::new(0);
        (
            CommitLine {
                begun: zero(),
                committed: zero(),
            },
            RangeLine {
                ranges: std::array::from_fn(|_| zero()),
            },
        )
    }

    #[test]
    fn missed_is_the_union_of_what_the_slot_did_not_see() {
        for slots in 2..=8 {
            let (line, ranges) = line();
            let ledger = Ledger {
                line: &line,
                ranges: &ranges,
                slots,
            };
            ledger.initialise();
            for round in 0..40_u64 {
                let begun = ledger.begin();
                assert!(begun.is_clean);
                assert_eq!(begun.commit, round + 1);
                let missed = ledger.missed(begun);
                if round + 1 < u64::from(slots) {
                    assert_eq!(missed, Lines::WHOLE, "the first commit is whole");
                } else {
                    let first = (round + 2 - u64::from(slots)) as u32;
                    assert_eq!(
                        missed,
                        Lines {
                            first,
                            end: round as u32 + 1
                        }
                    );
                }
                let here = round as u32 + 1;
                ledger.commit(
                    begun.commit,
                    Lines {
                        first: here,
                        end: here + 1,
                    },
                );
            }
            ledger.begin();
            let begun = ledger.begin();
            assert!(!begun.is_clean);
            assert_eq!(ledger.missed(begun), Lines::WHOLE);
        }
    }

    #[test]
    fn slots_stay_in_range_for_any_counter() {
        for slots in 1..=8 {
            let (line, ranges) = line();
            let ledger = Ledger {
                line: &line,
                ranges: &ranges,
                slots,
            };
            for commit in [0, 1, u64::MAX - 1, u64::MAX, 1 << 63] {
                assert!(ledger.slot(commit) < slots as usize);
                line.committed.store(commit, Ordering::Relaxed);
                line.begun.store(!commit, Ordering::Relaxed);
                let _ = ledger.snapshot(|commit| assert!(ledger.slot(commit) < slots as usize));
            }
        }
    }

    #[test]
    fn lines_cover_bytes_and_never_leave_the_payload() {
        assert_eq!(Lines::covering(63, 2), Lines { first: 0, end: 2 });
        assert_eq!(Lines::covering(64, 64), Lines { first: 1, end: 2 });
        assert!(Lines::covering(5, 0).is_empty());
        assert_eq!(Lines::covering(100, 1).bytes(120), 64..120);
        assert_eq!(Lines::WHOLE.bytes(7), 0..7);
        assert_eq!(Lines::NONE.bytes(7), 0..0);
        for packed in [
            0,
            u64::MAX,
            0xFFFF_FFFF,
            0xFFFF_FFFF_0000_0000,
            0x1_0000_0009,
        ] {
            let range = Lines::unpack(packed).bytes(100);
            assert!(range.start <= range.end && range.end <= 100);
        }
    }
}
