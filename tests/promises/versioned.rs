//! A value with its version: both are of one commit, so that who waits for change works on no commit twice.

use crate::by_lock;
use crate::common::{Child, Kernel, Role, LOCKS};
use neocortex::{
    Cortex, CortexBuilder, CortexError, CortexSync, Observer, Segment, SegmentObserver,
    SegmentOptions,
};

/// Small: copied through registers. Large: byte by byte, by the copy for any length.
type Small = u64;
type Large = [u64; 700];

/// Commits that the writers make together, and readers must not see twice.
const COMMITS: u64 = 4_000;

fn create<T, L>(kernel: &Kernel, value: T, slots: u32) -> Cortex<T, L>
where
    T: neocortex::bytemuck::CheckedBitPattern + neocortex::bytemuck::NoUninit,
    L: CortexSync,
{
    CortexBuilder::new(value)
        .key(kernel.key())
        .slots(slots)
        .with_default_lock()
        .unwrap()
}

/// Commit k holds k, in every word, whoever makes it; the one after the last is refused, so it is none.
fn write<L: CortexSync>(key: i32, is_large: bool) {
    let next = |version: u64| match version < COMMITS {
        true => Ok(version + 1),
        false => Err(CortexError::Custom(1)),
    };
    let result = if is_large {
        let cortex = Cortex::<Large, L>::attach(key).unwrap();
        let change = |value: &mut Large| next(value[0]).map(|version| value.fill(version));
        std::iter::repeat_with(|| cortex.try_update(change)).find(Result::is_err)
    } else {
        let cortex = Cortex::<Small, L>::attach(key).unwrap();
        let change = |value: &mut Small| next(*value).map(|version| *value = version);
        std::iter::repeat_with(|| cortex.try_update(change)).find(Result::is_err)
    };
    assert!(matches!(result, Some(Err(CortexError::Custom(1)))));
}

#[test]
fn role_writer() {
    if let Some(role) = Role::of("role_writer") {
        by_lock!(role.text(1), write(role.key(), role.text(2) == "true"));
    }
}

/// Reads what is new until the last commit has been read.
fn follow(wait: impl Fn(u64) -> u64, read: impl Fn() -> (u64, u64)) {
    let mut seen = 0;
    while seen < COMMITS {
        assert_ne!(wait(seen), seen);
        let (value, version) = read();
        assert_eq!(value, version, "the value of another commit");
        assert!(version > seen, "commit {version} a second time");
        seen = version;
    }
}

fn whole(value: &Large) -> u64 {
    assert!(value.iter().all(|word| *word == value[0]), "torn");
    value[0]
}

fn every_reader<L: CortexSync>(kernel: &Kernel, name: &str) {
    for is_large in [false, true] {
        let key = match is_large {
            true => {
                let cortex = create::<Large, L>(kernel, [0; 700], 2);
                let key = cortex.key();
                cortex.persist();
                key
            }
            false => {
                let cortex = create::<Small, L>(kernel, 0, 2);
                let key = cortex.key();
                cortex.persist();
                key
            }
        };
        let writers: Vec<Child> = (0..2)
            .map(|_| Child::spawn("role_writer", &[&key, &name, &is_large]))
            .collect();
        let segment = SegmentOptions::new().attach::<L>(key, 0).unwrap();
        let bytes = SegmentObserver::attach(key, 0).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let read = || {
                    let mut word = [0; 8];
                    let version = segment.read_versioned(0, &mut word).unwrap();
                    (u64::from_ne_bytes(word), version)
                };
                follow(|seen| segment.wait_changed(seen, None).unwrap(), read);
            });
            scope.spawn(|| {
                let read = || {
                    let mut word = [0; 8];
                    let version = bytes.read_versioned(0, &mut word).unwrap();
                    (u64::from_ne_bytes(word), version)
                };
                follow(|seen| bytes.wait_changed(seen, None).unwrap(), read);
            });
            if is_large {
                let cortex = Cortex::<Large, L>::attach(key).unwrap();
                let observer = Observer::<Large>::attach(key).unwrap();
                scope.spawn(move || {
                    let read = || {
                        let (value, version) = observer.read_versioned().unwrap();
                        (whole(&value), version)
                    };
                    follow(|seen| observer.wait_changed(seen, None).unwrap(), read);
                });
                let read = || {
                    let (value, version) = cortex.read_versioned().unwrap();
                    (whole(&value), version)
                };
                follow(|seen| cortex.wait_changed(seen, None).unwrap(), read);
            } else {
                let cortex = Cortex::<Small, L>::attach(key).unwrap();
                let observer = Observer::<Small>::attach(key).unwrap();
                scope.spawn(move || {
                    let read = || observer.read_versioned().unwrap();
                    follow(|seen| observer.wait_changed(seen, None).unwrap(), read);
                });
                let read = || cortex.read_versioned().unwrap();
                follow(|seen| cortex.wait_changed(seen, None).unwrap(), read);
            }
        });
        writers.into_iter().for_each(Child::finish);
        neocortex::inspect::remove(key).unwrap();
    }
}

#[test]
fn a_reader_that_waits_for_change_never_works_on_the_same_commit_twice() {
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, every_reader(&kernel, name));
    }
}

#[test]
fn version_and_value_are_of_one_commit_in_every_layout() {
    let kernel = Kernel::new();
    for slots in [1, 2, 3, 8] {
        let cortex = create::<Small, neocortex::SeqLock>(&kernel, 0, slots);
        let observer = Observer::<Small>::attach(cortex.key()).unwrap();
        for version in 1..20 {
            cortex.write(version).unwrap();
            assert_eq!(cortex.read_versioned().unwrap(), (version, version));
            assert_eq!(observer.read_versioned().unwrap(), (version, version));
        }
        // A guard that has begun, and one that was given up, are no commit.
        let guard = cortex.write_guard().unwrap();
        if slots > 1 {
            assert_eq!(cortex.read_versioned().unwrap(), (19, 19));
        }
        guard.commit().unwrap();
        assert_eq!(cortex.read_versioned().unwrap(), (19, 20));
    }
}

#[test]
fn what_fails_has_no_version() {
    let kernel = Kernel::new();
    let options = SegmentOptions::new();
    let segment: Segment = options.create(kernel.key(), 64).unwrap();
    let observer = SegmentObserver::attach(segment.key(), 64).unwrap();
    let mut bytes = [0; 8];
    for offset in [57, 64, usize::MAX] {
        for result in [
            segment.read_versioned(offset, &mut bytes),
            observer.read_versioned(offset, &mut bytes),
        ] {
            let error = result.unwrap_err();
            assert!(
                matches!(error, CortexError::InvalidArgument { .. }),
                "{error}"
            );
        }
    }
    let truth = CortexBuilder::new(true).key(kernel.key()).create().unwrap();
    truth.segment().write_at(0, &[2]).unwrap();
    let error = truth.read_versioned().unwrap_err();
    assert!(matches!(error, CortexError::InvalidValue { .. }), "{error}");
}
