//! The guards of the calling thread: how one begins, and how it ends on the same thread.
//!
//! The functions that end in `_fast` are the straight line of the others: they run before anything is set up against
//! panics, cannot panic, and have done nothing where they return that they did not succeed.

use super::any_lock::AnyLock;
use super::held_guards::Writing;
use super::open_handle::neocortex_segment;
use super::rollback;
use crate::attachment::thread_guards;
use crate::error::names::noted;
use crate::error::{busy, CortexError, CortexResult};
use crate::locks::{CortexSync, Seal};
use crate::segment::{Contents, Limit, ReadGuard, Segment, WriteGuard};
use crate::sys::fork;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;

type Reading = ReadGuard<'static, [u8], AnyLock>;

/// The purpose of a guard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    /// The next value, which starts as the current one.
    Write,
    /// The next value, all of which the caller writes.
    Overwrite,
}

/// Returns the segment for as long as a guard is held through its handle.
///
/// # Safety
/// It is not closed before.
#[inline]
unsafe fn lasting(segment: &Segment<AnyLock>) -> &'static Segment<AnyLock> {
    // SAFETY: the caller's promise.
    unsafe { &*std::ptr::from_ref(segment) }
}

/// Begins a guard on this thread. Returns the payload.
///
/// # Safety
/// The handle is not closed while it has guards.
pub(super) unsafe fn begin(
    handle: &neocortex_segment,
    kind: Kind,
    limit: Limit,
) -> CortexResult<*mut u8> {
    let is_write = kind != Kind::Read;
    let operation = if is_write {
        "write"
    } else {
        "read without a copy"
    };
    // Until the guard is noted: a thread that closes the handle finds one or the other.
    let _call = handle.enter(operation)?;
    // SAFETY: the caller's promise.
    let segment = unsafe { lasting(handle.full(operation)?) };
    rollback::visit(handle, segment);
    let nests = !is_write && segment.lock().is_shared();
    if nests {
        rollback::roll_back_given_up_write(handle);
    } else {
        rollback::roll_back_given_up(handle, segment);
    }
    if handle.guards.writing().is_some() || holds_read(segment) && !nests {
        let detail = busy::OWN_GUARD_HERE;
        return Err(CortexError::Busy {
            key: segment.key(),
            detail,
        });
    }
    if is_write {
        let contents = match kind {
            Kind::Overwrite => Contents::Unspecified,
            _ => Contents::Current,
        };
        return Ok(handle
            .guards
            .put(WriteGuard::begin(segment, limit, contents)?));
    }
    // Kept as a count from here on.
    let data = ManuallyDrop::new(Reading::begin(segment, limit)?).as_ptr();
    let (registered, epoch) = (&segment.attachment.own.registered, fork::epoch());
    if registered.is_mine(epoch) {
        registered.set(epoch, registered.count(epoch) + 1);
        thread_guards::remove(segment.attachment.id());
    } else {
        handle.guards.count_abroad(|count| count + 1);
    }
    Ok(data.cast_mut())
}

/// Does the same as [`begin`] for the registered thread, with the lock that suits the guard, where the lock is free.
///
/// # Safety
/// As [`begin`].
#[inline]
pub(super) unsafe fn begin_fast(handle: &neocortex_segment, kind: Kind) -> Option<*mut u8> {
    // SAFETY: the caller's promise.
    let segment = unsafe { lasting(handle.try_full()?) };
    // 0 in a child that has asked for nothing yet, where no thread is registered.
    let (registered, epoch) = (
        &segment.attachment.own.registered,
        segment.attachment.epoch().load(Ordering::Relaxed),
    );
    if !registered.is_mine(epoch) {
        return None;
    }
    let data = match segment.lock() {
        AnyLock::SeqLock(lock) if kind == Kind::Write => {
            return Some(handle.guards.put(segment.write_guard_at_once(lock)?));
        }
        AnyLock::RwLock(lock) if kind == Kind::Read => segment.begin_read_at_once(lock)?,
        _ => return None,
    };
    registered.set(epoch, registered.count(epoch) + 1);
    Some(data)
}

/// Returns whether this thread holds a read guard through the handle.
fn holds_read(segment: &Segment<AnyLock>) -> bool {
    segment.attachment.claimed().is_some()
        && thread_guards::any(segment.attachment.id(), &segment.attachment.own.registered)
}

/// Ends this thread's last read guard through this handle.
pub(super) fn end_read(handle: &neocortex_segment) -> CortexResult<()> {
    let segment = handle.full("read without a copy")?;
    match rollback::take_read(handle, segment) {
        Some(guard) => guard.end(),
        None => Err(read_elsewhere(handle, segment)),
    }
}

