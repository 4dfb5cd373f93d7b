//! A key that another user was faster to take: what is there is neither used nor harmed, whatever is done to it.
//!
//! Objects are made by forked processes that have become another user, which only root can.

#![cfg(target_os = "linux")]

use crate::common::{
    fork, proof, segment_id, segment_status, semaphore, set_mode, sets_of, Foreign, Kernel,
};
use crate::turn;
use neocortex::capi::*;
use neocortex::{
    inspect, Cortex, CortexBuilder, CortexError, Observer, Permission, SegmentOptions, SeqLock,
};

type Value = [u64; 4];

/// A user who owns nothing on any machine.
const USER: u32 = 64_219;

// Places in the header (src/protocol/format.rs).
const STATE: usize = 12;
const PARTICIPANT_LIMIT: usize = 72;
const BEACON_KEY: usize = 80;
const BEACON_ID: usize = 84;

fn become_user() {
    // SAFETY: system calls of a process of one thread.
    unsafe {
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setgid(USER), 0);
        assert_eq!(libc::setuid(USER), 0);
    }
}

fn is_root(promises: &str, how: &str) -> bool {
    // SAFETY: takes nothing.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        proof::not_run(promises, how, "only root can become another user");
    }
    is_root
}

/// What is under the key, put there by the one who was faster.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Squat {
    Zeros,
    Garbage,
    Short,
    Cortex,
    OtherCortex,
}

impl Squat {
    const ALL: [Self; 5] = [
        Self::Zeros,
        Self::Garbage,
        Self::Short,
        Self::Cortex,
        Self::OtherCortex,
    ];

    fn make(self, key: i32, mode: u32) {
        let options = SegmentOptions::new()
            .persist()
            .permission(Permission::Custom(mode));
        match self {
            Self::Cortex => drop(options.create::<SeqLock>(key, 32).unwrap()),
            Self::OtherCortex => drop(options.create::<SeqLock>(key, 9999).unwrap()),
            _ => {
                let size = if self == Self::Short { 100 } else { 20_000 };
                // SAFETY: no pointers.
                let id = unsafe {
                    libc::shmget(key, size, libc::IPC_CREAT | libc::IPC_EXCL | mode as i32)
                };
                assert_ne!(id, -1);
                if self != Self::Zeros {
                    Foreign::open(key).put(0, &[0xA5; 100]);
                }
            }
        }
    }
}

/// Everything that can be seen of a segment and its semaphores from outside.
fn portrait(id: i32) -> (Vec<u8>, Vec<u64>, Vec<i32>) {
    let status = segment_status(id).expect("it is still there");
    let permission = status.shm_perm;
    let figures = vec![
        permission.__key as u64,
        permission.mode.into(),
        permission.uid.into(),
        permission.cuid.into(),
        status.shm_nattch,
    ];
    let sets = sets_of(id);
    let values = sets
        .iter()
        .flat_map(|&set| (0..).map_while(move |index| semaphore(set, index)));
    let values = sets.iter().copied().chain(values).collect();
    (Foreign::of(id).bytes(), figures, values)
}

fn assert_explained<T>(result: Result<T, CortexError>, key: i32) -> CortexError {
    let Err(error) = result else {
        panic!("not refused");
    };
    assert!(error.to_string().contains(&format!("key {key}")), "{error}");
    assert!(!matches!(error, CortexError::DirtySystem(_)), "{error}");
    error
}

/// What somebody tries who wanted the key for a `Value`; may it also be removed by them?
fn want(key: i32, squat: Squat, mode: u32) {
    let with = || CortexBuilder::new([1_u64; 4]).key(key);
    let taken = assert_explained(with().create(), key);
    assert_eq!(
        taken.system().and_then(|error| error.raw_os_error()),
        Some(libc::EEXIST),
        "{taken}"
    );
    assert_explained(with().replace_stale().create(), key);
    assert_explained(with().force_ownership().create(), key);
    assert_explained(with().force_ownership().replace_stale().create(), key);
    assert_explained(inspect::reclaim(key), key);
    assert_explained(inspect::remove(key), key);
    for status in [neocortex_reclaim(key), neocortex_remove(key)] {
        assert!(
            status < 0 && status != NEOCORTEX_ERR_PANIC && status != NEOCORTEX_ERR_DIRTY_SYSTEM,
            "{status}"
        );
    }
    if squat == Squat::Cortex && mode & 6 == 6 {
        return; // Everybody was let in.
    }
    assert_explained(Cortex::<Value>::attach(key), key);
    if squat != Squat::Cortex || mode & 4 == 0 {
        assert_explained(Observer::<Value>::attach(key), key);
    }
    assert!(neocortex_attach(key, 32).is_null());
}

