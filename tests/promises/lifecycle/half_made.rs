//! Creators at work, stopped or dead half way, and those who wait for them.

use super::{errno, MARK};
use crate::common::{segment_id, sets_of, Child, Foreign, Kernel, Role};
use neocortex::{
    inspect, Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, LockSite, Observer,
    Segment, SegmentObserver, SegmentOptions, SeqLock, Wait,
};
use std::collections::HashSet;
use std::time::Duration;

/// A lock whose making stops until the test says go on. It keeps no promise of a lock.
#[derive(Debug)]
struct Slow;

// SAFETY: used for nothing but creating, attaching and reading a value that nobody writes.
unsafe impl CortexSync for Slow {
    type Settings = ();
    const NAME: &'static str = "slow";

    fn new(_site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
        let role = Role::of("role_create_slowly").expect("only the role makes one");
        role.say("half");
        role.listen();
        Ok(Self)
    }

    fn attach(_site: LockSite<'_>) -> CortexResult<Self> {
        Ok(Self)
    }

    unsafe fn read_lock(&self, _wait: Wait) -> CortexResult<()> {
        Ok(())
    }

    unsafe fn write_lock(&self, _wait: Wait) -> CortexResult<()> {
        Err(CortexError::Custom(1))
    }

    unsafe fn release(&self, _access: neocortex::Access) -> CortexResult<()> {
        Ok(())
    }

    fn force_ownership(&mut self) {}
}

#[test]
fn role_create_slowly() {
    let Some(role) = Role::of("role_create_slowly") else {
        return;
    };
    let builder = CortexBuilder::new(0xABCD_u64).key(role.key());
    let cortex: Cortex<u64, Slow> = builder.with_default_lock().unwrap();
    role.say("made");
    role.listen();
    assert_eq!(cortex.read().unwrap(), 0xABCD);
}

/// A key whose creator has stopped half way.
fn half_made(kernel: &Kernel) -> (i32, Child) {
    let key = kernel.key();
    let mut creator = Child::spawn("role_create_slowly", &[&key]);
    creator.expect("half");
    (key, creator)
}

/// Ends the creator, which has made its cortex.
fn end(mut creator: Child) {
    creator.tell("end");
    creator.finish();
}

fn read(key: i32) -> u64 {
    Cortex::<u64, Slow>::attach(key).unwrap().read().unwrap()
}

fn is_not_ready(error: &CortexError) {
    assert!(matches!(error, CortexError::NotReady { .. }), "{error}");
}

#[test]
fn attaching_waits_for_a_creator_at_work() {
    let kernel = Kernel::new();
    let (key, mut creator) = half_made(&kernel);
    let value = std::thread::scope(|scope| {
        let attacher = scope.spawn(|| Cortex::<u64, Slow>::attach(key)?.read());
        let observer = scope.spawn(|| Observer::<u64>::attach(key)?.read());
        creator.tell("go on");
        creator.expect("made");
        (
            attacher.join().unwrap().unwrap(),
            observer.join().unwrap().unwrap(),
        )
    });
    assert_eq!(
        value,
        (0xABCD, 0xABCD),
        "never a value before its initialisation"
    );
    end(creator);
}

#[test]
fn creator_killed_half_way_is_not_ready_and_then_replaced() {
    let kernel = Kernel::new();
    let (key, mut creator) = half_made(&kernel);
    let half = segment_id(key).unwrap();
    assert_eq!(
        sets_of(half).len(),
        1,
        "so that there is something to leave behind"
    );
    creator.kill();
    let not_ready = Cortex::<u64, Slow>::attach(key).unwrap_err();
    is_not_ready(&not_ready);
    assert!(not_ready.to_string().contains("replace_stale"));
    is_not_ready(&Observer::<u64>::attach(key).unwrap_err());
    let replaced = CortexBuilder::new(1_u64)
        .key(key)
        .replace_stale()
        .create()
        .unwrap();
    assert_eq!(replaced.read().unwrap(), 1);
    assert!(
        sets_of(half).is_empty(),
        "the semaphores of the half-made one are gone too"
    );
}

#[test]
fn stopped_creator_is_busy_and_finishes_when_it_goes_on() {
    let kernel = Kernel::new();
    let (key, mut creator) = half_made(&kernel);
    creator.signal(libc::SIGSTOP);
    creator.await_stop();
    let busy = CortexBuilder::new(1_u64)
        .key(key)
        .replace_stale()
        .create()
        .unwrap_err();
    assert!(
        matches!(busy, CortexError::Busy { .. }),
        "it is attached, hence alive: {busy}"
    );
    creator.tell("go on");
    creator.signal(libc::SIGCONT);
    creator.expect("made");
    assert_eq!(read(key), 0xABCD);
    end(creator);
}

