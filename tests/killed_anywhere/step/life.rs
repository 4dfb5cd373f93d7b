//! The operations by which a cortex comes and goes, and what the next ones find after each death.
//!
//! This process is alone in its IPC namespace, so after each death the kernel's tables must be empty once what
//! is stale has been taken away.

use super::operations::{value, SIZE};
use super::{
    c_calls, die_after, expect_nothing_after_reclaim, wind_up, Tally, Tracee, Where, Work, CAN_STEP,
};
use crate::common::{check, filled, proof, segment_id, Random};
use neocortex::{
    inspect, key_of, Cortex, CortexBuilder, CortexError, CortexSync, HugePages, Key, Segment,
    SegmentOptions, WithKey,
};
use std::ffi::CStr;
use std::mem::forget;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The number of the value that a stale cortex has, and of the one that an operation creates.
const OLD: u32 = 7;
const NEW: u32 = 8;
/// What the C surface creates.
const ZEROS: u32 = 0;

struct Scenario<L: CortexSync + 'static> {
    name: String,
    /// Makes what the operation finds; whoever is attached meanwhile.
    stage: Box<dyn Fn(i32) -> Option<Segment<L>>>,
    prepare: Box<dyn Fn(i32) -> Work>,
    /// Whether somebody attaches when the operation's process is ready.
    is_joined: bool,
    /// The values that may be found.
    values: Vec<u32>,
    /// Whether a death can leave a cortex that was never ready.
    may_be_unfinished: bool,
}

/// The name that cortexes have here, so that a name is in what a death leaves; those of most C calls are made by number.
const NAME: &str = "killed/anywhere";
const C_NAME: &CStr = c"killed/anywhere";
static IS_BY_NUMBER: AtomicBool = AtomicBool::new(false);

/// What a cortex with this key, which is that of the name, is made and attached to by.
fn place(key: i32) -> Key {
    match IS_BY_NUMBER.load(Ordering::Relaxed) {
        true => key.into(),
        false => NAME.into(),
    }
}

fn builder(key: i32, slots: u32, number: u32) -> CortexBuilder<super::operations::Value, WithKey> {
    // SAFETY: both take nothing and cannot fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    // Given an owner, which is more calls in which to die.
    let builder = CortexBuilder::new(value(number))
        .key(place(key))
        .participants(4)
        .owner(Some(user), Some(group));
    if slots == 1 {
        builder.in_place()
    } else {
        builder.slots(slots)
    }
}

fn create<L: CortexSync + 'static>(
    key: i32,
    slots: u32,
    number: u32,
) -> Cortex<super::operations::Value, L> {
    builder(key, slots, number)
        .with_default_lock()
        .expect("create")
}

fn attach<L: CortexSync + 'static>(key: i32) -> Segment<L> {
    let options = SegmentOptions::new().timeout(Some(Duration::from_secs(10)));
    options.attach(key, SIZE).expect("attach")
}

/// The owner was killed: the cortex is ready and stale.
fn leave_stale<L: CortexSync + 'static>(key: i32, slots: u32) {
    die_after(|| forget(create::<L>(key, slots, OLD)));
}

/// A creator was killed at a system call.
#[derive(Debug, Clone, Copy)]
enum Unfinished {
    Blank,
    WithoutSet,
    WithBlankSet,
    WithSet,
}

const UNFINISHED: [Unfinished; 4] = [
    Unfinished::Blank,
    Unfinished::WithoutSet,
    Unfinished::WithBlankSet,
    Unfinished::WithSet,
];

fn leave_unfinished<L: CortexSync + 'static>(key: i32, slots: u32, how: Unfinished) {
    let (call, is_exit) = match how {
        Unfinished::Blank => (libc::SYS_shmget, true),
        Unfinished::WithoutSet => (libc::SYS_semget, false),
        Unfinished::WithBlankSet => (libc::SYS_semget, true),
        Unfinished::WithSet => (libc::SYS_semctl, true),
    };
    let mut creator = Tracee::start(|| Box::new(move || forget(create::<L>(key, slots, OLD))));
    creator.run_to_call(call, is_exit);
    creator.kill();
}

