//! Draws what `peers --json FILE` measured: `cargo run --release -p peers --bin chart -- FILE SVG`.
//!
//! A panel for each kind of work on one value, a bar for each who does it, on a logarithmic scale; under
//! them the machine, the date and the versions.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;
use std::error::Error;
use std::path::Path;

/// The rows that are drawn.
const PANELS: [&str; 4] = [
    "read f64",
    "write f64, many writers allowed",
    "publish f64, one writer",
    "RwLock read guard, f64",
];

const WIDTH: u32 = 960;
const BAR: i32 = 16;
const TITLE: i32 = 34;
/// Where the bars begin: the names stand before.
const LEFT: i32 = 210;
/// Pixels for a tenfold cost; the scale begins at 0.5 ns.
const DECADE: f64 = 165.0;
const FIRST: f64 = 0.5;

const OURS: RGBColor = RGBColor(178, 58, 72);
const PEERS: RGBColor = RGBColor(92, 122, 153);
const LIMITS: RGBColor = RGBColor(190, 190, 190);

struct Bar {
    name: String,
    median: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, figures, chart] = arguments.as_slice() else {
        return Err("usage: chart FIGURES.json CHART.svg".into());
    };
    let report: Value = serde_json::from_str(&std::fs::read_to_string(figures)?)?;
    draw(&report, Path::new(chart))
}

/// The bars of one kind of work, cheapest first.
fn bars(report: &Value, work: &str) -> Vec<Bar> {
    let rows = report["rows"].as_array().into_iter().flatten();
    let cells = rows
        .filter(|row| row["work"] == work)
        .flat_map(|row| row["cells"].as_array().into_iter().flatten());
    let mut bars: Vec<Bar> = cells
        .filter_map(|cell| {
            let name = cell[0].as_str()?.to_owned();
            let median = cell[1]["measured"]["median"].as_f64()?;
            Some(Bar { name, median })
        })
        .collect();
    bars.sort_by(|a, b| a.median.total_cmp(&b.median));
    bars
}

fn draw(report: &Value, chart: &Path) -> Result<(), Box<dyn Error>> {
    let panels: Vec<_> = PANELS
        .iter()
        .map(|&work| (work, bars(report, work)))
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    if panels.is_empty() {
        return Err("the file has none of the rows that are drawn".into());
    }
    let height = |bars: &[Bar]| TITLE + BAR * bars.len() as i32 + 8;
    let total = panels.iter().map(|(_, bars)| height(bars)).sum::<i32>() + 64;
    let area = SVGBackend::new(chart, (WIDTH, total as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let font = |size: i32| ("sans-serif", size).into_font();
    let mut top = 0;
    for (work, bars) in &panels {
        let heading = format!("{work}: nanoseconds, median, logarithmic");
        area.draw(&Text::new(
            heading,
            (12, top + 12),
            font(15).style(FontStyle::Bold),
        ))?;
        for (index, bar) in bars.iter().enumerate() {
            let y = top + TITLE + BAR * index as i32;
            let length = ((bar.median / FIRST).log10() * DECADE).max(1.0) as i32;
            let colour = match bar.name.as_str() {
                "neocortex 3.0.3" => PEERS,
                name if name.starts_with("neocortex") => OURS,
                name if name.starts_with('(') => LIMITS,
                _ => PEERS,
            };
            let right = Pos::new(HPos::Right, VPos::Top);
            area.draw(&Text::new(
                bar.name.clone(),
                (LEFT - 8, y),
                font(12).color(&BLACK).pos(right),
            ))?;
            area.draw(&Rectangle::new(
                [(LEFT, y + 1), (LEFT + length, y + BAR - 3)],
                colour.filled(),
            ))?;
            area.draw(&Text::new(
                format!("{:.1}", bar.median),
                (LEFT + length + 6, y),
                font(12).color(&BLACK),
            ))?;
        }
        top += height(bars);
    }
    for (line, text) in caption(report).into_iter().enumerate() {
        area.draw(&Text::new(
            text,
            (12, top + 8 + 18 * line as i32),
            font(12).color(&BLACK),
        ))?;
    }
    area.present()?;
    Ok(())
}

/// Machine and date; versions.
fn caption(report: &Value) -> [String; 2] {
    let text = |name: &str| report[name].as_str().unwrap_or("?").to_owned();
    let versions = report["versions"].as_array().into_iter().flatten();
    let versions = versions
        .map(|pair| {
            let word = |index: usize| pair[index].as_str().unwrap_or("?");
            format!("{} {}", word(0), word(1))
        })
        .collect::<Vec<_>>();
    let thoroughness = if report["is_quick"] == true {
        ", quick run"
    } else {
        ""
    };
    [
        format!("{}, {}{thoroughness}", text("machine"), text("date")),
        format!(
            "{}. Grey: not a peer but a limit. Medians of one run of `cargo run --release -p peers`.",
            versions.join(", ")
        ),
    ]
}
