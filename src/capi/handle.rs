//! Segments in C: options, handles, and every call on them.

use super::boundary::{borrow, check_not_null, enter, enter_for};
use super::guards::{self, Count, Guard};
use super::lock::{neocortex_lock_ops, AnyLock, Choice};
use super::status::{neocortex_status, NEOCORTEX_OK};
use crate::error::{CortexError, CortexResult};
use crate::inspect;
use crate::observer::SegmentObserver;
use crate::permission::Permission;
use crate::segment::{open, Segment, SegmentOptions};
use crate::sys::cancel;
use std::ffi::{c_char, c_void, CString};
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

const CREATE_FLAGS: u32 = NEOCORTEX_IN_PLACE
    | NEOCORTEX_FORCE_OWNERSHIP
    | NEOCORTEX_REPLACE_STALE
    | NEOCORTEX_PERSIST
    | NEOCORTEX_RANDOM_KEY
    | NEOCORTEX_NEVER_WAIT;
const ATTACH_FLAGS: u32 = NEOCORTEX_READ_ONLY | NEOCORTEX_NEVER_WAIT;

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

/// A structure of the library that C programs allocate: it begins with its size, all zeros is one of
/// its values, and fields are only ever added at its end.
///
/// # Safety
/// `repr(C)`, a `size_t` first, valid when zeroed.
pub(super) unsafe trait Versioned: Copy {}

// SAFETY: see the definition.
unsafe impl Versioned for neocortex_options {}
// SAFETY: see the definition.
unsafe impl Versioned for neocortex_lock_ops {}

/// Copies a structure that was compiled against this or another version of the header.
///
/// # Safety
/// Valid for as many bytes as its first field says, and at least for that field.
pub(super) unsafe fn read_versioned<T: Versioned>(
    key: i32,
    given: *const c_void,
    what: &str,
) -> CortexResult<T> {
    // SAFETY: the caller's promise; unaligned, for that costs nothing here.
    let size = unsafe { given.cast::<usize>().read_unaligned() };
    if size < size_of::<T>() {
        let detail = format!("{what}: struct_size {size} is less than {}", size_of::<T>());
        return Err(CortexError::invalid(key, detail));
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(given.cast::<u8>(), size) };
    if bytes[size_of::<T>()..].iter().any(|&byte| byte != 0) {
        let detail = "a structure has fields that this version of the library does not know";
        return Err(CortexError::Unsupported { key, detail });
    }
    // SAFETY: `size_of::<T>()` bytes are there; Versioned says what they may be.
    Ok(unsafe { given.cast::<T>().read_unaligned() })
}

/// What the options say, in the core's terms.
struct Request {
    options: SegmentOptions,
    flags: u32,
    choice: Choice,
}

