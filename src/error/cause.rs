//! Why something failed, before it is said on which key.
//!
//! The code below the handles knows a mapping, a semaphore set or a word, and not the key that the caller gave: it fails
//! with a [`Cause`]. The key is attached once, where the error leaves the library ([`Told`]): by the functions that open
//! a segment, and by the handles and locks, whose attachment knows its key. A cause has no key to make up, so that what
//! is about no key (a NULL pointer, a name that is none) is told without one.
//!
//! **Clean-ups.** What a failed clean-up left in the kernel is kept with the cause, and makes the error a `DirtySystem`.
//! A clean-up that failed and left nothing is logged when the error is told.

use super::names::{noted, shown};
use super::system::{Leftover, SystemError};
use super::{CortexError, CortexResult};
use crate::sys::errno;
use std::borrow::Cow;
use std::io;

/// Why something failed: see the module. What the variants mean is said at those of [`CortexError`].
#[derive(Debug)]
pub(crate) enum Cause {
    /// A system call failed.
    System(Box<FailedCall>),
    NotACortex(&'static str),
    Format {
        found: u32,
        supported: u32,
        features: u32,
    },
    Layout {
        what: &'static str,
        expected: u64,
        found: u64,
    },
    Lock {
        expected: String,
        found: String,
    },
    NotReady {
        waited_ms: u64,
    },
    /// What was being done.
    Timeout(&'static str),
    Poisoned,
    /// The name of the type.
    InvalidValue(&'static str),
    Busy(&'static str),
    Corrupt(Cow<'static, str>),
    Full {
        limit: u32,
    },
    InvalidArgument(String),
    Unsupported(&'static str),
    Removed,
    /// What was being done.
    Interrupted(&'static str),
    /// An error that has its key already, or a lock's own: from a lock, or about a name.
    Whole(CortexError),
    /// Another cause, after which a clean-up failed too.
    Untidy(Box<Untidy>),
}

/// A system call that failed.
#[derive(Debug)]
pub(crate) struct FailedCall {
    /// What was being tried: "attach to".
    pub(super) what: &'static str,
    pub(super) call: &'static str,
    pub(super) answer: io::Error,
    pub(super) remedy: String,
    pub(super) left: Vec<Leftover>,
}

/// A cause, and what became of the clean-ups after it.
#[derive(Debug)]
pub(crate) struct Untidy {
    cause: Cause,
    left: Vec<Leftover>,
    /// The clean-ups that failed and left nothing.
    failed: Vec<Cause>,
}

impl Cause {
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::InvalidArgument(detail.into())
    }

    /// The segment's bookkeeping contradicts itself, as `detail` says.
    pub(crate) fn corrupt(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Corrupt(detail.into())
    }

    /// Returns the cause itself, where clean-ups that failed after it left nothing.
    pub(crate) fn bare(&self) -> &Self {
        match self {
            Self::Untidy(untidy) if untidy.left.is_empty() => untidy.cause.bare(),
            _ => self,
        }
    }

    /// Returns the system call that failed, with the system's answer, where that is what it was.
    fn failed_call(&self) -> Option<(&'static str, Option<i32>)> {
        match self {
            Self::System(failed) => Some((failed.call, failed.answer.raw_os_error())),
            Self::Whole(error) => error
                .system()
                .map(|error| (error.call(), error.raw_os_error())),
            Self::Untidy(untidy) => untidy.cause.failed_call(),
            _ => None,
        }
    }

    /// Returns whether this is a system call that failed with `number` and left nothing. A caller that goes on after
    /// such a cause loses nothing; one that goes on after another would lose the names of what is left.
    pub(crate) fn is_errno(&self, number: i32) -> bool {
        self.is_clean() && self.answer() == Some(number)
    }

    /// Returns whether this is the system call `call` that failed with `number` and left nothing.
    pub(crate) fn is_answer(&self, call: &str, number: i32) -> bool {
        self.is_clean() && self.failed_call() == Some((call, Some(number)))
    }

    /// Returns what the system answered to the call that failed, whether or not something was left.
    pub(crate) fn answer(&self) -> Option<i32> {
        self.failed_call().and_then(|(_, answer)| answer)
    }

    /// Returns whether the system answered that this process may not make the call, and nothing was left.
    pub(crate) fn is_not_permitted(&self) -> bool {
        self.is_errno(errno::EACCES) || self.is_errno(errno::EPERM)
    }

    /// Returns the same failure of finding a segment, in the words of what the segment was looked for: the caller did
    /// not ask to attach.
    pub(crate) fn of_trying_to(mut self, what: &'static str) -> Self {
        if let Self::System(failed) = &mut self {
            if failed.what == ATTACHING {
                failed.what = what;
            }
        }
        self
    }

    /// Returns what was left in the kernel.
    fn left(&self) -> &[Leftover] {
        match self {
            Self::System(failed) => &failed.left,
            Self::Untidy(untidy) => &untidy.left,
            Self::Whole(error) => error.system().map_or(&[], SystemError::left),
            _ => &[],
        }
    }

    /// Returns whether nothing was left in the kernel.
    pub(crate) fn is_clean(&self) -> bool {
        self.left().is_empty()
    }

    fn untidy(self) -> Box<Untidy> {
        match self {
            Self::Untidy(untidy) => untidy,
            cause => Box::new(Untidy {
                cause,
                left: Vec::new(),
                failed: Vec::new(),
            }),
        }
    }

    /// Returns the same failure, now known to have left something in the kernel.
    pub(crate) fn leaving(self, object: Leftover) -> Self {
        match self {
            Self::System(mut failed) => {
                note(&mut failed.left, object);
                Self::System(failed)
            }
            other => {
                let mut untidy = other.untidy();
                note(&mut untidy.left, object);
                Self::Untidy(untidy)
            }
        }
    }

    /// Returns the same failure after a clean-up, with what the clean-up left.
    pub(crate) fn after(self, cleanup: Result<(), Self>) -> Self {
        match cleanup {
            Ok(()) => self,
            Err(failed) if failed.is_clean() => {
                let mut untidy = self.untidy();
                untidy.failed.push(failed);
                Self::Untidy(untidy)
            }
            Err(failed) => {
                let left = failed.left().iter();
                left.fold(self, |cause, &object| cause.leaving(object))
            }
        }
    }

    /// Returns the error of a call about this key.
    #[cold]
    pub(crate) fn on(self, key: i32) -> CortexError {
        self.tell(Some(key))
    }

    /// Returns the error of a call about no key. [`CortexError`] says 0 where a variant has one.
    #[cold]
    pub(crate) fn on_no_key(self) -> CortexError {
        self.tell(None)
    }

    fn tell(self, on: Option<i32>) -> CortexError {
        let key = on.unwrap_or(0);
        match self {
            Self::System(failed) => failed.tell(on),
            Self::NotACortex(detail) => CortexError::NotACortex { key, detail },
            Self::Format {
                found,
                supported,
                features,
            } => CortexError::Format {
                key,
                found,
                supported,
                features,
            },
            Self::Layout {
                what,
                expected,
                found,
            } => CortexError::Layout {
                key,
                what,
                expected,
                found,
            },
            Self::Lock { expected, found } => CortexError::Lock {
                key,
                expected,
                found,
            },
            Self::NotReady { waited_ms } => CortexError::NotReady { key, waited_ms },
            Self::Timeout(operation) => CortexError::Timeout { key, operation },
            Self::Poisoned => CortexError::Poisoned { key },
            Self::InvalidValue(type_name) => CortexError::InvalidValue { key, type_name },
            Self::Busy(detail) => CortexError::Busy { key, detail },
            Self::Corrupt(detail) => CortexError::Corrupt { key, detail },
            Self::Full { limit } => CortexError::Full { key, limit },
            Self::InvalidArgument(detail) => CortexError::InvalidArgument { key, detail },
            Self::Unsupported(detail) => CortexError::Unsupported { key, detail },
            Self::Removed => CortexError::Removed { key },
            Self::Interrupted(operation) => CortexError::Interrupted { key, operation },
            Self::Whole(error) => error,
            Self::Untidy(untidy) => untidy.tell(on),
        }
    }
}

/// Adds an object to what is left. Two steps may both have failed at the same one.
fn note(left: &mut Vec<Leftover>, object: Leftover) {
    if !left.contains(&object) {
        left.push(object);
    }
}

impl From<CortexError> for Cause {
    fn from(error: CortexError) -> Self {
        Self::Whole(error)
    }
}

impl FailedCall {
    fn tell(self, on: Option<i32>) -> CortexError {
        let attempt = match on {
            Some(key) => format!("{} {}", self.what, shown(key)),
            None => self.what.to_owned(),
        };
        let mut error = SystemError::new(attempt, on.unwrap_or(0), self.call, self.answer);
        error.inner.remedy = self.remedy;
        error.inner.left = self.left;
        match error.inner.left.is_empty() {
            true => CortexError::CleanSystem(error),
            false => CortexError::DirtySystem(error),
        }
    }
}

impl Untidy {
    fn tell(self, on: Option<i32>) -> CortexError {
        for failed in self.failed {
            let error = failed.tell(on);
            tracing::error!(key = on, name = on.and_then(noted), %error, "cleaning up after a failure");
        }
        let error = self.cause.tell(on);
        self.left.into_iter().fold(error, CortexError::leaving)
    }
}

/// The attempt to find a segment for whatever was asked of it.
pub(crate) const ATTACHING: &str = "attach to";

/// Tells a cause to the user: attaches the key.
pub(crate) trait Told<T> {
    /// The result of a call about this key.
    fn on(self, key: i32) -> CortexResult<T>;
    /// The result of a call about no key.
    fn on_no_key(self) -> CortexResult<T>;
}

impl<T> Told<T> for Result<T, Cause> {
    #[inline]
    fn on(self, key: i32) -> CortexResult<T> {
        self.map_err(|cause| cause.on(key))
    }

    #[inline]
    fn on_no_key(self) -> CortexResult<T> {
        self.map_err(Cause::on_no_key)
    }
}

/// Two steps that are both taken, whether or not the first one fails.
pub(crate) fn both(first: Result<(), Cause>, second: Result<(), Cause>) -> Result<(), Cause> {
    match first {
        Ok(()) => second,
        Err(cause) => Err(cause.after(second)),
    }
}

// Beside the tests of the messages, which quote the C library.
#[cfg(all(test, target_os = "linux", target_env = "gnu", not(loom)))]
mod tests;
