//! What does not fit is refused with what is there, and left as it is.

use super::{errno, MARK};
use crate::common::{remove_segment, segment_id, segment_status, Foreign, Kernel, Random};
use neocortex::{
    inspect, Cortex, CortexBuilder, CortexError, CortexResult, Observer, RwLock, Segment,
    SegmentObserver, SegmentOptions, Semaphore, SeqLock,
};

#[test]
fn missing_key_is_enoent_and_says_what_next() {
    let kernel = Kernel::new();
    let key = kernel.key();
    for result in [
        Cortex::<f64>::attach(key).map(drop),
        Observer::<f64>::attach(key).map(drop),
        SegmentOptions::new().attach::<RwLock>(key, 0).map(drop),
    ] {
        let (number, message) = errno(result);
        assert_eq!(number, libc::ENOENT);
        assert!(
            message.contains(&format!("attach to key {key}")),
            "{message}"
        );
        assert!(message.contains("shmget: ENOENT"), "{message}");
        assert!(message.contains("neocortex list"), "{message}");
    }
}

#[test]
fn key_zero_and_size_zero_are_refused() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let refused = |result: CortexResult<()>| {
        let error = result.unwrap_err();
        assert!(
            matches!(error, CortexError::InvalidArgument { .. }),
            "{error}"
        );
    };
    refused(CortexBuilder::new(1.0).key(0).create().map(drop));
    refused(
        CortexBuilder::new(1.0)
            .key(0)
            .force_ownership()
            .create()
            .map(drop),
    );
    refused(
        CortexBuilder::new(1.0)
            .key(0)
            .replace_stale()
            .create()
            .map(drop),
    );
    refused(Cortex::<f64>::attach(0).map(drop));
    refused(Observer::<f64>::attach(0).map(drop));
    refused(Segment::<SeqLock>::create(0, 8).map(drop));
    refused(Segment::<SeqLock>::create(key, 0).map(drop));
    refused(Segment::<SeqLock>::create_random(0).map(drop));
    refused(CortexBuilder::new(()).key(key).create().map(drop));
    refused(CortexBuilder::new([0_u64; 0]).key(key).create().map(drop));
    refused(inspect::reclaim(0));
    refused(inspect::remove(0));
    // And figures that cannot be.
    let options = SegmentOptions::new;
    let create = |options: SegmentOptions| refused(options.create::<SeqLock>(key, 8).map(drop));
    create(options().slots(0));
    create(options().slots(65_537));
    create(options().participants(0));
    create(options().participants(4097));
    create(options().align(96));
    create(options().align(8192));
    refused(Segment::<SeqLock>::create(key, usize::MAX).map(drop));
    refused(Segment::<SeqLock>::create(key, isize::MAX as usize).map(drop));
    assert_eq!(segment_id(key), None);
}

#[test]
fn existing_key_says_what_has_it() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let foreign = Foreign::create(key, 4096);
    foreign.put(0, b"something else");
    let (number, message) = errno(CortexBuilder::new(1.0).key(key).create());
    assert_eq!(number, libc::EEXIST);
    assert!(message.contains(&format!("create key {key}")), "{message}");
    assert!(
        message.contains("EEXIST") && message.contains("not a cortex"),
        "{message}"
    );
    remove_segment(foreign.id);
}

