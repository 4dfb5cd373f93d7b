//! Who may take away another user's cortex.

use super::*;
use crate::by_lock;
use crate::common::{
    fork, proof, segment_id, segment_status, set_mode, sets_of, Gate, Kernel, LOCKS,
};
use neocortex::capi::*;
use neocortex::{inspect, Cortex, CortexBuilder, CortexSync, Observer, Permission};

/// In what state the cortex of another user is that somebody would remove.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    /// Its owner is attached.
    InUse,
    /// Made to stay, and nobody is attached.
    Kept,
    /// Its owner has died.
    Stale,
}

const STATES: [State; 3] = [State::InUse, State::Kept, State::Stale];

/// A cortex of `OWNER`'s.
pub(super) struct Theirs {
    key: i32,
    pub(super) id: i32,
    set: i32,
    status: libc::shmid_ds,
    state: State,
    /// The process that is attached to it as its owner, where one is.
    owner: Option<Worker>,
}

impl Theirs {
    pub(super) fn make<L: CortexSync>(key: i32, state: State, permission: Permission) -> Self {
        let (go, done) = (Gate::new(), Gate::new());
        let process = fork(|| {
            OWNER.become_it();
            let builder = CortexBuilder::new([5_u64; 4])
                .key(key)
                .permission(permission);
            match state {
                State::Kept => drop(builder.persist().with_default_lock::<L>().unwrap()),
                State::Stale => std::mem::forget(builder.with_default_lock::<L>().unwrap()),
                State::InUse => {
                    let cortex = builder.with_default_lock::<L>().unwrap();
                    done.open();
                    go.pass();
                    assert!(cortex.is_owner() && !cortex.segment().is_removed());
                    cortex.update(|value| value[0] += 1).unwrap();
                    cortex.close().unwrap();
                }
            }
        });
        let owner = match state {
            State::InUse => {
                done.pass();
                Some(Worker { process, go, done })
            }
            _ => {
                process.join();
                None
            }
        };
        let id = segment_id(key).unwrap();
        let status = segment_status(id).unwrap();
        let sets = sets_of(id);
        assert_eq!((status.shm_perm.uid, sets.len()), (MAKER, 1));
        Self {
            key,
            id,
            set: sets[0],
            status,
            state,
            owner,
        }
    }

    /// After a refusal: nothing has been changed, and its owner uses it on and takes it away.
    fn goes_on<L: CortexSync>(self) {
        let key = self.key;
        assert_eq!(segment_id(key), Some(self.id));
        assert_eq!(sets_of(self.id), [self.set]);
        let status = segment_status(self.id).unwrap();
        let told = |status: &libc::shmid_ds| {
            let all = status.shm_perm;
            (all.uid, all.gid, all.cuid, all.mode, status.shm_ctime)
        };
        assert_eq!(told(&status), told(&self.status));
        assert_eq!(set_mode(self.set), u32::from(status.shm_perm.mode) & 0o777);
        let alive = u32::from(self.owner.is_some());
        fork(|| {
            OWNER.become_it();
            let info = inspect::segment(key).unwrap();
            let found = (info.state, info.alive, info.is_persistent, info.is_stale);
            let (is_kept, is_stale) = match self.state {
                State::InUse => (false, false),
                State::Kept => (true, false),
                State::Stale => (false, true),
            };
            let ready = inspect::SegmentState::Ready;
            assert_eq!(found, (ready, Some(alive), is_kept, is_stale));
            let cortex = Cortex::<Value, L>::attach(key).unwrap();
            assert!(!cortex.segment().is_removed());
            assert_eq!(cortex.read().unwrap(), [5; 4]);
            cortex.write([6; 4]).unwrap();
            cortex.close().unwrap();
            let handle = neocortex_attach(key, 32);
            assert!(!handle.is_null());
            let mut value: Value = [0; 4];
            // SAFETY: an open handle, live buffers; it is closed once.
            unsafe {
                assert!(!neocortex_is_removed(handle));
                assert_eq!(
                    neocortex_read(handle, value.as_mut_ptr().cast(), 32),
                    NEOCORTEX_OK
                );
                assert_eq!(value, [6; 4]);
                value[0] = 7;
                assert_eq!(
                    neocortex_write(handle, value.as_ptr().cast(), 32),
                    NEOCORTEX_OK
                );
                assert_eq!(neocortex_close(handle), NEOCORTEX_OK);
            }
            assert_eq!(
                Observer::<Value>::attach(key).unwrap().read().unwrap()[0],
                7
            );
            match self.state {
                State::InUse => {}
                State::Kept => inspect::remove(key).unwrap(),
                State::Stale => inspect::reclaim(key).unwrap(),
            }
        })
        .join();
        if let Some(owner) = self.owner {
            assert_eq!(segment_id(key), Some(self.id));
            owner.go.open();
            owner.process.join();
        }
        assert_gone(key, self.id, self.set);
    }
}

/// In the mode of a segment that was removed and is mapped (`shmctl(2)`).
const SHM_DEST: u32 = 0o1000;

