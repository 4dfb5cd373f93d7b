use super::*;

fn lines() -> (CommitLine, RangeLine) {
    (CommitLine::new(), RangeLine::new())
}

fn ledger_of((line, ranges): &(CommitLine, RangeLine), slots: u32) -> Ledger<'_> {
    Ledger {
        line,
        ranges,
        slots,
    }
}

#[test]
fn missed_is_the_union_of_what_the_slot_did_not_see() {
    for slots in 2..=8 {
        let lines = lines();
        let ledger = ledger_of(&lines, slots);
        ledger.initialise();
        for round in 0..40_u64 {
            let begun = ledger.begin();
            assert!(begun.is_clean);
            assert_eq!(begun.commit, round + 1);
            let missed = ledger.missed(begun);
            if round + 1 < u64::from(slots) {
                assert_eq!(missed, LineRange::WHOLE, "the first commit is whole");
            } else {
                let first = (round + 2 - u64::from(slots)) as u32;
                assert_eq!(
                    missed,
                    LineRange {
                        first,
                        end: round as u32 + 1
                    }
                );
            }
            let here = round as u32 + 1;
            ledger.commit(
                begun.commit,
                LineRange {
                    first: here,
                    end: here + 1,
                },
            );
        }
        ledger.begin();
        let begun = ledger.begin();
        assert!(!begun.is_clean);
        assert_eq!(ledger.missed(begun), LineRange::WHOLE);
    }
}

#[test]
fn with_more_slots_than_records_everything_is_missed() {
    let lines = lines();
    for slots in [9, 10, 1_000, 65_536] {
        let ledger = ledger_of(&lines, slots);
        ledger.initialise();
        for _ in 0..20 {
            let begun = ledger.begin();
            assert!(begun.is_clean);
            assert_eq!(ledger.missed(begun), LineRange::WHOLE);
            ledger.commit(begun.commit, LineRange::covering(0, 1));
        }
    }
}

#[test]
fn slots_stay_in_range_for_any_counter() {
    for slots in [1, 2, 3, 4, 5, 6, 7, 8, 9, 1_000, 65_535, 65_536] {
        let lines = lines();
        let ledger = ledger_of(&lines, slots);
        for commit in [0, 1, u64::MAX - 1, u64::MAX, 1 << 63] {
            assert!(ledger.slot(commit) < slots as usize);
            lines.0.committed.store(commit, Ordering::Relaxed);
            lines.0.begun.store(!commit, Ordering::Relaxed);
            let _ = ledger.snapshot(|commit| assert!(ledger.slot(commit) < slots as usize));
        }
    }
}

#[test]
fn lines_cover_bytes_and_never_leave_the_payload() {
    assert_eq!(LineRange::covering(63, 2), LineRange { first: 0, end: 2 });
    assert_eq!(LineRange::covering(64, 64), LineRange { first: 1, end: 2 });
    assert!(LineRange::covering(5, 0).is_empty());
    // The line after the last that 32 bits can count.
    #[cfg(target_pointer_width = "64")]
    assert_eq!(
        LineRange::covering((u32::MAX as usize) << 6, 1),
        LineRange::WHOLE
    );
    assert_eq!(LineRange::covering(100, 1).bytes(120), 64..120);
    assert_eq!(LineRange::WHOLE.bytes(7), 0..7);
    assert_eq!(LineRange::NONE.bytes(7), 0..0);
    for packed in [
        0,
        u64::MAX,
        0xFFFF_FFFF,
        0xFFFF_FFFF_0000_0000,
        0x1_0000_0009,
    ] {
        let range = LineRange::unpack(packed).bytes(100);
        assert!(range.start <= range.end && range.end <= 100);
    }
}

#[test]
fn a_commit_is_in_its_number_modulo_the_slots() {
    let lines = lines();
    let mut seed = 1_u64;
    for slots in (1..=1_000_u32).chain(65_000..=65_536) {
        let ledger = ledger_of(&lines, slots);
        let n = u64::from(slots);
        // Where the quotient changes, at both ends of the counter, and anywhere.
        let near = [n, n * (u64::MAX / n), n * (u64::MAX / n / 2)];
        let near = near.map(|multiple| [multiple - 1, multiple, multiple.wrapping_add(1)]);
        let any = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed
        });
        let ends = [u64::MAX - 1, u64::MAX];
        let all = (0..30).chain(near.into_iter().flatten()).chain(ends);
        for commit in all.chain(any.take(20)) {
            assert_eq!(ledger.slot(commit) as u64, commit % n, "{commit} % {n}");
        }
    }
}

