//! One process, two threads, one participant: however the threads race to claim, they end with one slot,
//! and no process robs the lock that one of them holds in the name of an id which the other claimed.

use super::explore;
use super::kernel::{Kernel, Participant, Sleep};
use crate::error::Cause;
use crate::protocol::claimed_slot::ClaimedSlot;
use crate::protocol::participants::Id;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// The epochs of a parent and its forked child.
const PARENT: u32 = 1;
const CHILD: u32 = 2;

struct Process {
    kernel: Kernel,
    membership: ClaimedSlot,
    /// Protected by the owner word.
    value: UnsafeCell<u32>,
}

// SAFETY: loom's cell reports any two accesses that are not ordered; that is what is tried.
unsafe impl Sync for Process {}

impl Process {
    /// A forked child whose parent has slot 0 and another process slot 2; the other's id.
    fn forked() -> (Arc<Self>, Id) {
        let process = Self {
            kernel: Kernel::new(),
            membership: ClaimedSlot::new(),
            value: UnsafeCell::new(0),
        };
        let other = process.kernel.join(2).unwrap();
        assert_eq!(process.me(PARENT).unwrap().slot(), Some(0));
        (Arc::new(process), other)
    }

    /// As `Attachment::me`.
    fn me(&self, epoch: u32) -> Result<Id, Cause> {
        if let Some(id) = self.membership.of(epoch) {
            return Ok(id);
        }
        self.membership.claim(
            epoch,
            || {
                [0, 1]
                    .into_iter()
                    .find_map(|slot| self.kernel.join(slot))
                    .ok_or(Cause::Full { limit: 3 })
            },
            |_| {
                thread::yield_now();
                true
            },
            || {},
            |id| {
                self.kernel.put_out(id.slot().unwrap());
                Ok(())
            },
        )
    }

    fn turn(&self, id: Id) {
        let mut me = Participant::new(&self.kernel, id, Sleep::Naps);
        assert!(me.take());
        self.value.with_mut(|value| {
            me.linger();
            // SAFETY: under the owner word; loom checks it.
            unsafe { *value += 1 };
        });
        me.leave();
    }
}

#[test]
fn threads_of_a_forked_child_share_one_slot() {
    explore(Some(3), || {
        let (child, _) = Process::forked();
        // One slot is left for both.
        let other = Arc::clone(&child);
        let thread = thread::spawn(move || other.me(CHILD).unwrap());
        let mine = child.me(CHILD).unwrap();
        assert_eq!(thread.join().unwrap(), mine);
        assert_eq!(child.membership.of(CHILD), Some(mine));
        assert_eq!(child.membership.of(PARENT), None);
        assert_eq!(mine.slot(), Some(1));
    });
}

#[test]
fn of_two_slots_claimed_at_once_one_is_given_back() {
    explore(Some(3), || {
        let (child, _) = Process::forked();
        child.kernel.put_out(0);
        let other = Arc::clone(&child);
        let thread = thread::spawn(move || other.me(CHILD).unwrap());
        let mine = child.me(CHILD).unwrap();
        assert_eq!(thread.join().unwrap(), mine);
        let lit = [0, 1].map(|slot| !child.kernel.claim(slot));
        assert_eq!(lit.iter().filter(|&&lit| lit).count(), 1);
        assert!(lit[mine.slot().unwrap() as usize]);
    });
}

/// One thread claims, the other locks by the id that it finds, a third, of another process, contends.
#[test]
fn a_holder_by_an_id_that_another_thread_claimed_is_never_robbed() {
    explore(Some(3), || {
        let (child, id) = Process::forked();
        let threads = [Arc::clone(&child), Arc::clone(&child)];
        let [claimant, contender] = threads;
        let claimant = thread::spawn(move || drop(claimant.me(CHILD).unwrap()));
        let contender = thread::spawn(move || contender.turn(id));
        if let Some(found) = child.membership.of(CHILD) {
            child.turn(found);
        }
        claimant.join().unwrap();
        contender.join().unwrap();
    });
}

/// As above, by an id that the other thread's faster claim turned out to be.
#[test]
fn a_holder_by_the_id_of_a_faster_thread_is_never_robbed() {
    explore(Some(2), || {
        let (child, id) = Process::forked();
        child.kernel.put_out(0);
        let threads = [Arc::clone(&child), Arc::clone(&child)];
        let [claimant, contender] = threads;
        let claimant = thread::spawn(move || drop(claimant.me(CHILD).unwrap()));
        let contender = thread::spawn(move || contender.turn(id));
        child.turn(child.me(CHILD).unwrap());
        claimant.join().unwrap();
        contender.join().unwrap();
    });
}
