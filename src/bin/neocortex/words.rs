//! How the words of a command line become figures.

use crate::failure::in_our_words;
use neocortex::{CortexError, Key, Permission};
use std::ffi::OsString;
use std::time::Duration;

/// A minus sign that clap does not take for the beginning of an option.
pub const MINUS: char = '\u{2212}';

/// clap knows -2 and -2.5e3 as numbers, and takes -2.5e-3 and -inf for options: those get another sign.
pub fn with_plain_sign(word: OsString) -> OsString {
    let number = word.to_str().and_then(|text| text.strip_prefix('-'));
    let is_unknown = |digits: &&str| digits.contains(['-', 'i', 'I', 'n', 'N']);
    match number
        .filter(is_unknown)
        .filter(|text| text.parse::<f64>().is_ok())
    {
        Some(digits) => format!("{MINUS}{digits}").into(),
        None => word,
    }
}

/// Hexadecimal digits behind `0x`, or decimal ones; a sign in front.
fn number(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None => (&*lower, 10),
    };
    // The parser would take a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    Some(sign * i128::from_str_radix(digits, radix).ok()?)
}

/// A key as `ipcs` and `neocortex` print it, or a name: whatever looks like a number is one. Hexadecimal ones may have
/// the top bit set.
pub fn key(text: &str) -> Result<Key, String> {
    let key: Key = text
        .parse()
        .map_err(|error: CortexError| in_our_words(&error))?;
    if key == Key::from(0) {
        return Err("key 0 is IPC_PRIVATE, which no other process could attach to".into());
    }
    Ok(key)
}

pub fn unsigned(text: &str) -> Result<u64, String> {
    number(text)
        .and_then(|number| u64::try_from(number).ok())
        .ok_or_else(|| "a number from 0 to 2⁶⁴ − 1 is needed, decimal or with 0x in front".into())
}

/// Where `follow` begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Oldest,
    Now,
    After(u64),
}

/// Where `follow` begins: `oldest`, `now`, or a position.
pub fn start(text: &str) -> Result<Start, String> {
    match text {
        "oldest" => Ok(Start::Oldest),
        "now" => Ok(Start::Now),
        _ => unsigned(text).map(Start::After).map_err(|_| {
            "`oldest`, `now`, or the number of the commit after which to begin is needed".into()
        }),
    }
}

pub fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(['k', 'K', 'M', 'G']);
    let factor = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => 0,
    };
    let Some(number) = number(digits).filter(|_| factor > 0) else {
        return Err("a number of bytes is needed, which k, M or G may follow (1024, 1024² and 1024³ bytes): 10M".into());
    };
    let size = usize::try_from(number).ok();
    size.and_then(|size| size.checked_mul(factor))
        .ok_or_else(|| "too large for this machine, or negative".into())
}

pub fn permission(text: &str) -> Result<Permission, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(Permission::Custom(mode)),
        _ => Err("three octal digits, as for chmod".into()),
    }
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a number of seconds is needed, 0 or more: 0.5".into())
}

pub fn user(text: &str) -> Result<u32, String> {
    match (uzers::get_user_by_name(text), text.parse()) {
        (Some(user), _) => Ok(user.uid()),
        (None, Ok(id)) => Ok(id),
        (None, Err(_)) => Err("there is no such user: a name, or a number, is needed".into()),
    }
}

/// In the units in which `list` prints it.
pub fn age(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(['s', 'm', 'h', 'd']);
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit());
    let number: Option<u64> = digits.parse().ok().filter(|_| is_number && unit > 0);
    number
        .and_then(|number| number.checked_mul(unit))
        .map(Duration::from_secs)
        .ok_or_else(|| "a number is needed, which s, m, h or d may follow: 90s, 15m, 2h, 7d".into())
}
