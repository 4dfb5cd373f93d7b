//! What the C surface promised is kept: names, constants, signatures, layouts, and the symbols exported.
//!
//! `abi/promised.c` is the record. The compiler holds the header against it, the linker the library. What the
//! library exports is what the header declares, and nothing else. Programs with the structures of the first
//! version run with the library as it is now.

use crate::compile::{assert_succeeded, library, program, root};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

fn header() -> String {
    std::fs::read_to_string(root().join("include/neocortex.h")).expect("the header")
}

fn compile(include: &Path, source: &str, arguments: &[&str]) -> Output {
    Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .arg("-I")
        .arg(include)
        .arg(root().join(source))
        .args(arguments)
        .output()
        .expect("a C compiler")
}

/// Compiles, links with the library as it is now, and runs.
fn run(source: &str) -> Output {
    let directory = tempfile::tempdir().expect("a folder");
    let executable = directory.path().join("program");
    let folder = library().display().to_string();
    let arguments = [
        "-o",
        executable.to_str().expect("a path"),
        "-L",
        &folder,
        "-lneocortex",
    ];
    let built = compile(&root().join("include"), source, &arguments);
    assert_succeeded(source, &built);
    program(&executable).output().expect("a program")
}

/// Whether the promises hold for this header.
fn keeps_its_promises(header: &str) -> bool {
    let directory = tempfile::tempdir().expect("a folder");
    std::fs::write(directory.path().join("neocortex.h"), header).expect("a file");
    let output = compile(directory.path(), "abi/promised.c", &["-fsyntax-only"]);
    output.status.success()
}

/// The header without its comments.
fn declarations() -> String {
    let mut code = String::new();
    let mut rest = &*header();
    while let Some((before, after)) = rest.split_once("/*") {
        code.push_str(before);
        rest = after.split_once("*/").expect("a comment ends").1;
    }
    code.push_str(rest);
    code
}

/// The words that begin with `prefix` and are followed by `end`, if that is given.
fn words(text: &str, prefix: &str, end: &str) -> BTreeSet<String> {
    let is_word = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
    let starts = text.match_indices(prefix).map(|(start, _)| start);
    starts
        .filter(|&start| !text[..start].ends_with(is_word))
        .filter_map(|start| {
            let word = text[start..].split(|byte| !is_word(byte)).next()?;
            text[start + word.len()..]
                .starts_with(end)
                .then(|| word.to_owned())
        })
        .collect()
}

fn functions() -> BTreeSet<String> {
    words(&declarations(), "neocortex_", "(")
}

#[test]
fn promises_are_kept() {
    assert_succeeded("abi/promised.c", &run("abi/promised.c"));
}

#[test]
fn additions_are_promised() {
    let record = std::fs::read_to_string(root().join("abi/promised.c")).expect("the record");
    let declarations = declarations();
    for function in functions() {
        let line = format!("FUNCTION({function}, ");
        assert!(record.contains(&line), "abi/promised.c needs {line}...)");
    }
    for line in declarations.lines() {
        let Some((name, value)) = line
            .strip_prefix("#define ")
            .and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        // What no program is compiled with for good, and what is no number.
        if name.starts_with("NEOCORTEX_VERSION_") || name == "NEOCORTEX_OPTIONS_INIT" {
            continue;
        }
        let line = format!("CONSTANT({name}, {value});");
        assert!(record.contains(&line), "abi/promised.c needs {line}");
    }
    let mut fields = 0;
    for structure in declarations.split("typedef struct ").skip(1) {
        let Some((name, body)) = structure.split_once(" {") else {
            continue;
        };
        if name.contains(';') {
            continue;
        }
        let body = body.split_once('}').expect("a structure ends").0;
        for field in body.split(';').filter(|field| !field.trim().is_empty()) {
            // `int (*create)(...)` or `uint32_t mode`.
            let field = field.split_once("(*").map_or_else(
                || field.trim().rsplit([' ', '*']).next(),
                |(_, callback)| callback.split(')').next(),
            );
            let entry = format!("({name}, {}, ", field.expect("a field has a name"));
            let is_there =
                ["FIELD", "LATER"].map(|kind| record.contains(&format!("{kind}{entry}")));
            assert!(
                is_there.contains(&true),
                "abi/promised.c needs FIELD{entry}...), or LATER if it was added"
            );
            fields += 1;
        }
    }
    assert!(fields >= 20, "{fields} fields were found");
}

/// The header with one more option.
fn grown(field: &str) -> String {
    let header = header();
    let last = "    uint32_t owner_gid;\n";
    assert!(header.contains(last) && header.contains("0xFFFFFFFFu}"));
    header
        .replacen(last, &format!("{last}{field}\n"), 1)
        .replacen("0xFFFFFFFFu}", "0xFFFFFFFFu, 0}", 1)
}

