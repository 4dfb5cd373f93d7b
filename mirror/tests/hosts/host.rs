//! A network of hosts: each a network and an IPC namespace, with a process that keeps them, an agent, and mirrors.

use crate::agent::ROLE;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// The command under test.
pub const MIRROR: &str = env!("CARGO_BIN_EXE_neocortex-mirror");

/// Ends a process and waits for it, however the test ends.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    /// `SIGKILL`.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that keeps namespaces alive. It says when they are there.
fn holder(kinds: &[&str]) -> Process {
    let mut command = Command::new("unshare");
    command.args(kinds).args([
        "--kill-child",
        "sh",
        "-c",
        "ip link set lo up && echo && exec sleep infinity",
    ]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe"))
        .read_line(&mut line)
        .expect("a line");
    assert_eq!(line, "\n", "no namespace of its own could be made");
    Process(child)
}

fn run(command: &mut Command) {
    let output = command.output().expect("a command");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Hosts at a switch.
pub struct Net {
    pub hosts: Vec<Host>,
    switch: Process,
    pub folder: tempfile::TempDir,
}

/// One host.
pub struct Host {
    folder: PathBuf,
    agent: Agent,
    holder: Process,
    count: std::cell::Cell<u32>,
}

struct Agent {
    input: ChildStdin,
    answers: Receiver<String>,
    _process: Process,
}

/// An end of a measurement that runs.
pub struct Bench {
    process: Process,
    output: BufReader<std::process::ChildStdout>,
}

impl Bench {
    /// Waits for its end, and returns what it has said.
    pub fn output(mut self) -> String {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut self.output, &mut text).expect("its output");
        let _ = self.process.0.wait();
        text
    }
}

/// A running mirror.
pub struct Mirror {
    process: Process,
    log: PathBuf,
}

impl Net {
    /// Returns hosts with the addresses 10.77.0.1 and so on; `None` where this user cannot make namespaces.
    pub fn new(count: usize) -> Option<Self> {
        let is_root = std::fs::metadata("/proc/self")
            .is_ok_and(|file| std::os::unix::fs::MetadataExt::uid(&file) == 0);
        if !is_root {
            println!("NOT RUN: namespaces need root");
            return None;
        }
        let switch = holder(&["--net"]);
        let folder = tempfile::tempdir().expect("a folder");
        let net = |script: &str| run(inside(&switch, &["-n"]).args(["sh", "-ec", script]));
        net("ip link add br0 type bridge && ip link set br0 up");
        let hosts = (0..count).map(|index| {
            let holder = holder(&["--net", "--ipc"]);
            let (pid, address) = (holder.0.id(), format!("10.77.0.{}", index + 1));
            net(&format!(
                "ip link add p{index} type veth peer name eth0 netns {pid} && ip link set p{index} master br0 && ip link set p{index} up"
            ));
            let script = format!("ip addr add {address}/24 dev eth0 && ip link set eth0 up");
            run(inside(&holder, &["-n"]).args(["sh", "-ec", &script]));
            let agent = Agent::start(&holder);
            let folder = folder.path().join(format!("host{index}"));
            std::fs::create_dir(&folder).expect("a folder");
            Host { folder, agent, holder, count: 0.into() }
        });
        let hosts = hosts.collect();
        Some(Self {
            hosts,
            switch,
            folder,
        })
    }

    fn switch(&self, script: &str) {
        run(inside(&self.switch, &["-n"]).args(["sh", "-ec", script]));
    }

    /// Cuts a host off: nothing comes through and nothing says so, as where a cable is pulled behind the next switch.
    pub fn cut(&self, host: usize) {
        self.switch(&format!("bridge link set dev p{host} state 0"));
    }

    pub fn heal(&self, host: usize) {
        self.switch(&format!("bridge link set dev p{host} state 3"));
    }

    /// Lets a host receive 10 Mbit in a second.
    pub fn slow_down(&self, host: usize) {
        self.switch(&format!(
            "tc qdisc add dev p{host} root tbf rate 10mbit burst 32kb latency 50ms"
        ));
    }
}

fn inside(holder: &Process, kinds: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    // `unshare --kill-child` forks only where it makes a PID namespace, so it is the process itself.
    command
        .args(["-t", &holder.0.id().to_string()])
        .args(kinds)
        .arg("--");
    command
}

impl Agent {
    fn start(holder: &Process) -> Self {
        let own = std::env::current_exe().expect("the own executable");
        let mut command = inside(holder, &["-n", "-i"]);
        command
            .arg(own)
            .args(["agent::role_agent", "--exact", "--nocapture"])
            .env(ROLE, "1");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("an agent");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(answer) = line.strip_prefix('>') {
                    let _ = send.send(answer.to_owned());
                }
            }
        });
        let input = child.stdin.take().expect("a pipe");
        Self {
            input,
            answers,
            _process: Process(child),
        }
    }
}

