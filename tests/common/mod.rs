//! What the tests share: keys, processes, pipes, the kernel's tables, checked payloads, a watchdog.
//!
//! A test begins with [`Kernel::new`] and takes its keys from it; when it ends, the guard sees to it
//! that nothing of the test is left in the kernel, and fails the test if something was. A process is
//! this executable again, with a *role*: an ordinary `#[test]` that returns at once without one.

#![allow(dead_code)]

pub mod proof;
/// `semctl` where `libc` does not declare it.
#[allow(unused_imports)]
#[path = "../../src/sys/sem_abi.rs"]
mod sem_abi;

use sem_abi::{semctl, GETPID, GETVAL};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{mpsc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Calls a function that is generic over the lock, by the lock's name.
#[macro_export]
macro_rules! by_lock {
    ($name:expr, $function:ident($($argument:expr),* $(,)?)) => {
        match $name {
            "seqlock" => $function::<neocortex::SeqLock>($($argument),*),
            "rwlock" => $function::<neocortex::RwLock>($($argument),*),
            "semaphore" => $function::<neocortex::Semaphore>($($argument),*),
            other => panic!("no lock is called {other}"),
        }
    };
}

pub const LOCKS: [&str; 3] = ["seqlock", "rwlock", "semaphore"];

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// ---- Random numbers --------------------------------------------------------------------------

/// One step of splitmix64: a good hash of a counter.
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Numbers that differ in every run; the seed is printed, and shown when the test fails.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        let mut bytes = [0; 8];
        let mut source = std::fs::File::open("/dev/urandom").expect("/dev/urandom");
        source.read_exact(&mut bytes).expect("/dev/urandom");
        let seed = u64::from_ne_bytes(bytes);
        println!("random seed {seed:#x}");
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    /// Below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

// ---- The kernel's tables ---------------------------------------------------------------------

/// The value that the first semaphore of a set of ours has.
pub const MARK: i32 = 20035;

/// As in `src/sys/sem.rs`: a `semid_ds`, which `libc` does not define everywhere, begins so.
#[repr(C)]
struct SetStatus {
    permission: libc::ipc_perm,
    rest: [u64; 64],
}

/// The id of the segment that has this key now.
pub fn segment_id(key: i32) -> Option<i32> {
    // SAFETY: shmget takes no pointers; without flags it only looks.
    let id = unsafe { libc::shmget(key as libc::key_t, 0, 0) };
    (id != -1).then_some(id)
}

/// What the kernel says about a segment; `None` where there is none.
pub fn segment_status(id: i32) -> Option<libc::shmid_ds> {
    // SAFETY: plain old data.
    let mut status: libc::shmid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: a live buffer.
    let result = unsafe { libc::shmctl(id, libc::IPC_STAT, &mut status) };
    (result == 0).then_some(status)
}

/// The lines of this process's `/proc/self/maps`.
pub fn mappings() -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the own mappings");
    maps.lines().map(String::from).collect()
}

/// How many segments are mapped into this process: the kernel names such a mapping `/SYSV` and the key.
pub fn attachments() -> usize {
    let is_segment = |line: &&String| line.contains("/SYSV");
    mappings().iter().filter(is_segment).count()
}

pub fn remove_segment(id: i32) {
    // SAFETY: IPC_RMID ignores the pointer.
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
}

pub fn remove_set(id: i32) {
    // SAFETY: IPC_RMID takes no fourth argument.
    unsafe { semctl(id, 0, libc::IPC_RMID) };
}

/// The permission bits of a semaphore set.
pub fn set_mode(id: i32) -> u32 {
    // SAFETY: plain old data.
    let mut status: SetStatus = unsafe { std::mem::zeroed() };
    // SAFETY: a live buffer, larger than any system's semid_ds.
    let result = unsafe { semctl(id, 0, libc::IPC_STAT, &raw mut status) };
    assert_eq!(result, 0, "IPC_STAT of set {id}");
    u32::from(status.permission.mode) & 0o777
}

