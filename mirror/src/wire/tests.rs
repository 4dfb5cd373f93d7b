use super::*;

fn header() -> Header {
    Header {
        term: 3,
        epoch: 0x1234_5678_9abc_def0,
        origin: schema_of("left"),
        place: Place {
            boot: *b"0123456789abcdef",
            ipc: 4_026_531_839,
        },
        size: 4,
        schema: 77,
        align: 64,
        lock: "seqlock".to_owned(),
        has_value: true,
        is_every: true,
        count: 2,
        version: 41,
        missed: 5,
        read_at: 9,
        held: 10,
    }
}

#[test]
fn a_header_comes_back_as_it_was() {
    let payload = ZBytes::from(vec![1, 2, 3, 4, 5, 6, 7, 8]);
    let bytes = header().write(&payload);
    assert_eq!(bytes.len(), SIZE);
    assert_eq!(Header::read(&bytes, &payload), Ok(header()));
    assert_eq!(header().last_version(), 42);
}

#[test]
fn every_bit_that_is_changed_is_noticed() {
    let payload = ZBytes::from(vec![1, 2, 3, 4, 5, 6, 7, 8]);
    let bytes = header().write(&payload);
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(Header::read(&changed, &payload).is_err(), "bit {bit}");
    }
    for bit in 0..64 {
        let mut changed = vec![1, 2, 3, 4, 5, 6, 7, 8];
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(
            Header::read(&bytes, &ZBytes::from(changed)).is_err(),
            "bit {bit} of the value"
        );
    }
    for length in 0..bytes.len() {
        assert!(
            Header::read(&bytes[..length], &payload).is_err(),
            "{length} bytes"
        );
    }
}

#[test]
fn what_the_header_says_of_the_value_must_be_so() {
    for (size, count, has_value) in [
        (4, 1, true),
        (8, 2, true),
        (u64::MAX, 2, true),
        (4, 2, false),
        (0, 0, true),
    ] {
        let payload = ZBytes::from(vec![0; 8]);
        let wrong = Header {
            size,
            count,
            has_value,
            ..header()
        };
        let refusal = Header::read(&wrong.write(&payload), &payload).expect_err("it is wrong");
        assert!(refusal.contains("8 bytes"), "{refusal}");
    }
}

#[test]
fn the_other_byte_order_and_another_version_are_refused_by_name() {
    let payload = ZBytes::from(vec![0; 8]);
    for (at, says) in [
        (4, "wire format"),
        (5, "byte order"),
        (0, "not one of a mirror"),
    ] {
        let mut bytes = header().write(&payload);
        bytes[at] ^= 3;
        let refusal = Header::read(&bytes, &payload).expect_err("it is wrong");
        assert!(refusal.contains(says), "{refusal}");
    }
}

#[test]
fn a_question_comes_back_as_it_was() {
    for since in [None, Some((u64::MAX, 0)), Some((1, 2))] {
        for is_every in [false, true] {
            let question = Question {
                since,
                largest: 64,
                is_every,
            };
            assert_eq!(Question::read(&question.write()), question);
        }
    }
    let nothing = Question {
        since: None,
        largest: u64::MAX,
        is_every: false,
    };
    for text in ["", "since=", "since=x.y", "since=1", "max=-1", ";;=;"] {
        assert_eq!(Question::read(text), nothing, "{text}");
    }
}

#[test]
fn a_claim_comes_back_as_it_was_and_others_are_none() {
    let claim = Claim {
        term: 17,
        epoch: u64::MAX,
        origin: "left.example".to_owned(),
    };
    let base = base("plant", "arm/pose");
    assert_eq!(parse_claim(&claim_key(&base, &claim)), Some(claim));
    for key in ["", "o/b", "neocortex/d/n/o/1/2/*", "o/x/2/left", "o/1/2/"] {
        assert_eq!(parse_claim(key), None, "{key}");
    }
}

#[test]
fn a_name_becomes_a_key_expression_that_is_its_own() {
    assert_eq!(base("d", "arm/pose"), "neocortex/d/arm/pose");
    assert_eq!(base("d", "-5"), "neocortex/d/-5");
    assert_eq!(
        base("d", "a//b*$?#@ é/"),
        "neocortex/d/a/%/b%2a%24%3f%23%40%20%c3%a9/%"
    );
    for name in ["a//b*$?#@ é/", "%", "**", "@", "/"] {
        for key in [
            value_key(&base("d", name), "left"),
            claims_key(&base("d", name)),
        ] {
            assert!(
                zenoh::key_expr::KeyExpr::try_from(key.clone()).is_ok(),
                "{key}"
            );
        }
    }
}
