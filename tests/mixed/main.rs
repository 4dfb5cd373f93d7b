//! One cortex shared by programs of different machines: word sizes, C libraries, processors.
//!
//! `NEOCORTEX_MIXED` names the programs, `NAME=COMMAND` with `;` between, each this very test built for another
//! target (`.ci/targets mixed` builds them); without it they are four processes of this executable. Each in turn
//! makes the cortex, the others attach, and this process tells them what to do.
//!
//! A sleep of the library's ends by itself soon, so that programs that never woke one another would only be slow. So
//! this process stands in for each side ([`sleeps`]): it wakes each program where it must sleep, and the kernel says
//! how many it woke; and it sleeps itself, without an end, where each program must wake it.

#[path = "../common/mod.rs"]
mod common;
mod following;
#[cfg(all(target_os = "linux", not(neocortex_portable)))]
mod sleeps;

use bytemuck::{AnyBitPattern, NoUninit};
use common::{mix, proof, Child, Foreign, Kernel, Role, LOCKS};
use following::Log;
use neocortex::{Cortex, CortexBuilder, CortexSync, Observer};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The same bytes everywhere, although a 32-bit x86 program aligns 64-bit numbers to 4.
#[derive(Debug, Clone, Copy, PartialEq, NoUninit, AnyBitPattern)]
#[repr(C)]
struct Value {
    number: u64,
    half: f64,
    hash: u32,
    low: u16,
    bytes: [u8; 2],
    words: [u64; 30],
}

impl Value {
    fn of(number: u64) -> Self {
        let hash = mix(number) as u32;
        Self {
            number,
            half: number as f64 / 2.0,
            hash,
            low: hash as u16,
            bytes: [number as u8, !number as u8],
            words: std::array::from_fn(|at| mix(number << 8 | at as u64)),
        }
    }

    /// Its number, if all of it is of that number.
    fn check(&self) -> u64 {
        assert_eq!(*self, Self::of(self.number), "torn");
        self.number
    }
}

/// Where `words[29]` lies.
const LAST: usize = size_of::<Value>() - 8;

// ---- What a program does when told -----------------------------------------------------------

#[test]
fn role_member() {
    if let Some(role) = Role::of("role_member") {
        by_lock!(role.text(1), member(&role));
    }
}

fn member<L: CortexSync>(role: &Role) {
    let key = role.key();
    let cortex: Cortex<Value, L> = match role.text(2) {
        "create" => CortexBuilder::new(Value::of(0))
            .key(key)
            .participants(24)
            .with_default_lock()
            .unwrap(),
        _ => Cortex::attach(key).unwrap(),
    };
    let log = Log::<L>::new(
        role.text(3).parse().expect("a key"),
        role.text(2) == "create",
    );
    let mut followers = log.followers();
    role.say(cortex.version());
    loop {
        let line = role.listen();
        let (order, number) = line.split_once(' ').expect("an order and a number");
        let number: u64 = number.parse().expect("a number");
        match order {
            "write" => cortex.write(Value::of(number)).unwrap(),
            "guard" => {
                let mut guard = cortex.write_guard().unwrap();
                *guard = Value::of(number);
                guard.commit().unwrap();
            }
            "put" => {
                let bytes = number.to_ne_bytes();
                cortex.segment().write_at(LAST, &bytes).unwrap();
            }
            "count" => {
                for _ in 0..number {
                    cortex
                        .update(|value| *value = Value::of(value.check() + 1))
                        .unwrap();
                    cortex.read().unwrap().check();
                }
            }
            "hold" => {
                let mut guard = cortex.write_guard().unwrap();
                guard.number = number;
                role.say("held");
                role.listen();
            }
            "read" => return_number(role, cortex.read().unwrap().check()),
            "look" => return_number(role, cortex.read_guard().unwrap().check()),
            "observe" => {
                let observer = Observer::<Value>::attach(key).unwrap();
                return_number(role, observer.read().unwrap().check());
            }
            "last" => {
                let mut bytes = [0; 8];
                cortex.segment().read_at(LAST, &mut bytes).unwrap();
                return_number(role, u64::from_ne_bytes(bytes));
            }
            "wait" => {
                let limit = Some(Duration::from_secs(100));
                return_number(role, cortex.wait_changed(number, limit).unwrap());
            }
            "leave" => {
                cortex.close().unwrap();
                return;
            }
            _ if log.obey(role, &mut followers, order, number) => continue,
            _ => panic!("no such order: {line}"),
        }
        role.say(cortex.version());
    }
}

