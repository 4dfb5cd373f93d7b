//! The operations, each with what must be there before it.

use super::case::{Aim, Fault, Run, Scenario, Stage};
use super::common::{segment_id, sets_of, Foreign, Gate, LOCKS};
use super::inject::OnSleep;
use crate::by_lock;
use neocortex::{
    inspect, Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, HugePages, Key,
    Observer, RwLock, Segment, SegmentObserver, SegmentOptions, Semaphore, SeqLock,
};
use std::any::Any;
use std::sync::{mpsc, Arc};
use std::thread::JoinHandle;
use std::time::Duration;

pub const SIZE: usize = 64;
const VALUE: [u8; SIZE] = [7; SIZE];
pub const OTHER: [u8; SIZE] = [9; SIZE];

/// Where the state stands in the header, and what it says (`src/protocol/format.rs`).
const STATE: usize = 12;
const INITIALISING: [u8; 4] = [0; 4];
const CLOSING: [u8; 4] = 2_u32.to_ne_bytes();
const REMOVED: [u8; 4] = 3_u32.to_ne_bytes();
/// And the id of its semaphore set, plus one.
const SET_ID: usize = 84;
/// The signal word; bit 0 says that somebody waits (`src/protocol/signal.rs`).
pub const SIGNAL: usize = 640;

/// The name of what is made by name, and the number that follows from it (`tests/vectors`).
pub const NAME: &str = "arm/pose";
pub const NUMBER: i32 = 0x69A1_1EFB;

/// How long an operation waits that may wait for ever.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// How often a waiter sleeps before what it waits for comes.
const SLEEPS: usize = 3;

pub fn options() -> SegmentOptions {
    SegmentOptions::new().participants(3)
}

fn read<L: CortexSync>(segment: &Segment<L>) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    segment.read_at(0, &mut bytes).expect("a read");
    bytes
}

/// Holds for every segment that an operation yields.
fn works<L: CortexSync>(segment: &Segment<L>) {
    segment.write_at(0, &OTHER).expect("a write");
    assert_eq!(read(segment), OTHER);
}

pub fn check(work: impl FnOnce() + 'static) -> Result<super::case::Check, Fault> {
    Ok(Box::new(work))
}

/// Runs `work` in a child that ends in the middle of it, as if killed.
pub fn dies(work: impl FnOnce()) {
    // SAFETY: the child uses this library and what it allocates, and `_exit`s.
    let child = unsafe { libc::fork() };
    assert_ne!(child, -1);
    if child == 0 {
        work();
        // SAFETY: ends the child; no destructor is run.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: a child of ours and a live place.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child that is to die");
}

/// Leaves a cortex with a value that nobody is attached to.
fn stale<L: CortexSync>(key: i32) {
    dies(|| {
        let segment: Segment<L> = options().create(key, SIZE).expect("a stale one");
        segment.write_at(0, &VALUE).expect("a write");
        std::mem::forget(segment);
    });
}

/// Leaves what a creator leaves that was killed after it had made all of it, and before it was ready.
pub fn unfinished<L: CortexSync>(key: impl Into<Key>) {
    let key = key.into();
    dies(|| {
        let segment: Segment<L> = options().create(&key, SIZE).expect("an unfinished one");
        std::mem::forget(segment);
    });
    Foreign::open(key.number().expect("a key")).put(STATE, &INITIALISING);
}

pub fn owner<L: CortexSync>(key: i32) -> Segment<L> {
    let segment = options().create(key, SIZE).expect("the owner");
    segment.write_at(0, &VALUE).expect("a write");
    segment
}

/// What is not there again and again ends with the time-out, for all that the others of many processes may do.
fn either<L: CortexSync>(key: i32) -> CortexResult<Segment<L>> {
    options()
        .timeout(Some(PATIENCE))
        .create_or_attach(key, SIZE)
}

fn attach<L: CortexSync>(key: i32) -> Segment<L> {
    options().attach(key, SIZE).expect("another handle")
}

pub fn scenario(
    name: impl Into<String>,
    aim: Aim,
    setup: impl Fn(&mut Stage) -> Run + 'static,
) -> Scenario {
    Scenario {
        name: name.into(),
        aim,
        setup: Box::new(setup),
    }
}

/// One that calls a function which gives a handle, and needs that handle to work.
fn opening<L: CortexSync + 'static>(
    name: &str,
    prepare: impl Fn(&mut Stage) + 'static,
    open: impl Fn(i32) -> CortexResult<Segment<L>> + Copy + 'static,
) -> Scenario {
    scenario(format!("{name}, {}", L::NAME), Aim::Adds, move |stage| {
        prepare(stage);
        let key = stage.key;
        Box::new(move || {
            let segment = open(key)?;
            check(move || works(&segment))
        })
    })
}

