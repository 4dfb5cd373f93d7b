//! A value that several processes share, on any UNIX. Give it an `i32` key or a name, read it, write it.
//!
//! Underneath is System V shared memory, and the segment holds the lock too. A process may be killed at any
//! instruction: no other process hangs, sees half a value, or loses the last one that was committed.
//!
//! ```
//! # // Both programs use key 123, and documentation tests run at the same time.
//! # let turn = std::fs::File::create(std::env::temp_dir().join("neocortex-key-123")).unwrap();
//! # turn.lock().unwrap();
//! use neocortex::{Cortex, CortexBuilder, Semaphore};
//!
//! let key = 123;
//! let cortex = CortexBuilder::new(42.0).key(key).with_default_lock::<Semaphore>().unwrap();
//! let attached: Cortex<f64, Semaphore> = Cortex::attach(key).unwrap();
//! assert_eq!(cortex.read().unwrap(), attached.read().unwrap());
//! let new_val = 12.34;
//! cortex.write(new_val).unwrap();
//! assert_eq!(cortex.read().unwrap(), new_val);
//! ```
//!
//! With settings for the lock:
//!
//! ```
//! # let turn = std::fs::File::create(std::env::temp_dir().join("neocortex-key-123")).unwrap();
//! # turn.lock().unwrap();
//! use neocortex::{CortexBuilder, Semaphore, SemaphorePermission, SemaphoreSettings};
//!
//! let settings = SemaphoreSettings { mode: SemaphorePermission::OwnerAndGroup };
//! let cortex = CortexBuilder::new(42.0).key(123).with_lock::<Semaphore>(&settings).unwrap();
//! ```
//!
//! [`guide`] explains the concepts, how to choose a lock, what a crash leaves, containers, permissions, limits, and how
//! to migrate from another library. The main types are [`Cortex`] for typed values, [`Segment`] for bytes, [`Observer`]
//! for reading without taking part, [`CortexSync`] for a lock of your own, and the module [`inspect`] for the cortexes
//! that exist on this machine.
#![cfg_attr(
    not(feature = "semaphore"),
    doc = "",
    doc = " [`guide`]: https://docs.rs/neocortex/4/neocortex/guide/index.html"
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

/// The programs in README, as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
