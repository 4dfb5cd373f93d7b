//! Compiling the C and C++ programs of this repository against the library as it is now.

#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The folder with `libneocortex.so`, built now: `cargo test` leaves it nowhere that one can rely on.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        // Of its own, so that it is never one that cargo links anew under a running test.
        let target = root().join("target/c-programs");
        let build = escargot::CargoBuild::new()
            .manifest_path(root().join("Cargo.toml"))
            .target_dir(target)
            .exec()
            .expect("cargo build");
        let mut found = None;
        for message in build {
            let message = message.expect("cargo's JSON");
            if let Ok(escargot::format::Message::CompilerArtifact(artifact)) = message.decode() {
                let names = artifact.filenames.iter().map(|name| name.to_path_buf());
                found = found.or(names.into_iter().find(|name| {
                    let name = name.file_name().unwrap_or_default().to_string_lossy();
                    name == "libneocortex.so" || name == "libneocortex.dylib"
                }));
            }
        }
        let library = found.expect("cargo names the shared library it built");
        library
            .parent()
            .expect("a file lies in a folder")
            .to_path_buf()
    })
}

/// Builds a folder of programs with its Makefile, once for this run.
pub fn build(folder: &str) -> PathBuf {
    build_target(folder, "all")
}

/// Builds one target of a folder's Makefile.
pub fn build_target(folder: &str, target: &str) -> PathBuf {
    let built = root().join("target/c-programs").join(folder);
    let output = Command::new("make")
        .current_dir(root().join(folder))
        .arg(target)
        .arg(format!("BUILD={}", built.display()))
        .arg(format!("NEOCORTEX_LIB_DIR={}", library().display()))
        .output()
        .expect("make (see CONTRIBUTING.md for packages)");
    assert_succeeded("make", &output);
    built
}

pub fn assert_succeeded(what: &str, output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{what}: {}\n{text}\n{errors}",
        output.status
    );
}

/// A program that finds the library just built: `cargo test` puts folders with older ones on the
/// library path, which goes before the programs' own.
pub fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    for variable in [
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "DYLD_FALLBACK_LIBRARY_PATH",
    ] {
        command.env(variable, library());
    }
    command
}
