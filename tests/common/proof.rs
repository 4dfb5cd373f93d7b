//! The ledger that `docs/proof.md` is written from.
//!
//! A test that tries a promise the hard way says at its end what it tried, and how often; a test that could
//! not be tried here says so loudly and counts as not run. Nothing is written unless `NEOCORTEX_PROOF`
//! names the ledger, as `.ci/run` does. `.ci/xtask proof` reads it.

use std::io::Write;

/// Whether the long form is asked for (`NEOCORTEX_LONG=1`), which takes hours where the other takes a minute.
pub fn is_long() -> bool {
    std::env::var_os("NEOCORTEX_LONG").is_some_and(|value| value == "1")
}

/// This many cases: `bounded` in the form that CI runs, `long` in the long one.
pub fn cases(bounded: u64, long: u64) -> u64 {
    if is_long() {
        long
    } else {
        bounded
    }
}

/// What this was tried on: architecture, system and libc, and a build of its own kind where it is one.
fn target() -> String {
    let libc = if cfg!(target_env = "musl") {
        "-musl"
    } else if cfg!(target_env = "gnu") {
        "-gnu"
    } else {
        ""
    };
    let portable = if cfg!(neocortex_portable) {
        ", portable"
    } else {
        ""
    };
    let build =
        std::env::var("NEOCORTEX_PROOF_BUILD").map_or(String::new(), |build| format!(", {build}"));
    format!(
        "{}-{}{libc}{portable}{build}",
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}

fn append(promises: &str, how: &str, cases: u64, result: &str) {
    let Some(path) = std::env::var_os("NEOCORTEX_PROOF") else {
        return;
    };
    let form = if is_long() { "long" } else { "bounded" };
    let row = format!(
        "{promises}\t{how}\t{}\t{form}\t{cases}\t{result}\n",
        target()
    );
    assert_eq!(row.matches('\t').count(), 5, "a tab in {row:?}");
    let mut ledger = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .expect("the ledger");
    // One write: tests of several processes append at once.
    ledger.write_all(row.as_bytes()).expect("the ledger");
}

/// The last line of a test that tried these promises (`"P1 P2"`) in this many cases, and passed.
pub fn passed(promises: &str, how: &str, cases: u64) {
    assert_ne!(cases, 0, "{how}: no case was tried");
    append(promises, how, cases, "passed");
}

/// Said by a test that lacks something here. It counts as not run, never as passed.
pub fn not_run(promises: &str, how: &str, why: &str) {
    // Not `eprintln`, which is captured.
    let _ = writeln!(std::io::stderr(), "NOT RUN: {how}: {why}");
    append(promises, how, 0, &format!("not run: {why}"));
}
