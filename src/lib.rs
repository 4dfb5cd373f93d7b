//! A value that several processes share, on any UNIX. Name it with an `i32` key, read it, write it.
//!
//! It is System V shared memory underneath; a lock travels with it; a process may be killed at any
//! instruction and nobody else hangs, sees half a value, or loses the last one that was committed.
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
//! [`guide`] explains the concepts, how to choose a lock, what a crash leaves, containers, permissions, limits, and
//! how to come from elsewhere. To look up: [`Cortex`] for typed values, [`Segment`] for bytes, [`Observer`] to look on
//! without taking part, [`CortexSync`] for a lock of your own, [`inspect`] for what lies around.
#![cfg_attr(
    not(feature = "semaphore"),
    doc = "",
    doc = " [`guide`]: https://docs.rs/neocortex/4/neocortex/guide/index.html"
)]
// Under `--cfg loom` some items have no user.
#![cfg_attr(loom, allow(dead_code, unused_imports))]

#[cfg(not(unix))]
compile_error!("neocortex needs System V shared memory and semaphores: a UNIX-like system");
#[cfg(not(target_has_atomic = "64"))]
compile_error!("neocortex needs 64-bit atomic operations");

mod advice;
#[cfg(not(loom))]
mod builder;
mod commit;
#[cfg(not(loom))]
mod copy;
#[cfg(not(loom))]
mod cortex;
mod error;
mod format;
#[cfg(all(feature = "semaphore", not(loom)))]
pub mod guide;
#[cfg(not(loom))]
pub mod inspect;
mod lifecycle;
#[cfg(not(loom))]
mod lock_site;
mod membership;
#[cfg(loom)]
mod models;
#[cfg(not(loom))]
mod observer;
mod participants;
#[cfg(not(loom))]
mod permission;
mod primitive;
#[cfg(not(loom))]
mod segment;
mod signal;
#[cfg(not(loom))]
mod site;
#[cfg(not(loom))]
mod sync;
// Under `--cfg loom` the algorithms alone, on the model checker's atomics.
#[cfg(loom)]
mod sync {
    pub(crate) mod owner;
    pub(crate) mod shared;
}
mod sys;
#[cfg(not(loom))]
mod view;

#[cfg(all(feature = "capi", not(loom)))]
pub mod capi;

#[cfg(not(loom))]
pub use builder::{CortexBuilder, KeyChoice, NoKey, WithKey, WithRandomKey};
#[cfg(not(loom))]
pub use cortex::Cortex;
pub use error::{CortexError, CortexResult, Leftover, SystemError};
#[cfg(not(loom))]
pub use observer::{Observer, SegmentObserver};
#[cfg(not(loom))]
pub use permission::Permission;
#[cfg(not(loom))]
pub use segment::{ReadGuard, Segment, SegmentOptions, WriteGuard};
#[cfg(not(loom))]
pub use sync::{Access, CortexSync, LockSite, Participants, RwLock, SeqLock, Wait};
#[cfg(all(feature = "semaphore", not(loom)))]
pub use sync::{Semaphore, SemaphorePermission, SemaphoreSettings};

/// The programs in README, as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
