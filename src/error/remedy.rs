//! What to do about an answer of the system, whatever was being tried: the last sentence of a message.
//!
//! A limit is named as the system at hand names it, with how to look at it and how to raise it.

use crate::sys::errno;

/// How a system names its limits.
struct Limits {
    segments: &'static str,
    segment_size: &'static str,
    total_size: &'static str,
    sets: &'static str,
    set_size: &'static str,
    undo: &'static str,
}

const LIMITS: Limits = if cfg!(any(target_os = "linux", target_os = "android")) {
    Limits {
        segments: "kernel.shmmni",
        segment_size: "kernel.shmmax",
        total_size: "kernel.shmall (pages)",
        sets: "kernel.sem (its 4th number, SEMMNI, and its 2nd, SEMMNS)",
        set_size: "kernel.sem (its 1st number, SEMMSL)",
        undo: "SEMUME (none on Linux)",
    }
} else if cfg!(target_vendor = "apple") {
    Limits {
        segments: "kern.sysv.shmmni",
        segment_size: "kern.sysv.shmmax",
        total_size: "kern.sysv.shmall (pages)",
        sets: "kern.sysv.semmni and kern.sysv.semmns",
        set_size: "kern.sysv.semmsl",
        undo: "SEMUME, kern.sysv.semume: 10 a process, so ten handles",
    }
} else if cfg!(target_os = "openbsd") {
    Limits {
        segments: "kern.shminfo.shmmni",
        segment_size: "kern.shminfo.shmmax",
        total_size: "kern.shminfo.shmall (pages)",
        sets: "kern.seminfo.semmni and kern.seminfo.semmns",
        set_size: "kern.seminfo.semmsl",
        undo: "SEMUME, kern.seminfo.semume",
    }
} else {
    // FreeBSD's; NetBSD's are the same but for shmmaxpgs.
    Limits {
        segments: "kern.ipc.shmmni",
        segment_size: "kern.ipc.shmmax",
        total_size: "kern.ipc.shmall (pages; NetBSD: kern.ipc.shmmaxpgs)",
        sets: "kern.ipc.semmni and kern.ipc.semmns",
        set_size: "kern.ipc.semmsl",
        undo: "SEMUME, kern.ipc.semume",
    }
};

/// The remedy where only the owner of an object, its creator or a privileged process may do something. On Linux it is
/// the capability and not the user 0 that counts (`shmctl(2)`, `semctl(2)`): root in a container has it only in its own
/// user namespace, if that owns the IPC namespace.
const PRIVILEGE: &str = if cfg!(any(target_os = "linux", target_os = "android")) {
    "Only the object's owner, its creator, or a process with CAP_SYS_ADMIN over the IPC namespace may do this; root in a container usually lacks that capability. Do it as the owner (`ipcs -m -s` shows who that is), or start the container with that capability; also see what its seccomp profile forbids"
} else {
    "Only the object's owner, its creator or root may do this; in a jail or a container, also see what that forbids"
};

/// Returns whether a call needs no right of its own over an object: what forbids it is a policy.
fn is_for_all(call: &str) -> bool {
    matches!(
        call,
        "shmget" | "shmat" | "shmdt" | "semget" | "semop" | "semtimedop"
    ) || ["IPC_STAT", "GETALL", "GETVAL", "GETPID"]
        .iter()
        .any(|question| call.contains(question))
}

/// Returns the remedy where a new object could not be given its user and group.
pub(crate) fn remedy_for_owner(number: i32) -> Option<String> {
    let fixed = match number {
        errno::EPERM => "Only the object's owner, its creator, or a process with CAP_SYS_ADMIN (root in a container may lack it) may give it another `owner`, and a security module may forbid even them: create it as that user, or without `owner`",
        // It was made a moment ago.
        errno::EINVAL => "This process's user namespace has no number for the user or the group in `owner`: give one that `/proc/self/uid_map` and `gid_map` have",
        _ => return None,
    };
    Some(fixed.to_owned())
}

