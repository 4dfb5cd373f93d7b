//! Joins the cortex of `examples-c/writer.c`: the same bytes, in Rust.
//!
//! `cargo run --example join -- [NAME] [COUNT]` waits for the cortex of this name (default `example/reading`), prints COUNT
//! readings (default 3) as the C writer commits them, and puts in one of its own. It may be started first.

use neocortex::{schema_of, Cortex, CortexResult, SegmentOptions, Shared};
use std::time::Duration;

/// `struct reading` of `examples-c/reading.h`.
#[derive(Debug, Clone, Copy, Shared)]
#[repr(C)]
struct Reading {
    /// Degrees Celsius.
    value: f64,
    /// 1, 2, 3, …
    sequence: u64,
}

/// `READING_TYPE` of `examples-c/reading.h`: what size and alignment cannot say.
const READING: u64 = schema_of("reading 1: value f64 in degrees Celsius, sequence u64");

fn join(name: &str, count: u32) -> CortexResult<()> {
    let options = SegmentOptions::new()
        .schema(READING)
        .wait_for_creator(Some(Duration::from_secs(60)));
    let cortex: Cortex<Reading> = Cortex::attach_with(name, &options)?;
    let mut seen = cortex.version();
    for _ in 0..count {
        cortex.wait_changed(seen, Some(Duration::from_secs(10)))?;
        let (now, version) = cortex.read_versioned()?;
        println!("rust: {}: {:.2}", now.sequence, now.value);
        seen = version;
    }
    cortex.update(|reading| reading.value = 30.0)?;
    println!(
        "rust: wrote {:.2} as commit {}",
        cortex.read()?.value,
        cortex.version()
    );
    Ok(())
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next();
    let count = arguments.next().map_or(Ok(3), |count| count.parse());
    let Ok(count) = count else {
        eprintln!("usage: join [NAME] [COUNT]");
        std::process::exit(2);
    };
    if let Err(error) = join(name.as_deref().unwrap_or("example/reading"), count) {
        eprintln!("rust: {error}");
        std::process::exit(1);
    }
}
