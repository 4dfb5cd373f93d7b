//! `list`, `inspect`, `watch`: nothing is disturbed, and what is said is so.

use super::common::{proof, remove_segment, segment_id, sets_of, Child, Foreign, Kernel};
use super::{errors, fails, holder, json, neocortex, owner, run, succeeds};
use neocortex::{inspect, CortexBuilder, Permission};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Stdio;

fn row(key: i32) -> serde_json::Value {
    let all = json(&["list", "--json"]);
    let mut rows = all.as_array().expect("an array").iter();
    rows.find(|row| row["key"] == key).expect("listed").clone()
}

#[test]
fn list_and_inspect_tell_what_there_is_and_take_no_part() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let cortex = CortexBuilder::new([1.5_f64, -2.5])
        .key(key)
        .schema(9)
        .permission(Permission::Custom(0o640))
        .create()
        .unwrap();
    cortex.write([0.5, f64::NAN]).unwrap();
    // Whoever lists all cortexes beside this test, or is being forked by one, is attached for a moment too.
    let row = loop {
        let row = row(key);
        if row["attached"] == 1 {
            break row;
        }
    };
    for (name, value) in [
        ("size", 16),
        ("schema", 9),
        ("alive", 1),
        ("dead", 0),
        ("commits", 1),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
    assert_eq!(
        (&row["mode"], &row["lock"]),
        (&"0640".into(), &"seqlock".into())
    );
    assert_eq!(
        (&row["state"], &row["stale"]),
        (&"ready".into(), &false.into())
    );
    assert!(succeeds(&["list"]).contains(&key.to_string()));

    let text = key.to_string();
    let object = json(&["inspect", &text, "--as", "f64", "--json"]);
    assert_eq!(object["value"], serde_json::json!([0.5, "NaN"]));
    assert_eq!(object["holder"], serde_json::Value::Null);
    let words = succeeds(&["inspect", &format!("{key:#x}"), "--as", "f64"]);
    assert!(
        words.contains("00000000  0.5 NaN") && words.contains("nobody"),
        "{words}"
    );
    let words = succeeds(&["inspect", &text, "--offset", "14", "--length", "1"]);
    assert!(
        words.contains("0000000e  f8") && words.contains("1 more bytes"),
        "{words}"
    );
    // No slot was claimed, nothing stays mapped.
    let info = loop {
        let info = inspect::segment(key).unwrap();
        if info.attached == 1 {
            break info;
        }
    };
    assert_eq!((info.alive, info.tenants.len()), (Some(1), 1));
    assert_eq!(info.tenants[0].slot, 0);
}

#[test]
fn inspect_tells_a_living_holder_from_a_dead_one_and_poison_from_a_write_going_on() {
    let kernel = Kernel::new();
    let mut cases = 0;
    for (lock, slots) in [
        ("seqlock", "double"),
        ("rwlock", "double"),
        ("seqlock", "in-place"),
    ] {
        let key = kernel.key();
        let text = key.to_string();
        let mut child = holder(lock, slots, key);
        let living = json(&["inspect", &text, "--json"]);
        assert_eq!(living["holder"]["alive"], true);
        assert_eq!(
            (&living["commits"], &living["begun"]),
            (&1.into(), &2.into())
        );
        assert_eq!(
            (&living["poisoned"], &living["dead"]),
            (&false.into(), &0.into())
        );
        child.kill();
        let dead = json(&["inspect", &text, "--json"]);
        assert_eq!(dead["holder"]["alive"], false);
        assert_eq!(dead["holder"]["slot"], living["holder"]["slot"]);
        assert_eq!((&dead["alive"], &dead["dead"]), (&0.into(), &1.into()));
        let is_in_place = slots == "in-place";
        assert_eq!(dead["poisoned"], is_in_place);
        let words = succeeds(&["inspect", &text]);
        assert!(words.contains("dead") && words.contains("stale"), "{words}");
        if is_in_place {
            // At once, and not when its time is over.
            assert!(fails(5, &["read", &text, "--timeout", "3600"]).contains("poisoned"));
            // A part of it does not heal; the bytes as they are, or a whole value, do.
            fails(5, &["write", &text, "--as", "u8", "1"]);
            succeeds(&["heal", &text]);
            assert_eq!(succeeds(&["read", &text, "--as", "u64"]), "8 99\n");
        } else {
            assert_eq!(succeeds(&["read", &text, "--as", "u64"]), "8 0\n");
        }
        // The dead holder is passed.
        succeeds(&["write", &text, "--as", "u64", "5", "6"]);
        assert_eq!(
            json(&["inspect", &text, "--json"])["holder"],
            serde_json::Value::Null
        );
        succeeds(&["reclaim", &text]);
        cases += 1;
    }
    proof::passed("P2", "the command on a killed holder: named as dead, poison told, passed by `write`, taken away by `reclaim`", cases);
}

