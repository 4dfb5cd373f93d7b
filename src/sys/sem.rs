//! System V semaphore sets: `semget`, `semop`, `semctl`.
//!
//! The kernel takes back what a dead process did with `SEM_UNDO`; this is the only fact by which
//! this library decides whether a process lives. `SETVAL` and `SETALL` clear the undo entries of every
//! process (`semctl(2)`), so [`Set::initialise`] may run only before a process has claimed anything.

#[cfg(feature = "semaphore")]
use super::sem_abi::GETNCNT;
use super::sem_abi::{sembuf, semctl, semget, semop, GETALL, GETPID, GETVAL, SEM_UNDO, SETALL};
use super::{check, memory, retry, SysResult};
#[cfg(feature = "semaphore")]
use super::{Failure, SleepEnd};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicPtr, Ordering};
#[cfg(feature = "semaphore")]
use std::time::Duration;

/// A semaphore set, by id. Copying it copies the name, not the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Set {
    id: i32,
}

/// The users that own and that made a set, and its permission bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetStatus {
    pub(crate) owner: u32,
    pub(crate) creator: u32,
    pub(crate) mode: u32,
}

/// IPC_STAT fills a `semid_ds`, which `libc` does not define for every system; on all of them it
/// begins with the `ipc_perm` and is far smaller than this.
#[repr(C)]
struct StatBuffer {
    permission: libc::ipc_perm,
    rest: [u64; 64],
}

fn operation(index: u16, change: i16, flags: libc::c_int) -> sembuf {
    // SAFETY: sembuf is plain old data; all zeros is one of its values.
    let mut operation: sembuf = unsafe { std::mem::zeroed() };
    operation.sem_num = index;
    operation.sem_op = change;
    operation.sem_flg = flags as _;
    operation
}

/// More than one set can have: a semaphore's number is 16 bits (`semop(2)`), and SEMMSL is 32,000 unless an
/// administrator has raised it.
const MOST_IN_A_SET: usize = 1 << 16;

/// No semaphore has this value: the most is SEMVMX, 32,767 (`semctl(2)`).
const NO_VALUE: u16 = u16::MAX;

/// Where the kernel puts the values of a whole set. One is kept for the next question, because it is so large
/// that an allocator would ask the kernel for it each time; it is taken out while it is used, so that there
/// is no lock, which a forked child could inherit locked.
struct Room(ManuallyDrop<Box<[u16; MOST_IN_A_SET]>>);

static SPARE: AtomicPtr<[u16; MOST_IN_A_SET]> = AtomicPtr::new(std::ptr::null_mut());

impl Room {
    fn take() -> SysResult<Self> {
        let spare = SPARE.swap(std::ptr::null_mut(), Ordering::Acquire);
        if spare.is_null() {
            // Zeroed, so that its pages are there only once they are written to.
            let room = memory::zeroed::<u16>(MOST_IN_A_SET)?;
            let room = room
                .try_into()
                .unwrap_or_else(|_| unreachable!("as many as asked for"));
            return Ok(Self(ManuallyDrop::new(room)));
        }
        // SAFETY: made of a box in `drop`, and taken out by one thread.
        Ok(Self(ManuallyDrop::new(unsafe { Box::from_raw(spare) })))
    }

    fn first(&mut self) -> *mut u16 {
        self.0.as_mut_ptr()
    }

    /// Returns the values that the kernel is to overwrite, and the one after them.
    fn place(&mut self, count: u16) -> &mut [u16] {
        &mut self.0[..=usize::from(count)]
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: not used after this.
        let room = Box::into_raw(unsafe { ManuallyDrop::take(&mut self.0) });
        let null = std::ptr::null_mut();
        let is_kept = SPARE.compare_exchange(null, room, Ordering::Release, Ordering::Relaxed);
        if is_kept.is_err() {
            // SAFETY: just made of a box, and given to nobody.
            drop(unsafe { Box::from_raw(room) });
        }
    }
}

const UNDO_NOW: libc::c_int = libc::IPC_NOWAIT | SEM_UNDO;

