//! Every system call of every operation is made to fail, one at a time and with each error that its manual page lists:
//! an error that says so or a success that is one, nothing left behind that is not named, and the next attempt works.
//!
//! Each scenario has a process and an IPC namespace of its own, so that the kernel's tables can be compared whole;
//! each case is a process forked from it. The test itself never uses the library, so that its first use in a process
//! is among the cases.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

mod calls;
mod case;
#[path = "../common/mod.rs"]
mod common;
mod in_c;
mod inject;
mod many;
mod scenarios;

use case::{Report, Scenario, Shape};
use common::proof;
use inject::{Call, Place, Rule};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Mutex;

/// The seconds after which a case hangs. It takes milliseconds, but each of its system calls waits for another thread,
/// and on a busy machine that thread for a processor.
const WATCHDOG: u32 = 120;

/// How many scenarios each test tries at a time.
const AT_ONCE: usize = 3;

/// What the processes of a scenario tell.
#[derive(Default)]
struct Tally {
    cases: u64,
    outcomes: BTreeMap<String, u64>,
    problems: Vec<String>,
}

static FORKING: Mutex<()> = Mutex::new(());

/// Runs `work` in a forked child; what it wrote, and how it ended.
fn in_child(work: impl FnOnce(&mut dyn Write)) -> (String, std::process::ExitStatus) {
    // Or a child that is forked at the same time would keep this pipe open.
    let turn = FORKING.lock();
    let (mut from, mut to) = common::pipe();
    // SAFETY: the child uses what it allocates, and `_exit`s.
    let child = unsafe { libc::fork() };
    assert_ne!(child, -1, "fork");
    if child == 0 {
        // SAFETY: system calls and nothing else.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        }
        drop(turn);
        drop(from);
        work(&mut to);
        // SAFETY: ends the child; nothing of the parent's is run.
        unsafe { libc::_exit(0) };
    }
    drop(to);
    drop(turn);
    let mut words = String::new();
    from.read_to_string(&mut words).expect("the pipe");
    let mut status = 0;
    // SAFETY: a child of ours, a live place.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    (words, std::process::ExitStatus::from_raw(status))
}

/// One case in a process of its own.
fn play(scenario: &Scenario, key: i32, rules: &[Rule], expected: Option<Shape>) -> Report {
    let (words, status) = in_child(|to| {
        // SAFETY: a system call and nothing else.
        unsafe { libc::alarm(WATCHDOG) };
        let report = case::play(scenario, key, rules, expected);
        let mut text = format!("outcome {}\n", report.outcome);
        for (function, errno) in &report.trace.calls {
            text.push_str(&format!("call {errno} {function}\n"));
        }
        if let Some(Shape(segments, sets, attached)) = report.shape {
            text.push_str(&format!("shape {segments} {sets} {attached}\n"));
        }
        if report.is_lied_to {
            text.push_str("lied to\n");
        }
        for problem in &report.problems {
            text.push_str(&format!("problem {}\n", problem.replace('\n', " ")));
        }
        to.write_all(text.as_bytes()).expect("the pipe");
    });
    let mut report = Report::default();
    for line in words.lines() {
        let (word, rest) = line.split_once(' ').expect("two words");
        match word {
            "outcome" => report.outcome = rest.to_owned(),
            "lied" => report.is_lied_to = true,
            "call" => {
                let (errno, function) = rest.split_once(' ').expect("two words");
                let function: &'static str = Box::leak(function.to_owned().into_boxed_str());
                report
                    .trace
                    .calls
                    .push((function, errno.parse().expect("a number")));
            }
            "shape" => {
                let all: Vec<_> = rest
                    .split(' ')
                    .map(|count| count.parse().expect("a number"))
                    .collect();
                report.shape = Some(Shape(all[0], all[1], all[2]));
            }
            _ => report.problems.push(rest.to_owned()),
        }
    }
    if status.code() == Some(inject::EXIT_ENDLESS) {
        report.problems.push("calls without end".into());
    } else if !status.success() {
        report.problems.push(format!("ended by {status}"));
    }
    let left = case::objects();
    if !left.is_empty() && !report.is_lied_to {
        report
            .problems
            .push(format!("at the end there is still {left:?}"));
    }
    case::take_away(&left);
    report
}

