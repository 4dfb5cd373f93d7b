//! The guide: what to know before the first program, and in which chapter it is.
//!
//! | you ask | chapter |
//! |---|---|
//! | Which name or key? Who starts first? What after a crash? | [`names`] |
//! | Who removes it: `exit`, Ctrl-C, `static`, `daemon`, systemd? | [`services`] |
//! | Which lock? | [`locks`] |
//! | A value, a frame, a log, a counter: which shape for which data? | [`values`], [`logs`] |
//! | Async, event loops, many values at once? | [`waiting`] |
//! | C, C++ and Python on one value? | [`together`] |
//! | Containers, Kubernetes? Permissions, dropped privileges? | [`containers`], [`permissions`] |
//! | Other hosts? | [`hosts`] |
//! | What does this error want of me? What is stuck, and how do I repair it? | [`errors`], [`command`] |
//! | How do I come from neocortex 3, Boost, `shmget`, Python's `shared_memory`, iceoryx2? | [`migration`], [`shared_memory`] |
//!
//! All chapters:
//!
//! | chapter | answers |
//! |---|---|
//! | [`concepts`] | what a cortex is, what the words mean, which layout |
//! | [`names`] | names, who creates and who removes, what to do after a crash, schemas |
//! | [`installing`] | the library for C and C++: cargo-c, pkg-config, CMake, Debian |
//! | [`services`] | who removes it, and when: every way that a program ends |
//! | [`examples`] | programs to start from |
//! | [`together`] | one value in Rust, C, C++ and Python |
//! | [`locks`] | which lock |
//! | [`values`] | no commit twice, frames filled in place, waits and signals, memory that is there |
//! | [`logs`] | every commit in order, or the newest: logs, queues, frames |
//! | [`waiting`] | whichever of many values changes; thousands of them |
//! | [`calls`] | every call of the library, in short programs |
//! | [`guarantees`] | what is guaranteed, what survives what, known limits |
//! | [`errors`] | each error, and what to do |
//! | [`command`] | the command `neocortex` |
//! | [`crashes`] | what is left when a process dies, and what a program does about it |
//! | [`containers`] | which processes can share a cortex |
//! | [`hosts`] | how other hosts get a value, and when not to do it so |
//! | [`permissions`] | which users may do what |
//! | [`platforms`] | limits of each system, and where neocortex runs |
//! | [`migration`] | coming from neocortex 3.0.3, Boost.Interprocess, `shmget` |
//! | [`shared_memory`] | Python: coming from `multiprocessing.shared_memory` |
//!
//! This module holds documentation only. The same texts are in the source, in `docs/guide`; their programs run as
//! documentation tests. Programs to start from: `examples`, `examples-c`, `examples-python`.

#[doc = include_str!("../docs/guide/concepts.md")]
pub mod concepts {}

#[doc = include_str!("../docs/guide/names.md")]
pub mod names {}

#[doc = include_str!("../docs/guide/locks.md")]
pub mod locks {}

#[doc = include_str!("../docs/guide/values.md")]
pub mod values {}

#[doc = include_str!("../docs/guide/logs.md")]
pub mod logs {}

#[doc = include_str!("../docs/guide/waiting.md")]
pub mod waiting {}

#[doc = include_str!("../docs/guide/calls.md")]
pub mod calls {}

#[doc = include_str!("../docs/guide/crashes.md")]
pub mod crashes {}

#[doc = include_str!("../docs/guide/containers.md")]
pub mod containers {}

#[doc = include_str!("../docs/guide/hosts.md")]
pub mod hosts {}

#[doc = include_str!("../docs/guide/permissions.md")]
pub mod permissions {}

#[doc = include_str!("../docs/guide/platforms.md")]
pub mod platforms {}

#[doc = include_str!("../docs/guide/migration.md")]
pub mod migration {}

#[doc = include_str!("../docs/guide/shared_memory.md")]
pub mod shared_memory {}

#[doc = include_str!("../docs/guide/installing.md")]
pub mod installing {}

#[doc = include_str!("../docs/guide/services.md")]
pub mod services {}

#[doc = include_str!("../docs/guide/together.md")]
pub mod together {}

#[doc = include_str!("../docs/guide/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("../docs/guide/errors.md")]
pub mod errors {}

#[doc = include_str!("../docs/guide/command.md")]
pub mod command {}

#[doc = include_str!("../docs/guide/examples.md")]
pub mod examples {}