impl Request {
    /// # Safety
    /// NULL, or a valid neocortex_options.
    unsafe fn read(key: i32, given: *const neocortex_options, allowed: u32) -> CortexResult<Self> {
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
fn duration(timeout_ns: i64) -> Option<Duration> {
    u64::try_from(timeout_ns).ok().map(Duration::from_nanos)
}

/// A handle: one process's attachment to a segment. Opaque.
///
/// Any thread may use it at any time, except during and after neocortex_close. A forked child may go on
/// using it, and closes its own copy.
pub struct neocortex_segment {
    // What a fast call needs comes first.
    access: Access,
    held: Count,
    lock_name: CString,
}

enum Access {
    Full(Segment<AnyLock>),
    Observe(SegmentObserver),
}

impl neocortex_segment {
    fn new(access: Access) -> *mut Self {
        let name = match &access {
            Access::Full(segment) => segment.lock_name(),
            Access::Observe(observer) => observer.lock_name(),
        };
        let lock_name = CString::new(name).unwrap_or_default();
        Box::into_raw(Box::new(Self {
            access,
            held: Count::default(),
            lock_name,
        }))
    }

    /// The segment, where the handle can do more than read.
    #[inline]
    fn full(&self, operation: &'static str) -> CortexResult<&Segment<AnyLock>> {
        match &self.access {
            Access::Full(segment) => Ok(segment),
            Access::Observe(observer) => Err(CortexError::ReadOnly {
                key: observer.key(),
                operation,
            }),
        }
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> CortexResult<()> {
        match &self.access {
            Access::Full(segment) if !segment.is_in_place() => segment.read_at(offset, buffer),
            // An attempt that a writer overtakes has spoilt its buffer, and in place it may be the
            // last one (the writer dies): so it is made elsewhere, for outputs are written on
            // success only. The others always succeed in the end.
            Access::Full(segment) => staged(buffer, |copy| segment.read_at(offset, copy)),
            Access::Observe(observer) => staged(buffer, |copy| observer.read_at(offset, copy)),
        }
    }

    fn size(&self) -> usize {
        match &self.access {
            Access::Full(segment) => segment.size(),
            Access::Observe(observer) => observer.size(),
        }
    }

    fn key(&self) -> i32 {
        match &self.access {
            Access::Full(segment) => segment.key(),
            Access::Observe(observer) => observer.key(),
        }
    }

    /// Refuses a length before a slice is made of it: slices have limits of their own.
    #[inline]
    fn check_length(&self, length: usize) -> CortexResult<()> {
        if length <= self.size() {
            return Ok(());
        }
        let detail = format!("{length} bytes do not fit into {} bytes", self.size());
        Err(CortexError::invalid(self.key(), detail))
    }
}

/// Fills a buffer by way of another one, on success only.
#[cold]
fn staged(buffer: &mut [u8], fill: impl FnOnce(&mut [u8]) -> CortexResult<()>) -> CortexResult<()> {
    let mut copy = vec![0; buffer.len()];
    fill(&mut copy)?;
    buffer.copy_from_slice(&copy);
    Ok(())
}

/// The handle behind a pointer.
///
/// # Safety
/// NULL, or a handle that is not closed meanwhile.
#[inline]
unsafe fn handle<'a>(segment: *const neocortex_segment) -> CortexResult<&'a neocortex_segment> {
    // SAFETY: the caller's promise.
    unsafe { borrow(segment, "segment") }
}

/// Creates a segment of size bytes, all 0, under a key that is not in use.
///
/// key      any number but 0. size: more than 0.
/// options  NULL for the defaults: owner only, default lock, removed when this handle is closed.
///
/// Returns a handle for neocortex_close, or NULL: see neocortex_last_status. An existing key is
/// NEOCORTEX_ERR_CLEAN_SYSTEM with EEXIST, and neocortex_last_message says whether it is stale.
///
/// # Safety
/// `options` is NULL or valid, with what it points to.
#[no_mangle]
pub unsafe extern "C" fn neocortex_create(
    key: i32,
    size: usize,
    options: *const neocortex_options,
) -> *mut neocortex_segment {
    let _uncancelled = cancel::Disabled::new();
    enter_for(std::ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        let request = unsafe { Request::read(key, options, CREATE_FLAGS) }?;
        let key = (request.flags & NEOCORTEX_RANDOM_KEY == 0).then_some(key);
        let segment = open::create(key, size, &request.options, &request.choice, None)?;
        Ok(neocortex_segment::new(Access::Full(segment)))
    })
}

/// Attaches to the segment with this key, whatever built-in lock it has. size 0 accepts any size.
///
/// Waits, for a bounded time, while the creator is still initialising. Returns a handle for
/// neocortex_close, or NULL: see neocortex_last_status. A missing key is NEOCORTEX_ERR_CLEAN_SYSTEM with
/// ENOENT.
#[no_mangle]
pub extern "C" fn neocortex_attach(key: i32, size: usize) -> *mut neocortex_segment {
    // SAFETY: no options.
    unsafe { neocortex_attach_with(key, size, std::ptr::null()) }
}

/// Attaches with options: of them schema, align, timeout_ns, lock and the flags NEOCORTEX_READ_ONLY and
/// NEOCORTEX_NEVER_WAIT count. Otherwise as neocortex_attach.
///
/// # Safety
/// `options` is NULL or valid, with what it points to.
#[no_mangle]
pub unsafe extern "C" fn neocortex_attach_with(
    key: i32,
    size: usize,
    options: *const neocortex_options,
) -> *mut neocortex_segment {
    let _uncancelled = cancel::Disabled::new();
    enter_for(std::ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        let request = unsafe { Request::read(key, options, ATTACH_FLAGS) }?;
        let access = if request.flags & NEOCORTEX_READ_ONLY != 0 {
            Access::Observe(SegmentObserver::attach_with(key, size, &request.options)?)
        } else {
            Access::Full(open::attach(key, size, &request.options, &request.choice)?)
        };
        Ok(neocortex_segment::new(access))
    })
}

/// Closes a handle; the owner's also removes the segment. NULL is fine.
///
/// NEOCORTEX_ERR_BUSY while a guard is held through it in this process: it is then still open. After any
/// other answer it is closed. In a forked child it never removes anything.
///
/// # Safety
/// `segment` is NULL or a handle that no other thread uses now or later.
#[no_mangle]
pub unsafe extern "C" fn neocortex_close(segment: *mut neocortex_segment) -> neocortex_status {
    if segment.is_null() {
        return NEOCORTEX_OK;
    }
    let _uncancelled = cancel::Disabled::new();
    enter(|| {
        // SAFETY: the caller's promise.
        let open = unsafe { handle(segment) }?;
        if !open.held.is_zero() {
            let detail = "a guard is held through this handle";
            return Err(CortexError::Busy {
                key: open.key(),
                detail,
            });
        }
        if let Access::Full(full) = &open.access {
            guards::forget_inherited(full);
        }
        // SAFETY: made by Box::into_raw in `neocortex_segment::new`; the caller gives it up.
        let closed = unsafe { Box::from_raw(segment) };
        match closed.access {
            Access::Full(segment) => segment.close(),
            Access::Observe(_) => Ok(()),
        }
    })
}

/// Removes the cortex with this key, in use or not. Those attached keep sharing its memory; nobody else
/// can attach.
#[no_mangle]
pub extern "C" fn neocortex_remove(key: i32) -> neocortex_status {
    let _uncancelled = cancel::Disabled::new();
    enter(|| inspect::remove(key))
}

/// Takes away the cortex with this key and its semaphores, if nobody is attached to it any more.
/// NEOCORTEX_ERR_BUSY where somebody is; NEOCORTEX_OK where the key is free.
#[no_mangle]
pub extern "C" fn neocortex_reclaim(key: i32) -> neocortex_status {
    let _uncancelled = cancel::Disabled::new();
    enter(|| inspect::reclaim(key))
}

/// The key it was created under; 0 for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle; so for every function below.
#[no_mangle]
pub unsafe extern "C" fn neocortex_key(segment: *const neocortex_segment) -> i32 {
    // SAFETY: the caller's promise.
    enter_for(0, || Ok(unsafe { handle(segment) }?.key()))
}

/// Bytes in the payload; 0 for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_size(segment: *const neocortex_segment) -> usize {
    // SAFETY: the caller's promise.
    enter_for(0, || Ok(unsafe { handle(segment) }?.size()))
}

