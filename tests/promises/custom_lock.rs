//! A lock from outside the crate: its memory, its codes, its settings, and who is alive.

use crate::common::{segment_id, Child, Kernel, Role};
use neocortex::{
    inspect, Access, Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, LockSite,
    Observer, Participants, Permission, RwLock, Segment, SegmentOptions, Semaphore, SeqLock, Wait,
};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A spin lock: the word is 0 or its holder, and a dead holder is passed.
#[derive(Debug)]
struct Spin {
    word: NonNull<AtomicU32>,
    participants: Participants,
}

// SAFETY: the pointer is to an atomic in the mapping, which `participants` keeps alive.
unsafe impl Send for Spin {}
// SAFETY: as above.
unsafe impl Sync for Spin {}

impl Spin {
    fn word(&self) -> &AtomicU32 {
        // SAFETY: the lock's own four bytes, aligned to 64; see above.
        unsafe { self.word.as_ref() }
    }

    fn lock(&self, wait: Wait) -> CortexResult<()> {
        let me = self.participants.id()?;
        loop {
            let holder =
                match self
                    .word()
                    .compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed)
                {
                    Ok(_) => return Ok(()),
                    Err(holder) => holder,
                };
            if !self.participants.is_alive(holder) {
                // An identifier is never used again (not within 2^18 tenants of the slot), so this
                // hits the dead one or nothing.
                let _ =
                    self.word()
                        .compare_exchange(holder, 0, Ordering::AcqRel, Ordering::Relaxed);
            } else if wait.left() == Some(Duration::ZERO) {
                return Err(CortexError::Custom(110));
            } else {
                std::thread::yield_now();
            }
        }
    }
}

/// What `Spin` is told when it is made.
#[derive(Clone, Copy)]
struct SpinSettings {
    permission: Permission,
    /// Fails with this, if it is not 0.
    code: i32,
}

// SAFETY: the word is taken by compare-and-swap from 0 and given back with release; only a holder
// that is dead is robbed.
unsafe impl CortexSync for Spin {
    type Settings = SpinSettings;
    const NAME: &'static str = "test-spin";
    const SHARED_SIZE: usize = 100;

    fn new(site: LockSite<'_>, settings: Option<&SpinSettings>) -> CortexResult<Self> {
        if let Some(settings) = settings {
            assert_eq!(site.permission().mode(), settings.permission.mode());
            if settings.code != 0 {
                return Err(CortexError::Custom(settings.code));
            }
        }
        // SAFETY: SHARED_SIZE bytes, nobody else's yet.
        let memory = unsafe { std::slice::from_raw_parts(site.memory().as_ptr(), 100) };
        assert_eq!(memory, [0; 100], "zeroed");
        assert_eq!(site.memory().addr().get() % 64, 0);
        let me = site.participant()?;
        assert!(me != 0 && site.is_alive(me) && !site.is_alive(0));
        let slot = |id| site.participants().slot(id);
        assert!(slot(me).is_some_and(|slot| slot < 4096));
        // Whatever a peer has written where an id is looked for.
        assert_eq!(
            (slot(0), slot(u32::MAX), slot(me | 1 << 31)),
            (None, None, None)
        );
        assert_ne!(site.key(), 0);
        // SAFETY: as above. The last byte, to see that all of them are the lock's.
        unsafe { site.memory().add(99).write(0x5A) };
        Self::attach(site)
    }

    fn attach(site: LockSite<'_>) -> CortexResult<Self> {
        // SAFETY: within SHARED_SIZE, written before anybody could attach.
        assert_eq!(unsafe { site.memory().add(99).read() }, 0x5A);
        Ok(Self {
            word: site.memory().cast(),
            participants: site.participants(),
        })
    }

    unsafe fn read_lock(&self, wait: Wait) -> CortexResult<()> {
        self.lock(wait)
    }

    unsafe fn write_lock(&self, wait: Wait) -> CortexResult<()> {
        self.lock(wait)
    }

    unsafe fn release(&self, _access: Access) -> CortexResult<()> {
        self.word().store(0, Ordering::Release);
        Ok(())
    }

    fn force_ownership(&mut self) {}

    fn permission(settings: Option<&SpinSettings>) -> Permission {
        settings.map_or(Permission::OwnerOnly, |settings| settings.permission)
    }
}

type Value = [u64; 50];