fn return_number(role: &Role, number: u64) {
    role.say(number);
}

// ---- Telling them ----------------------------------------------------------------------------

struct Program {
    name: String,
    command: Vec<String>,
}

fn programs() -> Vec<Program> {
    let Ok(text) = std::env::var("NEOCORTEX_MIXED") else {
        let me = std::env::current_exe().unwrap();
        let command = vec![me.to_str().unwrap().to_owned()];
        return (0..4)
            .map(|_| Program {
                name: "this".into(),
                command: command.clone(),
            })
            .collect();
    };
    text.split(';')
        .map(|line| {
            let (name, command) = line.split_once('=').expect("NAME=COMMAND");
            Program {
                name: name.to_owned(),
                command: command.split_whitespace().map(str::to_owned).collect(),
            }
        })
        .collect()
}

/// What must be the same whoever made the segment: the header without its creator's keys and clock.
fn header(key: i32) -> Vec<u8> {
    let bytes = Foreign::open(key).bytes();
    [&bytes[..80], &bytes[88..96], &bytes[104..512]].concat()
}

/// The words that processes sleep on (`src/protocol/format.rs`): for a change, and for the lock. The lowest bit says that
/// somebody does.
const SIGNAL: usize = 640;
#[cfg(all(target_os = "linux", not(neocortex_portable)))]
const LOCK: usize = 704;

fn somebody_waits(segment: &Foreign) -> bool {
    segment.word(SIGNAL).load(Ordering::SeqCst) & 1 == 1
}

/// Tells one and hears the version it then sees.
fn order(member: &mut Child, words: &str, number: u64) -> u64 {
    member.tell(&format!("{words} {number}"));
    version(member)
}

fn version(member: &mut Child) -> u64 {
    member.hear().parse().expect("a version")
}

/// Tells one that answers with a number, and hears that.
fn ask(member: &mut Child, words: &str) -> u64 {
    member.tell(&format!("{words} 0"));
    let answer = member.hear().parse().expect("a number");
    version(member);
    answer
}

/// Each sleeps where any process can wake it, and each wakes whoever sleeps there.
#[cfg(all(target_os = "linux", not(neocortex_portable)))]
fn sleep_and_wake(segment: &Foreign, members: &mut [Child], commits: &mut u64, lock: &str) -> u64 {
    let mut cases = 0;
    for index in 0..members.len() {
        members[index].tell(&format!("wait {commits}"));
        sleeps::wake_one(segment, SIGNAL);
        let sleeper = sleeps::Sleeper::new(segment, SIGNAL);
        *commits += 1;
        let other = (index + 1) % members.len();
        assert_eq!(order(&mut members[other], "write", *commits), *commits);
        sleeper.join();
        assert_eq!(version(&mut members[index]), *commits);
        version(&mut members[index]);
        cases += 2;

        // The lock `semaphore` sleeps on a semaphore instead.
        if lock == "semaphore" {
            continue;
        }
        members[index].tell("hold 666");
        members[index].expect("held");
        members[other].tell("count 1");
        sleeps::wake_one(segment, LOCK);
        members[index].tell("");
        *commits += 1;
        version(&mut members[index]);
        assert_eq!(version(&mut members[other]), *commits);
        // Nobody else sleeps there, so it is this process that is woken.
        members[index].tell("hold 666");
        members[index].expect("held");
        let sleeper = sleeps::Sleeper::new(segment, LOCK);
        members[index].tell("");
        version(&mut members[index]);
        sleeper.join();
        cases += 2;
    }
    cases
}

