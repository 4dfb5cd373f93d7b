//! The way to a [`Cortex`].

use crate::cortex::options_for;
use crate::error::CortexResult;
use crate::permission::Permission;
use crate::segment::{open, SegmentOptions, Typed};
use crate::sync::{CortexSync, SeqLock};
use crate::Cortex;
use bytemuck::{CheckedBitPattern, NoUninit};
use std::time::Duration;

/// No key has been chosen yet.
#[derive(Debug, Clone, Copy)]
pub struct NoKey(());
/// A key was given.
#[derive(Debug, Clone, Copy)]
pub struct WithKey(i32);
/// A key will be drawn.
#[derive(Debug, Clone, Copy)]
pub struct WithRandomKey(());

/// A key, or the wish for a random one: what a builder must have before it can build.
pub trait KeyChoice: private::Sealed {
    #[doc(hidden)]
    fn key(&self) -> Option<i32>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::WithKey {}
    impl Sealed for super::WithRandomKey {}
}

impl KeyChoice for WithKey {
    fn key(&self) -> Option<i32> {
        Some(self.0)
    }
}

impl KeyChoice for WithRandomKey {
    fn key(&self) -> Option<i32> {
        None
    }
}

/// Creates a [`Cortex`]: a value, a key, a lock, and what else should differ from the defaults.
///
/// ```
/// use neocortex::{CortexBuilder, RwLock};
///
/// # fn main() -> neocortex::CortexResult<()> {
/// let cortex = CortexBuilder::new(42.0)
///     .random_key()
///     .participants(16)
///     .with_default_lock::<RwLock>()?;
/// assert_eq!(cortex.read()?, 42.0);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `create`, `with_lock` or `with_default_lock`"]
pub struct CortexBuilder<T, K = NoKey> {
    value: T,
    key: K,
    options: SegmentOptions,
}

impl<T> CortexBuilder<T> {
    /// Begins with the first value.
    pub fn new(value: T) -> Self {
        Self {
            value,
            key: NoKey(()),
            options: SegmentOptions::new(),
        }
    }

    /// Under this key; 0 is refused when it is built.
    pub fn key(self, key: i32) -> CortexBuilder<T, WithKey> {
        CortexBuilder {
            value: self.value,
            key: WithKey(key),
            options: self.options,
        }
    }

    /// Under a key from the system's generator, drawn again (up to 20 times) while it is in use.
    /// [`Cortex::key`] tells which.
    pub fn random_key(self) -> CortexBuilder<T, WithRandomKey> {
        CortexBuilder {
            value: self.value,
            key: WithRandomKey(()),
            options: self.options,
        }
    }
}

impl<T> CortexBuilder<T, WithKey> {
    /// Where the key is in use by a cortex of this type, adopts it with its value; either way this
    /// handle is the owner. Safe: another type's cortex is refused.
    pub fn force_ownership(mut self) -> Self {
        self.options = self.options.force_ownership();
        self
    }

    /// Where the key is in use by a cortex that nobody is attached to, takes its place.
    pub fn replace_stale(mut self) -> Self {
        self.options = self.options.replace_stale();
        self
    }
}

impl<T, K> CortexBuilder<T, K> {
    /// See [`SegmentOptions::persist`].
    pub fn persist(mut self) -> Self {
        self.options = self.options.persist();
        self
    }

    /// See [`SegmentOptions::in_place`].
    pub fn in_place(mut self) -> Self {
        self.options = self.options.in_place();
        self
    }

    /// See [`SegmentOptions::slots`].
    pub fn slots(mut self, slots: u32) -> Self {
        self.options = self.options.slots(slots);
        self
    }

    /// See [`SegmentOptions::permission`].
    pub fn permission(mut self, permission: Permission) -> Self {
        self.options = self.options.permission(permission);
        self
    }

    /// See [`SegmentOptions::schema`].
    pub fn schema(mut self, schema: u64) -> Self {
        self.options = self.options.schema(schema);
        self
    }

    /// See [`SegmentOptions::participants`].
    pub fn participants(mut self, participants: u32) -> Self {
        self.options = self.options.participants(participants);
        self
    }

    /// See [`SegmentOptions::timeout`].
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.options = self.options.timeout(timeout);
        self
    }
}

impl<T: CheckedBitPattern + NoUninit, K: KeyChoice> CortexBuilder<T, K> {
    /// Creates it with the default lock, [`SeqLock`].
    ///
    /// # Errors
    /// `CleanSystem` (`EEXIST`: the key is in use, and the message says whether by a stale cortex),
    /// `InvalidArgument` (key 0, a type of size 0), `Busy` with `replace_stale`, `DirtySystem`.
    pub fn create(self) -> CortexResult<Cortex<T, SeqLock>> {
        self.with_default_lock()
    }

    /// Creates it with this lock and the lock's settings. Errors as [`CortexBuilder::create`].
    ///
    /// # Errors
    /// As [`CortexBuilder::create`], and whatever the lock fails with.
    pub fn with_lock<L: CortexSync>(self, settings: &L::Settings) -> CortexResult<Cortex<T, L>> {
        self.build(Some(settings))
    }

    /// Creates it with this lock and no settings. Errors as [`CortexBuilder::create`].
    ///
    /// # Errors
    /// As [`CortexBuilder::create`], and whatever the lock fails with.
    pub fn with_default_lock<L: CortexSync>(self) -> CortexResult<Cortex<T, L>> {
        self.build(None)
    }

    fn build<L: CortexSync>(self, settings: Option<&L::Settings>) -> CortexResult<Cortex<T, L>> {
        let options = options_for::<T>(&self.options);
        let value = bytemuck::bytes_of(&self.value);
        let kind = Typed::<L>::new(settings);
        open::create(self.key.key(), size_of::<T>(), &options, &kind, Some(value))
            .map(Cortex::from_segment)
    }
}
