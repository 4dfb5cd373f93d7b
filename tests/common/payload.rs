//! Random numbers, and payloads that tell whether they are torn.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

/// One step of splitmix64: a good hash of a counter.
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Numbers that differ in every run; the seed is printed, and shown when the test fails.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        let mut bytes = [0; 8];
        let mut source = std::fs::File::open("/dev/urandom").expect("/dev/urandom");
        source.read_exact(&mut bytes).expect("/dev/urandom");
        let seed = u64::from_ne_bytes(bytes);
        println!("random seed {seed:#x}");
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    /// Below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Turns of a busy wait that the compiler cannot leave out.
pub fn spin(turns: usize) {
    static SINK: AtomicU64 = AtomicU64::new(0);
    for turn in 0..turns {
        SINK.fetch_add(turn as u64, Ordering::Relaxed);
    }
}

fn first_word(number: u32) -> u64 {
    u64::from(number) | mix(u64::from(number)) << 32
}

/// Fills at least 8 bytes, a multiple of 8, so that they tell this number and nothing else.
pub fn fill(payload: &mut [u8], number: u32) {
    for (index, word) in payload.chunks_exact_mut(8).enumerate() {
        let value = match index {
            0 => first_word(number),
            _ => mix(u64::from(number) << 20 | index as u64),
        };
        word.copy_from_slice(&value.to_ne_bytes());
    }
}

pub fn filled(size: usize, number: u32) -> Vec<u8> {
    let mut payload = vec![0; size];
    fill(&mut payload, number);
    payload
}

/// The number that the bytes tell; a panic where they are of two different ones.
#[track_caller]
pub fn check(payload: &[u8]) -> u32 {
    let word = |at: &[u8]| u64::from_ne_bytes(at.try_into().expect("eight bytes"));
    let first = word(&payload[..8]);
    let number = first as u32;
    assert_eq!(first, first_word(number), "torn in the first word");
    for (index, bytes) in payload.chunks_exact(8).enumerate().skip(1) {
        let expected = mix(u64::from(number) << 20 | index as u64);
        assert_eq!(
            word(bytes),
            expected,
            "torn in word {index} of value {number}"
        );
    }
    number
}
