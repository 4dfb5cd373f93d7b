//! Sleeping on a word of shared memory until another process changes it.
//!
//! A wait may end early for any reason (a signal, a wake that was meant for another sleeper); callers look
//! again, and are told whether it was a signal. Each way
//! of sleeping has a file:
//!
//! | file | where |
//! |---|---|
//! | `linux` | Linux: the shared futex, `futex(2)` without `FUTEX_PRIVATE_FLAG` |
//! | `umtx` | FreeBSD: `_umtx_op(2)`, its shared form |
//! | `openbsd` | OpenBSD: its own `futex(2)` |
//! | `portable` | elsewhere, and with `--cfg neocortex_portable`: sleeping at growing, bounded intervals, where a wake does nothing |
//!
//! (macOS 14.4 has `os_sync_wait_on_address`; linking to it would refuse older systems.)

pub(super) mod pause;

pub(crate) use pause::sleep;

#[cfg(all(target_os = "linux", not(neocortex_portable)))]
mod linux;
#[cfg(all(target_os = "linux", not(neocortex_portable)))]
pub(crate) use linux::{wait, wake_all, wake_one};

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
