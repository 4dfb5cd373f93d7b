//! Mirrors between hosts: network and IPC namespaces of their own on this machine, joined by a switch whose links can be
//! cut and slowed down. Every row of the table of failures in `docs/mirror.md` is a test here.
//!
//! They need root. Long (`NEOCORTEX_LONG=1`) is the same code with more repetitions and longer cuts. What is measured is
//! printed (`--nocapture`) and not asserted; a wait that is in vain ends with a message.

#![cfg(target_os = "linux")]

mod agent;
mod crashes;
mod host;
mod links;
mod measure;
mod origins;
mod refusals;
mod surface;

use std::time::Duration;

/// How long anything may take before the test is given up: much longer than it takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the first where the tests are to be short, and the second where they are to be long.
pub fn or_long<T>(short: T, long: T) -> T {
    match std::env::var_os("NEOCORTEX_LONG") {
        None => short,
        Some(_) => long,
    }
}
