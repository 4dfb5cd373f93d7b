//! A name is found by everybody who knows it, and nobody takes one's value for another's.

use crate::common::{fork, Child, Events, Foreign, Kernel, Role};
use neocortex::{
    inspect, key_of, schema_of, Cortex, CortexBuilder, CortexError, CortexResult, Key, Observer,
    Segment, SegmentObserver, SegmentOptions,
};
use std::time::Duration;

/// Where the header has the name's length, and the name: docs/segment.md.
const NAME_LENGTH: usize = 176;
const NAME: usize = 180;

fn create(name: &str, value: u64) -> CortexResult<Cortex<u64>> {
    CortexBuilder::new(value).key(name).create()
}

#[test]
fn a_name_has_the_key_and_a_text_the_schema_of_the_published_vectors() {
    let vectors = include_str!("../vectors/names.txt");
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.splitn(3, ' ').collect();
        let [key, schema, name] = fields[..] else {
            panic!("{line}");
        };
        assert_eq!(key_of(name).unwrap().to_string(), key, "{name}");
        assert_eq!(Key::from(name).number().unwrap().to_string(), key);
        assert_eq!(format!("{:#018x}", schema_of(name)), schema, "{name}");
    }
    const IN_A_CONSTANT: u64 = schema_of("a");
    assert_eq!(IN_A_CONSTANT, 0xaf63_dc4c_8601_ec8c);
}

#[test]
fn role_attach_by_name() {
    let Some(role) = Role::of("role_attach_by_name") else {
        return;
    };
    let name = role.text(0);
    let cortex = Cortex::<u64>::attach(name).unwrap();
    let observer = Observer::<u64>::attach(name).unwrap();
    let segment: Segment = Segment::attach(key_of(name).unwrap(), 8).unwrap();
    let bytes = SegmentObserver::attach(name.to_owned(), 8).unwrap();
    assert_eq!([cortex.name(), observer.name()], [name; 2]);
    assert_eq!([segment.name(), bytes.name()], [name; 2]);
    assert_eq!(cortex.read().unwrap(), observer.read().unwrap());
    role.say(cortex.update(|value| *value + 1).unwrap());
}

#[test]
fn a_name_means_the_same_in_every_process() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let cortex = create(&name, 41).unwrap();
    assert_eq!(cortex.name(), name);
    assert_eq!(cortex.key(), key_of(&name).unwrap());
    let mut other = Child::spawn("role_attach_by_name", &[&name]);
    other.expect("42");
    other.finish();

    let info = inspect::segment(&name).unwrap();
    assert_eq!((info.name, info.key), (name.clone(), cortex.key()));
    let listed = inspect::segments().unwrap();
    assert!(listed.iter().any(|info| info.name == name));
    drop(cortex);
    let gone = Cortex::<u64>::attach(&name).unwrap_err();
    let said = format!("attach to \"{name}\" (key {})", key_of(&name).unwrap());
    assert!(gone.to_string().starts_with(&said), "{gone}");
    assert_eq!(gone.system().unwrap().key(), key_of(&name).unwrap());
}

#[test]
fn a_cortex_made_by_number_has_no_name() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let cortex = CortexBuilder::new(1_u64).key(key).create().unwrap();
    assert_eq!(cortex.name(), "");
    assert_eq!(Observer::<u64>::attach(key).unwrap().name(), "");
    assert_eq!(inspect::segment(key).unwrap().name, "");
}

/// Everything that takes a key, by the other of two names, or by the name of a number's.
fn attempts(name: &str) -> Vec<(&'static str, CortexError)> {
    let builder = || CortexBuilder::new(9_u64).key(name);
    let options = SegmentOptions::new;
    let short = SegmentOptions::new().wait_for_creator(Some(Duration::from_secs(5)));
    vec![
        ("create", builder().create().unwrap_err()),
        ("replace", builder().replace_stale().create().unwrap_err()),
        ("adopt", builder().force_ownership().create().unwrap_err()),
        ("either", builder().create_or_attach().unwrap_err()),
        (
            "either, replacing",
            builder().replace_stale().create_or_attach().unwrap_err(),
        ),
        ("attach", Cortex::<u64>::attach(name).unwrap_err()),
        (
            "wait",
            Cortex::<u64>::attach_with(name, &short).unwrap_err(),
        ),
        ("observe", Observer::<u64>::attach(name).unwrap_err()),
        (
            "observe, waiting",
            Observer::<u64>::attach_with(name, &short).unwrap_err(),
        ),
        (
            "segment, create",
            options().create::<neocortex::RwLock>(name, 8).unwrap_err(),
        ),
        (
            "segment, attach",
            options().attach::<neocortex::SeqLock>(name, 0).unwrap_err(),
        ),
        (
            "segment, observe",
            SegmentObserver::attach(name, 0).unwrap_err(),
        ),
        ("inspect", inspect::segment(name).unwrap_err()),
        ("remove", inspect::remove(name).unwrap_err()),
        ("reclaim", inspect::reclaim(name).unwrap_err()),
        ("reclaim alone", inspect::reclaim_alone(name).unwrap_err()),
    ]
}

