//! Attaching to a segment with any bytes, from pure noise to a real cortex with a few fields spoilt, and using
//! what could be attached.
//!
//! Held against it: a refusal changes no byte of the segment, an observer never does, and a semaphore set or a
//! cortex that is somebody else's stays as it was, also where a forged header names it.

#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use neocortex::{
    capi, inspect, Cortex, CortexError, CortexResult, CortexSync, Observer, RwLock, Segment, SegmentObserver,
    SegmentOptions, SeqLock,
};
use neocortex_fuzz::{
    enter_namespace, sweep, with_lock, Decoy, Edit, Raw, BEACON_ID, BEACON_KEY, COUNT, LOCKS,
};
use std::time::Duration;

const KEY: i32 = 7;
const OTHER: i32 = 8;
const LEFT: i32 = 9;
const SHORT: Option<Duration> = Some(Duration::from_millis(1));

fuzz_target!(init: enter_namespace(), |data: &[u8]| {
    let _ = run(&mut Unstructured::new(data));
    sweep();
});

/// Makes a cortex and leaves it to nobody.
fn leave_real<L: CortexSync>(input: &mut Unstructured) -> Result<()> {
    const SIZES: [usize; 6] = [8, 64, 1, 100, 4096, 5000];
    let size = SIZES[usize::from(input.arbitrary::<u8>()?) % SIZES.len()];
    let options = SegmentOptions::new()
        .participants(1 + u32::from(input.arbitrary::<u8>()? % 6))
        .slots(1 + u32::from(input.arbitrary::<u8>()? % 8))
        .align(16 << (input.arbitrary::<u8>()? % 5))
        .schema(u64::from(input.arbitrary::<u8>()? % 2))
        .persist();
    let segment: Segment<L> = options.create(KEY, size).expect("a shape that can be");
    segment.write_at(0, &[0x5A; 1]).expect("nobody else is there");
    segment.close().expect("nothing is wrong");
    Ok(())
}

fn run(input: &mut Unstructured) -> Result<()> {
    let other: Segment<SeqLock> = Segment::create(OTHER, 16).expect("a free key");
    other.write_at(0, &[7; 16]).expect("ours");
    let other_raw = Raw::open(OTHER).expect("it is there");
    let other_bytes = other_raw.bytes();
    let other_set = other_raw.set_id().expect("a header");
    // One that nothing was ever done with, as a set half made looks, and one in use.
    let decoys = [Decoy::new(1001, &[0; 8]), Decoy::new(1002, &[5, 0, 1, 0, 0, 0, 0, 0, 3])];

    let way = input.arbitrary::<u8>()?;
    match way % (COUNT + 1) {
        0 => {
            let size = 1 + usize::from(input.arbitrary::<u16>()?) % 9000;
            let raw = Raw::create(KEY, size);
            if way & 4 != 0 {
                raw.put(0, b"NEOCORTX\x01\0\0\0\x01\0\0\0");
            }
            let offset = if way & 8 != 0 { 16 } else { 0 };
            let noise = input.len().min(600);
            raw.put(offset, input.bytes(noise)?);
        }
        lock => with_lock!(lock - 1, leave_real(input))?,
    }
    if way & 16 != 0 {
        // The same bytes in a segment of another size.
        let bytes = Raw::open(KEY).expect("made above").bytes();
        let change = isize::from(input.arbitrary::<i16>()?);
        neocortex_fuzz::remove_segment(Raw::open(KEY).expect("made above").id);
        let raw = Raw::create(KEY, bytes.len().saturating_add_signed(change).max(1));
        raw.put(0, &bytes);
    }
    let raw = Raw::open(KEY).expect("made above");
    for _ in 0..way >> 5 {
        input.arbitrary::<Edit>()?.apply(&raw);
    }
    match input.arbitrary::<u8>()? % 6 {
        0 => raw.put(BEACON_ID, &(other_set + 1).to_ne_bytes()),
        1 => raw.put(BEACON_ID, &(decoys[0].id + 1).to_ne_bytes()),
        2 => raw.put(BEACON_KEY, &decoys[0].key.to_ne_bytes()),
        3 => raw.put(BEACON_KEY, &decoys[1].key.to_ne_bytes()),
        _ => {}
    }

    for _ in 0..6 {
        attempt(&raw, input.arbitrary()?, input.arbitrary()?);
    }
    drop(raw);
    let _ = inspect::segments();
    let last = input.arbitrary::<u8>()?;
    let _ = if last & 1 == 0 { inspect::reclaim(KEY) } else { inspect::remove(KEY) };
    let _ = inspect::reclaim(LEFT);

    for decoy in &decoys {
        decoy.check();
        neocortex_fuzz::remove_set(decoy.id);
    }
    assert_eq!(other_raw.bytes(), other_bytes, "another cortex was changed");
    assert_eq!(other.participants().expect("its set is there").0, 1);
    drop(other_raw);
    other.close().expect("nothing is wrong with it");
    Ok(())
}

