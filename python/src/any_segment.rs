//! A segment whose lock is known only at run time: one of the three built-in locks, or an observer.

use neocortex::{
    CortexError, CortexResult, CortexSync, Key, Member, ReadGuard, RwLock, Segment,
    SegmentFollower, SegmentObserver, SegmentOptions, Semaphore, SeqLock, WaitSet, WriteGuard,
};
use std::time::Duration;

pub(crate) enum AnySegment {
    SeqLock(Segment<SeqLock>),
    RwLock(Segment<RwLock>),
    Semaphore(Segment<Semaphore>),
    Observer(SegmentObserver),
}

/// Calls what participants and observers have.
macro_rules! any {
    ($any:expr, $it:ident => $call:expr) => {
        match $any {
            AnySegment::SeqLock($it) => $call,
            AnySegment::RwLock($it) => $call,
            AnySegment::Semaphore($it) => $call,
            AnySegment::Observer($it) => $call,
        }
    };
}

/// Calls what participants alone have; for an observer it is `$else`.
macro_rules! participant {
    ($any:expr, $it:ident => $call:expr, $observer:ident => $else:expr) => {
        match $any {
            AnySegment::SeqLock($it) => $call,
            AnySegment::RwLock($it) => $call,
            AnySegment::Semaphore($it) => $call,
            AnySegment::Observer($observer) => $else,
        }
    };
}

/// The name of a lock, for `create`.
#[derive(Clone, Copy)]
pub(crate) enum LockChoice {
    SeqLock,
    RwLock,
    Semaphore,
}

impl LockChoice {
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::SeqLock, Self::RwLock, Self::Semaphore]
            .into_iter()
            .zip([SeqLock::NAME, RwLock::NAME, Semaphore::NAME])
            .find_map(|(lock, its)| (its == name).then_some(lock))
    }
}

impl AnySegment {
    pub(crate) fn create(
        options: &SegmentOptions,
        lock: LockChoice,
        key: &Key,
        initial: &[u8],
    ) -> CortexResult<Self> {
        Ok(match lock {
            LockChoice::SeqLock => Self::SeqLock(options.create_with(key, initial)?),
            LockChoice::RwLock => Self::RwLock(options.create_with(key, initial)?),
            LockChoice::Semaphore => Self::Semaphore(options.create_with(key, initial)?),
        })
    }

    /// Attaches with the lock that the segment was made with.
    pub(crate) fn attach(options: &SegmentOptions, key: &Key, size: usize) -> CortexResult<Self> {
        match options.attach(key, size).map(Self::SeqLock) {
            Err(CortexError::Lock { found, .. }) if found == RwLock::NAME => {
                options.attach(key, size).map(Self::RwLock)
            }
            Err(CortexError::Lock { found, .. }) if found == Semaphore::NAME => {
                options.attach(key, size).map(Self::Semaphore)
            }
            result => result,
        }
    }

    pub(crate) fn observe(options: &SegmentOptions, key: &Key, size: usize) -> CortexResult<Self> {
        SegmentObserver::attach_with(key, size, options).map(Self::Observer)
    }

    pub(crate) fn key(&self) -> i32 {
        any!(self, it => it.key())
    }

    pub(crate) fn name(&self) -> &str {
        any!(self, it => it.name())
    }

    pub(crate) fn size(&self) -> usize {
        any!(self, it => it.size())
    }

    #[inline]
    pub(crate) fn version(&self) -> u64 {
        any!(self, it => it.version())
    }

    pub(crate) fn schema(&self) -> u64 {
        any!(self, it => it.schema())
    }

    pub(crate) fn lock_name(&self) -> &str {
        any!(self, it => it.lock_name())
    }

    pub(crate) fn is_removed(&self) -> bool {
        any!(self, it => it.is_removed())
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        any!(self, it => it.is_poisoned())
    }

    pub(crate) fn participants(&self) -> CortexResult<(u32, u32)> {
        any!(self, it => it.participants())
    }

    pub(crate) fn stop_waits(&self) {
        any!(self, it => it.stop_waits())
    }

