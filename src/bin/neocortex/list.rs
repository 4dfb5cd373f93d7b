//! `list`: every cortex, and what else was found.

use crate::arguments::List;
use crate::columns::{self, Column, Line, Places};
use crate::describe::{as_json, one_line};
use crate::failure::{in_our_words, say, status, Outcome};
use crate::output::{self, width};
use crate::people;
use neocortex::inspect::{self, Found, Who};
use neocortex::CortexError;
use serde_json::json;
use std::collections::HashMap;
use std::io::Write;

/// Returns whether it is another program's segment, or a segment of which that cannot be known.
fn is_other(found: &Found) -> bool {
    match &found.cortex {
        Ok(_) => false,
        Err(error) => matches!(error, CortexError::NotACortex { .. }) || status(error) == 8,
    }
}

pub fn run(arguments: &List) -> Outcome {
    let mut found = inspect::survey()?;
    let unreadable = found
        .iter()
        .filter(|one| one.cortex.as_ref().is_err_and(|error| status(error) == 8))
        .count();
    if !arguments.all {
        found.retain(|one| !is_other(one));
    }
    found.sort_by_key(|one| one.key);
    let holders = people::holders(found.iter().filter_map(|one| one.cortex.as_ref().ok()));
    let mut out = output::lock();
    if arguments.json {
        let objects: Vec<_> = found.iter().map(|one| object(one, &holders)).collect();
        writeln!(out, "{}", one_line(&serde_json::Value::Array(objects)))?;
        return Ok(());
    }
    let infos = found.iter().filter_map(|one| one.cortex.as_ref().ok());
    let columns = columns::of(Places::List, columns::are_named(infos));
    let mut rows = vec![columns
        .iter()
        .map(|column| column.heading.to_owned())
        .collect()];
    rows.extend(found.iter().map(|one| row(one, &columns, &holders)));
    let widths = columns::widths(&rows);
    // A pipe has room for all.
    let room = width();
    let is_shown = columns::fitting(&columns, &widths, room.unwrap_or(usize::MAX));
    for line in columns::aligned(&rows, &widths, &is_shown) {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    if let Some(hidden) = columns::hidden(&columns, &is_shown, room.unwrap_or(0)) {
        say(&format!(
            "{hidden}: a wider terminal, `neocortex list | cat` and `--json` show them"
        ));
    }
    if unreadable > 0 && !arguments.all {
        say(&format!(
            "{unreadable} more may not be read by this user: `--all` shows them, root sees into them"
        ));
    }
    let orphans = inspect::orphans()?.len();
    if orphans > 0 {
        say(&format!(
            "{orphans} semaphore sets have outlived their segments: `neocortex reclaim --all` takes them away"
        ));
    }
    Ok(())
}

fn object(found: &Found, holders: &HashMap<i32, Who>) -> serde_json::Value {
    match &found.cortex {
        Ok(info) => {
            let mut object = as_json(info);
            if let Some(who) = holders.get(&info.id) {
                object["holder"]["process"] = people::who_as_json(who);
            }
            object
        }
        Err(error) => json!({
            "key": found.key,
            "id": found.id,
            "attached": found.attached,
            "error": in_our_words(error),
        }),
    }
}

fn row(found: &Found, columns: &[&Column], holders: &HashMap<i32, Who>) -> Vec<String> {
    let error = match &found.cortex {
        Ok(info) => {
            let line = Line {
                info,
                rate: None,
                holder: holders.get(&info.id),
            };
            return columns.iter().map(|column| column.cell(&line)).collect();
        }
        Err(error) => error,
    };
    let cell = |column: &&Column| match column.heading {
        "KEY" => found.key.to_string(),
        "HEX" => format!("{:#010x}", found.key),
        "ATTACHED" => found
            .attached
            .map_or_else(|| "-".into(), |attached| attached.to_string()),
        "STATE" => what_else(error).into(),
        _ => "-".into(),
    };
    columns.iter().map(cell).collect()
}

/// Returns what a segment is that is not a whole cortex of this version.
fn what_else(error: &CortexError) -> &'static str {
    match error {
        CortexError::NotACortex { .. } => "not a cortex",
        CortexError::NotReady { .. } => "half made",
        CortexError::Format { .. } => "another format",
        CortexError::Corrupt { .. } => "corrupt",
        error if status(error) == 8 => "not readable",
        _ => "unknown",
    }
}
