//! `wait`, and `watch` of several cortexes: whichever changes.
//!
//! As `watch` does, it keeps a mapping only while a participant lives, and watches the segments that it began with: one
//! that takes the place of another is another one.

use crate::access::room;
use crate::arguments::{Creator, Wait, Watch};
use crate::describe::harmless;
use crate::failure::{plain, Outcome, USAGE};
use crate::output;
use crate::stop::Stop;
use crate::structure::Form;
use crate::watch::{is_left, look, removed, PAUSE, SLICE};
use crate::{access, failure};
use neocortex::{inspect, CortexError, Key, Member, SegmentObserver, WaitSet};
use serde_json::json;
use std::io::Write;
use std::time::{Duration, Instant};

/// The status where the time ran out.
const LATE: u8 = 7;

/// One that is watched.
struct One<'a> {
    key: &'a Key,
    id: i32,
    size: usize,
    /// The last commit that was told.
    seen: u64,
    /// Its mapping, while a participant lives.
    mapped: Option<(SegmentObserver, Member)>,
}

/// A commit that was not told before.
struct News {
    index: usize,
    version: u64,
    not_seen: u64,
    /// The value as text and as JSON, where it is asked for.
    value: Option<(String, serde_json::Value)>,
}

struct Several<'a> {
    all: Vec<One<'a>>,
    set: WaitSet,
    form: Option<&'a Form>,
}

impl<'a> Several<'a> {
    fn new(keys: &'a [Key], creator: &Creator, form: Option<&'a Form>) -> Outcome<Self> {
        let mut several = Self {
            all: Vec::new(),
            set: WaitSet::new(),
            form,
        };
        for key in keys {
            access::await_creator(key, creator)?;
            let info = inspect::segment(key)?;
            let width = form.map_or(1, Form::width);
            if info.size % width != 0 {
                let size = info.size;
                let what = format!(
                    "key {key}: its {size} bytes are not a whole number of values of {width} bytes"
                );
                return plain(USAGE, what);
            }
            several.all.push(One {
                key,
                id: info.id,
                size: info.size,
                seen: info.commits,
                mapped: None,
            });
        }
        several.recheck()?;
        Ok(several)
    }

