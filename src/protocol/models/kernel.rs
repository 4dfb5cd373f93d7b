//! The kernel that the models run on: beacons, and sleeping on a word.
//!
//! Every operation is a full barrier on both sides, as a System V semaphore operation and a futex call
//! are. A beacon is claimed in one step, and put out when its participant has died and after its
//! last store.

use super::mortal::AtomicU32;
use crate::error::Cause;
use crate::protocol::atomics::{fence, Ordering};
use crate::protocol::owner_word::{self, OwnerWorld};
use crate::protocol::participants::{self, Id, ParticipantLine, Standing};
use crate::protocol::signal::{self, SignalLine};
use crate::protocol::slots_in_use::SlotsInUse;
use loom::sync::atomic::AtomicU32 as Semaphore;
use loom::sync::{Condvar, Mutex};
use std::cell::Cell;

/// How many slots, lines and beacons.
pub(super) const SLOTS: usize = 3;

/// Where threads sleep on one word, or a thread on several.
pub(super) struct SleepQueue {
    lock: Mutex<()>,
    sleepers: Condvar,
}

impl SleepQueue {
    pub(super) fn new() -> Self {
        Self {
            lock: Mutex::new(()),
            sleepers: Condvar::new(),
        }
    }

    /// Sleeps while each word has its value.
    pub(super) fn sleep(&self, words: &[(&AtomicU32, u32)]) {
        let guard = self.lock.lock().unwrap();
        full_barrier();
        let is_as_before =
            |&(word, value): &(&AtomicU32, u32)| word.load(Ordering::Relaxed) == value;
        if words.iter().all(is_as_before) {
            drop(self.sleepers.wait(guard).unwrap());
        }
    }

    /// Wakes those who sleep here: one, or all.
    pub(super) fn wake(&self, all: bool) {
        full_barrier();
        let _guard = self.lock.lock().unwrap();
        if all {
            self.sleepers.notify_all();
        } else {
            self.sleepers.notify_one();
        }
    }
}

/// One semaphore, which one participant holds or none.
pub(super) struct Beacon(Semaphore);

impl Beacon {
    pub(super) fn new() -> Self {
        Self(Semaphore::new(0))
    }

    /// Claims it; `false` where it is lit.
    pub(super) fn claim(&self) -> bool {
        super::mortal::step();
        full_barrier();
        let claimed = self
            .0
            .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        full_barrier();
        claimed
    }

    pub(super) fn put_out(&self) {
        full_barrier();
        let before = self.0.swap(0, Ordering::AcqRel);
        assert_eq!(before, 1, "a beacon that nobody held was put out");
        full_barrier();
    }

    pub(super) fn is_lit(&self) -> bool {
        full_barrier();
        // A read-modify-write, because the kernel looks under its own lock: never an old value.
        let lit = self.0.fetch_add(0, Ordering::AcqRel) != 0;
        full_barrier();
        lit
    }
}

/// A segment with one lock, and the kernel around it.
pub(super) struct Kernel {
    pub(super) word: AtomicU32,
    pub(super) queue: AtomicU32,
    pub(super) signal: SignalLine,
    pub(super) lines: [ParticipantLine; SLOTS],
    pub(super) in_use: SlotsInUse,
    beacons: [Beacon; SLOTS],
    sleep_queue: SleepQueue,
    line_bed: SleepQueue,
}

/// How a participant waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sleep {
    /// Until it is woken: a wake-up that is lost is a deadlock.
    UntilWoken,
    /// A nap that ends by itself, as often as it takes.
    Naps,
    /// So many naps, and then its time is over.
    Patience(u32),
}

fn full_barrier() {
    fence(Ordering::SeqCst);
}

impl Kernel {
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU32::new(0),
            queue: AtomicU32::new(0),
            signal: SignalLine::new(),
            lines: std::array::from_fn(|_| ParticipantLine::new()),
            in_use: SlotsInUse::new(),
            beacons: std::array::from_fn(|_| Beacon::new()),
            sleep_queue: SleepQueue::new(),
            line_bed: SleepQueue::new(),
        }
    }

    pub(super) fn claim(&self, slot: u32) -> bool {
        self.beacons[slot as usize].claim()
    }

    /// What a participant does to its own beacon, and the kernel to a dead one's.
    pub(super) fn put_out(&self, slot: u32) {
        self.beacons[slot as usize].put_out();
    }

    pub(super) fn is_lit(&self, slot: u32) -> bool {
        self.beacons[slot as usize].is_lit()
    }

    /// Joins as production does: claim, settle, raise the generation.
    pub(super) fn join(&self, slot: u32) -> Option<Id> {
        if !self.claim(slot) {
            return None;
        }
        let line = &self.lines[slot as usize];
        Some(participants::move_in(slot, line, &self.in_use, || {
            owner_word::settle(&self.word, slot);
        }))
    }

    /// One sleep queue for the owner word (and the signal), one for all lines.
    fn sleep_queue(&self, word: &AtomicU32) -> &SleepQueue {
        if self
            .lines
            .iter()
            .any(|line| std::ptr::eq(line.word(), word))
        {
            &self.line_bed
        } else {
            &self.sleep_queue
        }
    }

    /// Sleeps on a word while it has this value.
    pub(super) fn sleep(&self, word: &AtomicU32, value: u32) {
        self.sleep_queue(word).sleep(&[(word, value)]);
    }

    /// Wakes those who sleep on a word: one, or all.
    pub(super) fn wake(&self, word: &AtomicU32, all: bool) {
        self.sleep_queue(word).wake(all);
    }
}