/// How many writes were committed since the segment was created; 0 for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_commit_count(segment: *const neocortex_segment) -> u64 {
    // SAFETY: the caller's promise.
    enter_for(0, || match &unsafe { handle(segment) }?.access {
        Access::Full(segment) => Ok(segment.version()),
        Access::Observe(observer) => Ok(observer.version()),
    })
}

/// Copies the first length bytes of the last committed value into buffer.
///
/// buffer  at least length bytes. length: up to the segment's size; 0 does nothing.
///
/// All bytes are of one commit. With the default lock this stores nothing and waits for nobody. May be
/// called by any thread and in a forked child. Fails with NEOCORTEX_ERR_TIMEOUT, _INTERRUPTED,
/// _POISONED, _INVALID_ARGUMENT, or what the lock fails with.
///
/// # Safety
/// `segment` is NULL or an open handle, `buffer` is NULL or valid for `length` bytes.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read(
    segment: *mut neocortex_segment,
    buffer: *mut c_void,
    length: usize,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { neocortex_read_at(segment, 0, buffer, length) }
}

/// Copies length bytes from offset on. As neocortex_read.
///
/// # Safety
/// As for neocortex_read.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_at(
    segment: *mut neocortex_segment,
    offset: usize,
    buffer: *mut c_void,
    length: usize,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        if length == 0 {
            return Ok(());
        }
        check_not_null(buffer, "buffer")?;
        segment.check_length(length)?;
        // SAFETY: the caller's promise; not longer than the segment, and so than any slice may be.
        let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
        segment.read(offset, buffer)
    })
}

