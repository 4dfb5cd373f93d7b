//! The command `neocortex`: what is shared on this machine, in what state, and what to do about it.
//!
//! It uses the public interface of the library alone. Every sub-command that only looks (`list`, `inspect`, `watch`, `wait`,
//! `follow`, `top`, `read`) maps read-only, claims no participant slot, and stores nothing. Output goes through `io::Write` and
//! never through `println!`, which panics when its reader has left.

mod access;
mod arguments;
mod columns;
mod describe;
mod doctor;
mod failure;
mod follow;
mod list;
mod manual;
mod output;
mod people;
mod remove;
mod several;
mod show;
mod stop;
mod structure;
mod top;
mod value;
mod watch;
mod words;

use arguments::{Arguments, Command};
use clap::FromArgMatches;
use std::process::ExitCode;

fn main() -> ExitCode {
    // `doctor` runs this. It is not one of the sub-commands, so help and completions do not offer it.
    let words: Vec<_> = std::env::args_os().collect();
    if words.len() == 4 && words[1] == doctor::probe::NAME {
        return end(doctor::probe::act(&words[2], &words[3]));
    }
    let words = words.into_iter().map(words::with_plain_sign);
    let matches = manual::command().get_matches_from(words);
    let done = |outcome: failure::Outcome| outcome.map(|()| ExitCode::SUCCESS);
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match arguments.command {
        Command::List(arguments) => done(list::run(&arguments)),
        Command::Inspect(arguments) => done(
            access::await_creator(&arguments.target.key, &arguments.creator)
                .and_then(|()| show::run(&arguments)),
        ),
        Command::Follow(arguments) => done(
            access::await_creator(&arguments.target.key, &arguments.creator)
                .and_then(|()| follow::run(&arguments)),
        ),
        Command::Watch(arguments) => done(
            match arguments.keys.len() == 1 && arguments.form.is_none() {
                true => access::await_creator(&arguments.keys[0], &arguments.creator)
                    .and_then(|()| watch::run(&arguments)),
                false => several::watch(&arguments),
            },
        ),
        Command::Wait(arguments) => done(several::wait(&arguments)),
        Command::Top(arguments) => done(top::run(&arguments)),
        Command::Create(arguments) => done(access::create(&arguments)),
        Command::Read(arguments) => done(
            access::await_creator(&arguments.target.key, &arguments.creator)
                .and_then(|()| access::read(&arguments)),
        ),
        Command::Write(arguments) => done(
            access::await_creator(&arguments.target.key, &arguments.creator)
                .and_then(|()| access::write(&arguments)),
        ),
        Command::Heal(arguments) => done(access::heal(&arguments)),
        Command::Remove(arguments) => done(remove::remove(&arguments)),
        Command::Reclaim(arguments) => done(remove::reclaim(&arguments)),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Completions { shell } => done(manual::completions(shell)),
        Command::Man { command } => done(manual::manual(command.as_deref())),
    };
    stop::end(result.unwrap_or_else(failure::Failure::report))
}

fn end(outcome: failure::Outcome) -> ExitCode {
    outcome.map_or_else(failure::Failure::report, |()| ExitCode::SUCCESS)
}
