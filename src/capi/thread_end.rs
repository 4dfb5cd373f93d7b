//! The end of a thread that has called the library: what it holds is rolled back, and what was kept for it freed.
//!
//! Asked for twice. The destructor of a thread-local comes first, before those of thread keys, which may go on calling.
//! A thread whose first call is in one of those has no such destructor any more (glibc registers it and does not
//! run it), so there is a key as well: its destructor comes after the one that called, or in the next round.

use super::{held, status};
use crate::sys::last_call::LastCall;
use std::ffi::c_void;

thread_local! {
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
    held::roll_back();
    status::forget();
}

/// Has the calling thread's end do all that.
pub(super) fn expect() {
    let _ = END.try_with(|_| ());
    LAST_CALL.ask();
}
