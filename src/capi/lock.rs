//! Locks in C: the table of callbacks, the tables of the built-in locks, and what a lock is given.

use super::boundary::{borrow, enter_for};
use super::versioned::{size_up_to, Versioned};
use crate::lock_site::Participants;
use crate::sync::{CortexSync, RwLock, Semaphore, SeqLock};
use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr::NonNull;

/// Wait for ever. Any negative number of nanoseconds means the same.
pub const NEOCORTEX_FOREVER: i64 = -1;
/// Do not wait.
pub const NEOCORTEX_TRY: i64 = 0;
/// What a lock's read_lock or write_lock returns when its time is over.
pub const NEOCORTEX_LOCK_TIMED_OUT: c_int = -9;
/// The lock was taken for reading.
pub const NEOCORTEX_ACCESS_READ: c_int = 0;
/// The lock was taken for writing.
pub const NEOCORTEX_ACCESS_WRITE: c_int = 1;

/// What a lock is given when it is made or attached. Opaque: see neocortex_site_key and the others.
/// Valid until the lock's destroy returns.
pub struct neocortex_lock_site {
    pub(super) key: i32,
    pub(super) memory: NonNull<u8>,
    pub(super) mode: u32,
    pub(super) participants: Participants,
}

/// A lock. The library copies the table; ctx stays the caller's and must outlive every handle.
///
/// Callbacks are called from any thread that uses a handle, several at a time. They do not throw, do
/// not longjmp, and do not end the thread. Between a write_lock that returned 0 and its release, no
/// other read_lock or write_lock on the segment may return 0, in any process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct neocortex_lock_ops {
    /// sizeof(neocortex_lock_ops).
    pub struct_size: usize,
    /// 1 to 63 bytes; stored in the segment and compared when somebody attaches.
    pub name: *const c_char,
    /// How many bytes the lock keeps in the segment: zeroed before create, aligned to 64.
    pub shared_size: usize,
    /// Handed to create and attach.
    pub ctx: *mut c_void,
    /// Makes the lock of a new segment. Returns 0 and sets *lock, or any other value: the call that
    /// needed it then fails with NEOCORTEX_ERR_CUSTOM and neocortex_last_custom gives the value.
    pub create: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            site: *const neocortex_lock_site,
            lock: *mut *mut c_void,
        ) -> c_int,
    >,
    /// Joins the lock of an existing segment. As create.
    pub attach: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            site: *const neocortex_lock_site,
            lock: *mut *mut c_void,
        ) -> c_int,
    >,
    /// Takes the lock for reading within timeout_ns: NEOCORTEX_FOREVER, NEOCORTEX_TRY or nanoseconds.
    /// Returns 0, NEOCORTEX_LOCK_TIMED_OUT, or a value of its own.
    pub read_lock: Option<unsafe extern "C" fn(lock: *mut c_void, timeout_ns: i64) -> c_int>,
    /// Takes the lock for writing. As read_lock.
    pub write_lock: Option<unsafe extern "C" fn(lock: *mut c_void, timeout_ns: i64) -> c_int>,
    /// Gives back what was taken: access is NEOCORTEX_ACCESS_READ or NEOCORTEX_ACCESS_WRITE.
    pub release: Option<unsafe extern "C" fn(lock: *mut c_void, access: c_int) -> c_int>,
    /// The handle has become the owner. May be NULL.
    pub force_ownership: Option<unsafe extern "C" fn(lock: *mut c_void)>,
    /// The handle is being closed; owner is 1 where it removes the segment. May be NULL.
    pub destroy: Option<unsafe extern "C" fn(lock: *mut c_void, owner: c_int)>,
}

// SAFETY: the pointers in a table are the caller's, who promises (neocortex_lock_ops) that they may
// be used from any thread.
unsafe impl Send for neocortex_lock_ops {}
// SAFETY: as above; the library never changes a table.
unsafe impl Sync for neocortex_lock_ops {}

// SAFETY: see the definition.
unsafe impl Versioned for neocortex_lock_ops {
    const FIRST_SIZE: usize =
        size_up_to::<Self>(std::mem::offset_of!(Self, destroy) + size_of::<fn()>());
}

/// The addresses by which a built-in table is known again, also when it was copied.
static MARKS: [u8; 3] = [0; 3];

pub(super) const BUILT_IN: [&CStr; 3] = [c"seqlock", c"rwlock", c"semaphore"];

unsafe extern "C" fn refuse_make(
    _ctx: *mut c_void,
    _site: *const neocortex_lock_site,
    _lock: *mut *mut c_void,
) -> c_int {
    super::status::NEOCORTEX_ERR_UNSUPPORTED
}

