//! Each surface has its own names: one table of what a thing is called in Rust, C, C++, Python and the command.
//!
//! Messages are written once, in the words of the Rust interface, with every name in backticks: "create it
//! again with `replace_stale`". Code that shows one on another surface says it [in that surface's
//! words](in_words_of): names that the table knows are exchanged, and all else stays as it is. A test holds every name
//! of every message against the table, so a sentence must read well whichever name is in it.

use std::fmt::Write;

/// The interface in whose words a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[doc(hidden)]
pub enum Surface {
    /// This crate.
    Rust,
    /// `neocortex.h`.
    C,
    /// `neocortex.hpp`.
    Cpp,
    /// The Python package (`python`).
    Python,
    /// The command `neocortex`.
    Command,
}

/// One thing, as each surface calls it. Where a surface does not have it: what serves there instead.
struct Name {
    rust: &'static str,
    c: &'static str,
    cpp: &'static str,
    python: &'static str,
    command: &'static str,
}

#[rustfmt::skip]
const NAMES: [Name; 27] = [
    // What is chosen when it is created.
    Name { rust: "replace_stale", c: "NEOCORTEX_REPLACE_STALE", cpp: "`options::replace_stale`", python: "`replace_stale=True`", command: "`neocortex create --replace-stale`" },
    Name { rust: "force_ownership", c: "NEOCORTEX_FORCE_OWNERSHIP", cpp: "`options::force_ownership`", python: "`force_ownership=True`", command: "a program with `force_ownership`" },
    Name { rust: "open_or_create", c: "NEOCORTEX_OPEN_OR_CREATE", cpp: "`options::open_or_create`", python: "`open_or_create=True`", command: "`neocortex create --open-or-create`" },
    Name { rust: "persist", c: "NEOCORTEX_PERSIST", cpp: "`options::persist`", python: "`persist=True`", command: "`neocortex create` or `persist`" },
    Name { rust: "in_place", c: "NEOCORTEX_IN_PLACE", cpp: "`options::in_place`", python: "`in_place=True`", command: "`--in-place`" },
    Name { rust: "random_key", c: "NEOCORTEX_RANDOM_KEY", cpp: "`options::random_key`", python: "`key=None`", command: "`--random`" },
    Name { rust: "permission", c: "options.mode", cpp: "`options::mode`", python: "`mode=`", command: "`--mode`" },
    Name { rust: "owner", c: "NEOCORTEX_SET_OWNER", cpp: "`options::owner`", python: "`owner=`", command: "a program with `owner`" },
    Name { rust: "participants", c: "options.participants", cpp: "`options::participants`", python: "`participants=`", command: "`--participants`" },
    Name { rust: "slots", c: "options.slots", cpp: "`options::slots`", python: "`slots=`", command: "`--slots`" },
    Name { rust: "interruptible", c: "NEOCORTEX_INTERRUPTIBLE", cpp: "`options::interruptible`", python: "Ctrl-C", command: "`kill`" },
    Name { rust: "prefault", c: "NEOCORTEX_PREFAULT", cpp: "`options::prefault`", python: "`prefault=True`", command: "`--prefault`" },
    Name { rust: "lock_in_memory", c: "NEOCORTEX_LOCK_IN_MEMORY", cpp: "`options::lock_in_memory`", python: "`lock_in_memory=True`", command: "`--lock-in-memory`" },
    Name { rust: "huge_pages", c: "NEOCORTEX_HUGE_PAGES", cpp: "`options::huge_pages`", python: "`huge_pages=True`", command: "`--huge-pages`" },
    Name { rust: "records", c: "NEOCORTEX_RECORDS", cpp: "`options::records`", python: "`records=True`", command: "`--records`" },
    Name { rust: "lossless", c: "NEOCORTEX_LOSSLESS", cpp: "`options::lossless`", python: "`lossless=True`", command: "`--lossless`" },
    // What is called.
    Name { rust: "Observer", c: "NEOCORTEX_READ_ONLY", cpp: "`observer`", python: "`Observer`", command: "`neocortex read`" },
    Name { rust: "write", c: "neocortex_write", cpp: "`write`", python: "`write`", command: "`neocortex write`" },
    Name { rust: "push", c: "neocortex_push", cpp: "`push`", python: "`push`", command: "`neocortex write`" },
    Name { rust: "follow", c: "neocortex_follow", cpp: "`follow`", python: "`follow`", command: "`neocortex follow`" },
    Name { rust: "read_record", c: "neocortex_read_record", cpp: "`read_record`", python: "`read_record`", command: "`neocortex read`" },
    Name { rust: "clear_poison", c: "neocortex_clear_poison", cpp: "`clear_poison`", python: "`clear_poison`", command: "`neocortex heal`" },
    Name { rust: "interrupt", c: "neocortex_interrupt", cpp: "`interrupt`", python: "`close`", command: "Ctrl-C" },
    Name { rust: "read_guard", c: "neocortex_read_begin", cpp: "`read_guard`", python: "`reading`", command: "`neocortex read`" },
    Name { rust: "schema_of", c: "neocortex_schema_of", cpp: "`schema_of`", python: "`schema=`", command: "`--schema-of`" },
    Name { rust: "WaitSet::remove", c: "neocortex_wait_set_remove", cpp: "`wait_set::remove`", python: "`WaitSet.remove`", command: "a program with `WaitSet::remove`" },
    Name { rust: "write_guard", c: "neocortex_write_begin", cpp: "`write_guard`", python: "`writing`", command: "`neocortex write`" },
];

