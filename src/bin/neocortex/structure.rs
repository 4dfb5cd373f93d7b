//! What bytes are shown and given as: values of one type, or structures of several (`u32,f64,u8x16`).
//!
//! The fields lie as a C compiler lays them: each at a multiple of its own alignment, and the whole a multiple of the
//! largest. That is how Rust's `#[repr(C)]`, C and C++ have them. `packed:` in front leaves out the padding, as numpy's
//! structures do. Padding is not shown, and written as zeros.

use crate::value::{self, Kind};
use clap::builder::{PossibleValue, TypedValueParser};
use clap::ValueEnum;
use serde_json::Value;
use std::ffi::OsStr;

/// What bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Values of one type, or one text.
    All(Kind),
    /// Structures, one after the other.
    Structure(Structure),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    fields: Vec<Field>,
    /// The bytes of one, with its padding.
    size: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    kind: Kind,
    /// `None` is one value, and no array of one.
    count: Option<usize>,
    offset: usize,
}

/// The largest structure: its size is a product of what was typed.
const LARGEST: usize = 1 << 30;

impl Field {
    /// Reads `f64`, `u8x16`.
    fn parse(word: &str) -> Result<Self, String> {
        let is_count = |count: &str| !count.is_empty() && count.bytes().all(|c| c.is_ascii_digit());
        let (name, count) = match word.rsplit_once('x') {
            Some((name, count)) if is_count(count) => (name, Some(count)),
            _ => (word, None),
        };
        let kind = Kind::from_str(name, false).map_err(|_| {
            format!("\"{word}\" is no type: f64, f32, i8 to i64, u8 to u64, utf8, hex, or fields of these, as in u32,f64,u8x16")
        })?;
        let count = match count {
            None => None,
            Some(count) => match count.parse::<usize>() {
                Ok(number) if (1..=LARGEST).contains(&number) => Some(number),
                _ => return Err(format!("\"{word}\": a field has one value or more")),
            },
        };
        Ok(Self {
            kind,
            count,
            offset: 0,
        })
    }

    fn size(&self) -> usize {
        value::width(self.kind).saturating_mul(self.count.unwrap_or(1))
    }

    /// Returns how many words it is written with.
    fn words(&self) -> usize {
        match self.kind {
            Kind::Utf8 | Kind::Hex => 1,
            _ => self.count.unwrap_or(1),
        }
    }

    fn of<'a>(&self, structure: &'a [u8]) -> &'a [u8] {
        &structure[self.offset..self.offset + self.size()]
    }

    /// Returns one value as it is, and several as an array.
    fn unwrapped(&self, value: Value) -> Value {
        match value {
            Value::Array(mut values) if self.count.is_none() && values.len() == 1 => {
                values.remove(0)
            }
            value => value,
        }
    }
}

impl Structure {
    fn parse(text: &str) -> Result<Self, String> {
        let (list, is_packed) = match text.strip_prefix("packed:") {
            Some(list) => (list, true),
            None => (text, false),
        };
        let (mut fields, mut end, mut largest) = (Vec::new(), 0_usize, 1);
        for word in list.split(',') {
            let mut field = Field::parse(word)?;
            let align = if is_packed {
                1
            } else {
                value::align(field.kind)
            };
            field.offset = end.next_multiple_of(align);
            end = field.offset.saturating_add(field.size());
            if end > LARGEST {
                return Err(format!("\"{text}\" is a structure of more than a GiB"));
            }
            largest = largest.max(align);
            fields.push(field);
        }
        let size = end.next_multiple_of(largest);
        Ok(Self { fields, size })
    }

