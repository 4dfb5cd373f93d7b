//! `inspect`: all that can be known of one cortex from outside, and its value.

use crate::access::newest_record;
use crate::arguments::{Inspect, LOCKS};
use crate::describe::{
    age, as_json, brief, condition, count, harmless, is_kept, is_poisoned, is_stale, layout, life,
    one_line, state, user, waits,
};
use crate::failure::{in_our_words, plain, Outcome, USAGE};
use crate::output;
use crate::people;
use neocortex::inspect::{self, People, SegmentInfo, SegmentState};
use neocortex::{CortexResult, SegmentObserver};
use serde_json::{json, Value};
use std::io::Write;
use std::time::Duration;

/// How long the command waits for a value that is being written: it shows the cortex's state, and is not a read.
const PATIENCE: Duration = Duration::from_millis(500);

pub fn run(arguments: &Inspect) -> Outcome {
    let key = &arguments.target.key;
    let info = inspect::segment(key)?;
    // At once, before the value is looked at, which may take a while.
    let people = inspect::people(&info);
    if arguments.offset > info.size {
        return plain(
            USAGE,
            format!(
                "key {key}: offset {} is beyond its {} bytes",
                arguments.offset, info.size
            ),
        );
    }
    let shown = shown(&info, arguments.offset, arguments.length);
    let (bytes, size) = match shown {
        Ok((bytes, size)) => (Ok(bytes), size),
        Err(error) => (Err(error), info.size),
    };
    let most = arguments.length.min(info.size - arguments.offset);
    let length = bytes.as_ref().map_or(most, Vec::len);
    let mut out = output::lock();
    if arguments.json {
        let mut object = as_json(&info);
        people::add_to_json(&mut object, &info, &people);
        object["value"] = match &bytes {
            Ok(bytes) => arguments.form.as_json(bytes),
            Err(_) => Value::Null,
        };
        object["value_strings"] = match &bytes {
            Ok(bytes) => arguments.form.as_strings(bytes),
            Err(_) => Value::Null,
        };
        object["value_offset"] = json!(arguments.offset);
        object["value_length"] = json!(length);
        object["record_length"] = match info.has_records && bytes.is_ok() {
            true => json!(size),
            false => Value::Null,
        };
        object["value_error"] = json!(bytes.err().as_ref().map(in_our_words));
        writeln!(out, "{}", one_line(&object))?;
        return Ok(());
    }
    for (name, words) in sheet(&info, &people) {
        writeln!(out, "{name:<14}{words}")?;
    }
    if info.has_records && bytes.is_ok() {
        writeln!(out, "{:<14}{size} bytes", "newest record")?;
    }
    writeln!(out)?;
    match bytes {
        Ok(bytes) => {
            for line in arguments.form.lines(&bytes, arguments.offset) {
                writeln!(out, "{line}")?;
            }
            let unshown = size.saturating_sub(arguments.offset + bytes.len());
            if unshown > 0 {
                writeln!(out, "({unshown} more bytes: --length, --offset)")?;
            }
        }
        Err(error) => writeln!(out, "(no value: {})", in_our_words(&error))?,
    }
    Ok(out.flush()?)
}

/// Returns up to so many bytes of the value or of the newest record, all from one commit, and how many there are.
fn shown(info: &SegmentInfo, offset: usize, most: usize) -> CortexResult<(Vec<u8>, usize)> {
    if matches!(info.state, SegmentState::Initialising) {
        let key = info.key;
        return Err(neocortex::CortexError::NotReady { key, waited_ms: 0 });
    }
    let observer = SegmentObserver::attach(info.key, info.size)?;
    if observer.has_records() {
        let record = newest_record(&observer, PATIENCE)?;
        let rest = record.get(offset..).unwrap_or_default();
        return Ok((rest[..most.min(rest.len())].to_vec(), record.len()));
    }
    observer.set_timeout(Some(PATIENCE));
    let length = most.min(info.size - offset);
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(length).is_err() {
        let (key, detail) = (info.key, format!("no memory for {length} bytes"));
        return Err(neocortex::CortexError::InvalidArgument { key, detail });
    }
    bytes.resize(length, 0);
    match observer.read_at(offset, &mut bytes) {
        Err(neocortex::CortexError::Timeout { key, .. }) if is_poisoned(info) => {
            Err(neocortex::CortexError::Poisoned { key })
        }
        result => result.map(|()| (bytes, info.size)),
    }
}