/// Nothing is left of a cortex.
#[track_caller]
pub(super) fn assert_gone(key: i32, id: i32, set: i32) {
    assert_eq!(segment_id(key), None);
    // Somebody who lists may have it mapped at this moment.
    let is_left = |status: libc::shmid_ds| u32::from(status.shm_perm.mode) & SHM_DEST == 0;
    assert!(!segment_status(id).is_some_and(is_left));
    assert_eq!(crate::common::semaphore(set, 0), None);
}

/// Tries to remove a cortex, to take its place and to become its owner, by every call, as somebody who may use it and
/// has no such right.
fn assert_may_not_remove<L: CortexSync + std::fmt::Debug>(key: i32) {
    const NUMBER: &[i32] = &[libc::EPERM];
    let with = || CortexBuilder::new([0_u64; 4]).key(key);
    assert_refused(inspect::remove(key), key, NUMBER);
    assert_refused(inspect::reclaim(key), key, NUMBER);
    assert_refused(inspect::reclaim_alone(key), key, NUMBER);
    assert_refused(with().replace_stale().with_default_lock::<L>(), key, NUMBER);
    for builder in [
        with().force_ownership(),
        with().force_ownership().persist(),
        with().force_ownership().replace_stale(),
    ] {
        assert_refused(builder.with_default_lock::<L>(), key, NUMBER);
    }
    assert_c_refused(neocortex_remove(key), key, NUMBER);
    assert_c_refused(neocortex_reclaim(key), key, NUMBER);
    for flags in [
        NEOCORTEX_REPLACE_STALE,
        NEOCORTEX_FORCE_OWNERSHIP,
        NEOCORTEX_FORCE_OWNERSHIP | NEOCORTEX_PERSIST,
        NEOCORTEX_FORCE_OWNERSHIP | NEOCORTEX_REPLACE_STALE,
    ] {
        let mut options = c_options();
        options.flags = flags;
        options.lock = crate::common::c_lock(L::NAME);
        // SAFETY: options live.
        assert!(unsafe { neocortex_create(key, 32, &options) }.is_null());
        assert_c_refused(neocortex_last_status(), key, NUMBER);
    }
    // Nor through a handle that it has; closing that removes nothing.
    let cortex = Cortex::<Value, L>::attach(key).unwrap();
    assert_refused(cortex.take_ownership(), key, NUMBER);
    assert!(!cortex.is_owner());
    cortex.close().unwrap();
    let handle = neocortex_attach(key, 32);
    assert!(!handle.is_null());
    // SAFETY: an open handle, closed once.
    unsafe {
        assert_c_refused(neocortex_take_ownership(handle), key, NUMBER);
        assert!(!neocortex_is_owner(handle));
        assert_eq!(neocortex_close(handle), NEOCORTEX_OK);
    }
}

/// A cortex of another user in each state, at which somebody whom `become_it` makes of root may do nothing of it.
fn try_without_the_right<L: CortexSync + std::fmt::Debug>(
    kernel: &Kernel,
    permission: Permission,
    become_it: fn(),
) -> u64 {
    for state in STATES {
        let key = kernel.key();
        println!("{}, {state:?}, {permission:?}", L::NAME);
        let theirs = Theirs::make::<L>(key, state, permission);
        fork(|| {
            become_it();
            assert_may_not_remove::<L>(key);
        })
        .join();
        theirs.goes_on::<L>();
    }
    STATES.len() as u64
}

#[test]
fn root_without_its_capability_removes_nothing_of_another_user() {
    const HOW: &str = "root without CAP_SYS_ADMIN (as in a container) at a cortex of another user, in use, kept and \
        stale, each lock: remove, reclaim, replace, adopt, take ownership, through Rust and C: EPERM, and its owner \
        goes on";
    if !is_root("P6 P10", HOW) {
        return;
    }
    let kernel = Kernel::new();
    let mut cases = 0;
    // It may use what is closed to all others: that is another capability.
    for permission in [Permission::OwnerOnly, Permission::FullAccessForEveryone] {
        for name in LOCKS {
            let drop_it = crate::common::drop_sys_admin;
            cases += by_lock!(name, try_without_the_right(&kernel, permission, drop_it));
        }
    }
    proof::passed("P6 P10", HOW, cases);
}

/// How root takes away what is another user's.
#[derive(Debug, Clone, Copy)]
enum Way {
    Remove,
    Reclaim,
    Replace,
    Adopt,
}

