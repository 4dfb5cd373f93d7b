//! Following, across machines: a second cortex of many slots, of which commit k says k, whoever makes it.

use super::{version, Value};
use crate::common::{proof, Child, Role};
use neocortex::{Cortex, CortexBuilder, CortexSync, Follower, Observer};
use std::time::Duration;

/// More than a writer commits before the others follow, and fewer than it commits to leave them behind.
const SLOTS: u64 = 16;

/// What a program has of the log.
pub struct Log<L: CortexSync> {
    cortex: Cortex<Value, L>,
    observer: Observer<Value>,
}

impl<L: CortexSync> Log<L> {
    pub fn new(key: i32, is_creator: bool) -> Self {
        let cortex = match is_creator {
            true => CortexBuilder::new(Value::of(0))
                .key(key)
                .participants(24)
                .slots(SLOTS as u32)
                .with_default_lock()
                .unwrap(),
            false => Cortex::attach(key).unwrap(),
        };
        let observer = Observer::attach(key).unwrap();
        Self { cortex, observer }
    }

    /// The three that follow it: one record at a time, and in batches; as a participant, and as an observer. Each with what
    /// it has got and missed, which together is the version at each record.
    pub fn followers(&self) -> [(Follower<'_, Value>, u64); 3] {
        let since = self.cortex.version();
        [
            self.cortex.follow(since),
            self.cortex.follow(since),
            self.observer.follow(since),
        ]
        .map(|follower| (follower, since))
    }

    fn append(&self) {
        self.cortex
            .update(|value| *value = Value::of(value.check() + 1))
            .unwrap();
    }

    /// Does what it is told, and answers with the version, and with how many records each follower has got and missed.
    pub fn obey(
        &self,
        role: &Role,
        followers: &mut [(Follower<'_, Value>, u64); 3],
        words: &str,
        number: u64,
    ) -> bool {
        let mut totals = [(0, 0); 3];
        match words {
            "append" => (0..number).for_each(|_| self.append()),
            "append-and-follow" => {
                for _ in 0..number {
                    self.append();
                    follow(followers, &mut totals);
                }
            }
            "follow" => while follow(followers, &mut totals) {},
            "half" => {
                let mut guard = self.cortex.write_guard().unwrap();
                guard.number = 666;
                role.say("held");
                role.listen();
                return true;
            }
            _ => return false,
        }
        for (got, missed) in totals {
            role.say(format!("{got} {missed}"));
        }
        role.say(self.cortex.version());
        true
    }
}

/// Lets each read once. Returns whether there was something.
fn follow(followers: &mut [(Follower<'_, Value>, u64); 3], totals: &mut [(u64, u64); 3]) -> bool {
    let mut is_there = false;
    for (index, (follower, account)) in followers.iter_mut().enumerate() {
        let (got, missed) = match index {
            0 => match follower.next(Some(Duration::ZERO)) {
                Ok(found) => {
                    assert_eq!(found.value.check(), found.version);
                    (1, found.missed)
                }
                Err(neocortex::CortexError::Timeout { .. }) => (0, 0),
                Err(error) => panic!("{error}"),
            },
            _ => {
                let mut values = Vec::with_capacity(5);
                let batch = match follower.next_many(&mut values) {
                    // Overtaken by emulated or loaded programs as often as that: it goes on next time.
                    Err(neocortex::CortexError::Timeout { .. }) => Default::default(),
                    batch => batch.unwrap(),
                };
                for (value, version) in values.iter().zip(batch.version..) {
                    assert_eq!(value.check(), version);
                }
                (batch.count as u64, batch.missed)
            }
        };
        *account += got + missed;
        assert_eq!(*account, follower.position(), "got and missed");
        totals[index].0 += got;
        totals[index].1 += missed;
        is_there |= got > 0;
    }
    is_there
}

/// What each of the three followers of a program has got and missed.
fn totals(member: &mut Child) -> Vec<(u64, u64)> {
    let line = |_| {
        let line = member.hear();
        let (got, missed) = line.split_once(' ').expect("two numbers");
        (
            got.parse().expect("a number"),
            missed.parse().expect("a number"),
        )
    };
    let totals = (0..3).map(line).collect();
    version(member);
    totals
}

/// Tells all, and expects of each follower of each program that it accounts for so many commits, of which it may have missed
/// some.
fn account(members: &mut [Child], commits: u64, missed: std::ops::RangeInclusive<u64>) -> u64 {
    for member in members.iter_mut() {
        member.tell("follow 0");
        for (got, lost) in totals(member) {
            assert_eq!(got + lost, commits);
            assert!(missed.contains(&lost), "{lost} of {commits} missed");
        }
    }
    3 * members.len() as u64
}

/// Each follows what each appends.
pub fn follow_one_another(members: &mut [Child]) -> u64 {
    let mut cases = 0;
    let append = |member: &mut Child, number: u64| {
        member.tell(&format!("append {number}"));
        totals(member);
    };
    for index in 0..members.len() {
        append(&mut members[index], SLOTS - 1);
        cases += account(members, SLOTS - 1, 0..=0);
        append(&mut members[index], 3 * SLOTS);
        // The oldest ones are gone; what is skipped beyond them is an eighth of the slots at most.
        cases += account(members, 3 * SLOTS, 2 * SLOTS..=2 * SLOTS + SLOTS / 8);
    }
    // All at once: every commit is made once, and each follower accounts for all of them.
    let steps = proof::cases(50, 2_000);
    for member in members.iter_mut() {
        member.tell(&format!("append-and-follow {steps}"));
    }
    let already: Vec<_> = members.iter_mut().map(totals).collect();
    let total = steps * members.len() as u64;
    for (member, already) in members.iter_mut().zip(already) {
        member.tell("follow 0");
        for (before, after) in already.into_iter().zip(totals(member)) {
            assert_eq!(before.0 + before.1 + after.0 + after.1, total);
        }
    }
    cases + total
}

/// After one was killed in a write, another makes that commit; it comes once, whole.
pub fn kill_and_follow(members: &mut [Child], victim: usize) {
    members[victim].tell("half 0");
    members[victim].expect("held");
    members[victim].kill();
    let other = (victim + 1) % members.len();
    members[other].tell("append 1");
    totals(&mut members[other]);
    for (index, member) in members.iter_mut().enumerate() {
        if index != victim {
            member.tell("follow 0");
            assert!(totals(member).iter().all(|&total| total == (1, 0)));
        }
    }
}
