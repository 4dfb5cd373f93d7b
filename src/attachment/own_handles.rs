//! The handles of this process, so that a thread does not wait for a lock that it holds itself through another handle.
//!
//! Each attachment has a [`Record`] here: which segment it is of, the thread that holds the owner word through it, and
//! the read guards that it counts itself. The fast paths store into their own record, as they would into the
//! attachment; a list is walked only by a thread that is about to wait. There are many lists, and which one a record is in
//! follows from its segment: what a walk takes does not grow with the handles of other segments.
//!
//! **Invariants.** A record is never freed, only used again, so that a list can be walked without a lock, which a
//! forked child could inherit locked. A thread's own token is in a record only while that thread holds the word
//! through it: no other thread stores it. What a child finds of its parent's is of another epoch, and does not count.
//!
//! **Ordering.** A thread asks only about itself. Its own token and its own counts were stored by itself, through an
//! attachment that lived then and, while the guard lives, lives now: what the walk loads of that record is not older
//! than those stores, so a guard of this thread's is always found. A record of another cortex or of a parent is not
//! taken for one: see [`Record::is_of`] and [`ThreadOfProcess`].

use super::mapped_segment::MappedSegment;
use super::thread_guards::{self, AttachmentId, RegisteredThread};
use super::thread_of_process::ThreadOfProcess;
use crate::sys::shm::Mapped;
use crate::sys::{fork, thread};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

/// The name of a segment in this process: the kernel's id of it, and the random key of its semaphore set, for
/// another IPC namespace has the same ids again. What a peer makes of the key later does not change the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentName(u64);

impl SegmentName {
    pub(crate) fn of<M: Mapped>(mapped: &MappedSegment<M>) -> Self {
        Self::new(mapped.mapping.id(), mapped.header().beacon_key())
    }

    fn new(segment_id: i32, beacon_key: i32) -> Self {
        Self(u64::from(segment_id as u32) << 32 | u64::from(beacon_key as u32))
    }

    /// Returns the list in which the records of this segment are: by multiplication with 2^64 divided by the golden ratio,
    /// whose upper bits differ for names that are near one another.
    fn list(self) -> &'static List {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let place = self.0.wrapping_mul(SPREAD) >> (u64::BITS - LISTS.ilog2());
        &HANDLES[place as usize]
    }
}

/// One attachment of this process.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// The [`SegmentName`]; 0 while no handle uses the record.
    segment: AtomicU64,
    /// The number of the attachment, never used twice.
    number: AtomicU64,
    /// The thread of this process that holds the owner word through this handle.
    pub(crate) holder: ThreadOfProcess,
    /// Read guards that are counted here rather than by their thread.
    pub(crate) registered: RegisteredThread,
    is_used: AtomicBool,
    next: AtomicPtr<Record>,
}

/// Records, the newest first. It only grows.
struct List(AtomicPtr<Record>);

/// How many lists there are: a power of two, more than most programs have segments.
const LISTS: usize = 1024;

static HANDLES: [List; LISTS] = [const { List(AtomicPtr::new(std::ptr::null_mut())) }; LISTS];

impl List {
    fn records(&self) -> impl Iterator<Item = &'static Record> {
        // Acquire: see `add`. The links behind the first are older, and published by the same release sequence.
        let mut next = self.0.load(Ordering::Acquire);
        std::iter::from_fn(move || {
            // SAFETY: what is in the list was leaked (`add`), and is never freed; null ends it.
            let record = unsafe { next.as_ref() }?;
            next = record.next.load(Ordering::Relaxed);
            Some(record)
        })
    }

    /// One more in the list, which is the caller's.
    fn add(&self) -> &'static Record {
        let record: &Record = Box::leak(Box::new(Record {
            is_used: AtomicBool::new(true),
            ..Record::default()
        }));
        let mut first = self.0.load(Ordering::Relaxed);
        loop {
            record.next.store(first, Ordering::Relaxed);
            let new = std::ptr::from_ref(record).cast_mut();
            // Release: a thread that finds it finds it whole. Each compare-and-swap goes on the release sequence of those
            // before, so it need not acquire.
            match (self.0).compare_exchange_weak(first, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return record,
                Err(now) => first = now,
            }
        }
    }
}

/// A record for as long as its attachment lives.
#[derive(Debug)]
pub(crate) struct OwnHandle(&'static Record);

impl OwnHandle {
    /// Returns a record for the attachment with this number, a used one or a new one.
    pub(crate) fn register(segment: SegmentName, number: u64) -> Self {
        let take = |record: &&Record| {
            !record.is_used.load(Ordering::Relaxed)
                // Acquire: its former attachment is done with it (`drop`).
                && !record.is_used.swap(true, Ordering::Acquire)
        };
        let list = segment.list();
        let record = list.records().find(take).unwrap_or_else(|| list.add());
        record.number.store(number, Ordering::Relaxed);
        // Release: a thread that sees this name sees nothing older than the number, and than what `drop` left
        // (`is_of`).
        record.segment.store(segment.0, Ordering::Release);
        Self(record)
    }

    /// For those who keep it at hand; they keep the attachment as well.
    pub(crate) fn record(&self) -> &'static Record {
        self.0
    }
}

