//! `status`: what the mirrors on this host tell, from their status cortexes.

use crate::arguments;
use crate::manual::print;
use neocortex::inspect;
use neocortex_mirror::{status_name, MirrorResult, Status, STATUS_SCHEMA};
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

pub fn run(arguments: &arguments::Status) -> MirrorResult<ExitCode> {
    let wanted = arguments.name.as_ref().map(status_name);
    let mut found = Vec::new();
    for info in inspect::segments()? {
        let is_wanted = wanted.as_ref().is_none_or(|name| *name == info.name);
        let Some(local) = info.name.strip_prefix("neocortex-mirror/") else {
            continue;
        };
        if info.schema != STATUS_SCHEMA || !is_wanted {
            continue;
        }
        // One that has gone in this moment is not there.
        let Ok(status) =
            Status::of(local.parse::<neocortex::Key>()?).and_then(|status| status.read())
        else {
            continue;
        };
        found.push((local.to_owned(), status));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    if let (true, Some(name)) = (found.is_empty(), &arguments.name) {
        // The same error as a program gets.
        Status::of(name)?;
    }
    let is_alive = |status: &Status| status.is_alive(arguments.patience);
    let text = match arguments.json {
        true => format!(
            "{:#}\n",
            json!(found
                .iter()
                .map(|(local, status)| object(local, status, is_alive(status)))
                .collect::<Vec<_>>())
        ),
        false => found
            .iter()
            .map(|(local, status)| line(local, status, arguments.patience))
            .collect(),
    };
    print(text.as_bytes())?;
    Ok(match found.iter().all(|(_, status)| is_alive(status)) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(7),
    })
}

fn object(local: &str, status: &Status, is_alive: bool) -> serde_json::Value {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    json!({
        "local": local,
        "role": if status.role == Status::PUBLISHES { "publishes" } else { "follows" },
        "alive": is_alive,
        "origin": status.origin(),
        "term": status.term,
        "epoch": status.epoch,
        "seconds_since_heard": seconds(status.since_heard()),
        "seconds_since_applied": seconds(status.since_applied()),
        "age_at_most_when_applied": Duration::from_nanos(status.age_at_most).as_secs_f64(),
        "origin_version": status.origin_version,
        "known_version": status.known_version,
        "local_version": status.local_version,
        "applied": status.applied,
        "conflated": status.conflated,
        "missed": status.missed,
        "refused": status.refused,
        "foreign": status.foreign,
        "process": status.process,
    })
}

fn line(local: &str, status: &Status, patience: Duration) -> String {
    let ago = |time: Option<Duration>| {
        time.map_or("never".to_owned(), |time| {
            format!("{:.1} s ago", time.as_secs_f64())
        })
    };
    let age = neocortex_mirror::now().saturating_sub(status.updated_at);
    let state = match status.is_alive(patience) {
        true => "alive",
        false if age > patience.as_nanos() as u64 => "no mirror (it has ended, or is stopped)",
        false => "no origin",
    };
    if status.role == Status::PUBLISHES {
        return format!(
            "{local}: {state}, published as \"{}\" (term {}), version {}, asked {}, sent {}\n",
            status.origin(),
            status.term,
            status.known_version,
            ago(status.since_heard()),
            status.applied
        );
    }
    format!(
        "{local}: {state}, follows \"{}\" (term {}), version {} of {}, stored {}, heard {}; stored {}, left out {}, missed {}, refused {}, foreign {}\n",
        status.origin(), status.term, status.origin_version, status.known_version, ago(status.since_applied()), ago(status.since_heard()),
        status.applied, status.conflated, status.missed, status.refused, status.foreign
    )
}
