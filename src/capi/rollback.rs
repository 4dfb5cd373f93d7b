//! Guards that are not ended by a call on their own thread: they are rolled back.
//!
//! A thread that ends rolls back what it holds ([`thread_exit`]): [`VISITED`] is where it has been. What comes after
//! that on the thread (`atexit` handlers, destructors of C++ statics and of thread keys) may begin guards, and must
//! end them itself.
//!
//! A guard that another thread than its own ends (a C++ guard that was moved) cannot be ended there: its own thread
//! may be using it. It is logged, noted ([`HeldGuards::abandon`], `HeldGuards::given_up`), and rolled back by its own
//! thread, when that next begins a guard, is refused one, or ends.
//!
//! [`HeldGuards::abandon`]: super::held_guards::HeldGuards::abandon

use super::any_lock::AnyLock;
use super::open_handle::neocortex_segment;
use super::thread_exit::{self, CleanUp};
use crate::attachment::thread_guards;
use crate::error::{CortexError, CortexResult};
use crate::protocol::interrupts::CLOSED;
use crate::protocol::of_process::OfProcess;
use crate::segment::{ReadGuard, Segment};
use crate::sys::{fork, futex};
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

thread_local! {
    /// The handles through which this thread has begun guards. Without a destructor, so that it serves to the
    /// thread's very end.
    static VISITED: RefCell<ManuallyDrop<Vec<Weak<neocortex_segment>>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

/// Ends every guard of this thread, which is ending.
fn roll_back() {
    let visited = VISITED.take();
    for handle in ManuallyDrop::into_inner(visited)
        .iter()
        .filter_map(Weak::upgrade)
    {
        roll_back_in(&handle);
    }
}

fn roll_back_in(handle: &neocortex_segment) {
    // Not at the same time as a close, which may find a guard of this thread and give up.
    let _call = loop {
        match handle.enter("rolling back") {
            Ok(call) => break call,
            Err(_) if handle.interrupts.are_stopped(CLOSED) => return,
            Err(_) => {
                futex::sleep(Duration::from_micros(100));
            }
        }
    };
    let Some(segment) = handle.try_full() else {
        return;
    };
    handle.guards.recover();
    handle.guards.end(drop);
    while let Some(guard) = take_read(handle, segment) {
        // What a lock cannot release is logged by the guard's drop, and stays with the process.
        drop(guard);
    }
    segment.attachment.own.registered.unregister();
}

/// Has this thread's end roll back what it holds through this handle.
pub(super) fn visit(handle: &neocortex_segment, segment: &Segment<AnyLock>) {
    if segment.attachment.own.registered.is_mine(fork::epoch()) {
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
            thread_exit::register(CleanUp::Guards, roll_back);
        }
    });
    segment.attachment.own.registered.register();
}

/// Takes one of this thread's read guards off the count. Returns `None` where it has none.
pub(super) fn take_read<'a>(
    handle: &neocortex_segment,
    segment: &'a Segment<AnyLock>,
) -> Option<ReadGuard<'a, [u8], AnyLock>> {
    let guard = ReadGuard::resume(segment)?;
    let (registered, epoch, attachment_id) = (
        &segment.attachment.own.registered,
        fork::epoch(),
        segment.attachment.id(),
    );
    if registered.is_mine(epoch) && registered.count(epoch) != 0 {
        registered.set(epoch, registered.count(epoch) - 1);
        thread_guards::add(attachment_id);
    } else if thread_guards::is_counted(attachment_id) {
        handle.guards.count_abroad(|count| count.saturating_sub(1));
    } else {
        std::mem::forget(guard);
        return None;
    }
    Some(guard)
}

/// Rolls back the guards of this thread that other threads have given up. Returns whether there was one.
pub(super) fn roll_back_given_up(handle: &neocortex_segment, segment: &Segment<AnyLock>) -> bool {
    roll_back_given_up_write(handle) || roll_back_given_up_reads(handle, segment)
}

pub(super) fn roll_back_given_up_write(handle: &neocortex_segment) -> bool {
    handle.guards.recover() && handle.guards.end(drop).is_some()
}

fn roll_back_given_up_reads(handle: &neocortex_segment, segment: &Segment<AnyLock>) -> bool {
    let guards = &handle.guards;
    let epoch = fork::epoch();
    // Acquire: see `read_elsewhere`.
    let given_up = guards.given_up.count(epoch, Ordering::Acquire);
    if given_up == 0 {
        return false;
    }
    // Which threads began them is known only where one thread holds them all.
    let registered = &segment.attachment.own.registered;
    let of_registered = if registered.is_mine(epoch) {
        registered.count(epoch)
    } else {
        0
    };
    let mine = of_registered + thread_guards::counted(segment.attachment.id());
    if mine != guards.count_reads(segment) {
        return false;
    }
    guards.given_up.store(OfProcess::NOBODY, Ordering::Relaxed);
    let mut is_any = false;
    for _ in 0..given_up {
        // What cannot be released is logged, as in `roll_back_in`.
        is_any |= take_read(handle, segment).map(drop).is_some();
    }
    is_any
}

/// Runs a call, and runs it again where it was refused because of a guard of this thread that another one has given up.
pub(super) fn retrying<R>(
    handle: &neocortex_segment,
    mut call: impl FnMut() -> CortexResult<R>,
) -> CortexResult<R> {
    match call() {
        // Made anew, for a result that is moved costs time (`boundary::enter`).
        Ok(result) => Ok(result),
        Err(busy @ CortexError::Busy { .. }) => match handle.try_full() {
            Some(segment) if roll_back_given_up(handle, segment) => call(),
            _ => Err(busy),
        },
        // The handle may be closed already: it is a guard that keeps it open.
        Err(error) => Err(error),
    }
}
