//! What can go wrong, and what each failure says.
//!
//! A failed system call becomes [`CortexError::CleanSystem`] or, where something was left in the
//! kernel, [`CortexError::DirtySystem`] that names it; every refusal of this library's own is one
//! variant. A message says what was tried, on which key, what the system answered, what to do next.

use crate::advice::advice;
use crate::sys::{errno, Failure};
use std::fmt;
use std::io;

/// The result of everything in this crate that can fail.
pub type CortexResult<T> = std::result::Result<T, CortexError>;

/// Why an operation failed. The value and every other process are as they were before it, unless
/// the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CortexError {
    /// A system call failed, and nothing was left behind.
    #[error(transparent)]
    CleanSystem(SystemError),

    /// A system call failed, and kernel objects were left behind: [`SystemError::left`] names them.
    #[error(transparent)]
    DirtySystem(SystemError),

    /// The segment was not made by this library. It was not touched.
    #[error("key {key}: the segment is not a cortex ({detail}). It was left untouched; choose another key, or look at it with `ipcs -m`")]
    NotACortex {
        /// The key that was asked for.
        key: i32,
        /// What gave it away.
        detail: &'static str,
    },

    /// The segment was made by another version of this library, with another format.
    #[error("key {key}: the segment has format {found}, this library has format {supported}. Use the same version of neocortex on both sides")]
    Format {
        /// The key that was asked for.
        key: i32,
        /// The segment's format version.
        found: u32,
        /// This library's.
        supported: u32,
    },

    /// The segment has another size, alignment, schema or slot count than was asked for.
    #[error("key {key}: the segment's {what} is {found}, expected {expected}. Both sides must use the same type")]
    Layout {
        /// The key that was asked for.
        key: i32,
        /// Which figure differs: `"size"`, `"alignment"`, `"schema"`, …
        what: &'static str,
        /// What the caller asked for.
        expected: u64,
        /// What the segment has.
        found: u64,
    },

    /// The segment was made with another lock.
    #[error("key {key}: the segment's lock is \"{found}\", expected \"{expected}\". Attach with the lock it was made with")]
    Lock {
        /// The key that was asked for.
        key: i32,
        /// The lock the caller asked for.
        expected: String,
        /// The lock the segment was made with.
        found: String,
    },

    /// The segment's creator has not finished, or died before it did.
    #[error("key {key}: not initialised after {waited_ms} ms. If its creator has died, create it again with `replace_stale`")]
    NotReady {
        /// The key that was asked for.
        key: i32,
        /// How long this call waited, in milliseconds.
        waited_ms: u64,
    },

    /// The time given to the operation ran out, or it was not to wait at all.
    #[error("key {key}: {operation} timed out. Another process holds it; `neocortex inspect {key}` shows who")]
    Timeout {
        /// The segment's key.
        key: i32,
        /// What was being done.
        operation: &'static str,
    },

    /// A writer was killed half way through editing an in-place segment, or gave up there.
    #[error("key {key}: poisoned: a write in place was not finished. A whole `write` or `clear_poison` heals it")]
    Poisoned {
        /// The segment's key.
        key: i32,
    },

    /// The bytes in the segment are not a value of this type (a `bool` of 2, say).
    #[error("key {key}: the bytes are not a valid {type_name}. Some process wrote another type")]
    InvalidValue {
        /// The segment's key.
        key: i32,
        /// The type that was to be read.
        type_name: &'static str,
    },

    /// The handle can only read.
    #[error("key {key}: {operation} through a read-only handle. Attach without read-only")]
    ReadOnly {
        /// The segment's key.
        key: i32,
        /// What was being done.
        operation: &'static str,
    },

    /// Somebody else is using it in a way that forbids this, or this thread already holds it.
    #[error("key {key}: busy: {detail}. Try again when that has ended")]
    Busy {
        /// The segment's key.
        key: i32,
        /// What forbids it.
        detail: &'static str,
    },

    /// The segment's own bookkeeping contradicts itself: something wrote over it.
    #[error(
        "key {key}: corrupt: {detail}. Remove it with `neocortex remove {key}` and create it again"
    )]
    Corrupt {
        /// The segment's key.
        key: i32,
        /// What contradicts what.
        detail: &'static str,
    },

    /// Every participant slot is taken.
    #[error("key {key}: all {limit} participant slots are taken. Create it with more (`participants`), or use an `Observer` to read")]
    Full {
        /// The segment's key.
        key: i32,
        /// How many participants the segment has room for.
        limit: u32,
    },

    /// An argument that cannot be meant.
    #[error("key {key}: {detail}")]
    InvalidArgument {
        /// The key of the segment, or the one asked for.
        key: i32,
        /// Which argument, and what it must be.
        detail: String,
    },

    /// Something that this segment, lock, platform or version does not do.
    #[error("key {key}: {detail}")]
    Unsupported {
        /// The segment's key.
        key: i32,
        /// What is not supported, and what is.
        detail: &'static str,
    },

    /// A lock's own error code.
    #[error("the lock failed with its own code {0}: see the lock's documentation")]
    Custom(i32),

    /// The segment was removed while this call was waiting.
    #[error("key {key}: the segment was removed by its owner. Close this handle; attach again once it was created again")]
    Removed {
        /// The key it had.
        key: i32,
    },

    /// [`crate::Segment::interrupt`] ended the wait.
    #[error("key {key}: {operation} was interrupted by this process. Nothing was changed; try again, or end")]
    Interrupted {
        /// The segment's key.
        key: i32,
        /// What was being done.
        operation: &'static str,
    },
}

