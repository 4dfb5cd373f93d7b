//! Users: what each permission lets whom do, and keys that somebody else was faster to take.
//!
//! A visitor is a forked process that has become another user. Only root can become somebody else: without
//! root these tests are not run, and say so.

// It looks into the kernel as Linux has it.
#![cfg(target_os = "linux")]

mod common;

use common::{fork, proof, segment_id, segment_status, set_mode, sets_of, Kernel, LOCKS};
use neocortex::capi::*;
use neocortex::{
    inspect, Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, Observer, Permission,
};
use std::ffi::CStr;

type Value = [u64; 4];

/// Users and groups that own nothing on any machine.
const MAKER: u32 = 64_217;
const GUEST: u32 = 64_218;
const GROUP: u32 = 64_317;
const OTHER_GROUP: u32 = 64_318;

/// Who somebody is: user, group, further groups.
#[derive(Debug, Clone, Copy)]
struct Who(u32, u32, &'static [u32]);

const ROOT: Who = Who(0, GROUP, &[]);
const OWNER: Who = Who(MAKER, GROUP, &[]);

/// The same user, two members of the group, somebody else, and root.
const VISITORS: [Who; 5] = [
    OWNER,
    Who(GUEST, GROUP, &[]),
    Who(GUEST, OTHER_GROUP, &[GROUP]),
    Who(GUEST, OTHER_GROUP, &[]),
    ROOT,
];

impl Who {
    fn become_it(self) {
        // SAFETY: system calls of a process of one thread; the groups are that many.
        unsafe {
            assert_eq!(libc::setgroups(self.2.len() as _, self.2.as_ptr()), 0);
            assert_eq!(libc::setgid(self.1), 0);
            assert_eq!(libc::setuid(self.0), 0);
        }
    }

    /// Whether the mode of an object of `maker` gives this user all of these bits (4 read, 2 write).
    fn may(self, maker: Who, mode: u32, bits: u32) -> bool {
        let class = if self.0 == 0 {
            return true;
        } else if self.0 == maker.0 {
            mode >> 6
        } else if self.1 == maker.1 || self.2.contains(&maker.1) {
            mode >> 3
        } else {
            mode
        };
        class & bits == bits
    }

    fn may_remove(self, maker: Who) -> bool {
        self.0 == 0 || self.0 == maker.0
    }
}

fn is_root(promises: &str, how: &str) -> bool {
    // SAFETY: takes nothing.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        proof::not_run(promises, how, "only root can become another user");
    }
    is_root
}

/// A refusal of the system says on which key, with which answer, and what to do.
fn assert_refused<T>(result: CortexResult<T>, key: i32, numbers: &[i32]) {
    let Err(error) = result else {
        panic!("not refused");
    };
    assert!(matches!(error, CortexError::CleanSystem(_)), "{error:?}");
    let system = error.system().expect("checked above");
    let number = system.raw_os_error().expect("a system's answer");
    assert!(numbers.contains(&number), "{error}");
    let name = if number == libc::EPERM {
        "EPERM"
    } else {
        "EACCES"
    };
    let text = error.to_string();
    assert!(
        text.contains(&format!("key {key}")) && text.contains(name),
        "{text}"
    );
    assert!(
        text.contains("permission") || text.contains("owner"),
        "no advice: {text}"
    );
}

const NOT_OURS: &[i32] = &[libc::EPERM, libc::EACCES];

/// The same of a C call, after it answered with this status.
fn assert_c_refused(status: neocortex_status, key: i32, numbers: &[i32]) {
    assert_eq!(status, NEOCORTEX_ERR_CLEAN_SYSTEM);
    assert_eq!(neocortex_last_status(), NEOCORTEX_ERR_CLEAN_SYSTEM);
    assert!(numbers.contains(&neocortex_last_os_error()));
    // SAFETY: never NULL, and a string.
    let text = unsafe { CStr::from_ptr(neocortex_last_message()) };
    assert!(
        text.to_str().unwrap().contains(&format!("key {key}")),
        "{text:?}"
    );
}

fn c_options() -> neocortex_options {
    // SAFETY: integers and a pointer that may be NULL.
    let mut options: neocortex_options = unsafe { std::mem::zeroed() };
    options.struct_size = size_of::<neocortex_options>();
    options
}

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
    options.lock = match L::NAME {
        "seqlock" => std::ptr::null(),
        "rwlock" => neocortex_lock_rwlock(),
        _ => neocortex_lock_semaphore(),
    };
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
