//! `create`, `read`, `write`, `heal`: a cortex in shell scripts.

use crate::arguments::{Create, Creator, Heal, Read, Write};
use crate::describe::{harmless, harmless_lines, is_poisoned};
use crate::doctor::surroundings;
use crate::failure::{plain, Outcome, FAILED, USAGE};
use crate::output;
use crate::stop::Stop;
use crate::structure::Form;
use crate::value::{self, Kind};
use crate::words;
use neocortex::{
    inspect, with_built_in_lock, CortexError, CortexResult, CortexSync, Key, Segment,
    SegmentObserver, SegmentOptions,
};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

pub fn create(arguments: &Create) -> Outcome {
    let schema = arguments.schema_of.as_deref().map(neocortex::schema_of);
    let mut options = SegmentOptions::new()
        .permission(arguments.mode)
        .schema(schema.unwrap_or(arguments.schema))
        .participants(arguments.participants)
        .slots(arguments.slots);
    if arguments.in_place {
        options = options.in_place();
    }
    if arguments.records {
        options = options.records();
    }
    if arguments.lossless {
        options = options.lossless();
    }
    if arguments.replace_stale {
        options = options.replace_stale();
    }
    if arguments.open_or_create {
        options = options.open_or_create();
    }
    if arguments.prefault {
        options = options.prefault();
    }
    if arguments.lock_in_memory {
        options = options.lock_in_memory();
    }
    if let Some(choice) = arguments.huge_pages {
        options = options.huge_pages(choice.into());
    }
    let (key, size) = match place(arguments) {
        Ok(place) => place,
        Err(message) => return plain(USAGE, message),
    };
    if surroundings::removes_with_last(Path::new("/")) {
        return plain(FAILED, "nothing was created: kernel.shm_rmid_forced is 1, so the kernel removes a segment with its last attachment, and this command's ends with it. Set it to 0 (`sysctl -w kernel.shm_rmid_forced=0`), or let a program create the cortex that stays attached");
    }
    let initial = match arguments.initial {
        true => Some(first_value(size)?),
        false => None,
    };
    let lock = arguments.lock.as_str();
    with_built_in_lock!(
        lock,
        Lock => make::<Lock>(&options, key, size, initial.as_deref()),
        _ => plain(USAGE, format!("no lock is called \"{lock}\"")),
    )
}

/// Returns the key, `None` where a random one is wanted, and how many bytes the value has.
fn place(arguments: &Create) -> Result<(Option<Key>, usize), String> {
    let key =
        |text: &str| words::key(text).map_err(|error| format!("\"{text}\" is not a KEY: {error}"));
    let size = |text: &str| {
        words::size(text).map_err(|error| format!("\"{text}\" is not a SIZE: {error}"))
    };
    match (arguments.place.as_slice(), arguments.random) {
        ([one, two], false) => Ok((Some(key(one)?), size(two)?)),
        ([one], true) => Ok((None, size(one)?)),
        _ => Err("`create KEY SIZE`, or `create --random SIZE`".into()),
    }
}

/// Returns what standard input has. It reads one byte more than `most`, so that too long an input is noticed without
/// reading all of it.
fn input(most: usize) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let input = io::stdin().lock().take((most as u64).saturating_add(1));
    match { input }.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => plain(FAILED, format!("cannot read standard input: {error}")),
    }
}

/// Returns exactly `size` bytes of standard input.
fn first_value(size: usize) -> Outcome<Vec<u8>> {
    let bytes = input(size)?;
    if bytes.len() != size {
        let relation = if bytes.len() < size { "fewer" } else { "more" };
        return plain(
            USAGE,
            format!(
                "--initial: standard input had {relation} than {size} bytes; nothing was created"
            ),
        );
    }
    Ok(bytes)
}