/// One value of a set; `None` where there is no such semaphore.
pub fn semaphore(set: i32, index: i32) -> Option<i32> {
    // SAFETY: GETVAL takes no fourth argument.
    let value = unsafe { semctl(set, index, GETVAL) };
    (value != -1).then_some(value)
}

/// The sets of ours in the kernel: (set, the segment that it belongs to, who made it).
fn sets() -> Vec<(i32, i32, i32)> {
    let table = std::fs::read_to_string("/proc/sysvipc/sem").expect("/proc/sysvipc/sem");
    let ids = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1)?.parse().ok());
    ids.filter_map(|set: i32| {
        if semaphore(set, 0)? != MARK {
            return None;
        }
        let mut segment = 0_u32;
        for piece in 0..3 {
            segment |= (semaphore(set, 1 + piece)? as u32) << (15 * piece);
        }
        // SAFETY: GETPID takes no fourth argument. Only SETALL ever sets the mark, so this is the
        // process that made the set.
        let creator = unsafe { semctl(set, 0, GETPID) };
        Some((set, segment as i32, creator))
    })
    .collect()
}

/// The semaphore sets that belong to a segment.
pub fn sets_of(segment: i32) -> Vec<i32> {
    sets()
        .into_iter()
        .filter(|set| set.1 == segment)
        .map(|set| set.0)
        .collect()
}

/// The processes of this executable so far.
static PROCESSES: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// Odd while this executable compiles what its tests run, which is not their time.
pub static BUILDS: AtomicU64 = AtomicU64::new(0);

/// The keys that tests of this executable use now.
static KEYS: Mutex<Vec<i32>> = Mutex::new(Vec::new());

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

/// Hands out keys, and when dropped sees to it that nothing is left in the kernel: no segment with
/// one of the keys, and no semaphore set, made by this process or its children, without its segment.
/// A test that lasts for two minutes is ended, and cleaned up after.
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
            loop {
                let builds = BUILDS.load(Ordering::Relaxed);
                let answer = bark.recv_timeout(Duration::from_secs(120));
                if answer != Err(mpsc::RecvTimeoutError::Timeout) {
                    return;
                }
                // Anew, where the test waited for a compiler meanwhile.
                if builds % 2 == 0 && builds == BUILDS.load(Ordering::Relaxed) {
                    break;
                }
            }
            let message = format!("watchdog: {name} has lasted for two minutes\n");
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

/// A segment that this library did not make, mapped.
pub struct Foreign {
    pub id: i32,
    base: *mut u8,
    size: usize,
}

impl Foreign {
    pub fn create(key: i32, size: usize) -> Self {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o600;
        // SAFETY: shmget takes no pointers.
        let id = unsafe { libc::shmget(key as libc::key_t, size, flags) };
        assert_ne!(id, -1, "{}", std::io::Error::last_os_error());
        Self::attach(id)
    }

    /// Maps what has this key.
    pub fn open(key: i32) -> Self {
        Self::attach(segment_id(key).expect("the key is in use"))
    }

    /// Maps the segment with this id.
    pub fn of(id: i32) -> Self {
        Self::attach(id)
    }

    fn attach(id: i32) -> Self {
        // SAFETY: the kernel chooses the address.
        let base = unsafe { libc::shmat(id, std::ptr::null(), 0) };
        assert_ne!(base as isize, -1, "{}", std::io::Error::last_os_error());
        #[allow(clippy::unnecessary_cast)] // an int on OpenBSD
        let size = segment_status(id).expect("just attached").shm_segsz as usize;
        Self {
            id,
            base: base.cast(),
            size,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        // SAFETY: the mapping is that long. Others may store to it; then the bytes are a mixture.
        (0..self.size)
            .map(|at| unsafe { self.base.add(at).read_volatile() })
            .collect()
    }

    /// A word that others may change meanwhile.
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset % 4 == 0 && offset + 4 <= self.size);
        // SAFETY: mapped for as long as `self`, and aligned, as just checked; a mapping begins a page.
        unsafe { &*self.base.add(offset).cast() }
    }

    pub fn put(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.size);
        for (at, &byte) in bytes.iter().enumerate() {
            // SAFETY: checked above.
            unsafe { self.base.add(offset + at).write_volatile(byte) };
        }
    }
}

