//! `include/neocortex.h` is what cbindgen makes of `src/capi`, and compiles alone everywhere. `include/neocortex.hpp` says in
//! one line where it cannot be used, survives the macros of other headers, and refuses what must not be shared.
//!
//! `NEOCORTEX_WRITE_HEADER=1 cargo test --test header header_is_fresh` writes it anew.

#![cfg(not(neocortex_lean))]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn generate() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml");
    let bindings = cbindgen::Builder::new()
        .with_crate(root())
        .with_config(config)
        .generate()
        .expect("cbindgen understands src/capi");
    let mut header = Vec::new();
    bindings.write(&mut header);
    String::from_utf8(header).expect("a header is text")
}

#[test]
fn header_is_fresh() {
    let path = root().join("include/neocortex.h");
    let header = generate();
    if std::env::var_os("NEOCORTEX_WRITE_HEADER").is_some() {
        std::fs::write(&path, &header).expect("write the header");
    }
    let committed = std::fs::read_to_string(&path).expect("include/neocortex.h");
    assert!(
        header == committed,
        "include/neocortex.h is stale: NEOCORTEX_WRITE_HEADER=1 cargo test --test header header_is_fresh"
    );
}

#[test]
fn header_names_the_crate_version() {
    let header = std::fs::read_to_string(root().join("include/neocortex.h")).unwrap();
    for (name, value) in [
        ("MAJOR", env!("CARGO_PKG_VERSION_MAJOR")),
        ("MINOR", env!("CARGO_PKG_VERSION_MINOR")),
        ("PATCH", env!("CARGO_PKG_VERSION_PATCH")),
    ] {
        assert!(
            header.contains(&format!("#define NEOCORTEX_VERSION_{name} {value}\n")),
            "{name}"
        );
    }
}

/// Where a built-in lock stands besides the table in `src/locks/built_in.rs`, and how. CONTRIBUTING.md has the same list.
const PLACES_OF_A_LOCK: [(&str, &str); 6] = [
    ("include/neocortex.h", " *FUNCTION(void);"),
    ("include/neocortex.hpp", "return FUNCTION();"),
    ("abi/promised.c", "FUNCTION(FUNCTION, "),
    ("debian/libneocortex4.symbols", " FUNCTION@Base "),
    ("tests/c/check.h", "    FUNCTION,\n"),
    ("docs/guide/locks.md", "](crate::TYPE)"),
];

#[test]
fn every_built_in_lock_stands_wherever_the_locks_are_listed() {
    macro_rules! check {
        ($($lock:ident $name:literal $function:ident [$($condition:meta)?])*) => {
            [$((stringify!($lock), stringify!($function))),*]
        };
    }
    let locks = neocortex::built_in_locks!([check]);
    let text = |file: &str| std::fs::read_to_string(root().join(file)).expect(file);
    for (file, pattern) in PLACES_OF_A_LOCK {
        let found = text(file);
        for (lock, function) in locks {
            // The macro FUNCTION of abi/promised.c stands before what is replaced.
            let wanted = match pattern.strip_prefix("FUNCTION(") {
                Some(rest) => format!("FUNCTION({}", rest.replace("FUNCTION", function)),
                None => pattern.replace("FUNCTION", function).replace("TYPE", lock),
            };
            assert!(found.contains(&wanted), "{file}: no `{wanted}`");
        }
        assert!(
            text("CONTRIBUTING.md").contains(file),
            "CONTRIBUTING.md: no {file}"
        );
    }
    let declared = text("include/neocortex.h")
        .matches("const struct neocortex_lock_ops *neocortex_lock_")
        .count();
    assert_eq!(declared, locks.len(), "functions that return a lock");
}

fn compiles(compiler: &str, standard: &str, source: &Path) {
    let text = refusals(compiler, standard, &[], source);
    assert!(text.is_empty(), "{compiler} -std={standard}:\n{text}");
}

/// What the compiler says; nothing where it compiles without a warning.
fn refusals(compiler: &str, standard: &str, arguments: &[&str], source: &Path) -> String {
    let output = Command::new(compiler)
        .arg(format!("-std={standard}"))
        .args([
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-fsyntax-only",
            "-I",
        ])
        .arg(root().join("include"))
        .args(arguments)
        .arg(source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler} (see CONTRIBUTING.md for packages): {error}"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.success(),
        text.is_empty(),
        "{compiler} -std={standard}:\n{text}"
    );
    text
}