/// Makes a cortex, which is made to stay only after its key has been printed. A failure, a signal or SIGKILL before
/// that leaves nothing, or a stale cortex, and never a cortex that stays and whose key no one was told. A cortex that
/// is there already (`--open-or-create`) stays what it was.
fn make<L: CortexSync>(
    options: &SegmentOptions,
    key: Option<Key>,
    size: usize,
    initial: Option<&[u8]>,
) -> Outcome {
    let stop = Stop::new()?;
    let segment: Segment<L> = match (key, initial) {
        (Some(key), Some(initial)) => options.create_with(key, initial)?,
        (Some(key), None) => options.create(key, size)?,
        (None, _) => options.create_random(size)?,
    };
    let key = segment.key();
    if stop.is_asked() {
        return Ok(segment.close()?);
    }
    let mut out = output::lock();
    if let Err(error) = writeln!(out, "{key}").and_then(|()| out.flush()) {
        let is_new = segment.was_created();
        segment.close()?;
        let taken = if is_new {
            ". The new cortex was taken back"
        } else {
            ""
        };
        return plain(
            FAILED,
            format!("cannot write the key to standard output: {error}{taken}"),
        );
    }
    if segment.was_created() {
        segment.persist();
    }
    Ok(segment.close()?)
}

/// Waits until there is a cortex with this key and it is ready, where that was asked for.
pub fn await_creator(key: &Key, creator: &Creator) -> Outcome {
    if let Some(wait) = creator.wait {
        let options = SegmentOptions::new().wait_for_creator(Some(wait));
        SegmentObserver::attach_with(key, 0, &options)?;
    }
    Ok(())
}

/// Returns `length` bytes of zeros, if there is memory for them.
pub fn room(key: &Key, length: usize) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(length).is_err() {
        return plain(
            FAILED,
            format!("key {key}: no memory for {length} bytes: take less at a time with --offset and --length"),
        );
    }
    Ok(bytes)
}

pub fn read(arguments: &Read) -> Outcome {
    let key = &arguments.target.key;
    let observer = match SegmentObserver::attach(key, 0) {
        // It has waited for a creator. A segment that is still blank is most likely another program's, as for all
        // sub-commands.
        Err(error @ CortexError::NotReady { .. }) => {
            return Err(inspect::segment(key).err().unwrap_or(error).into())
        }
        result => result?,
    };
    let record = match observer.has_records() {
        true => Some(newest_record(&observer, arguments.timeout)?),
        false => None,
    };
    let size = record.as_ref().map_or(observer.size(), Vec::len);
    let offset = arguments.offset;
    let Some(rest) = size.checked_sub(offset) else {
        return plain(
            USAGE,
            format!("key {key}: --offset {offset} is beyond its {size} bytes"),
        );
    };
    let length = arguments.length.unwrap_or(rest);
    if length > rest {
        return plain(
            USAGE,
            format!("key {key}: --length {length} is more than the {rest} bytes from offset {offset} on"),
        );
    }
    if let Some(width) = arguments
        .form
        .as_ref()
        .map(Form::width)
        .filter(|width| length % width != 0)
    {
        return plain(
            USAGE,
            format!("key {key}: {length} bytes are not a whole number of values of {width} bytes: say which with --offset and --length"),
        );
    }
    let bytes = match record {
        Some(record) => record[offset..offset + length].to_vec(),
        None => {
            let mut bytes = room(key, length)?;
            bytes.resize(length, 0);
            read_unless_poisoned(&observer, offset, &mut bytes, arguments.timeout)?;
            bytes
        }
    };
    let mut out = output::lock();
    match &arguments.form {
        None if out.is_terminal() => {
            for line in value::lines(Kind::Hex, &bytes, offset) {
                writeln!(out, "{line}")?;
            }
        }
        None => out.write_all(&bytes)?,
        // Another user's text must not control this user's terminal.
        Some(form) if out.is_terminal() => {
            writeln!(out, "{}", harmless_lines(&form.line(&bytes)))?;
        }
        Some(form) => writeln!(out, "{}", form.line(&bytes))?,
    }
    Ok(out.flush()?)
}

/// Returns the newest record of a cortex of records.
pub fn newest_record(observer: &SegmentObserver, timeout: Duration) -> CortexResult<Vec<u8>> {
    let mut record = Vec::new();
    observer.set_timeout(Some(timeout));
    observer.read_record(&mut record)?;
    Ok(record)
}

