//! Which read guards this thread holds, so that it is never made to wait for itself.
//!
//! An owner word says which process holds it and the handle says which thread, so a thread that
//! would wait for its own write guard is told `Busy`. Readers are only counted; this is what tells a
//! thread's own from the others'.

use crate::sys::fork;
use std::cell::RefCell;

thread_local! {
    /// (number of the site, epoch, how many): a handful at most.
    static READS: RefCell<Vec<(u64, u32, u32)>> = const { RefCell::new(Vec::new()) };
}

/// Notes one more read guard of this thread on this site.
#[inline]
pub(crate) fn add(site: u64) {
    let epoch = fork::epoch();
    // A thread whose locals are gone already is ending, and will not wait for itself.
    let _ = READS.try_with(|reads| {
        let mut reads = reads.borrow_mut();
        match reads
            .iter_mut()
            .find(|entry| (entry.0, entry.1) == (site, epoch))
        {
            Some(entry) => entry.2 += 1,
            None => reads.push((site, epoch, 1)),
        }
    });
}

/// Notes one less.
#[inline]
pub(crate) fn remove(site: u64) {
    let epoch = fork::epoch();
    let _ = READS.try_with(|reads| {
        let mut reads = reads.borrow_mut();
        if let Some(place) = reads
            .iter()
            .position(|entry| (entry.0, entry.1) == (site, epoch))
        {
            reads[place].2 -= 1;
            if reads[place].2 == 0 {
                reads.swap_remove(place);
            }
        }
    });
}

/// Whether this thread holds a read guard on this site, taken in this process.
pub(crate) fn any(site: u64) -> bool {
    let epoch = fork::epoch();
    READS
        .try_with(|reads| {
            reads
                .borrow()
                .iter()
                .any(|entry| (entry.0, entry.1) == (site, epoch))
        })
        .unwrap_or(false)
}