    pub(crate) fn follow(&self, since: u64) -> SegmentFollower<'_> {
        any!(self, it => it.follow(since))
    }

    pub(crate) fn kept_since(&self) -> u64 {
        any!(self, it => it.kept_since())
    }

    pub(crate) fn wait_changed(&self, since: u64, timeout: Option<Duration>) -> CortexResult<u64> {
        any!(self, it => it.wait_changed(since, timeout))
    }

    /// Adds it to a set, which tells of another version than `since`.
    pub(crate) fn join(&self, set: &mut WaitSet, since: u64) -> Member {
        any!(self, it => set.add_since(it, since))
    }

    /// Reads without a wait: `Timeout` where there would be one.
    #[inline]
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> CortexResult<()> {
        participant!(self, it => it.try_read_at(0, buffer), it => it.read_at_for(Duration::ZERO, 0, buffer))
    }

    pub(crate) fn read(&self, timeout: Duration, buffer: &mut [u8]) -> CortexResult<u64> {
        any!(self, it => it.read_versioned_for(timeout, 0, buffer))
    }

    #[inline]
    pub(crate) fn try_write(&self, data: &[u8]) -> CortexResult<()> {
        participant!(self, it => it.try_write_at(0, data), it => read_only(it.key(), "write"))
    }

    pub(crate) fn write(&self, timeout: Duration, data: &[u8]) -> CortexResult<()> {
        participant!(self, it => it.write_at_for(timeout, 0, data), it => read_only(it.key(), "write"))
    }

    pub(crate) fn clear_poison(&self) -> CortexResult<()> {
        participant!(self, it => it.clear_poison(), it => read_only(it.key(), "healing"))
    }

    pub(crate) fn is_owner(&self) -> bool {
        participant!(self, it => it.is_owner(), _it => false)
    }

    pub(crate) fn was_created(&self) -> bool {
        participant!(self, it => it.was_created(), _it => false)
    }

    pub(crate) fn persist(&self) {
        participant!(self, it => it.persist(), _it => ());
    }

    pub(crate) fn take_ownership(&self) -> CortexResult<()> {
        participant!(self, it => it.take_ownership(), it => read_only(it.key(), "taking ownership"))
    }

    pub(crate) fn close(self) -> CortexResult<()> {
        participant!(self, it => it.close(), it => { drop(it); Ok(()) })
    }

    pub(crate) fn begin(&self, access: Access, timeout: Duration) -> CortexResult<Guard<'_>> {
        participant!(self, it => Guard::begin(it, access, timeout), it => read_only(it.key(), "a block"))
    }
}

fn read_only<T>(key: i32, operation: &'static str) -> CortexResult<T> {
    Err(CortexError::ReadOnly { key, operation })
}

/// What a guard is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    /// The next value, which starts as the current one.
    Write,
    /// The next value, all of which is written.
    Overwrite,
}

/// A guard of a segment whose lock is known only at run time. It ends on the thread that began it.
pub(crate) enum Guard<'a> {
    Read(Box<dyn Reading + 'a>),
    Write(Box<dyn Writing + 'a>),
}

pub(crate) trait Reading {
    fn place(&self) -> *const u8;
    fn end(self: Box<Self>) -> CortexResult<()>;
}

pub(crate) trait Writing {
    fn place(&mut self) -> *mut u8;
    fn commit(self: Box<Self>) -> CortexResult<()>;
    fn abort(self: Box<Self>) -> CortexResult<()>;
}

impl<L: CortexSync> Reading for ReadGuard<'_, [u8], L> {
    fn place(&self) -> *const u8 {
        self.as_ptr()
    }

    fn end(self: Box<Self>) -> CortexResult<()> {
        (*self).end()
    }
}

impl<L: CortexSync> Writing for WriteGuard<'_, [u8], L> {
    fn place(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn commit(self: Box<Self>) -> CortexResult<()> {
        (*self).commit()
    }

    fn abort(self: Box<Self>) -> CortexResult<()> {
        (*self).abort()
    }
}

impl<'a> Guard<'a> {
    fn begin<L: CortexSync>(
        segment: &'a Segment<L>,
        access: Access,
        timeout: Duration,
    ) -> CortexResult<Self> {
        Ok(match access {
            Access::Read => Self::Read(Box::new(segment.read_guard_for(timeout)?)),
            Access::Write => Self::Write(Box::new(segment.write_guard_for(timeout)?)),
            Access::Overwrite => Self::Write(Box::new(segment.overwrite_guard_for(timeout)?)),
        })
    }

    /// Returns where the bytes are. Through a guard that reads, nobody writes there.
    pub(crate) fn place(&mut self) -> *mut u8 {
        match self {
            Self::Read(guard) => guard.place().cast_mut(),
            Self::Write(guard) => guard.place(),
        }
    }

    /// Commits what was written.
    pub(crate) fn commit(self) -> CortexResult<()> {
        match self {
            Self::Read(guard) => guard.end(),
            Self::Write(guard) => guard.commit(),
        }
    }

    /// Gives up what was written.
    pub(crate) fn abort(self) -> CortexResult<()> {
        match self {
            Self::Read(guard) => guard.end(),
            Self::Write(guard) => guard.abort(),
        }
    }
}
