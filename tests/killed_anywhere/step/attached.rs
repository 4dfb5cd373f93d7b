//! Operations on a cortex that others are attached to, killed everywhere, and how those others go on.

use super::long_sleeper::{LongSleeper, LOCK};
use super::operations::{attach, operations, value, Operation, Scene, LONG, PART, SIZE};
use super::{await_sleep, c_calls, die_after, wind_up, Point, Tally, Tracee, Trail, Where};
use crate::common::{check, filled, proof, Foreign, Random};
use neocortex::{CortexBuilder, CortexError, CortexSync, Segment, SegmentObserver, WaitSet};
use std::time::Instant;

/// The others: they were attached before, and go on after each death.
struct Survivors<L: CortexSync + 'static> {
    reader: Segment<L>,
    writer: Segment<L>,
    observer: SegmentObserver,
    /// The bytes of the segment, to see whether the lock is held.
    raw: Foreign,
    slots: u32,
}

/// One more whole write, which also heals.
fn write<L: CortexSync + 'static>(segment: &Segment<L>) {
    let next = segment.version() as u32 + 1;
    segment
        .write_at(0, &filled(SIZE, next))
        .expect("a survivor writes");
}

/// What was known of the cortex when the other began, and when it died.
struct Before {
    version: u64,
    images: Vec<Vec<u8>>,
    seen: u64,
}

impl Before {
    fn is_image(&self, version: u64, payload: &[u8]) -> bool {
        payload == &self.images[(version - self.version) as usize][..]
    }
}

impl<L: CortexSync + 'static> Survivors<L> {
    fn new(key: i32, slots: u32) -> Self {
        let builder = CortexBuilder::new(value(0))
            .key(key)
            .slots(slots)
            .participants(4);
        die_after(|| std::mem::forget(builder.with_default_lock::<L>().expect("create")));
        let observer = SegmentObserver::attach(key, SIZE).expect("observe");
        observer.set_timeout(LONG);
        Self {
            reader: attach(key),
            writer: attach(key),
            observer,
            raw: Foreign::open(key),
            slots,
        }
    }

    /// Whether the dying process has the owner word or counts as a reader. See `src/protocol/format.rs`.
    fn is_held(&self) -> bool {
        let bytes = self.raw.bytes();
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four"));
        let mut lines = (word(68) as usize..).step_by(64).take(word(72) as usize);
        // 1 is free and at rest.
        word(LOCK) > 1 || lines.any(|line| word(line) & 0x3FFF != 0)
    }

    /// While the other is stopped: an observer sees one of its values, whole.
    fn look(&self, before: &mut Before) {
        before.seen = self.observer.version();
        if self.slots > 1 {
            let mut buffer = [0; SIZE];
            let read = self.observer.read_at(0, &mut buffer);
            read.expect("the other is only stopped");
            assert!(
                before.is_image(before.seen, &buffer),
                "torn, or another value"
            );
        }
    }

    /// After the death: the last committed value stands, and the others go on.
    fn go_on(&self, before: &Before, died: Instant, tally: &mut Tally) {
        let version = self.reader.version();
        assert_eq!(
            version, before.seen,
            "a commit was lost, or made by the dead"
        );
        let mut buffer = [0; SIZE];
        let is_poisoned = match self.reader.read_at(0, &mut buffer) {
            Ok(()) => {
                assert!(before.is_image(version, &buffer), "torn, or another value");
                // A part first: it must bring a slot up to date that the dead one may have left half written.
                let next = filled(SIZE, version as u32 + 1);
                let written = self.writer.write_at(PART.start, &next[PART]);
                written.expect("a survivor writes");
                tally.time(died.elapsed());
                buffer[PART].copy_from_slice(&next[PART]);
                let mut now = [0; SIZE];
                self.reader.read_at(0, &mut now).expect("a survivor reads");
                assert!(now == buffer, "the rest of the value was lost");
                false
            }
            Err(CortexError::Poisoned { .. }) if self.slots == 1 => {
                assert!(self.reader.is_poisoned());
                let partial = self.writer.write_at(8, &[1]).expect_err("it is poisoned");
                assert!(matches!(partial, CortexError::Poisoned { .. }), "{partial}");
                assert_eq!(self.reader.version(), version);
                true
            }
            Err(error) => panic!("a survivor could not read: {error}"),
        };
        write(&self.writer);
        if is_poisoned {
            tally.time(died.elapsed());
        }
        self.settle();
    }

    /// A whole write, and then parts of the same value: every slot holds it, and has missed parts only. So if a
    /// slot that is left half written is taken for an old value, it shows.
    fn rest(&self) {
        let number = self.writer.version() as u32 + self.slots;
        let value = filled(SIZE, number);
        self.writer.write_at(0, &value).expect("a survivor writes");
        for _ in 1..self.slots {
            let part = self.writer.write_at(PART.start, &value[PART]);
            part.expect("a survivor writes");
        }
        assert_eq!(self.writer.version(), u64::from(number));
    }

    /// A survivor that sleeps until there is another version, by itself or by a set of itself and an observer.
    fn wait<'scope>(
        &'scope self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        version: u64,
    ) -> std::thread::ScopedJoinHandle<'scope, ()> {
        let (reader, observer) = (&self.reader, &self.observer);
        asleep(scope, move || {
            if version / 4 % 2 == 0 {
                let now = reader.wait_changed(version, LONG).expect("it is woken");
                return assert_ne!(now, version);
            }
            let mut set = WaitSet::new();
            set.add_since(reader, version);
            set.add_since(observer, version);
            let changes = set.wait(LONG).expect("it is woken");
            assert!(changes.iter().all(|change| change.version != version));
        })
    }

    /// Both still work, and nobody else is counted.
    fn settle(&self) {
        let mut buffer = [0; SIZE];
        self.reader
            .read_at(0, &mut buffer)
            .expect("a survivor reads");
        assert_eq!(u64::from(check(&buffer)), self.reader.version());
        self.rest();
        let guard = self.reader.read_guard().expect("a survivor reads in place");
        assert_eq!(u64::from(check(&guard)), self.reader.version());
        drop(guard);
        assert_eq!(self.reader.participants().expect("ask").0, 2);
    }

    /// A survivor sleeps on the lock while the other dies.
    fn wake(&self, other: Tracee, tally: &mut Tally) {
        let writer = &self.writer;
        let (died, done) = std::thread::scope(|scope| {
            let sleeper = asleep(scope, move || {
                write(writer);
                Instant::now()
            });
            let died = other.kill();
            (died, sleeper.join().expect("a survivor goes on"))
        });
        tally.time_sleeper(done.saturating_duration_since(died));
        self.settle();
    }
}