impl Set {
    /// Makes a new set of `count` semaphores, all 0. Fails with `EEXIST` where the key is in use.
    pub(crate) fn create(key: i32, count: usize, mode: u32) -> SysResult<Self> {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | (mode & 0o777) as libc::c_int;
        let count = libc::c_int::try_from(count).unwrap_or(libc::c_int::MAX);
        // SAFETY: semget(2) takes no pointers.
        let make = || unsafe { semget(key as libc::key_t, count, flags) };
        let id = retry(|| check("semget", make()))?;
        Ok(Self { id })
    }

    /// Returns the set that has this key now.
    pub(crate) fn find(key: i32) -> SysResult<Self> {
        // SAFETY: semget(2) takes no pointers. No flags: looks up, makes nothing.
        let id = retry(|| check("semget", unsafe { semget(key as libc::key_t, 0, 0) }))?;
        Ok(Self { id })
    }

    /// Returns the set with this id, which need not exist: every use of it can fail.
    pub(crate) fn from_id(id: i32) -> Self {
        Self { id }
    }

    pub(crate) fn id(self) -> i32 {
        self.id
    }

    /// Sets every semaphore at once. Only for a set in which no other process can have claimed anything yet.
    pub(crate) fn initialise(self, values: &[u16]) -> SysResult<()> {
        // SAFETY: the caller made the set with `values.len()` semaphores; SETALL reads that many.
        let result = || unsafe { semctl(self.id, 0, SETALL, values.as_ptr()) };
        retry(|| check("semctl(SETALL)", result())).map(drop)
    }

    /// Returns the value of one semaphore.
    pub(crate) fn value(self, index: u16) -> SysResult<u16> {
        // SAFETY: GETVAL takes no fourth argument.
        let result = || unsafe { semctl(self.id, index.into(), GETVAL) };
        retry(|| check("semctl(GETVAL)", result())).map(|value| value as u16)
    }

    /// Returns the process that last acted on one semaphore; 0 where none has, or none that this one can name.
    pub(crate) fn last_process(self, index: u16) -> SysResult<i32> {
        // SAFETY: GETPID takes no fourth argument.
        let result = || unsafe { semctl(self.id, index.into(), GETPID) };
        retry(|| check("semctl(GETPID)", result()))
    }

    /// Returns how many threads sleep until one semaphore is raised.
    #[cfg(feature = "semaphore")]
    pub(crate) fn sleepers(self, index: u16) -> SysResult<u32> {
        // SAFETY: GETNCNT takes no fourth argument.
        let result = || unsafe { semctl(self.id, index.into(), GETNCNT) };
        retry(|| check("semctl(GETNCNT)", result())).map(|count| count as u32)
    }

    /// Returns all values, where the set has exactly `count` semaphores.
    ///
    /// One call answers both, on every system: `sem_nsems` is not portable. A set's size never changes; that
    /// the id still names the same set is for the caller to know.
    pub(crate) fn values(self, count: u16) -> SysResult<Option<Vec<u16>>> {
        self.ask(count, |after| after == NO_VALUE)
    }

    /// Returns the first `count` values, where the set has as many.
    pub(crate) fn first_values(self, count: u16) -> SysResult<Option<Vec<u16>>> {
        self.ask(count, |_| true)
    }

    /// Returns all values, of as many semaphores as the set has.
    ///
    /// The end is where the kernel has left a place as it was. Few places are prepared at first, for most sets are small.
    pub(crate) fn all_values(self) -> SysResult<Vec<u16>> {
        let mut room = Room::take()?;
        let mut prepared = 256;
        loop {
            room.0[..prepared].fill(NO_VALUE);
            // SAFETY: as in `ask`.
            let result = unsafe { semctl(self.id, 0, GETALL, room.first()) };
            check("semctl(GETALL)", result)?;
            let places = &room.0[..prepared];
            let end = places.iter().position(|&value| value == NO_VALUE);
            if end.is_some() || prepared == MOST_IN_A_SET {
                let values = &places[..end.unwrap_or(prepared)];
                return memory::gather(values.len(), values.iter().copied());
            }
            prepared = (prepared * 16).min(MOST_IN_A_SET);
        }
    }

