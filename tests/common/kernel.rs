//! A test begins with [`Kernel::new`] and takes its keys from it; when it ends, the guard sees to it that nothing of the test
//! is left in the kernel, and fails the test if something was.

use super::lock;
use super::payload::Random;
use super::tables::{remove_segment, remove_set, segment_id, segment_status, sets, sets_of};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{mpsc, Mutex};
use std::time::Duration;

/// The processes of this executable so far.
pub(super) static PROCESSES: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// Odd while this executable compiles what its tests run, which is not their time.
pub static BUILDS: AtomicU64 = AtomicU64::new(0);

/// The keys that tests of this executable use now.
pub(super) static KEYS: Mutex<Vec<i32>> = Mutex::new(Vec::new());

fn orphans() -> Vec<i32> {
    let me = std::process::id() as i32;
    let processes = lock(&PROCESSES).clone();
    sets()
        .into_iter()
        .filter(|&(_, segment, creator)| {
            segment_status(segment).is_none() && (creator == me || processes.contains(&creator))
        })
        .map(|set| set.0)
        .collect()
}

/// Takes away what has this key; what there was.
fn clean(key: i32) -> Option<String> {
    let id = segment_id(key)?;
    let sets = sets_of(id);
    sets.iter().copied().for_each(remove_set);
    remove_segment(id);
    Some(format!(
        "key {key:#x}: segment {id}, semaphore sets {sets:?}"
    ))
}

/// How much the processors have done for this process and its children, in hundredths of seconds.
fn work() -> u64 {
    let mut ticks = 0;
    for who in [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN] {
        // SAFETY: plain old data.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: a live buffer.
        unsafe { libc::getrusage(who, &mut usage) };
        for time in [usage.ru_utime, usage.ru_stime] {
            ticks += time.tv_sec as u64 * 100 + time.tv_usec as u64 / 10_000;
        }
    }
    // Those that still run; Linux alone tells.
    let processes = lock(&PROCESSES).clone();
    for process in processes {
        let told = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let figures = told
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        ticks += figures
            .skip(11)
            .take(4)
            .filter_map(|figure| figure.parse::<u64>().ok())
            .sum::<u64>();
    }
    ticks
}

/// Hands out keys, and when dropped sees to it that nothing is left in the kernel: no segment with
/// one of the keys, and no semaphore set, made by this process or its children, without its segment.
/// A test that hangs is ended, and cleaned up after.
pub struct Kernel {
    keys: Mutex<Vec<i32>>,
    /// Dropped with the guard, which ends the watchdog.
    _alive: mpsc::Sender<()>,
}

impl Kernel {
    pub fn new() -> Self {
        let (alive, bark) = mpsc::channel::<()>();
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        std::thread::spawn(move || {
            let (mut quiet, mut ticks, mut before) = (0, 0, work());
            // Five minutes without work, or ten with it: on a busy machine a test may be slow, and does not hang.
            while quiet < 30 && ticks < 60 {
                let answer = bark.recv_timeout(Duration::from_secs(10));
                if answer != Err(mpsc::RecvTimeoutError::Timeout) {
                    return;
                }
                let now = work();
                let is_building = BUILDS.load(Ordering::Relaxed) % 2 == 1;
                quiet = if is_building || now.abs_diff(before) > 10 {
                    0
                } else {
                    quiet + 1
                };
                (ticks, before) = (if is_building { 0 } else { ticks + 1 }, now);
            }
            let message = format!("watchdog: {name} does not end\n");
            // Not `eprintln`, which is captured.
            let _ = std::io::stderr().write_all(message.as_bytes());
            for &process in lock(&PROCESSES).iter() {
                // SAFETY: kill takes no pointers; a child of ours, or gone.
                unsafe { libc::kill(process, libc::SIGKILL) };
            }
            lock(&KEYS).iter().copied().for_each(|key| drop(clean(key)));
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(124) }
        });
        Self {
            keys: Mutex::default(),
            _alive: alive,
        }
    }

    /// A random key that nothing uses.
    pub fn key(&self) -> i32 {
        let mut random = Random::new();
        loop {
            let key = random.next() as i32 & i32::MAX;
            if key != 0 && segment_id(key).is_none() {
                self.watch(key);
                return key;
            }
        }
    }

    /// A random name, whose key nothing uses.
    pub fn name(&self) -> String {
        let mut random = Random::new();
        loop {
            let name = format!("test/{:x}", random.next());
            let key = neocortex::key_of(&name).expect("a name");
            if segment_id(key).is_none() {
                self.watch(key);
                return name;
            }
        }
    }

    /// Two random names that have one key, which nothing uses: as many are drawn as it takes (about 2^15, for the keys
    /// of names have 30 bits).
    pub fn twins(&self) -> [String; 2] {
        let seed = Random::new().next();
        let mut seen = std::collections::HashMap::new();
        for number in 0_u32.. {
            let name = format!("twin/{seed:x}/{number}");
            let key = neocortex::key_of(&name).expect("a name");
            match seen.insert(key, name.clone()) {
                Some(other) if segment_id(key).is_none() => {
                    println!("{other} and {name} have the key {key}");
                    self.watch(key);
                    return [other, name];
                }
                _ => {}
            }
        }
        unreachable!("there are no more names than keys")
    }

    /// Counts a key that came from elsewhere as this test's.
    pub fn watch(&self, key: i32) {
        lock(&self.keys).push(key);
        lock(&KEYS).push(key);
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let keys = std::mem::take(&mut *lock(&self.keys));
        let mut left: Vec<_> = keys.iter().filter_map(|&key| clean(key)).collect();
        lock(&KEYS).retain(|key| !keys.contains(key));
        // A parallel test may be between removing a segment and removing its set.
        for attempt in 0.. {
            let orphans = orphans();
            if orphans.is_empty() {
                break;
            }
            if attempt == 200 {
                orphans.iter().copied().for_each(remove_set);
                left.push(format!("semaphore sets without a segment {orphans:?}"));
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if !left.is_empty() && !std::thread::panicking() {
            panic!("left behind in the kernel: {left:?}");
        }
    }
}
