//! Threads that sleep on signal words for others.
//!
//! A helper sleeps on the words of up to 127 [`Watch`]es, and tells the listener of each that has changed, where it was
//! asked (`protocol/telling`). It keeps the memory of its watches mapped. Signals are blocked on it: the handlers of the
//! program run on the program's own threads.
//!
//! **Handshake.** A thread that takes a watch away rings the helper's bell and waits until the helper has the new list
//! ([`Helper::await_taken`]): where a handle is gone, its mapping is. Memory is safe without that too.

use super::listener::Listener;
use super::loss::LossCheck;
use super::member::Memory;
use super::sleep::Sleep;
use crate::attachment::patience::SLICE;
use crate::protocol::signal;
use crate::protocol::telling::{Bell, Round};
use crate::sys::futex::{self, Expected, ANY_LIMIT};
use crate::sys::{thread, SysResult};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

/// One value to watch for a listener.
#[derive(Debug)]
pub(crate) struct Watch {
    memory: Memory,
    listener: Arc<Listener>,
    /// The listener knows this version.
    since: u64,
}

impl Watch {
    pub(crate) fn new(memory: Memory, listener: &Arc<Listener>, since: u64) -> Arc<Self> {
        Arc::new(Self {
            memory,
            listener: Arc::clone(listener),
            since,
        })
    }
}

/// A helper, as others see it.
#[derive(Debug)]
pub(crate) struct Helper {
    /// Rung where its list has changed, and where something that was left out is in again.
    bell: Bell,
    /// The value of the bell with whose list it works, for those who wait for that.
    taken: AtomicU32,
    list: Mutex<List>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Set by the thread itself.
    id: OnceLock<ThreadId>,
}

#[derive(Debug, Default)]
struct List {
    watches: Vec<Arc<Watch>>,
    is_ended: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Helper {
    /// Starts a helper with this watch.
    pub(crate) fn start(watch: Arc<Watch>) -> SysResult<Arc<Self>> {
        let helper = Arc::new(Self {
            bell: Bell::new(),
            taken: AtomicU32::new(0),
            list: Mutex::new(List {
                watches: vec![watch],
                is_ended: false,
            }),
            thread: Mutex::new(None),
            id: OnceLock::new(),
        });
        let of_thread = Arc::clone(&helper);
        let started = thread::spawn_without_signals("neocortex", move || of_thread.run())?;
        *lock(&helper.thread) = Some(started);
        Ok(helper)
    }

    /// Adds a watch. Returns `false` where there is no room, or the helper has ended.
    pub(crate) fn add(&self, watch: &Arc<Watch>) -> bool {
        let mut list = lock(&self.list);
        if list.is_ended || list.watches.len() >= ANY_LIMIT {
            return false;
        }
        list.watches.push(Arc::clone(watch));
        drop(list);
        self.ring();
        true
    }

    /// Takes a watch away; the last one ends the helper. The caller waits for it: [`Helper::await_taken`].
    pub(crate) fn remove(&self, watch: &Arc<Watch>) {
        let mut list = lock(&self.list);
        let count = list.watches.len();
        list.watches.retain(|other| !Arc::ptr_eq(other, watch));
        let has_changed = list.watches.len() < count;
        list.is_ended |= list.watches.is_empty();
        drop(list);
        if has_changed {
            self.ring();
        }
    }

    /// Returns whether its last watch was taken away.
    pub(crate) fn is_ended(&self) -> bool {
        lock(&self.list).is_ended
    }

    /// Wakes the helper, which looks at its list and at what is left out.
    pub(crate) fn ring(&self) {
        self.bell.ring();
        futex::wake_own(self.bell.word());
    }

    /// Waits until the helper works with the list as it is now, and, where it has ended, for the end of its thread. A
    /// waker of a user's may call this on the helper itself, which then does not wait.
    pub(crate) fn await_taken(&self) {
        if self.id.get() == Some(&std::thread::current().id()) {
            return;
        }
        if self.is_ended() {
            // Locked until it has ended, so that another thread that waits here waits as long.
            let mut thread = lock(&self.thread);
            // A panic of a waker has been caught; there is nothing else to tell.
            let _ = thread.take().map(JoinHandle::join);
            return;
        }
        let wanted = self.bell.heard();
        loop {
            // Acquire: what the helper had is let go of (`Work::begin`).
            let taken = self.taken.load(Ordering::Acquire);
            // As numbers that wrap: the helper may be ahead.
            if taken.wrapping_sub(wanted) <= u32::MAX / 2 {
                return;
            }
            futex::wait_own(&self.taken, taken, SLICE);
        }
    }

    fn run(&self) {
        let _ = self.id.set(std::thread::current().id());
        let mut work = Work::new();
        signal::wait_any(
            &mut work,
            |work| work.begin(self),
            Work::look,
            |work| work.sleep(self),
        );
    }
}

/// What the helper's thread has of its own.
struct Work {
    watches: Vec<Own>,
    heard: Option<u32>,
    is_ended: bool,
    has_news: bool,
    sleep: Sleep,
    loss: LossCheck,
}

/// A watch, as the helper's thread has it.
struct Own {
    watch: Arc<Watch>,
    /// The version that the listener was told of, or that was left out.
    seen: u64,
    /// The value with which to sleep on the word.
    value: u32,
    left_out: Option<Round>,
    /// Whether the listener was told that it was removed. It is not looked at any more.
    is_over: bool,
}

/// The sleep of a helper that has nothing to look at.
const IDLE: Duration = Duration::from_secs(3600);

impl Work {
    fn new() -> Self {
        Self {
            watches: Vec::new(),
            heard: None,
            is_ended: false,
            has_news: false,
            sleep: Sleep::of(0),
            loss: LossCheck::new(),
        }
    }