#[test]
fn creator_whose_half_made_segment_was_removed_makes_it_again() {
    let kernel = Kernel::new();
    let (key, mut creator) = half_made(&kernel);
    let first = segment_id(key).unwrap();
    inspect::remove(key).unwrap();
    creator.tell("go on");
    creator.expect("half");
    creator.tell("go on");
    creator.expect("made");
    assert_ne!(segment_id(key), Some(first));
    assert!(sets_of(first).is_empty());
    assert_eq!(read(key), 0xABCD);
    end(creator);
}

/// Between making the set and claiming a place in it, for which a large value gives time.
#[test]
fn creator_whose_set_was_removed_makes_it_again() {
    const SIZE: usize = 4 << 20;
    fn create(key: i32) -> CortexResult<()> {
        let cortex = CortexBuilder::new([7_u8; SIZE]).key(key).create()?;
        assert_eq!(cortex.segment().size(), SIZE);
        cortex.close()
    }
    let kernel = Kernel::new();
    for _ in 0..20 {
        let key = kernel.key();
        let creator = std::thread::Builder::new().stack_size(16 * SIZE);
        let creator = creator.spawn(move || create(key)).unwrap();
        // As soon as the header names the set.
        let is_named = || inspect::segment(key).is_ok_and(|info| info.beacon_id.is_some());
        while !is_named() && !creator.is_finished() {
            std::hint::spin_loop();
        }
        let _ = inspect::remove(key);
        creator.join().unwrap().unwrap();
        assert!(segment_id(key).is_none());
    }
}

#[test]
fn blank_segment_of_a_dead_creator_is_not_ready_and_then_replaced() {
    let kernel = Kernel::new();
    // A creator that was killed right after its first system call, or after the second.
    let key = kernel.key();
    let blank = Foreign::create_with(key, 20_032, 0o601);
    let not_ready = Segment::<SeqLock>::attach(key, 0).unwrap_err();
    assert!(
        matches!(not_ready, CortexError::NotReady { waited_ms: 1.., .. }),
        "{not_ready}"
    );
    drop(blank);
    // One that was killed right before its last: a real header, state 0.
    let pattern = kernel.key();
    let real: Cortex<u64> = CortexBuilder::new(1_u64).key(pattern).create().unwrap();
    let bytes = Foreign::open(pattern).bytes();
    drop(real);
    let unfinished = kernel.key();
    let half = Foreign::create(unfinished, bytes.len());
    half.put(0, &bytes);
    half.put(12, &[0; 4]);
    drop(half);
    let not_ready = Cortex::<u64>::attach(unfinished).unwrap_err();
    assert!(
        matches!(not_ready, CortexError::NotReady { .. }),
        "{not_ready}"
    );
    for key in [key, unfinished] {
        let replaced = CortexBuilder::new(3_u64)
            .key(key)
            .replace_stale()
            .create()
            .unwrap();
        assert_eq!(replaced.read().unwrap(), 3);
    }
}

/// Without a time-out the wait is half a second at least, which the error itself tells.
#[test]
fn attaching_waits_for_a_creator_no_longer_than_its_time_out() {
    let kernel = Kernel::new();
    let key = kernel.key();
    drop(Foreign::create_with(key, 20_032, 0o601));
    for milliseconds in [0, 20] {
        let timeout = Some(Duration::from_millis(milliseconds));
        let options = SegmentOptions::new().timeout(timeout);
        let attached = options.attach::<SeqLock>(key, 0).unwrap_err();
        let observed = SegmentObserver::attach_with(key, 0, &options).unwrap_err();
        for not_ready in [attached, observed] {
            assert!(
                matches!(not_ready, CortexError::NotReady { waited_ms, .. } if waited_ms < 500),
                "{milliseconds}: {not_ready}"
            );
        }
    }
    inspect::remove(key).unwrap();
}

/// How a creator can have died.
#[derive(Debug, Clone, Copy)]
enum Half {
    Blank,
    WithoutSet,
    WithSet,
}

impl Half {
    const ALL: [Self; 3] = [Self::Blank, Self::WithoutSet, Self::WithSet];

