//! Live handles whose segment somebody scribbles over: header, counters, lock, participants, payload, semaphores;
//! between the calls, and during them from another thread through another mapping.
//!
//! Held against it: no crash, no access outside the segment, and every call comes back (libFuzzer's own time-out:
//! the handles' are one millisecond).

#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use neocortex::{CortexResult, CortexSync, Segment, SegmentObserver, SegmentOptions};
use neocortex_fuzz::{enter_namespace, sweep, with_lock, Edit, Raw, Scribbler, COUNT};
use std::time::Duration;

const KEY: i32 = 7;
const SHORT: Option<Duration> = Some(Duration::from_millis(1));

fuzz_target!(init: enter_namespace(), |data: &[u8]| {
    let mut input = Unstructured::new(data);
    let lock = input.arbitrary::<u8>().unwrap_or(0) % COUNT;
    let _ = with_lock!(lock, run(&mut input));
    sweep();
});

fn run<L: CortexSync>(input: &mut Unstructured) -> Result<()> {
    const SIZES: [usize; 6] = [8, 64, 1, 100, 4096, 5000];
    let size = SIZES[usize::from(input.arbitrary::<u8>()?) % SIZES.len()];
    let options = SegmentOptions::new()
        .participants(2 + u32::from(input.arbitrary::<u8>()? % 6))
        .slots(1 + u32::from(input.arbitrary::<u8>()? % 20))
        .timeout(SHORT);
    let kind = input.arbitrary::<u8>()?;
    let options = match kind % 4 {
        1 => options.slots(2 + u32::from(kind >> 4)).records(),
        2 => options.slots(2 + u32::from(kind >> 4)).lossless(),
        3 => options.slots(2 + u32::from(kind >> 4)).records().lossless(),
        _ => options,
    };
    let owner: Segment<L> = options.create(KEY, size).expect("a shape that can be");
    let second: CortexResult<Segment<L>> = options.attach(KEY, 0);
    let handles = [&owner, second.as_ref().expect("there is room for two")];
    let observer = SegmentObserver::attach(KEY, 0).expect("it is ready");
    observer.set_timeout(SHORT);
    let raw = Raw::open(KEY).expect("it is there");
    let set = raw.set_id().expect("a header");
    let mut scribbler = None;
    let mut guards = (None, None);
    for _ in 0..48 {
        let Ok(step) = input.arbitrary::<u8>() else {
            break;
        };
        let segment = handles[usize::from(step >> 7)];
        let mut buffer = vec![step; usize::from(input.arbitrary::<u8>().unwrap_or(0))];
        let offset = usize::from(input.arbitrary::<u8>().unwrap_or(0));
        match step % 32 {
            0..=7 => input.arbitrary::<Edit>()?.apply(&raw),
            8 | 9 => {
                let edits = (0..=step >> 5).map(|_| input.arbitrary()).collect::<Result<_>>()?;
                scribbler = Scribbler::start(raw.id, edits);
            }
            10 => scribbler = None,
            11 => drop(segment.read_at(offset, &mut buffer)),
            12 => drop(segment.write_at(offset, &buffer)),
            13 if kind % 2 == 1 => {
                buffer.truncate(size);
                drop(segment.push(&buffer));
                let mut found = Vec::new();
                let _ = (segment.read_record(&mut found), observer.read_record(&mut found));
                assert!(found.len() <= size && found.capacity() <= 2 * size + 8);
                // A position behind, at, or ahead of whatever the counters say.
                let since = segment.version().wrapping_add(offset as u64).wrapping_sub(128);
                for mut follower in [segment.follow(since), observer.follow(since)] {
                    let _ = (follower.try_next_record(&mut found), follower.next_record(&mut found, SHORT));
                    assert!(found.len() <= size && found.capacity() <= 2 * size + 8);
                }
                if let Ok(mut follower) = segment.follow_registered(since) {
                    let _ = (follower.try_next_record(&mut found), segment.try_push(&buffer));
                }
            }
            13 => drop(segment.write_at(0, &vec![step; size])),
            14 => drop(segment.try_read_at(offset, &mut buffer)),
            15 => drop(segment.try_write_at(offset, &buffer)),
            16 => guards.0 = segment.read_guard().ok(),
            17 => guards.0 = None,
            18 => guards.1 = segment.write_guard().ok(),
            19 => drop(guards.1.take().map(|guard| guard.commit())),
            20 => drop(guards.1.take().map(|guard| guard.abort())),
            21 | 22 => {
                if let Some(guard) = &mut guards.1 {
                    let _ = guard.mark(offset, buffer.len());
                    let _ = if step & 32 == 0 { guard.publish() } else { guard.publish_and_refresh() };
                }
            }
            23 => drop(segment.wait_changed(segment.version(), Some(Duration::ZERO))),
            24 => drop(segment.wait_changed(segment.version(), SHORT)),
            25 => drop(segment.clear_poison()),
            26 => {
                let _ = (segment.participants(), segment.is_poisoned(), segment.is_removed(), segment.version());
            }
            27 if step & 64 == 0 => drop(observer.read_at(offset, &mut buffer)),
            27 => {
                // A position behind, at, or ahead of whatever the counters say.
                let since = segment.version().wrapping_add(offset as u64).wrapping_sub(128);
                let mut values = vec![0; size * 3];
                for mut follower in [segment.follow(since), observer.follow(since)] {
                    let _ = (follower.next_many(&mut values), follower.try_next(&mut values[..size]));
                    let _ = follower.next(&mut values[..size], SHORT);
                }
            }
            28 => {
                let _ = (observer.participants(), observer.wait_changed(offset as u64, SHORT));
            }
            29 => {
                if let Ok(third) = options.attach::<L>(KEY, 0) {
                    let _ = (third.write_at(offset, &buffer), third.close());
                }
            }
            30 => segment.interrupt(),
            // A peer that may write to the segment may do this to its semaphores as well.
            _ if step & 64 == 0 => {
                let index = i32::from(input.arbitrary::<u8>()? % 14);
                let value = i32::from(input.arbitrary::<u8>()?);
                // SAFETY: SETVAL takes a number.
                unsafe { libc::semctl(set, index, libc::SETVAL, value) };
            }
            _ => neocortex_fuzz::remove_set(set),
        }
        if scribbler.is_none() {
            // Zero-copy guards promise nothing beside a scribbler, except that they point into the segment.
            if let Some(guard) = &guards.0 {
                std::hint::black_box(guard.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)));
            }
            if let Some(guard) = &mut guards.1 {
                guard.fill(step);
            }
        }
    }
    if input.arbitrary::<bool>().unwrap_or(false) {
        scribbler = None;
    }
    drop(guards);
    drop(owner);
    drop(second);
    drop(scribbler);
    Ok(())
}
