//! What each permission, owner and group lets whom do, and what a process is told of others.

use super::*;
use crate::by_lock;
use crate::common::{
    fork, proof, segment_id, segment_status, set_mode, set_permission, sets_of, Kernel, LOCKS,
};
use neocortex::capi::*;
use neocortex::{
    inspect, Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, Observer, Permission,
    SegmentOptions, SeqLock,
};
use std::ffi::CStr;

/// Tries everything as this user.
fn visit<L: CortexSync + std::fmt::Debug>(who: Who, maker: Who, mode: u32, key: i32) {
    who.become_it();
    let (reads, both) = (who.may(maker, mode, 4), who.may(maker, mode, 6));
    let mut read_only = c_options();
    read_only.flags = NEOCORTEX_READ_ONLY;
    if reads {
        let observer = Observer::<Value>::attach(key).unwrap();
        let value = observer.read().unwrap();
        assert_eq!(observer.segment().participants().unwrap(), (0, 7));
        let info = inspect::segments()
            .unwrap()
            .into_iter()
            .find(|info| info.key == key)
            .expect("listed");
        assert_eq!(
            (info.mode, info.owner, info.alive),
            (mode, maker.0, Some(0))
        );
        // SAFETY: options and buffer live; the handle is closed once.
        unsafe {
            let handle = neocortex_attach_with(key, 32, &read_only);
            assert!(!handle.is_null());
            let mut seen: Value = [0; 4];
            assert_eq!(
                neocortex_read(handle, seen.as_mut_ptr().cast(), 32),
                NEOCORTEX_OK
            );
            assert_eq!(seen, value);
            assert_eq!(
                neocortex_write(handle, seen.as_ptr().cast(), 32),
                NEOCORTEX_ERR_READ_ONLY
            );
            assert_eq!(neocortex_close(handle), NEOCORTEX_OK);
        }
    } else {
        assert_refused(Observer::<Value>::attach(key), key, &[libc::EACCES]);
        assert!(inspect::segments()
            .unwrap()
            .iter()
            .all(|info| info.key != key));
        // SAFETY: options live.
        assert!(unsafe { neocortex_attach_with(key, 32, &read_only) }.is_null());
        assert_c_refused(neocortex_last_status(), key, &[libc::EACCES]);
    }
    if both {
        let cortex = Cortex::<Value, L>::attach(key).unwrap();
        assert!(!cortex.is_owner());
        cortex.update(|value| value[0] += 1).unwrap();
        drop(cortex.read_guard().unwrap());
        cortex.close().unwrap();
        let handle = neocortex_attach(key, 32);
        assert!(!handle.is_null());
        let mut value: Value = [0; 4];
        // SAFETY: an open handle, live buffers.
        unsafe {
            assert_eq!(
                neocortex_read(handle, value.as_mut_ptr().cast(), 32),
                NEOCORTEX_OK
            );
            value[0] += 1;
            assert_eq!(
                neocortex_write(handle, value.as_ptr().cast(), 32),
                NEOCORTEX_OK
            );
            assert_eq!(neocortex_close(handle), NEOCORTEX_OK);
        }
    } else {
        assert_refused(Cortex::<Value, L>::attach(key), key, &[libc::EACCES]);
        assert!(neocortex_attach(key, 32).is_null());
        assert_c_refused(neocortex_last_status(), key, &[libc::EACCES]);
    }
    if !who.may_remove(maker) {
        let with = || CortexBuilder::new([0_u64; 4]).key(key);
        assert_refused(inspect::remove(key), key, NOT_OURS);
        assert_refused(inspect::reclaim(key), key, NOT_OURS);
        assert_refused(
            with().force_ownership().with_default_lock::<L>(),
            key,
            NOT_OURS,
        );
        assert_refused(
            with().replace_stale().with_default_lock::<L>(),
            key,
            NOT_OURS,
        );
        assert_c_refused(neocortex_remove(key), key, NOT_OURS);
        assert_c_refused(neocortex_reclaim(key), key, NOT_OURS);
    }
    // The key is in use, whoever asks.
    let taken = CortexBuilder::new([0_u64; 4])
        .key(key)
        .with_default_lock::<L>()
        .unwrap_err();
    assert_eq!(
        taken.system().and_then(|error| error.raw_os_error()),
        Some(libc::EEXIST),
        "{taken}"
    );
}