    /// Waits for news, at most so long. None where the time is over.
    fn next(&mut self, limit: Duration) -> Outcome<Vec<News>> {
        let is_whole = self.all.iter().all(|one| one.mapped.is_some());
        let slice = if is_whole { SLICE } else { PAUSE };
        let told: Vec<_> = match self.set.wait(Some(slice.min(limit))) {
            Ok(changes) => changes.to_vec(),
            Err(CortexError::Timeout { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let mut news = Vec::new();
        for change in told {
            let is_it = |one: &One| one.mapped.as_ref().is_some_and(|it| it.1 == change.member);
            let Some(index) = self.all.iter().position(is_it) else {
                continue;
            };
            news.extend(self.note(index, change.version)?);
            if change.is_removed {
                self.all[index].mapped = None;
            }
        }
        if news.is_empty() {
            news = self.recheck()?;
        }
        Ok(news)
    }

    /// Looks at each by its key: which has still a participant, and, where there is no mapping, what was committed.
    fn recheck(&mut self) -> Outcome<Vec<News>> {
        let mut news = Vec::new();
        for index in 0..self.all.len() {
            let one = &self.all[index];
            let info = look(one.key, one.id)?;
            if one.mapped.is_none() {
                news.extend(self.note(index, info.commits)?);
            }
            let one = &mut self.all[index];
            match (is_left(&info), one.mapped.take()) {
                (true, Some((_, member))) => drop(self.set.remove(member)),
                (true, None) => {}
                (false, Some(mapped)) => one.mapped = Some(mapped),
                (false, None) => {
                    one.mapped = match SegmentObserver::attach(info.key, info.size) {
                        Ok(observer) => {
                            let member = self.set.add_since(&observer, one.seen);
                            Some((observer, member))
                        }
                        // The next look says so.
                        Err(CortexError::Removed { .. }) => None,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Ok(news)
    }

    /// Returns what is new about one, given its version, with the value of this version or a later one.
    fn note(&mut self, index: usize, version: u64) -> Outcome<Option<News>> {
        let form = self.form;
        let one = &mut self.all[index];
        if version == one.seen {
            return Ok(None);
        }
        let mut told = version;
        let value = match form {
            None => None,
            Some(form) => {
                let mut bytes = room(one.key, one.size)?;
                bytes.resize(one.size, 0);
                told = match &one.mapped {
                    Some((observer, _)) => observer.read_versioned(0, &mut bytes)?,
                    None => match SegmentObserver::attach(one.key, one.size) {
                        Ok(observer) => observer.read_versioned(0, &mut bytes)?,
                        Err(error) if failure::status(&error) == failure::ABSENT => {
                            return removed(one.key);
                        }
                        Err(error) => return Err(error.into()),
                    },
                };
                // One commit is one line, and another user's text must not control this user's terminal.
                let line = harmless(&form.line(&bytes));
                Some((line, form.as_json(&bytes)))
            }
        };
        let not_seen = told.wrapping_sub(one.seen).wrapping_sub(1);
        if told == one.seen {
            return Ok(None);
        }
        one.seen = told;
        Ok(Some(News {
            index,
            version: told,
            not_seen,
            value,
        }))
    }
}

/// `wait`: prints those that have changed, and ends.
pub fn wait(arguments: &Wait) -> Outcome {
    let stop = Stop::new()?;
    let mut several = Several::new(&arguments.keys, &arguments.creator, arguments.form.as_ref())?;
    if let Some(since) = arguments.since {
        let [one] = &mut several.all[..] else {
            return plain(USAGE, "--since is the version of one cortex: give one key");
        };
        one.seen = since;
        if let Some((observer, member)) = &mut one.mapped {
            several.set.remove(*member);
            *member = several.set.add_since(observer, since);
        }
    }
    let begun = Instant::now();
    while !stop.is_asked() && !output::is_closed() {
        let left = arguments.timeout.map_or(Duration::MAX, |timeout| {
            timeout.saturating_sub(begun.elapsed())
        });
        let news = several.next(left)?;
        if !news.is_empty() {
            let mut out = output::lock();
            for one in news {
                let key = several.all[one.index].key;
                match one.value {
                    None => writeln!(out, "{key} {}", one.version)?,
                    Some((value, _)) => writeln!(out, "{key} {} {value}", one.version)?,
                }
            }
            return Ok(out.flush()?);
        }
        if left.is_zero() {
            return plain(LATE, "no commit came before the time was over");
        }
    }
    Ok(())
}

/// `watch` of several, or with values.
pub fn watch(arguments: &Watch) -> Outcome {
    let stop = Stop::new()?;
    let mut several = Several::new(&arguments.keys, &arguments.creator, arguments.form.as_ref())?;
    let begun = Instant::now();
    let mut lines = 0;
    let names: Vec<String> = arguments.keys.iter().map(ToString::to_string).collect();
    let widest = names.iter().map(|name| name.chars().count()).max();
    let width = widest.unwrap_or_default().max("KEY".len());
    if !arguments.json {
        let value = if arguments.form.is_some() {
            "  VALUE"
        } else {
            ""
        };
        let mut out = output::lock();
        let (seconds, commit, missed) = ("SECONDS", "COMMIT", "NOT SEEN");
        writeln!(
            out,
            "{seconds:>12}  {:<width$}  {commit:>12}  {missed:>9}{value}",
            "KEY"
        )?;
        out.flush()?;
    }
    let has_enough = |lines: u64| arguments.count.is_some_and(|count| lines >= count);
    while !stop.is_asked() && !output::is_closed() && !has_enough(lines) {
        for one in several.next(SLICE)? {
            if has_enough(lines) {
                break;
            }
            lines += 1;
            let seconds = begun.elapsed().as_secs_f64();
            let (name, version, not_seen) = (&names[one.index], one.version, one.not_seen);
            let mut out = output::lock();
            if arguments.json {
                let mut line = json!({
                    "seconds": seconds,
                    "key": name,
                    "commit": version,
                    "commit_string": version.to_string(),
                    "not_seen": not_seen,
                });
                if let Some((_, value)) = one.value {
                    line["value"] = value;
                }
                writeln!(out, "{line}")?;
            } else {
                let value = one
                    .value
                    .map_or(String::new(), |(value, _)| format!("  {value}"));
                writeln!(
                    out,
                    "{seconds:>12.6}  {name:<width$}  {version:>12}  {not_seen:>9}{value}"
                )?;
            }
            out.flush()?;
        }
    }
    Ok(())
}
