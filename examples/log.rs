//! An append-only log of the last 1,000 events, by writers that are killed again and again.
//!
//! ```text
//! cargo run --example log            # runs the writers as processes of its own, and ends after some kills
//! ```
//!
//! An event is a line of text of any length (`SegmentOptions::records`). A follower reads every event exactly once, or is
//! told how many it missed: whichever writer dies, and wherever in a push. It stores its position, and goes on from there.

use neocortex::{Key, Segment, SegmentOptions};
use std::collections::HashMap;
use std::process::{Child, Command};
use std::time::Duration;

const KEPT: u32 = 1_000;
const LONGEST: usize = 120;
const WRITERS: usize = 3;
const KILLS: usize = 20;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A writer counts its own events, so that one which is lost, or read twice, would show.
fn write_on(name: &str) -> Outcome<()> {
    let log: Segment = SegmentOptions::new()
        .records()
        .attach(name.parse::<Key>()?, LONGEST)?;
    let process = std::process::id();
    for count in 0_u64.. {
        let more = "!".repeat(count as usize % 40);
        log.push(format!("{process} {count} something happened{more}").as_bytes())?;
        if count % 100 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

fn start_writer(name: &str) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["write", name])
        .spawn()
}

/// Which process wrote an event, and its number there.
fn origin(event: &str) -> Option<(u32, u64)> {
    let mut words = event.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, command, name] = &arguments[..] {
        if command == "write" {
            return write_on(name);
        }
    }
    let name = format!("examples/log/{}", std::process::id());
    let log: Segment = SegmentOptions::new()
        .records()
        .slots(KEPT)
        .create(name.parse::<Key>()?, LONGEST)?;
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        writers.push(start_writer(&name)?);
    }

    // In a real program the position is in a file, or in a cortex of its own.
    let mut position = 0;
    let (mut got, mut missed) = (0_u64, 0_u64);
    let mut seen: HashMap<u32, u64> = HashMap::new();
    let mut event = Vec::new();
    for kill in 0..KILLS {
        // A reader that is started again goes on where the last one was.
        let mut follower = log.follow(position);
        for _ in 0..2_000 {
            let commit = follower.next_record(&mut event, Some(Duration::from_secs(10)))?;
            got += 1;
            missed += commit.missed;
            assert_eq!(got + missed, commit.version, "read twice, or not counted");
            let (process, number) = origin(std::str::from_utf8(&event)?).expect("a whole event");
            let expected = seen.get(&process).map_or(0, |last| last + 1);
            assert!(number >= expected, "an event was read twice");
            assert!(number == expected || missed > 0, "an event was lost");
            seen.insert(process, number);
        }
        position = follower.position();
        let victim = &mut writers[kill % WRITERS];
        victim.kill()?;
        victim.wait()?;
        *victim = start_writer(&name)?;
    }
    for writer in &mut writers {
        writer.kill()?;
        writer.wait()?;
    }
    println!("{KILLS} writers killed: {got} events read, {missed} missed, none lost or read twice");

    let mut follower = log.follow(log.kept_since());
    let mut last = Vec::new();
    while follower.try_next_record(&mut event)?.is_some() {
        last.push(String::from_utf8(event.clone())?);
    }
    println!("the log keeps {} events; the newest:", last.len());
    for event in &last[last.len().saturating_sub(3)..] {
        println!("    {event}");
    }
    Ok(())
}
