//! Reading every commit in order.

use super::boundary::{check_not_null, enter, enter_for};
use super::open_handle::{handle, neocortex_segment, Opened};
use super::status::neocortex_status;
use super::times::duration;
use crate::attachment::patience::Wait;
use crate::error::{CortexResult, Told, WAITING_FOR_CHANGE};
use crate::segment::SegmentFollower;
use std::ffi::c_void;

/// Copies the commits after *since into buffer, the oldest first: as many as there are now and fit whole. Waits until
/// there is at least one.
///
/// since       a position: the number of the last commit that need not be read. It becomes that of the last commit that
///             was copied, so the next call goes on after it. neocortex_commit_count is the position of a program that
///             reads what is committed from now on, neocortex_kept_since of one that begins with the oldest commit that
///             is kept. It may be stored: a program that is started again goes on from there.
/// buffer      at least length bytes. length: at least the segment's size, of which so many as go into it are copied.
/// timeout_ns  NEOCORTEX_FOREVER, NEOCORTEX_TRY, or nanoseconds. It covers all of the call.
/// count       how many were copied, at least 1. Their numbers are *since - *count + 1 to *since.
/// missed      how many commits before the first of them were overwritten before they could be read.
///
/// As many commits are kept as the segment has slots (neocortex_options, slots), one less while a writer is at work. No
/// writer waits for a reader: one that is slower than they are is told what it missed. The sum of all counts and
/// missed is the number of commits from the first position to the last. The initial value is no commit. Nothing is
/// stored in the segment, so read permission is enough (NEOCORTEX_READ_ONLY), and any number of programs may read, each
/// at its own pace.
///
/// On failure *since, *count and *missed are as they were, and the buffer is unspecified. Fails with
/// NEOCORTEX_ERR_TIMEOUT, with NEOCORTEX_TRY where there is no new commit; _REMOVED when the segment is removed and all
/// that is kept has been read; _INVALID_ARGUMENT for NULL, for a buffer that is smaller than the segment, and where
/// *since is after the last commit, so that it is no position in this segment; _INTERRUPTED; _BUSY where it would wait
/// and this thread holds a guard; _POISONED in place.
///
/// # Safety
/// `segment` is NULL or an open handle, `buffer` is NULL or valid for `length` bytes, the others are NULL or valid for a
/// number.
#[no_mangle]
pub unsafe extern "C" fn neocortex_follow(
    segment: *mut neocortex_segment,
    since: *mut u64,
    buffer: *mut c_void,
    length: usize,
    timeout_ns: i64,
    count: *mut usize,
    missed: *mut u64,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let segment = unsafe { handle(segment) }?;
        let key = segment.key();
        check_not_null(since, "since").on(key)?;
        check_not_null(buffer, "buffer").on(key)?;
        check_not_null(count, "count").on(key)?;
        check_not_null(missed, "missed").on(key)?;
        let timeout = duration(timeout_ns);
        let _call = segment.enter(WAITING_FOR_CHANGE)?;
        // SAFETY: not NULL, and the caller's promise.
        let position = unsafe { since.read() };
        let mut follower = segment.follow(position)?;
        let room = follower.room_in(length);
        let wait = Wait::lasting(timeout);
        // SAFETY: not NULL, and valid for `length` bytes.
        let batch = unsafe { follower.next_many_within(Some(wait), buffer.cast(), room) }?;
        segment.acknowledge(follower.position());
        // SAFETY: not NULL, and the caller's promise.
        unsafe {
            since.write(follower.position());
            count.write(batch.count);
            missed.write(batch.missed);
        }
        Ok(())
    })
}

/// Registers this handle as a follower that writers wait for, in a segment that was created with NEOCORTEX_LOSSLESS: what
/// is committed after this call is not overwritten before neocortex_follow or neocortex_next_record has copied it through
/// this handle.
///
/// since  the position from which those calls go on. What was overwritten before this call is counted as missed.
///
/// The calls that follow say how far they have read: they must go on from position to position, by one thread at a time.
/// The registration ends with neocortex_unregister_follower, with neocortex_close, or with the process; a forked child
/// does not inherit it. A thread that writes more than there is room for, and does not read, waits for itself to its
/// time-out. Fails with NEOCORTEX_ERR_UNSUPPORTED where the segment is not lossless, _BUSY where the handle is registered,
/// _READ_ONLY, _FULL (in a forked child).
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_register_follower(
    segment: *mut neocortex_segment,
    since: u64,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let full = unsafe { handle(segment) }?.full("register a follower")?;
        full.register(since).map(drop)
    })
}

/// Ends the registration of neocortex_register_follower: writers no longer wait for this handle. Where it is not
/// registered, nothing happens. Fails with NEOCORTEX_ERR_READ_ONLY.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_unregister_follower(
    segment: *mut neocortex_segment,
) -> neocortex_status {
    enter(|| {
        // SAFETY: the caller's promise.
        let full = unsafe { handle(segment) }?.full("unregister a follower")?;
        full.unregister();
        Ok(())
    })
}

/// Returns whether writers wait for followers that registered (NEOCORTEX_LOSSLESS). false for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_is_lossless(segment: *const neocortex_segment) -> bool {
    // SAFETY: the caller's promise.
    enter_for(false, || match unsafe { handle(segment) }?.opened()? {
        Opened::Full(segment) => Ok(segment.is_lossless()),
        Opened::Observe(observer) => Ok(observer.is_lossless()),
    })
}

impl neocortex_segment {
    /// Says that a follower through this handle, if it is registered, has read all up to this position.
    pub(super) fn acknowledge(&self, position: u64) {
        if let Some(full) = self.try_full().filter(|full| full.is_lossless()) {
            full.attachment.acknowledge(position);
        }
    }

    /// Returns a follower at this position.
    ///
    /// # Errors
    /// `Busy` where it would wait for a commit of this thread's own guard.
    pub(super) fn follow(&self, position: u64) -> CortexResult<SegmentFollower<'_>> {
        match self.opened()? {
            Opened::Full(full) if full.version() == position && self.guards.is_writing() => {
                Err(full.waits_for_itself())
            }
            Opened::Full(full) if full.attachment.is_following() => {
                Ok(full.follow(position).waited_for())
            }
            Opened::Full(full) => Ok(full.follow(position)),
            Opened::Observe(observer) => Ok(observer.follow(position)),
        }
    }
}

/// Returns the position from which neocortex_follow reads the oldest commit that is kept now; 0 for NULL.
///
/// # Safety
/// `segment` is NULL or an open handle.
#[no_mangle]
pub unsafe extern "C" fn neocortex_kept_since(segment: *const neocortex_segment) -> u64 {
    // SAFETY: the caller's promise.
    enter_for(0, || match unsafe { handle(segment) }?.opened()? {
        Opened::Full(segment) => Ok(segment.kept_since()),
        Opened::Observe(observer) => Ok(observer.kept_since()),
    })
}
