//! `doctor`: whether this machine can do what neocortex needs, and what to do where it cannot.
//!
//! A check is either read from the system's files, or tried: a cortex is made, a child is killed while it
//! holds it, a commit wakes a sleeper.

mod limits;
pub mod probe;
mod surroundings;

use crate::arguments::Doctor;
use crate::failure::{Failure, Outcome};
use serde_json::json;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// What a check found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fine,
    /// Cannot be told here, or nothing to worry about that is worth knowing.
    Note,
    /// Works, and will not under some circumstance.
    Warning,
    /// Does not work.
    Broken,
}

pub struct Check {
    name: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do; empty where there is nothing.
    advice: String,
}

impl Check {
    pub fn fine(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Verdict::Fine, found, "")
    }

    pub fn note(name: &'static str, found: impl Into<String>, advice: &str) -> Self {
        Self::new(name, Verdict::Note, found, advice)
    }

    pub fn new(
        name: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        advice: &str,
    ) -> Self {
        Self {
            name,
            verdict,
            found: found.into(),
            advice: advice.to_owned(),
        }
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }
}

pub fn run(arguments: &Doctor) -> Result<ExitCode, Failure> {
    let root = arguments.root.as_path();
    let mut checks = limits::all(root);
    checks.extend(surroundings::all(root));
    checks.extend(probe::all());
    show(&checks, arguments.json)?;
    let is_broken = checks.iter().any(|check| check.verdict == Verdict::Broken);
    Ok(ExitCode::from(u8::from(is_broken)))
}

fn show(checks: &[Check], as_json: bool) -> Outcome {
    let mut out = io::stdout().lock();
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
        writeln!(out, "{}", serde_json::Value::Array(objects))?;
        return Ok(());
    }
    for check in checks {
        writeln!(
            out,
            "{:<8} {:<20} {}",
            check.verdict.word(),
            check.name,
            check.found
        )?;
        if !check.advice.is_empty() {
            writeln!(out, "{:30}{}", "", check.advice)?;
        }
    }
    Ok(out.flush()?)
}

/// A file of the system that is looked at; `None` where it is not there or not for this user.
fn read(root: &Path, path: &str) -> Option<String> {
    std::fs::read_to_string(root.join(path.trim_start_matches('/'))).ok()
}