    /// Takes over the list, if it may have changed, takes in again what is asked for again, and asks at the words.
    fn begin(&mut self, helper: &Helper) {
        let heard = helper.bell.heard();
        if self.heard != Some(heard) {
            self.heard = Some(heard);
            self.take_over(&lock(&helper.list));
            helper.taken.store(heard, Ordering::Release);
            futex::wake_own(&helper.taken);
        }
        for own in &mut self.watches {
            own.left_out = own
                .left_out
                .filter(|&round| !own.watch.listener.asked.is_in_again(round));
            if own.is_in() {
                own.value = own.watch.memory.ask();
            }
        }
    }

    fn take_over(&mut self, list: &List) {
        let is_listed = |own: &Own| list.watches.iter().any(|it| Arc::ptr_eq(it, &own.watch));
        self.watches.retain(is_listed);
        for watch in &list.watches {
            if !self
                .watches
                .iter()
                .any(|own| Arc::ptr_eq(&own.watch, watch))
            {
                self.watches.push(Own {
                    watch: Arc::clone(watch),
                    seen: watch.since,
                    value: 0,
                    left_out: None,
                    is_over: false,
                });
            }
        }
        self.is_ended = list.is_ended;
        self.sleep = Sleep::of(self.watches.len());
    }

    /// Looks at all that is in, and tells of it. Returns something once the helper has ended.
    fn look(&mut self) -> Option<()> {
        if self.is_ended {
            return Some(());
        }
        self.has_news = false;
        let is_in = |own: &&Own| own.is_in();
        let mut memories = self
            .watches
            .iter()
            .filter(is_in)
            .map(|own| &own.watch.memory);
        self.sleep.slices.prepare(|| memories.all(Memory::rest));
        let asked = self.loss.turn(self.watches.len());
        for (index, own) in self.watches.iter_mut().enumerate() {
            if own.is_in() {
                self.has_news |= own.look(asked.contains(&index));
            }
        }
        None
    }

    fn sleep(&mut self, helper: &Helper) {
        if self.has_news {
            self.sleep.begin_anew(self.watches.len());
            return;
        }
        let bell = Expected {
            word: helper.bell.word(),
            value: self.heard.unwrap_or_default(),
        };
        let is_in = |own: &&Own| own.is_in();
        let words = self.watches.iter().filter(is_in).map(|own| Expected {
            word: own.watch.memory.word(),
            value: own.value,
        });
        let are_woken = self
            .watches
            .iter()
            .filter(is_in)
            .all(|own| own.watch.memory.is_woken());
        match self.watches.iter().any(Own::is_in) {
            true => self.sleep.sleep(bell, words, are_woken, |longest| longest),
            false => drop(futex::wait_own(bell.word, bell.value, IDLE)),
        }
    }
}

impl Own {
    fn is_in(&self) -> bool {
        self.left_out.is_none() && !self.is_over
    }

    /// Looks at the value; a change is told, or it is left out from now on. Returns whether there was a change.
    fn look(&mut self, is_asked_for: bool) -> bool {
        let memory = &self.watch.memory;
        let listener = &self.watch.listener;
        let is_lost = is_asked_for && memory.is_lost();
        let is_removed = is_lost || memory.is_marked_removed();
        let version = memory.version();
        if version == self.seen && !is_removed {
            return false;
        }
        self.seen = version;
        if is_lost {
            listener.note_loss();
        }
        self.left_out = match listener.asked.take() {
            true => None,
            false => listener.asked.leave_out(),
        };
        if self.left_out.is_none() {
            self.is_over = is_removed;
            listener.tell();
        }
        true
    }
}