/// A thread that sleeps in what it does.
fn asleep<'scope, T: Send + 'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> std::thread::ScopedJoinHandle<'scope, T> {
    let (say, hear) = std::sync::mpsc::channel();
    let sleeper = scope.spawn(move || {
        // SAFETY: no arguments.
        say.send(unsafe { libc::gettid() })
            .expect("the test listens");
        work()
    });
    let thread = hear.recv().expect("the thread says who it is");
    await_sleep(&format!("/proc/self/task/{thread}/stat"));
    sleeper
}

/// Where an operation's process dies.
#[derive(Clone, Copy)]
enum Death<'a> {
    At(Point, &'a Trail),
    /// Where it sleeps in the kernel.
    Asleep,
}

/// One operation of one process, which dies there; with `is_watched`, while a survivor sleeps on the lock, if
/// it has it then.
fn kill_at<L: CortexSync + 'static>(
    survivors: &Survivors<L>,
    operation: &Operation,
    death: Death<'_>,
    is_watched: bool,
    tally: &mut Tally,
) {
    wind_up();
    let (key, version) = (survivors.reader.key(), survivors.reader.version());
    let mut before = Before {
        version,
        images: (operation.images)(version as u32),
        seen: version,
    };
    let mut other = Tracee::start(|| (operation.prepare)(key, version as u32));
    // Only now: whoever attaches after a death moves into the dead one's slot, and settles.
    if operation.scene == Scene::HolderDead {
        die_after(|| die_holding::<L>(key, survivors.slots));
    }
    if operation.scene == Scene::Awaited {
        return std::thread::scope(|scope| {
            let waiter = survivors.wait(scope, version);
            go_to(&mut other, key, death, tally);
            survivors.look(&mut before);
            let mut died = other.kill();
            if before.seen != version {
                // Nobody else commits: if the dead one did not wake it, it wakes by itself.
                waiter
                    .join()
                    .expect("a waiter sees the last commit of the dead");
                tally.time_sleeper(died.elapsed());
                died = Instant::now();
            }
            survivors.go_on(&before, died, tally);
        });
    }
    if operation.scene == Scene::Resting {
        let sleeper = LongSleeper::beside(&survivors.raw);
        go_to(&mut other, key, death, tally);
        survivors.look(&mut before);
        let died = other.kill();
        if before.seen == version && !LongSleeper::would_be_passed_by(&survivors.raw) {
            survivors.go_on(&before, died, tally);
            return sleeper.join();
        }
        // The dead one has committed, or the next writer will not know of the sleeper: it is awake by now.
        sleeper.join();
        tally.time_sleeper(died.elapsed());
        return survivors.go_on(&before, Instant::now(), tally);
    }
    let holder = &survivors.writer;
    let write = (operation.scene == Scene::WriteHeld).then(|| holder.write_guard().expect("guard"));
    let read = (operation.scene == Scene::ReadHeld).then(|| holder.read_guard().expect("guard"));
    go_to(&mut other, key, death, tally);
    if let Some(guard) = write {
        let died = other.kill();
        guard.abort().expect("abort");
        return survivors.go_on(&before, died, tally);
    }
    if let Some(guard) = read {
        let died = other.kill();
        guard.end().expect("end");
        return survivors.go_on(&before, died, tally);
    }
    if is_watched && survivors.is_held() {
        return survivors.wake(other, tally);
    }
    survivors.look(&mut before);
    let died = other.kill();
    survivors.go_on(&before, died, tally);
}