/// The rules of the cases that follow from a trace: each call with each error, alone; for good; and with a clean-up that
/// fails too.
///
/// The bounded form tries the second and the third of these with the default lock only.
fn rules(calls: &[(&'static str, i32)], is_whole: bool) -> Vec<Vec<Rule>> {
    let mut all = Vec::new();
    for (number, &(function, _)) in calls.iter().enumerate() {
        let before = calls[..number].iter().filter(|call| call.0 == function);
        let call = Call(function, before.count());
        for &errno in calls::errors(function).unwrap_or_default() {
            let only = Rule {
                place: Place::Only(call),
                errno,
            };
            all.push(vec![only]);
            if !is_whole {
                continue;
            }
            // A call that every signal there is interrupts is tried again for ever, and rightly.
            if errno != libc::EINTR {
                all.push(vec![Rule {
                    place: Place::From(call),
                    errno,
                }]);
            }
            let denied = |function| Rule {
                place: Place::After(call, function),
                errno: libc::EPERM,
            };
            all.push(vec![
                only,
                denied("shmctl(IPC_RMID)"),
                denied("semctl(IPC_RMID)"),
            ]);
            // One that a caller tries again, until it gives up.
            if errno == libc::EEXIST {
                all.push(vec![
                    Rule {
                        place: Place::From(call),
                        errno,
                    },
                    denied("shmctl(IPC_RMID)"),
                    denied("semctl(IPC_RMID)"),
                ]);
            }
            if proof::is_long() {
                all.push(vec![only, denied("semctl(IPC_RMID)")]);
            }
        }
    }
    all
}

/// All cases of a scenario, in an IPC namespace of their own.
fn sweep(scenario: &Scenario) -> Tally {
    let mut tally = Tally::default();
    let key = if scenario.is_by_name() {
        scenarios::NUMBER
    } else {
        common::Random::new().next() as i32 & i32::MAX | 1
    };
    let baseline = play(scenario, key, &[], None);
    let calls = &baseline.trace.calls;
    for (function, _) in calls {
        if calls::errors(function).is_none() {
            tally.problems.push(format!(
                "{}: calls {function}, which the table does not have",
                scenario.name
            ));
        }
    }
    tally.problems.extend(
        baseline
            .problems
            .iter()
            .map(|problem| format!("{}: {problem}", scenario.name)),
    );
    if baseline.outcome != "ok" || !tally.problems.is_empty() {
        tally
            .problems
            .push(format!("{}: {}", scenario.name, baseline.outcome));
        return tally;
    }
    let is_repetition = common::LOCKS[1..]
        .iter()
        .any(|lock| scenario.name.ends_with(&format!(", {lock}")))
        // Five seconds each: a lasting failure there is a segment that does not become ready.
        || scenario.name.contains("replacer died");
    let mut tries = rules(calls, proof::is_long() || !is_repetition);
    if let Ok(only) = std::env::var("NEOCORTEX_FAULT") {
        tries.retain(|rules| format!("{rules:?}").contains(&only));
    }
    for rules in &tries {
        let report = play(scenario, key, rules, baseline.shape);
        let injected = report.trace.injected();
        if injected.is_empty() && report.problems.is_empty() {
            continue;
        }
        tally.cases += 1;
        let (function, errno) = injected.first().copied().unwrap_or(("?", 0));
        let outcome = format!("{function} {} -> {}", calls::name(errno), report.outcome);
        *tally.outcomes.entry(outcome).or_default() += 1;
        for problem in &report.problems {
            tally
                .problems
                .push(format!("{}: {rules:?}: {problem}", scenario.name));
        }
    }
    tally
}

/// Whether a process can have an IPC namespace and a filter of its own; else why not.
fn leave_namespace() -> std::io::Result<()> {
    // SAFETY: no memory is passed.
    let left = unsafe {
        libc::unshare(libc::CLONE_NEWIPC) == 0
            || libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWIPC) == 0
    };
    left.then_some(()).ok_or_else(std::io::Error::last_os_error)
}

/// All cases of a scenario, in a process of their own, added to what was found.
fn sweep_apart(scenario: &Scenario, found: &Mutex<Tally>) {
    let start = std::time::Instant::now();
    let (words, status) = in_child(|to| {
        leave_namespace().expect("as a moment ago");
        let tally = sweep(scenario);
        let mut text = format!("cases {}\n", tally.cases);
        for (outcome, count) in tally.outcomes {
            text.push_str(&format!("outcome {count} {outcome}\n"));
        }
        for problem in tally.problems {
            text.push_str(&format!("problem {problem}\n"));
        }
        to.write_all(text.as_bytes()).expect("the pipe");
    });
    let mut found = found.lock().expect("no panic");
    if !status.success() {
        let problem = format!("{}: ended by {status}", scenario.name);
        found.problems.push(problem);
    }
    let mut count = 0;
    for line in words.lines() {
        match line.split_once(' ').expect("two words") {
            ("cases", number) => count = number.parse().expect("a number"),
            ("outcome", rest) => {
                let (count, outcome) = rest.split_once(' ').expect("two words");
                *found.outcomes.entry(outcome.to_owned()).or_default() +=
                    count.parse::<u64>().expect("a number");
            }
            (_, problem) => found.problems.push(problem.to_owned()),
        }
    }
    println!("{count} cases in {:?}: {}", start.elapsed(), scenario.name);
    found.cases += count;
}

fn sweep_all(how: &str, chosen: impl Fn(&Scenario) -> bool + Sync) {
    let (words, _) = in_child(|to| {
        let lacks = leave_namespace()
            .err()
            .map(|error| format!("an IPC namespace: {error}"));
        let _ = to.write_all(lacks.unwrap_or_default().as_bytes());
    });
    if !words.is_empty() {
        return proof::not_run("P5 P10", how, &words);
    }
    let only = std::env::var("NEOCORTEX_SCENARIO").unwrap_or_default();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    let work = || {
        let mut scenarios = scenarios::all();
        scenarios.retain(|scenario| chosen(scenario) && scenario.name.contains(&only));
        while let Some(scenario) = scenarios.get(next.fetch_add(1, Relaxed)) {
            sweep_apart(scenario, &found);
        }
    };
    // Side by side, for a case waits more than it works.
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    let Tally {
        cases,
        outcomes,
        problems,
    } = found.into_inner().expect("no panic");
    for (outcome, count) in &outcomes {
        println!("{count:6} {outcome}");
    }
    if problems.iter().any(|problem| problem.contains("NO FILTER")) {
        return proof::not_run("P5 P10", how, &problems[0]);
    }
    assert!(
        problems.is_empty(),
        "{} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
    proof::passed("P5 P10", how, cases);
}

/// Creating, attaching, and all that runs through the C functions or depends on no lock.
#[test]
fn a_failing_call_leaves_nothing_that_is_not_named() {
    let how = "every system call of every operation failing with each error of its manual page: create, attach, remove, C";
    sweep_all(how, |scenario| !is_of_a_handle(scenario));
}

/// What is done with a handle: locks, guards, waits, closing.
#[test]
fn a_failing_call_through_a_handle_is_an_error_or_does_not_matter() {
    let how = "every system call of every operation failing with each error of its manual page: locks, waits, close";
    sweep_all(how, is_of_a_handle);
}

fn is_of_a_handle(scenario: &Scenario) -> bool {
    let is_by_lock = common::LOCKS
        .iter()
        .any(|lock| scenario.name.ends_with(lock));
    is_by_lock && !scenario.name.starts_with("create") && !scenario.name.starts_with("attach")
}
