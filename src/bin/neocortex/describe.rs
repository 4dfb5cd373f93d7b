//! A cortex in words and as JSON.

use neocortex::inspect::{Holder, SegmentInfo, SegmentState, Waiting};
use serde_json::{json, Value};
use std::time::{Duration, SystemTime};

/// Text of another process's making, without what could steer the terminal.
pub fn harmless(text: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// The user's name, or the number where it has none.
pub fn user(id: u32) -> String {
    uzers::get_user_by_uid(id).map_or_else(
        || id.to_string(),
        |user| harmless(&user.name().to_string_lossy()),
    )
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

/// A duration in its largest unit.
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

/// Whether it is poisoned: unfinished in place, and by nobody who could still finish it.
pub fn is_poisoned(info: &SegmentInfo) -> bool {
    info.is_poisoned
        && info
            .holder
            .is_none_or(|holder| holder.is_alive == Some(false))
}

/// Whether nobody needs it: nobody is attached, and it was not made to stay.
pub fn is_stale(info: &SegmentInfo) -> bool {
    info.is_stale && !info.is_persistent
}

/// What an operator wants to know first.
pub fn condition(info: &SegmentInfo) -> String {
    let mut words = vec![match (info.is_stale, info.is_persistent) {
        (true, false) => "stale",
        (true, true) => "kept",
        (false, _) => state(info.state),
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

/// The waits that are flagged, in a few words.
pub fn waits(waiting: Waiting) -> String {
    let mut words = Vec::new();
    for (is_set, word) in [
        (waiting.for_lock, "lock"),
        (waiting.for_change, "change"),
        (waiting.for_pause, "pause"),
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

pub fn holder(holder: Option<Holder>) -> String {
    holder.map_or_else(
        || "-".into(),
        |holder| {
            let dead = if holder.is_alive == Some(false) {
                " dead"
            } else {
                ""
            };
            format!("{}:{}{dead}", holder.slot, holder.generation)
        },
    )
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
    json!({
        "key": info.key,
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
        "begun": info.begun,
        "holder": holder,
        "waiting": {
            "lock": info.waiting.for_lock,
            "change": info.waiting.for_change,
            "pause": info.waiting.for_pause,
            "readers": info.waiting.readers,
        },
        "created": created.map_or(0, |age| age.as_secs()),
        "age_seconds": age(info.created).as_secs(),
        "state": state(info.state),
        "poisoned": is_poisoned(info),
        "unfinished": info.is_poisoned,
        "persistent": info.is_persistent,
        "stale": is_stale(info),
    })
}
