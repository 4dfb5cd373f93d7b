//! Attaching to a cortex where one has the key, and creating it where none has.
//!
//! **Exactly one creates.** The kernel gives the key to one of the processes that ask for it (`shmget(IPC_EXCL)`); the
//! others find it in use, and attach. A process that finds nothing to attach to tries to create again, so every process
//! gets a cortex, in whatever order they start, and wherever a creator dies.
//!
//! **A creator that dies** leaves a segment in which there never was a value. A process that finds it in this state
//! takes it away, if it may, by id and by the same transition as every replacer ([`lifecycle::discard`]): of any number
//! of processes one does it. Then all begin anew. A creator that was taken for dead wrongly finds its segment removed,
//! and begins anew as well.
//!
//! **No handle becomes the owner by attaching**: the owner is the creator. If it dies later, the cortex is stale, and
//! stays with its value, unless `replace_stale` was asked for.

use super::attach::attach_within;
use super::creator::{is_missing, Refusals};
use super::factory::LockFactory;
use super::find::{
    check_name_in, open_mapping, Pauses, Silence, ATTEMPTS, CREATOR_GONE, OVERTAKEN,
};
use super::handle::Segment;
use super::options::SegmentOptions;
use super::presence::{creator, observe};
use super::removal::{check_right_to_remove, discard};
use super::replace::{is_over, patience, replace_if_stale};
use crate::attachment::patience::Wait;
use crate::error::Cause;
use crate::key::Wanted;
use crate::protocol::format::state;
use crate::protocol::lifecycle::{Creator, Look};
use crate::sys::errno;
use crate::sys::shm::{Mapped, Mapping};
use std::time::Duration;

/// For how long a call without a time-out waits for a living creator that does not finish, or while creator after
/// creator dies.
const LONGEST: Duration = Duration::from_secs(60);

/// Attaches to the cortex that has the key, or creates it. `create` makes one attempt to create, and returns `None`
/// where a replacer was faster.
///
/// # Errors
/// `NotReady` where a creator that lives has not finished in time; the errors of creating and attaching.
pub(super) fn create_or_attach<K: LockFactory>(
    wanted: Wanted<'_>,
    size: usize,
    options: &SegmentOptions,
    kind: &K,
    create: &dyn Fn() -> Result<Option<Segment<K::Lock>>, Cause>,
) -> Result<Segment<K::Lock>, Cause> {
    if options.force_ownership {
        let detail = "`open_or_create` makes nobody the owner of what exists, and `force_ownership` does. Choose one of them";
        return Err(Cause::invalid(detail));
    }
    let wait = Wait::lasting(Some(options.timeout.unwrap_or(LONGEST)));
    let in_use = patience(options.timeout);
    let (mut silence, mut pauses) = (Silence::new(), Pauses::new(options));
    let mut refusals = Refusals::new();
    let mut attempts = 0;
    loop {
        if options.replace_stale {
            replace_if_stale(wanted, options)?;
        }
        // The wait for a creator is in this loop, where a dead creator's segment can be taken away.
        let result = attach_within(wanted, size, options, kind, Some(Duration::ZERO));
        let may_be_given = refusals.may_end(&result);
        match result {
            Err(cause) if is_missing(&cause) => match create() {
                Ok(Some(segment)) => return Ok(segment),
                // Another process was faster, or took this one for dead: attach to the cortex that there is now.
                Ok(None) => {}
                Err(cause) if cause.is_errno(errno::EEXIST) => {}
                Err(cause) => return Err(cause),
            },
            Err(cause) if matches!(cause.bare(), Cause::NotReady { .. }) => {
                let is_gone = discard_unfinished(wanted, &mut silence)?;
                if !is_gone && is_over(wait) {
                    return Err(cause);
                }
            }
            // One of the attached processes may be dying, or others keep replacing the cortex.
            Err(Cause::Full { .. } | Cause::Busy(_)) if !is_over(in_use) => {}
            Err(_) if may_be_given && !is_over(wait) => {}
            result => return result,
        }
        attempts += 1;
        if attempts >= ATTEMPTS && is_over(wait) {
            return Err(OVERTAKEN);
        }
        pauses.sleep()?;
    }
}

/// Takes away what a creator began and did not finish, if it is known to be dead. Returns whether no unfinished cortex
/// is there any more.
///
/// # Errors
/// `Name`; `NotACortex`; `CleanSystem` (`EPERM`: it is another user's); `DirtySystem`.
fn discard_unfinished(wanted: Wanted<'_>, silence: &mut Silence) -> Result<bool, Cause> {
    let mapping: Mapping = match open_mapping(wanted.number) {
        Err(cause) if is_missing(&cause) => return Ok(true),
        result => result?,
    };
    check_name_in(&mapping, wanted)?;
    if observe(&mapping)? != Look::NotYet {
        return Ok(true);
    }
    let creator = creator(&mapping);
    let is_dead = match creator {
        Creator::Died => true,
        Creator::Lives | Creator::Unknown => {
            silence.of(mapping.id(), creator == Creator::Lives) >= CREATOR_GONE
        }
    };
    if is_dead {
        check_right_to_remove(&mapping)?;
        discard(&mapping, state::INITIALISING)?;
    }
    Ok(is_dead)
}
