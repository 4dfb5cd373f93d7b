//! System V shared memory: `shmget`, `shmat`, `shmdt`, `shmctl`.

use super::resident::{populate, Touch, HUGE};
use super::{check, retry, Failure, SysResult};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

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
    /// The user that owns it now.
    pub(crate) owner: u32,
    /// The user that made it.
    pub(crate) creator: u32,
    /// The second (since 1970) in which it was made, or its owner or mode changed.
    pub(crate) changed: u64,
    /// The process that made it; 0 where this one has no number for it.
    pub(crate) maker: i32,
}

/// The pages that a segment is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    Ordinary,
    /// Of the system's usual huge size; the kernel sets so many aside at once. The segment's size is what was asked for
    /// all the same: only its mapping ends at the end of a huge page.
    Huge,
}

/// Makes a new segment. Fails with `EEXIST` where the key is in use: `IPC_EXCL` is always set.
///
/// The kernel ignores the umask for System V objects (`shmget(2)`), so `mode` is what it gets.
pub(crate) fn create(key: i32, size: usize, mode: u32, pages: Pages) -> SysResult<i32> {
    let mut flags = libc::IPC_CREAT | libc::IPC_EXCL | (mode & 0o777) as libc::c_int;
    if pages == Pages::Huge {
        flags |= HUGE;
    }
    // SAFETY: shmget(2) takes no pointers.
    let make = || unsafe { libc::shmget(key as libc::key_t, size, flags) };
    retry(|| check("shmget", make()))
}

/// Gives the segment these permission bits, this user and this group (`IPC_SET`); `None` leaves what it has. For its
/// owner or creator. Its creator stays the same, with the rights of an owner.
pub(crate) fn set_permission(
    id: i32,
    mode: u32,
    user: Option<u32>,
    group: Option<u32>,
) -> SysResult<()> {
    let mut raw = stat(id)?;
    raw.shm_perm.mode = (mode & 0o777) as _;
    raw.shm_perm.uid = user.unwrap_or(raw.shm_perm.uid);
    raw.shm_perm.gid = group.unwrap_or(raw.shm_perm.gid);
    set(id, &mut raw)
}

/// Checks that this process may remove the segment; `EPERM` where it may not. The kernel is asked, without
/// changing anything. What decides in a container or a user namespace is its capability there, which no user id tells.
pub(crate) fn check_right_to_remove(id: i32) -> SysResult<()> {
    // The right to IPC_SET is the right to IPC_RMID (shmctl(2)).
    if cfg!(any(target_os = "linux", target_os = "android")) {
        // SAFETY: shmid_ds is plain old data; all zeros is one of its values.
        let mut raw: libc::shmid_ds = unsafe { std::mem::zeroed() };
        // No user has this number, so the kernel, once it has found that this process may, changes nothing.
        raw.shm_perm.uid = libc::uid_t::MAX;
        raw.shm_perm.gid = libc::gid_t::MAX;
        return match set(id, &mut raw) {
            // It may; or the segment is gone, which the next call says.
            Err(failure) if super::errno::is_gone(failure.errno()) => Ok(()),
            result => result,
        };
    }
    // Elsewhere that number would be stored: what is there already is set.
    match stat(id).and_then(|mut raw| set(id, &mut raw)) {
        Err(failure) if super::errno::is_gone(failure.errno()) => Ok(()),
        result => result,
    }
}

fn set(id: i32, raw: &mut libc::shmid_ds) -> SysResult<()> {
    // SAFETY: `raw` is a live shmid_ds, of which the kernel reads owner and mode.
    let mut set = || unsafe { libc::shmctl(id, libc::IPC_SET, &raw mut *raw) };
    retry(|| check("shmctl(IPC_SET)", set())).map(drop)
}

/// Returns the id of the segment that has this key now.
pub(crate) fn find(key: i32) -> SysResult<i32> {
    // SAFETY: shmget(2) takes no pointers. Size 0 and no flags: looks up, makes nothing.
    retry(|| check("shmget", unsafe { libc::shmget(key as libc::key_t, 0, 0) }))
}

