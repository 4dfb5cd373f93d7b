//! Programs start in any order: exactly one of them creates, the others attach, and who comes first waits.

use crate::common::{
    fork, pipe, remove_segment, segment_id, Child, Foreign, Forked, Gate, Kernel, Role,
};
use neocortex::{
    inspect, key_of, Cortex, CortexBuilder, CortexError, Observer, RwLock, Segment,
    SegmentObserver, SegmentOptions, SeqLock,
};
use std::io::{Read, Write};
use std::time::Duration;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

/// What a process found, or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    was_created: bool,
    is_owner: bool,
    value: u64,
    segment: i32,
}

impl Found {
    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[0] = self.was_created.into();
        bytes[1] = self.is_owner.into();
        bytes[4..8].copy_from_slice(&self.segment.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.value.to_ne_bytes());
        bytes
    }

    fn of_bytes(bytes: [u8; 16]) -> Self {
        Self {
            was_created: bytes[0] == 1,
            is_owner: bytes[1] == 1,
            segment: i32::from_ne_bytes(bytes[4..8].try_into().unwrap()),
            value: u64::from_ne_bytes(bytes[8..].try_into().unwrap()),
        }
    }
}

fn builder(name: &str, value: u64) -> CortexBuilder<u64, neocortex::WithKey> {
    CortexBuilder::new(value).key(name).participants(512)
}

/// Processes that create or attach when the gate opens, each with its own id for the first value.
struct Crowd {
    members: Vec<Forked>,
    start: Gate,
    end: Gate,
    reports: std::fs::File,
}

impl Crowd {
    fn gather(name: &str, count: usize, is_replacing: bool) -> Self {
        let (start, end) = (Gate::new(), Gate::new());
        let (reports, to) = pipe();
        let live = || {
            start.pass();
            let mut builder = builder(name, std::process::id().into());
            if is_replacing {
                builder = builder.replace_stale();
            }
            let cortex = builder.create_or_attach().expect("create or attach");
            let found = Found {
                was_created: cortex.was_created(),
                is_owner: cortex.is_owner(),
                value: cortex.read().expect("read"),
                segment: segment_id(cortex.key()).expect("it is there"),
            };
            // Up to PIPE_BUF bytes are one piece.
            (&to).write_all(&found.to_bytes()).expect("the pipe");
            // Until all have reported: nobody's end removes what others look for.
            end.pass();
        };
        Self {
            members: (0..count).map(|_| fork(live)).collect(),
            start,
            end,
            reports,
        }
    }

    fn start(&self) {
        self.members.iter().for_each(|_| self.start.open());
    }

    /// What each found.
    fn reports(&mut self) -> Vec<Found> {
        let mut report = || {
            let mut bytes = [0; 16];
            self.reports.read_exact(&mut bytes).expect("the pipe");
            Found::of_bytes(bytes)
        };
        self.members.iter().map(|_| report()).collect()
    }

    fn finish(self) {
        self.members.iter().for_each(|_| self.end.open());
        self.members.into_iter().for_each(Forked::join);
    }
}

/// That these processes share one cortex, which exactly one of them made.
fn expect_one_creator(found: &[Found]) {
    let creators: Vec<_> = found.iter().filter(|one| one.was_created).collect();
    assert_eq!(creators.len(), 1, "{creators:?}");
    for one in found {
        assert_eq!(one.is_owner, one.was_created, "{one:?}");
        assert_eq!(one.value, creators[0].value, "{one:?}");
        assert_eq!(one.segment, creators[0].segment, "{one:?}");
    }
}

#[test]
fn of_200_processes_that_start_at_once_exactly_one_creates() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let mut crowd = Crowd::gather(&name, 200, false);
    crowd.start();
    expect_one_creator(&crowd.reports());
    crowd.finish();
    assert_eq!(segment_id(key_of(&name).unwrap()), None);
}