/// Takes a handle to the end of its life.
fn closing<L: CortexSync + 'static>(
    name: &str,
    prepare: impl Fn(&mut Stage) -> Segment<L> + Copy + 'static,
) -> [Scenario; 2] {
    let close = scenario(
        format!("close {name}, {}", L::NAME),
        Aim::Consumes,
        move |stage| {
            let mut segment = Some(prepare(stage));
            Box::new(move || {
                segment.take().map_or(Ok(()), Segment::close)?;
                check(|| {})
            })
        },
    );
    let drop = scenario(
        format!("drop {name}, {}", L::NAME),
        Aim::Drops,
        move |stage| {
            let mut segment = Some(prepare(stage));
            Box::new(move || {
                drop(segment.take());
                check(|| {})
            })
        },
    );
    [close, drop]
}

/// A thread with a handle of its own, which does `first`, says so, and does `then` once the operation has slept
/// three times.
pub fn sleeper<L: CortexSync + 'static, G>(
    stage: &mut Stage,
    first: impl FnOnce(&'static Segment<L>) -> G + Send + 'static,
    then: impl FnOnce(&'static Segment<L>, G) + Send + 'static,
) {
    sleeper_through(stage, attach::<L>, first, then);
}

/// [`sleeper`], with the handle that `attach` makes.
pub fn sleeper_through<L: CortexSync + 'static, G>(
    stage: &mut Stage,
    attach: fn(i32) -> Segment<L>,
    first: impl FnOnce(&'static Segment<L>) -> G + Send + 'static,
    then: impl FnOnce(&'static Segment<L>, G) + Send + 'static,
) {
    let on_sleep = OnSleep {
        count: SLEEPS,
        gate: Arc::new(Gate::new()),
        done: Arc::new(Gate::new()),
    };
    stage.on_sleep = Some(on_sleep.clone());
    let (key, ready) = (stage.key, Arc::new(Gate::new()));
    let is_ready = Arc::clone(&ready);
    let thread = std::thread::spawn(move || {
        let segment = Box::into_raw(Box::new(attach(key)));
        // SAFETY: freed below, after the last use.
        let shared: &'static Segment<L> = unsafe { &*segment };
        let begun = first(shared);
        is_ready.open();
        on_sleep.gate.pass();
        then(shared, begun);
        // SAFETY: made by Box::into_raw above; `then` has given up what borrowed it.
        drop(unsafe { Box::from_raw(segment) });
        on_sleep.done.open();
        Box::new(()) as Box<dyn Any + Send>
    });
    ready.pass();
    stage.keep(Joined(Some(thread)));
}

/// Starts a thread that is waited for, with what it gives back.
pub fn spawn_kept(stage: &mut Stage, work: impl FnOnce() -> Box<dyn Any + Send> + Send + 'static) {
    stage.keep(Joined(Some(std::thread::spawn(work))));
}

/// A thread that is waited for, and what it gives back, which lives until then.
struct Joined(Option<std::thread::JoinHandle<Box<dyn Any + Send>>>);

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(Err(panic)) = self.0.take().map(std::thread::JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Leaves the lock of a cortex held by a process that is dead.
fn holder_dies<L: CortexSync + 'static>(key: i32) {
    dies(move || {
        let segment = Box::leak(Box::new(attach::<L>(key)));
        std::mem::forget(segment.write_guard().expect("a guard"));
    });
}

/// An operation on an owner's handle.
fn using<L: CortexSync + 'static>(
    name: &str,
    prepare: impl Fn(&mut Stage, &Segment<L>) + 'static,
    operation: impl Fn(&Segment<L>) -> CortexResult<()> + Copy + 'static,
    right: impl Fn(&Segment<L>) + Copy + 'static,
) -> Scenario {
    scenario(format!("{name}, {}", L::NAME), Aim::Adds, move |stage| {
        let segment = Arc::new(owner::<L>(stage.key));
        prepare(stage, &segment);
        Box::new(move || {
            operation(&segment)?;
            let segment = Arc::clone(&segment);
            check(move || right(&segment))
        })
    })
}

fn with_lock<L: CortexSync + 'static>() -> Vec<Scenario> {
    // SAFETY: both take nothing and cannot fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let mut all = vec![
        opening::<L>("create", |_| {}, |key| options().create(key, SIZE)),
        opening::<L>(
            "create in place",
            |_| {},
            |key| options().in_place().create(key, SIZE),
        ),
        opening::<L>(
            "create for an owner",
            |_| {},
            move |key| {
                let options = options().owner(Some(user), Some(group));
                options.create(key, SIZE)
            },
        ),
        opening::<L>(
            "create, touched and locked",
            |_| {},
            |key| options().prefault().lock_in_memory().create(key, SIZE),
        ),
        opening::<L>(
            "create, of huge pages if they are to be had",
            |_| {},
            |key| {
                let options = options().huge_pages(HugePages::Prefer);
                options.create(key, SIZE)
            },
        ),
        opening::<L>(
            "create, replacing the stale",
            |stage| stale::<L>(stage.key),
            |key| options().replace_stale().create(key, SIZE),
        ),
        opening::<L>(
            "create, replacing one whose semaphores are gone",
            |stage| {
                stale::<L>(stage.key);
                let segment = segment_id(stage.key).expect("a stale one");
                sets_of(segment)
                    .into_iter()
                    .for_each(super::common::remove_set);
            },
            |key| options().replace_stale().create(key, SIZE),
        ),
        opening::<L>(
            "create, adopting",
            |stage| stale::<L>(stage.key),
            |key| options().force_ownership().create(key, SIZE),
        ),
        opening::<L>("create or attach, alone", |_| {}, either::<L>),
        opening::<L>(
            "create or attach, in use",
            |stage| {
                let owner = owner::<L>(stage.key);
                stage.keep(owner);
            },
            either::<L>,
        ),
        opening::<L>(
            "create or attach, where a creator died",
            |stage| unfinished::<L>(stage.key),
            either::<L>,
        ),
        opening::<L>(
            "create or attach, replacing the stale",
            |stage| {
                stale::<L>(stage.key);
                // What it is told not to touch it attaches to, and then nobody is the owner.
                stage.keep(TakenAway(stage.key));
            },
            |key| {
                let options = options().timeout(Some(PATIENCE)).replace_stale();
                options.create_or_attach(key, SIZE)
            },
        ),
        opening::<L>("create by name", |_| {}, |_| options().create(NAME, SIZE)),
        opening::<L>(
            "attach by name, waiting for the creator",
            |stage| {
                let segment: Segment<L> = options().create(NAME, SIZE).expect("the owner");
                segment.write_at(0, &VALUE).expect("a write");
                stage.keep(segment);
            },
            |_| {
                let options = options().wait_for_creator(Some(PATIENCE));
                options.attach(NAME, SIZE)
            },
        ),
        opening::<L>(
            "attach, waiting for the creator",
            |stage| {
                let owner = owner::<L>(stage.key);
                stage.keep(owner);
            },
            |key| {
                let options = options().wait_for_creator(Some(PATIENCE));
                options.attach(key, SIZE)
            },
        ),
        opening::<L>(
            "attach",
            |stage| {
                let owner = owner::<L>(stage.key);
                stage.keep(owner);
            },
            |key| options().attach(key, SIZE),
        ),
        opening::<L>(
            "attach, with the way to its pages",
            |stage| {
                let owner = owner::<L>(stage.key);
                stage.keep(owner);
            },
            |key| options().prefault().attach(key, SIZE),
        ),
        opening::<L>(
            "attach to one whose replacer died",
            |stage| {
                let owner = owner::<L>(stage.key);
                Foreign::open(stage.key).put(STATE, &CLOSING);
                stage.keep(owner);
            },
            |key| options().attach(key, SIZE),
        ),
        using::<L>(
            "write, while another holds",
            |stage, _| {
                sleeper::<L, _>(
                    stage,
                    |segment| segment.write_guard().expect("a guard"),
                    |_, guard| drop(guard),
                );
            },
            |segment| segment.write_at(0, &OTHER),
            |segment| assert_eq!(read(segment), OTHER),
        ),
        using::<L>(
            "read guard, while another holds",
            |stage, _| {
                sleeper::<L, _>(
                    stage,
                    |segment| segment.write_guard().expect("a guard"),
                    |_, guard| drop(guard),
                );
            },
            |segment| {
                assert_eq!(*segment.read_guard()?, VALUE);
                Ok(())
            },
            |segment| assert_eq!(read(segment), VALUE),
        ),
        using::<L>(
            "write guard, while another reads",
            |stage, _| {
                sleeper::<L, _>(
                    stage,
                    |segment| segment.read_guard().expect("a guard"),
                    |_, guard| drop(guard),
                );
            },
            |segment| {
                let mut guard = segment.write_guard()?;
                guard.copy_from_slice(&OTHER);
                guard.commit()
            },
            |segment| assert_eq!(read(segment), OTHER),
        ),
        using::<L>(
            "write, after the holder died",
            |_, segment| {
                // Where the claim of the dead one's slot is refused for good, somebody else is at it for good.
                segment.set_timeout(Some(PATIENCE));
                holder_dies::<L>(segment.key());
            },
            |segment| segment.write_at(0, &OTHER),
            |segment| assert_eq!(read(segment), OTHER),
        ),
        using::<L>(
            "calls with times of their own, after the holder died",
            |_, segment| {
                segment.set_timeout(Some(PATIENCE));
                holder_dies::<L>(segment.key());
            },
            |segment| {
                segment.write_at_for(PATIENCE, 0, &OTHER)?;
                assert_eq!(*segment.read_guard_for(PATIENCE)?, OTHER);
                segment.write_guard_for(PATIENCE)?.abort()?;
                let mut guard = segment.overwrite_guard_for(PATIENCE)?;
                guard.copy_from_slice(&OTHER);
                guard.commit()?;
                let mut bytes = [0; SIZE];
                segment.read_at_for(PATIENCE, 0, &mut bytes)?;
                assert_eq!(segment.read_versioned(0, &mut bytes)?, segment.version());
                assert_eq!(bytes, OTHER);
                Ok(())
            },
            |segment| assert_eq!(read(segment), OTHER),
        ),
        using::<L>(
            "write, after a reader died",
            |_, segment| {
                segment.set_timeout(Some(PATIENCE));
                let key = segment.key();
                dies(move || {
                    let segment = Box::leak(Box::new(attach::<L>(key)));
                    std::mem::forget(segment.read_guard().expect("a guard"));
                });
            },
            |segment| segment.write_at(0, &OTHER),
            |segment| assert_eq!(read(segment), OTHER),
        ),
        using::<L>(
            "write, which wakes one that waits for change",
            |stage, _| {
                let key = stage.key;
                let thread = std::thread::spawn(move || {
                    let segment = attach::<L>(key);
                    segment.wait_changed(1, None).expect("a change");
                    Box::new(segment) as Box<dyn Any + Send>
                });
                let words = Foreign::open(key);
                while words.bytes()[SIGNAL] & 1 == 0 {
                    std::thread::yield_now();
                }
                stage.keep(Joined(Some(thread)));
            },
            |segment| segment.write_at(0, &OTHER),
            |segment| assert_eq!(read(segment), OTHER),
        ),
        using::<L>(
            "wait for change",
            |stage, _| {
                sleeper::<L, _>(
                    stage,
                    |_| (),
                    |segment, ()| segment.write_at(0, &OTHER).expect("a write"),
                );
            },
            |segment| {
                segment
                    .wait_changed(1, None)
                    .map(|version| assert_eq!(version, 2))
            },
            |segment| {
                assert_eq!(read(segment), OTHER);
            },
        ),
        using::<L>(
            "participants",
            |_, _| {},
            |segment| {
                assert_eq!(segment.participants()?, (1, 3));
                Ok(())
            },
            works,
        ),
        using::<L>("clear poison", |_, _| {}, Segment::clear_poison, works),
        in_a_forked_child::<L>(),
    ];
    all.extend(closing::<L>("by the owner", |stage| owner::<L>(stage.key)));
    all.extend(closing::<L>("by one that is not the owner", |stage| {
        let owner = owner::<L>(stage.key);
        let segment = attach(stage.key);
        // Gone, with its set still there: what remains is for the last one.
        drop(owner);
        segment
    }));
    all
}