unsafe extern "C" fn refuse_lock(_lock: *mut c_void, _timeout_ns: i64) -> c_int {
    super::status::NEOCORTEX_ERR_UNSUPPORTED
}

unsafe extern "C" fn refuse_release(_lock: *mut c_void, _access: c_int) -> c_int {
    super::status::NEOCORTEX_ERR_UNSUPPORTED
}

/// A built-in table. Its callbacks are there so that no entry is NULL; the library knows the table by
/// its mark and calls the lock directly.
const fn built_in(index: usize, shared_size: usize) -> neocortex_lock_ops {
    neocortex_lock_ops {
        struct_size: size_of::<neocortex_lock_ops>(),
        name: BUILT_IN[index].as_ptr(),
        shared_size,
        ctx: (&raw const MARKS)
            .cast::<u8>()
            .wrapping_add(index)
            .cast_mut()
            .cast(),
        create: Some(refuse_make),
        attach: Some(refuse_make),
        read_lock: Some(refuse_lock),
        write_lock: Some(refuse_lock),
        release: Some(refuse_release),
        force_ownership: None,
        destroy: None,
    }
}

pub(super) static TABLES: [neocortex_lock_ops; 3] = [
    built_in(0, SeqLock::SHARED_SIZE),
    built_in(1, RwLock::SHARED_SIZE),
    built_in(2, Semaphore::SHARED_SIZE),
];

/// The default lock: readers copy the last committed value and take nothing; writers take turns.
/// Static; a copy works as well.
#[no_mangle]
pub extern "C" fn neocortex_lock_seqlock() -> *const neocortex_lock_ops {
    &raw const TABLES[0]
}

/// Many readers or one writer: for zero-copy reads and large values. Static; a copy works as well.
#[no_mangle]
pub extern "C" fn neocortex_lock_rwlock() -> *const neocortex_lock_ops {
    &raw const TABLES[1]
}

/// One holder at a time, reading or writing, sleeping on a System V semaphore. Static; a copy works
/// as well.
#[no_mangle]
pub extern "C" fn neocortex_lock_semaphore() -> *const neocortex_lock_ops {
    &raw const TABLES[2]
}

/// The segment's key; 0 for NULL.
///
/// # Safety
/// `site` is NULL or what a lock's create or attach was given.
#[no_mangle]
pub unsafe extern "C" fn neocortex_site_key(site: *const neocortex_lock_site) -> i32 {
    // SAFETY: the caller's promise.
    enter_for(0, || unsafe { borrow(site, "site") }.map(|site| site.key))
}

/// The lock's own bytes in the segment, shared with every other process: shared_size of them, aligned
/// to 64. NULL for NULL.
///
/// # Safety
/// As for neocortex_site_key.
#[no_mangle]
pub unsafe extern "C" fn neocortex_site_memory(site: *const neocortex_lock_site) -> *mut c_void {
    let memory = |site: &neocortex_lock_site| site.memory.as_ptr().cast::<c_void>();
    enter_for(std::ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        unsafe { borrow(site, "site") }.map(memory)
    })
}

/// The permission bits that any kernel object of the lock must have; 0 for NULL.
///
/// # Safety
/// As for neocortex_site_key.
#[no_mangle]
pub unsafe extern "C" fn neocortex_site_mode(site: *const neocortex_lock_site) -> u32 {
    // SAFETY: the caller's promise.
    enter_for(0, || unsafe { borrow(site, "site") }.map(|site| site.mode))
}

/// This process's participant: slot and generation, never 0. Ask at each lock, for it changes in a
/// forked child. 0 where none can be had (see neocortex_last_status).
///
/// # Safety
/// As for neocortex_site_key.
#[no_mangle]
pub unsafe extern "C" fn neocortex_site_participant(site: *const neocortex_lock_site) -> u32 {
    // SAFETY: the caller's promise.
    enter_for(0, || unsafe { borrow(site, "site") }?.participants.id())
}

/// 1 if the participant lives, 0 if it is dead. What cannot be found out counts as alive, for a lock must
/// never be taken from somebody on a guess. One system call. 0 for NULL.
///
/// # Safety
/// As for neocortex_site_key.
#[no_mangle]
pub unsafe extern "C" fn neocortex_site_is_alive(
    site: *const neocortex_lock_site,
    participant: u32,
) -> c_int {
    let is_alive = enter_for(false, || {
        // SAFETY: the caller's promise.
        Ok(unsafe { borrow(site, "site") }?
            .participants
            .is_alive(participant))
    });
    c_int::from(is_alive)
}
