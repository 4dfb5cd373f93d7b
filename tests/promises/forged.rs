//! What a forged segment cannot do. Each of these was found by a fuzz target (`fuzz/targets`).

// It makes semaphore sets as Linux has them.
#![cfg(target_os = "linux")]

use crate::common::{proof, segment_id, Foreign, Kernel};
use neocortex::{
    capi, inspect, Access, Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, LockSite,
    Observer, SegmentObserver, SegmentOptions, Wait,
};
use std::sync::atomic::{AtomicBool, Ordering};

/// Offsets in the header (`src/protocol/format.rs`).
const BEACON_KEY: usize = 80;
const BEACON_ID: usize = 84;
const CREATED: usize = 96;

/// A cortex that nobody is attached to, as bytes to forge.
fn stale(kernel: &Kernel) -> (i32, Foreign) {
    let key = kernel.key();
    crate::common::fork(|| {
        let cortex: Cortex<u64> = CortexBuilder::new(5).key(key).create().unwrap();
        std::mem::forget(cortex);
    })
    .join();
    (key, Foreign::open(key))
}

#[test]
fn absurd_time_of_creation_does_not_stop_the_listing() {
    let kernel = Kernel::new();
    let (key, forged) = stale(&kernel);
    for seconds in [u64::MAX, i64::MAX as u64, 1 << 62] {
        forged.put(CREATED, &seconds.to_ne_bytes());
        let all = inspect::segments().unwrap();
        assert!(all.iter().any(|info| info.key == key), "it is listed");
    }
    drop(forged);
    inspect::reclaim(key).unwrap();
    proof::passed(
        "P7",
        "inspect lists segments whose time of creation is absurd",
        3,
    );
}

/// A semaphore set of somebody's own: removed when dropped.
struct Set {
    key: i32,
    id: i32,
}

impl Set {
    fn new(count: i32) -> Self {
        let key = loop {
            let key = crate::common::Random::new().next() as i32 & i32::MAX;
            // SAFETY: semget takes no pointers.
            if key != 0 && unsafe { libc::semget(key, 0, 0) } == -1 {
                break key;
            }
        };
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o600;
        // SAFETY: semget takes no pointers.
        let id = unsafe { libc::semget(key, count, flags) };
        assert_ne!(id, -1, "{}", std::io::Error::last_os_error());
        Self { key, id }
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        crate::common::remove_set(self.id);
    }
}

#[test]
fn semaphores_that_a_forged_header_names_are_left_alone() {
    let kernel = Kernel::new();
    let mut cases = 0;
    // All zeros, as a set of ours is for a moment: of another size; and of our size, but somebody has used it.
    for count in [1, 8, 6 + 128] {
        for is_remove in [false, true] {
            let (key, forged) = stale(&kernel);
            let own = forged.bytes()[BEACON_ID..BEACON_ID + 4].to_owned();
            let set = Set::new(count);
            // SAFETY: SETVAL takes a number.
            unsafe { libc::semctl(set.id, 0, libc::SETVAL, 0) };
            // No id, but the key of a set that is somebody else's.
            forged.put(BEACON_ID, &[0; 4]);
            forged.put(BEACON_KEY, &set.key.to_ne_bytes());
            drop(forged);
            if is_remove {
                inspect::remove(key).unwrap();
            } else {
                inspect::reclaim(key).unwrap();
            }
            assert_eq!(segment_id(key), None);
            assert_eq!(
                crate::common::semaphore(set.id, 0),
                Some(0),
                "{count} semaphores were removed"
            );
            // Nobody can find the cortex's own set any more.
            crate::common::remove_set(i32::from_ne_bytes(own.try_into().unwrap()) - 1);
            cases += 1;
        }
    }
    proof::passed(
        "P3 P7",
        "a forged header names somebody else's semaphores, and they stay as they are",
        cases,
    );
}

#[test]
fn size_of_a_structure_that_was_never_set_is_refused() {
    for size in [usize::MAX, isize::MAX as usize, 1 << 20, 4097] {
        let mut options = [0_u64; 9];
        options[0] = size as u64;
        // SAFETY: the size is refused before anything else is read.
        let handle = unsafe { capi::neocortex_create(1, 8, options.as_ptr().cast()) };
        assert!(handle.is_null());
        assert_eq!(
            capi::neocortex_last_status(),
            capi::NEOCORTEX_ERR_INVALID_ARGUMENT
        );
    }
}

/// Runs `attempt` again and again beside a thread that stores each of `states` into the words from `offset` on, one
/// after the other, for so many turns of a busy wait at the longest; and restores the first at the end.
fn while_flipping<const WORDS: usize>(
    forged: &Foreign,
    offset: usize,
    states: [[u32; WORDS]; 2],
    longest: u32,
    attempts: u32,
    mut attempt: impl FnMut(),
) {
    let words: [_; WORDS] = std::array::from_fn(|index| forged.word(offset + 4 * index));
    let store = |state: [u32; WORDS]| {
        for (word, value) in words.into_iter().zip(state) {
            word.store(value, Ordering::Relaxed);
        }
    };
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0;
            while !is_over.load(Ordering::Relaxed) {
                for state in states {
                    store(state);
                    // Of every length up to the longest.
                    turn = (turn + 1) % longest;
                    (0..turn).for_each(|_| std::hint::spin_loop());
                }
            }
        });
        (0..attempts).for_each(|_| attempt());
        is_over.store(true, Ordering::Relaxed);
    });
    store(states[0]);
}

