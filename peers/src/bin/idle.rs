//! What waiting costs while nothing happens: wake-ups and processor time, by the kernel's own counts.
//!
//! `cargo run --release -p peers --bin idle -- [COUNT] [SECONDS]`
//!
//! A wake-up is a voluntary context switch of any thread of the processes that wait. Nothing is written, so each is one
//! that a process made because it did not trust its sleep. The counts do not depend on what else the machine does.

use neocortex::{Cortex, CortexBuilder, WaitSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, rest @ ..] = arguments.as_slice() {
        if let Some(role) = role.strip_prefix("role-") {
            return play(role, &rest[0]);
        }
    }
    let count = arguments.first().map_or(Ok(1000), |it| it.parse())?;
    let seconds = arguments.get(1).map_or(Ok(10.0), |it| it.parse())?;
    println!("| what waits | wake-ups a second, of each | in all | processor, ms a second |");
    println!("|---|---|---|---|");
    let lasting = Duration::from_secs_f64(seconds);
    let shared = CortexBuilder::new(0.0)
        .random_key()
        .participants(count + 1)
        .create()?;
    let key = shared.key().to_string();
    let line = format!("{count} processes, one cortex");
    measure(&line, count, &start("process", &key, count)?, lasting)?;
    for role in ["threads", "set"] {
        let line = match role {
            "set" => format!("one wait set of {count}"),
            _ => format!("{count} threads of one process, each with a cortex"),
        };
        let waiter = start(role, &count.to_string(), 1)?;
        let waiters = if role == "set" { 1 } else { count };
        measure(&line, waiters, &waiter, lasting)?;
    }
    let waiter = start("set", "127", 1)?;
    measure("one wait set of 127", 1, &waiter, lasting)
}

/// Processes that wait, until this is dropped.
struct Waiters(Vec<Child>);

impl Drop for Waiters {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // The role ends at the end of its input, and removes what it made.
            drop(child.stdin.take());
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

fn start(role: &str, argument: &str, count: u32) -> Result<Waiters, Failure> {
    let mut waiters = Waiters(Vec::new());
    for _ in 0..count {
        let child = Command::new(std::env::current_exe()?)
            .args([&format!("role-{role}"), argument])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        waiters.0.push(child);
    }
    for child in &mut waiters.0 {
        let output = child.stdout.as_mut().ok_or("no output")?;
        BufReader::new(output).read_line(&mut String::new())?;
    }
    Ok(waiters)
}

/// Waits for something that does not come, in threads of its own, until its input ends.
fn play(role: &str, argument: &str) -> Result<(), Failure> {
    let wait = |cortex: &Cortex<f64>| drop(cortex.wait_changed(cortex.version(), None));
    let cortexes = match role {
        "process" => vec![Cortex::<f64>::attach(argument.parse::<i32>()?)?],
        _ => (0..argument.parse()?)
            .map(|_| {
                CortexBuilder::new(0.0)
                    .random_key()
                    .participants(2)
                    .create()
            })
            .collect::<Result<_, _>>()?,
    };
    let mut set = WaitSet::new();
    if role == "set" {
        for cortex in &cortexes {
            set.add(cortex);
        }
    }
    let interrupter = set.interrupter();
    std::thread::scope(|scope| {
        if role == "set" {
            scope.spawn(|| drop(set.wait(None).map(drop)));
        } else {
            for cortex in &cortexes {
                scope.spawn(move || wait(cortex));
            }
        }
        println!("ready");
        let _ = std::io::stdout().flush();
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        interrupter.interrupt();
        cortexes.iter().for_each(|cortex| cortex.stop_waits());
    });
    Ok(())
}

/// Voluntary context switches, and time on a processor.
#[derive(Default)]
struct Spent {
    wakes: u64,
    nanoseconds: u64,
}

fn spent(waiters: &Waiters) -> Result<Spent, Failure> {
    let mut sum = Spent::default();
    for child in &waiters.0 {
        for task in std::fs::read_dir(format!("/proc/{}/task", child.id()))? {
            let path = task?.path();
            let status = std::fs::read_to_string(path.join("status"))?;
            let wakes = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            sum.wakes += wakes.ok_or("no count of switches")?.trim().parse::<u64>()?;
            let times = std::fs::read_to_string(path.join("schedstat"))?;
            let time = times.split(' ').next().unwrap_or_default();
            sum.nanoseconds += time.parse::<u64>()?;
        }
    }
    Ok(sum)
}

fn measure(line: &str, waiters: u32, of: &Waiters, lasting: Duration) -> Result<(), Failure> {
    // Until each has come to rest.
    std::thread::sleep(Duration::from_secs(3));
    let (start, before) = (Instant::now(), spent(of)?);
    std::thread::sleep(lasting);
    let after = spent(of)?;
    let seconds = start.elapsed().as_secs_f64();
    let all = (after.wakes - before.wakes) as f64 / seconds;
    let milliseconds = (after.nanoseconds - before.nanoseconds) as f64 / 1e6 / seconds;
    let each = all / f64::from(waiters);
    println!("| {line} | {each:.2} | {all:.1} | {milliseconds:.2} |");
    Ok(())
}
