//! The C and C++ in README compiles as it stands there. (Its Rust is a documentation test.)

use std::process::Command;

/// The fenced blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let readme = include_str!("../README.md");
    let fence = format!("```{language}\n");
    readme
        .split(fence.as_str())
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

fn compiles(language: &str, compiler: &str, standard: &str, suffix: &str) {
    let blocks = blocks(language);
    assert!(!blocks.is_empty(), "README has no {language}");
    for block in blocks {
        let directory = tempfile::tempdir().expect("a folder");
        let source = directory.path().join(format!("readme.{suffix}"));
        std::fs::write(&source, &block).expect("a file");
        let include = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
        let output = Command::new(compiler)
            .args([
                standard,
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Werror",
                "-fsyntax-only",
                "-I",
                include,
            ])
            .arg(&source)
            .output()
            .expect("a compiler");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}\n{block}");
    }
}

#[test]
fn c_in_readme_compiles() {
    compiles("c", "cc", "-std=c99", "c");
}

#[test]
fn cpp_in_readme_compiles() {
    compiles("cpp", "c++", "-std=c++17", "cpp");
}
