//! A status, its name and what to do about it are told in many places: all of them tell of the same ones.
//!
//! The table is src/capi/status.rs: the constants, the error that each stands for, its text. What is made from it (the C
//! header) or written beside it (the C++ layer, the ABI record, the guide) is held to it here; that each
//! `CortexError` has a status is the compiler's to see.

use neocortex::capi::neocortex_strerror;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;

const TABLE: &str = include_str!("../../src/capi/status.rs");
const HEADER: &str = include_str!("../../include/neocortex.h");
const CPP: &str = include_str!("../../include/neocortex.hpp");
const RECORD: &str = include_str!("../../abi/promised.c");
/// The tables of errors and of exit statuses.
const ERRORS: &str = include_str!("../../docs/guide/errors.md");
const COMMAND_GUIDE: &str = include_str!("../../docs/guide/command.md");
const COMMAND: &str = include_str!("../../src/bin/neocortex/arguments.rs");
const COMMAND_STATUSES: &str = include_str!("../../src/bin/neocortex/failure.rs");

/// What stands between two pieces of a line, for each line that has both.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<(&'a str, &'a str)> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix(before)?.split_once(after))
        .map(|(name, rest)| (name.trim(), rest.trim()))
        .collect()
}

fn number(text: &str) -> i32 {
    let digits: String = text
        .chars()
        .take_while(|&sign| sign == '-' || sign.is_ascii_digit())
        .collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number: {text}"))
}

/// The statuses by name, without what they all begin with.
fn table() -> BTreeMap<&'static str, i32> {
    let rows = between(TABLE, "pub const NEOCORTEX_ERR_", ": neocortex_status = ");
    let table: BTreeMap<_, _> = rows
        .iter()
        .map(|&(name, value)| (name, number(value)))
        .collect();
    assert_eq!(table.len(), rows.len());
    assert!(table.len() >= 20, "the table is not where this test looks");
    table
}

/// `CamelCase` as the names of the statuses are written; two have another name in C.
fn status_name(variant: &str) -> String {
    let mut name = String::new();
    for sign in variant.chars() {
        if sign.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(sign.to_ascii_uppercase());
    }
    name
}

/// The errors of the Rust interface, as the names of statuses.
fn errors() -> BTreeSet<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/error");
    let files = std::fs::read_dir(folder).expect("src/error").flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let bodies: Vec<String> = texts
        .filter_map(|text| {
            let (_, after) = text.split_once("pub enum CortexError {")?;
            Some(after.split("\n}\n").next()?.to_owned())
        })
        .collect();
    let [body] = &bodies[..] else {
        panic!("CortexError stands in one file of src/error");
    };
    let variants = body.lines().filter_map(|line| line.strip_prefix("    "));
    variants
        .filter(|line| line.starts_with(|sign: char| sign.is_ascii_uppercase()))
        .map(|line| {
            let end = line.find(|sign: char| !sign.is_ascii_alphanumeric());
            status_name(&line[..end.unwrap_or(line.len())])
        })
        .collect()
}