    /// Returns the first `count` values, if there are as many and what lies after them is as asked.
    ///
    /// The kernel writes as many as the set has now, and is not told how many there is room for. That is not
    /// what the caller expects if a process that may remove the set has made another one that got the same id (the
    /// kernel's ids come round), so there is room for as many as a set can have.
    fn ask(self, count: u16, is_end: impl FnOnce(u16) -> bool) -> SysResult<Option<Vec<u16>>> {
        let mut room = Room::take()?;
        room.place(count).fill(NO_VALUE);
        // SAFETY: the kernel writes one u16 for each semaphore of the set, and there is room for
        // MOST_IN_A_SET.
        let result = unsafe { semctl(self.id, 0, GETALL, room.first()) };
        check("semctl(GETALL)", result)?;
        let (values, after) = room.place(count).split_at(usize::from(count));
        let is_so = values.last() != Some(&NO_VALUE) && is_end(after[0]);
        is_so
            .then(|| memory::gather(values.len(), values.iter().copied()))
            .transpose()
    }

    fn stat(self) -> SysResult<StatBuffer> {
        // SAFETY: plain old data; all zeros is one of its values.
        let mut buffer: StatBuffer = unsafe { std::mem::zeroed() };
        // SAFETY: the buffer is larger than any system's semid_ds and aligned for it.
        let result = unsafe { semctl(self.id, 0, libc::IPC_STAT, &raw mut buffer) };
        check("semctl(IPC_STAT)", result)?;
        Ok(buffer)
    }

    pub(crate) fn status(self) -> SysResult<SetStatus> {
        let buffer = self.stat()?;
        Ok(SetStatus {
            owner: buffer.permission.uid,
            creator: buffer.permission.cuid,
            mode: u32::from(buffer.permission.mode) & 0o777,
        })
    }

    /// Checks that this process may remove the set: as [`super::shm::check_right_to_remove`].
    pub(crate) fn check_right_to_remove(self) -> SysResult<()> {
        // SAFETY: plain old data; all zeros is one of its values.
        let mut buffer: StatBuffer = unsafe { std::mem::zeroed() };
        if cfg!(any(target_os = "linux", target_os = "android")) {
            // No user has this number: nothing is changed.
            buffer.permission.uid = libc::uid_t::MAX;
            buffer.permission.gid = libc::gid_t::MAX;
        } else {
            // SAFETY: the buffer is larger than any system's semid_ds and aligned for it.
            let result = unsafe { semctl(self.id, 0, libc::IPC_STAT, &raw mut buffer) };
            match check("semctl(IPC_STAT)", result) {
                Err(failure) if super::errno::is_gone(failure.errno()) => return Ok(()),
                result => result?,
            };
        }
        // SAFETY: as above; the kernel reads owner and mode.
        let mut set = || unsafe { semctl(self.id, 0, libc::IPC_SET, &raw mut buffer) };
        match retry(|| check("semctl(IPC_SET)", set())) {
            // It may; or the set is gone, which the next call says.
            Err(failure) if super::errno::is_gone(failure.errno()) => Ok(()),
            result => result.map(drop),
        }
    }

    /// Gives the set this user and this group: as [`super::shm::set_permission`].
    pub(crate) fn set_owner(self, user: Option<u32>, group: Option<u32>) -> SysResult<()> {
        let mut buffer = self.stat()?;
        buffer.permission.uid = user.unwrap_or(buffer.permission.uid);
        buffer.permission.gid = group.unwrap_or(buffer.permission.gid);
        // SAFETY: a live semid_ds with room to spare, of which the kernel reads owner and mode.
        let mut set = || unsafe { semctl(self.id, 0, libc::IPC_SET, &raw mut buffer) };
        retry(|| check("semctl(IPC_SET)", set())).map(drop)
    }

