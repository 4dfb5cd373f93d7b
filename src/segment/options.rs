//! What can be chosen when a segment is created or attached.

use super::factory::LockFactory;
use crate::error::Cause;
use crate::permission::{Owner, Permission};
use crate::protocol::format::{Layout, Shape, LOSSLESS, RECORDS};
use std::time::Duration;

/// What to do where the system has no huge pages for a cortex: see [`SegmentOptions::huge_pages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HugePages {
    /// The cortex is not created, and the error says why: `CleanSystem`, or `Unsupported` where a program cannot ask
    /// this system for huge pages.
    Require,
    /// The cortex is created of ordinary pages, and a warning is logged that says why.
    Prefer,
}

/// Options for [`Segment`](crate::Segment)s of bytes; for typed values there is [`crate::CortexBuilder`].
///
/// ```
/// use neocortex::{Segment, SegmentOptions, SeqLock};
///
/// # fn main() -> neocortex::CortexResult<()> {
/// let segment: Segment<SeqLock> = SegmentOptions::new().participants(8).create_random(4096)?;
/// segment.write_at(100, b"hello")?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentOptions {
    pub(crate) permission: Option<Permission>,
    pub(crate) force_ownership: bool,
    pub(crate) replace_stale: bool,
    pub(crate) persist: bool,
    pub(crate) schema: u64,
    pub(crate) participants: u32,
    pub(crate) align: u32,
    pub(crate) slots: u32,
    pub(crate) timeout: Option<Duration>,
    pub(crate) dump: bool,
    pub(crate) interruptible: bool,
    pub(crate) prefault: bool,
    pub(crate) lock_in_memory: bool,
    pub(crate) huge_pages: Option<HugePages>,
    pub(crate) owner: Owner,
    pub(crate) open_or_create: bool,
    /// Whether it is to hold records, or a value; `None` is a value when creating, and either when attaching.
    pub(crate) records: Option<bool>,
    pub(crate) lossless: bool,
    /// For how long attaching waits until a process has created the cortex: `Some(None)` is for ever.
    pub(crate) wait_for_creator: Option<Option<Duration>>,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self {
            permission: None,
            force_ownership: false,
            replace_stale: false,
            persist: false,
            schema: 0,
            participants: 128,
            align: 16,
            slots: 2,
            timeout: None,
            dump: false,
            interruptible: false,
            prefault: false,
            lock_in_memory: false,
            huge_pages: None,
            owner: Owner::default(),
            open_or_create: false,
            records: None,
            lossless: false,
            wait_for_creator: None,
        }
    }
}

impl SegmentOptions {
    /// Returns the default options: two slots, access for the owner only, 128 participants, no time-out.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets who may use the segment. The default is what the lock's settings say, else [`Permission::OwnerOnly`].
    pub fn permission(mut self, permission: Permission) -> Self {
        self.permission = Some(permission);
        self
    }

    /// Sets the user and the group that segment and semaphores belong to; `None`, or `u32::MAX` as in `chown(2)`,
    /// leaves the creator's. A service that starts as root can set a group, with [`Permission::OwnerAndGroup`], to open
    /// the cortex to the members of that group and to no other user. Both are in place before any process can attach.
    /// An adopted cortex keeps the user and the group that it has.
    ///
    /// The creator stays known to the kernel, and keeps an owner's rights (`shmctl(2)`, `IPC_SET`).
    ///
    /// ```
    /// use neocortex::{Permission, Segment, SegmentOptions};
    /// use std::os::unix::fs::MetadataExt;
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// // In a service: the group of those who are to read and write.
    /// let group = std::fs::metadata(".").expect("a directory").gid();
    /// let segment: Segment = SegmentOptions::new()
    ///     .permission(Permission::OwnerAndGroup)
    ///     .owner(None, Some(group))
    ///     .create_random(4096)?;
    /// # Ok(()) }
    /// ```
    pub fn owner(mut self, user: Option<u32>, group: Option<u32>) -> Self {
        self.owner = Owner::new(user, group);
        self
    }

    /// Where a cortex of this size and lock has the key, creating adopts it with its value instead of failing. Either
    /// way this handle is the owner, and removes the cortex when it is dropped.
    pub fn force_ownership(mut self) -> Self {
        self.force_ownership = true;
        self
    }

    /// Where a stale cortex has the key, creating takes its place. A cortex is stale if no participant lives in it and
    /// it was not made to stay, or if it was never finished. A process that observes the stale cortex keeps its memory.
    /// A cortex that is still in use when the time-out ends (after a second, where there is no time-out), or that was
    /// made to stay, is left untouched, and the error is `Busy`.
    pub fn replace_stale(mut self) -> Self {
        self.replace_stale = true;
        self
    }

