//! The locks that come with the crate: one table, from which every other list of them follows.
//!
//! | lock | read | for |
//! |---|---|---|
//! | [`SeqLock`](super::SeqLock) (default) | optimistic: no store, no wait | values read often, copied out |
//! | [`RwLock`](super::RwLock) | shared, one counter for each participant | zero-copy read guards, large payloads |
//! | [`Semaphore`](super::Semaphore) | exclusive, sleeping on a System V semaphore | the API of neocortex 3 |
//!
//! **Invariants.** The lock area of each begins with an owner word, so that taking the lock and saying who took it are one
//! step, and the next process to take it takes over from a holder that was killed. The first is the default lock. The order
//! is that of the tables in C. What cannot be made from this table (the functions of the C interface, its headers,
//! documents) is held to it by `tests/locks.rs`, and CONTRIBUTING.md lists it.

/// Calls the macro that it is given with the table; `built_in_locks!(names)` is a reference to an array of the names.
///
/// A line is the type, the name in the segment, the function of the C interface, and in brackets the
/// condition under which this package has the type. For the library, the command and the tests of this package: a
/// condition is one on this package's features, so in another package it would mean something else.
#[doc(hidden)]
#[macro_export]
macro_rules! built_in_locks {
    (names) => {
        $crate::built_in_locks!([$crate::built_in_locks] @names)
    };
    (@names $($lock:ident $name:literal $function:ident [$($condition:meta)?])*) => {
        &[$($name),*]
    };
    ([$($then:tt)*] $($with:tt)*) => {
        $($then)*! {
            $($with)*
            SeqLock "seqlock" neocortex_lock_seqlock []
            RwLock "rwlock" neocortex_lock_rwlock []
            Semaphore "semaphore" neocortex_lock_semaphore [feature = "semaphore"]
        }
    };
}

/// Evaluates an expression with the type of the built-in lock that has a name, and another where none has it:
/// `with_built_in_lock!(name, Lock => attach::<Lock>(key), _ => refuse())`.
#[doc(hidden)]
#[macro_export]
macro_rules! with_built_in_lock {
    ($found:expr, $type:ident => $then:expr, _ => $otherwise:expr $(,)?) => {
        $crate::built_in_locks!(
            [$crate::with_built_in_lock] @match ($found, $type, $then, $otherwise)
        )
    };
    (
        @match ($found:expr, $type:ident, $then:expr, $otherwise:expr)
        $($lock:ident $name:literal $function:ident [$($condition:meta)?])*
    ) => {
        $crate::with_built_in_lock!(
            @arms $found, $otherwise; $([$lock $name $type ($then) $($condition)?])*
        )
    };
    (
        @arms $found:expr, $otherwise:expr;
        $([$lock:ident $name:literal $type:ident ($then:expr) $($condition:meta)?])*
    ) => {
        match $found {
            $(
                $(#[cfg($condition)])?
                $name => {
                    type $type = $crate::$lock;
                    $then
                }
            )*
            _ => $otherwise,
        }
    };
}

/// The names of the built-in locks, also of those that this build does not have: another process may.
pub(crate) const NAMES: &[&str] = crate::built_in_locks!(names);

/// Returns whether a lock of this name has an owner word at the start of its area, as all built-in locks do.
pub(crate) fn is_built_in(name: &str) -> bool {
    NAMES.contains(&name)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::NAMES;
    use crate::locks::CortexSync;

    fn name_and_default<L: CortexSync>() -> (&'static str, bool) {
        (L::NAME, L::NAME == crate::SeqLock::NAME)
    }

    #[test]
    fn each_lock_has_the_name_that_the_table_gives_it_and_the_first_is_the_default() {
        let mut met = 0;
        for (index, &name) in NAMES.iter().enumerate() {
            let found =
                crate::with_built_in_lock!(name, L => Some(name_and_default::<L>()), _ => None);
            let Some((own, is_default)) = found else {
                continue;
            };
            assert_eq!((own, is_default), (name, index == 0));
            met += 1;
        }
        assert_eq!(
            met,
            if cfg!(feature = "semaphore") {
                NAMES.len()
            } else {
                2
            }
        );
    }

    #[test]
    fn names_differ_and_another_name_is_no_built_in_lock() {
        for (index, name) in NAMES.iter().enumerate() {
            assert!(!NAMES[..index].contains(name));
        }
        assert!(!super::is_built_in("test-spin") && !super::is_built_in(""));
    }
}
