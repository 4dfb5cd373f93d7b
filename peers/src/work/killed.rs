//! A process that holds the write lock is killed: how long until the survivor has written.

use crate::c;
use crate::contest::{Figure, Row, Settings, Unit, RUST};
use crate::helper::Helper;
use crate::place::Peers;
use crate::work::number::cortex;
use neocortex::SeqLock;
use std::time::{Duration, Instant};

const WORK: &str = "passing a killed holder";

/// How a survivor writes, and what a holder is told to find.
struct Scene<'a> {
    column: &'static str,
    role: &'static str,
    id: i32,
    write: &'a (dyn Fn() + Sync),
}

pub fn rows(settings: &Settings) -> Vec<Row> {
    if !settings.wants(WORK) {
        return Vec::new();
    }
    let cortex = cortex::<SeqLock>();
    let peers = Peers::new();
    let area = peers.area() as usize;
    let scenes = [
        Scene {
            column: RUST,
            role: "hold",
            id: cortex.key(),
            write: &|| cortex.write(1.5).expect("write"),
        },
        Scene {
            column: "pthread robust",
            role: "hold-robust",
            id: peers.place.id,
            // SAFETY: the area lives as long as `peers`.
            write: &|| unsafe {
                c::peers_robust_write(area as *mut u8, 1);
            },
        },
    ];
    let kills = settings.pick(200, 1000);
    eprintln!("{WORK}, {kills} times ...");
    let measured = scenes.map(|scene| (scene.column, kill(&scene, kills)));

    let mut rows = Vec::new();
    for (index, since) in [
        "asleep, since waitpid",
        "asleep, since kill",
        "coming after waitpid",
    ]
    .into_iter()
    .enumerate()
    {
        for (name, quantile) in [("median", None), ("99 %", Some(0.99)), ("worst", Some(1.0))] {
            let work = format!("{WORK}, {since}: {name}");
            let mut row = Row::new(work, Unit::Nanoseconds);
            for (column, samples) in &measured {
                let mut samples = samples[index].clone();
                samples.sort_by(f64::total_cmp);
                let figure = match quantile {
                    None => Figure::of(samples),
                    Some(quantile) => {
                        let at = (samples.len() - 1) as f64 * quantile;
                        Figure::single(samples[at.round() as usize])
                    }
                };
                row = row.cell(column, figure);
            }
            rows.push(row);
        }
    }
    rows
}

/// The times of a survivor that sleeps meanwhile, since `waitpid` and since `kill`; and of one that
/// comes after `waitpid`.
fn kill(scene: &Scene, kills: u32) -> [Vec<f64>; 3] {
    let mut samples = [(); 3].map(|()| Vec::new());
    for round in 0..kills {
        let mut holder = held(scene);
        std::thread::scope(|scope| {
            let survivor = scope.spawn(|| {
                (scene.write)();
                Instant::now()
            });
            // From 1 to 40 ms, so that the survivor is met in every part of its sleep.
            std::thread::sleep(Duration::from_micros(
                1000 + u64::from(round) * 7919 % 39_000,
            ));
            let killed = Instant::now();
            holder.kill();
            holder.wait();
            let reaped = Instant::now();
            let written = survivor.join().expect("the survivor");
            let since = |start| written.saturating_duration_since(start).as_nanos() as f64;
            samples[0].push(since(reaped));
            samples[1].push(since(killed));
        });
        // The other scene needs no sleep; every fourth time is enough.
        if round % 4 == 0 {
            let mut holder = held(scene);
            holder.kill();
            holder.wait();
            let reaped = Instant::now();
            (scene.write)();
            samples[2].push(reaped.elapsed().as_nanos() as f64);
        }
    }
    samples
}

fn held(scene: &Scene) -> Helper {
    let mut holder = Helper::start(scene.role, &[scene.id.to_string()]);
    holder.tell("hold");
    assert_eq!(holder.answer(), "held");
    holder
}