    /// Where a cortex has the key, creating attaches to it instead of failing. Of any number of processes that start at
    /// once exactly one creates, and the others attach, waiting until it is ready; where the creator dies before that,
    /// another one creates. [`Segment::was_created`](crate::Segment::was_created) tells which of the two this handle
    /// did. No handle becomes the owner by attaching, so this option and [`SegmentOptions::force_ownership`] exclude
    /// each other. Where the cortex is stale, the processes attach to it with the value that it has; with
    /// [`SegmentOptions::replace_stale`] exactly one of them takes its place.
    ///
    /// An existing cortex is checked as by [`SegmentOptions::attach`], and whether it holds records, is lossless and is edited
    /// in place must be as asked for: `Layout` otherwise. The rest it keeps: slots (two or more), participants,
    /// permission, owner.
    /// The call waits for a living creator up to the time-out; without one, for a minute. It waits for a place in a
    /// full cortex up to the time-out; without one, for a second, because one of the attached processes may be dying.
    pub fn open_or_create(mut self) -> Self {
        self.open_or_create = true;
        self
    }

    /// Attaching waits until a process has created the cortex and it is ready, for this long at most; `None` is for
    /// ever. With it, programs can start in any order. When the time is over, the error is `Timeout` where no process
    /// has created the cortex, and `NotReady` where a process has begun to.
    ///
    /// The kernel cannot wake a process that waits for a key, so the key is polled: after 100 µs, then at intervals
    /// that grow to 10 ms and stay there, with one `shmget(2)` each. The wait is for a name, or a number, in the
    /// caller's own IPC namespace. A segment that the process cannot use ends the wait with that error. So does one
    /// that it may not open, after half a second: until then its creator may be about to give it to this user or group
    /// ([`SegmentOptions::owner`]).
    pub fn wait_for_creator(mut self, timeout: Option<Duration>) -> Self {
        self.wait_for_creator = Some(timeout);
        self
    }

    /// Dropping the handle does not remove the segment: it stays until removed or the next boot. On Linux with
    /// `kernel.shm_rmid_forced` set to 1 the kernel removes it with its last attachment; creating then logs a
    /// warning that says so.
    pub fn persist(mut self) -> Self {
        self.persist = true;
        self
    }

    /// Makes one payload slot, which writers edit in place: for large buffers that are changed in part. A writer that
    /// dies half way poisons the segment.
    pub fn in_place(mut self) -> Self {
        self.slots = 1;
        self
    }

    /// Sets the number of payload slots, 2 (the default) to 65,536; a cortex that exists
    /// ([`SegmentOptions::open_or_create`]) keeps the number that it has. As many commits are kept for followers
    /// ([`Segment::follow`](crate::Segment::follow)), and more of them help readers of large values under a writer that never pauses. With more
    /// than 8 a partial write costs as much as a whole one. One slot is the in-place layout of
    /// [`SegmentOptions::in_place`].
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// Makes a cortex of records: bytes of any length up to the segment's size, each written by
    /// [`Segment::push`](crate::Segment::push) and read with its length. It needs two slots or more. See
    /// [`Segment::push`](crate::Segment::push) for an example.
    ///
    /// A process that attaches finds out by itself ([`Segment::has_records`](crate::Segment::has_records)); with this
    /// option it refuses a cortex that holds a value (`Unsupported`).
    pub fn records(mut self) -> Self {
        self.records = Some(true);
        self
    }

    /// Makes writers wait for the followers that registered
    /// ([`Segment::follow_registered`](crate::Segment::follow_registered)): no write overwrites a commit that one of them
    /// has not read. It needs two slots or more; with *n* slots a writer is up to *n* commits ahead.
    ///
    /// This is the creator's choice alone, because with it a reader can hold up writers: one that is slow or stopped, up
    /// to the time-out of the write ([`SegmentOptions::timeout`]), which ends with `Timeout`; without a time-out for as
    /// long as it lives. One that dies does not. A write guard cannot `publish` in such a cortex, because it would have
    /// the lock while it waits.
    pub fn lossless(mut self) -> Self {
        self.lossless = true;
        self
    }

    /// Sets a number of the program's own that both sides must agree on: a version of the type, or a hash of it.
    pub fn schema(mut self, schema: u64) -> Self {
        self.schema = schema;
        self
    }

    /// Sets how many handles may be attached at a time, 1 to 4096. Each costs 64 bytes and a semaphore.
    pub fn participants(mut self, participants: u32) -> Self {
        self.participants = participants;
        self
    }

    /// Sets the payload's alignment in bytes: a power of two up to 4096. The least, and the default, is 16 for values of up
    /// to 32 bytes, and else 64. A value of up to 16 bytes in two slots that is aligned to 16 lies beside the commit
    /// counters, so that a reader gets both with one cache line.
    pub fn align(mut self, align: u32) -> Self {
        self.align = align;
        self
    }