fn create(kernel: &Kernel) -> Cortex<Value, Spin> {
    CortexBuilder::new([0; 50])
        .key(kernel.key())
        .with_default_lock()
        .unwrap()
}

#[test]
fn lock_from_outside_excludes_among_processes() {
    let kernel = Kernel::new();
    let cortex = create(&kernel);
    let children: Vec<_> = (0..3)
        .map(|_| Child::spawn("role_count_under_a_spin_lock", &[&cortex.key()]))
        .collect();
    for _ in 0..500 {
        let mut guard = cortex.write_guard().unwrap();
        guard.iter_mut().for_each(|count| *count += 1);
        guard.commit().unwrap();
        let value = cortex.read().unwrap();
        assert!(value.iter().all(|&count| count == value[0]));
    }
    children.into_iter().for_each(Child::finish);
    assert_eq!(cortex.read().unwrap(), [2000; 50]);
    assert_eq!(
        Observer::<Value>::attach(cortex.key())
            .unwrap()
            .read()
            .unwrap(),
        [2000; 50]
    );
}

#[test]
fn role_count_under_a_spin_lock() {
    let Some(role) = Role::of("role_count_under_a_spin_lock") else {
        return;
    };
    let cortex: Cortex<Value, Spin> = Cortex::attach(role.key()).unwrap();
    for _ in 0..500 {
        cortex
            .update(|value| value.iter_mut().for_each(|count| *count += 1))
            .unwrap();
        let guard = cortex.read_guard().unwrap();
        assert!(guard.iter().all(|&count| count == guard[0]));
    }
}

#[test]
fn lock_from_outside_passes_a_dead_holder() {
    let kernel = Kernel::new();
    let cortex = create(&kernel);
    for round in 0..20 {
        let mut child = Child::spawn("role_hold_a_spin_lock", &[&cortex.key()]);
        child.expect("held");
        // Its own code comes back.
        assert!(matches!(
            cortex.try_write([9; 50]),
            Err(CortexError::Custom(110))
        ));
        assert!(matches!(cortex.try_read(), Err(CortexError::Custom(110))));
        cortex.set_timeout(Some(Duration::from_millis(3)));
        assert!(matches!(
            cortex.update(|_| ()),
            Err(CortexError::Custom(110))
        ));
        assert!(matches!(
            cortex.read_guard().map(drop),
            Err(CortexError::Custom(110))
        ));
        cortex.set_timeout(None);
        child.kill();
        assert_eq!(cortex.read().unwrap(), [round; 50]);
        cortex.write([round + 1; 50]).unwrap();
    }
}

#[test]
fn role_hold_a_spin_lock() {
    let Some(role) = Role::of("role_hold_a_spin_lock") else {
        return;
    };
    let cortex: Cortex<Value, Spin> = Cortex::attach(role.key()).unwrap();
    let mut guard = cortex.write_guard().unwrap();
    guard.fill(99);
    role.say("held");
    role.listen();
}

#[test]
fn settings_choose_the_permission_and_reach_the_lock() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let settings = SpinSettings {
        permission: Permission::OwnerAndGroup,
        code: 0,
    };
    let _cortex = CortexBuilder::new(1_u8)
        .key(key)
        .with_lock::<Spin>(&settings)
        .unwrap();
    let id = crate::common::segment_id(key).unwrap();
    let mode = u32::from(crate::common::segment_status(id).unwrap().shm_perm.mode) & 0o777;
    assert_eq!(
        (mode, crate::common::set_mode(crate::common::sets_of(id)[0])),
        (0o660, 0o660)
    );
}

#[test]
fn lock_that_cannot_be_made_leaves_nothing_behind() {
    let kernel = Kernel::new();
    for _ in 0..20 {
        let key = kernel.key();
        let settings = SpinSettings {
            permission: Permission::OwnerOnly,
            code: 7,
        };
        let build = || CortexBuilder::new(1.0).key(key);
        for builder in [
            build(),
            build().force_ownership(),
            build().replace_stale(),
            build().persist(),
        ] {
            let error = builder.with_lock::<Spin>(&settings).unwrap_err();
            assert!(matches!(error, CortexError::Custom(7)), "{error}");
            assert!(segment_id(key).is_none());
        }
        let random = CortexBuilder::new(1.0)
            .random_key()
            .with_lock::<Spin>(&settings);
        assert!(matches!(random, Err(CortexError::Custom(7))));
        CortexBuilder::new(1.0)
            .key(key)
            .create()
            .expect("the key is free");
    }
}

