//! From a cause to an error: the variant, the key, what was left.

use super::super::busy;
use super::super::tests::{failed, refusals};
use super::super::{WAITING_FOR_CHANGE, WAITING_FOR_CREATOR, WAITING_FOR_ROOM};
use super::*;

/// The cause of each of [`refusals`], but for those that are made with their key.
fn causes() -> Vec<Cause> {
    let layout = |what, expected, found| Cause::Layout {
        what,
        expected,
        found,
    };
    let mut all = vec![
        Cause::NotACortex("no magic number"),
        Cause::Format {
            found: 2,
            supported: 1,
            features: 0,
        },
        Cause::Format {
            found: 1,
            supported: 1,
            features: 6,
        },
        layout("size", 8, 16),
        layout("schema", 0x2f1, 0x1b),
        layout("schema", 0x2f1, 0),
        layout("alignment", 4096, 64),
        layout("records", 0, 1),
        layout("records", 1, 0),
        layout("lossless", 1, 0),
        layout("in_place", 0, 1),
        Cause::Lock {
            expected: "seqlock".into(),
            found: "rwlock".into(),
        },
        Cause::NotReady { waited_ms: 500 },
        Cause::Timeout("write"),
        Cause::Timeout(WAITING_FOR_CHANGE),
        Cause::Timeout(WAITING_FOR_CREATOR),
        Cause::Timeout(WAITING_FOR_ROOM),
        Cause::Poisoned,
        Cause::InvalidValue("bool"),
        Cause::Busy("what a lock of one's own says"),
        Cause::corrupt("the state word 7 is not one that this library writes"),
        Cause::Full { limit: 128 },
        Cause::invalid("alignment 3 is not a power of two"),
        Cause::Unsupported("this system does not list its segments"),
        Cause::Removed,
        Cause::Interrupted("write"),
    ];
    all.extend(busy::details().map(Cause::Busy));
    all
}

#[test]
fn a_cause_is_told_as_the_error_of_its_name_with_the_key() {
    let told: Vec<_> = causes().into_iter().map(|cause| cause.on(123)).collect();
    let is_told = |error: &CortexError| {
        let error = format!("{error:?}");
        told.iter().any(|other| format!("{other:?}") == error)
    };
    for error in refusals() {
        match error {
            CortexError::Name { .. } | CortexError::ReadOnly { .. } | CortexError::Custom(_) => {}
            error => assert!(is_told(&error), "{error:?}"),
        }
    }
    // What has its key, or is a lock's own, stays as it is.
    for error in refusals() {
        let before = format!("{error:?}");
        assert_eq!(format!("{:?}", Cause::from(error).on(7)), before);
    }
}

#[test]
fn a_refusal_that_leaves_something_is_dirty_and_keeps_its_key_and_words() {
    let whole = refusals().into_iter().map(Cause::from);
    let words = refusals().into_iter().map(|error| error.to_string());
    let causes_with_words = causes()
        .into_iter()
        .zip(causes().into_iter().map(|cause| cause.on(123).to_string()))
        .chain(whole.zip(words));
    for (cause, words) in causes_with_words {
        let is_custom = matches!(cause, Cause::Whole(CortexError::Custom(_)));
        let cause = cause.leaving(Leftover::Segment(5));
        assert!(!cause.is_errno(errno::EPERM));
        let error = cause.leaving(Leftover::Semaphores(6)).on(123);
        assert!(matches!(error, CortexError::DirtySystem(_)));
        let system = error.system().expect("dirty");
        assert_eq!(system.key(), if is_custom { 0 } else { 123 });
        let left = [Leftover::Segment(5), Leftover::Semaphores(6)];
        assert_eq!(system.left(), left);
        assert!(error.to_string().contains(&words), "{error}");
    }
}

/// A clean-up that fails and leaves nothing hides neither what the cause is nor what a later one leaves.
#[test]
fn a_cause_is_known_after_clean_ups_that_left_nothing() {
    let failed = || failed("release a participant slot of", "semop", libc::EACCES);
    let left = || failed().leaving(Leftover::Semaphores(6));
    let tidy = Cause::Removed.after(Ok(()));
    assert!(matches!(tidy, Cause::Removed));
    let untidy = Cause::Removed.after(Err(failed())).after(Err(failed()));
    assert!(matches!(untidy.bare(), Cause::Removed) && untidy.is_clean());
    assert!(!untidy.is_errno(libc::EACCES));
    let dirty = untidy.after(Err(left()));
    assert!(!matches!(dirty.bare(), Cause::Removed) && !dirty.is_clean());
    let error = dirty.on(123);
    let left_behind = error.system().expect("dirty").left();
    assert_eq!(left_behind, [Leftover::Semaphores(6)]);
    // A failed call stays one, with the answer of the system.
    let both = failed().after(Err(left()));
    assert!(failed().is_clean() && !both.is_clean());
    assert_eq!(both.answer(), Some(libc::EACCES));
    // But not one to go on after, which would lose what is left; it is named once.
    assert!(failed().is_answer("semop", libc::EACCES) && failed().is_not_permitted());
    assert!(!both.is_answer("semop", libc::EACCES) && !both.is_not_permitted());
    let both = both.after(Err(left()));
    assert_eq!(both.left(), [Leftover::Semaphores(6)]);
    assert!(matches!(both.on(123), CortexError::DirtySystem(_)));
}
