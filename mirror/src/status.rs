//! The status of a mirrored cortex: a cortex of its own, which local programs read.
//!
//! It is also what keeps a second mirror of the same name away: it has room for one participant, the mirror, whose
//! place the kernel takes back however the mirror dies. Programs that read it are observers and need no place.

use crate::clock;
use crate::names::status_name;
use neocortex::{
    schema_of, Cortex, CortexBuilder, CortexError, CortexResult, Key, Observer, Permission, SeqLock,
};
use std::time::Duration;

/// The schema of the status cortex. In C and C++: `NEOCORTEX_MIRROR_STATUS_SCHEMA` in `neocortex_mirror.h`.
pub const SCHEMA: u64 = schema_of("neocortex-mirror status 1");

/// How often a status is written even where nothing happens.
pub const BEAT: Duration = Duration::from_millis(250);

/// What a mirror tells local programs about one cortex. The same structure is `neocortex_mirror_status` in
/// `neocortex_mirror.h`.
///
/// Its cortex has the name `neocortex-mirror/NAME`, where `NAME` is the local cortex's. Times are nanoseconds of
/// `CLOCK_MONOTONIC` of this host ([`now`]), which every process reads alike; 0 is never.
///
/// ```no_run
/// use neocortex_mirror::Status;
/// use std::time::Duration;
///
/// # fn main() -> neocortex::CortexResult<()> {
/// let status = Status::of("arm/pose")?.read()?;
/// if !status.is_alive(Duration::from_secs(3)) {
///     eprintln!("the origin is not there; the value is {:?} old at least", status.since_applied());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, neocortex::Shared)]
#[repr(C)]
pub struct Status {
    /// [`Status::PUBLISHES`] or [`Status::FOLLOWS`].
    pub role: u64,
    /// 1 where the origin's claim is there: for a publisher, its own. It is as old as `updated_at`:
    /// [`Status::is_alive`] looks at both.
    pub alive: u64,
    /// When the mirror wrote this, at least four times a second. Where it is older than that, the mirror itself is gone
    /// or stopped, and nothing here is known to hold any more.
    pub updated_at: u64,
    /// When the origin was heard last, or, for a publisher, when a follower asked last.
    pub heard_at: u64,
    /// When the value that the local cortex has was stored there; for a publisher, when it was sent.
    pub applied_at: u64,
    /// How old that value was at most when it was stored, in nanoseconds. It follows from the time between question and
    /// answer, and not from two hosts' clocks.
    pub age_at_most: u64,
    /// The version of that value at its origin.
    pub origin_version: u64,
    /// The newest version at the origin that is known here.
    pub known_version: u64,
    /// The version of the local cortex that has that value.
    pub local_version: u64,
    /// The term of the origin's claim.
    pub term: u64,
    /// The epoch of the origin's claim: versions of two epochs are not to be compared.
    pub epoch: u64,
    /// How many values were stored; for a publisher, sent.
    pub applied: u64,
    /// How many commits of the origin were left out, because a newer one was there.
    pub conflated: u64,
    /// How many commits were lost where every commit was asked for.
    pub missed: u64,
    /// How many answers were refused.
    pub refused: u64,
    /// How many commits others made to the local cortex. They are overwritten.
    pub foreign: u64,
    /// The mirror's process, in its own PID namespace: information for people.
    pub process: u64,
    /// The origin: ASCII, filled up with zeros.
    pub origin: [u8; 64],
}

impl Status {
    /// The mirror offers the local cortex to other hosts.
    pub const PUBLISHES: u64 = 1;
    /// The mirror writes to the local cortex what its origin has.
    pub const FOLLOWS: u64 = 2;

    /// Attaches to the status of a local cortex, read-only.
    ///
    /// # Errors
    /// As [`Observer::attach_with`]: `CleanSystem` (`ENOENT`) where no mirror has worked on that cortex.
    pub fn of(local: impl Into<Key>) -> CortexResult<Observer<Self>> {
        let options = neocortex::SegmentOptions::new().schema(SCHEMA);
        Observer::attach_with(status_name(&local.into()), &options)
    }

