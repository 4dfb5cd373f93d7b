//! The options of neocortex_create and neocortex_attach_with.

use super::lock::neocortex_lock_ops;
use super::lock_request::LockRequest;
use super::times::duration;
use super::versioned::{read_versioned, size_up_to, Versioned};
use crate::error::Cause;
use crate::permission::Permission;
use crate::segment::{HugePages, SegmentOptions};
use std::time::Duration;

/// One payload slot, which writers edit in place: for large buffers changed in part. A writer that
/// dies half way poisons it. For neocortex_create.
pub const NEOCORTEX_IN_PLACE: u32 = 1_u32;
/// Where the key is in use by a cortex of this size and lock, adopt it with its value; either way this
/// handle is the owner. For neocortex_create. It is compared as with NEOCORTEX_OPEN_OR_CREATE.
pub const NEOCORTEX_FORCE_OWNERSHIP: u32 = 2_u32;
/// Where the key is in use by a cortex to which no handle is attached, take its place. For
/// neocortex_create.
pub const NEOCORTEX_REPLACE_STALE: u32 = 4_u32;
/// Closing the handle does not remove the segment. For neocortex_create. Where the kernel removes a segment with its last
/// attachment all the same (Linux: kernel.shm_rmid_forced), a warning says so (neocortex_set_log).
pub const NEOCORTEX_PERSIST: u32 = 8_u32;
/// Observe: a read-only mapping that needs read permission only, takes no lock and no participant slot,
/// and disturbs no other process. For neocortex_attach_with.
pub const NEOCORTEX_READ_ONLY: u32 = 16_u32;
/// Ignore the key and draw random ones; neocortex_key tells which. For neocortex_create.
pub const NEOCORTEX_RANDOM_KEY: u32 = 32_u32;
/// No call through the handle ever waits: NEOCORTEX_ERR_TIMEOUT where it would have to. Nor does the call that opens it:
/// NEOCORTEX_ERR_NOT_READY where the creator has not finished, NEOCORTEX_ERR_BUSY where NEOCORTEX_REPLACE_STALE finds a
/// handle attached. It still takes up to half a second where only time tells whether another process has died while it
/// made or replaced the cortex. The same as NEOCORTEX_TRY in the timeout_ns of NEOCORTEX_OPTIONS_INIT.
pub const NEOCORTEX_NEVER_WAIT: u32 = 64_u32;
/// Where the key is in use, attach to what has it. Of any number of processes that start at once exactly one creates;
/// no handle becomes the owner by attaching; neocortex_was_created tells which of the two this call did. With
/// NEOCORTEX_REPLACE_STALE a stale cortex is replaced, by exactly one; without it, attached to with its value. Not with
/// NEOCORTEX_FORCE_OWNERSHIP. For neocortex_create. Of what has the key, size, lock, alignment and schema are compared as
/// when attaching, and whether it has NEOCORTEX_RECORDS, NEOCORTEX_LOSSLESS and NEOCORTEX_IN_PLACE must be as asked for
/// (NEOCORTEX_ERR_LAYOUT); its slots, where there are two or more, its participants, mode and owner are taken as found.
pub const NEOCORTEX_OPEN_OR_CREATE: u32 = 128_u32;
/// Waits through the handle, and the waiting of the call that opens it, end with NEOCORTEX_ERR_INTERRUPTED after a signal
/// handler has run on the thread that waits. Without it they go on, whatever SA_RESTART says. Stopping the process and
/// continuing it (SIGSTOP, SIGCONT) ends none on Linux; other systems may end one as by a handler. A handler that runs in the
/// moment between a wait's last look and its sleep is not noticed: what must never be missed calls neocortex_interrupt
/// in the handler.
pub const NEOCORTEX_INTERRUPTIBLE: u32 = 256_u32;
/// Find memory for the whole segment now, and fail where there is none: a first write takes no longer than the others
/// then. When attaching: give this process its way to the pages that there are.
pub const NEOCORTEX_PREFAULT: u32 = 512_u32;
/// Keep the segment in memory, so that it is never swapped out (shmctl(2), SHM_LOCK), until it is removed. For
/// neocortex_create, on Linux; NEOCORTEX_ERR_UNSUPPORTED elsewhere. It needs RLIMIT_MEMLOCK or CAP_IPC_LOCK.
pub const NEOCORTEX_LOCK_IN_MEMORY: u32 = 1024_u32;
/// Make the segment of huge pages (shmget(2), SHM_HUGETLB). For neocortex_create, on Linux; NEOCORTEX_ERR_UNSUPPORTED
/// elsewhere, and NEOCORTEX_ERR_CLEAN_SYSTEM with ENOMEM where too few are free (vm.nr_hugepages).
pub const NEOCORTEX_HUGE_PAGES: u32 = 2048_u32;
/// With NEOCORTEX_HUGE_PAGES: where there are none to be had, of ordinary pages, and log a warning that says why.
pub const NEOCORTEX_PREFER_HUGE_PAGES: u32 = 65536_u32;
/// A cortex of records: bytes of any length up to the segment's size, each written by neocortex_push and read with its
/// length. With two slots or more. For neocortex_create.
pub const NEOCORTEX_RECORDS: u32 = 4096_u32;
/// Writers wait for the followers that registered (neocortex_register_follower): none overwrites a commit that one of
/// them has not read. A follower that is slow or stopped holds up a writer to the end of its time-out, one that dies does
/// not. neocortex_write_publish is not for such a segment. With two slots or more. For neocortex_create.
pub const NEOCORTEX_LOSSLESS: u32 = 8192_u32;
/// Segment and semaphores belong to owner_uid and owner_gid of the options, which are not looked at without it. For
/// neocortex_create.
pub const NEOCORTEX_SET_OWNER: u32 = 16384_u32;
/// Core dumps of this process have the segment, which by default they leave out (Linux, FreeBSD). A process that
/// dumps keeps what it holds until the dump is written, and others wait for as long.
pub const NEOCORTEX_DUMP: u32 = 32768_u32;