/// Makes one as this user, without removing it: the Rust way with a permission, or the C way with a mode.
fn make<L: CortexSync>(key: i32, permission: Option<Permission>, by_c: bool) -> CortexResult<()> {
    if !by_c {
        let builder = CortexBuilder::new([5_u64; 4])
            .key(key)
            .persist()
            .participants(7);
        let builder = match permission {
            Some(permission) => builder.permission(permission),
            None => builder,
        };
        return builder.with_default_lock::<L>().map(drop);
    }
    let mut options = c_options();
    options.mode = permission.map_or(0, Permission::mode);
    options.flags = NEOCORTEX_PERSIST;
    options.participants = 7;
    options.lock = crate::common::c_lock(L::NAME);
    // SAFETY: options live; the handle is closed once.
    unsafe {
        let handle = neocortex_create(key, 32, &options);
        if handle.is_null() {
            assert_c_refused(neocortex_last_status(), key, &[libc::EACCES]);
            return Err(CortexError::Custom(0));
        }
        assert_eq!(neocortex_close(handle), NEOCORTEX_OK);
    }
    Ok(())
}

/// One permission, one way to make it, one umask: who may do what.
fn try_permission<L: CortexSync + std::fmt::Debug>(
    kernel: &Kernel,
    permission: Option<Permission>,
    by_c: bool,
    umask: libc::mode_t,
) -> u64 {
    let mode = permission.unwrap_or_default().mode();
    let key = kernel.key();
    // Who gives itself no right to it can make nothing of it, and leaves nothing. Root is never kept out.
    let maker = if mode & 0o600 == 0o600 { OWNER } else { ROOT };
    if maker.0 == 0 {
        fork(|| {
            OWNER.become_it();
            let refused = make::<L>(key, permission, by_c);
            if !by_c {
                assert_refused(refused, key, &[libc::EACCES]);
            }
        })
        .join();
        assert_eq!(segment_id(key), None);
    }
    fork(|| {
        maker.become_it();
        // SAFETY: takes no pointers, cannot fail.
        unsafe { libc::umask(umask) };
        make::<L>(key, permission, by_c).unwrap();
    })
    .join();
    let id = segment_id(key).expect("it persists");
    let status = segment_status(id).unwrap();
    assert_eq!(
        u32::from(status.shm_perm.mode) & 0o777,
        mode,
        "the segment's mode"
    );
    assert_eq!(
        (
            status.shm_perm.uid,
            status.shm_perm.cuid,
            status.shm_perm.gid
        ),
        (maker.0, maker.0, maker.1)
    );
    let sets = sets_of(id);
    assert_eq!(sets.len(), 1);
    assert_eq!(set_mode(sets[0]), mode, "the semaphores' mode");
    let mut writers = 0;
    for who in VISITORS {
        fork(|| visit::<L>(who, maker, mode, key)).join();
        writers += 2 * u64::from(who.may(maker, mode, 6));
    }
    assert_eq!(segment_id(key), Some(id));
    let cortex: Cortex<Value, L> = Cortex::attach(key).unwrap();
    assert_eq!(cortex.version(), writers);
    drop(cortex);
    // Who made it may take it away.
    fork(|| {
        maker.become_it();
        inspect::remove(key).unwrap();
    })
    .join();
    VISITORS.len() as u64
}

#[test]
fn permission_says_who_may_do_what() {
    const HOW: &str = "every permission, through Rust and C, umask 077 and 000: the mode of segment and semaphores, \
        then maker, two members of the group, another user and root observe, attach, write, remove, adopt, replace";
    if !is_root("P6 P10", HOW) {
        return;
    }
    let kernel = Kernel::new();
    let named = [
        Permission::OwnerOnly,
        Permission::OwnerAndGroup,
        Permission::ReadWriteForOthers,
        Permission::ReadOnlyForOthers,
        Permission::FullAccessForEveryone,
    ];
    let modes = [
        0o640, 0o644, 0o604, 0o622, 0o620, 0o642, 0o606, 0o646, 0o664, 0o666, 0o777, 0o700, 0o400,
        0o440, 0o444, 0o200, 0o060, 0o006, 0o066,
    ];
    let permissions = named
        .into_iter()
        .chain(modes.map(Permission::Custom))
        .map(Some);
    let mut cases = 0;
    for permission in permissions.chain([None]) {
        for by_c in [false, true] {
            for umask in [0o077, 0o000] {
                println!("{permission:?}, C: {by_c}, umask {umask:o}");
                for name in LOCKS {
                    cases += by_lock!(name, try_permission(&kernel, permission, by_c, umask));
                }
            }
        }
    }
    proof::passed("P6 P10", HOW, cases);
}

