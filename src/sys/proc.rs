//! What the system tells of other processes: `/proc` on Linux (`proc(5)`), nothing elsewhere.
//!
//! All of it is information. A number can be another process's a moment later, and what is read from several files
//! is of several moments, so [`look`] reads the time of a process's start before everything else and once more at
//! the end. A command line is whatever its process has put there.

use std::ops::Range;
use std::time::SystemTime;

/// What the system tells of a process.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    /// There is none with this number, or it is hidden from this user (`hidepid`).
    Gone,
    /// This user may not know what it has mapped.
    Closed,
    /// It has no segment of this IPC namespace mapped.
    WithoutSegments,
    Process(Process),
}

/// A process that has segments of this IPC namespace mapped.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// The user with whose rights it acts.
    pub(crate) user: u32,
    /// Its command line, at most [`COMMAND`] bytes of it; its name in brackets where it has none.
    pub(crate) command: String,
    pub(crate) started: SystemTime,
    /// Where, ordered by the segments' ids.
    pub(crate) mapped: Vec<MappedRange>,
}

/// A range of a process's memory that shows a segment of System V.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MappedRange {
    /// The segment's id.
    pub(crate) id: i32,
    /// Where it lies in that process.
    range: Range<u64>,
    /// Where in the segment it begins: not 0 if a mapping was split.
    offset: u64,
    pub(crate) is_writable: bool,
}

impl MappedRange {
    /// Returns where in the segment an address of that process is.
    pub(crate) fn offset_of(&self, address: u64) -> Option<usize> {
        let within = self.range.contains(&address);
        within
            .then(|| usize::try_from(address - self.range.start + self.offset).ok())
            .flatten()
    }
}

/// A thread that sleeps in a system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sleeper {
    pub(crate) thread: i32,
    call: libc::c_long,
    arguments: [u64; 2],
}

/// `FUTEX_WAIT` and `FUTEX_WAIT_BITSET` without their flags (`futex(2)`).
#[cfg(any(target_os = "linux", target_os = "android"))]
const FUTEX_WAITS: [u64; 2] = [0, 9];

impl Sleeper {
    /// Returns the address of the word that it may sleep on: a system call that sleeps on one has it as its first
    /// argument.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn word(&self) -> Option<u64> {
        let [first, operation] = self.arguments;
        let wakes = self.call == libc::SYS_futex && !FUTEX_WAITS.contains(&(operation & 0x7F));
        (!wakes).then_some(first)
    }

    /// Returns whether it sleeps on a semaphore of the set with this id. A process of another word size numbers its
    /// calls otherwise, and is not recognised.
    pub(crate) fn is_on_set(&self, id: i32) -> bool {
        self.call == SEMTIMEDOP && self.arguments[0] == id as u64
    }
}

/// The number of `semtimedop`, or of its form with 64 bits of time, which `libc` does not have for every system
/// (`syscalls(2)`).
const SEMTIMEDOP: libc::c_long = if cfg!(target_pointer_width = "32") {
    420
} else if cfg!(target_arch = "x86_64") {
    220
} else if cfg!(any(target_arch = "powerpc64", target_arch = "s390x")) {
    392
} else {
    192
};

/// A command line may have megabytes.
#[cfg(any(target_os = "linux", target_os = "android"))]
const COMMAND: u64 = 4096;

/// Whether this system has a `/proc` that tells all this.
pub(crate) const IS_SUPPORTED: bool = cfg!(any(target_os = "linux", target_os = "android"));

