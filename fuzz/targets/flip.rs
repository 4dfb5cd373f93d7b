//! Attaching to a cortex whose header another thread flips, without pause, between two layouts of as many bytes, each
//! of them consistent, and between states.
//!
//! Held against it: no crash and no access outside the segment (AddressSanitizer sees none of a mapping's surroundings,
//! so the kernel does), and every call comes back.

#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use neocortex::{
    inspect, Access, CortexResult, CortexSync, LockSite, Segment, SegmentObserver, SegmentOptions, Wait,
};
use neocortex_fuzz::{enter_namespace, sweep, Edit, Raw, Scribbler, BEACON_ID};
use std::time::Duration;

const KEY: i32 = 7;
const OTHER: i32 = 8;
const SHORT: Option<Duration> = Some(Duration::from_millis(1));

/// What a lock keeps in a segment with room for two participants, so that the lines of the other 99 fill it.
const LARGE: usize = 64 * 100;

/// Locks nothing.
struct Area<const SIZE: usize>;

// SAFETY: one thread uses it, and holds one guard at a time.
unsafe impl<const SIZE: usize> CortexSync for Area<SIZE> {
    type Settings = ();
    const NAME: &'static str = "fuzz-area";
    const SHARED_SIZE: usize = SIZE;

    fn new(_: LockSite<'_>, _: Option<&()>) -> CortexResult<Self> {
        Ok(Self)
    }

    fn attach(site: LockSite<'_>) -> CortexResult<Self> {
        // All of it is the lock's.
        // SAFETY: SHARED_SIZE bytes, of which the others may change each meanwhile.
        let last = unsafe { site.memory().add(SIZE - 1).read_volatile() };
        std::hint::black_box(last);
        Ok(Self)
    }

    unsafe fn read_lock(&self, _: Wait) -> CortexResult<()> {
        Ok(())
    }

    unsafe fn write_lock(&self, _: Wait) -> CortexResult<()> {
        Ok(())
    }

    unsafe fn release(&self, _: Access) -> CortexResult<()> {
        Ok(())
    }

    fn force_ownership(&mut self) {}
}

fuzz_target!(init: enter_namespace(), |data: &[u8]| {
    let _ = run(&mut Unstructured::new(data));
    sweep();
});

fn run(input: &mut Unstructured) -> Result<()> {
    let size = 1 + usize::from(input.arbitrary::<u8>()?);
    let slots = 1 + u32::from(input.arbitrary::<u8>()? % 3);
    let options = |participants| SegmentOptions::new().participants(participants).slots(slots).persist();
    // As many bytes in all, whichever of the two it is.
    drop(options(101).create::<Area<64>>(KEY, size).expect("a shape that can be"));
    drop(options(2).create::<Area<LARGE>>(OTHER, size).expect("a shape that can be"));
    let (raw, other) = (Raw::open(KEY).expect("made above"), Raw::open(OTHER).expect("made above"));
    assert_eq!(raw.size, other.size);
    // From the total size to the participants' limit.
    let figures = |raw: &Raw| raw.bytes()[16..76].to_vec();
    let put = |bytes| Edit { offset: 16, bytes };
    let mut edits = vec![put(figures(&other)), put(figures(&raw))];
    let way = input.arbitrary::<u8>()?;
    for state in [1, 2, 1, 3, 1] {
        if way & 1 << state != 0 {
            let bytes = u32::to_ne_bytes(state).to_vec();
            edits.insert(usize::from(way >> 4) % (edits.len() + 1), Edit { offset: 12, bytes });
        }
    }
    if way & 1 != 0 {
        // And between two semaphore sets.
        for segment in [&other, &raw] {
            let set = segment.set_id().expect("a header") + 1;
            edits.push(Edit { offset: BEACON_ID, bytes: set.to_ne_bytes().to_vec() });
        }
    }
    // Slots that seem to be taken, so that another is claimed.
    let set = raw.set_id().expect("a header");
    for slot in 0..i32::from(input.arbitrary::<u8>()? % 101) {
        // SAFETY: SETVAL takes a number.
        unsafe { libc::semctl(set, 6 + slot, libc::SETVAL, 1) };
    }
    let scribbler = Scribbler::start(raw.id, edits);
    for _ in 0..8 {
        let way = input.arbitrary::<u8>()?;
        match way % 4 {
            0 => drop(SegmentOptions::new().attach::<Area<64>>(KEY, 0).map(|segment| exercise(&segment, way))),
            1 => drop(SegmentOptions::new().attach::<Area<LARGE>>(KEY, 0).map(|segment| exercise(&segment, way))),
            2 => drop(SegmentObserver::attach(KEY, 0).map(|observer| {
                observer.set_timeout(SHORT);
                let mut buffer = vec![0; observer.size()];
                let _ = (observer.read_at(0, &mut buffer), observer.participants());
            })),
            _ => drop(inspect::segment(KEY)),
        }
    }
    if input.arbitrary::<bool>().unwrap_or(false) {
        let _ = inspect::reclaim(KEY);
    }
    drop(scribbler);
    Ok(())
}

fn exercise<L: CortexSync>(segment: &Segment<L>, way: u8) {
    segment.set_timeout(SHORT);
    let mut buffer = vec![way; segment.size()];
    let _ = segment.write_at(0, &buffer);
    let _ = segment.read_at(0, &mut buffer);
    let _ = segment.participants();
    if let Ok(guard) = segment.write_guard() {
        let _ = guard.commit();
    }
}
