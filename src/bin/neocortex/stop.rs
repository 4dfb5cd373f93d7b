//! When to stop: a signal that asks for it.
//!
//! A process that a signal stops cleans up and then dies of that very signal: a shell ends a loop around a command only
//! when the command has died of SIGINT.

use crate::failure::Outcome;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

/// The signal that the process is to die of when it has cleaned up; 0 is none.
static FATAL: AtomicUsize = AtomicUsize::new(0);

/// Set by the first SIGINT, SIGTERM or SIGHUP. The second ends the process at once, because it may be stuck in a write
/// to a terminal that is not read.
pub struct Stop {
    flag: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Stop {
    pub fn new() -> Outcome<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let number = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Before the flag is set by this very signal.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag))?;
            let value = usize::try_from(signal).unwrap_or_default();
            signal_hook::flag::register_usize(signal, Arc::clone(&number), value)?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        let signal = number;
        Ok(Self { flag, signal })
    }

    /// Returns whether a stop is asked for; the process will then die of the signal when `main` has ended its work.
    pub fn is_asked(&self) -> bool {
        let is_asked = self.flag.load(Ordering::Acquire);
        if is_asked {
            FATAL.store(self.signal.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        is_asked
    }
}

/// Does what Ctrl-C does, where a terminal passes it on as a key.
pub fn interrupt() {
    FATAL.store(SIGINT as usize, Ordering::Relaxed);
}

/// Ends the process: by the signal that asked for it, or with this status.
pub fn end(code: ExitCode) -> ExitCode {
    match FATAL.load(Ordering::Relaxed) as i32 {
        0 => code,
        signal => {
            // Sets the default action, and raises it.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            code
        }
    }
}
