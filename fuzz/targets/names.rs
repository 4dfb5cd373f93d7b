//! Names: the rule against its definition in other words, a header with a forged name, and two names of one number.
//!
//! Held against it: Rust and C call a text a name exactly where the definition does, and give it the number of the
//! definition; a call by name never succeeds on a cortex that has another one; a refusal changes no byte of the
//! segment; no message has a control character in it, whatever a peer has stored.

#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use neocortex::{
    capi, inspect, key_of, schema_of, CortexError, CortexResult, Key, Segment, SegmentObserver, SegmentOptions, SeqLock,
};
use neocortex_fuzz::{enter_namespace, objects, sweep, Raw};
use std::ffi::{CStr, CString};
use std::time::Duration;

/// Two names of one number (`tests/vectors`).
const TWINS: [&str; 2] = ["robot/3263", "robot/38498"];
/// Where the header has the name's length, and the name (docs/segment.md).
const LENGTH: usize = 176;
const NAME: usize = 180;
const LONGEST: usize = 255;

fuzz_target!(init: enter_namespace(), |data: &[u8]| {
    let mut input = Unstructured::new(data);
    let _ = match input.arbitrary::<u8>() {
        Ok(way) if way % 4 < 2 => rule(input.take_rest()),
        Ok(way) if way % 4 == 2 => forged(&mut input),
        _ => twins(&mut input),
    };
    let left = objects();
    sweep();
    assert_eq!(left, (vec![], vec![]), "left behind");
});

/// A text that looks like a number: a sign or none, then digits.
fn is_number_like(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text).as_bytes();
    match unsigned {
        [b'0', b'x' | b'X', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
        digits => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
    }
}

/// The definition, read from docs/segment.md.
fn is_name(bytes: &[u8]) -> bool {
    let is_control = |c: char| matches!(u32::from(c), 0..=0x1F | 0x7F..=0x9F);
    std::str::from_utf8(bytes).is_ok_and(|text| {
        (1..=LONGEST).contains(&bytes.len()) && !text.chars().any(is_control) && !is_number_like(text)
    })
}

/// FNV-1a, in numbers of 128 bits.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u128, &byte: &u8| ((hash ^ u128::from(byte)) * 1_099_511_628_211) % (1 << 64);
    bytes.iter().fold(14_695_981_039_346_656_037, step) as u64
}

fn number(bytes: &[u8]) -> i32 {
    let hash = hash(bytes);
    ((hash / (1 << 32) ^ hash % (1 << 32)) % (1 << 30) + (1 << 30)) as i32
}

