//! Two runs beside one another: `--against FILE` compares this run's medians with those of an earlier one.

use crate::contest::{Outcome, Row, Unit};
use crate::table::{machine, scale};
use comfy_table::{Cell, CellAlignment, Table};
use serde_json::Value;
use std::path::Path;

/// The medians of an earlier run, from the file that `--json` wrote.
pub struct Earlier {
    report: Value,
}

impl Earlier {
    /// # Errors
    /// What is wrong with the file, in words.
    pub fn open(path: &Path) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| format!("reading {}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        let report: Value = serde_json::from_str(&text).map_err(|error| told(&error))?;
        match report["rows"].is_array() {
            true => Ok(Self { report }),
            false => Err(told(&"it has no rows, so `--json` has not written it")),
        }
    }

    /// The median of one column in one kind of work.
    fn median(&self, work: &str, column: &str) -> Option<f64> {
        let rows = self.report["rows"].as_array()?;
        let row = rows.iter().find(|row| row["work"] == work)?;
        let cells = row["cells"].as_array()?;
        let cell = cells.iter().find(|cell| cell[0] == column)?;
        cell[1]["measured"]["median"].as_f64()
    }

    /// A table of all that both runs have.
    pub fn render(&self, rows: &[Row]) -> String {
        let mut table = Table::new();
        table.load_preset(comfy_table::presets::ASCII_MARKDOWN);
        table.set_header(["work", "who", "before", "now", "now to before"]);
        for row in rows {
            for (column, outcome) in &row.cells {
                let (Outcome::Measured(now), Some(before)) =
                    (outcome, self.median(&row.work, column))
                else {
                    continue;
                };
                let figures = [scale(before, row.unit), scale(now.median, row.unit)];
                let ratio = match row.unit {
                    Unit::PerSecond => format!("{:.2} of the rate", now.median / before),
                    _ if before == 0.0 => String::new(),
                    _ => format!("{:.2}", now.median / before),
                };
                let right = |text| Cell::new(text).set_alignment(CellAlignment::Right);
                let [before, now] = figures.map(right);
                table.add_row([
                    Cell::new(&row.work),
                    Cell::new(column),
                    before,
                    now,
                    right(ratio),
                ]);
            }
        }
        let of = |name: &str| self.report[name].as_str().unwrap_or("unknown").to_owned();
        let (theirs, ours) = (of("machine"), machine());
        let note = match theirs == ours {
            true => "",
            false => "\nThese are two machines: compare ratios within a run, and not figures.",
        };
        format!(
            "{table}\nbefore: {}, {theirs}\nnow: {ours}{note}",
            of("date")
        )
    }
}