/// Replaces the first length bytes by data, in one commit: nobody sees a part of it, and a process that
/// dies in here leaves the value before.
///
/// data  at least length bytes. length: up to the segment's size; 0 does nothing.
///
/// May be called by any thread and in a forked child. Fails with NEOCORTEX_ERR_TIMEOUT, _INTERRUPTED,
/// _BUSY (this thread holds a guard), _POISONED, _READ_ONLY, _INVALID_ARGUMENT, or what the lock fails
/// with.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for `length` bytes.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write(
    segment: *mut neocortex_segment,
    data: *const c_void,
    length: usize,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { neocortex_write_at(segment, 0, data, length) }
}

/// Replaces length bytes from offset on, in one commit. Costs what it changes. As neocortex_write.
///
/// # Safety
/// As for neocortex_write.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_at(
    segment: *mut neocortex_segment,
    offset: usize,
    data: *const c_void,
    length: usize,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        if length == 0 {
            return Ok(());
        }
        check_not_null(data, "data")?;
        let full = segment.full("write")?;
        segment.check_length(length)?;
        // SAFETY: the caller's promise; not longer than the segment, and so than any slice may be.
        let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) };
        full.write_at(offset, data)
    })
}

/// Begins to read without a copy: *data points to the current value, which nobody writes until
/// neocortex_read_end on the same thread.
///
/// With the default lock and the semaphore this excludes everyone; use neocortex_lock_rwlock for many
/// readers. A thread that holds a guard through this handle gets NEOCORTEX_ERR_BUSY, except for reads
/// within reads with the read/write lock. In a forked child an inherited guard is void.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for a pointer.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_begin(
    segment: *mut neocortex_segment,
    data: *mut *const c_void,
) -> neocortex_status {
    enter(|| {
        check_not_null(data, "data")?;
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        let full = segment.full("read without a copy")?;
        // SAFETY: a handle is a box that `close` keeps while the count is not zero.
        let first = unsafe { guards::begin(full, &segment.held, false) }?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { data.write(first.cast()) };
        Ok(())
    })
}

/// Ends what this thread's last neocortex_read_begin began. NEOCORTEX_ERR_INVALID_ARGUMENT if there is
/// nothing to end.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_read_end(segment: *mut neocortex_segment) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let full = unsafe { handle(segment) }?.full("read without a copy")?;
        guards::end(full, false, |guard| match guard {
            Guard::Read(guard) => guard.end(),
            Guard::Write(_) => unreachable!("found by its kind"),
        })
    })
}

/// Begins to write without a copy: *data points to where the next value goes, which holds the current
/// one. Nothing is seen by anybody until neocortex_write_commit, _publish or _abort on the same thread.
///
/// In the in-place layout *data is the value itself.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for a pointer.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_begin(
    segment: *mut neocortex_segment,
    data: *mut *mut c_void,
) -> neocortex_status {
    enter(|| {
        check_not_null(data, "data")?;
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        let full = segment.full("write")?;
        // SAFETY: a handle is a box that `close` keeps while the count is not zero.
        let first = unsafe { guards::begin(full, &segment.held, true) }?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { data.write(first.cast()) };
        Ok(())
    })
}

