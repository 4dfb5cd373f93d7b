//! The guards that C threads hold: begun by one call, ended by another, on the same thread.
//!
//! | guard | where it is | who finds it |
//! |---|---|---|
//! | write | in the handle ([`Guards`]) | the thread whose token stands beside it |
//! | read, of the thread at home in the handle | a count in the handle ([`Home`]) | that thread |
//! | read, of another thread | a count in the thread's own storage ([`crate::sync::held`]) | that thread |
//!
//! So nothing is locked, which a forked child could inherit locked, and no guard is ended on another
//! thread. The first thread that begins a guard through a handle is at home there, until it ends: its
//! guards need no thread-local storage, for which a shared library has to call.
//!
//! A thread that ends rolls back what it holds ([`thread_end`]): [`VISITED`] is where it has been. What comes after
//! that on the thread (`atexit` handlers, destructors of C++ statics and of thread keys) may begin guards, and must
//! end them itself. The handle must not be closed under a guard, so it can tell how many there are
//! ([`Guards::are_none`]). What a child inherits is void: all of this is tagged with the epoch of the process that
//! it is of.
//!
//! The functions that end in `_at_once` are the straight line of the others: they run before anything is
//! set up against panics, cannot panic, and do nothing where they answer no.

use super::any_lock::AnyLock;
use super::handle::neocortex_segment;
use super::thread_end;
use crate::error::{CortexError, CortexResult};
use crate::segment::{ReadGuard, Segment, WriteGuard};
use crate::sync::held::{self, Home};
use crate::sync::CortexSync;
use crate::sys::{fork, thread};
use std::cell::{RefCell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

type Writing = WriteGuard<'static, [u8], AnyLock>;

/// What a handle knows of the guards begun through it.
#[derive(Default)]
pub(super) struct Guards {
    /// The read guards of threads that are not at home ([`held::tagged`]).
    abroad: AtomicU64,
    /// The thread that has the write guard ([`thread::token`]); 0 is none. Stored by that thread alone.
    writer: AtomicUsize,
    /// The process that `writer` is of.
    epoch: AtomicU32,
    /// The write guard; touched by its thread alone. A child may find its parent's here, which is void.
    writing: UnsafeCell<Option<ManuallyDrop<Writing>>>,
}

// SAFETY: the cell is touched by the thread alone that `writer` names, and a guard is ended by the thread that
// began it; the rest is atomics.
unsafe impl Send for Guards {}
// SAFETY: as above.
unsafe impl Sync for Guards {}

impl Guards {
    /// Whether no thread of this process holds a guard.
    pub(super) fn are_none(&self, segment: &Segment<AnyLock>) -> bool {
        let home: &Home = &segment.site.home;
        let epoch = fork::epoch();
        let abroad = self.abroad.load(Ordering::Acquire);
        let is_written =
            self.writer.load(Ordering::Acquire) != 0 && self.epoch.load(Ordering::Relaxed) == epoch;
        !is_written && home.count(epoch) == 0 && held::count_of(abroad, epoch) == 0
    }

    fn count_abroad(&self, change: impl Fn(u32) -> u32) {
        let epoch = fork::epoch();
        let next = |seen| held::tagged(epoch, change(held::count_of(seen, epoch)));
        let _ = self
            .abroad
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |seen| Some(next(seen)));
    }

    /// This thread's write guard.
    #[inline]
    #[allow(clippy::mut_from_ref)] // what makes it exclusive is the thread
    fn writing(&self) -> Option<&mut Writing> {
        if self.writer.load(Ordering::Relaxed) != thread::token() {
            return None;
        }
        // SAFETY: `writer` names this thread, so no other one touches the cell; callers end one borrow
        // before they begin another.
        let guard = unsafe { &mut *self.writing.get() }.as_mut()?;
        // A child finds its parent's, if the thread that forked held it.
        guard.is_mine().then_some(&mut **guard)
    }

    /// Keeps a write guard that this thread has just been given; the payload.
    #[inline]
    fn put(&self, mut guard: Writing) -> *mut u8 {
        let data = guard.as_mut_ptr();
        // SAFETY: this thread has the segment's write lock, so no other thread of this process has a
        // write guard, and `writer` is 0 or names a thread of the parent.
        unsafe { *self.writing.get() = Some(ManuallyDrop::new(guard)) };
        self.epoch.store(fork::epoch(), Ordering::Relaxed);
        self.writer.store(thread::token(), Ordering::Release);
        data
    }

    /// Ends this thread's write guard by `end`; `None` where it has none.
    #[inline]
    fn end<R>(&self, end: impl FnOnce(Writing) -> R) -> Option<R> {
        self.writing()?;
        // SAFETY: as in `writing`, which has just found the guard.
        let guard = unsafe { &mut *self.writing.get() }.take()?;
        // Before the lock is released: the next holder may be a thread that writes here too.
        self.writer.store(0, Ordering::Release);
        Some(end(ManuallyDrop::into_inner(guard)))
    }
}

