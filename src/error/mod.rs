//! What can go wrong, and what each failure says.
//!
//! A failed system call becomes [`CortexError::CleanSystem`] or, where something was left in the
//! kernel, [`CortexError::DirtySystem`] that names it; every refusal of this library's own is one
//! variant. A message says what was tried, on which key, what the system answered, what to do next.

mod advice;
mod attempt;
pub(crate) mod busy;
mod cause;
mod debug;
mod io_error;
pub(crate) mod names;
pub(crate) mod remedy;
pub(crate) mod surface;
mod system;

pub(crate) use advice::{
    WAITING_FOR_ANY, WAITING_FOR_CHANGE, WAITING_FOR_CREATOR, WAITING_FOR_ROOM,
};
pub(crate) use attempt::Attempt;
pub(crate) use cause::{both, Cause, Told, ATTACHING};
pub use system::{Leftover, SystemError};

use crate::sys::errno;
use advice::{difference, on_key, other_format, other_name, why_timed_out};
use names::{quoted, shown};
use std::borrow::Cow;
use std::io;
use surface::Surface;

/// The result of everything in this crate that can fail.
pub type CortexResult<T> = std::result::Result<T, CortexError>;

/// Why an operation failed. The value and every other process are as they were before it, unless
/// the variant says otherwise.
///
/// `{}` is the message: what was tried, on what, why it failed, and what to do. `{:?}` is the variant's name and the message,
/// so that a `main` that returns a [`CortexResult`] ends with all of it; `{:#?}` shows the parts.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CortexError {
    /// A system call failed, and nothing was left behind.
    #[error(transparent)]
    CleanSystem(SystemError),

    /// A system call failed, and kernel objects were left behind: [`SystemError::left`] names them.
    #[error(transparent)]
    DirtySystem(SystemError),

    /// The segment was not made by this library. It was not touched.
    #[error("{}: the segment is not a cortex ({detail}). It was left untouched; choose another key, or look at it with `ipcs -m`", shown(*key))]
    NotACortex {
        /// The key that was asked for.
        key: i32,
        /// How it was recognised.
        detail: &'static str,
    },

    /// The segment was made by another version of this library, with another format.
    #[error("{}: {}. Use the same version of neocortex on both sides", shown(*key), other_format(*found, *supported, *features))]
    Format {
        /// The key that was asked for.
        key: i32,
        /// The segment's format version.
        found: u32,
        /// This library's.
        supported: u32,
        /// Where the versions are the same: the features of the segment that this library does not know.
        features: u32,
    },

    /// The segment has another size, alignment or schema than was asked for; or, where it would have been created otherwise,
    /// it is no cortex of records, not lossless, or edited in place, and was to be (or not to be) that.
    #[error("{}: {}", shown(*key), difference(*key, what, *expected, *found))]
    Layout {
        /// The key that was asked for.
        key: i32,
        /// Which figure differs: `"size"`, `"alignment"`, `"schema"`, …; `"records"`, `"lossless"` and `"in_place"` are 1 or 0.
        what: &'static str,
        /// What the caller asked for.
        expected: u64,
        /// What the segment has.
        found: u64,
    },

    /// The segment was made with another lock.
    #[error("{}: the segment's lock is \"{found}\", expected \"{expected}\". Attach with the lock it was made with", shown(*key))]
    Lock {
        /// The key that was asked for.
        key: i32,
        /// The lock the caller asked for.
        expected: String,
        /// The lock the segment was made with.
        found: String,
    },

    /// The segment's creator has not finished, or died before it did.
    #[error("{}: not initialised after {waited_ms} ms. If its creator has died, create it again with `replace_stale`", shown(*key))]
    NotReady {
        /// The key that was asked for.
        key: i32,
        /// How long this call waited, in milliseconds.
        waited_ms: u64,
    },

    /// A cortex with another name has the key that follows from the name asked for, or one without a name. It was not
    /// touched.
    #[error("name {} has the key {key}, which a cortex {} has already. Two names may have one key: choose another name for one of them", quoted(expected), other_name(found.as_deref()))]
    Name {
        /// The key of the name that was asked for.
        key: i32,
        /// The name that was asked for.
        expected: String,
        /// The name of the cortex that has the key; `None` where it was made by number.
        found: Option<String>,
    },

    /// The time given to the operation ran out, or it was not to wait at all.
    #[error("{}{operation} timed out: {}", on_key(*key), why_timed_out(*key, operation))]
    Timeout {
        /// The segment's key.
        key: i32,
        /// What was being done.
        operation: &'static str,
    },

    /// A writer was killed half way through editing an in-place segment, or gave up there.
    #[error("{}: poisoned: a write in place was not finished. A whole `write` or `clear_poison` heals it", shown(*key))]
    Poisoned {
        /// The segment's key.
        key: i32,
    },

    /// The bytes in the segment are not a value of this type (a `bool` of 2, say).
    #[error("{}: the bytes are not a valid {type_name}. Some process wrote another type", shown(*key))]
    InvalidValue {
        /// The segment's key.
        key: i32,
        /// The type that was to be read.
        type_name: &'static str,
    },

    /// The handle can only read.
    #[error("{}: {operation} through a handle that can only read (`Observer`). Attach one that may write", shown(*key))]
    ReadOnly {
        /// The segment's key.
        key: i32,
        /// What was being done.
        operation: &'static str,
    },

    /// Another process or thread uses it in a way that forbids this, or this thread already holds it.
    #[error("{}: busy: {detail}. {}", shown(*key), busy::remedy(*key, detail))]
    Busy {
        /// The segment's key.
        key: i32,
        /// What forbids it.
        detail: &'static str,
    },

    /// The segment's own bookkeeping contradicts itself: something wrote over it.
    #[error("{}: corrupt: {detail}. Remove it with `neocortex remove {key}` and create it again", shown(*key))]
    Corrupt {
        /// The segment's key.
        key: i32,
        /// What contradicts what.
        detail: Cow<'static, str>,
    },

    /// Every participant slot is taken.
    #[error("{}: all {limit} participant slots are taken. Create it with more (`participants`), or only read (`Observer`)", shown(*key))]
    Full {
        /// The segment's key.
        key: i32,
        /// How many participants the segment has room for.
        limit: u32,
    },

    /// An argument that was never valid.
    #[error("{}{detail}", on_key(*key))]
    InvalidArgument {
        /// The key of the segment, or the one asked for; 0 where the argument is about none.
        key: i32,
        /// Which argument, and what it must be.
        detail: String,
    },

    /// Something that this segment, lock, platform or version does not do.
    #[error("{}: {detail}", shown(*key))]
    Unsupported {
        /// The segment's key.
        key: i32,
        /// What is not supported, and what is.
        detail: &'static str,
    },

    /// A lock's own error code.
    #[error(
        "the lock failed with its own code {0}. What that means is in the lock's documentation"
    )]
    Custom(i32),

    /// The segment was removed while this call was waiting.
    #[error("{}: the segment was removed. Close this handle; attach again once it was created again", shown(*key))]
    Removed {
        /// The key it had.
        key: i32,
    },

    /// [`crate::Segment::interrupt`] ended the wait, or a signal where
    /// [`interruptible`](crate::SegmentOptions::interruptible) says so.
    #[error("{}{operation} was interrupted, through this handle (`interrupt`) or by a signal (`interruptible`). Nothing was changed; try again, or stop", on_key(*key))]
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

    /// Returns the key that the failed call was about; `None` where it was about no key, as with a lock's own error.
    pub fn key(&self) -> Option<i32> {
        let key = match self {
            Self::CleanSystem(error) | Self::DirtySystem(error) => error.key(),
            Self::NotACortex { key, .. }
            | Self::Format { key, .. }
            | Self::Layout { key, .. }
            | Self::Lock { key, .. }
            | Self::NotReady { key, .. }
            | Self::Name { key, .. }
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
        };
        (key != 0).then_some(key)
    }

    /// Returns the system's error number, where a system call failed.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.system().and_then(SystemError::raw_os_error)
    }

    /// Returns whether nothing has the key that was asked for.
    ///
    /// ```
    /// use neocortex::Cortex;
    ///
    /// match Cortex::<f64>::attach("example/nobody made this") {
    ///     Err(error) if error.is_not_found() => println!("not there yet"),
    ///     other => panic!("{other:?}"),
    /// }
    /// ```
    pub fn is_not_found(&self) -> bool {
        self.is_errno(errno::ENOENT)
    }

    /// Returns whether this is a system call that failed with `number`.
    pub(crate) fn is_errno(&self, number: i32) -> bool {
        matches!(self, Self::CleanSystem(error) if error.raw_os_error() == Some(number))
    }

    /// Returns the message in the words of another surface than Rust.
    #[doc(hidden)]
    pub fn in_words_of(&self, surface: Surface) -> String {
        surface::in_words_of(surface, &self.to_string())
    }

    /// Returns the failed system call, where that is what it was.
    pub fn system(&self) -> Option<&SystemError> {
        match self {
            Self::CleanSystem(error) | Self::DirtySystem(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the same failure, now known to have left something in the kernel.
    fn leaving(self, object: Leftover) -> Self {
        match self {
            Self::CleanSystem(mut error) | Self::DirtySystem(mut error) => {
                // Two steps may both have failed at the same object.
                if !error.inner.left.contains(&object) {
                    error.inner.left.push(object);
                }
                Self::DirtySystem(error)
            }
            // A refusal of our own that could not clean up after itself.
            other => {
                let mut error = SystemError::new(
                    other.to_string(),
                    other.key().unwrap_or(0),
                    "",
                    io::Error::other("clean-up failed"),
                );
                error.inner.left.push(object);
                Self::DirtySystem(error)
            }
        }
    }
}

// The messages quote the C library.
#[cfg(all(test, target_os = "linux", target_env = "gnu", not(loom)))]
mod tests;
