//! The options of create and attach, and structures that grow from version to version.

use super::any_lock::Choice;
use super::lock::neocortex_lock_ops;
use super::versioned::{read_versioned, size_up_to, Versioned};
use crate::error::{CortexError, CortexResult};
use crate::permission::Permission;
use crate::segment::SegmentOptions;
use std::time::Duration;

/// One payload slot, which writers edit in place: for large buffers changed in part. A writer that
/// dies half way poisons it. For neocortex_create.
pub const NEOCORTEX_IN_PLACE: u32 = 1;
/// Where the key is in use by a cortex of this size and lock, adopt it with its value; either way this
/// handle is the owner. For neocortex_create.
pub const NEOCORTEX_FORCE_OWNERSHIP: u32 = 2;
/// Where the key is in use by a cortex that nobody is attached to, take its place. For
/// neocortex_create.
pub const NEOCORTEX_REPLACE_STALE: u32 = 4;
/// Closing the handle does not remove the segment. For neocortex_create.
pub const NEOCORTEX_PERSIST: u32 = 8;
/// Observe: a read-only mapping that needs read permission only, takes no lock and no participant slot,
/// and disturbs nobody. For neocortex_attach_with.
pub const NEOCORTEX_READ_ONLY: u32 = 16;
/// Ignore the key and draw random ones; neocortex_key tells which. For neocortex_create.
pub const NEOCORTEX_RANDOM_KEY: u32 = 32;
/// No call through the handle ever waits: NEOCORTEX_ERR_TIMEOUT where it would have to.
pub const NEOCORTEX_NEVER_WAIT: u32 = 64;

pub(super) const CREATE_FLAGS: u32 = NEOCORTEX_IN_PLACE
    | NEOCORTEX_FORCE_OWNERSHIP
    | NEOCORTEX_REPLACE_STALE
    | NEOCORTEX_PERSIST
    | NEOCORTEX_RANDOM_KEY
    | NEOCORTEX_NEVER_WAIT;
pub(super) const ATTACH_FLAGS: u32 = NEOCORTEX_READ_ONLY | NEOCORTEX_NEVER_WAIT;

/// What can be chosen when a segment is created or attached. Begin with NEOCORTEX_OPTIONS_INIT and set
/// what you need; 0 is the default everywhere.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct neocortex_options {
    /// sizeof(neocortex_options).
    pub struct_size: usize,
    /// Permission bits of every kernel object made; 0 means 0600. The umask does not matter.
    pub mode: u32,
    /// NEOCORTEX_IN_PLACE and the other flags. Unknown ones: NEOCORTEX_ERR_UNSUPPORTED.
    pub flags: u32,
    /// A number of your own that both sides must agree on; 0 is none.
    pub schema: u64,
    /// How many handles may be attached at a time, up to 4096; 0 means 128.
    pub participants: u32,
    /// Alignment of the payload, a power of two up to 4096; 0 means 64.
    pub align: u32,
    /// How long any wait through the handle may last, in nanoseconds; 0, or less, is for ever.
    pub timeout_ns: i64,
    /// The lock. NULL: neocortex_lock_seqlock() when creating, whatever built-in lock the segment has
    /// when attaching.
    pub lock: *const neocortex_lock_ops,
    /// How many payload slots, 2 to 8; 0 means 2.
    pub slots: u32,
}

// SAFETY: see the definition.
unsafe impl Versioned for neocortex_options {
    const FIRST_SIZE: usize =
        size_up_to::<Self>(std::mem::offset_of!(Self, slots) + size_of::<u32>());
}

/// What the options say, in the core's terms.
pub(super) struct Request {
    pub(super) options: SegmentOptions,
    pub(super) flags: u32,
    pub(super) choice: Choice,
}

impl Request {
    /// # Safety
    /// NULL, or a valid neocortex_options.
    pub(super) unsafe fn read(
        key: i32,
        given: *const neocortex_options,
        allowed: u32,
    ) -> CortexResult<Self> {
        if given.is_null() {
            // SAFETY: NULL is the default lock.
            let choice = unsafe { Choice::read(key, std::ptr::null()) }?;
            return Ok(Self {
                options: SegmentOptions::new(),
                flags: 0,
                choice,
            });
        }
        // SAFETY: the caller's promise.
        let given: neocortex_options = unsafe { read_versioned(key, given.cast(), "options") }?;
        let flags = given.flags;
        if flags & !(CREATE_FLAGS | ATTACH_FLAGS) != 0 {
            let detail = "options: a flag that this version of the library does not know";
            return Err(CortexError::Unsupported { key, detail });
        }
        let has = |flag| flags & flag != 0;
        if flags & !allowed != 0 {
            let detail = "options: a flag that is for the other of create and attach";
            return Err(CortexError::invalid(key, detail));
        }
        let takes_over = NEOCORTEX_FORCE_OWNERSHIP | NEOCORTEX_REPLACE_STALE;
        if has(NEOCORTEX_RANDOM_KEY) && has(takes_over) {
            let detail = "options: a random key is never one that is in use";
            return Err(CortexError::invalid(key, detail));
        }
        if has(NEOCORTEX_IN_PLACE) && given.slots > 1 {
            let detail = "options: the in-place layout has one slot";
            return Err(CortexError::invalid(key, detail));
        }
        if given.slots == 1 && !has(NEOCORTEX_IN_PLACE) {
            let detail = "options: one slot is the in-place layout; ask for it by its flag";
            return Err(CortexError::invalid(key, detail));
        }
        if given.mode & !0o777 != 0 {
            let detail = "options: the mode has bits that are no permission";
            return Err(CortexError::invalid(key, detail));
        }
        let or = |value: u32, default: u32| if value == 0 { default } else { value };
        let defaults = SegmentOptions::new();
        let mut options = SegmentOptions::new()
            .slots(or(given.slots, defaults.slots))
            .schema(given.schema)
            .participants(or(given.participants, defaults.participants))
            .align(or(given.align, defaults.align))
            .timeout(match (has(NEOCORTEX_NEVER_WAIT), given.timeout_ns) {
                (true, _) => Some(Duration::ZERO),
                (false, 0) => None,
                (false, timeout_ns) => duration(timeout_ns),
            });
        if given.mode != 0 {
            options = options.permission(Permission::Custom(given.mode));
        }
        if has(NEOCORTEX_IN_PLACE) {
            options = options.in_place();
        }
        options.force_ownership = has(NEOCORTEX_FORCE_OWNERSHIP);
        options.replace_stale = has(NEOCORTEX_REPLACE_STALE);
        options.persist = has(NEOCORTEX_PERSIST);
        // SAFETY: the caller's promise covers the table that the options point to.
        let choice = unsafe { Choice::read(key, given.lock) }?;
        Ok(Self {
            options,
            flags,
            choice,
        })
    }
}

/// Nanoseconds as the C surface counts them: negative is for ever, 0 is not at all.
pub(super) fn duration(timeout_ns: i64) -> Option<Duration> {
    u64::try_from(timeout_ns).ok().map(Duration::from_nanos)
}