#[test]
fn foreign_segment_is_not_a_cortex_and_untouched() {
    let kernel = Kernel::new();
    let mut random = Random::new();
    for size in [1, 16, 255, 703, 704, 705, 4096, 20_000] {
        let key = kernel.key();
        let foreign = Foreign::create(key, size);
        let bytes: Vec<u8> = (0..size).map(|_| random.next() as u8 | 1).collect();
        foreign.put(0, &bytes);
        let is_refused = |result: CortexResult<()>| {
            let error = result.unwrap_err();
            assert!(
                matches!(error, CortexError::NotACortex { .. }),
                "{size} bytes: {error}"
            );
        };
        let build = || CortexBuilder::new(1_u64).key(key);
        is_refused(Cortex::<u64>::attach(key).map(drop));
        is_refused(Observer::<u64>::attach(key).map(drop));
        is_refused(SegmentObserver::attach(key, 0).map(drop));
        is_refused(build().force_ownership().create().map(drop));
        is_refused(build().replace_stale().create().map(drop));
        is_refused(build().replace_stale().force_ownership().create().map(drop));
        is_refused(inspect::reclaim(key));
        is_refused(inspect::remove(key));
        assert!(foreign.bytes() == bytes, "{size} bytes: touched");
        assert_eq!(segment_id(key), Some(foreign.id));
        // Detached again. A process that another test is just starting has our mappings until it runs its program.
        while segment_status(foreign.id).unwrap().shm_nattch != 1 {
            std::thread::yield_now();
        }
        remove_segment(foreign.id);
    }
}

/// What another program has made and not written to where a header would be.
#[test]
fn foreign_segment_that_begins_with_zeros_is_not_a_cortex_and_untouched() {
    let kernel = Kernel::new();
    // The last two with the mark of one that is being made: a size that none has, or data behind the header.
    let cases = [0o600, 0o666, 0o644, 0o777, 0o755, 0o711, 0o700, 0o411]
        .into_iter()
        .flat_map(|mode| {
            [
                (mode, 1 << 20, 4096),
                (mode, 20_032, 20_032),
                (mode, 4096, 500),
            ]
        })
        .chain([
            (MARK, 20_033, 20_033),
            (MARK, 4096, 4095),
            (MARK, 1 << 20, 700_000),
        ]);
    for (mode, size, zeros) in cases {
        let key = kernel.key();
        let foreign = Foreign::create_with(key, size, mode);
        let bytes: Vec<u8> = (0..size).map(|at| u8::from(at >= zeros)).collect();
        foreign.put(zeros, &bytes[zeros..]);
        let is_refused = |result: CortexResult<()>| {
            let error = result.unwrap_err();
            let words = error.to_string();
            let is_right = matches!(error, CortexError::NotACortex { .. });
            assert!(is_right, "{mode:o}, {size}, {zeros}: {words}");
            assert!(words.contains("`ipcrm` removes it by hand"), "{words}");
        };
        let build = || CortexBuilder::new(1_u64).key(key);
        is_refused(build().replace_stale().create().map(drop));
        is_refused(inspect::reclaim(key));
        is_refused(inspect::remove(key));
        if mode != MARK {
            is_refused(build().force_ownership().create().map(drop));
            is_refused(Cortex::<u64>::attach(key).map(drop));
            is_refused(Observer::<u64>::attach(key).map(drop));
            is_refused(inspect::segment(key).map(drop));
            let (number, message) = errno(build().create());
            assert_eq!(number, libc::EEXIST);
            assert!(message.contains("not a cortex"), "{message}");
            assert!(!message.contains("replace_stale"), "{message}");
        }
        assert!(foreign.bytes() == bytes, "{size} bytes: touched");
        assert_eq!(segment_id(key), Some(foreign.id));
        remove_segment(foreign.id);
    }
}

