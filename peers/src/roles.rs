//! What this program does when it is somebody's second process.

use crate::c::{self, Api};
use crate::helper::{pin, serve, spin_until_changed};
use crate::place::{Place, Signals};
use crate::work::PROCESSORS;
use neocortex::{Cortex, Segment, SeqLock};
use std::ffi::CString;
use std::sync::atomic::Ordering;

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("{text} is not a number"))
}

/// Plays the role named first. Dies with the process that started it.
pub fn play(arguments: &[String]) {
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let (role, arguments) = arguments.split_first().expect("a role");
    let of = |index: usize| arguments[index].as_str();
    pin(PROCESSORS[1]);
    match role.as_str() {
        "pong" => pong(number(of(0)), number(of(1)), Some(number(of(2))), true),
        "pong-spinning" => pong(number(of(0)), number(of(1)), None, of(2) == "true"),
        "pong-c" => pong_c(number(of(0)), number(of(1)), number(of(2))),
        "pong-spin" => pong_spinning(number(of(0)), number(of(1))),
        "pong-iceoryx" => pong_iceoryx(number(of(0)), of(1), of(2), number(of(3))),
        "pong-futex" => pong_futex(number(of(0)), number(of(1)), of(2) == "true"),
        // SAFETY: the parent's descriptors, inherited.
        "pong-fd" => serve(|n| unsafe {
            c::peers_fd_pong(number(of(0)), number(of(1)), number(n));
            "done".to_owned()
        }),
        "pong-queue" => pong_queue(of(0), of(1)),
        "contend" => {
            crate::work::contended::assist(of(0), number(of(1)), number(of(2)), of(3) == "w")
        }
        "publish" => publish(number(of(0)), number(of(1))),
        "pong-ring" => pong_ring(number(of(0)), number(of(1)), number(of(2))),
        "pong-follow" => pong_follow(number(of(0)), number(of(1))),
        "burst" => crate::work::lost::play(number(of(0))),
        "hold" => hold(number(of(0))),
        "hold-robust" => hold_robust(number(of(0))),
        "crowd" => crate::work::growth::crowd(number(of(0)), number(of(1)), number(of(2))),
        "loop" => crate::work::number::repeat(of(0), number(of(1))),
        role => panic!("no such role: {role}"),
    }
}

/// Answers after this thought, or spins; with what it read, or without reading.
fn pong(there: i32, back: i32, thought: Option<u64>, is_read: bool) {
    let there = Cortex::<f64>::attach(there).expect("attach");
    let back = Cortex::<f64>::attach(back).expect("attach");
    let mut since = there.version();
    serve(|n| {
        for _ in 0..number::<u64>(n) {
            match thought {
                Some(thought) => {
                    since = there.wait_changed(since, None).expect("wait");
                    // SAFETY: only looks at the clock.
                    unsafe { c::peers_think(thought) };
                }
                None => since = spin_until_changed(&there, since),
            }
            let value = if is_read {
                there.read().expect("read")
            } else {
                0.0
            };
            back.write(value).expect("write");
        }
        "done".to_owned()
    });
}

/// Answers each record that comes, after the thought of a hand-over to a sleeper.
fn pong_follow(there: i32, back: i32) {
    let there = Cortex::<[u64; 1]>::attach(there).expect("attach");
    let back = Cortex::<[u64; 1]>::attach(back).expect("attach");
    let mut follower = there.follow(there.version());
    serve(|n| {
        for _ in 0..number::<u64>(n) {
            let found = follower.next(None).expect("next");
            // SAFETY: only looks at the clock.
            unsafe { c::peers_think(crate::work::THOUGHT) };
            back.write(found.value).expect("write");
        }
        "done".to_owned()
    });
}

