//! The system calls that the library makes, and the errors that their manual pages list.

// The C library names its constants, not we.
#![allow(non_upper_case_globals)]

use libc::*;

/// `SHM_LOCK` of `<linux/shm.h>`; `libc` does not have it for Linux.
const SHM_LOCK: c_int = 11;
/// `libc` has it for few machines.
const SYS_futex_waitv: c_long = 449;

/// What a call is called here: the system's name, with the command where the call has several, and for
/// `shmget` and `semget` whether it makes an object or only looks.
pub fn function(number: i64, arguments: &[u64; 6]) -> &'static str {
    let command = |position: usize| arguments[position] as i32 & 0xFF;
    let makes = |flags: u64| flags as i32 & IPC_CREAT != 0;
    match number {
        SYS_shmget if makes(arguments[2]) => "shmget(create)",
        SYS_shmget => "shmget",
        SYS_shmat => "shmat",
        SYS_shmdt => "shmdt",
        SYS_shmctl => match command(1) {
            IPC_STAT => "shmctl(IPC_STAT)",
            IPC_RMID => "shmctl(IPC_RMID)",
            IPC_SET => "shmctl(IPC_SET)",
            SHM_LOCK => "shmctl(SHM_LOCK)",
            _ => "shmctl(?)",
        },
        SYS_semget if makes(arguments[2]) => "semget(create)",
        SYS_semget => "semget",
        SYS_semop => "semop",
        // The C library performs semop by semtimedop without a time.
        SYS_semtimedop if arguments[3] == 0 => "semop",
        SYS_semtimedop => "semtimedop",
        SYS_semctl => match command(2) {
            GETVAL => "semctl(GETVAL)",
            GETALL => "semctl(GETALL)",
            SETALL => "semctl(SETALL)",
            IPC_STAT => "semctl(IPC_STAT)",
            IPC_RMID => "semctl(IPC_RMID)",
            IPC_SET => "semctl(IPC_SET)",
            _ => "semctl(?)",
        },
        SYS_futex if command(1) & FUTEX_CMD_MASK == FUTEX_WAIT => "futex(FUTEX_WAIT)",
        SYS_futex if command(1) & FUTEX_CMD_MASK == FUTEX_WAKE => "futex(FUTEX_WAKE)",
        SYS_futex_waitv => "futex_waitv",
        SYS_eventfd2 => "eventfd2",
        SYS_mmap => "mmap",
        SYS_munmap => "munmap",
        SYS_madvise => match arguments[2] as i32 {
            MADV_POPULATE_READ => "madvise(MADV_POPULATE_READ)",
            MADV_POPULATE_WRITE => "madvise(MADV_POPULATE_WRITE)",
            _ => "madvise",
        },
        SYS_getrandom => "getrandom",
        SYS_nanosleep | SYS_clock_nanosleep => "clock_nanosleep",
        SYS_openat => "openat",
        SYS_read => "read",
        SYS_write => "write",
        SYS_statx => "statx",
        SYS_fstat | SYS_newfstatat => "fstat",
        SYS_lseek => "lseek",
        SYS_close => "close",
        SYS_geteuid => "geteuid",
        SYS_brk => "brk",
        SYS_clock_gettime => "clock_gettime",
        SYS_sched_yield => "sched_yield",
        _ => "?",
    }
}

/// Whether the caller of this one goes to sleep.
pub fn is_sleep(function: &str) -> bool {
    matches!(
        function,
        "futex(FUTEX_WAIT)" | "futex_waitv" | "semtimedop" | "clock_nanosleep"
    )
}

