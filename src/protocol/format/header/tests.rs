use super::super::layout::{COMMIT_OFFSET, LOCK_OFFSET, RANGES_OFFSET, SIGNAL_OFFSET};
use super::*;

/// The table of the header in docs/segment.md, which programs in other languages are written from.
#[test]
fn segment_md_says_what_is() {
    let page = include_str!("../../../../docs/segment.md");
    let table = page.split("## Header").nth(1).expect("the header's table");
    let found: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
        .collect();
    let rows = Header::FIELDS.iter();
    let rows = rows
        .map(|(offset, size, field, text)| format!("| {offset} | {size} | `{field}` |{text} |"));
    assert_eq!(found, rows.collect::<Vec<_>>());
    for (offset, size) in [
        (0, HEADER_SIZE),
        (COMMIT_OFFSET, RANGES_OFFSET - COMMIT_OFFSET),
        (RANGES_OFFSET, SIGNAL_OFFSET - RANGES_OFFSET),
        (SIGNAL_OFFSET, LOCK_OFFSET - SIGNAL_OFFSET),
    ] {
        assert!(
            page.contains(&format!("\n| {offset} | {size} | ")),
            "{offset}"
        );
    }
    assert!(page.contains(&format!("\n| {LOCK_OFFSET} | the lock's size")));
}

impl Header {
    /// A header of which only this is written.
    pub(crate) fn begun(magic: [u32; 2], state: u32) -> Self {
        let header = Self::new();
        for (word, half) in header.magic.iter().zip(magic) {
            word.store(half, Ordering::Relaxed);
        }
        header.state.store(state, Ordering::Relaxed);
        header
    }
}

fn shape() -> Shape {
    Shape {
        size: 1000,
        align: 8,
        slots: 3,
        schema: 0x0102_0304_0506_0708,
        participants: 5,
        lock_size: 8,
        lock_name: "a lock".into(),
        mode: 0o640,
        features: 0,
        name: "arm/pose".into(),
    }
}

/// What every program in another language computes as well: docs/segment.md.
#[test]
fn a_layout_follows_from_its_shape() {
    let layout = Layout::new(shape()).unwrap();
    assert_eq!(layout.participants_offset, 704 + 64);
    assert_eq!(layout.slots_offset, 768 + 5 * 64);
    assert_eq!(layout.slot_stride, 1024);
    assert_eq!(layout.total_size, 1088 + 3 * 1024);
    assert!(!layout.is_in_place());

    let layout = Layout::new(Shape {
        size: 4096,
        align: 4096,
        slots: 1,
        lock_size: 0,
        participants: 60,
        ..shape()
    });
    let layout = layout.unwrap();
    assert_eq!(layout.participants_offset, 704);
    assert_eq!(layout.slots_offset, 8192, "704 + 60 * 64 is past 4096");
    assert_eq!((layout.slot_stride, layout.total_size), (4096, 12_288));
    assert!(layout.is_in_place());
}

/// Two slots of up to 16 bytes are in the commit line, and whoever asks for more alignment gets it.
#[test]
fn small_values_lie_in_the_commit_line() {
    let small = Shape {
        size: 16,
        align: 16,
        slots: 2,
        ..shape()
    };
    let is_small = |shape| {
        let layout = Layout::new(shape).unwrap();
        let is_small = layout.slots_offset == COMMIT_OFFSET + 16;
        let expected = if is_small { 16 } else { 64 };
        assert_eq!(layout.slot_stride, expected);
        let end = match is_small {
            true => layout.participants_offset + 5 * 64,
            false => layout.slots_offset + layout.shape.slots as usize * 64,
        };
        assert_eq!(layout.total_size, end);
        is_small
    };
    let with = |change: &dyn Fn(&mut Shape)| {
        let mut shape = small.clone();
        change(&mut shape);
        is_small(shape)
    };
    assert!(with(&|_| ()));
    assert!(with(&|shape| shape.size = 1));
    assert!(with(&|shape| shape.features = LOSSLESS));
    assert!(!with(&|shape| shape.size = 17));
    assert!(!with(&|shape| shape.align = 32));
    assert!(!with(&|shape| shape.slots = 3));
    assert!(!with(&|shape| shape.slots = 1));
    // A record's length has a place too.
    assert!(!with(&|shape| (shape.features, shape.size) = (RECORDS, 9)));
    assert!(with(&|shape| (shape.features, shape.size) = (RECORDS, 8)));

    let aligned = [(1, 16), (32, 16), (33, 64), (4096, 64)];
    for (size, least) in aligned {
        assert_eq!(Shape::align(1, size), least, "{size}");
        assert_eq!(Shape::align(128, size), 128);
    }
    assert_eq!(Shape::align(32, 8), 32);
}

