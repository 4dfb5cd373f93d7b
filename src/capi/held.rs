//! The guards that C threads hold: begun by one call, ended by another, on the same thread.
//!
//! They live in thread-local storage, so that there is no lock that a forked child could inherit
//! locked, and a guard cannot be ended on another thread. A thread that ends with a guard rolls it
//! back. The handle counts them, because it must not be closed under them.

use super::any_lock::AnyLock;
use crate::error::{CortexError, CortexResult};
use crate::segment::{ReadGuard, Segment, WriteGuard};
use crate::sys::fork;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many guards are held through a handle, tagged with the epoch of the process that holds them.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    fn change(&self, change: impl Fn(u32) -> u32) {
        let epoch = u64::from(fork::epoch()) << 32;
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            // Those of the parent are not this process's.
            let count = if seen >> 32 == epoch >> 32 {
                seen as u32
            } else {
                0
            };
            let next = epoch | u64::from(change(count));
            match self
                .0
                .compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        let seen = self.0.load(Ordering::Acquire);
        seen as u32 == 0 || (seen >> 32) as u32 != fork::epoch()
    }
}

pub(super) enum Guard {
    Read(ReadGuard<'static, [u8], AnyLock>),
    Write(WriteGuard<'static, [u8], AnyLock>),
}

/// One guard of this thread, and whose it is.
struct Held {
    guard: Guard,
    /// The segment's address: the handle cannot be closed, and so not reused, while it is counted.
    segment: *const Segment<AnyLock>,
    count: &'static Count,
    epoch: u32,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.epoch == fork::epoch() {
            self.count.change(|count| count.saturating_sub(1));
        }
    }
}

thread_local! {
    static HELD: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };
}

fn with_held<R>(run: impl FnOnce(&mut Vec<Held>) -> CortexResult<R>) -> CortexResult<R> {
    HELD.try_with(|held| run(&mut held.borrow_mut()))
        .unwrap_or_else(|_| Err(CortexError::invalid(0, "this thread is ending")))
}

/// Begins a guard on this thread.
///
/// # Safety
/// The segment and the count stay where they are until the count is zero again.
pub(super) unsafe fn begin(
    segment: &Segment<AnyLock>,
    count: &Count,
    is_write: bool,
) -> CortexResult<*mut u8> {
    // SAFETY: the caller's promise; what is made of these lives in HELD and is counted.
    let (segment, count): (&'static Segment<AnyLock>, &'static Count) =
        unsafe { (&*std::ptr::from_ref(segment), &*std::ptr::from_ref(count)) };
    let epoch = fork::epoch();
    with_held(|held| {
        let mut mine = held
            .iter()
            .filter(|entry| std::ptr::eq(entry.segment, segment) && entry.epoch == epoch);
        let is_nested_read = !is_write
            && mine
                .clone()
                .all(|entry| matches!(entry.guard, Guard::Read(_)));
        if mine.next().is_some() && !(is_nested_read && segment.lock().is_shared()) {
            let detail = "this thread holds a guard through this handle already";
            return Err(CortexError::Busy {
                key: segment.key(),
                detail,
            });
        }
        Ok(())
    })?;
    // Counted before the lock is taken: a `close` meanwhile must be refused.
    count.change(|count| count + 1);
    let begun = if is_write {
        segment
            .write_guard()
            .map(|mut guard| (guard.as_mut_ptr(), Guard::Write(guard)))
    } else {
        segment
            .read_guard()
            .map(|guard| (guard.as_ptr().cast_mut(), Guard::Read(guard)))
    };
    match begun {
        Ok((data, guard)) => {
            with_held(|held| {
                held.push(Held {
                    guard,
                    segment,
                    count,
                    epoch,
                });
                Ok(())
            })?;
            Ok(data)
        }
        Err(error) => {
            count.change(|count| count.saturating_sub(1));
            Err(error)
        }
    }
}

/// The place of this thread's last guard of this kind on this segment.
fn find(held: &[Held], segment: &Segment<AnyLock>, is_write: bool) -> CortexResult<usize> {
    let epoch = fork::epoch();
    held.iter()
        .rposition(|entry| {
            std::ptr::eq(entry.segment, segment)
                && entry.epoch == epoch
                && matches!(entry.guard, Guard::Write(_)) == is_write
        })
        .ok_or_else(|| {
            let what = if is_write { "write" } else { "read" };
            let detail = format!("this thread has not begun a {what} through this handle");
            CortexError::invalid(segment.key(), detail)
        })
}

/// Ends this thread's last guard of this kind: `end` gets it.
pub(super) fn end(
    segment: &Segment<AnyLock>,
    is_write: bool,
    end: impl FnOnce(Guard) -> CortexResult<()>,
) -> CortexResult<()> {
    // Taken out first: `end` may log, and a log callback may call us.
    let held = with_held(|held| {
        let place = find(held, segment, is_write)?;
        Ok(std::mem::ManuallyDrop::new(held.remove(place)))
    })?;
    // SAFETY: `held` is never dropped, and the guard is read out of it once.
    let guard = unsafe { std::ptr::read(&held.guard) };
    let result = end(guard);
    held.count.change(|count| count.saturating_sub(1));
    result
}

/// Gives this thread's write guard to `run`.
pub(super) fn with_write<R>(
    segment: &Segment<AnyLock>,
    run: impl FnOnce(&mut WriteGuard<'static, [u8], AnyLock>) -> CortexResult<R>,
) -> CortexResult<R> {
    with_held(|held| {
        let place = find(held, segment, true)?;
        match &mut held[place].guard {
            Guard::Write(guard) => run(guard),
            Guard::Read(_) => unreachable!("found by its kind"),
        }
    })
}

/// Forgets what this thread inherited from its parent on a segment that is about to be closed.
pub(super) fn forget_inherited(segment: &Segment<AnyLock>) {
    let _ = with_held(|held| {
        while let Some(place) = held
            .iter()
            .position(|entry| std::ptr::eq(entry.segment, segment))
        {
            // Void in this process: there is nothing to release.
            std::mem::forget(held.remove(place));
        }
        Ok(())
    });
}
