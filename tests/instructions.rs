//! The fast paths take no more instructions than are recorded in `benches/instructions.txt`.
//!
//! `valgrind --tool=callgrind` counts them, and its counts are repeatable where times are not. A path is run
//! many times and a few times, each under callgrind; the difference is the paths' own. The counts are those of
//! x86-64 Linux and of one compiler; with another the test says so and counts as not run.
//! `NEOCORTEX_WRITE_INSTRUCTIONS=1` writes the file anew.

#![cfg(all(target_os = "linux", target_arch = "x86_64", not(neocortex_portable)))]

mod common;

use common::{Kernel, Role};
use neocortex::capi;
use neocortex::{Cortex, CortexBuilder, RwLock};
use std::ffi::c_void;
use std::hint::black_box;
use std::process::Command;

/// By what factor a count may grow before the test fails.
const TOLERANCE: f64 = 1.10;
const FEW: u64 = 1_000;
const MANY: u64 = 11_000;

const PATHS: [&str; 9] = [
    "read",
    "write",
    "publish",
    "rwlock-guard",
    "read-64k",
    "c-read",
    "c-write",
    "c-publish",
    "c-rwlock-guard",
];

/// A role: does one thing so many times.
#[test]
fn repeat() {
    let Some(role) = Role::of("repeat") else {
        return;
    };
    let times = role.number(1) as u64;
    let builder = || CortexBuilder::new(42.0_f64).random_key();
    match role.text(0) {
        "read" => {
            let cortex: Cortex<f64> = builder().create().unwrap();
            for _ in 0..times {
                black_box(cortex.read().unwrap());
            }
        }
        "write" => {
            let cortex: Cortex<f64> = builder().create().unwrap();
            (0..times).for_each(|_| cortex.write(black_box(1.5)).unwrap());
        }
        "publish" => {
            let cortex: Cortex<f64> = builder().create().unwrap();
            let mut guard = cortex.write_guard().unwrap();
            for _ in 0..times {
                *guard = black_box(1.5);
                guard.publish().unwrap();
            }
        }
        "rwlock-guard" => {
            let cortex: Cortex<f64, RwLock> = builder().with_default_lock().unwrap();
            for _ in 0..times {
                black_box(*cortex.read_guard().unwrap());
            }
        }
        "read-64k" => {
            let segment: neocortex::Segment = neocortex::Segment::create_random(1 << 16).unwrap();
            let mut buffer = vec![0; 1 << 16];
            (0..times).for_each(|_| segment.read_at(0, black_box(&mut buffer)).unwrap());
        }
        path => repeat_in_c(path, times),
    }
}

/// The same through the C functions.
fn repeat_in_c(path: &str, times: u64) {
    let is_shared = path == "c-rwlock-guard";
    // SAFETY: a handle that is open until the end, buffers of eight bytes.
    unsafe {
        let mut options: capi::neocortex_options = std::mem::zeroed();
        options.struct_size = size_of_val(&options);
        options.flags = capi::NEOCORTEX_RANDOM_KEY;
        if is_shared {
            options.lock = capi::neocortex_lock_rwlock();
        }
        let segment = capi::neocortex_create(0, 8, &options);
        assert!(!segment.is_null());
        let mut value = 1.5_f64;
        let bytes = (&raw mut value).cast::<c_void>();
        match path {
            "c-read" => {
                for _ in 0..times {
                    assert_eq!(capi::neocortex_read(segment, bytes, 8), 0);
                }
            }
            "c-write" => {
                for _ in 0..times {
                    assert_eq!(capi::neocortex_write(segment, bytes, 8), 0);
                }
            }
            "c-publish" => {
                let mut next = std::ptr::null_mut();
                assert_eq!(capi::neocortex_write_begin(segment, &mut next), 0);
                for _ in 0..times {
                    next.cast::<f64>().write_volatile(1.5);
                    assert_eq!(capi::neocortex_write_publish(segment, &mut next), 0);
                }
                assert_eq!(capi::neocortex_write_abort(segment), 0);
            }
            "c-rwlock-guard" => {
                let mut data = std::ptr::null();
                for _ in 0..times {
                    assert_eq!(capi::neocortex_read_begin(segment, &mut data), 0);
                    black_box(data.cast::<f64>().read());
                    assert_eq!(capi::neocortex_read_end(segment), 0);
                }
            }
            path => panic!("no such path: {path}"),
        }
        assert_eq!(capi::neocortex_close(segment), 0);
    }
}

/// All the instructions of a process that goes this path so many times; `None` without valgrind.
fn count(path: &str, times: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().expect("this executable"))
        .args(["repeat", "--exact", "--test-threads=1"])
        .env("NEOCORTEX_TEST_ROLE", "repeat")
        .env("NEOCORTEX_TEST_ARGUMENTS", format!("{path} {times}"))
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{path}: {text}");
    let line = text
        .lines()
        .find_map(|line| line.split("Collected :").nth(1));
    Some(
        line.expect("callgrind's count")
            .trim()
            .parse()
            .expect("a number"),
    )
}

/// Said loudly, for `eprintln` would be captured.
fn not_run(why: &str) {
    use std::io::Write;
    let _ = writeln!(
        std::io::stderr(),
        "NOT RUN: instructions of the fast paths: {why}"
    );
}

fn compiler() -> String {
    let output = Command::new("rustc")
        .arg("--version")
        .output()
        .expect("rustc");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn fast_paths_take_no_more_instructions_than_recorded() {
    let _kernel = Kernel::new();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
    let is_new = std::env::var_os("NEOCORTEX_WRITE_INSTRUCTIONS").is_some();
    let recorded = std::fs::read_to_string(file).unwrap_or_default();
    let compiler = compiler();
    if !is_new && recorded.lines().next() != Some(&*compiler) {
        let why = format!("recorded with another compiler than {compiler}");
        return not_run(&why);
    }
    let mut lines = vec![compiler];
    let mut grown = Vec::new();
    for path in PATHS {
        let (Some(few), Some(many)) = (count(path, FEW), count(path, MANY)) else {
            return not_run("no valgrind");
        };
        let each = (many - few) as f64 / (MANY - FEW) as f64;
        let before = recorded
            .lines()
            .find_map(|line| line.strip_prefix(path)?.trim().parse::<f64>().ok());
        println!("{path}: {each:.1} instructions, recorded {before:?}");
        lines.push(format!("{path} {each:.1}"));
        match before {
            _ if is_new => {}
            Some(before) if each <= before * TOLERANCE => {}
            _ => grown.push(format!("{path}: {each:.1}, recorded {before:?}")),
        }
    }
    if is_new {
        std::fs::write(file, lines.join("\n") + "\n").expect("write the record");
    }
    assert!(
        grown.is_empty(),
        "more instructions than recorded: {grown:?}"
    );
}
