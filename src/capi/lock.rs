//! Locks in C: the tables of the built-in ones, and tables of callbacks that mirror `CortexSync`.

use super::boundary::{borrow, enter_for};
use crate::error::{CortexError, CortexResult};
use crate::format::LOCK_NAME_LIMIT;
use crate::permission::Permission;
use crate::segment::Kind;
use crate::site::{LockSite, Participants, Settle, Wait};
use crate::sync::{Access, CortexSync, RwLock, Semaphore, SeqLock};
use std::ffi::{c_char, c_int, c_void, CStr, CString};
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
    key: i32,
    memory: NonNull<u8>,
    mode: u32,
    participants: Participants,
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

/// The addresses by which a built-in table is known again, also when it was copied.
static MARKS: [u8; 3] = [0; 3];

const BUILT_IN: [&CStr; 3] = [c"seqlock", c"rwlock", c"semaphore"];

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

static TABLES: [neocortex_lock_ops; 3] = [
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

/// A lock made of callbacks.
pub struct Callbacks {
    ops: neocortex_lock_ops,
    lock: *mut c_void,
    key: i32,
    is_owner: bool,
    // Boxed: callbacks keep its address until destroy returns.
    _site: Box<neocortex_lock_site>,
}

// SAFETY: callbacks may be called from any thread, several at a time (neocortex_lock_ops).
unsafe impl Send for Callbacks {}
// SAFETY: as above.
unsafe impl Sync for Callbacks {}

impl Callbacks {
    fn make(ops: neocortex_lock_ops, site: LockSite<'_>, is_owner: bool) -> CortexResult<Self> {
        let key = site.key();
        let site = Box::new(neocortex_lock_site {
            key,
            memory: site.memory(),
            mode: site.permission().mode(),
            participants: site.participants(),
        });
        let make = if is_owner { ops.create } else { ops.attach };
        let make = make.ok_or_else(|| missing("create or attach"))?;
        let mut lock = std::ptr::null_mut();
        // SAFETY: the caller's table says so; the site is boxed and lives until after destroy.
        match unsafe { make(ops.ctx, &*site, &mut lock) } {
            0 => Ok(Self {
                ops,
                lock,
                key,
                is_owner,
                _site: site,
            }),
            code => Err(CortexError::Custom(code)),
        }
    }

    fn take(
        &self,
        take: Option<unsafe extern "C" fn(*mut c_void, i64) -> c_int>,
        wait: Wait,
        operation: &'static str,
    ) -> CortexResult<()> {
        let take = take.ok_or_else(|| missing("read_lock or write_lock"))?;
        let timeout = match (wait, wait.left()) {
            (Wait::Never, _) => NEOCORTEX_TRY,
            (_, None) => NEOCORTEX_FOREVER,
            (_, Some(left)) => i64::try_from(left.as_nanos()).unwrap_or(i64::MAX),
        };
        // SAFETY: `lock` is what the table's create or attach made.
        match unsafe { take(self.lock, timeout) } {
            0 => Ok(()),
            NEOCORTEX_LOCK_TIMED_OUT => Err(CortexError::Timeout {
                key: self.key,
                operation,
            }),
            code => Err(CortexError::Custom(code)),
        }
    }

    fn release(&self, access: Access) -> CortexResult<()> {
        let release = self.ops.release.ok_or_else(|| missing("release"))?;
        let access = match access {
            Access::Read => NEOCORTEX_ACCESS_READ,
            Access::Write => NEOCORTEX_ACCESS_WRITE,
        };
        // SAFETY: as in `take`.
        match unsafe { release(self.lock, access) } {
            0 => Ok(()),
            code => Err(CortexError::Custom(code)),
        }
    }
}

fn missing(entry: &str) -> CortexError {
    CortexError::invalid(0, format!("the lock's table has no {entry}"))
}

impl Drop for Callbacks {
    fn drop(&mut self) {
        if let Some(destroy) = self.ops.destroy {
            // SAFETY: as in `take`; called once, and nothing after it.
            unsafe { destroy(self.lock, c_int::from(self.is_owner)) };
        }
    }
}

/// A lock that is chosen at run time.
pub enum AnyLock {
    /// The default.
    SeqLock(SeqLock),
    /// Many readers or one writer.
    RwLock(RwLock),
    /// Exclusive, on a System V semaphore.
    Semaphore(Semaphore),
    /// The caller's.
    Callbacks(Callbacks),
}

impl AnyLock {
    /// Whether several read guards can be held at once.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::RwLock(_))
    }
}