/// How long a read waits before it looks whether a writer has left the value unfinished for good.
const SLICE: Duration = Duration::from_millis(20);

/// Reads within `timeout`; `Poisoned` as soon as no process is left that could finish the unfinished write.
fn read_unless_poisoned(
    observer: &SegmentObserver,
    offset: usize,
    bytes: &mut [u8],
    timeout: Duration,
) -> CortexResult<()> {
    let start = Instant::now();
    loop {
        let left = timeout.saturating_sub(start.elapsed());
        observer.set_timeout(Some(left.min(SLICE)));
        match observer.read_at(offset, bytes) {
            Err(CortexError::Timeout { .. }) if is_poisoned(&inspect::segment(observer.key())?) => {
                return Err(CortexError::Poisoned {
                    key: observer.key(),
                });
            }
            Err(CortexError::Timeout { .. }) if left > SLICE => {}
            result => return result,
        }
    }
}

pub fn write(arguments: &Write) -> Outcome {
    let (key, offset) = (&arguments.target.key, arguments.offset);
    let info = inspect::segment(key)?;
    if info.has_records && (offset > 0 || arguments.fill || arguments.exact) {
        return plain(
            USAGE,
            format!("key {key}: it holds records, each of which is written whole: leave out --offset, --fill and --exact"),
        );
    }
    let Some(rest) = info.size.checked_sub(offset) else {
        return plain(
            USAGE,
            format!(
                "key {key}: --offset {offset} is beyond its {} bytes",
                info.size
            ),
        );
    };
    let mut bytes = match &arguments.form {
        Some(form) => match form.bytes(&arguments.values) {
            Ok(bytes) => bytes,
            Err(message) => return plain(USAGE, message),
        },
        None => input(rest)?,
    };
    let (length, at) = (bytes.len(), format!("at offset {offset}"));
    if length > rest {
        return plain(
            USAGE,
            format!(
                "key {key}: more bytes than the {rest} that there are {at}; nothing was written"
            ),
        );
    }
    // The input is most likely from a command that failed.
    if length == 0 && (arguments.form.is_none() || !arguments.fill) {
        let source = match &arguments.form {
            None => "standard input was empty",
            Some(_) => "the values have no bytes",
        };
        return plain(USAGE, format!("key {key}: {source}; nothing was written"));
    }
    if arguments.exact && length < rest {
        return plain(
            USAGE,
            format!("key {key}: {length} bytes, and --exact asks for all {rest} {at}; nothing was written"),
        );
    }
    if arguments.fill {
        let zeros = rest - length;
        if bytes.try_reserve_exact(zeros).is_err() {
            return plain(FAILED, format!("key {key}: no memory for {rest} bytes"));
        }
        bytes.resize(rest, 0);
    }
    with_lock(
        key,
        &info.lock,
        arguments.timeout,
        Task::Write(offset, &bytes),
    )
}

pub fn heal(arguments: &Heal) -> Outcome {
    let key = &arguments.target.key;
    let info = inspect::segment(key)?;
    with_lock(key, &info.lock, arguments.timeout, Task::Heal)
}

#[derive(Clone, Copy)]
enum Task<'a> {
    Write(usize, &'a [u8]),
    Heal,
}

/// Attaches with the lock that the segment was made with.
fn with_lock(key: &Key, lock: &str, timeout: Duration, task: Task) -> Outcome {
    let options = SegmentOptions::new().timeout(Some(timeout));
    with_built_in_lock!(
        lock,
        Lock => Ok(perform::<Lock>(&options, key, task)?),
        _ => plain(
            FAILED,
            format!(
                "key {key}: its lock \"{}\" is a program's own; only a program that has it can write",
                harmless(lock)
            ),
        ),
    )
}

fn perform<L: CortexSync>(options: &SegmentOptions, key: &Key, task: Task) -> CortexResult<()> {
    let segment: Segment<L> = options.attach(key, 0)?;
    match task {
        Task::Write(_, record) if segment.has_records() => segment.push(record)?,
        Task::Write(offset, bytes) => segment.write_at(offset, bytes)?,
        Task::Heal => segment.clear_poison()?,
    }
    segment.close()
}
