//! `follow`: each commit with its value, in order, or how many were missed.

use super::common::{Kernel, Random};
use super::{fails, neocortex, owner, succeeds};
use neocortex::{Cortex, CortexBuilder};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

fn create(kernel: &Kernel, slots: u32, commits: u64) -> Cortex<u64> {
    let cortex = CortexBuilder::new(0_u64)
        .key(kernel.key())
        .slots(slots)
        .create()
        .unwrap();
    (1..=commits).for_each(|value| cortex.write(value * 10).unwrap());
    cortex
}

/// The lines of a command that ends by itself, as words.
fn words(arguments: &[&str]) -> Vec<Vec<String>> {
    let text = succeeds(arguments);
    let lines = text.lines().map(|line| line.split_whitespace());
    lines
        .map(|line| line.map(str::to_owned).collect())
        .collect()
}

#[test]
fn follow_begins_with_the_oldest_the_next_or_a_numbered_commit() {
    let kernel = Kernel::new();
    let cortex = create(&kernel, 8, 20);
    let key = cortex.key().to_string();
    let follow = |from: &[&str], count: &str| {
        let arguments = ["follow", &key, "--as", "u64", "--count", count];
        words(&[&arguments[..], from].concat())
    };
    let heading = ["COMMIT", "MISSED", "VALUE"].map(str::to_owned).to_vec();
    let line = |commit: u64, missed: u64| {
        vec![
            commit.to_string(),
            missed.to_string(),
            (commit * 10).to_string(),
        ]
    };
    assert_eq!(
        follow(&[], "2"),
        [heading.clone(), line(13, 0), line(14, 0)]
    );
    assert_eq!(
        follow(&["--from", "oldest"], "1"),
        [heading.clone(), line(13, 0)]
    );
    assert_eq!(
        follow(&["--from", "18"], "2"),
        [heading.clone(), line(19, 0), line(20, 0)]
    );
    assert_eq!(
        follow(&["--from", "5"], "1"),
        [heading.clone(), line(13, 7)]
    );
    assert_eq!(follow(&["--from", "0x13"], "1"), [heading, line(20, 0)]);
    // Nothing was stored in it.
    assert_eq!((cortex.version(), cortex.read().unwrap()), (20, 200));
    let ahead = fails(2, &["follow", &key, "--from", "21"]);
    assert!(ahead.contains("its last commit is 20"), "{ahead}");
    assert!(fails(2, &["follow", &key, "--from", "newest"]).contains("oldest"));
    let bytes = CortexBuilder::new([0_u8; 7])
        .key(kernel.key())
        .create()
        .unwrap();
    let odd = fails(2, &["follow", &bytes.key().to_string(), "--as", "u64"]);
    assert!(odd.contains("7 bytes are not a whole number"), "{odd}");
}

#[test]
fn follow_prints_json_and_text_that_steers_no_terminal() {
    let kernel = Kernel::new();
    let cortex = CortexBuilder::new([0_u8; 16])
        .key(kernel.key())
        .slots(4)
        .create()
        .unwrap();
    let mut text = [0; 16];
    text[..9].copy_from_slice(b"a\x1b[2J\nb\xFF!");
    cortex.write(text).unwrap();
    let key = cortex.key().to_string();
    let shown = succeeds(&["follow", &key, "--as", "utf8", "--count", "1"]);
    let line = shown.lines().nth(1).expect("a line");
    assert!(line.ends_with("a\\u{1b}[2J\\nb\u{FFFD}!"), "{line}");
    assert_eq!(shown.lines().count(), 2);
    let line = succeeds(&["follow", &key, "--as", "u64", "--json", "--count", "1"]);
    let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let numbers = neocortex::bytemuck::cast::<_, [u64; 2]>(text);
    assert_eq!(object["commit"], 1);
    assert_eq!(object["commit_string"], "1");
    assert_eq!(object["missed"], 0);
    assert_eq!(object["value"], serde_json::json!(numbers));
    assert_eq!(object["value_strings"][0], numbers[0].to_string());
}

/// `hello` is five bytes for whoever reads it next.
#[test]
fn records_are_written_and_read_with_their_length() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let text = key.to_string();
    succeeds(&["create", &text, "4k", "--records", "--slots", "8"]);
    succeeds(&["write", &text, "--as", "utf8", "hello"]);
    let segment: neocortex::Segment = neocortex::Segment::attach(key, 4_096).unwrap();
    let mut record = Vec::new();
    segment.read_record(&mut record).unwrap();
    assert_eq!(record, b"hello");
    segment.push(b"{\"ready\":true}").unwrap();
    assert_eq!(succeeds(&["read", &text]), "{\"ready\":true}");
    assert_eq!(
        succeeds(&["read", &text, "--as", "utf8", "--offset", "2", "--length", "5"]),
        "ready\n"
    );
    assert!(fails(2, &["read", &text, "--offset", "15"]).contains("beyond its 14 bytes"));
    let lines = words(&["follow", &text, "--as", "utf8", "--count", "2"]);
    let expected = [
        vec!["COMMIT", "MISSED", "LENGTH", "VALUE"],
        vec!["1", "0", "5", "hello"],
        vec!["2", "0", "14", "{\"ready\":true}"],
    ];
    assert_eq!(lines, expected);
    let line = succeeds(&["follow", &text, "--as", "u32", "--json", "--count", "1"]);
    let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(object["length"], 5);
    let sheet = succeeds(&["inspect", &text, "--as", "utf8"]);
    assert!(sheet.contains("records of up to 4096 bytes"), "{sheet}");
    assert!(sheet.contains("newest record 14 bytes"), "{sheet}");
    assert!(sheet.ends_with("{\"ready\":true}\n"), "{sheet}");
    let object: serde_json::Value =
        serde_json::from_str(&succeeds(&["inspect", &text, "--json"])).expect("JSON");
    assert_eq!(
        (&object["records"], &object["record_length"]),
        (&true.into(), &14.into())
    );
    for option in ["--offset=1", "--fill", "--exact"] {
        let refused = fails(2, &["write", &text, option, "--as", "utf8", "no"]);
        assert!(refused.contains("written whole"), "{refused}");
    }
    assert_eq!(segment.version(), 2);
    let another = kernel.key().to_string();
    fails(2, &["create", &another, "8", "--records", "--in-place"]);
    drop(segment);
    succeeds(&["remove", &text]);
}

