//! Typed values: what goes in comes out, and bytes that are no value of the type are an error.

use crate::by_lock;
use crate::common::{Child, Kernel, Role, LOCKS};
use bytemuck::{AnyBitPattern, CheckedBitPattern, NoUninit, Pod, Zeroable};
use neocortex::{
    Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, Observer, RwLock, Segment,
    SegmentOptions, SeqLock,
};
use std::fmt::Debug;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, NoUninit, CheckedBitPattern)]
#[repr(u8)]
enum Mode {
    Idle = 1,
    Running = 2,
    Broken = 7,
}

#[derive(Debug, Clone, Copy, PartialEq, NoUninit, CheckedBitPattern)]
#[repr(C)]
struct Reading {
    at: u64,
    values: [f32; 3],
    is_valid: bool,
    mode: Mode,
    tag: [u8; 2],
}

const READING: Reading = Reading {
    at: 1,
    values: [1.5, -2.5, 1e-30],
    is_valid: true,
    mode: Mode::Running,
    tag: *b"ab",
};

#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Matrix {
    rows: [[f64; 16]; 16],
}

/// Reads through every kind of handle.
fn everywhere<T, L>(cortex: &Cortex<T, L>, expected: T)
where
    T: CheckedBitPattern + NoUninit + PartialEq + Debug,
    L: CortexSync,
{
    assert_eq!(cortex.read().unwrap(), expected);
    assert_eq!(cortex.try_read().unwrap(), expected);
    let attached: Cortex<T, L> = Cortex::attach(cortex.key()).unwrap();
    assert_eq!(attached.read().unwrap(), expected);
    assert_eq!(
        Observer::<T>::attach(cortex.key()).unwrap().read().unwrap(),
        expected
    );
}

fn round_trip<L: CortexSync>(kernel: &Kernel) {
    fn one<T, L>(kernel: &Kernel, values: [T; 3])
    where
        T: CheckedBitPattern + NoUninit + PartialEq + Debug,
        L: CortexSync,
    {
        for slots in 1..=8 {
            let builder = CortexBuilder::new(values[0]).key(kernel.key()).slots(slots);
            let cortex: Cortex<T, L> = builder.with_default_lock().unwrap();
            everywhere(&cortex, values[0]);
            for round in 0..10 {
                let value = values[round % 3];
                match round % 4 {
                    0 => cortex.write(value).unwrap(),
                    1 => cortex.try_write(value).unwrap(),
                    2 => Cortex::<T, L>::attach(cortex.key())
                        .unwrap()
                        .write(value)
                        .unwrap(),
                    _ => cortex.update(|current| *current = value).unwrap(),
                }
                everywhere(&cortex, value);
                assert_eq!(cortex.version(), round as u64 + 1);
            }
        }
    }
    one::<f64, L>(kernel, [42.0, 12.34, -0.5]);
    one::<u8, L>(kernel, [1, 2, 255]);
    one::<i16, L>(kernel, [-1, 2, i16::MIN]);
    one::<u128, L>(kernel, [1, 1 << 100, u128::MAX]);
    one::<[u8; 3], L>(kernel, [[1, 2, 3], [0; 3], [255; 3]]);
    one::<[u8; 63], L>(kernel, [[1; 63], [2; 63], [3; 63]]);
    one::<[u8; 64], L>(kernel, [[1; 64], [2; 64], [3; 64]]);
    one::<[u8; 65], L>(kernel, [[1; 65], [2; 65], [3; 65]]);
    one::<[u16; 4099], L>(kernel, [[1; 4099], [2; 4099], [3; 4099]]);
    one::<bool, L>(kernel, [true, false, true]);
    one::<char, L>(kernel, ['a', 'ß', '🧠']);
    one::<Mode, L>(kernel, [Mode::Idle, Mode::Running, Mode::Broken]);
    let other = Reading {
        mode: Mode::Broken,
        is_valid: false,
        ..READING
    };
    one::<Reading, L>(
        kernel,
        [
            READING,
            other,
            Reading {
                at: u64::MAX,
                ..READING
            },
        ],
    );
    one::<Matrix, L>(
        kernel,
        [1.0, 2.0, 3.0].map(|cell| Matrix {
            rows: [[cell; 16]; 16],
        }),
    );
}