/// The first use of an inherited handle, which claims a slot of its own.
fn in_a_forked_child<L: CortexSync + 'static>() -> Scenario {
    scenario(
        format!("write in a forked child, {}", L::NAME),
        Aim::Adds,
        |stage| {
            let segment = Arc::new(owner::<L>(stage.key));
            // SAFETY: the child goes on with the case; the parent waits for it.
            let child = unsafe { libc::fork() };
            assert_ne!(child, -1);
            if child != 0 {
                let mut status = 0;
                // SAFETY: a child of ours and a live place.
                unsafe { libc::waitpid(child, &mut status, 0) };
                drop(segment);
                let code = if libc::WIFEXITED(status) {
                    libc::WEXITSTATUS(status)
                } else {
                    1
                };
                // SAFETY: ends this process; the child has told what there is to tell.
                unsafe { libc::_exit(code) };
            }
            Box::new(move || {
                segment.write_at(0, &OTHER)?;
                let segment = Arc::clone(&segment);
                check(move || assert_eq!(read(&segment), OTHER))
            })
        },
    )
}

/// What does not depend on the lock.
fn without_lock() -> Vec<Scenario> {
    vec![
        scenario("create under a random key", Aim::Adds, |_| {
            Box::new(|| {
                let cortex = CortexBuilder::new(1_u64)
                    .random_key()
                    .participants(3)
                    .create()?;
                check(move || assert_eq!(cortex.read().expect("a read"), 1))
            })
        }),
        scenario("create where the key is in use", Aim::Adds, |stage| {
            stale::<SeqLock>(stage.key);
            let id = segment_id(stage.key).expect("a stale one");
            stage.keep(TakenAway(stage.key));
            let key = stage.key;
            Box::new(move || match options().create::<SeqLock>(key, SIZE) {
                Ok(_) => panic!("made a second one"),
                Err(CortexError::CleanSystem(error))
                    if error.raw_os_error() == Some(libc::EEXIST) =>
                {
                    let message = error.to_string();
                    check(move || {
                        assert!(message.contains("(shmget: EEXIST). "), "{message}");
                        assert_eq!(segment_id(key), Some(id));
                    })
                }
                Err(error) => Err(error.into()),
            })
        }),
        scenario("attach to one whose remover died", Aim::Adds, |stage| {
            stale::<SeqLock>(stage.key);
            Foreign::open(stage.key).put(STATE, &REMOVED);
            let id = segment_id(stage.key).expect("half removed");
            let set = sets_of(id)[0];
            stage.keep(TakenAwaySet(set));
            let key = stage.key;
            Box::new(move || match Segment::<SeqLock>::attach(key, SIZE) {
                Ok(_) => panic!("attached to a removed segment"),
                // Already taken away by the attempt before.
                Err(CortexError::CleanSystem(error))
                    if error.raw_os_error() == Some(libc::ENOENT) && segment_id(key).is_none() =>
                {
                    check(|| {})
                }
                Err(error) => Err(error.into()),
            })
        }),
        scenario("observe", Aim::Adds, |stage| {
            let owner = owner::<SeqLock>(stage.key);
            stage.keep(owner);
            let key = stage.key;
            Box::new(move || {
                let observer = SegmentObserver::attach(key, SIZE)?;
                check(move || {
                    let mut bytes = [0; SIZE];
                    observer.read_at(0, &mut bytes).expect("a read");
                    assert_eq!(bytes, VALUE);
                })
            })
        }),
        scenario("participants, observed", Aim::Adds, |stage| {
            let owner = owner::<SeqLock>(stage.key);
            stage.keep(owner);
            let observer = SegmentObserver::attach(stage.key, SIZE).expect("an observer");
            Box::new(move || {
                let count = observer.participants()?;
                check(move || assert_eq!(count, (1, 3)))
            })
        }),
        scenario("wait for change, observed", Aim::Adds, |stage| {
            let owner = owner::<SeqLock>(stage.key);
            stage.keep(owner);
            sleeper::<SeqLock, _>(
                stage,
                |_| (),
                |segment, ()| segment.write_at(0, &OTHER).expect("a write"),
            );
            let observer = Arc::new(SegmentObserver::attach(stage.key, SIZE).expect("an observer"));
            Box::new(move || {
                let version = observer.wait_changed(1, None)?;
                check(move || assert_eq!(version, 2))
            })
        }),
        scenario("read in place, while another writes", Aim::Adds, |stage| {
            let segment = Arc::new(
                options()
                    .in_place()
                    .create::<SeqLock>(stage.key, SIZE)
                    .expect("the owner"),
            );
            segment.write_at(0, &VALUE).expect("a write");
            sleeper::<SeqLock, _>(
                stage,
                |segment| segment.write_guard().expect("a guard"),
                |_, guard| {
                    guard.commit().expect("a commit");
                },
            );
            Box::new(move || {
                let mut bytes = [0; SIZE];
                segment.read_at(0, &mut bytes)?;
                check(move || assert_eq!(bytes, VALUE))
            })
        }),
        scenario("update and publish, by type", Aim::Adds, |stage| {
            let cortex: Cortex<u64, RwLock> = CortexBuilder::new(1_u64)
                .key(stage.key)
                .participants(3)
                .with_default_lock()
                .expect("the owner");
            let cortex = Arc::new(cortex);
            Box::new(move || {
                let observer = Observer::<u64>::attach(cortex.key())?;
                cortex.update(|value| *value = 5)?;
                let mut guard = cortex.write_guard()?;
                *guard = 6;
                guard.publish()?;
                drop(guard);
                check(move || assert_eq!(observer.read().expect("a read"), 6))
            })
        }),
        scenario("remove", Aim::Removes, |stage| {
            stale::<SeqLock>(stage.key);
            let key = stage.key;
            Box::new(move || gone(key, inspect::remove(key)))
        }),
        scenario("remove what is in use", Aim::Adds, |stage| {
            let owner = owner::<SeqLock>(stage.key);
            stage.keep(owner);
            let key = stage.key;
            Box::new(move || gone(key, inspect::remove(key)))
        }),
        scenario("remove what is spoilt", Aim::Removes, |stage| {
            stale::<SeqLock>(stage.key);
            // The id of its semaphore set is that of no set; the key still tells.
            Foreign::open(stage.key).put(SET_ID, &i32::MAX.to_ne_bytes());
            let key = stage.key;
            Box::new(move || gone(key, inspect::remove(key)))
        }),
        scenario("reclaim", Aim::Removes, |stage| {
            stale::<Semaphore>(stage.key);
            let key = stage.key;
            Box::new(move || gone(key, inspect::reclaim(key)))
        }),
        scenario(
            "reclaim the semaphores of a removed segment",
            Aim::Removes,
            |stage| {
                let key = stage.key;
                stale::<Semaphore>(key);
                super::common::remove_segment(segment_id(key).expect("a stale one"));
                Box::new(move || gone(key, inspect::reclaim(key)))
            },
        ),
        scenario("list the segments", Aim::Adds, |stage| {
            let owner = owner::<SeqLock>(stage.key);
            stage.keep(owner);
            let key = stage.key;
            Box::new(move || {
                let all = inspect::segments()?;
                check(move || {
                    assert!(
                        all.iter().all(|info| info.key == key && info.size == SIZE),
                        "{all:?}"
                    );
                })
            })
        }),
        scenario("time out", Aim::Adds, |stage| {
            let segment = Arc::new(owner::<Semaphore>(stage.key));
            segment.set_timeout(Some(Duration::from_micros(100)));
            stage.keep(Held::new(attach::<Semaphore>(stage.key)));
            Box::new(move || match segment.write_at(0, &OTHER) {
                Err(CortexError::Timeout { .. }) => check(|| {}),
                Ok(()) => panic!("wrote while another holds"),
                Err(error) => Err(error.into()),
            })
        }),
    ]
}

