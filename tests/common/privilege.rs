//! Namespaces and capabilities of this process. Linux only.

use super::{fork, pipe, proof};
use std::io::{Read, Write};

/// Enters new namespaces, as root or by way of a user namespace of its own. Whether it could.
pub fn unshare(flags: i32) -> bool {
    // SAFETY: system calls without pointers, in a process of one thread.
    unsafe { libc::unshare(flags) == 0 || libc::unshare(flags | libc::CLONE_NEWUSER) == 0 }
}

/// Whether this machine lets us; says so where it does not.
pub fn is_permitted(flags: i32, promises: &str, how: &str) -> bool {
    let (mut answer, mut to) = pipe();
    fork(|| {
        let is_permitted = unshare(flags);
        to.write_all(&[u8::from(is_permitted)]).unwrap();
    })
    .join();
    drop(to);
    let mut byte = [0];
    answer.read_exact(&mut byte).expect("the child answers");
    if byte[0] == 0 {
        proof::not_run(promises, how, "neither root nor user namespaces");
    }
    byte[0] == 1
}

/// Becomes root of a user namespace, who is this user outside.
pub fn become_root_inside(user: u32) {
    // SAFETY: system calls without pointers, in a process of one thread.
    unsafe {
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setgid(user), 0);
        assert_eq!(libc::setuid(user), 0);
        // Or its files in /proc stay root's.
        assert_eq!(libc::prctl(libc::PR_SET_DUMPABLE, 1), 0);
        assert_eq!(libc::unshare(libc::CLONE_NEWUSER), 0);
    }
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1")).unwrap();
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::geteuid() }, 0);
}

/// What `capget(2)` and `capset(2)` take: which version, whose; and for 32 capabilities each, which are in effect,
/// permitted, and kept through `execve`.
type Capabilities = ([u32; 2], [[u32; 3]; 2]);

/// Those of this process.
fn capabilities() -> Capabilities {
    /// `_LINUX_CAPABILITY_VERSION_3`
    const VERSION: u32 = 0x2008_0522;
    let mut all: Capabilities = ([VERSION, 0], [[0; 3]; 2]);
    // SAFETY: a live header of two words, and the two times three words that this version fills.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut all.0, &raw mut all.1) };
    assert_eq!(result, 0);
    all
}

/// `CAP_SYS_ADMIN`: who has it may remove other users' System V objects (`capabilities(7)`).
const SYS_ADMIN: u32 = 1 << 21;

/// Whether this process has that right, by its user namespace.
pub fn has_sys_admin() -> bool {
    capabilities().1[0][0] & SYS_ADMIN != 0
}

/// Gives it up, as root in a container has not got it. All others stay.
pub fn drop_sys_admin() {
    let mut all = capabilities();
    all.1[0].iter_mut().for_each(|set| *set &= !SYS_ADMIN);
    // SAFETY: as in `capabilities`; the kernel reads.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut all.0, &raw const all.1) };
    assert_eq!(result, 0);
    assert!(!has_sys_admin());
}
