//! What `<sys/sem.h>` declares, for [`super::sem`]: from `libc` where it has it, else from the system's
//! own header. The tests take it from here too.
//!
//! `libc` has all of it for Linux and macOS, the functions but not the numbers for FreeBSD, nothing for
//! NetBSD, OpenBSD and DragonFly. All BSDs and macOS share the numbers, 4.4BSD's.

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
#[allow(unused_imports)] // the tests take some
pub(crate) use libc::{GETALL, GETPID, GETVAL, SEM_UNDO, SETALL};

/// `libc` does not have it for Android.
#[allow(dead_code)] // the tests do without
pub(crate) const GETNCNT: libc::c_int = if cfg!(any(target_os = "linux", target_os = "android")) {
    14
} else {
    3
};

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
mod numbers {
    pub(crate) const GETPID: libc::c_int = 4;
    pub(crate) const GETVAL: libc::c_int = 5;
    pub(crate) const GETALL: libc::c_int = 6;
    pub(crate) const SETALL: libc::c_int = 9;
    pub(crate) const SEM_UNDO: libc::c_int = 0o10000;
}
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) use numbers::*;

#[cfg(not(any(target_os = "netbsd", target_os = "openbsd", target_os = "dragonfly")))]
pub(crate) use libc::{sembuf, semctl, semget, semop};

#[cfg(any(target_os = "netbsd", target_os = "openbsd", target_os = "dragonfly"))]
mod functions {
    #[repr(C)]
    #[derive(Clone, Copy)]
    #[allow(non_camel_case_types)] // the system's name
    pub(crate) struct sembuf {
        pub(crate) sem_num: libc::c_ushort,
        pub(crate) sem_op: libc::c_short,
        pub(crate) sem_flg: libc::c_short,
    }

    extern "C" {
        // NetBSD keeps the former layout of semid_ds under the plain name; its header renames.
        #[cfg_attr(target_os = "netbsd", link_name = "__semctl50")]
        pub(crate) fn semctl(
            id: libc::c_int,
            index: libc::c_int,
            command: libc::c_int,
            ...
        ) -> libc::c_int;
        pub(crate) fn semget(
            key: libc::key_t,
            count: libc::c_int,
            flags: libc::c_int,
        ) -> libc::c_int;
        pub(crate) fn semop(
            id: libc::c_int,
            operations: *mut sembuf,
            count: libc::size_t,
        ) -> libc::c_int;
    }
}
#[cfg(any(target_os = "netbsd", target_os = "openbsd", target_os = "dragonfly"))]
pub(crate) use functions::*;