/// Returns what the kernel says about the segment. Needs read permission.
pub(crate) fn status(id: i32) -> SysResult<Status> {
    let raw = stat(id)?;
    Ok(Status {
        size: raw.shm_segsz as usize,
        attached: raw.shm_nattch as u64,
        mode: u32::from(raw.shm_perm.mode) & 0o777,
        owner: raw.shm_perm.uid,
        creator: raw.shm_perm.cuid,
        changed: u64::try_from(raw.shm_ctime).unwrap_or(0),
        maker: raw.shm_cpid,
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

/// Returns whether a segment that this process has mapped is marked for removal. Not where the kernel does not say:
/// this user may not ask, or this thread is in another IPC namespace, where there is no such id.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn is_marked_removed(id: i32) -> bool {
    /// `SHM_DEST` of `<bits/shm.h>` (`shmctl(2)`); `libc` does not have it.
    const DEST: u32 = 0o1000;
    stat(id).is_ok_and(|raw| u32::from(raw.shm_perm.mode) & DEST != 0)
}

/// Returns the same on the other systems, which do not know the id of such a segment any more.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn is_marked_removed(id: i32) -> bool {
    stat(id).is_err_and(|failure| super::errno::is_gone(failure.errno()))
}

/// Marks exactly this segment for removal. It goes by the id, for the key may already belong to a successor.
pub(crate) fn remove(id: i32) -> SysResult<()> {
    // SAFETY: IPC_RMID ignores the pointer.
    let remove = || unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
    retry(|| check("shmctl(IPC_RMID)", remove())).map(drop)
}

/// A segment in this process's memory, to read at least.
pub(crate) trait Mapped: Sized {
    /// Maps the segment, and asks the kernel about it once it can no longer vanish.
    fn attach(id: i32) -> SysResult<Self>;
    fn base(&self) -> NonNull<u8>;
    fn size(&self) -> usize;
    /// Returns what the kernel said when it was mapped. How many are attached changes, and the owner and the mode may.
    fn status(&self) -> &Status;
    fn id(&self) -> i32;
    /// Unmaps the segment, and returns the error that a drop can only log.
    fn detach(self) -> SysResult<()>;
    /// Includes the segment in core dumps of this process from now on.
    fn include_in_dumps(&self);
    /// Makes the kernel find memory for all of the segment now ([`populate`]).
    fn prefault(&self) -> SysResult<()>;
}

/// A read-only mapping: a store into it would end the process. It is a type of its own, so that code that changes
/// a segment cannot be given one: such code takes a [`Mapping`].
#[derive(Debug)]
pub(crate) struct ReadOnlyMapping(Mapping);

impl Mapped for ReadOnlyMapping {
    fn attach(id: i32) -> SysResult<Self> {
        Mapping::map(id, SHM_RDONLY).map(Self)
    }

    fn base(&self) -> NonNull<u8> {
        self.0.base
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn status(&self) -> &Status {
        &self.0.status
    }

    fn id(&self) -> i32 {
        self.0.id
    }

    fn detach(self) -> SysResult<()> {
        self.0.detach()
    }

    fn include_in_dumps(&self) {
        self.0.include_in_dumps();
    }

    fn prefault(&self) -> SysResult<()> {
        // SAFETY: the mapping, until it is dropped; it is touched to read.
        unsafe { populate(self.0.base, self.0.status.size, Touch::Read) }
    }
}

/// A segment in this process's memory, to read and to write; detached on drop. Core dumps leave it out, where the
/// system can (`madvise(2)`): a process that dumps holds its beacon and its lock until the dump is written.
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

impl Mapped for Mapping {
    fn attach(id: i32) -> SysResult<Self> {
        Self::map(id, 0)
    }

    fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn size(&self) -> usize {
        self.status.size
    }

    fn status(&self) -> &Status {
        &self.status
    }

    fn id(&self) -> i32 {
        self.id
    }

    fn detach(self) -> SysResult<()> {
        std::mem::ManuallyDrop::new(self).unmap()
    }

    fn include_in_dumps(&self) {
        self.advise_dump(true);
    }

    fn prefault(&self) -> SysResult<()> {
        // SAFETY: the mapping, which is writable, until it is dropped.
        unsafe { populate(self.base, self.status.size, Touch::Write) }
    }
}

impl Mapping {
    fn map(id: i32, flags: libc::c_int) -> SysResult<Self> {
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
        mapping.advise_dump(false);
        Ok(mapping)
    }

    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    fn advise_dump(&self, dump: bool) {
        #[cfg(not(target_os = "freebsd"))]
        let (with, without) = (libc::MADV_DODUMP, libc::MADV_DONTDUMP);
        #[cfg(target_os = "freebsd")]
        let (with, without) = (libc::MADV_CORE, libc::MADV_NOCORE);
        let advice = if dump { with } else { without };
        let address = self.base.as_ptr();
        // SAFETY: exactly the mapping (shmat(2) rounds up to pages, and so does madvise(2)); neither advice changes
        // its contents. A kernel that does not know it answers EINVAL, and dumps as it always did.
        let advise = |length| unsafe { libc::madvise(address.cast(), length, advice) };
        let mut result = check("madvise", advise(self.status.size));
        // Huge pages are advised whole, and the kernel does not say how large they are: the first power of two that it
        // accepts, from 64 KiB to 16 GiB, ends where the mapping ends, which begins at a multiple of it.
        for unit in (16..=34).filter_map(|shift| 1_usize.checked_shl(shift)) {
            let is_refused = result.is_err_and(|failure| failure.errno() == libc::EINVAL);
            if unit == 0 || !is_refused || address as usize % unit != 0 {
                return;
            }
            result = check("madvise", advise(self.status.size.next_multiple_of(unit)));
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    fn advise_dump(&self, _dump: bool) {}

    /// Called once.
    fn unmap(&mut self) -> SysResult<()> {
        // SAFETY: `base` came from shmat and is detached once, by `detach` or by the drop; code that got
        // the pointer borrowed this mapping or keeps it alive.
        let result = unsafe { libc::shmdt(self.base.as_ptr().cast()) };
        check("shmdt", result).map(drop)
    }

    /// Returns whether every byte is zero. Where the system can tell, memory that no process has touched gets no pages
    /// by the question.
    pub(crate) fn is_all_zeros(&self) -> bool {
        const STRETCH: usize = 1 << 20;
        (0..self.size()).step_by(STRETCH).all(|start| {
            let end = (start + STRETCH).min(self.size());
            self.touched(start, end)
                .into_iter()
                .all(|(from, to)| self.is_zero(from, to))
        })
    }

    /// Returns the parts from `start`, which is a multiple of a page, to `end` that may have been touched.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn touched(&self, start: usize, end: usize) -> Vec<(usize, usize)> {
        let page = super::page_size();
        let mut pages = vec![0_u8; (end - start).div_ceil(page)];
        // SAFETY: the range lies within the mapping, which ends at a page's end, and `pages` has a byte for each
        // of its pages.
        let result = unsafe {
            let from = self.base.as_ptr().add(start);
            libc::mincore(from.cast(), end - start, pages.as_mut_ptr())
        };
        if check("mincore", result).is_err() {
            return vec![(start, end)];
        }
        // One that is not there now was never touched, or is swapped out.
        let part = |(index, _): (usize, &u8)| {
            let from = start + index * page;
            (from, (from + page).min(end))
        };
        let is_there = |(_, &page): &(usize, &u8)| page & 1 != 0;
        pages
            .iter()
            .enumerate()
            .filter(is_there)
            .map(part)
            .collect()
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn touched(&self, start: usize, end: usize) -> Vec<(usize, usize)> {
        vec![(start, end)]
    }

    fn is_zero(&self, from: usize, to: usize) -> bool {
        (from..to).all(|offset| {
            // SAFETY: within the mapping, whose bytes other processes may store to meanwhile: an atomic load.
            let byte = unsafe { AtomicU8::from_ptr(self.base.as_ptr().add(offset)) };
            byte.load(Ordering::Relaxed) == 0
        })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if let Err(failure) = self.unmap() {
            tracing::error!(id = self.id, error = %failure.error, "shmdt: the segment stays mapped");
        }
    }
}
