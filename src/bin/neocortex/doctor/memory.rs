//! Memory that is there (`prefault`, `lock_in_memory`, `huge_pages`): what this machine allows. Read from
//! `proc_meminfo(5)`, `proc_pid_status(5)`, `proc_pid_limits(5)` and the kernel's release.

use super::check::{read, Check, Verdict};
use std::path::Path;

pub fn all(root: &Path) -> Vec<Check> {
    vec![prefault(root), locking(root), huge_pages(root)]
}

/// From this kernel on, memory that is not there is an error and no signal (`madvise(2)`, `MADV_POPULATE_WRITE`).
const POPULATES: (u32, u32) = (5, 14);

fn prefault(root: &Path) -> Check {
    let name = "prefault";
    let release = read(root, "/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(|one: char| !one.is_ascii_digit())
        .map(|number| number.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else {
        return Check::note(name, "works; which kernel this is cannot be told", "");
    };
    match (major, minor) >= POPULATES {
        true => Check::fine(name, "memory that there is not is an error at creation"),
        false => Check::note(
            name,
            format!("Linux {major}.{minor}: pages are touched, and memory that there is not ends the process (SIGBUS)"),
            "Linux 5.14 answers with an error instead",
        ),
    }
}

fn locking(root: &Path) -> Check {
    /// CAP_IPC_LOCK (`capabilities(7)`).
    const IPC_LOCK: u64 = 1 << 14;
    let name = "lock in memory";
    let after = |path: &str, start: &str| -> Option<String> {
        let text = read(root, path)?;
        let line = text.lines().find_map(|line| line.strip_prefix(start))?;
        line.split_whitespace().next().map(str::to_owned)
    };
    let has_right = after("/proc/self/status", "CapEff:")
        .and_then(|mask| u64::from_str_radix(&mask, 16).ok())
        .is_some_and(|mask| mask & IPC_LOCK != 0);
    if has_right {
        return Check::fine(name, "any size: this user has CAP_IPC_LOCK");
    }
    match after("/proc/self/limits", "Max locked memory").as_deref() {
        Some("unlimited") => Check::fine(name, "any size"),
        Some("0") => Check::note(
            name,
            "nothing: `lock_in_memory` fails with EPERM",
            "raise RLIMIT_MEMLOCK (`ulimit -l`, LimitMEMLOCK=), or give CAP_IPC_LOCK, where memory is to be locked",
        ),
        Some(bytes) => Check::note(
            name,
            format!("{bytes} bytes in all segments of this user: above, `lock_in_memory` fails with ENOMEM"),
            "raise RLIMIT_MEMLOCK (`ulimit -l`, LimitMEMLOCK=), or give CAP_IPC_LOCK, where more is to be locked",
        ),
        None => Check::note(name, "not known: /proc/self/limits cannot be read", ""),
    }
}

fn huge_pages(root: &Path) -> Check {
    let name = "huge pages";
    let Some(text) = read(root, "/proc/meminfo") else {
        return Check::note(name, "not known: /proc/meminfo cannot be read", "");
    };
    let figure = |start: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(start))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let (Some(all), Some(free), Some(size)) = (
        figure("HugePages_Total:"),
        figure("HugePages_Free:"),
        figure("Hugepagesize:"),
    ) else {
        return Check::note(
            name,
            "this kernel has none (CONFIG_HUGETLBFS): `huge_pages` fails, or is left out where they are only preferred",
            "",
        );
    };
    let spoken_for = figure("HugePages_Rsvd:").unwrap_or(0);
    let left = free.saturating_sub(spoken_for);
    match (all, left) {
        (0, _) => Check::note(
            name,
            format!("none are set aside; one has {size} KiB"),
            "where `huge_pages` is to be had: `sysctl -w vm.nr_hugepages=COUNT`, best at boot, and for other users than root vm.hugetlb_shm_group",
        ),
        (_, 0) => Check::new(
            name,
            Verdict::Warning,
            format!("all {all} of {size} KiB are in use: creating with `huge_pages` fails with ENOMEM"),
            "raise vm.nr_hugepages, or remove what nobody needs (`neocortex list`)",
        ),
        _ => Check::fine(name, format!("{left} of {all} are free, of {size} KiB each")),
    }
}
