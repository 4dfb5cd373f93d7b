//! The command's own surface, and the structure that C and C++ programs read.

use crate::host::MIRROR;
use neocortex_mirror::{Status, STATUS_SCHEMA};
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(MIRROR)
        .args(arguments)
        .output()
        .expect("the command")
}

fn refusal(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_is_not_safe_or_cannot_work_is_refused_before_anything_begins() {
    for (arguments, says) in [
        (&["publish", "x"][..], "no endpoint"),
        (
            &["publish", "x", "--listen", "tcp/0.0.0.0:7447"],
            "--insecure",
        ),
        (
            &["follow", "x", "--connect", "tls/left.example:7447"],
            "certificates",
        ),
        (
            &[
                "follow",
                "x",
                "y",
                "--as",
                "z",
                "--connect",
                "tcp/127.0.0.1:1",
            ],
            "one name",
        ),
        (
            &[
                "publish",
                "x",
                "--listen",
                "tcp/127.0.0.1:1",
                "--router",
                "tcp/127.0.0.1:1",
            ],
            "--router",
        ),
        (
            &[
                "publish",
                "x",
                "--listen",
                "tcp/127.0.0.1:1",
                "--origin",
                "a b",
            ],
            "a b",
        ),
        (&["publish", "", "--listen", "tcp/127.0.0.1:1"], "empty"),
        (
            &[
                "follow",
                "x",
                "--max-size",
                "9X",
                "--connect",
                "tcp/127.0.0.1:1",
            ],
            "number of bytes",
        ),
    ] {
        let refusal = refusal(arguments);
        assert!(refusal.contains(says), "{arguments:?}: {refusal}");
    }
}

#[test]
fn check_makes_a_round_trip_and_leaves_nothing() {
    let before = neocortex::inspect::segments().expect("a list").len();
    let output = run(&["check"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("the next one after"),
        "{output:?}"
    );
    print!("{text}");
    // Others may come and go meanwhile; its own have its name.
    let left = neocortex::inspect::segments().expect("a list");
    assert!(
        !left
            .iter()
            .any(|info| info.name.contains("neocortex-mirror check")),
        "{before} before, {left:?}"
    );
}

#[test]
fn the_manual_page_and_the_completions_know_every_option() {
    let page = String::from_utf8(run(&["man"]).stdout).expect("text");
    for word in [
        "PUBLISH",
        "FOLLOW",
        "STATUS",
        "CHECK",
        "take\\-over",
        "standby",
        "max\\-size",
        "insecure",
        "EXIT STATUS",
    ] {
        assert!(page.contains(word), "{word}");
    }
    assert!(!page.contains("BENCH"));
    for shell in ["bash", "zsh", "fish"] {
        let script = String::from_utf8(run(&["completions", shell]).stdout).expect("text");
        assert!(script.contains("take-over"), "{shell}");
    }
}

#[test]
fn the_structure_of_c_is_that_of_rust() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("status.c");
    macro_rules! fields {
        ($($field:ident)*) => { [$((stringify!($field), offset_of!(Status, $field))),*] };
    }
    let fields = fields!(role alive updated_at heard_at applied_at age_at_most origin_version known_version local_version
        term epoch applied conflated missed refused foreign process origin);
    let mut source =
        String::from("#include <neocortex_mirror.h>\n#include <stddef.h>\ntypedef char whole[");
    let checks = fields
        .iter()
        .map(|(field, at)| format!("offsetof(neocortex_mirror_status, {field}) == {at} && "));
    source.extend(checks);
    source.push_str(&format!(
        "sizeof(neocortex_mirror_status) == {} && NEOCORTEX_MIRROR_STATUS_SCHEMA == UINT64_C({STATUS_SCHEMA}) && NEOCORTEX_MIRROR_PUBLISHES == {} && NEOCORTEX_MIRROR_FOLLOWS == {} ? 1 : -1];\n",
        size_of::<Status>(), Status::PUBLISHES, Status::FOLLOWS
    ));
    std::fs::write(&program, source).expect("a file");
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    for (compiler, language) in [
        ("cc", ["-std=c99", "-xc"]),
        ("c++", ["-std=c++17", "-xc++"]),
    ] {
        let mut command = Command::new(compiler);
        command.args(language).args([
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-fsyntax-only",
            "-I",
        ]);
        let output = command
            .arg(&include)
            .arg(&program)
            .output()
            .expect("a compiler");
        assert!(
            output.status.success(),
            "{compiler}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(
        fields.len() * 8 - 8 + 64,
        size_of::<Status>(),
        "a field is not in this list"
    );
}
