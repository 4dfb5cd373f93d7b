//! neocortex beside what else can be used for the same work: one run, one table.
//!
//! `cargo run --release -p peers -- [--quick] [--json FILE] [--against FILE] [FILTER]`
//!
//! Every competitor does the same work in turn, round after round, so that whatever else the machine
//! does meanwhile hits all of them alike; the figures are medians over the rounds, with the quartiles.
//! Compare figures of one run with one another only.

mod against;
mod c;
mod contest;
mod helper;
mod iceoryx;
mod place;
mod roles;
mod table;
mod work;

use against::Earlier;
use clap::Parser;
use contest::Settings;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "neocortex beside its peers", version)]
struct Arguments {
    /// Fewer and shorter rounds.
    #[arg(long)]
    quick: bool,
    /// Also writes the figures there.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Compares with the figures that an earlier run wrote there.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Only the work whose name contains this.
    filter: Option<String>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(helper::FLAG) {
        roles::play(&arguments.collect::<Vec<_>>());
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::parse();
    let settings = Settings::new(arguments.quick, arguments.filter.unwrap_or_default());
    // Before anything is measured, for a run takes minutes.
    let earlier = match arguments.against.as_deref().map(Earlier::open).transpose() {
        Ok(earlier) => earlier,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let rows = work::all(&settings);
    println!("{}", table::render(&rows, &settings));
    if let Some(earlier) = earlier {
        println!("\n{}", earlier.render(&rows));
    }
    // Some rows end helpers that are then the last to leave a cortex.
    if let Err(error) = neocortex::inspect::reclaim_orphans() {
        eprintln!("{error}");
    }
    let Some(path) = arguments.json else {
        return ExitCode::SUCCESS;
    };
    let json = serde_json::to_string_pretty(&table::report(&rows, &settings)).expect("plain data");
    match std::fs::write(&path, json + "\n") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("writing {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