/// Holds all of these against `Name` with these names.
fn all_refuse(name: &str, found: Option<&str>) {
    for (what, error) in attempts(name) {
        let CortexError::Name {
            key,
            expected,
            found: said,
        } = &error
        else {
            panic!("{what}: {error}");
        };
        assert_eq!(*key, key_of(name).unwrap(), "{what}");
        assert_eq!((&**expected, said.as_deref()), (name, found), "{what}");
        let text = error.to_string();
        assert!(text.contains(name), "{what}: {text}");
        assert!(text.contains(found.unwrap_or("without a name")), "{text}");
        assert!(text.contains(&key.to_string()), "{what}: {text}");
    }
}

#[test]
fn two_names_with_one_key_are_told_apart_by_every_call() {
    let kernel = Kernel::new();
    let [one, two] = kernel.twins();
    let key = key_of(&one).unwrap();
    assert_eq!(key, key_of(&two).unwrap());
    let cortex = create(&one, 1).unwrap();
    all_refuse(&two, Some(&one));
    // Untouched, and by its number still to be had.
    assert_eq!(Cortex::<u64>::attach(&one).unwrap().read().unwrap(), 1);
    assert_eq!(Cortex::<u64>::attach(key).unwrap().name(), one);
    drop(cortex);
    // Now the key is the other's.
    let cortex = create(&two, 2).unwrap();
    all_refuse(&one, Some(&two));
    assert_eq!(cortex.read().unwrap(), 2);
}

#[test]
fn role_leave() {
    let Some(role) = Role::of("role_leave") else {
        return;
    };
    let cortex = create(role.text(0), 1).unwrap();
    role.say("made");
    role.listen();
    drop(cortex);
}

/// Nobody lives in it, and it is not to stay: its name alone protects it.
#[test]
fn a_stale_cortex_is_not_taken_away_by_another_name() {
    let kernel = Kernel::new();
    let [one, two] = kernel.twins();
    let mut creator = Child::spawn("role_leave", &[&one]);
    creator.expect("made");
    creator.kill();
    all_refuse(&two, Some(&one));
    assert_eq!(Cortex::<u64>::attach(&one).unwrap().read().unwrap(), 1);
    // By its own name it is.
    inspect::reclaim(&one).unwrap();
    let cortex = create(&two, 2).unwrap();
    assert_eq!(cortex.name(), two);
}

#[test]
fn a_cortex_without_a_name_is_not_found_by_a_name_that_has_its_key() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let key = key_of(&name).unwrap();
    let cortex = CortexBuilder::new(1_u64).key(key).create().unwrap();
    all_refuse(&name, None);
    assert_eq!(Cortex::<u64>::attach(key).unwrap().read().unwrap(), 1);
    drop(cortex);
}

/// What is no name, and why.
fn no_names() -> Vec<(String, &'static str)> {
    let looks = "looks like a number";
    vec![
        (String::new(), "is empty"),
        ("x".repeat(256), "is longer than 255 bytes"),
        ("ö".repeat(128), "is longer than 255 bytes"),
        ("a\nb".into(), "has a control character"),
        ("\x1b[2J".into(), "has a control character"),
        ("a\u{9b}b".into(), "has a control character"),
        ("a\0b".into(), "has a control character"),
        ("123".into(), looks),
        ("-7".into(), looks),
        ("+7".into(), looks),
        ("0x1F".into(), looks),
        ("-0x1f".into(), looks),
        ("99999999999999999999".into(), looks),
    ]
}

