//! A process is killed at every step of every operation, and nobody else is hurt.
//!
//! Each operation runs in a child under ptrace (`step`) and is killed at every stop at a system call,
//! before it and after it, and after every instruction that changed the segment, with a sample of the others; in
//! the long form after every instruction. The workers here are processes with an IPC namespace each, so that the
//! kernel's tables can be held against what must be in them.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

#[path = "../common/mod.rs"]
mod common;
#[path = "../mixed/sleeps.rs"]
#[allow(dead_code)]
mod sleeps;
mod step;

use common::{proof, Child, Random, Role, LOCKS};
use step::Tally;

/// A worker's role: what it does, the lock, the slots, and two numbers.
#[test]
fn role_worker() {
    let Some(role) = Role::of("role_worker") else {
        return;
    };
    fn run<L: neocortex::CortexSync + 'static>(role: &Role) -> Tally {
        let slots = role.number(2) as u32;
        match role.text(0) {
            "attached" => step::attached::run::<L>(slots, false),
            "c-attached" => step::attached::run::<L>(slots, true),
            "life" => step::life::run::<L>(slots, false, role.number(3), role.number(4)),
            "c-life" => step::life::run::<L>(slots, true, role.number(3), role.number(4)),
            "records" => step::records::run::<L>(),
            "storm" => step::storm::run::<L>(slots, role.number(3) as u64),
            other => panic!("nobody does {other}"),
        }
    }
    step::leave_namespace().expect("tried before");
    let tally = by_lock!(role.text(1), run(&role));
    role.say(tally.to_line());
}

/// What a worker is to do: the arguments of its role.
type Job = (&'static str, &'static str, u32, u64, u64);

/// Runs the jobs in so many processes at a time; what they counted together.
fn work(jobs: Vec<Job>, at_a_time: usize) -> Tally {
    let jobs = std::sync::Mutex::new(jobs.into_iter());
    let sum = std::sync::Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| loop {
                let Some(job) = jobs.lock().expect("no panic").next() else {
                    return;
                };
                let (what, lock, slots, from, of) = job;
                let mut worker = Child::spawn("role_worker", &[&what, &lock, &slots, &from, &of]);
                let tally = Tally::from_line(&worker.hear());
                worker.finish();
                println!("{job:?}: {tally:?}");
                sum.lock().expect("no panic").add(tally);
            });
        }
    });
    let sum = sum.into_inner().expect("no panic");
    println!("together: {sum:?}");
    sum
}

/// Whether this can be tried here; if not, says so for these rows.
fn is_possible(rows: &[(&str, &str)]) -> bool {
    let namespace = || {
        let own = std::thread::spawn(|| {
            // SAFETY: a fork that ends at once: unsharing is for workers, not for this process.
            match unsafe { libc::fork() } {
                0 => {
                    let code = i32::from(step::leave_namespace().is_err());
                    // SAFETY: ends the child at once.
                    unsafe { libc::_exit(code) }
                }
                id => {
                    let mut status = 0;
                    // SAFETY: a child of ours, a live place.
                    unsafe { libc::waitpid(id, &mut status, 0) };
                    status == 0
                }
            }
        });
        own.join()
            .expect("no panic")
            .then_some(())
            .ok_or("no IPC namespace of its own".to_owned())
    };
    let Err(why) = step::can_trace().and_then(|()| namespace()) else {
        return true;
    };
    for (promises, how) in rows {
        proof::not_run(promises, how, &why);
    }
    false
}

/// Which instructions the two forms try.
fn instructions() -> &'static str {
    if proof::is_long() {
        "each instruction"
    } else {
        "each instruction that changes the segment, and a sample of the others"
    }
}

/// The two rows of a subject.
fn rows(subject: &str) -> [String; 2] {
    [
        format!("{subject}: killed before and after each system call"),
        format!("{subject}: killed after {}", instructions()),
    ]
}

fn try_everywhere(promises: &str, subject: &str, jobs: Vec<Job>, at_a_time: usize) {
    let [calls, steps] = rows(subject);
    let steps_too = [(promises, &*calls), (promises, &*steps)];
    if !is_possible(&steps_too) {
        return;
    }
    let tally = work(jobs, at_a_time);
    proof::passed(promises, &calls, tally.calls);
    if step::CAN_STEP {
        proof::passed(promises, &steps, tally.steps);
    } else {
        proof::not_run(promises, &steps, "single steps are for x86-64 only");
    }
}

/// Each lock in each layout, three slots once.
fn layouts() -> Vec<(&'static str, u32)> {
    let mut all: Vec<_> = LOCKS
        .iter()
        .flat_map(|&lock| [(lock, 2), (lock, 1)])
        .collect();
    all.push(("seqlock", 3));
    all
}

/// The places to die of one lock and layout, in so many parts. Coming and going hardly depends on either: the bounded form
/// tries all of them with one, and with each other one a part, another one at each run. (A worker makes its own record of each
/// operation, so few parts are less work, and many less waiting.)
fn parts(
    what: &'static str,
    lock: &'static str,
    slots: u32,
    is_whole: bool,
    parts: u64,
) -> impl Iterator<Item = Job> {
    let only = Random::new().next() % parts;
    (0..parts)
        .filter(move |part| is_whole || proof::is_long() || *part == only)
        .map(move |part| (what, lock, slots, part, parts))
}

#[test]
fn operations_killed_anywhere_hurt_nobody() {
    let jobs = layouts()
        .into_iter()
        .map(|(lock, slots)| ("attached", lock, slots, 0, 1));
    let subject =
        "reading, writing, publishing, guards, waiting, leaving, taking over from the dead";
    try_everywhere("P1 P2", subject, jobs.collect(), 2);
}

#[test]
fn comings_and_goings_killed_anywhere_leave_nothing() {
    // Who waits for a creator that is dead waits for half a second: the time is spent asleep, in many workers.
    let shards = |(lock, slots)| parts("life", lock, slots, (lock, slots) == ("seqlock", 2), 8);
    let subject = "creating, attaching, adopting, replacing, removing, reclaiming, closing";
    try_everywhere(
        "P2 P4 P5",
        subject,
        layouts().into_iter().flat_map(shards).collect(),
        30,
    );
}

#[test]
fn c_calls_killed_anywhere_hurt_nobody() {
    let jobs = LOCKS.iter().flat_map(|&lock| {
        [("c-attached", lock, 2, 0, 1), ("c-attached", lock, 1, 0, 1)]
            .into_iter()
            .chain(parts("c-life", lock, 2, lock == "seqlock", 2))
    });
    try_everywhere("P1 P2 P4 P5", "the C calls", jobs.collect(), 6);
}

#[test]
fn records_killed_anywhere_are_whole_and_none_is_missed() {
    let jobs = LOCKS.iter().map(|&lock| ("records", lock, 4, 0, 1));
    let subject = "pushing records, waiting for room, following registered";
    try_everywhere("P1 P2 P13", subject, jobs.collect(), 2);
}

#[test]
fn crowds_with_random_deaths_go_on() {
    let how = "crowds of two readers and two writers, killed at random and replaced";
    let deaths = proof::cases(100, 50_000);
    let jobs = layouts()
        .into_iter()
        .map(|(lock, slots)| ("storm", lock, slots, deaths, 0));
    if is_possible(&[("P1 P2 P5", how)]) {
        let tally = work(jobs.collect(), 1);
        proof::passed("P1 P2 P5", how, tally.steps);
    }
}
