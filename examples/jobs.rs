//! A job counter that no crash can spoil: several processes draw numbers from it, one is killed while it draws.
//!
//! `cargo run --example jobs` starts four workers (itself, run again) that draw jobs until there are none.
//! Before that, one worker is killed half way through its change. What it had changed was never committed, so
//! the job it was about to take is still there; what it held is free again, without anybody cleaning up.

use neocortex::{Cortex, CortexBuilder};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const JOBS: u64 = 2000;
const WORKERS: usize = 4;

/// The number of the last job that was given out.
type Counter = Cortex<u64>;

/// `jobs NAME work`: draws until there is nothing left, and says which jobs it got.
fn work(counter: &Counter) -> Outcome<()> {
    loop {
        // One step: nobody else draws in between. (`read` and then `write` would give one job to two.)
        let job = counter.update(|last| {
            let is_left = *last < JOBS;
            *last += u64::from(is_left);
            is_left.then_some(*last)
        })?;
        match job {
            Some(job) => println!("{job}"),
            None => return Ok(()),
        }
    }
}

/// `jobs NAME hang`: begins to draw and never ends.
fn hang(counter: &Counter) -> Outcome<()> {
    let mut last = counter.write_guard()?;
    *last += 1000;
    println!("half way");
    std::io::stdin().read_line(&mut String::new())?; // killed here; or the other process has ended
    Err("not killed".into())
}

fn start(name: &str, role: &str) -> Outcome<Child> {
    Ok(Command::new(std::env::current_exe()?)
        .args([name, role])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, role] = arguments.as_slice() {
        let counter: Counter = Cortex::attach(name)?;
        return if role == "hang" {
            hang(&counter)
        } else {
            work(&counter)
        };
    }
    let name = format!("example/jobs/{}", std::process::id());
    let counter: Counter = CortexBuilder::new(0).key(&name).create()?;

    let mut victim = start(&name, "hang")?;
    let output = victim.stdout.take().ok_or("a pipe")?;
    BufReader::new(output).read_line(&mut String::new())?;
    victim.kill()?;
    victim.wait()?;
    println!(
        "killed a worker that held the counter; it stands at {}",
        counter.read()?
    );
    assert_eq!(counter.read()?, 0);

    let workers = (0..WORKERS)
        .map(|_| start(&name, "work"))
        .collect::<Outcome<Vec<_>>>()?;
    let mut given = BTreeSet::new();
    for worker in workers {
        let output = worker.wait_with_output()?;
        assert!(output.status.success(), "a worker: {}", output.status);
        for job in String::from_utf8(output.stdout)?.lines() {
            assert!(
                given.insert(job.parse::<u64>()?),
                "job {job} was given out twice"
            );
        }
    }
    assert!(given.iter().copied().eq(1..=JOBS), "a job was lost");
    println!(
        "{WORKERS} workers drew {} jobs, each of them once",
        given.len()
    );
    Ok(())
}
