//! `list`: every cortex, and what else was found.

use crate::arguments::List;
use crate::describe::{age, as_json, brief, condition, count, harmless, layout, user};
use crate::failure::{say, status, Outcome};
use neocortex::inspect::{self, Found, SegmentInfo};
use neocortex::CortexError;
use serde_json::json;
use std::io::{self, Write};

const HEADING: [&str; 14] = [
    "KEY", "HEX", "SIZE", "LOCK", "LAYOUT", "SCHEMA", "OWNER", "MODE", "ATTACHED", "ALIVE", "DEAD",
    "COMMITS", "AGE", "STATE",
];

/// Whether it is somebody else's segment, or nobody can tell.
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
    let mut out = io::stdout().lock();
    if arguments.json {
        let objects: Vec<_> = found.iter().map(object).collect();
        writeln!(out, "{}", serde_json::Value::Array(objects))?;
        return Ok(());
    }
    let mut rows = vec![HEADING.map(str::to_owned)];
    rows.extend(found.iter().map(|one| match &one.cortex {
        Ok(info) => row(info),
        Err(error) => row_of_other(one, error),
    }));
    write!(out, "{}", columns(&rows))?;
    out.flush()?;
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

fn object(found: &Found) -> serde_json::Value {
    match &found.cortex {
        Ok(info) => as_json(info),
        Err(error) => json!({
            "key": found.key,
            "id": found.id,
            "attached": found.attached,
            "error": error.to_string(),
        }),
    }
}

fn row(info: &SegmentInfo) -> [String; 14] {
    [
        info.key.to_string(),
        format!("{:#010x}", info.key),
        info.size.to_string(),
        harmless(&info.lock),
        layout(info.slots),
        format!("{:#x}", info.schema),
        user(info.owner),
        format!("{:04o}", info.mode),
        info.attached.to_string(),
        count(info.alive),
        count(info.dead),
        info.commits.to_string(),
        brief(age(info.created)),
        condition(info),
    ]
}

fn row_of_other(found: &Found, error: &CortexError) -> [String; 14] {
    let mut row = [const { String::new() }; 14];
    row.fill("-".into());
    row[0] = found.key.to_string();
    row[1] = format!("{:#010x}", found.key);
    if let Some(attached) = found.attached {
        row[8] = attached.to_string();
    }
    row[13] = match error {
        CortexError::NotACortex { .. } => "not a cortex",
        CortexError::NotReady { .. } => "half made",
        CortexError::Format { .. } => "another format",
        CortexError::Corrupt { .. } => "corrupt",
        error if status(error) == 8 => "not readable",
        _ => "unknown",
    }
    .into();
    row
}

/// The rows with their columns aligned; the last one is as long as it is.
fn columns(rows: &[[String; 14]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..14).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}
