//! From a key to a segment that may be used: it is found, known to be ours, ready, and of the expected shape.
//!
//! The state word has a meaning only beside our magic. Nothing but the header is read before the header has been
//! checked against itself and the segment's real size.
//!
//! **A process that waits for a creator or a remover is not attached while it sleeps**, and looks again by key. So it
//! finds a successor, and no waiting process is taken for one that uses the segment.

use super::contents::check_contents;
use super::options::SegmentOptions;
use super::presence::{creator, observe, reopen_if_abandoned};
use crate::attachment::mapped_segment::header;
use crate::error::{busy, Attempt, Cause, ATTACHING};
use crate::key::Wanted;
use crate::protocol::format::{self, birth, state, Layout};
use crate::protocol::lifecycle::{Creator, Look};
use crate::sys::shm::{self, Mapped, Mapping, ReadOnlyMapping};
use crate::sys::{errno, futex, SleepEnd};
use std::time::{Duration, Instant};

/// How long a segment that is not ready may stay without a sign of its creator's life.
pub(super) const CREATOR_GONE: Duration = patience(500);
/// How long to wait for a creator that lives, and may be copying a large value.
pub(super) const CREATOR_BUSY: Duration = patience(5_000);

/// Returns a number of milliseconds; next to none for a fuzzer, whose creators are dead or at work elsewhere, and never
/// finish.
const fn patience(milliseconds: u64) -> Duration {
    Duration::from_millis(if cfg!(fuzzing) { 1 } else { milliseconds })
}

/// How many times a segment that has just been replaced is looked for again.
pub(crate) const ATTEMPTS: u32 = 20;

/// A pause while another process finishes something brief.
pub(super) const PAUSE: Duration = Duration::from_micros(500);

/// The pauses between two looks: each is longer than the one before, up to a short limit.
pub(crate) struct Pauses {
    next: Duration,
    /// Whether a signal handler that has run on this thread ends the call.
    is_interruptible: bool,
}

impl Pauses {
    pub(crate) fn new(options: &SegmentOptions) -> Self {
        Self {
            next: Duration::from_micros(20),
            is_interruptible: options.interruptible,
        }
    }

    /// # Errors
    /// `Interrupted`.
    pub(crate) fn sleep(&mut self) -> Result<(), Cause> {
        let pause = self.next;
        self.next = (self.next * 2).min(PAUSE * 4);
        self.sleep_for(pause)
    }

    /// # Errors
    /// `Interrupted`.
    pub(crate) fn sleep_for(&self, pause: Duration) -> Result<(), Cause> {
        let end = futex::sleep(pause);
        match self.is_interruptible && end == SleepEnd::Signal {
            true => Err(Cause::Interrupted(WAITING_FOR_OTHERS)),
            false => Ok(()),
        }
    }
}

/// The operation in errors of a wait for the process that makes, replaces, uses or removes the segment with the key.
const WAITING_FOR_OTHERS: &str = "waiting for the key";

/// Measures for how long one and the same segment has shown no sign of its creator's life.
pub(super) struct Silence {
    id: i32,
    since: Instant,
}

impl Silence {
    pub(super) fn new() -> Self {
        Self {
            id: -1,
            since: Instant::now(),
        }
    }

    /// Returns how long the silence has lasted, after another look at the segment with this id.
    pub(super) fn of(&mut self, id: i32, has_sign_of_life: bool) -> Duration {
        if has_sign_of_life || self.id != id {
            *self = Self {
                id,
                since: Instant::now(),
            };
        }
        self.since.elapsed()
    }
}

pub(crate) fn check_key(key: i32) -> Result<(), Cause> {
    if key == 0 {
        let detail = "key 0 is IPC_PRIVATE, which nobody could attach to; choose another";
        return Err(Cause::invalid(detail));
    }
    Ok(())
}

/// Why a call gives up whose segment is replaced again and again.
pub(crate) const OVERTAKEN: Cause = Cause::Busy(busy::OVERTAKEN);

/// Maps the segment that a key names. It is known to bear our magic or to be still blank.
///
/// # Errors
/// `NotACortex` where it is not ours; `CleanSystem`.
pub(crate) fn open_mapping<M: Mapped>(key: i32) -> Result<M, Cause> {
    check_key(key)?;
    let mut attempts = 1;
    loop {
        let id = shm::find(key).attempt(ATTACHING)?;
        let mapping = match M::attach(id) {
            // It was removed between the two calls: the key is looked up again.
            Err(failure) if errno::is_gone(failure.errno()) && attempts < ATTEMPTS => {
                attempts += 1;
                continue;
            }
            result => result.attempt(ATTACHING)?,
        };
        if mapping.size() < format::LOCK_OFFSET {
            return Err(Cause::NotACortex("it is too small for the header of one"));
        }
        match refusal(&mapping) {
            Some(detail) => return Err(Cause::NotACortex(detail)),
            None => return Ok(mapping),
        }
    }
}

/// Why a segment that begins with zeros is left alone, and what its owner can do.
const BLANK: &str = "it begins with zeros, and this library did not make it; if it is yours and nobody needs it, `ipcrm` removes it by hand";

/// Returns why a segment that is large enough for a header is not ours; `None` where it is.
///
/// A blank one is ours only if the kernel says that it was made with the mark of [`birth`]. The mapping's mode was read
/// before the magic is, so a process that finds the mark gone finds the magic.
pub(crate) fn refusal(mapping: &impl Mapped) -> Option<&'static str> {
    let header = header(mapping);
    if !header.is_blank() {
        return (!header.has_magic()).then_some("no magic number");
    }
    let is_ours = birth::is_marked(mapping.status().mode) && birth::is_size(mapping.size());
    (!is_ours).then_some(BLANK)
}

