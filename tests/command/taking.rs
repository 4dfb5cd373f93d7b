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
fn who_merely_reads_keeps_nothing_from_being_reclaimed() {
    let kernel = Kernel::new();
    let key = kernel.key();
    owner(key).kill();
    let text = key.to_string();
    let reader = SegmentObserver::attach(key, 0).unwrap();
    assert!(fails(4, &["remove", &text]).contains("in use"));
    assert!(succeeds(&["list"]).contains("stale"));
    assert!(succeeds(&["reclaim", &text]).starts_with("reclaimed"));
    assert_eq!(segment_id(key), None);
    let mut bytes = vec![1; reader.size()];
    reader.read_at(0, &mut bytes).expect("it keeps its memory");
}

/// `ipcrm -s` without `ipcrm -m`: nobody can say any more who lives.
#[test]
fn a_cortex_whose_semaphores_alone_were_removed_is_told_and_taken_once_nobody_is_attached() {
    let kernel = Kernel::new();
    let [ended, used] = [(); 2].map(|()| kernel.key());
    for key in [ended, used] {
        let mut child = owner(key);
        let (text, id) = (key.to_string(), segment_id(key).unwrap());
        let is_gone = || inspect::segment(key).unwrap().has_lost_semaphores;
        assert!(!is_gone());
        assert_eq!(condition(key), "ready");
        sets_of(id).into_iter().for_each(remove_set);
        assert!(is_gone());
        assert_eq!(condition(key), "ready, semaphores gone");
        assert!(succeeds(&["inspect", &text]).contains("gone, so nobody can attach"));
        for dry in [&["reclaim", "--dry-run", &text][..], &["reclaim", &text]] {
            let refused = fails(4, dry);
            assert!(refused.contains("its semaphores are gone"), "{refused}");
        }
        let refused = inspect::reclaim_alone(key).unwrap_err().to_string();
        assert!(refused.contains("is attached"), "{refused}");
        assert_eq!(segment_id(key), Some(id));
        if key == used {
            succeeds(&["remove", "--force", &text]);
            assert_eq!(segment_id(key), None);
            continue;
        }
        child.kill();
        assert_eq!(condition(key), "stale, semaphores gone");
        let told = fails(1, &["write", &text, "--as", "u64", "1"]);
        assert!(told.contains("its semaphore set was removed"), "{told}");
        assert!(told.contains("neocortex remove"), "{told}");
        assert!(succeeds(&["reclaim", "--dry-run", &text]).starts_with("would reclaim"));
        assert_eq!(segment_id(key), Some(id), "only said");
        assert!(succeeds(&["reclaim", &text]).starts_with("reclaimed"));
        assert_eq!(segment_id(key), None);
    }
}

/// The state of a cortex in `list`.
fn condition(key: i32) -> String {
    let table = succeeds(&["list"]);
    let line = table
        .lines()
        .find(|line| line.split_whitespace().next() == Some(&key.to_string()))
        .unwrap_or_else(|| panic!("{key} is not in the list: {table}"));
    let age = |word: &str| word.ends_with('s') && word[..word.len() - 1].parse::<u32>().is_ok();
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = words
        .iter()
        .rposition(|word| age(word))
        .expect("a young one's age");
    words[after + 1..].join(" ")
}

/// A value that was made to stay is not what `--replace-stale` is for.
#[test]
fn create_does_not_replace_what_was_made_to_stay() {
    let kernel = Kernel::new();
    let text = kernel.key().to_string();
    succeeds(&["create", &text, "8"]);
    succeeds(&["write", &text, "--as", "f64", "42"]);
    let words = fails(4, &["create", &text, "8", "--replace-stale"]);
    assert!(words.contains("made to stay"), "{words}");
    assert_eq!(succeeds(&["read", &text, "--as", "f64"]), "42\n");
    succeeds(&["remove", &text]);
}

#[test]
fn a_cortex_whose_key_cannot_be_said_is_taken_back() {
    let how = "`neocortex create` with /dev/full, a closed output, a pipe that nobody reads: status 1, nothing is left";
    let mut child = Child::spawn("taking::role_unsaid", &[]);
    match child.hear().as_str() {
        "no namespace" => proof::not_run("P5", how, "no namespace can be made here"),
        words => {
            assert_eq!(words, "done");
            child.finish();
            proof::passed("P5", how, 6);
        }
    }
}

#[test]
fn role_unsaid() {
    let Some(role) = Role::of("taking::role_unsaid") else {
        return;
    };
    super::path();
    // SAFETY: takes no pointers.
    if unsafe { libc::unshare(libc::CLONE_NEWIPC) } != 0 {
        role.say("no namespace");
        return;
    }
    let objects = || {
        ["shm", "sem"].map(|table| {
            let table = std::fs::read_to_string(format!("/proc/sysvipc/{table}")).unwrap();
            table.lines().count() - 1
        })
    };
    for place in [&["create", "--random", "8"][..], &["create", "77", "8"]] {
        for output in ["full", "closed", "unread"] {
            let mut command = neocortex(place);
            match output {
                "full" => {
                    let full = std::fs::File::options().write(true).open("/dev/full");
                    command.stdout(full.unwrap());
                }
                "closed" => {
                    use std::os::unix::process::CommandExt;
                    // SAFETY: a system call and nothing else.
                    unsafe {
                        command.pre_exec(|| {
                            libc::close(1);
                            Ok(())
                        })
                    };
                }
                _ => {
                    let (reader, writer) = super::common::pipe();
                    drop(reader);
                    command.stdout(Stdio::from(writer));
                }
            }
            let output = command.stderr(Stdio::piped()).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{place:?}");
            assert!(
                errors(&output).contains("taken back"),
                "{}",
                errors(&output)
            );
            assert_eq!(objects(), [0, 0], "{place:?}");
        }
    }
    // Nor does it say that a cortex stays where the kernel takes it away.
    if std::fs::write("/proc/sys/kernel/shm_rmid_forced", "1").is_ok() {
        assert!(fails(1, &["create", "77", "8"]).contains("shm_rmid_forced"));
        assert_eq!(objects(), [0, 0]);
        std::fs::write("/proc/sys/kernel/shm_rmid_forced", "0").unwrap();
    }
    // What was done stays done where only saying it failed, and that is said.
    let kernel = Kernel::new();
    let (one, two) = (kernel.key(), kernel.key());
    owner(one).kill();
    owner(two).kill();
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let key = one.to_string();
    let output = neocortex(&["reclaim", &key])
        .stdout(full())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains(&format!("reclaimed key {key}")),
        "{}",
        errors(&output)
    );
    assert_eq!(segment_id(one), None);
    owner(one).kill();
    let output = neocortex(&["reclaim", "--all"])
        .stdout(full())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        [one, two].map(segment_id),
        [None, None],
        "all of it is done"
    );
    drop(kernel);
    role.say("done");
}