/// The number and the reason, where no more can be told.
fn told(process: &serde_json::Value) -> (Option<i64>, &str) {
    let untold = process["untold"].as_str().unwrap_or_default();
    (process["pid"].as_i64(), untold)
}

#[test]
fn holder_participants_onlookers_and_waiters_are_named() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let text = key.to_string();
    let me = std::env::current_exe()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    // A command line that would colour what follows, and end the line.
    let evil = "\u{1b}[31mevil\n".to_owned();
    let mut child = Child::spawn_from(&[me, evil], "role_hold", &[&key, &"seqlock", &"double"]);
    child.expect("held");
    let mut watching = neocortex(&["watch", &text])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(watching.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    let mut writing = neocortex(&["write", &text, "--as", "u64", "1", "2", "--timeout", "600"])
        .spawn()
        .unwrap();
    // Who watches sleeps as well, for a change.
    let for_lock = |object: &serde_json::Value| {
        let mut waiters = object["waiters"].as_array().into_iter().flatten();
        waiters.find(|waiter| waiter["for"] == "lock").cloned()
    };
    // Until it sleeps; a user who may not look at other processes' threads is told that there are such.
    let object = loop {
        let object = json(&["inspect", &text, "--json"]);
        let is_asleep = for_lock(&object).is_some();
        let is_closed = object["closed_processes"].as_u64() > Some(0);
        if object["tenants"][1] != serde_json::Value::Null && (is_asleep || is_closed) {
            break object;
        }
    };
    let holder = &object["holder"]["process"];
    assert_eq!(told(holder), (Some(child.id().into()), ""));
    // SAFETY: takes nothing.
    assert_eq!(holder["uid"], unsafe { libc::geteuid() });
    let command = holder["command"].as_str().unwrap();
    assert!(
        command.contains("\u{1b}[31mevil\n role_hold"),
        "{command:?}"
    );
    assert!(holder["started"].as_u64() > Some(0), "{holder}");
    assert_eq!(&object["tenants"][0]["process"], holder);
    assert_eq!(&object["maker"], holder);
    let writer = &object["tenants"][1]["process"];
    assert_eq!(told(writer), (Some(writing.id().into()), ""));
    if let Some(waiter) = for_lock(&object) {
        assert_eq!(told(&waiter), told(writer));
    }
    let onlookers = object["onlookers"].as_array().unwrap();
    let mut watchers = onlookers.iter().filter(|one| one["pid"] == watching.id());
    let watcher = watchers.next().expect("named");
    assert_eq!(
        (&watcher["read_only"], &watcher["mappings"]),
        (&true.into(), &1.into())
    );
    assert!(watcher["command"].as_str().unwrap().contains("watch"));

    let words = succeeds(&["inspect", &text]);
    assert!(
        !words.contains('\u{1b}') && words.contains("\\u{1b}[31mevil\\n"),
        "{words:?}"
    );
    for part in [
        format!("process {} (", child.id()),
        format!("process {} (", writing.id()),
        "onlooker      reads it and takes no part: process".to_owned(),
    ] {
        assert!(words.contains(&part), "{part}: {words}");
    }
    // And in the list, by number and program.
    assert_eq!(&row(key)["holder"]["process"], holder);
    let list = succeeds(&["list"]);
    let mut lines = list
        .lines()
        .filter(|line| line.starts_with(&format!("{text} ")));
    assert!(
        lines.next().unwrap().contains(&format!(" {} ", child.id())),
        "{list}"
    );

    // A dead one is no process any more, whatever has its number.
    // SAFETY: a child of ours that was not waited for.
    unsafe { libc::kill(writing.id() as i32, libc::SIGSTOP) };
    child.kill();
    let object = json(&["inspect", &text, "--json"]);
    assert_eq!(object["holder"]["alive"], false);
    assert_eq!(
        told(&object["holder"]["process"]),
        (Some(child.id().into()), "it has died")
    );
    let list = succeeds(&["list"]);
    assert!(list.contains(&format!("{} dead", child.id())), "{list}");
    for process in [&mut writing, &mut watching] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
    succeeds(&["remove", &text]);
}

