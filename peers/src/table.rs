//! The table, for people and for programs.

use crate::contest::{Bound, Figure, Outcome, Row, Settings, Target, Unit, C, RUST};
use crate::work::growth;
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
    for row in rows.iter().filter(|row| !growth::is_growth(row)) {
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
    let growth = render_growth(rows);
    format!(
        "{table}\n{growth}median [quartiles]{}; {}",
        if settings.quick { ", quick" } else { "" },
        machine()
    )
}

/// The rows of growth, a table of their own: cost against size.
fn render_growth(rows: &[Row]) -> String {
    let rows: Vec<_> = rows.iter().filter(|row| growth::is_growth(row)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header([
        "work",
        "cost at each size",
        "exponent (0 constant, 1 linear)",
    ]);
    for row in rows {
        let costs = row.cells.iter().map(|(size, outcome)| match outcome {
            Outcome::Measured(figure) => format!("{size}: {}", show(figure, row.unit)),
            Outcome::NotMeasured(why) => format!("{size}: {why}"),
        });
        let exponent = growth::exponent(row);
        table.add_row([
            Cell::new(&row.work),
            Cell::new(costs.collect::<Vec<_>>().join("\n")),
            Cell::new(exponent.map_or(String::new(), |exponent| format!("{exponent:.2}"))),
        ]);
    }
    format!("{table}\n")
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

pub fn scale(value: f64, unit: Unit) -> String {
    let steps: [(f64, &str); 3] = match unit {
        Unit::Share => return format!("{:.2} %", 100.0 * value),
        Unit::Count => return format!("{value:.0}"),
        Unit::Nanoseconds => [(1e6, "ms"), (1e3, "µs"), (1.0, "ns")],
        Unit::PerSecond => [(1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")],
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
    ours: &'static str,
    against: String,
    bound: Bound,
    /// The ratio, or the difference, that was measured.
    found: f64,
    is_met: bool,
    unit: Unit,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match self.unit {
            Unit::PerSecond => "at least",
            _ => "at most",
        };
        let is_met = if self.is_met { "met" } else { "NOT met" };
        let (against, found) = (&self.against, self.found);
        match self.bound {
            Bound::Times(bound) if self.ours == RUST => {
                write!(f, "{word} {bound:.2}× {against}: {found:.2}, {is_met}")
            }
            Bound::Times(bound) => write!(
                f,
                "{}: {word} {bound:.2}× {against}: {found:.2}, {is_met}",
                self.ours
            ),
            Bound::More(bound) => write!(
                f,
                "{}: {word} {bound:.1} ns more than {against}: {found:.2}, {is_met}",
                self.ours
            ),
        }
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
        let (mut against, mut theirs) = (against, theirs.median);
        if !target.beside.is_empty() {
            theirs += row.figure(target.beside)?.median;
            against = format!("{against} and {}", target.beside);
        }
        let (found, bound) = match target.bound {
            Bound::Times(bound) => (ours.median / theirs, bound),
            Bound::More(bound) => (ours.median - theirs, bound),
        };
        let is_met = match row.unit {
            Unit::PerSecond => found >= bound,
            _ => found <= bound,
        };
        Some(Verdict {
            ours: target.ours,
            against,
            bound: target.bound,
            found,
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
            Unit::PerSecond => b.median.total_cmp(&a.median),
            _ => a.median.total_cmp(&b.median),
        })
}

/// What goes to the file.
#[derive(Serialize)]
pub struct Report {
    machine: String,
    is_quick: bool,
    /// Of the run, UTC.
    date: String,
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
    Report {
        machine: machine(),
        is_quick: settings.quick,
        date: said_by("date", &["-u", "+%Y-%m-%d"]),
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

/// Of the crates, as Cargo.lock has them, and of the C peers.
fn versions() -> Vec<(&'static str, String)> {
    let lock = include_str!("../../Cargo.lock");
    let find = |name: &'static str| {
        let entry = format!("name = \"{name}\"\nversion = \"");
        let at = lock.rfind(&entry)? + entry.len();
        let version = lock[at..].split('"').next()?;
        Some((name, version.to_owned()))
    };
    let boost = std::fs::read_to_string("/usr/include/boost/version.hpp").unwrap_or_default();
    let boost = boost
        .lines()
        .find_map(|line| line.strip_prefix("#define BOOST_LIB_VERSION "))
        .map(|version| ("Boost", version.trim_matches('"').replace('_', ".")));
    let libc = said_by("getconf", &["GNU_LIBC_VERSION"]);
    let libc = libc
        .strip_prefix("glibc ")
        .map(|version| ("glibc", version.to_owned()));
    ["neocortex", "iceoryx2", "raw_sync"]
        .into_iter()
        .filter_map(find)
        .chain(boost)
        .chain(libc)
        .collect()
}

/// Processor, how many, kernel. Processors of one name are told apart by their numbers: "AMD EPYC" alone may be several.
pub fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let find = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_once(':')?.1.trim())
    };
    let processor = find("model name").unwrap_or("unknown processor");
    let numbers = match (find("cpu family"), find("model\t")) {
        (Some(family), Some(model)) => format!(" (family {family}, model {model})"),
        _ => String::new(),
    };
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let system = said_by("uname", &["-srm"]);
    format!("{processor}{numbers}, {count} processors, {system}")
}

/// What a command prints; empty where there is no such command.
fn said_by(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output();
    output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}