#[test]
fn reclaim_all_takes_everything_stale_in_the_namespace() {
    let how = "`neocortex reclaim --all` in a namespace: stale, half-made, spoilt and orphaned go; kept, used and foreign stay";
    let mut child = Child::spawn("taking::role_namespace", &[]);
    match child.hear().as_str() {
        "no namespace" => proof::not_run("P2 P5 P11", how, "no namespace can be made here"),
        words => {
            assert_eq!(words, "done");
            child.finish();
            proof::passed("P2 P5 P11", how, 9);
        }
    }
}

/// Gives a segment and the sets that are its own to another user.
fn give(segment: i32, user: u32) {
    // SAFETY: plain old data.
    let mut status: libc::shmid_ds = unsafe { std::mem::zeroed() };
    status.shm_perm.uid = user;
    status.shm_perm.mode = 0o600;
    // SAFETY: live places.
    unsafe {
        libc::shmctl(segment, libc::IPC_SET, &mut status);
        for set in sets_of(segment) {
            let mut status: libc::semid_ds = std::mem::zeroed();
            status.sem_perm.uid = user;
            status.sem_perm.mode = 0o600;
            assert_eq!(libc::semctl(set, 0, libc::IPC_SET, &mut status), 0);
        }
    }
}

/// With `--owner` a user's cortexes go, whole or not, with semaphores that have outlived theirs, and nobody else's.
fn only_what_is_meant(kernel: &Kernel, whole: i32, half: i32, orphaned: i32) {
    const NOBODY: u32 = 65534;
    let none = succeeds(&["reclaim", "--all", "--owner", "65534"]);
    assert_eq!(none, "", "nothing is theirs");
    for key in [whole, half] {
        let id = segment_id(key).unwrap();
        give(id, NOBODY);
        let plan = succeeds(&["reclaim", "--all", "--dry-run", "--owner", "65534"]);
        assert!(plan.contains(&format!("key {key}: segment {id}")), "{plan}");
        assert_eq!(plan.lines().count(), 1, "{plan}");
        let rest = succeeds(&["reclaim", "--all", "--dry-run", "--owner", "root"]);
        assert_eq!(rest.lines().count(), 4, "{rest}");
        give(id, 0);
    }
    give(orphaned, NOBODY);
    // One stale cortex that is theirs: to take it must not take root's orphan, nor the other way round.
    let plan = succeeds(&["reclaim", "--all", "--dry-run", "--owner", "65534"]);
    assert!(
        plan.contains("semaphores") && plan.lines().count() == 1,
        "{plan}"
    );
    give(orphaned, 0);
    let theirs = segment_id(whole).unwrap();
    let key = kernel.key();
    owner(key).kill();
    give(segment_id(key).unwrap(), NOBODY);
    let done = succeeds(&["reclaim", "--all", "--owner", "65534"]);
    assert!(
        done.contains(&key.to_string()) && done.lines().count() == 1,
        "{done}"
    );
    assert_eq!((segment_id(key), segment_id(whole)), (None, Some(theirs)));
    assert_eq!(
        sets_of(orphaned).len(),
        1,
        "root's orphan is not taken along"
    );
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
    // SAFETY: takes nothing and cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    let plan = succeeds(&["reclaim", "--all", "--dry-run"]);
    // Root is told first that it is about every user's.
    let first = plan.lines().next().unwrap_or_default();
    assert_eq!(first.contains("every user's"), is_root, "{plan}");
    assert_eq!(plan.lines().count(), 5 + usize::from(is_root), "{plan}");
    if is_root {
        only_what_is_meant(&kernel, stale, half, orphaned);
    }
    // Made just now, whether the header says so or the kernel.
    let old = succeeds(&["reclaim", "--all", "--dry-run", "--older", "1h"]);
    assert_eq!(old.lines().count(), usize::from(is_root), "{old}");
    assert_eq!(
        succeeds(&["reclaim", "--all", "--dry-run", "--older", "0s"]),
        plan
    );
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
    let more = succeeds(&["reclaim", "--all"]);
    assert_eq!(
        more.lines().count(),
        usize::from(is_root),
        "nothing more to do"
    );

    remove_segment(segment_id(foreign).unwrap());
    remove_segment(blank_id);
    succeeds(&["remove", &kept.to_string()]);
    drop(user);
    sets_of(0).into_iter().for_each(remove_set);
    drop(kernel);
    role.say("done");
}