#[test]
fn a_shape_is_refused_at_one_past_each_limit() {
    let is_possible = |change: &dyn Fn(&mut Shape)| {
        let mut shape = shape();
        change(&mut shape);
        Layout::new(shape).is_ok()
    };
    assert!(!is_possible(&|shape| shape.size = 0));
    assert!(is_possible(&|shape| shape.size = 1));
    assert!(!is_possible(&|shape| shape.size = usize::MAX));
    assert!(!is_possible(&|shape| shape.size = usize::MAX / 4));
    // All slots together are too many bytes for an address space.
    assert!(!is_possible(&|shape| {
        shape.size = (isize::MAX as usize >> 16) + 1;
        shape.slots = 65_536;
    }));
    for (align, expected) in [
        (0, false),
        (1, true),
        (24, false),
        (4096, true),
        (8192, false),
    ] {
        assert_eq!(
            is_possible(&|shape| shape.align = align),
            expected,
            "{align}"
        );
    }
    for (slots, expected) in [(0, false), (1, true), (65_536, true), (65_537, false)] {
        assert_eq!(
            is_possible(&|shape| shape.slots = slots),
            expected,
            "{slots}"
        );
    }
    for (count, expected) in [(0, false), (1, true), (4096, true), (4097, false)] {
        assert_eq!(
            is_possible(&|shape| shape.participants = count),
            expected,
            "{count}"
        );
    }
    for (size, expected) in [(0, true), (1 << 20, true), ((1 << 20) + 1, false)] {
        assert_eq!(
            is_possible(&|shape| shape.lock_size = size),
            expected,
            "{size}"
        );
    }
    for (length, expected) in [(0, false), (1, true), (63, true), (64, false)] {
        let name = "n".repeat(length);
        assert_eq!(
            is_possible(&|shape| shape.lock_name = name.clone()),
            expected,
            "{length}"
        );
    }
    assert!(!is_possible(&|shape| shape.lock_name = "a\0b".into()));
}

/// A written header, and its layout.
fn written() -> (Header, Layout) {
    let (header, layout) = (Header::new(), Layout::new(shape()).unwrap());
    header.write(&layout, -9);
    (header, layout)
}

#[test]
fn a_header_is_read_as_it_was_written() {
    let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let (header, layout) = written();
    assert_eq!(header.read(layout.total_size).unwrap(), layout);
    assert!(header.created() >= before);
    assert_eq!(header.beacon_key(), -9);
    assert_eq!(header.state(), state::INITIALISING);

    let longest = Layout::new(Shape {
        lock_name: "n".repeat(63),
        name: "ö".repeat(127) + "n",
        ..shape()
    });
    let longest = longest.unwrap();
    let header = Header::new();
    header.write(&longest, 1);
    assert_eq!(header.read(longest.total_size).unwrap(), longest);
    // Permission is nine bits, whatever else is there.
    header.mode.fetch_or(0o7000, Ordering::Relaxed);
    assert_eq!(header.read(longest.total_size).unwrap().shape.mode, 0o640);
}

#[test]
fn a_header_that_contradicts_itself_is_refused() {
    fn spoil(field: &Field64) {
        field.store(field.load() + 1);
    }
    let spoilers: [&dyn Fn(&Header); 9] = [
        &|header| spoil(&header.total_size),
        &|header| spoil(&header.slot_stride),
        &|header| spoil(&header.slots_offset),
        &|header| header.participants_offset.store(0, Ordering::Relaxed),
        &|header| Field::store(&header.payload_size, 0),
        &|header| Field::store(&header.payload_size, u64::MAX),
        &|header| header.payload_align.store(3, Ordering::Relaxed),
        &|header| {
            header
                .lock_name
                .iter()
                .for_each(|word| word.store(u32::MAX, Ordering::Relaxed))
        },
        &|header| header.lock_name[0].store(u32::from_ne_bytes([0xFF, 0, 0, 0]), Ordering::Relaxed),
    ];
    for (index, spoiler) in spoilers.iter().enumerate() {
        let (header, layout) = written();
        spoiler(&header);
        let refused = header.read(layout.total_size);
        let is_corrupt = matches!(refused, Err(Cause::Corrupt(_)));
        assert!(is_corrupt, "{index}: {refused:?}");
    }
    let (header, layout) = written();
    for size in [layout.total_size - 1, layout.total_size + 1] {
        assert!(matches!(header.read(size), Err(Cause::Corrupt(_))));
    }
    for bit in (0..32).filter(|bit| 1 << bit & KNOWN_FEATURES == 0) {
        header.features.store(1 << bit, Ordering::Relaxed);
        let other = header.read(layout.total_size).unwrap_err();
        let Cause::Format {
            found, features, ..
        } = other
        else {
            panic!("bit {bit}: {other:?}");
        };
        assert_eq!((found, features), (VERSION, 1 << bit));
    }
    header.version.store(VERSION + 1, Ordering::Relaxed);
    let other = header.read(layout.total_size);
    assert!(matches!(
        other,
        Err(Cause::Format {
            found: 2,
            features: 0,
            ..
        })
    ));
}