pub(super) const CREATE_FLAGS: u32 = NEOCORTEX_IN_PLACE
    | NEOCORTEX_FORCE_OWNERSHIP
    | NEOCORTEX_REPLACE_STALE
    | NEOCORTEX_PERSIST
    | NEOCORTEX_RANDOM_KEY
    | NEOCORTEX_NEVER_WAIT
    | NEOCORTEX_OPEN_OR_CREATE
    | NEOCORTEX_RECORDS
    | NEOCORTEX_LOSSLESS
    | NEOCORTEX_SET_OWNER
    | NEOCORTEX_DUMP
    | NEOCORTEX_INTERRUPTIBLE
    | NEOCORTEX_PREFAULT
    | NEOCORTEX_LOCK_IN_MEMORY
    | NEOCORTEX_HUGE_PAGES
    | NEOCORTEX_PREFER_HUGE_PAGES;

/// The names, as messages have them ([`crate::error::surface`]), of the flags that only some calls take.
const FLAG_NAMES: [(u32, &str); 12] = [
    (NEOCORTEX_IN_PLACE, "in_place"),
    (NEOCORTEX_FORCE_OWNERSHIP, "force_ownership"),
    (NEOCORTEX_REPLACE_STALE, "replace_stale"),
    (NEOCORTEX_PERSIST, "persist"),
    (NEOCORTEX_READ_ONLY, "Observer"),
    (NEOCORTEX_RANDOM_KEY, "random_key"),
    (NEOCORTEX_OPEN_OR_CREATE, "open_or_create"),
    (NEOCORTEX_RECORDS, "records"),
    (NEOCORTEX_LOSSLESS, "lossless"),
    (NEOCORTEX_SET_OWNER, "owner"),
    (NEOCORTEX_LOCK_IN_MEMORY, "lock_in_memory"),
    (
        NEOCORTEX_HUGE_PAGES | NEOCORTEX_PREFER_HUGE_PAGES,
        "huge_pages",
    ),
];

