//! The owner word: one holder at a time, which sees what the last one stored; it is taken over from
//! dead holders and never from living ones.

use super::kernel::{Kernel, Participant, Sleep};
use super::mortal::live;
use super::{explore, explore_deaths};
use crate::protocol::atomics::Ordering;
use crate::protocol::owner_word::{pass_dead, try_take, RESTING};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// Two words that are protected by the owner word, stored plainly.
struct Guarded {
    kernel: Kernel,
    first: UnsafeCell<u32>,
    second: UnsafeCell<u32>,
}

// SAFETY: loom's cells report any two accesses that are not ordered; that is what is tried.
unsafe impl Sync for Guarded {}

impl Guarded {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            kernel: Kernel::new(),
            first: UnsafeCell::new(0),
            second: UnsafeCell::new(0),
        })
    }

    /// A participant of this slot that waits like this.
    fn participant(&self, slot: u32, sleep: Sleep) -> Participant<'_> {
        let id = self.kernel.join(slot).expect("the slot is free");
        Participant::new(&self.kernel, id, sleep)
    }

    /// What a holder does: adds one to both words, and may die in between.
    fn add(&self, me: &Participant<'_>) {
        // SAFETY: under the owner word; loom checks it.
        self.first.with_mut(|first| unsafe { *first += 1 });
        self.second.with_mut(|second| {
            me.linger();
            // SAFETY: as above.
            unsafe { *second += 1 };
        });
    }

    fn sums(&self) -> (u32, u32) {
        // SAFETY: under the owner word; loom checks it.
        let first = self.first.with(|first| unsafe { *first });
        // SAFETY: as above.
        (first, self.second.with(|second| unsafe { *second }))
    }

    /// Takes, adds and leaves. Returns whether the word was taken.
    fn turn(&self, participant: &mut Participant<'_>) -> bool {
        let taken = participant.take();
        if taken {
            self.add(participant);
            participant.leave();
        }
        taken
    }
}

#[test]
fn two_take_turns() {
    explore(None, || {
        let guarded = Guarded::new();
        let other = Arc::clone(&guarded);
        let mut me = guarded.participant(0, Sleep::UntilWoken);
        let id = guarded.kernel.join(1).unwrap();
        let thread = thread::spawn(move || {
            let mut me = Participant::new(&other.kernel, id, Sleep::UntilWoken);
            assert!(other.turn(&mut me));
        });
        assert!(guarded.turn(&mut me));
        thread.join().unwrap();
        assert_eq!(guarded.sums(), (2, 2));
    });
}

#[test]
fn of_three_all_get_their_turn() {
    explore(Some(3), || {
        let guarded = Guarded::new();
        let mut me = guarded.participant(0, Sleep::UntilWoken);
        let threads = [1, 2].map(|slot| {
            let other = Arc::clone(&guarded);
            let id = guarded.kernel.join(slot).unwrap();
            thread::spawn(move || {
                let mut me = Participant::new(&other.kernel, id, Sleep::UntilWoken);
                assert!(other.turn(&mut me));
            })
        });
        assert!(guarded.turn(&mut me));
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(guarded.sums(), (3, 3));
    });
}

#[test]
fn a_holder_that_dies_at_any_step_is_passed() {
    explore_deaths(None, |steps| {
        let guarded = Guarded::new();
        let mut me = guarded.participant(1, Sleep::Naps);
        let id = guarded.kernel.join(0).unwrap();
        let other = Arc::clone(&guarded);
        let mortal = thread::spawn(move || {
            let mut mortal = Participant::new(&other.kernel, id, Sleep::Naps);
            let lived = live(steps, || assert!(other.turn(&mut mortal)));
            mortal.bury();
            lived
        });
        assert!(guarded.turn(&mut me));
        let lived = mortal.join().unwrap();
        if lived {
            assert_eq!(guarded.sums(), (2, 2));
        }
        // Whatever happened, the word can be had.
        assert!(guarded.turn(&mut me));
        lived
    });
}

/// The first tenant of slot 0 dies while it holds; the next tenant takes the word too, while a thief
/// is anywhere in its passing of the first.
#[test]
fn the_next_tenant_of_a_dead_holders_slot_is_never_robbed() {
    explore(Some(4), || {
        let guarded = Guarded::new();
        let id = guarded.kernel.join(1).unwrap();
        let other = Arc::clone(&guarded);
        let mut dead = guarded.participant(0, Sleep::Naps);
        assert!(!live(1, || assert!(guarded.turn(&mut dead))));
        let thief = thread::spawn(move || {
            let mut thief = Participant::new(&other.kernel, id, Sleep::Naps);
            assert!(other.turn(&mut thief));
        });
        dead.bury();
        // While the thief holds the beacon there is no joining.
        if let Some(id) = guarded.kernel.join(0) {
            let mut tenant = Participant::new(&guarded.kernel, id, Sleep::Naps);
            assert!(guarded.turn(&mut tenant));
            tenant.bury();
        }
        thief.join().unwrap();
    });
}

