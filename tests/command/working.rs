//! `create`, `read`, `write` in scripts; keys, usage, pages, `doctor`.

use super::common::{proof, segment_id, Kernel};
use super::{errors, fails, json, neocortex, run, succeeds};
use neocortex::{inspect, Cortex, CortexBuilder, Semaphore};
use std::io::Write;
use std::process::{Command, Stdio};

fn pour(arguments: &[&str], bytes: &[u8]) -> std::process::Output {
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
    for text in [
        "0",
        "",
        "x",
        "0x",
        "0x-5",
        "--5",
        "4294967296",
        "0x100000000",
        "1.5",
    ] {
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
        18,
    );
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
    ] {
        assert_eq!(verdict(&checks, name), expected, "{name}");
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
            script.contains("reclaim") && !script.contains("probe KEY"),
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
    }
    for page in [
        &["man"][..],
        &["man", "list"],
        &["man", "write"],
        &["man", "top"],
    ] {
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
