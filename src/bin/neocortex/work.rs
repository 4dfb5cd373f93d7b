//! `create`, `read`, `write`, `heal`: a cortex in shell scripts.

use crate::arguments::{self, Create, Heal, Lock, Read, Write};
use crate::describe::{harmless, is_poisoned};
use crate::failure::{plain, Outcome, FAILED, USAGE};
use crate::value;
use neocortex::{
    inspect, CortexError, CortexResult, CortexSync, RwLock, Segment, SegmentObserver,
    SegmentOptions, Semaphore, SeqLock,
};
use std::io::{self, IsTerminal, Read as _, Write as _};
use std::time::Duration;

pub fn create(arguments: &Create) -> Outcome {
    let mut options = SegmentOptions::new()
        .persist()
        .permission(arguments.mode)
        .schema(arguments.schema)
        .participants(arguments.participants)
        .slots(arguments.slots);
    if arguments.in_place {
        options = options.in_place();
    }
    if arguments.replace_stale {
        options = options.replace_stale();
    }
    let (key, size) = match place(arguments) {
        Ok(place) => place,
        Err(message) => return plain(USAGE, message),
    };
    let key = match arguments.lock {
        Lock::Seqlock => make::<SeqLock>(&options, key, size),
        Lock::Rwlock => make::<RwLock>(&options, key, size),
        Lock::Semaphore => make::<Semaphore>(&options, key, size),
    }?;
    Ok(writeln!(io::stdout(), "{key}")?)
}

/// Which key, unless a random one is wanted, and how many bytes.
fn place(arguments: &Create) -> Result<(Option<i32>, usize), String> {
    match (arguments.place.as_slice(), arguments.random) {
        ([key, size], false) => Ok((Some(arguments::key(key)?), arguments::size(size)?)),
        ([size], true) => Ok((None, arguments::size(size)?)),
        _ => Err("`create KEY SIZE`, or `create --random SIZE`".into()),
    }
}

fn make<L: CortexSync>(
    options: &SegmentOptions,
    key: Option<i32>,
    size: usize,
) -> CortexResult<i32> {
    let segment: Segment<L> = match key {
        Some(key) => options.create(key, size)?,
        None => options.create_random(size)?,
    };
    let key = segment.key();
    segment.close()?;
    Ok(key)
}

pub fn read(arguments: &Read) -> Outcome {
    let key = arguments.target.key;
    let observer = SegmentObserver::attach(key, 0)?;
    observer.set_timeout(Some(arguments.timeout));
    let offset = arguments.offset;
    let rest = observer.size().saturating_sub(offset);
    let mut bytes = vec![0; arguments.length.unwrap_or(rest)];
    match observer.read_at(offset, &mut bytes) {
        Err(CortexError::Timeout { .. }) if is_poisoned(&inspect::segment(key)?) => {
            return Err(CortexError::Poisoned { key }.into());
        }
        result => result?,
    }
    let mut out = io::stdout().lock();
    match arguments.kind {
        None if out.is_terminal() => {
            for line in value::lines(arguments::Kind::Hex, &bytes, offset) {
                writeln!(out, "{line}")?;
            }
        }
        None => out.write_all(&bytes)?,
        Some(kind) if bytes.len() % value::width(kind) != 0 => {
            let (length, width) = (bytes.len(), value::width(kind));
            return plain(
                USAGE,
                format!("key {key}: {length} bytes are no whole number of values of {width} bytes: say which with --offset and --length"),
            );
        }
        Some(kind) => writeln!(out, "{}", value::line(kind, &bytes))?,
    }
    Ok(out.flush()?)
}

pub fn write(arguments: &Write) -> Outcome {
    let (key, offset) = (arguments.target.key, arguments.offset);
    let info = inspect::segment(key)?;
    let room = info.size.saturating_sub(offset);
    let mut bytes = match arguments.kind {
        Some(kind) => match value::parse(kind, &arguments.values) {
            Ok(bytes) => bytes,
            Err(message) => return plain(USAGE, message),
        },
        None => {
            let mut bytes = Vec::new();
            // One more than there is room for, so that too much is noticed and never all read.
            let input = io::stdin().lock().take(room as u64 + 1);
            if let Err(error) = { input }.read_to_end(&mut bytes) {
                return plain(FAILED, format!("cannot read standard input: {error}"));
            }
            bytes
        }
    };
    if bytes.len() > room {
        let at = format!("at offset {offset}");
        return plain(
            USAGE,
            format!(
                "key {key}: more bytes than the {room} that there are {at}; nothing was written"
            ),
        );
    }
    if arguments.fill {
        bytes.resize(room, 0);
    }
    with_lock(
        key,
        &info.lock,
        arguments.timeout,
        Task::Write(offset, &bytes),
    )
}

pub fn heal(arguments: &Heal) -> Outcome {
    let key = arguments.target.key;
    let info = inspect::segment(key)?;
    with_lock(key, &info.lock, arguments.timeout, Task::Heal)
}

#[derive(Clone, Copy)]
enum Task<'a> {
    Write(usize, &'a [u8]),
    Heal,
}

/// Attaches with the lock that the segment was made with.
fn with_lock(key: i32, lock: &str, timeout: Duration, task: Task) -> Outcome {
    let options = SegmentOptions::new().timeout(Some(timeout));
    match lock {
        SeqLock::NAME => perform::<SeqLock>(&options, key, task)?,
        RwLock::NAME => perform::<RwLock>(&options, key, task)?,
        Semaphore::NAME => perform::<Semaphore>(&options, key, task)?,
        lock => {
            let lock = harmless(lock);
            return plain(
                FAILED,
                format!("key {key}: its lock \"{lock}\" is a program's own; only a program that has it can write"),
            );
        }
    }
    Ok(())
}

fn perform<L: CortexSync>(options: &SegmentOptions, key: i32, task: Task) -> CortexResult<()> {
    let segment: Segment<L> = options.attach(key, 0)?;
    match task {
        Task::Write(offset, bytes) => segment.write_at(offset, bytes)?,
        Task::Heal => segment.clear_poison()?,
    }
    segment.close()
}
