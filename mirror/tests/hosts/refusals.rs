//! What is refused: with one clear line, and without anything made.

use crate::host::{Host, Mirror, Net};
use crate::links::{split, FOLLOW, PUBLISH};
use std::path::Path;
use std::process::Command;

/// Lets the follower refuse what the left host publishes: one line that says `what`, and nothing made.
fn refuses(right: &mut Host, arguments: &str, what: &str) {
    let before = right.ask("list");
    let follower = right.mirror(arguments);
    follower.says(what);
    // A question later it has not said it again.
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert_eq!(follower.lines_with(what), 1, "{}", follower.log());
    assert_eq!(follower.stop(), 0);
    assert_eq!(right.ask("list"), before, "{arguments}");
}

#[test]
fn a_value_that_is_not_accepted_is_refused_and_nothing_is_made() {
    let Some(mut net) = Net::new(2) else { return };
    let (left, right) = split(&mut net);
    left.ask("make sensor 64 7 2");
    left.ask("make-rwlock other 64");
    let _publisher = left.mirror(&PUBLISH.replace("sensor", "sensor other"));
    refuses(
        right,
        &format!("{FOLLOW} --schema 8"),
        "schema is 0x7, and 0x8 is expected",
    );
    refuses(
        right,
        &format!("{FOLLOW} --max-size 63"),
        "64 bytes, and at most 63",
    );
    refuses(
        right,
        &FOLLOW.replace("--create ", ""),
        "there is no cortex \"sensor\" here",
    );
    refuses(
        right,
        &FOLLOW.replace("sensor", "absent"),
        "no origin is in sight",
    );
    right.ask("put sensor 128 9");
    refuses(right, FOLLOW, "size is 128, expected 64");
    right.ask("remove sensor");
    right.ask("make sensor 64 6 2");
    refuses(right, FOLLOW, "schema is 0x6, expected 0x7");
    right.ask("remove sensor");
    right.ask("put other 64 9");
    refuses(
        right,
        &FOLLOW.replace("sensor", "other"),
        "lock is \"seqlock\", expected \"rwlock\"",
    );
    assert_eq!(right.ask("get other"), "9");
}

#[test]
fn what_has_no_place_is_stored_when_a_program_makes_it() {
    let Some(mut net) = Net::new(2) else { return };
    let (left, right) = split(&mut net);
    left.ask("put sensor 64 5");
    let _publisher = left.mirror(PUBLISH);
    let follower = right.mirror(&FOLLOW.replace("--create ", ""));
    follower.says("there is no cortex");
    right.ask("make sensor 64 0 2");
    right.number("until sensor 5");
}

#[test]
fn a_name_that_the_origin_does_not_let_through_is_not_seen() {
    let Some(mut net) = Net::new(2) else { return };
    let (left, right) = split(&mut net);
    left.ask("put sensor 64 1");
    left.ask("put secret 64 1");
    // Two mirrors at two ports: what the one lets through, the other does not.
    let publisher = left.mirror(PUBLISH);
    publisher.says("published as");
    let _secret = left.mirror(&PUBLISH.replace("sensor", "secret").replace("7447", "7448"));
    refuses(
        right,
        &FOLLOW.replace("sensor", "secret"),
        "no origin is in sight",
    );
    // Another origin than the one that is let through.
    refuses(
        right,
        &format!("{FOLLOW} --from elsewhere"),
        "no origin is in sight",
    );
    let _follower = right.mirror(&format!("{FOLLOW} --from left"));
    right.number("until sensor 1");
}

#[test]
fn a_mirror_of_the_own_place_is_refused() {
    let Some(mut net) = Net::new(1) else { return };
    let host = &mut net.hosts[0];
    host.ask("put sensor 64 1");
    let publisher = host.mirror(PUBLISH);
    publisher.says("published as");
    let mut circle = host.mirror(&format!("{FOLLOW} --as copy"));
    assert_eq!(circle.status(), 4, "{}", circle.log());
    assert!(
        circle.log().contains("published on this host itself"),
        "{}",
        circle.log()
    );
    let mut second = host.mirror(&PUBLISH.replace("7447", "7448"));
    assert_eq!(second.status(), 4, "{}", second.log());
    assert!(
        second.log().contains("is mirrored already"),
        "{}",
        second.log()
    );
    assert_eq!(host.ask("list"), "neocortex-mirror/sensor sensor");
    drop(publisher);
    // The lock of a mirror that was killed is no lock.
    let publisher = host.mirror(PUBLISH);
    publisher.says("published as");
}