    fn line(&self, structure: &[u8]) -> String {
        let word = |field: &Field| match (field.kind, field.of(structure)) {
            // One word, wherever it ends.
            (Kind::Utf8, bytes) => Value::String(value::text(bytes)).to_string(),
            (kind, bytes) => value::line(kind, bytes),
        };
        self.fields.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    fn map(&self, structure: &[u8], part: impl Fn(Kind, &[u8]) -> Value) -> Value {
        let values = self
            .fields
            .iter()
            .map(|field| field.unwrapped(part(field.kind, field.of(structure))));
        values.collect()
    }

    /// Returns the bytes of as many structures as the words are for.
    fn bytes(&self, mut words: &[String]) -> Result<Vec<u8>, String> {
        let each: usize = self.fields.iter().map(Field::words).sum();
        if words.is_empty() || words.len() % each != 0 {
            let given = words.len();
            return Err(format!(
                "a structure is {each} values, and {given} are given: whole structures are written"
            ));
        }
        let mut bytes = Vec::new();
        while !words.is_empty() {
            let start = bytes.len();
            bytes.resize(start + self.size, 0);
            for field in &self.fields {
                let (its, rest) = words.split_at(field.words());
                words = rest;
                let new = value::parse(field.kind, its)?;
                let (length, size) = (new.len(), field.size());
                let is_whole = length == size || field.kind == Kind::Utf8 && length < size;
                if !is_whole {
                    return Err(format!(
                        "\"{}\" has {length} bytes, and the field {size}",
                        its.concat()
                    ));
                }
                let at = start + field.offset;
                bytes[at..at + length].copy_from_slice(&new);
            }
        }
        Ok(bytes)
    }
}

impl Form {
    pub fn parse(text: &str) -> Result<Self, String> {
        match Kind::from_str(text, false) {
            Ok(kind) => Ok(Self::All(kind)),
            Err(_) => Structure::parse(text).map(Self::Structure),
        }
    }

    /// Returns whether it is one text, which may have several lines.
    pub fn is_text(&self) -> bool {
        *self == Self::All(Kind::Utf8)
    }

    /// Returns of how many bytes the value must be a multiple.
    pub fn width(&self) -> usize {
        match self {
            Self::All(kind) => value::width(*kind),
            Self::Structure(structure) => structure.size,
        }
    }

    /// Returns the values as words, for one line; structures with `; ` between them.
    pub fn line(&self, bytes: &[u8]) -> String {
        match self {
            Self::All(kind) => value::line(*kind, bytes),
            Self::Structure(structure) => {
                let all = bytes.chunks_exact(structure.size);
                all.map(|one| structure.line(one))
                    .collect::<Vec<_>>()
                    .join("; ")
            }
        }
    }

    /// Returns the values for people: each structure on a line with its offset.
    pub fn lines(&self, bytes: &[u8], offset: usize) -> Vec<String> {
        match self {
            Self::All(kind) => value::lines(*kind, bytes, offset),
            Self::Structure(structure) => {
                let all = bytes.chunks_exact(structure.size).enumerate();
                let row = |(index, one)| {
                    let (at, line) = (offset + index * structure.size, structure.line(one));
                    format!("{at:08x}  {line}")
                };
                all.map(row).collect()
            }
        }
    }

    /// Returns the values as JSON: of structures an array of arrays, in each the fields.
    pub fn as_json(&self, bytes: &[u8]) -> Value {
        match self {
            Self::All(kind) => value::as_json(*kind, bytes),
            Self::Structure(structure) => {
                let all = bytes.chunks_exact(structure.size);
                all.map(|one| structure.map(one, value::as_json)).collect()
            }
        }
    }

    /// Returns the values of 64 bits as strings too; `Null` where there are none.
    pub fn as_strings(&self, bytes: &[u8]) -> Value {
        match self {
            Self::All(kind) => value::as_strings(*kind, bytes),
            Self::Structure(structure) => {
                let is_long = |field: &Field| matches!(field.kind, Kind::I64 | Kind::U64);
                if !structure.fields.iter().any(is_long) {
                    return Value::Null;
                }
                let all = bytes.chunks_exact(structure.size);
                all.map(|one| structure.map(one, value::as_strings))
                    .collect()
            }
        }
    }

    /// Returns the bytes of values that are given as words.
    pub fn bytes(&self, words: &[String]) -> Result<Vec<u8>, String> {
        match self {
            Self::All(kind) => value::parse(*kind, words),
            Self::Structure(structure) => structure.bytes(words),
        }
    }
}

/// For the command line, which offers the types by themselves.
#[derive(Clone)]
pub struct Forms;

impl TypedValueParser for Forms {
    type Value = Form;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Form, clap::Error> {
        let parse = |text: &str| Form::parse(text);
        TypedValueParser::parse_ref(&parse, command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let all = Kind::value_variants().iter();
        Some(Box::new(all.filter_map(Kind::to_possible_value)))
    }
}
