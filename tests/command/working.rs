//! `create`, `read`, `write` in scripts; keys, usage, pages, `doctor`.

use super::common::{proof, segment_id, Kernel};
use super::{errors, fails, json, neocortex, run, succeeds};
use neocortex::{inspect, Cortex, CortexBuilder, Semaphore};
use std::io::Write;
use std::process::{Command, Stdio};

pub(super) fn pour(arguments: &[&str], bytes: &[u8]) -> std::process::Output {
    let mut process = neocortex(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may refuse before it has read all.
    let _ = process.stdin.take().unwrap().write_all(bytes);
    process.wait_with_output().unwrap()
}

#[test]
fn what_a_script_writes_a_program_reads() {
    let kernel = Kernel::new();
    let made = succeeds(&[
        "create",
        "--random",
        "16",
        "--lock",
        "semaphore",
        "--mode",
        "660",
        "--schema",
        "0x10",
    ]);
    let text = made.trim();
    let key: i32 = text.parse().expect("a key");
    kernel.watch(key);
    let all = [
        ("f64", "1.5", "-2.5"),
        ("i64", "-1", "9223372036854775807"),
        ("u64", "0", "18446744073709551615"),
    ];
    for (kind, one, two) in all {
        succeeds(&["write", text, "--as", kind, one, two]);
        assert_eq!(
            succeeds(&["read", text, "--as", kind]),
            format!("{one} {two}\n")
        );
    }
    for (kind, word, bytes) in [
        ("f32", "0.25", 4),
        ("i8", "-128", 1),
        ("i16", "-3", 2),
        ("i32", "-4", 4),
        ("u8", "255", 1),
        ("u16", "65535", 2),
        ("u32", "7", 4),
    ] {
        succeeds(&["write", text, "--as", kind, word, "--offset", "4"]);
        let length = bytes.to_string();
        assert_eq!(
            succeeds(&["read", text, "--as", kind, "--offset", "4", "--length", &length]),
            format!("{word}\n")
        );
    }
    let cortex: Cortex<[f64; 2], Semaphore> = Cortex::attach(key).unwrap();
    succeeds(&["write", text, "--as", "f64", "3.5", "4.5"]);
    assert_eq!(cortex.read().unwrap(), [3.5, 4.5]);
    assert!(pour(&["write", text, "--fill"], b"h\xC3\xA9llo")
        .status
        .success());
    assert_eq!(succeeds(&["read", text, "--as", "utf8"]), "héllo\n");
    assert_eq!(
        run(&["read", text]).stdout,
        b"h\xC3\xA9llo\0\0\0\0\0\0\0\0\0\0"
    );
    succeeds(&["write", text, "--as", "hex", "00ff"]);
    assert_eq!(
        succeeds(&["read", text, "--as", "hex", "--length", "2"]),
        "00ff\n"
    );
    // Structures, as a C compiler lays them.
    succeeds(&["write", text, "--as", "u32,f64", "7", "-1.5"]);
    assert_eq!(cortex.read().unwrap()[1], -1.5);
    assert_eq!(succeeds(&["read", text, "--as", "u32,f64"]), "7 -1.5\n");
    assert_eq!(
        succeeds(&["read", text, "--as", "u32,u8x4,f64"]),
        "7 0 0 0 0 -1.5\n"
    );
    assert_eq!(
        succeeds(&["read", text, "--as", "u32x1,hexx4,f64"]),
        "7 00000000 -1.5\n"
    );
    let halves = [1, 1, 0, 1, 2, 1, 0, 2];
    assert!(pour(&["write", text], &[halves, halves].concat())
        .status
        .success());
    assert_eq!(
        succeeds(&["read", text, "--as", "u16,u8,u8,u32"]),
        "257 0 1 33554690; 257 0 1 33554690\n"
    );
    assert_eq!(
        succeeds(&["read", text, "--as", "u8x2,u16,i32"]),
        "1 1 256 33554690; 1 1 256 33554690\n"
    );
    // Without padding a structure is shorter.
    succeeds(&[
        "write",
        text,
        "--as",
        "packed:u8,f32,utf8x3",
        "9",
        "0.5",
        "ab",
        "8",
        "2.5",
        "abc",
    ]);
    assert_eq!(
        run(&["read", text]).stdout,
        [
            &[9][..],
            &0.5_f32.to_ne_bytes(),
            b"ab\0\x08",
            &2.5_f32.to_ne_bytes(),
            b"abc"
        ]
        .concat()
    );
    assert_eq!(
        succeeds(&["read", text, "--as", "packed:u8,f32,utf8x3"]),
        "9 0.5 \"ab\"; 8 2.5 \"abc\"\n"
    );
    assert_eq!(
        succeeds(&[
            "read",
            text,
            "--as",
            "packed:u8,f32,utf8x3",
            "--offset",
            "8"
        ]),
        "8 2.5 \"abc\"\n"
    );
    let shown = json(&[
        "inspect",
        text,
        "--as",
        "packed:u8,u64,u8x1,i16x3",
        "--json",
    ]);
    assert_eq!(shown["value"].as_array().map(Vec::len), Some(1), "{shown}");
    let (fields, strings) = (&shown["value"][0], &shown["value_strings"][0]);
    assert_eq!(fields[0], 9);
    assert_eq!(
        (
            fields[2].as_array().map(Vec::len),
            fields[3].as_array().map(Vec::len)
        ),
        (Some(1), Some(3))
    );
    assert_eq!(
        strings[1].as_str(),
        Some(&*fields[1].to_string()),
        "{shown}"
    );
    assert!(strings[0].is_null());
    let lines = succeeds(&["inspect", text, "--as", "packed:u8,f32,utf8x3"]);
    assert!(lines.contains("\n00000008  8 2.5 \"abc\"\n"), "{lines}");
    // What is no structure, no number of whole ones, or no value of a field, changes nothing.
    let before = cortex.version();
    for wrong in [
        "u32,",
        "u32,f65",
        "u8x0",
        "x4",
        "packed:",
        "u8x99999999999999999999",
        "u32;f64",
        "",
    ] {
        fails(2, &["read", text, "--as", wrong]);
    }
    let told = fails(2, &["read", text, "--as", "u32,f65"]);
    assert!(told.contains("u32,f64,u8x16"), "{told}");
    fails(2, &["read", text, "--as", "u32,f64,u8"]);
    fails(2, &["write", text, "--as", "u32,f64", "7"]);
    fails(2, &["write", text, "--as", "u32,f64", "7", "1", "7"]);
    fails(2, &["write", text, "--as", "utf8x3,u8", "four", "1"]);
    fails(2, &["write", text, "--as", "hexx2,u8", "aa", "1"]);
    fails(2, &["write", text, "--as", "u8,u8", "256", "1"]);
    assert_eq!(cortex.version(), before);
    // Refused as a whole, and nothing is written.
    let before = cortex.version();
    for bytes in [17, 1 << 20] {
        let output = pour(&["write", text], &vec![1; bytes]);
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    }
    for words in [
        &["write", text, "--as", "u8", "256"][..],
        &["write", text, "--as", "u64", "1", "2", "3"],
        &["write", text, "--as", "hex", "0"],
        &["read", text, "--offset", "17"],
        &["read", text, "--as", "u64", "--length", "9"],
    ] {
        fails(2, words);
    }
    assert_eq!(cortex.version(), before);
    assert!(fails(4, &["create", text, "16"]).contains("in use, not stale"));
    // Somebody holds it for long: the time runs out.
    let guard = cortex.write_guard().unwrap();
    assert!(
        fails(7, &["write", text, "--as", "u8", "1", "--timeout", "0.05"])
            .contains("neocortex inspect")
    );
    drop(guard);
    drop(cortex);
    succeeds(&["remove", text]);
    assert_eq!(segment_id(key), None);
}

#[test]
fn keys_are_decimal_negative_or_hexadecimal() {
    let kernel = Kernel::new();
    let key = -kernel.key();
    kernel.watch(key);
    let hex = format!("{key:#x}");
    succeeds(&["create", &key.to_string(), "1k", "--slots", "3"]);
    for text in [
        key.to_string(),
        hex.clone(),
        format!("-{:#x}", -i64::from(key)),
        hex.replace("0x", "0X"),
    ] {
        assert_eq!(json(&["inspect", &text, "--json"])["key"], key, "{text}");
    }
    assert_eq!(json(&["inspect", &hex, "--json"])["size"], 1024);
    succeeds(&["remove", &key.to_string()]);
    for text in ["0", "", "0x", "4294967296", "0x100000000", "a\nb"] {
        let output = run(&["inspect", "--", text]);
        assert_eq!(output.status.code(), Some(2), "{text:?}");
    }
}

#[test]
fn failures_have_a_status_a_reason_and_a_next_step() {
    let kernel = Kernel::new();
    let (absent, used) = (kernel.key().to_string(), kernel.key());
    let cortex = CortexBuilder::new(1_u64)
        .key(used)
        .participants(1)
        .create()
        .unwrap();
    let used = used.to_string();
    for arguments in [
        &["inspect", &absent][..],
        &["read", &absent],
        &["write", &absent, "--as", "u8", "1"],
        &["watch", &absent],
        &["follow", &absent],
        &["remove", &absent],
        &["reclaim", &absent],
        &["heal", &absent],
    ] {
        let words = fails(3, arguments);
        assert!(
            words.contains(&absent) && words.contains("ENOENT") && words.contains("neocortex list"),
            "{words}"
        );
    }
    assert!(fails(4, &["remove", &used]).contains("--force"));
    assert!(fails(4, &["reclaim", &used]).contains("not stale"));
    assert!(fails(4, &["write", &used, "--as", "u8", "1"]).contains("participants"));
    assert_eq!(cortex.read().unwrap(), 1);
    for arguments in [
        &[][..],
        &["nonsense"],
        &["create", "12"],
        &["create", "--random", "5", "8"],
        &["create", "--random", "0"],
        &["reclaim"],
        &["inspect", "5", "--as", "f16"],
        &["man", "nonsense"],
    ] {
        let output = run(arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            errors(&output)
        );
    }
    // Removed by force: those attached keep it.
    succeeds(&["remove", "--force", &used]);
    assert!(inspect::segment(cortex.key()).is_err());
    cortex.write(2).unwrap();
    proof::passed(
        "P10",
        "the command's failures: status, reason and next step, on no key, in use, full, and usage",
        19,
    );
}

/// Of its own options and sub-commands, never of the library's functions.
#[test]
fn failures_speak_of_this_command() {
    let kernel = Kernel::new();
    let (absent, small, poisoned) = (kernel.key(), kernel.key(), kernel.key());
    let words = fails(3, &["remove", &absent.to_string()]);
    assert!(words.contains(&format!("remove key {absent}")), "{words}");
    assert!(!words.contains("attach"), "{words}");

    let full = CortexBuilder::new(1_u64).key(small).participants(1);
    let full = full.create().unwrap();
    let words = fails(4, &["write", &small.to_string(), "--as", "u8", "1"]);
    for own in ["`--participants`", "`neocortex read`"] {
        assert!(words.contains(own), "{words}");
    }
    assert!(!words.contains("Observer"), "{words}");
    drop(full);

    let options = neocortex::SegmentOptions::new().in_place();
    let segment = options.create::<neocortex::SeqLock>(poisoned, 8).unwrap();
    drop(segment.write_guard().unwrap());
    let words = fails(
        5,
        &[
            "write",
            &poisoned.to_string(),
            "--offset",
            "1",
            "--as",
            "u8",
            "1",
        ],
    );
    for own in ["`neocortex write`", "`neocortex heal`"] {
        assert!(words.contains(own), "{words}");
    }
    assert!(!words.contains("clear_poison"), "{words}");
}

#[test]
fn what_is_asked_for_is_checked_before_anything_is_done() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let text = key.to_string();
    // Which argument, and what may stand there.
    for (arguments, words) in [
        (
            &["create", "99999999999", "8"][..],
            &["\"99999999999\"", "KEY", "0x"][..],
        ),
        (
            &["create", &text, "10MB"],
            &["\"10MB\"", "SIZE", "k, M or G"],
        ),
        (&["create", &text, "10m"], &["\"10m\"", "SIZE", "k, M or G"]),
        (
            &["create", "--random", "8", "--slots", "1"],
            &["--slots", "2..=65536"],
        ),
        (
            &["create", "--random", "8", "--slots", "65537"],
            &["--slots"],
        ),
        (
            &["create", "--random", "8", "--participants", "0"],
            &["--participants"],
        ),
        (
            &["read", &text, "--length", "10MB"],
            &["--length", "k, M or G"],
        ),
        (
            &["read", &text, "--timeout", "inf"],
            &["--timeout", "seconds"],
        ),
        (&["reclaim", "--all", "--older", "5x"], &["--older", "15m"]),
        (
            &["reclaim", "--all", "--owner", "no such user"],
            &["--owner"],
        ),
        (&["reclaim", &text, "--older", "5s"], &["--older"]),
    ] {
        let said = fails(2, arguments);
        assert!(
            words.iter().all(|word| said.contains(word)),
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(segment_id(key), None);
    succeeds(&["create", &text, "16"]);
    kernel.watch(key);
    for arguments in [
        &["read", &text, "--length", "1000G"][..],
        &["read", &text, "--length", "17"],
        &["read", &text, "--offset", "8", "--length", "9"],
        &["read", &text, "--offset", "1000G"],
        &["inspect", &text, "--offset", "1000G"],
        &["write", &text, "--offset", "1000G", "--as", "u8", "1"],
        &["write", &text, "--as", "utf8", ""],
    ] {
        assert!(fails(2, arguments).contains(&text), "{arguments:?}");
    }
    // Longer than any clock goes.
    succeeds(&["read", &text, "--timeout", "1e19"]);
    succeeds(&["write", &text, "--timeout", "1e19", "--as", "u8", "1"]);

    // Nothing from standard input is no value, and part of one only where that is wanted.
    succeeds(&["write", &text, "--as", "utf8", "0123456789abcdef"]);
    for (arguments, input) in [
        (&["write", &text][..], &b""[..]),
        (&["write", &text, "--fill"], b""),
        (&["write", &text, "--exact"], b""),
        (&["write", &text, "--exact"], b"short"),
    ] {
        let output = pour(arguments, input);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {input:?}");
    }
    assert_eq!(
        succeeds(&["read", &text, "--as", "utf8"]),
        "0123456789abcdef\n"
    );
    assert!(pour(&["write", &text], b"AB").status.success());
    assert_eq!(
        succeeds(&["read", &text, "--as", "utf8"]),
        "AB23456789abcdef\n"
    );
    assert!(pour(&["write", &text, "--exact"], &[b'z'; 16])
        .status
        .success());
    assert!(pour(&["write", &text, "--exact", "--offset", "14"], b"yy")
        .status
        .success());
    assert_eq!(
        succeeds(&["read", &text, "--as", "utf8"]),
        "zzzzzzzzzzzzzzyy\n"
    );
    succeeds(&["write", &text, "--as", "utf8", "", "--fill"]);
    assert_eq!(succeeds(&["read", &text, "--as", "utf8"]), "\n");
    succeeds(&["remove", &text]);
}

#[test]
fn numbers_are_in_their_shortest_form_and_exact_in_json() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let text = key.to_string();
    succeeds(&["create", &text, "16", "--schema", "18446744073709551615"]);
    kernel.watch(key);
    for (kind, words) in [
        ("f64", ["1e300", "0.1"]),
        ("f64", ["-2.5e-300", "123456"]),
        ("f64", ["-inf", "NaN"]),
        ("u64", ["18446744073709551615", "9007199254740993"]),
        ("i64", ["-9223372036854775808", "1"]),
    ] {
        succeeds(&["write", &text, "--as", kind, words[0], words[1]]);
        assert_eq!(
            succeeds(&["read", &text, "--as", kind]),
            format!("{}\n", words.join(" "))
        );
        let object = json(&["inspect", &text, "--as", kind, "--json"]);
        let is_integer = kind != "f64";
        if is_integer {
            assert_eq!(object["value_strings"], serde_json::json!(words));
        } else {
            assert_eq!(object["value_strings"], serde_json::Value::Null);
        }
    }
    succeeds(&["write", &text, "--as", "f32", "0.1", "3e38", "1", "-0.25"]);
    assert_eq!(
        succeeds(&["read", &text, "--as", "f32"]),
        "0.1 3e38 1 -0.25\n"
    );
    let object = json(&["inspect", &text, "--as", "f32", "--json"]);
    assert_eq!(object["value"], serde_json::json!([0.1, 3e38, 1.0, -0.25]));
    // Above 2⁵³ not every reader of JSON is exact.
    assert_eq!(object["schema_string"], "18446744073709551615");
    assert_eq!(object["commits_string"], object["commits"].to_string());
    // What the help says of each column is where it says.
    let rows = json(&["list", "--json"]);
    let row = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["key"] == key)
        .unwrap();
    let help = succeeds(&["list", "--help"]);
    let heading = succeeds(&["list"]);
    let heading: Vec<&str> = heading.lines().next().unwrap().split_whitespace().collect();
    for column in &heading {
        let words = help
            .lines()
            .find(|line| line.starts_with(&format!("{column}: ")));
        let words = words.unwrap_or_else(|| panic!("{column}: {help}"));
        let (_, fields) = words
            .split_once("(JSON: ")
            .unwrap_or_else(|| panic!("{words}"));
        for field in fields.split('`').skip(1).step_by(2) {
            assert!(row.get(field).is_some(), "{field}: {row}");
        }
    }
    let guide = include_str!("../../docs/guide/command.md");
    let example = guide.lines().find(|line| line.starts_with("KEY ")).unwrap();
    // Another test may have a cortex with a name, for which there is a column then.
    let unnamed = heading.into_iter().filter(|column| *column != "NAME");
    assert!(example.split_whitespace().eq(unnamed), "{example}");
    succeeds(&["remove", &text]);
}

