//! What the state and the signal word say, as a process left them that died between two steps.
//!
//! The words are stored from outside, at the offsets that `src/protocol/format.rs` documents.

use crate::common::{fork, proof, segment_id, Foreign, Kernel};
use neocortex::{CortexError, Segment, SegmentOptions, SeqLock};

const STATE: usize = 12;
const SIGNAL: usize = 640;
const WANT: usize = 644;
const READY: u32 = 1;
const CLOSING: u32 = 2;
const REMOVED: u32 = 3;

/// A segment that stands in the kernel with this state and nobody attached.
fn left_in(kernel: &Kernel, state: u32) -> i32 {
    let key = kernel.key();
    fork(|| {
        let segment: Segment = Segment::create(key, 64).unwrap();
        segment.write_at(0, b"kept").unwrap();
        std::mem::forget(segment);
    })
    .join();
    put(key, STATE, state);
    key
}

fn put(key: i32, offset: usize, word: u32) {
    Foreign::open(key).put(offset, &word.to_ne_bytes());
}

fn word(key: i32, offset: usize) -> u32 {
    let bytes = Foreign::open(key).bytes();
    u32::from_ne_bytes(bytes[offset..offset + 4].try_into().unwrap())
}

#[test]
fn a_replacer_that_died_while_closing_keeps_nobody_out() {
    let kernel = Kernel::new();
    let key = left_in(&kernel, CLOSING);
    let segment: Segment = Segment::attach(key, 64).unwrap();
    assert_eq!(word(key, STATE), READY);
    let mut bytes = [0; 4];
    segment.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"kept");
    drop(segment);

    put(key, STATE, CLOSING);
    neocortex::inspect::reclaim(key).unwrap();
    assert_eq!(segment_id(key), None);
    proof::passed(
        "P2 P4",
        "a replacer dead in closing: attached to, and reclaimed",
        2,
    );
}

#[test]
fn a_remover_that_died_before_the_kernel_was_told_is_finished_by_the_next() {
    let kernel = Kernel::new();
    let mut cases = 0;
    let finish: [fn(i32); 3] = [
        |key| {
            let error = Segment::<SeqLock>::attach(key, 64).unwrap_err();
            assert!(error.to_string().contains("No such segment"), "{error}");
        },
        |key| {
            let options = SegmentOptions::new().replace_stale();
            drop(options.create::<SeqLock>(key, 64).unwrap());
        },
        |key| neocortex::inspect::reclaim(key).unwrap(),
    ];
    for finish in finish {
        let key = left_in(&kernel, REMOVED);
        let set = crate::common::sets_of(segment_id(key).unwrap())[0];
        finish(key);
        assert_eq!(segment_id(key), None);
        // The last to leave a removed segment takes the set with it; a remover's death leaves it to `reclaim`.
        crate::common::remove_set(set);
        cases += 1;
    }
    proof::passed(
        "P2 P5",
        "a remover dead before IPC_RMID: finished by whoever comes",
        cases,
    );
}

#[test]
fn a_state_that_is_none_is_refused() {
    let kernel = Kernel::new();
    let key = left_in(&kernel, 9);
    let error = Segment::<SeqLock>::attach(key, 64).unwrap_err();
    assert!(matches!(error, CortexError::Corrupt { .. }), "{error}");
    put(key, STATE, READY);
    neocortex::inspect::remove(key).unwrap();
}

/// What a reader asks and a waiter has marked is seen by a publisher at its next commit.
#[test]
fn a_publisher_answers_requests_and_waiters() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let segment: Segment = Segment::create(key, 64).unwrap();
    let mut guard = segment.write_guard().unwrap();
    put(key, WANT, 1);
    put(key, SIGNAL, 7);
    guard.publish().unwrap();
    assert_eq!(word(key, WANT), 0, "the request was taken note of");
    assert_eq!(
        word(key, SIGNAL),
        8,
        "the sequence goes on, and nobody waits"
    );
    guard.publish().unwrap();
    assert_eq!(word(key, SIGNAL), 8, "nobody waits, nothing changes");
    guard.commit().unwrap();
    put(key, SIGNAL, 9);
    segment.write_at(0, b"one").unwrap();
    assert_eq!(word(key, SIGNAL), 10);
}