    fn leave(self, key: i32) {
        match self {
            Self::Blank => drop(Foreign::create_with(key, 20_032, MARK)),
            Self::WithoutSet => Foreign::create(key, 20_032).put(0, b"NEOCORTX"),
            Self::WithSet => {
                let mut creator = Child::spawn("role_create_slowly", &[&key]);
                creator.expect("half");
                creator.kill();
            }
        }
    }
}

/// A client: attaches again and again until somebody has made it.
#[test]
fn role_attach_until_it_is_there() {
    let Some(role) = Role::of("role_attach_until_it_is_there") else {
        return;
    };
    let attach = || loop {
        match Cortex::<u64>::attach(role.key()) {
            Ok(cortex) => return cortex.read().unwrap(),
            // Between the one and the other the key may be nobody's, or its set be gone.
            Err(
                CortexError::NotReady { .. }
                | CortexError::CleanSystem(_)
                | CortexError::Lock { .. }
                | CortexError::Layout { .. },
            ) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    let values = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..role.number(1)).map(|_| scope.spawn(attach)).collect();
        role.say("retrying");
        let values = clients.into_iter().map(|client| client.join().unwrap());
        values.collect::<HashSet<_>>()
    });
    assert_eq!(values, HashSet::from([5]));
    role.say("in");
    role.listen();
}

/// Whoever waits for a creator is not taken for it.
#[test]
fn a_dead_creator_is_replaced_at_the_first_attempt_while_a_hundred_retry() {
    let kernel = Kernel::new();
    for half in Half::ALL {
        println!("{half:?}");
        let key = kernel.key();
        half.leave(key);
        let clients = [(); 4].map(|()| {
            let mut clients = Child::spawn("role_attach_until_it_is_there", &[&key, &25]);
            clients.expect("retrying");
            clients
        });
        // As two supervisors would.
        let supervise = || {
            let builder = CortexBuilder::new(5_u64).key(key).participants(128);
            builder.replace_stale().create()
        };
        let results = std::thread::scope(|scope| {
            [(); 2]
                .map(|()| scope.spawn(supervise))
                .map(|supervisor| supervisor.join().unwrap())
        });
        let made = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(made, 1, "{results:?}");
        for refused in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(matches!(refused, CortexError::Busy { .. }), "{refused}");
        }
        for mut clients in clients {
            clients.expect("in");
            clients.tell("end");
            clients.finish();
        }
    }
}

#[test]
fn what_a_dead_creator_left_is_removed_and_reclaimed() {
    let kernel = Kernel::new();
    for half in Half::ALL {
        for take in [inspect::remove, inspect::reclaim] {
            let key = kernel.key();
            half.leave(key);
            let id = segment_id(key).unwrap();
            let message = errno(CortexBuilder::new(1_u64).key(key).create()).1;
            assert!(message.contains("replace_stale"), "{half:?}: {message}");
            take(key).unwrap();
            assert_eq!(segment_id(key), None, "{half:?}");
            assert!(sets_of(id).is_empty(), "{half:?}");
        }
    }
}

/// A second attempt does what the first did not have the time for.
#[test]
fn the_time_out_covers_waiting_for_who_is_dying() {
    let kernel = Kernel::new();
    for is_adopted in [false, true] {
        let key = kernel.key();
        let mut owner = Child::spawn("role_create_for_one", &[&key]);
        owner.expect("created");
        let create = |timeout| {
            let builder = CortexBuilder::new(1_u64).key(key).timeout(Some(timeout));
            match is_adopted {
                true => builder.force_ownership().create(),
                false => builder.replace_stale().create(),
            }
        };
        let patient = std::time::Duration::from_secs(600);
        let value = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| create(patient)?.read());
            for timeout in [0, 1, 30, 30, 30, 30] {
                let refused = create(std::time::Duration::from_millis(timeout)).unwrap_err();
                let is_right = match is_adopted {
                    true => matches!(refused, CortexError::Full { .. }),
                    false => matches!(refused, CortexError::Busy { .. }),
                };
                assert!(is_right, "{refused}");
            }
            owner.kill();
            waiting.join().unwrap().unwrap()
        });
        assert_eq!(value, if is_adopted { 11 } else { 1 });
    }
}

#[test]
fn role_create_for_one() {
    let Some(role) = Role::of("role_create_for_one") else {
        return;
    };
    let builder = CortexBuilder::new(11_u64).key(role.key()).participants(1);
    let _cortex = builder.create().unwrap();
    role.say("created");
    role.listen();
}
