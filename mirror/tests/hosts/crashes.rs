//! Programs and mirrors that die, hosts that begin anew, cortexes that are removed.

use crate::host::Net;
use crate::links::{split, FOLLOW, PUBLISH};
use crate::or_long;
use std::time::{Duration, Instant};

#[test]
fn the_last_commit_of_a_dead_program_is_carried_on() {
    let Some(mut net) = Net::new(3) else { return };
    let (left, right) = split(&mut net);
    left.ask("put sensor 64 5");
    let _publisher = left.mirror(PUBLISH);
    let _follower = right.mirror(FOLLOW);
    right.number("until sensor 5");
    left.kill_programs();
    let late = &mut net.hosts[2];
    let _late =
        late.mirror("follow sensor --create --insecure --connect tcp/10.77.0.1:7447 --origin late");
    println!(
        "late joiner: {} ms with the start",
        late.number("until sensor 5")
    );
    assert_eq!(late.status("sensor")[0], 1);
    // A program that comes after it goes on.
    let (left, right) = split(&mut net);
    left.ask("put sensor 64 6");
    right.number("until sensor 6");
}

#[test]
fn a_publisher_or_a_follower_that_was_killed_goes_on() {
    let Some(mut net) = Net::new(2) else { return };
    let (left, right) = split(&mut net);
    left.ask("storm sensor 64 1000");
    let mut publisher = left.mirror(PUBLISH);
    let mut follower = right.mirror(FOLLOW);
    right.number("until sensor 1");
    right.ask("watch sensor");
    let mut slowest = [0, 0];
    for _ in 0..or_long(3, 20) {
        publisher.kill();
        let newest = left.number("last sensor");
        publisher = left.mirror(PUBLISH);
        slowest[0] = slowest[0].max(right.number(&format!("until sensor {newest}")));
        follower.kill();
        let newest = left.number("last sensor");
        follower = right.mirror(FOLLOW);
        slowest[1] = slowest[1].max(right.number(&format!("until sensor {newest}")));
    }
    println!(
        "fresh value at most {} ms after a publisher's restart, {} ms after a follower's",
        slowest[0], slowest[1]
    );
    let seen = right.ask("watched sensor");
    assert!(seen.contains(" 0 0 "), "torn or backwards: {seen}");
    drop(publisher);
}

#[test]
fn killed_again_and_again_nothing_is_torn_and_nothing_goes_backwards() {
    let Some(mut net) = Net::new(2) else { return };
    let (left, right) = split(&mut net);
    left.ask("storm sensor 65536 500");
    let mut publisher = left.mirror(PUBLISH);
    let mut follower = right.mirror(FOLLOW);
    right.number("until sensor 1");
    right.ask("watch sensor");
    let begin = Instant::now();
    let mut kills = 0;
    while begin.elapsed() < Duration::from_secs(or_long(4, 60)) {
        std::thread::sleep(Duration::from_millis(200));
        match kills % 2 {
            0 => {
                follower.kill();
                follower = right.mirror(FOLLOW);
            }
            _ => {
                publisher.kill();
                publisher = left.mirror(PUBLISH);
            }
        }
        kills += 1;
    }
    let last = left.number("calm sensor");
    right.number(&format!("until sensor {last}"));
    let seen = right.ask("watched sensor");
    println!("{kills} kills; seen, torn, backwards, in order, first, last, longest gap: {seen}");
    assert!(seen.contains(" 0 0 "), "torn or backwards: {seen}");
    // What the killed ones left is taken over, and goes with the last ones.
    assert_eq!((publisher.stop(), follower.stop()), (0, 0));
    assert_eq!(right.ask("list"), "sensor");
    assert_eq!(left.ask("list"), "sensor");
}

#[test]
fn a_host_that_was_started_anew_has_a_new_epoch_and_smaller_versions() {
    let Some(mut net) = Net::new(2) else { return };
    let (left, right) = split(&mut net);
    for number in 1..=50 {
        left.ask(&format!("put sensor 64 {number}"));
    }
    let mut publisher = left.mirror(PUBLISH);
    let follower = right.mirror(FOLLOW);
    right.number("until sensor 50");
    let [_, _, epoch, version, ..] = right.status_at("sensor", 50);
    assert_eq!(version, 50);
    publisher.kill();
    left.ask("remove sensor");
    left.kill_programs();
    left.ask("put sensor 64 100");
    let _publisher = left.mirror(PUBLISH);
    right.number("until sensor 100");
    let [alive, term, later, version, ..] = right.status_at("sensor", 1);
    assert!(
        alive == 1 && term == 1 && later > epoch && version == 1,
        "term {term}, epoch {epoch} then {later}, version {version}"
    );
    assert_eq!(follower.lines_with(": refused: "), 0, "{}", follower.log());
}