/// Includes the header alone and twice, and uses the initialiser.
const PROGRAM: &str = "#include \"neocortex.h\"\n#include \"neocortex.h\"\n\
    neocortex_options options(void);\n\
    neocortex_options options(void) { neocortex_options o = NEOCORTEX_OPTIONS_INIT; return o; }\n";

#[test]
fn header_compiles_alone_in_every_standard() {
    let directory = tempfile::tempdir().unwrap();
    let c = directory.path().join("alone.c");
    let cpp = directory.path().join("alone.cpp");
    std::fs::write(&c, PROGRAM).unwrap();
    std::fs::write(&cpp, PROGRAM).unwrap();
    for standard in ["c99", "c11"] {
        compiles("gcc", standard, &c);
        compiles("clang", standard, &c);
    }
    for standard in ["c++11", "c++17"] {
        compiles("g++", standard, &cpp);
        compiles("clang++", standard, &cpp);
    }
}

const CPP_COMPILERS: [&str; 2] = ["g++", "clang++"];

/// The same with a C++ program.
fn cpp_refusals(compiler: &str, standard: &str, arguments: &[&str], program: &str) -> String {
    let directory = tempfile::tempdir().expect("a folder");
    let source = directory.path().join("program.cpp");
    std::fs::write(&source, program).expect("a file");
    refusals(compiler, standard, arguments, &source)
}

#[test]
fn cpp_layer_says_in_one_line_where_it_cannot_be_used() {
    let program = "#include <neocortex.hpp>\nint main() {}\n";
    for compiler in CPP_COMPILERS {
        for (standard, arguments, words) in [
            ("c++14", &[][..], "needs C++17"),
            ("c++11", &["-fno-exceptions"][..], "needs C++17"),
            ("c++17", &["-fno-exceptions"][..], "throws exceptions"),
        ] {
            let text = cpp_refusals(compiler, standard, arguments, program);
            let errors: Vec<_> = text.lines().filter(|line| line.contains("error")).collect();
            // The line of the compiler, and the source line that it shows.
            let told = errors.iter().filter(|line| line.contains(" error: "));
            assert_eq!(told.count(), 1, "{compiler} -std={standard}:\n{text}");
            assert!(
                errors[0].contains(words),
                "{compiler} -std={standard}:\n{text}"
            );
        }
        for standard in ["c++17", "c++20"] {
            let text = cpp_refusals(compiler, standard, &[], program);
            assert!(text.is_empty(), "{compiler} -std={standard}:\n{text}");
        }
    }
}

/// The names that the C++ layer declares or calls: what a macro with an argument could take for its own. Not those that
/// nobody else has: with a capital letter or an underscore at the end, and the functions of the C interface.
fn called_names(header: &str) -> std::collections::BTreeSet<String> {
    const LANGUAGE: &[&str] = &[
        "alignas",
        "alignof",
        "assert",
        "bool",
        "catch",
        "char",
        "constexpr",
        "decltype",
        "defined",
        "explicit",
        "for",
        "if",
        "int",
        "noexcept",
        "operator",
        "return",
        "sizeof",
        "static_assert",
        "switch",
        "throw",
        "void",
        "volatile",
        "while",
    ];
    let lines = header.lines().map(|line| {
        let code = line.split("//").next().unwrap_or_default();
        let is_directive = code.trim_start().starts_with('#') && !code.contains("define");
        let text = code.split('"').step_by(2).collect::<String>();
        if is_directive {
            String::new()
        } else {
            text
        }
    });
    let code = lines.collect::<Vec<_>>().join("\n");
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    code.match_indices('(')
        .map(|(at, _)| code[..at].trim_end())
        .map(|before| {
            before
                .rsplit(|letter| !is_word(letter))
                .next()
                .unwrap_or_default()
        })
        .filter(|name| name.starts_with(|letter: char| letter.is_ascii_lowercase()))
        .filter(|name| !name.ends_with('_') && !name.starts_with("neocortex_"))
        .filter(|name| !LANGUAGE.contains(name))
        .map(str::to_owned)
        .collect()
}

