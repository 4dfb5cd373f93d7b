//! The command `neocortex-mirror`: carries cortexes to other hosts, and tells how that goes.
//!
//! It uses the public interface of the crate alone.

mod arguments;
mod bench;
mod lines;
mod manual;
mod run;
mod status;

use arguments::{Arguments, Command};
use clap::Parser;
use neocortex_mirror::MirrorError;
use std::process::ExitCode;

/// Returns the exit status for an error; the table is in the help of the command.
pub fn exit_status(error: &MirrorError) -> u8 {
    match error {
        MirrorError::Config(_) => 2,
        MirrorError::Taken { .. } => 3,
        MirrorError::InUse { .. } | MirrorError::OwnPlace { .. } => 4,
        MirrorError::Lost { .. } | MirrorError::SameOrigin { .. } => 5,
        MirrorError::Cortex(_) => 6,
        _ => 1,
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    lines::begin();
    let result = match arguments.command {
        Command::Publish(arguments) => run::publish(&arguments),
        Command::Follow(arguments) => run::follow(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Check(arguments) => run::check(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man => manual::page(),
    };
    match result {
        Ok(status) => status,
        Err(error) => {
            lines::say(&error.to_string());
            exit_status(&error).into()
        }
    }
}
