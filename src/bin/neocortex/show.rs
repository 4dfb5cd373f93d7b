//! `inspect`: all that can be known of one cortex from outside, and its value.

use crate::arguments::Inspect;
use crate::describe::{
    age, as_json, brief, condition, count, harmless, is_poisoned, layout, life, state, user, waits,
};
use crate::failure::{plain, Outcome, USAGE};
use crate::value;
use neocortex::inspect::{self, SegmentInfo, SegmentState};
use neocortex::{CortexResult, SegmentObserver};
use serde_json::{json, Value};
use std::io::{self, Write};
use std::time::Duration;

/// How long a value that is being written is waited for: this is a look, not a read.
const PATIENCE: Duration = Duration::from_millis(500);

pub fn run(arguments: &Inspect) -> Outcome {
    let key = arguments.target.key;
    let info = inspect::segment(key)?;
    if arguments.offset > info.size {
        return plain(
            USAGE,
            format!(
                "key {key}: offset {} is beyond its {} bytes",
                arguments.offset, info.size
            ),
        );
    }
    let length = arguments.length.min(info.size - arguments.offset);
    let bytes = bytes(&info, arguments.offset, length);
    let mut out = io::stdout().lock();
    if arguments.json {
        let mut object = as_json(&info);
        object["value"] = match &bytes {
            Ok(bytes) => value::as_json(arguments.kind, bytes),
            Err(_) => Value::Null,
        };
        object["value_offset"] = json!(arguments.offset);
        object["value_length"] = json!(length);
        object["value_error"] = json!(bytes.err().map(|error| error.to_string()));
        writeln!(out, "{object}")?;
        return Ok(());
    }
    for (name, words) in sheet(&info) {
        writeln!(out, "{name:<14}{words}")?;
    }
    for one in &info.tenants {
        let readers = match one.readers {
            0 => String::new(),
            readers => format!(", {readers} read guards"),
        };
        let (slot, generation, life) = (one.slot, one.generation, life(one.is_alive));
        writeln!(
            out,
            "{:14}slot {slot}, generation {generation}: {life}{readers}",
            ""
        )?;
    }
    writeln!(out)?;
    match bytes {
        Ok(bytes) => {
            for line in value::lines(arguments.kind, &bytes, arguments.offset) {
                writeln!(out, "{line}")?;
            }
            let unshown = info.size - arguments.offset - bytes.len();
            if unshown > 0 {
                writeln!(out, "({unshown} more bytes: --length, --offset)")?;
            }
        }
        Err(error) => writeln!(out, "(no value: {error})")?,
    }
    Ok(out.flush()?)
}

/// The value, all from one commit.
fn bytes(info: &SegmentInfo, offset: usize, length: usize) -> CortexResult<Vec<u8>> {
    if matches!(info.state, SegmentState::Initialising) {
        let key = info.key;
        return Err(neocortex::CortexError::NotReady { key, waited_ms: 0 });
    }
    let observer = SegmentObserver::attach(info.key, info.size)?;
    observer.set_timeout(Some(PATIENCE));
    let mut bytes = vec![0; length];
    match observer.read_at(offset, &mut bytes) {
        Err(neocortex::CortexError::Timeout { key, .. }) if is_poisoned(info) => {
            Err(neocortex::CortexError::Poisoned { key })
        }
        result => result.map(|()| bytes),
    }
}

fn sheet(info: &SegmentInfo) -> Vec<(&'static str, String)> {
    let set = info.beacon_id.map_or("none".into(), |id| id.to_string());
    vec![
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
                "{} bytes, alignment {}, schema {:#x}",
                info.size, info.align, info.schema
            ),
        ),
        (
            "layout",
            format!(
                "{}: {} × {} bytes from {}",
                layout(info.slots),
                info.slots,
                info.slot_stride,
                info.slots_offset
            ),
        ),
        (
            "lock",
            format!("{}, {} bytes", harmless(&info.lock), info.lock_size),
        ),
        ("holder", holder(info)),
        ("commits", commits(info)),
        ("poisoned", poison(info).into()),
        ("waiting", waits(info.waiting)),
        (
            "semaphores",
            format!("id {set}, key {:#010x}", info.beacon_key),
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
    ]
}

fn holder(info: &SegmentInfo) -> String {
    let Some(holder) = info.holder else {
        return match info.lock.as_str() {
            "seqlock" | "rwlock" | "semaphore" => "nobody".into(),
            _ => "not known: the lock is a program's own".into(),
        };
    };
    let what = match info.begun == info.commits {
        true => format!("no write begun since commit {}", info.commits),
        false => format!("writing since commit {}", info.commits),
    };
    let passed = match holder.is_alive {
        Some(false) => "; whoever takes the lock next passes it",
        _ => "",
    };
    format!(
        "slot {}, generation {}: {}, {what}{passed}",
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
    match (info.is_stale, info.attached, info.alive) {
        (true, ..) if info.is_persistent => {
            "no: nobody is attached, but it was made to stay. `neocortex remove` takes it away"
        }
        (true, ..) => "yes: nobody is attached. `neocortex reclaim` takes it away",
        (false, 0, _) => "no: nobody is attached, but a participant lives (it called execve)",
        _ => "no",
    }
}
