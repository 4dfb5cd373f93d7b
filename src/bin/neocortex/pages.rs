//! Completions and the manual page, from the arguments themselves.

use crate::arguments::{Arguments, EXIT_STATUS};
use crate::failure::{plain, Outcome, USAGE};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::roff::{bold, roman, Roff};
use clap_mangen::Man;
use std::io::{self, Write};

pub fn completions(shell: Shell) -> Outcome {
    // To memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "neocortex", &mut script);
    Ok(io::stdout().write_all(&script)?)
}

pub fn manual(name: Option<&str>) -> Outcome {
    let mut command = Arguments::command();
    command.build();
    let page = match name {
        None => whole(command)?,
        Some(name) => {
            let Some(found) = command.find_subcommand(name) else {
                return plain(
                    USAGE,
                    format!("no sub-command is called {name}; `neocortex help` lists them"),
                );
            };
            let mut page = Vec::new();
            // `build` has given it the name `neocortex-NAME`.
            let source = concat!("neocortex ", env!("CARGO_PKG_VERSION"));
            Man::new(found.clone()).source(source).render(&mut page)?;
            page
        }
    };
    Ok(io::stdout().write_all(&page)?)
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
