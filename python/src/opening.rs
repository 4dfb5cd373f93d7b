//! `create` and `attach`.

use crate::any_segment::{AnySegment, LockChoice};
use crate::call::{call, imported};
use crate::errors::{own, raise};
use crate::handle::Handle;
use crate::messages::{named, other_contents};
use crate::patience::Patience;
use crate::shared::Shared;
use crate::value::Kind;
use neocortex::{schema_of, CortexError, HugePages, Key, Permission, SegmentOptions};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How many random keys are tried.
const KEYS: u32 = 20;

/// Returns the key for what Python gives: an int or a name.
pub(crate) fn key_from(key: &Bound<'_, PyAny>) -> PyResult<Key> {
    if let Ok(name) = key.cast::<PyString>() {
        return Ok(Key::from(name.to_str()?));
    }
    match key.extract::<i32>() {
        Ok(number) => Ok(Key::from(number)),
        Err(_) => Err(PyTypeError::new_err(
            "a key is a name, or an int of 32 bits",
        )),
    }
}

/// A key below those of names, and not 0.
fn random_key() -> i32 {
    // What it is made of differs each time.
    (RandomState::new().hash_one(0) as i32 & 0x3FFF_FFFF) | 1
}

/// Returns the schema that was given as a number or a text, or what follows from the value.
fn schema_from(schema: Option<&Bound<'_, PyAny>>, text: Option<&str>) -> PyResult<u64> {
    match schema {
        None => Ok(text.map_or(0, schema_of)),
        Some(schema) => match schema.cast::<PyString>() {
            Ok(text) => Ok(schema_of(text.to_str()?)),
            Err(_) => schema.extract(),
        },
    }
}

fn describe<'py>(py: Python<'py>, function: &str) -> PyResult<Bound<'py, PyAny>> {
    imported(py, "neocortex._describe", function)
}

/// Closes what is open at the end of the interpreter, however that comes about.
fn expect_end(py: Python<'_>) -> PyResult<()> {
    call(&imported(py, "neocortex._end", "expect")?, ()).map(drop)
}

fn seconds(timeout: Option<f64>) -> PyResult<Option<Duration>> {
    let wrong = |_| PyValueError::new_err("a time-out is a number of seconds, 0 or more");
    timeout
        .map(|timeout| Duration::try_from_secs_f64(timeout).map_err(wrong))
        .transpose()
}

/// What is chosen when a cortex is created.
pub(crate) struct Choices<'a> {
    pub(crate) lock: &'a str,
    pub(crate) mode: u32,
    pub(crate) owner: Option<(Option<u32>, Option<u32>)>,
    pub(crate) participants: u32,
    pub(crate) slots: u32,
    pub(crate) in_place: bool,
    pub(crate) persist: bool,
    pub(crate) open_or_create: bool,
    pub(crate) replace_stale: bool,
    pub(crate) force_ownership: bool,
    pub(crate) prefault: bool,
    pub(crate) lock_in_memory: bool,
    pub(crate) huge_pages: bool,
    pub(crate) dump: bool,
    /// In seconds.
    pub(crate) timeout: Option<f64>,
}

impl Choices<'_> {
    fn options(&self, schema: u64) -> PyResult<SegmentOptions> {
        let mut options = SegmentOptions::new()
            .permission(Permission::Custom(self.mode))
            .participants(self.participants)
            .slots(self.slots)
            .schema(schema)
            .timeout(seconds(self.timeout)?)
            .interruptible();
        if let Some((user, group)) = self.owner {
            options = options.owner(user, group);
        }
        type Choice = fn(SegmentOptions) -> SegmentOptions;
        let choices: [(bool, Choice); 9] = [
            (self.in_place, SegmentOptions::in_place),
            (self.persist, SegmentOptions::persist),
            (self.open_or_create, SegmentOptions::open_or_create),
            (self.replace_stale, SegmentOptions::replace_stale),
            (self.force_ownership, SegmentOptions::force_ownership),
            (self.prefault, SegmentOptions::prefault),
            (self.lock_in_memory, SegmentOptions::lock_in_memory),
            (self.huge_pages, |options| {
                options.huge_pages(HugePages::Prefer)
            }),
            (self.dump, SegmentOptions::dump),
        ];
        let chosen = choices.into_iter().filter(|(is_chosen, _)| *is_chosen);
        Ok(chosen.fold(options, |options, (_, choose)| choose(options)))
    }
}

