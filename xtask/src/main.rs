//! The project's own tool. `.ci/xtask` builds and runs it.
//!
//! ```text
//! xtask models [PATTERN]                             runs the loom models, then weakens the source in one place at a time
//! xtask proof note PROMISES HOW TARGET CASES [RESULT]   appends a line to the ledger that NEOCORTEX_PROOF names
//! xtask proof write LEDGER                           writes docs/proof.md; rows of the other form are kept
//! xtask proof check LEDGER                           fails where the table says more, or less, than this run did
//! xtask tests GROUP                                  the tests of a group, as options for cargo
//! xtask floors                                       fails where src has a circle of files, an import upwards, a long file
//! ```

mod floors;
mod models;
mod proof;
mod rules;
mod subjects;
mod weaken;

use std::path::PathBuf;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The project's top folder.
fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

fn run(arguments: &[&str]) -> Result<bool> {
    match arguments {
        ["models"] => models::run(None),
        ["models", pattern] => models::run(Some(pattern)),
        ["proof", "note", promises, how, target, cases] => {
            proof::note(promises, how, target, cases.parse()?, "passed")?;
            Ok(true)
        }
        ["proof", "note", promises, how, target, cases, result] => {
            proof::note(promises, how, target, cases.parse()?, result)?;
            Ok(true)
        }
        ["proof", "write", ledger] => proof::write(ledger.as_ref()),
        ["proof", "check", ledger] => proof::check(ledger.as_ref()),
        ["tests", group] => subjects::print(group),
        ["floors"] => floors::check(),
        _ => Err("usage: xtask models [PATTERN] | proof note|write|check … | tests GROUP | floors (see xtask/src/main.rs)".into()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::from(2)
        }
    }
}
