//! A guard that will be overwritten whole: what it shows at first is any value that was there, what it commits is
//! all of it.

use crate::by_lock;
use crate::common::{Child, Kernel, Role, LOCKS};
use neocortex::{Cortex, CortexBuilder, CortexError, CortexSync, Observer, Segment};
use std::time::Duration;

const WORDS: usize = 600;
type Value = [u64; WORDS];

fn create<L: CortexSync>(kernel: &Kernel, slots: u32) -> Cortex<Value, L> {
    CortexBuilder::new([1; WORDS])
        .key(kernel.key())
        .slots(slots)
        .with_default_lock()
        .unwrap()
}

fn each(run: impl Fn(&Kernel, &str, u32)) {
    let kernel = Kernel::new();
    for name in LOCKS {
        for slots in [1, 2, 3, 8] {
            println!("{name} with {slots} slots");
            run(&kernel, name, slots);
        }
    }
}

#[test]
fn what_is_filled_is_the_next_value_for_everybody() {
    fn run<L: CortexSync>(kernel: &Kernel, slots: u32) {
        let cortex = create::<L>(kernel, slots);
        let other = Cortex::<Value, L>::attach(cortex.key()).unwrap();
        let observer = Observer::<Value>::attach(cortex.key()).unwrap();
        for version in 1..20 {
            let mut guard = cortex.overwrite_guard().unwrap();
            guard.fill(version);
            guard.commit().unwrap();
            assert_eq!(other.read_versioned().unwrap(), ([version; WORDS], version));
            assert_eq!(observer.read().unwrap(), [version; WORDS]);
        }
    }
    each(|kernel, name, slots| by_lock!(name, run(kernel, slots)));
}

/// The slots that come after must be brought up to date whole, whatever was marked: a partial write after it
/// begins with the bytes that the guard left.
#[test]
fn the_whole_counts_as_changed_whatever_was_marked() {
    fn run<L: CortexSync>(kernel: &Kernel, slots: u32) {
        let cortex = create::<L>(kernel, slots);
        for round in 1..20_u64 {
            let mut guard = cortex.overwrite_guard().unwrap();
            guard.fill(round);
            guard.mark(8, 8).unwrap();
            guard.commit().unwrap();
            let mut expected = [round; WORDS];
            for word in 0..slots as usize + 1 {
                cortex
                    .segment()
                    .write_at(word * 8, &(round << 32).to_ne_bytes())
                    .unwrap();
                expected[word] = round << 32;
                assert_eq!(cortex.read().unwrap(), expected, "round {round}");
            }
            // And a guard of the other kind begins with the current value.
            assert_eq!(*cortex.write_guard().unwrap(), expected);
            if slots == 1 {
                cortex.clear_poison().unwrap();
            }
        }
    }
    each(|kernel, name, slots| by_lock!(name, run(kernel, slots)));
}

/// Nothing but what this cortex held before is shown: zeros, or older values.
#[test]
fn what_it_shows_at_first_is_an_older_value_and_nothing_else() {
    fn run<L: CortexSync>(kernel: &Kernel, slots: u32) {
        let cortex = create::<L>(kernel, slots);
        for version in 1..40_u64 {
            let mut guard = cortex.overwrite_guard().unwrap();
            let shown = guard[0];
            assert!(shown < version.max(2), "{shown} at {version}");
            assert!(guard.iter().all(|&word| word == shown));
            guard.fill(version);
            guard.commit().unwrap();
        }
    }
    each(|kernel, name, slots| by_lock!(name, run(kernel, slots)));
}

#[test]
fn one_that_is_dropped_never_happened_and_in_place_poisons() {
    fn run<L: CortexSync>(kernel: &Kernel, slots: u32) {
        let cortex = create::<L>(kernel, slots);
        let mut guard = cortex.overwrite_guard().unwrap();
        guard[..300].fill(7);
        drop(guard);
        if slots == 1 {
            let error = cortex.read_guard().map(drop).unwrap_err();
            assert!(matches!(error, CortexError::Poisoned { .. }), "{error}");
            let error = cortex.write_guard().map(drop).unwrap_err();
            assert!(matches!(error, CortexError::Poisoned { .. }), "{error}");
        } else {
            assert_eq!(cortex.read_versioned().unwrap(), ([1; WORDS], 0));
        }
        // All of it is written anew, so that heals.
        let mut guard = cortex.overwrite_guard().unwrap();
        guard.fill(8);
        guard.commit().unwrap();
        assert_eq!(cortex.read_versioned().unwrap(), ([8; WORDS], 1));
        assert_eq!(*cortex.write_guard().unwrap(), [8; WORDS]);
    }
    each(|kernel, name, slots| by_lock!(name, run(kernel, slots)));
}