#[test]
fn what_is_no_name_is_refused_by_every_call_with_the_rule() {
    let _kernel = Kernel::new();
    for (name, why) in no_names() {
        let mut all = attempts(&name);
        all.push(("number", Key::from(&name).number().unwrap_err()));
        all.push(("key_of", key_of(&name).unwrap_err()));
        for (what, error) in all {
            let text = error.to_string();
            let is_argument = matches!(error, CortexError::InvalidArgument { key: 0, .. });
            assert!(is_argument, "{what} {name:?}: {text}");
            assert!(text.contains(why), "{what} {name:?}: {text}");
            assert!(text.contains("a name is 1 to 255 bytes of UTF-8"), "{text}");
            assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
        }
    }
    // The longest.
    let kernel = Kernel::new();
    let longest = format!("{:>255}", kernel.name());
    kernel.watch(key_of(&longest).unwrap());
    assert_eq!(create(&longest, 1).unwrap().name(), longest);
}

#[test]
fn a_text_that_looks_like_a_number_is_one_where_it_is_parsed() {
    let parse = |text: &str| text.parse::<Key>();
    assert_eq!(parse("123").unwrap(), Key::from(123));
    assert_eq!(parse("-123").unwrap(), Key::from(-123));
    assert_eq!(parse("0xffffffff").unwrap(), Key::from(-1));
    assert_eq!(parse("arm/pose").unwrap(), Key::from("arm/pose"));
    assert_eq!(parse("arm/pose").unwrap().to_string(), "arm/pose");
    assert_eq!(parse("0x7b").unwrap().to_string(), "123");
    for text in ["4294967296", "-2147483649", "0x100000000", "0x", "", "a\tb"] {
        let error = parse(text).unwrap_err();
        let is_argument = matches!(error, CortexError::InvalidArgument { .. });
        assert!(is_argument, "{text:?}: {error}");
    }
}

#[test]
fn key_0_is_refused_by_number_and_no_name_has_it() {
    assert!(matches!(
        Cortex::<u64>::attach(0),
        Err(CortexError::InvalidArgument { .. })
    ));
}

/// A cortex comes and goes under two names that have one key, and its value says under which.
#[test]
fn role_come_and_go() {
    let Some(role) = Role::of("role_come_and_go") else {
        return;
    };
    role.say("begun");
    for number in 0_u64.. {
        let which = number % 2;
        drop(create(role.text(which as usize), which));
    }
}

/// The name is in the header before anybody can attach: whoever finds a cortex by name has that name's value.
#[test]
fn a_name_is_compared_before_a_value_is_seen_whatever_comes_and_goes() {
    let kernel = Kernel::new();
    let names = kernel.twins();
    let mut other = Child::spawn("role_come_and_go", &[&names[0], &names[1]]);
    other.expect("begun");
    let (mut found, mut refused) = ([0, 0], 0);
    for attempt in 0_usize.. {
        if found.iter().all(|&count| count >= 200) && refused >= 50 {
            break;
        }
        let turn = attempt % 2;
        let name = &names[turn];
        let result = if attempt % 4 < 2 {
            Cortex::<u64>::attach(name).and_then(|cortex| {
                assert_eq!(cortex.name(), name);
                cortex.read()
            })
        } else {
            Observer::<u64>::attach(name).and_then(|observer| {
                assert_eq!(observer.name(), name);
                observer.read()
            })
        };
        match result {
            Ok(value) => {
                assert_eq!(value, turn as u64);
                found[turn] += 1;
            }
            Err(CortexError::Name {
                expected,
                found: Some(other),
                ..
            }) => {
                assert_eq!((&expected, &other), (name, &names[turn ^ 1]));
                refused += 1;
            }
            // Gone, or going.
            Err(
                CortexError::CleanSystem(_)
                | CortexError::Removed { .. }
                | CortexError::Busy { .. }
                | CortexError::NotReady { .. },
            ) => {}
            Err(error) => panic!("{error}"),
        }
    }
    other.kill();
    for name in &names {
        let _ = inspect::reclaim(name);
    }
}

