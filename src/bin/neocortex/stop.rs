//! When to stop: a signal that asks for it, or an output that nobody reads any more.

use crate::failure::Outcome;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Set by the first SIGINT, SIGTERM or SIGHUP. The second ends the process at once: it may be stuck in a write to
/// a terminal that nobody reads.
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn new() -> Outcome<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Before the flag is set by this very signal.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag))?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether the reader of a pipe on standard output has left; known before anything is written.
pub fn is_output_closed() -> bool {
    let output = io::stdout();
    let mut ends = [PollFd::new(&output, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let gone = PollFlags::ERR | PollFlags::HUP;
    poll(&mut ends, Some(&now)).is_ok() && ends[0].revents().intersects(gone)
}
