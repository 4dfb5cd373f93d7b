//! The types for processes behind a cortex, and for why one cannot be named.

use std::fmt;
use std::time::SystemTime;

/// A process that has the segment mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Process {
    /// Its number in this PID namespace.
    pub pid: i32,
    /// The user with whose rights it acts.
    pub uid: u32,
    /// Its command line, with blanks between the arguments; its name in brackets where it has none. The process
    /// chose it, control characters included, and at most 4,096 bytes of it are here.
    pub command: String,
    /// When it started, to about a hundredth of a second.
    pub started: SystemTime,
}

/// Which process it is, as far as that can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Who {
    /// This one.
    Process(Process),
    /// It cannot be named.
    Untold {
        /// The number that the kernel has for it.
        pid: Option<i32>,
        /// Why no more can be said.
        why: Untold,
    },
}

/// Why a process cannot be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Untold {
    /// It is in another PID namespace, whose processes have no numbers in this one.
    OtherNamespace,
    /// `/proc` is not there, or shows the processes of another PID namespace.
    OtherProc,
    /// It has died.
    Dead,
    /// It is gone, or `/proc` hides it from this user (`hidepid`).
    Gone,
    /// This user may not see what it has mapped.
    Forbidden,
    /// It does not have the segment mapped: it has called `execve`, or its number is another process's by now.
    NotMapped,
    /// The participant has left since it was seen.
    Left,
    /// This user may not read the semaphores, or they are gone.
    NoSemaphores,
    /// This system does not tell what a process has mapped.
    System,
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherNamespace => "it is in another PID namespace (a container), which cannot be told from here",
            Self::OtherProc => "/proc is not there, or shows the processes of another PID namespace",
            Self::Dead => "it has died",
            Self::Gone => "it is gone, or cannot be looked at by this user",
            Self::Forbidden => "this user may not see what it has mapped",
            Self::NotMapped => "it does not have this cortex mapped: it has called execve, or the number is another process's by now",
            Self::Left => "the participant has left meanwhile",
            Self::NoSemaphores => "the semaphores may not be read by this user, or are gone",
            Self::System => "this system does not tell what a process has mapped",
        })
    }
}

/// A participant and the process that is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SlotProcess {
    /// The participant's slot.
    pub slot: u32,
    /// Which tenant of the slot it is.
    pub generation: u32,
    /// Its process.
    pub who: Who,
}

/// A process that has the cortex mapped and is no participant: an observer, a forked child that has not used it yet,
/// or another program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Onlooker {
    /// The process.
    pub process: Process,
    /// How many mappings of the cortex it has.
    pub mappings: u32,
    /// Whether all its mappings are read-only, as those of observers are.
    pub is_read_only: bool,
}

/// A thread that sleeps on a word of the cortex, or on its lock's semaphore.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Waiter {
    /// Its process.
    pub process: Process,
    /// Its number (`gettid(2)`).
    pub thread: i32,
    /// What it sleeps for.
    pub waits_for: WaitsFor,
}

/// What a thread sleeps for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum WaitsFor {
    /// Until the lock is free.
    Lock,
    /// Until the next commit.
    Change,
    /// It has the lock, and waits until the readers of this participant slot have left.
    Readers {
        /// Their slot.
        slot: u32,
    },
    /// A word in the value, which the program uses for something of its own.
    Value,
}

/// The processes behind a cortex.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct People {
    /// The process that made the segment.
    pub maker: Who,
    /// The holder's process; `None` where no process has the lock, or where it is a lock of a user's own.
    pub holder: Option<Who>,
    /// The process behind each participant that was seen, in the same order.
    pub participants: Vec<SlotProcess>,
    /// Processes that have it mapped and are no participants.
    pub onlookers: Vec<Onlooker>,
    /// Threads of the processes above that sleep on the cortex now. A thread that has just been woken, or has not
    /// fallen asleep yet, is not among them; nor is an observer that waits, because it polls.
    pub waiters: Vec<Waiter>,
    /// How many of the processes above have threads that this user may not look at, so that it cannot be known whether
    /// they wait.
    pub closed_processes: u32,
    /// How many threads of all processes sleep for a `Semaphore` lock; `None` with another lock, and where this user
    /// may not read the semaphores.
    pub parked: Option<u32>,
    /// How many mappings are in processes that this user is not shown. The number is approximate, because processes
    /// come and go.
    pub unseen_mappings: u64,
}

/// Returns the answer for a process that cannot be named.
pub(super) fn untold(pid: Option<i32>, why: Untold) -> Who {
    Who::Untold { pid, why }
}