#[test]
fn a_user_can_do_nothing_to_what_root_has_under_the_key() {
    const HOW: &str = "root was faster to take the key (zeros, garbage, short, a cortex, another cortex; 0600, 0644, \
        0666): a user's every call is refused with the key in the message, and nothing of root's has changed";
    if !is_root("P3 P6 P10", HOW) {
        return;
    }
    let _turn = turn();
    let kernel = Kernel::new();
    let mut cases = 0;
    for squat in Squat::ALL {
        for mode in [0o600, 0o644, 0o666] {
            println!("{squat:?} {mode:o}");
            let key = kernel.key();
            squat.make(key, mode);
            let id = segment_id(key).unwrap();
            let before = portrait(id);
            fork(|| {
                become_user();
                want(key, squat, mode);
            })
            .join();
            assert_eq!(segment_id(key), Some(id));
            assert!(portrait(id) == before, "{squat:?} {mode:o}");
            crate::common::remove_segment(id);
            before
                .2
                .first()
                .copied()
                .into_iter()
                .for_each(crate::common::remove_set);
            cases += 1;
        }
    }
    proof::passed("P3 P6 P10", HOW, cases);
}

/// What root has elsewhere and a forged header points to: a cortex in use, and sets of other programs.
struct Treasure {
    cortex: Cortex<Value>,
    set: i32,
    set_key: i32,
    plain: [(i32, i32); 3],
}

impl Treasure {
    fn new(kernel: &Kernel) -> Self {
        let cortex = CortexBuilder::new([3; 4])
            .key(kernel.key())
            .permission(Permission::FullAccessForEveryone)
            .participants(1024)
            .create()
            .unwrap();
        let set = sets_of(segment_id(cortex.key()).unwrap())[0];
        let header = Foreign::open(cortex.key()).bytes();
        let set_key = i32::from_ne_bytes(header[BEACON_KEY..][..4].try_into().unwrap());
        // Semaphores that are all 0 now: some of another size, some in use, some of another mode.
        let plain = [(3, 0o666), (8, 0o666), (8, 0o600)].map(|(count, mode)| {
            let key = kernel.key();
            // SAFETY: no pointers.
            let id = unsafe { libc::semget(key, count, libc::IPC_CREAT | libc::IPC_EXCL | mode) };
            assert_ne!(id, -1);
            if count == 8 && mode == 0o666 {
                for change in [1, -1] {
                    let mut operation = libc::sembuf {
                        sem_num: 7,
                        sem_op: change,
                        sem_flg: libc::IPC_NOWAIT as i16,
                    };
                    // SAFETY: one live operation.
                    assert_eq!(unsafe { libc::semop(id, &mut operation, 1) }, 0);
                }
            }
            (key, id)
        });
        Self {
            cortex,
            set,
            set_key,
            plain,
        }
    }

    /// Where the header may be made to point: what to write at which place.
    fn forgeries(&self) -> Vec<Vec<(usize, i32)>> {
        let mut all = vec![
            vec![(BEACON_ID, self.set + 1)],
            vec![(BEACON_ID, self.set + 1), (BEACON_KEY, self.set_key)],
            vec![(BEACON_ID, 0), (BEACON_KEY, self.set_key)],
        ];
        for (key, id) in self.plain {
            all.push(vec![
                (BEACON_ID, id + 1),
                (BEACON_KEY, key),
                (PARTICIPANT_LIMIT, 2),
            ]);
            all.push(vec![(BEACON_ID, 0), (BEACON_KEY, key)]);
        }
        // The same beside every state.
        let states = 0..4;
        all.iter()
            .flat_map(|forged| {
                states
                    .clone()
                    .map(move |state| [&forged[..], &[(STATE, state)]].concat())
            })
            .collect()
    }

    fn assert_untouched(&self) {
        assert!(self.cortex.segment().participants().unwrap().0 >= 1);
        assert_eq!(semaphore(self.set, 0), Some(crate::common::MARK));
        assert_eq!(semaphore(self.set, 4), Some(0), "the gate");
        assert_eq!(set_mode(self.set), 0o666);
        self.cortex.update(|value| value[0] += 1).unwrap();
        for (_, id) in self.plain {
            let count = (0..).map_while(|index| semaphore(id, index)).count();
            assert!(count == 3 || count == 8, "a set of another program is gone");
            assert!((0..count as i32).all(|index| semaphore(id, index) == Some(0)));
        }
    }
}

impl Drop for Treasure {
    fn drop(&mut self) {
        self.plain
            .iter()
            .for_each(|&(_, id)| crate::common::remove_set(id));
    }
}

