//! The readers' and the writers' side step by step, in one thread. Their races and deaths are the models'.

use super::*;
use crate::error::Cause;
use crate::protocol::participants::{Id, Standing};
use crate::protocol::scripted::{Scripted, Step};

fn writer() -> u32 {
    Id::new(1, 4).0
}

fn now(word: &AtomicU32) -> u32 {
    word.load(Ordering::Relaxed)
}

fn readers(line: &ParticipantLine) -> u32 {
    ParticipantLine::readers(line.load())
}

/// A line that counts so many.
fn counting(readers: u32) -> ParticipantLine {
    let line = ParticipantLine::new();
    line.raise_generation();
    line.word().fetch_add(readers, Ordering::Relaxed);
    line
}

#[test]
fn a_reader_is_in_where_no_writer_is_and_the_line_has_room() {
    let line = counting(0);
    assert_eq!(enter(&AtomicU32::new(0), &line), Entry::Inside);
    assert_eq!(enter(&AtomicU32::new(writer()), &line), Entry::Barred);
    assert_eq!(readers(&line), 2);
    let line = counting(READERS_CEILING - 1);
    assert_eq!(enter(&AtomicU32::new(0), &line), Entry::Inside);
    assert_eq!(enter(&AtomicU32::new(0), &line), Entry::Crowded);
}

#[test]
fn a_reader_that_goes_wakes_a_writer_that_came() {
    let line = counting(2);
    assert!(!retreat(&AtomicU32::new(0), &line));
    assert_eq!(readers(&line), 1);
    assert!(retreat(&AtomicU32::new(writer()), &line));
    assert_eq!(readers(&line), 0);
}

#[test]
fn a_reader_that_finds_no_writer_does_not_queue() {
    let (word, queue, line) = (AtomicU32::new(0), AtomicU32::new(TURN | 1), counting(0));
    let mut world = Scripted::new(Standing::Alive, |_| {});
    assert!(enter_slow(&word, &queue, &line, &mut world).unwrap());
    assert_eq!(
        (readers(&line), now(&queue), world.steps()),
        (1, TURN | 1, vec![])
    );
}

#[test]
fn a_reader_queues_while_it_sleeps_and_the_last_of_a_turn_says_so() {
    // Whether it is the readers' turn when it leaves the queue, and who else is in it.
    for (others, left) in [(0, 0), (1, TURN | 1)] {
        let word = AtomicU32::new(writer());
        let (queue, line) = (AtomicU32::new(others), counting(0));
        let mut world = Scripted::new(Standing::Alive, |step| {
            if matches!(step, Step::Sleep(_)) {
                assert_eq!(now(&queue), others + 1, "counted once");
                assert_eq!(readers(&line), 0);
                queue.fetch_or(TURN, Ordering::Relaxed);
                word.store(0, Ordering::Relaxed);
            }
        });
        world.spins = 1;
        assert!(enter_slow(&word, &queue, &line, &mut world).unwrap());
        assert_eq!((readers(&line), now(&queue)), (1, left));
        let mut expected = vec![
            Step::Spin,
            Step::Standing(Id(writer())),
            Step::MaySleep,
            Step::Sleep(writer() | owner_word::WAITERS),
        ];
        if others == 0 {
            expected.push(Step::Wake(0));
        }
        assert_eq!(world.steps(), expected);
    }
}

#[test]
fn a_reader_that_sleeps_twice_is_counted_once() {
    for mark in [0, owner_word::WAITERS] {
        let word = AtomicU32::new(writer() | mark);
        let (queue, line) = (AtomicU32::new(0), counting(0));
        let mut world = Scripted::new(Standing::Alive, |step| {
            if matches!(step, Step::Sleep(_)) {
                assert_eq!(now(&queue), 1);
            }
        });
        let ended = enter_slow(&word, &queue, &line, &mut world);
        assert!(matches!(ended, Err(Cause::Timeout(_))));
        assert_eq!((readers(&line), now(&queue)), (0, 0));
        let sleeps = [Step::Sleep(writer() | owner_word::WAITERS); 3];
        let steps = world.steps().into_iter();
        let slept: Vec<Step> = steps
            .filter(|step| matches!(step, Step::Sleep(_)))
            .collect();
        assert_eq!(slept, sleeps);
    }
}

#[test]
fn a_reader_whose_line_is_crowded_is_not_in_and_disturbs_nobody() {
    let word = AtomicU32::new(0);
    let (queue, line) = (AtomicU32::new(0), counting(READERS_CEILING));
    // A crowded line: the reader is not in, and off its line again.
    let mut world = Scripted::new(Standing::Alive, |_| {});
    assert!(!enter_slow(&word, &queue, &line, &mut world).unwrap());
    assert_eq!((readers(&line), world.steps()), (READERS_CEILING, vec![]));
}

