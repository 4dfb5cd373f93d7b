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

/// For a system call, named as in messages, that answered `number`. Never empty.
pub(crate) fn advice(call: &str, number: i32) -> String {
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
                "This process, or the system, has as many undo entries as the system allows ({}): close handles that are not needed, or read through an `Observer`, which needs none",
                LIMITS.undo
            )
        }
        ("shmat", errno::ENOMEM) => "This process has no room for the mapping: its address space is full or limited (RLIMIT_AS, `ulimit -v`). Raise that, or share less",
        ("shmat", errno::EMFILE) => "This process has as many segments attached as the system allows (SHMSEG): close handles that are not needed",
        ("shmget", errno::ENOMEM) => "No memory for a segment of this size (a kernel that never overcommits, vm.overcommit_memory=2, counts all of it at once): share less, or raise the limit of the container or the system",
        ("shmget", errno::ENOENT) => "No such segment. Is the creator running, and in the same IPC namespace (container)? `neocortex list` shows what exists",
        ("shmget", errno::ENFILE) => "The system has as many files open as it allows, and each segment is one (fs.file-max): close some, or raise the limit with sysctl",
        (_, errno::ENFILE) => "The system has as many files open as it allows (fs.file-max): close some, or raise the limit with sysctl",
        (_, errno::EMFILE) => "This process has as many files open as it may (RLIMIT_NOFILE, `ulimit -n`): close some, or raise the limit",
        (_, errno::EACCES) => "The object's permission does not let this user in: create it with a wider `permission`, or read through an `Observer`",
        (_, errno::EPERM) => "Only the object's owner, its creator or root may do this; in a container, also see what its seccomp profile forbids",
        (_, errno::ENOMEM) => "No memory: share less, or raise the memory limit of the container or the system",
        (_, errno::EIDRM) => "Its owner removed it meanwhile: create it again",
        (_, errno::EINVAL | errno::ENOENT) => "It is not there any more, or the system's limit for it is lower: `ipcs` shows what exists",
        (_, errno::EEXIST) => "The key is in use: choose another, or look at it with `ipcs`",
        (_, errno::ENOSYS) => "This system, or its sandbox, lacks the call: System V shared memory and semaphores are needed",
        (_, errno::EOVERFLOW) => "A figure of this segment is too large for this process: use a program built for 64 bits",
        ("semop", errno::E2BIG) => "A claim is two operations on semaphores at once, and the system allows fewer (SEMOPM; Linux: the 3rd number of kernel.sem): raise the limit with sysctl",
        ("semop", errno::ERANGE | errno::EFBIG) => "Another program changes the cortex's semaphores: remove the cortex with `neocortex remove` and create it again",
        _ => "The system is not known to answer so: try again, and if it stays please report it with the system's name and version",
    };
    fixed.to_owned()
}
