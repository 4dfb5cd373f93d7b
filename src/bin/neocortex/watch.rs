//! `watch`: each commit with its time, rate and gaps.
//!
//! A mapping is kept only while a participant lives, for a replacer looks whether there is any mapping; without it
//! commits are looked for by key. It is one segment that is watched: one that takes its place is another.

use crate::arguments::Watch;
use crate::failure::{plain, Outcome, ABSENT};
use crate::stop::{is_output_closed, Stop};
use neocortex::inspect::{self, SegmentInfo};
use neocortex::{CortexError, SegmentObserver};
use serde_json::json;
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

/// How soon a signal, a closed pipe, or that everybody has left is noticed.
const SLICE: Duration = Duration::from_millis(100);
/// Between two looks while nobody is attached.
const PAUSE: Duration = Duration::from_millis(50);

struct Watched<'a> {
    arguments: &'a Watch,
    id: i32,
    start: Instant,
    last: Instant,
    seen: u64,
    lines: u64,
}

pub fn run(arguments: &Watch) -> Outcome {
    let stop = Stop::new()?;
    let key = arguments.target.key;
    let info = inspect::segment(key)?;
    let mut observer = attach(&info)?;
    let now = Instant::now();
    let mut watched = Watched {
        arguments,
        id: info.id,
        start: now,
        last: now,
        seen: info.commits,
        lines: 0,
    };
    watched.head()?;
    while !stop.is_asked() && !is_output_closed() && !watched.has_enough() {
        let Some(one) = &observer else {
            std::thread::sleep(PAUSE);
            let info = watched.look()?;
            watched.note(info.commits)?;
            observer = attach(&info)?;
            continue;
        };
        match one.wait_changed(watched.seen, Some(SLICE)) {
            Ok(version) => watched.note(version)?,
            Err(CortexError::Timeout { .. }) => {
                let info = watched.look()?;
                if is_left(&info) {
                    observer = None;
                }
            }
            Err(CortexError::Removed { .. }) => {
                watched.note(one.version())?;
                return watched.removed();
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether no participant lives, so that nobody can commit. Other mappings do not count: they are
/// observers' as well, or of a replacer that looks whether everybody has left.
fn is_left(info: &SegmentInfo) -> bool {
    info.alive.map_or(info.attached <= 1, |alive| alive == 0)
}

/// A mapping, where somebody takes part.
fn attach(info: &SegmentInfo) -> Outcome<Option<SegmentObserver>> {
    if is_left(info) {
        return Ok(None);
    }
    match SegmentObserver::attach(info.key, info.size) {
        // Removed since; the next look says so.
        Err(CortexError::Removed { .. }) => Ok(None),
        result => Ok(Some(result?)),
    }
}

impl Watched<'_> {
    fn has_enough(&self) -> bool {
        self.arguments
            .count
            .is_some_and(|count| self.lines >= count)
    }

    /// The segment as it is now, if it is still the same.
    fn look(&self) -> Outcome<SegmentInfo> {
        match inspect::segment(self.arguments.target.key) {
            Ok(info) if info.id == self.id => Ok(info),
            Ok(_) | Err(CortexError::NotReady { .. }) => self.removed(),
            Err(error) if crate::failure::status(&error) == ABSENT => self.removed(),
            Err(error) => Err(error.into()),
        }
    }

    fn removed<T>(&self) -> Outcome<T> {
        let key = self.arguments.target.key;
        plain(ABSENT, format!("key {key}: the cortex was removed"))
    }

    fn head(&self) -> Outcome {
        if !self.arguments.json {
            let mut out = io::stdout().lock();
            writeln!(
                out,
                "{:>12}  {:>12}  {:>9}  {:>12}  {:>10}",
                "SECONDS", "COMMIT", "NOT SEEN", "INTERVAL", "RATE/S"
            )?;
            out.flush()?;
        }
        Ok(())
    }

    /// Says what was committed since the last line, if anything.
    fn note(&mut self, version: u64) -> Outcome {
        if version == self.seen || self.has_enough() {
            return Ok(());
        }
        let now = Instant::now();
        let commits = version.wrapping_sub(self.seen);
        let interval = (now - self.last).as_secs_f64();
        let rate = commits as f64 / interval.max(1e-9);
        let seconds = (now - self.start).as_secs_f64();
        let mut out = io::stdout().lock();
        if self.arguments.json {
            let time = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            let line = json!({
                "time": time.as_secs_f64(),
                "seconds": seconds,
                "commit": version,
                "not_seen": commits - 1,
                "interval": interval,
                "rate": rate,
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(
                out,
                "{seconds:>12.6}  {version:>12}  {:>9}  {interval:>12.6}  {rate:>10.1}",
                commits - 1
            )?;
        }
        out.flush()?;
        self.lines += 1;
        self.last = now;
        self.seen = version;
        Ok(())
    }
}
