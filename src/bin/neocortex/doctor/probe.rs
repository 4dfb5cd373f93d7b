//! The checks that try something: making a cortex, taking over from a killed holder, waking a sleeper.
//!
//! The children are this executable with a word that is not one of its sub-commands; they are ended when the doctor is,
//! because they leave when their standard input closes.

use super::check::{Check, Verdict};
use crate::failure::{plain, Outcome, USAGE};
use crate::output;
use crate::stop::Stop;
use neocortex::{inspect, Segment, SegmentOptions, SeqLock};
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The word that makes this executable such a child.
pub const NAME: &str = "probe";
/// How long the kernel may take to tear a small process down.
const PATIENCE: Duration = Duration::from_secs(5);
/// Commits that a sleeper is woken by.
const ROUNDS: usize = 11;
/// A sleeper that is not woken looks again after 50 ms.
const PROMPT: Duration = Duration::from_millis(25);

pub fn all(stop: &Stop) -> Vec<Check> {
    let options = SegmentOptions::new().timeout(Some(PATIENCE));
    let segment: Segment<SeqLock> = match options.create_random(8) {
        Ok(segment) => segment,
        Err(error) => {
            let advice = "nothing else can be tried";
            return vec![Check::new(
                "create",
                Verdict::Broken,
                error.to_string(),
                advice,
            )];
        }
    };
    let mut checks = vec![permission(&segment)];
    checks.push(undo(&segment).unwrap_or_else(|error| untried("SEM_UNDO", &error)));
    if !stop.is_asked() {
        checks.push(wake(&segment).unwrap_or_else(|error| untried("waking", &error)));
    }
    if let Err(error) = segment.close() {
        checks.push(Check::new("remove", Verdict::Broken, error.to_string(), ""));
    }
    checks
}

fn untried(name: &'static str, error: &io::Error) -> Check {
    Check::note(name, format!("could not be tried: {error}"), "")
}

fn permission(segment: &Segment) -> Check {
    let name = "create";
    match inspect::segment(segment.key()) {
        Ok(info) if info.mode == 0o600 && info.alive == Some(1) => {
            Check::fine(name, "a cortex can be made, with mode 0600")
        }
        Ok(info) => Check::new(
            name,
            Verdict::Broken,
            format!(
                "made with mode 0600 and one participant, found with {:04o} and {:?}",
                info.mode, info.alive
            ),
            "this system's System V objects do not do what they should: please report it",
        ),
        Err(error) => Check::new(name, Verdict::Broken, error.to_string(), ""),
    }
}

/// A child with a task; ended when dropped.
struct Probe {
    process: Child,
    from: BufReader<ChildStdout>,
}

impl Probe {
    fn start(key: i32, task: &str) -> io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([NAME, &key.to_string(), task])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let from = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let from = BufReader::new(from);
        Ok(Self { process, from })
    }

    /// Waits until the child says something.
    fn hear(&mut self) -> io::Result<()> {
        match self.from.read_line(&mut String::new())? {
            0 => Err(io::Error::other("the child ended")),
            _ => Ok(()),
        }
    }

    fn kill(&mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A child takes the lock and is killed: its beacon must go out, and the next writer must take over from it.
fn undo(segment: &Segment) -> io::Result<Check> {
    let name = "SEM_UNDO";
    let mut child = Probe::start(segment.key(), "hold")?;
    child.hear()?;
    child.kill()?;
    let start = Instant::now();
    while segment.participants().map_err(io::Error::other)?.0 != 1 {
        if start.elapsed() > PATIENCE {
            return Ok(Check::new(name, Verdict::Broken, "ignored: a killed process still counts as alive", "dead holders are not passed here (gVisor does so): use another runtime, or give every wait a time-out"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(match segment.write_at(0, &[1]) {
        Ok(()) => Check::fine(
            name,
            "a holder that was killed is passed by the next writer",
        ),
        Err(error) => Check::new(
            name,
            Verdict::Broken,
            format!("a holder that was killed is not passed: {error}"),
            "please report it",
        ),
    })
}

/// A child sleeps until the next commit, time and again.
fn wake(segment: &Segment) -> io::Result<Check> {
    let name = "waking";
    let mut child = Probe::start(segment.key(), "wait")?;
    child.hear()?;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let asks = Instant::now();
        while !inspect::segment(segment.key()).is_ok_and(|info| info.waiting.for_change) {
            if asks.elapsed() > PATIENCE {
                return Err(io::Error::other("the child does not wait"));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        let start = Instant::now();
        segment
            .write_at(0, &[round as u8])
            .map_err(io::Error::other)?;
        child.hear()?;
        times.push(start.elapsed());
    }
    times.sort();
    let median = times[ROUNDS / 2];
    let found =
        format!("a sleeper in another process went on after {median:.1?} (median of {ROUNDS})");
    Ok(match median < PROMPT {
        true => Check::fine(name, found),
        false => Check::new(name, Verdict::Warning, found, "the shared futex does not wake across processes here, or the machine is overloaded: waits end within 50 ms all the same"),
    })
}

/// What the child does.
pub fn act(key: &OsStr, task: &OsStr) -> Outcome {
    let Some(key) = key.to_str().and_then(|key| key.parse::<i32>().ok()) else {
        return plain(USAGE, "this is what `neocortex doctor` runs");
    };
    let segment: Segment<SeqLock> = Segment::attach(key, 8)?;
    let mut out = output::lock();
    match task.to_str() {
        Some("hold") => {
            let _guard = segment.write_guard()?;
            writeln!(out, "held")?;
            out.flush()?;
            io::stdin().lock().read_to_end(&mut Vec::new())?;
        }
        _ => {
            let mut seen = segment.version();
            writeln!(out, "ready")?;
            out.flush()?;
            loop {
                seen = segment.wait_changed(seen, Some(PATIENCE))?;
                writeln!(out, "woken")?;
                out.flush()?;
            }
        }
    }
    Ok(())
}
