//! Lengths, offsets and shapes up to the ends of their types, held against a model: an ordinary vector.

#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use neocortex::{CortexError, CortexSync, RwLock, Segment, SegmentObserver, SegmentOptions};
use neocortex_fuzz::{enter_namespace, objects, with_lock, COUNT};

const KEY: i32 = 7;

fuzz_target!(init: enter_namespace(), |data: &[u8]| {
    let mut input = Unstructured::new(data);
    let _ = match input.arbitrary::<u8>().unwrap_or(0) % (COUNT + 1) {
        COUNT => shape(&mut input),
        lock => with_lock!(lock, run(&mut input)),
    };
    assert_eq!(objects(), (vec![], vec![]), "left behind");
});

/// A number near 0, near the segment's size, near a line, near an end of the type, or any.
fn number(input: &mut Unstructured, size: usize) -> Result<usize> {
    let way = input.arbitrary::<u8>()?;
    let near = isize::from(input.arbitrary::<i8>()?);
    Ok(match way % 6 {
        0 => near.unsigned_abs(),
        1 => size.wrapping_add_signed(near),
        2 => usize::MAX.wrapping_add_signed(near),
        3 => (isize::MAX as usize).wrapping_add_signed(near),
        4 => (1_usize << (way >> 3)).wrapping_add_signed(near),
        _ => input.arbitrary()?,
    })
}

/// A shape that may be absurd: it is made or refused, never half made.
fn shape(input: &mut Unstructured) -> Result<()> {
    let size = number(input, 4096)?;
    let options = SegmentOptions::new()
        .participants(number(input, 4096)? as u32)
        .slots(number(input, 8)? as u32)
        .align(number(input, 4096)? as u32)
        .schema(number(input, 0)? as u64);
    match options.create::<RwLock>(KEY, size) {
        Ok(segment) => {
            assert_eq!(segment.size(), size);
            let mut last = [1];
            segment.read_at(size - 1, &mut last).expect("within");
            assert_eq!(last, [0]);
            segment.close().expect("ours");
        }
        Err(CortexError::InvalidArgument { .. } | CortexError::CleanSystem(_)) => {}
        Err(error) => panic!("{error}"),
    }
    Ok(())
}

fn run<L: CortexSync>(input: &mut Unstructured) -> Result<()> {
    let size = 1 + usize::from(input.arbitrary::<u16>()?) % 9000;
    let options = SegmentOptions::new()
        .slots(1 + u32::from(input.arbitrary::<u8>()? % 8))
        .align(1 << (input.arbitrary::<u8>()? % 13))
        .participants(4);
    let segment: Segment<L> = options.create(KEY, size).expect("a shape that can be");
    let observer = SegmentObserver::attach(KEY, size).expect("it is there");
    let mut model = vec![0_u8; size];
    let mut commits = 0;
    let steps = steps(input, &segment, &mut model, &mut commits);
    let mut now = vec![0; size];
    segment.read_at(0, &mut now).expect("whole");
    assert_eq!(now, model);
    observer.read_at(0, &mut now).expect("whole");
    assert_eq!(now, model);
    assert_eq!(segment.version(), commits);
    drop(observer);
    segment.close().expect("ours");
    steps
}

fn steps<L: CortexSync>(
    input: &mut Unstructured,
    segment: &Segment<L>,
    model: &mut Vec<u8>,
    commits: &mut u64,
) -> Result<()> {
    let size = model.len();
    for step in 0..64_u8 {
        let way = input.arbitrary::<u8>()?;
        let (offset, length) = (number(input, size)?, number(input, size)?);
        let fits = offset.checked_add(length).is_some_and(|end| end <= size);
        // No process has a buffer much larger than its segment; lengths beyond it are for `mark`.
        let data = vec![step.wrapping_mul(31) | 1; length.min(size + 70)];
        let data_fits = offset.checked_add(data.len()).is_some_and(|end| end <= size);
        match way % 6 {
            0 | 1 => {
                let result = segment.write_at(offset, &data);
                assert_eq!(result.is_ok(), data_fits, "{result:?}");
                if data_fits {
                    model[offset..offset + data.len()].copy_from_slice(&data);
                    *commits += u64::from(!data.is_empty());
                }
            }
            2 => {
                let mut buffer = data;
                let result = segment.read_at(offset, &mut buffer);
                assert_eq!(result.is_ok(), data_fits, "{result:?}");
                if data_fits {
                    assert_eq!(buffer, model[offset..offset + buffer.len()]);
                }
            }
            3 | 4 => {
                let mut guard = segment.write_guard().expect("nobody holds it");
                assert_eq!(&guard[..], &model[..]);
                let mut next = model.clone();
                assert_eq!(guard.mark(offset, length).is_ok(), fits);
                let changed = if fits && length > 0 { offset..offset + length } else { 0..size };
                next[changed].fill(step ^ 0x55);
                guard.copy_from_slice(&next);
                if way & 64 != 0 && !segment.is_in_place() {
                    guard.publish_and_refresh().expect("ours");
                    assert_eq!(&guard[..], &next[..]);
                    *commits += 1;
                    next.fill(step);
                    guard.copy_from_slice(&next);
                    model.copy_from_slice(&vec![step; size]);
                    guard.commit().expect("ours");
                } else {
                    guard.commit().expect("ours");
                    *model = next;
                }
                *commits += 1;
            }
            // In place there is no giving up.
            _ if !segment.is_in_place() => {
                let mut guard = segment.write_guard().expect("nobody holds it");
                guard.fill(0xEE);
                if way & 64 == 0 {
                    guard.abort().expect("ours");
                } else {
                    drop(guard);
                }
            }
            _ => {
                let guard = segment.read_guard().expect("nobody holds it");
                assert_eq!(&guard[..], &model[..]);
            }
        }
    }
    Ok(())
}