#[test]
fn values_come_out_as_they_went_in_seqlock() {
    round_trip::<SeqLock>(&Kernel::new());
}

#[test]
fn values_come_out_as_they_went_in_rwlock() {
    round_trip::<RwLock>(&Kernel::new());
}

#[test]
fn values_come_out_as_they_went_in_semaphore() {
    round_trip::<neocortex::Semaphore>(&Kernel::new());
}

fn is_invalid<T: Debug>(result: CortexResult<T>, name: &str) {
    let error = result.unwrap_err();
    let CortexError::InvalidValue { type_name, .. } = &error else {
        panic!("{error}")
    };
    assert!(type_name.ends_with(name), "{type_name}");
    assert!(error.to_string().contains(name), "{error}");
}

#[test]
fn bytes_that_are_no_value_are_an_error() {
    fn spoil<L: CortexSync>(kernel: &Kernel) {
        let key = kernel.key();
        let cortex: Cortex<bool, L> = CortexBuilder::new(true)
            .key(key)
            .with_default_lock()
            .unwrap();
        // Another handle that takes the byte for a number.
        let bytes: Cortex<u8, L> = Cortex::attach(key).unwrap();
        bytes.write(2).unwrap();
        is_invalid(cortex.read(), "bool");
        is_invalid(cortex.try_read(), "bool");
        is_invalid(Observer::<bool>::attach(key).unwrap().read(), "bool");
        is_invalid(
            cortex.update(|_| panic!("there is no value to change")),
            "bool",
        );
        assert_eq!(
            bytes.version(),
            1,
            "an update that could not begin changes nothing"
        );
        cortex.write(false).unwrap();
        assert!(!cortex.read().unwrap(), "a write heals");

        let key = kernel.key();
        let cortex: Cortex<Mode, L> = CortexBuilder::new(Mode::Idle)
            .key(key)
            .with_default_lock()
            .unwrap();
        for byte in 0..=255_u8 {
            Cortex::<u8, L>::attach(key).unwrap().write(byte).unwrap();
            match byte {
                1 => assert_eq!(cortex.read().unwrap(), Mode::Idle),
                2 => assert_eq!(cortex.read().unwrap(), Mode::Running),
                7 => assert_eq!(cortex.read().unwrap(), Mode::Broken),
                _ => is_invalid(cortex.read(), "Mode"),
            }
        }

        let key = kernel.key();
        let cortex: Cortex<Reading, L> = CortexBuilder::new(READING)
            .key(key)
            .with_default_lock()
            .unwrap();
        let bytes: Segment<L> = SegmentOptions::new()
            .attach(key, size_of::<Reading>())
            .unwrap();
        bytes.write_at(20, &[2]).unwrap();
        is_invalid(cortex.read(), "Reading");
        bytes.write_at(20, &[1]).unwrap();
        assert_eq!(cortex.read().unwrap(), READING);
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, spoil(&kernel));
    }
}

#[test]
fn bytes_that_are_no_value_from_another_process() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let cortex = CortexBuilder::new('a').key(key).create().unwrap();
    Child::spawn("role_write_a_number", &[&key, &0xD800_u32]).finish();
    is_invalid(cortex.read(), "char");
    Child::spawn("role_write_a_number", &[&key, &('z' as u32)]).finish();
    assert_eq!(cortex.read().unwrap(), 'z');
}

#[test]
fn role_write_a_number() {
    let Some(role) = Role::of("role_write_a_number") else {
        return;
    };
    let number = role.number(1) as u32;
    Cortex::<u32>::attach(role.key())
        .unwrap()
        .write(number)
        .unwrap();
}

