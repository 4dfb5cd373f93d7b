//! Wait sets, records and back-pressure: what sleeps on several words, and what waits for room.

use super::case::{Aim, Check, Fault, Run, Scenario, Stage};
use super::scenarios::{
    check, dies, options, owner, scenario, sleeper, sleeper_through, spawn_kept, OTHER, PATIENCE,
    SIGNAL, SIZE,
};
use crate::common::Foreign;
use neocortex::{Segment, SegmentObserver, SeqLock, WaitSet};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

/// What was told of the only member that has changed. One that is said to be removed is a failure.
fn only_change(mut set: WaitSet, key: i32) -> Result<Check, Fault> {
    let changes = set.wait(None)?.to_vec();
    if changes.iter().any(|change| change.is_removed) {
        return Err(Fault {
            variant: "Removed".into(),
            call: String::new(),
            errno: 0,
            left: Default::default(),
            message: format!("key {key}: told as removed"),
        });
    }
    check(move || {
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].version, 2);
        drop(set);
    })
}

/// Waits for what `add` adds, of which a thread changes the one with the stage's key after some sleeps.
fn waits(stage: &mut Stage, add: impl Fn(&mut WaitSet) + 'static) -> Run {
    sleeper::<SeqLock, _>(
        stage,
        |_| (),
        |segment, ()| segment.write_at(0, &OTHER).expect("a write"),
    );
    let key = stage.key;
    Box::new(move || {
        let mut set = WaitSet::new();
        add(&mut set);
        only_change(set, key)
    })
}

fn attach(key: i32) -> Segment {
    let options = options().records().timeout(Some(PATIENCE));
    options.attach(key, SIZE).expect("another handle")
}

/// The owner of a log with room for two records.
fn log(stage: &Stage) -> Arc<Segment> {
    let options = options().records().lossless().slots(2);
    let options = options.timeout(Some(PATIENCE));
    Arc::new(options.create(stage.key, SIZE).expect("the owner"))
}

fn newest(log: &Segment) -> Vec<u8> {
    let mut record = Vec::new();
    log.read_record(&mut record).expect("a read");
    record
}

fn fill(log: &Segment) {
    for record in [b"one", b"two"] {
        log.push(record).expect("room for two");
    }
}

fn pushes(log: Arc<Segment>) -> Run {
    Box::new(move || {
        log.push(b"three")?;
        let log = Arc::clone(&log);
        check(move || assert_eq!(newest(&log), b"three"))
    })
}

pub fn all() -> Vec<Scenario> {
    vec![
        scenario("wait for any of two", Aim::Adds, |stage| {
            let segment = owner::<SeqLock>(stage.key);
            let other = options().create_random::<SeqLock>(SIZE);
            let other = other.expect("one more");
            waits(stage, move |set| {
                set.add_since(&segment, 1);
                set.add(&other);
            })
        }),
        scenario("wait for any, observed", Aim::Adds, |stage| {
            let owner = owner::<SeqLock>(stage.key);
            stage.keep(owner);
            let observer = SegmentObserver::attach(stage.key, SIZE).expect("an observer");
            waits(stage, move |set| {
                set.add_since(&observer, 1);
            })
        }),
        scenario("the descriptor of a wait set", Aim::Adds, |stage| {
            let segment = owner::<SeqLock>(stage.key);
            segment.write_at(0, &OTHER).expect("a write");
            // With it there is a helper, which is no thread of the operation's.
            let mut helped = WaitSet::new();
            helped.add(&segment);
            helped.fd().expect("a descriptor");
            stage.keep(helped);
            Box::new(move || {
                let mut set = WaitSet::new();
                set.add_since(&segment, 1);
                let fd = set.fd()?.as_raw_fd();
                check(move || {
                    let mut poll = libc::pollfd {
                        fd,
                        events: libc::POLLIN,
                        revents: 0,
                    };
                    // SAFETY: one live pollfd.
                    assert_eq!(unsafe { libc::poll(&mut poll, 1, 0) }, 1);
                    let changes = set.wait(Some(Duration::ZERO)).expect("a change");
                    assert_eq!(changes[0].version, 2);
                })
            })
        }),
        scenario("push, past a follower that died", Aim::Adds, |stage| {
            let log = log(stage);
            let key = stage.key;
            dies(move || {
                let log = Box::leak(Box::new(attach(key)));
                std::mem::forget(log.follow_registered(0).expect("registered"));
            });
            fill(&log);
            pushes(log)
        }),
        scenario("push, waiting for a follower", Aim::Adds, |stage| {
            let log = log(stage);
            sleeper_through(
                stage,
                attach,
                |log| log.follow_registered(0).expect("registered"),
                |_, mut follower| {
                    let mut record = Vec::new();
                    let next = follower.next_record(&mut record, None);
                    assert_eq!(next.expect("a record").missed, 0);
                },
            );
            fill(&log);
            log.set_timeout(None);
            pushes(log)
        }),
        scenario("push, which wakes a follower", Aim::Adds, |stage| {
            let log = log(stage);
            let key = stage.key;
            spawn_kept(stage, move || {
                let log = attach(key);
                let mut record = Vec::new();
                let next = log.follow(0).next_record(&mut record, None);
                next.expect("a record");
                Box::new(log)
            });
            let words = Foreign::open(key);
            while words.bytes()[SIGNAL] & 1 == 0 {
                std::thread::yield_now();
            }
            pushes(log)
        }),
    ]
}
