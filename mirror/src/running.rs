//! What every mirrored name has, publisher or follower: its part of the network, its inbox, its end.

use crate::claim::Claim;
use crate::engine::{Engine, Kept};
use crate::error::{MirrorError, MirrorResult};
use crate::place::Place;
use crate::pool::Bell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What all names of a mirror share.
#[derive(Clone)]
pub struct Surroundings {
    pub engine: Arc<dyn Engine>,
    pub origin: String,
    pub place: Place,
    pub bell: Bell,
}

/// What arrives for a name on the network's threads, until its task takes it.
pub struct Inbox<T> {
    arrived: Mutex<Arrived<T>>,
    has_news: AtomicBool,
    bell: Bell,
}

struct Arrived<T> {
    items: Vec<T>,
    claims: Vec<Claim>,
}

impl<T> Inbox<T> {
    pub fn new(bell: Bell) -> Arc<Self> {
        let arrived = Mutex::new(Arrived {
            items: Vec::new(),
            claims: Vec::new(),
        });
        let has_news = AtomicBool::new(false);
        Arc::new(Self {
            arrived,
            has_news,
            bell,
        })
    }

    pub fn put(&self, item: T) {
        lock(&self.arrived).items.push(item);
        self.ring();
    }

    fn put_claim(&self, claim: Claim, is_there: bool) {
        let mut arrived = lock(&self.arrived);
        arrived.claims.retain(|known| *known != claim);
        if is_there {
            arrived.claims.push(claim);
        }
        drop(arrived);
        self.ring();
    }

    fn ring(&self) {
        // Release: whoever sees the flag sees what was put before.
        self.has_news.store(true, Ordering::Release);
        self.bell.ring();
    }

    pub fn has_news(&self) -> bool {
        self.has_news.load(Ordering::Acquire)
    }

    /// Takes what has arrived, and returns the claims that are there now.
    pub fn take(&self) -> (Vec<T>, Vec<Claim>) {
        self.has_news.store(false, Ordering::Release);
        let mut arrived = lock(&self.arrived);
        (std::mem::take(&mut arrived.items), arrived.claims.clone())
    }
}

impl<T: Send + 'static> Inbox<T> {
    /// Lets the network report the claims of a name here.
    pub fn watch(self: &Arc<Self>, engine: &dyn Engine, name: &str) -> MirrorResult<Kept> {
        let inbox = Arc::clone(self);
        let on_change = Box::new(move |claim, is_there| inbox.put_claim(claim, is_there));
        engine.watch(name, on_change).map_err(MirrorError::Network)
    }
}

/// How a task is told to stop, and how it tells that it has ended.
pub struct Control {
    stop: AtomicBool,
    end: Mutex<Option<MirrorResult<()>>>,
    ended: Condvar,
    bell: Bell,
}

impl Control {
    pub fn new(bell: Bell) -> Arc<Self> {
        Arc::new(Self {
            stop: AtomicBool::new(false),
            end: Mutex::new(None),
            ended: Condvar::new(),
            bell,
        })
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.bell.ring();
    }

    fn end(&self, result: MirrorResult<()>) {
        lock(&self.end).get_or_insert(result);
        self.ended.notify_all();
    }

    /// Returns whether it has ended.
    pub fn has_ended(&self) -> bool {
        lock(&self.end).is_some()
    }

    /// Waits for the end. Whoever waits first is told how it came.
    pub fn wait(&self) -> MirrorResult<()> {
        let end = self.ended.wait_while(lock(&self.end), |end| end.is_none());
        let mut end = end.unwrap_or_else(PoisonError::into_inner);
        end.replace(Ok(())).unwrap_or(Ok(()))
    }
}

/// Says that a task has ended, when the task is dropped. It is the last field of the task: whoever waits for the end then
/// finds the claim and the cortexes gone.
pub struct Ending {
    control: Arc<Control>,
    result: MirrorResult<()>,
}

impl Ending {
    pub fn new(control: Arc<Control>) -> Self {
        let result = Ok(());
        Self { control, result }
    }

    pub fn is_asked_for(&self) -> bool {
        self.control.is_stopped()
    }

    /// Sets what is told.
    pub fn tell(&mut self, result: MirrorResult<()>) {
        self.result = result;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.control
            .end(std::mem::replace(&mut self.result, Ok(())));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
