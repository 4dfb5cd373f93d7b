//! The examples in `examples` and `examples-c`, run as a user would run them.
//!
//! In a file of their own: the demo compares the kernel's tables before and after, and test files run one
//! after the other.

#![cfg(not(neocortex_lean))]

#[path = "c/compile.rs"]
mod compile;

use compile::{assert_succeeded, build, build_target, library, program, root};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// One example at a time.
static TURN: Mutex<()> = Mutex::new(());

fn built() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("examples-c"))
}

fn example(name: &str, arguments: &[&str]) {
    let _turn = TURN.lock();
    let output = program(&built().join(name))
        .args(arguments)
        .output()
        .expect("an example");
    assert_succeeded(name, &output);
}

#[test]
fn counter_counts_every_increment() {
    example("counter", &["4", "5000"]);
}

#[test]
fn frames_in_c_are_whole_and_a_half_drawn_one_is_poisoned() {
    example("frames", &[]);
}

#[test]
fn an_event_loop_in_c_is_told_the_last_change_of_each_value() {
    example("loop", &[]);
}

/// Where asio is there, on Debian by libasio-dev.
#[test]
fn an_asio_program_is_told_the_last_change_of_each_value() {
    if !has_header("asio.hpp") {
        println!("NOT RUN: asio is not installed (libasio-dev)");
        return;
    }
    build_target("examples-c", "asio");
    example("asio", &[]);
}

/// Whether the C++ compiler finds a header.
fn has_header(name: &str) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("header.cpp");
    std::fs::write(&source, format!("#include <{name}>\n")).expect("a file");
    let output = Command::new("c++").arg("-E").arg(&source).output();
    output.expect("c++").status.success()
}

#[test]
fn supervisor_in_cpp_loses_nothing() {
    example("supervisor", &[]);
}

#[test]
fn custom_lock_passes_a_killed_holder() {
    example("custom_lock", &[]);
}

/// A Rust example, run without arguments.
fn rust(name: &str) {
    let _turn = TURN.lock();
    let output = rust_example(name).output().expect("an example");
    assert_succeeded(name, &output);
}

#[test]
fn robust_mutex_in_rust_passes_a_killed_holder() {
    rust("robust_mutex");
}

#[test]
fn configuration_reaches_every_subscriber() {
    rust("configuration");
}

#[test]
fn frames_are_whole_and_a_half_drawn_one_is_poisoned() {
    rust("frames");
}

#[test]
fn jobs_are_given_out_once_though_a_worker_is_killed() {
    rust("jobs");
}

#[test]
fn log_keeps_every_event_of_writers_that_are_killed() {
    rust("log");
}

#[test]
fn a_store_of_twenty_values_is_followed_by_a_process_and_by_a_task() {
    rust("state");
}

#[test]
fn a_recorder_has_every_frame_or_knows_how_many_it_lost() {
    rust("video");
}

#[test]
fn supervisor_that_kills_its_workers_loses_nothing() {
    rust("supervisor");
}

fn rust_example(name: &str) -> Command {
    escargot::CargoBuild::new()
        .manifest_path(root().join("Cargo.toml"))
        .target_dir(root().join("target/c-programs"))
        .example(name)
        .run()
        .expect("cargo build --example")
        .command()
}

/// README's first command, with the library just built.
#[test]
fn demo_shows_processes_in_c_cpp_and_rust_sharing_a_value() {
    let _turn = TURN.lock();
    let rust = rust_example("join");
    let output = Command::new("sh")
        .arg("demo.sh")
        .current_dir(root().join("examples-c"))
        .env("BUILD", built())
        .env("LD_LIBRARY_PATH", library())
        .env("NEOCORTEX_RUST_EXAMPLE", rust.get_program())
        .output()
        .expect("sh");
    assert_succeeded("demo.sh", &output);
}