#[test]
fn types_of_size_zero_are_refused_everywhere() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let _real = CortexBuilder::new(1_u8).key(key).create().unwrap();
    let refused = |error: CortexError| {
        assert!(
            matches!(error, CortexError::InvalidArgument { .. }),
            "{error}"
        );
    };
    refused(Cortex::<()>::attach(key).unwrap_err());
    refused(Cortex::<[u64; 0]>::attach(key).unwrap_err());
    refused(Observer::<()>::attach(key).unwrap_err());
    refused(CortexBuilder::new(()).random_key().create().unwrap_err());
    refused(
        CortexBuilder::new([0_u8; 0])
            .key(key)
            .force_ownership()
            .create()
            .unwrap_err(),
    );
}

#[test]
fn update_is_one_step_among_processes() {
    fn count<L: CortexSync>(kernel: &Kernel, name: &str) {
        let key = kernel.key();
        let cortex: Cortex<u64, L> = CortexBuilder::new(0).key(key).with_default_lock().unwrap();
        let children: Vec<_> = (0..3)
            .map(|_| Child::spawn("role_count", &[&key, &name, &3000]))
            .collect();
        for _ in 0..3000 {
            cortex.update(|count| *count += 1).unwrap();
        }
        children.into_iter().for_each(Child::finish);
        assert_eq!(cortex.read().unwrap(), 12_000, "{name}: an update was lost");
        assert_eq!(cortex.version(), 12_000);
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, count(&kernel, name));
    }
}

#[test]
fn role_count() {
    fn count<L: CortexSync>(role: &Role) {
        let cortex: Cortex<u64, L> = Cortex::attach(role.key()).unwrap();
        for _ in 0..role.number(2) {
            cortex.update(|count| *count += 1).unwrap();
        }
    }
    let Some(role) = Role::of("role_count") else {
        return;
    };
    by_lock!(role.text(1), count(&role));
}

/// The creator's handle of a new cortex, and one that has attached.
fn two_handles<const N: usize, L: CortexSync>(
    kernel: &Kernel,
    slots: u32,
    value: [u64; N],
) -> [Cortex<[u64; N], L>; 2] {
    let key = kernel.key();
    let created = CortexBuilder::new(value).key(key).slots(slots);
    [
        created.with_default_lock().unwrap(),
        Cortex::attach(key).unwrap(),
    ]
}

#[test]
fn update_that_panics_did_not_happen() {
    fn panic_inside<L: CortexSync>(kernel: &Kernel, slots: u32) {
        let [cortex, other] = two_handles::<_, L>(kernel, slots, [5; 20]);
        let result = catch_unwind(AssertUnwindSafe(|| {
            cortex.update(|value| {
                value[3] = 6;
                std::panic::panic_any("inside");
            })
        }));
        assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "inside");
        assert!(!cortex.segment().is_poisoned());
        for handle in [&cortex, &other] {
            assert_eq!(handle.read().unwrap(), [5; 20]);
            assert_eq!(handle.version(), 0);
        }
        // The lock is free again, for everybody.
        other.try_write([7; 20]).unwrap();
        cortex.update(|value| value[0] += 1).unwrap();
        assert_eq!(other.read().unwrap()[..2], [8, 7]);
        assert_eq!(cortex.version(), 2);
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        for slots in [1, 2, 3] {
            by_lock!(name, panic_inside(&kernel, slots));
        }
    }
}

#[test]
fn update_returns_what_the_change_returns_and_is_not_entered_twice() {
    fn enter<L: CortexSync>(kernel: &Kernel) {
        let cortex: Cortex<u32, L> = CortexBuilder::new(1)
            .key(kernel.key())
            .with_default_lock()
            .unwrap();
        assert_eq!(
            cortex.update(|value| std::mem::replace(value, 2)).unwrap(),
            1
        );
        let inner = cortex.update(|_| cortex.write(9)).unwrap();
        assert!(matches!(inner, Err(CortexError::Busy { .. })), "{inner:?}");
        let inner = cortex
            .update(|_| cortex.update(|value| *value = 9))
            .unwrap();
        assert!(matches!(inner, Err(CortexError::Busy { .. })), "{inner:?}");
        assert_eq!(cortex.read().unwrap(), 2);
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, enter(&kernel));
    }
}

