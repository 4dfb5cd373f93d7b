//! The waiters' and the writers' side, step by step in one thread. Their races are the models'.

use super::*;
use crate::protocol::commit::{CommitLine, RangeLine};

fn line(signal: u32) -> SignalLine {
    let line = SignalLine::new();
    line.signal.store(signal, Ordering::Relaxed);
    line
}

fn word(line: &SignalLine) -> u32 {
    line.signal.load(Ordering::Relaxed)
}

#[test]
fn a_request_stands_until_it_is_taken_back() {
    let line = line(0);
    assert!(!line.is_asked());
    let quick = line.ask(Duration::ZERO);
    assert!(line.is_asked());
    let slow = line.ask(Duration::from_nanos(2_500));
    line.ask(Duration::ZERO);
    assert_eq!(line.asked(), Duration::from_micros(3), "the slowest");
    assert!(!line.withdraw(quick), "nobody sleeps");
    assert!(line.is_asked(), "a slower reader still asks");
    assert!(!line.withdraw(slow), "nobody sleeps");
    assert!(!line.is_asked());
    let long = line.ask(Duration::MAX);
    assert_eq!(line.asked(), Duration::from_micros(long.into()));
    line.forget_requests();
    assert!(!line.is_asked());
}

#[test]
fn a_pause_ends_with_the_request_or_its_time() {
    // Nobody asks: no pause.
    let line = line(0);
    pause(&line, || false, |_, _| panic!("sleeps"));
    // The reader gets through while the publisher sleeps, and is to wake it.
    let request = line.ask(Duration::ZERO);
    let mut sleeps = 0;
    pause(
        &line,
        || false,
        |word, expected| {
            sleeps += 1;
            assert_eq!(word.load(Ordering::Relaxed), expected);
            assert!(line.withdraw(request), "the publisher sleeps");
        },
    );
    assert_eq!((sleeps, line.is_asked()), (1, false));
    // The reader is stopped: the time runs out, and the request is forgotten.
    line.ask(Duration::ZERO);
    let mut looks = 0;
    let is_over = || {
        looks += 1;
        looks == 3
    };
    pause(&line, is_over, |_, _| sleeps += 1);
    assert_eq!((sleeps, line.is_asked()), (3, false));
}

#[test]
fn a_waiter_sleeps_on_the_word_that_says_it_waits() {
    for signal in [0, WAITING, 6, 7, u32::MAX] {
        let line = line(signal);
        let (mut looks, mut sleeps) = (0, 0);
        let found = wait(
            &line,
            || {
                looks += 1;
                (looks == 3).then_some(looks)
            },
            |word, expected| {
                sleeps += 1;
                assert_eq!(expected, signal | WAITING);
                assert_eq!(word.load(Ordering::Relaxed), expected);
            },
        );
        assert_eq!((found, sleeps), (3, 2));
    }
}

#[test]
fn an_announcement_changes_the_word_once_for_all_who_wait() {
    for sequence in [0, STEP, 5 * STEP, !WAITING] {
        let line = line(sequence);
        assert!(!is_awaited(&line));
        assert!(!is_awaited_after_store(&line));
        // Nobody waits: nobody is to be woken.
        assert!(!announce(&line));
        assert_eq!(word(&line), sequence);

        line.signal.fetch_or(WAITING, Ordering::Relaxed);
        assert!(is_awaited(&line));
        assert!(is_awaited_after_store(&line));
        assert!(announce(&line));
        assert_eq!(word(&line), sequence.wrapping_add(STEP));
    }
}

#[test]
fn publish_commits_begins_the_next_and_tells_of_waiters_and_requests() {
    let (commits, ranges) = (CommitLine::new(), RangeLine::new());
    let ledger = Ledger {
        line: &commits,
        ranges: &ranges,
        slots: 2,
    };
    ledger.initialise();
    for (signal, is_asked, is_wanted) in [
        (0, false, false),
        (WAITING, false, true),
        (0, true, true),
        (WAITING, true, true),
    ] {
        let line = line(signal);
        if is_asked {
            line.ask(Duration::ZERO);
        }
        let before = ledger.begin();
        let (next, answer) = publish(ledger, &line, before.commit, LineRange::WHOLE);
        assert_eq!(answer, is_wanted);
        assert_eq!(ledger.committed(), before.commit);
        assert_eq!((next.commit, next.is_clean), (before.commit + 1, true));
        assert_eq!(ledger.begun(), next.commit);
    }
}
