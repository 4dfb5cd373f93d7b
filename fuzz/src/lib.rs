//! What the fuzz targets share: an IPC namespace of their own, a second mapping to spoil, and edits.
//!
//! **Invariant.** Everything happens in a namespace that this process has made, so that whatever a target
//! finds in the kernel's tables is its own, and nothing is left when it ends.

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::Arc;

/// The names of the built-in locks.
pub const LOCKS: [&str; neocortex::built_in_locks!(names).len()] = *neocortex::built_in_locks!(names);

/// Calls a function that is generic over the lock with the built-in lock of this number, below the length of [`LOCKS`].
#[macro_export]
macro_rules! with_lock {
    ($number:expr, $function:ident($($argument:expr),* $(,)?)) => {
        neocortex::with_built_in_lock!(
            $crate::LOCKS[usize::from($number)],
            Lock => $function::<Lock>($($argument),*),
            _ => unreachable!("it is in the table"),
        )
    };
}

/// How many built-in locks there are, for a choice that one byte makes.
pub const COUNT: u8 = LOCKS.len() as u8;

/// Where the header's fields stand (`src/protocol/format.rs`), with their width. An edit aims at one of them as often as
/// anywhere.
const FIELDS: [(usize, usize); 36] = [
    (0, 4),
    (4, 4),
    (8, 4),
    (12, 4),
    (16, 8),
    (24, 8),
    (32, 8),
    (40, 4),
    (44, 4),
    (48, 8),
    (56, 8),
    (64, 4),
    (68, 4),
    (72, 4),
    (76, 4),
    (80, 4),
    (84, 4),
    (88, 4),
    (96, 8),
    (104, 1),
    (167, 1),
    (168, 4),
    (172, 4),
    (176, 4),
    (180, 1),
    (435, 1),
    (512, 8),
    (520, 8),
    (576, 8),
    (584, 8),
    (640, 4),
    (644, 4),
    (648, 4),
    (704, 4),
    (768, 4),
    (776, 8),
];

/// The field that names the semaphore set by key, and the one that names it by id plus one.
pub const BEACON_KEY: usize = 80;
pub const BEACON_ID: usize = 84;

/// Moves this process into an IPC namespace of its own, once, before it has any thread.
pub fn enter_namespace() {
    // SAFETY: unshare takes no pointers. The second form is for those who are not root.
    let done = unsafe {
        libc::unshare(libc::CLONE_NEWIPC) == 0
            || libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWIPC) == 0
    };
    assert!(done, "no IPC namespace: {}", std::io::Error::last_os_error());
}

/// The ids in one of the kernel's tables.
fn table(path: &str) -> Vec<i32> {
    let text = std::fs::read_to_string(path).expect(path);
    let ids = text.lines().skip(1);
    ids.filter_map(|line| line.split_whitespace().nth(1)?.parse().ok())
        .collect()
}

/// What is in the kernel: segments and semaphore sets.
pub fn objects() -> (Vec<i32>, Vec<i32>) {
    (table("/proc/sysvipc/shm"), table("/proc/sysvipc/sem"))
}

/// Takes away everything in the namespace.
pub fn sweep() {
    let (segments, sets) = objects();
    for id in segments {
        remove_segment(id);
    }
    for id in sets {
        remove_set(id);
    }
}

pub fn remove_segment(id: i32) {
    // SAFETY: IPC_RMID ignores the pointer.
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
}

pub fn remove_set(id: i32) {
    // SAFETY: IPC_RMID takes no fourth argument.
    unsafe { libc::semctl(id, 0, libc::IPC_RMID) };
}

/// A semaphore set that is nobody's business.
pub struct Decoy {
    pub key: i32,
    pub id: i32,
    values: Vec<u16>,
}

impl Decoy {
    pub fn new(key: i32, values: &[u16]) -> Self {
        // SAFETY: semget takes no pointers; SETALL reads as many values as the set has.
        let id = unsafe {
            let id = libc::semget(key, values.len() as i32, libc::IPC_CREAT | libc::IPC_EXCL | 0o600);
            assert_ne!(id, -1, "{}", std::io::Error::last_os_error());
            assert_eq!(libc::semctl(id, 0, libc::SETALL, values.as_ptr()), 0);
            id
        };
        Self {
            key,
            id,
            values: values.to_vec(),
        }
    }

    /// It is there, as it was.
    pub fn check(&self) {
        let mut now = vec![0_u16; self.values.len()];
        // SAFETY: GETALL writes as many values as the set has.
        let result = unsafe { libc::semctl(self.id, 0, libc::GETALL, now.as_mut_ptr()) };
        assert_eq!(result, 0, "somebody else's semaphore set was removed");
        assert_eq!(now, self.values, "somebody else's semaphores were changed");
    }
}