#[test]
fn holder_in_another_pid_namespace_is_said_to_be_there() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let text = key.to_string();
    let mut child = holder("seqlock", "double", key);
    let how =
        "the command in another PID namespace, with the /proc of each: it cannot tell who holds";
    for mount in [&[][..], &["--mount-proc"]] {
        let within = |arguments: &[&str]| {
            let mut command = std::process::Command::new("unshare");
            command.args(["--pid", "--fork"]).args(mount);
            command.arg(super::path()).args(arguments);
            command.output().expect("unshare(1)")
        };
        let output = within(&["inspect", &text, "--json"]);
        if errors(&output).contains("unshare") {
            return proof::not_run("P8", how, "not permitted to make a PID namespace");
        }
        let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let (pid, why) = told(&object["holder"]["process"]);
        assert!(
            pid.is_none() && why.contains("another PID namespace"),
            "{why}"
        );
        assert_eq!(object["holder"]["alive"], true);
        assert!(object["unseen_mappings"].as_u64() > Some(0), "{object}");
        let words = String::from_utf8(within(&["inspect", &text]).stdout).unwrap();
        assert!(words.contains("cannot be told from here"), "{words}");
        let list = String::from_utf8(within(&["list"]).stdout).unwrap();
        assert!(list.contains("0:1 elsewhere"), "{list}");
    }
    child.kill();
    succeeds(&["remove", &text]);
    proof::passed("P8", how, 2);
}

#[test]
fn readers_that_died_are_counted_as_dead() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let cortex = CortexBuilder::new([1_u64, 2])
        .key(key)
        .with_default_lock::<neocortex::RwLock>()
        .unwrap();
    let mut child = Child::spawn("role_read", &[&key]);
    child.expect("reading");
    assert_eq!(
        (&row(key)["alive"], &row(key)["dead"]),
        (&2.into(), &0.into())
    );
    child.kill();
    assert_eq!(
        (&row(key)["alive"], &row(key)["dead"]),
        (&1.into(), &1.into())
    );
    cortex.write([3, 4]).unwrap();
    assert_eq!(row(key)["dead"], 0);
}

#[test]
fn foreign_segments_are_refused_and_untouched() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let text = key.to_string();
    let foreign = Foreign::create(key, 4096);
    // Blank, which a half-made cortex may be as well, and then with bytes in it.
    for bytes in [&b""[..], b"something else"] {
        foreign.put(0, bytes);
        let before = foreign.bytes();
        for arguments in [
            &["inspect", &text][..],
            &["watch", &text],
            &["follow", &text],
            &["remove", &text],
            &["reclaim", &text],
            &["heal", &text],
            &["write", &text, "--as", "u8", "1"],
            &["read", &text],
        ] {
            assert!(fails(6, arguments).contains("not a cortex"));
        }
        assert!(!succeeds(&["list"]).contains(&text));
        assert!(succeeds(&["list", "--all"]).contains("not a cortex"));
        assert!(foreign.bytes() == before);
        assert_eq!(segment_id(key), Some(foreign.id));
    }
    remove_segment(foreign.id);
    proof::passed(
        "P3",
        "the command on foreign segments: every sub-command refuses with status 6, bytes untouched",
        16,
    );
}

#[test]
fn another_users_cortex_is_refused_and_said_to_be_there() {
    let how = "the command as another user on a 0600 cortex: status 8, and `list` says that there is more";
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return proof::not_run("P6 P10", how, "needs root, to become somebody else");
    }
    let kernel = Kernel::new();
    let key = kernel.key();
    let _cortex = CortexBuilder::new(1_u64).key(key).create().unwrap();
    // Where that user can surely run it.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("neocortex");
    // By another process: one that a parallel test starts must not inherit the file while it is written.
    let mut copying = std::process::Command::new("cp");
    assert!(copying
        .arg(super::path())
        .arg(&copy)
        .status()
        .unwrap()
        .success());
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let as_nobody = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&copy);
        command
            .args(arguments)
            .uid(65534)
            .gid(65534)
            .output()
            .expect("the command")
    };
    let text = key.to_string();
    for arguments in [
        &["inspect", &text][..],
        &["read", &text],
        &["write", &text, "--as", "u8", "1"],
        &["remove", &text],
        &["reclaim", &text],
    ] {
        let output = as_nobody(arguments);
        assert_eq!(
            output.status.code(),
            Some(8),
            "{arguments:?}: {}",
            errors(&output)
        );
        assert!(errors(&output).contains("EACCES"), "{}", errors(&output));
    }
    let output = as_nobody(&["list"]);
    assert!(output.status.success() && errors(&output).contains("may not be read by this user"));
    assert!(!String::from_utf8_lossy(&output.stdout).contains(&text));
    let output = as_nobody(&["list", "--all"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("not readable"));
    proof::passed("P6 P10", how, 7);
}

#[test]
fn a_spoilt_header_is_listed_as_corrupt_and_can_be_removed() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let cortex = CortexBuilder::new(1_u64)
        .key(key)
        .persist()
        .create()
        .unwrap();
    drop(cortex);
    let id = segment_id(key).unwrap();
    // Behind magic, version and state: the sizes.
    Foreign::open(key).put(16, &[0xFF; 64]);
    let words = succeeds(&["list"]);
    assert!(words.contains("corrupt"), "{words}");
    let text = key.to_string();
    assert!(fails(1, &["inspect", &text]).contains("neocortex remove"));
    succeeds(&["remove", &text]);
    assert_eq!(segment_id(key), None);
    assert!(sets_of(id).is_empty(), "its semaphores with it");
}

