//! Semaphore sets without a segment, real ones and forged ones: to any other test they would look as if it had left them
//! behind, and its `reclaim` would take them away. So they are here, and tried one after the other.

#[path = "../common/mod.rs"]
mod common;

mod orphans;
mod squatting;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits until no other test of this program runs.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