fn scenarios<L: CortexSync + 'static>(slots: u32) -> Vec<Scenario<L>> {
    let stale = move || -> Box<dyn Fn(i32) -> Option<Segment<L>>> {
        Box::new(move |key| {
            leave_stale::<L>(key, slots);
            None
        })
    };
    let nothing = || -> Box<dyn Fn(i32) -> Option<Segment<L>>> { Box::new(|_| None) };
    let in_use = move || -> Box<dyn Fn(i32) -> Option<Segment<L>>> {
        Box::new(move |key| {
            leave_stale::<L>(key, slots);
            Some(attach(key))
        })
    };
    let scenario = |name: &str, stage, prepare, values: &[u32]| Scenario {
        name: name.to_owned(),
        stage,
        prepare,
        is_joined: false,
        values: values.to_vec(),
        may_be_unfinished: false,
    };
    let remove = || -> Box<dyn Fn(i32) -> Work> {
        Box::new(|key| Box::new(move || inspect::remove(key).expect("remove")))
    };
    let reclaim = || -> Box<dyn Fn(i32) -> Work> {
        Box::new(|key| Box::new(move || inspect::reclaim(key).expect("reclaim")))
    };
    let replace = move || -> Box<dyn Fn(i32) -> Work> {
        Box::new(move |key| {
            let builder = builder(key, slots, NEW).replace_stale();
            Box::new(move || forget(builder.with_default_lock::<L>().expect("replace")))
        })
    };
    let either = move |replaces: bool| -> Box<dyn Fn(i32) -> Work> {
        Box::new(move |key| {
            let mut builder = builder(key, slots, NEW).open_or_create();
            if replaces {
                builder = builder.replace_stale();
            }
            Box::new(move || forget(builder.with_default_lock::<L>().expect("either")))
        })
    };
    let close = move || -> Box<dyn Fn(i32) -> Work> {
        Box::new(move |key| {
            let cortex = create::<L>(key, slots, OLD);
            Box::new(move || cortex.close().expect("close"))
        })
    };
    let mut all = vec![
        Scenario {
            may_be_unfinished: true,
            ..scenario(
                "create",
                nothing(),
                Box::new(move |key| Box::new(move || forget(create::<L>(key, slots, NEW)))),
                &[NEW],
            )
        },
        Scenario {
            may_be_unfinished: true,
            ..scenario(
                "create, touched, locked, huge if it can be",
                nothing(),
                Box::new(move |key| {
                    let builder = builder(key, slots, NEW)
                        .prefault()
                        .lock_in_memory()
                        .huge_pages(HugePages::Prefer);
                    Box::new(move || forget(builder.with_default_lock::<L>().expect("create")))
                }),
                &[NEW],
            )
        },
        scenario(
            "attach",
            in_use(),
            Box::new(|key| Box::new(move || forget(attach::<L>(key)))),
            &[OLD],
        ),
        scenario(
            "adopt a stale one",
            stale(),
            Box::new(move |key| {
                let builder = builder(key, slots, NEW).force_ownership();
                Box::new(move || forget(builder.with_default_lock::<L>().expect("adopt")))
            }),
            &[OLD],
        ),
        Scenario {
            may_be_unfinished: true,
            ..scenario("replace a stale one", stale(), replace(), &[OLD, NEW])
        },
        Scenario {
            may_be_unfinished: true,
            ..scenario("create or attach, alone", nothing(), either(false), &[NEW])
        },
        scenario("create or attach, in use", in_use(), either(false), &[OLD]),
        Scenario {
            may_be_unfinished: true,
            ..scenario(
                "create or attach, bytes",
                nothing(),
                Box::new(move |key| {
                    let options = SegmentOptions::new().participants(4);
                    let options = match slots {
                        1 => options.in_place(),
                        _ => options.slots(slots),
                    };
                    let place = place(key);
                    Box::new(move || {
                        forget(options.create_or_attach::<L>(place, SIZE).expect("either"));
                    })
                }),
                &[ZEROS],
            )
        },
        Scenario {
            may_be_unfinished: true,
            ..scenario(
                "create or attach, stale",
                stale(),
                either(true),
                &[OLD, NEW],
            )
        },
        scenario("remove one in use", in_use(), remove(), &[OLD]),
        scenario("remove a stale one", stale(), remove(), &[OLD]),
        scenario("reclaim a stale one", stale(), reclaim(), &[OLD]),
        scenario(
            "reclaim a set without a segment",
            Box::new(move |key| {
                die_after(|| {
                    forget(create::<L>(key, slots, OLD));
                    inspect::remove(key).expect("remove");
                });
                None
            }),
            reclaim(),
            &[],
        ),
        scenario("close, the owner", nothing(), close(), &[OLD]),
        Scenario {
            is_joined: true,
            ..scenario("close, the owner of one in use", nothing(), close(), &[OLD])
        },
    ];
    for how in UNFINISHED {
        if !CAN_STEP || L::NAME != "seqlock" || slots != 2 {
            break;
        }
        let unfinished = || -> Box<dyn Fn(i32) -> Option<Segment<L>>> {
            Box::new(move |key| {
                leave_unfinished::<L>(key, slots, how);
                None
            })
        };
        // Both go the same way up to the removal.
        if matches!(how, Unfinished::WithSet) || proof::is_long() {
            let name = format!("replace an unfinished one ({how:?})");
            all.push(Scenario {
                may_be_unfinished: true,
                ..scenario(&name, unfinished(), replace(), &[NEW])
            });
            let name = format!("create or attach, unfinished ({how:?})");
            all.push(Scenario {
                may_be_unfinished: true,
                ..scenario(&name, unfinished(), either(false), &[NEW])
            });
        }
        let name = format!("reclaim an unfinished one ({how:?})");
        all.push(Scenario {
            may_be_unfinished: true,
            ..scenario(&name, unfinished(), reclaim(), &[])
        });
    }
    all
}

