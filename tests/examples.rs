//! The examples in `examples`, `examples-c` and `examples-python`, run as a user would run them.
//!
//! In a file of their own: the demo compares the kernel's tables before and after, and test files run one
//! after the other.

#![cfg(not(neocortex_lean))]

mod c_build;

use c_build::{assert_succeeded, build, library, program, root};
use neocortex::CortexBuilder;
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

fn python(arguments: &[&str]) -> String {
    let library = library().join(format!("libneocortex{}", std::env::consts::DLL_SUFFIX));
    let output = Command::new("python3")
        .arg(root().join("examples-python/cortex.py"))
        .args(arguments)
        .env("NEOCORTEX_LIBRARY", library)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 (`sh .ci/packages python3` installs it)");
    assert_succeeded("cortex.py", &output);
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn two_python_processes_share_a_value() {
    let _turn = TURN.lock();
    python(&[]);
}

/// A `Reading` of 16 bytes, one half `f64` and the other `u64`: the same for Rust, C and Python.
#[test]
fn python_and_rust_share_a_value() {
    let _turn = TURN.lock();
    let cortex = CortexBuilder::new([20.5_f64.to_bits(), 7])
        .random_key()
        .create()
        .expect("a cortex");
    let key = cortex.key().to_string();
    assert_eq!(python(&["read", &key]), "7: 20.50\n");
    python(&["write", &key, "-3.25"]);
    assert_eq!(cortex.read().expect("a value"), [(-3.25_f64).to_bits(), 8]);
    assert_eq!(cortex.version(), 1);
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