pub(crate) use platform::{is_told, look, processes, sleepers};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod platform {
    use super::*;
    use std::fs::{self, File};
    use std::io::{self, Read};
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// Returns whether `/proc` shows the processes of this PID namespace, under the numbers that the kernel tells this
    /// process.
    pub(crate) fn is_told() -> bool {
        let me = fs::read_link("/proc/self").ok();
        me.is_some_and(|me| me == Path::new(&std::process::id().to_string()))
    }

    /// Returns the numbers of all processes that this user is shown.
    pub(crate) fn processes() -> Vec<i32> {
        numbers(Path::new("/proc"))
    }

    fn numbers(folder: &Path) -> Vec<i32> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    pub(crate) fn look(pid: i32) -> Seen {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let Some((name, start)) = stat(&folder) else {
            return Seen::Gone;
        };
        let Ok((folder_of_memory, maps)) = maps(&folder) else {
            return Seen::Closed;
        };
        let mapped = mapped_ranges(&maps);
        // In another IPC namespace another segment has the same id.
        if mapped.is_empty() || !is_in_this_ipc_namespace(&folder_of_memory) {
            return Seen::WithoutSegments;
        }
        let status = fs::read_to_string(folder.join("status"));
        let user = status.ok().and_then(|status| user(&status));
        let command = command(&folder_of_memory).unwrap_or_else(|| format!("[{name}]"));
        match (user, stat(&folder)) {
            (Some(user), Some((_, again))) if again == start => Seen::Process(Process {
                user,
                command,
                started: moment(start),
                mapped,
            }),
            // The number was another process's at last.
            _ => Seen::Gone,
        }
    }

    /// Returns what a process has mapped, and the folder that tells it: a process whose first thread has ended tells it
    /// in those of the others.
    fn maps(folder: &Path) -> io::Result<(PathBuf, String)> {
        let text = fs::read_to_string(folder.join("maps"))?;
        if !text.is_empty() {
            return Ok((folder.to_owned(), text));
        }
        let tasks = folder.join("task");
        for thread in numbers(&tasks) {
            let task = tasks.join(thread.to_string());
            match fs::read_to_string(task.join("maps")) {
                Ok(text) if !text.is_empty() => return Ok((task, text)),
                _ => {}
            }
        }
        Ok((folder.to_owned(), text))
    }

    fn is_in_this_ipc_namespace(folder: &Path) -> bool {
        let theirs = fs::read_link(folder.join("ns/ipc"));
        let ours = fs::read_link("/proc/thread-self/ns/ipc");
        matches!((theirs, ours), (Ok(theirs), Ok(ours)) if theirs == ours)
    }

    fn stat(folder: &Path) -> Option<(String, u64)> {
        // The name is bytes of the process's choice.
        let stat = fs::read(folder.join("stat")).ok()?;
        name_and_start(&String::from_utf8_lossy(&stat))
    }

    fn command(folder: &Path) -> Option<String> {
        let mut bytes = Vec::new();
        let file = File::open(folder.join("cmdline")).ok()?;
        file.take(COMMAND).read_to_end(&mut bytes).ok()?;
        command_line(&bytes)
    }

    /// A moment that the kernel gives in clock ticks since the machine was started.
    fn moment(ticks: u64) -> SystemTime {
        // SAFETY: sysconf(3) with a constant that POSIX requires; no memory is passed.
        let rate = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        let rate = u64::try_from(rate).unwrap_or(0).max(1);
        let since_boot = Duration::from_secs(ticks / rate)
            + Duration::from_nanos(ticks % rate * (1_000_000_000 / rate));
        let moment = boot().checked_add(since_boot);
        moment.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// When the machine was started. A time namespace shifts both the ticks above and the clock that is asked here
    /// (`time_namespaces(7)`).
    ///
    /// It is the same each time, so that one process has one start, unless the clock was set meanwhile.
    fn boot() -> SystemTime {
        static BOOT: AtomicU64 = AtomicU64::new(0);
        const TOLERANCE: Duration = Duration::from_millis(100);
        // SAFETY: timespec is plain old data; all zeros is one of its values.
        let mut up: libc::timespec = unsafe { std::mem::zeroed() };
        // SAFETY: a live timespec.
        unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut up) };
        let up = Duration::new(up.tv_sec.max(0) as u64, up.tv_nsec as u32);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().saturating_sub(up).as_nanos() as u64;
        // Relaxed: nothing else depends on it.
        let known = BOOT.load(Ordering::Relaxed);
        let boot = match u128::from(known.abs_diff(now)) < TOLERANCE.as_nanos() {
            true => known,
            false => {
                BOOT.store(now, Ordering::Relaxed);
                now
            }
        };
        SystemTime::UNIX_EPOCH + Duration::from_nanos(boot)
    }

    /// Returns the threads of a process that sleep in system calls; `None` where this user may not know. That needs
    /// more than what it has mapped (`ptrace(2)`, "attach").
    pub(crate) fn sleepers(pid: i32) -> Option<Vec<Sleeper>> {
        let tasks = PathBuf::from(format!("/proc/{pid}/task"));
        let mut sleepers = Vec::new();
        for thread in numbers(&tasks) {
            let folder = tasks.join(thread.to_string());
            match fs::read_to_string(folder.join("syscall")) {
                Ok(text) => sleepers.extend(sleeper(thread, &text)),
                // The thread has ended, and not: this system tells it of no thread.
                Err(_) if !folder.exists() => {}
                Err(_) => return None,
            }
        }
        Some(sleepers)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod platform {
    use super::*;

    pub(crate) fn is_told() -> bool {
        false
    }

    pub(crate) fn processes() -> Vec<i32> {
        Vec::new()
    }

    pub(crate) fn look(_pid: i32) -> Seen {
        Seen::Gone
    }

    pub(crate) fn sleepers(_pid: i32) -> Option<Vec<Sleeper>> {
        None
    }

    impl Sleeper {
        pub(crate) fn word(&self) -> Option<u64> {
            None
        }
    }
}

/// Returns the segments in the lines of `/proc/PID/maps`: the kernel names such a mapping `/SYSV` and the key, and its
/// file's number is the segment's id.
#[cfg(any(test, target_os = "linux", target_os = "android"))]
fn mapped_ranges(maps: &str) -> Vec<MappedRange> {
    let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
    let of_line = |line: &str| {
        let mut fields = line.split_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let (rights, offset) = (fields.next()?, fields.next()?);
        let id = fields.nth(1)?.parse().ok()?;
        fields.next()?.strip_prefix("/SYSV")?;
        Some(MappedRange {
            id,
            range: number(start)?..number(end)?,
            offset: number(offset)?,
            is_writable: rights.contains('w'),
        })
    };
    let is_segment = |line: &&str| line.contains("/SYSV");
    let mut ranges: Vec<_> = maps
        .lines()
        .filter(is_segment)
        .filter_map(of_line)
        .collect();
    ranges.sort_by_key(|range| range.id);
    ranges
}

/// Returns the name and the start, in clock ticks, in `/proc/PID/stat`. The name may have any characters in it.
#[cfg(any(test, target_os = "linux", target_os = "android"))]
fn name_and_start(stat: &str) -> Option<(String, u64)> {
    let (front, rest) = stat.rsplit_once(')')?;
    let (_, name) = front.split_once('(')?;
    // The state is field 3, the start field 22.
    let start = rest.split_whitespace().nth(22 - 3)?.parse().ok()?;
    Some((name.to_owned(), start))
}

/// Returns the effective user in `/proc/PID/status`.
#[cfg(any(test, target_os = "linux", target_os = "android"))]
fn user(status: &str) -> Option<u32> {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_whitespace().nth(1)?.parse().ok()
}

/// Returns the arguments, each of which ends with a zero byte, with blanks between; `None` where there are none.
#[cfg(any(test, target_os = "linux", target_os = "android"))]
fn command_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\0').replace('\0', " ");
    (!text.is_empty()).then_some(text)
}

