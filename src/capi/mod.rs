//! The C surface: everything that `include/neocortex.h` declares, and nothing else.
//!
//! The header is generated from this module by cbindgen; the comments here are its documentation, so they are written
//! for C programmers. No other module of the crate imports from here.
//!
//! **Invariants.** Every entry goes through `boundary`: pointers are checked for NULL, a panic
//! becomes a status, the thread's last failure is kept, outputs are written on success only.
//!
//! **Floors.** Each file imports only from those that stand below it in this table (`.ci/xtask floors`).
//!
//! | file | what it is |
//! |---|---|
//! | `opening` | creating, attaching |
//! | `names` | names in place of keys |
//! | `closing` | closing a handle, removing a segment by its key |
//! | `copying` | reading and writing by copy |
//! | `guards` | reading and writing without a copy |
//! | `records` | records of any length |
//! | `following` | reading every commit in order |
//! | `wait_set` | waiting for several segments at once |
//! | `waiting` | waiting for a change, ending waits |
//! | `upkeep` | poison, persistence, ownership |
//! | `query` | what a handle tells of its segment |
//! | `own_guards` | how the calling thread's guards begin and end |
//! | `rollback` | guards that their own thread does not end |
//! | `open_handle` | the handle: `neocortex_segment` |
//! | `held_guards` | what a handle knows of the guards held through it |
//! | `options` | `neocortex_options` |
//! | `lock_request` | which lock is asked for |
//! | `any_lock` | a built-in lock or callbacks |
//! | `callbacks` | a lock made of callbacks |
//! | `lock` | `neocortex_lock_ops`, the built-in tables, what a lock is given |
//! | `log` | the library's events, for a callback |
//! | `boundary` | NULL, panics, failures |
//! | `failure` | the thread's last failure |
//! | `status` | the status codes |
//! | `thread_exit` | what runs when a thread ends |
//! | `versioned` | structures that grow from version to version |
//! | `times` | nanoseconds, for ever, not at all |

#![allow(
    non_camel_case_types,
    reason = "these are the names that C programs use"
)]

// The header has its functions and constants in this order.
mod status;
mod times;

mod options;

mod names;
mod opening;

mod closing;
mod copying;
mod following;
mod guards;
mod records;
mod wait_set;
mod waiting;

mod query;
mod upkeep;

mod lock;

mod failure;
mod log;

// What has no part in the header, but for the type of the handle.
mod any_lock;
mod boundary;
mod callbacks;
mod held_guards;
mod lock_request;
mod open_handle;
mod own_guards;
mod rollback;
mod thread_exit;
mod versioned;

pub use closing::*;
pub use copying::*;
pub use failure::*;
pub use following::*;
pub use guards::*;
pub use lock::*;
pub use log::*;
pub use names::*;
pub use open_handle::neocortex_segment;
pub use opening::*;
pub use options::*;
pub use query::*;
pub use records::*;
pub use status::*;
pub use times::*;
pub use upkeep::*;
pub use wait_set::*;
pub use waiting::*;
