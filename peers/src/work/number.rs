//! One `f64`, nobody else about: what an access costs.

use crate::c::{self, Api};
use crate::contest::{Contest, Row, Settings, Target, C, RUST};
use crate::iceoryx::{self, Broom};
use crate::place::{Peers, Place};
use neocortex::{Cortex, CortexBuilder, CortexSync, RwLock, SeqLock};
use raw_sync::locks::{LockImpl, LockInit, Mutex};

const GUARD: &str = "RwLock read guard, f64";
const PUBLISH: &str = "publish f64, one writer";
const WRITE: &str = "write f64, many writers allowed";
const READ: &str = "read f64";

const NO_LIBRARY: &str = "not measured: libneocortex.so is not beside this program";

/// A cortex under a key of its own.
pub fn cortex<L: CortexSync>() -> Cortex<f64, L> {
    CortexBuilder::new(42.0)
        .random_key()
        .with_default_lock()
        .expect("a cortex")
}

/// neocortex 3.0.3 draws its keys from an unseeded generator, so it is given one.
fn version_3() -> neocortex3::Cortex<f64, neocortex3::Semaphore> {
    let key = cortex::<SeqLock>().key();
    neocortex3::CortexBuilder::new(42.0)
        .key(key)
        .with_default_lock()
        .expect("a cortex of 3.0.3")
}

pub fn rows(settings: &Settings) -> Vec<Row> {
    let peers = Peers::new();
    let api = Api::load();
    let mut rows = Vec::new();
    if settings.wants(GUARD) {
        rows.push(guard(settings, &peers, api.as_ref()));
    }
    if settings.wants(PUBLISH) || settings.wants(READ) {
        rows.extend(blackboard(settings, &peers, api.as_ref()));
    }
    if settings.wants(WRITE) {
        rows.push(write(settings, &peers, api.as_ref()));
    }
    rows
}

#[inline(never)]
fn repeat_read<L: CortexSync>(cortex: &Cortex<f64, L>, n: u64) -> u64 {
    (0..n).fold(0, |seen, _| seen ^ cortex.read().expect("read").to_bits())
}

#[inline(never)]
fn repeat_write<L: CortexSync>(cortex: &Cortex<f64, L>, n: u64) {
    for _ in 0..n {
        cortex.write(1.5).expect("write");
    }
}

#[inline(never)]
fn repeat_guard(cortex: &Cortex<f64, RwLock>, n: u64) -> u64 {
    (0..n).fold(0, |seen, _| {
        let guard = cortex.read_guard().expect("a guard");
        seen ^ guard.to_bits()
    })
}

#[inline(never)]
fn repeat_publish(cortex: &Cortex<f64, SeqLock>, n: u64) {
    let mut guard = cortex.write_guard().expect("a guard");
    for _ in 0..n {
        *guard = 1.5;
        guard.publish().expect("publish");
    }
    guard.abort().expect("abort");
}

fn guard(settings: &Settings, peers: &Peers, api: Option<&Api>) -> Row {
    let cortex = cortex::<RwLock>();
    let area = peers.area();
    let handle = api.map(|api| (api, api.create(8, true)));
    let mut contest = Contest::new(GUARD).timed(RUST, |n| repeat_guard(&cortex, n));
    contest = match &handle {
        // SAFETY: an open handle; see c.rs for the types.
        Some((api, handle)) => contest.timed(C, |n| unsafe {
            c::peers_api_guard(*api, handle.pointer, n)
        }),
        None => contest.absent(C, NO_LIBRARY),
    };
    // SAFETY: the area lives as long as `peers`; the same for the blocks below.
    contest = contest.timed("pthread rwlock", |n| unsafe {
        c::peers_rwlock_read(area, n)
    });
    contest = boost_reads(contest, peers);
    // SAFETY: as above.
    contest = contest.timed(COUNTED, |n| unsafe { c::peers_counted_read(area, n) });
    contest = empty_calls(contest, CALLS, api);
    contest
        .target(Target::new(0.8, "pthread rwlock"))
        .target(Target::of_c())
        .target(Target::of_c_beside(CALLS))
        .run(settings)
}

fn boost_reads<'a>(contest: Contest<'a>, peers: &'a Peers) -> Contest<'a> {
    let area = peers.boost().base();
    let mut contest = contest;
    for (column, loops) in [
        ("Boost mutex", c::boost::mutex()),
        ("Boost sharable", c::boost::sharable()),
    ] {
        contest = match loops {
            // SAFETY: initialised by `Peers::new`.
            Some(loops) => contest.timed(column, move |n| unsafe { (loops.read)(area, n) }),
            None => contest.absent(column, c::boost::MISSING),
        };
    }
    contest
}

