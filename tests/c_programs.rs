//! The C and C++ tests in `tests/c`: compiled without a warning by a C99 and a C++17 compiler, linked to the
//! library as it is now, and run.

#![cfg(not(neocortex_lean))]

mod c_build;

use c_build::{assert_succeeded, build, program};
use std::path::PathBuf;
use std::sync::OnceLock;

fn run_test(name: &str) {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| build("tests/c"));
    let output = program(&folder.join(name))
        .output()
        .expect("a program that was just built");
    assert_succeeded(name, &output);
    let said = format!("ok {name}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.lines().any(|line| line == said),
        "{name} did not say `{said}`:\n{text}"
    );
}

macro_rules! c_tests {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            run_test(stringify!($name));
        }
    )*};
}

c_tests!(api cpp_layer custom_lock endings fork guards inplace kill log readonly statics wait);