#[test]
fn a_cortex_that_is_made_anew_is_followed_if_it_is_of_the_same_size() {
    let Some(mut net) = Net::new(2) else { return };
    let (left, right) = split(&mut net);
    left.ask("put sensor 64 1");
    let publisher = left.mirror(PUBLISH);
    let follower = right.mirror(FOLLOW);
    right.number("until sensor 1");
    left.ask("remove sensor");
    publisher.says("was removed");
    right.number("alive sensor 0");
    assert_eq!(right.ask("get sensor"), "1");
    left.ask("put sensor 128 2");
    follower.says("size is 64, expected 128");
    assert_eq!(right.ask("get sensor"), "1");
    left.ask("remove sensor");
    right.number("alive sensor 0");
    left.ask("put sensor 64 3");
    right.number("until sensor 3");
    assert_eq!(follower.lines_with("size is 64"), 1, "{}", follower.log());
}

#[test]
fn a_mirror_cortex_that_is_removed_is_made_anew() {
    let Some(mut net) = Net::new(2) else { return };
    let (left, right) = split(&mut net);
    left.ask("put sensor 64 1");
    let _publisher = left.mirror(PUBLISH);
    let _follower = right.mirror(FOLLOW);
    right.number("until sensor 1");
    right.ask("remove sensor");
    right.number("until sensor 1");
    left.ask("put sensor 64 2");
    right.number("until sensor 2");
}

#[test]
fn what_others_write_to_a_mirror_is_counted_and_replaced() {
    let Some(mut net) = Net::new(2) else { return };
    let (left, right) = split(&mut net);
    left.ask("put sensor 64 100");
    let _publisher = left.mirror(PUBLISH);
    let follower = right.mirror(FOLLOW);
    right.number("until sensor 100");
    for number in 1..=3 {
        // Nothing new at the origin: it is replaced all the same.
        right.ask(&format!("put sensor 0 {number}"));
        right.number("until sensor 100");
    }
    assert_eq!(right.status("sensor")[7], 3, "{}", follower.log());
    left.ask("put sensor 64 101");
    right.number("until sensor 101");
}

#[test]
fn twenty_names_need_no_more_threads_than_one() {
    let Some(mut net) = Net::new(2) else { return };
    let threads = |pid: u32| {
        std::fs::read_dir(format!("/proc/{pid}/task"))
            .expect("its threads")
            .count()
    };
    let (left, right) = split(&mut net);
    left.ask("put sensor 64 1");
    let publisher = left.mirror(PUBLISH);
    let follower = right.mirror(FOLLOW);
    right.number("until sensor 1");
    let one = [threads(publisher.pid()), threads(follower.pid())];
    assert_eq!((publisher.stop(), follower.stop()), (0, 0));
    let names: Vec<_> = (0..20).map(|index| format!("sensor/{index}")).collect();
    for name in &names {
        left.ask(&format!("put {name} 64 1"));
    }
    let all = names.join(" ");
    let publisher = left.mirror(&PUBLISH.replace("sensor", &all));
    let follower = right.mirror(&FOLLOW.replace("sensor", &all));
    for name in &names {
        right.number(&format!("until {name} 1"));
    }
    let twenty = [threads(publisher.pid()), threads(follower.pid())];
    // One that waits for the lead, one for each answer that is on its way: as many as there were at the start.
    println!("threads: {one:?} with one name, {twenty:?} with twenty");
    let settled = |pid: u32, most: usize| {
        let begin = Instant::now();
        while threads(pid) > most && begin.elapsed() < crate::PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        threads(pid) <= most
    };
    assert!(
        settled(publisher.pid(), one[0] + 2) && settled(follower.pid(), one[1] + 2),
        "{one:?} {twenty:?}"
    );
}
