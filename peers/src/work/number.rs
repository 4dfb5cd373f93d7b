//! One `f64`, nobody else about: what an access costs.

use crate::c::{self, Api};
use crate::contest::{Contest, Row, Settings, Target, C, RUST};
use crate::place::{Peers, Place};
use iceoryx2::prelude::*;
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
    contest
        .target(Target::new(0.8, "pthread rwlock"))
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
    set_log_level(LogLevel::Error);
    let folder = std::env::temp_dir().join(format!("peers-{}", std::process::id()));
    let mut config = Config::default();
    let path = Path::new(
        folder
            .to_str()
            .expect("a temporary directory in UTF-8")
            .as_bytes(),
    )
    .expect("a short path");
    config.global.set_root_path(&path);
    // So that what it leaves in /dev/shm can be told from others'.
    let prefix = format!("peers{}_", std::process::id());
    config.global.prefix = FileName::new(prefix.as_bytes()).expect("a short name");
    let node = NodeBuilder::new()
        .config(&config)
        .create::<ipc::Service>()
        .expect("a node of iceoryx2");
    let name = format!("peers/{}", std::process::id());
    let service = node
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
        rows.push(
            contest
                .timed("iceoryx2 update", |n| {
                    for _ in 0..n {
                        update.update_with_copy(std::hint::black_box(1.5));
                    }
                })
                .target(Target::new(1.0, "iceoryx2 update"))
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
                .target(Target::new(0.2, ""))
                .target(Target::new(2.0, "(plain load pair)"))
                .run(settings)
        };
        rows.push(row);
    }
    drop((update, get, writer, reader, service, node));
    let _ = std::fs::remove_dir_all(&folder);
    // The node's management segment outlives the node.
    let left = std::fs::read_dir("/dev/shm")
        .into_iter()
        .flatten()
        .flatten();
    for file in left.filter(|file| file.file_name().to_string_lossy().starts_with(&prefix)) {
        let _ = std::fs::remove_file(file.path());
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
