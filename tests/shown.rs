//! Every public item has an example, or is shown in one: in the documentation of an item, in README or in the guide, whose
//! programs all run as documentation tests.
//!
//! It is told by names: an item is shown where its name stands in a program, a function where it is called.

#![cfg(not(neocortex_lean))]

use std::fs;
use std::path::{Path, PathBuf};

/// The folders and files of `src` that are no public interface of Rust: what they have is `pub` for their own modules.
const INNER: [&str; 6] = [
    "capi",
    "sys",
    "bin",
    "protocol/models",
    "copy",
    "attachment/companion.rs",
];
/// What no program names: sealed traits, and what the derive's code calls.
const UNNAMED: [&str; 9] = [
    "Payload", "Sealed", "Memory", "Seal", "Fence", "Derived", "Copied", "Message", "Surface",
];

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
}

/// The lines between ``` and ```, of lines that were freed of the marks of comments.
fn programs<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut is_inside = false;
    let mut text = String::new();
    for line in lines {
        if line.trim_start().starts_with("```") {
            is_inside = !is_inside;
        } else if is_inside {
            text += line;
            text.push('\n');
        }
    }
    text
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Whether the name stands in the text as a word of its own; of a function, with an opening parenthesis behind it, or the
/// types that it is called with.
fn is_shown(text: &str, name: &str, is_function: bool) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let is_whole = !before.ends_with(is_word) && !after.starts_with(is_word);
        is_whole && (!is_function || after.starts_with('(') || after.starts_with("::<"))
    })
}

/// The item that a line declares, and whether it is a function.
fn item(line: &str) -> Option<(&str, bool)> {
    let mut words = line.trim_start().strip_prefix("pub ")?.split_whitespace();
    let mut word = words.next()?;
    while matches!(word, "const" | "unsafe") {
        word = words.next()?;
    }
    let kinds = ["fn", "struct", "enum", "trait", "type"];
    kinds.contains(&word).then_some(())?;
    let name = words.next()?.split(|letter| !is_word(letter)).next()?;
    Some((name, word == "fn"))
}

#[test]
fn every_public_item_is_shown_in_a_program_that_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = root.join("src");
    let (mut sources, mut pages) = (Vec::new(), vec![root.join("README.md")]);
    files(&source, ".rs", &mut sources);
    files(&root.join("docs/guide"), ".md", &mut pages);
    let mut shown = String::new();
    for page in pages {
        shown += &programs(fs::read_to_string(page).expect("a page").lines());
    }
    let mut items = Vec::new();
    for path in sources {
        let within = path.strip_prefix(&source).expect("it is there");
        let text = fs::read_to_string(&path).expect("a source");
        let comments = text.lines().filter_map(|line| {
            let line = line.trim_start();
            line.strip_prefix("///").or(line.strip_prefix("//!"))
        });
        shown += &programs(comments);
        if INNER.iter().any(|inner| within.starts_with(inner)) || within.ends_with("tests.rs") {
            continue;
        }
        let mut is_hidden = false;
        for line in text
            .lines()
            .take_while(|line| !line.starts_with("mod tests {"))
        {
            if line.trim_start().starts_with("#[doc(hidden)]") {
                is_hidden = true;
            } else if let Some((name, is_function)) = item(line) {
                if !is_hidden && !UNNAMED.contains(&name) {
                    items.push((within.display().to_string(), name.to_owned(), is_function));
                }
                is_hidden = false;
            }
        }
    }
    assert!(items.len() > 250, "{} items are found", items.len());
    let missing: Vec<_> = items
        .iter()
        .filter(|(_, name, is_function)| !is_shown(&shown, name, *is_function))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    // It can fail.
    assert!(!is_shown(&shown, "a_call_that_nobody_shows", true));
    assert!(!is_shown("cortex.read_for(x)", "read", true) && !is_shown("read", "read", true));
}
