//! The rule of names, and the key that follows from a name: the same in every language, so that nothing has to be
//! looked up.
//!
//! | what | rule |
//! |---|---|
//! | a name | 1 to 255 bytes of UTF-8, without control characters (U+0000 to U+001F, U+007F to U+009F), that does not look like a number |
//! | looks like a number | an optional `+` or `-`, then either decimal digits only, or `0x` and hexadecimal digits only |
//! | its key | FNV-1a of 64 bits over the bytes; both halves xor-ed; `& 0x3FFFFFFF`, `\| 0x40000000` |
//! | the schema of a text | FNV-1a of 64 bits over the bytes; 0 becomes 1 |
//!
//! So the key of a name is between 0x40000000 and 0x7FFFFFFF: never 0, and apart from the small numbers that people
//! choose. Two names may have one key; the name in the header tells them apart.
//!
//! **Invariant.** Part of the format: a change to a line of this table makes programs miss one another.

/// The longest name, in bytes.
pub(crate) const LIMIT: usize = 255;

/// The rule of names, for messages about a text that is not a name.
pub(crate) const RULE: &str = "a name is 1 to 255 bytes of UTF-8, has no control characters, and does not look like a number (decimal, negative, 0x...)";

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a of 64 bits (Fowler, Noll, Vo).
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = OFFSET_BASIS;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(PRIME);
        index += 1;
    }
    hash
}

/// Returns the key of a name, which is [checked](why_not) first.
pub(crate) const fn number_of(name: &str) -> i32 {
    let hash = fnv1a(name.as_bytes());
    let folded = (hash >> 32) as u32 ^ hash as u32;
    (folded & 0x3FFF_FFFF | 0x4000_0000) as i32
}

/// A number that follows from a text, never 0: for the `schema` of a cortex, out of a description of its type.
///
/// Both sides give the same description and are refused one another's values otherwise (`Layout`), which size,
/// alignment and lock alone cannot do: an `i64` is as large as an `f64`. The rule is the same in every language (FNV-1a
/// of 64 bits over the bytes of the text; 0 becomes 1); a blank or a letter more is another number.
///
/// ```
/// use neocortex::{schema_of, CortexBuilder};
///
/// const POSE: u64 = schema_of("pose 1: x f64, y f64, in metres");
/// # fn main() -> neocortex::CortexResult<()> {
/// let pose = CortexBuilder::new([0.0, 1.5]).random_key().schema(POSE).create()?;
/// # Ok(()) }
/// ```
#[must_use]
pub const fn schema_of(text: &str) -> u64 {
    schema_from(text.as_bytes())
}

/// [`schema_of`] of bytes that need not be text.
pub(crate) const fn schema_from(bytes: &[u8]) -> u64 {
    match fnv1a(bytes) {
        0 => 1,
        hash => hash,
    }
}

/// Returns why this text is not a name; `None` where it is one.
pub(crate) fn why_not(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > LIMIT {
        return Some("it is longer than 255 bytes");
    }
    if name.chars().any(char::is_control) {
        return Some("it has a control character");
    }
    looks_like_a_number(name).then_some("it looks like a number")
}

/// Sign and digits of what looks like a number, with the digits' radix.
fn digits(text: &str) -> Option<(bool, &str, u32)> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((digits, 10), |hex| (hex, 16));
    let is_number = digits.chars().all(|digit| digit.is_digit(radix));
    (is_number && (radix == 16 || !digits.is_empty())).then_some((is_negative, digits, radix))
}

pub(crate) fn looks_like_a_number(text: &str) -> bool {
    digits(text).is_some()
}

/// Returns the key that a number says, in decimal, negative or hexadecimal, where the top bit may be set; `None` where
/// it does not fit into 32 bits, or the text does not look like a number.
pub(crate) fn parse_number(text: &str) -> Option<i32> {
    let (is_negative, digits, radix) = digits(text)?;
    let value = i64::try_from(u64::from_str_radix(digits, radix).ok()?).ok()?;
    match u32::try_from(value) {
        Ok(bits) if radix == 16 && !is_negative => Some(bits as i32),
        _ => i32::try_from(if is_negative { -value } else { value }).ok(),
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
