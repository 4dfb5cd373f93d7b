//! `doctor`: whether this machine can do what neocortex needs, and what to do where it cannot.
//!
//! A check is either read from the system's files, or tried: a cortex is made, a child is killed while it
//! holds it, a commit wakes a sleeper.

mod check;
mod limits;
mod memory;
pub mod probe;
mod settings;
pub mod surroundings;

use crate::arguments::Doctor;
use crate::describe::{harmless, one_line};
use crate::failure::{Failure, Outcome, FAILED};
use crate::output;
use crate::stop::Stop;
use check::{Check, Verdict};
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

pub fn run(arguments: &Doctor) -> Result<ExitCode, Failure> {
    let root = arguments.root.as_path();
    // What is tried is a cortex, which Ctrl-C is not to leave behind.
    let stop = Stop::new()?;
    let mut checks = limits::all(root);
    checks.extend(settings::all(root));
    checks.extend(memory::all(root));
    checks.extend(surroundings::all(root));
    checks.extend(probe::all(&stop));
    if stop.is_asked() {
        return Ok(ExitCode::from(FAILED));
    }
    show(&checks, arguments.json)?;
    let is_broken = checks.iter().any(|check| check.verdict == Verdict::Broken);
    Ok(ExitCode::from(u8::from(is_broken)))
}

fn show(checks: &[Check], as_json: bool) -> Outcome {
    let mut out = output::lock();
    if as_json {
        let object = |check: &Check| {
            json!({
                "check": check.name,
                "verdict": check.verdict.word(),
                "found": check.found,
                "advice": check.advice,
            })
        };
        let objects: Vec<_> = checks.iter().map(object).collect();
        writeln!(out, "{}", one_line(&serde_json::Value::Array(objects)))?;
        return Ok(());
    }
    for check in checks {
        writeln!(
            out,
            "{:<8} {:<20} {}",
            check.verdict.word(),
            check.name,
            harmless(&check.found)
        )?;
        if !check.advice.is_empty() {
            writeln!(out, "{:30}{}", "", check.advice)?;
        }
    }
    Ok(out.flush()?)
}
