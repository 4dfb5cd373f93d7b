//! What ends a wait of a set from outside: an interrupt, or a helper that has seen a change.

use crate::protocol::interrupts::Interrupts;
use crate::protocol::telling::Bell;
use crate::sys::futex;
use std::sync::Arc;

/// Of one set.
#[derive(Debug)]
pub(crate) struct Alarm {
    pub(crate) interrupts: Interrupts,
    /// The word of this process alone that the waiter sleeps on, beside those of the members.
    pub(crate) bell: Bell,
}

impl Alarm {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            interrupts: Interrupts::new(),
            bell: Bell::new(),
        })
    }

    /// Wakes the waiter, which looks again. Async-signal-safe.
    pub(crate) fn ring(&self) {
        self.bell.ring();
        futex::wake_own(self.bell.word());
    }

    /// Ends the set's wait, or the next one. Async-signal-safe.
    pub(crate) fn interrupt(&self) {
        self.interrupts.send();
        self.ring();
    }
}

/// Ends the waits of one [`WaitSet`](super::WaitSet), from any thread: see
/// [`WaitSet::interrupter`](super::WaitSet::interrupter).
#[derive(Debug, Clone)]
pub struct Interrupter(pub(crate) Arc<Alarm>);

impl Interrupter {
    /// Ends the wait of the set, or else its next one, with `Interrupted`. Async-signal-safe.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}
