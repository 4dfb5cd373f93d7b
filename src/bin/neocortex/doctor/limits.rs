//! The kernel's limits for System V objects (`proc(5)`, `shmget(2)`, `semget(2)`), beside what is in use.

use super::{read, Check, Verdict};
use std::path::Path;

/// Semaphores in the set of a cortex with the default 128 participants.
const DEFAULT_SET: u64 = 6 + 128;
/// Below this many bytes a segment is too small for many a use.
const SMALL: u64 = 64 << 20;

pub fn all(root: &Path) -> Vec<Check> {
    let figures = |path: &str| -> Option<Vec<u64>> {
        let words = read(root, path)?;
        words
            .split_whitespace()
            .map(|word| word.parse().ok())
            .collect()
    };
    let first = |path| figures(path).and_then(|all| all.first().copied());
    let segments = table(root, "/proc/sysvipc/shm", "size");
    let sets = table(root, "/proc/sysvipc/sem", "nsems");
    let mut checks = Vec::new();
    match first("/proc/sys/kernel/shmmni") {
        Some(limit) => checks.push(usage("SHMMNI", "segments", limit, segments.as_ref().map(|all| all.len() as u64), "raise kernel.shmmni: `sysctl -w kernel.shmmni=4096`; `neocortex reclaim --all` takes away what is stale")),
        None => checks.push(unknown("SHMMNI")),
    }
    match first("/proc/sys/kernel/shmmax") {
        Some(limit) if limit < SMALL => checks.push(Check::new(
            "SHMMAX",
            Verdict::Warning,
            format!("one segment may have {limit} bytes"),
            "raise kernel.shmmax where larger values are shared: `sysctl -w kernel.shmmax=BYTES`",
        )),
        Some(limit) => checks.push(Check::fine(
            "SHMMAX",
            format!("one segment may have {limit} bytes"),
        )),
        None => checks.push(unknown("SHMMAX")),
    }
    match first("/proc/sys/kernel/shmall") {
        Some(limit) => {
            let pages = |all: &Vec<u64>| all.iter().map(|size| size.div_ceil(4096)).sum();
            checks.push(usage(
                "SHMALL",
                "pages of 4 KiB in all segments",
                limit,
                segments.as_ref().map(pages),
                "raise kernel.shmall: `sysctl -w kernel.shmall=PAGES`",
            ));
        }
        None => checks.push(unknown("SHMALL")),
    }
    // SEMMSL, SEMMNS, SEMOPM, SEMMNI in this order.
    let Some(&[of_set, in_all, in_step, of_sets]) = figures("/proc/sys/kernel/sem").as_deref()
    else {
        checks.push(unknown("SEM"));
        return checks;
    };
    let advice = "raise kernel.sem: `sysctl -w kernel.sem=\"32000 1024000000 500 32000\"`";
    checks.push(match of_set < DEFAULT_SET {
        true => Check::new("SEMMSL", Verdict::Broken, format!("one set may have {of_set} semaphores; a cortex with the default 128 participants needs {DEFAULT_SET}"), &format!("{advice}, or create with fewer `participants`")),
        false => Check::fine("SEMMSL", format!("one set may have {of_set} semaphores; a cortex needs 6 and one for each participant")),
    });
    let sum = sets.as_ref().map(|all| all.iter().sum());
    checks.push(usage(
        "SEMMNS",
        "semaphores in all sets",
        in_all,
        sum,
        advice,
    ));
    checks.push(match in_step < 2 {
        true => Check::new(
            "SEMOPM",
            Verdict::Broken,
            format!("{in_step} operations in one step; two are needed"),
            advice,
        ),
        false => Check::fine(
            "SEMOPM",
            format!("{in_step} operations in one step; two are needed"),
        ),
    });
    checks.push(usage(
        "SEMMNI",
        "sets",
        of_sets,
        sets.as_ref().map(|all| all.len() as u64),
        &format!("{advice}; `neocortex reclaim --all` takes away what is stale"),
    ));
    checks
}

fn unknown(name: &'static str) -> Check {
    Check::note(name, "not known: this system does not say it in /proc/sys/kernel", "ask it by `sysctl -a`: kern.ipc on FreeBSD, kern.sysv on macOS, kern.seminfo and kern.shminfo on OpenBSD")
}

/// A limit beside what is in use: nine tenths are near, all is too much.
fn usage(name: &'static str, what: &str, limit: u64, used: Option<u64>, advice: &str) -> Check {
    let Some(used) = used else {
        return Check::note(
            name,
            format!("{limit} {what}; how many there are is not known"),
            "",
        );
    };
    let found = format!("{used} of {limit} {what}");
    if used >= limit {
        Check::new(name, Verdict::Broken, found, advice)
    } else if used as f64 >= limit as f64 * 0.9 {
        Check::new(name, Verdict::Warning, found, advice)
    } else {
        Check::fine(name, found)
    }
}

/// One column of a table of the kernel's.
fn table(root: &Path, path: &str, column: &str) -> Option<Vec<u64>> {
    let text = read(root, path)?;
    let mut lines = text.lines();
    let place = lines
        .next()?
        .split_whitespace()
        .position(|name| name == column)?;
    let cell = |line: &str| line.split_whitespace().nth(place)?.parse().ok();
    Some(lines.filter_map(cell).collect())
}
