//! Bytes as values of a type, and back.

use crate::describe::harmless;
use crate::words::MINUS;
use clap::ValueEnum;
use serde_json::{json, Value};

/// The types as which bytes are shown and given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    F64,
    F32,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    /// Text, up to the first zero byte
    Utf8,
    Hex,
}

/// Runs `$body` with `$type` for the number type that a kind names; `$other` for text and hex.
macro_rules! by_kind {
    ($kind:expr, $type:ident => $body:expr, $other:expr) => {
        by_kind!($kind, $type => $body, $other,
            F64 f64, F32 f32, I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16, U32 u32, U64 u64)
    };
    ($kind:expr, $type:ident => $body:expr, $other:expr, $($name:ident $number:ty),+) => {
        match $kind {
            $(Kind::$name => {
                type $type = $number;
                $body
            })+
            Kind::Utf8 | Kind::Hex => $other,
        }
    };
}

/// The numbers in the bytes, native endian; bytes that fill no number are left out.
macro_rules! numbers {
    ($type:ty, $bytes:expr) => {
        $bytes
            .chunks_exact(size_of::<$type>())
            .map(|chunk| <$type>::from_ne_bytes(chunk.try_into().expect("chunks of that size")))
    };
}

/// Returns how many bytes one value of the kind has.
pub fn width(kind: Kind) -> usize {
    by_kind!(kind, T => size_of::<T>(), 1)
}

/// Returns the alignment that a C compiler of this machine gives the kind.
pub fn align(kind: Kind) -> usize {
    by_kind!(kind, T => align_of::<T>(), 1)
}

/// Text up to the first zero byte; what is not UTF-8 becomes U+FFFD.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number in its shortest form: 1e300, and 0.5.
trait Shortest {
    fn shortest(&self) -> String;
    fn json(&self) -> Value;
}

macro_rules! shortest {
    ($($float:ty),+; $($integer:ty),+) => {
        $(impl Shortest for $float {
            fn shortest(&self) -> String {
                let (plain, scientific) = (self.to_string(), format!("{self:e}"));
                match scientific.len() < plain.len() && self.is_finite() {
                    true => scientific,
                    false => plain,
                }
            }

            fn json(&self) -> Value {
                // By its shortest form: 0.1 of 32 bits is another number than 0.1 of 64.
                match json!(self.shortest().parse::<f64>().ok()) {
                    Value::Null => Value::String(self.to_string()),
                    value => value,
                }
            }
        })+
        $(impl Shortest for $integer {
            fn shortest(&self) -> String {
                self.to_string()
            }

            fn json(&self) -> Value {
                json!(self)
            }
        })+
    };
}

shortest!(f64, f32; i8, i16, i32, i64, u8, u16, u32, u64);

/// Returns the values as words, for one line.
pub fn line(kind: Kind, bytes: &[u8]) -> String {
    let words: Vec<String> = by_kind!(
        kind,
        T => numbers!(T, bytes).map(|number| number.shortest()).collect(),
        return if kind == Kind::Hex { hex(bytes) } else { text(bytes) }
    );
    words.join(" ")
}

/// Returns the values for people: lines of at most 16 bytes with their offsets; text as it is.
pub fn lines(kind: Kind, bytes: &[u8], offset: usize) -> Vec<String> {
    if kind == Kind::Utf8 {
        return text(bytes).lines().map(harmless).collect();
    }
    let row = |(index, row): (usize, &[u8])| {
        let at = offset + index * 16;
        let shown = match kind {
            Kind::Hex => {
                let pairs: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
                let plain = |&byte: &u8| match byte {
                    b' '..=b'~' => char::from(byte),
                    _ => '.',
                };
                let letters: String = row.iter().map(plain).collect();
                format!("{:<47}  {letters}", pairs.join(" "))
            }
            kind => line(kind, row),
        };
        format!("{at:08x}  {shown}")
    };
    bytes.chunks(16).enumerate().map(row).collect()
}

/// Returns the values as JSON: an array of numbers, or a string. A value that no JSON number can express (NaN,
/// infinities) is a string.
pub fn as_json(kind: Kind, bytes: &[u8]) -> Value {
    let numbers: Vec<Value> = by_kind!(
        kind,
        T => numbers!(T, bytes).map(|number| number.json()).collect(),
        return Value::String(if kind == Kind::Hex { hex(bytes) } else { text(bytes) })
    );
    Value::Array(numbers)
}

/// The values of 64 bits as strings too: above 2⁵³ not every reader of JSON is exact. `Null` for all others.
pub fn as_strings(kind: Kind, bytes: &[u8]) -> Value {
    match kind {
        Kind::I64 => numbers!(i64, bytes)
            .map(|number| number.to_string())
            .collect(),
        Kind::U64 => numbers!(u64, bytes)
            .map(|number| number.to_string())
            .collect(),
        _ => Value::Null,
    }
}

/// Returns the bytes of values that are given as words.
pub fn parse(kind: Kind, words: &[String]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match kind {
        Kind::Utf8 => bytes.extend(words.join(" ").into_bytes()),
        Kind::Hex => {
            let digits: String = words.concat();
            let digits = digits.strip_prefix("0x").unwrap_or(&digits).as_bytes();
            if digits.len() % 2 != 0 {
                return Err("an odd number of hexadecimal digits".into());
            }
            for pair in digits.chunks_exact(2) {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                match (digit(pair[0]), digit(pair[1])) {
                    (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
                    _ => return Err("hexadecimal digits are 0 to 9 and a to f".into()),
                }
            }
        }
        kind => {
            for word in words {
                let word = word.replacen(MINUS, "-", 1);
                by_kind!(
                    kind,
                    T => bytes.extend(
                        word.parse::<T>()
                            .map_err(|error| format!("\"{word}\" is not a value of {}: {error}", stringify_kind(kind)))?
                            .to_ne_bytes()
                    ),
                    ()
                );
            }
        }
    }
    Ok(bytes)
}

fn stringify_kind(kind: Kind) -> String {
    kind.to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}
