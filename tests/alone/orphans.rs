//! Semaphore sets whose segment is gone: `reclaim` takes them away, and the tests' guard notices them.
//!
//! One at a time: every `reclaim` takes away every orphan.

use crate::common::{remove_segment, segment_id, sets_of, Child, Kernel, Role};
use crate::turn;
use neocortex::{inspect, Cortex, CortexBuilder};

/// A cortex, and a process that is attached to it.
fn shared(kernel: &Kernel) -> (Cortex<u8>, Child) {
    let key = kernel.key();
    let owner = CortexBuilder::new(1_u8).key(key).create().unwrap();
    let mut child = Child::spawn("role_attach_and_stay", &[&key]);
    child.expect("attached");
    (owner, child)
}

#[test]
fn reclaim_takes_the_semaphores_of_whom_nobody_outlived() {
    let _turn = turn();
    let kernel = Kernel::new();
    let (owner, mut child) = shared(&kernel);
    let (key, id) = (owner.key(), segment_id(owner.key()).unwrap());
    drop(owner);
    assert_eq!(sets_of(id).len(), 1, "the child lives");
    inspect::reclaim(key).unwrap();
    assert_eq!(sets_of(id).len(), 1, "the child still lives");
    child.kill();
    assert_eq!(
        sets_of(id).len(),
        1,
        "so that there is something to reclaim"
    );
    inspect::reclaim(key).unwrap();
    assert!(sets_of(id).is_empty());
}

#[test]
fn orphans_are_listed_and_taken_without_a_key() {
    let _turn = turn();
    let kernel = Kernel::new();
    let (owner, mut child) = shared(&kernel);
    let id = segment_id(owner.key()).unwrap();
    let [set] = sets_of(id)[..] else {
        panic!("one set for each segment");
    };
    assert!(
        !inspect::orphans().unwrap().contains(&set),
        "its segment is there"
    );
    drop(owner);
    inspect::reclaim_orphans().unwrap();
    assert_eq!(sets_of(id), [set], "the child lives");
    child.kill();
    assert!(inspect::orphans().unwrap().contains(&set));
    assert_eq!(sets_of(id), [set], "looking takes nothing");
    assert!(inspect::reclaim_orphans().unwrap().contains(&set));
    assert!(sets_of(id).is_empty());
    assert!(!inspect::orphans().unwrap().contains(&set));
}

#[test]
fn role_attach_and_stay() {
    let Some(role) = Role::of("role_attach_and_stay") else {
        return;
    };
    let _cortex: Cortex<u8> = Cortex::attach(role.key()).unwrap();
    role.say("attached");
    role.listen();
}

/// Runs a test that leaves something; what its guard says.
fn complaint(leave: fn(i32)) -> String {
    let result = std::panic::catch_unwind(|| {
        let kernel = Kernel::new();
        leave(kernel.key());
    });
    *result
        .expect_err("nobody noticed")
        .downcast()
        .expect("a message")
}

#[test]
fn what_is_left_behind_fails_a_test() {
    let _turn = turn();
    let persist = |key| {
        drop(
            CortexBuilder::new(1_u8)
                .key(key)
                .persist()
                .create()
                .unwrap(),
        )
    };
    let words = complaint(persist);
    assert!(words.starts_with("left behind in the kernel"), "{words}");
    let words = complaint(|key| {
        drop(
            CortexBuilder::new(1_u8)
                .key(key)
                .persist()
                .create()
                .unwrap(),
        );
        remove_segment(segment_id(key).unwrap());
    });
    assert!(
        words.contains("semaphore sets without a segment"),
        "{words}"
    );
}
