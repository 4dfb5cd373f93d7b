//! What the kernel has in its tables, and segments that this library did not make.

use super::sem_abi::{semctl, GETPID, GETVAL};
use std::sync::atomic::AtomicU32;

/// The value that the first semaphore of a set of ours has.
pub const MARK: i32 = 20035;

/// As in `src/sys/sem.rs`: a `semid_ds`, which `libc` does not define everywhere, begins so.
#[repr(C)]
struct SetStatus {
    permission: libc::ipc_perm,
    rest: [u64; 64],
}

/// The id of the segment that has this key now.
pub fn segment_id(key: i32) -> Option<i32> {
    // SAFETY: shmget takes no pointers; without flags it only looks.
    let id = unsafe { libc::shmget(key as libc::key_t, 0, 0) };
    (id != -1).then_some(id)
}

/// What the kernel says about a segment; `None` where there is none.
pub fn segment_status(id: i32) -> Option<libc::shmid_ds> {
    // SAFETY: plain old data.
    let mut status: libc::shmid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: a live buffer.
    let result = unsafe { libc::shmctl(id, libc::IPC_STAT, &mut status) };
    (result == 0).then_some(status)
}

/// The lines of this process's `/proc/self/maps`.
pub fn mappings() -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the own mappings");
    maps.lines().map(String::from).collect()
}

/// How many segments are mapped into this process: the kernel names such a mapping `/SYSV` and the key.
pub fn attachments() -> usize {
    let is_segment = |line: &&String| line.contains("/SYSV");
    mappings().iter().filter(is_segment).count()
}

/// Whether what has this key is mapped into this process.
pub fn is_attached(key: i32) -> bool {
    let name = format!("/SYSV{key:08x}");
    mappings().iter().any(|line| line.contains(&name))
}

pub fn remove_segment(id: i32) {
    // SAFETY: IPC_RMID ignores the pointer.
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
}

pub fn remove_set(id: i32) {
    // SAFETY: IPC_RMID takes no fourth argument.
    unsafe { semctl(id, 0, libc::IPC_RMID) };
}

/// Whose a semaphore set is, and its mode.
pub fn set_permission(id: i32) -> libc::ipc_perm {
    // SAFETY: plain old data.
    let mut status: SetStatus = unsafe { std::mem::zeroed() };
    // SAFETY: a live buffer, larger than any system's semid_ds.
    let result = unsafe { semctl(id, 0, libc::IPC_STAT, &raw mut status) };
    assert_eq!(result, 0, "IPC_STAT of set {id}");
    status.permission
}

/// The permission bits of a semaphore set.
pub fn set_mode(id: i32) -> u32 {
    u32::from(set_permission(id).mode) & 0o777
}

/// One value of a set; `None` where there is no such semaphore.
pub fn semaphore(set: i32, index: i32) -> Option<i32> {
    // SAFETY: GETVAL takes no fourth argument.
    let value = unsafe { semctl(set, index, GETVAL) };
    (value != -1).then_some(value)
}

/// The sets of ours in the kernel: (set, the segment that it belongs to, who made it).
pub fn sets() -> Vec<(i32, i32, i32)> {
    let table = std::fs::read_to_string("/proc/sysvipc/sem").expect("/proc/sysvipc/sem");
    let ids = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1)?.parse().ok());
    ids.filter_map(|set: i32| {
        if semaphore(set, 0)? != MARK {
            return None;
        }
        let mut segment = 0_u32;
        for piece in 0..3 {
            segment |= (semaphore(set, 1 + piece)? as u32) << (15 * piece);
        }
        // SAFETY: GETPID takes no fourth argument. Only SETALL ever sets the mark, so this is the
        // process that made the set.
        let creator = unsafe { semctl(set, 0, GETPID) };
        Some((set, segment as i32, creator))
    })
    .collect()
}

/// The semaphore sets that belong to a segment.
pub fn sets_of(segment: i32) -> Vec<i32> {
    sets()
        .into_iter()
        .filter(|set| set.1 == segment)
        .map(|set| set.0)
        .collect()
}

/// A segment that this library did not make, mapped.
pub struct Foreign {
    pub id: i32,
    base: *mut u8,
    size: usize,
}

impl Foreign {
    pub fn create(key: i32, size: usize) -> Self {
        Self::create_with(key, size, 0o600)
    }

    /// One with these permission bits.
    pub fn create_with(key: i32, size: usize, mode: i32) -> Self {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | mode;
        // SAFETY: shmget takes no pointers.
        let id = unsafe { libc::shmget(key as libc::key_t, size, flags) };
        assert_ne!(id, -1, "{}", std::io::Error::last_os_error());
        Self::attach(id)
    }

    /// Maps what has this key.
    pub fn open(key: i32) -> Self {
        Self::attach(segment_id(key).expect("the key is in use"))
    }

    /// Maps the segment with this id.
    pub fn of(id: i32) -> Self {
        Self::attach(id)
    }

    fn attach(id: i32) -> Self {
        // SAFETY: the kernel chooses the address.
        let base = unsafe { libc::shmat(id, std::ptr::null(), 0) };
        assert_ne!(base as isize, -1, "{}", std::io::Error::last_os_error());
        #[allow(clippy::unnecessary_cast)] // an int on OpenBSD
        let size = segment_status(id).expect("just attached").shm_segsz as usize;
        Self {
            id,
            base: base.cast(),
            size,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        // SAFETY: the mapping is that long. Others may store to it; then the bytes are a mixture.
        (0..self.size)
            .map(|at| unsafe { self.base.add(at).read_volatile() })
            .collect()
    }

    /// A word that others may change meanwhile.
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset % 4 == 0 && offset + 4 <= self.size);
        // SAFETY: mapped for as long as `self`, and aligned, as just checked; a mapping begins a page.
        unsafe { &*self.base.add(offset).cast() }
    }

    pub fn put(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.size);
        for (at, &byte) in bytes.iter().enumerate() {
            // SAFETY: checked above.
            unsafe { self.base.add(offset + at).write_volatile(byte) };
        }
    }
}

// SAFETY: only numbers; the mapping is the process's, not a thread's.
unsafe impl Send for Foreign {}

impl Drop for Foreign {
    fn drop(&mut self) {
        // SAFETY: attached once, detached once.
        unsafe { libc::shmdt(self.base.cast()) };
    }
}