    /// Sets how long any wait through the handle may last; `None`, the default, is for ever. It bounds the waits of the call
    /// that opens the handle too, except for the half second after which a process that was making or replacing the
    /// cortex, and has shown no sign of life, is taken for dead.
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Includes the segment in core dumps of this process, which leave it out by default (Linux, FreeBSD; other systems
    /// always dump it). A process that dies of a signal with a core dump, such as `SIGABRT` or `SIGSEGV`, keeps the
    /// locks and slots that it holds until the dump is written, and other processes wait for that long: seconds for
    /// gigabytes.
    pub fn dump(mut self) -> Self {
        self.dump = true;
        self
    }

    /// Makes the kernel find memory for the whole segment now, rather than at each first touch of a page. A first write
    /// then takes no longer than the others, and a lack of memory is an error here and no `SIGBUS` later (Linux from
    /// 5.14 on; elsewhere the pages are touched).
    ///
    /// When attaching or observing, the pages that exist are entered into this process's page table, which otherwise
    /// takes about a microsecond at the first touch of each page.
    pub fn prefault(mut self) -> Self {
        self.prefault = true;
        self
    }

    /// Keeps the segment in memory, so that it is never swapped out (`shmctl(2)`, `SHM_LOCK`). This holds for every
    /// process that uses the segment, until it is removed. Pages that have not been touched come into memory when they
    /// are; with [`SegmentOptions::prefault`], all of them do now.
    ///
    /// It has an effect where a cortex is created; an adopted one stays as it is. Only Linux has it; elsewhere the
    /// error is `Unsupported`. It needs `RLIMIT_MEMLOCK` or `CAP_IPC_LOCK`: see `neocortex doctor`.
    pub fn lock_in_memory(mut self) -> Self {
        self.lock_in_memory = true;
        self
    }

    /// Makes the segment of huge pages (`shmget(2)`, `SHM_HUGETLB`), in which large values are read and written faster:
    /// see the measurements in `docs/performance.md`. Each page takes 2 MiB on most machines, also where the segment is
    /// smaller; they are set aside when the cortex is created, and are never swapped out.
    ///
    /// It has an effect where a cortex is created. The system must have huge pages free (`vm.nr_hugepages`): see
    /// `neocortex doctor`. `choice` says what to do where it has none, or where the system is not Linux.
    ///
    /// ```
    /// use neocortex::{HugePages, Segment, SegmentOptions};
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// let segment: Segment = SegmentOptions::new()
    ///     .huge_pages(HugePages::Prefer)
    ///     .prefault()
    ///     .create_random(1 << 20)?;
    /// # Ok(()) }
    /// ```
    pub fn huge_pages(mut self, choice: HugePages) -> Self {
        self.huge_pages = Some(choice);
        self
    }

    /// Makes a wait through this handle, or for its creation or attachment, end with `Interrupted` after a signal
    /// handler has run on the thread that waits. By default waits go on, whatever `SA_RESTART` says. Stopping the process
    /// and continuing it (`SIGSTOP`, `SIGCONT`) ends none on Linux; other systems may end one as by a handler.
    ///
    /// A handler that runs in the moment between the last look of a wait and its sleep is not noticed. Where a signal
    /// must never be missed, its handler calls [`Segment::interrupt`](crate::Segment::interrupt) or
    /// [`Segment::stop_waits`](crate::Segment::stop_waits). Calls that need not wait are not ended, and a lock of your
    /// own is not ended within its own waits.
    pub fn interruptible(mut self) -> Self {
        self.interruptible = true;
        self
    }

    fn features(&self) -> u32 {
        let records = if self.records == Some(true) {
            RECORDS
        } else {
            0
        };
        let lossless = if self.lossless { LOSSLESS } else { 0 };
        records | lossless
    }

    /// Returns the layout of a segment with these options, this name and this lock.
    pub(crate) fn layout(
        &self,
        name: Option<&str>,
        size: usize,
        kind: &impl LockFactory,
    ) -> Result<Layout, Cause> {
        if !self.align.is_power_of_two() {
            let detail = format!("alignment {} is not a power of two", self.align);
            return Err(Cause::invalid(detail));
        }
        let permission = self.permission.unwrap_or_else(|| kind.permission());
        Layout::new(Shape {
            size,
            align: Shape::align(self.align, size),
            slots: self.slots,
            schema: self.schema,
            participants: self.participants,
            lock_size: kind.shared_size(),
            lock_name: kind.name().to_owned(),
            mode: permission.mode(),
            features: self.features(),
            name: name.unwrap_or_default().to_owned(),
        })
        .map_err(Cause::invalid)
    }
}