#[test]
fn a_stale_cortex_is_replaced_by_exactly_one_of_many() {
    let kernel = Kernel::new();
    let name = kernel.name();
    leave_stale(&name);
    let mut crowd = Crowd::gather(&name, 50, true);
    crowd.start();
    let found = crowd.reports();
    expect_one_creator(&found);
    assert_ne!(found[0].value, STALE);
    crowd.finish();
}

const STALE: u64 = u64::MAX;

/// An owner that is killed.
#[test]
fn role_own() {
    let Some(role) = Role::of("role_own") else {
        return;
    };
    let cortex = builder(role.text(0), STALE).create_or_attach().unwrap();
    role.say(cortex.was_created());
    role.listen();
    drop(cortex);
}

fn leave_stale(name: &str) {
    let mut owner = Child::spawn("role_own", &[&name]);
    owner.expect("true");
    owner.kill();
}

#[test]
fn a_stale_cortex_is_attached_to_with_its_value_and_nobody_becomes_its_owner() {
    let kernel = Kernel::new();
    let name = kernel.name();
    leave_stale(&name);
    let mut crowd = Crowd::gather(&name, 20, false);
    crowd.start();
    for one in crowd.reports() {
        assert!(!one.was_created && !one.is_owner, "{one:?}");
        assert_eq!(one.value, STALE);
    }
    crowd.finish();
    assert!(segment_id(key_of(&name).unwrap()).is_some(), "it stays");
    inspect::reclaim(&name).unwrap();
}

#[test]
fn programs_start_twice_and_after_kill_9() {
    let kernel = Kernel::new();
    let name = kernel.name();
    for _ in 0..2 {
        // In one order and in the other, with one killed, and all killed.
        let mut one = Child::spawn("role_own", &[&name]);
        one.expect("true");
        let mut two = Child::spawn("role_own", &[&name]);
        two.expect("false");
        one.kill();
        // The other goes on, and the first comes back to the same value.
        let again = builder(&name, 1).replace_stale().create_or_attach();
        let again = again.unwrap();
        assert!(!again.was_created());
        assert_eq!(again.read().unwrap(), STALE);
        drop(again);
        two.kill();
        let anew = builder(&name, 1).replace_stale().create_or_attach();
        let anew = anew.unwrap();
        assert!(anew.was_created() && anew.is_owner());
        assert_eq!(anew.read().unwrap(), 1);
        drop(anew);
        assert_eq!(segment_id(key_of(&name).unwrap()), None);
    }
}

#[test]
fn creating_or_attaching_checks_as_both_do() {
    let kernel = Kernel::new();
    let (name, foreign) = (kernel.name(), kernel.key());
    let cortex = builder(&name, 3).schema(5).create_or_attach().unwrap();
    assert!(cortex.was_created() && cortex.is_owner());
    let again = builder(&name, 4).create_or_attach().unwrap();
    assert!(!again.was_created() && !again.is_owner());
    assert_eq!(again.read().unwrap(), 3);

    let builder_of = || CortexBuilder::new(1_u32).key(&name);
    let error = builder_of().create_or_attach().unwrap_err();
    assert!(matches!(error, CortexError::Layout { .. }), "{error}");
    let error = builder(&name, 1).schema(6).create_or_attach().unwrap_err();
    assert!(matches!(error, CortexError::Layout { .. }), "{error}");
    let other = builder(&name, 1).open_or_create();
    let error = other.with_default_lock::<RwLock>().unwrap_err();
    assert!(matches!(error, CortexError::Lock { .. }), "{error}");
    let both = builder(&name, 1).force_ownership().create_or_attach();
    let error = both.unwrap_err();
    let is_argument = matches!(error, CortexError::InvalidArgument { .. });
    assert!(is_argument && error.to_string().contains("`open_or_create`"));
    let none = CortexBuilder::new(1).key(0).create_or_attach().unwrap_err();
    assert!(
        matches!(none, CortexError::InvalidArgument { .. }),
        "{none}"
    );

    let not_ours = Foreign::create(foreign, 20_000);
    not_ours.put(0, b"something else");
    let either = CortexBuilder::new(1).key(foreign).replace_stale();
    let error = either.create_or_attach().unwrap_err();
    assert!(matches!(error, CortexError::NotACortex { .. }), "{error}");
    remove_segment(not_ours.id);

    let options = SegmentOptions::new();
    let bytes: Segment<RwLock> = options.create_or_attach(foreign, 100).unwrap();
    assert!(bytes.was_created());
    let again: Segment<RwLock> = options.create_or_attach(foreign, 100).unwrap();
    assert!(!again.was_created() && !again.is_owner());
}

