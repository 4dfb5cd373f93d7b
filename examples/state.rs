//! A state store: twenty named structures, written by one process, followed by another one and by a task of a runtime.
//!
//! `cargo run --example state` starts the writer and a follower that sleeps by itself (itself, run again). The second
//! follower is one task of tokio, for the twenty values and a log of events. Both are told of every change, and of the
//! end: when the writer removes the store their sets are empty. Nothing blocks the runtime, and nothing keeps it from
//! shutting down, though one more task still waits.

use bytemuck::{AnyBitPattern, NoUninit};
use neocortex::{Change, Cortex, CortexBuilder, Member, Segment, SegmentOptions, WaitSet};
use std::process::{Child, Command};
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const JOINTS: usize = 20;
const FOLLOWERS: usize = 2;
const TURNS: u64 = 500;
/// Nothing takes as long as that.
const LONG: Option<Duration> = Some(Duration::from_secs(60));

/// The state of one joint of a robot's arm.
#[derive(Clone, Copy, NoUninit, AnyBitPattern)]
#[repr(C)]
struct Joint {
    turn: u64,
    angle: f64,
    speed: f64,
}

impl Joint {
    fn at(turn: u64) -> Self {
        Self {
            turn,
            angle: turn as f64 * 0.25,
            speed: turn as f64 * -3.0,
        }
    }

    /// All of it is of one turn.
    fn is_whole(&self) -> bool {
        let whole = Self::at(self.turn);
        (self.angle, self.speed) == (whole.angle, whole.speed)
    }
}

/// What all know: the joints, and a log of what happens.
struct Store {
    joints: Vec<Cortex<Joint>>,
    events: Segment,
}

/// Of events. No follower is so late here that one is overwritten.
const KEPT: u32 = 1_024;
const LONGEST: usize = 80;

fn joint(name: &str, number: usize) -> String {
    format!("{name}/joint/{number}")
}

fn events(name: &str) -> String {
    format!("{name}/events")
}

impl Store {
    fn create(name: &str) -> Outcome<Self> {
        let create = |number| {
            CortexBuilder::new(Joint::at(0))
                .key(joint(name, number))
                .create()
        };
        let options = SegmentOptions::new().records().slots(KEPT);
        Ok(Self {
            joints: (0..JOINTS).map(create).collect::<Result<_, _>>()?,
            events: options.create(events(name), LONGEST)?,
        })
    }

    /// It does not matter whether the writer is there already.
    fn attach(name: &str) -> Outcome<Self> {
        let options = SegmentOptions::new().wait_for_creator(LONG);
        let attach = |number| Cortex::attach_with(joint(name, number), &options);
        Ok(Self {
            joints: (0..JOINTS).map(attach).collect::<Result<_, _>>()?,
            events: options.records().attach(events(name), LONGEST)?,
        })
    }
}

/// What a follower of the joints knows.
struct Seen {
    members: Vec<Member>,
    versions: Vec<u64>,
    told: u64,
}

impl Seen {
    fn add_to(set: &mut WaitSet, store: &Store) -> Self {
        Self {
            // From the beginning: what was written before this follower came is told first.
            members: (store.joints.iter())
                .map(|joint| set.add_since(joint, 0))
                .collect(),
            versions: vec![0; JOINTS],
            told: 0,
        }
    }

    /// Several commits of one joint may be told as one, and the last one always is.
    fn note(&mut self, store: &Store, change: &Change) -> Outcome<()> {
        let number = self.members.iter().position(|it| *it == change.member);
        let number = number.ok_or("a change of nothing that is known")?;
        assert!(change.is_removed || change.version > self.versions[number]);
        self.versions[number] = change.version;
        self.told += 1;
        // Removed or not, the memory stays until the handle is dropped.
        if !change.is_removed {
            let (now, version) = store.joints[number].read_versioned()?;
            assert!(now.is_whole() && version >= change.version);
        }
        Ok(())
    }

    fn finish(&self, who: &str) {
        let commits: u64 = self.versions.iter().sum();
        assert_eq!(commits, TURNS * JOINTS as u64, "the last commit was missed");
        println!("{who}: told {} times of {commits} commits", self.told);
    }
}

/// What the writer does: `state write NAME`.
fn write(name: &str) -> Outcome<()> {
    let store = Store::create(name)?;
    let mut event = Vec::new();
    let mut followers = store.events.follow(0);
    for _ in 0..FOLLOWERS {
        followers.next_record(&mut event, LONG)?;
    }
    for turn in 1..=TURNS {
        for joint in &store.joints {
            joint.write(Joint::at(turn))?;
        }
        store.events.push(format!("turn {turn}").as_bytes())?;
    }
    // The owner: dropping the store removes it.
    Ok(())
}

/// What the follower without a runtime does: `state follow NAME`.
fn follow(name: &str) -> Outcome<()> {
    let store = Store::attach(name)?;
    let mut set = WaitSet::new();
    let mut seen = Seen::add_to(&mut set, &store);
    store.events.push(b"a process follows")?;
    while !set.is_empty() {
        for change in set.wait(LONG)? {
            seen.note(&store, change)?;
        }
    }
    seen.finish("the process");
    Ok(())
}

/// The task: twenty values and a follower of the events.
async fn follow_in_task(store: Store) -> Outcome<()> {
    let mut set = WaitSet::new();
    let mut seen = Seen::add_to(&mut set, &store);
    let of_events = set.add_since(&store.events, 0);
    let mut follower = store.events.follow(0);
    let (mut event, mut events, mut missed) = (Vec::new(), 0, 0);
    store.events.push(b"a task follows")?;
    while !set.is_empty() {
        for change in set.changed().await? {
            if change.member != of_events {
                seen.note(&store, &change)?;
                continue;
            }
            while follower.position() < change.version {
                let commit = follower.next_record(&mut event, Some(Duration::ZERO))?;
                missed += commit.missed;
                events += 1;
            }
        }
    }
    assert_eq!((events, missed), (TURNS + FOLLOWERS as u64, 0));
    println!(
        "the task: {}, the last of {events} events",
        String::from_utf8(event)?
    );
    seen.finish("the task");
    Ok(())
}

fn start(role: &str, name: &str) -> Outcome<Child> {
    let program = std::env::current_exe()?;
    Ok(Command::new(program).args([role, name]).spawn()?)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", name] => return write(name),
        ["follow", name] => return follow(name),
        _ => {}
    }
    let name = format!("example/state/{}", std::process::id());
    let processes = [start("follow", &name)?, start("write", &name)?];

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    // Nobody ever writes here.
    let silent = CortexBuilder::new(0_u64).random_key().create()?;
    let waits = runtime.spawn(async move { silent.changed(0).await });
    let store = Store::attach(&name)?;
    runtime.block_on(runtime.spawn(follow_in_task(store)))??;
    assert!(!waits.is_finished());
    // Drops the task that waits, and with it its cortex.
    drop(runtime);

    for mut process in processes {
        let status = process.wait()?;
        assert!(status.success(), "a process: {status}");
    }
    println!("the store is removed, and the runtime has shut down");
    Ok(())
}
