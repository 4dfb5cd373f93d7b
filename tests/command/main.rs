//! The command `neocortex`, as a user calls it: another process, its output, its status.
//!
//! Built by cargo with the feature `cli` in a folder of its own. Who shares, holds and dies is this executable in a role.

#![cfg(all(target_os = "linux", not(neocortex_lean)))]

#[path = "../common/mod.rs"]
mod common;
mod following;
mod looking;
mod names;
mod starting;
mod taking;
mod terminal;
mod working;

use common::{Child, Role, BUILDS};
use neocortex::{Cortex, CortexBuilder, RwLock, Segment, SeqLock};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::Ordering;
use std::sync::OnceLock;

/// The command, built now.
pub(crate) fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let build = escargot::CargoBuild::new()
            .manifest_path(root.join("Cargo.toml"))
            .target_dir(root.join("target/command"))
            .features("cli")
            .bin("neocortex")
            // As the Debian package has it, which takes it from there.
            .release();
        BUILDS.fetch_add(1, Ordering::Relaxed);
        let built = build.run().expect("cargo build");
        BUILDS.fetch_add(1, Ordering::Relaxed);
        built.path().to_owned()
    })
}

pub(crate) fn neocortex(arguments: &[&str]) -> Command {
    let mut command = Command::new(path());
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    neocortex(arguments).output().expect("the command")
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What it prints, where it succeeds.
#[track_caller]
pub(crate) fn succeeds(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        errors(&output)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What it says on standard error, where it fails with this status and prints nothing.
#[track_caller]
pub(crate) fn fails(status: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let words = errors(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {words}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert!(!words.is_empty() && !words.contains("panicked"), "{words}");
    words
}

pub(crate) fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&succeeds(arguments)).expect("JSON")
}

// ---- Roles -----------------------------------------------------------------------------------

/// A process that owns a cortex of 16 bytes, with its lock held half way through a write.
pub(crate) fn holder(lock: &str, slots: &str, key: i32) -> Child {
    let mut child = Child::spawn("role_hold", &[&key, &lock, &slots]);
    child.expect("held");
    child
}

#[test]
fn role_hold() {
    let Some(role) = Role::of("role_hold") else {
        return;
    };
    let builder = CortexBuilder::new([7_u64, 0]).key(role.key());
    let builder = match role.text(2) {
        "in-place" => builder.in_place(),
        _ => builder,
    };
    match role.text(1) {
        "seqlock" => hold::<SeqLock>(builder.with_default_lock().unwrap(), &role),
        _ => hold::<RwLock>(builder.with_default_lock().unwrap(), &role),
    }
}

fn hold<L: neocortex::CortexSync>(cortex: Cortex<[u64; 2], L>, role: &Role) {
    cortex.write([8, 0]).unwrap();
    let mut guard = cortex.write_guard().unwrap();
    guard[1] = 99;
    role.say("held");
    role.listen();
}

/// A process that reads through a guard.
#[test]
fn role_read() {
    let Some(role) = Role::of("role_read") else {
        return;
    };
    let cortex: Cortex<[u64; 2], RwLock> = Cortex::attach(role.key()).unwrap();
    let _guard = cortex.read_guard().unwrap();
    role.say("reading");
    role.listen();
}

/// A process that owns a cortex of 16 bytes and commits once for each line it is told.
#[test]
fn role_own() {
    let Some(role) = Role::of("role_own") else {
        return;
    };
    let segment: Segment = Segment::create(role.key(), 16).unwrap();
    role.say("made");
    while role.listen() == "commit" {
        segment.write_at(0, &[1]).unwrap();
        role.say("committed");
    }
    segment.close().unwrap();
    role.say("closed");
}

pub(crate) fn owner(key: i32) -> Child {
    let mut child = Child::spawn("role_own", &[&key]);
    child.expect("made");
    child
}