/// While it runs: no commit is missing and none is twice, until the cortex is removed.
#[test]
fn follow_goes_on_until_the_cortex_is_removed_or_a_signal_comes() {
    let kernel = Kernel::new();
    let cortex = create(&kernel, 1_000, 0);
    let key = cortex.key().to_string();
    let start = || {
        // From the first commit on, so that those count as missed which were overwritten before the process began.
        let arguments = ["follow", &key, "--as", "u64", "--json", "--from", "0"];
        let mut process = neocortex(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        (process, out)
    };
    let ((mut removed, removed_out), (mut stopped, mut stopped_out)) = (start(), start());
    let mut random = Random::new();
    for value in 1..=3_000 {
        cortex.write(value * 10).unwrap();
        if random.below(100) == 0 {
            std::thread::yield_now();
        }
    }
    let mut line = String::new();
    stopped_out.read_line(&mut line).unwrap();
    // SAFETY: a child of ours that was not waited for.
    unsafe { libc::kill(stopped.id() as i32, libc::SIGINT) };
    std::io::copy(&mut stopped_out, &mut std::io::sink()).unwrap();
    assert_eq!(stopped.wait().unwrap().signal(), Some(libc::SIGINT));
    drop(cortex);
    let (mut got, mut missed) = (0, 0);
    for line in removed_out.lines().map(Result::unwrap) {
        let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let number = |field: &str| object[field].as_u64().unwrap();
        got += 1;
        missed += number("missed");
        assert_eq!(got + missed, number("commit"), "{line}");
        assert_eq!(object["value"][0], number("commit") * 10);
    }
    let mut errors = String::new();
    let mut stderr = removed.stderr.take().unwrap();
    stderr.read_to_string(&mut errors).unwrap();
    assert_eq!(removed.wait().unwrap().code(), Some(3), "{errors}");
    assert!(errors.contains("was removed"), "{errors}");
    assert!(got > 0 && got + missed <= 3_000);
}

/// A cortex that was left with its value can be read to the end, and replaced: nothing keeps it mapped.
#[test]
fn follow_lets_go_of_a_cortex_that_everybody_has_left() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let mut child = owner(key);
    for _ in 0..3 {
        child.tell("commit");
        child.expect("committed");
    }
    child.kill();
    let text = key.to_string();
    let mut process = neocortex(&["follow", &text, "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    // Two slots: the last two are kept.
    for commit in [2, 3] {
        line.clear();
        out.read_line(&mut line).unwrap();
        let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(object["commit"], commit);
    }
    while neocortex::inspect::segment(key).unwrap().attached > 0 {
        std::thread::yield_now();
    }
    // Another that takes its place is not followed.
    let _new = CortexBuilder::new([0_u8; 16])
        .key(key)
        .replace_stale()
        .create()
        .unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(3));
    line.clear();
    assert_eq!(out.read_line(&mut line).unwrap(), 0, "{line}");
}

#[test]
fn wait_tells_which_of_several_has_changed() {
    let kernel = Kernel::new();
    let (one, other) = (create(&kernel, 2, 3), create(&kernel, 2, 5));
    let keys = [one.key().to_string(), other.key().to_string()];
    let late = fails(7, &["wait", &keys[0], &keys[1], "--timeout", "0.01"]);
    assert!(late.contains("before the time was over"), "{late}");
    assert_eq!(
        succeeds(&["wait", &keys[1], "--since", "4"]),
        format!("{} 5\n", keys[1])
    );
    let with_value = ["wait", &keys[0], "--since", "1", "--as", "u64"];
    assert_eq!(succeeds(&with_value), format!("{} 3 30\n", keys[0]));
    let both = fails(2, &["wait", &keys[0], &keys[1], "--since", "1"]);
    assert!(both.contains("give one key"), "{both}");
    fails(3, &["wait", &kernel.key().to_string()]);

    let mut child = neocortex(&["watch", &keys[0], &keys[1], "--as", "u64", "--count", "2"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut words = || {
        let line = lines.next().unwrap().unwrap();
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words(),
        ["SECONDS", "KEY", "COMMIT", "NOT", "SEEN", "VALUE"]
    );
    other.write(7).unwrap();
    assert_eq!(words()[1..], [&*keys[1], "6", "0", "7"]);
    one.write(8).unwrap();
    assert_eq!(words()[1..], [&*keys[0], "4", "0", "8"]);
    assert!(child.wait().unwrap().success());
}
