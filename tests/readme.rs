//! The C and C++ in README compiles and runs as it stands there. (Its Rust is a documentation test.)

#![cfg(not(neocortex_lean))]

mod c_build;
mod common;

use c_build::{assert_succeeded, library, program, root};
use common::Kernel;
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

/// Each block is a program that succeeds. The key that README writes may be in use here: another one stands for it.
fn run(language: &str, compiler: &str, standard: &str, suffix: &str) {
    let folder = library();
    let kernel = Kernel::new();
    let blocks = blocks(language);
    assert!(!blocks.is_empty(), "README has no {language}");
    for block in blocks {
        let directory = tempfile::tempdir().expect("a folder");
        let source = directory.path().join(format!("readme.{suffix}"));
        let built = directory.path().join("readme");
        std::fs::write(&source, block.replace("5461", &kernel.key().to_string())).expect("a file");
        let mut command = Command::new(compiler);
        command.args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]);
        command.arg(root().join("include")).arg(&source);
        command.arg("-L").arg(folder);
        let output = command.args(["-lneocortex", "-o"]).arg(&built).output();
        assert_succeeded(&block, &output.expect("a compiler"));
        assert_succeeded(&block, &program(&built).output().expect("the program"));
    }
}

#[test]
fn c_in_readme_runs() {
    run("c", "cc", "-std=c99", "c");
}

#[test]
fn cpp_in_readme_runs() {
    run("cpp", "c++", "-std=c++17", "cpp");
}