// SAFETY: each of the variants keeps the promise, or the author of the callbacks does
// (neocortex_lock_ops).
unsafe impl CortexSync for AnyLock {
    type Settings = ();
    const NAME: &'static str = "any";
    // The built-in locks end with a fence; `release` adds one for callbacks.
    const RELEASE_IS_FENCE: bool = true;

    fn new(site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
        let detail = "a lock of any kind is made by its table, not by its type";
        Err(CortexError::Unsupported {
            key: site.key(),
            detail,
        })
    }

    fn attach(site: LockSite<'_>) -> CortexResult<Self> {
        Self::new(site, None)
    }

    fn read_lock(&self, wait: Wait) -> CortexResult<()> {
        match self {
            Self::SeqLock(lock) => lock.read_lock(wait),
            Self::RwLock(lock) => lock.read_lock(wait),
            Self::Semaphore(lock) => lock.read_lock(wait),
            Self::Callbacks(lock) => lock.take(lock.ops.read_lock, wait, "read"),
        }
    }

    fn write_lock(&self, wait: Wait) -> CortexResult<()> {
        match self {
            Self::SeqLock(lock) => lock.write_lock(wait),
            Self::RwLock(lock) => lock.write_lock(wait),
            Self::Semaphore(lock) => lock.write_lock(wait),
            Self::Callbacks(lock) => lock.take(lock.ops.write_lock, wait, "write"),
        }
    }

    #[inline]
    fn release(&self, access: Access) -> CortexResult<()> {
        match self {
            Self::SeqLock(lock) => lock.release(access),
            Self::RwLock(lock) => lock.release(access),
            Self::Semaphore(lock) => lock.release(access),
            Self::Callbacks(lock) => {
                let result = lock.release(access);
                crate::primitive::fence(crate::primitive::Ordering::SeqCst);
                result
            }
        }
    }

    fn force_ownership(&mut self) {
        if let Self::Callbacks(lock) = self {
            lock.is_owner = true;
            if let Some(force_ownership) = lock.ops.force_ownership {
                // SAFETY: as in `Callbacks::take`.
                unsafe { force_ownership(lock.lock) };
            }
        }
    }

    fn disown(&mut self) {
        if let Self::Callbacks(lock) = self {
            lock.is_owner = false;
        }
    }

    #[inline]
    fn is_optimistic(&self) -> bool {
        matches!(self, Self::SeqLock(_))
    }

    #[inline]
    fn try_read_fast(&self) -> bool {
        match self {
            Self::SeqLock(lock) => lock.try_read_fast(),
            Self::RwLock(lock) => lock.try_read_fast(),
            Self::Semaphore(lock) => lock.try_read_fast(),
            Self::Callbacks(_) => false,
        }
    }

    #[inline]
    fn try_write_fast(&self) -> bool {
        match self {
            Self::SeqLock(lock) => lock.try_write_fast(),
            Self::RwLock(lock) => lock.try_write_fast(),
            Self::Semaphore(lock) => lock.try_write_fast(),
            Self::Callbacks(_) => false,
        }
    }
}

/// Which lock a C program asked for.
pub(super) struct Choice {
    name: CString,
    /// The caller's table; `None` for a built-in lock.
    ops: Option<neocortex_lock_ops>,
    shared_size: usize,
    /// Nothing was asked for: attaching takes any built-in lock.
    is_open: bool,
}

