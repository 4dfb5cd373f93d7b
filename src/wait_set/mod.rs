//! Waiting for many values at once.
//!
//! A [`WaitSet`] has members, and knows of each the version that it has told last. A wait looks at all of them; where
//! none has changed, it asks at the signal word of each, looks once more, and sleeps on all the words at once
//! (`protocol/signal`: `wait_any`). What has changed is told by its version, so a change that comes while nobody waits is
//! not lost, several changes of one member in between are told as one, and nothing has to be drained.
//!
//! **Invariant.** The set keeps the memory of its members mapped ([`member`]), so that nobody ever touches a word that is
//! not there any more, whatever becomes of the handles.
//!
//! | file | what it is |
//! |---|---|
//! | `set` | the set: its members, looking, waiting |
//! | `sleep` | how a wait sleeps |
//! | `registry`, `helper`, `listener` | threads that sleep for a set that is too large to sleep by itself |
//! | `loss` | which members are asked for whether they are still there |
//! | `events`, `changed` | a set in an event loop; a future for one value |
//! | `stream` | both as streams |
//! | `alarm` | what ends a wait from outside |
//! | `member` | the memory of a member |

mod alarm;
mod changed;
mod events;
mod helper;
mod listener;
mod loss;
pub(crate) mod member;
mod registry;
mod set;
mod sleep;
#[cfg(feature = "stream")]
mod stream;

pub use alarm::Interrupter;
pub use changed::Changed;
pub use events::ChangedAny;
pub use member::Watchable;
pub use set::{Change, Member, WaitSet};
#[cfg(feature = "stream")]
pub(crate) use stream::Arrivals;
#[cfg(feature = "stream")]
pub use stream::{Changes, SegmentCommits};