impl Deref for OwnHandle {
    type Target = Record;

    #[inline]
    fn deref(&self) -> &Record {
        self.0
    }
}

impl Drop for OwnHandle {
    fn drop(&mut self) {
        self.segment.store(0, Ordering::Relaxed);
        self.number.store(0, Ordering::Relaxed);
        self.holder.set(0, Ordering::Relaxed);
        self.registered.reset();
        // Release: see `register`.
        self.is_used.store(false, Ordering::Release);
    }
}

impl Record {
    pub(crate) fn segment(&self) -> SegmentName {
        SegmentName(self.segment.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn hold(&self) {
        self.holder.set(thread::token(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn unhold(&self) {
        self.holder.set(0, Ordering::Relaxed);
    }

    fn is_of(&self, segment: SegmentName) -> bool {
        // Acquire: the number, the holder and the counts that are loaded next are not those of an attachment that had
        // the record before. Those of one that has it after are another cortex's only if this thread holds nothing
        // there: it would have seen that one's name.
        self.segment.load(Ordering::Acquire) == segment.0
    }

    /// Returns whether this thread, of the process with this epoch, holds a read guard through it.
    fn is_read_by_this_thread(&self, epoch: u32) -> bool {
        let number = self.number.load(Ordering::Relaxed);
        thread_guards::any(AttachmentId::new(epoch, number), &self.registered)
    }
}

/// Returns whether this thread holds a guard of the segment, through any handle.
pub(crate) fn is_guarded_by_this_thread(segment: SegmentName) -> bool {
    let (epoch, token) = (fork::epoch(), thread::token());
    all_of(segment)
        .any(|record| record.holder.is(epoch, token) || record.is_read_by_this_thread(epoch))
}

/// Returns whether this thread holds a read guard of the segment, through any handle.
pub(crate) fn is_read_by_this_thread(segment: SegmentName) -> bool {
    let epoch = fork::epoch();
    all_of(segment).any(|record| record.is_read_by_this_thread(epoch))
}

fn all_of(segment: SegmentName) -> impl Iterator<Item = &'static Record> {
    let records = segment.list().records();
    records.filter(move |record| record.is_of(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> [SegmentName; 2] {
        [1, 2].map(|id| SegmentName::new(i32::MAX - id, i32::MAX))
    }

    #[test]
    fn a_record_is_used_again_and_is_of_its_segment_alone() {
        let [one, other] = names();
        let first = OwnHandle::register(one, 1 << 40);
        let second = OwnHandle::register(one, 2 << 40);
        first.holder.arrive(fork::epoch());
        assert!(!is_guarded_by_this_thread(one));
        first.hold();
        assert!(is_guarded_by_this_thread(one) && !is_guarded_by_this_thread(other));
        std::thread::scope(|scope| {
            let elsewhere = scope.spawn(|| is_guarded_by_this_thread(one));
            assert!(
                !elsewhere.join().unwrap(),
                "another thread does not hold it"
            );
        });
        // As in a forked child: the parent's thread.
        first.holder.arrive(fork::epoch() + 1);
        assert!(!is_guarded_by_this_thread(one));
        first.holder.arrive(fork::epoch());
        first.unhold();
        assert!(!is_guarded_by_this_thread(one));
        second.holder.arrive(fork::epoch());
        second.hold();
        drop(second);
        assert!(
            !is_guarded_by_this_thread(one),
            "a handle that is gone holds nothing"
        );
    }

    /// A thousand cortexes of one process do not make a wait for one of them a thousand times as long.
    #[test]
    fn the_handles_of_many_segments_are_in_many_lists() {
        for names in [
            (0..1_000)
                .map(|id| SegmentName::new(id, 7))
                .collect::<Vec<_>>(),
            (0..1_000)
                .map(|id| SegmentName::new(id << 15, id))
                .collect(),
            (0..1_000)
                .map(|key| SegmentName::new(3, key << 12))
                .collect(),
        ] {
            let mut counts = std::collections::HashMap::new();
            for name in names {
                *counts.entry(std::ptr::from_ref(name.list())).or_insert(0) += 1;
            }
            let longest = counts.values().max().copied().unwrap_or(0);
            assert!(longest <= 8, "{longest} of 1,000 in one list");
        }
    }

    #[test]
    fn a_read_guard_is_found_by_its_number_while_its_record_is_in_use() {
        // Another pair than above: tests of one process run together.
        let [one, other] = names().map(|name| SegmentName(name.0 ^ 1));
        let number = 3 << 40 | 77;
        let attachment_id = AttachmentId::new(fork::epoch(), number);
        thread_guards::add(attachment_id);
        let handle = OwnHandle::register(one, number);
        assert!(is_guarded_by_this_thread(one) && !is_guarded_by_this_thread(other));
        drop(handle);
        assert!(!is_guarded_by_this_thread(one));
        thread_guards::remove(attachment_id);
    }
}
