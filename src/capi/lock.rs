//! Locks in C: the table of callbacks, the tables of the built-in locks, and what a lock is given.

use super::boundary::{borrow, enter_for};
use super::versioned::{size_up_to, Versioned};
use crate::locks::site::Participants;
use crate::locks::CortexSync;
use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr::NonNull;

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
    /// 1 to 63 bytes; stored in the segment, and compared when a process attaches.
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

// SAFETY: the pointers in a table are the caller's, and the caller promises (neocortex_lock_ops) that they may
// be used from any thread.
unsafe impl Send for neocortex_lock_ops {}
// SAFETY: as above; the library never changes a table.
unsafe impl Sync for neocortex_lock_ops {}

// SAFETY: see the definition.
unsafe impl Versioned for neocortex_lock_ops {
    const FIRST_SIZE: usize =
        size_up_to::<Self>(std::mem::offset_of!(Self, destroy) + size_of::<fn()>());
}

/// Makes the list of names and sizes from the table of the built-in locks ([`crate::locks`]).
macro_rules! built_in {
    ($($lock:ident $name:literal $function:ident [$($condition:meta)?])*) => {
        /// The names of the built-in locks, and how many bytes each keeps in the segment.
        pub(super) const BUILT_IN: &[(&CStr, usize)] = &[
            $((c_name(concat!($name, "\0")), <crate::$lock as CortexSync>::SHARED_SIZE)),*
        ];
    };
}

crate::built_in_locks!([built_in]);

const fn c_name(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("a name has no zero but at its end"),
    }
}

/// The addresses by which a built-in table is known again, also when it was copied.
static MARKS: [u8; BUILT_IN.len()] = [0; BUILT_IN.len()];

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
const fn built_in(index: usize) -> neocortex_lock_ops {
    neocortex_lock_ops {
        struct_size: size_of::<neocortex_lock_ops>(),
        name: BUILT_IN[index].0.as_ptr(),
        shared_size: BUILT_IN[index].1,
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

/// The tables of the built-in locks, in the order of [`BUILT_IN`].
static TABLES: [neocortex_lock_ops; BUILT_IN.len()] = {
    let mut tables = [built_in(0); BUILT_IN.len()];
    let mut index = 1;
    while index < tables.len() {
        tables[index] = built_in(index);
        index += 1;
    }
    tables
};

/// Returns the place of a built-in lock in [`BUILT_IN`]; where there is none of this name it does not compile.
const fn place(name: &CStr) -> usize {
    let name = name.to_bytes();
    let mut index = 0;
    while index < BUILT_IN.len() {
        let found = BUILT_IN[index].0.to_bytes();
        let mut same = 0;
        while same < name.len() && same < found.len() && name[same] == found[same] {
            same += 1;
        }
        if same == name.len() && same == found.len() {
            return index;
        }
        index += 1;
    }
    panic!("no built-in lock has this name")
}

impl neocortex_lock_ops {
    /// Returns the place in [`BUILT_IN`] of the lock whose table this is, or a copy of it; `None` for a caller's own.
    pub(super) fn built_in(&self) -> Option<usize> {
        TABLES.iter().position(|table| table.ctx == self.ctx)
    }
}

/// The default lock: readers copy the last committed value and take nothing; writers take turns.
/// Static; a copy works as well.
#[no_mangle]
pub extern "C" fn neocortex_lock_seqlock() -> *const neocortex_lock_ops {
    &raw const TABLES[const { place(c"seqlock") }]
}

/// Many readers or one writer: for zero-copy reads and large values. Static; a copy works as well.
#[no_mangle]
pub extern "C" fn neocortex_lock_rwlock() -> *const neocortex_lock_ops {
    &raw const TABLES[const { place(c"rwlock") }]
}

/// One holder at a time, reading or writing, sleeping on a System V semaphore. Static; a copy works
/// as well.
#[no_mangle]
pub extern "C" fn neocortex_lock_semaphore() -> *const neocortex_lock_ops {
    &raw const TABLES[const { place(c"semaphore") }]
}

/// Returns the segment's key; 0 for NULL.
///
/// # Safety
/// `site` is NULL or what a lock's create or attach was given.
#[no_mangle]
pub unsafe extern "C" fn neocortex_site_key(site: *const neocortex_lock_site) -> i32 {
    // SAFETY: the caller's promise.
    enter_for(0, || unsafe { borrow(site, "site") }.map(|site| site.key))
}

/// Returns the lock's own bytes in the segment, shared with every other process: shared_size of them, aligned
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

/// Returns the permission bits that any kernel object of the lock must have; 0 for NULL.
///
/// # Safety
/// As for neocortex_site_key.
#[no_mangle]
pub unsafe extern "C" fn neocortex_site_mode(site: *const neocortex_lock_site) -> u32 {
    // SAFETY: the caller's promise.
    enter_for(0, || unsafe { borrow(site, "site") }.map(|site| site.mode))
}

/// Returns this process's participant: slot and generation, never 0. Ask each time the lock is taken, because it
/// changes in a forked child. 0 where none can be had (see neocortex_last_status).
///
/// # Safety
/// As for neocortex_site_key.
#[no_mangle]
pub unsafe extern "C" fn neocortex_site_participant(site: *const neocortex_lock_site) -> u32 {
    // SAFETY: the caller's promise.
    enter_for(0, || unsafe { borrow(site, "site") }?.participants.id())
}

/// Returns 1 if the participant lives, 0 if it is dead. A participant that cannot be asked about counts as alive, because a
/// lock must never be taken from a living holder on a guess. One system call. 0 for NULL.
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
