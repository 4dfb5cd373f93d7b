//! The child under ptrace: run to a place, or step by step, and killed.

use super::trail::{Call, Point, Trail, Within};
use super::window::Window;
use super::{Work, CAN_STEP};
use std::time::Instant;

/// What it stopped at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Call,
    Instruction,
    /// The operation is over.
    End,
}

/// A child under ptrace, at the beginning of its operation; killed when dropped.
pub struct Tracee {
    id: i32,
    is_over: bool,
    stops: u32,
    /// Its stack at the beginning.
    depth: libc::c_long,
}

/// Where a way to a point ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    There,
    /// The operation took another way than when it was recorded.
    Elsewhere,
    /// The operation was over before.
    Over,
}

pub(super) fn trace(request: libc::c_uint, id: i32, data: usize) -> libc::c_long {
    trace_at(request, id, 0, data)
}

fn trace_at(request: libc::c_uint, id: i32, address: usize, data: usize) -> libc::c_long {
    let [address, data] = [address, data].map(|word| word as *mut libc::c_void);
    // SAFETY: the requests used here take numbers and addresses of the child's, no memory of ours.
    unsafe { libc::ptrace(request as _, id, address, data) }
}

/// Registers of x86-64, by their places in `user_regs_struct`.
const SECOND: usize = 13;
const CALL: usize = 15;
const IP: usize = 16;
const SP: usize = 19;

/// Where the kernel's own code is in this process, and so in its forks.
fn vdso() -> std::ops::Range<usize> {
    static RANGE: std::sync::OnceLock<(usize, usize)> = std::sync::OnceLock::new();
    let &(from, to) = RANGE.get_or_init(|| {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        let line = maps.lines().find(|line| line.ends_with("[vdso]"));
        let Some((from, to)) = line.and_then(|line| line.split(' ').next()?.split_once('-')) else {
            return (0, 0);
        };
        let parse = |text| usize::from_str_radix(text, 16).expect("an address");
        (parse(from), parse(to))
    });
    from..to
}

fn stop_here(me: i32) {
    // SAFETY: kill takes no pointers.
    unsafe { libc::kill(me, libc::SIGSTOP) };
}