/// The end of a removal: with a key that is free, whatever was there before.
fn gone(key: i32, result: CortexResult<()>) -> Result<super::case::Check, Fault> {
    match result {
        Err(CortexError::CleanSystem(error))
            if error.raw_os_error() == Some(libc::ENOENT) && segment_id(key).is_none() => {}
        result => result?,
    }
    check(move || assert_eq!(segment_id(key), None))
}

/// A thread that holds the lock through a handle of its own, until it is dropped.
struct Held {
    release: Option<mpsc::Sender<()>>,
    holder: Option<JoinHandle<()>>,
}

impl Held {
    fn new(segment: Segment<Semaphore>) -> Self {
        let (release, released) = mpsc::channel();
        let (holds, held) = mpsc::channel();
        let holder = std::thread::spawn(move || {
            let guard = segment.write_guard().expect("a guard");
            holds.send(()).expect("who waits for it");
            let _ = released.recv();
            drop(guard);
        });
        held.recv().expect("a guard");
        Self {
            release: Some(release),
            holder: Some(holder),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.release.take());
        if let Some(holder) = self.holder.take() {
            let _ = holder.join();
        }
    }
}

struct TakenAway(i32);

impl Drop for TakenAway {
    fn drop(&mut self) {
        let _ = inspect::remove(self.0);
    }
}

struct TakenAwaySet(i32);

impl Drop for TakenAwaySet {
    fn drop(&mut self) {
        super::common::remove_set(self.0);
    }
}

pub fn all() -> Vec<Scenario> {
    let mut all = without_lock();
    for name in LOCKS {
        all.extend(by_lock!(name, with_lock()));
    }
    all.extend(super::in_c::all());
    all.extend(super::many::all());
    all
}
