//! Bytes that several processes share: reading, writing, partial writes, removal.
//!
//! **Invariants.** A range is checked in `Segment::check_range` before any pointer is made of it. Whatever takes the
//! lock's write access goes through `Segment::begin_write` and the commit protocol, whatever the lock, because optimistic
//! readers and observers depend on the counters. Waiters are woken after the lock is released and a SeqCst fence.
//!
//! | files | what they are for |
//! |---|---|
//! | `handle`, `options`, `factory`, `contents`, `shown` | what a segment is, what it is made with, which lock it is made with |
//! | `take`, `read`, `write`, `payload`, `read_guard`, `write_guard`, `pause`, `wait`, `source`, `follow`, `followed`, `records`, `room`, `fast` | what is done with its bytes |
//! | `ownership`, `close` | which handle removes it, and the end of a handle |
//! | `create`, `existing`, `memory`, `vanishing`, `attach`, `creator`, `either` | how a handle comes to be |
//! | `find`, `presence`, `removal`, `replace` | from a key to a segment, its participants, taking it away |
//! | `observer` | reading without taking part |

mod attach;
mod close;
mod contents;
mod create;
mod creator;
mod either;
mod existing;
mod factory;
#[cfg(feature = "capi")]
mod fast;
pub(crate) mod find;
mod follow;
mod followed;
mod handle;
mod memory;
pub(crate) mod observer;
mod options;
mod ownership;
mod pause;
mod payload;
pub(crate) mod presence;
mod read;
mod read_guard;
mod records;
pub(crate) mod removal;
pub(crate) mod replace;
mod room;
mod shown;
mod source;
mod take;
mod vanishing;
mod wait;
mod write;
mod write_guard;

pub(crate) use crate::attachment::patience::Limit;
#[cfg(feature = "capi")]
pub(crate) use attach::attach;
pub(crate) use create::create;
pub(crate) use factory::StaticLock;
#[cfg(feature = "capi")]
pub(crate) use factory::{check_size, LockFactory};
pub use follow::SegmentFollower;
pub use followed::{Batch, Followed};
pub use handle::Segment;
pub use observer::SegmentObserver;
pub use options::{HugePages, SegmentOptions};
pub(crate) use payload::Contents;
pub use read_guard::ReadGuard;
pub(crate) use source::Backing;
pub(crate) use wait::removed_at;
pub use write_guard::WriteGuard;
