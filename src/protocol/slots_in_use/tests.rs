use super::*;

#[test]
fn the_mark_is_above_every_slot_that_was_raised() {
    let in_use = SlotsInUse::new();
    assert_eq!(in_use.count(), 0);
    for (slot, count) in [(3, 4), (0, 4), (4095, 4096)] {
        in_use.raise(slot);
        assert_eq!(in_use.count(), count);
    }
}

#[test]
fn it_is_lowered_unless_it_has_changed_since_the_look() {
    let in_use = SlotsInUse::new();
    in_use.raise(99);
    let seen = in_use.look();
    in_use.lower(seen, 5);
    assert_eq!(in_use.count(), 5);
    // The look before is of another mark, although one of the same height.
    in_use.raise(99);
    in_use.lower(seen, 5);
    assert_eq!(in_use.count(), 100);
    // Who joined below the mark has changed it too.
    let seen = in_use.look();
    in_use.raise(50);
    in_use.lower(seen, 5);
    assert_eq!(in_use.count(), 100);
    // Lowering does not raise.
    in_use.lower(in_use.look(), 200);
    assert_eq!(in_use.count(), 100);
}

#[test]
fn the_number_of_changes_comes_round_without_touching_the_mark() {
    let in_use = SlotsInUse(AtomicU64::new(u64::MAX << MARK_BITS | 7));
    in_use.raise(2);
    assert_eq!(in_use.0.load(Ordering::Relaxed), 7);
    // Whatever a peer has stored there.
    let in_use = SlotsInUse(AtomicU64::new(u64::MAX));
    assert_eq!(in_use.count(), 0xffff);
    in_use.raise(2);
    assert_eq!(in_use.count(), 0xffff);
    in_use.lower(in_use.look(), 3);
    assert_eq!(in_use.count(), 3);
}
