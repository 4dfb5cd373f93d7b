//! Which read guards this thread holds, so that it is never made to wait for itself.
//!
//! An owner word says which process holds it and the handle says which thread, so a thread that
//! would wait for its own write guard is told `Busy`. Readers are only counted; this is what tells a
//! thread's own from the others'.
//!
//! Guards on one site at a time are the common case, and cost a comparison and an addition; more sites
//! go to a list.

use std::cell::{Cell, RefCell};

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
    /// Those of further places.
    static OTHERS: RefCell<Vec<(u64, u32)>> = const { RefCell::new(Vec::new()) };
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

/// Whether this thread holds a read guard there.
pub(crate) fn any(place: Place) -> bool {
    let is_first = FIRST.with(|(first, count)| first.get() == place.0 && count.get() != 0);
    let is_other = |others: &RefCell<Vec<_>>| {
        others
            .borrow()
            .iter()
            .any(|entry: &(u64, u32)| entry.0 == place.0)
    };
    is_first || OTHERS.try_with(is_other).unwrap_or(false)
}

#[cold]
fn add_other(place: Place) {
    // A thread whose locals are gone already is ending, and will not wait for itself.
    let _ = OTHERS.try_with(|others| {
        let mut others = others.borrow_mut();
        match others.iter_mut().find(|entry| entry.0 == place.0) {
            Some(entry) => entry.1 += 1,
            None => others.push((place.0, 1)),
        }
    });
}

#[cold]
fn remove_other(place: Place) {
    let _ = OTHERS.try_with(|others| {
        let mut others = others.borrow_mut();
        if let Some(index) = others.iter().position(|entry| entry.0 == place.0) {
            others[index].1 -= 1;
            if others[index].1 == 0 {
                others.swap_remove(index);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_on_several_places_are_told_apart() {
        let places = [Place(1), Place(2), Place(3)];
        for round in 0..3 {
            for place in places {
                assert!(!any(place));
                add(place);
                add(place);
            }
            // In an order of its own each round, so that every place is once the first to end.
            for turn in 0..3 {
                let place = places[(round + turn) % 3];
                remove(place);
                assert!(any(place));
                remove(place);
                assert!(!any(place));
            }
        }
    }
}