#[test]
fn cpp_layer_survives_the_macros_of_other_headers() {
    let header = std::fs::read_to_string(root().join("include/neocortex.hpp")).expect("the layer");
    let names = called_names(&header);
    assert!(names.contains("timeout") && names.len() > 100, "{names:?}");
    // What the layer includes comes first: the macros are meant for the layer alone.
    let mut program = String::from("#include <neocortex.h>\n");
    for line in header.lines().filter(|line| line.starts_with("#include <")) {
        if line != "#include <span>" {
            program += &format!("{line}\n");
        }
    }
    for name in &names {
        program += &format!("#define {name}(x) a macro of another header\n");
    }
    program += "#include <neocortex.hpp>\n";
    for name in &names {
        // They are whose they were.
        program += &format!("#ifndef {name}\n#error \"{name} is gone\"\n#endif\n#undef {name}\n");
    }
    program += "int main() {\n\
        auto shared = neocortex::cortex<int>::create(5, 1);\n\
        return shared.write_for(2, neocortex::timeout::never()) ? shared.read() : 0;\n}\n";
    for compiler in CPP_COMPILERS {
        let text = cpp_refusals(compiler, "c++17", &[], &program);
        assert!(text.is_empty(), "{compiler}:\n{text}");
    }
}

/// What can be shared from C++, each a type called `shared`.
const SHARED: &[&str] = &[
    "using shared = double;",
    "enum class shared : std::uint8_t { on, off };",
    "using shared = std::array<std::array<float, 3>, 3>;",
    "struct shared { double x, y; std::uint64_t tag; };",
    "struct point { float x[3]; }; struct shared { point places[4]; std::uint32_t unused; };",
    "struct shared { char kind; std::uint8_t unused[7] = {}; double value; };",
    "struct shared { unsigned char pixels[6000000]; double times[100000]; };",
    "struct shared { std::chrono::nanoseconds at; std::array<double, 3> place; };",
    "struct shared { unsigned left : 12, right : 20; };",
    "struct shared { union { std::int32_t number; std::uint32_t bits; }; std::int32_t kind; };",
    "class shared { public: explicit shared(int start) : value(start) {} int value; };",
    "struct base { float x; }; struct shared : base { float y; };\n\
        template <> struct neocortex::is_plain<shared> : std::true_type {};",
    "struct alignas(4096) shared { unsigned char page[4096]; };",
];

/// What cannot, and a part of what the compiler then says.
const REFUSED: &[(&str, &str)] = &[
    ("struct shared { char kind; double value; };", "has padding"),
    ("struct shared { std::int64_t number; std::int32_t rest; };", "has padding"),
    ("struct shared { double value; float rest; };", "has padding"),
    ("struct alignas(64) shared { std::uint32_t number; };", "has padding"),
    ("struct part { char kind; int value; }; struct shared { part parts[2]; double x; };", "has padding"),
    ("struct base { float x; }; struct shared : base { float y; };", "is_plain<T> : std::true_type"),
    ("using shared = long double;", "has padding"),
    ("using shared = std::optional<int>;", "has padding"),
    ("using shared = const char *;", "leads nowhere in another process"),
    ("struct shared { char *text; std::size_t length; };", "leads nowhere in another process"),
    ("struct shared { double value; const int *where; };", "leads nowhere in another process"),
    ("struct part { void (*call)(); }; struct shared { part parts[3]; };", "leads nowhere in another process"),
    ("struct shared { std::string_view name; };", "leads nowhere in another process"),
    ("struct shared { std::array<int *, 2> places; };", "leads nowhere in another process"),
    ("struct part; struct shared { int part::*member; };", "leads nowhere in another process"),
    ("struct shared { int &value; };", "has a reference or a constant"),
    ("struct shared { unsigned few : 3; float value; };", "bit-field"),
    ("struct shared { int value; };\ntemplate <> struct neocortex::is_plain<shared> : std::false_type {};",
        "says that T cannot be shared"),
    ("struct shared { ~shared() {} int value; };", "must be trivially copyable"),
    ("struct alignas(8192) shared { unsigned char page[8192]; };", "4096 bytes at most"),
];

