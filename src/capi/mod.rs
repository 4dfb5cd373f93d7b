//! The C surface: everything that `include/neocortex.h` declares, and nothing else.
//!
//! The header is generated from this module by cbindgen; the comments here are its documentation, so
//! they are written for C programmers. Nobody in the crate imports from here.
//!
//! **Invariants.** Every entry goes through `boundary`: pointers are checked for NULL, a panic
//! becomes a status, the thread's last failure is kept, outputs are written on success only.

#![allow(
    non_camel_case_types,
    reason = "these are the names that C programs use"
)]

mod any_lock;
mod boundary;
mod copying;
mod guards;
mod handle;
mod held;
mod lock;
mod log;
mod options;
mod status;
mod thread_end;
mod versioned;

pub use copying::*;
pub use guards::*;
pub use handle::*;
pub use lock::*;
pub use log::*;
pub use options::*;
pub use status::*;
