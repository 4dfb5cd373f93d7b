//! What only this lock has: readers at a time, and turns.

use super::*;
use crate::participants::READERS_CEILING;
use crate::sync::tests::{is_busy, is_late, Handle};

fn readers(handle: &Handle<RwLock>) -> u32 {
    Line::readers(handle.lock.line().unwrap().load())
}

fn queue(handle: &Handle<RwLock>) -> u32 {
    handle.lock.queue().load(Ordering::Relaxed)
}

#[test]
fn readers_share_and_each_is_counted_on_its_own_line() {
    let a = Handle::<RwLock>::create();
    let b = a.attach();
    a.lock.read_lock(Wait::Never).unwrap();
    assert!(a.lock.try_read_fast(a.id()));
    b.lock.read_lock(Wait::Never).unwrap();
    assert_eq!((readers(&a), readers(&b)), (2, 1));
    for handle in [&a, &b] {
        is_late(handle.lock.write_lock(Wait::Never), "write");
        assert!(!handle.lock.try_write_fast(handle.id()));
        assert_eq!(handle.word().load(Ordering::Relaxed), 0, "given back");
    }
    a.lock.release(Access::Read).unwrap();
    a.lock.release_read(a.id()).unwrap();
    assert_eq!((readers(&a), readers(&b)), (0, 1));
    is_late(a.lock.write_lock(Wait::Never), "write");
    b.lock.release(Access::Read).unwrap();
    assert!(b.lock.try_write_fast(b.id()));
    // A reader that finds the writer is off its line again.
    is_late(a.lock.read_lock(Wait::Never), "read");
    assert!(!a.lock.try_read_fast(a.id()));
    assert_eq!(readers(&a), 0);
    b.lock.release(Access::Write).unwrap();
}

#[test]
fn a_line_that_counts_too_many_admits_nobody() {
    let a = Handle::<RwLock>::create();
    let word = a.lock.line().unwrap().word();
    word.fetch_add(READERS_CEILING, Ordering::Relaxed);
    is_busy(a.lock.read_lock(Wait::Never));
    assert!(!a.lock.try_read_fast(a.id()));
    assert_eq!(readers(&a), READERS_CEILING);
    word.fetch_sub(1, Ordering::Relaxed);
    a.lock.read_lock(Wait::Never).unwrap();
    assert_eq!(readers(&a), READERS_CEILING);
}

/// A thread's own guard keeps the writer out that has announced itself: waiting for it would be for ever.
#[test]
fn who_reads_already_reads_again_while_a_writer_waits() {
    let a = Handle::<RwLock>::create();
    let b = a.attach();
    a.lock.read_lock(Wait::Never).unwrap();
    let place = a.segment.site.place();
    held::add(place);
    // As a writer of `b` that drains.
    assert!(b.lock.ownership.try_take(Id(b.id())));
    a.lock.read_lock(Wait::Never).unwrap();
    assert_eq!(readers(&a), 2);
    b.lock.release(Access::Write).unwrap();
    // Nor does it wait for itself as a writer.
    is_busy(a.lock.write_lock(Wait::Never));
    assert_eq!(a.word().load(Ordering::Relaxed), 0);
    // The other handle of this thread has no guard: it would have to wait.
    is_late(b.lock.write_lock(Wait::Never), "write");
    held::remove(place);
    is_late(a.lock.write_lock(Wait::Never), "write");
    a.lock.release(Access::Read).unwrap();
    a.lock.release(Access::Read).unwrap();
}

#[test]
fn a_leaving_writer_gives_the_turn_to_readers_that_wait() {
    let a = Handle::<RwLock>::create();
    for (before, after) in [(0, 0), (3, TURN | 3), (TURN | 1, TURN | 1)] {
        a.lock.queue().store(0, Ordering::Relaxed);
        a.lock.write_lock(Wait::Never).unwrap();
        a.lock.queue().store(before, Ordering::Relaxed);
        a.lock.release(Access::Write).unwrap();
        assert_eq!(queue(&a), after);
    }
}

#[test]
fn a_writer_gives_way_while_it_is_the_readers_turn_and_not_for_ever() {
    let a = Handle::<RwLock>::create();
    let set = |queue| a.lock.queue().store(queue, Ordering::Relaxed);
    // Who cannot wait does not give way, and the fast path is not for it.
    set(TURN | 1);
    a.lock.write_lock(Wait::Never).unwrap();
    a.lock.release(Access::Write).unwrap();
    assert!(!a.lock.try_write_fast(a.id()));
    assert_eq!((queue(&a), a.word().load(Ordering::Relaxed)), (TURN | 1, 0));
    // Nobody passes: who is still counted is forgotten, as is a turn of nobody.
    for forgotten in [TURN | 1, TURN] {
        set(forgotten);
        a.lock.write_lock(Wait::Forever).unwrap();
        assert_eq!(queue(&a), 0);
        a.lock.release(Access::Write).unwrap();
    }
    // Readers that wait and do not have the turn hold up nobody.
    set(2);
    a.lock.write_lock(Wait::Forever).unwrap();
    assert_eq!(queue(&a), 2);
    set(0);
    a.lock.release(Access::Write).unwrap();
    set(2);
    assert!(a.lock.try_write_fast(a.id()));
    set(0);
    a.lock.release(Access::Write).unwrap();
}
