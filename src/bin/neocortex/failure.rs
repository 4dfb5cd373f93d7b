//! Why a sub-command ends, and with which status.

use crate::describe::harmless_lines;
use neocortex::{CortexError, Surface};
use std::io;
use std::process::ExitCode;

pub enum Failure {
    Cortex(CortexError),
    /// Nothing reads the output any more, or it cannot be written.
    Output(io::Error),
    /// A status and what to say.
    Plain(u8, String),
}

pub type Outcome<T = ()> = Result<T, Failure>;

pub const FAILED: u8 = 1;
pub const USAGE: u8 = 2;
pub const ABSENT: u8 = 3;
pub const REFUSED: u8 = 4;

/// Returns a failure that is not an error of the library.
pub fn plain<T>(status: u8, message: impl Into<String>) -> Outcome<T> {
    Err(Failure::Plain(status, message.into()))
}

impl From<CortexError> for Failure {
    fn from(error: CortexError) -> Self {
        Self::Cortex(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Returns the exit status for an error; the table is in the help of the command.
pub fn status(error: &CortexError) -> u8 {
    match error {
        CortexError::CleanSystem(failure) => match failure.io_error().kind() {
            io::ErrorKind::NotFound => ABSENT,
            io::ErrorKind::AlreadyExists => REFUSED,
            io::ErrorKind::PermissionDenied => 8,
            _ => FAILED,
        },
        CortexError::Removed { .. } => ABSENT,
        CortexError::Busy { .. } | CortexError::Full { .. } => REFUSED,
        CortexError::Poisoned { .. } => 5,
        CortexError::NotACortex { .. }
        | CortexError::Format { .. }
        | CortexError::Layout { .. }
        | CortexError::Lock { .. }
        | CortexError::Name { .. } => 6,
        CortexError::Timeout { .. }
        | CortexError::NotReady { .. }
        | CortexError::Interrupted { .. } => 7,
        CortexError::InvalidArgument { .. } => USAGE,
        _ => FAILED,
    }
}

/// Returns the library's message, with this command's options in place of the library's functions.
pub fn in_our_words(error: &CortexError) -> String {
    error.in_words_of(Surface::Command)
}

impl Failure {
    /// Says what went wrong, on standard error. A closed pipe is no failure: its reader has seen enough.
    pub fn report(self) -> ExitCode {
        let (status, message) = match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS
            }
            Self::Output(error) => (FAILED, format!("cannot write the output: {error}")),
            Self::Cortex(error) => (status(&error), in_our_words(&error)),
            Self::Plain(status, message) => (status, message),
        };
        say(&message);
        ExitCode::from(status)
    }
}

/// A line on standard error, which may be closed. What it quotes may be another process's.
pub fn say(message: &str) {
    use io::Write;
    let _ = writeln!(io::stderr(), "neocortex: {}", harmless_lines(message));
}
