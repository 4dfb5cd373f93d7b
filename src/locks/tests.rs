//! Every lock through its trait: two handles of one thread, which are two participants. What other processes and
//! threads do is in `tests/`.

use super::*;
use crate::error::CortexError;
use crate::protocol::owner_word;
use crate::segment::{Segment, SegmentOptions};

/// A segment, and the lock of one handle on it.
///
/// What an attached one is asked for, another thread asks: a thread is told at once that it holds the lock itself.
pub(super) struct Handle<L: CortexSync> {
    is_elsewhere: bool,
    pub(super) lock: L,
    pub(super) segment: Segment<L>,
}

impl<L: CortexSync> Handle<L> {
    pub(super) fn create() -> Self {
        Self::of(SegmentOptions::new().create_random(64).unwrap(), false)
    }

    pub(super) fn attach(&self) -> Self {
        Self::of(
            SegmentOptions::new()
                .attach(self.segment.key(), 64)
                .unwrap(),
            true,
        )
    }

    fn of(segment: Segment<L>, is_elsewhere: bool) -> Self {
        let site = LockSite {
            attachment: &segment.attachment,
            permission: Permission::OwnerOnly,
        };
        let lock = L::attach(site).unwrap();
        Self {
            is_elsewhere,
            lock,
            segment,
        }
    }

    /// Asks from this thread in any case.
    pub(super) fn lock_here(
        &self,
        work: impl FnOnce(&L, Wait) -> CortexResult<()>,
    ) -> CortexResult<()> {
        work(&self.lock, Wait::Never)
    }

    fn on_its_thread<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        if self.is_elsewhere {
            return std::thread::scope(|scope| scope.spawn(work).join().unwrap());
        }
        work()
    }

    pub(super) fn read_lock(&self, wait: Wait) -> CortexResult<()> {
        // SAFETY: no reference into the payload is made in these tests.
        self.on_its_thread(|| unsafe { self.lock.read_lock(wait) })
    }

    pub(super) fn write_lock(&self, wait: Wait) -> CortexResult<()> {
        // SAFETY: as above.
        self.on_its_thread(|| unsafe { self.lock.write_lock(wait) })
    }

    pub(super) fn release(&self, access: Access) -> CortexResult<()> {
        // SAFETY: as above.
        self.on_its_thread(|| unsafe { self.lock.release(access) })
    }

    pub(super) fn try_read_fast(&self, me: u32) -> bool {
        // SAFETY: as above.
        self.on_its_thread(|| unsafe { self.lock.try_read_fast(me, Seal::HERE) })
    }

    pub(super) fn try_write_fast(&self, me: u32) -> bool {
        // SAFETY: as above.
        self.on_its_thread(|| unsafe { self.lock.try_write_fast(me, Seal::HERE) })
    }

    pub(super) fn release_read(&self, me: u32) -> CortexResult<()> {
        // SAFETY: as above.
        self.on_its_thread(|| unsafe { self.lock.release_read(me, Seal::HERE) })
    }

    pub(super) fn id(&self) -> u32 {
        self.segment.attachment.me().unwrap().0
    }

    /// Returns the owner word, with which the lock area begins.
    pub(super) fn word(&self) -> &crate::protocol::atomics::AtomicU32 {
        self.segment
            .attachment
            .mapped
            .lock_word(0)
            .expect("a built-in lock")
    }

    /// Returns what the set's parking semaphore has.
    fn parked(&self) -> u16 {
        self.segment.attachment.beacons.set().value(5).unwrap()
    }
}

