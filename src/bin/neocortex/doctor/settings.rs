//! Settings that change what is promised: how long the kernel's objects live, which ids they get, what refuses the
//! calls, and what a process may map (`proc_sys_kernel(5)`, `proc_sys_vm(5)`, `proc_pid_limits(5)`). The table is in
//! `docs/platforms.md`.

use super::check::{read, Check, Verdict};
use super::surroundings::removes_with_last;
use std::path::Path;

pub fn all(root: &Path) -> Vec<Check> {
    vec![
        rmid_forced(root),
        next_id(root),
        overcommit(root),
        open_files(root),
        mappings(root),
        limit(
            root,
            "locked memory",
            "Max locked memory",
            "a process that locks all its memory (mlockall) attaches no more",
            "raise RLIMIT_MEMLOCK (`ulimit -l`, LimitMEMLOCK=) for such processes",
        ),
        limit(
            root,
            "address space",
            "Max address space",
            "what a process has in memory and its cortexes together",
            "raise RLIMIT_AS (`ulimit -v`) where larger values are shared",
        ),
        seccomp(root),
        security(root),
    ]
}

fn number(root: &Path, path: &str) -> Option<i64> {
    read(root, path)?.trim().parse().ok()
}

fn untold(name: &'static str, path: &str) -> Check {
    Check::note(name, format!("not known: {path} cannot be read"), "")
}

fn rmid_forced(root: &Path) -> Check {
    let (name, path) = ("shm_rmid_forced", "/proc/sys/kernel/shm_rmid_forced");
    if removes_with_last(root) {
        return Check::new(
            name,
            Verdict::Warning,
            "1: the kernel removes a segment with its last attachment, made to stay (`persist`, `neocortex create`) or not, and its semaphores stay behind",
            "set it to 0: `sysctl -w kernel.shm_rmid_forced=0`, and in /etc/sysctl.d for the next boot; or keep a process attached. `neocortex reclaim --all` takes the semaphores away",
        );
    }
    match read(root, path) {
        Some(_) => Check::fine(name, "0: a segment stays until it is removed"),
        None => untold(name, path),
    }
}

fn next_id(root: &Path) -> Check {
    let name = "next ids";
    let settings = ["shm_next_id", "sem_next_id"];
    let values = settings.map(|one| number(root, &format!("/proc/sys/kernel/{one}")));
    let asked: Vec<String> = settings
        .iter()
        .zip(values)
        .filter_map(|(one, value)| {
            Some(format!("kernel.{one} is {}", value.filter(|&id| id >= 0)?))
        })
        .collect();
    match (asked.is_empty(), values) {
        (true, [None, None]) => Check::fine(name, "no program can ask for them on this kernel"),
        (true, _) => Check::fine(name, "chosen by the kernel"),
        (false, _) => Check::new(
            name,
            Verdict::Warning,
            format!("{}: the next object gets that id, which may have been another's a moment ago", asked.join(", ")),
            "only a tool that restores checkpoints (CRIU) sets this: let it finish, or set it to -1 with `sysctl -w`",
        ),
    }
}

fn overcommit(root: &Path) -> Check {
    let (name, path) = ("overcommit", "/proc/sys/vm/overcommit_memory");
    match number(root, path) {
        Some(2) => Check::note(
            name,
            "vm.overcommit_memory is 2: all of a cortex is counted when it is made, touched or not",
            "creating fails with ENOMEM above CommitLimit in /proc/meminfo: raise vm.overcommit_ratio, or share less",
        ),
        Some(mode) => Check::fine(name, format!("vm.overcommit_memory is {mode}: memory is taken where it is touched")),
        None => untold(name, path),
    }
}

fn open_files(root: &Path) -> Check {
    let (name, path) = ("open files", "/proc/sys/fs/file-nr");
    let figures: Option<Vec<u64>> = read(root, path).and_then(|text| {
        text.split_whitespace()
            .map(|word| word.parse().ok())
            .collect()
    });
    let Some(&[used, _, most]) = figures.as_deref() else {
        return untold(name, path);
    };
    let found = format!("{used} of {most} in the whole system; each segment is one");
    match used as f64 >= most as f64 * 0.9 {
        true => Check::new(
            name,
            Verdict::Warning,
            found,
            &format!(
                "raise fs.file-max: `sysctl -w fs.file-max={}`",
                most.saturating_mul(2)
            ),
        ),
        false => Check::fine(name, found),
    }
}

fn mappings(root: &Path) -> Check {
    let (name, path) = ("mappings", "/proc/sys/vm/max_map_count");
    match number(root, path) {
        Some(most) if most < 4096 => Check::new(
            name,
            Verdict::Warning,
            format!("{most} for one process; each handle is one"),
            "raise vm.max_map_count: `sysctl -w vm.max_map_count=65530`",
        ),
        Some(most) => Check::fine(name, format!("{most} for one process; each handle is one")),
        None => untold(name, path),
    }
}

/// A limit of this process, which those that this shell starts inherit.
fn limit(root: &Path, name: &'static str, line: &str, what: &str, advice: &str) -> Check {
    let path = "/proc/self/limits";
    let Some(text) = read(root, path) else {
        return untold(name, path);
    };
    let mut values = text.lines().filter_map(|one| one.strip_prefix(line));
    match values
        .next()
        .and_then(|rest| rest.split_whitespace().next())
    {
        Some("unlimited") => Check::fine(name, "not limited"),
        Some(bytes) => Check::note(name, format!("{bytes} bytes: {what}"), advice),
        None => untold(name, path),
    }
}

fn seccomp(root: &Path) -> Check {
    let (name, path) = ("seccomp", "/proc/self/status");
    let text = read(root, path).unwrap_or_default();
    let mut values = text.lines().filter_map(|one| one.strip_prefix("Seccomp:"));
    match values.next().map(str::trim) {
        Some("0") => Check::fine(name, "no filter of system calls"),
        Some(_) => Check::note(
            name,
            "a filter of system calls is in force; whether it lets the System V calls through is tried below",
            "where it does not they end with EPERM or ENOSYS: let shmget, shmat, shmdt, shmctl, semget, semop, semtimedop and semctl through (systemd: SystemCallFilter=@ipc)",
        ),
        None => untold(name, path),
    }
}

fn security(root: &Path) -> Check {
    let name = "security modules";
    let modules = read(root, "/sys/kernel/security/lsm").unwrap_or_default();
    let is_enforced = |path| read(root, path).is_some_and(|text| text.trim() == "1");
    if is_enforced("/sys/fs/selinux/enforce") || modules.contains("smack") {
        return Check::note(
            name,
            format!("SELinux or Smack decides besides the mode of an object ({})", modules.trim()),
            "where it refuses, calls end with EACCES although the mode allows them: `ausearch -m avc`",
        );
    }
    match modules.trim() {
        "" => Check::fine(name, "none that can be seen from here"),
        modules => Check::fine(
            name,
            format!("{modules}: none that decides about System V objects"),
        ),
    }
}
