use super::*;
use crate::error::Cause;

#[test]
fn ids_keep_slot_and_generation_and_are_never_zero() {
    for slot in [0, 1, 127, crate::protocol::format::PARTICIPANT_LIMIT - 1] {
        for generation in [0, 1, GENERATION_MASK] {
            let id = Id::new(slot, generation);
            assert_eq!((id.slot(), id.generation()), (Some(slot), generation));
            assert_ne!(id.0, 0);
            assert_eq!(id.0 & 1, 0);
        }
    }
    assert_eq!(Id(0).slot(), None);
}

#[test]
fn generation_and_reader_count_fill_a_lines_word() {
    assert_eq!(GENERATION_MASK << READERS_BITS | READERS_MASK, u32::MAX);
    assert_eq!(GENERATION_MASK << READERS_BITS & READERS_MASK, 0);
    assert_eq!(GENERATION_MASK.count_ones(), GENERATION_BITS);
    // As many threads again may be one ahead of their check.
    assert_eq!(READERS_CEILING * 2 + 1, READERS_MASK);
}

#[test]
fn a_line_counts_readers_beside_the_generation() {
    let line = ParticipantLine::new();
    assert_eq!(line.raise_generation(), 1);
    assert_eq!([line.add_reader(), line.add_reader()], [0, 1]);
    let word = line.load();
    assert_eq!(
        (line.generation(), ParticipantLine::generation_in(word)),
        (1, 1)
    );
    assert_eq!(ParticipantLine::readers(word), 2);
    assert_eq!(line.word().load(Ordering::Relaxed), word);
    line.remove_reader();
    assert_eq!(
        (ParticipantLine::readers(line.load()), line.generation()),
        (1, 1)
    );

    // Only what was seen is forgotten.
    line.forget_readers(word);
    assert_eq!(ParticipantLine::readers(line.load()), 1);
    line.forget_readers(line.load());
    assert_eq!(
        (ParticipantLine::readers(line.load()), line.generation()),
        (0, 1)
    );

    line.add_reader();
    assert_eq!(line.raise_generation(), 2);
    assert_eq!(
        (ParticipantLine::readers(line.load()), line.generation()),
        (0, 2)
    );
    // After the last generation comes 0 again.
    line.word()
        .store(GENERATION_MASK << READERS_BITS | 5, Ordering::Relaxed);
    assert_eq!(line.raise_generation(), 0);
    assert_eq!(line.load(), 0);
}

#[test]
fn a_tenant_settles_first_and_is_within_the_lines_that_writers_look_at() {
    let (line, in_use) = (ParticipantLine::new(), SlotsInUse::new());
    for (slot, generation, high) in [(3, 1, 4), (0, 2, 4), (7, 3, 8)] {
        let mut is_settled = false;
        let id = move_in(slot, &line, &in_use, || {
            is_settled = true;
            assert_eq!(line.generation(), generation - 1);
        });
        assert!(is_settled);
        assert_eq!(id, Id::new(slot, generation));
        assert_eq!(line.generation(), generation);
        assert_eq!(in_use.count(), high);
    }
}

#[test]
fn a_beacon_that_is_out_is_a_death_only_of_the_same_generation() {
    let line = ParticipantLine::new();
    let now = Id::new(2, line.raise_generation());
    let lit = |is_lit| move || Ok(is_lit);
    assert_eq!(standing(now, &line, lit(true)).unwrap(), Standing::Alive);
    assert_eq!(standing(now, &line, lit(false)).unwrap(), Standing::Dead);
    let before = Id::new(2, 0);
    let nobody_asks = || panic!("the generation tells");
    let found = standing(before, &line, nobody_asks).unwrap();
    assert_eq!(found, Standing::Impossible);
    // What cannot be told is not death.
    let unknown = || Err(Cause::Removed);
    assert!(standing(now, &line, unknown).is_err());
}