/// The errors of the manual pages (Linux man-pages 6.03), section ERRORS; empty for calls that cannot fail.
/// `brk` is the allocator's: a Rust program without memory ends. `None` for a call that is not in this table.
pub fn errors(function: &str) -> Option<&'static [i32]> {
    Some(match function {
        "shmget(create)" => &[
            EACCES, EEXIST, EINVAL, ENFILE, ENOENT, ENOMEM, ENOSPC, EPERM,
        ],
        "shmget" => &[EACCES, EINVAL, ENFILE, ENOENT, ENOMEM, EPERM],
        "shmat" => &[EACCES, EIDRM, EINVAL, ENOMEM],
        "shmdt" => &[EINVAL],
        "shmctl(IPC_STAT)" => &[EACCES, EFAULT, EIDRM, EINVAL, EOVERFLOW],
        "shmctl(IPC_RMID)" => &[EIDRM, EINVAL, EPERM],
        "shmctl(IPC_SET)" => &[EIDRM, EINVAL, EPERM],
        // ENOSYS is on the page, for kernels that have no such call.
        "shmctl(SHM_LOCK)" => &[EIDRM, EINVAL, ENOMEM, ENOSYS, EPERM],
        "semget(create)" => &[EACCES, EEXIST, EINVAL, ENOENT, ENOMEM, ENOSPC],
        "semget" => &[EACCES, EINVAL, ENOENT, ENOMEM],
        "semop" | "semtimedop" => &[
            E2BIG, EACCES, EAGAIN, EFAULT, EFBIG, EIDRM, EINTR, EINVAL, ENOMEM, ERANGE,
        ],
        "semctl(GETVAL)" => &[EACCES, EIDRM, EINVAL],
        // ENOMEM is not on the page; the kernel gives it for large sets.
        "semctl(GETALL)" => &[EACCES, EFAULT, EIDRM, EINVAL, ENOMEM],
        "semctl(SETALL)" => &[EACCES, EFAULT, EIDRM, EINVAL, ENOMEM, ERANGE],
        "semctl(IPC_STAT)" => &[EACCES, EFAULT, EIDRM, EINVAL],
        "semctl(IPC_RMID)" => &[EIDRM, EINVAL, EPERM],
        "semctl(IPC_SET)" => &[EIDRM, EINVAL, EPERM],
        "futex(FUTEX_WAIT)" => &[EACCES, EAGAIN, EFAULT, EINTR, EINVAL, ENOSYS, ETIMEDOUT],
        "futex(FUTEX_WAKE)" => &[EACCES, EFAULT, EINVAL, ENOSYS],
        // EPERM and ENOSYS are a filter's.
        "futex_waitv" => &[
            EAGAIN, EFAULT, EINTR, EINVAL, ENOMEM, ENOSYS, EPERM, ETIMEDOUT,
        ],
        "eventfd2" => &[EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM],
        "mmap" => &[
            EACCES, EAGAIN, EBADF, EINVAL, ENFILE, ENODEV, ENOMEM, EOVERFLOW, EPERM,
        ],
        "munmap" => &[EINVAL, ENOMEM],
        // ENOSYS is a filter's.
        "madvise(MADV_POPULATE_READ)" | "madvise(MADV_POPULATE_WRITE)" => {
            &[EAGAIN, EFAULT, EINTR, EINVAL, EIO, ENOMEM, EPERM]
        }
        "madvise" => &[EACCES, EAGAIN, EBADF, EFAULT, EINVAL, EIO, ENOMEM, EPERM],
        "getrandom" => &[EAGAIN, EFAULT, EINTR, EINVAL, ENOSYS],
        "clock_nanosleep" => &[EFAULT, EINTR, EINVAL, ENOTSUP],
        "openat" => &[
            EACCES,
            EINTR,
            ELOOP,
            EMFILE,
            ENAMETOOLONG,
            ENFILE,
            ENODEV,
            ENOENT,
            ENOMEM,
            ENOTDIR,
            ENXIO,
            EPERM,
        ],
        "read" => &[EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR],
        // To a descriptor of events: EAGAIN says that it is full, so readable, and would be a lie.
        "write" => &[EINTR],
        "statx" | "fstat" => &[
            EACCES, EBADF, EFAULT, EINVAL, ELOOP, ENOENT, ENOMEM, ENOTDIR,
        ],
        "lseek" => &[EBADF, EINVAL, ENXIO, EOVERFLOW, ESPIPE],
        "close" => &[EBADF, EINTR, EIO, ENOSPC],
        "geteuid" | "brk" | "clock_gettime" | "sched_yield" => &[],
        _ => return None,
    })
}

/// The name of the function in the library's messages.
pub fn in_messages(function: &str) -> &str {
    match function {
        "shmget(create)" => "shmget",
        "semget(create)" => "semget",
        "eventfd2" => "eventfd",
        other => other,
    }
}

/// The name of an error number.
pub fn name(errno: i32) -> String {
    let names = [
        (E2BIG, "E2BIG"),
        (EACCES, "EACCES"),
        (EAGAIN, "EAGAIN"),
        (EBADF, "EBADF"),
        (EEXIST, "EEXIST"),
        (EFAULT, "EFAULT"),
        (EFBIG, "EFBIG"),
        (EIDRM, "EIDRM"),
        (EINTR, "EINTR"),
        (EINVAL, "EINVAL"),
        (EIO, "EIO"),
        (EISDIR, "EISDIR"),
        (ELOOP, "ELOOP"),
        (EMFILE, "EMFILE"),
        (ENAMETOOLONG, "ENAMETOOLONG"),
        (ENFILE, "ENFILE"),
        (ENODEV, "ENODEV"),
        (ENOENT, "ENOENT"),
        (ENOMEM, "ENOMEM"),
        (ENOSPC, "ENOSPC"),
        (ENOSYS, "ENOSYS"),
        (ENOTDIR, "ENOTDIR"),
        (ENOTSUP, "ENOTSUP"),
        (ENXIO, "ENXIO"),
        (EOVERFLOW, "EOVERFLOW"),
        (EPERM, "EPERM"),
        (ERANGE, "ERANGE"),
        (ESPIPE, "ESPIPE"),
        (ETIMEDOUT, "ETIMEDOUT"),
    ];
    let found = names.iter().find(|(number, _)| *number == errno);
    found.map_or_else(|| errno.to_string(), |(_, name)| (*name).to_owned())
}
