//! What helpers tell of changes to: the waiter of a set, its descriptor, the wakers of futures.

use super::alarm::Alarm;
use crate::protocol::telling::Asked;
use crate::sys::event::Event;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

/// Of one wait set, or of the futures of one handle; of one process.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) asked: Asked,
    alarm: Option<Arc<Alarm>>,
    /// Whether a helper has found a member that was removed without saying so.
    has_lost: AtomicBool,
    wakers: Mutex<Wakers>,
    /// Readable while something is to be told, where a program has asked for that.
    pub(crate) event: OnceLock<Event>,
}

#[derive(Debug, Default)]
struct Wakers {
    next: u64,
    all: Vec<(u64, Waker)>,
}

impl Listener {
    pub(crate) fn new(alarm: Option<&Arc<Alarm>>) -> Arc<Self> {
        Arc::new(Self {
            asked: Asked::new(),
            alarm: alarm.map(Arc::clone),
            has_lost: AtomicBool::new(false),
            wakers: Mutex::default(),
            event: OnceLock::new(),
        })
    }

    /// Tells that something has changed. It is called by helpers.
    pub(crate) fn tell(&self) {
        if let Some(alarm) = &self.alarm {
            alarm.ring();
        }
        if let Some(event) = self.event.get() {
            event.set();
        }
        let wakers = std::mem::take(&mut self.wakers().all);
        for (_, waker) in wakers {
            // A waker is the executor's. Where it panics, the others are told all the same.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    fn wakers(&self) -> MutexGuard<'_, Wakers> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a waker until the next change, in place of the one with this number. Returns its number.
    pub(crate) fn keep_waker(&self, number: Option<u64>, waker: &Waker) -> u64 {
        // Wakers are cloned and dropped outside the lock, for that may run the executor's code.
        let mine = waker.clone();
        let mut wakers = self.wakers();
        let number = number.unwrap_or(wakers.next);
        wakers.next = wakers.next.max(number + 1);
        let before = match wakers.all.iter_mut().find(|kept| kept.0 == number) {
            Some(kept) => Some(std::mem::replace(&mut kept.1, mine)),
            None => {
                wakers.all.push((number, mine));
                None
            }
        };
        drop(wakers);
        drop(before);
        number
    }

    pub(crate) fn forget_waker(&self, number: u64) {
        let mut wakers = self.wakers();
        let at = wakers.all.iter().position(|kept| kept.0 == number);
        let gone = at.map(|at| wakers.all.swap_remove(at));
        // First the lock: see `keep_waker`.
        drop(wakers);
        drop(gone);
    }

    /// Notes that the kernel is to be asked for the members.
    pub(crate) fn note_loss(&self) {
        // Relaxed: `tell` comes after it.
        self.has_lost.store(true, Ordering::Relaxed);
    }

    /// Returns whether [`Listener::takes_loss`] would.
    pub(crate) fn has_loss(&self) -> bool {
        self.has_lost.load(Ordering::Relaxed)
    }

    /// Returns whether a helper has noted a loss since the last question.
    pub(crate) fn takes_loss(&self) -> bool {
        self.has_lost.load(Ordering::Relaxed) && self.has_lost.swap(false, Ordering::Relaxed)
    }
}