impl CortexError {
    pub(crate) fn invalid(key: i32, detail: impl Into<String>) -> Self {
        Self::InvalidArgument {
            key,
            detail: detail.into(),
        }
    }

    /// The key that it was tried on; 0 where there is none.
    fn key(&self) -> i32 {
        match self {
            Self::CleanSystem(error) | Self::DirtySystem(error) => error.key(),
            Self::NotACortex { key, .. }
            | Self::Format { key, .. }
            | Self::Layout { key, .. }
            | Self::Lock { key, .. }
            | Self::NotReady { key, .. }
            | Self::Timeout { key, .. }
            | Self::Poisoned { key }
            | Self::InvalidValue { key, .. }
            | Self::ReadOnly { key, .. }
            | Self::Busy { key, .. }
            | Self::Corrupt { key, .. }
            | Self::Full { key, .. }
            | Self::InvalidArgument { key, .. }
            | Self::Unsupported { key, .. }
            | Self::Removed { key }
            | Self::Interrupted { key, .. } => *key,
            Self::Custom(_) => 0,
        }
    }

    /// Whether this is a failed system call that answered `number`.
    pub(crate) fn is_errno(&self, number: i32) -> bool {
        self.system()
            .is_some_and(|error| error.raw_os_error() == Some(number))
    }

    /// The failed system call, where that is what it was.
    pub fn system(&self) -> Option<&SystemError> {
        match self {
            Self::CleanSystem(error) | Self::DirtySystem(error) => Some(error),
            _ => None,
        }
    }

    /// The same failure, followed by a clean-up: what that left, this has left.
    pub(crate) fn after(self, cleanup: CortexResult<()>) -> Self {
        let left = match &cleanup {
            Err(error) => error.system().map_or(&[][..], SystemError::left),
            Ok(()) => &[],
        };
        left.iter()
            .fold(self, |error, &object| error.leaving(object))
    }

