//! The threads of a mirror: one pool for all names.
//!
//! One thread at a time leads: it looks which task is due, and sleeps where none is. When one is, it gives the lead away
//! and does the task itself, so that a value is not handed from thread to thread. What may block for as long as a link
//! is slow is a [`Job`] of its own, so that it holds up neither its name nor another one.
//!
//! **Invariant.** A task is on one thread at a time: whoever does it has taken it out of the list.

use std::collections::VecDeque;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What one name needs to have done, again and again.
pub trait Task: Send {
    /// Returns whether there is something to do now. It is called from [`FASTEST`] to [`SLOWEST`] apart.
    fn is_due(&mut self, now: Instant) -> bool;

    /// Does what there is to do.
    fn step(&mut self, now: Instant) -> Next;
}

/// Something that may block.
pub type Job = Box<dyn FnOnce() + Send>;

/// What comes after a step.
pub enum Next {
    /// The task stays, and these jobs are to be run. Whether something has happened after which more is likely to follow
    /// that no [`Bell`] tells of: it is then looked more often whether the task is due.
    Stay(Vec<Job>, bool),
    /// The task has ended.
    End,
}

/// How soon the leader looks again after something has happened.
const FASTEST: Duration = Duration::from_micros(50);
/// How soon it looks again where nothing happens.
const SLOWEST: Duration = Duration::from_millis(4);
/// In between, this part of the time for which nothing has happened: what comes regularly is late by as small a part of its
/// interval, and costs as many looks, whatever the interval is.
const PART: u32 = 16;
/// The most threads: as many answers may wait for slow links at once.
const MOST_THREADS: usize = 64;
/// The threads that stay when there is nothing to do.
const FEWEST_THREADS: usize = 2;

struct State {
    /// Tasks that are new, or were done.
    returned: Vec<Box<dyn Task>>,
    jobs: VecDeque<Job>,
    is_rung: bool,
    is_closed: bool,
    threads: usize,
    /// Those that lead, or wait to.
    free: usize,
    /// When something has happened last.
    happened: Instant,
}

struct Shared {
    tasks: Mutex<Vec<Box<dyn Task>>>,
    state: Mutex<State>,
    bell: Condvar,
}

/// Wakes the leader: something has arrived for a task.
#[derive(Clone)]
pub struct Bell(Arc<Shared>);

/// The pool. It ends when it is dropped, and its tasks with it.
pub struct Pool(Arc<Shared>);

enum Work {
    Task(Box<dyn Task>),
    Job(Job),
}

/// A panic in a task leaves no half of anything in what these locks guard.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bell {
    pub fn ring(&self) {
        lock(&self.0.state).is_rung = true;
        self.0.bell.notify_one();
    }
}

impl Pool {
    /// # Errors
    /// Where the system gives no thread.
    pub fn new() -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            tasks: Mutex::default(),
            state: Mutex::new(State {
                returned: Vec::new(),
                jobs: VecDeque::new(),
                is_rung: false,
                is_closed: false,
                threads: 1,
                free: 1,
                happened: Instant::now(),
            }),
            bell: Condvar::new(),
        });
        start(&shared)?;
        Ok(Self(shared))
    }

    pub fn bell(&self) -> Bell {
        Bell(Arc::clone(&self.0))
    }

    pub fn add(&self, task: Box<dyn Task>) {
        lock(&self.0.state).returned.push(task);
        self.0.bell.notify_one();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.0.state).is_closed = true;
        self.0.bell.notify_all();
        // Their tokens and cortexes go with them. What is being done at this moment goes when it has ended.
        let tasks = std::mem::take(&mut *lock(&self.0.tasks));
        let returned = std::mem::take(&mut lock(&self.0.state).returned);
        drop((tasks, returned));
    }
}

fn start(shared: &Arc<Shared>) -> std::io::Result<()> {
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("mirror".to_owned());
    thread.spawn(move || run(&shared)).map(drop)
}