fn go_to(other: &mut Tracee, key: i32, death: Death<'_>, tally: &mut Tally) {
    match death {
        Death::At(point, trail) => {
            let arrival = other.run_to(key, point, trail);
            tally.count(point, arrival);
        }
        Death::Asleep => {
            other.run_until_asleep();
            tally.calls += 1;
        }
    }
}

fn die_holding<L: CortexSync + 'static>(key: i32, slots: u32) {
    let segment = std::mem::ManuallyDrop::new(attach::<L>(key));
    if slots == 1 {
        // A writer would poison it, and a partial write is then refused.
        std::mem::forget(segment.read_guard().expect("guard"));
    } else {
        let mut guard = segment.write_guard().expect("guard");
        guard[10..100].fill(0xEE);
        std::mem::forget(guard);
    }
}

/// Every operation with this lock and layout, killed everywhere.
pub fn run<L: CortexSync + 'static>(slots: u32, is_c: bool) -> Tally {
    const KEY: i32 = 1;
    let mut random = Random::new();
    let mut tally = Tally::default();
    let operations = if is_c {
        c_calls::operations(slots)
    } else {
        operations::<L>(slots)
    };
    let survivors = Survivors::<L>::new(KEY, slots);
    survivors.rest();
    for operation in &operations {
        let start = Instant::now();
        let version = survivors.reader.version() as u32;
        let (trail, sleeper) = {
            let other = Tracee::start(|| (operation.prepare)(KEY, version));
            if operation.scene == Scene::HolderDead {
                die_after(|| die_holding::<L>(KEY, slots));
            }
            let holder = &survivors.writer;
            let write =
                (operation.scene == Scene::WriteHeld).then(|| holder.write_guard().expect("guard"));
            let read =
                (operation.scene == Scene::ReadHeld).then(|| holder.read_guard().expect("guard"));
            let sleeper =
                (operation.scene == Scene::Resting).then(|| LongSleeper::beside(&survivors.raw));
            let stops = if operation.waits() { SLEEPS } else { u32::MAX };
            let trail = std::thread::scope(|scope| {
                if operation.scene == Scene::Awaited {
                    survivors.wait(scope, version.into());
                }
                other.record(KEY, stops)
            });
            if let Some(guard) = write {
                guard.abort().expect("abort");
            }
            drop(read);
            (trail, sleeper)
        };
        let commits = survivors.reader.version() as usize - version as usize;
        assert_eq!(
            commits + 1,
            (operation.images)(version).len(),
            "{}",
            operation.name
        );
        survivors.rest();
        sleeper.into_iter().for_each(LongSleeper::join);
        let others = proof::cases(OTHERS, 0) as usize;
        let points = trail.points(others, &mut random);
        let kills = points.len();
        for (index, point) in points.into_iter().enumerate() {
            let _where = Where(operation.name, format!("{point:?}"));
            kill_at(
                &survivors,
                operation,
                Death::At(point, &trail),
                index % SLEEPER == 0,
                &mut tally,
            );
        }
        for _ in 0..if operation.waits() { 5 } else { 0 } {
            let _where = Where(operation.name, "asleep".into());
            kill_at(&survivors, operation, Death::Asleep, false, &mut tally);
        }
        println!(
            "{} with {slots} slots, {}: {} stops and changes in {} instructions, {kills} kills, {} ms",
            L::NAME,
            operation.name,
            trail.len().0,
            trail.len().1,
            start.elapsed().as_millis()
        );
    }
    drop(survivors);
    super::expect_nothing_after_reclaim(KEY);
    tally
}

/// So many instructions of each operation are tried beside those that change anything.
const OTHERS: u64 = 10;

/// So many stops of one that waits for ever: it asks whether the holder lives, sleeps, asks, and sleeps.
const SLEEPS: u32 = 10;

/// Every so many deaths a survivor sleeps on the lock meanwhile.
const SLEEPER: usize = 7;