impl Choice {
    /// Reads and checks the table. NULL is the default lock or, when attaching, any built-in one.
    ///
    /// # Safety
    /// NULL, or valid for `struct_size` bytes; its name is NULL or a C string.
    pub(super) unsafe fn read(key: i32, ops: *const neocortex_lock_ops) -> CortexResult<Self> {
        if ops.is_null() {
            let shared_size = SeqLock::SHARED_SIZE;
            return Ok(Self {
                name: BUILT_IN[0].into(),
                ops: None,
                shared_size,
                is_open: true,
            });
        }
        let invalid = |detail: &str| CortexError::invalid(key, detail.to_owned());
        // SAFETY: the caller's promise; the library knows one version of the table.
        let ops = unsafe { super::options::read_versioned(key, ops.cast(), "the lock's table") }?;
        let ops: neocortex_lock_ops = ops;
        let marks: [*mut c_void; 3] = std::array::from_fn(|index| TABLES[index].ctx);
        if let Some(index) = marks.iter().position(|&mark| mark == ops.ctx) {
            let shared_size = TABLES[index].shared_size;
            let name = BUILT_IN[index].into();
            return Ok(Self {
                name,
                ops: None,
                shared_size,
                is_open: false,
            });
        }
        if ops.name.is_null() {
            return Err(invalid("the lock's table has no name"));
        }
        // SAFETY: the caller's promise.
        let name: CString = unsafe { CStr::from_ptr(ops.name) }.into();
        if name.to_str().is_err() || !(1..=LOCK_NAME_LIMIT).contains(&name.as_bytes().len()) {
            return Err(invalid("a lock's name has 1 to 63 bytes of UTF-8"));
        }
        if BUILT_IN.contains(&name.as_c_str()) {
            return Err(invalid("the lock has the name of a built-in lock"));
        }
        let has_all = ops.create.is_some()
            && ops.attach.is_some()
            && ops.read_lock.is_some()
            && ops.write_lock.is_some()
            && ops.release.is_some();
        if !has_all {
            let detail = "the lock's table lacks create, attach, read_lock, write_lock or release";
            return Err(invalid(detail));
        }
        Ok(Self {
            name,
            ops: Some(ops),
            shared_size: ops.shared_size,
            is_open: false,
        })
    }

    fn build(&self, name: &str, site: LockSite<'_>, is_new: bool) -> CortexResult<AnyLock> {
        if let Some(ops) = self.ops {
            return Callbacks::make(ops, site, is_new).map(AnyLock::Callbacks);
        }
        match name {
            SeqLock::NAME => SeqLock::attach(site).map(AnyLock::SeqLock),
            RwLock::NAME => RwLock::attach(site).map(AnyLock::RwLock),
            Semaphore::NAME => Semaphore::attach(site).map(AnyLock::Semaphore),
            _ => Err(self.mismatch(site.key(), name)),
        }
    }

    fn mismatch(&self, key: i32, found: &str) -> CortexError {
        let expected = if self.is_open {
            "seqlock, rwlock or semaphore"
        } else {
            self.name()
        };
        CortexError::Lock {
            key,
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }
}

impl Kind for Choice {
    type Lock = AnyLock;

    fn name(&self) -> &str {
        self.name.to_str().unwrap_or_default()
    }

    fn shared_size(&self) -> usize {
        self.shared_size
    }

    fn permission(&self) -> Permission {
        Permission::OwnerOnly
    }

    fn accept(&self, key: i32, found: &str, shared_size: usize) -> CortexResult<()> {
        let built_in = BUILT_IN
            .iter()
            .position(|name| name.to_bytes() == found.as_bytes());
        let expected = match built_in {
            Some(index) if self.is_open => TABLES[index].shared_size,
            _ if !self.is_open && self.name() == found => self.shared_size,
            _ => return Err(self.mismatch(key, found)),
        };
        crate::segment::check_size(key, expected, shared_size)
    }

    fn make(&self, site: LockSite<'_>) -> CortexResult<AnyLock> {
        self.build(self.name(), site, true)
    }

    fn attach(&self, found: &str, site: LockSite<'_>) -> CortexResult<AnyLock> {
        self.build(found, site, false)
    }

    fn settle(&self, name: &str) -> Settle {
        match name {
            SeqLock::NAME => SeqLock::settle,
            RwLock::NAME => RwLock::settle,
            Semaphore::NAME => Semaphore::settle,
            _ => |_, _| {},
        }
    }
}
