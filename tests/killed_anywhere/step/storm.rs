//! Readers and writers killed at random moments while others of both kinds go on.
//!
//! Value number *n* is the *n*th commit. The dead are replaced, so that the crowd stays as large; every death
//! must be followed by commits of the others.

use super::operations::{value, SIZE};
use super::{die_after, expect_nothing_after_reclaim, wind_up, Tally};
use crate::common::{check, fill, filled, spin, Random};
use neocortex::{CortexBuilder, CortexError, CortexSync, Segment, SegmentObserver, SegmentOptions};
use std::time::{Duration, Instant};

const WRITERS: usize = 2;
const CROWD: usize = 4;

/// A member of the crowd. Ended when dropped.
struct Member(i32);

impl Member {
    fn start<L: CortexSync + 'static>(key: i32, is_writer: bool) -> Self {
        // SAFETY: as in `Tracee::start`.
        let id = unsafe { libc::fork() };
        assert_ne!(id, -1, "{}", std::io::Error::last_os_error());
        if id == 0 {
            let run = || {
                // SAFETY: a system call and nothing else.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let options = SegmentOptions::new().timeout(Some(Duration::from_secs(20)));
                let segment = options.attach::<L>(key, SIZE).expect("attach");
                if is_writer {
                    write_on(&segment);
                } else {
                    read_on(&segment);
                }
            };
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(1) };
        }
        Self(id)
    }

    /// Whether it still runs: it ends by itself only when something was wrong.
    fn is_well(&self) -> bool {
        // SAFETY: no place for a status is asked for; a child of ours that was not waited for yet.
        unsafe { libc::waitpid(self.0, std::ptr::null_mut(), libc::WNOHANG) == 0 }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // SAFETY: a child of ours that was not waited for yet, or is gone.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

/// The next number by each way to write.
fn write_on<L: CortexSync + 'static>(segment: &Segment<L>) {
    loop {
        match segment.write_guard() {
            Ok(mut guard) => {
                let mut next = check(&guard) + 1;
                fill(&mut guard, next);
                if !segment.is_in_place() && next % 8 == 0 {
                    guard.publish().expect("publish");
                    next += 1;
                    fill(&mut guard, next);
                }
                guard.commit().expect("commit");
            }
            Err(CortexError::Poisoned { .. }) => heal(segment),
            Err(error) => panic!("{error}"),
        }
        spin(20);
    }
}

/// A whole write. Another may heal first, so it has no number of its own: the same as the other's.
fn heal<L: CortexSync + 'static>(segment: &Segment<L>) {
    let next = segment.version() as u32 + 1;
    segment.write_at(0, &filled(SIZE, next)).expect("heal");
}

fn read_on<L: CortexSync + 'static>(segment: &Segment<L>) {
    let mut buffer = [0; SIZE];
    let mut last = 0;
    loop {
        let mut see = |payload: &[u8]| {
            let number = check(payload);
            assert!(segment.is_in_place() || number >= last, "it went back");
            last = number;
        };
        match segment.read_at(0, &mut buffer) {
            Ok(()) => see(&buffer),
            Err(CortexError::Poisoned { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        match segment.read_guard() {
            Ok(guard) => see(&guard),
            Err(CortexError::Poisoned { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// So many deaths in one crowd.
pub fn run<L: CortexSync + 'static>(slots: u32, deaths: u64) -> Tally {
    const KEY: i32 = 3;
    let mut random = Random::new();
    let mut tally = Tally::default();
    let builder = CortexBuilder::new(value(0))
        .key(KEY)
        .slots(slots)
        .participants(8);
    die_after(|| std::mem::forget(builder.with_default_lock::<L>().expect("create")));
    let observer = SegmentObserver::attach(KEY, SIZE).expect("observe");
    observer.set_timeout(Some(Duration::from_secs(20)));
    let start = |place| Member::start::<L>(KEY, place < WRITERS);
    let mut crowd: Vec<_> = (0..CROWD).map(start).collect();
    for _ in 0..deaths {
        wind_up();
        spin(random.below(30_000));
        let victim = random.below(CROWD);
        let before = observer.version();
        crowd.remove(victim);
        let died = Instant::now();
        let at_death = observer.version();
        assert!(at_death >= before, "a commit was lost");
        // A writer is left, whoever died.
        while observer.version() == at_death {
            assert!(
                crowd.iter().all(Member::is_well),
                "a member of the crowd failed"
            );
            std::thread::yield_now();
        }
        tally.time(died.elapsed());
        tally.steps += 1;
        crowd.insert(victim, start(victim));
    }
    assert!(
        crowd.iter().all(Member::is_well),
        "a member of the crowd failed"
    );
    drop((crowd, observer));

    let segment: Segment<L> = SegmentOptions::new().attach(KEY, SIZE).expect("attach");
    if segment.is_poisoned() {
        heal(&segment);
    }
    let mut buffer = [0; SIZE];
    segment.read_at(0, &mut buffer).expect("read");
    if slots > 1 {
        assert_eq!(
            u64::from(check(&buffer)),
            segment.version(),
            "a commit was lost, or invented"
        );
    }
    assert_eq!(segment.participants().expect("ask").0, 1);
    drop(segment);
    expect_nothing_after_reclaim(KEY);
    tally
}
