//! What can be chosen when a segment is created or attached.

use super::open;
use super::{Kind, Segment, Typed};
use crate::error::CortexResult;
use crate::format::{Layout, Shape};
use crate::permission::Permission;
use crate::sync::CortexSync;
use std::time::Duration;

/// Options for [`Segment`]s of bytes; for typed values there is [`crate::CortexBuilder`].
///
/// ```
/// use neocortex::{Segment, SegmentOptions, SeqLock};
///
/// # fn main() -> neocortex::CortexResult<()> {
/// let segment: Segment<SeqLock> = SegmentOptions::new().participants(8).create_random(4096)?;
/// segment.write_at(100, b"hello")?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentOptions {
    pub(crate) permission: Option<Permission>,
    pub(crate) force_ownership: bool,
    pub(crate) replace_stale: bool,
    pub(crate) persist: bool,
    pub(crate) schema: u64,
    pub(crate) participants: u32,
    pub(crate) align: u32,
    pub(crate) slots: u32,
    pub(crate) timeout: Option<Duration>,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self {
            permission: None,
            force_ownership: false,
            replace_stale: false,
            persist: false,
            schema: 0,
            participants: 128,
            align: 64,
            slots: 2,
            timeout: None,
        }
    }
}

impl SegmentOptions {
    /// Double layout, owner only, 128 participants, alignment 64, waiting for ever.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who may use it. Default: what the lock's settings say, else [`Permission::OwnerOnly`].
    pub fn permission(mut self, permission: Permission) -> Self {
        self.permission = Some(permission);
        self
    }

    /// Where the key is in use by a cortex of this size and lock, adopts it with its value instead of
    /// failing; either way this handle is the owner and removes it when dropped.
    pub fn force_ownership(mut self) -> Self {
        self.force_ownership = true;
        self
    }

    /// Where the key is in use by a cortex that nobody is attached to any more, takes its place. A
    /// cortex in use is `Busy` and untouched.
    pub fn replace_stale(mut self) -> Self {
        self.replace_stale = true;
        self
    }

    /// Dropping the handle does not remove the segment: it stays until removed or the next boot.
    pub fn persist(mut self) -> Self {
        self.persist = true;
        self
    }

    /// One payload slot that writers edit in place, for large buffers changed in part. A writer that
    /// dies half way poisons it.
    pub fn in_place(mut self) -> Self {
        self.slots = 1;
        self
    }

    /// How many payload slots, 2 (the default) to 8: more for large values under a writer that never
    /// pauses.
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// A number of your own that both sides must agree on: a version of the type, or a hash of it.
    pub fn schema(mut self, schema: u64) -> Self {
        self.schema = schema;
        self
    }

    /// How many handles may be attached at a time, 1 to 4096. Each costs 64 bytes and a semaphore.
    pub fn participants(mut self, participants: u32) -> Self {
        self.participants = participants;
        self
    }

    /// The payload's alignment in bytes: a power of two up to 4096. Below 64 means 64.
    pub fn align(mut self, align: u32) -> Self {
        self.align = align;
        self
    }

    /// How long any wait through the handle may last; `None`, the default, is for ever.
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Creates a zero-filled segment of `size` bytes.
    ///
    /// # Errors
    /// `CleanSystem` (`EEXIST`: the key is in use; the message says whether it is stale),
    /// `InvalidArgument`, `Busy` with [`SegmentOptions::replace_stale`].
    pub fn create<L: CortexSync>(&self, key: i32, size: usize) -> CortexResult<Segment<L>> {
        open::create(Some(key), size, self, &Typed::new(None), None)
    }

    /// The same under a random key, which [`Segment::key`] then tells.
    ///
    /// # Errors
    /// As [`SegmentOptions::create`].
    pub fn create_random<L: CortexSync>(&self, size: usize) -> CortexResult<Segment<L>> {
        open::create(None, size, self, &Typed::new(None), None)
    }

    /// Attaches to an existing segment. `size` 0 accepts any; likewise schema 0. Of the options, the
    /// schema, the alignment and the time-out count.
    ///
    /// # Errors
    /// `CleanSystem` (`ENOENT`: no such key; `EACCES`), `NotACortex`, `Format`, `Layout`, `Lock`,
    /// `NotReady`, `Full`, `Corrupt`.
    pub fn attach<L: CortexSync>(&self, key: i32, size: usize) -> CortexResult<Segment<L>> {
        open::attach(key, size, self, &Typed::new(None))
    }

    /// The layout that these options and this lock make.
    pub(crate) fn layout(&self, key: i32, size: usize, kind: &impl Kind) -> CortexResult<Layout> {
        if !self.align.is_power_of_two() {
            let detail = format!("alignment {} is not a power of two", self.align);
            return Err(crate::CortexError::invalid(key, detail));
        }
        let permission = self.permission.unwrap_or_else(|| kind.permission());
        Layout::new(Shape {
            size,
            align: self.align.max(64),
            slots: self.slots,
            schema: self.schema,
            participants: self.participants,
            lock_size: kind.shared_size(),
            lock_name: kind.name().to_owned(),
            mode: permission.mode(),
        })
        .map_err(|detail| crate::CortexError::invalid(key, detail))
    }
}
