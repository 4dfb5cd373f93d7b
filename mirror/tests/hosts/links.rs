//! What happens to a link: it is cut, it is slow.

use crate::host::Net;
use crate::or_long;
use std::time::{Duration, Instant};

pub const PUBLISH: &str = "publish sensor --insecure --listen tcp/10.77.0.1:7447 --origin left";
pub const FOLLOW: &str =
    "follow sensor --create --insecure --connect tcp/10.77.0.1:7447 --origin right";

#[test]
fn a_value_written_on_one_host_is_read_on_the_other() {
    let Some(mut net) = Net::new(2) else { return };
    let (left, right) = split(&mut net);
    left.ask("put sensor 64 1");
    let publisher = left.mirror(PUBLISH);
    let follower = right.mirror(FOLLOW);
    println!("first value after {} ms", right.number("until sensor 1"));
    for number in 2..10 {
        left.ask(&format!("put sensor 64 {number}"));
        right.number(&format!("until sensor {number}"));
    }
    let [alive, term, _, version, applied, ..] = right.status_at("sensor", 9);
    assert_eq!((alive, term, version), (1, 1, 9), "{applied} values");
    let (status, output, _) = right.run("status sensor");
    assert_eq!(status, 0, "{output}");
    assert!(
        output.contains("alive") && output.contains("left"),
        "{output}"
    );
    let (status, output, _) = left.run("status --json");
    assert!(status == 0 && output.contains("\"publishes\""), "{output}");
    assert_eq!((publisher.stop(), follower.stop()), (0, 0));
    // The value stays with its own permission, and the status goes.
    assert_eq!(right.ask("get sensor"), "9");
    assert_eq!(right.ask("list"), "sensor");
    assert_eq!(left.ask("list"), "sensor");
}

/// The first two hosts.
pub fn split(net: &mut Net) -> (&mut crate::host::Host, &mut crate::host::Host) {
    let (left, right) = net.hosts.split_at_mut(1);
    (&mut left[0], &mut right[0])
}

#[test]
fn a_cut_link_is_told_and_the_newest_value_comes_when_it_is_back() {
    let Some(mut net) = Net::new(2) else { return };
    let (left, right) = split(&mut net);
    left.ask("storm sensor 64 5000");
    let _publisher = left.mirror(PUBLISH);
    let _follower = right.mirror(FOLLOW);
    right.number("until sensor 1");
    right.ask("watch sensor");
    for seconds in or_long(&[3][..], &[3, 15, 3, 15]) {
        net.cut(1);
        let begin = Instant::now();
        let (left, right) = split(&mut net);
        right.number("alive sensor 0");
        println!(
            "cut {seconds} s: told after {} ms",
            begin.elapsed().as_millis()
        );
        std::thread::sleep(Duration::from_secs(*seconds).saturating_sub(begin.elapsed()));
        let newest = left.number("last sensor");
        assert!(right.number("get sensor") < newest);
        net.heal(1);
        let (_, right) = split(&mut net);
        println!(
            "cut {seconds} s: newest value after {} ms",
            right.number(&format!("until sensor {newest}"))
        );
        right.number("alive sensor 1");
    }
    let (left, right) = split(&mut net);
    let last = left.number("calm sensor");
    right.number(&format!("until sensor {last}"));
    let seen = right.ask("watched sensor");
    assert!(seen.contains(" 0 0 "), "torn or backwards: {seen}");
}

#[test]
fn a_value_larger_than_the_link_takes_at_once_arrives_fresh() {
    let Some(mut net) = Net::new(2) else { return };
    net.slow_down(1);
    let (left, right) = split(&mut net);
    let size = or_long(1 << 20, 8 << 20);
    left.ask(&format!("put sensor {size} 1"));
    let publisher = left.mirror(PUBLISH);
    let follower = right.mirror(FOLLOW);
    let bits = size as f64 * 8.0 / 10e6;
    println!(
        "{size} bytes, {bits:.2} s on the link: {} ms with the start",
        right.number("until sensor 1")
    );
    left.ask(&format!("storm sensor {size} 20000"));
    let at = right.number("get sensor");
    for _ in 0..or_long(2, 4) {
        let newest = left.number("last sensor");
        println!(
            "newest after {} ms",
            right.number(&format!("until sensor {}", newest.max(at + 1)))
        );
    }
    left.ask("calm sensor");
    let [alive, .., conflated, _, _, _, _] = right.status("sensor");
    assert!(alive == 1 && conflated > 0, "what did not fit was left out");
    for log in [publisher.log(), follower.log()] {
        assert!(!log.contains("gone"), "the link was closed: {log}");
    }
}

#[test]
fn every_commit_that_is_kept_comes_in_order() {
    let Some(mut net) = Net::new(2) else { return };
    let (left, right) = split(&mut net);
    left.ask("make sensor 64 0 4096");
    left.ask("put sensor 0 1");
    let _publisher = left.mirror(PUBLISH);
    let _follower = right.mirror(&format!("{FOLLOW} --every --slots 4096"));
    right.number("until sensor 1");
    for number in 2..=2000 {
        left.ask(&format!("put sensor 0 {number}"));
    }
    right.number("until sensor 2000");
    let [.., version, applied, conflated, refused, foreign, missed, _] =
        right.status_at("sensor", 2000);
    assert_eq!(
        (version, applied, conflated, refused, foreign, missed),
        (2000, 2000, 0, 0, 0, 0)
    );
    // More than are kept, while the link is cut.
    net.cut(1);
    let (left, right) = split(&mut net);
    right.number("alive sensor 0");
    for number in 2001..=8000 {
        left.ask(&format!("put sensor 0 {number}"));
    }
    net.heal(1);
    let (_, right) = split(&mut net);
    right.number("until sensor 8000");
    let [.., version, applied, _, _, _, missed, _] = right.status_at("sensor", 8000);
    assert_eq!((version, applied + missed), (8000, 8000));
    assert!(missed >= 6000 - 4096, "{missed} missed");
}