/// What a program relies on is as it asked for, or it gets no handle; how many slots there are above one it does not rely on.
#[test]
fn what_exists_and_differs_in_what_is_relied_on_is_refused() {
    type Choose = fn(SegmentOptions) -> SegmentOptions;
    let kernel = Kernel::new();
    let kinds: [(Choose, &[&str]); 4] = [
        (|options| options, &[]),
        (|options| options.records(), &["records"]),
        (|options| options.lossless(), &["lossless"]),
        (|options| options.in_place(), &["in_place"]),
    ];
    for (mine, of_mine) in kinds {
        let key = kernel.key();
        let segment: Segment = mine(SegmentOptions::new()).create(key, 64).unwrap();
        for (other, of_other) in kinds {
            let differs = [of_mine, of_other].concat();
            let differs: Vec<_> = differs.iter().filter(|_| of_mine != of_other).collect();
            let ways: [Choose; 2] = [
                SegmentOptions::open_or_create,
                SegmentOptions::force_ownership,
            ];
            for way in ways {
                // `force_ownership` would take it from its owner.
                let result = way(other(SegmentOptions::new())).create::<SeqLock>(key, 64);
                match (differs.first(), result) {
                    (None, Ok(handle)) => {
                        assert!(!handle.was_created());
                        std::mem::forget(handle);
                        segment.take_ownership().unwrap();
                    }
                    (
                        Some(_),
                        Err(CortexError::Layout {
                            what,
                            expected,
                            found,
                            ..
                        }),
                    ) => {
                        assert!(differs.iter().any(|differs| **differs == what), "{what}");
                        assert_ne!(expected, found);
                    }
                    (_, result) => panic!("{differs:?}: {result:?}"),
                }
            }
            // Attaching takes what there is.
            let attached = SegmentOptions::new().attach::<SeqLock>(key, 64);
            drop(attached.unwrap());
        }
        if of_mine.is_empty() {
            let more = SegmentOptions::new().slots(9).participants(7);
            let same: Segment = more.create_or_attach(key, 64).unwrap();
            drop(same);
        }
    }
    let typed = kernel.name();
    let _cortex = CortexBuilder::new(1_u64).key(&typed).create().unwrap();
    let error = CortexBuilder::new(1_u64)
        .key(&typed)
        .lossless()
        .create_or_attach()
        .unwrap_err();
    assert!(
        matches!(
            error,
            CortexError::Layout {
                what: "lossless",
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("is not lossless (`lossless`), and was to be"),
        "{error}"
    );
}

#[test]
fn a_full_cortex_is_full_to_who_would_create_or_attach() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let one = || CortexBuilder::new(1).key(&name).participants(1);
    let _cortex = one().create().unwrap();
    let error = one().timeout(Some(Duration::ZERO)).create_or_attach();
    let error = error.unwrap_err();
    assert!(matches!(error, CortexError::Full { .. }), "{error}");
}

// ---- Creators that die -----------------------------------------------------------------------

/// Lets the kernel kill this process at the beginning of the next call with this number. A C library makes its `semop`
/// by either of two calls.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn die_at(call: libc::c_long) {
    let other = match call {
        libc::SYS_semop => libc::SYS_semtimedop,
        call => call,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let jump = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut filter = [
        step(load, 0, 0, 0),
        step(jump, 1, 0, call as u32),
        step(jump, 0, 1, other as u32),
        step(answer, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a live structure each; the kernel copies the filter.
    unsafe {
        assert_eq!(libc::setrlimit(libc::RLIMIT_CORE, &none), 0);
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program),
            0
        );
    }
}

/// The calls of a creator: between any two of them something else is half made.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
const STEPS: [libc::c_long; 5] = [
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semctl,
    libc::SYS_semop,
];

/// Wherever the first creator dies, one of those that come next creates, whether they came before its death or after.
#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn where_a_creator_dies_exactly_one_of_the_others_creates() {
    for call in STEPS {
        let kernel = Kernel::new();
        let name = kernel.name();
        let mut crowd = Crowd::gather(&name, 40, false);
        let victim = fork(|| {
            die_at(call);
            let _ = builder(&name, STALE).create_or_attach();
        });
        let status = victim.wait();
        assert!(libc::WIFSIGNALED(status), "call {call}: {status:#x}");
        assert!(segment_id(key_of(&name).unwrap()).is_some(), "half made");
        crowd.start();
        let found = crowd.reports();
        expect_one_creator(&found);
        assert_ne!(found[0].value, STALE);
        crowd.finish();
        assert_eq!(segment_id(key_of(&name).unwrap()), None);
    }
}