/// A slot of a record has eight bytes more, and the in-place layout has no records, whatever a header says.
#[test]
fn a_header_says_whether_there_are_records() {
    for (size, stride) in [(1, 64), (56, 64), (57, 128), (1000, 1024), (1016, 1024)] {
        let features = RECORDS;
        let layout = Layout::new(Shape {
            size,
            features,
            ..shape()
        })
        .unwrap();
        assert_eq!(
            (layout.slot_stride, layout.shape.has_records()),
            (stride, true)
        );
        let header = Header::new();
        header.write(&layout, 1);
        assert_eq!(header.read(layout.total_size).unwrap(), layout);
        header.features.store(0, Ordering::Relaxed);
        let is_another = Layout::new(Shape { size, ..shape() }).unwrap().slot_stride != stride;
        let read = header.read(layout.total_size);
        assert_eq!(
            matches!(read, Err(Cause::Corrupt(_))),
            is_another,
            "{size}: {read:?}"
        );
        header.features.store(RECORDS, Ordering::Relaxed);
        header.slots.store(1, Ordering::Relaxed);
        assert!(matches!(
            header.read(layout.total_size),
            Err(Cause::Corrupt(_))
        ));
    }
    for size in [usize::MAX, usize::MAX - 7, isize::MAX as usize] {
        let features = RECORDS;
        assert!(Layout::new(Shape {
            size,
            features,
            ..shape()
        })
        .is_err());
    }
}

/// A process that may write to the segment can put anything there; no user is shown it.
#[test]
fn a_name_that_nobody_could_give_is_corrupt() {
    let names: [(&[u8], u32); 6] = [
        (b"\x1b[2J", 4),
        (b"a\nb", 3),
        (b"\xff\xfe", 2),
        (b"123", 3),
        (b"\0", 1),
        ("ö".as_bytes(), 1),
    ];
    for length in [256, 257, u32::MAX] {
        let (header, layout) = written();
        header.name_length.store(length, Ordering::Relaxed);
        let refused = header.read(layout.total_size);
        assert!(matches!(refused, Err(Cause::Corrupt(_))), "{refused:?}");
        assert_eq!(header.name_if_written(), None);
    }
    for (name, length) in names {
        let (header, layout) = written();
        let mut bytes = [0; 4];
        bytes[..name.len().min(4)].copy_from_slice(&name[..name.len().min(4)]);
        header.name[0].store(u32::from_ne_bytes(bytes), Ordering::Relaxed);
        header.name_length.store(length, Ordering::Relaxed);
        let refused = header.read(layout.total_size);
        assert!(matches!(refused, Err(Cause::Corrupt(_))), "{refused:?}");
    }
}

#[test]
fn a_name_is_seen_whole_or_not_at_all() {
    let (header, layout) = (Header::new(), Layout::new(shape()).unwrap());
    assert_eq!(header.name_if_written(), None);
    header.write(&layout, 5);
    assert_eq!(header.name_if_written().as_deref(), Some("arm/pose"));
    header.beacon_key.store(0, Ordering::Relaxed);
    assert_eq!(header.name_if_written(), None);

    let nameless = Layout::new(Shape {
        name: String::new(),
        ..shape()
    });
    let (header, nameless) = (Header::new(), nameless.unwrap());
    header.write(&nameless, 6);
    assert_eq!(header.name_if_written().as_deref(), Some(""));
    assert_eq!(header.read(nameless.total_size).unwrap(), nameless);
}

#[test]
fn a_segment_is_blank_until_magic_or_state_is_written() {
    assert!(Header::new().is_blank());
    for (magic, state) in [
        ([0, 0], state::READY),
        ([MAGIC[0], 0], state::INITIALISING),
        ([0, 1], state::INITIALISING),
        (MAGIC, state::READY),
    ] {
        assert!(!Header::begun(magic, state).is_blank(), "{magic:?} {state}");
    }
}

#[test]
fn a_state_changes_only_from_what_it_is() {
    let header = Header::new();
    assert!(header.transit(state::INITIALISING, state::READY));
    assert_eq!(header.state(), state::READY);
    assert!(!header.transit(state::INITIALISING, state::REMOVED));
    assert_eq!(header.state(), state::READY);
    assert!(!header.has_magic());
    header.sign();
    assert!(header.has_magic());
}

#[test]
fn any_semaphore_set_can_be_named_and_none() {
    let header = Header::new();
    assert_eq!(header.beacon_id(), None);
    for id in [0, 1, 32_768, i32::MAX, i32::MIN] {
        header.set_beacon_id(id);
        assert_eq!(header.beacon_id(), Some(id));
    }
}