/// Made by one user for another user and group: who may do what, by the mode and the new owner.
fn try_owner<L: CortexSync + std::fmt::Debug>(
    kernel: &Kernel,
    (user, group): (Option<u32>, Option<u32>),
    mode: u32,
    by_c: bool,
) -> u64 {
    let key = kernel.key();
    // The group of the process that makes it is nobody's here.
    let creator = Who(0, NO_GROUP, &[]);
    fork(|| {
        creator.become_it();
        if !by_c {
            CortexBuilder::new([5_u64; 4])
                .key(key)
                .persist()
                .participants(7)
                .permission(Permission::Custom(mode))
                .owner(user, group)
                .with_default_lock::<L>()
                .map(drop)
                .unwrap();
            return;
        }
        let mut options = c_options();
        options.mode = mode;
        options.flags = NEOCORTEX_PERSIST | NEOCORTEX_SET_OWNER;
        options.participants = 7;
        options.lock = crate::common::c_lock(L::NAME);
        options.owner_uid = user.unwrap_or(u32::MAX);
        options.owner_gid = group.unwrap_or(u32::MAX);
        // SAFETY: options live; the handle is closed once.
        unsafe {
            let handle = neocortex_create(key, 32, &options);
            assert!(
                !handle.is_null(),
                "{:?}",
                CStr::from_ptr(neocortex_last_message())
            );
            assert_eq!(neocortex_close(handle), NEOCORTEX_OK);
        }
    })
    .join();
    let owner = Who(user.unwrap_or(0), group.unwrap_or(NO_GROUP), &[]);
    let id = segment_id(key).expect("it persists");
    let permission = segment_status(id).unwrap().shm_perm;
    assert_eq!((permission.uid, permission.gid), (owner.0, owner.1));
    assert_eq!((permission.cuid, permission.cgid), (0, NO_GROUP));
    assert_eq!(u32::from(permission.mode) & 0o777, mode);
    let [set] = sets_of(id)[..] else {
        panic!("one set");
    };
    let permission = set_permission(set);
    assert_eq!((permission.uid, permission.gid), (owner.0, owner.1));
    assert_eq!(u32::from(permission.mode) & 0o777, mode);
    for who in VISITORS {
        fork(|| visit::<L>(who, owner, mode, key)).join();
    }
    // Who it belongs to may take it away.
    fork(|| {
        owner.become_it();
        inspect::remove(key).unwrap();
    })
    .join();
    VISITORS.len() as u64
}

#[test]
fn owner_and_group_are_those_of_segment_and_semaphores() {
    const HOW: &str = "root makes it for a user, a group, and both, through Rust and C, modes 0600, 0660 and 0640: \
        owner and group of segment and semaphores, then the same visitors, a supplementary group among them";
    if !is_root("P6", HOW) {
        return;
    }
    let kernel = Kernel::new();
    let mut cases = 0;
    for owner in [
        (Some(MAKER), Some(GROUP)),
        (Some(MAKER), None),
        (None, Some(GROUP)),
        (None, None),
    ] {
        for mode in [0o600, 0o660, 0o640] {
            for by_c in [false, true] {
                println!("{owner:?}, {mode:o}, C: {by_c}");
                for name in LOCKS {
                    cases += by_lock!(name, try_owner(&kernel, owner, mode, by_c));
                }
            }
        }
    }
    proof::passed("P6", HOW, cases);
}

#[test]
fn user_without_privilege_gives_its_cortex_away() {
    const HOW: &str =
        "a user makes it for another, who writes, and removes it; both have an owner's rights";
    if !is_root("P6", HOW) {
        return;
    }
    let kernel = Kernel::new();
    let key = kernel.key();
    let owner = CortexBuilder::new([5_u64; 4]).key(key).persist();
    fork(|| {
        OWNER.become_it();
        drop(owner.clone().owner(Some(GUEST), None).create().unwrap());
    })
    .join();
    for user in [MAKER, GUEST] {
        fork(|| {
            Who(user, OTHER_GROUP, &[]).become_it();
            let cortex = Cortex::<Value>::attach(key).unwrap();
            cortex.update(|value| value[0] += 1).unwrap();
            assert_eq!(inspect::segment(key).unwrap().owner, GUEST);
        })
        .join();
    }
    fork(|| {
        Who(GUEST, OTHER_GROUP, &[]).become_it();
        inspect::remove(key).unwrap();
    })
    .join();
    assert_eq!(segment_id(key), None);
    proof::passed("P6", HOW, 3);
}