thread_local! {
    /// The handles through which this thread has begun guards. Without a destructor, so that it serves to the
    /// thread's very end.
    static VISITED: RefCell<ManuallyDrop<Vec<Weak<neocortex_segment>>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

/// Ends every guard of this thread, which is ending.
pub(super) fn roll_back() {
    let visited = VISITED.take();
    // Those that are closed had no guards.
    for handle in ManuallyDrop::into_inner(visited)
        .iter()
        .filter_map(Weak::upgrade)
    {
        roll_back_in(&handle);
    }
}

fn roll_back_in(handle: &neocortex_segment) {
    let Some(segment) = handle.full_at_once() else {
        return;
    };
    handle.guards.end(drop);
    while let Some(guard) = take_read(handle, segment) {
        // What a lock cannot release is logged by the guard's drop, and stays with the process.
        drop(guard);
    }
    segment.site.home.leave();
}

/// Has this thread's end roll back what it holds through this handle.
fn visit(handle: &neocortex_segment, segment: &Segment<AnyLock>) {
    if segment.site.home.is_mine() {
        return;
    }
    VISITED.with_borrow_mut(|visited| {
        if !visited
            .iter()
            .any(|seen| std::ptr::eq(seen.as_ptr(), handle))
        {
            visited.retain(|seen| seen.strong_count() != 0);
            // SAFETY: every handle is the content of an Arc (`neocortex_segment::new`), which the open
            // handle itself keeps; this borrows it without a count of its own.
            let shared = ManuallyDrop::new(unsafe { Arc::from_raw(handle) });
            visited.push(Arc::downgrade(&shared));
            thread_end::expect();
        }
    });
    segment.site.home.settle();
}

/// Whether this thread holds a read guard through the handle.
fn holds_read(segment: &Segment<AnyLock>) -> bool {
    segment.site.claimed().is_some() && held::any(segment.site.place(), &segment.site.home)
}

/// One of this thread's read guards, taken off the count; `None` where it has none.
fn take_read<'a>(
    handle: &neocortex_segment,
    segment: &'a Segment<AnyLock>,
) -> Option<ReadGuard<'a, [u8], AnyLock>> {
    let guard = ReadGuard::resume(segment)?;
    let (home, epoch, place) = (&segment.site.home, fork::epoch(), segment.site.place());
    if home.is_mine() && home.count(epoch) != 0 {
        home.set(epoch, home.count(epoch) - 1);
        held::add(place);
    } else if held::is_counted(place) {
        handle.guards.count_abroad(|count| count.saturating_sub(1));
    } else {
        std::mem::forget(guard);
        return None;
    }
    Some(guard)
}

/// The handle for as long as a guard is held through it.
///
/// # Safety
/// It is not closed before.
#[inline]
unsafe fn lasting(segment: &Segment<AnyLock>) -> &'static Segment<AnyLock> {
    // SAFETY: the caller's promise.
    unsafe { &*std::ptr::from_ref(segment) }
}

/// Begins a guard on this thread; the payload.
///
/// # Safety
/// The handle is not closed while it has guards.
pub(super) unsafe fn begin(handle: &neocortex_segment, is_write: bool) -> CortexResult<*mut u8> {
    let operation = if is_write {
        "write"
    } else {
        "read without a copy"
    };
    // SAFETY: the caller's promise.
    let segment = unsafe { lasting(handle.full(operation)?) };
    visit(handle, segment);
    let nests = !is_write && segment.lock().is_shared();
    if handle.guards.writing().is_some() || holds_read(segment) && !nests {
        let detail = "this thread holds a guard through this handle already";
        return Err(CortexError::Busy {
            key: segment.key(),
            detail,
        });
    }
    if is_write {
        return Ok(handle.guards.put(segment.write_guard()?));
    }
    // Kept as a count from here on.
    let data = ManuallyDrop::new(segment.read_guard()?).as_ptr();
    let home = &segment.site.home;
    if home.is_mine() {
        let epoch = fork::epoch();
        home.set(epoch, home.count(epoch) + 1);
        held::remove(segment.site.place());
    } else {
        handle.guards.count_abroad(|count| count + 1);
    }
    Ok(data.cast_mut())
}