#[test]
fn other_locks_and_sizes_are_told_apart() {
    let kernel = Kernel::new();
    let cortex = create(&kernel);
    let error = Cortex::<Value, SeqLock>::attach(cortex.key()).unwrap_err();
    let CortexError::Lock {
        expected, found, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (expected.as_str(), found.as_str()),
        ("seqlock", "test-spin")
    );
    assert_eq!(cortex.segment().lock_name(), "test-spin");
    let plain = CortexBuilder::new([0_u64; 50])
        .key(kernel.key())
        .create()
        .unwrap();
    let error = Cortex::<Value, Spin>::attach(plain.key()).unwrap_err();
    assert!(matches!(error, CortexError::Lock { .. }), "{error}");
}

/// A lock for one thread of one process, that fails or panics where it is told to.
#[derive(Debug)]
struct Faulty<const HOW: u32>;

const FAILS_TO_ATTACH: u32 = 1;
const PANICS_TO_MAKE: u32 = 2;
const PANICS_TO_ATTACH: u32 = 3;
const FAILS_TO_READ: u32 = 4;
const FAILS_TO_RELEASE: u32 = 5;

// SAFETY: used by one thread, and nothing is shared through it.
unsafe impl<const HOW: u32> CortexSync for Faulty<HOW> {
    type Settings = ();
    const NAME: &'static str = "test-faulty";

    fn new(_site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
        if HOW == PANICS_TO_MAKE {
            std::panic::panic_any("make");
        }
        Ok(Self)
    }

    fn attach(_site: LockSite<'_>) -> CortexResult<Self> {
        match HOW {
            FAILS_TO_ATTACH => Err(CortexError::Custom(-8)),
            PANICS_TO_ATTACH => std::panic::panic_any("attach"),
            _ => Ok(Self),
        }
    }

    unsafe fn read_lock(&self, _wait: Wait) -> CortexResult<()> {
        if HOW == FAILS_TO_READ {
            Err(CortexError::Custom(9))
        } else {
            Ok(())
        }
    }

    unsafe fn write_lock(&self, _wait: Wait) -> CortexResult<()> {
        if HOW == FAILS_TO_READ {
            Err(CortexError::Custom(10))
        } else {
            Ok(())
        }
    }

    unsafe fn release(&self, access: Access) -> CortexResult<()> {
        match (HOW, access) {
            (FAILS_TO_RELEASE, Access::Read) => Err(CortexError::Custom(11)),
            (FAILS_TO_RELEASE, Access::Write) => Err(CortexError::Custom(12)),
            _ => Ok(()),
        }
    }

    fn force_ownership(&mut self) {}
}

#[test]
fn what_a_release_fails_with_is_told_after_the_commit() {
    let kernel = Kernel::new();
    let cortex: Cortex<u64, Faulty<FAILS_TO_RELEASE>> = CortexBuilder::new(1)
        .key(kernel.key())
        .with_default_lock()
        .unwrap();
    let observer = Observer::<u64>::attach(cortex.key()).unwrap();
    let mut version = observer.version();
    let mut check = |error: CortexError, code: i32, commits: u64| {
        assert!(
            matches!(error, CortexError::Custom(found) if found == code),
            "{error}"
        );
        assert_eq!(observer.version(), version + commits, "{error}");
        version = observer.version();
    };
    check(cortex.update(|value| *value = 2).unwrap_err(), 12, 1);
    check(cortex.write(3).unwrap_err(), 12, 1);
    check(cortex.try_write(4).unwrap_err(), 12, 1);
    let mut guard = cortex.write_guard().unwrap();
    *guard = 5;
    check(guard.commit().unwrap_err(), 12, 1);
    check(cortex.write_guard().unwrap().abort().unwrap_err(), 12, 0);
    check(cortex.clear_poison().unwrap_err(), 12, 0);
    check(cortex.read().unwrap_err(), 11, 0);
    check(cortex.read_guard().unwrap().end().unwrap_err(), 11, 0);
    assert_eq!(observer.read().unwrap(), 5);
}

