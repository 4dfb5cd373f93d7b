//! The kernel's tables of System V objects, where it shows them.

use std::io;

/// (key, id) of every segment in this IPC namespace.
pub(crate) fn segments() -> io::Result<Vec<(i32, i32)>> {
    read("/proc/sysvipc/shm")
}

/// The id of every semaphore set in this IPC namespace.
pub(crate) fn semaphore_sets() -> io::Result<Vec<i32>> {
    Ok(read("/proc/sysvipc/sem")?
        .into_iter()
        .map(|(_, id)| id)
        .collect())
}

/// Both tables begin with a heading, and each line with key and id (`proc(5)`).
fn read(path: &str) -> io::Result<Vec<(i32, i32)>> {
    let text = std::fs::read_to_string(path)?;
    let row = |line: &str| {
        let mut fields = line.split_whitespace();
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Ok(text.lines().skip(1).filter_map(row).collect())
}
