//! Sleeping on a word of shared memory until another process changes it.
//!
//! A wait may end early for any reason (a signal, a wake that was meant for another sleeper); callers look
//! again, and are told whether it was a signal. Each way
//! of sleeping has a file:
//!
//! | file | where |
//! |---|---|
//! | `linux` | Linux: the shared futex, `futex(2)` without `FUTEX_PRIVATE_FLAG` |
//! | `linux_any` | Linux: several words at once, `futex_waitv(2)` |
//! | `umtx` | FreeBSD: `_umtx_op(2)`, its shared form |
//! | `openbsd` | OpenBSD: its own `futex(2)` |
//! | `portable` | elsewhere, and with `--cfg neocortex_portable`: sleeping at growing, bounded intervals, where a wake does nothing |
//!
//! Several words at once, and a word of this process alone: [`wait_any`], which Linux has. Where it is refused the caller
//! looks at intervals.
//!
//! (macOS 14.4 has `os_sync_wait_on_address`; linking to it would refuse older systems.)

mod any;
pub(super) mod pause;

pub(crate) use any::{AnyEnd, Expected, ANY_LIMIT};
pub(crate) use pause::sleep;

use crate::sys::SleepEnd;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Whether a sleeper looks at its word at intervals and is woken by nobody.
pub(crate) const IS_POLLED: bool = cfg!(any(
    neocortex_portable,
    not(any(
        target_os = "linux",
        target_os = "freebsd",
        target_os = "openbsd"
    ))
));

/// Sleeps on a word of shared memory that this process may only read. A wake reaches it where the system allows that
/// (Linux: `futex(2)` needs read access alone); elsewhere it sleeps its time out.
pub(crate) fn wait_read_only(word: &AtomicU32, expected: u32, limit: Duration) -> SleepEnd {
    if cfg!(all(target_os = "linux", not(neocortex_portable))) {
        wait(word, expected, limit)
    } else {
        sleep(limit)
    }
}

#[cfg(all(target_os = "linux", not(neocortex_portable)))]
mod linux;
#[cfg(all(target_os = "linux", not(neocortex_portable)))]
pub(crate) use linux::{wait, wait_own, wake_all, wake_one, wake_own};
#[cfg(all(target_os = "linux", not(neocortex_portable)))]
mod linux_any;
#[cfg(all(target_os = "linux", not(neocortex_portable)))]
pub(crate) use linux_any::wait_any;

#[cfg(all(target_os = "freebsd", not(neocortex_portable)))]
mod umtx;
#[cfg(all(target_os = "freebsd", not(neocortex_portable)))]
pub(crate) use umtx::{wait, wake_all, wake_one};

#[cfg(all(target_os = "openbsd", not(neocortex_portable)))]
mod openbsd;
#[cfg(all(target_os = "openbsd", not(neocortex_portable)))]
pub(crate) use openbsd::{wait, wake_all, wake_one};

#[cfg(any(
    neocortex_portable,
    not(any(target_os = "linux", target_os = "freebsd", target_os = "openbsd"))
))]
mod portable;
#[cfg(any(
    neocortex_portable,
    not(any(target_os = "linux", target_os = "freebsd", target_os = "openbsd"))
))]
pub(crate) use portable::{wait, wake_all, wake_one};

// A word of this process alone is slept on like any other there.
#[cfg(any(neocortex_portable, not(target_os = "linux")))]
pub(crate) use {wait as wait_own, wake_all as wake_own};

/// Refused: these systems cannot sleep on several words.
#[cfg(any(neocortex_portable, not(target_os = "linux")))]
pub(crate) fn wait_any<'a>(
    _own: Expected<'a>,
    _shared: impl Iterator<Item = Expected<'a>>,
    _limit: Duration,
) -> AnyEnd {
    AnyEnd::Refused
}