#[test]
fn version_counts_the_commits_of_all() {
    let kernel = Kernel::new();
    let cortex = CortexBuilder::new(0_u32)
        .key(kernel.key())
        .create()
        .unwrap();
    let other: Cortex<u32> = Cortex::attach(cortex.key()).unwrap();
    let observer = Observer::<u32>::attach(cortex.key()).unwrap();
    let mut expected = 0;
    for round in 0..100 {
        match round % 5 {
            0 => cortex.write(round).unwrap(),
            1 => other.try_write(round).unwrap(),
            2 => other.update(|value| *value = round).unwrap(),
            3 => cortex.write_guard().unwrap().commit().unwrap(),
            // Rolled back: not counted.
            _ => drop(cortex.write_guard().unwrap()),
        }
        expected += u64::from(round % 5 != 4);
        assert_eq!(
            [cortex.version(), other.version(), observer.version()],
            [expected; 3]
        );
    }
}

#[test]
fn try_and_timeouts_do_not_wait_for_a_holder() {
    fn blocked<L: CortexSync>(kernel: &Kernel, slots: u32) {
        let [cortex, holder] = two_handles::<_, L>(kernel, slots, [0; 10]);
        // From another thread: this one would be told `Busy`, whichever handle it asks through.
        fn is_late(ask: impl FnOnce() -> CortexResult<()> + Send) {
            let error = std::thread::scope(|scope| scope.spawn(ask).join().unwrap()).unwrap_err();
            assert!(matches!(error, CortexError::Timeout { .. }), "{error}");
        }
        let mut guard = holder.write_guard().unwrap();
        guard[0] = 1;
        let readable = L::OPTIMISTIC_READS && slots > 1;
        let short = [Some(Duration::ZERO), Some(Duration::from_millis(5))];
        for timeout in short {
            cortex.set_timeout(timeout);
            assert_eq!(cortex.segment().timeout(), timeout);
            is_late(|| cortex.write([2; 10]));
            is_late(|| cortex.try_write([2; 10]));
            is_late(|| cortex.update(|_| panic!("not held")));
            is_late(|| cortex.write_guard().map(drop));
            is_late(|| cortex.read_guard().map(drop));
            if readable {
                assert_eq!(cortex.read().unwrap(), [0; 10]);
                assert_eq!(cortex.try_read().unwrap(), [0; 10]);
            } else {
                is_late(|| cortex.read().map(drop));
                is_late(|| cortex.try_read().map(drop));
            }
            let observer = Observer::<[u64; 10]>::attach(cortex.key()).unwrap();
            observer.set_timeout(timeout);
            match slots {
                1 => is_late(|| observer.read().map(drop)),
                _ => assert_eq!(observer.read().unwrap(), [0; 10]),
            }
        }
        guard.commit().unwrap();
        cortex.try_write([3; 10]).unwrap();
        assert_eq!(cortex.try_read().unwrap(), [3; 10]);
        cortex.set_timeout(None);
        assert_eq!(cortex.segment().timeout(), None);
        cortex.set_timeout(Some(Duration::MAX));
        cortex.write([4; 10]).unwrap();
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        for slots in [1, 2, 3] {
            by_lock!(name, blocked(&kernel, slots));
        }
    }
}

