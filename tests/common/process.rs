//! A process is this executable again, with a *role*: an ordinary `#[test]` that returns at once without one.

use super::kernel::PROCESSES;
use super::{lock, proof};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};

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

/// The command that starts this executable.
fn this_executable() -> Vec<String> {
    let me = std::env::current_exe().expect("this executable");
    // What runs programs of this machine where it is an emulated one.
    let runner = std::env::var(RUNNER).unwrap_or_default();
    let mut program: Vec<String> = runner.split_whitespace().map(str::to_owned).collect();
    program.push(me.to_str().expect("a path in UTF-8").to_owned());
    program
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
        Self::spawn_from(&this_executable(), role, arguments)
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
            // Whatever module it stands in: what else has these words in its name has not this role.
            .args([role, "--nocapture", "--test-threads=1"])
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
