//! Cortexes on other hosts: values of [`neocortex`] mirrored over [Eclipse Zenoh](https://zenoh.io).
//!
//! Shared memory ends at the host. A mirror carries a cortex further: on the host that has it, the *origin*, it observes
//! the cortex and answers; on every other host it asks, and writes the answer to a cortex there, which local programs
//! use like any other. What counts is the newest whole value: commits in between may be left out. How old the value is,
//! and whether its origin is there, stands in a [`Status`] that local programs read.
//!
//! The command `neocortex-mirror` does the same without a program. When not to use it, and what it promises, stands in
//! the guide (`docs/guide/hosts.md`), measurements in `docs/mirror.md`.
//!
//! | module | what it is |
//! |---|---|
//! | `mirror` | the interface; `config`, `error`, `status`: what it takes and tells |
//! | `publish`, `follow` | the two sides, each a task; `offer`: the cortex that is read; `local`: the one that is written |
//! | `running`, `pool` | what both have, and the threads that do them |
//! | `claim`, `wire` | who is the origin; what goes over the network |
//! | `session`, `engine` | Zenoh, and the few words that the rest knows of it |
//! | `place`, `names`, `clock` | where this process is, what follows from names, the time |

mod claim;
mod clock;
mod config;
mod engine;
mod error;
mod follow;
mod local;
mod mirror;
mod names;
mod offer;
mod place;
mod pool;
mod publish;
mod running;
mod session;
mod status;
mod wire;

#[doc(hidden)]
pub mod check;
pub use config::Config;
pub use error::{MirrorError, MirrorResult};
pub use mirror::{Follow, Following, Mirror, Publish, Publishing};
pub use names::status_name;
pub use status::{now, Status, SCHEMA as STATUS_SCHEMA};