#[test]
fn a_word_at_rest_is_free_for_readers_and_stays_at_rest() {
    let word = AtomicU32::new(owner_word::RESTING);
    let (queue, line) = (AtomicU32::new(0), counting(0));
    assert_eq!(enter(&word, &line), Entry::Inside);
    let mut world = Scripted::new(Standing::Alive, |_| {});
    assert!(enter_slow(&word, &queue, &line, &mut world).unwrap());
    assert!(!retreat(&word, &line), "there is no writer to wake");
    assert_eq!((readers(&line), world.steps()), (1, vec![]));
    assert_eq!(now(&word), owner_word::RESTING);
}

#[test]
fn a_dead_writer_is_passed_by_a_reader() {
    let word = AtomicU32::new(writer());
    let (queue, line) = (AtomicU32::new(0), counting(0));
    let mut world = Scripted::new(Standing::Dead, |_| {});
    assert!(enter_slow(&word, &queue, &line, &mut world).unwrap());
    assert_eq!(
        (now(&word), readers(&line), now(&queue)),
        (owner_word::RESTING, 1, 0)
    );
    assert!(world.steps().contains(&Step::Passed(Id(writer()))));
}

#[test]
fn who_leaves_the_queue_last_ends_the_turn() {
    for (before, after, is_last) in [
        (0, 0, false),
        (TURN, TURN, false),
        (1, 0, false),
        (TURN | 1, 0, true),
        (2, 1, false),
        (TURN | 2, TURN | 1, false),
        (TURN | 5, TURN | 4, false),
    ] {
        let queue = AtomicU32::new(before);
        assert_eq!(leave_queue(&queue), is_last, "{before:x}");
        assert_eq!(now(&queue), after, "{before:x}");
    }
}

/// Slots below this one are in use.
fn in_use(end: u32) -> SlotsInUse {
    let in_use = SlotsInUse::new();
    if let Some(last) = end.checked_sub(1) {
        in_use.raise(last);
    }
    in_use
}

#[test]
fn only_where_there_are_many_lines_it_is_asked_which_are_in_use() {
    let lines: Vec<_> = (0..17).map(|_| counting(0)).collect();
    for (end, expected) in [(16, false), (17, true)] {
        let mut is_asked = false;
        let line = |slot: u32| &lines[slot as usize];
        assert_eq!(
            reading_slots(&in_use(end), 17, line, || is_asked = true).count(),
            0
        );
        assert_eq!(is_asked, expected);
    }
}

#[test]
fn a_writer_waits_for_the_lines_that_count_and_are_in_use() {
    let lines = [0, 1, 0, 2, 1].map(counting);
    for (high, limit, expected) in [
        (0, 5, vec![]),
        (2, 5, vec![1]),
        (4, 5, vec![1, 3]),
        (5, 5, vec![1, 3, 4]),
        (5, 4, vec![1, 3]),
        // Whatever a peer has scribbled there.
        (0xffff, 5, vec![1, 3, 4]),
    ] {
        let in_use = in_use(high);
        let nobody_asks = || panic!("these are few");
        let reading = reading_slots(&in_use, limit, |slot| &lines[slot as usize], nobody_asks);
        assert_eq!(reading.collect::<Vec<_>>(), expected);
    }
    // A line is looked at when its turn has come: one that is empty by then is not waited for.
    let in_use = in_use(5);
    let mut reading = reading_slots(&in_use, 5, |slot| &lines[slot as usize], || ());
    assert_eq!(reading.next(), Some(1));
    while ParticipantLine::readers(lines[3].load()) != 0 {
        lines[3].remove_reader();
    }
    assert_eq!(reading.collect::<Vec<_>>(), [4]);
}

#[test]
fn a_writer_sleeps_on_a_line_until_it_counts_nobody() {
    let line = counting(2);
    let mut world = Scripted::new(Standing::Alive, |step| {
        if matches!(step, Step::Sleep(_)) {
            line.remove_reader();
        }
    });
    world.spins = 1;
    let seen = line.load();
    outwait(3, &line, &mut world).unwrap();
    let expected = [
        Step::Spin,
        Step::IsLit(3),
        Step::Sleep(seen),
        Step::IsLit(3),
        Step::Sleep(seen - 1),
    ];
    assert_eq!(world.steps(), expected);
    outwait(3, &line, &mut world).unwrap();
    assert_eq!(world.steps(), []);
    let line = counting(1);
    world.naps = 0;
    assert!(outwait(3, &line, &mut world).is_err());
    assert_eq!(readers(&line), 1);
}

#[test]
fn a_writer_forgets_the_readers_of_the_dead() {
    let line = counting(2);
    let mut world = Scripted::new(Standing::Dead, |_| {});
    outwait(3, &line, &mut world).unwrap();
    assert_eq!((readers(&line), line.generation()), (0, 1));
    assert_eq!(world.steps(), [Step::IsLit(3), Step::LookAgain]);
}