#[test]
fn watch_prints_each_commit_and_ends_in_every_way_it_should() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let text = key.to_string();
    let mut child = owner(key);
    let start = |arguments: &[&str]| {
        let mut process = neocortex(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        (process, out)
    };
    // Ctrl-C, in the form for people.
    let (mut process, mut out) = start(&["watch", &text]);
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("COMMIT") && line.contains("RATE"), "{line}");
    child.tell("commit");
    child.expect("committed");
    line.clear();
    out.read_line(&mut line).unwrap();
    assert_eq!(line.split_whitespace().nth(1), Some("1"), "{line}");
    assert_eq!(
        inspect::segment(key).unwrap().alive,
        Some(1),
        "it takes no part"
    );
    // SAFETY: a child of ours that was not waited for.
    unsafe { libc::kill(process.id() as i32, libc::SIGINT) };
    // It dies of it, so that a shell ends the loop around it.
    assert_eq!(process.wait().unwrap().signal(), Some(libc::SIGINT));
    let mut rest = String::new();
    process
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut rest)
        .unwrap();
    assert_eq!(rest, "");

    // Nobody reads, and nothing is committed.
    let (mut unread, unread_out) = start(&["watch", &text, "--json"]);
    drop(unread_out);
    assert!(unread.wait().unwrap().success());

    // So many lines, as JSON; and another that goes on until the owner removes it.
    let (mut removed, mut removed_out) = start(&["watch", &text]);
    removed_out.read_line(&mut line).unwrap();
    let (mut counted, counted_out) = start(&["watch", &text, "--json", "--count", "1"]);
    let mut commits = 1;
    // It does not say when it begins.
    while counted.try_wait().unwrap().is_none() {
        child.tell("commit");
        child.expect("committed");
        commits += 1;
    }
    assert!(counted.wait().unwrap().success());
    let lines: Vec<_> = counted_out.lines().map(Result::unwrap).collect();
    assert_eq!(lines.len(), 1);
    let object: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert!(
        (2..=commits).contains(&object["commit"].as_u64().unwrap()),
        "{object}"
    );
    assert!(object["rate"].as_f64().unwrap() > 0.0, "{object}");
    child.tell("close");
    child.expect("closed");
    child.finish();
    // To the end of its output first: it does not end while it has more to print than a pipe takes.
    let (mut seen, mut unseen) = (0, 0);
    for line in removed_out.lines().map(Result::unwrap) {
        let mut figures = line
            .split_whitespace()
            .skip(1)
            .map(|word| word.parse::<u64>());
        let (commit, gap) = (
            figures.next().unwrap().unwrap(),
            figures.next().unwrap().unwrap(),
        );
        (seen, unseen) = (seen + 1, unseen + gap);
        assert_eq!(
            commit,
            1 + seen + unseen,
            "every commit is a line or a gap: {line}"
        );
    }
    assert_eq!(removed.wait().unwrap().code(), Some(3));
    assert_eq!(1 + seen + unseen, commits);
}

#[test]
fn watch_ends_at_the_second_signal_whatever_it_does() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let _cortex = CortexBuilder::new(1_u64).key(key).create().unwrap();
    let mut process = neocortex(&["watch", &key.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    // Stopped, so that both are there when it goes on: it cannot end between them.
    for signal in [libc::SIGSTOP, libc::SIGTERM, libc::SIGINT, libc::SIGCONT] {
        // SAFETY: a child of ours that was not waited for.
        unsafe { libc::kill(process.id() as i32, signal) };
    }
    assert!(process.wait().unwrap().signal().is_some());
}

#[test]
fn watch_lets_go_of_a_cortex_that_everybody_has_left() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let text = key.to_string();
    let mut child = owner(key);
    let mut process = neocortex(&["watch", &text])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It is attached when it prints its heading.
    let mut out = BufReader::new(process.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    child.kill();
    // It lets go, so that a successor can take the place at last.
    let successor = loop {
        match CortexBuilder::new([0_u64; 2])
            .key(key)
            .replace_stale()
            .create()
        {
            Ok(cortex) => break cortex,
            Err(neocortex::CortexError::Busy { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(
        process.wait().unwrap().code(),
        Some(3),
        "another segment is another cortex"
    );
    drop(successor);
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    for arguments in [
        &["list"][..],
        &["list", "--json"],
        &["--help"],
        &["man"],
        &["completions", "bash"],
    ] {
        let (reader, writer) = super::common::pipe();
        drop(reader);
        let output = neocortex(arguments)
            .stdout(Stdio::from(writer))
            .output()
            .unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{arguments:?}: {}",
            errors(&output)
        );
    }
    let output = run(&["top"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("needs a terminal"));
}
