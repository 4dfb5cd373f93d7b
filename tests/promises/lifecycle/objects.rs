//! The kernel objects of a cortex: their permissions and their size.

use crate::by_lock;
use crate::common::{segment_id, segment_status, set_mode, sets_of, Child, Kernel, Role, LOCKS};
use neocortex::{
    Cortex, CortexBuilder, CortexSync, Permission, Semaphore, SemaphorePermission,
    SemaphoreSettings,
};

#[test]
fn permission_is_that_of_every_object_whatever_the_umask() {
    let kernel = Kernel::new();
    for umask in [0, 0o77, 0o777] {
        let mut child = Child::spawn("role_create_with_umask", &[&umask]);
        for _ in 0..8 {
            kernel.watch(child.hear().parse().unwrap());
            child.tell("watched");
        }
        child.finish();
    }
}

#[test]
fn role_create_with_umask() {
    let Some(role) = Role::of("role_create_with_umask") else {
        return;
    };
    let umask = role.number(0) as libc::mode_t;
    // SAFETY: takes no pointers; this process is the role's own.
    unsafe { libc::umask(umask) };
    let modes = |key: i32| {
        role.say(key);
        role.listen();
        let id = segment_id(key).unwrap();
        let [set] = sets_of(id)[..] else {
            panic!("not one set")
        };
        (
            u32::from(segment_status(id).unwrap().shm_perm.mode) & 0o777,
            set_mode(set),
        )
    };
    let build = || CortexBuilder::new(1_u8).random_key();
    for (permission, mode) in [
        (SemaphorePermission::OwnerOnly, 0o600),
        (SemaphorePermission::OwnerAndGroup, 0o660),
        (SemaphorePermission::ReadWriteForOthers, 0o666),
        (SemaphorePermission::ReadOnlyForOthers, 0o664),
        (SemaphorePermission::FullAccessForEveryone, 0o666),
        (SemaphorePermission::Custom(0o640), 0o640),
    ] {
        let settings = SemaphoreSettings { mode: permission };
        let cortex = build().with_lock::<Semaphore>(&settings).unwrap();
        assert_eq!(
            modes(cortex.key()),
            (mode, mode),
            "{permission:?} with umask {umask:o}"
        );
        drop(Cortex::<u8, Semaphore>::attach(cortex.key()).unwrap());
    }
    let cortex = build().create().unwrap();
    assert_eq!(modes(cortex.key()), (0o600, 0o600), "the default");
    // The builder's word goes over the settings'.
    let settings = SemaphoreSettings {
        mode: SemaphorePermission::OwnerAndGroup,
    };
    let builder = build().permission(Permission::ReadOnlyForOthers);
    let cortex = builder.with_lock::<Semaphore>(&settings).unwrap();
    assert_eq!(modes(cortex.key()), (0o664, 0o664));
}

#[test]
fn overhead_is_a_page_with_32_participants_and_three_with_128() {
    #[allow(clippy::unnecessary_cast)] // an int on OpenBSD
    fn size<L: CortexSync>(kernel: &Kernel, participants: u32) -> usize {
        let key = kernel.key();
        let builder = CortexBuilder::new(1.0_f64)
            .key(key)
            .participants(participants);
        let _cortex = builder.with_default_lock::<L>().unwrap();
        segment_status(segment_id(key).unwrap()).unwrap().shm_segsz as usize
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        assert!(by_lock!(name, size(&kernel, 32)) <= 4096 + size_of::<f64>());
        assert!(by_lock!(name, size(&kernel, 128)) <= 3 * 4096 + size_of::<f64>());
    }
    // And the default is 128.
    let key = kernel.key();
    let cortex = CortexBuilder::new(1.0_f64).key(key).create().unwrap();
    assert_eq!(cortex.segment().participants().unwrap(), (1, 128));
}
