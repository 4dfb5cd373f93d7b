//! The guide: what to know before the first program, and where it stands.
//!
//! | chapter | answers |
//! |---|---|
//! | [`concepts`] | what a cortex is, what the words mean, which layout |
//! | [`locks`] | which lock |
//! | [`crashes`] | what is left when a process dies, and what a program does about it |
//! | [`containers`] | who shares with whom |
//! | [`permissions`] | who may do what |
//! | [`platforms`] | how much, and where |
//! | [`migration`] | coming from neocortex 3.0.3, Boost.Interprocess, `shmget` |
//!
//! There is nothing but documentation here. The same texts are in the source, in `docs/guide`; their programs
//! run as documentation tests. Programs to start from: `examples`, `examples-c`, `examples-python`.

#[doc = include_str!("../docs/guide/concepts.md")]
pub mod concepts {}

#[doc = include_str!("../docs/guide/locks.md")]
pub mod locks {}

#[doc = include_str!("../docs/guide/crashes.md")]
pub mod crashes {}

#[doc = include_str!("../docs/guide/containers.md")]
pub mod containers {}

#[doc = include_str!("../docs/guide/permissions.md")]
pub mod permissions {}

#[doc = include_str!("../docs/guide/platforms.md")]
pub mod platforms {}

#[doc = include_str!("../docs/guide/migration.md")]
pub mod migration {}
