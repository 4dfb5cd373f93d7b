//! One origin for each name: refused, taken over, stood by for, parted and united.

use crate::host::{Host, Net};
use crate::or_long;

const SECOND: &str = "publish sensor --insecure --connect tcp/10.77.0.1:7447 --origin middle";

/// Three hosts: two that may be the origin, and one that follows. All are linked with one another.
struct Three {
    net: Net,
}

impl Three {
    fn new() -> Option<Self> {
        Some(Self { net: Net::new(3)? })
    }

    fn parts(&mut self) -> (&mut Host, &mut Host, &mut Host) {
        let [left, middle, right] = &mut self.net.hosts[..] else {
            panic!("three hosts")
        };
        (left, middle, right)
    }
}

const FIRST: &str = "publish sensor --insecure --listen tcp/10.77.0.1:7447 --origin left";
/// It is linked with both: peers do not pass on what they hear.
const FOLLOW: &str = "follow sensor --create --insecure --connect tcp/10.77.0.1:7447 --connect tcp/10.77.0.2:7448 --origin right";

fn second(more: &str) -> String {
    format!("{SECOND} --listen tcp/10.77.0.2:7448 {more}")
}

#[test]
fn a_second_origin_is_refused_with_the_name_of_the_first() {
    let Some(mut three) = Three::new() else {
        return;
    };
    let (left, middle, right) = three.parts();
    left.ask("put sensor 64 1");
    middle.ask("put sensor 64 1000");
    let _first = left.mirror(FIRST);
    let _follower = right.mirror(FOLLOW);
    right.number("until sensor 1");
    let mut refused = middle.mirror(&second(""));
    assert_eq!(refused.status(), 3, "{}", refused.log());
    assert!(
        refused.log().contains("published by \"left\" already"),
        "{}",
        refused.log()
    );
    assert_eq!(right.ask("get sensor"), "1");
    assert_eq!(middle.ask("list"), "sensor");
}

#[test]
fn a_take_over_has_the_next_term_and_the_loser_stops() {
    let Some(mut three) = Three::new() else {
        return;
    };
    let (left, middle, right) = three.parts();
    left.ask("put sensor 64 1");
    middle.ask("put sensor 64 1000");
    let mut first = left.mirror(FIRST);
    let _follower = right.mirror(FOLLOW);
    right.number("until sensor 1");
    let _second = middle.mirror(&second("--take-over"));
    right.number("until sensor 1000");
    assert_eq!(first.status(), 5, "{}", first.log());
    assert!(
        first.log().contains("published by \"middle\" (term 2)"),
        "{}",
        first.log()
    );
    assert_eq!(right.status("sensor")[1], 2);
}

#[test]
fn a_standby_begins_when_the_first_goes_and_yields_when_it_is_back() {
    let Some(mut three) = Three::new() else {
        return;
    };
    let (left, middle, right) = three.parts();
    left.ask("put sensor 64 1");
    middle.ask("put sensor 64 1000");
    let first = left.mirror(FIRST);
    let _follower = right.mirror(FOLLOW);
    right.number("until sensor 1");
    let standby = middle.mirror(&second("--standby"));
    standby.says("stands by for \"left\"");
    assert_eq!(right.ask("get sensor"), "1");
    // Cut off, and not gone: the elder claim is still there when the link is back, and wins again.
    three.net.cut(0);
    let (_, _, right) = three.parts();
    right.number("until sensor 1000");
    three.net.heal(0);
    let (left, _, right) = three.parts();
    left.ask("put sensor 64 2000");
    right.number("until sensor 2000");
    // Gone for good.
    assert_eq!(first.stop(), 0);
    let (_, middle, right) = three.parts();
    middle.ask("put sensor 64 3000");
    right.number("until sensor 3000");
}

#[test]
fn two_origins_after_a_partition_have_one_winner() {
    let Some(mut three) = Three::new() else {
        return;
    };
    for round in 0..or_long(2, 20) {
        three.net.cut(0);
        let (left, middle, right) = three.parts();
        left.ask("put sensor 64 1");
        middle.ask("put sensor 64 1000");
        let mut follower = right.mirror(FOLLOW);
        // Neither sees the other, so both claim the name. The elder one is cut off.
        let mut first = left.mirror(FIRST);
        first.says("published as");
        let mut second = middle.mirror(&second(""));
        right.number("until sensor 1000");
        three.net.heal(0);
        assert_eq!(second.status(), 5, "{}", second.log());
        let (left, _, right) = three.parts();
        left.ask(&format!("put sensor 64 {}", 2000 + round));
        right.number(&format!("until sensor {}", 2000 + round));
        assert!(
            second.log().contains("published by \"left\" (term 1)"),
            "{}",
            second.log()
        );
        first.kill();
        follower.kill();
        let (left, middle, right) = three.parts();
        for host in [left, middle, right] {
            host.ask("remove sensor");
        }
    }
}

#[test]
fn two_publishers_of_one_origin_name_are_told() {
    let Some(mut three) = Three::new() else {
        return;
    };
    let (left, middle, _) = three.parts();
    left.ask("put sensor 64 1");
    middle.ask("put sensor 64 1000");
    let mut first = left.mirror(FIRST);
    first.says("published as");
    let _second = middle.mirror(&second("").replace("--origin middle", "--origin left"));
    assert_eq!(first.status(), 5, "{}", first.log());
    assert!(
        first
            .log()
            .contains("another publisher calls itself \"left\""),
        "{}",
        first.log()
    );
}
