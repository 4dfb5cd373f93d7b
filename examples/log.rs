//! An append-only log of the last 1,000 events, by writers that are killed again and again.
//!
//! ```text
//! cargo run --example log            # runs the writers as processes of its own, and ends after some kills
//! ```
//!
//! A follower reads every event exactly once, or is told how many it missed: whichever writer dies, and wherever in a
//! write. It stores its position, and goes on from there.

use bytemuck::{AnyBitPattern, NoUninit};
use neocortex::{Cortex, CortexBuilder, CortexError, CortexResult};
use std::process::{Child, Command};
use std::time::Duration;

/// One event: plain data without padding.
#[derive(Debug, Clone, Copy, NoUninit, AnyBitPattern)]
#[repr(C)]
struct Event {
    /// Counts all events, whoever makes them: so that a lost one would show.
    number: u64,
    process: u64,
    text: [u8; 48],
}

const KEPT: u32 = 1_000;
const WRITERS: usize = 3;
const KILLS: usize = 20;

fn append(log: &Cortex<Event>, text: &str) -> CortexResult<()> {
    let mut bytes = [0; 48];
    let length = text.len().min(bytes.len());
    bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
    // `write` would do, if the event did not have the number of the one before.
    log.update(|event| {
        *event = Event {
            number: event.number + 1,
            process: std::process::id().into(),
            text: bytes,
        }
    })
}

fn write_on(name: &str) -> CortexResult<()> {
    let log = Cortex::<Event>::attach(name.parse::<neocortex::Key>()?)?;
    for count in 0_u64.. {
        append(&log, &format!("event {count} of this process"))?;
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, command, name] = &arguments[..] {
        if command == "write" {
            return Ok(write_on(name)?);
        }
    }
    let name = format!("examples/log/{}", std::process::id());
    let nothing = Event {
        number: 0,
        process: 0,
        text: [0; 48],
    };
    let log = CortexBuilder::new(nothing)
        .key(name.parse::<neocortex::Key>()?)
        .slots(KEPT)
        .create()?;
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        writers.push(start_writer(&name)?);
    }

    // In a real program the position is in a file, or in a cortex of its own.
    let mut position = 0;
    let (mut got, mut missed) = (0_u64, 0_u64);
    for kill in 0..KILLS {
        // A reader that is started again goes on where the last one was.
        let mut follower = log.follow(position);
        for _ in 0..2_000 {
            let event = match follower.next(Some(Duration::from_secs(10))) {
                Ok(event) => event,
                Err(CortexError::Timeout { .. }) => return Err("no writer writes".into()),
                Err(error) => return Err(error.into()),
            };
            got += 1;
            missed += event.missed;
            assert_eq!(
                event.value.number, event.version,
                "an event was lost or invented"
            );
            assert_eq!(got + missed, event.version, "read twice, or not counted");
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

    let mut last = Vec::with_capacity(KEPT as usize);
    let batch = log.follow(log.kept_since()).next_many(&mut last)?;
    println!("the log keeps {} events; the newest:", batch.count);
    for event in &last[last.len().saturating_sub(3)..] {
        let text = String::from_utf8_lossy(&event.text);
        println!(
            "{:>8} {:>8} {}",
            event.number,
            event.process,
            text.trim_end_matches('\0')
        );
    }
    Ok(())
}
