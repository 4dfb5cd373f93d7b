//! A value that several processes share, on any UNIX. Give it a name, read it, write it.
//!
//! Underneath is System V shared memory, and the segment holds the lock too. A process may be killed at any
//! instruction: no other process hangs, sees half a value, or loses the last one that was committed.
//!
//! ```
//! use neocortex::{Cortex, CortexBuilder, Shared};
//!
//! #[derive(Debug, Clone, Copy, PartialEq, Shared)]
//! #[repr(C)]
//! struct Reading { celsius: f64, sequence: u64 }
//!
//! # fn main() -> neocortex::CortexResult<()> {
//! # let name = format!("front-page/{}", std::process::id());
//! # let name = name.as_str();
//! // One program creates it, under a name; it is removed when this handle is dropped.
//! # let _ = r#"
//! let name = "boiler/temperature";
//! # "#;
//! let sensor = CortexBuilder::new(Reading { celsius: 20.0, sequence: 0 }).key(name).create()?;
//!
//! // Any other program attaches to it.
//! let display: Cortex<Reading> = Cortex::attach(name)?;
//! sensor.write(Reading { celsius: 21.5, sequence: 1 })?;
//! assert_eq!(display.read()?.celsius, 21.5); // takes no lock, and never sees half a value
//! display.update(|now| now.celsius += 0.5)?; // as one step; a panic in it changes nothing
//!
//! let (now, version) = sensor.read_versioned()?;
//! assert_eq!((now.celsius, version), (22.0, 2)); // the second commit
//! sensor.write(Reading { celsius: 23.0, sequence: 2 })?;
//! display.wait_changed(version, None)?; // sleeps until there is a newer one
//! # Ok(()) }
//! ```
//!
//! | you want | take |
//! |---|---|
//! | a value of a type | [`Cortex`], made by [`CortexBuilder`]; its type is plain data that derives [`trait@Shared`] |
//! | programs that start in any order | [`CortexBuilder::create_or_attach`], [`SegmentOptions::wait_for_creator`]: [names] |
//! | to read without taking part | [`Observer`]: read permission is enough, and no writer notices |
//! | each commit in order, a log, a queue | [`Cortex::follow`], [`Segment::push`]: [logs] |
//! | whichever of many changes; an event loop; a future | [`WaitSet`], [`Cortex::changed`]: [waiting] |
//! | a large value filled in place | [`Cortex::write_guard`], [`Segment::overwrite_guard`]: [values] |
//! | bytes whose number is known when the program runs | [`Segment`] |
//! | another lock, or one of your own | [`CortexBuilder::with_default_lock`], [`CortexSync`]: [locks] |
//! | what there is on this machine, and who has it | the module [`inspect`], or the command `neocortex` |
//! | a program with a certain call in it | the chapter [calls], which has all that are shown nowhere else |
//! | C, C++, Python | `neocortex.h`, `neocortex.hpp`, `pip install neocortex`: the same values |
//!
//! The [`guide`] answers questions: what to do after a crash, in containers, with permissions, on which systems, and how to
//! come from another library or from neocortex 3. With the default lock nothing need be chosen. A lock with settings:
//!
//! ```
//! use neocortex::{CortexBuilder, Semaphore, SemaphorePermission, SemaphoreSettings};
//!
//! # fn main() -> neocortex::CortexResult<()> {
//! let settings = SemaphoreSettings { mode: SemaphorePermission::OwnerAndGroup };
//! let cortex = CortexBuilder::new(42.0).random_key().with_lock::<Semaphore>(&settings)?;
//! assert_eq!(cortex.read()?, 42.0);
//! # Ok(()) }
//! ```
//!
//! # Features
//!
//! | feature | default | gives |
//! |---|---|---|
//! | `derive` | yes | `#[derive(neocortex::Shared)]` |
//! | `semaphore` | yes | the lock `Semaphore`, and the guide |
//! | `capi` | yes | the C functions |
//! | `serde` | | `Serialize` and `Deserialize` of what [`inspect`] returns |
//! | `stream` | | commits and changes as a `Stream` of futures-core |
//! | `cli` | | the command `neocortex` |
#![cfg_attr(
    feature = "semaphore",
    doc = "",
    doc = " [names]: guide::names\n [logs]: guide::logs\n [waiting]: guide::waiting\n [values]: guide::values\n [locks]: guide::locks\n [calls]: guide::calls"
)]
#![cfg_attr(
    not(feature = "semaphore"),
    doc = "",
    doc = " [`guide`]: https://docs.rs/neocortex/4/neocortex/guide/index.html\n [names]: https://docs.rs/neocortex/4/neocortex/guide/names/index.html\n [logs]: https://docs.rs/neocortex/4/neocortex/guide/logs/index.html\n [waiting]: https://docs.rs/neocortex/4/neocortex/guide/waiting/index.html\n [values]: https://docs.rs/neocortex/4/neocortex/guide/values/index.html\n [locks]: https://docs.rs/neocortex/4/neocortex/guide/locks/index.html\n [calls]: https://docs.rs/neocortex/4/neocortex/guide/calls/index.html"
)]
// Under `--cfg loom` some items are not used.
#![cfg_attr(loom, allow(dead_code, unused_imports))]

