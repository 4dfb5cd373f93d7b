//! What only this lock has: readers at a time, and turns.

use super::*;
use crate::locks::tests::{is_busy, is_late, Handle};
use crate::protocol::participants::READERS_CEILING;

fn readers(handle: &Handle<RwLock>) -> u32 {
    ParticipantLine::readers(handle.lock.line().unwrap().load())
}

fn queue(handle: &Handle<RwLock>) -> u32 {
    handle.lock.queue().load(Ordering::Relaxed)
}

#[test]
fn readers_share_and_each_is_counted_on_its_own_line() {
    let a = Handle::<RwLock>::create();
    let b = a.attach();
    a.read_lock(Wait::Never).unwrap();
    assert!(a.try_read_fast(a.id()));
    b.read_lock(Wait::Never).unwrap();
    assert_eq!((readers(&a), readers(&b)), (2, 1));
    for handle in [&a, &b] {
        is_late(handle.write_lock(Wait::Never), "write");
        assert!(!handle.try_write_fast(handle.id()));
        assert_eq!(handle.word().load(Ordering::Relaxed), 0, "given back");
    }
    a.release(Access::Read).unwrap();
    a.release_read(a.id()).unwrap();
    assert_eq!((readers(&a), readers(&b)), (0, 1));
    is_late(a.write_lock(Wait::Never), "write");
    b.release(Access::Read).unwrap();
    assert!(b.try_write_fast(b.id()));
    // A reader that finds the writer is off its line again.
    is_late(a.read_lock(Wait::Never), "read");
    assert!(!a.try_read_fast(a.id()));
    assert_eq!(readers(&a), 0);
    b.release(Access::Write).unwrap();
}

#[test]
fn a_line_that_counts_too_many_admits_nobody() {
    let a = Handle::<RwLock>::create();
    let word = a.lock.line().unwrap().word();
    word.fetch_add(READERS_CEILING, Ordering::Relaxed);
    is_busy(a.read_lock(Wait::Never));
    assert!(!a.try_read_fast(a.id()));
    assert_eq!(readers(&a), READERS_CEILING);
    word.fetch_sub(1, Ordering::Relaxed);
    a.read_lock(Wait::Never).unwrap();
    assert_eq!(readers(&a), READERS_CEILING);
}

/// A thread's own guard keeps the writer out that has announced itself: waiting for it would be for ever.
#[test]
fn who_reads_already_reads_again_while_a_writer_waits() {
    let a = Handle::<RwLock>::create();
    let b = a.attach();
    a.read_lock(Wait::Never).unwrap();
    let attachment_id = a.segment.attachment.id();
    thread_guards::add(attachment_id);
    // As a writer of `b` that drains.
    assert!(b.lock.ownership.try_take(Id(b.id())));
    a.read_lock(Wait::Never).unwrap();
    assert_eq!(readers(&a), 2);
    // Through `b` it may not: the writer may have seen that line empty.
    assert_eq!(readers(&b), 0);
    // SAFETY: no reference into the payload is made.
    is_busy(b.lock_here(|lock, wait| unsafe { lock.read_lock(wait) }));
    assert_eq!(readers(&b), 0);
    b.release(Access::Write).unwrap();
    // Nor does it wait for itself as a writer.
    is_busy(a.write_lock(Wait::Never));
    assert_eq!(a.word().load(Ordering::Relaxed), 0);
    // Through another handle it would wait for itself as well; another thread would not.
    // SAFETY: no reference into the payload is made.
    is_busy(b.lock_here(|lock, wait| unsafe { lock.write_lock(wait) }));
    is_late(b.write_lock(Wait::Never), "write");
    thread_guards::remove(attachment_id);
    is_late(a.write_lock(Wait::Never), "write");
    a.release(Access::Read).unwrap();
    a.release(Access::Read).unwrap();
}

#[test]
fn a_leaving_writer_gives_the_turn_to_readers_that_wait() {
    let a = Handle::<RwLock>::create();
    for (before, after) in [(0, 0), (3, TURN | 3), (TURN | 1, TURN | 1)] {
        a.lock.queue().store(0, Ordering::Relaxed);
        a.write_lock(Wait::Never).unwrap();
        a.lock.queue().store(before, Ordering::Relaxed);
        a.release(Access::Write).unwrap();
        assert_eq!(queue(&a), after);
    }
}

#[test]
fn a_writer_gives_way_while_it_is_the_readers_turn_and_not_for_ever() {
    let a = Handle::<RwLock>::create();
    let set = |queue| a.lock.queue().store(queue, Ordering::Relaxed);
    // A writer that must not wait does not give way, and the fast path does not serve it.
    set(TURN | 1);
    a.write_lock(Wait::Never).unwrap();
    a.release(Access::Write).unwrap();
    assert!(!a.try_write_fast(a.id()));
    assert_eq!((queue(&a), a.word().load(Ordering::Relaxed)), (TURN | 1, 0));
    // No reader passes: a reader that is still counted is forgotten, as is a turn without readers.
    for forgotten in [TURN | 1, TURN] {
        set(forgotten);
        a.write_lock(Wait::Forever).unwrap();
        assert_eq!(queue(&a), 0);
        a.release(Access::Write).unwrap();
    }
    // Readers that wait and do not have the turn hold up no writer.
    set(2);
    a.write_lock(Wait::Forever).unwrap();
    assert_eq!(queue(&a), 2);
    set(0);
    a.release(Access::Write).unwrap();
    set(2);
    assert!(a.try_write_fast(a.id()));
    set(0);
    a.release(Access::Write).unwrap();
}

/// Writers leave out the lines of a crowd that has gone, and look at the line of whoever comes after it.
#[test]
fn what_a_crowd_costs_goes_with_it_and_nobody_who_comes_is_left_out() {
    let a = Handle::<RwLock>::create();
    let in_use = || a.segment.attachment.mapped.header().in_use.count();
    let write = |times| {
        for _ in 0..times {
            a.write_lock(Wait::Never).unwrap();
            a.release(Access::Write).unwrap();
        }
    };
    let mut crowd: Vec<_> = (1..40).map(|_| a.attach()).collect();
    // All of them live: however often it is asked, none is left out.
    write(LOOKS + 1);
    assert_eq!(in_use(), 40);
    crowd.truncate(19);
    write(LOOKS);
    assert_eq!(in_use(), 20);
    let newcomer = a.attach();
    assert_eq!((Id(newcomer.id()).slot(), in_use()), (Some(20), 21));
    newcomer.read_lock(Wait::Never).unwrap();
    is_late(a.write_lock(Wait::Never), "write");
    assert!(!a.try_write_fast(a.id()));
    newcomer.release(Access::Read).unwrap();
    write(1);
    // Few lines are not worth asking.
    drop((newcomer, crowd));
    write(LOOKS);
    assert_eq!(in_use(), 1);
    let few: Vec<_> = (1..16).map(|_| a.attach()).collect();
    drop(few);
    write(LOOKS);
    assert_eq!(in_use(), 16);
}
