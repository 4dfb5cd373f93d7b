//! The columns of `list` and `top`: one table for both, for their help, and for the names that the same figures have
//! in JSON.
//!
//! **A cell is shown whole or not at all.** Where a table has no room it loses whole columns, the least important
//! first, and the caller that shows the table says which. Only free text ([`Column::is_text`]) may be shortened, with a
//! sign.

use crate::describe::{age, brief, condition, count, harmless, layout, shortened, user, waits};
use crate::people;
use neocortex::inspect::{SegmentInfo, Who};

/// A cortex, and what is known of it beyond one snapshot.
pub struct Line<'a> {
    pub info: &'a SegmentInfo,
    /// Commits in a second since the previous snapshot.
    pub rate: Option<f64>,
    /// The process that has the lock.
    pub holder: Option<&'a Who>,
}

pub struct Column {
    pub heading: &'static str,
    /// What it says, for the help.
    about: &'static str,
    /// The fields of `--json` that say it.
    fields: &'static [&'static str],
    shown_in: Places,
    /// Whether it is text of any length, which may be shortened.
    is_text: bool,
    /// A narrow screen leaves out the columns of the highest rank.
    rank: u8,
    cell: fn(&Line) -> String,
}

/// The sub-commands that show a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Places {
    List,
    Top,
    Both,
}

/// Free text is shortened to so many characters.
const TEXT: usize = 16;
/// Between two columns.
const GAP: usize = 2;

/// Every column, in the order in which they stand.
const COLUMNS: &[Column] = &[
    Column {
        heading: "KEY",
        about: "its key",
        fields: &["key"],
        shown_in: Places::Both,
        is_text: false,
        rank: 0,
        cell: |line| line.info.key.to_string(),
    },
    Column {
        heading: NAME,
        about: "the name that it was made under; not shown where no cortex has one",
        fields: &["name"],
        shown_in: Places::Both,
        is_text: true,
        rank: 0,
        cell: |line| match harmless(&line.info.name) {
            name if name.is_empty() => "-".into(),
            name => name,
        },
    },
    Column {
        heading: "HEX",
        about: "the same in hexadecimal, as `ipcs` prints it",
        fields: &["key"],
        shown_in: Places::List,
        is_text: false,
        rank: 13,
        cell: |line| format!("{:#010x}", line.info.key),
    },
    Column {
        heading: "SIZE",
        about: "bytes in the value",
        fields: &["size"],
        shown_in: Places::Both,
        is_text: false,
        rank: 8,
        cell: |line| line.info.size.to_string(),
    },
    Column {
        heading: "LOCK",
        about: "its lock",
        fields: &["lock"],
        shown_in: Places::Both,
        is_text: true,
        rank: 11,
        cell: |line| harmless(&line.info.lock),
    },
    Column {
        heading: "LAYOUT",
        about: "double (two payload slots), so many slots, or in place",
        fields: &["layout", "slots"],
        shown_in: Places::Both,
        is_text: false,
        rank: 12,
        cell: |line| layout(line.info.slots),
    },
    Column {
        heading: "SCHEMA",
        about: "the number that both sides agreed on",
        fields: &["schema", "schema_string"],
        shown_in: Places::List,
        is_text: false,
        rank: 14,
        cell: |line| format!("{:#x}", line.info.schema),
    },
    Column {
        heading: "OWNER",
        about: "the user that it belongs to",
        fields: &["owner", "owner_name"],
        shown_in: Places::Both,
        is_text: true,
        rank: 9,
        cell: |line| user(line.info.owner),
    },
    Column {
        heading: "MODE",
        about: "its permission bits",
        fields: &["mode"],
        shown_in: Places::List,
        is_text: false,
        rank: 10,
        cell: |line| format!("{:04o}", line.info.mode),
    },
    Column {
        heading: "ATTACHED",
        about: "mappings in all processes",
        fields: &["attached"],
        shown_in: Places::Both,
        is_text: false,
        rank: 7,
        cell: |line| line.info.attached.to_string(),
    },
    Column {
        heading: "ALIVE",
        about: "participants that live",
        fields: &["alive"],
        shown_in: Places::Both,
        is_text: false,
        rank: 4,
        cell: |line| count(line.info.alive),
    },
    Column {
        heading: "DEAD",
        about: "participants that died and still hold something",
        fields: &["dead"],
        shown_in: Places::Both,
        is_text: false,
        rank: 5,
        cell: |line| count(line.info.dead),
    },
    Column {
        heading: "COMMITS",
        about: "writes committed since it was made",
        fields: &["commits", "commits_string"],
        shown_in: Places::Both,
        is_text: false,
        rank: 2,
        cell: |line| line.info.commits.to_string(),
    },
    Column {
        heading: "RATE/S",
        about: "commits in a second since the last look",
        fields: &[],
        shown_in: Places::Top,
        is_text: false,
        rank: 3,
        cell: |line| {
            line.rate
                .map_or_else(|| "-".into(), |rate| format!("{rate:.1}"))
        },
    },
    Column {
        heading: "HOLDER",
        about: "the process that has the lock: its number, and its program or `dead` or `?`; where the process cannot be told, the participant (slot:generation), with `elsewhere` if it is in another PID namespace",
        fields: &["holder"],
        shown_in: Places::Both,
        is_text: true,
        rank: 6,
        cell: |line| people::holder(line.info.holder, line.holder),
    },
    Column {
        heading: "WAITS",
        about: "flags that those who wait set and those who wake clear: `lock` a process sleeps for the lock, `change` for the next commit, `pause` a reader that writers overtook asks them to pause, `readers n` wait for a writer",
        fields: &["waiting"],
        shown_in: Places::Top,
        is_text: false,
        rank: 10,
        cell: |line| waits(line.info.waiting),
    },
    Column {
        heading: "AGE",
        about: "how long ago it was made",
        fields: &["created", "age_seconds"],
        shown_in: Places::List,
        is_text: false,
        rank: 6,
        cell: |line| brief(age(line.info.created)),
    },
    Column {
        heading: "STATE",
        about: "what may be done with it, whether it is poisoned, its holder is dead, or its semaphores are gone (`ipcrm -s`). Where nobody is attached it is `kept` if it was made to stay (`persist`), and `stale` if not: the process that was to remove it has died",
        fields: &["state", "stale", "persistent", "poisoned", "semaphores_gone"],
        shown_in: Places::Both,
        is_text: false,
        rank: 1,
        cell: |line| condition(line.info),
    },
];