/// Root meets a header that was forged, in all of its calls; those that succeed may take that segment away.
fn meet(key: i32, call: usize) {
    let with = || CortexBuilder::new([1_u64; 4]).key(key);
    match call {
        0 => drop(Cortex::<Value>::attach(key)),
        1 => drop(with().create()),
        2 => drop(with().replace_stale().create()),
        3 => drop(with().force_ownership().replace_stale().create()),
        4 => drop(inspect::reclaim(key)),
        5 => drop(
            Observer::<Value>::attach(key).and_then(|observer| observer.segment().participants()),
        ),
        6 => drop(inspect::segments()),
        _ => drop(inspect::remove(key)),
    }
}

const CALLS: usize = 8;

/// Segments of somebody else, or open to somebody else, whose headers point at root's other objects. All at
/// once, for many of the calls wait half a second for a creator that never comes.
fn forged(kernel: &Kernel, is_squatters: bool, treasure: &Treasure) -> u64 {
    let mut meetings = Vec::new();
    for forgery in treasure.forgeries() {
        for call in 0..CALLS {
            let key = kernel.key();
            fork(|| {
                if is_squatters {
                    become_user();
                }
                Squat::Cortex.make(key, 0o666);
                if !is_squatters {
                    become_user();
                }
                let segment = Foreign::open(key);
                forgery
                    .iter()
                    .for_each(|&(place, word)| segment.put(place, &word.to_ne_bytes()));
            })
            .join();
            let id = segment_id(key).unwrap();
            let set = sets_of(id)[0];
            let meeting = fork(|| {
                meet(key, call);
                treasure.assert_untouched();
            });
            meetings.push((id, set, format!("call {call}: {forgery:?}"), meeting));
        }
    }
    let cases = meetings.len() as u64;
    for (id, set, what, meeting) in meetings {
        println!("{what}");
        meeting.join();
        crate::common::remove_segment(id);
        crate::common::remove_set(set);
    }
    treasure.assert_untouched();
    cases
}

#[test]
fn root_is_not_tricked_by_a_forged_header() {
    const HOW: &str = "a user's segment, or one open to a user, whose header is forged to point at other semaphore \
        sets of root's, in every state: root's every call leaves those sets alone";
    if !is_root("P3 P7", HOW) {
        return;
    }
    let _turn = turn();
    let kernel = Kernel::new();
    let treasure = Treasure::new(&kernel);
    let cases = forged(&kernel, true, &treasure) + forged(&kernel, false, &treasure);
    proof::passed("P3 P7", HOW, cases);
}

/// Ids come round: a peer that may remove the set can make a larger one that gets the same id. Here the kernel
/// is told which id is next; otherwise it takes some four million sets.
#[test]
fn a_larger_set_under_the_same_id_is_not_taken_for_ours() {
    // A process forked meanwhile would count as attached in the others' portraits.
    let _turn = turn();
    const HOW: &str = "the semaphore set replaced by one of 32,000 with the same id: asked who is alive, nothing is \
        written past the end, and it is not taken for ours";
    if !is_root("P7", HOW) {
        return;
    }
    if !std::path::Path::new("/proc/sys/kernel/sem_next_id").exists() {
        return proof::not_run("P7", HOW, "the kernel has no sem_next_id");
    }
    fork(|| {
        // SAFETY: no pointers; a process of one thread.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWIPC) }, 0);
        let cortex = CortexBuilder::new([3_u64; 4])
            .key(77)
            .participants(2)
            .create()
            .unwrap();
        let set = sets_of(segment_id(77).unwrap())[0];
        crate::common::remove_set(set);
        std::fs::write("/proc/sys/kernel/sem_next_id", set.to_string()).unwrap();
        // SAFETY: no pointers; then as many values as the set has.
        unsafe {
            assert_eq!(
                libc::semget(78, 32_000, libc::IPC_CREAT | libc::IPC_EXCL | 0o600),
                set
            );
            let values = [0x4141_u16; 32_000];
            assert_eq!(libc::semctl(set, 0, libc::SETALL, values.as_ptr()), 0);
        }
        let mut neighbours: Vec<Box<[u8; 24]>> = Vec::new();
        for round in 0..200 {
            let answer = cortex.segment().participants();
            assert!(
                matches!(answer, Err(CortexError::Removed { key: 77 })),
                "{answer:?}"
            );
            neighbours.push(Box::new([round; 24]));
        }
        assert!((0..200).all(|round| *neighbours[usize::from(round)] == [round; 24]));
        assert_eq!(cortex.read().unwrap(), [3; 4]);
        drop(cortex);
        // SAFETY: GETVAL takes no fourth argument.
        let last = unsafe { libc::semctl(set, 31_999, libc::GETVAL) };
        assert_eq!(last, 0x4141, "it stays");
    })
    .join();
    proof::passed("P7", HOW, 1);
}
