//! What is promised to processes that share a value, each promise in a file of its own.
//!
//! A role's name stands once among all files here: a process is told its role by name alone.

#[path = "../common/mod.rs"]
mod common;

mod custom_lock;
mod events;
mod follow;
mod forged;
mod guards;
mod kill;
mod lifecycle;
mod lossless;
mod names;
mod overwrite;
mod partial;
mod questions;
mod records;
mod states;
mod torn;
mod typed;
mod versioned;
mod wait;
mod wait_set;