/// Attaches to bytes of any size or, with the last of the locks, of this one.
fn attach_bytes<L: CortexSync>(length: usize) -> CortexResult<()> {
    let size = if Some(&L::NAME) == LOCKS.last() { length } else { 0 };
    SegmentOptions::new().attach::<L>(KEY, size).map(|segment| exercise(&segment, length))
}

/// One attempt to attach; what a refusal may not have done.
fn attempt(raw: &Raw, way: u8, length: u8) {
    let before = raw.bytes();
    let length = usize::from(length);
    // First the locks, then these five.
    let way = way % (COUNT + 5);
    let is_observer = way >= COUNT + 3;
    let result = match way.checked_sub(COUNT) {
        None => with_lock!(way, attach_bytes(length)),
        Some(0) => Cortex::<u64, SeqLock>::attach(KEY).map(|cortex| {
            cortex.set_timeout(SHORT);
            let _ = (cortex.read(), cortex.write(9), cortex.update(|value| *value = value.wrapping_add(1)));
        }),
        Some(1) => Cortex::<[u8; 64], RwLock>::attach(KEY).map(|cortex| {
            cortex.set_timeout(SHORT);
            let _ = (cortex.read(), cortex.write([9; 64]), cortex.try_read());
        }),
        Some(2) => {
            // Of any lock, as C programs do.
            let handle = capi::neocortex_attach(KEY, 0);
            if !handle.is_null() {
                let mut buffer = vec![0_u8; length];
                // SAFETY: an open handle, closed once; a buffer of that length.
                unsafe {
                    capi::neocortex_set_timeout(handle, 1_000_000);
                    capi::neocortex_read_at(handle, length, buffer.as_mut_ptr().cast(), length);
                    capi::neocortex_write(handle, buffer.as_ptr().cast(), length);
                    capi::neocortex_close(handle);
                }
            }
            return;
        }
        Some(3) => Observer::<u64>::attach(KEY).map(|observer| {
            observer.set_timeout(SHORT);
            let _ = observer.read();
        }),
        _ => SegmentObserver::attach(KEY, 0).map(|observer| {
            observer.set_timeout(SHORT);
            let mut buffer = vec![0; length];
            let _ = observer.read_at(length, &mut buffer);
            let _ = observer.wait_changed(observer.version(), Some(Duration::ZERO));
            let _ = (observer.participants(), observer.is_poisoned(), observer.lock_name().len());
        }),
    };
    if is_observer {
        assert_eq!(raw.bytes(), before, "an observer changed the segment");
    }
    if is_refusal(&result) && before.get(12) != Some(&2) {
        assert_eq!(raw.bytes(), before, "a refusal changed the segment: {result:?}");
    }
}

/// Whether attaching ended before there was anything to take part in.
fn is_refusal(result: &CortexResult<()>) -> bool {
    matches!(
        result,
        Err(CortexError::NotACortex { .. }
            | CortexError::Format { .. }
            | CortexError::Layout { .. }
            | CortexError::Lock { .. }
            | CortexError::Corrupt { .. }
            | CortexError::NotReady { .. })
    )
}

fn exercise<L: CortexSync>(segment: &Segment<L>, length: usize) {
    segment.set_timeout(SHORT);
    let mut buffer = vec![0; length];
    let _ = segment.read_at(segment.size().saturating_sub(length), &mut buffer);
    let _ = segment.write_at(0, &buffer);
    let _ = segment.write_at(0, &vec![3; segment.size()]);
    if let Ok(mut guard) = segment.write_guard() {
        guard.fill(length as u8);
        let _ = guard.mark(0, length);
        let _ = guard.publish_and_refresh();
        let _ = guard.commit();
    }
    if let Ok(guard) = segment.read_guard() {
        std::hint::black_box(guard.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)));
    }
    let _ = segment.clear_poison();
    let _ = segment.wait_changed(segment.version(), Some(Duration::ZERO));
    let _ = segment.participants();
}
