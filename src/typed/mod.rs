//! Values of a type: plain data over a [`crate::Segment`] of its size.

mod builder;
mod checked;
mod cortex;
mod follower;
mod guards;
mod observer;
mod questions;
#[cfg(feature = "stream")]
mod stream;
mod update;
mod watchable;
mod within;

pub use builder::{CortexBuilder, KeyChoice, NoKey, WithKey, WithRandomKey};
pub use cortex::Cortex;
pub use follower::Follower;
pub use observer::Observer;
#[cfg(feature = "stream")]
pub use stream::Commits;
