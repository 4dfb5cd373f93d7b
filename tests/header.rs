//! `include/neocortex.h` is what cbindgen makes of `src/capi`, and compiles alone everywhere.
//!
//! `NEOCORTEX_WRITE_HEADER=1 cargo test --test header header_is_fresh` writes it anew.

#![cfg(not(neocortex_lean))]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn generate() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml");
    let bindings = cbindgen::Builder::new()
        .with_crate(root())
        .with_config(config)
        .generate()
        .expect("cbindgen understands src/capi");
    let mut header = Vec::new();
    bindings.write(&mut header);
    String::from_utf8(header).expect("a header is text")
}

#[test]
fn header_is_fresh() {
    let path = root().join("include/neocortex.h");
    let header = generate();
    if std::env::var_os("NEOCORTEX_WRITE_HEADER").is_some() {
        std::fs::write(&path, &header).expect("write the header");
    }
    let committed = std::fs::read_to_string(&path).expect("include/neocortex.h");
    assert!(
        header == committed,
        "include/neocortex.h is stale: NEOCORTEX_WRITE_HEADER=1 cargo test --test header header_is_fresh"
    );
}

#[test]
fn header_names_the_crate_version() {
    let header = std::fs::read_to_string(root().join("include/neocortex.h")).unwrap();
    for (name, value) in [
        ("MAJOR", env!("CARGO_PKG_VERSION_MAJOR")),
        ("MINOR", env!("CARGO_PKG_VERSION_MINOR")),
        ("PATCH", env!("CARGO_PKG_VERSION_PATCH")),
    ] {
        assert!(
            header.contains(&format!("#define NEOCORTEX_VERSION_{name} {value}\n")),
            "{name}"
        );
    }
}

fn compiles(compiler: &str, standard: &str, source: &Path) {
    let output = Command::new(compiler)
        .arg(format!("-std={standard}"))
        .args([
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-fsyntax-only",
            "-I",
        ])
        .arg(root().join("include"))
        .arg(source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler} (see CONTRIBUTING.md for packages): {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{compiler} -std={standard}:\n{text}"
    );
}

/// Includes the header alone and twice, and uses the initialiser.
const PROGRAM: &str = "#include \"neocortex.h\"\n#include \"neocortex.h\"\n\
    neocortex_options options(void);\n\
    neocortex_options options(void) { neocortex_options o = NEOCORTEX_OPTIONS_INIT; return o; }\n";

#[test]
fn header_compiles_alone_in_every_standard() {
    let directory = tempfile::tempdir().unwrap();
    let c = directory.path().join("alone.c");
    let cpp = directory.path().join("alone.cpp");
    std::fs::write(&c, PROGRAM).unwrap();
    std::fs::write(&cpp, PROGRAM).unwrap();
    for standard in ["c99", "c11"] {
        compiles("gcc", standard, &c);
        compiles("clang", standard, &c);
    }
    for standard in ["c++11", "c++17"] {
        compiles("g++", standard, &cpp);
        compiles("clang++", standard, &cpp);
    }
}
