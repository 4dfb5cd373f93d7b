//! Names wherever the command takes a key.

use super::common::{Child, Foreign, Kernel, Role};
use super::{errors, fails, json, run, succeeds};
use neocortex::{key_of, CortexBuilder};

#[test]
fn every_sub_command_takes_a_name() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let key = key_of(&name).unwrap();
    assert_eq!(succeeds(&["create", &name, "16"]), format!("{key}\n"));
    succeeds(&["write", &name, "--as", "u64", "7", "8"]);
    assert_eq!(succeeds(&["read", &name, "--as", "u64"]), "7 8\n");
    // By its number too, in either form.
    assert_eq!(
        succeeds(&["read", &key.to_string(), "--as", "u64"]),
        "7 8\n"
    );
    let hex = format!("{key:#x}");
    assert_eq!(json(&["inspect", &hex, "--json"])["name"], *name);
    let sheet = succeeds(&["inspect", &name]);
    let first = format!("name          {name}\nkey           {key}");
    assert!(sheet.starts_with(&first), "{sheet}");
    succeeds(&["heal", &name]);
    let listed = succeeds(&["list"]);
    let heading = listed.lines().next().expect("a heading");
    assert!(
        heading.starts_with("KEY") && heading.contains("NAME"),
        "{listed}"
    );
    assert!(listed.contains(&name), "{listed}");
    let all = json(&["list", "--json"]);
    let names: Vec<_> = all.as_array().expect("an array").iter().collect();
    assert!(names.iter().any(|one| one["name"] == *name), "{all}");
    let kept = fails(4, &["reclaim", &name]);
    assert!(kept.contains(&name), "{kept}");
    succeeds(&["remove", &name]);
    let absent = fails(3, &["read", &name]);
    assert!(
        absent.contains(&format!("\"{name}\" (key {key})")),
        "{absent}"
    );

    // One without a name says so.
    let number = kernel.key();
    let _nameless = CortexBuilder::new(1_u64).key(number).create().unwrap();
    let one = json(&["inspect", &number.to_string(), "--json"]);
    assert!(one["name"].is_null(), "{one}");
}

#[test]
fn another_name_is_status_6_and_nothing_is_touched() {
    let kernel = Kernel::new();
    let [one, two] = kernel.twins();
    let cortex = CortexBuilder::new(5_u64).key(&one).create().unwrap();
    for arguments in [
        &["read", &two][..],
        &["inspect", &two],
        &["write", &two, "--as", "u64", "1"],
        &["heal", &two],
        &["watch", &two],
        &["remove", "--force", &two],
        &["reclaim", &two],
        &["create", &two, "8"],
        &["create", "--replace-stale", &two, "8"],
    ] {
        let words = fails(6, arguments);
        assert!(words.contains(&one) && words.contains(&two), "{words}");
    }
    assert_eq!(cortex.read().unwrap(), 5);
}

#[test]
fn what_is_no_name_is_refused_with_the_rule() {
    let long = "x".repeat(256);
    for text in ["", &long, "a\u{7f}", "4294967296", "0x"] {
        let output = run(&["read", "--", text]);
        assert_eq!(output.status.code(), Some(2), "{text:?}");
        let words = errors(&output);
        let has_rule = words.contains("255 bytes of UTF-8") || words.contains("32 bits");
        assert!(has_rule, "{words}");
    }
}

/// A name may hold what a terminal acts on or hides, though no control characters; and a peer may put any bytes there.
#[test]
fn a_name_cannot_steer_the_terminal() {
    let kernel = Kernel::new();
    let name = format!("{}\u{202e}\u{200b}", kernel.name());
    let key = key_of(&name).unwrap();
    kernel.watch(key);
    let _cortex = CortexBuilder::new(5_u64).key(&name).create().unwrap();
    let number = key.to_string();
    for arguments in [&["list"][..], &["inspect", &number], &["list", "--json"]] {
        let said = succeeds(arguments);
        assert!(!said.contains(['\u{202e}', '\u{200b}']), "{said:?}");
        assert!(said.contains("202e"), "{said:?}");
    }
    let raw = Foreign::open(key);
    raw.put(180, b"\x1b[2J");
    for arguments in [&["list", "--all"][..], &["list", "--all", "--json"]] {
        let said = succeeds(arguments);
        assert!(!said.contains('\x1b') && !said.contains("[2J"), "{said:?}");
        assert!(said.contains("corrupt"), "{said}");
    }
    raw.put(180, name.as_bytes());
}

/// A process that owns a cortex of this name until it is killed; with `kept`, one that was made to stay.
#[test]
fn role_own_named() {
    let Some(role) = Role::of("role_own_named") else {
        return;
    };
    let cortex = CortexBuilder::new(5_u64).key(role.text(0)).create();
    let cortex = cortex.expect("a cortex");
    if role.text(1) == "kept" {
        cortex.persist();
    }
    role.say("made");
    role.listen();
}

/// What `reclaim` and `remove` say about a cortex whose name turns the direction of writing round, or hides a part of
/// itself: on neither stream do these characters reach the terminal, and what is to be typed is the number.
#[test]
fn reclaim_and_remove_show_a_name_without_what_steers_the_terminal() {
    const STEERING: [char; 2] = ['\u{202e}', '\u{200b}'];
    let kernel = Kernel::new();
    let name = format!("{}\u{202e}\u{200b}", kernel.name());
    let escaped = name
        .replace(STEERING[0], "\\u{202e}")
        .replace(STEERING[1], "\\u{200b}");
    let key = key_of(&name).expect("a name");
    let number = key.to_string();
    kernel.watch(key);
    let is_shown = |words: &str| {
        assert!(!words.contains(STEERING), "{words:?}");
        assert!(words.contains(&escaped), "{words:?}");
    };
    let killed = |how: &str| {
        let mut owner = Child::spawn("role_own_named", &[&name, &how]);
        owner.expect("made");
        owner.kill();
    };

    killed("kept");
    let kept = fails(4, &["reclaim", &name]);
    is_shown(&kept);
    assert!(
        kept.contains(&format!("`neocortex remove {number}`")),
        "{kept}"
    );
    // What the message says to type is what works.
    succeeds(&["remove", &number]);

    let cortex = CortexBuilder::new(5_u64)
        .key(&name)
        .create()
        .expect("a cortex");
    is_shown(&fails(4, &["reclaim", &name]));
    is_shown(&fails(4, &["remove", &name]));
    drop(cortex);
    is_shown(&fails(3, &["remove", &name]));
    is_shown(&fails(3, &["reclaim", &name]));

    killed("stale");
    is_shown(&succeeds(&["reclaim", "--dry-run", &name]));
    is_shown(&succeeds(&["reclaim", "--all", "--dry-run"]));
    is_shown(&succeeds(&["reclaim", &name]));

    // A creator that died before there was a name in the header.
    Foreign::create(key, 4096).put(0, b"NEOCORTX");
    is_shown(&succeeds(&["reclaim", &name]));
}