/// Ends this thread's write guard one way or the other.
///
/// # Safety
/// `segment` is NULL or an open handle.
unsafe fn end_write(segment: *mut neocortex_segment, is_commit: bool) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let full = unsafe { handle(segment) }?.full("write")?;
        guards::end(full, true, |guard| match guard {
            Guard::Write(guard) if is_commit => guard.commit(),
            Guard::Write(guard) => guard.abort(),
            Guard::Read(_) => unreachable!("found by its kind"),
        })
    })
}

/// Makes what this thread wrote since neocortex_write_begin the current value, for everybody at once.
/// NEOCORTEX_ERR_INVALID_ARGUMENT if this thread has not begun.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_commit(
    segment: *mut neocortex_segment,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { end_write(segment, true) }
}

/// Gives up: nothing happened. In the in-place layout it cannot be undone, so the segment is poisoned.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_abort(
    segment: *mut neocortex_segment,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    unsafe { end_write(segment, false) }
}

/// Commits and goes on holding: *data then points to where the next value goes, whose bytes are
/// unspecified, so write all of them. For a writer that owns the value for long; readers with the default
/// lock and observers go on. NEOCORTEX_ERR_UNSUPPORTED in the in-place layout.
///
/// # Safety
/// `segment` is NULL or an open handle, `data` is NULL or valid for a pointer.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_publish(
    segment: *mut neocortex_segment,
    data: *mut *mut c_void,
) -> neocortex_status {
    enter(|| {
        check_not_null(data, "data")?;
        // SAFETY: the caller's promise.
        let full = unsafe { handle(segment) }?.full("write")?;
        let next = guards::with_write(full, |guard| {
            guard.publish()?;
            Ok(guard.as_mut_ptr())
        })?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { data.write(next.cast()) };
        Ok(())
    })
}

/// Says that this thread's write guard changed these bytes, and those of its other marks, and no others:
/// a small change in a large segment then costs what it changes. Without a mark all counts as changed.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_write_mark(
    segment: *mut neocortex_segment,
    offset: usize,
    length: usize,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let full = unsafe { handle(segment) }?.full("write")?;
        guards::with_write(full, |guard| guard.mark(offset, length))
    })
}

/// Sleeps until the commit count is another than since, and gives it in *count. At once where it already
/// is.
///
/// timeout_ns  NEOCORTEX_FOREVER, NEOCORTEX_TRY, or nanoseconds.
///
/// Fails with NEOCORTEX_ERR_TIMEOUT; _REMOVED when the segment is removed; _INTERRUPTED by
/// neocortex_interrupt. Any number of threads and processes may wait; one that dies disturbs nobody.
///
/// # Safety
/// `segment` is NULL or an open handle, `count` is NULL or valid for a number.
#[no_mangle]
pub unsafe extern "C" fn neocortex_wait(
    segment: *mut neocortex_segment,
    since: u64,
    timeout_ns: i64,
    count: *mut u64,
) -> neocortex_status {
    enter(|| {
        check_not_null(count, "count")?;
        let timeout = duration(timeout_ns);
        // SAFETY: the caller's promise.
        let version = match &unsafe { handle(segment) }?.access {
            Access::Full(segment) => segment.wait_changed(since, timeout)?,
            Access::Observe(observer) => observer.wait_changed(since, timeout)?,
        };
        // SAFETY: not NULL, and the caller's promise.
        unsafe { count.write(version) };
        Ok(())
    })
}

/// Ends every wait of this process through this handle, or else its next one, with
/// NEOCORTEX_ERR_INTERRUPTED. Async-signal-safe: made for signal handlers. Locks made of callbacks do not
/// see it.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_interrupt(segment: *mut neocortex_segment) -> neocortex_status {
    // No `enter`: it may allocate, and a signal handler must not.
    // SAFETY: the caller's promise.
    match unsafe { segment.as_ref() }.map(|segment| &segment.access) {
        Some(Access::Full(segment)) => segment.interrupt(),
        Some(Access::Observe(observer)) => observer.interrupt(),
        None => return super::status::NEOCORTEX_ERR_INVALID_ARGUMENT,
    }
    NEOCORTEX_OK
}