fn sheet(info: &SegmentInfo, people: &People) -> Vec<(&'static str, String)> {
    let set = info.beacon_id.map_or("none".into(), |id| id.to_string());
    let mut lines = vec![
        (
            "name",
            match info.name.is_empty() {
                true => "none".into(),
                false => harmless(&info.name),
            },
        ),
        ("key", format!("{} ({:#010x})", info.key, info.key)),
        ("condition", condition(info)),
        (
            "segment",
            format!(
                "id {}, {} bytes, format {}, state {}",
                info.id,
                info.total_size,
                info.format,
                state(info.state)
            ),
        ),
        (
            "owner",
            format!(
                "{} ({}), made by {} ({}), mode {:04o}",
                user(info.owner),
                info.owner,
                user(info.creator),
                info.creator,
                info.mode
            ),
        ),
        ("made", format!("{} ago", brief(age(info.created)))),
        (
            "value",
            format!(
                "{}{} bytes, alignment {}, schema {:#x}",
                match info.has_records {
                    true => "records of up to ",
                    false => "",
                },
                info.size,
                info.align,
                info.schema
            ),
        ),
        (
            "layout",
            format!(
                "{}: {} × {} bytes from {}{}",
                layout(info.slots),
                info.slots,
                info.slot_stride,
                info.slots_offset,
                match info.is_lossless {
                    true => "; lossless: writers wait for followers that registered",
                    false => "",
                }
            ),
        ),
        (
            "lock",
            format!("{}, {} bytes", harmless(&info.lock), info.lock_size),
        ),
        ("holder", holder(info, people)),
        ("commits", commits(info)),
        ("poisoned", poison(info).into()),
        ("waiting", waits(info.waiting)),
        (
            "semaphores",
            match info.has_lost_semaphores {
                true => format!("id {set}, key {:#010x}: gone, so nobody can attach; `neocortex remove` takes the rest away", info.beacon_key),
                false => format!("id {set}, key {:#010x}", info.beacon_key),
            },
        ),
        (
            "attached",
            format!("{} mappings in all processes", info.attached),
        ),
        ("stale", stale(info).into()),
        (
            "participants",
            format!(
                "{} alive, {} dead that still hold something, room for {}; lines from {}",
                count(info.alive),
                count(info.dead),
                info.participants,
                info.participants_offset
            ),
        ),
    ];
    let tenants = info.tenants.iter().zip(&people.participants);
    lines.extend(tenants.map(|(one, process)| {
        let readers = match one.readers {
            0 => String::new(),
            readers => format!(", {readers} read guards"),
        };
        let (slot, generation, life) = (one.slot, one.generation, life(one.is_alive));
        let who = people::who(&process.who);
        let words = format!("slot {slot}, generation {generation}: {life}{readers}; {who}");
        ("", words)
    }));
    lines.extend(people::sheet(people));
    lines
}

fn holder(info: &SegmentInfo, people: &People) -> String {
    let Some(holder) = info.holder else {
        return match LOCKS.contains(&info.lock.as_str()) {
            true => "nobody".into(),
            false => "not known: the lock is a program's own".into(),
        };
    };
    let what = match info.begun == info.commits {
        true => format!("no write begun since commit {}", info.commits),
        false => format!("writing since commit {}", info.commits),
    };
    let passed = match holder.is_alive {
        Some(false) => "; the next to take the lock takes over",
        _ => "",
    };
    let who = people.holder.as_ref().map_or_else(String::new, people::who);
    format!(
        "slot {}, generation {}: {}, {what}{passed}; {who}",
        holder.slot,
        holder.generation,
        life(holder.is_alive)
    )
}

fn commits(info: &SegmentInfo) -> String {
    let unfinished = match (info.begun == info.commits, info.holder) {
        (true, _) => return info.commits.to_string(),
        (false, Some(holder)) if holder.is_alive != Some(false) => "being written",
        (false, _) => "begun and not finished",
    };
    format!("{}; commit {} is {unfinished}", info.commits, info.begun)
}

fn poison(info: &SegmentInfo) -> &'static str {
    match (info.slots, info.is_poisoned, is_poisoned(info)) {
        (1, true, true) => "yes: a write in place was not finished. `neocortex heal` keeps the bytes, a whole `write` replaces them",
        (1, true, false) => "no: a write in place is going on",
        (1, ..) => "no",
        _ => "no: a write that is not finished leaves the last commit as it was",
    }
}

fn stale(info: &SegmentInfo) -> &'static str {
    match (is_stale(info), is_kept(info), info.attached) {
        (true, ..) => "yes: `neocortex reclaim` takes it away",
        (_, true, _) => {
            "no: no participant lives, but it was made to stay. `neocortex remove` takes it away"
        }
        (_, _, 0) => "no: nobody is attached, but a participant lives (it called execve)",
        _ => "no",
    }
}