/// What update() is given, of which the first ones change the value, and the others a copy of it or nothing.
const CHANGES: &[&str] = &[
    "c.update([](P &p) { p.x = 1; })",
    "c.update([](auto &p) { p.x = 1; })",
    "c.update([](auto &&p) { p.x = 1; })",
    "(void)c.update([](P &p) mutable noexcept { p.x = 1; return 1; })",
    "c.update(change); c.update(&change); c.update(&P::reset)",
    "std::function<void(P &)> f = change; c.update(f)",
    "c.update(std::bind([](P &p) { p.x = 1; }, std::placeholders::_1))",
    "struct both { void operator()(P &) {} void operator()(int) {} }; c.update(both{})",
    "(void)c.update_for(neocortex::timeout::never(), [](P &p) { return p.x; })",
];
const CHANGES_NOTHING: &[&str] = &[
    "c.update([](P p) { p.x = 1; })",
    "c.update([](auto p) { p.x = 1; })",
    "c.update([](const P &p) { (void)p; })",
    "c.update([](const auto &p) { (void)p; })",
    "std::function<void(P)> f; c.update(f)",
    "void (*f)(P) noexcept = nullptr; c.update(f)",
    "(void)c.update_for(neocortex::timeout::never(), [](P p) { p.x = 1; })",
    "(void)c.update_for(neocortex::timeout::never(), [](auto p) { return p.x; })",
];

#[test]
fn cpp_update_is_given_what_changes_the_value() {
    let program = |calls: &[&str]| {
        let calls: String = calls
            .iter()
            .map(|call| format!("  {{ {call}; }}\n"))
            .collect();
        format!(
            "#include <functional>\n#include <neocortex.hpp>\n\
             struct P {{ double x; void reset() {{ x = 0; }} }};\n\
             inline void change(P &p) {{ p.x = 1; }}\n\
             void all(neocortex::cortex<P> &c) {{\n{calls}}}\n"
        )
    };
    for compiler in CPP_COMPILERS {
        let text = cpp_refusals(
            compiler,
            "c++17",
            &["-Wshadow", "-Wconversion"],
            &program(CHANGES),
        );
        assert!(text.is_empty(), "{compiler}:\n{text}");
        for call in CHANGES_NOTHING {
            let text = cpp_refusals(compiler, "c++17", &[], &program(&[call]));
            assert!(
                text.contains("must take a `T &`"),
                "{compiler}: {call}\n{text}"
            );
            // Beside it, warnings about such a call.
            let ours = text.lines().filter(|line| line.contains("error: static"));
            assert_eq!(ours.count(), 1, "{compiler}: {call}\n{text}");
        }
    }
}

/// A program that shares it.
fn sharing(declaration: &str) -> String {
    format!(
        "#include <neocortex.hpp>\n{declaration}\n\
         void write_shared(const shared &value) {{ neocortex::cortex<shared>::attach(5).write(value); }}\n\
         shared look_at_shared() {{ return neocortex::observer<shared>::attach(5).read(); }}\n"
    )
}

#[test]
fn cpp_layer_shares_what_is_plain_and_nothing_else() {
    let warnings = ["-Wshadow", "-Wconversion"];
    for compiler in CPP_COMPILERS {
        // All in one, each with names of its own.
        let all = SHARED.iter().enumerate().map(|(number, declaration)| {
            let program = sharing(declaration);
            ["shared", "point", "base"]
                .iter()
                .fold(program, |text, name| {
                    text.replace(name, &format!("{name}_{number}"))
                })
        });
        let program = all.collect::<String>();
        let text = cpp_refusals(compiler, "c++17", &warnings, &program);
        assert!(text.is_empty(), "{compiler}:\n{text}");
        for (declaration, words) in REFUSED {
            let text = cpp_refusals(compiler, "c++17", &[], &sharing(declaration));
            assert!(text.contains(words), "{compiler}: {declaration}\n{text}");
        }
        // One thing is said, and not all that follows from it.
        for text in [
            "std::string text;",
            "double x; std::vector<int> list;",
            "virtual ~shared() {} int x;",
        ] {
            let declaration =
                format!("#include <string>\n#include <vector>\nstruct shared {{ {text} }};");
            let text = cpp_refusals(compiler, "c++17", &[], &sharing(&declaration));
            assert_eq!(
                text.matches("error:").count(),
                1,
                "{compiler}: {declaration}\n{text}"
            );
            assert!(
                text.contains("must be trivially copyable") && text.contains("cortex of records"),
                "{text}"
            );
        }
        let span = "#include <span>\nstruct shared { std::span<double> values; };";
        let text = cpp_refusals(compiler, "c++20", &[], &sharing(span));
        assert!(
            text.contains("leads nowhere in another process"),
            "{compiler}: {span}\n{text}"
        );
    }
}