const COUNTED: &str = "(two additions, two looks)";
const CALL: &str = "(empty C call)";
const CALLS: &str = "(two empty C calls)";

/// What it costs to call the library at all, once or twice: a function of it that finds NULL and returns.
fn empty_calls<'a>(
    contest: Contest<'a>,
    column: &'static str,
    api: Option<&'a Api>,
) -> Contest<'a> {
    let calls = if column == CALLS { 2 } else { 1 };
    match api {
        // SAFETY: it does nothing with NULL.
        Some(api) => contest.timed(column, move |n| unsafe {
            c::peers_api_nothing(api, calls * n)
        }),
        None => contest,
    }
}

fn write(settings: &Settings, peers: &Peers, api: Option<&Api>) -> Row {
    let (seqlock, rwlock, semaphore) = (
        cortex::<SeqLock>(),
        cortex::<RwLock>(),
        cortex::<neocortex::Semaphore>(),
    );
    let old = version_3();
    let area = peers.area();
    let handle = api.map(|api| (api, api.create(8, false)));
    let mut contest = Contest::new(WRITE)
        .timed(RUST, |n| repeat_write(&seqlock, n))
        .timed("neocortex RwLock", |n| repeat_write(&rwlock, n))
        .timed("neocortex Semaphore", |n| repeat_write(&semaphore, n));
    contest = match &handle {
        // SAFETY: an open handle.
        Some((api, handle)) => contest.timed(C, |n| unsafe {
            c::peers_api_write(*api, handle.pointer, n)
        }),
        None => contest.absent(C, NO_LIBRARY),
    };
    for (column, loops) in [
        ("Boost mutex", c::boost::mutex()),
        ("Boost sharable", c::boost::sharable()),
    ] {
        let boost = peers.boost().base();
        contest = match loops {
            // SAFETY: initialised by `Peers::new`.
            Some(loops) => contest.timed(column, move |n| unsafe { (loops.write)(boost, n) }),
            None => contest.absent(column, c::boost::MISSING),
        };
    }
    let raw = RawSync::new();
    // SAFETY: the area lives as long as `peers`.
    unsafe {
        contest
            .timed("pthread robust", |n| c::peers_robust_write(area, n))
            .timed("pthread rwlock", |n| c::peers_rwlock_write(area, n))
            .timed("POSIX semaphore", |n| c::peers_semaphore_write(area, n))
            .timed("neocortex 3.0.3", |n| {
                for _ in 0..n {
                    old.write(1.5).expect("write");
                }
            })
            .timed("raw_sync", |n| raw.write(n))
            .timed("semop", |n| c::peers_semop_write(area, n))
            .timed("flock", |n| c::peers_flock_write(area, n))
            .timed("(CAS, store, swap)", |n| c::peers_word_write(area, n))
            .timed("(plain store)", |n| c::peers_plain_write(area, n))
            .target(Target::new(1.0, "Boost mutex"))
            .target(Target::new(1.0, ""))
            .target(Target::new(0.6, "pthread robust"))
            .target(Target::of_c())
            .run(settings)
    }
}

/// raw_sync's mutex and a value, in shared memory.
struct RawSync {
    mutex: Box<dyn LockImpl>,
    _place: Place,
}

impl RawSync {
    fn new() -> Self {
        let place = Place::new(4096);
        // SAFETY: half a page for the mutex, the other for the value; both live as long as self.
        let (mutex, used) =
            unsafe { Mutex::new(place.base(), place.base().add(2048)) }.expect("a mutex");
        assert!(used <= 2048);
        Self {
            mutex,
            _place: place,
        }
    }

    fn write(&self, n: u64) {
        for _ in 0..n {
            let guard = self.mutex.lock().expect("lock");
            // SAFETY: the guard's pointer is the value's, which nobody else uses now.
            unsafe { guard.cast::<f64>().write_volatile(1.5) };
        }
    }

    fn read(&self, n: u64) -> u64 {
        (0..n).fold(0, |seen, _| {
            let guard = self.mutex.lock().expect("lock");
            // SAFETY: as above.
            seen ^ unsafe { guard.cast::<f64>().read_volatile() }.to_bits()
        })
    }
}

