//! Two processes that answer each other: the round trip of a value that wakes the other side.

use crate::c::{self, Api};
use crate::contest::{Contest, Row, Settings, Target, C, RUST};
use crate::helper::spin_until_changed;
use crate::helper::{self, Helper};
use crate::iceoryx::{self, Broom};
use crate::place::Place;
use crate::work::number::cortex;
use neocortex::{Cortex, SeqLock};
use std::cell::RefCell;
use std::ffi::CString;
use std::time::Instant;

const PROMPT: &str = "hand-over and back, waiting, answered at once";
const SLEEPING: &str = "hand-over and back, to a sleeper";
const SPINNING: &str = "hand-over and back, spinning";
const SEEN: &str = "hand-over and back, spinning, seen and not read";

/// Nanoseconds that either side is busy before it answers, so that the other sleeps, whatever it does
/// before it goes to sleep. Not counted.
pub const THOUGHT: u64 = 50_000;

/// Which processor each side stays on, where there are two.
pub const PROCESSORS: [usize; 2] = [0, 1];

pub fn rows(settings: &Settings) -> Vec<Row> {
    let all = helper::affinity();
    helper::pin(PROCESSORS[0]);
    let mut rows = Vec::new();
    if settings.wants(PROMPT) {
        rows.push(waiting(settings, PROMPT, 0));
    }
    if settings.wants(SLEEPING) {
        rows.push(waiting(settings, SLEEPING, THOUGHT));
    }
    if settings.wants(SPINNING) {
        rows.push(spinning(settings));
    }
    if settings.wants(SEEN) {
        rows.push(seen(settings));
    }
    helper::unpin(&all);
    rows
}

fn median(trips: &mut [u64]) -> f64 {
    trips.sort_unstable();
    trips[trips.len() / 2] as f64
}

/// Goes round so many times and notes how long each took.
type Ask<'a> = Box<dyn FnMut(u64, &mut [u64]) + 'a>;

/// One competitor: a helper that answers, and how this side asks.
pub(super) struct Pair<'a> {
    helper: RefCell<Helper>,
    ask: Ask<'a>,
}

impl<'a> Pair<'a> {
    pub(super) fn new(
        role: &str,
        arguments: &[String],
        ask: impl FnMut(u64, &mut [u64]) + 'a,
    ) -> Self {
        Self {
            helper: RefCell::new(Helper::start(role, arguments)),
            ask: Box::new(ask),
        }
    }

    pub(super) fn turn(mut self) -> impl FnMut(u64) -> f64 + 'a {
        move |n| {
            let mut trips = vec![0; n as usize];
            self.helper.borrow_mut().tell(n);
            (self.ask)(n, &mut trips);
            assert_eq!(self.helper.borrow_mut().answer(), "done");
            median(&mut trips)
        }
    }
}

/// How one side learns of the other's write.
#[derive(Clone, Copy)]
enum Way {
    /// Waits for it, and thinks so many nanoseconds before it answers.
    Waiting(u64),
    /// Looks all the time, and reads it.
    Spinning,
    /// Looks all the time, and does not read it.
    Seeing,
}

/// The two cortexes, one for each direction, and this side of the ping-pong.
fn ours(way: Way) -> Pair<'static> {
    let (there, back) = (cortex::<SeqLock>(), cortex::<SeqLock>());
    let (role, argument) = match way {
        Way::Waiting(thought) => ("pong", thought.to_string()),
        Way::Spinning => ("pong-spinning", true.to_string()),
        Way::Seeing => ("pong-spinning", false.to_string()),
    };
    let arguments = [there.key().to_string(), back.key().to_string(), argument];
    let thought = match way {
        Way::Waiting(thought) => Some(thought),
        _ => None,
    };
    let mut value = 0.0;
    Pair::new(role, &arguments, move |_, trips| {
        for trip in trips {
            // SAFETY: only looks at the clock.
            unsafe { c::peers_think(thought.unwrap_or(0)) };
            let start = Instant::now();
            value += 1.0;
            let since = back.version();
            there.write(value).expect("write");
            if thought.is_some() {
                back.wait_changed(since, None).expect("wait");
            } else {
                spin_until_changed(&back, since);
            }
            if !matches!(way, Way::Seeing) {
                assert_eq!(back.read().expect("read"), value);
            }
            let elapsed = start.elapsed().as_nanos() as u64;
            *trip = elapsed.saturating_sub(thought.unwrap_or(0));
        }
    })
}