    /// Returns whether the origin was there not longer ago than `patience`, as far as the mirror knows. Under a second
    /// a mirror that is only slow may count as gone.
    pub fn is_alive(&self, patience: Duration) -> bool {
        self.alive == 1 && elapsed(self.updated_at).is_some_and(|age| age <= patience)
    }

    /// Returns how long ago the origin was heard last; `None` where it never was.
    pub fn since_heard(&self) -> Option<Duration> {
        elapsed(self.heard_at)
    }

    /// Returns how long ago the value was stored; `None` where none was. Together with `age_at_most` it says how old the
    /// value is at most.
    pub fn since_applied(&self) -> Option<Duration> {
        elapsed(self.applied_at)
    }

    /// Returns the name of the origin.
    pub fn origin(&self) -> &str {
        let length = self
            .origin
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(self.origin.len());
        std::str::from_utf8(&self.origin[..length]).unwrap_or_default()
    }

    pub(crate) fn new(role: u64) -> Self {
        Self {
            role,
            alive: 0,
            updated_at: 0,
            heard_at: 0,
            applied_at: 0,
            age_at_most: 0,
            origin_version: 0,
            known_version: 0,
            local_version: 0,
            term: 0,
            epoch: 0,
            applied: 0,
            conflated: 0,
            missed: 0,
            refused: 0,
            foreign: 0,
            process: u64::from(std::process::id()),
            origin: [0; 64],
        }
    }

    pub(crate) fn set_origin(&mut self, origin: &str) {
        self.origin = [0; 64];
        let length = origin.len().min(self.origin.len());
        self.origin[..length].copy_from_slice(&origin.as_bytes()[..length]);
    }
}

/// Returns nanoseconds of `CLOCK_MONOTONIC` now: what the times of a [`Status`] are compared with.
pub fn now() -> u64 {
    clock::monotonic()
}

fn elapsed(since: u64) -> Option<Duration> {
    (since != 0).then(|| Duration::from_nanos(now().saturating_sub(since)))
}

/// The status cortexes of one mirrored cortex, as the mirror has them.
pub struct Board {
    held: Cortex<Status, SeqLock>,
    copy: Option<Cortex<Status, SeqLock>>,
    written_at: u64,
}

impl Board {
    /// Makes the status cortex, or takes over that of a mirror that has died.
    ///
    /// # Errors
    /// `Full` where another mirror of this name is at work.
    pub fn new(
        local: &Key,
        copy: Option<&Key>,
        mode: Permission,
        first: Status,
    ) -> CortexResult<Self> {
        let open = |key: Key, participants| -> CortexResult<Cortex<Status, SeqLock>> {
            // Its reader may not write, whoever may write to the value.
            let readers = Permission::Custom(mode.mode() & 0o444 | 0o200);
            let builder = CortexBuilder::new(first).key(key).schema(SCHEMA);
            let cortex = builder
                .permission(readers)
                .participants(participants)
                .create_or_attach()?;
            // A mirror that was killed was its owner. Where it was another user's, it stays theirs.
            match cortex.take_ownership() {
                Ok(()) | Err(CortexError::CleanSystem(_)) => Ok(cortex),
                Err(error) => Err(error),
            }
        };
        Ok(Self {
            held: open(status_name(local).into(), 1)?,
            copy: copy.map(|key| open(key.clone(), 2)).transpose()?,
            written_at: 0,
        })
    }

    /// Writes the status, where it was not written for a while or `is_news`.
    pub fn write(&mut self, status: &mut Status, is_news: bool) {
        let now = clock::monotonic();
        if !is_news && now - self.written_at < BEAT.as_nanos() as u64 {
            return;
        }
        self.written_at = now;
        status.updated_at = now;
        for cortex in std::iter::once(&self.held).chain(&self.copy) {
            if let Err(error) = cortex.write(*status) {
                tracing::warn!("the status cannot be written: {error}");
            }
        }
    }

    /// Returns whether the status was removed from the kernel's tables, and with it what keeps a second mirror away.
    pub fn is_lost(&self) -> bool {
        self.held.segment().is_removed()
    }
}