/// All at once: 100 that are killed at one step or another, as creators or while they attach, and 100 that go on.
#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn of_200_processes_of_which_half_are_killed_on_the_way_the_others_share_one_cortex() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let mut crowd = Crowd::gather(&name, 100, false);
    let ready = Gate::new();
    let victims: Vec<_> = (0..100)
        .map(|index| {
            fork(|| {
                die_at(STEPS[index % STEPS.len()]);
                ready.pass();
                let _ = builder(&name, STALE).create_or_attach();
            })
        })
        .collect();
    victims.iter().for_each(|_| ready.open());
    crowd.start();
    let found = crowd.reports();
    // No victim gets as far as to finish one: each has to claim its slot in it first.
    expect_one_creator(&found);
    assert_ne!(found[0].value, STALE);
    for victim in victims {
        let status = victim.wait();
        assert!(libc::WIFSIGNALED(status), "{status:#x}");
    }
    crowd.finish();
    // What a victim had begun when the cortex was there already, nobody had to take away.
    let _ = inspect::reclaim(&name);
}

// ---- Waiting for the creator -----------------------------------------------------------------

#[test]
fn role_wait_for_creator() {
    let Some(role) = Role::of("role_wait_for_creator") else {
        return;
    };
    let name = role.text(0);
    let wait = |timeout| SegmentOptions::new().wait_for_creator(timeout);
    let soon = wait(Some(Duration::from_millis(1)));
    for error in [
        Cortex::<u64>::attach_with(name, &soon).unwrap_err(),
        Observer::<u64>::attach_with(name, &soon).unwrap_err(),
        soon.attach::<SeqLock>(name, 0).unwrap_err(),
        SegmentObserver::attach_with(name, 0, &wait(Some(Duration::ZERO))).unwrap_err(),
    ] {
        let text = error.to_string();
        let is_time = matches!(error, CortexError::Timeout { .. });
        assert!(is_time && text.contains("nobody has created it"), "{text}");
        assert!(text.contains(name), "{text}");
    }
    role.say("nobody yet");
    let value = match role.text(1) {
        "attach" => Cortex::<u64>::attach_with(name, &wait(None)).and_then(|one| one.read()),
        _ => Observer::<u64>::attach_with(name, &wait(None)).and_then(|one| one.read()),
    };
    role.say(value.unwrap());
}

#[test]
fn a_reader_that_starts_first_waits_until_the_cortex_is_there() {
    let kernel = Kernel::new();
    for how in ["attach", "observe"] {
        let name = kernel.name();
        let mut readers: Vec<_> = (0..3)
            .map(|_| Child::spawn("role_wait_for_creator", &[&name, &how]))
            .collect();
        readers
            .iter_mut()
            .for_each(|reader| reader.expect("nobody yet"));
        let cortex = builder(&name, 77).create().unwrap();
        for mut reader in readers {
            reader.expect("77");
            reader.finish();
        }
        drop(cortex);
    }
}

