//! The set: its members, looking at them, waiting for them.

use super::alarm::{Alarm, Interrupter};
use super::helper::Watch;
use super::listener::Listener;
use super::loss::LossCheck;
use super::member::{Memory, Watchable};
use super::registry::Registration;
use super::sleep::Sleep;
use crate::attachment::patience::{Wait, Waiting};
use crate::error::{Attempt, Cause, CortexResult, Told, WAITING_FOR_ANY};
use crate::protocol::signal;
use crate::sys::fork;
use crate::sys::futex::{Expected, ANY_LIMIT};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A member of a [`WaitSet`]: what [`WaitSet::add`] has returned. It is of that set alone, and never used for another
/// member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member(u64);

/// What a wait tells of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Which one.
    pub member: Member,
    /// Its version when the set looked: the number of commits so far. Commits after it are told by the next wait.
    pub version: u64,
    /// Whether its segment was removed. It is then no longer in the set, and `version` may be one that was told before.
    pub is_removed: bool,
}

/// Waits for changes of many values at once.
///
/// Members are cortexes, segments and observers of any types. Each change is told once. Nothing has to be taken away or
/// confirmed: the value itself is read as always.
///
/// The set keeps what it watches mapped. A handle may be dropped while it is in a set: where it was the owner, the
/// removal is told; otherwise the set goes on watching until the member is removed from it.
///
/// Up to 127 members cost one system call for a wait that sleeps, on a Linux since 5.16. Observers are woken at once
/// where a participant waits for the same value, and else looked at each millisecond. Elsewhere, and where `futex_waitv`
/// is refused, the set looks at growing intervals of up to a millisecond.
///
/// In a forked child an inherited set goes on with what it knows; parent and child are told each change.
///
/// ```
/// use neocortex::{CortexBuilder, WaitSet};
///
/// # fn main() -> neocortex::CortexResult<()> {
/// let speed = CortexBuilder::new(1.5).random_key().create()?;
/// let gear = CortexBuilder::new(1_u32).random_key().create()?;
/// let mut set = WaitSet::new();
/// let (its_speed, its_gear) = (set.add(&speed), set.add(&gear));
///
/// gear.write(2)?;
/// for change in set.wait(None)? {
///     assert_eq!((change.member, change.version), (its_gear, 1));
/// }
/// speed.write(3.0)?;
/// assert_eq!(set.wait(None)?[0].member, its_speed);
/// # Ok(()) }
/// ```
pub struct WaitSet {
    entries: Vec<Entry>,
    /// What the last wait has told.
    pub(crate) changes: Vec<Change>,
    pub(crate) alarm: Arc<Alarm>,
    /// What helpers tell of changes, where there are any.
    pub(super) listener: Arc<Listener>,
    /// Of the process that the listener is of.
    epoch: u32,
    /// The value with which to sleep on the alarm's bell.
    heard: u32,
    loss: LossCheck,
    /// The number of the next member.
    next: u64,
    /// Where the next look begins, so that each member has its turn where only so many changes can be told.
    first: usize,
}

#[derive(Debug)]
struct Entry {
    member: Member,
    memory: Memory,
    /// The version that was told last.
    since: u64,
    /// The value with which to sleep on its word.
    value: u32,
    /// Where a helper watches it.
    watch: Option<Registration>,
    /// Whether it was told that it was removed.
    is_over: bool,
}

impl fmt::Debug for WaitSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("WaitSet");
        shown.field("members", &self.entries.len());
        shown.finish_non_exhaustive()
    }
}

impl Default for WaitSet {
    fn default() -> Self {
        Self::new()
    }
}

impl WaitSet {
    /// Returns a set without members.
    pub fn new() -> Self {
        let alarm = Alarm::new();
        Self {
            entries: Vec::new(),
            changes: Vec::new(),
            listener: Listener::new(Some(&alarm)),
            epoch: fork::epoch(),
            alarm,
            heard: 0,
            loss: LossCheck::new(),
            next: 0,
            first: 0,
        }
    }

    /// Adds a value, of which the commits from now on are told. A value that is added twice is two members.
    pub fn add<W: Watchable + ?Sized>(&mut self, what: &W) -> Member {
        let memory = what.memory();
        let now = memory.version();
        self.insert(memory, now)
    }

