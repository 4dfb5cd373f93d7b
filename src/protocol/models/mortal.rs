//! Loom's atomics, whose user may die before a store.
//!
//! A thread that runs in [`live`] has so many stores to live; before the next one it unwinds to
//! `live`, and nothing that it was about to do happens. Dying before a load is no different from
//! dying before the store that follows it, so loads are not counted.

use loom::sync::atomic as model;
use loom::sync::Condvar;
use std::cell::Cell;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;

const FOR_EVER: u32 = u32::MAX;

loom::thread_local! {
    static LEFT: Cell<u32> = Cell::new(FOR_EVER);
}

/// What a death unwinds with.
struct Death;

/// Runs `life` until its end, or until it has made `steps` stores and is about to make one more;
/// whether it came to its end.
pub(crate) fn live(steps: u32, life: impl FnOnce()) -> bool {
    LEFT.with(|left| left.set(steps));
    let result = catch_unwind(AssertUnwindSafe(life));
    LEFT.with(|left| left.set(FOR_EVER));
    match result {
        Ok(()) => true,
        Err(cause) if cause.is::<Death>() => false,
        Err(cause) => resume_unwind(cause),
    }
}

/// A point at which a mortal thread can die; one stands before each store.
pub(crate) fn step() {
    let left = LEFT.with(|left| {
        let now = left.get();
        if now != FOR_EVER {
            left.set(now.saturating_sub(1));
        }
        now
    });
    if left == 0 {
        // Not `panic!`: this is no failure to be reported.
        resume_unwind(Box::new(Death));
    }
}

/// Tells loom that the order of the loads of an atomic matters.
///
/// Loom remembers one last access of each atomic, and looks for another order only where a thread's access
/// meets another thread's. So a thread that loads and then stores hides from loom that its store could
/// have come before another's load that was earlier than its own; a writer of ours that loads
/// `committed` and then stores it would be explored in one order only. Waking no thread is an access for loom
/// and orders no memory.
struct Order(Condvar);

impl Order {
    fn new() -> Self {
        Self(Condvar::new())
    }

    fn matters(&self) {
        self.0.notify_one();
    }
}

macro_rules! mortal {
    ($name:ident, $value:ty) => {
        /// Loom's atomic of this name.
        pub(crate) struct $name(model::$name, Order);

        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                Self(model::$name::new(value), Order::new())
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.1.matters();
                self.0.load(order)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                step();
                self.0.store(value, order);
            }

            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.swap(value, order)
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                step();
                self.0.compare_exchange(current, new, success, failure)
            }

            pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.fetch_add(value, order)
            }

            pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.fetch_sub(value, order)
            }

            pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.fetch_or(value, order)
            }

            pub(crate) fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.fetch_and(value, order)
            }

            pub(crate) fn fetch_max(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.fetch_max(value, order)
            }
        }
    };
}

mortal!(AtomicU32, u32);
mortal!(AtomicU64, u64);
