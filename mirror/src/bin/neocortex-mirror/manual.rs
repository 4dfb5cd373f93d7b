//! Completions and the manual page, from the arguments themselves.

use crate::arguments::{Arguments, EXIT_STATUS};
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::roff::{bold, roman, Roff};
use clap_mangen::Man;
use neocortex_mirror::{MirrorError, MirrorResult};
use std::io::{self, Write};
use std::process::ExitCode;

pub fn completions(shell: Shell) -> MirrorResult<ExitCode> {
    // To memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(
        shell,
        &mut Arguments::command(),
        "neocortex-mirror",
        &mut script,
    );
    print(&script)
}

pub fn page() -> MirrorResult<ExitCode> {
    let page = whole().map_err(|error| MirrorError::Network(error.to_string()))?;
    print(&page)
}

/// The page of the command and, after it, the arguments of each sub-command.
fn whole() -> io::Result<Vec<u8>> {
    let mut command = Arguments::command();
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone().after_help(None::<&str>));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    for sub in command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
    {
        let mut head = Roff::new();
        head.control("SH", [sub.get_name().to_uppercase().as_str()]);
        let about = sub
            .get_long_about()
            .or_else(|| sub.get_about())
            .map(ToString::to_string);
        head.text([roman(about.unwrap_or_default())]);
        head.to_writer(&mut page)?;
        let mut part = Vec::new();
        Man::new(sub.clone()).render_options_section(&mut part)?;
        // Its heading would stand in the table of all.
        let part = String::from_utf8_lossy(&part)
            .replace(".SH OPTIONS", ".SS OPTIONS")
            .replace(".SH NETWORK", ".SS NETWORK");
        page.extend(part.into_bytes());
    }
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

/// Writes to standard output. A reader that has left has seen enough.
pub fn print(bytes: &[u8]) -> MirrorResult<ExitCode> {
    match io::stdout().write_all(bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(MirrorError::Network(
            format!("cannot write the output: {error}"),
        )),
        _ => Ok(ExitCode::SUCCESS),
    }
}
