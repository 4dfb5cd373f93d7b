//! The command `neocortex`: what is shared on this machine, in what state, and what to do about it.
//!
//! It stands on the public interface of the library alone. Whatever only looks (`list`, `inspect`, `watch`,
//! `top`, `read`) maps read-only, claims no participant slot, and stores nothing. Output goes through
//! `io::Write` and never through `println!`, which panics when its reader has left.

mod arguments;
mod describe;
mod doctor;
mod failure;
mod list;
mod pages;
mod show;
mod stop;
mod take;
mod top;
mod value;
mod watch;
mod work;

use arguments::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = |outcome: failure::Outcome| outcome.map(|()| ExitCode::SUCCESS);
    let result = match Arguments::parse().command {
        Command::List(arguments) => done(list::run(&arguments)),
        Command::Inspect(arguments) => done(show::run(&arguments)),
        Command::Watch(arguments) => done(watch::run(&arguments)),
        Command::Top(arguments) => done(top::run(&arguments)),
        Command::Create(arguments) => done(work::create(&arguments)),
        Command::Read(arguments) => done(work::read(&arguments)),
        Command::Write(arguments) => done(work::write(&arguments)),
        Command::Heal(arguments) => done(work::heal(&arguments)),
        Command::Remove(arguments) => done(take::remove(&arguments)),
        Command::Reclaim(arguments) => done(take::reclaim(&arguments)),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Completions { shell } => done(pages::completions(shell)),
        Command::Man { command } => done(pages::manual(command.as_deref())),
        Command::Probe { key, task } => done(doctor::probe::act(key, task)),
    };
    result.unwrap_or_else(failure::Failure::report)
}
