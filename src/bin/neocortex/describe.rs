//! A cortex in words and as JSON.

use neocortex::inspect::{SegmentInfo, SegmentState, Waiting};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// Text of another process's making, in one line and without what could steer the terminal or hide: control characters
/// and all else that is not printed (directions of writing, characters without width) are written as Rust writes them.
pub fn harmless(text: &str) -> String {
    let shown = |c: char| match c {
        '"' | '\'' | '\\' => c.to_string(),
        // Behind another character: an accent of its own is printed on that one.
        c => format!("a{c}").escape_debug().skip(1).collect(),
    };
    text.chars().map(shown).collect()
}

/// Does the same as [`harmless`], and keeps line ends and tabs.
pub fn harmless_lines(text: &str) -> String {
    let line = |line: &str| {
        let cells: Vec<String> = line.split('\t').map(harmless).collect();
        cells.join("\t")
    };
    let lines: Vec<String> = text.split('\n').map(line).collect();
    lines.join("\n")
}

/// Returns at most `length` characters of a text, with a sign where something was left out.
pub fn shortened(text: &str, length: usize) -> String {
    match text.chars().count() > length {
        false => text.to_owned(),
        true => text.chars().take(length - 1).chain(['\u{2026}']).collect(),
    }
}

/// JSON as one line that a terminal may show as well: what is not printed is written `\uXXXX`, which means the same.
pub fn one_line(value: &Value) -> String {
    let mut line = String::new();
    for c in value.to_string().chars() {
        if c.is_ascii() || harmless(&c.to_string()).starts_with(c) {
            line.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            line += &format!("\\u{unit:04x}");
        }
    }
    line.replace('\u{7f}', "\\u007f")
}

/// Returns the user's name, or the number where it has none. It is asked for once, because the answer may come from a
/// file or a server.
pub fn user(id: u32) -> String {
    static NAMES: Mutex<BTreeMap<u32, String>> = Mutex::new(BTreeMap::new());
    let ask = || {
        uzers::get_user_by_uid(id).map_or_else(
            || id.to_string(),
            |user| harmless(&user.name().to_string_lossy()),
        )
    };
    match NAMES.lock() {
        Ok(mut names) => names.entry(id).or_insert_with(ask).clone(),
        Err(_) => ask(),
    }
}

pub fn layout(slots: u32) -> String {
    match slots {
        1 => "in place".into(),
        2 => "double".into(),
        slots => format!("{slots} slots"),
    }
}

pub fn age(created: SystemTime) -> Duration {
    created.elapsed().unwrap_or_default()
}

/// Returns a duration in its largest unit.
pub fn brief(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..=119 => format!("{seconds}s"),
        seconds @ 120..=7199 => format!("{}m", seconds / 60),
        seconds @ 7200..=172_799 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

pub fn state(state: SegmentState) -> &'static str {
    match state {
        SegmentState::Initialising => "initialising",
        SegmentState::Ready => "ready",
        SegmentState::Closing => "closing",
        SegmentState::Removed => "removed",
        _ => "?",
    }
}

/// Returns whether it is poisoned: a write in place is unfinished, and no process is left that could finish it.
pub fn is_poisoned(info: &SegmentInfo) -> bool {
    info.is_poisoned
        && info
            .holder
            .is_none_or(|holder| holder.is_alive == Some(false))
}

/// Returns whether it is stale, in the library's sense.
pub fn is_stale(info: &SegmentInfo) -> bool {
    info.is_stale
}

/// Returns whether it was made to stay and no participant lives.
pub fn is_kept(info: &SegmentInfo) -> bool {
    let is_deserted = info.alive.map_or(info.attached == 0, |alive| alive == 0);
    info.is_persistent && info.state == SegmentState::Ready && is_deserted
}

/// Returns what an operator wants to know first.
pub fn condition(info: &SegmentInfo) -> String {
    let mut words = vec![match (is_stale(info), is_kept(info)) {
        (true, _) => "stale",
        (_, true) => "kept",
        _ => state(info.state),
    }];
    if is_poisoned(info) {
        words.push("poisoned");
    }
    if info
        .holder
        .is_some_and(|holder| holder.is_alive == Some(false))
    {
        words.push("holder dead");
    }
    if info.has_lost_semaphores {
        words.push("semaphores gone");
    }
    words.join(", ")
}

pub fn life(is_alive: Option<bool>) -> &'static str {
    match is_alive {
        Some(true) => "alive",
        Some(false) => "dead",
        None => "unknown",
    }
}

pub fn count(count: Option<u32>) -> String {
    count.map_or_else(|| "?".into(), |count| count.to_string())
}

/// Returns the waits that are flagged, in a few words.
pub fn waits(waiting: Waiting) -> String {
    let mut words = Vec::new();
    for (is_set, word) in [
        (waiting.for_lock, "lock"),
        (waiting.for_change, "change"),
        (waiting.for_pause, "pause"),
        (waiting.for_room, "room"),
    ] {
        if is_set {
            words.push(word.to_owned());
        }
    }
    if waiting.readers > 0 {
        words.push(format!("readers {}", waiting.readers));
    }
    match words.is_empty() {
        true => "-".into(),
        false => words.join(" "),
    }
}

pub fn as_json(info: &SegmentInfo) -> Value {
    let holder = info.holder.map(|holder| {
        json!({ "slot": holder.slot, "generation": holder.generation, "alive": holder.is_alive })
    });
    let tenants = info.tenants.iter().map(|one| {
        json!({
            "slot": one.slot,
            "generation": one.generation,
            "alive": one.is_alive,
            "readers": one.readers,
        })
    });
    let created = info.created.duration_since(SystemTime::UNIX_EPOCH);
    let mut object = json!({
        "key": info.key,
        // An empty name means that it has none.
        "name": Some(&info.name).filter(|name| !name.is_empty()),
        "id": info.id,
        "format": info.format,
        "size": info.size,
        "total_size": info.total_size,
        "align": info.align,
        "layout": layout(info.slots),
        "slots": info.slots,
        "slot_stride": info.slot_stride,
        "slots_offset": info.slots_offset,
        "participants_offset": info.participants_offset,
        "lock": info.lock,
        "lock_size": info.lock_size,
        "schema": info.schema,
        // Numbers that may be above 2⁵³, up to which every reader of JSON is exact, are given as strings too.
        "schema_string": info.schema.to_string(),
        "beacon_key": info.beacon_key,
        "beacon_id": info.beacon_id,
        "owner": info.owner,
        "owner_name": user(info.owner),
        "creator": info.creator,
        "mode": format!("{:04o}", info.mode),
        "attached": info.attached,
        "alive": info.alive,
        "dead": info.dead,
        "participants": info.participants,
        "tenants": tenants.collect::<Vec<_>>(),
        "commits": info.commits,
        "commits_string": info.commits.to_string(),
        "begun": info.begun,
        "begun_string": info.begun.to_string(),
        "holder": holder,
        "waiting": {
            "lock": info.waiting.for_lock,
            "change": info.waiting.for_change,
            "pause": info.waiting.for_pause,
            "room": info.waiting.for_room,
            "readers": info.waiting.readers,
        },
        "created": created.map_or(0, |age| age.as_secs()),
        "age_seconds": age(info.created).as_secs(),
        "state": state(info.state),
        "poisoned": is_poisoned(info),
        "unfinished": info.is_poisoned,
        "persistent": info.is_persistent,
        "semaphores_gone": info.has_lost_semaphores,
        "stale": is_stale(info),
    });
    object["records"] = json!(info.has_records);
    object["lossless"] = json!(info.is_lossless);
    object
}
