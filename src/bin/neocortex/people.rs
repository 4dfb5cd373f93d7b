//! The processes behind a cortex, in words and as JSON.

use crate::describe::{age, brief, harmless, user};
use neocortex::inspect::{
    self, Holder, Onlooker, People, Process, SegmentInfo, Untold, Waiter, WaitsFor, Who,
};
use serde_json::{json, Value};
use std::collections::HashMap;
use std::time::SystemTime;

/// Returns a process in a few words, its command line last.
fn process(process: &Process) -> String {
    format!(
        "process {} ({}), started {} ago: {}",
        process.pid,
        user(process.uid),
        brief(age(process.started)),
        harmless(&process.command)
    )
}

/// Returns which process it is, or why that cannot be known, in words.
pub fn who(who: &Who) -> String {
    match who {
        Who::Process(one) => process(one),
        Who::Untold { pid, why } => match pid {
            Some(pid) => format!("process {pid}: {why}"),
            None => format!("its process is not known: {why}"),
        },
        _ => "its process is not known".into(),
    }
}

/// Returns the text of the holder for a column.
pub fn holder(holder: Option<Holder>, who: Option<&Who>) -> String {
    let Some(holder) = holder else {
        return "-".into();
    };
    let (pid, word) = match who {
        Some(Who::Process(process)) => {
            let program = process.command.split(' ').next().unwrap_or_default();
            let name = program.rsplit('/').next().unwrap_or_default();
            (Some(process.pid), harmless(name))
        }
        Some(Who::Untold { pid, why }) => {
            let word = match why {
                Untold::Dead => "dead",
                Untold::OtherNamespace => "elsewhere",
                _ => "?",
            };
            (*pid, word.into())
        }
        _ => (None, "?".into()),
    };
    match pid {
        Some(pid) => format!("{pid} {word}"),
        None => format!("{}:{} {word}", holder.slot, holder.generation),
    }
}

/// Returns the process behind each holder, by the cortex's id.
pub fn holders<'a>(infos: impl Iterator<Item = &'a SegmentInfo> + Clone) -> HashMap<i32, Who> {
    let all = inspect::holders(infos.clone());
    let named = infos.zip(all);
    named
        .filter_map(|(info, who)| Some((info.id, who?)))
        .collect()
}

/// Returns what `inspect` says beyond the participants: which process made the cortex, which others have it mapped,
/// which threads wait.
pub fn sheet(people: &People) -> Vec<(&'static str, String)> {
    let mut lines = vec![("maker", who(&people.maker))];
    lines.extend(
        people
            .onlookers
            .iter()
            .map(|one| ("onlooker", onlooker(one))),
    );
    if people.unseen_mappings > 0 {
        let words = format!(
            "{} mappings are in processes that cannot be looked at from here: another user's, or in another PID \
             namespace",
            people.unseen_mappings
        );
        lines.push(("onlooker", words));
    }
    lines.extend(people.waiters.iter().map(|one| ("waiter", waiter(one))));
    let seen = |one: &&Waiter| one.waits_for == WaitsFor::Lock;
    let seen = people.waiters.iter().filter(seen).count();
    let unseen = people.parked.unwrap_or(0).saturating_sub(seen as u32);
    if unseen > 0 {
        let words =
            format!("{unseen} more threads sleep for the lock, in processes that cannot be told");
        lines.push(("waiter", words));
    }
    if people.closed_processes > 0 {
        let words = format!(
            "of {} processes this user cannot be told whether they wait; root can",
            people.closed_processes
        );
        lines.push(("waiter", words));
    }
    lines
}

fn onlooker(one: &Onlooker) -> String {
    let what = match one.is_read_only {
        true => "reads it and takes no part",
        false => "has it mapped for writing and has no slot (a forked child, or another program)",
    };
    format!("{what}: {}", process(&one.process))
}

fn waiter(one: &Waiter) -> String {
    let what = match one.waits_for {
        WaitsFor::Lock => "waits for the lock".into(),
        WaitsFor::Change => "waits for the next commit".into(),
        WaitsFor::Readers { slot } => format!("has the lock, waits for the readers of slot {slot}"),
        WaitsFor::Value => "sleeps on a word of the value".into(),
        _ => "waits".to_owned(),
    };
    format!("{what}: thread {} of {}", one.thread, process(&one.process))
}

fn process_as_json(process: &Process) -> Value {
    let started = process.started.duration_since(SystemTime::UNIX_EPOCH);
    json!({
        "pid": process.pid,
        "uid": process.uid,
        "user": user(process.uid),
        "command": process.command,
        "started": started.map_or(0, |age| age.as_secs()),
        "age_seconds": age(process.started).as_secs(),
        "untold": null,
    })
}

/// Returns an object with the process's number, or null, and the reason where no more is known.
pub fn who_as_json(who: &Who) -> Value {
    match who {
        Who::Process(process) => process_as_json(process),
        Who::Untold { pid, why } => json!({ "pid": pid, "untold": why.to_string() }),
        _ => json!({ "pid": null, "untold": "not known" }),
    }
}

/// Adds the processes to what `inspect --json` says of a cortex.
pub fn add_to_json(object: &mut Value, info: &SegmentInfo, people: &People) {
    object["maker"] = who_as_json(&people.maker);
    if let (Some(_), Some(holder)) = (info.holder, &people.holder) {
        object["holder"]["process"] = who_as_json(holder);
    }
    for (index, one) in people.participants.iter().enumerate() {
        object["tenants"][index]["process"] = who_as_json(&one.who);
    }
    let onlookers = people.onlookers.iter().map(|one| {
        let mut onlooker = process_as_json(&one.process);
        onlooker["mappings"] = json!(one.mappings);
        onlooker["read_only"] = json!(one.is_read_only);
        onlooker
    });
    object["onlookers"] = onlookers.collect();
    object["unseen_mappings"] = json!(people.unseen_mappings);
    let waiters = people.waiters.iter().map(|one| {
        let mut waiter = process_as_json(&one.process);
        waiter["thread"] = json!(one.thread);
        let (word, slot) = match one.waits_for {
            WaitsFor::Lock => ("lock", None),
            WaitsFor::Change => ("change", None),
            WaitsFor::Readers { slot } => ("readers", Some(slot)),
            WaitsFor::Value => ("value", None),
            _ => ("something else", None),
        };
        waiter["for"] = json!(word);
        waiter["slot"] = json!(slot);
        waiter
    });
    object["waiters"] = waiters.collect();
    object["closed_processes"] = json!(people.closed_processes);
    object["parked"] = json!(people.parked);
}