    /// Adds a value, of which the next wait tells if its version is another than `since`: for a caller that has read the
    /// value of that version.
    pub fn add_since<W: Watchable + ?Sized>(&mut self, what: &W, since: u64) -> Member {
        self.insert(what.memory(), since)
    }

    fn insert(&mut self, memory: Memory, since: u64) -> Member {
        self.settle_in();
        let member = Member(self.next);
        self.next += 1;
        self.entries.push(Entry {
            member,
            memory,
            since,
            value: 0,
            watch: None,
            is_over: false,
        });
        // Where that fails the descriptor is readable, and the next wait tells why.
        let _ = self.arm();
        member
    }

    /// Removes a member. Returns whether it was in the set; one that was told as removed is not.
    pub fn remove(&mut self, member: Member) -> bool {
        let count = self.entries.len();
        self.let_go(|entry| entry.member == member);
        self.entries.len() < count
    }

    /// Takes these members out; their helpers are waited for once.
    fn let_go(&mut self, is_meant: impl Fn(&Entry) -> bool) {
        let meant = self.entries.iter_mut().filter(|entry| is_meant(entry));
        Registration::drop_all(meant.filter_map(|entry| entry.watch.take()).collect());
        self.entries.retain(|entry| !is_meant(entry));
    }

    /// Returns how many members there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sleeps until at least one member has changed or was removed, and returns all that have. It returns at once where
    /// one already has. A set without members waits all the same, for its time-out or an interrupt.
    ///
    /// A member that this thread holds a write guard of cannot change meanwhile.
    ///
    /// # Errors
    /// `Timeout` after `timeout` (`None` waits for ever, zero does not wait); `Interrupted` by [`WaitSet::interrupt`] or an
    /// [`Interrupter`]. Neither loses a change: the next wait tells it.
    pub fn wait(&mut self, timeout: Option<Duration>) -> CortexResult<&[Change]> {
        self.wait_at_most(timeout, usize::MAX).on_no_key()?;
        Ok(&self.changes)
    }

    /// Begins anew with helpers in a forked child: those of the parent are not here, and a thread of the parent may have
    /// held the listener's mutex.
    pub(super) fn settle_in(&mut self) {
        if self.epoch != fork::epoch() {
            self.epoch = fork::epoch();
            self.listener = Listener::new(Some(&self.alarm));
        }
    }

    /// Waits, and tells at most so many changes; each member has its turn.
    pub(crate) fn wait_at_most(
        &mut self,
        timeout: Option<Duration>,
        most: usize,
    ) -> Result<(), Cause> {
        self.settle_in();
        let result = self.wait_unarmed(timeout, most);
        let armed = self.arm();
        match (result, armed) {
            (Err(_), Err(cause)) => Err(cause),
            // The changes are told first. Where it could not be armed the descriptor is readable, and the next wait
            // tells why.
            (result, _) => result,
        }
    }

    fn wait_unarmed(&mut self, timeout: Option<Duration>, most: usize) -> Result<(), Cause> {
        if self.look(most) {
            return Ok(());
        }
        let alarm = Arc::clone(&self.alarm);
        let _call = alarm.interrupts.begin();
        let wait = Wait::lasting(timeout);
        let waiting = Waiting::new(&alarm.interrupts, wait, WAITING_FOR_ANY);
        if waiting.is_none() {
            return waiting.check();
        }
        let mut sleep = Sleep::of(self.entries.len());
        let is_large = self.entries.len() > ANY_LIMIT;
        let is_helped = is_large && self.is_helped();
        let are_woken = self.entries.iter().all(|entry| entry.memory.is_woken());
        let sleep = RefCell::new(&mut sleep);
        signal::wait_any(
            self,
            |set| {
                // First: what rings after the look changes it.
                set.heard = alarm.bell.heard();
                match is_large {
                    true if is_helped => set.ask_helpers(),
                    true => {}
                    false => set.entries.iter_mut().for_each(Entry::ask),
                }
            },
            |set| {
                sleep
                    .borrow_mut()
                    .slices
                    .prepare(|| waiting.may_be_long() && (is_helped || set.rest()));
                if set.look(most) {
                    return Some(Ok(()));
                }
                waiting.check().err().map(Err)
            },
            |set| {
                let bell = Expected {
                    word: alarm.bell.word(),
                    value: set.heard,
                };
                let limit = |longest| waiting.nap(longest);
                let mut sleep = sleep.borrow_mut();
                match is_large {
                    true if is_helped => sleep.sleep(bell, std::iter::empty(), true, limit),
                    true => sleep.pause(bell, limit),
                    false => sleep.sleep(bell, set.words(), are_woken, limit),
                }
            },
        )
    }