/// Returns the remedy for a system call, named as in messages, that answered `number`. It is never empty.
///
/// The errors are those of the manual pages and, besides, what comes from around a call: locked memory, resource
/// limits, kernel settings, security modules. A seccomp filter may answer with any number at all, for which the last
/// line is.
pub(crate) fn remedy(call: &str, number: i32) -> String {
    let is_table = call.starts_with("read(");
    let fixed = match (call, number) {
        ("shmget", errno::ENOSPC) => {
            return format!(
                "A limit of the system is reached: the number of segments, {}, or the size of all of them, {}. `ipcs -lm` shows the limits, `ipcs -um` what is used; remove what nobody needs (`neocortex list`) or raise the limit with sysctl",
                LIMITS.segments, LIMITS.total_size
            )
        }
        ("shmget", errno::EINVAL) => {
            return format!(
                "The size is above what the system allows for one segment, {}: share less, or raise the limit with sysctl",
                LIMITS.segment_size
            )
        }
        ("semget", errno::ENOSPC) => {
            return format!(
                "A limit of the system is reached: the number of semaphore sets or of all semaphores, {}. `ipcs -ls` shows the limits, `ipcs -us` what is used; create with fewer `participants`, remove what nobody needs, or raise the limit with sysctl",
                LIMITS.sets
            )
        }
        ("semget", errno::EINVAL) => {
            return format!(
                "More semaphores than the system allows for one set, {}: create with fewer `participants`, or raise the limit with sysctl",
                LIMITS.set_size
            )
        }
        ("semop", errno::EINVAL | errno::ENOSPC) => {
            return format!(
                "This process, or the system, has as many undo entries as the system allows ({}): close handles that are not needed, or only read (`Observer`), which needs none",
                LIMITS.undo
            )
        }
        ("shmat", errno::EAGAIN) => "This process locks all its memory (mlockall with MCL_FUTURE), and the mapping would be more than it may lock (RLIMIT_MEMLOCK, `ulimit -l`; in a service of systemd LimitMEMLOCK=): raise that, or share less",
        ("shmat", errno::ENOMEM) => "This process has no room for the mapping: its address space is full or limited (RLIMIT_AS, `ulimit -v`), or it has as many mappings as the system allows (Linux: vm.max_map_count). Raise that, or share less",
        ("shmat", errno::EMFILE) => "This process has as many segments attached as the system allows (SHMSEG): close handles that are not needed",
        ("shmget", errno::ENOMEM) => "No memory for a segment of this size (a kernel that never overcommits, vm.overcommit_memory=2, counts all of it at once): share less, or raise the limit of the container or the system",
        ("shmget", errno::ENOENT) => "No such segment. Is the creator running, and in the same IPC namespace (container)? `neocortex list` shows what exists",
        ("shmget", errno::ENFILE) => "The system has as many files open as it allows, and each segment is one (fs.file-max): close some, or raise the limit with sysctl",
        (_, errno::ENFILE) => "The system has as many files open as it allows (fs.file-max): close some, or raise the limit with sysctl",
        (_, errno::EMFILE) => "This process has as many files open as it may (RLIMIT_NOFILE, `ulimit -n`): close some, or raise the limit",
        (_, errno::EACCES | errno::EPERM) if is_table => "The kernel's table of System V objects is closed to this process, by the way /proc is mounted or by a security module: ask `ipcs`, or start without that. What is given a key works all the same",
        (_, errno::EIO | errno::ENOTDIR | errno::EISDIR | errno::ELOOP | errno::EINVAL) if is_table => "What is at that path is not the kernel's table: /proc is not mounted as usual, or something is mounted over it (`findmnt -T /proc/sysvipc`). What is given a key works all the same",
        (_, errno::EACCES) => "The object's permission does not let this user in: create it for a group of this user (`owner` and `permission`: 0660), with a wider `permission` only if everybody is meant, or only read (`Observer`), if it lets this user read",
        (call, errno::EPERM) if is_for_all(call) => "A policy forbids the call, not the object's permission: a seccomp profile (of the container, or SystemCallFilter= of the service: `@ipc` is the group of these calls), or a security module. `neocortex doctor` shows what is in force; allow the System V calls there",
        (_, errno::EPERM) => PRIVILEGE,
        ("malloc", errno::ENOMEM) => "This process has no memory for it: its address space is full or limited (RLIMIT_AS, `ulimit -v`), or the container's memory is. Raise that, or read a part at a time",
        (_, errno::ENOMEM) => "No memory: share less, or raise the memory limit of the container or the system",
        (_, errno::EIDRM) => "It was removed meanwhile: create it again",
        (_, errno::EINVAL | errno::ENOENT) => "It is not there any more, or the system's limit for it is lower: `ipcs` shows what exists",
        (_, errno::EEXIST) => "The key is in use: choose another, or look at it with `ipcs`",
        (_, errno::ENOSYS) => "This system, or its sandbox, lacks the call: System V shared memory and semaphores are needed (Linux: CONFIG_SYSVIPC and a seccomp profile that lets them through; a FreeBSD jail: sysvshm=new and sysvsem=new)",
        (_, errno::EAGAIN) => "The system has no room for it at this moment (memory that may be locked, or another limit of this process: `ulimit -a`): try again, or raise the limit",
        (_, errno::EFAULT) => "The kernel could not use this process's memory: it is short of memory, or an emulator or a sandbox handles the call wrongly. Try again; under gVisor, QEMU and the like see `neocortex doctor`",
        (_, errno::EINTR) => "A signal ended the call: try again",
        (_, errno::EIO) => "The device or file system behind it has failed: see `dmesg`",
        (_, errno::EOVERFLOW) => "A figure of this segment is too large for this process: use a program built for 64 bits",
        ("semop", errno::E2BIG) => "A claim is two operations on semaphores at once, and the system allows fewer (SEMOPM; Linux: the 3rd number of kernel.sem): raise the limit with sysctl",
        (_, errno::ERANGE | errno::EFBIG) => "Another program changes the cortex's semaphores: remove the cortex with `neocortex remove` and create it again",
        // A filter's choice, for no kernel answers these calls so.
        _ => "No kernel's manual has this answer to the call: a seccomp filter, a security module or an emulator has given it. `neocortex doctor` shows which are in force, and `strace -e trace=%ipc` the call; let System V shared memory and semaphores through there",
    };
    fixed.to_owned()
}
