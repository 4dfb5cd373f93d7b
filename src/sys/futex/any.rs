//! What a thread sleeps on that sleeps on several words at once.

use crate::sys::SleepEnd;
use std::sync::atomic::AtomicU32;

/// A word, and the value with which a thread sleeps on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) word: &'a AtomicU32,
    pub(crate) value: u32,
}

/// How a sleep on several words ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(any(neocortex_portable, not(target_os = "linux")), allow(dead_code))]
pub(crate) enum AnyEnd {
    Slept(SleepEnd),
    /// The system does not do it, now or at all: nothing was slept.
    Refused,
}

/// On how many words of shared memory a thread can sleep at once, beside the one of its own.
pub(crate) const ANY_LIMIT: usize = 127;
