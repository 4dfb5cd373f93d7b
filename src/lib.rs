//! A value that several processes share, on any UNIX. Name it with an `i32` key, read it, write it.
//!
//! It is System V shared memory underneath; a lock travels with it; a process may be killed at any
//! instruction and nobody else hangs, sees half a value, or loses the last one that was committed.
//!
//! ```
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
//! use neocortex::{CortexBuilder, Semaphore, SemaphorePermission, SemaphoreSettings};
//!
//! let settings = SemaphoreSettings { mode: SemaphorePermission::OwnerAndGroup };
//! let cortex = CortexBuilder::new(42.0).key(123).with_lock::<Semaphore>(&settings).unwrap();
//! ```
//!
//! Where to go from here: [`Cortex`] for typed values, [`Segment`] for bytes, [`Observer`] to look on
//! without taking part, [`CortexSync`] for a lock of your own, [`inspect`] for what lies around.

#[cfg(not(unix))]
compile_error!("neocortex needs System V shared memory and semaphores: a UNIX-like system");
#[cfg(not(target_has_atomic = "64"))]
compile_error!("neocortex needs 64-bit atomic operations");

mod builder;
mod commit;
mod copy;
mod cortex;
mod error;
mod format;
pub mod inspect;
mod observer;
mod participants;
mod permission;
mod primitive;
mod segment;
mod signal;
mod site;
mod sync;
mod sys;

#[cfg(feature = "capi")]
pub mod capi;

pub use builder::{CortexBuilder, KeyChoice, NoKey, WithKey, WithRandomKey};
pub use cortex::Cortex;
pub use error::{CortexError, CortexResult, Leftover, SystemError};
pub use observer::{Observer, SegmentObserver};
pub use permission::Permission;
pub use segment::{ReadGuard, Segment, SegmentOptions, WriteGuard};
pub use sync::{Access, CortexSync, LockSite, Participants, RwLock, SeqLock, Wait};
#[cfg(feature = "semaphore")]
pub use sync::{Semaphore, SemaphorePermission, SemaphoreSettings};