#[test]
fn real_header_in_a_segment_of_another_size_is_corrupt_and_untouched() {
    let kernel = Kernel::new();
    let pattern = kernel.key();
    let real = CortexBuilder::new([1_u8; 5000])
        .key(pattern)
        .create()
        .unwrap();
    let bytes = Foreign::open(pattern).bytes();
    for size in [
        704,
        768,
        4096,
        bytes.len() - 1,
        bytes.len() + 1,
        bytes.len() * 2,
    ] {
        let key = kernel.key();
        let foreign = Foreign::create(key, size);
        foreign.put(0, &bytes[..size.min(bytes.len())]);
        let before = foreign.bytes();
        let error = Cortex::<[u8; 5000]>::attach(key).unwrap_err();
        assert!(
            matches!(error, CortexError::Corrupt { .. }),
            "{size}: {error}"
        );
        let error = Observer::<[u8; 5000]>::attach(key).unwrap_err();
        assert!(
            matches!(error, CortexError::Corrupt { .. }),
            "{size}: {error}"
        );
        assert!(foreign.bytes() == before);
        remove_segment(foreign.id);
    }
    // Of the right size: the semaphores that it names belong to the real one.
    let key = kernel.key();
    let copy = Foreign::create(key, bytes.len());
    copy.put(0, &bytes);
    let error = Cortex::<[u8; 5000]>::attach(key).unwrap_err();
    assert!(matches!(error, CortexError::Corrupt { .. }), "{error}");
    assert!(copy.bytes() == bytes);
    remove_segment(copy.id);
    assert_eq!(
        real.segment().participants().unwrap().0,
        1,
        "nothing was claimed in the real one"
    );
}

#[test]
fn spoilt_header_is_refused_or_harmless() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let real = CortexBuilder::new([7_u64; 100]).key(key).create().unwrap();
    let raw = Foreign::open(key);
    let header = raw.bytes()[..512].to_vec();
    let mut random = Random::new();
    for round in 0..3000 {
        // Not the state, whose values are all meaningful (3 removes).
        let at = match random.below(508) {
            at @ 0..12 => at,
            at => at + 4,
        };
        let byte = random.next() as u8;
        raw.put(at, &[byte]);
        if round % 3 == 0 {
            let at = 16 + random.below(112);
            raw.put(at, &[random.next() as u8]);
        }
        match Cortex::<[u64; 100]>::attach(key) {
            Ok(attached) => assert_eq!(attached.read().unwrap(), [7; 100]),
            Err(
                CortexError::NotACortex { .. }
                | CortexError::Format { .. }
                | CortexError::Layout { .. }
                | CortexError::Lock { .. }
                | CortexError::Corrupt { .. },
            ) => {}
            Err(error) => panic!("byte {byte:#x} at {at}: {error}"),
        }
        if let Ok(observer) = Observer::<[u64; 100]>::attach(key) {
            assert_eq!(observer.read().unwrap(), [7; 100]);
        }
        raw.put(0, &header);
    }
    assert_eq!(real.segment().participants().unwrap().0, 1);
}

#[test]
fn layout_error_gives_both_figures() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let real = CortexBuilder::new([1_u32; 4])
        .key(key)
        .schema(77)
        .create()
        .unwrap();
    let figures = |result: CortexResult<()>| match result.unwrap_err() {
        CortexError::Layout {
            key: found_key,
            what,
            expected,
            found,
        } => {
            assert_eq!(found_key, key);
            (what, expected, found)
        }
        other => panic!("{other}"),
    };
    let sizes = ("size", 12, 16);
    assert_eq!(figures(Cortex::<[u32; 3]>::attach(key).map(drop)), sizes);
    assert_eq!(figures(Observer::<[u32; 3]>::attach(key).map(drop)), sizes);
    assert_eq!(
        figures(Segment::<SeqLock>::attach(key, 12).map(drop)),
        sizes
    );
    let schema = SegmentOptions::new().schema(78);
    let schemas = ("schema", 78, 77);
    assert_eq!(
        figures(Cortex::<[u32; 4]>::attach_with(key, &schema).map(drop)),
        schemas
    );
    assert_eq!(
        figures(Observer::<[u32; 4]>::attach_with(key, &schema).map(drop)),
        schemas
    );
    let aligned = SegmentOptions::new().align(1024);
    assert_eq!(
        figures(aligned.attach::<SeqLock>(key, 16).map(drop)),
        ("alignment", 1024, 16)
    );
    let message = Cortex::<[u32; 3]>::attach(key).unwrap_err().to_string();
    assert!(message.contains("size is 16, expected 12"), "{message}");
    // What agrees is let in, also with another type of the same bytes.
    let right = SegmentOptions::new().schema(77);
    assert_eq!(
        Cortex::<[u32; 4]>::attach_with(key, &right)
            .unwrap()
            .read()
            .unwrap(),
        [1; 4]
    );
    assert_eq!(
        real.segment().participants().unwrap().0,
        1,
        "the refused claimed nothing"
    );
}