// SAFETY: only numbers; the mapping is the process's, not a thread's.
unsafe impl Send for Foreign {}

impl Drop for Foreign {
    fn drop(&mut self) {
        // SAFETY: attached once, detached once.
        unsafe { libc::shmdt(self.base.cast()) };
    }
}

// ---- Processes -------------------------------------------------------------------------------

const ROLE: &str = "NEOCORTEX_TEST_ROLE";
const ARGUMENTS: &str = "NEOCORTEX_TEST_ARGUMENTS";

/// The process that started the role, which ends with it; none where a person starts it.
const TEST: &str = "NEOCORTEX_TEST_PROCESS";

/// Names the emulator, with its options, where this executable needs one.
const RUNNER: &str = "NEOCORTEX_TEST_RUNNER";

/// Whether this cannot be tried because an emulator runs the test; says so, and why.
pub fn is_emulated(promises: &str, how: &str, why: &str) -> bool {
    let is_emulated = std::env::var_os(RUNNER).is_some();
    if is_emulated {
        proof::not_run(promises, how, why);
    }
    is_emulated
}

/// Marks a line of a role's, for the test harness writes to the same pipe.
const LINE: &str = "@@ ";

/// What this process is to do.
pub struct Role {
    arguments: Vec<String>,
}

impl Role {
    /// Whether this process was started for this role.
    pub fn of(name: &str) -> Option<Self> {
        if std::env::var(ROLE).ok()? != name {
            return None;
        }
        #[cfg(target_os = "linux")]
        if let Ok(test) = std::env::var(TEST) {
            // SAFETY: a system call and nothing else.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            // 0: it is in another PID namespace.
            let parent = std::os::unix::process::parent_id();
            if parent != 0 && parent.to_string() != test {
                std::process::exit(3);
            }
        }
        let arguments = std::env::var(ARGUMENTS).unwrap_or_default();
        Some(Self {
            arguments: arguments.split_whitespace().map(str::to_owned).collect(),
        })
    }

    pub fn text(&self, index: usize) -> &str {
        &self.arguments[index]
    }

    pub fn number(&self, index: usize) -> usize {
        self.arguments[index].parse().expect("a number")
    }

    pub fn key(&self) -> i32 {
        self.arguments[0].parse().expect("a key")
    }

    /// Tells the test something: see [`Child::hear`].
    pub fn say(&self, words: impl std::fmt::Display) {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{LINE}{words}")
            .and_then(|()| out.flush())
            .expect("the test listens");
    }

    /// Waits for what the test tells; without a test any more, ends the process.
    pub fn listen(&self) -> String {
        let mut line = String::new();
        match std::io::stdin().lock().read_line(&mut line) {
            Ok(count) if count > 0 => line.trim().to_owned(),
            _ => std::process::exit(3),
        }
    }
}

/// Another process with a role; ended when dropped.
pub struct Child {
    process: std::process::Child,
    from: BufReader<std::process::ChildStdout>,
    is_over: bool,
}

impl Child {
    /// Runs this executable with the test of this name as its role.
    pub fn spawn(role: &str, arguments: &[&dyn std::fmt::Display]) -> Self {
        let me = std::env::current_exe().expect("this executable");
        // What runs programs of this machine where it is an emulated one.
        let runner = std::env::var(RUNNER).unwrap_or_default();
        let mut program: Vec<String> = runner.split_whitespace().map(str::to_owned).collect();
        program.push(me.to_str().expect("a path in UTF-8").to_owned());
        Self::spawn_from(&program, role, arguments)
    }