/// Answers as [`pong`], and then writes the number of its value into a ring of indices.
fn pong_ring(there: i32, back: i32, ring: i32) {
    let there = Cortex::<f64>::attach(there).expect("attach");
    let back = Cortex::<f64>::attach(back).expect("attach");
    let ring = Cortex::<u32>::attach(ring).expect("attach");
    let mut since = there.version();
    serve(|n| {
        for _ in 0..number::<u64>(n) {
            since = there.wait_changed(since, None).expect("wait");
            // SAFETY: only looks at the clock.
            unsafe { c::peers_think(crate::work::THOUGHT) };
            back.write(there.read().expect("read")).expect("write");
            ring.write(999).expect("write");
        }
        "done".to_owned()
    });
}

fn pong_c(there: i32, back: i32, thought: u64) {
    let api = Api::load().expect("libneocortex.so");
    let handles = [there, back].map(|key| api.attach(key));
    let mut since = Cortex::<f64>::attach(there).expect("attach").version();
    serve(|n| {
        let n = number::<u64>(n);
        // SAFETY: open handles.
        unsafe {
            c::peers_api_pong(
                &api,
                handles[0].pointer,
                handles[1].pointer,
                since,
                thought,
                n,
            )
        };
        since += n;
        "done".to_owned()
    });
}

fn pong_iceoryx(run: u32, there: &str, back: &str, thought: u64) {
    let place = crate::iceoryx::Place::of(run);
    let (_, there) = place.event(there);
    let (back, _) = place.event(back);
    serve(|n| {
        for _ in 0..number::<u64>(n) {
            crate::iceoryx::await_event(&there);
            // SAFETY: only looks at the clock.
            unsafe { c::peers_think(thought) };
            back.notify().expect("notify");
        }
        "done".to_owned()
    });
}

fn pong_spinning(id: i32, carried: u32) {
    let place = Place::attach(id, 4096);
    serve(|n| {
        // SAFETY: the parent's page.
        unsafe { c::peers_spin_pong(place.base(), carried, number(n)) };
        "done".to_owned()
    });
}

fn pong_futex(id: i32, thought: u64, has_limit: bool) {
    let place = Place::attach(id, 4096);
    serve(|n| {
        // SAFETY: the parent's page.
        unsafe { c::peers_futex_pong(place.base(), thought, has_limit, number(n)) };
        "done".to_owned()
    });
}

fn pong_queue(there: &str, back: &str) {
    let open = |name: &str| {
        let name = CString::new(name).expect("no NUL");
        // SAFETY: a name that ends with NUL.
        unsafe { c::peers_queue(name.as_ptr(), false) }
    };
    let (there, back) = (open(there), open(back));
    serve(|n| {
        // SAFETY: open queues.
        unsafe { c::peers_queue_pong(there, back, number(n)) };
        "done".to_owned()
    });
}

/// Publishes without a pause until told to stop: every byte of a value is the same.
fn publish(key: i32, signals: i32) {
    let segment = Segment::<SeqLock>::attach(key, 0).expect("attach");
    let place = Place::attach(signals, 4096);
    let signals = Signals::of(&place);
    serve(|_| {
        let mut guard = segment.write_guard().expect("a guard");
        let mut count = 0_u64;
        signals.ready.store(1, Ordering::Release);
        while signals.stop.load(Ordering::Relaxed) == 0 {
            count += 1;
            guard.fill(count as u8);
            guard.publish().expect("publish");
        }
        guard.abort().expect("abort");
        count.to_string()
    });
}

/// Takes the write lock and keeps it until killed.
fn hold(key: i32) {
    let cortex = Cortex::<f64>::attach(key).expect("attach");
    serve(|_| {
        let guard = cortex.write_guard().expect("a guard");
        println!("held");
        loop {
            std::thread::park();
            std::hint::black_box(&guard);
        }
    });
}

fn hold_robust(id: i32) {
    // SAFETY: returns a constant.
    let place = Place::attach(id, unsafe { c::peers_area_size() });
    serve(|_| {
        // SAFETY: the parent's area.
        unsafe { c::peers_robust_hold(place.base()) };
        println!("held");
        loop {
            std::thread::park();
        }
    });
}
