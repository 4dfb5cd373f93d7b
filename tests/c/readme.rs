//! The C and C++ in README compiles and runs as it stands there: in any order, twice, and after `kill -9`. (Its Rust is a
//! documentation test.)

use crate::common::{segment_id, Kernel};
use crate::compile::{assert_succeeded, library, program, root};
use neocortex::{key_of, schema_of, Cortex, CortexBuilder};
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The name that README's programs give the value which they share.
const NAME: &str = "example/reading";

/// The fenced blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let readme = include_str!("../../README.md");
    let fence = format!("```{language}\n");
    readme
        .split(fence.as_str())
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

/// The C or C++ of README's first programs, built. The name that README gives may be in use here: another one of this
/// test's own takes its place.
fn built(folder: &Path, language: &str, name: &str) -> PathBuf {
    let (compiler, standard) = match language {
        "c" => ("cc", "-std=c99"),
        _ => ("c++", "-std=c++17"),
    };
    let [block] = &blocks(language)[..] else {
        panic!("README has one program in {language}");
    };
    assert!(block.contains(NAME), "{block}");
    let source = folder.join(format!("readme.{language}"));
    let program = folder.join(format!("readme_{language}"));
    std::fs::write(&source, block.replace(NAME, name)).expect("a file");
    let mut command = Command::new(compiler);
    command.args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]);
    command.arg(root().join("include")).arg(&source);
    command.arg("-L").arg(library());
    let output = command.args(["-lneocortex", "-o"]).arg(&program).output();
    assert_succeeded(block, &output.expect("a compiler"));
    program
}

/// A program of README that runs. What it prints comes line by line.
struct Running {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(built: &Path) -> Self {
        let mut process = program(built)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let output = process.stdout.take().expect("a pipe");
        let lines = BufReader::new(output).lines();
        Self { process, lines }
    }

    /// The sequence number of the next reading that it prints.
    fn reading(&mut self) -> u64 {
        let line = self.lines.next().expect("a reading").expect("a line");
        let (sequence, _) = line.split_once(": ").expect("a reading");
        sequence.parse().expect("a number")
    }

    fn finish(mut self) {
        let status = self.process.wait().expect("a child");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// README's `Reading`, and how its Rust program opens it.
fn open(name: &str) -> Cortex<[u64; 2]> {
    let text = "reading 1: value f64 in degrees Celsius, sequence u64";
    for language in ["c", "cpp", "rust"] {
        assert!(blocks(language)[0].contains(text), "{language}");
    }
    CortexBuilder::new([20.0_f64.to_bits(), 0])
        .key(name)
        .schema(schema_of(text))
        .create_or_attach()
        .expect("README's cortex")
}

#[test]
fn readme_s_programs_start_in_any_order_and_twice() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let folder = tempfile::tempdir().expect("a folder");
    let [sensor, display] = ["c", "cpp"].map(|language| built(folder.path(), language, &name));
    // Who looks is there first, and waits; then whoever of the others comes first creates it.
    let mut displays = [Running::start(&display), Running::start(&display)];
    let sensors = [Running::start(&sensor), Running::start(&sensor)];
    for display in &mut displays {
        let seen = [display.reading(), display.reading(), display.reading()];
        assert!(seen.is_sorted() && seen[0] < seen[2], "{seen:?}");
    }
    // Rust finds what C made, of one schema.
    let rust = open(&name);
    assert!(!rust.was_created() && rust.read().expect("a value")[1] > 1);
    drop(rust);
    displays.into_iter().for_each(Running::finish);
    sensors.into_iter().for_each(Running::finish);
    assert_eq!(segment_id(key_of(&name).expect("a name")), None);
}

#[test]
fn readme_s_programs_start_again_after_kill_9() {
    let kernel = Kernel::new();
    let name = kernel.name();
    let folder = tempfile::tempdir().expect("a folder");
    let [sensor, display] = ["c", "cpp"].map(|language| built(folder.path(), language, &name));
    let mut first = Running::start(&sensor);
    let mut killed = Running::start(&display);
    let before = killed.reading();
    // Dropping one kills it. First who looks, then the creator.
    drop(killed);
    first.process.kill().expect("the creator");
    drop(first);
    // What it left is still there, with its last value.
    let rust = open(&name);
    assert!(!rust.was_created() && !rust.is_owner());
    assert!(rust.read().expect("a value")[1] >= before);
    drop(rust);
    let mut display = Running::start(&display);
    let again = display.reading();
    assert!(again >= before, "{again}, {before}");
    let sensor = Running::start(&sensor);
    assert!(display.reading() > again);
    assert!(display.reading() > again + 1);
    display.finish();
    sensor.finish();
    open(&name).take_ownership().expect("nobody owns it");
    assert_eq!(segment_id(key_of(&name).expect("a name")), None);
}