/// What a text is, in Rust and in C.
fn rule(bytes: &[u8]) -> Result<()> {
    let expected = is_name(bytes).then(|| number(bytes));
    if let Ok(text) = CString::new(bytes) {
        let mut key = 7;
        // SAFETY: a string, and a place for a number.
        let status = unsafe { capi::neocortex_key_of(text.as_ptr(), &mut key) };
        match expected {
            Some(number) => assert_eq!((status, key), (capi::NEOCORTEX_OK, number)),
            None => {
                assert_eq!((status, key), (capi::NEOCORTEX_ERR_INVALID_ARGUMENT, 7));
                // SAFETY: never NULL, and valid until the next failure.
                check_message(&unsafe { CStr::from_ptr(capi::neocortex_last_message()) }.to_string_lossy());
            }
        }
        // SAFETY: a string.
        assert_eq!(unsafe { capi::neocortex_schema_of(text.as_ptr()) }, hash(bytes).max(1));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    assert_eq!(schema_of(text), hash(bytes).max(1));
    match (key_of(text), expected) {
        (Ok(key), Some(number)) => assert_eq!(key, number),
        (Err(error @ CortexError::InvalidArgument { .. }), None) => check_message(&error.to_string()),
        (result, expected) => panic!("{text:?}: {result:?}, and not {expected:?}"),
    }
    // From a command line it is a number, or a name, or neither.
    match (text.parse::<Key>(), expected) {
        (Ok(key), Some(_)) => assert_eq!(key.name(), Some(text)),
        (Ok(key), None) => assert!(is_number_like(text) && key.name().is_none(), "{text:?}"),
        (Err(error), None) => check_message(&error.to_string()),
        (Err(error), Some(_)) => panic!("{text:?}: {error}"),
    }
    Ok(())
}

/// No terminal may be told anything by it.
fn check_message(message: &str) {
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

fn options() -> SegmentOptions {
    SegmentOptions::new().participants(2).timeout(Some(Duration::from_millis(1)))
}

/// Every way to a cortex by name; what each found.
fn attempts(name: &str) -> Vec<CortexResult<String>> {
    let found = |segment: Segment<SeqLock>| segment.name().to_owned();
    vec![
        options().attach(name, 8).map(found),
        options().wait_for_creator(Some(Duration::ZERO)).attach(name, 8).map(found),
        options().create(name, 8).map(found),
        options().create_or_attach(name, 8).map(found),
        options().force_ownership().persist().create(name, 8).map(found),
        options().replace_stale().create(name, 8).map(found),
        SegmentObserver::attach(name, 8).map(|observer| observer.name().to_owned()),
        inspect::segment(name).map(|info| info.name),
    ]
}

/// A cortex whose name a peer has overwritten.
fn forged(input: &mut Unstructured) -> Result<()> {
    let key = number(TWINS[0].as_bytes());
    let owner: Segment<SeqLock> = options().create(TWINS[0], 8).expect("a free key");
    owner.write_at(0, &[7; 8]).expect("ours");
    let raw = Raw::open(key).expect("made above");
    let before = raw.bytes();
    let way = input.arbitrary::<u8>()?;
    if way & 1 != 0 {
        let length = if way & 2 != 0 { u32::from(input.arbitrary::<u8>()?) } else { input.arbitrary()? };
        raw.put(LENGTH, &length.to_ne_bytes());
    }
    let offset = if way & 4 != 0 { usize::from(input.arbitrary::<u8>()?) } else { 0 };
    let count = input.len().min(LONGEST + 1 - offset);
    raw.put(NAME + offset, input.bytes(count)?);
    let stored = raw.bytes();
    let length = u32::from_ne_bytes(stored[LENGTH..LENGTH + 4].try_into().expect("four")) as usize;
    let says = stored.get(NAME..NAME + length.min(LONGEST + 1)).unwrap_or_default().to_owned();
    for name in TWINS {
        for result in attempts(name) {
            match result {
                Ok(found) => assert!(found == name && says == name.as_bytes(), "{found:?} for {name}: {says:?}"),
                Err(error) => check_message(&error.to_string()),
            }
        }
    }
    // By its number it is what it says to be, if that can be a name.
    match options().attach::<SeqLock>(key, 8) {
        Ok(segment) => assert!(segment.name().is_empty() || is_name(segment.name().as_bytes()), "{:?}", segment.name()),
        Err(error) => check_message(&error.to_string()),
    }
    let _ = inspect::survey().map(|all| {
        for found in all {
            if let Err(error) = found.cortex {
                check_message(&error.to_string());
            }
        }
    });
    raw.put(LENGTH, &before[LENGTH..NAME + LONGEST + 1]);
    let mut bytes = [0; 8];
    owner.read_at(0, &mut bytes).expect("the name says nothing about the value");
    assert_eq!(bytes, [7; 8]);
    drop(raw);
    owner.close().expect("nothing is wrong with it");
    // A call by the name that it seemed to have may have adopted it, and made it stay.
    let _ = (inspect::remove(key), inspect::reclaim_orphans());
    Ok(())
}

/// Two names of one number: the second is refused by every call, and nothing is touched.
fn twins(input: &mut Unstructured) -> Result<()> {
    let way = input.arbitrary::<u8>()?;
    let (mine, other) = if way & 1 == 0 { (TWINS[0], TWINS[1]) } else { (TWINS[1], TWINS[0]) };
    let owner: Segment<SeqLock> = options().create(mine, 8).expect("a free key");
    owner.write_at(0, &input.arbitrary::<u64>()?.to_ne_bytes()).expect("ours");
    let raw = Raw::open(owner.key()).expect("made above");
    if way & 2 != 0 {
        // What is left when it is closed has no participant.
        owner.persist();
        drop(owner);
    }
    let before = raw.bytes();
    for result in attempts(other) {
        match result {
            Err(error @ CortexError::Name { .. }) => {
                let message = error.to_string();
                assert!(message.contains(mine) && message.contains(other), "{message}");
            }
            result => panic!("{other} where {mine} is: {result:?}"),
        }
    }
    assert_eq!(raw.bytes(), before, "a refusal changed the segment");
    drop(raw);
    inspect::remove(mine).expect("it is there");
    let _ = inspect::reclaim_orphans();
    Ok(())
}
