//! Which read guards this thread holds, so that it is never made to wait for itself.
//!
//! An owner word says which process holds it and the handle says which thread, so a thread that
//! would wait for its own write guard is told `Busy`. Readers are only counted; this is what tells a
//! thread's own from the others'.
//!
//! Guards on one site at a time are the common case, and cost a comparison and an addition; more sites
//! go to a list. Where thread-local storage is dear, as in a shared library, a handle has a [`Home`]: one
//! thread whose guards it counts itself.

use crate::sys::{fork, thread};
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Which attachment of which process: (epoch, number of the site). Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) u64);

impl Place {
    /// Whether it is of the process with this epoch.
    #[inline]
    pub(crate) fn is_of(self, epoch: u32) -> bool {
        (self.0 >> 32) as u32 == epoch
    }
}

thread_local! {
    /// The place of the guards counted here, and how many; 0 is none.
    static FIRST: (Cell<u64>, Cell<u32>) = const { (Cell::new(0), Cell::new(0)) };
    /// Those of further places. Without a destructor, so that it serves to the thread's very end: an empty
    /// list holds no memory.
    static OTHERS: RefCell<ManuallyDrop<Vec<(u64, u32)>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

/// Notes one more read guard of this thread.
#[inline]
pub(crate) fn add(place: Place) {
    FIRST.with(|(first, count)| {
        if count.get() == 0 {
            first.set(place.0);
            count.set(1);
        } else if first.get() == place.0 {
            count.set(count.get() + 1);
        } else {
            add_other(place);
        }
    });
}

/// Notes one less.
#[inline]
pub(crate) fn remove(place: Place) {
    FIRST.with(|(first, count)| {
        if first.get() == place.0 && count.get() != 0 {
            count.set(count.get() - 1);
        } else {
            remove_other(place);
        }
    });
}

/// Whether this thread holds a read guard there; the home is that of the same site.
pub(crate) fn any(place: Place, home: &Home) -> bool {
    home.any() || is_counted(place)
}

/// Whether [`add`] counts a guard of this thread there.
pub(crate) fn is_counted(place: Place) -> bool {
    let is_first = FIRST.with(|(first, count)| first.get() == place.0 && count.get() != 0);
    is_first || OTHERS.with(|others| others.borrow().iter().any(|entry| entry.0 == place.0))
}

#[cold]
fn add_other(place: Place) {
    OTHERS.with(|others| {
        let mut others = others.borrow_mut();
        match others.iter_mut().find(|entry| entry.0 == place.0) {
            Some(entry) => entry.1 += 1,
            None => others.push((place.0, 1)),
        }
    });
}

#[cold]
fn remove_other(place: Place) {
    OTHERS.with(|others| {
        let mut others = others.borrow_mut();
        if let Some(index) = others.iter().position(|entry| entry.0 == place.0) {
            others[index].1 -= 1;
            if others[index].1 == 0 {
                others.swap_remove(index);
            }
            if others.is_empty() {
                **others = Vec::new();
            }
        }
    });
}

/// A count that is tagged with the epoch of the process it is of.
#[inline]
pub(crate) fn tagged(epoch: u32, count: u32) -> u64 {
    u64::from(epoch) << 32 | u64::from(count)
}

/// The count in a tagged one: none where it is another process's.
#[inline]
pub(crate) fn count_of(tagged: u64, epoch: u32) -> u32 {
    if (tagged >> 32) as u32 == epoch {
        tagged as u32
    } else {
        0
    }
}

/// The read guards through one handle of the thread that has its home there, counted by plain stores of that
/// thread. Whoever makes a thread at home sees to it that it [leaves](Home::leave) before it ends, for
/// another thread may get the same token.
#[derive(Debug, Default)]
pub(crate) struct Home {
    /// [`thread::token`]; 0 is none.
    thread: AtomicUsize,
    /// [`tagged`]: the guards of a parent process do not count.
    count: AtomicU64,
}

#[cfg_attr(not(feature = "capi"), allow(dead_code))]
impl Home {
    /// Whether this thread has its home here.
    #[inline]
    pub(crate) fn is_mine(&self) -> bool {
        self.thread.load(Ordering::Relaxed) == thread::token()
    }

    /// Makes this thread at home where no thread is.
    pub(crate) fn settle(&self) {
        let _ =
            self.thread
                .compare_exchange(0, thread::token(), Ordering::Acquire, Ordering::Relaxed);
    }

    /// Ends that.
    pub(crate) fn leave(&self) {
        let _ =
            self.thread
                .compare_exchange(thread::token(), 0, Ordering::Release, Ordering::Relaxed);
    }

    /// How many guards the thread at home holds.
    #[inline]
    pub(crate) fn count(&self, epoch: u32) -> u32 {
        // Acquire: who finds none may take the handle apart.
        count_of(self.count.load(Ordering::Acquire), epoch)
    }

    /// Notes how many there are now. For the thread at home.
    #[inline]
    pub(crate) fn set(&self, epoch: u32, count: u32) {
        self.count.store(tagged(epoch, count), Ordering::Release);
    }

    /// Whether this thread is at home and holds a guard.
    fn any(&self) -> bool {
        self.is_mine() && self.count(fork::epoch()) != 0
    }
}

#[cfg(test)]
mod tests;
