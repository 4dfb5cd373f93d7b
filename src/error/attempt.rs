//! From a failed system call to a cause: what was tried, and what to do about it.

use super::cause::{Cause, FailedCall};
use super::remedy::remedy;
use crate::sys::Failure;

/// Gives a failed system call its context: what was tried.
pub(crate) trait Attempt<T> {
    fn attempt(self, what: &'static str) -> Result<T, Cause>;
    /// Gives the context, with a better remedy than the general one where `special` has one for the error number.
    fn attempt_or(
        self,
        what: &'static str,
        special: impl FnOnce(i32) -> Option<String>,
    ) -> Result<T, Cause>;
}

impl<T> Attempt<T> for Result<T, Failure> {
    fn attempt(self, what: &'static str) -> Result<T, Cause> {
        self.attempt_or(what, |_| None)
    }

    fn attempt_or(
        self,
        what: &'static str,
        special: impl FnOnce(i32) -> Option<String>,
    ) -> Result<T, Cause> {
        self.map_err(|failure| {
            let number = failure.errno();
            Cause::System(Box::new(FailedCall {
                what,
                call: failure.call,
                remedy: special(number).unwrap_or_else(|| remedy(failure.call, number)),
                answer: failure.error,
                left: Vec::new(),
            }))
        })
    }
}