impl Host {
    /// Lets the agent do something, and returns its answer.
    pub fn ask(&mut self, line: &str) -> String {
        writeln!(self.agent.input, "{line}").expect("the agent");
        let answer = self.agent.answers.recv_timeout(crate::PATIENCE * 2);
        answer.unwrap_or_else(|_| panic!("{line}: no answer"))
    }

    /// [`Host::ask`] for a number; a panic where it is none.
    pub fn number(&mut self, line: &str) -> u64 {
        let answer = self.ask(line);
        answer
            .parse()
            .unwrap_or_else(|_| panic!("{line}: {answer}"))
    }

    /// Ends the programs of this host with `SIGKILL`, and starts an agent anew.
    pub fn kill_programs(&mut self) {
        self.agent = Agent::start(&self.holder);
    }

    /// The numbers in a status: alive, term, epoch, version at the origin, applied, conflated, refused, foreign, missed,
    /// milliseconds of silence.
    pub fn status(&mut self, name: &str) -> [u64; 10] {
        let answer = self.ask(&format!("status {name}"));
        let numbers: Vec<u64> = answer
            .split(' ')
            .take(10)
            .map_while(|word| word.parse().ok())
            .collect();
        numbers.try_into().unwrap_or_else(|_| panic!("{answer}"))
    }

    /// The same, as soon as the value of this version is in it: the value comes first.
    pub fn status_at(&mut self, name: &str, version: u64) -> [u64; 10] {
        let begin = Instant::now();
        loop {
            let status = self.status(name);
            if status[3] == version {
                return status;
            }
            assert!(
                begin.elapsed() < crate::PATIENCE,
                "version {version} is not told, but {status:?}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the command here.
    pub fn mirror(&self, arguments: &str) -> Mirror {
        self.count.set(self.count.get() + 1);
        let log = self.folder.join(format!("{}.log", self.count.get()));
        let mut command = inside(&self.holder, &["-n", "-i"]);
        command.arg(MIRROR).args(arguments.split_whitespace());
        let file = std::fs::File::create(&log).expect("a log");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        Mirror {
            process: Process(command.spawn().expect("the command")),
            log,
        }
    }

    /// Starts an end of a measurement, and waits until it has said `ready` (of which "" is a second).
    pub fn bench(&self, words: &str, ready: &str) -> Bench {
        let mut command = inside(&self.holder, &["-n", "-i"]);
        command
            .args([MIRROR, "bench"])
            .args(words.split_whitespace());
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        let mut process = Process(child.expect("the command"));
        let mut output = BufReader::new(process.0.stdout.take().expect("a pipe"));
        let mut line = String::new();
        match ready {
            "" => std::thread::sleep(Duration::from_secs(1)),
            _ => drop(output.read_line(&mut line).expect("a line")),
        }
        Bench { process, output }
    }

    /// Runs the command here, and returns its status, output and messages.
    pub fn run(&self, arguments: &str) -> (i32, String, String) {
        let mut command = inside(&self.holder, &["-n", "-i"]);
        let output = command
            .arg(MIRROR)
            .args(arguments.split_whitespace())
            .output()
            .expect("the command");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code().unwrap_or(-1),
            text(&output.stdout),
            text(&output.stderr),
        )
    }
}

impl Mirror {
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said this.
    pub fn says(&self, what: &str) {
        let begin = Instant::now();
        while !self.log().contains(what) {
            assert!(
                begin.elapsed() < crate::PATIENCE,
                "it has not said \"{what}\", but:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many of its lines have this in them.
    pub fn lines_with(&self, what: &str) -> usize {
        self.log()
            .lines()
            .filter(|line| line.contains(what))
            .count()
    }

    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// `SIGTERM`, then its exit status.
    pub fn stop(mut self) -> i32 {
        run(Command::new("kill").arg(self.pid().to_string()));
        self.status()
    }

    /// Waits for its end, and returns its exit status.
    pub fn status(&mut self) -> i32 {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.process.0.try_wait().expect("its end") {
                return status.code().unwrap_or(-1);
            }
            assert!(
                begin.elapsed() < crate::PATIENCE,
                "it has not ended:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
