//! Users: what each permission lets whom do, and keys that somebody else was faster to take.
//!
//! A visitor is a forked process that has become another user. Only root can become somebody else: without
//! root these tests are not run, and say so.
// It looks into the kernel as Linux has it.
#![cfg(target_os = "linux")]

mod became_another;
mod closing;
mod permission;
mod removal;

use crate::common::{proof, Gate};
use neocortex::capi::*;
use neocortex::{CortexError, CortexResult};
use std::ffi::CStr;

type Value = [u64; 4];

/// Users and groups that own nothing on any machine.
const MAKER: u32 = 64_217;
const GUEST: u32 = 64_218;
const GROUP: u32 = 64_317;
const OTHER_GROUP: u32 = 64_318;
/// A group that no visitor is in.
const NO_GROUP: u32 = 64_319;

/// Who somebody is: user, group, further groups.
#[derive(Debug, Clone, Copy)]
struct Who(u32, u32, &'static [u32]);

const ROOT: Who = Who(0, GROUP, &[]);
const OWNER: Who = Who(MAKER, GROUP, &[]);

/// The same user, two members of the group, somebody else, and root.
const VISITORS: [Who; 5] = [
    OWNER,
    Who(GUEST, GROUP, &[]),
    Who(GUEST, OTHER_GROUP, &[GROUP]),
    Who(GUEST, OTHER_GROUP, &[]),
    ROOT,
];

impl Who {
    fn become_it(self) {
        // SAFETY: system calls of a process of one thread; the groups are that many.
        unsafe {
            assert_eq!(libc::setgroups(self.2.len() as _, self.2.as_ptr()), 0);
            assert_eq!(libc::setgid(self.1), 0);
            assert_eq!(libc::setuid(self.0), 0);
        }
    }

    /// Whether the mode of an object of `maker` gives this user all of these bits (4 read, 2 write).
    fn may(self, maker: Who, mode: u32, bits: u32) -> bool {
        let class = if self.0 == 0 {
            return true;
        } else if self.0 == maker.0 {
            mode >> 6
        } else if self.1 == maker.1 || self.2.contains(&maker.1) {
            mode >> 3
        } else {
            mode
        };
        class & bits == bits
    }

    fn may_remove(self, maker: Who) -> bool {
        self.0 == 0 || self.0 == maker.0
    }
}

fn is_root(promises: &str, how: &str) -> bool {
    // SAFETY: takes nothing.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        proof::not_run(promises, how, "only root can become another user");
    }
    is_root
}

/// A refusal of the system says on which key, with which answer, and what to do.
fn assert_refused<T>(result: CortexResult<T>, key: i32, numbers: &[i32]) {
    let Err(error) = result else {
        panic!("not refused");
    };
    assert!(matches!(error, CortexError::CleanSystem(_)), "{error:?}");
    let system = error.system().expect("checked above");
    let number = system.raw_os_error().expect("a system's answer");
    assert!(numbers.contains(&number), "{error}");
    let name = if number == libc::EPERM {
        "EPERM"
    } else {
        "EACCES"
    };
    let text = error.to_string();
    assert!(
        text.contains(&format!("key {key}")) && text.contains(name),
        "{text}"
    );
    assert!(
        text.contains("permission") || text.contains("owner"),
        "no advice: {text}"
    );
}

const NOT_OURS: &[i32] = &[libc::EPERM, libc::EACCES];

/// The same of a C call, after it answered with this status.
fn assert_c_refused(status: neocortex_status, key: i32, numbers: &[i32]) {
    assert_eq!(status, NEOCORTEX_ERR_CLEAN_SYSTEM);
    assert_eq!(neocortex_last_status(), NEOCORTEX_ERR_CLEAN_SYSTEM);
    assert!(numbers.contains(&neocortex_last_os_error()));
    // SAFETY: never NULL, and a string.
    let text = unsafe { CStr::from_ptr(neocortex_last_message()) };
    assert!(
        text.to_str().unwrap().contains(&format!("key {key}")),
        "{text:?}"
    );
}

fn c_options() -> neocortex_options {
    // SAFETY: integers and a pointer that may be NULL.
    let mut options: neocortex_options = unsafe { std::mem::zeroed() };
    options.struct_size = size_of::<neocortex_options>();
    options
}

/// A process that attaches as root, becomes another user, and then writes and reads whenever it is told to.
struct Worker {
    process: crate::common::Forked,
    go: Gate,
    done: Gate,
}