#[test]
fn publishing_goes_on_with_any_contents_and_refreshing_with_the_published() {
    let kernel = Kernel::new();
    for slots in [2, 3, 8] {
        let cortex = create::<neocortex::SeqLock>(&kernel, slots);
        let observer = Observer::<Value>::attach(cortex.key()).unwrap();
        let mut guard = cortex.overwrite_guard().unwrap();
        for version in 1..20 {
            guard.fill(version);
            guard.publish().unwrap();
            assert_eq!(
                observer.read_versioned().unwrap(),
                ([version; WORDS], version)
            );
        }
        guard.fill(20);
        guard.publish_and_refresh().unwrap();
        assert_eq!(*guard, [20; WORDS]);
        guard[3] = 21;
        guard.mark(24, 8).unwrap();
        guard.commit().unwrap();
        let mut expected = [20; WORDS];
        expected[3] = 21;
        assert_eq!(cortex.read_versioned().unwrap(), (expected, 21));
    }
}

#[test]
fn its_time_out_is_its_own() {
    let kernel = Kernel::new();
    for name in LOCKS {
        fn run<L: CortexSync>(kernel: &Kernel) {
            let cortex = create::<L>(kernel, 2);
            let other = Cortex::<Value, L>::attach(cortex.key()).unwrap();
            other.set_timeout(Some(Duration::from_secs(3600)));
            let guard = cortex.overwrite_guard().unwrap();
            let short = Duration::from_millis(3);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let bytes: &Segment<L> = other.segment();
                    for error in [
                        other.overwrite_guard_for(short).map(drop).unwrap_err(),
                        other.try_overwrite_guard().map(drop).unwrap_err(),
                        bytes.overwrite_guard_for(short).map(drop).unwrap_err(),
                        bytes.try_overwrite_guard().map(drop).unwrap_err(),
                        other.write_ref_for(&[0; WORDS], short).unwrap_err(),
                    ] {
                        assert!(matches!(error, CortexError::Timeout { .. }), "{error}");
                    }
                });
            });
            assert_eq!(
                other.segment().timeout(),
                Some(Duration::from_secs(3600)),
                "the handle's is untouched"
            );
            drop(guard);
            let mut value = [0; WORDS];
            other.read_into_for(&mut value, short).unwrap();
            assert_eq!(other.read_versioned_for(short).unwrap(), (value, 0));
        }
        by_lock!(name, run(&kernel));
    }
}

#[test]
fn role_filler() {
    let Some(role) = Role::of("role_filler") else {
        return;
    };
    fn run<L: CortexSync>(role: &Role) {
        let cortex = Cortex::<Value, L>::attach(role.key()).unwrap();
        let mut guard = cortex.overwrite_guard().unwrap();
        guard[..WORDS / 2].fill(99);
        role.say("half");
        role.listen();
        guard.commit().unwrap();
    }
    by_lock!(role.text(1), run(&role));
}

/// The last committed value stands, and the slot that is half new is brought up to date whole.
#[test]
fn one_that_is_killed_half_way_changes_nothing_and_in_place_poisons() {
    fn run<L: CortexSync>(kernel: &Kernel, name: &str, slots: u32) {
        let cortex = create::<L>(kernel, slots);
        cortex.write([5; WORDS]).unwrap();
        let mut child = Child::spawn("role_filler", &[&cortex.key(), &name]);
        child.expect("half");
        child.kill();
        if slots == 1 {
            let error = cortex.write_guard().map(drop).unwrap_err();
            assert!(matches!(error, CortexError::Poisoned { .. }), "{error}");
            let mut guard = cortex.overwrite_guard().unwrap();
            guard.fill(6);
            guard.commit().unwrap();
            assert_eq!(cortex.read_versioned().unwrap(), ([6; WORDS], 2));
            return;
        }
        assert_eq!(cortex.read_versioned().unwrap(), ([5; WORDS], 1));
        cortex.segment().write_at(8, &[0; 8]).unwrap();
        let mut expected = [5; WORDS];
        expected[1] = 0;
        assert_eq!(cortex.read_versioned().unwrap(), (expected, 2));
    }
    each(|kernel, name, slots| by_lock!(name, run(kernel, name, slots)));
}