#[track_caller]
pub(super) fn is_late(result: CortexResult<()>, expected: &str) {
    match result {
        Err(CortexError::Timeout { operation, .. }) => assert_eq!(operation, expected),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(super) fn is_busy(result: CortexResult<()>) {
    assert!(
        matches!(result, Err(CortexError::Busy { .. })),
        "{result:?}"
    );
}

macro_rules! every_lock {
    ($($function:ident)*) => { $(
        mod $function {
            use super::*;

            #[test]
            fn seqlock() {
                super::$function::<SeqLock>();
            }

            #[test]
            fn rwlock() {
                super::$function::<RwLock>();
            }

            #[cfg(feature = "semaphore")]
            #[test]
            fn semaphore() {
                super::$function::<Semaphore>();
            }
        }
    )* };
}

every_lock! {
    a_writer_excludes_everybody
    a_reader_excludes_writers
    fast_paths_take_what_is_free
    a_dead_holders_slot_is_settled
    a_leaving_holder_wakes_who_waits
}

fn a_writer_excludes_everybody<L: CortexSync>() {
    let a = Handle::<L>::create();
    let b = a.attach();
    for _ in 0..2 {
        a.write_lock(Wait::Never).unwrap();
        assert_eq!(a.word().load(core::sync::atomic::Ordering::Relaxed), a.id());
        is_late(b.write_lock(Wait::Never), "write");
        is_late(b.read_lock(Wait::Never), "read");
        is_busy(a.write_lock(Wait::Never));
        is_busy(a.read_lock(Wait::Never));
        assert!(!b.try_write_fast(b.id()) && !b.try_read_fast(b.id()));
        a.release(Access::Write).unwrap();
        b.write_lock(Wait::Never).unwrap();
        b.release(Access::Write).unwrap();
    }
}

fn a_reader_excludes_writers<L: CortexSync>() {
    let a = Handle::<L>::create();
    let b = a.attach();
    a.read_lock(Wait::Never).unwrap();
    is_late(b.write_lock(Wait::Never), "write");
    assert!(!b.try_write_fast(b.id()));
    a.release(Access::Read).unwrap();
    b.write_lock(Wait::Never).unwrap();
    b.release(Access::Write).unwrap();
    b.read_lock(Wait::Never).unwrap();
    b.release_read(b.id()).unwrap();
    a.write_lock(Wait::Never).unwrap();
    a.release(Access::Write).unwrap();
}

fn fast_paths_take_what_is_free<L: CortexSync>() {
    let a = Handle::<L>::create();
    let b = a.attach();
    for _ in 0..2 {
        assert!(a.try_write_fast(a.id()));
        is_late(b.write_lock(Wait::Never), "write");
        is_late(b.read_lock(Wait::Never), "read");
        is_busy(a.write_lock(Wait::Never));
        a.release(Access::Write).unwrap();
        assert!(a.try_read_fast(a.id()));
        is_late(b.write_lock(Wait::Never), "write");
        a.release_read(a.id()).unwrap();
    }
}

fn a_dead_holders_slot_is_settled<L: CortexSync>() {
    let a = Handle::<L>::create();
    let b = a.attach();
    let slot = a.segment.attachment.me().unwrap().slot().unwrap();
    let memory = a.segment.attachment.lock_memory();
    a.write_lock(Wait::Never).unwrap();
    // SAFETY: the lock's own area; nobody else uses the segment.
    unsafe { L::settle(memory, slot + 1) };
    is_late(b.write_lock(Wait::Never), "write");
    // SAFETY: as above.
    unsafe { L::settle(memory, slot) };
    b.write_lock(Wait::Never).unwrap();
    b.release(Access::Write).unwrap();
}

fn a_leaving_holder_wakes_who_waits<L: CortexSync>() {
    use core::sync::atomic::Ordering::Relaxed;
    let a = Handle::<L>::create();
    a.write_lock(Wait::Never).unwrap();
    a.release(Access::Write).unwrap();
    assert_eq!(a.parked(), 0, "nobody waits");
    a.write_lock(Wait::Never).unwrap();
    a.word().fetch_or(owner_word::WAITERS, Relaxed);
    a.release(Access::Write).unwrap();
    assert_eq!(a.word().load(Relaxed), 0);
    // A sleeper on the word itself leaves no trace here.
    assert_eq!(a.parked(), u16::from(L::NAME == "semaphore"));
}

/// Part of the format: an attacher compares it.
#[test]
fn a_lock_keeps_as_many_bytes_as_ever() {
    assert_eq!((SeqLock::SHARED_SIZE, RwLock::SHARED_SIZE), (4, 8));
    #[cfg(feature = "semaphore")]
    assert_eq!(Semaphore::SHARED_SIZE, 4);
}

#[test]
#[cfg(feature = "semaphore")]
fn a_semaphore_cortex_has_the_permission_of_its_settings() {
    assert_eq!(Semaphore::permission(None), Permission::OwnerOnly);
    let mode = Permission::OwnerAndGroup;
    let settings = SemaphoreSettings { mode };
    assert_eq!(Semaphore::permission(Some(&settings)), mode);
}

/// A lock that has only what it must have.
struct Plain<const OPTIMISTIC: bool> {
    release: std::cell::Cell<Option<Access>>,
}

// SAFETY: never used by more than the one thread of the test.
unsafe impl<const OPTIMISTIC: bool> Sync for Plain<OPTIMISTIC> {}

// SAFETY: it locks nothing, and is given nothing to lock.
unsafe impl<const OPTIMISTIC: bool> CortexSync for Plain<OPTIMISTIC> {
    type Settings = ();
    const NAME: &'static str = "plain";
    const OPTIMISTIC_READS: bool = OPTIMISTIC;

    fn new(_site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
        unreachable!()
    }

    fn attach(_site: LockSite<'_>) -> CortexResult<Self> {
        unreachable!()
    }

    unsafe fn read_lock(&self, _wait: Wait) -> CortexResult<()> {
        unreachable!()
    }

    unsafe fn write_lock(&self, _wait: Wait) -> CortexResult<()> {
        unreachable!()
    }

    unsafe fn release(&self, access: Access) -> CortexResult<()> {
        self.release.set(Some(access));
        Ok(())
    }

    fn force_ownership(&mut self) {}
}

#[test]
fn a_lock_that_says_nothing_more_has_no_fast_path() {
    let release = std::cell::Cell::new(None);
    let lock = Plain::<false> { release };
    let seal = Seal::HERE;
    // SAFETY: it locks nothing.
    unsafe {
        assert!(!lock.try_read_fast(2, seal) && !lock.try_write_fast(2, seal));
        lock.release_read(2, seal).unwrap();
    }
    assert_eq!(lock.release.get(), Some(Access::Read));
    assert!(!lock.is_optimistic(seal));
    let release = std::cell::Cell::new(None);
    assert!(Plain::<true> { release }.is_optimistic(seal));
}