#[test]
fn a_time_out_of_one_call_is_of_that_call_alone() {
    fn blocked<L: CortexSync + 'static>(kernel: &Kernel, slots: u32) {
        let [cortex, holder] = two_handles::<_, L>(kernel, slots, [0; 10]);
        let segment = cortex.segment();
        let observer = Observer::<[u64; 10]>::attach(cortex.key()).unwrap();
        let is_late = |result: CortexResult<()>| {
            let error = result.unwrap_err();
            assert!(matches!(error, CortexError::Timeout { .. }), "{error}");
        };
        let mut bytes = [0; 80];
        // Held by another thread: one that holds is not made to wait for itself.
        let (tell, hear) = std::sync::mpsc::channel();
        let (end, ending) = std::sync::mpsc::channel::<()>();
        let held = std::thread::spawn(move || {
            let mut guard = holder.write_guard().unwrap();
            guard[0] = 1;
            tell.send(()).unwrap();
            ending.recv().unwrap();
            guard.commit().unwrap();
            let guard = holder.write_guard().unwrap();
            tell.send(()).unwrap();
            ending.recv().unwrap();
            drop(guard);
        });
        hear.recv().unwrap();
        // The handle waits for ever: only the call's own time-out can end these.
        for time in [Duration::ZERO, Duration::from_millis(2)] {
            is_late(cortex.write_for([2; 10], time));
            is_late(cortex.update_for(time, |_| panic!("not held")));
            is_late(cortex.write_guard_for(time).map(drop));
            is_late(cortex.read_guard_for(time).map(drop));
            is_late(segment.write_at_for(time, 8, &[1; 8]));
            is_late(segment.write_guard_for(time).map(drop));
            is_late(segment.read_guard_for(time).map(drop));
            let reads = [
                cortex.read_for(time).map(drop),
                segment.read_at_for(time, 0, &mut bytes),
                observer.read_for(time).map(drop),
                observer.segment().read_at_for(time, 0, &mut bytes),
            ];
            for (number, result) in reads.into_iter().enumerate() {
                if slots > 1 && (L::OPTIMISTIC_READS || number > 1) {
                    result.unwrap();
                } else {
                    is_late(result);
                }
            }
        }
        is_late(cortex.try_write_guard().map(drop));
        is_late(cortex.try_read_guard().map(drop));
        is_late(segment.try_write_guard().map(drop));
        is_late(segment.try_read_guard().map(drop));
        assert_eq!(segment.timeout(), None);
        assert_eq!(observer.segment().timeout(), None);
        end.send(()).unwrap();
        hear.recv().unwrap();
        // And where the handle would not wait at all, the call does, as long as it says.
        cortex.set_timeout(Some(Duration::ZERO));
        is_late(cortex.write([2; 10]));
        end.send(()).unwrap();
        cortex.write_for([3; 10], Duration::MAX).unwrap();
        held.join().unwrap();
        assert_eq!(segment.timeout(), Some(Duration::ZERO));
        let mut guard = cortex.try_write_guard().unwrap();
        guard[9] = 4;
        guard.commit().unwrap();
        assert_eq!(cortex.try_read_guard().unwrap()[9], 4);
        assert_eq!(cortex.read_for(Duration::ZERO).unwrap()[..9], [3; 9]);
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        for slots in [1, 2] {
            by_lock!(name, blocked(&kernel, slots));
        }
    }
}