/// Takes it away, and all that came in its place.
fn take_away<L: CortexSync + std::fmt::Debug>(way: Way, by_c: bool, key: i32) {
    if by_c {
        let flags = match way {
            Way::Remove => return assert_eq!(neocortex_remove(key), NEOCORTEX_OK),
            Way::Reclaim => return assert_eq!(neocortex_reclaim(key), NEOCORTEX_OK),
            Way::Replace => NEOCORTEX_REPLACE_STALE,
            Way::Adopt => NEOCORTEX_FORCE_OWNERSHIP,
        };
        let mut options = c_options();
        options.flags = flags;
        options.lock = crate::common::c_lock(L::NAME);
        // SAFETY: options live; the handle is closed once.
        unsafe {
            let handle = neocortex_create(key, 32, &options);
            assert!(!handle.is_null() && neocortex_is_owner(handle));
            assert_eq!(neocortex_close(handle), NEOCORTEX_OK);
        }
        return;
    }
    let with = CortexBuilder::new([9_u64; 4]).key(key);
    let (with, value) = match way {
        Way::Remove => return inspect::remove(key).unwrap(),
        Way::Reclaim => return inspect::reclaim(key).unwrap(),
        Way::Replace => (with.replace_stale(), 9),
        Way::Adopt => (with.force_ownership(), 5),
    };
    let cortex: Cortex<Value, L> = with.with_default_lock().unwrap();
    assert!(cortex.is_owner());
    assert_eq!(cortex.read().unwrap(), [value; 4]);
    cortex.close().unwrap();
}

/// Each way, from each state that it takes away.
fn try_with_the_right<L: CortexSync + std::fmt::Debug>(kernel: &Kernel) -> u64 {
    let mut cases = 0;
    for (way, states) in [
        (Way::Remove, &[State::Kept, State::Stale][..]),
        (Way::Reclaim, &[State::Stale]),
        (Way::Replace, &[State::Stale]),
        (Way::Adopt, &[State::Kept, State::Stale]),
    ] {
        for (&state, by_c) in states
            .iter()
            .flat_map(|state| [(state, false), (state, true)])
        {
            println!("{}, {way:?}, {state:?}, C: {by_c}", L::NAME);
            let key = kernel.key();
            let theirs = Theirs::make::<L>(key, state, Permission::OwnerOnly);
            fork(|| take_away::<L>(way, by_c, key)).join();
            assert_gone(key, theirs.id, theirs.set);
            cases += 1;
        }
    }
    cases
}

#[test]
fn root_with_its_capability_takes_away_what_is_another_users() {
    const HOW: &str =
        "root with CAP_SYS_ADMIN at a cortex of another user, kept and stale, each lock: remove, \
        reclaim, replace, adopt and close, through Rust and C";
    if !is_root("P6 P10", HOW) {
        return;
    }
    if !crate::common::has_sys_admin() {
        proof::not_run("P6 P10", HOW, "this root has no CAP_SYS_ADMIN");
        return;
    }
    let kernel = Kernel::new();
    let mut cases = 0;
    for name in LOCKS {
        cases += by_lock!(name, try_with_the_right(&kernel));
    }
    proof::passed("P6 P10", HOW, cases);
}

#[test]
fn root_of_a_user_namespace_removes_what_is_its_own() {
    const HOW: &str = "root of a user namespace, in the IPC namespace outside, each lock: at a cortex of another user \
        that lets it in, in use, kept and stale, each call that removes, replaces or adopts is refused with EPERM, \
        and its owner goes on; what its own user made, outside or inside, it takes away";
    if !is_root("P6 P8 P10", HOW)
        || !crate::common::is_permitted(libc::CLONE_NEWUSER, "P6 P8 P10", HOW)
    {
        return;
    }
    let kernel = Kernel::new();
    let mut cases = 0;
    for name in LOCKS {
        let everyone = Permission::FullAccessForEveryone;
        let guest = || crate::common::become_root_inside(GUEST);
        cases += by_lock!(name, try_without_the_right(&kernel, everyone, guest));
        cases += by_lock!(name, take_away_ones_own(&kernel));
    }
    proof::passed("P6 P8 P10", HOW, cases);
}

/// Root of a user namespace takes away what its user made outside, and what it made itself.
fn take_away_ones_own<L: CortexSync + std::fmt::Debug>(kernel: &Kernel) -> u64 {
    let mut cases = 0;
    for way in [Way::Remove, Way::Reclaim, Way::Replace, Way::Adopt] {
        for (by_c, is_inside) in [(false, false), (false, true), (true, false), (true, true)] {
            println!("{}, {way:?}, C: {by_c}, made inside: {is_inside}", L::NAME);
            let key = kernel.key();
            let become_inside = || crate::common::become_root_inside(MAKER);
            let (id, set) = if is_inside {
                fork(|| {
                    become_inside();
                    let builder = CortexBuilder::new([5_u64; 4]).key(key);
                    std::mem::forget(builder.with_default_lock::<L>().unwrap());
                })
                .join();
                let id = segment_id(key).unwrap();
                let permission = segment_status(id).unwrap().shm_perm;
                // Whoever it is inside.
                assert_eq!((permission.uid, permission.cuid), (MAKER, MAKER));
                (id, sets_of(id)[0])
            } else {
                let ours = Theirs::make::<L>(key, State::Stale, Permission::OwnerOnly);
                (ours.id, ours.set)
            };
            fork(|| {
                become_inside();
                take_away::<L>(way, by_c, key);
            })
            .join();
            assert_gone(key, id, set);
            cases += 1;
        }
    }
    cases
}
