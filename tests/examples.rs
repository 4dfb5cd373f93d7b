//! The examples in `examples`, `examples-c` and `examples-python`, run as a user would run them.
//!
//! In a file of their own: the demo compares the kernel's tables before and after, and test files run one
//! after the other.

#![cfg(not(neocortex_lean))]

#[path = "c/compile.rs"]
mod compile;

use compile::{assert_succeeded, build, library, program, root};
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
fn log_keeps_every_event_of_writers_that_are_killed() {
    rust("log");
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
    run_python("examples-python/cortex.py", arguments)
}

fn run_python(file: &str, arguments: &[&str]) -> String {
    let library = library().join(format!("libneocortex{}", std::env::consts::DLL_SUFFIX));
    let output = Command::new("python3")
        .arg(root().join(file))
        .args(arguments)
        .env("NEOCORTEX_LIBRARY", library)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 (`sh .ci/packages python3` installs it)");
    assert_succeeded(&format!("{file} {arguments:?}"), &output);
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

/// Each in `tests/python/promises.py`.
macro_rules! python_promises {
    ($($name:ident)*) => {
        mod python_example {
            $(
                #[test]
                fn $name() {
                    let _turn = super::TURN.lock();
                    super::run_python("tests/python/promises.py", &[stringify!($name)]);
                }
            )*
        }
    };
}

python_promises! {
    ctrl_c_ends_a_wait
    ctrl_c_ends_waiting_for_the_lock
    a_handle_can_be_sent_to_a_spawned_process
    an_array_can_be_sent_too
    forgotten_handles_are_closed
    what_is_not_closed_is_removed_at_the_end
    an_interrupt_at_any_instruction_of_an_update_releases_the_guard
    ctrl_c_ends_a_change_and_rolls_it_back
    updates_of_threads_exclude_one_another
    messages_are_in_the_words_of_python
    keys_and_schemas_are_those_of_every_language
    what_is_no_name_is_refused_with_the_rule
    a_name_finds_its_own_cortex_and_no_other
    exactly_one_of_many_that_start_at_once_creates
    what_a_killed_owner_left_is_opened_and_taken_over
    who_comes_first_waits_for_the_creator
    ctrl_c_ends_waiting_for_the_creator
    no_commit_is_followed_twice
    what_is_overwritten_starts_from_nothing_and_is_whole
    a_handler_that_does_not_raise_ends_a_wait_that_is_interruptible
    memory_can_be_there_from_the_start
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