/// A handle is for all threads of a process: what one thread calls must not change how long another waits.
#[test]
fn trying_on_one_thread_does_not_hurry_another() {
    let kernel = Kernel::new();
    let cortex = CortexBuilder::new(0_u64)
        .key(kernel.key())
        .create()
        .unwrap();
    let rounds = 2_000;
    std::thread::scope(|scope| {
        let trying = scope.spawn(|| {
            for _ in 0..rounds {
                match cortex.update_for(Duration::ZERO, |value| *value += 1) {
                    Ok(()) | Err(CortexError::Timeout { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        for _ in 0..rounds {
            cortex.update(|value| *value += 1).unwrap();
        }
        trying.join().unwrap();
    });
}

#[test]
fn options_carry_a_timeout_from_the_start() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let limit = Some(Duration::from_millis(1));
    let cortex = CortexBuilder::new(0_u8)
        .key(key)
        .timeout(limit)
        .create()
        .unwrap();
    assert_eq!(cortex.segment().timeout(), limit);
    let options = SegmentOptions::new().timeout(limit);
    let other: Cortex<u8> = Cortex::attach_with(key, &options).unwrap();
    let _guard = cortex.write_guard().unwrap();
    // From another thread: this one would be told `Busy`.
    let refused = std::thread::scope(|scope| scope.spawn(|| other.write(1)).join().unwrap());
    assert!(matches!(refused, Err(CortexError::Timeout { .. })));
}

#[test]
fn observer_takes_no_slot_and_stores_nothing() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let cortex = CortexBuilder::new(READING)
        .key(key)
        .schema(5)
        .participants(1)
        .create()
        .unwrap();
    let raw = crate::common::Foreign::open(key);
    let before = raw.bytes();
    let observers: Vec<_> = (0..20)
        .map(|_| Observer::<Reading>::attach(key).unwrap())
        .collect();
    for observer in &observers {
        assert_eq!(observer.read().unwrap(), READING);
        assert_eq!((observer.key(), observer.segment().schema()), (key, 5));
        let late = observer.wait_changed(0, Some(Duration::from_millis(2)));
        assert!(matches!(late, Err(CortexError::Timeout { .. })));
        assert_eq!(observer.segment().participants().unwrap(), (1, 1));
    }
    assert!(raw.bytes() == before, "an observer stored something");
    let changed = Reading {
        mode: Mode::Idle,
        ..READING
    };
    cortex.write(changed).unwrap();
    for observer in &observers {
        assert_eq!(observer.wait_changed(0, None).unwrap(), 1);
        assert_eq!(observer.read().unwrap(), changed);
    }
}

#[test]
fn handles_are_shared_by_threads() {
    fn share<L: CortexSync>(kernel: &Kernel) {
        let cortex: Cortex<[u64; 3], L> = CortexBuilder::new([0; 3])
            .key(kernel.key())
            .with_default_lock()
            .unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        cortex
                            .update(|value| value.iter_mut().for_each(|n| *n += 1))
                            .unwrap();
                        let [a, b, c] = cortex.read().unwrap();
                        assert!(a == b && b == c);
                    }
                });
            }
        });
        assert_eq!(cortex.read().unwrap(), [3000; 3]);
        assert_eq!(cortex.segment().participants().unwrap().0, 1);
    }
    let kernel = Kernel::new();
    for name in LOCKS {
        by_lock!(name, share(&kernel));
    }
}

#[test]
fn handles_have_the_auto_traits_they_promise() {
    fn shared<T: Send + Sync>() {}
    shared::<Cortex<f64>>();
    shared::<Cortex<f64, RwLock>>();
    shared::<Segment<neocortex::Semaphore>>();
    shared::<Observer<f64>>();
    fn guards<T: AnyBitPattern>() {}
    guards::<Matrix>();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, neocortex::Shared)]
#[repr(u8)]
enum Kind {
    Started = 1,
    Stopped,
    Failed = 9,
}

#[derive(Debug, Clone, Copy, PartialEq, neocortex::Shared)]
#[repr(C)]
struct Event {
    at: u32,
    kind: Kind,
    is_shown: bool,
    padding: [u8; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, neocortex::Shared)]
#[repr(C)]
struct Log {
    ring: [Event; 1000],
    kinds: [[Kind; 3]; 4],
    next: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, neocortex::Shared)]
#[repr(transparent)]
struct Wrapped([Event; 2]);