/// Whoever may write to a segment can put any bytes there.
#[test]
fn what_a_peer_has_put_in_the_place_of_a_name_is_never_shown() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let key = key_of(&name).unwrap();
    let cortex = create(&name, 1).unwrap();
    cortex.segment().persist();
    drop(cortex);
    let raw = Foreign::open(key);
    let length = name.len() as u32;
    let spoilt: [(&[u8], u32); 5] = [
        (b"\x1b[2J", length),
        (b"\xff\xfe", length),
        (b"\0", length),
        (b"", 256),
        (b"", u32::MAX),
    ];
    for (bytes, length) in spoilt {
        raw.put(NAME, name.as_bytes());
        raw.put(NAME, bytes);
        raw.put(NAME_LENGTH, &length.to_ne_bytes());
        for error in [
            Cortex::<u64>::attach(&name).unwrap_err(),
            Cortex::<u64>::attach(key).unwrap_err(),
            Observer::<u64>::attach(key).unwrap_err(),
            inspect::segment(key).unwrap_err(),
        ] {
            let text = error.to_string();
            let is_corrupt = matches!(error, CortexError::Corrupt { .. });
            assert!(is_corrupt && text.contains("in its header"), "{text}");
            assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
        }
        let ours = |info: &inspect::SegmentInfo| info.key == key;
        assert!(!inspect::segments().unwrap().iter().any(ours));
    }
    // Another name than the key's: it is shown as what it is, and messages about the number do not believe it.
    raw.put(NAME_LENGTH, &4_u32.to_ne_bytes());
    raw.put(NAME, b"evil\0");
    assert_eq!(Cortex::<u64>::attach(key).unwrap().name(), "evil");
    assert!(matches!(
        Cortex::<u64>::attach(&name),
        Err(CortexError::Name { .. })
    ));
    let text = Cortex::<[u64; 2]>::attach(key).unwrap_err().to_string();
    assert!(!text.contains("evil"), "{text}");
    inspect::remove(key).unwrap();
}

#[test]
fn messages_about_a_cortex_with_a_name_say_it() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let (key, cortex) = (key_of(&name).unwrap(), create(&name, 1).unwrap());
    let said = format!("\"{name}\" (key {key})");
    let other = Cortex::<u64>::attach(key).unwrap();
    let texts = [
        Cortex::<u32>::attach(&name).unwrap_err(),
        Cortex::<u64, neocortex::RwLock>::attach(key).unwrap_err(),
        create(&name, 2).unwrap_err(),
        inspect::reclaim(&name).unwrap_err(),
        other.segment().read_at(9, &mut [0]).unwrap_err(),
        cortex
            .wait_changed(0, Some(Duration::from_millis(1)))
            .unwrap_err(),
    ]
    .map(|error| error.to_string());
    for text in texts {
        assert!(text.contains(&said), "{text}");
    }
    inspect::remove(&name).unwrap();
    let text = other.wait_changed(0, None).unwrap_err().to_string();
    assert!(text.starts_with(&said), "{text}");
}

#[test]
fn keys_in_whatever_way_they_are_given() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let key = Key::from(&name);
    let cortex = CortexBuilder::new(1_u64).key(key.clone()).create().unwrap();
    assert!(Cortex::<u64>::attach(&key).is_ok());
    assert!(Cortex::<u64>::attach(&name).is_ok());
    assert!(Cortex::<u64>::attach(name.clone()).is_ok());
    assert!(Cortex::<u64>::attach(name.as_str()).is_ok());
    assert!(Cortex::<u64>::attach(cortex.key()).is_ok());
    // A literal is an i32, as ever.
    assert!(SegmentOptions::new()
        .attach::<neocortex::SeqLock>(0, 8)
        .is_err());
}

/// The events of a cortex whose holder was recovered from, which this process found by `key`.
fn events_of_a_dead_holder(key: &Key) -> Vec<String> {
    let cortex = Cortex::<u64>::attach(key).unwrap();
    fork(|| {
        let cortex = Box::leak(Box::new(Cortex::<u64>::attach(key).unwrap()));
        std::mem::forget(cortex.write_guard().unwrap());
    })
    .join();
    let events = Events::up_to(tracing::Level::TRACE);
    tracing::subscriber::with_default(events.clone(), || cortex.write(5).unwrap());
    events.take()
}

#[test]
fn events_about_a_cortex_with_a_name_have_it_as_a_field() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let owner = create(&name, 1).unwrap();
    let fields = format!(" key={} name={name:?}", owner.key());
    for key in [Key::from(&name), Key::from(owner.key())] {
        let events = events_of_a_dead_holder(&key);
        assert!(
            events.len() == 1 && events[0].contains(&fields),
            "{events:?}"
        );
    }
    // One without a name has no such field.
    let key = kernel.key();
    let owner: Cortex<u64> = CortexBuilder::new(1).key(key).create().unwrap();
    let events = events_of_a_dead_holder(&Key::from(owner.key()));
    assert!(
        events.len() == 1 && events[0].contains(&format!(" key={key}")),
        "{events:?}"
    );
    assert!(!events[0].contains("name="), "{events:?}");
}