    /// Runs another program with the test of this name as its role: this one, built for another machine.
    pub fn spawn_from(
        program: &[String],
        role: &str,
        arguments: &[&dyn std::fmt::Display],
    ) -> Self {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        let mut command = Command::new(&program[0]);
        command
            .args(&program[1..])
            .args([role, "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(ARGUMENTS, arguments.join(" "))
            .env(TEST, std::process::id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // Nothing is done between fork and exec: so std takes `posix_spawn`, and there is no copy of this process that
        // has mapped what the parallel tests' handles have. QEMU's `vfork` is a fork that nobody waits for; std's own is
        // waited for.
        if std::env::var_os(RUNNER).is_some() {
            // SAFETY: does nothing.
            unsafe { command.pre_exec(|| Ok(())) };
        }
        let mut process = command.spawn().expect("start this executable");
        lock(&PROCESSES).push(process.id() as i32);
        let from = BufReader::new(process.stdout.take().expect("piped"));
        Self {
            process,
            from,
            is_over: false,
        }
    }

    pub fn id(&self) -> i32 {
        self.process.id() as i32
    }

    /// The next thing the role says.
    pub fn hear(&mut self) -> String {
        loop {
            let mut line = Vec::new();
            if self.from.read_until(b'\n', &mut line).expect("the pipe") == 0 {
                panic!("the role ended without a word: {:?}", self.wait());
            }
            let line = String::from_utf8_lossy(&line);
            if let Some((_, words)) = line.split_once(LINE) {
                return words.trim().to_owned();
            }
        }
    }

    pub fn expect(&mut self, words: &str) {
        assert_eq!(self.hear(), words);
    }

    pub fn tell(&mut self, words: &str) {
        let to = self.process.stdin.as_mut().expect("piped");
        writeln!(to, "{words}")
            .and_then(|()| to.flush())
            .expect("the role listens");
    }

    pub fn signal(&self, signal: i32) {
        assert!(!self.is_over);
        // SAFETY: kill takes no pointers; not waited for yet, so the id is still this child's.
        assert_eq!(unsafe { libc::kill(self.id(), signal) }, 0);
    }

    /// Waits until it is stopped by a signal.
    pub fn await_stop(&self) {
        let mut status = 0;
        // SAFETY: a live place for the status; a child of ours.
        let id = unsafe { libc::waitpid(self.id(), &mut status, libc::WUNTRACED) };
        assert!(id == self.id() && libc::WIFSTOPPED(status));
    }

    /// Kills it; when this returns, the kernel has taken the process down.
    pub fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        assert_eq!(self.wait().signal(), Some(libc::SIGKILL));
    }

    pub fn wait(&mut self) -> ExitStatus {
        let status = self.process.wait().expect("wait for a child");
        self.is_over = true;
        status
    }

    /// Waits for its end and demands success.
    pub fn finish(mut self) {
        let status = self.wait();
        assert!(status.success(), "a role failed: {status}");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// A forked child of this process; ended when dropped.
pub struct Forked {
    id: i32,
    report: std::fs::File,
    is_over: bool,
}

/// Runs `work` in a fork of this process. A panic in there is this test's, at [`Forked::join`].
pub fn fork(work: impl FnOnce()) -> Forked {
    let (report, mut to) = pipe();
    // SAFETY: the child runs `work`, which uses this library and what it allocates, and `_exit`s.
    let id = unsafe { libc::fork() };
    assert_ne!(id, -1);
    if id == 0 {
        #[cfg(target_os = "linux")]
        // SAFETY: a system call and nothing else.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let code = match result {
            Ok(()) => 0,
            Err(payload) => {
                let words = payload.downcast_ref::<String>().map(String::as_str);
                let words = words
                    .or(payload.downcast_ref::<&str>().copied())
                    .unwrap_or("?");
                let _ = to.write_all(words.as_bytes());
                1
            }
        };
        // SAFETY: ends the child at once; nothing of the parent's is run.
        unsafe { libc::_exit(code) };
    }
    lock(&PROCESSES).push(id);
    Forked {
        id,
        report,
        is_over: false,
    }
}

impl Forked {
    pub fn join(mut self) {
        let mut words = String::new();
        self.report.read_to_string(&mut words).expect("the pipe");
        let mut status = 0;
        // SAFETY: a child of ours, a live place.
        assert_eq!(unsafe { libc::waitpid(self.id, &mut status, 0) }, self.id);
        self.is_over = true;
        assert_eq!(status, 0, "the forked child failed: {words}");
    }

    /// Kills it; when this returns, the kernel has taken the process down.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if !self.is_over {
            // SAFETY: a child of ours that was not waited for yet.
            unsafe {
                libc::kill(self.id, libc::SIGKILL);
                libc::waitpid(self.id, std::ptr::null_mut(), 0);
            }
            self.is_over = true;
        }
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        self.end();
    }
}

/// (where it comes out, where it goes in); not inherited through `exec`.
pub fn pipe() -> (std::fs::File, std::fs::File) {
    let mut ends = [0; 2];
    // SAFETY: a live array of two; the descriptors are new, and each gets one owner.
    unsafe {
        #[cfg(not(target_vendor = "apple"))]
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        // macOS has no pipe2: a child started between these two inherits the pipe.
        #[cfg(target_vendor = "apple")]
        {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            for end in ends {
                assert_ne!(libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC), -1);
            }
        }
        (
            std::fs::File::from_raw_fd(ends[0]),
            std::fs::File::from_raw_fd(ends[1]),
        )
    }
}

