//! A system call that failed, and what it left in the kernel.

use crate::sys::errno;
use std::fmt;
use std::io;

/// A kernel object that an operation could not take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leftover {
    /// A System V shared memory segment, by id (`ipcrm -m`).
    Segment(i32),
    /// A System V semaphore set, by id (`ipcrm -s`).
    Semaphores(i32),
    /// This process's mapping of the segment with this id: it ends with the process.
    Attachment(i32),
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(id) => write!(f, "shared memory segment id {id} (ipcrm -m {id})"),
            Self::Semaphores(id) => write!(f, "semaphore set id {id} (ipcrm -s {id})"),
            Self::Attachment(id) => write!(
                f,
                "segment id {id} stays mapped into this process until it ends"
            ),
        }
    }
}

/// A system call that failed: what was being tried, on which key, and what the system answered.
pub struct SystemError {
    // Boxed, so that a `CortexResult` stays small on the paths that never fail.
    pub(super) inner: Box<SystemFailure>,
}

pub(super) struct SystemFailure {
    pub(super) attempt: String,
    key: i32,
    call: &'static str,
    source: io::Error,
    /// What to do about it; empty where there is nothing to say.
    pub(super) remedy: String,
    pub(super) left: Vec<Leftover>,
}

impl SystemError {
    pub(super) fn new(attempt: String, key: i32, call: &'static str, source: io::Error) -> Self {
        let inner = SystemFailure {
            attempt,
            key,
            call,
            source,
            remedy: String::new(),
            left: Vec::new(),
        };
        Self {
            inner: Box::new(inner),
        }
    }

    /// Returns what was being tried, with its object: `"attach to key 123"`.
    pub fn operation(&self) -> &str {
        &self.inner.attempt
    }

    /// Returns the key it was tried on.
    pub fn key(&self) -> i32 {
        self.inner.key
    }

    /// Returns the system call that failed: `"shmget"`.
    pub fn call(&self) -> &'static str {
        self.inner.call
    }

    /// Returns what the system answered.
    pub fn io_error(&self) -> &io::Error {
        &self.inner.source
    }

    /// Returns the system's error number.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.inner.source.raw_os_error()
    }

    /// Returns the kernel objects that were left behind; empty in a `CleanSystem`.
    pub fn left(&self) -> &[Leftover] {
        &self.inner.left
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failure = &*self.inner;
        let name = errno::name(failure.source.raw_os_error().unwrap_or(0));
        write!(f, "{}: {}", failure.attempt, failure.source)?;
        match (failure.call, name) {
            ("", _) => {}
            (call, "") => write!(f, " ({call})")?,
            (call, name) => write!(f, " ({call}: {name})")?,
        }
        if !failure.remedy.is_empty() {
            write!(f, ". {}", failure.remedy)?;
        }
        for (index, object) in failure.left.iter().enumerate() {
            let lead = if index == 0 { ". Left behind: " } else { ", " };
            write!(f, "{lead}{object}")?;
        }
        Ok(())
    }
}

// There is no `source`: the message has the system's answer in it, and programs that print an error with its sources
// would say it twice. `io_error` returns it.
impl std::error::Error for SystemError {}