/// What attaching takes.
pub(super) const ATTACH_FLAGS: u32 = NEOCORTEX_READ_ONLY
    | NEOCORTEX_NEVER_WAIT
    | NEOCORTEX_DUMP
    | NEOCORTEX_INTERRUPTIBLE
    | NEOCORTEX_PREFAULT;

/// What can be chosen when a segment is created or attached. Begin with NEOCORTEX_OPTIONS_INIT and set
/// what you need. 0 is the default everywhere in a structure that was zeroed instead, with only its size set.
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
    /// Alignment of the payload, a power of two up to 4096. The least, and the default (0), is 16 for values of up to 32
    /// bytes, and else 64.
    pub align: u32,
    /// How long any wait through the handle may last, as in neocortex_set_timeout: NEOCORTEX_FOREVER, which is what
    /// NEOCORTEX_OPTIONS_INIT sets and NULL options mean; NEOCORTEX_TRY; or nanoseconds. It bounds the waiting for
    /// a creator that has not finished, too. 0 is NEOCORTEX_TRY, except in a structure that was zeroed (its align is 0),
    /// where it is NEOCORTEX_FOREVER.
    pub timeout_ns: i64,
    /// The lock. NULL: neocortex_lock_seqlock() when creating, whatever built-in lock the segment has
    /// when attaching.
    pub lock: *const neocortex_lock_ops,
    /// How many payload slots, 2 to 65,536, which is how many commits are kept for followers
    /// (`neocortex_follow`); 0 means 2. A cortex that exists (NEOCORTEX_OPEN_OR_CREATE) keeps the number that it has. With more than 8 a partial write costs as much as a whole one.
    pub slots: u32,
    /// With NEOCORTEX_SET_OWNER: the user that segment and semaphores belong to; 0xFFFFFFFF, which is what
    /// NEOCORTEX_OPTIONS_INIT sets, leaves the creator's, as in chown(2). The creator keeps an owner's rights.
    pub owner_uid: u32,
    /// With NEOCORTEX_SET_OWNER: the group likewise. With mode 0660 it opens the cortex to one group rather than
    /// to every user.
    pub owner_gid: u32,
}

/// What `sizeof` gives from the first version on that has the owner.
const SIZE_WITH_OWNER: usize = size_up_to::<neocortex_options>(
    std::mem::offset_of!(neocortex_options, owner_gid) + size_of::<u32>(),
);

// SAFETY: see the definition.
unsafe impl Versioned for neocortex_options {
    const FIRST_SIZE: usize =
        size_up_to::<Self>(std::mem::offset_of!(Self, slots) + size_of::<u32>());
}

/// What the options ask for, in the terms of `segment`.
pub(super) struct Request {
    pub(super) options: SegmentOptions,
    pub(super) flags: u32,
    pub(super) lock: LockRequest,
}

