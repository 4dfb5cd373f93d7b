//! Scripts that start in any order: a first value, create or attach, waiting for the program that creates.

use super::common::{Kernel, Role};
use super::working::pour;
use super::{errors, fails, json, neocortex, succeeds};
use neocortex::{key_of, schema_of, CortexBuilder, Segment};
use std::process::Stdio;

#[test]
fn open_or_create_makes_it_once_and_then_leaves_it_as_it_is() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let create = ["create", &name, "8", "--open-or-create"];
    let key = succeeds(&create);
    assert_eq!(key, format!("{}\n", key_of(&name).unwrap()));
    succeeds(&["write", &name, "--as", "f64", "42"]);
    assert_eq!(succeeds(&create), key);
    assert_eq!(succeeds(&["read", &name, "--as", "f64"]), "42\n");
    fails(6, &["create", &name, "16", "--open-or-create"]);
    for other in ["--records", "--lossless", "--in-place"] {
        let refused = neocortex(&["create", &name, "8", "--open-or-create", other])
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(6), "{}", errors(&refused));
        assert!(errors(&refused).contains(other), "{}", errors(&refused));
    }
    succeeds(&["create", &name, "8", "--open-or-create", "--slots", "5"]);
    fails(4, &["create", &name, "8"]);
    succeeds(&["remove", &name]);

    // A program's own cortex stays its own: it is not made to stay.
    let cortex = CortexBuilder::new(7_u64).key(&name).create().unwrap();
    assert_eq!(succeeds(&create), key);
    assert!(cortex.is_owner());
    drop(cortex);
    fails(3, &["read", &name]);
}

#[test]
fn first_value_is_whole_or_there_is_no_cortex() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let create = ["create", &name, "8", "--initial"];
    for bytes in [&b"1234567"[..], b"123456789", b""] {
        let refused = pour(&create, bytes);
        assert_eq!(refused.status.code(), Some(2), "{}", errors(&refused));
        assert!(errors(&refused).contains("nothing was created"));
        fails(3, &["inspect", &name]);
    }
    let made = pour(&create, b"12345678");
    assert!(made.status.success(), "{}", errors(&made));
    assert_eq!(succeeds(&["read", &name]), "12345678");
    assert_eq!(json(&["inspect", &name, "--json"])["commits"], 0);
    succeeds(&["remove", &name]);
    fails(2, &["create", "--random", "8", "--initial"]);
}

#[test]
fn schema_of_a_description_is_the_number_that_programs_have() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let text = "pose { x: f64, y: f64 }";
    succeeds(&["create", &name, "16", "--schema-of", text]);
    let segment: Segment = Segment::attach(&name, 16).unwrap();
    assert_eq!(segment.schema(), schema_of(text));
    drop(segment);
    succeeds(&["remove", &name]);
    fails(
        2,
        &["create", &name, "8", "--schema", "1", "--schema-of", text],
    );
}

/// A process that makes a cortex of the value 5 when it is told to.
#[test]
fn role_make_later() {
    let Some(role) = Role::of("role_make_later") else {
        return;
    };
    let cortex = CortexBuilder::new(5_u64).key(role.text(0)).create();
    let cortex = cortex.expect("a cortex");
    cortex.persist();
    role.say("made");
    role.listen();
}

#[test]
fn wait_lets_a_script_start_before_the_program_that_creates() {
    let kernel = Kernel::new();
    let name = kernel.name();
    for command in [&["read", &name][..], &["inspect", &name], &["watch", &name]] {
        let late = fails(7, &[command, &["--wait", "0.1"]].concat());
        assert!(late.contains(&name), "{late}");
        fails(3, command);
    }
    let waiting = |arguments: &[&str]| {
        neocortex(&[arguments, &["--wait", "60"]].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut waiting = [
        waiting(&["read", &name, "--as", "u64"]),
        waiting(&[
            "follow", &name, "--as", "u64", "--from", "now", "--count", "1",
        ]),
    ];
    for process in &mut waiting {
        assert!(process.try_wait().unwrap().is_none(), "it waits");
    }
    let mut creator = super::Child::spawn("role_make_later", &[&name]);
    creator.expect("made");
    let [reader, follower] = waiting;
    let read = reader.wait_with_output().unwrap();
    assert_eq!(read.stdout, b"5\n", "{}", errors(&read));
    // It may attach at any moment from now on: values are written until it has one.
    let output = std::thread::scope(|scope| {
        let followed = scope.spawn(|| follower.wait_with_output().unwrap());
        while !followed.is_finished() {
            succeeds(&["write", &name, "--wait", "1", "--as", "u64", "9"]);
        }
        followed.join().unwrap()
    });
    let line = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(
        line.trim_end().ends_with('9'),
        "{line:?} {}",
        errors(&output)
    );
    drop(creator);
    succeeds(&["remove", "--force", &name]);
}