pub(crate) fn create(
    py: Python<'_>,
    key: Option<&Bound<'_, PyAny>>,
    value: Bound<'_, PyAny>,
    schema: Option<&Bound<'_, PyAny>>,
    choices: &Choices<'_>,
) -> PyResult<Handle> {
    let Some(lock) = LockChoice::named(choices.lock) else {
        let text = format!(
            "no lock {:?}: there are \"seqlock\", \"rwlock\" and \"semaphore\"",
            choices.lock
        );
        return Err(own(py, "InvalidArgument", text));
    };
    let described = call(&describe(py, "of_value")?, (value,))?;
    type Described<'py> = (
        String,
        Bound<'py, PyAny>,
        Bound<'py, PyTuple>,
        usize,
        String,
        Bound<'py, PyAny>,
    );
    let (kind, dtype, shape, size, text, initial): Described<'_> = described.extract()?;
    let kind = Kind::of(&kind, dtype, shape);
    let has_schema = schema.is_some();
    let schema = schema_from(schema, Some(&text))?;
    let options = choices.options(schema)?;
    let key = key.map(key_from).transpose()?;
    expect_end(py)?;
    let mut other = None;
    let segment = kind.bytes_of(&initial, size, |initial| {
        // It waits as the options say: here only a signal comes in between.
        Patience::lasting(None)?.go(py, |_| {
            let result = match &key {
                Some(key) => AnySegment::create(&options, lock, key, initial),
                None => create_anywhere(&options, lock, initial),
            };
            other = result.as_ref().err().and_then(other_contents);
            result
        })
    });
    let segment = match (segment, other) {
        (Err(error), Some(key)) if !has_schema => return Err(named(py, error, key, &text)),
        (segment, _) => segment?,
    };
    let shared = Shared::new(segment);
    Ok(Handle {
        shared,
        kind,
        size,
        schema,
    })
}

pub(crate) fn attaching(prefault: bool, dump: bool) -> SegmentOptions {
    let mut options = SegmentOptions::new().interruptible();
    if prefault {
        options = options.prefault();
    }
    if dump {
        options = options.dump();
    }
    options
}

type What<'py> = (
    Bound<'py, PyAny>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
);
type Attach = fn(&SegmentOptions, &Key, usize) -> neocortex::CortexResult<AnySegment>;

/// `what` is the dtype, the shape and the schema; `wait` is how long its creator is waited for, in seconds.
pub(crate) fn attach(
    py: Python<'_>,
    attach: Attach,
    options: SegmentOptions,
    key: &Bound<'_, PyAny>,
    what: What<'_>,
    wait: Option<f64>,
) -> PyResult<Handle> {
    let (dtype, shape, schema) = what;
    let shape = shape.unwrap_or_else(|| PyTuple::empty(py).into_any());
    let described = call(&describe(py, "of_type")?, (dtype, shape))?;
    let (kind, dtype, shape, size, text): (
        String,
        Bound<'_, PyAny>,
        Bound<'_, PyTuple>,
        usize,
        Option<String>,
    ) = described.extract()?;
    let kind = Kind::of(&kind, dtype, shape);
    let mut wanted = schema_from(schema.as_ref(), text.as_deref())?;
    let key = key_from(key)?;
    let options = options.schema(wanted);
    expect_end(py)?;
    let patience = Patience::lasting(wait)?;
    let is_patient = wait.is_none_or(|wait| wait > 0.0);
    let mut other = None;
    let segment = patience.go(py, |left| {
        let options = match is_patient {
            true => options
                .clone()
                .wait_for_creator(Some(left).filter(|&left| left != Duration::MAX)),
            false => options.clone(),
        };
        let result = attach(&options, &key, size);
        other = result.as_ref().err().and_then(other_contents);
        match result {
            // Its creator may finish yet.
            Err(CortexError::NotReady { key, .. }) if is_patient => {
                let operation = "waiting for its creator";
                Err(CortexError::Timeout { key, operation })
            }
            result => result,
        }
    });
    let segment = match (segment, other, &text) {
        (Err(error), Some(key), Some(text)) if schema.is_none() => {
            return Err(named(py, error, key, text))
        }
        (segment, ..) => segment?,
    };
    let size = segment.size();
    if schema.is_none() && text.is_none() {
        // Bytes of whatever number: what they must be is known only now.
        let text: String = call(&describe(py, "text_of_bytes")?, (size,))?.extract()?;
        wanted = schema_of(&text);
        if segment.schema() != wanted {
            let error = CortexError::Layout {
                key: segment.key(),
                what: "schema",
                expected: wanted,
                found: segment.schema(),
            };
            return Err(named(py, raise(py, &error), segment.key(), &text));
        }
    }
    Ok(Handle {
        shared: Shared::new(segment),
        kind,
        size,
        schema: wanted,
    })
}

fn create_anywhere(
    options: &SegmentOptions,
    lock: LockChoice,
    initial: &[u8],
) -> neocortex::CortexResult<AnySegment> {
    let mut tries = 0;
    loop {
        tries += 1;
        match AnySegment::create(options, lock, &Key::from(random_key()), initial) {
            Err(CortexError::CleanSystem(error))
                if tries < KEYS && error.raw_os_error() == Some(libc::EEXIST) => {}
            result => return result,
        }
    }
}
