//! What forbids something at this moment, and what to do about each.
//!
//! The details are here, and not where they are found, so that none is without a remedy of its own: to try again helps
//! against what another process does, and not against a guard of one's own.

use super::names::argument;

/// Why a cortex in which nobody takes part is not stale.
pub(crate) const KEPT: &str =
    "nobody uses it, but it was made to stay (`persist`), so it is not stale";
/// Why a cortex that is ready is not replaced.
pub(crate) const IN_USE: &str = "it is in use: a participant lives";
/// Why a call gives up whose segment is replaced again and again.
pub(crate) const OVERTAKEN: &str = "other processes keep removing and replacing it";
/// Why nobody becomes the owner any more.
pub(crate) const OWNER_REMOVES: &str = "its owner is about to remove it";

/// Why a thread would wait for itself.
pub(crate) const OWN_WRITE: &str = "this thread holds it for writing, through this handle";
pub(crate) const OWN_READ: &str =
    "this thread holds it for reading, through this handle or another";
pub(crate) const OWN_LOCK: &str = "this thread holds it already, through this handle";
pub(crate) const OWN_GUARD: &str =
    "this thread holds a guard of it, through this handle or another";
#[cfg(feature = "capi")]
pub(crate) const OWN_GUARD_HERE: &str = "this thread holds a guard through this handle already";
/// Why nobody could end this thread's wait.
pub(crate) const OWN_GUARD_KEEPS: &str = "this thread holds a guard, so nobody can commit";
/// Why a reader is not let in whose line counts too many already.
pub(crate) const CROWDED: &str =
    "too many read guards are held (or were forgotten) by this process";

/// What a child of a fork cannot end.
pub(crate) const PARENTS_GUARD: &str =
    "the guard was taken before the fork and belongs to the parent";
pub(crate) const PARENTS_UPDATE: &str =
    "the update began before the fork and belongs to the parent";

/// Why a handle follows once.
pub(crate) const FOLLOWS_ALREADY: &str = "a follower is registered through this handle already";

/// Why a handle is not closed.
#[cfg(feature = "capi")]
pub(crate) const HAS_GUARD: &str = "a guard is held through this handle";
#[cfg(feature = "capi")]
pub(crate) const IS_MEMBER: &str = "this handle is in a wait set";
#[cfg(feature = "capi")]
pub(crate) const IN_CALLBACK: &str = "a call through this handle waits in a lock made of callbacks";

/// Why a wait set is not to be used.
#[cfg(feature = "capi")]
pub(crate) const SET_IN_USE: &str = "another thread uses the wait set";
#[cfg(feature = "capi")]
pub(crate) const SET_OF_PARENT: &str =
    "a thread of the parent used the wait set when this process was forked";

/// What to do about what has no line here: a lock of one's own has details of its own.
const OTHERWISE: &str = "Try again when that has ended";

const END_FIRST: &str = "End that guard first: a wait for it would never end";

/// Each detail with its remedy; those that name the key are in [`remedy`].
const REMEDIES: &[(&str, &str)] = &[
    (
        OVERTAKEN,
        "Let every program that creates it do so with `open_or_create`, or only one of them with `replace_stale`",
    ),
    (OWNER_REMOVES, "Create it again when it is gone"),
    (OWN_WRITE, END_FIRST),
    (OWN_READ, END_FIRST),
    (OWN_LOCK, END_FIRST),
    (OWN_GUARD, END_FIRST),
    #[cfg(feature = "capi")]
    (OWN_GUARD_HERE, END_FIRST),
    (OWN_GUARD_KEEPS, "End the guard before the wait"),
    (
        CROWDED,
        "End those that are not needed; one that was forgotten ends with the process alone",
    ),
    (PARENTS_GUARD, "Begin one of this process's own"),
    (PARENTS_UPDATE, "Begin one of this process's own"),
    (
        FOLLOWS_ALREADY,
        "End that one first, or attach once more for another one",
    ),
    #[cfg(feature = "capi")]
    (HAS_GUARD, "End the guard, on the thread that began it, and close it then"),
    #[cfg(feature = "capi")]
    (
        IS_MEMBER,
        "Take it out with `WaitSet::remove`, or close the set, and close it then",
    ),
    #[cfg(feature = "capi")]
    (IN_CALLBACK, "Close it again when that call has returned"),
    #[cfg(feature = "capi")]
    (
        SET_IN_USE,
        "One thread uses a wait set at a time: open one for each, or wait until that call has returned",
    ),
    #[cfg(feature = "capi")]
    (SET_OF_PARENT, "Open another one in this process"),
];

/// Returns what to do about what is busy.
pub(super) fn remedy(key: i32, detail: &str) -> String {
    match detail {
        KEPT => format!(
            "`neocortex remove {}` takes it away, `force_ownership` adopts it with its value",
            argument(key)
        ),
        IN_USE => format!(
            "Attach to it instead (`open_or_create`), or end the processes that `neocortex inspect {}` shows",
            argument(key)
        ),
        _ => {
            let known = REMEDIES.iter().find(|(known, _)| *known == detail);
            known.map_or(OTHERWISE, |(_, remedy)| remedy).to_owned()
        }
    }
}

/// Returns every detail of this library's own.
#[cfg(all(test, target_os = "linux", target_env = "gnu", not(loom)))]
pub(super) fn details() -> impl Iterator<Item = &'static str> {
    [KEPT, IN_USE]
        .into_iter()
        .chain(REMEDIES.iter().map(|(detail, _)| *detail))
}

// Beside the tests of the messages, which quote the C library.
#[cfg(all(test, target_os = "linux", target_env = "gnu", not(loom)))]
mod tests {
    use super::*;

    /// To try again helps against another process, and not against oneself.
    #[test]
    fn what_is_busy_has_a_remedy_of_its_own() {
        for detail in details() {
            let said = remedy(123, detail);
            assert!(said != OTHERWISE && said.len() > 20, "{detail}: {said}");
            if detail.contains("this thread holds") {
                assert!(said.contains("End th"), "{detail}: {said}");
            }
        }
        assert_eq!(remedy(123, "what a lock of one's own says"), OTHERWISE);
    }
}
