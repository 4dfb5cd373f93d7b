//! Creating and dropping, attaching and dropping: beside the system calls that it takes, alone.

use crate::c;
use crate::contest::{Contest, Row, Settings, Target, RUST};
use crate::work::number::cortex;
use neocortex::{Cortex, CortexBuilder, SeqLock};

const CREATE: &str = "create and drop";
const ATTACH: &str = "attach and drop";

/// Of a default cortex of an `f64`: header and lines, lock, 128 participants; its slots are in the commit line.
const SIZE: usize = 704 + 64 + 128 * 64;

pub fn rows(settings: &Settings) -> Vec<Row> {
    let mut rows = Vec::new();
    // A key that is free while this handle's is another's.
    let key = cortex::<SeqLock>().key();
    if settings.wants(CREATE) {
        let old = cortex::<SeqLock>().key();
        let name = format!("peers/created/{}", std::process::id());
        // SAFETY: no pointers.
        let contest = unsafe {
            Contest::new(CREATE)
                .timed(RUST, |n| (0..n).for_each(|_| drop(cortex::<SeqLock>())))
                .timed("neocortex by name", |n| {
                    for _ in 0..n {
                        drop(
                            CortexBuilder::new(42.0)
                                .key(name.as_str())
                                .create()
                                .expect("a free name"),
                        );
                    }
                })
                .timed("neocortex 3.0.3", |n| {
                    for _ in 0..n {
                        let builder = neocortex3::CortexBuilder::new(42.0).key(old);
                        let cortex: neocortex3::Cortex<f64, neocortex3::Semaphore> =
                            builder.with_default_lock().expect("a cortex of 3.0.3");
                        drop(cortex);
                    }
                })
                .timed("(its system calls)", |n| {
                    c::peers_create(SIZE, key, false, n)
                })
                .timed("(segment alone)", |n| c::peers_create(SIZE, key, true, n))
        };
        rows.push(
            contest
                .target(Target::new(1.5, "(its system calls)"))
                .run(settings),
        );
    }
    if settings.wants(ATTACH) {
        let owner = cortex::<SeqLock>();
        let name = format!("peers/attached/{}", std::process::id());
        let named = CortexBuilder::new(42.0).key(name.as_str()).create();
        let named = named.expect("a free name");
        let mut segment = 0;
        // SAFETY: a live place for the id.
        let set = unsafe { c::peers_found(key, SIZE, &mut segment) };
        assert!(set >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: no pointers.
        let contest = unsafe {
            Contest::new(ATTACH)
                .timed(RUST, |n| {
                    for _ in 0..n {
                        drop(Cortex::<f64>::attach(owner.key()).expect("attach"));
                    }
                })
                .timed("neocortex by name", |n| {
                    for _ in 0..n {
                        drop(Cortex::<f64>::attach(name.as_str()).expect("attach"));
                    }
                })
                .timed("(the system calls it needs)", |n| {
                    c::peers_attach(key, set, false, n)
                })
                .timed("(segment alone)", |n| c::peers_attach(key, set, true, n))
        };
        rows.push(
            contest
                .target(Target::new(1.5, "(the system calls it needs)"))
                .run(settings),
        );
        drop(named);
        // SAFETY: made above; IPC_RMID takes no buffer.
        unsafe {
            libc::shmctl(segment, libc::IPC_RMID, std::ptr::null_mut());
            c::peers_remove_set(set);
        }
    }
    rows
}