fn certificates(folder: &Path, names: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/certificates.sh");
    let status = Command::new("sh")
        .arg(script)
        .arg(folder)
        .args(names)
        .status()
        .expect("the script");
    assert!(status.success(), "certificates (openssl)");
}

fn tls(arguments: &str, folder: &Path, name: &str) -> String {
    let files = format!(
        "--ca {0}/ca.pem --cert {0}/{name}.pem --key {0}/{name}.key",
        folder.display()
    );
    format!(
        "{} {files}",
        arguments.replace("--insecure ", "").replace("tcp/", "tls/")
    )
}

/// The listener's line about a connection that it refused.
fn is_told(publisher: &Mirror, before: usize) {
    publisher.says("a connection was refused");
    assert!(
        publisher.lines_with("a connection was refused") > before,
        "{}",
        publisher.log()
    );
}

#[test]
fn only_certificates_of_the_own_authority_are_let_in() {
    let Some(mut net) = Net::new(2) else { return };
    let (good, rogue) = (
        net.folder.path().join("good"),
        net.folder.path().join("rogue"),
    );
    certificates(&good, &["10.77.0.1", "right"]);
    certificates(&rogue, &["right"]);
    // A self-signed one, with the right authority beside it.
    let own = net.folder.path().join("own");
    std::fs::create_dir(&own).expect("a folder");
    std::fs::copy(good.join("ca.pem"), own.join("ca.pem")).expect("a copy");
    for (from, to) in [("ca.pem", "right.pem"), ("ca.key", "right.key")] {
        std::fs::copy(rogue.join(from), own.join(to)).expect("a copy");
    }
    // One of another authority, which trusts the right one.
    let mixed = net.folder.path().join("mixed");
    std::fs::create_dir(&mixed).expect("a folder");
    for (from, to) in [
        (&good, "ca.pem"),
        (&rogue, "right.pem"),
        (&rogue, "right.key"),
    ] {
        std::fs::copy(from.join(to), mixed.join(to)).expect("a copy");
    }
    let (left, right) = split(&mut net);
    left.ask("put sensor 64 1");
    let publisher = left.mirror(&tls(PUBLISH, &good, "10.77.0.1"));
    publisher.says("published as");
    for (index, folder) in [&rogue, &own, &mixed].into_iter().enumerate() {
        let follower = right.mirror(&tls(FOLLOW, folder, "right"));
        follower.says("no link to tls/10.77.0.1:7447");
        if index == 0 {
            assert!(follower.log().contains("ertificate"), "{}", follower.log());
        }
        follower.says("no origin is in sight");
        is_told(&publisher, 0);
        assert_eq!(follower.stop(), 0);
        assert_eq!(right.ask("list"), "", "{}", folder.display());
    }
    let _follower = right.mirror(&tls(FOLLOW, &good, "right"));
    right.number("until sensor 1");
}

#[test]
fn a_host_whose_common_name_was_not_named_sees_nothing() {
    let Some(mut net) = Net::new(2) else { return };
    let folder = net.folder.path().join("certificates");
    certificates(&folder, &["10.77.0.1", "right", "other"]);
    let (left, right) = split(&mut net);
    left.ask("put sensor 64 1");
    let publisher = left.mirror(&format!(
        "{} --peer right",
        tls(PUBLISH, &folder, "10.77.0.1")
    ));
    publisher.says("published as");
    refuses(
        right,
        &tls(FOLLOW, &folder, "other"),
        "no origin is in sight",
    );
    let _follower = right.mirror(&tls(FOLLOW, &folder, "right"));
    right.number("until sensor 1");
}