/// The word that waiters sleep on is changed as well, or they would sleep until their slice is over.
#[test]
fn a_failing_release_wakes_who_waits_for_the_commit() {
    use inspect::segment;
    let kernel = Kernel::new();
    let cortex: Cortex<u64, Faulty<FAILS_TO_RELEASE>> = CortexBuilder::new(1)
        .key(kernel.key())
        .with_default_lock()
        .unwrap();
    let key = cortex.key();
    let is_awaited = || segment(key).unwrap().waiting.for_change;
    type Write = fn(&Cortex<u64, Faulty<FAILS_TO_RELEASE>>) -> CortexResult<()>;
    let writes: [Write; 3] = [
        |cortex| cortex.update(|value| *value += 1),
        |cortex| cortex.write(7),
        |cortex| cortex.write_guard()?.commit(),
    ];
    for write in writes {
        // A waiter that gives up leaves its flag.
        let late = cortex.wait_changed(cortex.version(), Some(Duration::ZERO));
        assert!(matches!(late, Err(CortexError::Timeout { .. })) && is_awaited());
        write(&cortex).unwrap_err();
        assert!(!is_awaited(), "whoever had slept would have been woken");
    }
}

#[test]
fn lock_that_cannot_be_attached_leaves_no_participant() {
    let kernel = Kernel::new();
    let owner: Cortex<u64, Faulty<0>> = CortexBuilder::new(1)
        .key(kernel.key())
        .participants(3)
        .with_default_lock()
        .unwrap();
    for _ in 0..10 {
        let error = Cortex::<u64, Faulty<FAILS_TO_ATTACH>>::attach(owner.key()).unwrap_err();
        assert!(matches!(error, CortexError::Custom(-8)), "{error}");
        assert_eq!(owner.segment().participants().unwrap().0, 1);
    }
    let id = crate::common::segment_id(owner.key()).unwrap();
    // Detached again. A process that another test is just starting has our mappings until it runs its program.
    while crate::common::segment_status(id).unwrap().shm_nattch != 1 {
        std::thread::yield_now();
    }
}

#[test]
fn codes_of_the_lock_come_back_and_change_nothing() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let good: Cortex<u64, Faulty<0>> = CortexBuilder::new(1).key(key).with_default_lock().unwrap();
    let cortex: Cortex<u64, Faulty<FAILS_TO_READ>> = Cortex::attach(key).unwrap();
    assert!(matches!(cortex.read(), Err(CortexError::Custom(9))));
    assert!(matches!(
        cortex.read_guard().map(drop),
        Err(CortexError::Custom(9))
    ));
    assert!(matches!(cortex.write(2), Err(CortexError::Custom(10))));
    assert!(matches!(
        cortex.update(|_| panic!("not held")),
        Err::<(), _>(CortexError::Custom(10))
    ));
    assert!(matches!(
        cortex.write_guard().map(drop),
        Err(CortexError::Custom(10))
    ));
    assert_eq!((good.read().unwrap(), good.version()), (1, 0));
}

#[test]
fn lock_that_panics_while_it_is_made_leaves_nothing_behind() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let result = std::panic::catch_unwind(|| {
        CortexBuilder::new(1_u64)
            .key(key)
            .with_default_lock::<Faulty<PANICS_TO_MAKE>>()
    });
    assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "make");
    assert!(segment_id(key).is_none());
}

#[test]
fn lock_that_panics_while_it_is_attached_leaves_no_participant() {
    let kernel = Kernel::new();
    let owner: Cortex<u64, Faulty<0>> = CortexBuilder::new(1)
        .key(kernel.key())
        .with_default_lock()
        .unwrap();
    let key = owner.key();
    let result =
        std::panic::catch_unwind(|| Cortex::<u64, Faulty<PANICS_TO_ATTACH>>::attach(key).map(drop));
    assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "attach");
    assert_eq!(owner.segment().participants().unwrap().0, 1);
}

