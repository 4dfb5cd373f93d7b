//! Waiting for several segments at once.

use super::boundary::{borrow, check_not_null, enter, enter_for};
use super::open_handle::{handle, neocortex_segment, Opened};
use super::status::{neocortex_status, NEOCORTEX_ERR_INVALID_ARGUMENT, NEOCORTEX_OK};
use super::times::duration;
use crate::error::{busy, Cause, CortexError, Told};
use crate::protocol::of_process::{AtomicOfProcess, OfProcess};
use crate::sys::{cancel, fork, futex};
use crate::wait_set::{Interrupter, Member, WaitSet};
use std::cell::UnsafeCell;
use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// In neocortex_change: the segment was removed, and is no longer in the wait set.
pub const NEOCORTEX_CHANGE_REMOVED: u32 = 1_u32;

/// What neocortex_wait_set_wait tells of one segment.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct neocortex_change {
    /// What the program gave to neocortex_wait_set_add.
    pub tag: *mut c_void,
    /// The number of commits when the set looked. With NEOCORTEX_CHANGE_REMOVED it may be one that was told before.
    pub version: u64,
    /// NEOCORTEX_CHANGE_REMOVED, or 0. Later versions may know more flags.
    pub flags: u32,
}

/// Several segments to wait for at once. Opaque.
///
/// One thread at a time adds, removes and waits; meanwhile another one's call fails with NEOCORTEX_ERR_BUSY. Any thread,
/// and any signal handler, may interrupt. A forked child may go on using a set that no thread was using at the fork;
/// parent and child are told each change.
pub struct neocortex_wait_set {
    /// For the thread that has set `user`.
    content: UnsafeCell<Content>,
    /// Set while a thread of a process uses the content.
    user: AtomicOfProcess,
    interrupter: Interrupter,
}

struct Content {
    set: WaitSet,
    members: BTreeMap<Member, InSet>,
}

/// A segment in a set. Its handle cannot be closed while this lives.
struct InSet {
    segment: Arc<neocortex_segment>,
    tag: *mut c_void,
}

impl InSet {
    fn new(segment: Arc<neocortex_segment>, tag: *mut c_void) -> Self {
        segment.sets.fetch_add(1, Ordering::Relaxed);
        Self { segment, tag }
    }
}

impl Drop for InSet {
    fn drop(&mut self) {
        self.segment.sets.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The use of a set by this thread.
struct Used<'a>(&'a neocortex_wait_set);

impl neocortex_wait_set {
    fn enter(&self) -> Result<Used<'_>, Cause> {
        let mine = OfProcess::new(fork::epoch(), 1);
        // Acquire: what the thread before has left is seen.
        let result = self.user.compare_exchange(
            OfProcess::NOBODY,
            mine,
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        match result {
            Ok(_) => Ok(Used(self)),
            Err(user) if user == mine => Err(Cause::Busy(busy::SET_IN_USE)),
            Err(_) => Err(Cause::Busy(busy::SET_OF_PARENT)),
        }
    }
}

impl Used<'_> {
    fn content(&mut self) -> &mut Content {
        // SAFETY: `enter` lets one thread in at a time, and this is its only reference.
        unsafe { &mut *self.0.content.get() }
    }
}

impl Drop for Used<'_> {
    fn drop(&mut self) {
        self.0.user.store(OfProcess::NOBODY, Ordering::Release);
    }
}

/// Makes a set without segments. Returns NULL on failure.
#[no_mangle]
pub extern "C" fn neocortex_wait_set_open() -> *mut neocortex_wait_set {
    enter_for(std::ptr::null_mut(), || {
        let set = WaitSet::new();
        Ok(Box::into_raw(Box::new(neocortex_wait_set {
            interrupter: set.interrupter(),
            content: UnsafeCell::new(Content {
                set,
                members: BTreeMap::new(),
            }),
            user: AtomicOfProcess::default(),
        })))
    })
}

