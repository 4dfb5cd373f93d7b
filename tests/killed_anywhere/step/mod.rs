//! A forked child that is run step by step through one operation, and killed at a chosen step.
//!
//! A step is a stop at a system call, before or after it, or one instruction in between. A [`Point`] names a
//! step by the system calls before it, so that the way there is short: to the last stop at a system call, and
//! from there by single instructions. Two deaths between which neither the kernel was asked for anything nor a
//! byte of the segment changed are the same to everybody else; so it is enough to die at every stop and after
//! every instruction that changed the segment, which [`Tracee::record`] finds by comparing the child's mapping
//! after each instruction. Single steps need x86-64; the stops at system calls do not.

#![allow(dead_code)]

pub mod attached;
pub mod c_calls;
pub mod life;
mod long_sleeper;
pub mod operations;
pub mod records;
pub mod storm;
mod tracee;
mod trail;
mod window;

pub use tracee::{await_sleep, die_after, Arrival, Tracee};
pub use trail::{Point, Trail};

use std::time::Duration;
use tracee::trace;

/// What an operation is: made ready by one function, and then run.
pub type Work = Box<dyn FnOnce()>;

/// A worker that does not get on for so many seconds is ended, and its test fails. On a busy machine one operation,
/// step by step, takes minutes.
const WATCHDOG: u32 = 500;

/// Whether single instructions can be stepped over here.
pub const CAN_STEP: bool = cfg!(target_arch = "x86_64");

/// Winds the watchdog up again.
pub fn wind_up() {
    // SAFETY: alarm takes no pointers. Nobody handles SIGALRM: it ends this process.
    unsafe { libc::alarm(WATCHDOG) };
}

/// What a worker counts.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Kills at stops at system calls.
    pub calls: u64,
    /// Kills between two instructions.
    pub steps: u64,
    /// The longest that a survivor needed from the death of the other to its own first write, in microseconds.
    pub worst: u64,
    /// How many needed more than 50 ms.
    pub late: u64,
    /// The longest that one needed who slept when the other died, and how many did.
    pub sleeper: u64,
    pub sleepers: u64,
    /// Kills elsewhere than was meant.
    pub elsewhere: u64,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.steps += other.steps;
        self.worst = self.worst.max(other.worst);
        self.late += other.late;
        self.sleeper = self.sleeper.max(other.sleeper);
        self.sleepers += other.sleepers;
        self.elsewhere += other.elsewhere;
    }

    pub fn count(&mut self, point: Point, arrival: Arrival) {
        self.elsewhere += u64::from(arrival != Arrival::There);
        if arrival == Arrival::Over {
        } else if point.is_call() {
            self.calls += 1;
        } else {
            self.steps += 1;
        }
    }

    pub fn time(&mut self, needed: Duration) {
        let needed = needed.as_micros() as u64;
        self.worst = self.worst.max(needed);
        self.late += u64::from(needed > 50_000);
    }

    pub fn time_sleeper(&mut self, needed: Duration) {
        self.sleepers += 1;
        self.sleeper = self.sleeper.max(needed.as_micros() as u64);
        self.late += u64::from(needed > Duration::from_millis(50));
    }

    pub fn to_line(self) -> String {
        let Self {
            calls,
            steps,
            worst,
            late,
            sleeper,
            sleepers,
            elsewhere,
        } = self;
        format!("{calls} {steps} {worst} {late} {sleeper} {sleepers} {elsewhere}")
    }

    pub fn from_line(line: &str) -> Self {
        let mut words = line.split(' ').map(|word| word.parse().expect("a number"));
        let mut next = || words.next().expect("seven numbers");
        Self {
            calls: next(),
            steps: next(),
            worst: next(),
            late: next(),
            sleeper: next(),
            sleepers: next(),
            elsewhere: next(),
        }
    }
}

/// Says where it was, if what it stands for panics.
pub struct Where<'a>(pub &'a str, pub String);

impl Drop for Where<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: killed at {}", self.0, self.1);
        }
    }
}

/// Gives this process an IPC namespace of its own, so that the kernel's tables hold its objects alone.
pub fn leave_namespace() -> Result<(), String> {
    // SAFETY: unshare takes no pointers.
    let unshare = |flags| unsafe { libc::unshare(flags) } == 0;
    if unshare(libc::CLONE_NEWIPC) || unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWIPC) {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(format!("no IPC namespace of its own: {error}"))
}

/// What is in the kernel's tables of this namespace.
pub fn tables() -> Vec<String> {
    ["/proc/sysvipc/shm", "/proc/sysvipc/sem"]
        .iter()
        .flat_map(|table| {
            let text = std::fs::read_to_string(table).expect(table);
            let rows = text.lines().skip(1).map(|row| format!("{table}: {row}"));
            rows.collect::<Vec<_>>()
        })
        .collect()
}

/// Takes away what is stale; and then nothing may be left.
#[track_caller]
pub fn expect_nothing_after_reclaim(key: i32) {
    neocortex::inspect::reclaim(key).expect("reclaim");
    let left = tables();
    assert!(left.is_empty(), "left after reclaim: {left:#?}");
}

/// Whether this system lets a process trace its child, and what it says if not.
pub fn can_trace() -> Result<(), String> {
    // SAFETY: the child makes two system calls and ends.
    let id = unsafe { libc::fork() };
    assert_ne!(id, -1);
    if id == 0 {
        let is_traced = trace(libc::PTRACE_TRACEME as _, 0, 0) != -1;
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(!is_traced)) };
    }
    let mut status = 0;
    // SAFETY: a child of ours, a live place.
    assert_eq!(unsafe { libc::waitpid(id, &mut status, 0) }, id);
    if status == 0 {
        return Ok(());
    }
    Err("ptrace is not permitted".into())
}