impl Request {
    /// Reads and checks the options. `allowed` are the flags that the call takes.
    ///
    /// # Safety
    /// NULL, or a valid neocortex_options.
    pub(super) unsafe fn read(
        given: *const neocortex_options,
        allowed: u32,
    ) -> Result<Self, Cause> {
        if given.is_null() {
            // SAFETY: NULL is the default lock.
            let lock = unsafe { LockRequest::read(std::ptr::null()) }?;
            return Ok(Self {
                options: SegmentOptions::new(),
                flags: 0,
                lock,
            });
        }
        // SAFETY: the caller's promise.
        let given: neocortex_options = unsafe { read_versioned(given.cast(), "options") }?;
        let flags = given.flags;
        if flags & !(CREATE_FLAGS | ATTACH_FLAGS) != 0 {
            let detail = "options.flags has a flag that this version of the library does not know. Run the program with the library whose header it was compiled with";
            return Err(Cause::Unsupported(detail));
        }
        let has = |flag| flags & flag != 0;
        if flags & !allowed != 0 {
            let other = match allowed {
                ATTACH_FLAGS => "creating",
                _ => "attaching",
            };
            let wrong = flags & !allowed;
            let names = FLAG_NAMES.iter().filter(|(flag, _)| wrong & flag != 0);
            let names: Vec<String> = names.map(|(_, name)| format!("`{name}`")).collect();
            let detail = format!(
                "options.flags has {} ({wrong:#x}), for {other} only. Leave it out here",
                names.join(" and "),
            );
            return Err(Cause::invalid(detail));
        }
        let takes_over =
            NEOCORTEX_FORCE_OWNERSHIP | NEOCORTEX_REPLACE_STALE | NEOCORTEX_OPEN_OR_CREATE;
        if has(NEOCORTEX_RANDOM_KEY) && has(takes_over) {
            let detail = "`random_key` draws a key that is not in use, so there is nothing for `force_ownership`, `replace_stale` or `open_or_create` to do. Choose one of them";
            return Err(Cause::invalid(detail));
        }
        if has(NEOCORTEX_IN_PLACE) && given.slots > 1 {
            let detail = "`in_place` means one slot. Leave `slots` at 0";
            return Err(Cause::invalid(detail));
        }
        if given.slots == 1 && !has(NEOCORTEX_IN_PLACE) {
            let detail = "`slots` is 1, which is the in-place layout. Choose it by `in_place`, or 2 slots or more";
            return Err(Cause::invalid(detail));
        }
        // Without the flag, a program of a shorter structure has anything there: what was its padding.
        let mut owner = (None, None);
        if has(NEOCORTEX_SET_OWNER) {
            if given.struct_size < SIZE_WITH_OWNER {
                let detail = "options.flags has NEOCORTEX_SET_OWNER, and options.struct_size says that there is no owner_uid and owner_gid. Set it to sizeof the structure";
                return Err(Cause::invalid(detail));
            }
            owner = (Some(given.owner_uid), Some(given.owner_gid));
        }
        if given.mode & !0o777 != 0 {
            let mode = given.mode;
            let detail =
                format!("`permission` is {mode:#o}, but only the bits of 0o777 are permissions");
            return Err(Cause::invalid(detail));
        }
        let or = |value: u32, default: u32| if value == 0 { default } else { value };
        let defaults = SegmentOptions::new();
        let mut options = SegmentOptions::new()
            .slots(or(given.slots, defaults.slots))
            .schema(given.schema)
            .participants(or(given.participants, defaults.participants))
            .align(or(given.align, defaults.align))
            .owner(owner.0, owner.1)
            .timeout(match has(NEOCORTEX_NEVER_WAIT) {
                true => Some(Duration::ZERO),
                // NEOCORTEX_OPTIONS_INIT sets both: a zeroed structure asks for nothing.
                false if given.timeout_ns == 0 && given.align == 0 => None,
                false => duration(given.timeout_ns),
            });
        if given.mode != 0 {
            options = options.permission(Permission::Custom(given.mode));
        }
        if has(NEOCORTEX_IN_PLACE) {
            options = options.in_place();
        }
        if has(NEOCORTEX_RECORDS) {
            options = options.records();
        }
        options.lossless = has(NEOCORTEX_LOSSLESS);
        options.force_ownership = has(NEOCORTEX_FORCE_OWNERSHIP);
        options.replace_stale = has(NEOCORTEX_REPLACE_STALE);
        options.persist = has(NEOCORTEX_PERSIST);
        options.open_or_create = has(NEOCORTEX_OPEN_OR_CREATE);
        options.dump = has(NEOCORTEX_DUMP);
        options.interruptible = has(NEOCORTEX_INTERRUPTIBLE);
        options.prefault = has(NEOCORTEX_PREFAULT);
        options.lock_in_memory = has(NEOCORTEX_LOCK_IN_MEMORY);
        options.huge_pages = match has(NEOCORTEX_PREFER_HUGE_PAGES) {
            true => Some(HugePages::Prefer),
            false => has(NEOCORTEX_HUGE_PAGES).then_some(HugePages::Require),
        };
        // SAFETY: the caller's promise covers the table that the options point to.
        let lock = unsafe { LockRequest::read(given.lock) }?;
        Ok(Self {
            options,
            flags,
            lock,
        })
    }
}