/// As above, with two thieves.
#[test]
fn two_thieves_and_a_new_tenant_exclude_one_another() {
    explore(Some(2), || {
        let guarded = Guarded::new();
        let ids = [1, 2].map(|slot| guarded.kernel.join(slot).unwrap());
        let mut dead = guarded.participant(0, Sleep::Naps);
        assert!(!live(1, || assert!(guarded.turn(&mut dead))));
        dead.bury();
        let thieves = ids.map(|id| {
            let other = Arc::clone(&guarded);
            thread::spawn(move || {
                let mut thief = Participant::new(&other.kernel, id, Sleep::Patience(1));
                other.turn(&mut thief)
            })
        });
        let mut turns = 0;
        if let Some(id) = guarded.kernel.join(0) {
            let mut tenant = Participant::new(&guarded.kernel, id, Sleep::Patience(1));
            turns += u32::from(guarded.turn(&mut tenant));
            tenant.bury();
        }
        for thief in thieves {
            turns += u32::from(thief.join().unwrap());
        }
        // The dead holder added to the first word alone.
        assert_eq!(guarded.sums(), (turns + 1, turns));
    });
}

/// A thief is killed at any step of passing a dead holder; a third participant comes by meanwhile.
#[test]
fn a_thief_that_dies_at_any_step_is_passed_too() {
    explore_deaths(Some(3), |steps| {
        let guarded = Guarded::new();
        let mut dead = guarded.participant(0, Sleep::Naps);
        let mut me = guarded.participant(2, Sleep::Naps);
        let id = guarded.kernel.join(1).unwrap();
        assert!(!live(1, || assert!(guarded.turn(&mut dead))));
        dead.bury();
        let other = Arc::clone(&guarded);
        let thief = thread::spawn(move || {
            let mut thief = Participant::new(&other.kernel, id, Sleep::Naps);
            let lived = live(steps, || assert!(other.turn(&mut thief)));
            thief.bury();
            lived
        });
        assert!(guarded.turn(&mut me));
        let lived = thief.join().unwrap();
        assert!(guarded.turn(&mut me));
        assert!(guarded.kernel.join(0).is_some(), "a beacon was left lit");
        lived
    });
}

/// The models above would prove nothing if no thread ever came to take over from a dead one, or to sleep.
#[test]
fn a_death_is_seen_both_by_a_thief_and_by_the_next_tenant() {
    static TENANT_JOINED: AtomicU32 = AtomicU32::new(0);
    static THIEF_HELD_THE_BEACON: AtomicU32 = AtomicU32::new(0);
    explore(None, || {
        let guarded = Guarded::new();
        let mut dead = guarded.participant(0, Sleep::Naps);
        let id = guarded.kernel.join(1).unwrap();
        assert!(!live(1, || assert!(guarded.turn(&mut dead))));
        dead.bury();
        let other = Arc::clone(&guarded);
        let thief = thread::spawn(move || {
            let mut thief = Participant::new(&other.kernel, id, Sleep::Naps);
            assert!(other.turn(&mut thief));
        });
        match guarded.kernel.join(0) {
            Some(_) => TENANT_JOINED.fetch_add(1, SeqCst),
            None => THIEF_HELD_THE_BEACON.fetch_add(1, SeqCst),
        };
        thief.join().unwrap();
    });
    assert_ne!(TENANT_JOINED.load(SeqCst), 0);
    assert_ne!(THIEF_HELD_THE_BEACON.load(SeqCst), 0);
}

/// A holder dies, another thread frees the word, and a third takes it at once.
#[test]
fn who_comes_after_a_thief_sees_what_the_dead_stored() {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    explore(Some(3), || {
        let guarded = Guarded::new();
        let ids = [0, 1, 2].map(|slot| guarded.kernel.join(slot).unwrap());
        let others = [Arc::clone(&guarded), Arc::clone(&guarded)];
        let [dead, freer] = others;
        assert!(try_take(&guarded.kernel.word, ids[0]));
        let dead = thread::spawn(move || {
            let me = Participant::new(&dead.kernel, ids[0], Sleep::Naps);
            assert!(!live(0, || dead.add(&me)));
            me.bury();
        });
        let freer = thread::spawn(move || {
            let me = Participant::new(&freer.kernel, ids[1], Sleep::Naps);
            pass_dead(&freer.kernel.word, ids[0].0, &me).unwrap();
        });
        // The word at rest, as `take_slow` takes it.
        let word = &guarded.kernel.word;
        let is_taken = word.load(Ordering::Acquire) == RESTING
            && word
                .compare_exchange(RESTING, ids[2].0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        if is_taken {
            assert_eq!(guarded.sums(), (1, 0));
            TAKEN.fetch_add(1, SeqCst);
        }
        dead.join().unwrap();
        freer.join().unwrap();
    });
    assert_ne!(TAKEN.load(SeqCst), 0);
}

/// A holder that has only just joined, and had to wait for the word, is judged by a contender that has asked
/// the kernel nothing.
#[test]
fn a_new_tenant_that_waited_for_the_word_is_not_robbed() {
    explore(Some(3), || {
        let guarded = Guarded::new();
        let mut me = guarded.participant(0, Sleep::Naps);
        let id = guarded.kernel.join(2).unwrap();
        assert!(me.take());
        let others = [Arc::clone(&guarded), Arc::clone(&guarded)];
        let [tenant, contender] = others;
        let tenant = thread::spawn(move || {
            let mut me = tenant.participant(1, Sleep::Patience(0));
            tenant.turn(&mut me)
        });
        let contender = thread::spawn(move || {
            let mut me = Participant::new(&contender.kernel, id, Sleep::Patience(0));
            contender.turn(&mut me)
        });
        me.leave();
        let turns = u32::from(tenant.join().unwrap()) + u32::from(contender.join().unwrap());
        assert!(me.take());
        assert_eq!(guarded.sums(), (turns, turns));
    });
}
