//! A supervisor that kills its workers, again and again, and shows that nothing is lost and nothing done twice.
//!
//! `cargo run --example supervisor` keeps three workers (itself, run again) at work on a list of jobs. It kills
//! one after the other with `SIGKILL`, wherever they are, and starts a new one in the same seat. All that the
//! workers know is one shared value, changed in whole commits: a job is either in a seat's hand or its result
//! is counted, never both, never neither.

use bytemuck::{AnyBitPattern, NoUninit};
use neocortex::{Cortex, CortexBuilder};
use std::process::{Child, Command};
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const SEATS: usize = 3;
const JOBS: u64 = 4000;
const KILLS: u64 = 20;

#[derive(Debug, Clone, Copy, NoUninit, AnyBitPattern)]
#[repr(C)]
struct Ledger {
    /// The last job that was taken.
    taken: u64,
    done: u64,
    /// The results of the jobs that are done, added up.
    sum: u64,
    /// The job that each seat has in hand; 0 is none.
    in_hand: [u64; SEATS],
}

/// The job itself: any computation.
fn result_of(job: u64) -> u64 {
    (0..2000).fold(job, |value, _| {
        value
            .wrapping_mul(6_364_136_223_846_793_005)
            .rotate_left(17)
    })
}

/// What the other processes do: `supervisor NAME SEAT`.
fn work(name: &str, seat: usize) -> Outcome<()> {
    let ledger: Cortex<Ledger> = Cortex::attach(name)?;
    loop {
        // One commit takes a job. Who finds one in the seat's hand follows a worker that was killed.
        let job = ledger.update(|now| {
            if now.in_hand[seat] == 0 && now.taken < JOBS {
                now.taken += 1;
                now.in_hand[seat] = now.taken;
            }
            now.in_hand[seat]
        })?;
        if job == 0 {
            return Ok(());
        }
        let result = result_of(job);
        // One commit delivers it: killed before, it is still in hand; killed after, it is counted.
        ledger.update(|now| {
            now.done += 1;
            now.sum = now.sum.wrapping_add(result);
            now.in_hand[seat] = 0;
        })?;
    }
}

fn start(name: &str, seat: usize) -> Outcome<Child> {
    Ok(Command::new(std::env::current_exe()?)
        .args([name, &seat.to_string()])
        .spawn()?)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, seat] = arguments.as_slice() {
        return work(name, seat.parse()?);
    }
    let nothing = Ledger {
        taken: 0,
        done: 0,
        sum: 0,
        in_hand: [0; SEATS],
    };
    let name = format!("example/supervisor/{}", std::process::id());
    let ledger = CortexBuilder::new(nothing).key(&name).create()?;
    let mut workers = (0..SEATS)
        .map(|seat| start(&name, seat))
        .collect::<Outcome<Vec<_>>>()?;

    for kill in 0..KILLS {
        // Let some work be done, and then kill one wherever it is.
        let goal = (kill + 1) * JOBS / (KILLS + 1);
        let mut version = ledger.version();
        while ledger.read()?.done < goal {
            version = ledger.wait_changed(version, Some(Duration::from_secs(60)))?;
        }
        let seat = (kill % SEATS as u64) as usize;
        workers[seat].kill()?;
        workers[seat].wait()?;
        workers[seat] = start(&name, seat)?;
    }
    for worker in &mut workers {
        let status = worker.wait()?;
        assert!(status.success(), "a worker: {status}");
    }

    let end = ledger.read()?;
    let expected = (1..=JOBS).map(result_of).fold(0, u64::wrapping_add);
    println!(
        "{KILLS} workers killed; {} jobs done of {JOBS}; {end:?}",
        end.done
    );
    assert_eq!((end.taken, end.done, end.sum), (JOBS, JOBS, expected));
    println!("nothing lost, nothing done twice");
    Ok(())
}