impl Tracee {
    /// Forks a child that makes its work ready and stops before it.
    pub fn start(prepare: impl FnOnce() -> Work) -> Self {
        // SAFETY: the child runs `prepare` and its work, and `_exit`s. This process has no other thread that
        // could hold a lock.
        let id = unsafe { libc::fork() };
        assert_ne!(id, -1, "{}", std::io::Error::last_os_error());
        if id == 0 {
            let run = || {
                // SAFETY: system calls without memory of ours.
                let me = unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    libc::getpid()
                };
                if trace(libc::PTRACE_TRACEME as _, 0, 0) == -1 {
                    return false;
                }
                let work = prepare();
                stop_here(me);
                work();
                stop_here(me);
                true
            };
            let is_done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            // SAFETY: ends the child at once; nothing of the parent's is run.
            unsafe { libc::_exit(i32::from(!matches!(is_done, Ok(true)))) };
        }
        let mut tracee = Self {
            id,
            is_over: false,
            stops: 0,
            depth: 0,
        };
        let status = tracee.wait();
        assert!(
            libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGSTOP,
            "the child did not get ready: {status:#x}"
        );
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
        assert_ne!(
            trace(libc::PTRACE_SETOPTIONS as _, id, options as usize),
            -1
        );
        if CAN_STEP {
            tracee.depth = tracee.register(SP);
        }
        tracee
    }

    fn wait(&self) -> i32 {
        let mut status = 0;
        loop {
            // SAFETY: a live place; a child of ours that is not waited for yet.
            let id = unsafe { libc::waitpid(self.id, &mut status, 0) };
            if id == self.id {
                return status;
            }
            let error = std::io::Error::last_os_error();
            assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "{error}");
        }
    }

    fn go(&mut self, request: libc::c_uint) -> Stop {
        assert_ne!(trace(request, self.id, 0), -1, "the child is not stopped");
        let status = self.wait();
        self.is_over = !libc::WIFSTOPPED(status);
        assert!(!self.is_over, "the operation failed: {status:#x}");
        match libc::WSTOPSIG(status) {
            stop if stop == libc::SIGTRAP | 0x80 => {
                self.stops += 1;
                Stop::Call
            }
            libc::SIGTRAP => Stop::Instruction,
            libc::SIGSTOP => Stop::End,
            other => panic!("the operation got signal {other}"),
        }
    }

    fn reach_call(&mut self) -> Stop {
        self.go(libc::PTRACE_SYSCALL as _)
    }

    /// One instruction, or to the next stop where the next instruction is a system call. The kernel's own code
    /// in the process counts as one: asking for the time is a loop that begins anew when the time has changed,
    /// and never ends where every instruction takes so long.
    fn step(&mut self) -> Stop {
        if self.is_before_call() {
            return self.reach_call();
        }
        let stop = self.go(libc::PTRACE_SINGLESTEP as _);
        if stop == Stop::Instruction && vdso().contains(&(self.register(IP) as usize)) {
            return self.leave_vdso();
        }
        stop
    }

    /// From the first instruction of a function of the kernel's to the first after it.
    fn leave_vdso(&mut self) -> Stop {
        let back = trace_at(
            libc::PTRACE_PEEKTEXT as _,
            self.id,
            self.register(SP) as usize,
            0,
        ) as usize;
        let code = trace_at(libc::PTRACE_PEEKTEXT as _, self.id, back, 0) as usize;
        let breakpoint = code & !0xFF | 0xCC;
        trace_at(libc::PTRACE_POKETEXT as _, self.id, back, breakpoint);
        let stop = self.go(libc::PTRACE_CONT as _);
        trace_at(libc::PTRACE_POKETEXT as _, self.id, back, code);
        trace_at(libc::PTRACE_POKEUSER as _, self.id, 8 * IP, back);
        stop
    }

    /// Whether the child stands before a system call, or at the entry of one.
    fn is_before_call(&self) -> bool {
        if self.stops % 2 == 1 {
            return true;
        }
        let next = self.register(IP) as *const [u8; 2];
        // SAFETY: the child is a fork of this process and has the same code at the same place.
        unsafe { next.read_unaligned() == [0x0F, 0x05] }
    }

    /// A register of an x86-64 child, by its place in `user_regs_struct`.
    fn register(&self, index: usize) -> libc::c_long {
        trace_at(libc::PTRACE_PEEKUSER as _, self.id, 8 * index, 0)
    }

    /// The system call that it stopped at; number -1 where that is not known.
    fn call(&self) -> Call {
        if CAN_STEP {
            (
                self.register(CALL),
                self.register(SECOND),
                self.register(SP) - self.depth,
            )
        } else {
            (-1, 0, 0)
        }
    }

    /// Runs the operation to its end, or to this many stops, and notes what happened on the way: where single
    /// steps can be made, at each instruction.
    pub fn record(mut self, key: i32, stops: u32) -> Trail {
        let mut trail = Trail {
            instructions: vec![0],
            ..Trail::default()
        };
        let mut window = Window::new(self.id, key);
        let mut changes = 0;
        while self.stops < stops {
            let stop = if CAN_STEP {
                self.step()
            } else {
                self.reach_call()
            };
            let within = match stop {
                Stop::End => break,
                Stop::Call => {
                    if self.stops % 2 == 1 {
                        trail.calls.push(self.call());
                    } else {
                        window.follow(self.call().0);
                    }
                    trail.instructions.push(0);
                    changes = 0;
                    Within::Stop
                }
                Stop::Instruction => {
                    *trail.instructions.last_mut().expect("not empty") += 1;
                    if !window.has_changed() {
                        continue;
                    }
                    changes += 1;
                    Within::Change(changes)
                }
            };
            trail.events.push(Point {
                stops: self.stops,
                within,
                is_after_pause: false,
            });
        }
        trail
    }

    /// Runs to this point of the trail.
    pub fn run_to(&mut self, key: i32, point: Point, trail: &Trail) -> Arrival {
        let mut stops = 0;
        while stops < point.stops {
            if self.reach_call() == Stop::End {
                return Arrival::Over;
            }
            let is_left_out = point.is_after_pause && trail.pauses().contains(&self.call());
            stops += u32::from(!is_left_out);
        }
        let (count, mut window) = match point.within {
            Within::Stop => return Arrival::There,
            Within::Instruction(count) => (count, None),
            Within::Change(count) => (count, Some(Window::new(self.id, key))),
        };
        let mut passed = 0;
        while passed < count {
            match self.step() {
                Stop::End => return Arrival::Over,
                Stop::Call => return Arrival::Elsewhere,
                Stop::Instruction => {}
            }
            let counts = window.as_mut().is_none_or(Window::has_changed);
            passed += u32::from(counts);
        }
        Arrival::There
    }

    /// Runs to the entry, or the exit, of the first system call with this number. x86-64 only.
    pub fn run_to_call(&mut self, number: libc::c_long, is_exit: bool) {
        loop {
            assert_eq!(self.reach_call(), Stop::Call, "no such call");
            if self.call().0 == number && (self.stops % 2 == 0) == is_exit {
                return;
            }
        }
    }

    /// Lets it go on until it sleeps in a system call, or its operation is over.
    pub fn run_until_asleep(&mut self) {
        assert_ne!(trace(libc::PTRACE_CONT as _, self.id, 0), -1);
        await_sleep(&format!("/proc/{}/stat", self.id));
    }

    /// Kills it; when this returns, the kernel has taken the process down. When that was.
    pub fn kill(mut self) -> Instant {
        self.end();
        Instant::now()
    }

    fn end(&mut self) {
        if self.is_over {
            return;
        }
        self.is_over = true;
        // SAFETY: kill takes no pointers; a child of ours that was not waited for yet.
        unsafe { libc::kill(self.id, libc::SIGKILL) };
        while libc::WIFSTOPPED(self.wait()) {}
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until a process or thread does not run: it sleeps, is stopped, or is gone.
pub fn await_sleep(stat: &str) {
    loop {
        let text = std::fs::read_to_string(stat).unwrap_or_default();
        let state = text
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next());
        if state != Some('R') {
            return;
        }
        std::thread::yield_now();
    }
}

/// Runs `work` in a fork that then kills itself with everything that it holds.
pub fn die_after(work: impl FnOnce()) {
    // SAFETY: as in `Tracee::start`.
    let id = unsafe { libc::fork() };
    assert_ne!(id, -1);
    if id == 0 {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            work();
            // SAFETY: no pointers.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }));
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(1) };
    }
    let mut status = 0;
    // SAFETY: a child of ours, a live place.
    assert_eq!(unsafe { libc::waitpid(id, &mut status, 0) }, id);
    assert!(libc::WIFSIGNALED(status), "what was to die failed instead");
}
