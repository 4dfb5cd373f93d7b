//! Closing a handle while a call waits through it: the call is waited for, or ends before it touches the handle.

use super::explore;
use crate::protocol::interrupts::{Interrupts, CLOSING};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct Handle {
    interrupts: Interrupts,
    /// Taken apart by the closing thread.
    content: UnsafeCell<u32>,
}

// SAFETY: loom's cell reports any two accesses that are not ordered; that is what is tried.
unsafe impl Sync for Handle {}

#[test]
fn a_call_is_waited_for_or_ends_at_once() {
    explore(None, || {
        let handle = Arc::new(Handle {
            interrupts: Interrupts::new(),
            content: UnsafeCell::new(1),
        });
        let other = Arc::clone(&handle);
        let caller = thread::spawn(move || {
            let _call = other.interrupts.begin();
            if !other.interrupts.are_stopped(CLOSING) {
                // SAFETY: not closed yet; loom checks it.
                assert_eq!(other.content.with(|content| unsafe { *content }), 1);
            }
        });
        handle.interrupts.stop(CLOSING);
        // As when it gives up waiting for them: it is then still open.
        if handle.interrupts.are_over() {
            // SAFETY: no call is left, and none begins; loom checks it.
            handle.content.with_mut(|content| unsafe { *content = 0 });
        }
        caller.join().unwrap();
    });
}
