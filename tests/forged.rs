//! What a forged segment cannot do. Each of these was found by a fuzz target (`fuzz/targets`).

// It makes semaphore sets as Linux has them.
#![cfg(target_os = "linux")]

mod common;

use common::{proof, segment_id, Foreign, Kernel};
use neocortex::{capi, inspect, Cortex, CortexBuilder};

/// Offsets in the header (`src/format.rs`).
const BEACON_KEY: usize = 80;
const BEACON_ID: usize = 84;
const CREATED: usize = 96;

/// A cortex that nobody is attached to, as bytes to forge.
fn stale(kernel: &Kernel) -> (i32, Foreign) {
    let key = kernel.key();
    let cortex: Cortex<u64> = CortexBuilder::new(5).key(key).persist().create().unwrap();
    drop(cortex);
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
            let key = common::Random::new().next() as i32 & i32::MAX;
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
        common::remove_set(self.id);
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
                common::semaphore(set.id, 0),
                Some(0),
                "{count} semaphores were removed"
            );
            // Nobody can find the cortex's own set any more.
            common::remove_set(i32::from_ne_bytes(own.try_into().unwrap()) - 1);
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