#[test]
fn numbers_go_down_from_minus_one_without_a_gap() {
    let numbers: BTreeSet<i32> = table().into_values().collect();
    let expected: BTreeSet<i32> = (1..=numbers.len() as i32).map(|number| -number).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn each_error_of_the_rust_interface_is_a_status_of_its_own() {
    let mut statuses: BTreeSet<String> = table().into_keys().map(str::to_owned).collect();
    // What no Rust program sees as an error.
    assert!(statuses.remove("PANIC"));
    assert_eq!(statuses, errors());
}

#[test]
fn each_status_has_a_text_of_its_own() {
    let text = |status| {
        // SAFETY: a static string, whatever the number.
        let text = unsafe { CStr::from_ptr(neocortex_strerror(status)) };
        text.to_str().expect("English").to_owned()
    };
    let unknown = text(1);
    let mut texts = BTreeSet::from([unknown.clone(), text(0)]);
    for (name, status) in table() {
        assert!(texts.insert(text(status)), "{name} has the text of another");
    }
    for status in [i32::MIN, -1000, -(table().len() as i32) - 1, 2, i32::MAX] {
        assert_eq!(text(status), unknown);
    }
}

#[test]
fn the_c_header_and_the_abi_record_have_the_table_s_numbers() {
    let defined = between(HEADER, "#define NEOCORTEX_ERR_", " ");
    let recorded = between(RECORD, "CONSTANT(NEOCORTEX_ERR_", ",");
    for (what, rows) in [("neocortex.h", defined), ("abi/promised.c", recorded)] {
        let found: BTreeMap<&str, i32> = rows
            .iter()
            .map(|&(name, value)| (name, number(value)))
            .collect();
        assert_eq!(found.len(), rows.len(), "{what} has one twice");
        assert_eq!(found, table(), "{what}");
    }
}

#[test]
fn the_cpp_layer_has_each_status_under_its_name() {
    let start = CPP.find("enum class status").expect("the statuses of C++");
    let body = &CPP[start..];
    let body = &body[..body.find("};").expect("its end")];
    let rows: Vec<(&str, &str)> = body
        .lines()
        .filter_map(|line| line.split_once(" = NEOCORTEX_ERR_"))
        .map(|(name, rest)| (name.trim(), rest.split(',').next().unwrap_or_default()))
        .collect();
    let names: BTreeSet<&str> = rows.iter().map(|&(_, constant)| constant).collect();
    assert_eq!(rows.len(), names.len());
    assert_eq!(names, table().into_keys().collect());
    for (name, constant) in rows {
        // `timeout` is a macro of ncurses.
        let expected = if constant == "TIMEOUT" {
            "timed_out".to_owned()
        } else {
            constant.to_lowercase()
        };
        assert_eq!(name, expected);
    }
}

#[test]
fn the_guide_says_what_to_do_about_each_error() {
    let start = ERRORS
        .find("| error (C: `NEOCORTEX_ERR_…`)")
        .expect("the table");
    let rows = ERRORS[start..]
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut told = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{row}");
        assert!(!cells[2].is_empty() && !cells[3].is_empty(), "{row}");
        let names = cells[1].split('`').skip(1).step_by(2);
        told.extend(names.map(|name| status_name(name.split('(').next().unwrap_or_default())));
    }
    let set: BTreeSet<String> = told.iter().cloned().collect();
    assert_eq!(set.len(), told.len(), "one has two rows");
    assert_eq!(set, errors());
}

#[test]
fn the_command_s_exit_statuses_are_those_of_its_help_and_of_the_guide() {
    let start = COMMAND.find("pub const EXIT_STATUS").expect("the help");
    let help = &COMMAND[start..];
    let help = &help[..help.find("\";").expect("its end")];
    let in_help: Vec<i32> = help
        .lines()
        .filter(|line| line.starts_with(|sign: char| sign.is_ascii_digit()))
        .map(number)
        .collect();
    assert_eq!(
        in_help,
        (0..in_help.len() as i32).collect::<Vec<_>>(),
        "in order, each once"
    );

    let start = COMMAND_GUIDE.find("Exit status: ").expect("the list") + "Exit status: ".len();
    let list = COMMAND_GUIDE[start..].split('.').next().unwrap_or_default();
    // What stands in brackets has commas of its own.
    let in_guide = list
        .split(", ")
        .map(|part| part.trim().replace('\n', " "))
        .filter(|part| part.starts_with(|sign: char| sign.is_ascii_digit()))
        .map(|part| number(&part));
    assert_eq!(in_guide.collect::<Vec<_>>(), in_help);

    let start = COMMAND_STATUSES
        .find("pub fn status(error: &CortexError)")
        .expect("the command's table");
    let body = &COMMAND_STATUSES[start..];
    let body = &body[..body.find("\n}\n").expect("its end")];
    let constants: BTreeMap<&str, i32> = between(COMMAND_STATUSES, "pub const ", ": u8 = ")
        .into_iter()
        .map(|(name, value)| (name, number(value)))
        .collect();
    let given: BTreeSet<i32> = body
        .lines()
        .filter_map(|line| line.split_once("=> "))
        .map(|(_, status)| status.trim_end_matches(','))
        .filter_map(|status| {
            constants
                .get(status)
                .copied()
                .or_else(|| status.parse().ok())
        })
        .collect();
    let failures: BTreeSet<i32> = in_help.into_iter().skip(1).collect();
    assert_eq!(
        given, failures,
        "each status but 0 stands for some error, and no other is given"
    );
}