#[test]
fn shared_size_that_differs_from_the_segments_is_refused() {
    /// The same name, but more memory than the segment has for it.
    #[derive(Debug)]
    struct Greedy;

    // SAFETY: never attached.
    unsafe impl CortexSync for Greedy {
        type Settings = ();
        const NAME: &'static str = "test-faulty";
        const SHARED_SIZE: usize = 4096;

        fn new(_site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
            Ok(Self)
        }

        fn attach(_site: LockSite<'_>) -> CortexResult<Self> {
            panic!("attached to memory that is not there");
        }

        unsafe fn read_lock(&self, _wait: Wait) -> CortexResult<()> {
            Ok(())
        }

        unsafe fn write_lock(&self, _wait: Wait) -> CortexResult<()> {
            Ok(())
        }

        unsafe fn release(&self, _access: Access) -> CortexResult<()> {
            Ok(())
        }

        fn force_ownership(&mut self) {}
    }
    let kernel = Kernel::new();
    let key = kernel.key();
    let options = SegmentOptions::new();
    let _small: Segment<Faulty<0>> = options.create(key, 8).unwrap();
    let error = options.attach::<Greedy>(key, 8).unwrap_err();
    let CortexError::Layout {
        what,
        expected,
        found,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((what, expected, found), ("lock size", 4096, 0));
}

/// A built-in lock within another one is given no memory that the other has not asked for.
#[test]
fn lock_built_upon_another_must_keep_as_much() {
    struct Upon<L, const SIZE: usize>(L);
    // SAFETY: all of it is the inner lock's.
    unsafe impl<L: CortexSync, const SIZE: usize> CortexSync for Upon<L, SIZE> {
        type Settings = ();
        const NAME: &'static str = "test-upon";
        const SHARED_SIZE: usize = SIZE;

        fn new(site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
            L::new(site, None).map(Self)
        }

        fn attach(site: LockSite<'_>) -> CortexResult<Self> {
            L::attach(site).map(Self)
        }

        unsafe fn read_lock(&self, wait: Wait) -> CortexResult<()> {
            // SAFETY: the caller's promise.
            unsafe { self.0.read_lock(wait) }
        }

        unsafe fn write_lock(&self, wait: Wait) -> CortexResult<()> {
            // SAFETY: the caller's promise.
            unsafe { self.0.write_lock(wait) }
        }

        unsafe fn release(&self, access: Access) -> CortexResult<()> {
            // SAFETY: the caller's promise.
            unsafe { self.0.release(access) }
        }

        fn force_ownership(&mut self) {}
    }
    fn has_room<L: CortexSync, const SIZE: usize>(kernel: &Kernel) -> bool {
        let created = CortexBuilder::new(1_u64)
            .key(kernel.key())
            .with_default_lock::<Upon<L, SIZE>>();
        match created {
            Ok(cortex) => {
                cortex.update(|value| *value += 1).unwrap();
                assert_eq!(cortex.read().unwrap(), 2);
                true
            }
            Err(CortexError::Layout {
                what: "lock size",
                found,
                ..
            }) => {
                assert_eq!(found, SIZE as u64);
                false
            }
            Err(error) => panic!("{error}"),
        }
    }
    let kernel = Kernel::new();
    assert!(!has_room::<SeqLock, 0>(&kernel) && !has_room::<SeqLock, 3>(&kernel));
    assert!(has_room::<SeqLock, 4>(&kernel));
    assert!(!has_room::<RwLock, 4>(&kernel) && has_room::<RwLock, 8>(&kernel));
    assert!(!has_room::<Semaphore, 0>(&kernel) && has_room::<Semaphore, 100>(&kernel));
}

#[test]
fn names_that_cannot_be_are_refused() {
    macro_rules! named {
        ($name:literal) => {{
            #[derive(Debug)]
            struct Named;
            // SAFETY: never made.
            unsafe impl CortexSync for Named {
                type Settings = ();
                const NAME: &'static str = $name;
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
                unsafe fn release(&self, _access: Access) -> CortexResult<()> {
                    unreachable!()
                }
                fn force_ownership(&mut self) {}
            }
            let result = CortexBuilder::new(1_u8)
                .random_key()
                .with_default_lock::<Named>();
            let error = result.map(drop).unwrap_err();
            assert!(
                matches!(error, CortexError::InvalidArgument { .. }),
                "{error}"
            );
        }};
    }
    let _kernel = Kernel::new();
    named!("");
    named!("a\0b");
    named!("0123456789012345678901234567890123456789012345678901234567890123");
}

#[test]
fn cortex_with_a_lock_from_outside_is_replaced_and_removed_by_who_does_not_know_it() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let leave = || {
        let builder = CortexBuilder::new(1_u8).key(key);
        crate::common::fork(|| std::mem::forget(builder.with_default_lock::<Spin>().unwrap()))
            .join();
    };
    leave();
    let cortex = CortexBuilder::new(2_u8)
        .key(key)
        .replace_stale()
        .create()
        .unwrap();
    assert_eq!(cortex.read().unwrap(), 2);
    drop(cortex);
    leave();
    inspect::remove(key).unwrap();
    leave();
    inspect::reclaim(key).unwrap();
    assert!(segment_id(key).is_none());
}