fn share(kernel: &Kernel, programs: &[Program], creator: usize, lock: &str) -> (Vec<u8>, u64) {
    let (key, log) = (kernel.key(), kernel.key());
    let start = |index: usize, how: &str| {
        let arguments: [&dyn std::fmt::Display; 4] = [&key, &lock, &how, &log];
        let mut member = Child::spawn_from(&programs[index].command, "role_member", &arguments);
        (version(&mut member), member)
    };
    let (mut commits, first) = start(creator, "create");
    assert_eq!(commits, 0);
    let header = header(key);
    let mut first = Some(first);
    let mut members: Vec<Child> = (0..programs.len())
        .map(|index| match first.take_if(|_| index == creator) {
            Some(member) => member,
            None => start(index, "attach").1,
        })
        .collect();
    let mut cases = 0;

    // What one puts, by each way, all see, by each way.
    for index in 0..members.len() {
        for (put, by) in ["write", "guard"].iter().zip([100, 200]) {
            let number = by + index as u64;
            commits += 1;
            assert_eq!(order(&mut members[index], put, number), commits);
            for (reader, member) in members.iter_mut().enumerate() {
                for look in ["read", "look", "observe"] {
                    let seen = ask(member, look);
                    assert_eq!(seen, number, "{} by {}", programs[reader].name, look);
                    cases += 1;
                }
            }
        }
        // A part of it, as bytes.
        commits += 1;
        assert_eq!(order(&mut members[index], "put", 7 + index as u64), commits);
        for member in &mut members {
            assert_eq!(ask(member, "last"), 7 + index as u64);
            cases += 1;
        }
    }

    let segment = Foreign::open(key);
    #[cfg(all(target_os = "linux", not(neocortex_portable)))]
    {
        cases += sleep_and_wake(&segment, &mut members, &mut commits, lock);
    }

    // Each sees what each commits while it waits.
    for sleeper in 0..members.len() {
        for waker in (0..members.len()).filter(|&waker| waker != sleeper) {
            // The one woken last may have left its flag; this commit takes it away.
            commits += 1;
            assert_eq!(order(&mut members[waker], "write", commits), commits);
            assert!(!somebody_waits(&segment));
            members[sleeper].tell(&format!("wait {commits}"));
            while !somebody_waits(&segment) {
                std::thread::yield_now();
            }
            commits += 1;
            assert_eq!(order(&mut members[waker], "write", commits), commits);
            assert_eq!(version(&mut members[sleeper]), commits);
            version(&mut members[sleeper]);
            cases += 1;
        }
    }

    cases += following::follow_one_another(&mut members);

    // All at once: no step is lost, nothing is torn.
    let steps = proof::cases(200, 20_000);
    let before = ask(&mut members[0], "read");
    for member in &mut members {
        member.tell(&format!("count {steps}"));
    }
    for member in &mut members {
        version(member);
    }
    let total = steps * members.len() as u64;
    assert_eq!(ask(&mut members[0], "read"), before + total);
    cases += total;

    // Each is killed with the lock, its edit half made, while the others wait for it.
    for victim in 0..members.len() {
        let before = ask(&mut members[victim], "read");
        members[victim].tell("hold 666");
        members[victim].expect("held");
        let others: Vec<usize> = (0..members.len())
            .filter(|&other| other != victim)
            .collect();
        for &other in &others {
            if lock == "seqlock" {
                assert_eq!(ask(&mut members[other], "read"), before);
            }
            members[other].tell("count 1");
        }
        members[victim].kill();
        for &other in &others {
            version(&mut members[other]);
            cases += 1;
        }
        let now = before + others.len() as u64;
        assert_eq!(ask(&mut members[others[0]], "read"), now);
        members[victim] = start(victim, "attach").1;
        assert_eq!(ask(&mut members[victim], "read"), now);
    }

    following::kill_and_follow(&mut members, 0);
    members[0] = start(0, "attach").1;
    for member in members.iter_mut() {
        member.tell("leave 0");
    }
    members.into_iter().for_each(Child::finish);
    // A creator that was killed and came back is an ordinary member: the segment is its heirs' to remove.
    drop(segment);
    neocortex::inspect::remove(key).unwrap();
    neocortex::inspect::remove(log).unwrap();
    (header, cases)
}

#[test]
fn programs_of_different_machines_share_one_cortex() {
    let kernel = Kernel::new();
    let programs = programs();
    let mut cases = 0;
    for lock in LOCKS {
        let mut headers = Vec::new();
        for creator in 0..programs.len() {
            let (header, tried) = share(&kernel, &programs, creator, lock);
            headers.push(header);
            cases += tried;
        }
        for (header, program) in headers.iter().zip(&programs) {
            assert_eq!(*header, headers[0], "as made by {}", program.name);
        }
    }
    let mut names: Vec<_> = programs
        .iter()
        .map(|program| program.name.as_str())
        .collect();
    names.dedup();
    let who = names.join(", ");
    if names.len() > 1 {
        proof::passed("P1 P2 P3", &format!("one cortex shared by {who}"), cases);
    }
}