/// A place where a process waits for another: one byte through a pipe.
pub struct Gate {
    from: std::fs::File,
    to: std::fs::File,
}

impl Gate {
    pub fn new() -> Self {
        let (from, to) = pipe();
        Self { from, to }
    }

    pub fn open(&self) {
        (&self.to).write_all(b".").expect("the pipe");
    }

    pub fn pass(&self) {
        (&self.from).read_exact(&mut [0]).expect("the pipe");
    }
}

/// Turns of a busy wait that the compiler cannot leave out.
pub fn spin(turns: usize) {
    static SINK: AtomicU64 = AtomicU64::new(0);
    for turn in 0..turns {
        SINK.fetch_add(turn as u64, Ordering::Relaxed);
    }
}

// ---- Checked payloads ------------------------------------------------------------------------

fn first_word(number: u32) -> u64 {
    u64::from(number) | mix(u64::from(number)) << 32
}

/// Fills at least 8 bytes, a multiple of 8, so that they tell this number and nothing else.
pub fn fill(payload: &mut [u8], number: u32) {
    for (index, word) in payload.chunks_exact_mut(8).enumerate() {
        let value = match index {
            0 => first_word(number),
            _ => mix(u64::from(number) << 20 | index as u64),
        };
        word.copy_from_slice(&value.to_ne_bytes());
    }
}

pub fn filled(size: usize, number: u32) -> Vec<u8> {
    let mut payload = vec![0; size];
    fill(&mut payload, number);
    payload
}

/// The number that the bytes tell; a panic where they are of two different ones.
#[track_caller]
pub fn check(payload: &[u8]) -> u32 {
    let word = |at: &[u8]| u64::from_ne_bytes(at.try_into().expect("eight bytes"));
    let first = word(&payload[..8]);
    let number = first as u32;
    assert_eq!(first, first_word(number), "torn in the first word");
    for (index, bytes) in payload.chunks_exact(8).enumerate().skip(1) {
        let expected = mix(u64::from(number) << 20 | index as u64);
        assert_eq!(
            word(bytes),
            expected,
            "torn in word {index} of value {number}"
        );
    }
    number
}