/// Closes a set. The segments in it stay open. NULL does nothing. A thread that waits by the set is interrupted and
/// waited for; any other use of the set meanwhile, and every use after that, is forbidden.
///
/// # Safety
/// `set` is NULL or an open set, which no other thread uses now, but to wait, or later.
#[no_mangle]
pub unsafe extern "C" fn neocortex_wait_set_close(set: *mut neocortex_wait_set) {
    let _uncancelled = cancel::Disabled::new();
    enter(|| {
        // SAFETY: the caller's promise.
        let Some(open) = (unsafe { set.as_ref() }) else {
            return Ok(());
        };
        let here = OfProcess::new(fork::epoch(), 1);
        loop {
            match open.enter() {
                Ok(used) => break std::mem::forget(used),
                Err(_) if open.user.load(Ordering::Relaxed) == here => {}
                // A thread of the parent has left it half changed: it is kept as it is.
                Err(_) => return Ok(()),
            }
            open.interrupter.interrupt();
            futex::sleep(Duration::from_micros(100));
        }
        // SAFETY: made by `neocortex_wait_set_open`; nobody uses it any more.
        drop(unsafe { Box::from_raw(set) });
        Ok(())
    });
}

/// Adds a segment. It cannot be closed while it is in a set (NEOCORTEX_ERR_BUSY).
///
/// since  the number of commits that the program knows: the next wait tells if there is another number.
///        neocortex_commit_count for what is committed from now on.
/// tag    comes back with each change of the segment; the library does nothing else with it.
///
/// Fails with NEOCORTEX_ERR_INVALID_ARGUMENT for NULL and for a segment that is in the set already, and with
/// NEOCORTEX_ERR_BUSY while another thread waits by the set.
///
/// # Safety
/// `set` is NULL or an open set, `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_wait_set_add(
    set: *mut neocortex_wait_set,
    segment: *mut neocortex_segment,
    since: u64,
    tag: *mut c_void,
) -> neocortex_status {
    let _uncancelled = cancel::Disabled::new();
    enter(|| {
        // SAFETY: the caller's promise.
        let (set, open) = unsafe { (borrow(set, "set")?, handle(segment)?) };
        let mut used = set.enter().on(open.key())?;
        let content = used.content();
        if content.find(segment).is_some() {
            let detail = "the segment is in the wait set already";
            return Err(CortexError::invalid(open.key(), detail));
        }
        let member = match open.opened()? {
            Opened::Full(full) => content.set.add_since(full, since),
            Opened::Observe(observer) => content.set.add_since(observer, since),
        };
        // SAFETY: an open handle comes from Arc::into_raw (`neocortex_segment::new`); the set shares it.
        let shared = unsafe {
            Arc::increment_strong_count(segment.cast_const());
            Arc::from_raw(segment.cast_const())
        };
        content.members.insert(member, InSet::new(shared, tag));
        Ok(())
    })
}

/// Removes a segment. Fails with NEOCORTEX_ERR_INVALID_ARGUMENT for NULL and for a segment that is not in the set, as one
/// that was told as removed, and with NEOCORTEX_ERR_BUSY while another thread waits by the set.
///
/// # Safety
/// `set` is NULL or an open set, `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_wait_set_remove(
    set: *mut neocortex_wait_set,
    segment: *mut neocortex_segment,
) -> neocortex_status {
    let _uncancelled = cancel::Disabled::new();
    enter(|| {
        // SAFETY: the caller's promise.
        let (set, open) = unsafe { (borrow(set, "set")?, handle(segment)?) };
        let mut used = set.enter().on(open.key())?;
        let content = used.content();
        let Some(member) = content.find(segment) else {
            let detail = "the segment is not in the wait set";
            return Err(CortexError::invalid(open.key(), detail));
        };
        content.set.remove(member);
        content.members.remove(&member);
        Ok(())
    })
}