#[test]
fn doctor_finds_what_it_is_shown() {
    let _kernel = Kernel::new();
    let checks = json(&["doctor", "--json"]);
    let verdict = |checks: &serde_json::Value, name: &str| {
        let all = checks.as_array().expect("an array").clone();
        let found = all
            .iter()
            .find(|one| one["check"] == name)
            .unwrap_or_else(|| panic!("{name}"));
        found["verdict"].as_str().expect("a word").to_owned()
    };
    for name in ["create", "SEM_UNDO"] {
        assert_eq!(verdict(&checks, name), "ok");
    }
    // Another machine's files: everything that can be wrong with them.
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("proc/sys/kernel/shmmni", "1\n");
    put("proc/sys/kernel/shmmax", "4096\n");
    put("proc/sys/kernel/shmall", "10\n");
    put("proc/sys/kernel/sem", "100 1000 1 10\n");
    put(
        "proc/sysvipc/shm",
        "key shmid perms size cpid\n1 2 600 36864 9\n",
    );
    put("proc/sysvipc/sem", "key semid perms nsems\n");
    put("proc/sys/kernel/shm_rmid_forced", "1\n");
    put("proc/sys/kernel/shm_next_id", "7\n");
    put("proc/sys/kernel/sem_next_id", "-1\n");
    put("proc/sys/vm/overcommit_memory", "2\n");
    put("proc/sys/vm/max_map_count", "100\n");
    put("proc/sys/fs/file-nr", "990\t0\t1000\n");
    put(
        "proc/self/limits",
        "Max locked memory         65536                65536                bytes\nMax address space         unlimited            unlimited            bytes\n",
    );
    put(
        "proc/self/status",
        "Name:\tx\nCapEff:\t0000000000000000\nSeccomp:\t2\n",
    );
    put("proc/sys/kernel/osrelease", "5.10.0-28-amd64\n");
    put(
        "proc/meminfo",
        "HugePages_Total:     8\nHugePages_Free:      3\nHugePages_Rsvd:      3\nHugepagesize:     2048 kB\n",
    );
    put("sys/kernel/security/lsm", "lockdown,selinux");
    put("sys/fs/selinux/enforce", "1");
    put("proc/version", "Linux version 4.4.0 gVisor\n");
    put("run/systemd/system/x", "");
    put("etc/systemd/logind.conf", "[Login]\n#RemoveIPC=yes\n");
    let arguments = ["doctor", "--json", "--root", root.path().to_str().unwrap()];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let checks: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for (name, expected) in [
        ("SHMMNI", "broken"),
        ("SHMMAX", "warning"),
        ("SHMALL", "warning"),
        ("SEMMSL", "broken"),
        ("SEMOPM", "broken"),
        ("SEMMNI", "ok"),
        ("container", "warning"),
        ("shm_rmid_forced", "warning"),
        ("next ids", "warning"),
        ("overcommit", "note"),
        ("mappings", "warning"),
        ("open files", "warning"),
        ("locked memory", "note"),
        ("address space", "ok"),
        ("prefault", "note"),
        ("lock in memory", "note"),
        ("huge pages", "warning"),
        ("seccomp", "note"),
        ("security modules", "note"),
    ] {
        assert_eq!(verdict(&checks, name), expected, "{name}");
    }
    // And one that has what was missing.
    put("proc/sys/kernel/osrelease", "5.14.0\n");
    put("proc/self/status", "CapEff:\t0000000000004000\n");
    put(
        "proc/meminfo",
        "HugePages_Total:     8\nHugePages_Free:      3\nHugePages_Rsvd:      1\nHugepagesize:     2048 kB\n",
    );
    let output = run(&arguments);
    let checks: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for name in ["prefault", "lock in memory", "huge pages"] {
        assert_eq!(verdict(&checks, name), "ok", "{name}");
    }
    // What is advised is more than there is, and the figures that are not too small stay.
    for (used, limit, advised) in [
        (4000, 4096, "kernel.shmmni=8192`"),
        (32_000, 32_768, "ipcmni_extend"),
    ] {
        put("proc/sys/kernel/shmmni", &format!("{limit}\n"));
        let rows = "1 2 600 4096 9\n".repeat(used);
        put(
            "proc/sysvipc/shm",
            &format!("key shmid perms size cpid\n{rows}"),
        );
        put("proc/sys/kernel/sem", "100 1000 1 10\n");
        let output = run(&arguments);
        let checks: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let advice = |name: &str| {
            let all = checks.as_array().expect("an array");
            let found = all.iter().find(|one| one["check"] == name).expect(name);
            found["advice"].as_str().expect("words").to_owned()
        };
        assert!(advice("SHMMNI").contains(advised), "{}", advice("SHMMNI"));
        assert!(
            advice("SEMMSL").contains("\"32000 1000 1 10\""),
            "{}",
            advice("SEMMSL")
        );
        assert!(
            advice("SEMOPM").contains("\"100 1000 500 10\""),
            "{}",
            advice("SEMOPM")
        );
    }
    // SAFETY: takes nothing and cannot fail.
    let is_system = unsafe { libc::geteuid() } < 1000;
    let expected = if is_system { "ok" } else { "warning" };
    assert_eq!(verdict(&checks, "RemoveIPC"), expected);
    put(
        "run/systemd/logind.conf.d/a.conf",
        "[Login]\nRemoveIPC=no\n",
    );
    let output = run(&arguments);
    assert!(String::from_utf8_lossy(&output.stdout).contains("leaves a user's objects alone"));
}

