//! `reclaim`: what is stale goes, with its semaphores; all else stays.
//!
//! `--all` is tried in an IPC namespace of its own, for it takes away whatever is stale on a machine.

use super::common::{
    proof, remove_segment, remove_set, segment_id, sets_of, Child, Foreign, Kernel, Role,
};
use super::{errors, fails, holder, neocortex, owner, succeeds};
use neocortex::{inspect, CortexBuilder, SegmentObserver};
use std::process::Stdio;

#[test]
fn reclaim_takes_what_a_killed_owner_left_and_nothing_else() {
    let kernel = Kernel::new();
    let (stale, kept) = (kernel.key(), kernel.key());
    let mut child = owner(stale);
    let (text, id) = (stale.to_string(), segment_id(stale).unwrap());
    fails(4, &["reclaim", &text]);
    child.kill();
    assert!(succeeds(&["reclaim", "--dry-run", &text]).starts_with("would reclaim"));
    assert_eq!(
        (segment_id(stale), sets_of(id).len()),
        (Some(id), 1),
        "only said"
    );
    assert!(succeeds(&["reclaim", &text]).starts_with("reclaimed"));
    assert_eq!((segment_id(stale), sets_of(id).len()), (None, 0));
    fails(3, &["reclaim", &text]);

    let text = kept.to_string();
    drop(
        CortexBuilder::new(5_u64)
            .key(kept)
            .persist()
            .create()
            .unwrap(),
    );
    assert!(fails(4, &["reclaim", &text]).contains("made to stay"));
    assert_eq!(succeeds(&["read", &text, "--as", "u64"]), "5\n");
    succeeds(&["remove", &text]);
}

#[test]
fn who_merely_looks_keeps_nothing_from_being_reclaimed_and_who_reads_does() {
    let kernel = Kernel::new();
    let key = kernel.key();
    owner(key).kill();
    let (text, id) = (key.to_string(), segment_id(key).unwrap());
    let reader = SegmentObserver::attach(key, 0).unwrap();
    assert!(fails(4, &["reclaim", &text]).contains("mappings, 0 participants"));
    assert!(fails(4, &["remove", &text]).contains("in use"));
    // It lets go after the command has looked for the first time.
    let process = neocortex(&["reclaim", &text])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while last_to_map(id) != process.id() as i32 {
        std::thread::yield_now();
    }
    drop(reader);
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(segment_id(key), None);
}

/// The process that attached to a segment, or detached from it, last.
fn last_to_map(id: i32) -> i32 {
    // SAFETY: plain old data.
    let mut status: libc::shmid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: a live place.
    unsafe { libc::shmctl(id, libc::IPC_STAT, &mut status) };
    status.shm_lpid
}

#[test]
fn reclaim_all_takes_everything_stale_in_the_namespace() {
    let how = "`neocortex reclaim --all` in a namespace: stale, half-made, spoilt and orphaned go; kept, used and foreign stay";
    let mut child = Child::spawn("taking::role_namespace", &[]);
    match child.hear().as_str() {
        "no namespace" => proof::not_run("P2 P5", how, "no namespace can be made here"),
        words => {
            assert_eq!(words, "done");
            child.finish();
            proof::passed("P2 P5", how, 9);
        }
    }
}

#[test]
fn role_namespace() {
    let Some(role) = Role::of("taking::role_namespace") else {
        return;
    };
    // Built outside: in a user namespace cargo's files may look like somebody else's.
    super::path();
    // SAFETY: takes no pointers.
    if unsafe { libc::unshare(libc::CLONE_NEWIPC) } != 0 {
        role.say("no namespace");
        return;
    }
    let kernel = Kernel::new();
    let [stale, held, spoilt, half, kept, used, foreign, blank, gone] =
        [(); 9].map(|()| kernel.key());
    owner(stale).kill();
    holder("seqlock", "double", held).kill();
    owner(spoilt).kill();
    Foreign::open(spoilt).put(16, &[0xFF; 64]);
    let half_made = Foreign::create(half, 4096);
    half_made.put(0, b"NEOCORTX");
    drop(half_made);
    drop(
        CortexBuilder::new(1_u64)
            .key(kept)
            .persist()
            .create()
            .unwrap(),
    );
    let user = CortexBuilder::new(1_u64).key(used).create().unwrap();
    Foreign::create(foreign, 4096).put(0, b"something else");
    let blank_id = Foreign::create(blank, 4096).id;
    owner(gone).kill();
    let orphaned = segment_id(gone).unwrap();
    remove_segment(orphaned);
    assert_eq!(
        (inspect::orphans().unwrap().len(), sets_of(orphaned).len()),
        (1, 1)
    );

    let all = [stale, held, spoilt, half, kept, used, foreign, blank];
    let before = all.map(segment_id);
    let plan = succeeds(&["reclaim", "--all", "--dry-run"]);
    assert_eq!(plan.lines().count(), 5, "{plan}");
    assert_eq!(
        (all.map(segment_id), sets_of(orphaned).len()),
        (before, 1),
        "only said"
    );
    let done = succeeds(&["reclaim", "--all"]);
    assert_eq!(done.replace("reclaimed", "would reclaim"), plan);
    let left: Vec<_> = all
        .iter()
        .copied()
        .filter(|&key| segment_id(key).is_some())
        .collect();
    assert_eq!(left, [kept, used, foreign, blank]);
    let table = std::fs::read_to_string("/proc/sysvipc/sem").unwrap();
    assert_eq!(
        table.lines().count(),
        1 + 2,
        "the sets of what is kept and used: {table}"
    );
    assert!(sets_of(orphaned).is_empty());
    assert_eq!(succeeds(&["reclaim", "--all"]), "", "nothing more to do");

    remove_segment(segment_id(foreign).unwrap());
    remove_segment(blank_id);
    succeeds(&["remove", &kept.to_string()]);
    drop(user);
    sets_of(0).into_iter().for_each(remove_set);
    drop(kernel);
    role.say("done");
}
