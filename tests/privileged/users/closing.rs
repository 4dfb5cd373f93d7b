//! An owner that closes without the right that it had.

use super::removal::{assert_gone, State, Theirs};
use super::*;
use crate::by_lock;
use crate::common::{fork, proof, segment_id, sets_of, Gate, Kernel, LOCKS};
use neocortex::capi::*;
use neocortex::{inspect, Cortex, CortexBuilder, CortexError, CortexSync, Leftover, Permission};
use std::ffi::{c_int, c_void, CStr};
use std::sync::atomic::{AtomicI32, Ordering};

/// How an owner's handle ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Close,
    CloseInC,
    Drop,
}

/// An owner that closes without the right that it had when it became the owner.
fn end_without_the_right<L: CortexSync + std::fmt::Debug>(
    kernel: &Kernel,
    end: End,
    mode: u32,
    lose: fn(),
    is_adopted: bool,
) {
    println!("{}, {end:?}, mode {mode:o}, adopted: {is_adopted}", L::NAME);
    let key = kernel.key();
    let permission = Permission::Custom(mode);
    if is_adopted {
        let theirs = Theirs::make::<L>(key, State::Stale, permission);
        assert_eq!(segment_id(key), Some(theirs.id));
    }
    let (ended, look) = (Gate::new(), Gate::new());
    let owner = fork(|| {
        let builder = CortexBuilder::new([5_u64; 4])
            .key(key)
            .permission(permission);
        let builder = if is_adopted {
            builder.force_ownership()
        } else {
            builder
        };
        let named = |id: i32| {
            let set = sets_of(id)[0];
            (Leftover::Segment(id), Leftover::Semaphores(set))
        };
        match end {
            End::Close => {
                let cortex: Cortex<Value, L> = builder.with_default_lock().unwrap();
                let (segment, semaphores) = named(segment_id(key).unwrap());
                lose();
                let error = cortex.close().unwrap_err();
                assert!(matches!(error, CortexError::DirtySystem(_)), "{error:?}");
                let system = error.system().unwrap();
                assert_eq!(system.raw_os_error(), Some(libc::EPERM), "{error}");
                assert_eq!(system.left(), [segment, semaphores]);
                let text = error.to_string();
                for part in [segment.to_string(), semaphores.to_string()] {
                    assert!(text.contains(&part), "{part} is not in: {text}");
                }
            }
            End::CloseInC => {
                let mut options = c_options();
                options.mode = mode;
                options.lock = crate::common::c_lock(L::NAME);
                options.flags = [0, NEOCORTEX_FORCE_OWNERSHIP][usize::from(is_adopted)];
                let objects;
                // SAFETY: options and value live; the handle is closed once.
                let status = unsafe {
                    let handle = neocortex_create(key, 32, &options);
                    assert!(!handle.is_null() && neocortex_is_owner(handle));
                    let value: Value = [5; 4];
                    let written = neocortex_write(handle, value.as_ptr().cast(), 32);
                    assert_eq!(written, NEOCORTEX_OK);
                    objects = named(segment_id(key).unwrap());
                    lose();
                    neocortex_close(handle)
                };
                assert_eq!(status, NEOCORTEX_ERR_DIRTY_SYSTEM);
                assert_eq!(neocortex_last_os_error(), libc::EPERM);
                // SAFETY: never NULL, and a string.
                let text = unsafe { CStr::from_ptr(neocortex_last_message()) };
                let text = text.to_str().unwrap();
                for part in [objects.0.to_string(), objects.1.to_string()] {
                    assert!(text.contains(&part), "{part} is not in: {text}");
                }
            }
            End::Drop => {
                let cortex: Cortex<Value, L> = builder.with_default_lock().unwrap();
                lose();
                drop(cortex);
            }
        }
        assert!(!crate::common::is_attached(key));
        ended.open();
        look.pass();
    });
    ended.pass();
    let id = segment_id(key).expect("left under its key");
    let sets = sets_of(id);
    assert_eq!(sets.len(), 1);
    let is_usable = |writes: u64| {
        let info = inspect::segment(key).unwrap();
        assert_eq!(info.state, inspect::SegmentState::Ready);
        let cortex: Cortex<Value, L> = Cortex::attach(key).unwrap();
        assert!(!cortex.segment().is_removed());
        cortex.update(|value| value[0] += 1).unwrap();
        assert_eq!(cortex.read().unwrap(), [5 + writes, 5, 5, 5]);
        cortex.close().unwrap();
    };
    // While it lives, and after its end.
    is_usable(1);
    // Who may remove it adopts it meanwhile, and dies.
    fork(|| {
        let adopted: Cortex<Value, L> = CortexBuilder::new([0_u64; 4])
            .key(key)
            .force_ownership()
            .with_default_lock()
            .unwrap();
        assert!(adopted.is_owner());
        std::mem::forget(adopted);
    })
    .join();
    look.open();
    owner.join();
    is_usable(2);
    // Nobody was to keep it.
    let info = inspect::segment(key).unwrap();
    assert_eq!((info.alive, info.is_stale), (Some(0), true));
    fork(|| {
        if is_adopted {
            OWNER.become_it();
        }
        if !matches!(end, End::Close) {
            return inspect::reclaim(key).unwrap();
        }
        let adopted: Cortex<Value, L> = CortexBuilder::new([0_u64; 4])
            .key(key)
            .force_ownership()
            .with_default_lock()
            .unwrap();
        assert!(adopted.is_owner());
        assert_eq!(adopted.read().unwrap()[0], 7);
        adopted.close().unwrap();
    })
    .join();
    assert_gone(key, id, sets[0]);
}