#[cfg(not(unix))]
compile_error!("neocortex needs System V shared memory and semaphores: a UNIX-like system");
#[cfg(not(target_has_atomic = "64"))]
compile_error!("neocortex needs 64-bit atomic operations");

mod error;
mod protocol;
mod sys;

// Under `--cfg loom` only the algorithms of `protocol` are built, on the model checker's atomics.
#[cfg(not(loom))]
mod attachment;
#[cfg(not(loom))]
mod copy;
#[cfg(all(feature = "semaphore", not(loom)))]
pub mod guide;
#[cfg(not(loom))]
pub mod inspect;
#[cfg(not(loom))]
mod key;
#[cfg(not(loom))]
mod locks;
mod permission;
#[cfg(not(loom))]
mod plain;
#[cfg(not(loom))]
mod segment;
#[cfg(not(loom))]
mod typed;
#[cfg(not(loom))]
mod wait_set;

#[cfg(all(feature = "capi", not(loom)))]
pub mod capi;

/// The crate whose traits `Shared` implements and a [`Cortex`] requires of its type: they say which types are plain
/// data.
pub use bytemuck;
#[cfg(all(feature = "derive", not(loom)))]
pub use neocortex_derive::Shared;

#[doc(hidden)]
pub use error::surface::Surface;
pub use error::{CortexError, CortexResult, Leftover, SystemError};
#[cfg(not(loom))]
pub use key::{key_of, Key};
#[cfg(not(loom))]
pub use locks::*;
#[cfg(not(loom))]
pub use permission::Permission;
#[doc(hidden)]
#[cfg(not(loom))]
pub use plain::derived;
#[cfg(not(loom))]
pub use plain::{AnyBytes, Readable, Shared};
pub use protocol::name::schema_of;
#[cfg(not(loom))]
pub use segment::SegmentObserver;
#[cfg(not(loom))]
pub use segment::{Batch, Followed, SegmentFollower};
#[cfg(not(loom))]
pub use segment::{HugePages, ReadGuard, Segment, SegmentOptions, WriteGuard};
#[cfg(not(loom))]
pub use typed::Cortex;
#[cfg(not(loom))]
pub use typed::Follower;
#[cfg(not(loom))]
pub use typed::Observer;
#[cfg(not(loom))]
pub use typed::{CortexBuilder, KeyChoice, NoKey, WithKey, WithRandomKey};
#[cfg(not(loom))]
pub use wait_set::{Change, Changed, ChangedAny, Interrupter, Member, WaitSet, Watchable};

#[cfg(all(feature = "stream", not(loom)))]
pub use typed::Commits;
#[cfg(all(feature = "stream", not(loom)))]
pub use wait_set::{Changes, SegmentCommits};

/// The programs in README, as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
