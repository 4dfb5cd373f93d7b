//! Completions and the manual page, from the arguments themselves.

use crate::arguments::{Arguments, EXIT_STATUS};
use crate::failure::Outcome;
use crate::output;
use clap::builder::PossibleValuesParser;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::roff::{bold, roman, Roff};
use clap_mangen::Man;
use std::io::{self, Write};

/// The command with everything that its own table of sub-commands says: `man` takes their names.
pub fn command() -> Command {
    let command = Arguments::command();
    // Kept until the process ends, as the table that they come from is.
    let names: Vec<&'static str> = command
        .get_subcommands()
        .map(|one| &*one.get_name().to_owned().leak())
        // clap adds it when it builds the command, and the manual page lists it.
        .chain(["help"])
        .collect();
    command.mut_subcommand("man", |man| {
        man.mut_arg("command", |name| {
            name.value_parser(PossibleValuesParser::new(names))
        })
    })
}

pub fn completions(shell: Shell) -> Outcome {
    // To memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "neocortex", &mut script);
    Ok(output::lock().write_all(&script)?)
}

pub fn manual(name: Option<&str>) -> Outcome {
    let mut command = command();
    command.build();
    let page = match name.and_then(|name| command.find_subcommand(name)) {
        None => whole(command)?,
        Some(found) => {
            let mut page = Vec::new();
            // `build` has given it the name `neocortex-NAME`.
            let source = concat!("neocortex ", env!("CARGO_PKG_VERSION"));
            Man::new(found.clone()).source(source).render(&mut page)?;
            page
        }
    };
    Ok(output::lock().write_all(&page)?)
}

fn whole(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.after_help(None::<&str>));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut status = Roff::new();
    status.control("SH", ["EXIT STATUS"]);
    for line in EXIT_STATUS.lines() {
        let (number, meaning) = line.split_once("  ").unwrap_or((line, ""));
        status.control("TP", ["4"]);
        status.text([bold(number)]);
        status.text([roman(meaning.replace('`', ""))]);
    }
    status.to_writer(&mut page)?;
    Ok(page)
}