#[test]
fn owner_without_its_right_leaves_the_cortex_to_the_others() {
    const HOW: &str = "each lock: an owner closes, in Rust and C, or drops its handle after it has become another user         (mode 0600 and 0666), or has given up CAP_SYS_ADMIN at a cortex that it had adopted: both objects are named,         and the cortex stays ready";
    if !is_root("P6 P10", HOW) {
        return;
    }
    if !crate::common::has_sys_admin() {
        proof::not_run("P6 P10", HOW, "this root has no CAP_SYS_ADMIN to give up");
        return;
    }
    let kernel = Kernel::new();
    let leave_root: fn() = || Who(GUEST, OTHER_GROUP, &[]).become_it();
    let mut cases = 0;
    for name in LOCKS {
        for end in [End::Close, End::CloseInC, End::Drop] {
            for mode in [0o600, 0o666] {
                for (lose, is_adopted) in
                    [(leave_root, false), (crate::common::drop_sys_admin, true)]
                {
                    by_lock!(
                        name,
                        end_without_the_right(&kernel, end, mode, lose, is_adopted)
                    );
                    cases += 1;
                }
            }
        }
    }
    proof::passed("P6 P10", HOW, cases);
}

/// What the last `destroy` was told: whether its handle removes the segment.
static DESTROYED_AS_OWNER: AtomicI32 = AtomicI32::new(-1);

unsafe extern "C" fn make_nothing(
    _ctx: *mut c_void,
    _site: *const neocortex_lock_site,
    _lock: *mut *mut c_void,
) -> c_int {
    0
}

unsafe extern "C" fn take_nothing(_lock: *mut c_void, _timeout_ns: i64) -> c_int {
    0
}

unsafe extern "C" fn release_nothing(_lock: *mut c_void, _access: c_int) -> c_int {
    0
}

unsafe extern "C" fn note_destroyed(_lock: *mut c_void, owner: c_int) {
    DESTROYED_AS_OWNER.store(owner, Ordering::Relaxed);
}

#[test]
fn lock_of_an_owner_without_its_right_is_not_told_that_the_segment_is_removed() {
    const HOW: &str = "a lock of callbacks whose owner closes as another user: destroyed as that of a handle that \
        removes nothing, and as the owner's where the right is there";
    if !is_root("P6", HOW) {
        return;
    }
    let kernel = Kernel::new();
    // SAFETY: a size, pointers that may be NULL and functions that are optional.
    let mut lock: neocortex_lock_ops = unsafe { std::mem::zeroed() };
    lock.struct_size = size_of::<neocortex_lock_ops>();
    lock.name = c"test-nothing".as_ptr();
    lock.create = Some(make_nothing);
    lock.attach = Some(make_nothing);
    lock.read_lock = Some(take_nothing);
    lock.write_lock = Some(take_nothing);
    lock.release = Some(release_nothing);
    lock.destroy = Some(note_destroyed);
    let mut options = c_options();
    options.lock = &raw const lock;
    for has_right in [true, false] {
        let key = kernel.key();
        fork(|| {
            // SAFETY: options live; the handle is closed once.
            let status = unsafe {
                let handle = neocortex_create(key, 32, &options);
                assert!(!handle.is_null());
                if !has_right {
                    Who(GUEST, OTHER_GROUP, &[]).become_it();
                }
                neocortex_close(handle)
            };
            let as_owner = DESTROYED_AS_OWNER.load(Ordering::Relaxed);
            let expected = match has_right {
                true => (NEOCORTEX_OK, 1),
                false => (NEOCORTEX_ERR_DIRTY_SYSTEM, 0),
            };
            assert_eq!((status, as_owner), expected);
        })
        .join();
        assert_eq!(segment_id(key).is_none(), has_right);
        if !has_right {
            inspect::reclaim(key).unwrap();
        }
    }
    proof::passed("P6", HOW, 2);
}
