//! What belongs to a handle, is made when it is first needed, and ends with the handle: of each process its own.
//!
//! A forked child inherits its parent's, which is of no use to it, for the threads behind it are the parent's. So each has
//! the epoch of its process, and a child puts its own in front. There is no mutex, which a child could inherit locked.

use crate::sys::fork;
use std::any::Any;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::Arc;

type Value = Arc<dyn Any + Send + Sync>;

struct Node {
    epoch: u32,
    value: Value,
    before: *mut Node,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Companion(AtomicPtr<Node>);

impl Companion {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// Returns this process's, and makes it where there is none. All callers ask for one type.
    pub(crate) fn get_or_make<T: Any + Send + Sync, E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let epoch = fork::epoch();
        let found = |first: *mut Node| {
            // SAFETY: null, or a node of this list, which lives as long as the list.
            let node = unsafe { first.as_ref() }.filter(|node| node.epoch == epoch)?;
            Arc::clone(&node.value).downcast::<T>().ok()
        };
        // Acquire: a node that is found is whole.
        let mut first = self.0.load(Ordering::Acquire);
        if let Some(value) = found(first) {
            return Ok(value);
        }
        let mine = Arc::new(make()?);
        let new = Box::into_raw(Box::new(Node {
            epoch,
            value: Arc::clone(&mine) as Value,
            before: first,
        }));
        loop {
            match self
                .0
                .compare_exchange(first, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Ok(mine),
                Err(now) => first = now,
            }
            if let Some(value) = found(first) {
                // SAFETY: made above, and no other thread has seen it.
                drop(unsafe { Box::from_raw(new) });
                return Ok(value);
            }
            // SAFETY: as above.
            unsafe { (*new).before = first };
        }
    }

    /// Ends it.
    pub(crate) fn end(&mut self) {
        let mut next = std::mem::replace(self.0.get_mut(), std::ptr::null_mut());
        while !next.is_null() {
            // SAFETY: a node of this list, which was boxed, and which nobody else has any more.
            let node = unsafe { Box::from_raw(next) };
            next = node.before;
        }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.end();
    }
}
