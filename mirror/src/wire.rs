//! What goes over the network: the key expressions, the question, and the header of an answer.
//!
//! | key expression | what it is |
//! |---|---|
//! | `neocortex/<domain>/<name or key>/v/<origin>` | where an origin answers questions (a Zenoh queryable) |
//! | `neocortex/<domain>/<name or key>/o/<term>/<epoch>/<origin>` | a claim (a liveliness token); term and epoch in hexadecimal |
//!
//! **The question** is the query's parameters: `since=<epoch>.<version>` (hexadecimal; absent: whatever there is),
//! `max=<bytes>`, `every` where every commit is wanted. It stays open until there is something newer, or until the
//! origin has held it for [`HOLD`].
//!
//! **The answer** is a header, of which every field has a fixed place and is little-endian, in the attachment, and the
//! value's bytes as they are in the payload: none where nothing is new or the value is too large, several values one
//! after the other where every commit is wanted.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic, `NCXM` |
//! | 4 | 1 | version of the wire format: 1 |
//! | 5 | 1 | byte order of the value: 1 little-endian, 2 big-endian. The other one is refused, never swapped |
//! | 6 | 2 | flags: 1 no value follows; 2 every commit |
//! | 8 | 8 | term |
//! | 16 | 8 | epoch |
//! | 24 | 8 | origin: `schema_of` of its name |
//! | 32 | 16 | place: the boot id of the host |
//! | 48 | 8 | place: the IPC namespace |
//! | 56 | 8 | size of a value |
//! | 64 | 8 | schema |
//! | 72 | 4 | alignment |
//! | 76 | 4 | how many values follow |
//! | 80 | 8 | version of the (first) value |
//! | 88 | 8 | commits before it that could no longer be read, since the question's version |
//! | 96 | 8 | time read: nanoseconds of the origin's wall clock, for people |
//! | 104 | 8 | held: nanoseconds from the question's arrival until the value was read |
//! | 112 | 4 | CRC-32 of the header with zeros here, then of the payload |
//! | 116 | 4 | length of the lock's name |
//! | 120 | 32 | name of the lock, filled up with zeros |

use crate::claim::Claim;
use crate::place::Place;
use neocortex::schema_of;
use std::time::Duration;
use zenoh::bytes::ZBytes;

/// How long an origin holds a question open before it answers that nothing is new.
pub const HOLD: Duration = Duration::from_millis(500);

const MAGIC: [u8; 4] = *b"NCXM";
const VERSION: u8 = 1;
const ORDER: u8 = if cfg!(target_endian = "big") { 2 } else { 1 };
/// Bytes in the header.
pub const SIZE: usize = 152;
const CHECKSUM: usize = 112;
const LOCK: usize = 120;

/// Returns the key expression under which all about a name is: `neocortex/<domain>/<name>`.
///
/// A byte that means something in a key expression, and one that is not ASCII, becomes `%` and two hexadecimal digits;
/// an empty part between two slashes becomes `%`.
pub fn base(domain: &str, name: &str) -> String {
    let mut key = String::from("neocortex");
    for part in domain.split('/').chain(name.split('/')) {
        key.push('/');
        if part.is_empty() {
            key.push('%');
        }
        for byte in part.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                    key.push(byte.into())
                }
                _ => key.push_str(&format!("%{byte:02x}")),
            }
        }
    }
    key
}

/// Returns why a text cannot be the name of an origin, which is one part of a key expression.
pub fn why_no_origin(origin: &str) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match () {
        () if origin.is_empty() => Some("it is empty"),
        () if origin.len() > 64 => Some("it is longer than 64 bytes"),
        () if !origin.chars().all(is_plain) => {
            Some("it has other characters than letters and digits of ASCII, '.', '_' and '-'")
        }
        () => None,
    }
}

/// Returns the key expression at which an origin answers.
pub fn value_key(base: &str, origin: &str) -> String {
    format!("{base}/v/{origin}")
}

/// Returns the key expression of a claim.
pub fn claim_key(base: &str, claim: &Claim) -> String {
    format!(
        "{base}/o/{:x}/{:x}/{}",
        claim.term, claim.epoch, claim.origin
    )
}

/// Returns the key expression that matches every claim of a name.
pub fn claims_key(base: &str) -> String {
    format!("{base}/o/*/*/*")
}

/// Reads a claim's key expression; `None` where it is none.
pub fn parse_claim(key: &str) -> Option<Claim> {
    let mut parts = key.rsplit('/');
    let origin = parts
        .next()
        .filter(|origin| why_no_origin(origin).is_none())?;
    let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
    let epoch = number()?;
    let term = number()?;
    let origin = origin.to_owned();
    Some(Claim {
        term,
        epoch,
        origin,
    })
}

/// What a follower asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The epoch and the version that it has; `None` where it has nothing, or does not want what it has.
    pub since: Option<(u64, u64)>,
    /// The largest value that it takes, in bytes.
    pub largest: u64,
    /// Whether it wants every commit that is kept.
    pub is_every: bool,
}

impl Question {
    /// Returns the parameters of the query.
    pub fn write(&self) -> String {
        let mut text = format!("max={}", self.largest);
        if let Some((epoch, version)) = self.since {
            text.push_str(&format!(";since={epoch:x}.{version:x}"));
        }
        if self.is_every {
            text.push_str(";every");
        }
        text
    }