#[test]
fn large_alignment_is_kept() {
    #[derive(Debug, Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
    #[repr(C, align(1024))]
    struct Wide([u8; 1024]);
    let kernel = Kernel::new();
    let key = kernel.key();
    let cortex = CortexBuilder::new(Wide([3; 1024]))
        .key(key)
        .slots(3)
        .create()
        .unwrap();
    let other: Cortex<Wide> = Cortex::attach(key).unwrap();
    for value in 0..6 {
        let mut guard = other.write_guard().unwrap();
        assert_eq!(std::ptr::from_ref(&*guard).addr() % 1024, 0);
        guard.0 = [value; 1024];
        guard.commit().unwrap();
        assert_eq!(cortex.read_guard().unwrap().0, [value; 1024]);
    }
    drop((cortex, other));
    let _narrow = CortexBuilder::new([0_u8; 1024]).key(key).create().unwrap();
    let error = Cortex::<Wide>::attach(key).unwrap_err();
    let right = matches!(
        error,
        CortexError::Layout {
            what: "alignment",
            expected: 1024,
            found: 64,
            ..
        }
    );
    assert!(right, "{error}");
}

#[test]
fn lock_error_gives_both_names() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let _real: Cortex<u8, RwLock> = CortexBuilder::new(1).key(key).with_default_lock().unwrap();
    let error = Cortex::<u8, Semaphore>::attach(key).unwrap_err();
    let CortexError::Lock {
        expected, found, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!((expected.as_str(), found.as_str()), ("semaphore", "rwlock"));
    let message = error.to_string();
    assert!(
        message.contains("\"semaphore\"") && message.contains("\"rwlock\""),
        "{message}"
    );
    assert_eq!(
        Observer::<u8>::attach(key).unwrap().segment().lock_name(),
        "rwlock"
    );
}

#[test]
fn ranges_that_leave_the_segment_are_refused() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let segment: Segment = Segment::create(key, 100).unwrap();
    let observer = SegmentObserver::attach(key, 100).unwrap();
    let refused = |result: CortexResult<()>| {
        let error = result.unwrap_err();
        assert!(
            matches!(error, CortexError::InvalidArgument { .. }),
            "{error}"
        );
    };
    for (offset, length) in [
        (0, 101),
        (100, 1),
        (99, 2),
        (101, 0),
        (usize::MAX, 1),
        (usize::MAX, 2),
        (usize::MAX - 1, 8),
    ] {
        let mut buffer = vec![0xAA_u8; length];
        refused(segment.read_at(offset, &mut buffer));
        refused(segment.try_read_at(offset, &mut buffer));
        refused(segment.write_at(offset, &buffer));
        refused(segment.try_write_at(offset, &buffer));
        refused(observer.read_at(offset, &mut buffer));
        assert_eq!(buffer, vec![0xAA; length]);
        refused(segment.write_guard().unwrap().mark(offset, length));
    }
    let guard = || segment.write_guard().unwrap();
    refused(guard().mark(1, usize::MAX));
    refused(guard().mark(usize::MAX, usize::MAX));
    for offset in [0, 50, 100] {
        segment.write_at(offset, &[]).unwrap();
        segment.read_at(offset, &mut []).unwrap();
        observer.read_at(offset, &mut []).unwrap();
    }
    assert_eq!(segment.version(), 0);
    let mut all = [1; 100];
    segment.read_at(0, &mut all).unwrap();
    assert_eq!(all, [0; 100]);
}
