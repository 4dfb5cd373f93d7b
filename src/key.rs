//! The key of a cortex: a number, or a name from which a number follows.
//!
//! **Invariant.** A name is checked where it is used, in [`Key::wanted`], and nowhere else; from there on the kernel is
//! asked for its number, and the header is compared with the name.

use crate::error::names::{note, quoted};
use crate::error::{Cause, CortexError, CortexResult};
use crate::protocol::name;
use std::fmt;
use std::str::FromStr;

/// The key of a cortex: a number, or a name.
///
/// Every function that takes a key takes either, by [`Into`]: `Cortex::attach(123)`, `Cortex::attach("arm/pose")`. A
/// name is 1 to 255 bytes of UTF-8, without control characters, that does not look like a number (decimal, negative,
/// `0x…`). The use of any other text is `InvalidArgument`.
///
/// The kernel knows numbers alone, so a name's number follows from it ([`key_of`]), by one rule in every language; no
/// file and no directory says which name has which. The name itself is stored in the cortex and compared when a process
/// attaches. Where two names have one number, the error is [`CortexError::Name`], and no process takes the value of one
/// for that of the other. A cortex that has a name can be attached to by its number too; one that was made by number
/// has no name, and is found by its number alone.
///
/// A text from a user, for example from a command line, is [parsed](str::parse): a text that looks like a number is
/// then a number.
///
/// ```
/// use neocortex::Key;
///
/// # fn main() -> neocortex::CortexResult<()> {
/// assert_eq!(Key::from("arm/pose").number()?, 1_772_166_907);
/// assert_eq!("0x7b".parse::<Key>()?, Key::from(123));
/// assert_eq!("arm/pose".parse::<Key>()?.name(), Some("arm/pose"));
/// assert!(Key::from("123").number().is_err());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(Inner);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Inner {
    Number(i32),
    /// A name, which is checked when it is used.
    Name(String),
}

/// Which cortex a call means: the number to ask the kernel for, and the name that must be there, if it was asked for by
/// name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) number: i32,
    pub(crate) name: Option<&'a str>,
}

impl Wanted<'static> {
    /// Returns the wish for the cortex with this number, whatever its name.
    pub(crate) fn by_number(number: i32) -> Self {
        let name = None;
        Self { number, name }
    }
}

impl<'a> Wanted<'a> {
    /// Returns the wish for the cortex with this name.
    ///
    /// # Errors
    /// `InvalidArgument` where it is not a valid name.
    pub(crate) fn by_name(name: &'a str) -> CortexResult<Self> {
        let number = key_of(name)?;
        note(number, name);
        let name = Some(name);
        Ok(Self { number, name })
    }

    /// Refuses a cortex that has another name, or none, where one was asked for; `found` is empty where it has none.
    ///
    /// # Errors
    /// `Name`.
    pub(crate) fn check(&self, found: &str) -> CortexResult<()> {
        match self.name {
            Some(name) if name != found => Err(CortexError::Name {
                key: self.number,
                expected: name.to_owned(),
                found: (!found.is_empty()).then(|| found.to_owned()),
            }),
            _ => Ok(()),
        }
    }

    /// Notes the name that a cortex turned out to have, for the messages about it. A peer could have stored any name;
    /// it is believed only if the number follows from it.
    pub(crate) fn note_found(&self, found: &str) {
        if self.name.is_none() && !found.is_empty() && name::number_of(found) == self.number {
            note(self.number, found);
        }
    }
}

impl Key {
    /// Returns the number by which the kernel knows the key; for a name it is [`key_of`] the name.
    ///
    /// # Errors
    /// `InvalidArgument` where it is neither a number nor a name.
    pub fn number(&self) -> CortexResult<i32> {
        match &self.0 {
            Inner::Number(number) => Ok(*number),
            Inner::Name(name) => key_of(name),
        }
    }

    /// Returns the name, if the key was given as one, whether or not it is valid.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Inner::Number(_) => None,
            Inner::Name(name) => Some(name),
        }
    }

    /// # Errors
    /// As [`Key::number`].
    pub(crate) fn wanted(&self) -> CortexResult<Wanted<'_>> {
        match &self.0 {
            Inner::Number(number) => Ok(Wanted::by_number(*number)),
            Inner::Name(name) => Wanted::by_name(name),
        }
    }
}

/// Returns the key that follows from a name, by which `ipcs -m` shows it: from 0x40000000 to 0x7FFFFFFF. It is
/// computed, not looked up, and every program in every language computes the same (FNV-1a of 64 bits over the bytes,
/// the two halves xor-ed, then `& 0x3FFFFFFF | 0x40000000`).
///
/// ```
/// # fn main() -> neocortex::CortexResult<()> {
/// assert_eq!(neocortex::key_of("arm/pose")?, 0x69A1_1EFB);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `InvalidArgument` where the text is not a valid name: see [`Key`].
pub fn key_of(name: &str) -> CortexResult<i32> {
    match name::why_not(name) {
        None => Ok(name::number_of(name)),
        Some(why) => Err(refused(name, why)),
    }
}

/// Returns the text of a name that is given as bytes.
///
/// # Errors
/// `InvalidArgument` where it is not UTF-8.
#[cfg(feature = "capi")]
pub(crate) fn name_of(bytes: &[u8]) -> CortexResult<&str> {
    std::str::from_utf8(bytes)
        .map_err(|_| refused(&String::from_utf8_lossy(bytes), "it is not UTF-8"))
}

#[cold]
fn refused(name: &str, why: &str) -> CortexError {
    let mut end = name.len().min(name::LIMIT);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let (shown, more) = (
        quoted(&name[..end]),
        if end < name.len() { "..." } else { "" },
    );
    let detail = format!(
        "the name {shown}{more} cannot be used: {why}; {}",
        name::RULE
    );
    Cause::invalid(detail).on_no_key()
}

impl From<i32> for Key {
    fn from(number: i32) -> Self {
        Self(Inner::Number(number))
    }
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

impl From<String> for Key {
    fn from(name: String) -> Self {
        Self(Inner::Name(name))
    }
}

impl From<&String> for Key {
    fn from(name: &String) -> Self {
        name.as_str().into()
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

impl FromStr for Key {
    type Err = CortexError;

    /// Parses a text that looks like a number as a number (decimal, negative, or hexadecimal with `0x`, where the top
    /// bit may be set), and any other text as a name.
    ///
    /// # Errors
    /// `InvalidArgument` for a number that does not fit into 32 bits, and for a text that is not a valid name.
    fn from_str(text: &str) -> CortexResult<Self> {
        if let Some(number) = name::parse_number(text) {
            return Ok(number.into());
        }
        if name::looks_like_a_number(text) {
            let detail = format!(
                "{} is no key: a key has 32 bits, -2147483648 to 2147483647, or up to 0xffffffff",
                quoted(text)
            );
            return Err(Cause::invalid(detail).on_no_key());
        }
        key_of(text)?;
        Ok(text.into())
    }
}

impl fmt::Display for Key {
    /// Writes the number in decimal, or the name as it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Number(number) => number.fmt(f),
            Inner::Name(name) => name.fmt(f),
        }
    }
}
