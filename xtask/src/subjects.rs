//! Which tests run where: tests/subjects.tsv, the one list that every script reads.

use crate::weaken::rust_files;
use crate::{root, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// The names of the Rust files in a folder, and of its folders that have a file called so.
fn names(folder: &Path, inner: &str) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        if is_source || path.join(inner).exists() {
            names.extend(
                path.file_stem()
                    .map(|name| name.to_string_lossy().into_owned()),
            );
        }
    }
    Ok(names)
}

/// The files of a test's folder. Fails where one is no module of its `main.rs`, for it would not be compiled, and where two
/// roles have one name, for a process is told its role by name alone (tests/common).
fn files(folder: &Path) -> Result<BTreeSet<String>> {
    let main = std::fs::read_to_string(folder.join("main.rs"))?;
    let mut names = names(folder, "mod.rs")?;
    names.remove("main");
    for name in &names {
        if !main
            .lines()
            .any(|line| line.trim() == format!("mod {name};"))
        {
            return Err(format!("{}: main.rs does not have mod {name}", folder.display()).into());
        }
    }
    let (mut sources, mut roles) = (Vec::new(), BTreeSet::new());
    rust_files(folder, &mut sources)?;
    for source in sources {
        for line in std::fs::read_to_string(source)?.lines() {
            if line.starts_with("fn role_") && !roles.insert(line.to_owned()) {
                return Err(
                    format!("{}: two roles have one name: {line}", folder.display()).into(),
                );
            }
        }
    }
    Ok(names)
}

/// Prints the tests of a group as options for `cargo test`, a line for each call: first those that run whole, then those of
/// which some files do. Options for the tests themselves may follow.
pub fn print(group: &str) -> Result<bool> {
    let folder = root().join("tests");
    let text = std::fs::read_to_string(folder.join("subjects.tsv"))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let rows = lines.map(|line| line.split_once('\t').unwrap_or((line, "")));
    let mut missing = names(&folder, "main.rs")?;
    missing.insert("lib".into());
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    for (name, groups) in rows {
        if !missing.remove(name) {
            return Err(format!("tests/subjects.tsv: there is no {name}").into());
        }
        let folder = folder.join(name);
        let files = if folder.exists() {
            files(&folder)?
        } else {
            BTreeSet::new()
        };
        let option = match name {
            "lib" => "--lib".to_owned(),
            _ => format!("--test={name}"),
        };
        for chosen in groups.split(' ') {
            match chosen.split_once('=') {
                None if chosen == group => whole.push(option.clone()),
                Some((part, listed)) if part == group => {
                    if let Some(file) = listed.split(',').find(|file| !files.contains(*file)) {
                        return Err(format!("tests/subjects.tsv: there is no {name}/{file}").into());
                    }
                    parts.push(format!("{option} -- {}::", listed.replace(',', ":: ")));
                }
                _ => {}
            }
        }
    }
    if let Some(name) = missing.first() {
        return Err(format!("tests/subjects.tsv does not have {name}").into());
    }
    if whole.is_empty() && parts.is_empty() {
        return Err(format!("tests/subjects.tsv has no group {group}").into());
    }
    if !whole.is_empty() {
        println!("{} --", whole.join(" "));
    }
    parts.iter().for_each(|part| println!("{part}"));
    Ok(true)
}
