//! The handle behind every call: what it has open, its guards, its calls that wait.

use super::any_lock::AnyLock;
use super::boundary::borrow;
use super::held_guards::HeldGuards;
use crate::error::{Attempt, CortexError, CortexResult, Told};
use crate::protocol::interrupts::{Call, Interrupts, CLOSING};
use crate::segment::{Limit, Segment, SegmentObserver};
use crate::sys::memory;
use std::cell::UnsafeCell;
use std::ffi::CString;
use std::sync::atomic::AtomicU32;
use std::sync::Arc;

/// A handle: one process's attachment to a segment. Opaque.
///
/// Any thread may use it at any time, except after neocortex_close; during it, only by calls that are waiting
/// already. A forked child may go on using it, and closes its own copy.
pub struct neocortex_segment {
    // What a fast call needs comes first.
    /// `None` once it is closed, which the closing thread stores when no call is left (`capi::closing`).
    opened: UnsafeCell<Option<Opened>>,
    pub(super) guards: HeldGuards,
    /// Those of what is opened; kept here too, because they are asked after it is closed.
    pub(super) interrupts: Arc<Interrupts>,
    key: i32,
    /// In how many wait sets it is.
    pub(super) sets: AtomicU32,
    pub(super) lock_name: CString,
    /// Empty where it was made by number.
    pub(super) name: CString,
}

pub(super) enum Opened {
    Full(Segment<AnyLock>),
    Observe(SegmentObserver),
}

// SAFETY: the cell is stored to once, by the thread that closes the handle: no other thread uses it then, by the rules of
// the interface and by `closing`. Everything else is Sync by itself.
unsafe impl Sync for neocortex_segment {}
// SAFETY: as above.
unsafe impl Send for neocortex_segment {}

impl neocortex_segment {
    /// Makes a handle for a C program, which closes it.
    pub(super) fn new(opened: Opened) -> *mut Self {
        let (key, names, interrupts) = match &opened {
            Opened::Full(full) => (
                full.key(),
                [full.lock_name(), full.name()],
                &full.attachment.interrupts,
            ),
            Opened::Observe(observer) => (
                observer.key(),
                [observer.lock_name(), observer.name()],
                &observer.interrupts,
            ),
        };
        let [lock_name, name] = names.map(|name| CString::new(name).unwrap_or_default());
        let interrupts = Arc::clone(interrupts);
        // Shared with the threads that must roll back guards when they end (`rollback`), which keep it weakly.
        Arc::into_raw(Arc::new(Self {
            opened: UnsafeCell::new(Some(opened)),
            guards: HeldGuards::default(),
            interrupts,
            key,
            sets: AtomicU32::new(0),
            lock_name,
            name,
        }))
        .cast_mut()
    }

    /// Returns what was opened; `None` once it is closed.
    #[inline]
    pub(super) fn get(&self) -> Option<&Opened> {
        // SAFETY: see `opened`.
        unsafe { &*self.opened.get() }.as_ref()
    }

    /// Returns what was opened.
    #[inline]
    pub(super) fn opened(&self) -> CortexResult<&Opened> {
        self.get().ok_or_else(|| self.closed())
    }

    #[cold]
    fn closed(&self) -> CortexError {
        CortexError::invalid(self.key, "the handle is closed")
    }

    /// Takes what was opened away.
    ///
    /// # Safety
    /// No other thread uses the handle, but to find that it is closed ([`neocortex_segment::enter`]).
    pub(super) unsafe fn take(&self) -> Option<Opened> {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.opened.get() }.take()
    }

    /// Counts a call that may wait, before it looks at anything else: the thread that closes the handle waits for it.
    ///
    /// # Errors
    /// `Interrupted` where the handle is being closed.
    pub(super) fn enter(&self, operation: &'static str) -> CortexResult<Call<'_>> {
        let call = self.interrupts.begin();
        if self.interrupts.are_stopped(CLOSING) {
            let key = self.key;
            return Err(CortexError::Interrupted { key, operation });
        }
        Ok(call)
    }

    /// Ends every wait through it from now on.
    pub(super) fn stop_waits(&self, why: u32) {
        match self.get() {
            Some(Opened::Full(segment)) => segment.attachment.stop_waits(why),
            _ => self.interrupts.stop(why),
        }
    }

    /// Returns the segment, where the handle can do more than read.
    #[inline]
    pub(super) fn full(&self, operation: &'static str) -> CortexResult<&Segment<AnyLock>> {
        match self.opened()? {
            Opened::Full(segment) => Ok(segment),
            Opened::Observe(observer) => Err(CortexError::ReadOnly {
                key: observer.key(),
                operation,
            }),
        }
    }

    /// Returns the same as [`neocortex_segment::full`], for callers that do not say why not.
    #[inline]
    pub(super) fn try_full(&self) -> Option<&Segment<AnyLock>> {
        match self.get() {
            Some(Opened::Full(segment)) => Some(segment),
            _ => None,
        }
    }

    /// Copies bytes of the value into a buffer that is written to on success only, but for the exception that
    /// `neocortex_read` names. Returns the version of the commit that they are from.
    pub(super) fn read(&self, offset: usize, buffer: &mut [u8], limit: Limit) -> CortexResult<u64> {
        match self.opened()? {
            Opened::Full(segment) if !segment.is_in_place() && segment.lock().is_built_in() => {
                segment.read_at_within(offset, buffer, limit)
            }
            // An attempt that a writer overtakes has spoilt its buffer, and in place it may be the
            // last one (the writer dies); the release of a caller's lock may fail after the copy. So these
            // copy into memory of their own first. The others always succeed in the end, but for the exception.
            Opened::Full(segment) => staged(segment.key(), buffer, |copy| {
                segment.read_at_within(offset, copy, limit)
            }),
            Opened::Observe(observer) => staged(observer.key(), buffer, |copy| {
                observer.read_at_within(offset, copy, limit.timeout(observer.timeout()))
            }),
        }
    }

    pub(super) fn size(&self) -> CortexResult<usize> {
        Ok(match self.opened()? {
            Opened::Full(segment) => segment.size(),
            Opened::Observe(observer) => observer.size(),
        })
    }

    pub(super) fn key(&self) -> i32 {
        self.key
    }

    /// Refuses a length before a slice is made of it: slices have limits of their own.
    #[inline]
    pub(super) fn check_length(&self, length: usize) -> CortexResult<()> {
        let size = self.size()?;
        if length <= size {
            return Ok(());
        }
        let detail = format!("{length} bytes do not fit into {size} bytes");
        Err(CortexError::invalid(self.key, detail))
    }
}

/// Fills a buffer by way of another one, on success only.
#[cold]
fn staged<R>(
    key: i32,
    buffer: &mut [u8],
    fill: impl FnOnce(&mut [u8]) -> CortexResult<R>,
) -> CortexResult<R> {
    let mut copy = memory::zeroed(buffer.len())
        .attempt("read a copy of")
        .on(key)?;
    let result = fill(&mut copy)?;
    buffer.copy_from_slice(&copy);
    Ok(result)
}

/// Returns the handle behind a pointer.
///
/// # Safety
/// NULL, or a handle that is not closed meanwhile.
#[inline]
pub(super) unsafe fn handle<'a>(
    segment: *const neocortex_segment,
) -> CortexResult<&'a neocortex_segment> {
    // SAFETY: the caller's promise.
    unsafe { borrow(segment, "segment") }
}