fn run(shared: &Arc<Shared>) {
    while let Some(work) = lead(shared) {
        {
            let mut state = lock(&shared.state);
            state.free -= 1;
            if state.free == 0 && state.threads < MOST_THREADS {
                state.threads += 1;
                state.free += 1;
                if start(shared).is_err() {
                    // This thread comes back to lead.
                    state.threads -= 1;
                    state.free -= 1;
                }
            }
        }
        let first = match work {
            Work::Job(job) => Some(job),
            Work::Task(mut task) => {
                match catch_unwind(AssertUnwindSafe(|| task.step(Instant::now()))) {
                    // The panic's message was printed; the task is dropped, and says that it has ended.
                    Err(_) | Ok(Next::End) => None,
                    Ok(Next::Stay(mut jobs, has_happened)) => {
                        let first = jobs.pop();
                        let mut state = lock(&shared.state);
                        if has_happened {
                            state.happened = Instant::now();
                        }
                        state.jobs.extend(jobs);
                        match state.is_closed {
                            // It goes without the lock, which its end may need.
                            true => {
                                drop(state);
                                drop(task);
                            }
                            false => state.returned.push(task),
                        }
                        shared.bell.notify_one();
                        first
                    }
                }
            }
        };
        if let Some(job) = first {
            drop(catch_unwind(AssertUnwindSafe(job)));
        }
        let mut state = lock(&shared.state);
        if state.free >= FEWEST_THREADS {
            state.threads -= 1;
            return;
        }
        state.free += 1;
    }
}

/// Leads until there is work; `None` where the pool has ended.
fn lead(shared: &Shared) -> Option<Work> {
    let mut tasks = lock(&shared.tasks);
    loop {
        {
            let mut state = lock(&shared.state);
            if state.is_closed {
                return None;
            }
            tasks.append(&mut state.returned);
            if let Some(job) = state.jobs.pop_front() {
                return Some(Work::Job(job));
            }
            // Before the tasks are asked: what arrives from here on rings again.
            state.is_rung = false;
        }
        let now = Instant::now();
        if let Some(index) = tasks.iter_mut().position(|task| task.is_due(now)) {
            return Some(Work::Task(tasks.remove(index)));
        }
        let state = lock(&shared.state);
        if !state.is_rung && !state.is_closed && state.returned.is_empty() && state.jobs.is_empty()
        {
            let pause = if tasks.is_empty() {
                Duration::from_secs(3600)
            } else {
                let quiet = now.saturating_duration_since(state.happened);
                (quiet / PART).clamp(FASTEST, SLOWEST)
            };
            drop(shared.bell.wait_timeout(state, pause));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    struct Counts {
        left: usize,
        is_done: mpsc::Sender<usize>,
        job: Option<Job>,
    }

    impl Task for Counts {
        fn is_due(&mut self, _: Instant) -> bool {
            true
        }

        fn step(&mut self, _: Instant) -> Next {
            if self.left == 0 {
                return Next::End;
            }
            self.left -= 1;
            let _ = self.is_done.send(self.left);
            Next::Stay(self.job.take().into_iter().collect(), false)
        }
    }

    #[test]
    fn a_job_that_blocks_holds_up_no_task() {
        let pool = Pool::new().expect("a thread");
        let (is_done, steps) = mpsc::channel();
        let (release, blocked) = mpsc::channel::<()>();
        let job: Job = Box::new(move || _ = blocked.recv());
        let task = Counts {
            left: 100,
            is_done: is_done.clone(),
            job: Some(job),
        };
        pool.add(Box::new(task));
        pool.add(Box::new(Counts {
            left: 100,
            is_done,
            job: None,
        }));
        // All of them, though the first job is not over; then both tasks have ended and dropped their sender.
        assert_eq!(steps.iter().count(), 200);
        drop(release);
    }

    #[test]
    fn a_dropped_pool_drops_its_tasks() {
        struct Guarded(Arc<AtomicUsize>);
        impl Task for Guarded {
            fn is_due(&mut self, _: Instant) -> bool {
                false
            }
            fn step(&mut self, _: Instant) -> Next {
                Next::End
            }
        }
        impl Drop for Guarded {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let pool = Pool::new().expect("a thread");
        for _ in 0..3 {
            pool.add(Box::new(Guarded(Arc::clone(&dropped))));
        }
        drop(pool);
        assert_eq!(dropped.load(Ordering::SeqCst), 3);
    }
}
