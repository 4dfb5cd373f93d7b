//! The read/write lock: readers together, a writer alone; dead readers are forgotten, and the lock is taken over from
//! dead writers.

use super::kernel::{Kernel, Participant, Sleep, SLOTS};
use super::mortal::live;
use super::{explore, explore_deaths};
use crate::protocol::owner_word::OwnerWorld;
use crate::protocol::readers::{self, Entry};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A word that writers store and readers load, plainly.
struct Guarded {
    kernel: Kernel,
    value: UnsafeCell<u32>,
}

// SAFETY: loom's cell reports any two accesses that are not ordered; that is what is tried.
unsafe impl Sync for Guarded {}

impl Guarded {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            kernel: Kernel::new(),
            value: UnsafeCell::new(0),
        })
    }

    /// As `RwLock::read_lock`, a look, and `release`. Returns what was read, unless its patience was over.
    fn read(&self, me: &mut Participant<'_>) -> Option<u32> {
        let (word, queue) = (&self.kernel.word, &self.kernel.queue);
        let line = &self.kernel.lines[me.id.slot().unwrap() as usize];
        if readers::enter(word, line) != Entry::Inside {
            if readers::retreat(word, line) {
                me.wake(line.word());
            }
            match readers::enter_slow(word, queue, line, me) {
                Ok(is_in) => assert!(is_in, "the line is not crowded"),
                Err(_) => return None,
            }
        }
        let value = self.value.with(|value| {
            me.linger();
            // SAFETY: under the read lock; loom checks it.
            unsafe { *value }
        });
        if readers::retreat(word, line) {
            me.wake(line.word());
        }
        Some(value)
    }

    /// As `RwLock::write_lock`, one more, and `release`. Returns whether the lock was taken.
    fn write(&self, me: &mut Participant<'_>) -> bool {
        if !me.take() {
            return false;
        }
        let kernel = &self.kernel;
        let line = |slot: u32| &kernel.lines[slot as usize];
        let is_drained = readers::reading_slots(&kernel.in_use, SLOTS as u32, line, || ())
            .all(|slot| readers::outwait(slot, line(slot), me).is_ok());
        if is_drained {
            self.value.with_mut(|value| {
                me.linger();
                // SAFETY: under the write lock; loom checks it.
                unsafe { *value += 1 };
            });
        }
        me.leave();
        is_drained
    }
}

#[test]
fn a_reader_and_a_writer_exclude_one_another() {
    explore(Some(4), || {
        let guarded = Guarded::new();
        let ids = [0, 1].map(|slot| guarded.kernel.join(slot).unwrap());
        let other = Arc::clone(&guarded);
        let reader = thread::spawn(move || {
            let mut me = Participant::new(&other.kernel, ids[0], Sleep::UntilWoken).waking_all();
            other.read(&mut me).unwrap()
        });
        let mut me = Participant::new(&guarded.kernel, ids[1], Sleep::UntilWoken).waking_all();
        assert!(guarded.write(&mut me));
        assert!(reader.join().unwrap() <= 1);
        assert_eq!(guarded.read(&mut me), Some(1));
    });
}

#[test]
fn two_readers_and_a_writer_all_get_in() {
    explore(Some(3), || {
        let guarded = Guarded::new();
        let ids = [0, 1, 2].map(|slot| guarded.kernel.join(slot).unwrap());
        let readers = [ids[0], ids[1]].map(|id| {
            let other = Arc::clone(&guarded);
            thread::spawn(move || {
                let mut me = Participant::new(&other.kernel, id, Sleep::UntilWoken).waking_all();
                other.read(&mut me).unwrap()
            })
        });
        let mut me = Participant::new(&guarded.kernel, ids[2], Sleep::UntilWoken).waking_all();
        assert!(guarded.write(&mut me));
        for reader in readers {
            assert!(reader.join().unwrap() <= 1);
        }
    });
}

/// A new process joins and reads while a writer, which looked how many lines there are, drains them.
#[test]
fn a_reader_that_has_just_joined_is_not_overlooked() {
    explore(Some(3), || {
        let guarded = Guarded::new();
        let writer = guarded.kernel.join(0).unwrap();
        let other = Arc::clone(&guarded);
        let reader = thread::spawn(move || {
            let id = other.kernel.join(1).unwrap();
            let mut me = Participant::new(&other.kernel, id, Sleep::Naps).waking_all();
            other.read(&mut me).unwrap()
        });
        let mut me = Participant::new(&guarded.kernel, writer, Sleep::Naps).waking_all();
        assert!(guarded.write(&mut me));
        assert!(reader.join().unwrap() <= 1);
    });
}

