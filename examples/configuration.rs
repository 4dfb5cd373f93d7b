//! A configuration that one process publishes and many follow.
//!
//! `cargo run --example configuration` starts four subscribers (itself, run again) and publishes three
//! revisions. Each subscriber sleeps until there is news and then has all of a revision, never parts of two.
//! Subscribers are observers: they map the memory read-only, take no lock, and can be killed without anybody
//! noticing.

use bytemuck::{CheckedBitPattern, NoUninit};
use neocortex::{schema_of, CortexBuilder, Observer, Permission, SegmentOptions};
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Plain data of a fixed layout. Bytes that are no `Level` are an error when they are read.
#[derive(Debug, Clone, Copy, NoUninit, CheckedBitPattern)]
#[repr(C)]
struct Configuration {
    revision: u64,
    /// Requests in a second.
    rate: f64,
    level: Level,
    /// Set in the last revision: subscribers leave.
    farewell: u32,
}

#[derive(Debug, Clone, Copy, NoUninit, CheckedBitPattern)]
#[repr(u32)]
enum Level {
    Quiet,
    Normal,
    Verbose,
}

/// What size and alignment cannot say. The text changes whenever `Configuration` does: a program with another one is refused
/// when it attaches.
const SCHEMA: u64 = schema_of("configuration 1: revision u64, rate f64, level u32, farewell u32");
const SUBSCRIBERS: usize = 4;

/// What the other processes do: `configuration NAME`. It does not matter whether the configuration is there already.
fn subscribe(name: &str) -> Outcome<()> {
    let options = SegmentOptions::new()
        .schema(SCHEMA)
        .wait_for_creator(Some(Duration::from_secs(60)));
    let observer: Observer<Configuration> = Observer::attach_with(name, &options)?;
    loop {
        // With the version of this very value, so that no revision is shown twice and none is missed at the end.
        let (now, seen) = observer.read_versioned()?;
        println!("{}: rate {}, {:?}", now.revision, now.rate, now.level);
        if now.farewell != 0 {
            return Ok(());
        }
        observer.wait_changed(seen, Some(Duration::from_secs(60)))?;
    }
}

struct Subscriber {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Subscriber {
    fn start(name: &str) -> Outcome<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(name)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("a pipe")?;
        Ok(Self {
            process,
            lines: BufReader::new(output).lines(),
        })
    }
}

fn main() -> Outcome<()> {
    if let Some(name) = std::env::args().nth(1) {
        return subscribe(&name);
    }
    // A program of its own would say "configuration"; several of these examples may run at once.
    let name = format!("example/configuration/{}", std::process::id());
    // The subscribers come first, and wait.
    let mut subscribers = (0..SUBSCRIBERS)
        .map(|_| Subscriber::start(&name))
        .collect::<Outcome<Vec<_>>>()?;
    let first = Configuration {
        revision: 1,
        rate: 100.0,
        level: Level::Normal,
        farewell: 0,
    };
    // 0664: the group may publish, everybody may follow. The default is 0600, this user alone.
    let published = CortexBuilder::new(first)
        .key(&name)
        .schema(SCHEMA)
        .permission(Permission::ReadOnlyForOthers)
        .create()?;

    for (revision, level) in [(2, Level::Verbose), (3, Level::Quiet), (4, Level::Normal)] {
        // A subscriber that is busy misses revisions, but never the newest. Here nobody is to miss one:
        // the next is published when all have told what they follow.
        let before = published.read()?;
        for (number, subscriber) in subscribers.iter_mut().enumerate() {
            let line = subscriber.lines.next().ok_or("a subscriber ended")??;
            println!("subscriber {number} follows revision {line}");
            let whole = format!(
                "{}: rate {}, {:?}",
                before.revision, before.rate, before.level
            );
            assert_eq!(line, whole);
        }
        // One step for everybody, with nobody writing in between.
        published.update(|now| {
            now.revision = revision;
            now.rate *= 1.5;
            now.level = level;
            now.farewell = u32::from(revision == 4);
        })?;
    }
    for mut subscriber in subscribers {
        let status = subscriber.process.wait()?;
        assert!(status.success(), "a subscriber: {status}");
    }
    println!(
        "{SUBSCRIBERS} subscribers followed {} revisions",
        published.read()?.revision
    );
    // Dropping `published`, the owner, removes it.
    Ok(())
}