/// A mapping beside the library's.
pub struct Raw {
    pub id: i32,
    base: *mut u8,
    pub size: usize,
}

impl Raw {
    pub fn create(key: i32, size: usize) -> Self {
        // SAFETY: shmget takes no pointers.
        let id = unsafe { libc::shmget(key, size, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
        assert_ne!(id, -1, "{}", std::io::Error::last_os_error());
        Self::attach(id).expect("just made")
    }

    pub fn open(key: i32) -> Option<Self> {
        // SAFETY: shmget takes no pointers; without flags it only looks.
        let id = unsafe { libc::shmget(key, 0, 0) };
        (id != -1).then(|| Self::attach(id)).flatten()
    }

    fn attach(id: i32) -> Option<Self> {
        // SAFETY: the kernel chooses the address; a live buffer for the answer.
        unsafe {
            let base = libc::shmat(id, std::ptr::null(), 0);
            if base as isize == -1 {
                return None;
            }
            let mut status: libc::shmid_ds = std::mem::zeroed();
            assert_eq!(libc::shmctl(id, libc::IPC_STAT, &mut status), 0);
            Some(Self {
                id,
                base: base.cast(),
                size: status.shm_segsz,
            })
        }
    }

    fn byte(&self, offset: usize) -> &AtomicU8 {
        assert!(offset < self.size);
        // SAFETY: in the mapping, which `self` keeps.
        unsafe { AtomicU8::from_ptr(self.base.add(offset)) }
    }

    pub fn bytes(&self) -> Vec<u8> {
        (0..self.size)
            .map(|offset| self.byte(offset).load(Ordering::Relaxed))
            .collect()
    }

    /// Stores what of the bytes is within the segment.
    pub fn put(&self, offset: usize, bytes: &[u8]) {
        for (at, &byte) in bytes.iter().enumerate() {
            if offset + at < self.size {
                self.byte(offset + at).store(byte, Ordering::Relaxed);
            }
        }
    }

    /// The semaphore set that the header names now.
    pub fn set_id(&self) -> Option<i32> {
        let bytes = self.bytes();
        let field = bytes.get(BEACON_ID..BEACON_ID + 4)?;
        Some(i32::from_ne_bytes(field.try_into().ok()?).wrapping_sub(1))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: attached once, detached once.
        unsafe { libc::shmdt(self.base.cast()) };
    }
}

/// Bytes to store somewhere.
#[derive(Debug, Clone)]
pub struct Edit {
    pub offset: usize,
    pub bytes: Vec<u8>,
}

impl<'a> Arbitrary<'a> for Edit {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let way = input.arbitrary::<u8>()?;
        let (offset, width) = match way % 4 {
            0 => (usize::from(input.arbitrary::<u16>()?), 1 << (way >> 4 & 3)),
            1 => (usize::from(input.arbitrary::<u8>()?) * 4 + 512, 8),
            _ => FIELDS[usize::from(input.arbitrary::<u8>()?) % FIELDS.len()],
        };
        // Small numbers, numbers near the ends, and any.
        let value = match way >> 2 & 3 {
            0 => u64::from(input.arbitrary::<u8>()?),
            1 => (i64::from(input.arbitrary::<i8>()?)) as u64,
            2 => 1 << (input.arbitrary::<u8>()? & 63),
            _ => input.arbitrary()?,
        };
        Ok(Self {
            offset,
            bytes: value.to_ne_bytes()[..width.min(8)].to_vec(),
        })
    }
}

impl Edit {
    pub fn apply(&self, raw: &Raw) {
        raw.put(self.offset, &self.bytes);
    }
}

/// A thread that makes the same edits over and over, and restores nothing; ended when dropped.
pub struct Scribbler {
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Scribbler {
    pub fn start(id: i32, edits: Vec<Edit>) -> Option<Self> {
        let raw = Raw::attach(id)?;
        let address = raw.base.expose_provenance();
        let size = raw.size;
        std::mem::forget(raw);
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let raw = Raw {
                id,
                base: std::ptr::with_exposed_provenance_mut(address),
                size,
            };
            while !over.load(Ordering::Relaxed) {
                for edit in &edits {
                    edit.apply(&raw);
                }
            }
        });
        Some(Self {
            is_over,
            thread: Some(thread),
        })
    }
}

impl Drop for Scribbler {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().expect("once").join().expect("stores");
    }
}
