//! The names that this process has used, so that a message about a key can say which name that is.
//!
//! A failure carries the number, for it is made where no name is known: in a lock, in a lookup of the kernel's
//! tables. The code that turns a name into a number notes it here, and the code that writes a message looks here.
//!
//! **Invariants.** A name that was noted stays, for a message may be written long after the handle was closed. So the
//! table is bounded: [`ROOM`] names, a few hundred bytes each at most; what finds no place is told by its number alone.
//! No lock is taken, which a forked child could inherit locked: an entry is published whole, by one compare-and-swap,
//! and never changed. A number that two names of this process have is told as a number.

use std::fmt;
use std::sync::atomic::{AtomicPtr, Ordering};

/// How many names are kept.
const ROOM: usize = 1024;
/// How many places a name may stand in, from the one on that its number says.
const REACH: usize = 16;

struct Entry {
    number: i32,
    name: Box<str>,
}

static TABLE: [AtomicPtr<Entry>; ROOM] = [const { AtomicPtr::new(std::ptr::null_mut()) }; ROOM];

/// Returns the places in which a name with this number may stand.
fn places(number: i32) -> impl Iterator<Item = &'static AtomicPtr<Entry>> {
    let first = number as u32 as usize % ROOM;
    (first..first + REACH).map(|index| &TABLE[index % ROOM])
}

fn entry(place: &AtomicPtr<Entry>) -> Option<&'static Entry> {
    // Acquire: a thread that finds the entry finds what is in it.
    // SAFETY: null, or an entry that was leaked (`note`), and is never freed or changed.
    unsafe { place.load(Ordering::Acquire).as_ref() }
}

/// Notes that this number is this name's.
pub(crate) fn note(number: i32, name: &str) {
    for place in places(number) {
        let mut found = entry(place);
        if found.is_none() {
            let new = Box::into_raw(Box::new(Entry {
                number,
                name: name.into(),
            }));
            // Release: see `entry`. Acquire: what another thread has put here meanwhile may be this name.
            let put = place.compare_exchange(
                std::ptr::null_mut(),
                new,
                Ordering::Release,
                Ordering::Acquire,
            );
            let Err(other) = put else { return };
            // SAFETY: made above, and not published.
            drop(unsafe { Box::from_raw(new) });
            // SAFETY: as in `entry`; it was not null.
            found = unsafe { other.as_ref() };
        }
        if found.is_some_and(|found| found.number == number && *found.name == *name) {
            return;
        }
    }
}

/// Returns the one name that this process has used for a number: in events, the field `name` beside the field `key`.
pub(crate) fn noted(number: i32) -> Option<&'static str> {
    let mut names = places(number)
        .filter_map(entry)
        .filter(|entry| entry.number == number);
    match (names.next(), names.next()) {
        (Some(entry), None) => Some(&entry.name),
        _ => None,
    }
}

/// A name as messages show it: in quotes, with nothing in it that a terminal acts on, or that a message's own marks
/// could be confused with.
pub(crate) fn quoted(name: &str) -> String {
    format!("{name:?}").replace('`', "\\u{60}")
}

/// A key as messages show it: `key 123`, or `"arm/pose" (key 1772166907)`.
pub(crate) fn shown(number: i32) -> impl fmt::Display {
    struct Shown(i32);
    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match noted(self.0) {
                Some(name) => write!(f, "{} (key {})", quoted(name), self.0),
                None => write!(f, "key {}", self.0),
            }
        }
    }
    Shown(number)
}

/// A key as an argument of the command in a message: the name where it has one that a shell takes as it is, else the
/// number.
pub(crate) fn argument(number: i32) -> String {
    let is_plain = |name: &&str| {
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
        name.chars().all(is_word) && name.starts_with(|first: char| first.is_ascii_alphabetic())
    };
    match noted(number).filter(is_plain) {
        Some(name) => name.to_owned(),
        None => number.to_string(),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_with_its_name_once_that_is_known() {
        assert_eq!(shown(0x4000_0001).to_string(), "key 1073741825");
        note(0x4000_0001, "arm/pose");
        note(0x4000_0001, "arm/pose");
        assert_eq!(
            shown(0x4000_0001).to_string(),
            "\"arm/pose\" (key 1073741825)"
        );
        // Another number of the same place.
        assert_eq!(shown(0x4000_0401).to_string(), "key 1073742849");
        note(0x4000_0401, "leg/pose");
        assert_eq!(
            shown(0x4000_0401).to_string(),
            "\"leg/pose\" (key 1073742849)"
        );
        // Which of the two it is cannot be known.
        note(0x4000_0001, "twin");
        assert_eq!(shown(0x4000_0001).to_string(), "key 1073741825");
    }

    #[test]
    fn what_the_command_is_given_is_the_name_where_a_shell_takes_it() {
        let said = |number, name| {
            note(number, name);
            argument(number)
        };
        assert_eq!(said(0x4100_0001, "cam/front-1.a_b"), "cam/front-1.a_b");
        for (number, name) in [
            (0x4100_0002, "a b"),
            (0x4100_0003, "-x"),
            (0x4100_0004, "$(rm)"),
            (0x4100_0005, "0x10"),
        ] {
            assert_eq!(said(number, name), number.to_string());
        }
        assert_eq!(argument(7), "7");
    }

    #[test]
    fn a_name_cannot_speak_for_the_message_or_to_the_terminal() {
        assert_eq!(quoted("a`b\"c\u{202e}"), r#""a\u{60}b\"c\u{202e}""#);
        assert_eq!(quoted("größe/日本"), "\"größe/日本\"");
    }

    #[test]
    fn what_finds_no_place_is_told_by_its_number() {
        // All begin at one place; 16 find room, less what other tests have put there.
        let number = |index: i32| 0x5000_0300 + index * ROOM as i32;
        for index in 0..40 {
            note(number(index), &format!("name {index}"));
        }
        assert_eq!(shown(number(0)).to_string(), "\"name 0\" (key 1342178048)");
        assert_eq!(shown(number(39)).to_string(), format!("key {}", number(39)));
    }

    #[test]
    fn threads_that_note_at_once_all_find_their_names() {
        let number = |thread: i32, index: i32| 0x6000_0000 + thread * 64 + index;
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for index in 0..8 {
                        // Its own, and one that all note.
                        note(number(thread, index), &format!("{thread}/{index}"));
                        note(number(9, index), "shared");
                    }
                });
            }
        });
        for thread in 0..4 {
            for index in 0..8 {
                let said = shown(number(thread, index)).to_string();
                assert!(said.contains(&format!("\"{thread}/{index}\"")), "{said}");
                let said = shown(number(9, index)).to_string();
                assert!(said.contains("\"shared\""), "{said}");
            }
        }
    }
}