/// Arrays of structures and of enumerations whose bytes are checked, which bytemuck's own derives refuse.
#[test]
fn arrays_of_derived_types_go_in_and_come_out_and_each_element_is_checked() {
    let kernel = Kernel::new();
    let event = Event {
        at: 3,
        kind: Kind::Stopped,
        is_shown: true,
        padding: [0; 2],
    };
    let log = Log {
        ring: [event; 1000],
        kinds: [[Kind::Failed; 3]; 4],
        next: 7,
    };
    let cortex = CortexBuilder::new(log).key(kernel.key()).create().unwrap();
    let other = Cortex::<Log>::attach(cortex.key()).unwrap();
    other
        .update(|log| log.ring[999].kind = Kind::Started)
        .unwrap();
    let read = cortex.read().unwrap();
    assert_eq!(read.ring[999].kind, Kind::Started);
    assert_eq!(
        (read.ring[998], read.kinds, read.next),
        (event, log.kinds, 7)
    );

    // The last event's kind, its flag, the last of the other kinds: none of them is a value.
    let ring = size_of::<Event>() * 999;
    for (offset, byte) in [
        (ring + 4, 3_u8),
        (ring + 5, 2),
        (size_of::<Event>() * 1000 + 11, 0),
    ] {
        let before = cortex.read_boxed().unwrap();
        cortex.segment().write_at(offset, &[byte]).unwrap();
        let is_invalid =
            |result: CortexResult<()>| matches!(result, Err(CortexError::InvalidValue { .. }));
        assert!(is_invalid(cortex.read().map(drop)), "{offset}");
        assert!(is_invalid(cortex.read_boxed().map(drop)), "{offset}");
        let mut unchanged = *before;
        assert!(is_invalid(cortex.read_into(&mut unchanged)), "{offset}");
        assert_eq!(unchanged, *before);
        assert!(is_invalid(cortex.update(|_| ())), "{offset}");
        cortex.write_ref(&before).unwrap();
    }

    let wrapped = CortexBuilder::new(Wrapped([event; 2]))
        .random_key()
        .create()
        .unwrap();
    assert_eq!(wrapped.read().unwrap(), Wrapped([event; 2]));
}

/// 8 MiB through each call of a thread whose stack has 256 KiB.
#[test]
fn values_larger_than_the_stack_are_created_read_written_and_updated() {
    const SIZE: usize = 8 << 20;
    type Frame = [u8; SIZE];
    let kernel = Kernel::new();
    let key = kernel.key();
    let use_it = move || {
        let zeroed = CortexBuilder::<Frame>::zeroed().key(key).create().unwrap();
        let mut frame = zeroed.read_boxed().unwrap();
        assert!(frame.iter().all(|&byte| byte == 0));
        frame.fill(3);
        zeroed.write_ref(&frame).unwrap();
        zeroed.update(|frame| frame[SIZE - 1] = 4).unwrap();
        let refused = zeroed.try_update(|frame| -> CortexResult<()> {
            frame.fill(9);
            Err(CortexError::Custom(5))
        });
        assert!(matches!(refused, Err(CortexError::Custom(5))));
        frame.fill(0);
        let observer = Observer::<Frame>::attach(key).unwrap();
        observer.read_into(&mut frame).unwrap();
        assert_eq!((frame[0], frame[SIZE - 1]), (3, 4));
        zeroed.read_into(&mut frame).unwrap();
        assert_eq!((frame[SIZE - 2], frame[SIZE - 1]), (3, 4));
        drop((zeroed, observer));

        let boxed = CortexBuilder::boxed(frame).key(key).create().unwrap();
        assert_eq!(boxed.version(), 0);
        assert_eq!(boxed.read_boxed().unwrap()[SIZE - 1], 4);
    };
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    thread.spawn(use_it).unwrap().join().unwrap();
}

#[test]
fn a_try_update_that_refuses_or_panics_commits_nothing_and_lets_the_lock_go() {
    fn tried<L: CortexSync>() {
        for slots in [1, 2] {
            let builder = CortexBuilder::new(5_u32).random_key();
            let builder = if slots == 1 {
                builder.in_place()
            } else {
                builder
            };
            let cortex = builder.with_default_lock::<L>().unwrap();
            let refused = cortex.try_update(|value| {
                *value = 6;
                Err::<(), _>(CortexError::Custom(1))
            });
            assert!(matches!(refused, Err(CortexError::Custom(1))));
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                cortex.try_update(|value| -> CortexResult<()> {
                    *value = 7;
                    panic!("on purpose");
                })
            }));
            assert!(panicked.is_err());
            assert_eq!((cortex.read().unwrap(), cortex.version()), (5, 0));
            let doubled = cortex.try_update(|value| {
                *value *= 2;
                Ok::<_, CortexError>(*value)
            });
            assert_eq!(doubled.unwrap(), 10);
            assert_eq!((cortex.read().unwrap(), cortex.version()), (10, 1));
        }
    }
    tried::<SeqLock>();
    tried::<RwLock>();
    #[cfg(feature = "semaphore")]
    tried::<neocortex::Semaphore>();
}
