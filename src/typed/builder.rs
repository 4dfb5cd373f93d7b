//! The builder of a [`Cortex`].

use super::cortex::{create, Cortex};
use crate::error::CortexResult;
use crate::key::Key;
use crate::locks::{CortexSync, SeqLock};
use crate::permission::Permission;
use crate::plain::Shared;
use crate::segment::{HugePages, SegmentOptions};
use std::time::Duration;

/// No key has been chosen yet.
#[derive(Debug, Clone, Copy)]
pub struct NoKey(());
/// A key was given.
#[derive(Debug, Clone)]
pub struct WithKey(Key);
/// A random key will be drawn.
#[derive(Debug, Clone, Copy)]
pub struct WithRandomKey(());

/// The choice of a key, given or random, which a builder must have before it can build.
#[diagnostic::on_unimplemented(
    message = "the builder has no key yet, by which other processes find the cortex",
    label = "no key was chosen",
    note = "call `.key(\"a/name\")`, `.key(123)` or `.random_key()` before it"
)]
pub trait KeyChoice: private::Sealed {
    #[doc(hidden)]
    fn key(&self) -> Option<&Key>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::WithKey {}
    impl Sealed for super::WithRandomKey {}
}

impl KeyChoice for WithKey {
    fn key(&self) -> Option<&Key> {
        Some(&self.0)
    }
}

impl KeyChoice for WithRandomKey {
    fn key(&self) -> Option<&Key> {
        None
    }
}

/// Creates a [`Cortex`] from a value, a key, a lock, and whatever else should differ from the defaults.
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
    /// The first value; `None` stands for all zeros.
    value: Option<Box<T>>,
    key: K,
    options: SegmentOptions,
}

impl<T: Shared> CortexBuilder<T> {
    /// Returns a builder for a cortex with this first value.
    pub fn new(value: T) -> Self {
        Self::boxed(Box::new(value))
    }

    /// Returns a builder for a cortex whose first value is in a box, for values that are too large for the stack.
    ///
    /// ```
    /// use neocortex::CortexBuilder;
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// let mut frame = neocortex::bytemuck::zeroed_box::<[u8; 8 << 20]>();
    /// frame.fill(7);
    /// let cortex = CortexBuilder::boxed(frame).random_key().create()?;
    /// assert_eq!(cortex.read_boxed()?[1 << 20], 7);
    /// # Ok(()) }
    /// ```
    pub fn boxed(value: Box<T>) -> Self {
        Self::beginning(Some(value))
    }

    /// Returns a builder for a cortex whose first value is all zeros; no copy of it exists outside the cortex. A
    /// structure that derives `Shared` has that value if its fields have, an enumeration if it
    /// derives bytemuck's `Zeroable`.
    pub fn zeroed() -> Self
    where
        T: bytemuck::Zeroable,
    {
        Self::beginning(None)
    }
}

impl<T> CortexBuilder<T> {
    fn beginning(value: Option<Box<T>>) -> Self {
        Self {
            value,
            key: NoKey(()),
            options: SegmentOptions::new(),
        }
    }

    /// Sets the key, a number or a name: see [`Key`]. The number 0, and a text that is not a valid name, are refused
    /// when the cortex is built.
    pub fn key(self, key: impl Into<Key>) -> CortexBuilder<T, WithKey> {
        CortexBuilder {
            value: self.value,
            key: WithKey(key.into()),
            options: self.options,
        }
    }

    /// Takes a key from the system's random generator, which is drawn again (up to 20 times) while it is in use.
    /// [`Cortex::key`] returns it.
    pub fn random_key(self) -> CortexBuilder<T, WithRandomKey> {
        CortexBuilder {
            value: self.value,
            key: WithRandomKey(()),
            options: self.options,
        }
    }
}

impl<T> CortexBuilder<T, WithKey> {
    /// Where a cortex of this type has the key, creating adopts it with its value; either way this handle is the owner.
    /// This is safe: a cortex that does not fit the type is refused.
    pub fn force_ownership(mut self) -> Self {
        self.options = self.options.force_ownership();
        self
    }

    /// Where a stale cortex has the key, creating takes its place: see [`SegmentOptions::replace_stale`].
    pub fn replace_stale(mut self) -> Self {
        self.options = self.options.replace_stale();
        self
    }

    /// Where a cortex of this type has the key, creating attaches to it, without becoming its owner: see
    /// [`SegmentOptions::open_or_create`]. [`Cortex::was_created`] tells which of the two this handle did.
    pub fn open_or_create(mut self) -> Self {
        self.options = self.options.open_or_create();
        self
    }
}

