//! The C and C++ side: its programs, what the header and the library promised, and the programs of README.

#![cfg(not(neocortex_lean))]

#[path = "../common/mod.rs"]
mod common;
mod compile;

mod abi;
mod programs;
mod readme;
mod statuses;