/// Those of the C surface.
fn c_scenarios<L: CortexSync + 'static>(slots: u32) -> Vec<Scenario<L>> {
    let c_create = move |key| c_calls::create(key, L::NAME, slots, 0, None);
    // Never freed, which would be a part of the operation.
    let new: &'static [u8] = filled(SIZE, NEW).leak();
    let mut all = scenarios::<L>(slots);
    all.retain(|scenario| {
        [
            "create",
            "replace a stale one",
            "attach",
            "reclaim a stale one",
            "remove one in use",
        ]
        .contains(&&*scenario.name)
    });
    for scenario in &mut all {
        let work: fn(i32) -> Work = match &*scenario.name {
            "attach" => |key| {
                Box::new(move || {
                    c_calls::attach(key);
                })
            },
            "remove one in use" => {
                |key| Box::new(move || c_calls::ok(neocortex::capi::neocortex_remove(key)))
            }
            "reclaim a stale one" => {
                |key| Box::new(move || c_calls::ok(neocortex::capi::neocortex_reclaim(key)))
            }
            // With a first value, which is there whole or not at all: the values stay those of the scenario.
            name => {
                let replaces = name != "create";
                let flags = if replaces {
                    neocortex::capi::NEOCORTEX_REPLACE_STALE
                } else {
                    0
                };
                scenario.prepare = Box::new(move |key| {
                    Box::new(move || {
                        c_calls::create(key, L::NAME, slots, flags, Some(new));
                    })
                });
                continue;
            }
        };
        scenario.prepare = Box::new(work);
    }
    all.push(Scenario {
        name: "create, zeros".into(),
        stage: Box::new(|_| None),
        prepare: Box::new(move |key| {
            Box::new(move || {
                c_create(key);
            })
        }),
        is_joined: false,
        values: vec![ZEROS],
        may_be_unfinished: true,
    });
    let by_name =
        |name: &str, is_there: bool, values: &[u32], work: Box<dyn Fn(i32) -> Work>| Scenario {
            name: name.into(),
            stage: Box::new(move |key| {
                is_there.then(|| {
                    leave_stale::<L>(key, slots);
                    attach(key)
                })
            }),
            prepare: work,
            is_joined: false,
            values: values.to_vec(),
            may_be_unfinished: !is_there,
        };
    let either = move || -> Box<dyn Fn(i32) -> Work> {
        Box::new(move |_| {
            Box::new(move || {
                let flags = neocortex::capi::NEOCORTEX_OPEN_OR_CREATE;
                c_calls::create_named(C_NAME, L::NAME, slots, flags, Some(new));
            })
        })
    };
    all.push(by_name(
        "create by name, zeros",
        false,
        &[ZEROS],
        Box::new(move |_| {
            Box::new(move || {
                c_calls::create_named(C_NAME, L::NAME, slots, 0, None);
            })
        }),
    ));
    all.push(by_name("open or create by name", false, &[NEW], either()));
    all.push(by_name(
        "open or create by name, in use",
        true,
        &[OLD],
        either(),
    ));
    all.push(by_name(
        "attach by name, waiting",
        true,
        &[OLD],
        Box::new(|_| {
            Box::new(|| {
                c_calls::attach_named_wait(C_NAME);
            })
        }),
    ));
    for is_joined in [false, true] {
        all.push(Scenario {
            name: "close, the owner".into(),
            stage: Box::new(|_| None),
            prepare: Box::new(move |key| {
                let handle = c_create(key);
                // SAFETY: a live handle, closed once.
                Box::new(move || c_calls::ok(unsafe { neocortex::capi::neocortex_close(handle) }))
            }),
            is_joined,
            values: vec![ZEROS],
            may_be_unfinished: false,
        });
    }
    all.iter_mut()
        .for_each(|scenario| scenario.name.insert_str(0, "C: "));
    all
}