/// The two rows of iceoryx2's blackboard: one writer, which other writers are refused beside.
fn blackboard(settings: &Settings, peers: &Peers, api: Option<&Api>) -> Vec<Row> {
    let _broom = Broom::new();
    let place = iceoryx::Place::new();
    let name = format!("peers/{}", std::process::id());
    let service = place
        .node
        .service_builder(&name.as_str().try_into().expect("a name"))
        .blackboard_creator::<u64>()
        .add::<f64>(1, 42.0)
        .create()
        .expect("a blackboard");
    let writer = service.writer_builder().create().expect("a writer");
    let reader = service.reader_builder().create().expect("a reader");
    let update = writer.entry::<f64>(&1).expect("the writer's entry");
    let get = reader.entry::<f64>(&1).expect("the reader's entry");

    let mut rows = Vec::new();
    if settings.wants(PUBLISH) {
        let cortex = cortex::<SeqLock>();
        let handle = api.map(|api| (api, api.create(8, false)));
        let mut contest = Contest::new(PUBLISH).timed(RUST, |n| repeat_publish(&cortex, n));
        contest = match &handle {
            // SAFETY: an open handle.
            Some((api, handle)) => contest.timed(C, |n| unsafe {
                c::peers_api_publish(*api, handle.pointer, n)
            }),
            None => contest.absent(C, NO_LIBRARY),
        };
        contest = empty_calls(contest, CALL, api);
        rows.push(
            contest
                .timed("iceoryx2 update", |n| {
                    for _ in 0..n {
                        update.update_with_copy(std::hint::black_box(1.5));
                    }
                })
                .target(Target::new(1.0, "iceoryx2 update"))
                .target(Target::of_c())
                .target(Target::of_c_beside(CALL))
                .run(settings),
        );
    }
    if settings.wants(READ) {
        let (seqlock, rwlock, semaphore) = (
            self::cortex::<SeqLock>(),
            self::cortex::<RwLock>(),
            self::cortex::<neocortex::Semaphore>(),
        );
        let old = version_3();
        let raw = RawSync::new();
        let area = peers.area();
        let handle = api.map(|api| (api, api.create(8, false)));
        let mut contest = Contest::new(READ)
            .timed(RUST, |n| repeat_read(&seqlock, n))
            .timed("neocortex RwLock", |n| repeat_read(&rwlock, n))
            .timed("neocortex Semaphore", |n| repeat_read(&semaphore, n));
        contest = match &handle {
            Some((api, handle)) => {
                // SAFETY: an open handle.
                contest.timed(C, |n| unsafe { c::peers_api_read(*api, handle.pointer, n) })
            }
            None => contest.absent(C, NO_LIBRARY),
        };
        contest = empty_calls(contest, CALL, api);
        contest = contest.timed("iceoryx2 get", |n| {
            (0..n).fold(0, |seen, _| {
                seen ^ std::hint::black_box(&get).get().to_bits()
            })
        });
        contest = boost_reads(contest, peers);
        // SAFETY: the area lives as long as `peers`.
        let row = unsafe {
            contest
                .timed("pthread robust", |n| c::peers_robust_read(area, n))
                .timed("pthread rwlock", |n| c::peers_rwlock_read(area, n))
                .timed("POSIX semaphore", |n| c::peers_semaphore_read(area, n))
                .timed("neocortex 3.0.3", |n| {
                    (0..n).fold(0, |seen, _| seen ^ old.read().expect("read").to_bits())
                })
                .timed("raw_sync", |n| raw.read(n))
                .timed("semop", |n| c::peers_semop_read(area, n))
                .timed("flock", |n| c::peers_flock_read(area, n))
                .timed("(plain load)", |n| c::peers_plain_read(area, n))
                .timed("(plain load pair)", |n| c::peers_plain_pair_read(area, n))
                .timed("(commit protocol)", |n| c::peers_commit_read(area, n))
                .target(Target::new(0.2, ""))
                .target(Target::new(2.0, "(plain load pair)"))
                .target(Target::new(2.0, "(commit protocol)"))
                .target(Target::of_c())
                .target(Target::of_c_beside(CALL))
                .run(settings)
        };
        rows.push(row);
    }
    rows
}

/// One fast path, many times: for `valgrind --tool=callgrind` and `perf`.
pub fn repeat(path: &str, n: u64) {
    let api = Api::load().expect("libneocortex.so");
    let (seqlock, rwlock) = (cortex::<SeqLock>(), cortex::<RwLock>());
    // SAFETY: handles that live during the call.
    unsafe {
        match path {
            "read" => drop(std::hint::black_box(repeat_read(&seqlock, n))),
            "write" => repeat_write(&seqlock, n),
            "guard" => drop(std::hint::black_box(repeat_guard(&rwlock, n))),
            "publish" => repeat_publish(&seqlock, n),
            "c-read" => drop(c::peers_api_read(&api, api.create(8, false).pointer, n)),
            "c-write" => c::peers_api_write(&api, api.create(8, false).pointer, n),
            "c-guard" => drop(c::peers_api_guard(&api, api.create(8, true).pointer, n)),
            "c-publish" => c::peers_api_publish(&api, api.create(8, false).pointer, n),
            path => panic!("no such path: {path}"),
        }
    }
}
