//! A second process: this program again, with a role.

use neocortex::Cortex;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub const FLAG: &str = "--role";

pub struct Helper {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts it and waits until it says that it is ready.
    pub fn start(role: &str, arguments: &[String]) -> Self {
        let program = std::env::current_exe().expect("the path of this program");
        let mut child = Command::new(program)
            .args([FLAG, role])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a second process");
        let orders = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut helper = Self {
            child,
            orders,
            answers,
        };
        assert_eq!(helper.answer(), "ready", "role {role} {arguments:?}");
        helper
    }

    pub fn tell(&mut self, order: impl std::fmt::Display) {
        writeln!(self.orders, "{order}").expect("the helper lives");
    }

    pub fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("a pipe");
        assert!(!line.is_empty(), "the helper died");
        line.trim_end().to_owned()
    }

    /// Kills it (the child that was started here, by its id, before it is waited for).
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    pub fn wait(&mut self) {
        let _ = self.child.wait();
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.kill();
        self.wait();
    }
}

/// The helper's side: says that it is ready, then answers each order until there are no more.
pub fn serve(mut answer: impl FnMut(&str) -> String) {
    println!("ready");
    for order in std::io::stdin().lock().lines().map_while(Result::ok) {
        println!("{}", answer(&order));
    }
}

/// Stays on this processor, if there is such a one.
pub fn pin(processor: usize) {
    // SAFETY: a set is plain old data; `processor` is small.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// Leaves the processor that `pin` chose.
pub fn unpin(all: &libc::cpu_set_t) {
    // SAFETY: a live set of the size given, for the calling thread.
    unsafe { libc::sched_setaffinity(0, size_of_val(all), all) };
}

/// Where this thread may run now.
pub fn affinity() -> libc::cpu_set_t {
    // SAFETY: plain old data, filled in by the call; on failure it stays empty and harmless.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set);
        set
    }
}

/// The version that follows `since`, by looking all the time.
pub fn spin_until_changed(cortex: &Cortex<f64>, since: u64) -> u64 {
    loop {
        let version = cortex.version();
        if version != since {
            return version;
        }
        std::hint::spin_loop();
    }
}