    /// Puts the locks of all members to rest. Returns whether the set may sleep for long. Helpers of this process do it for
    /// a set that they watch.
    fn rest(&self) -> bool {
        self.entries.iter().all(|entry| entry.memory.rest())
    }

    fn words(&self) -> impl Iterator<Item = Expected<'_>> {
        self.entries.iter().map(|entry| Expected {
            word: entry.memory.word(),
            value: entry.value,
        })
    }

    /// Has helpers watch every member.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(super) fn have_watched(&mut self) -> Result<(), Cause> {
        for entry in &mut self.entries {
            if entry.watch.as_ref().is_some_and(Registration::is_here) {
                continue;
            }
            let watch = Watch::new(entry.memory.clone(), &self.listener, entry.since);
            let registration = Registration::new(watch);
            entry.watch = Some(registration.attempt("start a thread that waits for a wait set")?);
        }
        Ok(())
    }

    /// Returns whether helpers watch a set that is too large to sleep by itself. It looks at intervals where not.
    fn is_helped(&mut self) -> bool {
        self.have_watched()
            .inspect_err(|cause| tracing::warn!(?cause, "a large wait set looks at intervals"))
            .is_ok()
    }

    /// Returns whether a look would find something.
    pub(super) fn has_news(&self) -> bool {
        let is_new = |entry: &Entry| {
            entry.memory.version() != entry.since || entry.memory.is_marked_removed()
        };
        self.listener.has_loss() || self.entries.iter().any(is_new)
    }

    /// Asks the helpers to tell of the next change, and has them take in again what they have left out.
    pub(super) fn ask_helpers(&self) {
        if !self.listener.asked.ask() {
            return;
        }
        let mut last = None;
        for helper in self.entries.iter().filter_map(|entry| entry.watch.as_ref()) {
            let helper = helper.helper();
            if !last.is_some_and(|last| Arc::ptr_eq(last, helper)) {
                helper.ring();
            }
            last = Some(helper);
        }
    }

    /// Looks at every member, and puts at most so many changes into `changes`. Returns whether there are any.
    pub(super) fn look(&mut self, most: usize) -> bool {
        self.changes.clear();
        let count = self.entries.len();
        let is_loss = self.listener.takes_loss();
        let asked = match is_loss {
            true => 0..count,
            false => self.loss.turn(count),
        };
        let begin = if self.first < count { self.first } else { 0 };
        let mut has_ended_one = false;
        for index in (begin..count).chain(0..begin) {
            let entry = &mut self.entries[index];
            // The state before the version: what was committed before the removal is told with it.
            entry.is_over = entry.memory.is_marked_removed()
                || asked.contains(&index) && entry.memory.is_lost();
            let version = entry.memory.version();
            if version == entry.since && !entry.is_over {
                continue;
            }
            entry.since = version;
            has_ended_one |= entry.is_over;
            self.changes.push(Change {
                member: entry.member,
                version,
                is_removed: entry.is_over,
            });
            if self.changes.len() >= most {
                self.first = index + 1;
                if is_loss {
                    // The others are asked for the next time.
                    self.listener.note_loss();
                }
                break;
            }
        }
        if has_ended_one {
            self.let_go(|entry| entry.is_over);
        }
        !self.changes.is_empty()
    }

    /// Ends the wait of this set that a signal handler interrupts, or else the next one, with `Interrupted`.
    /// Async-signal-safe. Another thread needs a [`WaitSet::interrupter`].
    pub fn interrupt(&self) {
        self.alarm.interrupt();
    }

    /// Returns what ends the waits of this set from other threads.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(Arc::clone(&self.alarm))
    }
}

impl Drop for WaitSet {
    fn drop(&mut self) {
        self.let_go(|_| true);
    }
}

impl Entry {
    fn ask(&mut self) {
        self.value = self.memory.ask();
    }
}
