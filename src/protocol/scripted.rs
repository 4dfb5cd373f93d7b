//! A world for one thread: beacons and patience set by hand, and what others do meanwhile as a hook on each step.

use super::owner_word::OwnerWorld;
use crate::error::Cause;
use crate::protocol::atomics::{AtomicU32, Ordering};
use crate::protocol::participants::{Id, Standing};
use std::cell::{Cell, RefCell};

/// What the world was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Standing(Id),
    IsLit(u32),
    Claim(u32),
    Release(u32),
    Spin,
    LookAgain,
    MaySleep,
    Sleep(u32),
    Wake(u32),
    Rouse,
    Passed(Id),
}

/// See the module.
pub(crate) struct Scripted<'a> {
    /// What [`OwnerWorld::standing`] says of every participant.
    pub(crate) standing: Standing,
    /// Whether a claim succeeds.
    pub(crate) is_claimable: bool,
    pub(crate) spins: u32,
    /// How often it sleeps before its time is over.
    pub(crate) naps: u32,
    /// Told of each step, before it is answered.
    meanwhile: Box<dyn Fn(Step) + 'a>,
    steps: RefCell<Vec<Step>>,
    claimed: Cell<Option<u32>>,
}

impl<'a> Scripted<'a> {
    pub(crate) fn new(standing: Standing, meanwhile: impl Fn(Step) + 'a) -> Self {
        Self {
            standing,
            is_claimable: true,
            spins: 0,
            naps: 3,
            meanwhile: Box::new(meanwhile),
            steps: RefCell::default(),
            claimed: Cell::new(None),
        }
    }

    /// Returns what it was asked for since the last question, in order.
    pub(crate) fn steps(&self) -> Vec<Step> {
        assert_eq!(self.claimed.get(), None, "a beacon was left lit");
        self.steps.take()
    }

    fn note(&self, step: Step) {
        self.steps.borrow_mut().push(step);
        assert!(self.steps.borrow().len() < 100, "it does not end");
        (self.meanwhile)(step);
    }
}

impl OwnerWorld for Scripted<'_> {
    fn standing(&self, id: Id) -> Result<Standing, Cause> {
        self.note(Step::Standing(id));
        Ok(self.standing)
    }

    fn is_lit(&self, slot: u32) -> Result<bool, Cause> {
        self.note(Step::IsLit(slot));
        Ok(self.standing == Standing::Alive)
    }

    fn claim(&self, slot: u32) -> Result<bool, Cause> {
        self.note(Step::Claim(slot));
        assert_eq!(self.claimed.get(), None);
        self.claimed.set(self.is_claimable.then_some(slot));
        Ok(self.is_claimable)
    }

    fn release(&self, slot: u32) -> Result<(), Cause> {
        self.note(Step::Release(slot));
        assert_eq!(self.claimed.take(), Some(slot));
        Ok(())
    }

    fn spin(&mut self) -> bool {
        if self.spins == 0 {
            return false;
        }
        self.note(Step::Spin);
        self.spins -= 1;
        true
    }

    fn recheck(&mut self) -> Result<(), Cause> {
        self.note(Step::LookAgain);
        Ok(())
    }

    fn may_sleep(&mut self) -> Result<(), Cause> {
        self.note(Step::MaySleep);
        if self.naps == 0 {
            return Err(Cause::Timeout("write"));
        }
        Ok(())
    }

    fn sleep(&mut self, word: &AtomicU32, value: u32) -> Result<(), Cause> {
        if self.naps == 0 {
            return Err(Cause::Timeout("write"));
        }
        self.naps -= 1;
        // Else it would not sleep.
        assert_eq!(word.load(Ordering::Relaxed), value);
        self.note(Step::Sleep(value));
        Ok(())
    }

    fn wake(&self, word: &AtomicU32) {
        assert_eq!(self.claimed.get(), None, "woken before the beacon is out");
        self.note(Step::Wake(word.load(Ordering::Relaxed)));
    }

    fn rouse(&self) {
        self.note(Step::Rouse);
    }

    fn passed(&self, dead: Id) {
        self.note(Step::Passed(dead));
    }
}