/// Does the same as [`end_read`] for the registered thread, with the lock that suits read guards. Returns whether it did.
#[inline]
pub(super) fn end_read_fast(handle: &neocortex_segment) -> bool {
    let Some(segment) = handle.try_full() else {
        return false;
    };
    let AnyLock::RwLock(lock) = segment.lock() else {
        return false;
    };
    let (registered, epoch) = (
        &segment.attachment.own.registered,
        segment.attachment.epoch().load(Ordering::Relaxed),
    );
    let count = registered.count(epoch);
    let Some(me) = segment.attachment.claimed().filter(|_| count != 0) else {
        return false;
    };
    if !registered.is_mine(epoch) {
        return false;
    }
    registered.set(epoch, count - 1);
    // It does not fail.
    // SAFETY: this thread's, taken off its count just now; the program gives the pointer up with this call.
    unsafe { lock.release_read(me.0, Seal::HERE) }.is_ok()
}

/// Commits this thread's write guard through this handle.
pub(super) fn commit(handle: &neocortex_segment) -> CortexResult<()> {
    end_write(handle, Writing::commit, || {
        "a write guard was committed on another thread than began it, and nothing was"
    })
}

/// Gives up this thread's write guard through this handle.
pub(super) fn abort(handle: &neocortex_segment) -> CortexResult<()> {
    end_write(handle, Writing::abort, || {
        handle.guards.abandon();
        "a write guard was given up on another thread than began it"
    })
}

fn end_write(
    handle: &neocortex_segment,
    end: impl FnOnce(Writing) -> CortexResult<()>,
    elsewhere: impl FnOnce() -> &'static str,
) -> CortexResult<()> {
    let segment = handle.full("write")?;
    handle.guards.recover();
    handle.guards.end(end).unwrap_or_else(|| {
        if handle.guards.is_written_elsewhere() {
            ended_elsewhere(segment, elsewhere());
        }
        Err(not_begun(segment, "write"))
    })
}

/// Does the same as [`commit`] where the lock is a built-in one. Returns whether it did.
#[inline]
pub(super) fn commit_fast(handle: &neocortex_segment) -> bool {
    let is_built_in = |segment: &Segment<AnyLock>| segment.lock().is_built_in();
    if !handle.try_full().is_some_and(is_built_in) {
        return false;
    }
    // The guard is this process's, and a built-in lock's release does not fail.
    handle.guards.end(Writing::commit).is_some()
}

/// Passes this thread's write guard to `run`.
pub(super) fn with_write<R>(
    handle: &neocortex_segment,
    run: impl FnOnce(&mut Writing) -> CortexResult<R>,
) -> CortexResult<R> {
    let segment = handle.full("write")?;
    handle.guards.recover();
    match handle.guards.writing() {
        Some(guard) => run(guard),
        None => Err(not_begun(segment, "write")),
    }
}

/// Publishes this thread's write guard in the default layout. Returns where the next value goes, and whether the
/// caller is to [serve the waiters](Writing::serve_waiters) after that.
#[inline]
pub(super) fn publish_fast(handle: &neocortex_segment) -> Option<(*mut u8, bool)> {
    let guard = handle.guards.writing()?;
    let is_wanted = guard.publish_at_once()?;
    Some((guard.as_mut_ptr(), is_wanted))
}
/// Says why there is no read guard of this thread to end.
#[cold]
fn read_elsewhere(handle: &neocortex_segment, segment: &Segment<AnyLock>) -> CortexError {
    let epoch = fork::epoch();
    let others = handle.guards.count_reads(segment);
    if others != 0 {
        // Release: what this thread did by way of the guard comes before its own thread rolls it back.
        let change = |count: u32| count.saturating_add(1).min(others);
        handle
            .guards
            .given_up
            .change(epoch, Ordering::Release, change);
        ended_elsewhere(
            segment,
            "a read guard was ended on another thread than began it",
        );
    }
    not_begun(segment, "read")
}

/// Logs what a caller may not learn otherwise, because a destructor drops the status.
#[cold]
fn ended_elsewhere(segment: &Segment<AnyLock>, what: &str) {
    let key = segment.key();
    tracing::error!(
        key,
        name = noted(key),
        "{what}; it is held until that thread next begins one through this handle, or ends"
    );
}

#[cold]
fn not_begun(segment: &Segment<AnyLock>, what: &str) -> CortexError {
    let detail = format!("this thread has not begun a {what} through this handle (`{what}_guard`). A guard is ended on the thread that began it");
    CortexError::invalid(segment.key(), detail)
}
