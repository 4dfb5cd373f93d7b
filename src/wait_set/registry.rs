//! The helpers of this process.
//!
//! A helper is started for the first value that has to be watched and ends with its last one; a second one is started
//! where the first is full. A forked child has none of its parent's threads, so that it has a registry of its own: the
//! parent's may be locked for ever.

use super::helper::{Helper, Watch};
use crate::sys::{fork, SysResult};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Of one process.
struct Registry {
    epoch: u32,
    helpers: Mutex<Vec<Arc<Helper>>>,
}

static REGISTRY: AtomicPtr<Registry> = AtomicPtr::new(std::ptr::null_mut());

/// Returns this process's registry. One is leaked in each process that has ever watched anything.
fn registry() -> &'static Registry {
    let epoch = fork::epoch();
    loop {
        let seen = REGISTRY.load(Ordering::Acquire);
        // SAFETY: what was stored there was leaked, and is never freed; null is no reference.
        if let Some(found) = unsafe { seen.as_ref() }.filter(|found| found.epoch == epoch) {
            return found;
        }
        let new = Box::into_raw(Box::new(Registry {
            epoch,
            helpers: Mutex::default(),
        }));
        // Release: a thread that finds it finds it whole.
        let result = REGISTRY.compare_exchange(seen, new, Ordering::Release, Ordering::Relaxed);
        if result.is_err() {
            // SAFETY: made above, and no other thread has seen it.
            drop(unsafe { Box::from_raw(new) });
        }
    }
}

/// A value that a helper watches for as long as this lives.
#[derive(Debug)]
pub(crate) struct Registration {
    epoch: u32,
    helper: Arc<Helper>,
    watch: Arc<Watch>,
}

impl Registration {
    /// Has a helper watch it.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(crate) fn new(watch: Arc<Watch>) -> SysResult<Self> {
        let registry = registry();
        let mut helpers = registry
            .helpers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        helpers.retain(|helper| !helper.is_ended());
        let found = helpers.iter().find(|helper| helper.add(&watch));
        let helper = match found {
            Some(helper) => Arc::clone(helper),
            None => {
                let helper = Helper::start(Arc::clone(&watch))?;
                helpers.push(Arc::clone(&helper));
                helper
            }
        };
        Ok(Self {
            epoch: registry.epoch,
            helper,
            watch,
        })
    }

    /// Returns whether its helper is a thread of this process.
    pub(crate) fn is_here(&self) -> bool {
        self.epoch == fork::epoch()
    }

    pub(crate) fn helper(&self) -> &Arc<Helper> {
        &self.helper
    }

    /// Drops several: the helpers are waited for once, at the end.
    pub(crate) fn drop_all(registrations: Vec<Self>) {
        for registration in &registrations {
            registration.remove();
        }
        // Each drop finds that it is removed, and that its helper knows.
        drop(registrations);
    }

    fn remove(&self) {
        if self.is_here() {
            self.helper.remove(&self.watch);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.is_here() {
            self.helper.remove(&self.watch);
            self.helper.await_taken();
        }
    }
}