impl<T: Shared> CortexBuilder<T, WithKey> {
    /// Creates the cortex with the default lock, [`SeqLock`], or attaches where it exists already: of any number of
    /// programs that start at once, in any order, exactly one creates. For another lock, use
    /// [`CortexBuilder::open_or_create`].
    ///
    /// ```
    /// use neocortex::CortexBuilder;
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// # let name = format!("example/{}", std::process::id());
    /// # let name = name.as_str();
    /// // In each of the programs that share the counter:
    /// let counter = CortexBuilder::new(0_u64).key(name).create_or_attach()?;
    /// counter.update(|count| *count += 1)?;
    /// # assert!(counter.was_created());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`CortexBuilder::create`] and [`Cortex::attach`].
    pub fn create_or_attach(self) -> CortexResult<Cortex<T, SeqLock>> {
        self.open_or_create().create()
    }
}

impl<T, K> CortexBuilder<T, K> {
    /// Takes over all of these options, in place of what was chosen before, so that a program states them once for what
    /// it creates and what it attaches to. The alignment is always that of `T`.
    ///
    /// ```
    /// use neocortex::{schema_of, Cortex, CortexBuilder, SegmentOptions};
    /// use std::time::Duration;
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// let options = SegmentOptions::new()
    ///     .schema(schema_of("speed 1: f64 in m/s"))
    ///     .timeout(Some(Duration::from_secs(1)));
    /// let speed = CortexBuilder::new(0.0).random_key().options(&options).create()?;
    /// let other: Cortex<f64> = Cortex::attach_with(speed.key(), &options)?;
    /// assert_eq!(other.timeout(), speed.timeout());
    /// # Ok(()) }
    /// ```
    pub fn options(mut self, options: &SegmentOptions) -> Self {
        self.options = options.clone();
        self
    }

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

    /// See [`SegmentOptions::lossless`].
    pub fn lossless(mut self) -> Self {
        self.options = self.options.lossless();
        self
    }

    /// See [`SegmentOptions::permission`].
    pub fn permission(mut self, permission: Permission) -> Self {
        self.options = self.options.permission(permission);
        self
    }

    /// See [`SegmentOptions::owner`].
    pub fn owner(mut self, user: Option<u32>, group: Option<u32>) -> Self {
        self.options = self.options.owner(user, group);
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

    /// See [`SegmentOptions::dump`].
    pub fn dump(mut self) -> Self {
        self.options = self.options.dump();
        self
    }

    /// See [`SegmentOptions::prefault`].
    pub fn prefault(mut self) -> Self {
        self.options = self.options.prefault();
        self
    }

    /// See [`SegmentOptions::lock_in_memory`].
    pub fn lock_in_memory(mut self) -> Self {
        self.options = self.options.lock_in_memory();
        self
    }

    /// See [`SegmentOptions::huge_pages`].
    pub fn huge_pages(mut self, choice: HugePages) -> Self {
        self.options = self.options.huge_pages(choice);
        self
    }

    /// See [`SegmentOptions::interruptible`].
    pub fn interruptible(mut self) -> Self {
        self.options = self.options.interruptible();
        self
    }

    /// See [`SegmentOptions::timeout`].
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.options = self.options.timeout(timeout);
        self
    }
}

// The bound on the key is at each function, where a call without a key is told what is missing.
impl<T: Shared, K> CortexBuilder<T, K> {
    /// Creates the cortex with the default lock, [`SeqLock`].
    ///
    /// # Errors
    /// `CleanSystem` (`EEXIST`: the key is in use, and the message says whether by a stale cortex), `InvalidArgument`
    /// (key 0, a text that is not a valid name, a type of size 0), `Name` (the key of this name is another name's),
    /// `Busy` with `replace_stale`, `DirtySystem`.
    pub fn create(self) -> CortexResult<Cortex<T, SeqLock>>
    where
        K: KeyChoice,
    {
        self.with_default_lock()
    }

    /// Creates the cortex with this lock and these settings of the lock.
    ///
    /// # Errors
    /// As [`CortexBuilder::create`], and any error of the lock.
    pub fn with_lock<L: CortexSync>(self, settings: &L::Settings) -> CortexResult<Cortex<T, L>>
    where
        K: KeyChoice,
    {
        self.build(Some(settings))
    }

    /// Creates the cortex with this lock and no settings.
    ///
    /// # Errors
    /// As [`CortexBuilder::create`], and any error of the lock.
    pub fn with_default_lock<L: CortexSync>(self) -> CortexResult<Cortex<T, L>>
    where
        K: KeyChoice,
    {
        self.build(None)
    }

    fn build<L: CortexSync>(self, settings: Option<&L::Settings>) -> CortexResult<Cortex<T, L>>
    where
        K: KeyChoice,
    {
        create(
            self.key.key(),
            &self.options,
            self.value.as_deref(),
            settings,
        )
    }
}
