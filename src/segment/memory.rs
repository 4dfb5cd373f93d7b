//! The memory of a segment before it is used: touched in advance, kept from being swapped out, made of huge pages.
//!
//! **When.** `shmget` chooses the kind of pages. The segment is locked, then touched, once its creator's beacon is lit
//! (so that processes that wait for the creator know that it lives, however long it takes) and before any process can
//! see a value. A failure here is taken back as any failure of the creator. A process that attaches with `prefault`
//! touches the pages that exist.

use super::options::{HugePages, SegmentOptions};
use crate::attachment::mapped_segment::MappedSegment;
use crate::error::names::noted;
use crate::error::{Attempt, Cause};
use crate::sys::resident::{self, CAN_LOCK, HAS_HUGE_PAGES};
use crate::sys::shm::{self, Mapped, Pages};
use crate::sys::{errno, SysResult};

/// Makes the segment of the pages that were asked for. `describe` returns what has the key, where the key is in use.
pub(super) fn make(
    key: i32,
    size: usize,
    mode: u32,
    options: &SegmentOptions,
    describe: impl Fn() -> String,
) -> Result<i32, Cause> {
    let finish = |result: SysResult<i32>, pages| {
        result.attempt_or("create", |number| match (number, pages) {
            (errno::EEXIST, _) => Some(describe()),
            (_, Pages::Huge) => remedy_for_huge(number, size),
            _ => None,
        })
    };
    let make = |pages| shm::create(key, size, mode, pages);
    let Some(choice) = options.huge_pages else {
        return finish(make(Pages::Ordinary), Pages::Ordinary);
    };
    if !HAS_HUGE_PAGES {
        if choice == HugePages::Require {
            let detail = "this system has no huge pages that a program can ask for (SHM_HUGETLB is Linux's): create without `huge_pages`";
            return Err(Cause::Unsupported(detail));
        }
        return finish(make(Pages::Ordinary), Pages::Ordinary);
    }
    match make(Pages::Huge) {
        Err(failure)
            if choice == HugePages::Prefer && remedy_for_huge(failure.errno(), size).is_some() =>
        {
            tracing::warn!(
                key,
                name = noted(key),
                error = %failure.error,
                "no huge pages for this cortex: it has ordinary ones"
            );
            finish(make(Pages::Ordinary), Pages::Ordinary)
        }
        result => finish(result, Pages::Huge),
    }
}

/// Returns what to do where the kernel gives no huge pages; `None` where its answer has nothing to do with them.
fn remedy_for_huge(number: i32, size: usize) -> Option<String> {
    let fixed = match number {
        errno::ENOMEM => {
            return Some(format!(
                "Fewer huge pages are free than {size} bytes need (`grep Huge /proc/meminfo`): reserve more (`sysctl -w vm.nr_hugepages=COUNT`, at boot where memory is long in use), or create without `huge_pages`"
            ))
        }
        errno::EPERM => "This user may not have huge pages: it needs CAP_IPC_LOCK, or the group that vm.hugetlb_shm_group names; or create without `huge_pages`",
        errno::EINVAL => "This kernel has no huge pages (CONFIG_HUGETLBFS), or the size is above kernel.shmmax; or create without `huge_pages`",
        errno::ENOSYS => "This kernel has no huge pages (CONFIG_HUGETLBFS), or no shared memory at all; create without `huge_pages`",
        _ => return None,
    };
    Some(fixed.to_owned())
}

/// Prepares a new segment's memory as the options say. It is locked first, so that the pages that are touched then
/// stay.
pub(super) fn prepare<M: Mapped>(
    mapped: &MappedSegment<M>,
    options: &SegmentOptions,
) -> Result<(), Cause> {
    if options.lock_in_memory {
        lock(mapped)?;
    }
    prefault(mapped, options)
}

fn lock<M: Mapped>(mapped: &MappedSegment<M>) -> Result<(), Cause> {
    if !CAN_LOCK {
        let detail = "this system does not lock shared memory (SHM_LOCK is Linux's): create without `lock_in_memory`, or lock all of the process (mlockall)";
        return Err(Cause::Unsupported(detail));
    }
    resident::lock_in_memory(mapped.mapping.id()).attempt_or("lock the memory of", |number| {
        let fixed = match number {
            errno::EPERM => "This process may lock no memory: raise RLIMIT_MEMLOCK (`ulimit -l`; in a service of systemd LimitMEMLOCK=; of a container `--ulimit memlock=`), give it CAP_IPC_LOCK, or create without `lock_in_memory`",
            errno::ENOMEM => "That is more memory than this user may lock: raise RLIMIT_MEMLOCK (`ulimit -l`; in a service of systemd LimitMEMLOCK=; of a container `--ulimit memlock=`), give the process CAP_IPC_LOCK, share less, or create without `lock_in_memory`",
            _ => return None,
        };
        Some(fixed.to_owned())
    })
}

/// Touches the pages of a mapping where that was asked for.
pub(super) fn prefault<M: Mapped>(
    mapped: &MappedSegment<M>,
    options: &SegmentOptions,
) -> Result<(), Cause> {
    if !options.prefault {
        return Ok(());
    }
    mapped.mapping
        .prefault()
        .attempt_or("find memory for all of", |number| {
            let fixed = match number {
                errno::ENOMEM | errno::EFAULT => "There is not enough memory for all of it now: share less, free some, raise the memory limit of the container or the system, or go on without `prefault`",
                _ => return None,
            };
            Some(fixed.to_owned())
        })
}
