use super::*;

/// Computed by another program (`tests/vectors/names.py`), not by this one.
#[test]
fn a_name_has_the_key_and_a_text_the_schema_of_the_published_vectors() {
    let vectors = include_str!("../../../tests/vectors/names.txt");
    let mut count = 0;
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.splitn(3, ' ');
        let mut field = || fields.next().expect("a field");
        let (key, schema, name) = (field(), field(), field());
        assert_eq!(number_of(name).to_string(), key, "{name}");
        assert_eq!(format!("{:#018x}", schema_of(name)), schema, "{name}");
        assert_eq!(why_not(name), None, "{name}");
        count += 1;
    }
    assert!(count >= 10, "{count}");
    // The offset basis, and what the page of FNV says of one letter.
    assert_eq!(schema_of(""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(schema_of("a"), 0xaf63_dc4c_8601_ec8c);
}

#[test]
fn a_schema_is_never_none() {
    // These hash to 0.
    let zero = [0xd5, 0x6b, 0xb9, 0x53, 0x42, 0x87, 0x08, 0x36];
    assert_eq!(fnv1a(&zero), 0);
    assert_eq!(schema_from(&zero), 1);
}

#[test]
fn keys_of_names_are_apart_from_the_numbers_that_people_choose() {
    for number in 0..10_000 {
        let key = number_of(&format!("camera/{number}"));
        assert!(key >= 0x4000_0000, "{key:#x}");
    }
}

#[test]
fn what_is_no_name_is_told_why() {
    let long = "x".repeat(256);
    for (text, why) in [
        ("", "it is empty"),
        (&*long, "it is longer than 255 bytes"),
        ("a\nb", "it has a control character"),
        ("\u{7f}", "it has a control character"),
        ("\u{85}", "it has a control character"),
        ("a\0", "it has a control character"),
        ("123", "it looks like a number"),
        ("-5", "it looks like a number"),
        ("+5", "it looks like a number"),
        ("0", "it looks like a number"),
        ("0x1F", "it looks like a number"),
        ("0X1f", "it looks like a number"),
        ("-0x1f", "it looks like a number"),
        ("0x", "it looks like a number"),
        ("99999999999999999999", "it looks like a number"),
    ] {
        assert_eq!(why_not(text), Some(why), "{text:?}");
    }
    for name in [
        "a",
        "-",
        "+",
        "--5",
        "1.5",
        "1e3",
        "0y1",
        "0xg",
        "x1",
        "5/arm",
        "größe",
        "日本",
        "a b",
        "\u{1F980}",
    ] {
        assert_eq!(why_not(name), None, "{name:?}");
    }
    assert_eq!(why_not(&long[..255]), None);
}

#[test]
fn whatever_looks_like_a_number_is_one_or_does_not_fit() {
    for (text, number) in [
        ("123", Some(123)),
        ("+123", Some(123)),
        ("-123", Some(-123)),
        ("0x7b", Some(123)),
        ("0XFFFFFFFF", Some(-1)),
        ("0x80000000", Some(i32::MIN)),
        ("-0x80000000", Some(i32::MIN)),
        ("2147483647", Some(i32::MAX)),
        ("-2147483648", Some(i32::MIN)),
        ("2147483648", None),
        ("-2147483649", None),
        ("0x100000000", None),
        ("-0xffffffff", None),
        ("18446744073709551616", None),
        ("0x", None),
        ("", None),
        ("-", None),
        ("arm", None),
    ] {
        assert_eq!(parse_number(text), number, "{text:?}");
        if number.is_some() {
            assert!(looks_like_a_number(text), "{text:?}");
        }
    }
}
