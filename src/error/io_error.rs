//! The same failure for programs whose functions return [`io::Result`].

use super::CortexError;
use std::io::{Error, ErrorKind};

/// The kind says what a program can act on, and the error itself is inside ([`Error::get_ref`], [`Error::downcast`]).
///
/// A failed system call has the kind of its error number: `ENOENT` is [`ErrorKind::NotFound`]. Its number is
/// [`CortexError::raw_os_error`] of the error inside.
impl From<CortexError> for Error {
    fn from(error: CortexError) -> Self {
        Self::new(kind(&error), error)
    }
}

fn kind(error: &CortexError) -> ErrorKind {
    match error {
        CortexError::CleanSystem(error) | CortexError::DirtySystem(error) => {
            error.io_error().kind()
        }
        CortexError::NotACortex { .. }
        | CortexError::Format { .. }
        | CortexError::Layout { .. }
        | CortexError::Lock { .. }
        | CortexError::Name { .. }
        | CortexError::Poisoned { .. }
        | CortexError::InvalidValue { .. }
        | CortexError::Corrupt { .. } => ErrorKind::InvalidData,
        CortexError::NotReady { .. } | CortexError::Timeout { .. } => ErrorKind::TimedOut,
        CortexError::ReadOnly { .. } => ErrorKind::PermissionDenied,
        CortexError::Busy { .. } => ErrorKind::ResourceBusy,
        CortexError::Full { .. } => ErrorKind::QuotaExceeded,
        CortexError::InvalidArgument { .. } => ErrorKind::InvalidInput,
        CortexError::Unsupported { .. } => ErrorKind::Unsupported,
        CortexError::Removed { .. } => ErrorKind::NotFound,
        // Not `Interrupted`, after which the standard library's loops call again: this wait was to end.
        CortexError::Interrupted { .. } | CortexError::Custom(_) => ErrorKind::Other,
    }
}

// Beside the tests of the messages, which quote the C library.
#[cfg(all(test, target_os = "linux", target_env = "gnu", not(loom)))]
mod tests;
