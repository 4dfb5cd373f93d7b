//! What helpers tell of changes to.

use super::alarm::Alarm;
use crate::protocol::telling::Asked;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Of one wait set.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) asked: Asked,
    alarm: Arc<Alarm>,
    /// Whether a helper has found a member that was removed without saying so.
    has_lost: AtomicBool,
}

impl Listener {
    pub(crate) fn new(alarm: &Arc<Alarm>) -> Arc<Self> {
        Arc::new(Self {
            asked: Asked::new(),
            alarm: Arc::clone(alarm),
            has_lost: AtomicBool::new(false),
        })
    }

    /// Tells that something has changed. It is called by helpers.
    pub(crate) fn tell(&self) {
        self.alarm.ring();
    }

    /// Notes that the kernel is to be asked for the members.
    pub(crate) fn note_loss(&self) {
        // Relaxed: `tell` comes after it.
        self.has_lost.store(true, Ordering::Relaxed);
    }

    /// Returns whether a helper has noted a loss since the last question.
    pub(crate) fn takes_loss(&self) -> bool {
        self.has_lost.load(Ordering::Relaxed) && self.has_lost.swap(false, Ordering::Relaxed)
    }
}
