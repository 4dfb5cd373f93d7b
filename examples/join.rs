//! Joins the cortex of `examples-c/writer.c`: the same bytes, in Rust.
//!
//! `cargo run --example join -- KEY [COUNT]` prints COUNT readings (default 3) as the C writer commits
//! them, and puts in one of its own.

use bytemuck::{AnyBitPattern, NoUninit};
use neocortex::{Cortex, CortexResult};
use std::time::Duration;

/// `struct reading` of `examples-c/reading.h`.
#[derive(Debug, Clone, Copy, NoUninit, AnyBitPattern)]
#[repr(C)]
struct Reading {
    /// Degrees Celsius.
    value: f64,
    /// 1, 2, 3, …
    sequence: u64,
}

fn join(key: i32, count: u32) -> CortexResult<()> {
    let cortex: Cortex<Reading> = Cortex::attach(key)?;
    let mut version = cortex.version();
    for _ in 0..count {
        version = cortex.wait_changed(version, Some(Duration::from_secs(10)))?;
        let Reading { value, sequence } = cortex.read()?;
        println!("rust: {sequence}: {value:.2}");
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
    let Some(key) = arguments.next().and_then(|key| key.parse().ok()) else {
        eprintln!("usage: join KEY [COUNT]");
        std::process::exit(2);
    };
    let count = arguments
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(3);
    if let Err(error) = join(key, count) {
        eprintln!("rust: {error}");
        std::process::exit(1);
    }
}
