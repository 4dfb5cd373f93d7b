//! What `{:?}` shows of an error: its variant and its message, for that is what a `main` that returns an error ends with, and
//! what `unwrap` panics with.

use super::{CortexError, SystemError};
use crate::sys::errno;
use std::fmt;

impl CortexError {
    /// Returns the name of the variant.
    fn variant(&self) -> &'static str {
        match self {
            Self::CleanSystem(_) => "CleanSystem",
            Self::DirtySystem(_) => "DirtySystem",
            Self::NotACortex { .. } => "NotACortex",
            Self::Format { .. } => "Format",
            Self::Layout { .. } => "Layout",
            Self::Lock { .. } => "Lock",
            Self::NotReady { .. } => "NotReady",
            Self::Name { .. } => "Name",
            Self::Timeout { .. } => "Timeout",
            Self::Poisoned { .. } => "Poisoned",
            Self::InvalidValue { .. } => "InvalidValue",
            Self::ReadOnly { .. } => "ReadOnly",
            Self::Busy { .. } => "Busy",
            Self::Corrupt { .. } => "Corrupt",
            Self::Full { .. } => "Full",
            Self::InvalidArgument { .. } => "InvalidArgument",
            Self::Unsupported { .. } => "Unsupported",
            Self::Custom(_) => "Custom",
            Self::Removed { .. } => "Removed",
            Self::Interrupted { .. } => "Interrupted",
        }
    }
}

/// `Timeout: key 123: write timed out: …`; with `{:#?}` the variant with its key, the message and the failed call.
impl fmt::Debug for CortexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return write!(f, "{}: {self}", self.variant());
        }
        let mut parts = f.debug_struct(self.variant());
        if let Some(key) = self.key() {
            parts.field("key", &key);
        }
        parts.field("message", &format_args!("{self}"));
        if let Some(system) = self.system() {
            system.parts(&mut parts);
        }
        parts.finish()
    }
}

impl SystemError {
    fn parts(&self, parts: &mut fmt::DebugStruct<'_, '_>) {
        let number = self.raw_os_error().unwrap_or(0);
        parts.field("call", &format_args!("{}", self.call()));
        parts.field("errno", &format_args!("{number} {}", errno::name(number)));
        parts.field("left", &self.left());
    }
}

/// The message; with `{:#?}` its parts.
impl fmt::Debug for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return write!(f, "{self}");
        }
        let mut parts = f.debug_struct("SystemError");
        parts.field("key", &self.key());
        parts.field("message", &format_args!("{self}"));
        self.parts(&mut parts);
        parts.finish()
    }
}

// Beside the tests of the messages, which quote the C library.
#[cfg(all(test, target_os = "linux", target_env = "gnu", not(loom)))]
mod tests {
    use crate::error::tests::{failure, refusals};

    #[test]
    fn what_main_ends_with_says_what_to_do() {
        let missing = failure("attach to", "shmget", libc::ENOENT);
        let said = format!("{missing:?}");
        assert!(
            said.starts_with("CleanSystem: attach to key 123: No such file"),
            "{said}"
        );
        assert!(
            said.ends_with("`neocortex list` shows what exists"),
            "{said}"
        );
        for error in refusals() {
            let said = format!("{error:?}");
            let (variant, message) = said.split_once(": ").expect("a variant");
            assert_eq!(message, error.to_string());
            assert!(variant.chars().all(char::is_alphabetic), "{said}");
        }
        let system = missing.system().expect("a failed call");
        assert_eq!(format!("{system:?}"), system.to_string());
    }

    #[test]
    fn the_alternate_form_shows_the_parts() {
        let said = format!("{:#?}", failure("attach to", "shmget", libc::ENOENT));
        for part in [
            "CleanSystem {",
            "key: 123,",
            "call: shmget,",
            "errno: 2 ENOENT,",
            "left: [],",
            "message: attach to",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let system = failure("attach to", "shmget", libc::ENOENT);
        let said = format!("{:#?}", system.system().expect("a failed call"));
        assert!(
            said.starts_with("SystemError {") && said.contains("call: shmget"),
            "{said}"
        );
    }
}