    /// Reads the parameters of a query. What it does not understand is as if it were absent.
    pub fn read(text: &str) -> Self {
        let value = |name: &str| {
            let parts = text
                .split(';')
                .map(|part| part.split_once('=').unwrap_or((part, "")));
            parts
                .into_iter()
                .find(|part| part.0 == name)
                .map(|part| part.1)
        };
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let since = value("since").and_then(|text| text.split_once('.'));
        Self {
            since: since.and_then(|(epoch, version)| Some((hex(epoch)?, hex(version)?))),
            largest: value("max")
                .and_then(|text| text.parse().ok())
                .unwrap_or(u64::MAX),
            is_every: value("every").is_some(),
        }
    }
}

/// The header of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub term: u64,
    pub epoch: u64,
    /// `schema_of` of the origin's name.
    pub origin: u64,
    pub place: Place,
    pub size: u64,
    pub schema: u64,
    pub align: u32,
    pub lock: String,
    /// Whether a value follows.
    pub has_value: bool,
    pub is_every: bool,
    pub count: u32,
    pub version: u64,
    pub missed: u64,
    pub read_at: u64,
    pub held: u64,
}

impl Header {
    /// Returns whether the answer is from the one who made this claim.
    pub fn is_of(&self, claim: &Claim) -> bool {
        (self.term, self.epoch, self.origin) == (claim.term, claim.epoch, schema_of(&claim.origin))
    }

    /// Returns the version of the last value that follows.
    pub fn last_version(&self) -> u64 {
        self.version.wrapping_add(u64::from(self.count.max(1)) - 1)
    }

    /// Returns the bytes of the header in front of this payload.
    pub fn write(&self, payload: &ZBytes) -> Vec<u8> {
        let mut bytes = vec![0; SIZE];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(4, &[VERSION, ORDER]);
        put(
            6,
            &(u16::from(!self.has_value) | u16::from(self.is_every) << 1).to_le_bytes(),
        );
        let numbers = [
            (8, self.term),
            (16, self.epoch),
            (24, self.origin),
            (48, self.place.ipc),
        ];
        let more = [
            (56, self.size),
            (64, self.schema),
            (80, self.version),
            (88, self.missed),
        ];
        let times = [(96, self.read_at), (104, self.held)];
        for (at, number) in numbers.into_iter().chain(more).chain(times) {
            put(at, &number.to_le_bytes());
        }
        put(32, &self.place.boot);
        put(72, &self.align.to_le_bytes());
        put(76, &self.count.to_le_bytes());
        let lock = self.lock.as_bytes();
        let lock = &lock[..lock.len().min(SIZE - LOCK)];
        put(116, &(lock.len() as u32).to_le_bytes());
        put(LOCK, lock);
        let checksum = checksum(&bytes, payload);
        bytes[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads and checks the header in front of this payload.
    ///
    /// # Errors
    /// Why it is not a whole answer of this version and byte order.
    pub fn read(bytes: &[u8], payload: &ZBytes) -> Result<Self, String> {
        if bytes.len() < 6 || bytes[..4] != MAGIC {
            return Err("the answer is not one of a mirror".into());
        }
        if bytes[4] != VERSION {
            return Err(format!(
                "the origin speaks version {} of the wire format, and this program version {VERSION}. Use the same version on both hosts",
                bytes[4]
            ));
        }
        if bytes[5] != ORDER {
            return Err("the origin has the other byte order. Values are carried as they are, so it cannot be followed here".into());
        }
        if bytes.len() != SIZE {
            return Err(format!(
                "the answer's header has {} bytes, and not {SIZE}",
                bytes.len()
            ));
        }
        let long = |at: usize| {
            bytes[at..]
                .first_chunk()
                .map_or(0, |field| u64::from_le_bytes(*field))
        };
        let short = |at: usize| {
            bytes[at..]
                .first_chunk()
                .map_or(0, |field| u32::from_le_bytes(*field))
        };
        let mut plain = bytes.to_vec();
        plain[CHECKSUM..CHECKSUM + 4].fill(0);
        if short(CHECKSUM) != checksum(&plain, payload) {
            return Err("the answer was damaged on its way (checksum)".into());
        }
        let flags = u16::from_le_bytes([bytes[6], bytes[7]]);
        let lock = &bytes[LOCK..SIZE][..(short(116) as usize).min(SIZE - LOCK)];
        let header = Self {
            term: long(8),
            epoch: long(16),
            origin: long(24),
            place: Place {
                boot: bytes[32..].first_chunk().copied().unwrap_or_default(),
                ipc: long(48),
            },
            size: long(56),
            schema: long(64),
            align: short(72),
            lock: String::from_utf8_lossy(lock).into_owned(),
            has_value: flags & 1 == 0,
            is_every: flags & 2 != 0,
            count: short(76),
            version: long(80),
            missed: long(88),
            read_at: long(96),
            held: long(104),
        };
        let expected = header
            .size
            .checked_mul(header.count.into())
            .filter(|_| header.has_value);
        if expected.unwrap_or(0) != payload.len() as u64 || header.has_value && header.count == 0 {
            return Err(format!(
                "the answer has {} bytes, and its header says {} of {} bytes each",
                payload.len(),
                header.count,
                header.size
            ));
        }
        Ok(header)
    }
}

fn checksum(header: &[u8], payload: &ZBytes) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(header);
    for slice in payload.slices() {
        sum.update(slice);
    }
    sum.finalize()
}

#[cfg(test)]
mod tests;