/// Refuses a segment whose header is blank and whose other bytes are not: any other one is ours to take away, either
/// not blank or blank as it came from the kernel.
///
/// # Errors
/// `NotACortex`.
pub(super) fn check_blank(mapping: &Mapping) -> Result<(), Cause> {
    // The header is read again, because its creator may write meanwhile: then it is not blank any more.
    if header(mapping).is_blank() && !mapping.is_all_zeros() && header(mapping).is_blank() {
        return Err(Cause::NotACortex(BLANK));
    }
    Ok(())
}

/// Refuses a cortex that is known to have another name than was asked for. A cortex whose name is not yet written, or
/// whose header is spoilt, has no name to compare; a removed one no longer counts.
///
/// # Errors
/// `Name`.
pub(super) fn check_name_in(mapping: &impl Mapped, wanted: Wanted<'_>) -> Result<(), Cause> {
    match header(mapping).name_if_written() {
        Some(found) if header(mapping).state() != state::REMOVED => Ok(wanted.check(&found)?),
        _ => Ok(()),
    }
}

/// Does the same as [`check_name_in`] for the segment that has the number now, if this user may look at it.
///
/// # Errors
/// `Name`.
pub(super) fn check_name(wanted: Wanted<'_>) -> Result<(), Cause> {
    match open_mapping::<ReadOnlyMapping>(wanted.number) {
        Ok(mapping) => check_name_in(&mapping, wanted),
        Err(_) => Ok(()),
    }
}

/// The segment that a key led to.
pub(crate) enum Arrival<M> {
    /// A segment that may be used.
    Ready(M),
    /// A segment that was removed, and still has the key.
    Removed(M),
}

/// Returns the segment that a key names, as soon as it is ready. It waits for a bounded time for a creator, and for a
/// replacer that looks whether the segment is in use. `timeout` bounds the wait for a creator at work.
///
/// # Errors
/// `NotReady`; `NotACortex`; `Corrupt`; `CleanSystem`; `Interrupted`.
pub(crate) fn arrive(
    key: i32,
    options: &SegmentOptions,
    timeout: Option<Duration>,
) -> Result<Arrival<Mapping>, Cause> {
    arrive_with(key, options, timeout, |mapping| {
        reopen_if_abandoned(mapping, key)?;
        Ok(false)
    })
}

/// Does the same as [`arrive`] for a caller that only looks. For it a closing segment is whole (a replacer is looking
/// whether it is in use), and such a caller could not reopen it.
pub(crate) fn arrive_to_look(
    key: i32,
    options: &SegmentOptions,
    timeout: Option<Duration>,
) -> Result<Arrival<ReadOnlyMapping>, Cause> {
    arrive_with(key, options, timeout, |_| Ok(true))
}

/// `while_closing` returns whether the caller accepts a closing segment.
fn arrive_with<M: Mapped>(
    key: i32,
    options: &SegmentOptions,
    timeout: Option<Duration>,
    while_closing: impl Fn(&M) -> Result<bool, Cause>,
) -> Result<Arrival<M>, Cause> {
    let start = Instant::now();
    let longest = timeout.map_or(CREATOR_BUSY, |timeout| timeout.min(CREATOR_BUSY));
    let (mut silence, mut pauses) = (Silence::new(), Pauses::new(options));
    loop {
        let mapping: M = open_mapping(key)?;
        match observe(&mapping)? {
            Look::Ready => return Ok(Arrival::Ready(mapping)),
            Look::Removed => return Ok(Arrival::Removed(mapping)),
            Look::Closing if while_closing(&mapping)? => return Ok(Arrival::Ready(mapping)),
            _ => {}
        }
        let lives = creator(&mapping) == Creator::Lives;
        let silent = silence.of(mapping.id(), lives);
        let waited = start.elapsed();
        if silent >= CREATOR_GONE || waited >= longest {
            let waited_ms = waited.as_millis() as u64;
            return Err(Cause::NotReady { waited_ms });
        }
        drop(mapping);
        pauses.sleep()?;
    }
}

/// Waits for a bounded time until a segment in which this process has claimed a slot is open again. Returns `false`
/// where it was removed. A replacer keeps it closed for one look only, and finds this process.
pub(crate) fn await_open(
    mapping: &Mapping,
    key: i32,
    options: &SegmentOptions,
) -> Result<bool, Cause> {
    let start = Instant::now();
    let mut pauses = Pauses::new(options);
    loop {
        match observe(mapping)? {
            Look::Ready => return Ok(true),
            Look::Removed => return Ok(false),
            Look::Closing => reopen_if_abandoned(mapping, key)?,
            // It was ready a moment ago, so a process has spoilt it since.
            _ => {}
        }
        let waited = start.elapsed();
        if waited >= CREATOR_GONE {
            let waited_ms = waited.as_millis() as u64;
            return Err(Cause::NotReady { waited_ms });
        }
        pauses.sleep()?;
    }
}

/// Refuses a segment that is not what the caller expects.
pub(crate) fn check_shape(
    size: usize,
    options: &SegmentOptions,
    layout: &Layout,
) -> Result<(), Cause> {
    let shape = &layout.shape;
    let differs = |what, expected, found| {
        Err(Cause::Layout {
            what,
            expected,
            found,
        })
    };
    if size != 0 && size != shape.size {
        return differs("size", size as u64, shape.size as u64);
    }
    if options.schema != 0 && options.schema != shape.schema {
        return differs("schema", options.schema, shape.schema);
    }
    if options.align > shape.align {
        return differs("alignment", options.align.into(), shape.align.into());
    }
    check_contents(options, layout)
}

#[cfg(all(test, not(loom)))]
mod tests;
