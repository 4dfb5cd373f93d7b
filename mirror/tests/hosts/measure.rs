//! The measurements of `docs/mirror.md`: `cargo test --release --test hosts measure -- --ignored --nocapture`, on a quiet
//! machine. Two hosts of one machine, so that both ends read one clock.

use crate::host::Net;
use std::time::{Duration, Instant};

const LISTEN: &str = "--insecure --listen tcp/10.77.0.1:7447 --origin left";
const CONNECT: &str = "--insecure --connect tcp/10.77.0.1:7447 --origin right";

/// Processor time of a process, in seconds.
fn processor(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("its figures");
    let fields: Vec<_> = text
        .rsplit(") ")
        .next()
        .expect("fields")
        .split(' ')
        .collect();
    let ticks = |index: usize| fields[index].parse::<f64>().expect("ticks");
    (ticks(11) + ticks(12)) / 100.0
}

fn lines(title: &str, ends: &[(&str, String)]) {
    for (end, text) in ends {
        for line in text.lines().filter(|line| *line != "ready") {
            println!("{title}: {end}: {line}");
        }
    }
}

/// One size at one pace, by TCP alone, Zenoh alone, and the mirror.
fn one(net: &mut Net, size: usize, count: u64, pause: u64) {
    let title = format!("{size} B, {count} values, {pause} us apart");
    let (left, right) = crate::links::split(net);
    let watching = right.bench(&format!("tcp-watch 10.77.0.2:9000 {size} {count}"), "ready");
    let sent = left
        .run(&format!(
            "bench tcp-send 10.77.0.2:9000 {size} {count} {pause}"
        ))
        .1;
    lines(&title, &[("tcp sends", sent), ("tcp", watching.output())]);
    let watching = right.bench(&format!("zenoh-watch {count} {CONNECT}"), "");
    let sent = left
        .run(&format!("bench zenoh-put {size} {count} {pause} {LISTEN}"))
        .1;
    lines(
        &title,
        &[("zenoh puts", sent), ("zenoh", watching.output())],
    );
    left.run(&format!("bench write sensor {size} 1 0"));
    let publisher = left.mirror(&format!("publish sensor {LISTEN}"));
    let follower = right.mirror(&format!("follow sensor --create {CONNECT}"));
    let watching = right.bench(&format!("watch sensor {count}"), "ready");
    let before = [processor(publisher.pid()), processor(follower.pid())];
    let begin = Instant::now();
    let wrote = left
        .run(&format!("bench write sensor {size} {count} {pause}"))
        .1;
    let share = |pid, before| (processor(pid) - before) / begin.elapsed().as_secs_f64() * 100.0;
    let shares = format!(
        "{:.1} % and {:.1} % of a processor",
        share(publisher.pid(), before[0]),
        share(follower.pid(), before[1])
    );
    lines(
        &title,
        &[
            ("mirror, writer", wrote),
            ("mirror, publisher and follower", shares),
            ("mirror", watching.output()),
        ],
    );
    drop((publisher, follower));
    let alone = left
        .run(&format!("bench write sensor {size} {count} {pause}"))
        .1;
    lines(&title, &[("writer alone", alone)]);
    left.ask("remove sensor");
    right.ask("remove sensor");
}

#[test]
#[ignore = "figures for a quiet machine"]
fn measure_times_and_rates() {
    let Some(mut net) = Net::new(2) else { return };
    for _ in 0..3 {
        one(&mut net, 64, 3000, 1000);
    }
    one(&mut net, 64, 1000, 5000);
    one(&mut net, 65536, 1000, 5000);
    one(&mut net, 8 << 20, 50, 100_000);
    one(&mut net, 8 << 20, 200, 0);
    flood(&mut net, 8 << 20);
}

/// How many values of a writer that never waits for the network come through.
fn flood(net: &mut Net, size: usize) {
    let (left, right) = crate::links::split(net);
    left.run(&format!("bench write sensor {size} 1 0"));
    let _publisher = left.mirror(&format!("publish sensor {LISTEN}"));
    let _follower = right.mirror(&format!("follow sensor --create {CONNECT}"));
    let watching = right.bench("watch sensor 200", "ready");
    let wrote = left.run(&format!("bench write sensor {size} 3000 1000")).1;
    let ends = [("mirror, writer", wrote), ("mirror", watching.output())];
    lines(&format!("{size} B, a flood of 3000 values"), &ends);
}

#[test]
#[ignore = "figures for a quiet machine"]
fn measure_a_slow_link() {
    let Some(mut net) = Net::new(2) else { return };
    net.slow_down(1);
    // 125,000 bytes need a tenth of a second: at a hundred values in a second the link is overloaded ten times.
    one(&mut net, 125_000, 1000, 10_000);
    one(&mut net, 8 << 20, 2, 8_000_000);
}

#[test]
#[ignore = "figures for a quiet machine"]
fn measure_an_idle_mirror() {
    for names in [1, 20] {
        let Some(mut net) = Net::new(2) else { return };
        let (left, right) = crate::links::split(&mut net);
        let all: Vec<_> = (0..names).map(|index| format!("sensor/{index}")).collect();
        for name in &all {
            left.ask(&format!("put {name} 64 1"));
        }
        let publisher = left.mirror(&format!("publish {} {LISTEN}", all.join(" ")));
        let follower = right.mirror(&format!("follow {} --create {CONNECT}", all.join(" ")));
        for name in &all {
            right.number(&format!("until {name} 1"));
        }
        let before = [processor(publisher.pid()), processor(follower.pid())];
        std::thread::sleep(Duration::from_secs(20));
        let share = |pid, before| (processor(pid) - before) / 20.0 * 100.0;
        println!(
            "idle, {names} names: publisher {:.2} %, follower {:.2} % of a processor",
            share(publisher.pid(), before[0]),
            share(follower.pid(), before[1])
        );
    }
}