/// The heading of the one column that is shown only where a cortex has a name.
const NAME: &str = "NAME";

/// Returns whether any of these cortexes has a name.
pub fn are_named<'a>(cortexes: impl IntoIterator<Item = &'a SegmentInfo>) -> bool {
    cortexes.into_iter().any(|info| !info.name.is_empty())
}

/// Returns the columns of `list` or of `top`, with or without that of the names.
pub fn of(place: Places, are_named: bool) -> Vec<&'static Column> {
    let is_there = |column: &&Column| {
        [place, Places::Both].contains(&column.shown_in) && (are_named || column.heading != NAME)
    };
    COLUMNS.iter().filter(is_there).collect()
}

/// Returns the text about the columns for the help.
pub fn help(place: Places) -> String {
    let one = |column: &Column| {
        let fields: Vec<String> = column
            .fields
            .iter()
            .map(|field| format!("`{field}`"))
            .collect();
        match (place, fields.join(", ")) {
            (Places::List, fields) if !fields.is_empty() => {
                format!("{}: {} (JSON: {fields}).", column.heading, column.about)
            }
            _ => format!("{}: {}.", column.heading, column.about),
        }
    };
    let all: Vec<String> = of(place, true).into_iter().map(one).collect();
    let narrow = "A screen that is too narrow for all goes without the least important ones and says which; nothing that is shown is cut off, except that long names are shortened, with a sign.";
    format!("{}\n\n{narrow}", all.join("\n"))
}

impl Column {
    /// Returns the whole text of this column for a cortex.
    pub fn cell(&self, line: &Line) -> String {
        (self.cell)(line)
    }

    /// Returns the text of this column for a screen: long text is shortened, with a sign.
    pub fn short_cell(&self, line: &Line) -> String {
        let cell = self.cell(line);
        match self.is_text {
            true => shortened(&cell, TEXT),
            false => cell,
        }
    }
}

/// Returns which of the columns, with these widths, have room beside each other.
pub fn fitting(columns: &[&Column], widths: &[usize], room: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by_key(|&index| columns[index].rank);
    let mut is_shown = vec![false; columns.len()];
    let mut used = 0;
    for index in order {
        let gap = if used == 0 { 0 } else { GAP };
        used += gap + widths[index];
        // A column that is less important than one without room is left out too, so that users can learn the order.
        if used > room {
            break;
        }
        is_shown[index] = true;
    }
    is_shown
}

/// Returns rows of cells as lines. The columns that are shown are aligned, except the last one, which keeps its length.
pub fn aligned(rows: &[Vec<String>], widths: &[usize], is_shown: &[bool]) -> Vec<String> {
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .zip(is_shown)
            .filter(|(_, &is_shown)| is_shown)
            .map(|((cell, &width), _)| format!("{cell:<width$}"))
            .collect();
        cells.join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Returns for each column the width in which the cells of all these rows have room.
pub fn widths<'a>(rows: impl IntoIterator<Item = &'a Vec<String>>) -> Vec<usize> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(row.len(), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

/// Returns a text that names the columns which are not shown; `None` where all are.
pub fn hidden(columns: &[&Column], is_shown: &[bool], room: usize) -> Option<String> {
    let names: Vec<&str> = columns
        .iter()
        .zip(is_shown)
        .filter(|(_, &is_shown)| !is_shown)
        .map(|(column, _)| column.heading)
        .collect();
    (!names.is_empty()).then(|| format!("no room in {room} columns for {}", names.join(", ")))
}