impl Name {
    fn on(&self, surface: Surface) -> Option<&'static str> {
        match surface {
            Surface::Rust => None,
            Surface::C => Some(self.c),
            Surface::Cpp => Some(self.cpp),
            Surface::Python => Some(self.python),
            Surface::Command => Some(self.command),
        }
    }
}

/// A message, which is in the words of the Rust interface, in those of another surface.
pub(crate) fn in_words_of(surface: Surface, message: &str) -> String {
    let mut said = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, (quoted, after))) = rest
        .split_once('`')
        .and_then(|(before, from)| Some((before, from.split_once('`')?)))
    {
        let known = NAMES.iter().find(|name| name.rust == quoted);
        said.push_str(before);
        // Writing to a String cannot fail.
        let _ = match known.and_then(|name| name.on(surface)) {
            Some(name) => write!(said, "{name}"),
            None => write!(said, "`{quoted}`"),
        };
        rest = after;
    }
    said + rest
}

/// Returns every name of a surface in backticks, without them.
#[cfg(all(test, target_os = "linux", target_env = "gnu", not(loom)))]
pub(crate) fn names_of(surface: Surface) -> impl Iterator<Item = &'static str> {
    NAMES.iter().flat_map(move |name| match name.on(surface) {
        None => vec![name.rust],
        Some(said) => said.split('`').skip(1).step_by(2).collect(),
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const ALL: [Surface; 5] = [
        Surface::Rust,
        Surface::C,
        Surface::Cpp,
        Surface::Python,
        Surface::Command,
    ];

    #[test]
    fn names_are_exchanged_and_all_else_stays() {
        let message = "a whole `write` or `clear_poison`; `ipcs -m`, `unknown`, write";
        assert_eq!(in_words_of(Surface::Rust, message), message);
        assert_eq!(
            in_words_of(Surface::C, message),
            "a whole neocortex_write or neocortex_clear_poison; `ipcs -m`, `unknown`, write"
        );
        assert_eq!(
            in_words_of(Surface::Command, message),
            "a whole `neocortex write` or `neocortex heal`; `ipcs -m`, `unknown`, write"
        );
        // What another process wrote may hold any number of them.
        for text in ["", "`", "``", "a `write", "``` `", "`write` `", "a`b`c`d"] {
            assert_eq!(in_words_of(Surface::Rust, text), text);
        }
        assert_eq!(
            in_words_of(Surface::C, "`write` and `"),
            "neocortex_write and `"
        );
    }

    #[test]
    fn every_surface_has_every_name_and_no_name_has_two() {
        for (index, name) in NAMES.iter().enumerate() {
            assert!(NAMES[index + 1..]
                .iter()
                .all(|other| other.rust != name.rust));
            for surface in &ALL[1..] {
                let said = name.on(*surface).expect("a name");
                assert!(
                    said.len() > 2 && said.matches('`').count() % 2 == 0,
                    "{said}"
                );
            }
        }
    }
}