/// Sleeps until at least one segment of the set has changed or was removed, and stores what has in changes, at most
/// capacity of them, and their number in *count. It returns at once where one already has. Each change is told once, and
/// nothing has to be confirmed: a segment is read as always. Where more than capacity have changed, the next calls tell
/// the others, and each has its turn. A set without segments waits all the same.
///
/// timeout_ns  NEOCORTEX_FOREVER, NEOCORTEX_TRY, or nanoseconds.
/// capacity    at least 1.
///
/// Up to 127 segments cost one system call for a call that sleeps, on Linux since 5.16. A segment that was opened with
/// NEOCORTEX_READ_ONLY wakes the set at once where another program waits for it too, and is looked at each millisecond
/// where none does.
///
/// Fails with NEOCORTEX_ERR_TIMEOUT; _INTERRUPTED by neocortex_wait_set_interrupt or _close; _INVALID_ARGUMENT; _BUSY
/// while another thread waits by the set. No failure loses a change.
///
/// # Safety
/// `set` is NULL or an open set, `changes` is NULL or valid for `capacity` structures, `count` is NULL or valid for a
/// number.
#[no_mangle]
pub unsafe extern "C" fn neocortex_wait_set_wait(
    set: *mut neocortex_wait_set,
    timeout_ns: i64,
    changes: *mut neocortex_change,
    capacity: usize,
    count: *mut usize,
) -> neocortex_status {
    let _uncancelled = cancel::Disabled::new();
    enter(|| {
        // SAFETY: the caller's promise.
        let set = unsafe { borrow(set, "set") }?;
        check_not_null(changes, "changes").on_no_key()?;
        check_not_null(count, "count").on_no_key()?;
        if capacity == 0 {
            return Err(Cause::invalid("capacity 0 has no room for a change").on_no_key());
        }
        let mut used = set.enter().on_no_key()?;
        let Content { set, members } = used.content();
        set.wait_at_most(duration(timeout_ns), capacity)
            .on_no_key()?;
        for (place, change) in set.changes.iter().enumerate() {
            let tag = members.get(&change.member).map(|it| it.tag);
            let told = neocortex_change {
                tag: tag.unwrap_or(std::ptr::null_mut()),
                version: change.version,
                flags: match change.is_removed {
                    true => NEOCORTEX_CHANGE_REMOVED,
                    false => 0,
                },
            };
            if change.is_removed {
                members.remove(&change.member);
            }
            // SAFETY: at most `capacity` changes were told, and the place is valid for as many.
            unsafe { changes.add(place).write(told) };
        }
        // SAFETY: not NULL, and the caller's promise.
        unsafe { count.write(set.changes.len()) };
        Ok(())
    })
}

/// Stores in *fd a descriptor that is readable while a change is to be told, for epoll, poll and the event loops that are
/// built on them. neocortex_wait_set_wait with NEOCORTEX_TRY takes the changes and makes it unreadable; nothing is read
/// from the descriptor itself. It is the same until the set is closed, which closes it. Now and then it is readable where
/// nothing is to be told: the wait then times out, and makes it unreadable. A forked child calls this again, and gets a
/// descriptor of its own.
///
/// From the first call on threads of the library, on which all signals are blocked, watch the segments: one for each 127
/// of them.
///
/// Fails with NEOCORTEX_ERR_CLEAN_SYSTEM where there are no more descriptors (EMFILE, ENFILE) or threads (EAGAIN);
/// neocortex_wait_set_wait fails so too from then on, while a segment that was added finds no thread.
/// _INVALID_ARGUMENT; _BUSY while another thread waits by the set.
///
/// # Safety
/// `set` is NULL or an open set, `fd` is NULL or valid for a number.
#[no_mangle]
pub unsafe extern "C" fn neocortex_wait_set_fd(
    set: *mut neocortex_wait_set,
    fd: *mut c_int,
) -> neocortex_status {
    let _uncancelled = cancel::Disabled::new();
    enter(|| {
        // SAFETY: the caller's promise.
        let set = unsafe { borrow(set, "set") }?;
        check_not_null(fd, "fd").on_no_key()?;
        let mut used = set.enter().on_no_key()?;
        let found = used.content().set.fd()?.as_raw_fd();
        // SAFETY: not NULL, and the caller's promise.
        unsafe { fd.write(found) };
        Ok(())
    })
}

/// Ends the wait of this process by the set, or else its next one, with NEOCORTEX_ERR_INTERRUPTED. Async-signal-safe.
/// Fails with NEOCORTEX_ERR_INVALID_ARGUMENT for NULL.
///
/// # Safety
/// `set` is NULL or an open set.
#[no_mangle]
pub unsafe extern "C" fn neocortex_wait_set_interrupt(
    set: *mut neocortex_wait_set,
) -> neocortex_status {
    // SAFETY: the caller's promise. No `enter`: it may allocate, and a signal handler must not.
    match unsafe { set.as_ref() } {
        Some(set) => set.interrupter.interrupt(),
        None => return NEOCORTEX_ERR_INVALID_ARGUMENT,
    }
    NEOCORTEX_OK
}

impl Content {
    fn find(&self, segment: *const neocortex_segment) -> Option<Member> {
        let is_it = |it: &InSet| std::ptr::eq(Arc::as_ptr(&it.segment), segment);
        let mut members = self.members.iter();
        members.find(|(_, it)| is_it(it)).map(|(&member, _)| member)
    }
}