/// Returns what `/proc/PID/task/TID/syscall` says; `None` for a thread that is not in a system call, or runs.
#[cfg(any(test, target_os = "linux", target_os = "android"))]
fn sleeper(thread: i32, text: &str) -> Option<Sleeper> {
    let mut fields = text.split_whitespace();
    let call = fields.next()?.parse().ok().filter(|&call| call >= 0)?;
    let mut argument = || u64::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok();
    Some(Sleeper {
        thread,
        call,
        arguments: [argument()?, argument()?],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_of_segments_are_found_among_others() {
        let maps = "55d0c0000000-55d0c0001000 r--p 00000000 fe:00 131 /usr/bin/SYSV\n\
            7f0000000000-7f0000002000 rw-s 00000000 00:01 32769                      /SYSV00003039 (deleted)\n\
            7f0000004000-7f0000005000 r--s 00001000 00:01 7                          /SYSVdeadbeef (deleted)\n\
            7f0000006000-7f0000007000 rw-p 00000000 00:00 0 \n\
            7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]\n";
        let found = mapped_ranges(maps);
        assert_eq!(
            found
                .iter()
                .map(|one| (one.id, one.is_writable))
                .collect::<Vec<_>>(),
            [(7, false), (32769, true)]
        );
        assert_eq!(found[0].offset_of(0x7f00_0000_4010), Some(0x1010));
        assert_eq!(found[1].offset_of(0x7f00_0000_2000), None);
        assert!(mapped_ranges("").is_empty());
    }

    #[test]
    fn names_with_brackets_and_blanks_are_understood() {
        let stat = "25477 (a) S (b c) S 25472 25472 9759 0 -1 4194304 127 0 0 0 0 0 0 0 20 0 1 0 214881 2990080 414";
        assert_eq!(name_and_start(stat), Some(("a) S (b c".into(), 214_881)));
        assert_eq!(name_and_start("25477 (sleep) S 25472"), None);
    }

    #[test]
    fn command_lines_users_and_sleepers_are_understood() {
        assert_eq!(command_line(b"sh\0-c\0true\0").unwrap(), "sh -c true");
        assert_eq!(command_line(b"\xFF\0\0").unwrap(), "\u{FFFD}");
        assert_eq!(command_line(b""), None);
        assert_eq!(
            user("Name:\tsh\nUid:\t1000\t0\t0\t0\nGid:\t1\t1\t1\t1\n"),
            Some(0)
        );
        let text =
            "202 0x7f0000001040 0x0 0x3 0x7ffc47c68e50 0x0 0x0 0x7ffc47c68df8 0x7f080f76e503\n";
        let found = sleeper(5, text).unwrap();
        assert_eq!((found.thread, found.arguments), (5, [0x7f00_0000_1040, 0]));
        assert_eq!(sleeper(5, "running\n"), None);
        assert_eq!(sleeper(5, "-1 0x7ffc47c68df8 0x7f080f76e503\n"), None);
    }
}