/// A participant's view of it.
pub(super) struct Participant<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) id: Id,
    sleep: Sleep,
    wake_all: bool,
    looks: u32,
    /// The dead slot whose beacon it holds at the moment.
    claimed: Cell<Option<u32>>,
}

impl<'a> Participant<'a> {
    pub(super) fn new(kernel: &'a Kernel, id: Id, sleep: Sleep) -> Self {
        Self {
            kernel,
            id,
            sleep,
            wake_all: false,
            looks: 0,
            claimed: Cell::new(None),
        }
    }

    /// One whose lock wakes all sleepers.
    pub(super) fn waking_all(self) -> Self {
        Self {
            wake_all: true,
            ..self
        }
    }

    /// Takes the owner word; `false` when its patience is over.
    pub(super) fn take(&mut self) -> bool {
        let word = &self.kernel.word;
        owner_word::try_take(word, self.id) || owner_word::take_slow(word, self.id, self).is_ok()
    }

    pub(super) fn leave(&self) {
        if owner_word::leave(&self.kernel.word) && self.sleep == Sleep::UntilWoken {
            self.wake(&self.kernel.word);
        }
    }

    /// The middle of what a holder does, in which any other thread may run.
    pub(super) fn linger(&self) {
        super::mortal::step();
        self.kernel.queue.load(Ordering::Relaxed);
    }

    /// The kernel puts out what a dead participant had lit.
    pub(super) fn bury(&self) {
        if let Some(slot) = self.claimed.take() {
            self.kernel.put_out(slot);
        }
        self.kernel.put_out(self.id.slot().unwrap());
    }
}

impl OwnerWorld for Participant<'_> {
    fn standing(&self, id: Id) -> Result<Standing, Cause> {
        let slot = id.slot().unwrap();
        let line = &self.kernel.lines[slot as usize];
        participants::standing(id, line, || self.is_lit(slot))
    }

    fn is_lit(&self, slot: u32) -> Result<bool, Cause> {
        Ok(self.kernel.is_lit(slot))
    }

    fn claim(&self, slot: u32) -> Result<bool, Cause> {
        let claimed = self.kernel.claim(slot);
        if claimed {
            self.claimed.set(Some(slot));
        }
        Ok(claimed)
    }

    fn release(&self, slot: u32) -> Result<(), Cause> {
        super::mortal::step();
        self.claimed.set(None);
        self.kernel.put_out(slot);
        Ok(())
    }

    fn spin(&mut self) -> bool {
        false
    }

    fn recheck(&mut self) -> Result<(), Cause> {
        // Loom would let a load that is repeated without end be old without end. Not at the first, for who
        // yields does not go on before the others have, and would never be in time to rob one of them.
        self.looks += 1;
        if self.looks > 1 {
            loom::thread::yield_now();
        }
        Ok(())
    }

    fn sleep(&mut self, word: &AtomicU32, value: u32) -> Result<(), Cause> {
        match &mut self.sleep {
            Sleep::UntilWoken => self.kernel.sleep(word, value),
            Sleep::Naps => loom::thread::yield_now(),
            Sleep::Patience(0) => {
                return Err(Cause::Timeout("sleep"));
            }
            Sleep::Patience(left) => {
                *left -= 1;
                loom::thread::yield_now();
            }
        }
        Ok(())
    }

    fn wake(&self, word: &AtomicU32) {
        // Naps end by themselves.
        if self.sleep == Sleep::UntilWoken {
            self.kernel.wake(word, self.wake_all);
        }
    }

    fn rouse(&self) {
        signal::rouse(&self.kernel.signal);
        super::mortal::step();
        self.kernel.wake(&self.kernel.signal.signal, true);
    }

    fn passed(&self, _dead: Id) {}
}