/// Declares an unfinished write in place finished, with whatever bytes are there. Does nothing in the
/// other layouts.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_clear_poison(
    segment: *mut neocortex_segment,
) -> neocortex_status {
    // SAFETY: the caller's promise.
    enter(|| {
        unsafe { handle(segment) }?
            .full("clear poison")?
            .clear_poison()
    })
}

/// From now on closing this handle removes nothing.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_persist(segment: *mut neocortex_segment) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        unsafe { handle(segment) }?.full("persist")?.persist();
        Ok(())
    })
}

/// How long any wait through this handle may last from now on: NEOCORTEX_FOREVER, NEOCORTEX_TRY, or
/// nanoseconds.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_set_timeout(
    segment: *mut neocortex_segment,
    timeout_ns: i64,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        match &unsafe { handle(segment) }?.access {
            Access::Full(segment) => segment.set_timeout(duration(timeout_ns)),
            Access::Observe(observer) => observer.set_timeout(duration(timeout_ns)),
        }
        Ok(())
    })
}

/// Whether closing this handle, in this process, removes the segment. false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_is_owner(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match &unsafe { handle(segment) }?.access {
        Access::Full(segment) => Ok(segment.is_owner()),
        Access::Observe(_) => Ok(false),
    })
}

/// Whether this handle made the segment rather than finding it. false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_was_created(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match &unsafe { handle(segment) }?.access {
        Access::Full(segment) => Ok(segment.was_created()),
        Access::Observe(_) => Ok(false),
    })
}

/// Whether a write in place was left unfinished; a writer at work looks the same. false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_is_poisoned(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match &unsafe { handle(segment) }?.access {
        Access::Full(segment) => Ok(segment.is_poisoned()),
        Access::Observe(observer) => Ok(observer.is_poisoned()),
    })
}

/// Whether the segment was removed; those attached go on sharing its memory. false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_is_removed(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match &unsafe { handle(segment) }?.access {
        Access::Full(segment) => Ok(segment.is_removed()),
        Access::Observe(observer) => Ok(observer.is_removed()),
    })
}

/// The name of the segment's lock, valid while the handle is open; NULL for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_lock_name(segment: *const neocortex_segment) -> *const c_char {
    // SAFETY: the caller's promise.
    enter_for(std::ptr::null(), || {
        Ok(unsafe { handle(segment) }?.lock_name.as_ptr())
    })
}

/// The schema that the segment was created with; 0 for none, and for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_schema(segment: *const neocortex_segment) -> u64 {
    // SAFETY: the caller's promise.
    enter_for(0, || match &unsafe { handle(segment) }?.access {
        Access::Full(segment) => Ok(segment.schema()),
        Access::Observe(observer) => Ok(observer.schema()),
    })
}

/// How many participants are attached now, in *alive, and how many can be, in *limit. Observers are not
/// counted.
///
/// # Safety
/// `segment` is NULL or an open handle, the others are NULL or valid for a number.
#[no_mangle]
pub unsafe extern "C" fn neocortex_participants(
    segment: *mut neocortex_segment,
    alive: *mut u32,
    limit: *mut u32,
) -> neocortex_status {
    enter(|| {
        check_not_null(alive, "alive")?;
        check_not_null(limit, "limit")?;
        // SAFETY: the caller's promise.
        let counts = match &unsafe { handle(segment) }?.access {
            Access::Full(segment) => segment.participants()?,
            Access::Observe(observer) => observer.participants()?,
        };
        // SAFETY: not NULL, and the caller's promise.
        unsafe {
            alive.write(counts.0);
            limit.write(counts.1);
        }
        Ok(())
    })
}
