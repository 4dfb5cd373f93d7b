//! `follow`: the value of each commit, in order, and how many were missed.
//!
//! As `watch`, it keeps a mapping only while a participant lives, and follows one segment: one that takes its place is
//! another. It goes by a position, which is a number, so it reads on without a gap when a participant comes back.

use crate::access::room;
use crate::arguments::Follow;
use crate::describe::harmless;
use crate::failure::{plain, Outcome, USAGE};
use crate::output;
use crate::stop::Stop;
use crate::watch::{is_left, look, removed, PAUSE, SLICE};
use crate::words::Start;
use neocortex::{inspect, CortexError, Followed, SegmentObserver};
use serde_json::json;
use std::io::Write;

struct Following<'a> {
    arguments: &'a Follow,
    stop: Stop,
    /// The segment.
    id: i32,
    position: u64,
    lines: u64,
    has_records: bool,
    value: Vec<u8>,
}

pub fn run(arguments: &Follow) -> Outcome {
    let stop = Stop::new()?;
    let key = &arguments.target.key;
    let info = inspect::segment(key)?;
    let observer = SegmentObserver::attach(info.key, info.size)?;
    let (size, has_records) = (observer.size(), observer.has_records());
    let width = arguments.form.width();
    if !has_records && size % width != 0 {
        return plain(
            USAGE,
            format!(
                "key {key}: its {size} bytes are not a whole number of values of {width} bytes"
            ),
        );
    }
    let mut buffer = room(key, size)?;
    if !has_records {
        buffer.resize(size, 0);
    }
    let version = observer.version();
    let position = match arguments.from {
        Start::After(position) if position > version => {
            return plain(
                USAGE,
                format!("key {key}: its last commit is {version}, so --from {position} is ahead of it: begin with `oldest`, `now`, or a smaller number"),
            );
        }
        Start::Oldest => observer.kept_since(),
        Start::Now => version,
        Start::After(position) => position,
    };
    let mut following = Following {
        arguments,
        stop,
        id: info.id,
        position,
        lines: 0,
        has_records,
        value: buffer,
    };
    following.head()?;
    following.read(&observer)?;
    drop(observer);
    while !following.is_over() {
        let info = look(key, following.id)?;
        if is_left(&info) && info.commits == following.position {
            std::thread::sleep(PAUSE);
            continue;
        }
        match SegmentObserver::attach(info.key, info.size) {
            Ok(observer) => following.read(&observer)?,
            // The next look says so.
            Err(CortexError::Removed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

impl Following<'_> {
    fn is_over(&self) -> bool {
        let has_enough = |count| self.lines >= count;
        self.stop.is_asked() || output::is_closed() || self.arguments.count.is_some_and(has_enough)
    }

    /// Prints commits until no participant lives and the last has been printed, or until it is over.
    fn read(&mut self, observer: &SegmentObserver) -> Outcome {
        let key = &self.arguments.target.key;
        let mut follower = observer.follow(self.position);
        while !self.is_over() {
            let next = match self.has_records {
                true => follower.next_record(&mut self.value, Some(SLICE)),
                false => follower.next(&mut self.value, Some(SLICE)),
            };
            match next {
                Ok(found) => {
                    self.position = found.version;
                    self.print(found)?;
                }
                Err(CortexError::Timeout { .. }) => {
                    if is_left(&look(key, self.id)?) {
                        return Ok(());
                    }
                }
                Err(CortexError::Removed { .. }) => return removed(key),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn head(&self) -> Outcome {
        if !self.arguments.json {
            let mut out = output::lock();
            let length = match self.has_records {
                true => format!("{:>9}  ", "LENGTH"),
                false => String::new(),
            };
            writeln!(out, "{:>12}  {:>9}  {length}VALUE", "COMMIT", "MISSED")?;
            out.flush()?;
        }
        Ok(())
    }

    fn print(&mut self, found: Followed<()>) -> Outcome {
        let (version, missed, form) = (found.version, found.missed, &self.arguments.form);
        let mut out = output::lock();
        if self.arguments.json {
            let line = json!({
                "commit": version,
                "commit_string": version.to_string(),
                "missed": missed,
                "length": self.value.len(),
                "value": form.as_json(&self.value),
                "value_strings": form.as_strings(&self.value),
            });
            writeln!(out, "{line}")?;
        } else {
            let mut shown = form.line(&self.value);
            // One commit is one line, and another user's text must not control this user's terminal.
            if form.is_text() {
                shown = harmless(&shown);
            }
            let length = match self.has_records {
                true => format!("{:>9}  ", self.value.len()),
                false => String::new(),
            };
            writeln!(out, "{version:>12}  {missed:>9}  {length}{shown}")?;
        }
        out.flush()?;
        self.lines += 1;
        Ok(())
    }
}
