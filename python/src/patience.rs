//! Waiting, with the interpreter released, for as long as the caller gave.
//!
//! Handles are opened `interruptible`, so a signal ends the core's wait at once, and its handler runs here: Ctrl-C raises.
//! A signal that comes between the last look of a wait and its sleep is not noticed there. So the main thread, on which
//! alone Python runs handlers, waits in slices: it is late by [`SLICE`] then, which must be below 100 ms. The core looks
//! after dead holders more often than that, so slices cost nothing.

use crate::errors::raise;
use neocortex::{CortexError, CortexResult};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::time::{Duration, Instant};

const SLICE: Duration = Duration::from_millis(80);

/// How long a call may take.
#[derive(Clone, Copy)]
pub(crate) struct Patience(Option<Instant>);

impl Patience {
    /// `None` is for ever, and what is not positive is no wait at all.
    pub(crate) fn lasting(seconds: Option<f64>) -> PyResult<Self> {
        let Some(seconds) = seconds else {
            return Ok(Self(None));
        };
        if seconds.is_nan() {
            return Err(PyValueError::new_err("a time-out that is not a number"));
        }
        // A time-out beyond what the clock can say is for ever.
        let length = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
        Ok(Self(Instant::now().checked_add(length)))
    }

    fn left(self) -> Duration {
        self.0.map_or(Duration::MAX, |end| {
            end.saturating_duration_since(Instant::now())
        })
    }

    /// Calls `step`, which waits no longer than it is told, until it is done, the time is over, or a handler raises. The
    /// interpreter is released meanwhile.
    pub(crate) fn go<T: Send>(
        self,
        py: Python<'_>,
        mut step: impl FnMut(Duration) -> CortexResult<T> + Send,
    ) -> PyResult<T> {
        self.go_here(py, |left| py.detach(|| step(left)))
    }

    /// [`Patience::go`] for a `step` that releases the interpreter itself.
    pub(crate) fn go_here<T>(
        self,
        py: Python<'_>,
        mut step: impl FnMut(Duration) -> CortexResult<T>,
    ) -> PyResult<T> {
        let is_main = is_main_thread();
        loop {
            let left = self.left();
            let slice = if is_main { left.min(SLICE) } else { left };
            match step(slice) {
                Err(CortexError::Timeout { .. }) if slice < left => py.check_signals()?,
                Err(CortexError::Interrupted { key, operation }) => {
                    py.check_signals()?;
                    if self.left() == Duration::ZERO {
                        return Err(raise(py, &CortexError::Timeout { key, operation }));
                    }
                }
                Err(error @ CortexError::Timeout { .. }) => {
                    py.check_signals()?;
                    return Err(raise(py, &error));
                }
                result => return result.map_err(|error| raise(py, &error)),
            }
        }
    }
}

/// Returns whether this may be the thread on which Python runs the handlers of signals.
fn is_main_thread() -> bool {
    #[cfg(target_os = "linux")]
    // SAFETY: both only return a number.
    return unsafe { libc::gettid() == libc::getpid() };
    #[cfg(not(target_os = "linux"))]
    true
}