#[test]
fn a_snapshot_counts_until_its_slot_is_begun_again() {
    for slots in 1..=8_u32 {
        let lines = lines();
        let ledger = ledger_of(&lines, slots);
        lines.0.committed.store(40, Ordering::Relaxed);
        for ahead in 0..20 {
            lines.0.begun.store(40 + ahead, Ordering::Relaxed);
            let seen = ledger.snapshot(|commit| commit);
            let is_whole = ahead < u64::from(slots);
            assert_eq!(seen, is_whole.then_some(40), "{slots} slots, {ahead} ahead");
        }
        // Nor where a process has lowered it.
        lines.0.begun.store(39, Ordering::Relaxed);
        assert_eq!(ledger.snapshot(|commit| commit), None);
    }
}

#[test]
fn a_write_is_unfinished_from_its_beginning_until_committed_or_healed() {
    let lines = lines();
    let ledger = ledger_of(&lines, 1);
    ledger.initialise();
    let state = || (ledger.begun(), ledger.committed(), ledger.is_unfinished());
    assert_eq!(state(), (0, 0, false));
    let begun = ledger.begin();
    assert_eq!(state(), (1, 0, true));
    ledger.commit(begun.commit, LineRange::WHOLE);
    assert_eq!(state(), (1, 1, false));
    ledger.begin();
    assert_eq!(state(), (2, 1, true));
    ledger.mark_finished();
    assert_eq!(state(), (2, 2, false));
    // In place there is nothing to bring up to date.
    assert_eq!(ledger.missed(ledger.begin()), LineRange::NONE);
}

#[test]
fn who_publishes_has_begun_the_next_commit() {
    for slots in 2..=8 {
        let lines = lines();
        let ledger = ledger_of(&lines, slots);
        ledger.initialise();
        let mut begun = ledger.begin();
        for number in 1..20_u32 {
            let changed = LineRange {
                first: number,
                end: number + 1,
            };
            let seen_between = || (ledger.committed(), ledger.begun());
            let (next, seen) = ledger.publish(begun.commit, changed, seen_between);
            assert_eq!(seen, (u64::from(number), u64::from(number)));
            assert_eq!((ledger.begun(), next.commit), (seen.0 + 1, seen.0 + 1));
            assert!(next.is_clean);
            if number >= slots {
                let first = number + 2 - slots;
                let end = number + 1;
                assert_eq!(ledger.missed(next), LineRange { first, end });
            }
            begun = next;
        }
    }
}

/// Returns the number of the next commit, and whether all before it was finished.
fn begin(ledger: Ledger<'_>) -> (u64, bool) {
    let begun = ledger.begin();
    (begun.commit, begun.is_clean)
}

#[test]
fn the_note_is_there_only_between_a_commit_and_the_next_beginning() {
    let lines = lines();
    let ledger = ledger_of(&lines, 2);
    ledger.initialise();
    let note = || lines.1.last.load(Ordering::Relaxed);
    assert_eq!((note(), begin(ledger)), (UNKNOWN, (1, true)));
    ledger.commit(1, LineRange::WHOLE);
    assert_eq!((note(), begin(ledger), note()), (1, (2, true), UNKNOWN));
    // A writer that gave up left no note, and what it has begun.
    assert_eq!((begin(ledger), note()), ((2, false), UNKNOWN));
    // Nor does who goes on holding the lock.
    let (next, ()) = ledger.publish(2, LineRange::WHOLE, || ());
    assert_eq!((next.commit, next.is_clean, note()), (3, true, UNKNOWN));
    assert_eq!(begin(ledger), (3, false));
    // The number that means that there is none is not noted: after 2^64 commits it comes again.
    ledger.commit(u64::MAX, LineRange::WHOLE);
    assert_eq!(begin(ledger), (0, true));
    ledger.commit(0, LineRange::WHOLE);
    assert_eq!((note(), begin(ledger)), (UNKNOWN, (1, true)));
}

/// Part of the format, for processes with other builds of it.
#[test]
fn ranges_stand_where_everybody_looks_for_them() {
    assert_eq!((size_of::<RangeLine>(), RANGES), (64, 7));
    let lines = lines();
    for slots in 1..=10 {
        let ledger = ledger_of(&lines, slots);
        for commit in (0..30).chain([u64::MAX]) {
            // In place, and with more than 8, no process looks.
            let is_used = (3..=8).contains(&slots);
            let place = if is_used { commit % 7 } else { commit & 1 };
            let expected = &lines.1.ranges[place as usize];
            assert!(std::ptr::eq(ledger.range(commit), expected));
        }
    }
}
