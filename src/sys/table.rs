//! The kernel's tables of System V objects: `/proc/sysvipc` on Linux, what `ipcs` prints elsewhere.
//!
//! No other system has them in a form that programs of all its versions can read, while its own `ipcs`
//! knows its own kernel.

#[cfg(any(target_os = "linux", target_os = "android"))]
use super::memory::gather;
use super::{Failure, SysResult};
use std::io;

/// The error message where neither is there.
pub(crate) const HINT: &str = if cfg!(any(target_os = "linux", target_os = "android")) {
    "this system does not list its segments in /proc/sysvipc/shm. Ask `ipcs -m`; what is given a key works all the same"
} else {
    "this system has no `ipcs -m` to list its segments. What is given a key works all the same"
};

/// An object in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) key: i32,
    pub(crate) id: i32,
    /// The second (since 1970) in which it was created, or its owner or mode changed; `None` where the table does not
    /// say.
    pub(crate) changed: Option<u64>,
}

/// Returns every segment in this IPC namespace. `ENOENT` where the system does not tell.
pub(crate) fn segments() -> SysResult<Vec<Row>> {
    read("shm", "-m").map_err(|error| Failure {
        call: "read(/proc/sysvipc/shm)",
        error,
    })
}

/// Returns every semaphore set in this IPC namespace. `ENOENT` where the system does not tell.
pub(crate) fn semaphore_sets() -> SysResult<Vec<Row>> {
    read("sem", "-s").map_err(|error| Failure {
        call: "read(/proc/sysvipc/sem)",
        error,
    })
}

/// Returns whether the kernel removes every segment with its last attachment, made to stay or not
/// (`proc_sys_kernel(5)`). A setting of the IPC namespace, 0 by default; no other system has it.
pub(crate) fn removes_with_last() -> bool {
    cfg!(any(target_os = "linux", target_os = "android"))
        && std::fs::read("/proc/sys/kernel/shm_rmid_forced")
            .is_ok_and(|text| text.starts_with(b"1"))
}

/// Reads a table. It begins with a heading, and each line with key and id (`proc(5)`).
#[cfg(any(target_os = "linux", target_os = "android"))]
fn read(table: &str, _option: &str) -> io::Result<Vec<Row>> {
    let text = std::fs::read_to_string(format!("/proc/sysvipc/{table}"))?;
    let heading = text.lines().next().unwrap_or_default();
    let place = heading.split_whitespace().position(|name| name == "ctime");
    let row = |line: &str| {
        let mut fields = line.split_whitespace();
        let (key, id) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let changed = place.and_then(|place| fields.nth(place - 2)?.parse().ok());
        Some(Row { key, id, changed })
    };
    let rows = text.lines().skip(1).filter_map(row);
    gather(text.lines().count(), rows).map_err(|failure| failure.error)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn read(_table: &str, option: &str) -> io::Result<Vec<Row>> {
    let output = std::process::Command::new("ipcs").arg(option).output()?;
    if !output.status.success() {
        return Err(io::Error::other("ipcs failed"));
    }
    Ok(rows(&String::from_utf8_lossy(&output.stdout)))
}

/// Returns the objects in what the BSDs' and macOS's `ipcs` prints: a letter, the id, and the key, which is decimal
/// on some and hexadecimal on others.
#[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
fn rows(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let mut fields = line.split_whitespace();
        fields.next().filter(|&kind| kind == "m" || kind == "s")?;
        let id = fields.next()?.parse().ok()?;
        let key = fields.next()?;
        let key = match key.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok()? as i32,
            None => key.parse::<i64>().ok()? as i32,
        };
        Some(Row {
            key,
            id,
            changed: None,
        })
    };
    text.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::Row;

    fn rows(text: &str) -> Vec<(i32, i32)> {
        let pair = |row: Row| (row.key, row.id);
        super::rows(text).into_iter().map(pair).collect()
    }

    #[test]
    fn ipcs_of_macos_and_freebsd_are_understood() {
        let macos = "IPC status from <running system> as of Tue Mar  5 12:00:00 CET 2024\n\
            T     ID     KEY        MODE       OWNER    GROUP\n\
            Shared Memory:\n\
            m  65536 0x0000162e --rw-rw-rw-     root    wheel\n\
            m  65537 0xfffffffb --rw-------     user    staff\n";
        assert_eq!(rows(macos), [(0x162e, 65536), (-5, 65537)]);
        let freebsd = "Shared Memory:\n\
            T           ID          KEY MODE        OWNER    GROUP\n\
            m        65536      5432001 --rw------- pgsql    pgsql\n\n";
        assert_eq!(rows(freebsd), [(5_432_001, 65536)]);
        assert_eq!(rows("Semaphores:\ns 7 0x10 --ra-------\n"), [(16, 7)]);
        assert!(rows("").is_empty());
    }
}
