//! `watch` of one cortex: each commit with its time, rate and gaps.
//!
//! A mapping is kept only while a participant lives, because a replacer looks whether there is any mapping; without
//! one, commits are looked for by key. One segment is watched: a segment that takes its place is another one.

use crate::arguments::Watch;
use crate::failure::{plain, Outcome, ABSENT};
use crate::output;
use crate::stop::Stop;
use neocortex::inspect::{self, SegmentInfo};
use neocortex::{CortexError, Key, SegmentObserver};
use serde_json::json;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

/// How soon it notices a signal, a closed pipe, or that every participant has left.
pub const SLICE: Duration = Duration::from_millis(100);
/// The pause between two looks while no process is attached.
pub const PAUSE: Duration = Duration::from_millis(50);

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
    let key = &arguments.keys[0];
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
    while !stop.is_asked() && !output::is_closed() && !watched.has_enough() {
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
                return removed(key);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Returns whether no participant lives, so that no commit can come. Other mappings do not count: they belong to
/// observers as well, or to a replacer that looks whether every participant has left.
pub fn is_left(info: &SegmentInfo) -> bool {
    info.alive.map_or(info.attached <= 1, |alive| alive == 0)
}

/// Returns what is seen of a segment now, if it is still the one with this id.
pub fn look(key: &Key, id: i32) -> Outcome<SegmentInfo> {
    match inspect::segment(key) {
        Ok(info) if info.id == id => Ok(info),
        Ok(_) | Err(CortexError::NotReady { .. } | CortexError::Name { .. }) => removed(key),
        Err(error) if crate::failure::status(&error) == ABSENT => removed(key),
        Err(error) => Err(error.into()),
    }
}

pub fn removed<T>(key: &Key) -> Outcome<T> {
    plain(ABSENT, format!("key {key}: the cortex was removed"))
}

/// Returns a mapping, where a participant lives.
fn attach(info: &SegmentInfo) -> Outcome<Option<SegmentObserver>> {
    if is_left(info) {
        return Ok(None);
    }
    match SegmentObserver::attach(info.key, info.size) {
        // It was removed since; the next look says so.
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

    fn look(&self) -> Outcome<SegmentInfo> {
        look(&self.arguments.keys[0], self.id)
    }

    fn head(&self) -> Outcome {
        if !self.arguments.json {
            let mut out = output::lock();
            writeln!(
                out,
                "{:>12}  {:>12}  {:>9}  {:>12}  {:>10}",
                "SECONDS", "COMMIT", "NOT SEEN", "INTERVAL", "RATE/S"
            )?;
            out.flush()?;
        }
        Ok(())
    }

    /// Prints what was committed since the last line, if anything was.
    fn note(&mut self, version: u64) -> Outcome {
        if version == self.seen || self.has_enough() {
            return Ok(());
        }
        let now = Instant::now();
        let commits = version.wrapping_sub(self.seen);
        let interval = (now - self.last).as_secs_f64();
        let rate = commits as f64 / interval.max(1e-9);
        let seconds = (now - self.start).as_secs_f64();
        let mut out = output::lock();
        if self.arguments.json {
            let time = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            let line = json!({
                "time": time.as_secs_f64(),
                "seconds": seconds,
                "commit": version,
                "commit_string": version.to_string(),
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
