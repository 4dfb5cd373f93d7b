//! The table, for people and for programs.

use crate::contest::{Figure, Outcome, Row, Settings, Target, Unit, C, RUST};
use comfy_table::{Cell, CellAlignment, Table};
use serde::Serialize;
use std::process::Command;

/// A column that is a limit rather than a peer, such as a plain load.
fn is_limit(column: &str) -> bool {
    column.starts_with('(')
}

fn is_ours(column: &str) -> bool {
    column.starts_with("neocortex") && column != "neocortex 3.0.3"
}

pub fn render(rows: &[Row], settings: &Settings) -> String {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header([
        "work",
        RUST,
        C,
        "peers (their figure, ours in theirs)",
        "targets",
    ]);
    for row in rows {
        let ours = row.figure(RUST);
        let peers = row
            .cells
            .iter()
            .filter(|(column, _)| column != RUST && column != C)
            .map(|(column, outcome)| match (outcome, ours) {
                (Outcome::Measured(figure), Some(ours)) if figure.median > 0.0 => format!(
                    "{column}: {} ({:.2}×)",
                    show(figure, row.unit),
                    ours.median / figure.median
                ),
                (Outcome::Measured(figure), _) => {
                    format!("{column}: {}", show(figure, row.unit))
                }
                (Outcome::NotMeasured(why), _) => format!("{column}: {why}"),
            });
        let cell = |column| {
            let text = row.cells.iter().find(|(name, _)| name == column);
            let text = text.map_or(String::new(), |(_, outcome)| match outcome {
                Outcome::Measured(figure) => show(figure, row.unit),
                Outcome::NotMeasured(why) => why.clone(),
            });
            Cell::new(text).set_alignment(CellAlignment::Right)
        };
        let targets = judge(row).into_iter().map(|verdict| verdict.to_string());
        table.add_row([
            Cell::new(&row.work),
            cell(RUST),
            cell(C),
            Cell::new(peers.collect::<Vec<_>>().join("\n")),
            Cell::new(targets.collect::<Vec<_>>().join("\n")),
        ]);
    }
    format!(
        "{table}\nmedian [quartiles]{}; {}",
        if settings.quick { ", quick" } else { "" },
        machine()
    )
}

fn show(figure: &Figure, unit: Unit) -> String {
    let number = |value| scale(value, unit);
    let [low, high] = figure.quartiles;
    if low == high {
        return number(figure.median);
    }
    format!(
        "{} [{}, {}]",
        number(figure.median),
        number(low),
        number(high)
    )
}

fn scale(value: f64, unit: Unit) -> String {
    let steps: &[(f64, &str)] = match unit {
        Unit::Nanoseconds => &[(1e6, "ms"), (1e3, "µs"), (1.0, "ns")],
        Unit::PerSecond => &[(1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")],
    };
    // A figure below 10 µs is read more easily in nanoseconds.
    let is_in = |factor: f64| value >= factor * if factor == 1e3 { 10.0 } else { 1.0 };
    let &(factor, name) = steps
        .iter()
        .find(|&&(factor, _)| is_in(factor))
        .unwrap_or(&steps[2]);
    let value = value / factor;
    match value {
        100.0.. => format!("{value:.0} {name}"),
        10.0..100.0 => format!("{value:.1} {name}"),
        _ => format!("{value:.2} {name}"),
    }
}

/// Whether a target was met.
#[derive(Serialize)]
struct Verdict {
    against: String,
    target: f64,
    ratio: f64,
    is_met: bool,
    unit: Unit,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (word, bound) = match self.unit {
            Unit::Nanoseconds => ("at most", self.target),
            Unit::PerSecond => ("at least", self.target),
        };
        let is_met = if self.is_met { "met" } else { "NOT met" };
        write!(
            f,
            "{word} {bound:.2}× {}: {:.2}, {is_met}",
            self.against, self.ratio
        )
    }
}

fn judge(row: &Row) -> Vec<Verdict> {
    let judge_one = |target: &Target| {
        let ours = row.figure(target.ours)?;
        let (against, theirs) = if target.against.is_empty() {
            best_peer(row)?
        } else {
            (target.against.to_owned(), row.figure(target.against)?)
        };
        let ratio = ours.median / theirs.median;
        let is_met = match row.unit {
            Unit::Nanoseconds => ratio <= target.ratio,
            Unit::PerSecond => ratio >= target.ratio,
        };
        Some(Verdict {
            against,
            target: target.ratio,
            ratio,
            is_met,
            unit: row.unit,
        })
    };
    row.targets.iter().filter_map(judge_one).collect()
}

fn best_peer(row: &Row) -> Option<(String, Figure)> {
    row.cells
        .iter()
        .filter(|(column, _)| !is_ours(column) && !is_limit(column))
        .filter_map(|(column, outcome)| match outcome {
            Outcome::Measured(figure) => Some((column.clone(), *figure)),
            Outcome::NotMeasured(_) => None,
        })
        .min_by(|(_, a), (_, b)| match row.unit {
            Unit::Nanoseconds => a.median.total_cmp(&b.median),
            Unit::PerSecond => b.median.total_cmp(&a.median),
        })
}

/// What goes to the file.
#[derive(Serialize)]
pub struct Report {
    machine: String,
    is_quick: bool,
    /// Seconds since 1970.
    time: u64,
    versions: Vec<(&'static str, String)>,
    rows: Vec<ReportedRow>,
}

#[derive(Serialize)]
struct ReportedRow {
    #[serde(flatten)]
    row: Row,
    verdicts: Vec<Verdict>,
}

pub fn report(rows: &[Row], settings: &Settings) -> Report {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Report {
        machine: machine(),
        is_quick: settings.quick,
        time: time.map_or(0, |time| time.as_secs()),
        versions: versions(),
        rows: rows
            .iter()
            .map(|row| ReportedRow {
                row: row.clone(),
                verdicts: judge(row),
            })
            .collect(),
    }
}

/// Of the crates, as Cargo.lock has them.
fn versions() -> Vec<(&'static str, String)> {
    let lock = include_str!("../../Cargo.lock");
    let find = |name: &'static str| {
        let entry = format!("name = \"{name}\"\nversion = \"");
        let at = lock.rfind(&entry)? + entry.len();
        let version = lock[at..].split('"').next()?;
        Some((name, version.to_owned()))
    };
    ["neocortex", "iceoryx2", "raw_sync"]
        .into_iter()
        .filter_map(find)
        .collect()
}

/// Processor, how many, kernel.
fn machine() -> String {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or("unknown processor")
        .to_owned();
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let system = Command::new("uname").arg("-srm").output();
    let system = system.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    });
    format!("{processor}, {count} processors, {system}")
}
