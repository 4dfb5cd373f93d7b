//! Making one system call of this process fail.
//!
//! The calling thread gets a seccomp filter that asks another thread of the same process, the supervisor, about
//! every system call it makes (`seccomp_unotify(2)`). The supervisor lets a call through or answers it with an
//! error number, and writes down what was called. Only what is called while [`armed`] is judged; all else is let
//! through. A filter cannot be taken off again, so that each case is a process of its own.

use super::calls;
use super::common::Gate;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};

/// So many calls in one operation are an endless loop.
const ENDLESS: usize = 20_000;

/// The exit code of a process in an endless loop.
pub const EXIT_ENDLESS: i32 = 97;

/// A call of an operation: the function, and how many calls of it came before. Not the number among all calls: the
/// allocator asks for memory now and then, and is not the same in two processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call(pub &'static str, pub usize);

/// Which calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// This one.
    Only(Call),
    /// This one, and from then on every call of the same function.
    From(Call),
    /// Every call of this function after that one.
    After(Call, &'static str),
}

/// Calls that fail, and the answer that they get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub place: Place,
    pub errno: i32,
}

static ARMED: AtomicBool = AtomicBool::new(false);
/// What was called while armed: the function, and whether it was made to fail.
static LOG: Mutex<Vec<(&'static str, i32)>> = Mutex::new(Vec::new());

/// Something that happens when the operation has gone to sleep that often, before that sleep begins: `gate` opens, and
/// somebody opens `done`.
#[derive(Clone)]
pub struct OnSleep {
    pub count: usize,
    pub gate: Arc<Gate>,
    pub done: Arc<Gate>,
}

/// What an operation called.
#[derive(Debug, Default, Clone)]
pub struct Trace {
    pub calls: Vec<(&'static str, i32)>,
}

impl Trace {
    /// The rules' answers that were really given.
    pub fn injected(&self) -> Vec<(&'static str, i32)> {
        self.calls
            .iter()
            .copied()
            .filter(|call| call.1 != 0)
            .collect()
    }
}

/// The error numbers with which the next call is answered, if it is to fail.
fn answer(rules: &[Rule], log: &[(&'static str, i32)], function: &'static str) -> i32 {
    let calls = |name: &str| log.iter().filter(|call| call.0 == name).count();
    let applies = |rule: &&Rule| match rule.place {
        Place::Only(Call(name, before)) => name == function && calls(name) == before,
        Place::From(Call(name, before)) => name == function && calls(name) >= before,
        Place::After(Call(name, before), next) => next == function && calls(name) > before,
    };
    rules.iter().find(applies).map_or(0, |rule| rule.errno)
}

fn receive(listener: i32) -> Option<libc::seccomp_notif> {
    /// `SECCOMP_IOCTL_NOTIF_RECV`: read and write, 80 bytes, '!', 0.
    const RECEIVE: libc::c_ulong = 0xC050_2100;
    // SAFETY: plain old data; the kernel demands zeros.
    let mut request: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: a live structure of the size that the request's number says.
    let result = unsafe { libc::ioctl(listener, RECEIVE as _, &mut request) };
    (result == 0).then_some(request)
}

/// Lets the call through (`errno` 0) or answers it.
fn respond(listener: i32, id: u64, errno: i32) {
    /// `SECCOMP_IOCTL_NOTIF_SEND`: read and write, 24 bytes, '!', 1.
    const SEND: libc::c_ulong = 0xC018_2101;
    // SAFETY: plain old data.
    let mut response: libc::seccomp_notif_resp = unsafe { std::mem::zeroed() };
    response.id = id;
    response.error = -errno;
    if errno == 0 {
        response.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
    }
    // SAFETY: a live structure of the size that the request's number says.
    unsafe { libc::ioctl(listener, SEND as _, &response) };
}

/// Has each of the two threads woken where the other one goes to sleep, so that a call takes no turn of a busy machine's
/// other processes. Linux before 6.6 does not know it.
fn wake_at_once(listener: i32) {
    /// `SECCOMP_IOCTL_NOTIF_SET_FLAGS`: written, 8 bytes, '!', 4; the flag is `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`.
    const SET_FLAGS: libc::c_ulong = 0x4008_2104;
    // SAFETY: passed by value.
    unsafe { libc::ioctl(listener, SET_FLAGS as _, 1_u64) };
}

fn supervise(listener: i32, rules: &[Rule], on_sleep: Option<&OnSleep>) {
    wake_at_once(listener);
    let mut sleeps = 0;
    loop {
        let Some(request) = receive(listener) else {
            if std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT) {
                // The caller was killed in between.
                continue;
            }
            return;
        };
        let mut errno = 0;
        if ARMED.load(Ordering::SeqCst) {
            let function = calls::function(i64::from(request.data.nr), &request.data.args);
            let mut log = LOG.lock().expect("the log");
            errno = answer(rules, &log, function);
            log.push((function, errno));
            if log.len() > ENDLESS {
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(EXIT_ENDLESS) };
            }
            if calls::is_sleep(function) {
                sleeps += 1;
                if let Some(on_sleep) = on_sleep.filter(|on_sleep| on_sleep.count == sleeps) {
                    on_sleep.gate.open();
                    on_sleep.done.pass();
                }
            }
        }
        respond(listener, request.id, errno);
    }
}

/// Puts the filter on the calling thread, for good.
///
/// # Errors
/// Where this system has no such filters.
pub fn begin(rules: Vec<Rule>, on_sleep: Option<OnSleep>) -> std::io::Result<()> {
    /// -1 until the filter is there, -2 where it cannot be had.
    static LISTENER: AtomicI32 = AtomicI32::new(-1);
    /// Whether the supervisor has begun. Beginning takes locks of the C library (for destructors of the thread's own
    /// variables), and whoever gives such a lock back wakes the next one by a call: made by the filter's thread, which
    /// has to wait for the supervisor, it would never come.
    static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
    let supervisor = move || {
        HAS_BEGUN.store(true, Ordering::SeqCst);
        // Not told through a pipe: the filter's thread can make no call before the supervisor answers.
        while LISTENER.load(Ordering::SeqCst) == -1 {
            std::thread::yield_now();
        }
        supervise(LISTENER.load(Ordering::SeqCst), &rules, on_sleep.as_ref());
    };
    // Before the filter, which threads inherit.
    std::thread::spawn(supervisor);
    while !HAS_BEGUN.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let program = [
        // The number of the call; returning from a signal handler is let through.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter {
            code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            jt: 1,
            jf: 0,
            k: libc::SYS_rt_sigreturn as u32,
        },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: no memory is passed.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: a live program of the length that the structure says.
    let made = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &filter,
        )
    };
    LISTENER.store(if made == -1 { -2 } else { made as i32 }, Ordering::SeqCst);
    if made == -1 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// Runs `operation` under the rules; what it called.
pub fn armed<R>(operation: impl FnOnce() -> R) -> (R, Trace) {
    LOG.lock().expect("the log").clear();
    ARMED.store(true, Ordering::SeqCst);
    let result = operation();
    ARMED.store(false, Ordering::SeqCst);
    let calls = std::mem::take(&mut *LOG.lock().expect("the log"));
    (result, Trace { calls })
}
