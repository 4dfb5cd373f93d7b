//! The table docs/proof.md, and the ledger that it is written from.
//!
//! A ledger has one line for each thing tried: promises, how, target, form, cases and result, separated by tabs.
//! Tests append to it (tests/common/proof.rs), scripts by `xtask proof note`.

use crate::{root, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// What tells one row from another: promises, how, target and form. In the order in which the table is sorted,
/// after the first promise's number.
type Key = (Vec<u32>, String, String, String, String);

struct Row {
    cases: u64,
    result: String,
    date: String,
}

type Rows = BTreeMap<Key, Row>;

fn key(promises: &str, how: &str, target: &str, form: &str) -> Key {
    let numbers: Vec<u32> = promises
        .split(' ')
        .filter_map(|promise| promise.strip_prefix('P')?.parse().ok())
        .collect();
    let numbers = if numbers.is_empty() {
        vec![99]
    } else {
        numbers
    };
    (
        numbers,
        how.into(),
        target.into(),
        form.into(),
        promises.into(),
    )
}

fn name((_, how, target, form, promises): &Key) -> String {
    format!("{promises} | {how} | {target} | {form}")
}

/// The rows of a run. Counts of the same thing are added up; a failure or a gap is never hidden.
fn from_ledger(path: &Path) -> Result<Rows> {
    let today = Command::new("date").arg("+%F").output()?;
    let today = String::from_utf8(today.stdout)?.trim().to_owned();
    let mut rows = Rows::new();
    for line in std::fs::read_to_string(path)?.lines() {
        let [promises, how, target, form, cases, result] = line.split('\t').collect::<Vec<_>>()[..]
        else {
            return Err(format!("not a line of a ledger: {line}").into());
        };
        let row = rows
            .entry(key(promises, how, target, form))
            .or_insert_with(|| Row {
                cases: 0,
                result: "passed".into(),
                date: today.clone(),
            });
        row.cases += cases.parse::<u64>()?;
        if row.result == "passed" {
            row.result = result.into();
        }
    }
    Ok(rows)
}

/// The text before the rows, and the rows that stand in docs/proof.md.
fn from_table() -> Result<(String, Rows)> {
    let text = std::fs::read_to_string(root().join("docs/proof.md"))?;
    let head = text
        .find("\n| promise |")
        .ok_or("docs/proof.md has no table")?
        + 1;
    let mut rows = Rows::new();
    for line in text[head..].lines().skip(2) {
        let cells: Vec<String> = line
            .replace("\\|", "\0")
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().replace('\0', "|"))
            .collect();
        let [promises, how, target, form, cases, result, date] = &cells[..] else {
            return Err(format!("docs/proof.md: not a row: {line}").into());
        };
        let row = Row {
            cases: cases.replace(',', "").parse()?,
            result: result.clone(),
            date: date.clone(),
        };
        rows.insert(key(promises, how, target, form), row);
    }
    Ok((text[..head].into(), rows))
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub fn write(ledger: &Path) -> Result<bool> {
    let mut rows = from_ledger(ledger)?;
    let (head, before) = from_table()?;
    let is_bounded = rows.keys().any(|key| key.3 == "bounded");
    for (key, row) in before {
        // A long run is of one part at a time: what it did not try again keeps its row. A bounded one is whole.
        if !(is_bounded && key.3 == "bounded") {
            rows.entry(key).or_insert(row);
        }
    }
    let mut text = head;
    text += "| promise | how it was tried | on | form | cases | result | date |\n|---|---|---|---|---|---|---|\n";
    for ((_, how, target, form, promises), row) in &rows {
        let cells = [
            promises,
            how,
            target,
            form,
            &grouped(row.cases),
            &row.result,
            &row.date,
        ];
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        writeln!(text, "| {} |", cells.join(" | "))?;
    }
    std::fs::write(root().join("docs/proof.md"), text)?;
    println!("{} rows in docs/proof.md", rows.len());
    Ok(true)
}

/// Whether the table says what this run found.
pub fn check(ledger: &Path) -> Result<bool> {
    let tried = from_ledger(ledger)?;
    let (_, claimed) = from_table()?;
    let mut bad = 0;
    for (key, row) in &claimed {
        let is_passed = |row: &Row| row.result == "passed";
        if key.3 == "bounded" && is_passed(row) && !tried.get(key).is_some_and(is_passed) {
            println!(
                "docs/proof.md says passed, this run does not: {}",
                name(key)
            );
            bad += 1;
        }
    }
    let mut passed = 0;
    for (key, row) in &tried {
        passed += u32::from(row.result == "passed");
        if row.result != "passed" && !row.result.starts_with("not run") {
            println!("failed: {}: {}", name(key), row.result);
            bad += 1;
        } else if !claimed.contains_key(key) {
            // Nothing wrong is claimed: whoever writes the table next has it.
            let ledger = ledger.display();
            println!(
                "docs/proof.md does not have: {} (write it with `.ci/xtask proof write {ledger}`)",
                name(key)
            );
        }
    }
    let others = tried.len() - passed as usize;
    println!("proof: {passed} rows passed, {others} not run, {bad} that docs/proof.md has wrong");
    Ok(bad == 0)
}

/// Appends a line to the ledger that `NEOCORTEX_PROOF` names, if it names one.
pub fn note(promises: &str, how: &str, target: &str, cases: u64, result: &str) -> Result<()> {
    if result != "passed" {
        eprintln!("{}: {how} ({target})", result.to_uppercase());
    }
    if let Some(ledger) = std::env::var_os("NEOCORTEX_PROOF").filter(|ledger| !ledger.is_empty()) {
        let is_long = std::env::var_os("NEOCORTEX_LONG").is_some_and(|value| value == "1");
        let form = if is_long { "long" } else { "bounded" };
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(ledger)?;
        // In one write, for tests append at the same time.
        let line = [promises, how, target, form, &cases.to_string(), result].join("\t") + "\n";
        file.write_all(line.as_bytes())?;
    }
    Ok(())
}