    /// The same failure, now known to have left something in the kernel.
    pub(crate) fn leaving(self, object: Leftover) -> Self {
        match self {
            Self::CleanSystem(mut error) | Self::DirtySystem(mut error) => {
                error.inner.left.push(object);
                Self::DirtySystem(error)
            }
            // A refusal of our own that could not clean up after itself.
            other => {
                let mut error = SystemError::new(
                    &other.to_string(),
                    other.key(),
                    "",
                    io::Error::other("clean-up failed"),
                );
                error.inner.left.push(object);
                Self::DirtySystem(error)
            }
        }
    }
}

/// Two steps that are both taken, whether or not the first one fails.
pub(crate) fn both(first: CortexResult<()>, second: CortexResult<()>) -> CortexResult<()> {
    match first {
        Ok(()) => second,
        Err(error) => Err(error.after(second)),
    }
}

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
#[derive(Debug)]
pub struct SystemError {
    // Boxed, so that a `CortexResult` stays small on the paths that never fail.
    inner: Box<SystemFailure>,
}

#[derive(Debug)]
struct SystemFailure {
    attempt: String,
    key: i32,
    call: &'static str,
    source: io::Error,
    advice: String,
    left: Vec<Leftover>,
}

impl SystemError {
    fn new(attempt: &str, key: i32, call: &'static str, source: io::Error) -> Self {
        let inner = SystemFailure {
            attempt: attempt.to_owned(),
            key,
            call,
            source,
            advice: String::new(),
            left: Vec::new(),
        };
        Self {
            inner: Box::new(inner),
        }
    }

    /// What was being tried, with its object: `"attach to key 123"`.
    pub fn operation(&self) -> &str {
        &self.inner.attempt
    }

    /// The key it was tried on.
    pub fn key(&self) -> i32 {
        self.inner.key
    }

    /// The system call that failed: `"shmget"`.
    pub fn call(&self) -> &'static str {
        self.inner.call
    }

    /// What the system answered.
    pub fn io_error(&self) -> &io::Error {
        &self.inner.source
    }

    /// The system's error number.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.inner.source.raw_os_error()
    }

    /// The kernel objects that were left behind; empty in a `CleanSystem`.
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
        if !failure.advice.is_empty() {
            write!(f, ". {}", failure.advice)?;
        }
        for (index, object) in failure.left.iter().enumerate() {
            let lead = if index == 0 { ". Left behind: " } else { ", " };
            write!(f, "{lead}{object}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SystemError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.inner.source)
    }
}

/// Gives a failed system call its context: what was tried, and on which key.
pub(crate) trait Attempt<T> {
    fn attempt(self, what: &str, key: i32) -> CortexResult<T>;
    /// With better advice than the general one, where `special` has some for the error number.
    fn attempt_or(
        self,
        what: &str,
        key: i32,
        special: impl FnOnce(i32) -> Option<String>,
    ) -> CortexResult<T>;
    /// For what is about no key in particular.
    fn attempt_without_key(self, what: &str) -> CortexResult<T>;
}

fn failed(attempt: String, key: i32, failure: Failure, special: Option<String>) -> CortexError {
    let advice = special.unwrap_or_else(|| advice(failure.call, failure.errno()));
    let mut error = SystemError::new(&attempt, key, failure.call, failure.error);
    error.inner.advice = advice;
    CortexError::CleanSystem(error)
}

impl<T> Attempt<T> for Result<T, Failure> {
    fn attempt(self, what: &str, key: i32) -> CortexResult<T> {
        self.attempt_or(what, key, |_| None)
    }

    fn attempt_or(
        self,
        what: &str,
        key: i32,
        special: impl FnOnce(i32) -> Option<String>,
    ) -> CortexResult<T> {
        self.map_err(|failure| {
            let special = special(failure.errno());
            failed(format!("{what} key {key}"), key, failure, special)
        })
    }

    fn attempt_without_key(self, what: &str) -> CortexResult<T> {
        self.map_err(|failure| failed(what.to_owned(), 0, failure, None))
    }
}

// The messages quote the C library.
#[cfg(all(test, target_os = "linux", target_env = "gnu", not(loom)))]
mod tests;