fn waiting(settings: &Settings, work: &str, thought: u64) -> Row {
    let (rounds, n) = settings.pick((15, 1000), (41, 2000));
    let _broom = Broom::new();
    let api = Api::load();
    let mut contest = Contest::new(work)
        .fixed(rounds, n)
        .judged(RUST, ours(Way::Waiting(thought)).turn());
    let keys = [cortex::<SeqLock>(), cortex::<SeqLock>()];
    if let Some(api) = &api {
        let [there, back] = keys.each_ref().map(Cortex::key);
        let handles = [there, back].map(|key| api.attach(key));
        let pair = Pair::new(
            "pong-c",
            &[there.to_string(), back.to_string(), thought.to_string()],
            move |n, trips| {
                // SAFETY: open handles, and room for n numbers.
                unsafe {
                    c::peers_api_ping(
                        api,
                        handles[0].pointer,
                        handles[1].pointer,
                        thought,
                        n,
                        trips.as_mut_ptr(),
                    );
                }
            },
        );
        contest = contest.judged(C, pair.turn());
    }
    for (column, has_limit) in [("futex", false), ("futex with a time-out", true)] {
        let place = Place::new(4096);
        let arguments = [
            place.id.to_string(),
            thought.to_string(),
            has_limit.to_string(),
        ];
        let pair = Pair::new("pong-futex", &arguments, move |n, trips| {
            // SAFETY: a page of shared memory, and room for n numbers.
            unsafe {
                c::peers_futex_ping(place.base(), thought, has_limit, n, trips.as_mut_ptr());
            }
        });
        contest = contest.judged(column, pair.turn());
    }
    let place = iceoryx::Place::new();
    let names = ["there", "back"].map(|way| format!("{way}-{thought}"));
    let (there, _) = place.event(&names[0]);
    let (_, back) = place.event(&names[1]);
    let arguments = [
        std::process::id().to_string(),
        names[0].clone(),
        names[1].clone(),
        thought.to_string(),
    ];
    let pair = Pair::new("pong-iceoryx", &arguments, move |_, trips| {
        for trip in trips {
            // SAFETY: only looks at the clock.
            unsafe { c::peers_think(thought) };
            let start = Instant::now();
            there.notify().expect("notify");
            iceoryx::await_event(&back);
            *trip = (start.elapsed().as_nanos() as u64).saturating_sub(thought);
        }
    });
    contest = contest.judged("iceoryx2 event", pair.turn());
    if thought == 0 {
        contest = through_the_kernel(contest);
    }
    contest.target(Target::new(1.1, "futex")).run(settings)
}

/// What hands over bytes by system calls alone.
fn through_the_kernel(mut contest: Contest<'_>) -> Contest<'_> {
    for (column, ends) in [
        ("pipe", pipes()),
        ("UNIX socket", sockets()),
        ("eventfd", events()),
    ] {
        let [input, output, their_input, their_output] = ends;
        let arguments = [their_input.to_string(), their_output.to_string()];
        let pair = Pair::new("pong-fd", &arguments, move |n, trips| {
            // SAFETY: open descriptors, and room for n numbers.
            unsafe { c::peers_fd_ping(input, output, n, trips.as_mut_ptr()) }
        });
        contest = contest.judged(column, pair.turn());
    }
    let names = ["there", "back"].map(|way| format!("/peers-{way}-{}", std::process::id()));
    // SAFETY: names that end with NUL.
    let queues = names.each_ref().map(|name| unsafe {
        let name = CString::new(name.as_str()).expect("no NUL");
        c::peers_queue(name.as_ptr(), true)
    });
    if queues.iter().all(|&queue| queue >= 0) {
        let pair = Pair::new("pong-queue", &names, move |n, trips| {
            // SAFETY: open queues, and room for n numbers.
            unsafe { c::peers_queue_ping(queues[1], queues[0], n, trips.as_mut_ptr()) }
        });
        contest = contest.judged("POSIX queue", pair.turn());
    } else {
        contest = contest.absent("POSIX queue", "not measured: mq_open failed");
    }
    for name in &names {
        let name = CString::new(name.as_str()).expect("no NUL");
        // SAFETY: a name that ends with NUL.
        unsafe { libc::mq_unlink(name.as_ptr()) };
    }
    contest
}

fn spinning(settings: &Settings) -> Row {
    let (rounds, n) = settings.pick((15, 10_000), (41, 20_000));
    let mut contest = Contest::new(SPINNING)
        .fixed(rounds, n)
        .judged(RUST, ours(Way::Spinning).turn());
    for (column, carried) in [
        ("(atomics)", 0),
        ("(atomics and a value beside)", 1),
        ("(commit protocol)", 2),
        ("(commit protocol, in a line)", 3),
    ] {
        let words = Place::new(4096);
        let arguments = [words.id.to_string(), carried.to_string()];
        let pair = Pair::new("pong-spin", &arguments, move |n, trips| {
            // SAFETY: a page of shared memory, and room for n numbers.
            unsafe { c::peers_spin_ping(words.base(), carried, n, trips.as_mut_ptr()) }
        });
        contest = contest.judged(column, pair.turn());
    }
    contest
        .target(Target::new(1.3, "(atomics)"))
        .target(Target::new(1.1, "(commit protocol, in a line)"))
        .run(settings)
}

/// That there is a new commit, and not what it says.
fn seen(settings: &Settings) -> Row {
    let (rounds, n) = settings.pick((15, 10_000), (41, 20_000));
    let words = Place::new(4096);
    let arguments = [words.id.to_string(), "0".to_owned()];
    let atomics = Pair::new("pong-spin", &arguments, move |n, trips| {
        // SAFETY: a page of shared memory, and room for n numbers.
        unsafe { c::peers_spin_ping(words.base(), 0, n, trips.as_mut_ptr()) }
    });
    Contest::new(SEEN)
        .fixed(rounds, n)
        .judged(RUST, ours(Way::Seeing).turn())
        .judged("(atomics)", atomics.turn())
        .target(Target::new(1.3, "(atomics)"))
        .run(settings)
}

/// [our input, our output, their input, their output], inherited by the helper.
pub(super) type Ends = [i32; 4];

fn pipes() -> Ends {
    let pipe = || {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
        ends
    };
    let (there, back) = (pipe(), pipe());
    [back[0], there[1], there[0], back[1]]
}

fn sockets() -> Ends {
    socket_pair(libc::SOCK_STREAM)
}

pub(super) fn datagrams() -> Ends {
    socket_pair(libc::SOCK_DGRAM)
}

fn socket_pair(kind: i32) -> Ends {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    let made = unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) };
    assert_eq!(made, 0);
    [ends[0], ends[0], ends[1], ends[1]]
}

fn events() -> Ends {
    // SAFETY: no pointers.
    let [there, back] = [(); 2].map(|()| unsafe { libc::eventfd(0, 0) });
    assert!(there >= 0 && back >= 0);
    [back, there, there, back]
}
