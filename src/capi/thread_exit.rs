//! What runs when a thread that has called the library ends: clean-ups that other modules register here.
//!
//! They are asked for twice. The destructor of a thread-local runs first, before those of thread keys, which may go on
//! calling. A thread whose first call is in one of those has no such destructor any more (glibc registers it and does
//! not run it), so there is a key as well: its destructor runs after the one that called, or in the next round.

use crate::sys::thread_exit::LastCall;
use std::cell::Cell;
use std::ffi::c_void;

/// The clean-ups of a thread, in the order in which they run.
#[derive(Clone, Copy)]
pub(super) enum CleanUp {
    /// Rolls back the guards that the thread holds.
    Guards,
    /// Frees the thread's last failure. It comes last, because rolling back may fail.
    LastFailure,
}

/// One function for each [`CleanUp`]; `None` where nothing is registered.
type CleanUps = [Option<fn()>; 2];

thread_local! {
    /// Without a destructor, so that it serves to the thread's very end.
    static CLEAN_UPS: Cell<CleanUps> = const { Cell::new([None; 2]) };
    static END: End = const { End };
}

static LAST_CALL: LastCall = LastCall::new(run);

struct End;

impl Drop for End {
    fn drop(&mut self) {
        LAST_CALL.cancel();
        run(std::ptr::null_mut());
    }
}

extern "C" fn run(_: *mut c_void) {
    // One may register another, which then runs in this round or has the key's destructor called once more.
    for which in [CleanUp::Guards, CleanUp::LastFailure] {
        let mut registered = CLEAN_UPS.get();
        let clean_up = registered[which as usize].take();
        CLEAN_UPS.set(registered);
        if let Some(clean_up) = clean_up {
            clean_up();
        }
    }
}

/// Runs `clean_up` when the calling thread ends. It is registered again after it has run, if it is needed again.
pub(super) fn register(which: CleanUp, clean_up: fn()) {
    let mut registered = CLEAN_UPS.get();
    registered[which as usize] = Some(clean_up);
    CLEAN_UPS.set(registered);
    let _ = END.try_with(|_| ());
    LAST_CALL.ask();
}
