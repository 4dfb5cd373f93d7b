use super::*;
use crate::protocol::commit::{CommitLine, LineRange, RangeLine};

struct Board {
    commits: CommitLine,
    ranges: RangeLine,
    signal: SignalLine,
    lines: [ParticipantLine; 3],
}

impl Board {
    fn new(commits: u64) -> Self {
        let board = Self {
            commits: CommitLine::new(),
            ranges: RangeLine::new(),
            signal: SignalLine::new(),
            lines: std::array::from_fn(|_| ParticipantLine::new()),
        };
        board.ledger().initialise();
        for _ in 0..commits {
            let begun = board.ledger().begin();
            board.ledger().commit(begun.commit, LineRange::WHOLE);
        }
        board
    }

    fn ledger(&self) -> Ledger<'_> {
        Ledger {
            line: &self.commits,
            ranges: &self.ranges,
            slots: 4,
        }
    }

    fn register(&self, slot: usize, position: u64) -> Option<u64> {
        let line = &self.lines[slot];
        register(line, self.ledger(), line.generation(), position)
    }

    /// The last commit with room, where these slots are dead; and which were asked for.
    fn last(&self, dead: &[u32]) -> (u64, Vec<u32>) {
        let mut asked = Vec::new();
        let last = last_with_room(
            self.ledger(),
            || (0..).zip(&self.lines),
            |slot| {
                asked.push(slot);
                dead.contains(&slot)
            },
        );
        (last, asked)
    }
}

#[test]
fn the_slowest_follower_that_lives_bounds_the_writers() {
    let board = Board::new(10);
    assert_eq!(board.last(&[]), (14, vec![]));
    assert_eq!(board.register(0, 10), Some(10));
    assert_eq!(board.register(1, 8), Some(10));
    assert_eq!(board.register(1, 10), None, "it follows already");
    assert_eq!(board.last(&[]), (12, vec![]));
    assert_eq!(board.register(2, 6), Some(10));
    // Only the one in the way is asked for.
    assert_eq!(board.last(&[0, 1]), (10, vec![2]));
    assert_eq!(board.last(&[2]), (12, vec![2]));
    assert!(
        !is_registered(&board.lines[2], 0),
        "the dead one is forgotten"
    );
    assert_eq!(board.last(&[]), (12, vec![]));
    assert!(!acknowledge(&board.lines[1], &board.signal, 10));
    assert_eq!(board.last(&[]), (14, vec![]));
    assert!(!deregister(&board.lines[0], &board.signal));
    assert_eq!(board.register(0, 7), Some(10), "it may follow again");
    assert_eq!(board.last(&[]), (11, vec![]));
}

#[test]
fn what_a_former_tenant_left_says_nothing() {
    let board = Board::new(10);
    board.register(0, 1).unwrap();
    assert_eq!(board.last(&[]), (10, vec![0]));
    board.lines[0].raise_generation();
    assert_eq!(board.last(&[]), (14, vec![]));
    assert_eq!(board.register(0, 9), Some(10));
    assert_eq!(board.last(&[]), (13, vec![]));
}

#[test]
fn a_hostile_cursor_is_ahead_or_in_the_way_and_nothing_else() {
    let board = Board::new(10);
    board.register(0, 10).unwrap();
    for (cursor, last) in [
        (11, 14),
        (10_u64.wrapping_add(u64::MAX / 2), 14),
        (9, 13),
        (6, 10),
        (5, 10),
        (0, 10),
        (u64::MAX, 10),
        (10_u64.wrapping_sub(u64::MAX / 2), 10),
    ] {
        board.lines[0].cursor.store(cursor, Ordering::Relaxed);
        assert_eq!(board.last(&[]).0, last, "{cursor}");
    }
}

#[test]
fn a_writer_that_waits_is_told_of() {
    let board = Board::new(10);
    board.register(0, 6).unwrap();
    let mut sleeps = 0;
    let found = wait(
        &board.signal,
        || Some(board.last(&[]).0).filter(|&last| last > 10),
        |_, _| {
            sleeps += 1;
            assert!(acknowledge(&board.lines[0], &board.signal, 7));
            assert!(announce(&board.signal));
            assert!(!announce(&board.signal), "once");
        },
    );
    assert_eq!((found, sleeps), (11, 1));
}
