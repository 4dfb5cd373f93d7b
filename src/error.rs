//! What can go wrong, and what each failure says.
//!
//! A failed system call becomes [`CortexError::CleanSystem`] or, where something was left in the
//! kernel, [`CortexError::DirtySystem`] that names it; every refusal of this library's own is one
//! variant. A message says what was tried, on which key, what the system answered, what to do next.

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
    #[error("key {key}: busy: {detail}")]
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
    #[error("the lock failed with its own code {0}")]
    Custom(i32),

    /// The segment was removed while this call was waiting.
    #[error("key {key}: the segment was removed by its owner")]
    Removed {
        /// The key it had.
        key: i32,
    },

    /// [`crate::Segment::interrupt`] ended the wait.
    #[error("key {key}: {operation} was interrupted")]
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
                    0,
                    "",
                    io::Error::other("clean-up failed"),
                );
                error.inner.left.push(object);
                Self::DirtySystem(error)
            }
        }
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
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(id) => write!(f, "shared memory segment id {id} (ipcrm -m {id})"),
            Self::Semaphores(id) => write!(f, "semaphore set id {id} (ipcrm -s {id})"),
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
    fn attempt_or(
        self,
        what: &str,
        key: i32,
        advice: impl FnOnce(i32) -> String,
    ) -> CortexResult<T>;
}

impl<T> Attempt<T> for Result<T, Failure> {
    fn attempt(self, what: &str, key: i32) -> CortexResult<T> {
        self.attempt_or(what, key, |_| String::new())
    }

    /// `advice` is asked with the error number, and falls back on what is true for every call.
    fn attempt_or(
        self,
        what: &str,
        key: i32,
        advice: impl FnOnce(i32) -> String,
    ) -> CortexResult<T> {
        self.map_err(|failure| {
            let number = failure.errno();
            let mut error = SystemError::new(
                &format!("{what} key {key}"),
                key,
                failure.call,
                failure.error,
            );
            error.inner.advice = advice(number);
            if error.inner.advice.is_empty() {
                error.inner.advice = general_advice(failure.call, number).to_owned();
            }
            CortexError::CleanSystem(error)
        })
    }
}

/// What to do about an answer of the system, whatever was being tried.
fn general_advice(call: &str, number: i32) -> &'static str {
    match (call, number) {
        (_, errno::EACCES) => "The object's permission does not let this user in: create it with a wider `permission`, or read through an `Observer`",
        (_, errno::EPERM) => "Only the object's owner, its creator or root may do this",
        ("shmget", errno::ENOSPC) => "The system's limit of segments is reached (kernel.shmmni, see `sysctl kernel.shmmni`) or their total size is (kernel.shmall)",
        ("shmget", errno::EINVAL) => "The size is above the system's limit for one segment (kernel.shmmax)",
        ("semget", errno::ENOSPC) => "The system's limit of semaphore sets or semaphores is reached (kernel.sem: SEMMSL SEMMNS SEMOPM SEMMNI); raise it, or create with fewer `participants`",
        ("semget", errno::EINVAL) => "More semaphores than one set may have (kernel.sem, SEMMSL); create with fewer `participants`",
        ("semop", errno::ENOSPC) => "This process has all the undo entries that the system allows (SEMUME)",
        (_, errno::ENOMEM) => "No memory: lower the size, or raise the memory limit of the container or the system",
        (_, errno::ENFILE) => "The system's limit of open files is reached (fs.file-max)",
        ("shmget", errno::ENOENT) => "No such segment. Is the creator running? `neocortex list` shows what exists",
        (_, errno::EIDRM) => "Its owner removed it meanwhile",
        _ => "",
    }
}