/// [`begin`], for a thread at home, with the locks that are for it, where nobody is in the way.
///
/// # Safety
/// As [`begin`].
#[inline]
pub(super) unsafe fn begin_at_once(handle: &neocortex_segment, is_write: bool) -> Option<*mut u8> {
    // SAFETY: the caller's promise.
    let segment = unsafe { lasting(handle.full_at_once()?) };
    let home = &segment.site.home;
    if !home.is_mine() {
        return None;
    }
    let data = match segment.lock() {
        AnyLock::SeqLock(lock) if is_write => {
            return Some(handle.guards.put(segment.write_guard_at_once(lock)?));
        }
        AnyLock::RwLock(lock) if !is_write => segment.begin_read_at_once(lock)?,
        _ => return None,
    };
    let epoch = segment.site.epoch().load(Ordering::Relaxed);
    home.set(epoch, home.count(epoch) + 1);
    Some(data)
}

#[cold]
fn not_begun(segment: &Segment<AnyLock>, what: &str) -> CortexError {
    let detail = format!("this thread has not begun a {what} through this handle");
    CortexError::invalid(segment.key(), detail)
}

/// Ends this thread's last read guard through this handle.
pub(super) fn end_read(handle: &neocortex_segment) -> CortexResult<()> {
    let segment = handle.full("read without a copy")?;
    match take_read(handle, segment) {
        Some(guard) => guard.end(),
        None => Err(not_begun(segment, "read")),
    }
}

/// [`end_read`], for a thread at home, with the lock that is for it.
#[inline]
pub(super) fn end_read_at_once(handle: &neocortex_segment) -> bool {
    let Some(segment) = handle.full_at_once() else {
        return false;
    };
    let AnyLock::RwLock(lock) = segment.lock() else {
        return false;
    };
    let (home, epoch) = (
        &segment.site.home,
        segment.site.epoch().load(Ordering::Relaxed),
    );
    let count = home.count(epoch);
    let Some(me) = segment.site.claimed().filter(|_| count != 0) else {
        return false;
    };
    if !home.is_mine() {
        return false;
    }
    home.set(epoch, count - 1);
    // It does not fail.
    lock.release_read(me.0).is_ok()
}

/// Commits this thread's write guard through this handle.
pub(super) fn commit(handle: &neocortex_segment) -> CortexResult<()> {
    end_write(handle, Writing::commit)
}

/// Gives this thread's write guard through this handle up.
pub(super) fn abort(handle: &neocortex_segment) -> CortexResult<()> {
    end_write(handle, Writing::abort)
}

fn end_write(
    handle: &neocortex_segment,
    end: impl FnOnce(Writing) -> CortexResult<()>,
) -> CortexResult<()> {
    let segment = handle.full("write")?;
    let not_begun = || Err(not_begun(segment, "write"));
    handle.guards.end(end).unwrap_or_else(not_begun)
}

/// [`commit`], where its lock is a built-in one.
#[inline]
pub(super) fn commit_at_once(handle: &neocortex_segment) -> bool {
    let is_built_in = |segment: &Segment<AnyLock>| segment.lock().is_built_in();
    if !handle.full_at_once().is_some_and(is_built_in) {
        return false;
    }
    // The guard is this process's, and a built-in lock's release does not fail.
    handle.guards.end(Writing::commit).is_some()
}

/// Gives this thread's write guard to `run`.
pub(super) fn with_write<R>(
    handle: &neocortex_segment,
    run: impl FnOnce(&mut Writing) -> CortexResult<R>,
) -> CortexResult<R> {
    let segment = handle.full("write")?;
    match handle.guards.writing() {
        Some(guard) => run(guard),
        None => Err(not_begun(segment, "write")),
    }
}

/// Publishes this thread's write guard in the default layout; where the next value goes, and whom to let
/// [attend](Segment::attend) after that.
#[inline]
pub(super) fn publish_at_once(
    handle: &neocortex_segment,
) -> Option<(*mut u8, Option<&Segment<AnyLock>>)> {
    let guard = handle.guards.writing()?;
    let is_wanted = guard.publish_at_once()?;
    let attends = if is_wanted {
        handle.full_at_once()
    } else {
        None
    };
    Some((guard.as_mut_ptr(), attends))
}
