//! The kernel's limits for System V objects (`proc(5)`, `shmget(2)`, `semget(2)`), beside what is in use.

use super::check::{read, Check, Verdict};
use std::path::Path;

/// Semaphores in the set of a cortex with the default 128 participants.
const DEFAULT_SET: u64 = 6 + 128;
/// Below this many bytes a segment is too small for many a use.
const SMALL: u64 = 64 << 20;

/// IPCMNI: no limit on segments or sets can be set higher.
const MOST_OBJECTS: u64 = 32_768;
const TAKE: &str = "`neocortex reclaim --all` takes away what is stale";

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
        Some(limit) => checks.push(usage(
            "SHMMNI",
            "segments",
            limit,
            segments.as_ref().map(|all| all.len() as u64),
            &format!("{}; {TAKE}", raise_segments(limit)),
        )),
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
                &format!(
                    "raise kernel.shmall: `sysctl -w kernel.shmall={}`",
                    limit.saturating_mul(2)
                ),
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
    // The four, one of them raised.
    let raise = |place: usize, value: u64| {
        let mut figures = [of_set, in_all, in_step, of_sets];
        figures[place] = value;
        let [of_set, in_all, in_step, of_sets] = figures;
        format!(
            "raise kernel.sem: `sysctl -w kernel.sem=\"{of_set} {in_all} {in_step} {of_sets}\"`"
        )
    };
    checks.push(match of_set < DEFAULT_SET {
        true => Check::new("SEMMSL", Verdict::Broken, format!("one set may have {of_set} semaphores; a cortex with the default 128 participants needs {DEFAULT_SET}"), &format!("{}, or create with fewer `participants`", raise(0, 32_000))),
        false => Check::fine("SEMMSL", format!("one set may have {of_set} semaphores; a cortex needs 6 and one for each participant")),
    });
    let sum = sets.as_ref().map(|all| all.iter().sum());
    let double = |value: u64, most: u64| value.saturating_mul(2).clamp(value, most.max(value));
    // The kernel counts them in a C `int`.
    let all = raise(1, double(in_all, i32::MAX as u64));
    checks.push(usage("SEMMNS", "semaphores in all sets", in_all, sum, &all));
    let found = format!("{in_step} operations in one step; two are needed");
    checks.push(match in_step < 2 {
        true => Check::new("SEMOPM", Verdict::Broken, found, &raise(2, 500)),
        false => Check::fine("SEMOPM", found),
    });
    let more = match of_sets >= MOST_OBJECTS {
        true => "no kernel has more sets in one IPC namespace than that".to_owned(),
        false => raise(3, double(of_sets, MOST_OBJECTS)),
    };
    checks.push(usage(
        "SEMMNI",
        "sets",
        of_sets,
        sets.as_ref().map(|all| all.len() as u64),
        &format!("{more}; {TAKE}"),
    ));
    checks
}

/// More than there are now, as far as the kernel goes.
fn raise_segments(limit: u64) -> String {
    match limit >= MOST_OBJECTS {
        true => {
            "the kernel allows no more (with ipcmni_extend on its command line 16777216)".into()
        }
        false => {
            let more = limit.saturating_mul(2).clamp(4096, MOST_OBJECTS);
            format!("raise kernel.shmmni: `sysctl -w kernel.shmmni={more}`")
        }
    }
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