#[test]
fn process_that_this_user_may_not_look_at_is_not_named() {
    const HOW: &str = "which process holds, told to root and not to another user";
    if !is_root("P6", HOW) || crate::common::is_emulated("P6", HOW, "the emulator's own /proc") {
        return;
    }
    let kernel = Kernel::new();
    let cortex = CortexBuilder::new([1_u64; 4])
        .key(kernel.key())
        .permission(Permission::FullAccessForEveryone)
        .create()
        .unwrap();
    let _guard = cortex.write_guard().unwrap();
    let me = std::process::id() as i32;
    let look = || inspect::people(&inspect::segment(cortex.key()).unwrap()).holder;
    assert!(matches!(look(), Some(inspect::Who::Process(process)) if process.pid == me));
    fork(|| {
        Who(GUEST, OTHER_GROUP, &[]).become_it();
        let Some(inspect::Who::Untold { pid, why }) = look() else {
            panic!("told");
        };
        // The one where /proc hides processes (hidepid).
        let whys = [inspect::Untold::Forbidden, inspect::Untold::Gone];
        assert!(pid == Some(me) && whys.contains(&why), "{pid:?}: {why}");
    })
    .join();
    proof::passed("P6", HOW, 2);
}

/// How often this process has gone to sleep.
fn sleeps() -> libc::c_long {
    // SAFETY: plain old data, then a live place.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut usage), 0);
        usage.ru_nvcsw
    }
}

/// The kernel makes a segment its creator's own; giving it away is another call. In between, those whom it is meant for
/// are refused.
#[test]
fn who_waits_for_a_creator_waits_until_its_cortex_is_given_away() {
    const HOW: &str = "a cortex that its creator has not given away yet: a member of the group who waits for the \
        creator, or would create or attach, waits; what stays refused is EACCES";
    if !is_root("P4 P6", HOW) {
        return;
    }
    let kernel = Kernel::new();
    let mut cases = 0;
    for how in ["wait", "either", "observe"] {
        let key = kernel.key();
        fork(|| {
            Who(0, NO_GROUP, &[]).become_it();
            let builder = CortexBuilder::new([5_u64; 4]).key(key).persist();
            let builder = builder.permission(Permission::OwnerAndGroup);
            drop(builder.create().unwrap());
        })
        .join();
        let refused = Gate::new();
        let visitor = fork(|| {
            Who(GUEST, GROUP, &[]).become_it();
            let options = SegmentOptions::new().wait_for_creator(None);
            let open = || match how {
                "wait" => Cortex::<Value>::attach_with(key, &options).map(drop),
                "either" => options.create_or_attach::<SeqLock>(key, 32).map(drop),
                _ => Observer::<Value>::attach_with(key, &options).map(drop),
            };
            let before = sleeps();
            assert_refused(open(), key, &[libc::EACCES]);
            assert!(sleeps() - before >= 3, "it did not wait");
            refused.open();
            // On a busy machine half a second may be over before it is given away.
            while let Err(error) = open() {
                assert_refused(Err::<(), _>(error), key, &[libc::EACCES]);
            }
        });
        refused.pass();
        let id = segment_id(key).expect("it persists");
        for set in sets_of(id) {
            // SAFETY: plain old data, then a live buffer of the call's type.
            unsafe {
                let mut status: libc::semid_ds = std::mem::zeroed();
                assert_eq!(libc::semctl(set, 0, libc::IPC_STAT, &raw mut status), 0);
                status.sem_perm.gid = GROUP;
                assert_eq!(libc::semctl(set, 0, libc::IPC_SET, &raw mut status), 0);
            }
        }
        let mut status = segment_status(id).expect("it is there");
        status.shm_perm.gid = GROUP;
        // SAFETY: a live buffer.
        let given = unsafe { libc::shmctl(id, libc::IPC_SET, &raw mut status) };
        assert_eq!(given, 0);
        visitor.join();
        inspect::remove(key).unwrap();
        cases += 1;
    }
    proof::passed("P4 P6", HOW, cases);
}