impl Kernel {
    /// As `Attachment::leave_out_the_gone`.
    fn leave_out_the_gone(&self) {
        let seen = self.in_use.look();
        let end = (0..SLOTS as u32).rev().find(|&slot| self.is_lit(slot));
        self.in_use.lower(seen, end.map_or(0, |slot| slot + 1));
    }
}

/// A process joins where one was that has gone, and reads, while a writer leaves out the lines of those that have gone.
#[test]
fn a_reader_that_joins_is_not_left_out_with_the_gone() {
    explore(Some(3), || {
        let guarded = Guarded::new();
        let ids = [0, 2].map(|slot| guarded.kernel.join(slot).unwrap());
        guarded.kernel.put_out(2);
        let other = Arc::clone(&guarded);
        let reader = thread::spawn(move || {
            let id = other.kernel.join(2).unwrap();
            let mut me = Participant::new(&other.kernel, id, Sleep::Naps).waking_all();
            other.read(&mut me).unwrap()
        });
        let mut me = Participant::new(&guarded.kernel, ids[0], Sleep::Naps).waking_all();
        guarded.kernel.leave_out_the_gone();
        assert!(guarded.write(&mut me));
        assert!(reader.join().unwrap() <= 1);
    });
}

/// A reader goes, one process leaves its line out, and another, which writes, does not look at it any more.
#[test]
fn a_writer_comes_after_what_a_reader_loaded_that_is_left_out() {
    explore(Some(3), || {
        let guarded = Guarded::new();
        let ids = [0, 1, 2].map(|slot| guarded.kernel.join(slot).unwrap());
        let others = [Arc::clone(&guarded), Arc::clone(&guarded)];
        let [writing, looking] = others;
        let writer = thread::spawn(move || {
            let mut me = Participant::new(&writing.kernel, ids[0], Sleep::Naps).waking_all();
            assert!(writing.write(&mut me));
        });
        let looker = thread::spawn(move || looking.kernel.leave_out_the_gone());
        let mut me = Participant::new(&guarded.kernel, ids[2], Sleep::Naps).waking_all();
        assert!(guarded.read(&mut me).unwrap() <= 1);
        guarded.kernel.put_out(2);
        looker.join().unwrap();
        writer.join().unwrap();
    });
}

#[test]
fn a_reader_that_dies_at_any_step_does_not_keep_a_writer_out() {
    explore_deaths(Some(3), |steps| {
        let guarded = Guarded::new();
        let ids = [0, 1].map(|slot| guarded.kernel.join(slot).unwrap());
        let other = Arc::clone(&guarded);
        let mortal = thread::spawn(move || {
            let mut mortal = Participant::new(&other.kernel, ids[0], Sleep::Naps).waking_all();
            let lived = live(steps, || assert!(other.read(&mut mortal).is_some()));
            mortal.bury();
            lived
        });
        let mut me = Participant::new(&guarded.kernel, ids[1], Sleep::Naps).waking_all();
        assert!(guarded.write(&mut me));
        mortal.join().unwrap()
    });
}

#[test]
fn a_writer_that_dies_at_any_step_does_not_keep_a_reader_out() {
    explore_deaths(Some(3), |steps| {
        let guarded = Guarded::new();
        let ids = [0, 1].map(|slot| guarded.kernel.join(slot).unwrap());
        let other = Arc::clone(&guarded);
        let mortal = thread::spawn(move || {
            let mut mortal = Participant::new(&other.kernel, ids[0], Sleep::Naps).waking_all();
            let lived = live(steps, || assert!(other.write(&mut mortal)));
            mortal.bury();
            lived
        });
        let mut me = Participant::new(&guarded.kernel, ids[1], Sleep::Naps).waking_all();
        assert!(guarded.read(&mut me).unwrap() <= 1);
        mortal.join().unwrap()
    });
}

#[test]
fn two_readers_are_in_together() {
    explore(None, || {
        let guarded = Guarded::new();
        let ids = [0, 1].map(|slot| guarded.kernel.join(slot).unwrap());
        let line = |slot: usize| &guarded.kernel.lines[slot];
        assert_eq!(readers::enter(&guarded.kernel.word, line(0)), Entry::Inside);
        let other = Arc::clone(&guarded);
        let reader = thread::spawn(move || {
            let mut me = Participant::new(&other.kernel, ids[1], Sleep::Patience(0)).waking_all();
            other.read(&mut me)
        });
        // This one goes on reading until the other has read.
        assert_eq!(reader.join().unwrap(), Some(0));
        assert!(!readers::retreat(&guarded.kernel.word, line(0)));
    });
}

