//! System V shared memory: `shmget`, `shmat`, `shmdt`, `shmctl`.

use super::{check, retry, Failure, SysResult};
use std::io;
use std::ptr::NonNull;

#[cfg(not(any(target_os = "netbsd", target_os = "openbsd")))]
use libc::SHM_RDONLY;
/// As in their `<sys/shm.h>`; `libc` does not have it.
#[cfg(any(target_os = "netbsd", target_os = "openbsd"))]
const SHM_RDONLY: libc::c_int = 0o10000;

/// What the kernel says about a segment (`shmctl(IPC_STAT)`).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Status {
    /// Bytes asked for by the creator, not rounded to pages.
    pub(crate) size: usize,
    /// How many mappings exist, in all processes, this one included.
    pub(crate) attached: u64,
    /// The nine permission bits.
    pub(crate) mode: u32,
    /// Who owns it now.
    pub(crate) owner: u32,
    /// Who made it.
    pub(crate) creator: u32,
}

/// Makes a new segment. Fails with `EEXIST` where the key is in use: `IPC_EXCL` is always set.
///
/// The kernel ignores the umask for System V objects (`shmget(2)`), so `mode` is what it gets.
pub(crate) fn create(key: i32, size: usize, mode: u32) -> SysResult<i32> {
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | (mode & 0o777) as libc::c_int;
    // SAFETY: shmget(2) takes no pointers.
    let make = || unsafe { libc::shmget(key as libc::key_t, size, flags) };
    retry(|| check("shmget", make()))
}

/// The id of the segment that has this key now.
pub(crate) fn find(key: i32) -> SysResult<i32> {
    // SAFETY: shmget(2) takes no pointers. Size 0 and no flags: looks up, makes nothing.
    retry(|| check("shmget", unsafe { libc::shmget(key as libc::key_t, 0, 0) }))
}

/// What the kernel says about the segment. Needs read permission.
pub(crate) fn status(id: i32) -> SysResult<Status> {
    let raw = stat(id)?;
    Ok(Status {
        size: raw.shm_segsz as usize,
        attached: raw.shm_nattch as u64,
        mode: u32::from(raw.shm_perm.mode) & 0o777,
        owner: raw.shm_perm.uid,
        creator: raw.shm_perm.cuid,
    })
}

fn stat(id: i32) -> SysResult<libc::shmid_ds> {
    // SAFETY: shmid_ds is plain old data; all zeros is one of its values.
    let mut raw: libc::shmid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: `raw` is a live shmid_ds that the kernel may fill.
    let result = unsafe { libc::shmctl(id, libc::IPC_STAT, &mut raw) };
    check("shmctl(IPC_STAT)", result)?;
    Ok(raw)
}

/// Marks exactly this segment for removal: by id, for a key may already belong to a successor.
pub(crate) fn remove(id: i32) -> SysResult<()> {
    // SAFETY: IPC_RMID ignores the pointer.
    let remove = || unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
    retry(|| check("shmctl(IPC_RMID)", remove())).map(drop)
}

/// A segment in this process's memory; detached on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    status: Status,
    id: i32,
}

// SAFETY: a mapping is an address range that belongs to the process, not to a thread; what may be
// done with the bytes is decided by those who are given the pointer.
unsafe impl Send for Mapping {}
// SAFETY: as above; the methods only read the fields.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the segment, and asks the kernel about it once it can no longer vanish.
    pub(crate) fn attach(id: i32, read_only: bool) -> SysResult<Self> {
        let flags = if read_only { SHM_RDONLY } else { 0 };
        // SAFETY: a null address lets the kernel choose; no memory of ours is passed.
        let address = unsafe { libc::shmat(id, std::ptr::null(), flags) };
        if address as isize == -1 {
            return Err(Failure {
                call: "shmat",
                error: io::Error::last_os_error(),
            });
        }
        let base = NonNull::new(address.cast::<u8>()).ok_or_else(|| Failure {
            call: "shmat",
            error: io::Error::from_raw_os_error(libc::ENOMEM),
        })?;
        // From here on the drop detaches, also when the question fails.
        let unknown = Status::default();
        let mut mapping = Self {
            base,
            status: unknown,
            id,
        };
        mapping.status = status(id)?;
        Ok(mapping)
    }

    /// Unmaps it, and says what a drop can only log.
    pub(crate) fn detach(self) -> SysResult<()> {
        std::mem::ManuallyDrop::new(self).unmap()
    }

    /// Called once.
    fn unmap(&mut self) -> SysResult<()> {
        // SAFETY: `base` came from shmat and is detached once, by `detach` or by the drop; whoever got
        // the pointer borrowed this mapping or keeps it alive.
        let result = unsafe { libc::shmdt(self.base.as_ptr().cast()) };
        check("shmdt", result).map(drop)
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) fn size(&self) -> usize {
        self.status.size
    }

    /// What the kernel said when it was mapped. How many are attached changes, and the owner and the mode may.
    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    pub(crate) fn id(&self) -> i32 {
        self.id
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if let Err(failure) = self.unmap() {
            tracing::error!(id = self.id, error = %failure.error, "shmdt: the segment stays mapped");
        }
    }
}