/// Shows that `abi/promised.c` bites, and what it lets pass.
#[test]
fn incompatible_changes_are_noticed_and_additions_pass() {
    let header = header();
    assert!(keeps_its_promises(&header));
    let with = |from: &str, to: &str| {
        assert!(header.contains(from), "the header has no {from}");
        keeps_its_promises(&header.replacen(from, to, 1))
    };
    let slots = "    uint32_t slots;\n";

    // A function gone, renamed, or with another signature.
    assert!(!with(
        "int32_t neocortex_key(const struct neocortex_segment *segment);",
        ""
    ));
    assert!(!with(
        "neocortex_last_custom(void)",
        "neocortex_last_own(void)"
    ));
    assert!(!with(
        "neocortex_remove(int32_t key)",
        "neocortex_remove(int64_t key)"
    ));
    assert!(!with(
        "neocortex_strerror(int status)",
        "neocortex_strerror(int status, int language)"
    ));
    assert!(!with("size_t neocortex_size(", "uint32_t neocortex_size("));
    assert!(!with(
        "const char *neocortex_version",
        "char *neocortex_version"
    ));
    // A constant with another value, or gone.
    assert!(!with(
        "#define NEOCORTEX_ERR_BUSY -13",
        "#define NEOCORTEX_ERR_BUSY -31"
    ));
    assert!(!with("#define NEOCORTEX_PERSIST 8u", ""));
    assert!(!with(
        "typedef int32_t neocortex_status;",
        "typedef int64_t neocortex_status;"
    ));
    // A field gone, of another type, or elsewhere.
    assert!(!with("    uint32_t align;\n", ""));
    assert!(!with("    uint32_t align;\n", "    int32_t align;\n"));
    assert!(!with(
        "    uint32_t mode;\n",
        "    uint64_t more;\n    uint32_t mode;\n"
    ));
    assert!(!with(slots, ""));
    assert!(!with(
        "(*write_lock)(void *lock, int64_t timeout_ns)",
        "(*write_lock)(void *lock, int timeout)"
    ));

    // Additions.
    let grown = grown("    uint64_t later;");
    assert!(keeps_its_promises(&grown));
    assert!(with(
        "#define NEOCORTEX_TRY 0",
        "#define NEOCORTEX_TRY 0\n#define NEOCORTEX_NEW 9"
    ));
    assert!(with(
        "int neocortex_last_custom(void);",
        "int neocortex_last_custom(void);\nint neocortex_new(void);"
    ));
    // A field that the initialiser leaves out: a warning in every program that uses it.
    let forgotten = grown.replacen("0xFFFFFFFFu, 0}", "0xFFFFFFFFu}", 1);
    assert!(!keeps_its_promises(&forgotten));
}

/// A later field that fills padding is no addition: older programs leave those bytes as they are.
#[test]
#[cfg(target_pointer_width = "64")]
fn a_field_in_what_was_padding_is_noticed() {
    let directory = tempfile::tempdir().expect("a folder");
    let record = std::fs::read_to_string(root().join("abi/promised.c")).expect("the record");
    let with = |field: &str, line: &str| {
        std::fs::write(directory.path().join("neocortex.h"), grown(field)).expect("a file");
        let source = directory.path().join("promised.c");
        std::fs::write(&source, format!("{record}\n{line}\n")).expect("a file");
        let source = source.to_str().expect("a path");
        compile(directory.path(), source, &["-fsyntax-only"])
            .status
            .success()
    };
    assert!(with(
        "uint64_t later;",
        "LATER(neocortex_options, later, uint64_t, 64, 64);"
    ));
    assert!(!with(
        "uint32_t later;",
        "LATER(neocortex_options, later, uint32_t, 60, 64);"
    ));
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn symbols(arguments: &[&str], file: &str) -> BTreeSet<String> {
    let output = Command::new("nm")
        .args(arguments)
        .arg(library().join(file))
        .output()
        .expect("nm (package binutils)");
    assert_succeeded("nm", &output);
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter_map(
            |line| match line.split_whitespace().collect::<Vec<_>>()[..] {
                [_, _, name] => Some(name.to_owned()),
                _ => None,
            },
        )
        .collect()
}

#[test]
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn shared_library_exports_what_the_header_declares_and_nothing_else() {
    let exported = symbols(&["-D", "--defined-only"], "libneocortex.so");
    assert_eq!(exported, functions());
}

/// The static library also holds the Rust code that it is made of: names that the compiler made, with a hash in them, and
/// the functions of the compiler's runtime, which libgcc has too and which an archive gives only where they are missing.
#[test]
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn static_library_has_no_other_plain_names() {
    let defined = symbols(&["-g", "--defined-only"], "libneocortex.a");
    let made_by_rust = ["_ZN", "_R", "__rust", "DW.ref.", "rust_eh_personality"];
    let (ours, others): (BTreeSet<_>, BTreeSet<_>) = defined
        .into_iter()
        .filter(|name| !made_by_rust.iter().any(|prefix| name.starts_with(prefix)))
        .partition(|name| name.starts_with("neocortex"));
    assert_eq!(ours, functions());
    // `__divsc3`, `__negvti2`, ...: the runtime's names are the implementation's (two underscores).
    let plain: Vec<_> = others
        .iter()
        .filter(|name| !name.starts_with("__"))
        .collect();
    assert!(plain.is_empty(), "{plain:?}");
}

#[test]
fn programs_of_the_first_version_run() {
    let output = run("tests/c/abi/first.c");
    assert_succeeded("first", &output);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok first\n");
}