/// A reader is dead; a writer is about to forget it, when the slot has a new tenant that reads.
#[test]
fn the_next_tenant_of_a_dead_readers_slot_is_not_forgotten() {
    explore(Some(4), || {
        let guarded = Guarded::new();
        let ids = [0, 1].map(|slot| guarded.kernel.join(slot).unwrap());
        let mut dead = Participant::new(&guarded.kernel, ids[0], Sleep::Naps).waking_all();
        assert!(!live(1, || assert!(guarded.read(&mut dead).is_some())));
        let other = Arc::clone(&guarded);
        let writer = thread::spawn(move || {
            let mut me = Participant::new(&other.kernel, ids[1], Sleep::Naps).waking_all();
            assert!(other.write(&mut me));
        });
        dead.bury();
        let id = guarded.kernel.join(0).expect("nobody passes a reader");
        let mut tenant = Participant::new(&guarded.kernel, id, Sleep::Naps).waking_all();
        assert!(guarded.read(&mut tenant).unwrap() <= 1);
        writer.join().unwrap();
    });
}

/// A reader dies, its slot is let again, and a writer finds the new tenant's empty line.
#[test]
fn a_writer_comes_after_what_a_dead_reader_loaded() {
    explore(Some(2), || {
        let guarded = Guarded::new();
        let ids = [0, 1].map(|slot| guarded.kernel.join(slot).unwrap());
        let others = [Arc::clone(&guarded), Arc::clone(&guarded)];
        let [dead, writer] = others;
        let dead = thread::spawn(move || {
            let mut me = Participant::new(&dead.kernel, ids[0], Sleep::Naps).waking_all();
            // Counted, and dead as soon as it has loaded.
            assert!(!live(2, || drop(dead.read(&mut me))));
            me.bury();
        });
        let writer = thread::spawn(move || {
            let mut me = Participant::new(&writer.kernel, ids[1], Sleep::Naps).waking_all();
            assert!(writer.write(&mut me));
        });
        let _ = guarded.kernel.join(0);
        dead.join().unwrap();
        writer.join().unwrap();
    });
}

/// A reader waits for one writer, and finds another in its place, which has only just joined.
#[test]
fn a_writer_that_has_just_joined_is_not_robbed_by_a_reader() {
    explore(Some(3), || {
        let guarded = Guarded::new();
        let ids = [0, 2].map(|slot| guarded.kernel.join(slot).unwrap());
        let mut me = Participant::new(&guarded.kernel, ids[1], Sleep::Naps).waking_all();
        assert!(me.take());
        let others = [Arc::clone(&guarded), Arc::clone(&guarded)];
        let [reading, writing] = others;
        let reader = thread::spawn(move || {
            let patience = Sleep::Patience(0);
            let mut me = Participant::new(&reading.kernel, ids[0], patience).waking_all();
            reading.read(&mut me)
        });
        let writer = thread::spawn(move || {
            let id = writing.kernel.join(1).unwrap();
            let mut me = Participant::new(&writing.kernel, id, Sleep::Patience(0)).waking_all();
            writing.write(&mut me)
        });
        me.leave();
        assert!(reader.join().unwrap().unwrap_or(0) <= 1);
        writer.join().unwrap();
    });
}

/// A reader that was barred tries again, and is barred again, and is counted once at most.
#[test]
fn a_reader_barred_by_one_writer_and_the_next_gets_in() {
    explore(Some(3), || {
        let guarded = Guarded::new();
        let ids = [0, 1].map(|slot| guarded.kernel.join(slot).unwrap());
        let other = Arc::clone(&guarded);
        let writer = thread::spawn(move || {
            let mut me = Participant::new(&other.kernel, ids[1], Sleep::Naps).waking_all();
            assert!(other.write(&mut me));
            assert!(other.write(&mut me));
        });
        let mut me = Participant::new(&guarded.kernel, ids[0], Sleep::Naps).waking_all();
        assert!(guarded.read(&mut me).unwrap() <= 2);
        writer.join().unwrap();
        assert_eq!(guarded.read(&mut me), Some(2));
    });
}
