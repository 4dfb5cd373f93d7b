//! `bench`: the ends of a measurement, beside Zenoh alone and TCP alone. What starts them on two hosts of one machine,
//! which have one monotonic clock, is `tests/hosts/measure.rs`; the figures are in `docs/mirror.md`.
//!
//! | words | does |
//! |---|---|
//! | `write NAME SIZE COUNT PAUSE` | commits values, PAUSE microseconds apart; says how long a commit took |
//! | `watch NAME COUNT` | says how old each value was that it saw in a local cortex |
//! | `zenoh-put SIZE COUNT PAUSE`, `zenoh-watch COUNT` | the same by Zenoh's publish and subscribe |
//! | `tcp-send ADDRESS SIZE COUNT PAUSE`, `tcp-watch ADDRESS SIZE COUNT` | the same by a TCP connection |
//!
//! The watching ends say `ready`, and wait for at most ten seconds of silence.

use crate::arguments::Bench;
use crate::manual::print;
use neocortex::{CortexError, CortexResult, Segment, SegmentOptions, SeqLock};
use neocortex_mirror::{check, now, MirrorError, MirrorResult};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SILENCE: Duration = Duration::from_secs(10);

pub fn run(arguments: &Bench) -> MirrorResult<ExitCode> {
    let words: Vec<_> = arguments.words.iter().map(String::as_str).collect();
    match words[..] {
        ["write", name, size, count, pause] => {
            write(name, number(size)?, number(count)?, number(pause)?)
        }
        ["watch", name, count] => watch(name, number(count)?),
        ["zenoh-put", size, count, pause] => {
            let put = check::putter(arguments.network.config(&[]))?;
            // The subscriber must have been found.
            std::thread::sleep(Duration::from_secs(1));
            each(number(count)?, number(pause)?, number(size)?, |bytes| {
                put(bytes.to_vec())
            })?;
            std::thread::sleep(Duration::from_secs(1));
            Ok(ExitCode::SUCCESS)
        }
        ["zenoh-watch", count] => {
            let (send, arrived) = mpsc::channel();
            let _kept = check::subscriber(arguments.network.config(&[]), move |first: Vec<u8>| {
                let _ = send.send(now() - stamp(&first));
            })?;
            print(b"ready\n")?;
            arrivals(number(count)?, || Ok(arrived.recv_timeout(SILENCE).ok()))
        }
        ["tcp-send", address, size, count, pause] => {
            let mut stream = TcpStream::connect(address).map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            each(number(count)?, number(pause)?, number(size)?, |bytes| {
                stream.write_all(bytes).map_err(failed)
            })
        }
        ["tcp-watch", address, size, count] => {
            let socket = TcpListener::bind(address).map_err(failed)?;
            print(b"ready\n")?;
            let (mut stream, _) = socket.accept().map_err(failed)?;
            stream.set_read_timeout(Some(SILENCE)).map_err(failed)?;
            let mut bytes = vec![0; number(size)?];
            arrivals(number(count)?, || {
                let read = stream.read_exact(&mut bytes);
                Ok(read.ok().map(|()| now() - stamp(&bytes)))
            })
        }
        _ => Err(MirrorError::Config(
            "bench: which part? See the text of `bench.rs`".to_owned(),
        )),
    }
}

fn number<T: std::str::FromStr>(word: &str) -> MirrorResult<T> {
    word.parse()
        .map_err(|_| MirrorError::Config(format!("bench: {word} is no number")))
}

fn failed(error: std::io::Error) -> MirrorError {
    MirrorError::Network(error.to_string())
}

fn stamp(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |first| u64::from_le_bytes(*first))
}

/// Calls `send` with values that begin with the time.
fn each(
    count: u64,
    pause: u64,
    size: usize,
    mut send: impl FnMut(&[u8]) -> MirrorResult<()>,
) -> MirrorResult<ExitCode> {
    let mut bytes = vec![7; size.max(8)];
    let begin = Instant::now();
    let mut took = Vec::new();
    for index in 1..=count {
        let at = now();
        bytes[..8].copy_from_slice(&at.to_le_bytes());
        send(&bytes)?;
        took.push(now() - at);
        // At its own time, so that a slow one does not make the others rare.
        let due = begin + Duration::from_micros(pause) * u32::try_from(index).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    tell("took", took)
}

/// Prints figures in microseconds.
fn tell(what: &str, mut times: Vec<u64>) -> MirrorResult<ExitCode> {
    times.sort_unstable();
    let at = |part: f64| {
        times
            .get(((times.len().max(1) - 1) as f64 * part) as usize)
            .map_or(0.0, |&time| time as f64 / 1e3)
    };
    let line = format!(
        "{what} {} p50 {:.2} p90 {:.2} p99 {:.2} max {:.2} us\n",
        times.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    print(line.as_bytes())
}

fn write(name: &str, size: usize, count: u64, pause: u64) -> MirrorResult<ExitCode> {
    let segment: Segment<SeqLock> = SegmentOptions::new()
        .persist()
        .create_or_attach(name, size)?;
    each(count, pause, size, |bytes| Ok(segment.write_at(0, bytes)?))
}

fn watch(name: &str, count: u64) -> MirrorResult<ExitCode> {
    let options = SegmentOptions::new().wait_for_creator(Some(SILENCE));
    let segment: Segment<SeqLock> = options.attach(name, 0)?;
    print(b"ready\n")?;
    let (mut version, mut bytes) = (segment.version(), vec![0; segment.size()]);
    let mut next = || -> CortexResult<u64> {
        segment.wait_changed(version, Some(SILENCE))?;
        version = segment.read_versioned(0, &mut bytes)?;
        Ok(now() - stamp(&bytes))
    };
    arrivals(count, || match next() {
        Ok(age) => Ok(Some(age)),
        Err(CortexError::Timeout { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    })
}

/// Prints how many values came in a second, from the first one on, and how old they were.
fn arrivals(
    count: u64,
    mut next: impl FnMut() -> MirrorResult<Option<u64>>,
) -> MirrorResult<ExitCode> {
    let mut ages = Vec::new();
    let (mut first, mut last) = (Instant::now(), Instant::now());
    while (ages.len() as u64) < count {
        let Some(age) = next()? else { break };
        last = Instant::now();
        if ages.is_empty() {
            first = last;
        }
        ages.push(age);
    }
    let intervals = ages.len().saturating_sub(1) as f64;
    let per_second = intervals / (last - first).as_secs_f64().max(1e-9);
    print(format!("seen {per_second:.1} in a second\n").as_bytes())?;
    tell("age", ages)
}