/// A creator that dies half way is not the end of the wait: another one may come.
#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn who_waits_for_a_creator_waits_on_when_the_first_one_dies() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let victim = fork(|| {
        die_at(libc::SYS_semget);
        let _ = builder(&name, STALE).create();
    });
    assert!(libc::WIFSIGNALED(victim.wait()));
    let soon = SegmentOptions::new().wait_for_creator(Some(Duration::from_millis(1)));
    let error = Cortex::<u64>::attach_with(&name, &soon).unwrap_err();
    assert!(matches!(error, CortexError::NotReady { .. }), "{error}");

    let (gate, begun) = (Gate::new(), Gate::new());
    let reader = fork(|| {
        begun.open();
        let long = SegmentOptions::new().wait_for_creator(None);
        let cortex = Cortex::<u64>::attach_with(&name, &long).expect("there is another");
        assert_eq!(cortex.read().expect("read"), 5);
        gate.open();
    });
    begun.pass();
    let cortex = builder(&name, 5).create_or_attach().unwrap();
    assert!(cortex.was_created());
    gate.pass();
    reader.join();
}

#[test]
fn waiting_for_a_creator_ends_at_once_with_what_cannot_be_used() {
    let kernel = Kernel::new();
    let (name, foreign) = (kernel.name(), kernel.key());
    let for_ever = SegmentOptions::new().wait_for_creator(None);
    let _cortex = builder(&name, 1).create().unwrap();
    let error = Cortex::<u32>::attach_with(&name, &for_ever).unwrap_err();
    assert!(matches!(error, CortexError::Layout { .. }), "{error}");
    let not_ours = Foreign::create(foreign, 20_000);
    not_ours.put(0, b"something else");
    let error = Cortex::<u32>::attach_with(foreign, &for_ever).unwrap_err();
    assert!(matches!(error, CortexError::NotACortex { .. }), "{error}");
    remove_segment(not_ours.id);
    let error = Cortex::<u32>::attach_with("0x", &for_ever).unwrap_err();
    assert!(
        matches!(error, CortexError::InvalidArgument { .. }),
        "{error}"
    );
    let short = SegmentOptions::new().wait_for_creator(SECOND);
    assert!(Cortex::<u64>::attach_with(&name, &short).is_ok());
}

/// Where only time tells that a creator has died, a call that never waits takes that time, and then what it left;
/// otherwise it would never be taken, however often it is tried. No other call waits for it.
#[test]
fn a_call_that_never_waits_waits_only_to_know_that_a_creator_died() {
    /// Where the header has the state, and the id of the semaphore set (`src/protocol/format.rs`): 0 is initialising,
    /// and none yet.
    const STATE: usize = 12;
    const SET_ID: usize = 84;
    let kernel = Kernel::new();
    let key = kernel.key();
    let owner: Segment = Segment::create(key, 64).unwrap();
    let words = Foreign::open(key);
    let named = words.bytes()[SET_ID..SET_ID + 4].to_vec();
    words.put(STATE, &[0; 4]);
    words.put(SET_ID, &[0; 4]);
    let options = SegmentOptions::new().timeout(Some(Duration::ZERO));
    let not_ready = |result: Result<Segment, CortexError>| {
        let error = result.expect_err("it is not ready");
        assert!(matches!(error, CortexError::NotReady { .. }), "{error}");
    };
    not_ready(options.attach(key, 64));
    not_ready(options.create_or_attach(key, 64));
    // With its set named, it lives: that is in use, at once.
    words.put(SET_ID, &named);
    let busy = options.clone().replace_stale().create::<SeqLock>(key, 64);
    let busy = busy.expect_err("its creator lives");
    assert!(matches!(busy, CortexError::Busy { .. }), "{busy}");
    words.put(SET_ID, &[0; 4]);
    let new = options.replace_stale().create::<SeqLock>(key, 64);
    assert!(new.expect("half a second later").was_created());
    assert!(owner.is_removed());
    words.put(SET_ID, &named);
    drop(owner);
}
