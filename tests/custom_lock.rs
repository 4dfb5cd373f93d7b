//! A lock from outside the crate: its memory, its codes, its settings, and who is alive.

mod common;

use common::{segment_id, Child, Kernel, Role};
use neocortex::{
    inspect, Access, Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, LockSite,
    Observer, Participants, Permission, Segment, SegmentOptions, SeqLock, Wait,
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
        assert!(site.participants().slot(me).is_some());
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

    fn read_lock(&self, wait: Wait) -> CortexResult<()> {
        self.lock(wait)
    }

    fn write_lock(&self, wait: Wait) -> CortexResult<()> {
        self.lock(wait)
    }

    fn release(&self, _access: Access) -> CortexResult<()> {
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
        .map(|_| Child::spawn("role_count", &[&cortex.key()]))
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
fn role_count() {
    let Some(role) = Role::of("role_count") else {
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
        let mut child = Child::spawn("role_hold", &[&cortex.key()]);
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
fn role_hold() {
    let Some(role) = Role::of("role_hold") else {
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
    let id = common::segment_id(key).unwrap();
    let mode = u32::from(common::segment_status(id).unwrap().shm_perm.mode) & 0o777;
    assert_eq!(
        (mode, common::set_mode(common::sets_of(id)[0])),
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

    fn read_lock(&self, _wait: Wait) -> CortexResult<()> {
        if HOW == FAILS_TO_READ {
            Err(CortexError::Custom(9))
        } else {
            Ok(())
        }
    }

    fn write_lock(&self, _wait: Wait) -> CortexResult<()> {
        if HOW == FAILS_TO_READ {
            Err(CortexError::Custom(10))
        } else {
            Ok(())
        }
    }

    fn release(&self, _access: Access) -> CortexResult<()> {
        Ok(())
    }

    fn force_ownership(&mut self) {}
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
    let id = common::segment_id(owner.key()).unwrap();
    // Detached again. A process that another test is just starting has our mappings until it runs its program.
    while common::segment_status(id).unwrap().shm_nattch != 1 {
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

        fn read_lock(&self, _wait: Wait) -> CortexResult<()> {
            Ok(())
        }

        fn write_lock(&self, _wait: Wait) -> CortexResult<()> {
            Ok(())
        }

        fn release(&self, _access: Access) -> CortexResult<()> {
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
                fn read_lock(&self, _wait: Wait) -> CortexResult<()> {
                    unreachable!()
                }
                fn write_lock(&self, _wait: Wait) -> CortexResult<()> {
                    unreachable!()
                }
                fn release(&self, _access: Access) -> CortexResult<()> {
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
    drop(
        CortexBuilder::new(1_u8)
            .key(key)
            .persist()
            .with_default_lock::<Spin>()
            .unwrap(),
    );
    let cortex = CortexBuilder::new(2_u8)
        .key(key)
        .replace_stale()
        .create()
        .unwrap();
    assert_eq!(cortex.read().unwrap(), 2);
    drop(cortex);
    drop(
        CortexBuilder::new(1_u8)
            .key(key)
            .persist()
            .with_default_lock::<Spin>()
            .unwrap(),
    );
    inspect::remove(key).unwrap();
    drop(
        CortexBuilder::new(1_u8)
            .key(key)
            .persist()
            .with_default_lock::<Spin>()
            .unwrap(),
    );
    inspect::reclaim(key).unwrap();
    assert!(segment_id(key).is_none());
}