    /// Removes exactly this set.
    pub(crate) fn remove(self) -> SysResult<()> {
        // SAFETY: IPC_RMID takes no fourth argument.
        let result = || unsafe { semctl(self.id, 0, libc::IPC_RMID) };
        retry(|| check("semctl(IPC_RMID)", result())).map(drop)
    }

    /// Claims a semaphore in one step: if it is 0, it is 1 until this process releases it or ends.
    /// Returns `Ok(false)` where it was not 0.
    pub(crate) fn claim(self, index: u16) -> SysResult<bool> {
        let mut operations = [
            operation(index, 0, libc::IPC_NOWAIT),
            operation(index, 1, UNDO_NOW),
        ];
        self.operate(&mut operations)
    }

    /// Gives back what [`Set::claim`] took, in the process that took it. Without the undo flag the
    /// later exit of this process would take the next tenant's.
    pub(crate) fn release(self, index: u16) -> SysResult<bool> {
        self.operate(&mut [operation(index, -1, UNDO_NOW)])
    }

    /// Performs the operations at once or, where that would have to wait, not at all. Returns whether it did.
    fn operate(self, operations: &mut [sembuf]) -> SysResult<bool> {
        let result = retry(|| {
            // SAFETY: the pointer and length are of one live slice.
            let result = unsafe { semop(self.id, operations.as_mut_ptr(), operations.len() as _) };
            check("semop", result)
        });
        match result {
            Ok(_) => Ok(true),
            Err(failure) if failure.errno() == libc::EAGAIN => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

/// Sleeping on a semaphore, for the `Semaphore` lock.
#[cfg(feature = "semaphore")]
impl Set {
    /// Adds one, without undo: it wakes one sleeper in [`Set::take`].
    pub(crate) fn post(self, index: u16) -> SysResult<bool> {
        self.operate(&mut [operation(index, 1, libc::IPC_NOWAIT)])
    }

    /// Sleeps until one can be subtracted, at most `limit`; a signal ends the sleep early.
    pub(crate) fn take(self, index: u16, limit: Duration) -> SysResult<SleepEnd> {
        match self.timed(operation(index, -1, 0), limit) {
            Ok(()) => Ok(SleepEnd::Other),
            Err(failure) if failure.errno() == libc::EAGAIN => Ok(SleepEnd::Other),
            Err(failure) if failure.errno() == libc::EINTR => Ok(SleepEnd::Signal),
            Err(failure) => Err(failure),
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn timed(self, mut operation: sembuf, limit: Duration) -> Result<(), Failure> {
        extern "C" {
            // Declared here because `libc` has only its number (semop(2)).
            fn semtimedop(
                id: libc::c_int,
                operations: *mut sembuf,
                count: libc::size_t,
                timeout: *const libc::timespec,
            ) -> libc::c_int;
        }
        let timeout = super::futex::pause::timespec(limit);
        let _uncancelled = super::cancel::Disabled::new();
        // SAFETY: one live operation and one live timespec.
        let result = unsafe { semtimedop(self.id, &mut operation, 1, &timeout) };
        check("semtimedop", result).map(drop)
    }

    /// Tries at growing intervals of at most a millisecond, for systems without `semtimedop`.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn timed(self, mut operation: sembuf, limit: Duration) -> Result<(), Failure> {
        let end = std::time::Instant::now() + limit;
        let mut pause = Duration::from_micros(20);
        operation.sem_flg |= libc::IPC_NOWAIT as libc::c_short;
        loop {
            // SAFETY: one live operation.
            let result = check("semop", unsafe { semop(self.id, &mut operation, 1) });
            let now = std::time::Instant::now();
            match result {
                Err(failure) if failure.errno() == libc::EAGAIN && now < end => {}
                result => return result.map(drop),
            }
            if super::futex::sleep(pause.min(end - now)) == SleepEnd::Signal {
                let error = std::io::Error::from_raw_os_error(libc::EINTR);
                return Err(Failure {
                    call: "semop",
                    error,
                });
            }
            pause = (pause * 2).min(Duration::from_millis(1));
        }
    }
}