/// Participants of the one layout, and what its lock keeps.
const MANY: u32 = 4096;
const LITTLE: usize = 64;
/// What the lock of the other keeps, which has one participant, in as many bytes.
const MUCH: usize = LITTLE + (MANY as usize - 1) * 64;

/// Locks nothing.
struct Area<const SIZE: usize>;

// SAFETY: one thread uses it, and holds one guard at a time.
unsafe impl<const SIZE: usize> CortexSync for Area<SIZE> {
    type Settings = ();
    const NAME: &'static str = "test-area";
    const SHARED_SIZE: usize = SIZE;

    fn new(_site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
        Ok(Self)
    }

    fn attach(_site: LockSite<'_>) -> CortexResult<Self> {
        Ok(Self)
    }

    unsafe fn read_lock(&self, _wait: Wait) -> CortexResult<()> {
        Ok(())
    }

    unsafe fn write_lock(&self, _wait: Wait) -> CortexResult<()> {
        Ok(())
    }

    unsafe fn release(&self, _access: Access) -> CortexResult<()> {
        Ok(())
    }

    fn force_ownership(&mut self) {}
}

/// The header is read once: a peer that flips it between two layouts, each consistent, aims nothing past the
/// mapping. All slots are taken but the last, which the one layout has 252 KiB past the end of the other's.
#[test]
fn header_that_flips_between_two_layouts_aims_nothing_beyond_the_mapping() {
    const ATTEMPTS: u32 = 20_000;
    let kernel = Kernel::new();
    let key = kernel.key();
    let options = SegmentOptions::new().participants(MANY).persist();
    drop(options.create::<Area<LITTLE>>(key, 8).unwrap());
    let forged = Foreign::open(key);
    let set = forged.word(BEACON_ID).load(Ordering::Relaxed) as i32 - 1;
    let mut values = vec![1_u16; 6 + MANY as usize];
    // SAFETY: GETALL writes one value for each semaphore, and SETALL reads as many.
    unsafe {
        assert_eq!(libc::semctl(set, 0, libc::GETALL, values.as_mut_ptr()), 0);
        values[6..5 + MANY as usize].fill(1);
        assert_eq!(libc::semctl(set, 0, libc::SETALL, values.as_ptr()), 0);
    }
    // Lock size, participants' offset, participants (`src/protocol/format.rs`).
    let [offset, many] = [68, 72].map(|offset| forged.word(offset).load(Ordering::Relaxed));
    let lock_offset = offset - LITTLE as u32;
    let many = [LITTLE as u32, offset, many];
    let one = [MUCH as u32, lock_offset + MUCH as u32, 1];
    while_flipping(&forged, 64, [many, one], 401, ATTEMPTS, || {
        if let Ok(segment) = SegmentOptions::new().attach::<Area<MUCH>>(key, 8) {
            let alive = segment.participants().map(|(alive, _)| alive);
            panic!("attached beside {alive:?} though its one slot is taken");
        }
    });
    // SAFETY: as above.
    unsafe {
        values[6..].fill(0);
        assert_eq!(libc::semctl(set, 0, libc::SETALL, values.as_ptr()), 0);
    }
    drop(forged);
    inspect::remove(key).unwrap();
    proof::passed(
        "P3 P7",
        "the header flips between two layouts while others attach",
        ATTEMPTS.into(),
    );
}

/// Whoever only looks never stores, nor claims, nor goes on for ever: not where a peer flips the state between ready
/// and closing, nor between ready and removed.
#[test]
fn observer_attaches_beside_a_peer_that_flips_the_state() {
    const ATTEMPTS: u32 = 60_000;
    const STATE: usize = 12;
    let kernel = Kernel::new();
    let (key, forged) = stale(&kernel);
    let mut observed = 0;
    while_flipping(&forged, STATE, [[1], [2]], 20, ATTEMPTS, || {
        let observer = Observer::<u64>::attach(key).expect("ready and closing are whole");
        assert_eq!(observer.read().unwrap(), 5);
        observed += 1;
    });
    assert_eq!(observed, ATTEMPTS);
    while_flipping(
        &forged,
        STATE,
        [[1], [3]],
        20,
        100,
        || match SegmentObserver::attach(key, 8).map(drop) {
            Ok(()) | Err(CortexError::Removed { .. }) => {}
            Err(error) => panic!("{error}"),
        },
    );
    drop(forged);
    inspect::reclaim(key).unwrap();
    proof::passed(
        "P7",
        "observers attach while a peer flips the state",
        u64::from(ATTEMPTS),
    );
}
