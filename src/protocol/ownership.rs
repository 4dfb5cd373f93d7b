//! Which participant removes the segment: one word in its header. It works on references, so that the models run it
//! too.
//!
//! | word | which participant removes the segment |
//! |---|---|
//! | 0 | no participant: it stays when all have left |
//! | an id | the participant with this id, when it closes its handle |
//! | an id, and bit 0, which no id has | that participant is removing it now, or died when it had begun to |
//!
//! | from | to | by |
//! |---|---|---|
//! | 0, any id | own id | the process that creates, adopts, or takes ownership ([`take`]) |
//! | own id | 0 | the owner that lets it stay ([`persist`]) |
//! | own id | own id and bit 0 | the owner that closes ([`begin_removal`]) |
//! | an id and bit 0 | own id | a process that takes ownership, and finds that participant dead |
//!
//! **Invariant.** Every transition is a compare-and-swap on the one word, so at most one participant begins to remove,
//! and no process takes ownership of what a living one is removing: an owner that is stopped between beginning
//! and removing does not remove what another has adopted meanwhile.

use crate::error::Cause;
use crate::protocol::atomics::{AtomicU32, Ordering};
use crate::protocol::participants::Id;

/// No participant is to remove it.
pub(crate) const NOBODY: u32 = 0;
/// The participant is removing it. Clear in every id.
const REMOVING: u32 = 1;
/// How often the word may change while this process looks: owners change rarely, and a peer must not keep it here.
const ATTEMPTS: u32 = 1000;

/// Returns whether this participant is the owner, and has not begun to remove the segment.
pub(crate) fn is_owner(word: &AtomicU32, me: Id) -> bool {
    word.load(Ordering::Relaxed) == me.0
}

/// Makes this participant the owner in place of any other. Returns `false` where a living one is removing the segment.
///
/// # Errors
/// Those of `is_alive`.
pub(crate) fn take(
    word: &AtomicU32,
    me: Id,
    is_alive: impl Fn(Id) -> Result<bool, Cause>,
) -> Result<bool, Cause> {
    // Acquire, here and below: the generation that is compared in `is_alive` is not older than the id
    // (`participants::standing`).
    let mut seen = word.load(Ordering::Acquire);
    for _ in 0..ATTEMPTS {
        if seen & REMOVING != 0 && is_alive(Id(seen & !REMOVING))? {
            return Ok(false);
        }
        // Release: a process that sees this id sees its generation.
        match word.compare_exchange(seen, me.0, Ordering::Release, Ordering::Acquire) {
            Ok(_) => return Ok(true),
            Err(now) => seen = now,
        }
    }
    Ok(false)
}

/// Makes the segment one that no participant removes. Returns `false` where this participant is not the owner.
pub(crate) fn persist(word: &AtomicU32, me: Id) -> bool {
    word.compare_exchange(me.0, NOBODY, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok()
}

/// Returns whether this participant is the one that now removes the segment.
pub(crate) fn begin_removal(word: &AtomicU32, me: Id) -> bool {
    // Relaxed: a read-modify-write, which passes on what `take` released.
    word.compare_exchange(me.0, me.0 | REMOVING, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::error::Cause;

    const FIRST: Id = Id(1 << 19 | 2);
    const SECOND: Id = Id(2 << 19 | 2);

    fn owned_by(word: u32) -> AtomicU32 {
        AtomicU32::new(word)
    }

    #[test]
    fn ownership_moves_and_the_former_owner_removes_nothing() {
        let word = owned_by(FIRST.0);
        assert!(take(&word, SECOND, |_| panic!("nobody is removing it")).unwrap());
        assert!(is_owner(&word, SECOND) && !is_owner(&word, FIRST));
        assert!(!begin_removal(&word, FIRST) && !persist(&word, FIRST));
        assert!(begin_removal(&word, SECOND) && !begin_removal(&word, SECOND));
        assert!(!is_owner(&word, SECOND), "it is removing it");
    }

    #[test]
    fn what_somebody_alive_is_removing_is_nobodys_to_take() {
        let word = owned_by(FIRST.0);
        assert!(begin_removal(&word, FIRST));
        assert!(!take(&word, SECOND, |id| Ok(id == FIRST)).unwrap());
        let unknown = take(&word, SECOND, |_| Err(Cause::Removed));
        assert!(unknown.is_err(), "not known to be dead");
        assert!(take(&word, SECOND, |id| Ok(id != FIRST)).unwrap());
        assert!(is_owner(&word, SECOND));
    }

    #[test]
    fn what_is_to_stay_has_no_owner_until_somebody_takes_it() {
        let word = owned_by(FIRST.0);
        assert!(persist(&word, FIRST));
        assert_eq!(word.load(Ordering::Relaxed), NOBODY);
        assert!(!begin_removal(&word, FIRST));
        assert!(take(&word, FIRST, |_| panic!("nobody is removing it")).unwrap());
        assert!(begin_removal(&word, FIRST));
    }
}