/// The number of the value that a reader finds.
fn read<L: CortexSync + 'static>(segment: &Segment<L>) -> u32 {
    let mut buffer = [0; SIZE];
    segment
        .read_at(0, &mut buffer)
        .expect("nobody is in the way");
    if buffer == [0; SIZE] {
        ZEROS
    } else {
        check(&buffer)
    }
}

impl<L: CortexSync + 'static> Scenario<L> {
    /// Whoever was attached goes on.
    fn go_on(&self, survivor: Segment<L>, died: Instant, tally: &mut Tally) {
        let found = read(&survivor);
        assert!(self.values.contains(&found), "a value of nobody's: {found}");
        survivor
            .write_at(0, &filled(SIZE, 100))
            .expect("a survivor writes");
        tally.time(died.elapsed());
        assert_eq!(read(&survivor), 100);
        assert_eq!(survivor.participants().expect("ask").0, 1);
        survivor
            .write_at(0, &filled(SIZE, self.values[0]))
            .expect("a survivor writes");
        survivor.close().expect("close");
    }

    /// Whoever comes next and attaches finds a cortex that is whole, or none.
    fn attach_next(&self, key: i32) {
        match SegmentOptions::new().attach::<L>(place(key), SIZE) {
            Ok(segment) => {
                let found = read(&segment);
                assert!(self.values.contains(&found), "a value of nobody's: {found}");
                assert_eq!(segment.participants().expect("ask").0, 1);
            }
            Err(CortexError::CleanSystem(_)) if segment_id(key).is_none() => {}
            Err(CortexError::NotReady { .. }) if self.may_be_unfinished => {}
            Err(error) => panic!("the next could not attach: {error}"),
        }
    }

    /// What is left can be taken away, or be replaced.
    fn clear(&self, key: i32, slots: u32, turn: usize) {
        if turn % 4 < 2 {
            self.attach_next(key);
        }
        if turn % 2 == 0 {
            expect_nothing_after_reclaim(key);
            drop(create::<L>(key, slots, NEW));
        } else {
            let mut next = builder(key, slots, NEW).replace_stale();
            if turn % 4 == 3 {
                next = next.open_or_create();
            }
            let next = next.with_default_lock::<L>();
            let next = next.expect("the next takes its place");
            assert!(next.was_created());
            assert_eq!(next.read().expect("read"), value(NEW));
        }
        expect_nothing_after_reclaim(key);
    }

    fn record(&self, key: i32, slots: u32) -> super::Trail {
        let survivor = (self.stage)(key);
        let other = Tracee::start(|| (self.prepare)(key));
        let joined: Option<Segment<L>> = self.is_joined.then(|| attach(key));
        let trail = other.record(key, u32::MAX);
        drop((survivor, joined));
        self.clear(key, slots, 1);
        trail
    }
}

/// Every scenario with this lock and layout; of the places to die every `shards`th from `shard` on.
pub fn run<L: CortexSync + 'static>(slots: u32, is_c: bool, shard: usize, shards: usize) -> Tally {
    let key = key_of(NAME).expect("a name");
    let mut random = Random::new();
    let mut tally = Tally::default();
    let scenarios = if is_c {
        c_scenarios::<L>(slots)
    } else {
        scenarios::<L>(slots)
    };
    for scenario in &scenarios {
        let start = Instant::now();
        let is_by_number = is_c && !scenario.name.contains("by name");
        IS_BY_NUMBER.store(is_by_number, Ordering::Relaxed);
        wind_up();
        let trail = scenario.record(key, slots);
        let others = proof::cases(OTHERS, 0) as usize;
        let points = trail.points(others, &mut random);
        let mut kills = 0;
        for (turn, point) in points.into_iter().enumerate().skip(shard).step_by(shards) {
            let _where = Where(&scenario.name, format!("{point:?}"));
            wind_up();
            let survivor = (scenario.stage)(key);
            let mut other = Tracee::start(|| (scenario.prepare)(key));
            let joined = scenario.is_joined.then(|| attach(key));
            tally.count(point, other.run_to(key, point, &trail));
            kills += 1;
            let died = other.kill();
            if let Some(survivor) = survivor.or(joined) {
                scenario.go_on(survivor, died, &mut tally);
            }
            scenario.clear(key, slots, turn / shards);
        }
        println!(
            "{} with {slots} slots, {}: {} stops and changes in {} instructions, {kills} kills here, {} ms",
            L::NAME,
            scenario.name,
            trail.len().0,
            trail.len().1,
            start.elapsed().as_millis()
        );
    }
    tally
}

/// So many instructions of each operation are tried beside those that change anything.
const OTHERS: u64 = 12;