/// Whether a program for it is here.
fn has(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn feed(program: &str, arguments: &[&str], text: &str) -> std::process::Output {
    let mut process = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    process.wait_with_output().unwrap()
}

#[test]
fn completions_and_manual_pages_are_understood_by_their_readers() {
    for shell in ["bash", "zsh", "fish"] {
        let script = succeeds(&["completions", shell]);
        assert!(
            script.contains("reclaim") && !script.contains("probe"),
            "{shell}"
        );
        if has(shell) {
            let output = feed(shell, &["-n"], &script);
            assert!(output.status.success(), "{shell}: {}", errors(&output));
        }
    }
    if has("bash") {
        let script = succeeds(&["completions", "bash"])
            + "\nCOMP_WORDS=(neocortex recl); COMP_CWORD=1; _neocortex neocortex recl neocortex; echo \"${COMPREPLY[@]}\"\n";
        let output = feed("bash", &[], &script);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            "reclaim",
            "{}",
            errors(&output)
        );
        // `man` takes the name of a sub-command.
        let script = succeeds(&["completions", "bash"])
            + "\nCOMP_WORDS=(neocortex man doc); COMP_CWORD=2; _neocortex neocortex doc man; echo \"${COMPREPLY[@]}\"\n";
        let output = feed("bash", &[], &script);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "doctor");
    }
    // The first page, and each that it lists: the Debian package has them all.
    let whole = succeeds(&["man"]);
    let listed = whole
        .lines()
        .filter_map(|line| line.strip_prefix(r"neocortex\-")?.strip_suffix("(1)"));
    let pages: Vec<_> = listed.map(|name| vec!["man", name]).collect();
    assert!(pages.len() > 10, "{whole}");
    for page in pages.iter().chain([&vec!["man"]]) {
        let roff = succeeds(page);
        assert!(roff.contains(".TH neocortex"), "{roff}");
        if has("groff") {
            let output = feed("groff", &["-man", "-Tutf8", "-ww"], &roff);
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{page:?}: {}",
                errors(&output)
            );
        }
    }
    assert!(succeeds(&["man"]).contains("EXIT STATUS"));
}
