//! What must not compile, does not; and its twin, which differs in the forbidden thing alone, does.
//!
//! One crate is made of all cases, each a program of its own, and checked once; the compiler says
//! for each program with which error codes it failed.

use std::path::Path;
use std::process::Command;

struct Case {
    name: &'static str,
    /// A program with `$` where the two differ.
    program: &'static str,
    /// What stands there, and must compile.
    good: &'static str,
    /// What stands there, and must not.
    bad: &'static str,
    /// The error that this must be; `null` for one of lifetimes, which have no code.
    code: &'static str,
    /// What the compiler must say.
    says: &'static [&'static str],
}

/// A program that creates, attaches, reads and writes a `$`.
const VALUE: &str = "
    use neocortex::{Cortex, CortexBuilder, CortexResult, Observer};
    use std::rc::Rc;
    use std::sync::Mutex;
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Padded { small: u8, large: u64 }
    #[derive(Clone, Copy, bytemuck::NoUninit, bytemuck::CheckedBitPattern)]
    #[repr(C)]
    struct Plain { small: u64, large: u64 }
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Bare { small: u64, large: u64 }
    #[derive(Clone, Copy, neocortex::Shared)]
    #[repr(u8)]
    enum Kind { One, Two }
    #[derive(Clone, Copy, neocortex::Shared)]
    #[repr(C)]
    struct Kinds { all: [[Kind; 4]; 2] }
    fn create(value: $) -> CortexResult<Cortex<$>> {
        let cortex = CortexBuilder::new(value).key(5).create()?;
        Observer::<$>::attach(5)?.read()?;
        Cortex::<$>::attach(5)?.write(cortex.read()?)?;
        Ok(cortex)
    }
    fn main() { let _ = create; }
";

const CASES: &[Case] = &[
    Case { name: "string", program: VALUE, good: "u64", bad: "String", code: "E0277", says: &["`String` cannot be shared between processes", "means nothing in another process"] },
    Case { name: "vec", program: VALUE, good: "[u64; 4]", bad: "Vec<u64>", code: "E0277", says: &[] },
    Case { name: "str", program: VALUE, good: "[u8; 5]", bad: "&'static str", code: "E0277", says: &[] },
    Case { name: "reference", program: VALUE, good: "bool", bad: "&'static bool", code: "E0277", says: &[] },
    Case { name: "padded", program: VALUE, good: "Plain", bad: "Padded", code: "E0277", says: &["`Padded` cannot be shared between processes", "with its gaps as fields"] },
    Case { name: "rc", program: VALUE, good: "char", bad: "Rc<char>", code: "E0277", says: &[] },
    Case { name: "rc_inside", program: VALUE, good: "[u8; 2]", bad: "[Rc<u8>; 2]", code: "E0277", says: &[] },
    Case { name: "boxed", program: VALUE, good: "i128", bad: "Box<i128>", code: "E0277", says: &[] },
    Case { name: "option", program: VALUE, good: "u32", bad: "Option<u32>", code: "E0277", says: &["`Option<u32>` cannot be shared between processes", "a structure with a `bool` beside the value"] },
    Case { name: "pointer", program: VALUE, good: "usize", bad: "*const u8", code: "E0277", says: &[] },
    Case { name: "function", program: VALUE, good: "isize", bad: "fn()", code: "E0277", says: &[] },
    Case { name: "tuple", program: VALUE, good: "[u8; 16]", bad: "(u8, u64)", code: "E0277", says: &["`(u8, u64)` cannot be shared between processes", "a tuple: a structure"] },
    Case { name: "mutex", program: VALUE, good: "f64", bad: "Mutex<f64>", code: "E0277", says: &[] },
    Case {
        name: "enums",
        program: VALUE,
        good: "Kinds",
        bad: "[Kind; 4]",
        code: "E0277",
        says: &["`[Kind; 4]` cannot be shared between processes", "make it the field of a structure that derives `Shared`"],
    },
    Case { name: "no_derive", program: VALUE, good: "Kind", bad: "Bare", code: "E0277", says: &["`Bare` cannot be shared between processes", "derive(Clone, Copy, neocortex::Shared)"] },
    Case {
        name: "observed",
        program: "fn main() { let _ = neocortex::Observer::<$>::attach(5); }",
        good: "u64",
        bad: "String",
        code: "E0277",
        says: &["`String` cannot be read from a cortex"],
    },
    Case {
        name: "attached",
        program: "fn main() { let _ = neocortex::Cortex::<$>::attach(5); }",
        good: "u64",
        bad: "Vec<u8>",
        code: "E0277",
        says: &["`Vec<u8>` cannot be shared between processes"],
    },
    Case {
        name: "field",
        program: "#[derive(Clone, Copy, neocortex::Shared)] #[repr(C)] struct Named { name: $ } fn main() {}",
        good: "[u8; 16]",
        bad: "&'static str",
        code: "null",
        says: &["the field `name` cannot be shared between processes"],
    },
    // The derive says what a guard may show.
    Case {
        name: "derived_guard",
        program: "
            #[derive(Clone, Copy, neocortex::Shared)]
            #[repr(C)]
            struct Derived { first: u8, second: $ }
            fn main() {
                let cortex = neocortex::CortexBuilder::new(Derived { first: 0, second: Default::default() }).key(5).create().unwrap();
                let _ = cortex.write_guard();
            }",
        good: "[[i8; 2]; 3]",
        bad: "bool",
        code: "E0277",
        says: &["a guard cannot show `Derived`"],
    },
    Case {
        name: "derived_zeros",
        program: "
            #[derive(Clone, Copy, neocortex::Shared)]
            #[repr(u8)]
            enum Kind { One = 1 }
            #[derive(Clone, Copy, neocortex::Shared)]
            #[repr(C)]
            struct Derived { first: u8, second: $ }
            fn main() { let _ = neocortex::CortexBuilder::<Derived>::zeroed(); }",
        good: "bool",
        bad: "Kind",
        code: "E0277",
        says: &[],
    },
    Case {
        name: "no_key",
        program: "fn main() { let _ = neocortex::CortexBuilder::new(1.0)$.create(); }",
        good: ".key(5)",
        bad: "",
        code: "E0277", says: &["the builder has no key yet", ".random_key()"],
    },
    Case {
        name: "force_random",
        program: "fn main() { let _ = neocortex::CortexBuilder::new(1.0).$.force_ownership(); }",
        good: "key(5)",
        bad: "random_key()",
        code: "E0599", says: &[],
    },
    // A guard ends on the thread that began it.
    Case {
        name: "send_write_guard",
        program: "
            fn send<T: Send>(_: T) {}
            fn main() {
                let cortex = neocortex::CortexBuilder::new(1.0).key(5).create().unwrap();
                send($cortex.write_guard().unwrap());
            }",
        good: "*",
        bad: "",
        code: "E0277", says: &[],
    },
    Case {
        name: "send_read_guard",
        program: "
            fn send<T: Send>(_: T) {}
            fn main() {
                let cortex: neocortex::Segment = neocortex::Segment::attach(5, 0).unwrap();
                send(cortex.read_guard().unwrap()$);
            }",
        good: ".to_vec()",
        bad: "",
        code: "E0277", says: &[],
    },
    // A guard does not outlive its cortex.
    Case {
        name: "outlive",
        program: "
            fn main() {
                let cortex = neocortex::CortexBuilder::new(1.0).key(5).create().unwrap();
                let mut guard = cortex.write_guard().unwrap();
                let value: &mut f64 = &mut guard;
                $
                *value = 2.0;
            }",
        good: "",
        bad: "drop(cortex);",
        code: "E0505", says: &[],
    },
    Case {
        name: "outlive_guard",
        program: "
            fn main() {
                let cortex = neocortex::CortexBuilder::new(1.0).key(5).create().unwrap();
                let mut guard = cortex.write_guard().unwrap();
                let value: &mut f64 = &mut guard;
                $
                *value = 2.0;
            }",
        good: "",
        bad: "let _ = guard.commit();",
        code: "E0505", says: &[],
    },
    Case {
        name: "return_guard",
        program: "
            fn begin(cortex: $neocortex::Cortex<u8>) -> neocortex::CortexResult<neocortex::ReadGuard<'_, u8, neocortex::SeqLock>> {
                cortex.read_guard()
            }
            fn main() { let _ = begin; }",
        good: "&",
        bad: "",
        code: "E0106", says: &[],
    },
    Case {
        name: "close_while_held",
        program: "
            fn main() {
                let cortex = neocortex::CortexBuilder::new(1.0).key(5).create().unwrap();
                let guard = cortex.read_guard().unwrap();
                $
                let _ = *guard;
            }",
        good: "",
        bad: "let _ = cortex.close();",
        code: "E0505", says: &[],
    },
    // What has bytes that are no value is not shown without a check.
    Case {
        name: "unchecked_guard",
        program: "
            fn main() {
                let cortex = neocortex::CortexBuilder::new($).key(5).create().unwrap();
                let _ = cortex.read_guard();
            }",
        good: "1_u8",
        bad: "true",
        code: "E0277", says: &["a guard cannot show `bool`"],
    },
    Case {
        name: "write_through_read_guard",
        program: "
            fn main() {
                let cortex = neocortex::CortexBuilder::new(1.0).key(5).create().unwrap();
                let mut guard = cortex.$_guard().unwrap();
                *guard = 2.0;
            }",
        good: "write",
        bad: "read",
        code: "E0594", says: &[],
    },
    // A lock's promise is made by hand.
    Case {
        name: "safe_lock",
        program: "
            use neocortex::*;
            struct Mine;
            $ impl CortexSync for Mine {
                type Settings = ();
                const NAME: &'static str = \"mine\";
                fn new(_: LockSite<'_>, _: Option<&()>) -> CortexResult<Self> { Ok(Self) }
                fn attach(_: LockSite<'_>) -> CortexResult<Self> { Ok(Self) }
                unsafe fn read_lock(&self, _: Wait) -> CortexResult<()> { Ok(()) }
                unsafe fn write_lock(&self, _: Wait) -> CortexResult<()> { Ok(()) }
                unsafe fn release(&self, _: Access) -> CortexResult<()> { Ok(()) }
                fn force_ownership(&mut self) {}
            }
            fn main() {}",
        good: "unsafe",
        bad: "",
        code: "E0200", says: &[],
    },
    // To take, release or settle a lock is unsafe, with every lock and through every handle.
    Case { name: "take_to_write", program: LOCK, good: "unsafe { lock.write_lock(Wait::Never) }.unwrap()", bad: "lock.write_lock(Wait::Never).unwrap()", code: "E0133", says: &[] },
    Case { name: "take_to_read", program: LOCK, good: "unsafe { lock.read_lock(Wait::Never) }.unwrap()", bad: "lock.read_lock(Wait::Never).unwrap()", code: "E0133", says: &[] },
    Case { name: "release", program: LOCK, good: "unsafe { lock.release(Access::Write) }.unwrap()", bad: "lock.release(Access::Write).unwrap()", code: "E0133", says: &[] },
    Case { name: "settle", program: LOCK, good: "unsafe { RwLock::settle(NonNull::<u64>::dangling().cast(), 0) }", bad: "RwLock::settle(NonNull::<u64>::dangling().cast(), 0)", code: "E0133", says: &[] },
    // What the crate alone calls is not to be called, even in unsafe code: there is no argument for it.
    Case { name: "read_fast", program: LOCK, good: "let _ = lock", bad: "unsafe { lock.try_read_fast(u32::MAX) }", code: "E0061", says: &[] },
    Case { name: "write_fast", program: LOCK, good: "let _ = lock", bad: "unsafe { lock.try_write_fast(u32::MAX, ()) }", code: "E0308", says: &[] },
    Case { name: "release_read", program: LOCK, good: "let _ = lock", bad: "unsafe { lock.release_read(7) }", code: "E0061", says: &[] },
    Case { name: "optimistic", program: LOCK, good: "let _ = lock", bad: "let _ = lock.is_optimistic()", code: "E0061", says: &[] },
    Case { name: "seal", program: LOCK, good: "let _ = lock", bad: "let _: neocortex::sync::sealed::Seal", code: "E0433", says: &[] },
    // Nor to be replaced by a lock of another crate.
    Case { name: "own_fast_path", program: OWN_LOCK, good: "", bad: "unsafe fn try_write_fast(&self, _: u32, _: ()) -> bool { true }", code: "E0053", says: &[] },
    Case { name: "own_any_path", program: OWN_LOCK, good: "", bad: "unsafe fn try_read_fast<S>(&self, _: u32, _: S) -> bool { true }", code: "E0049", says: &[] },
    Case { name: "own_fence", program: OWN_LOCK, good: "", bad: "const RELEASE_IS_FENCE: bool = true;", code: "E0326", says: &[] },
    Case { name: "own_disown", program: OWN_LOCK, good: "", bad: "fn disown(&mut self) {}", code: "E0050", says: &[] },
    // A lock's place in a segment comes from the segment alone, and a segment's lock stays there.
    Case { name: "forge_site", program: "
            fn keep(site: neocortex::LockSite<'_>) { let neocortex::LockSite { $ } = site; }
            fn main() { let _ = keep; }", good: "..", bad: "attachment, ..", code: "E0451", says: &[] },
    Case { name: "keep_site", program: "
            fn keep<'a>(site: neocortex::LockSite<'a>) -> neocortex::LockSite<'$> { site }
            fn main() { let _ = keep; }", good: "a", bad: "static", code: "null", says: &[] },
    Case { name: "lock_exclusively", program: "
            use neocortex::{Segment, SeqLock};
            fn main() {
                let segment: Segment = Segment::attach(5, 0).unwrap();
                let _: &$ SeqLock = segment.lock();
            }", good: "", bad: "mut", code: "E0308", says: &[] },
    // A guard is one: it cannot be doubled, nor shared with a thread that could see it end.
    Case { name: "clone_read_guard", program: GUARD, good: "let _ = guard.clone()", bad: "drop(cortex.read_guard().unwrap().clone().end())", code: "E0599", says: &[] },
    Case { name: "share_read_guard", program: GUARD, good: "share(&*guard)", bad: "share(&guard)", code: "E0277", says: &[] },
    Case { name: "share_write_guard", program: GUARD, good: "share(&*cortex.write_guard().unwrap())", bad: "share(&cortex.write_guard().unwrap())", code: "E0277", says: &[] },
    Case { name: "commit_twice", program: GUARD, good: "let next = cortex.write_guard().unwrap(); next.commit().unwrap()", bad: "let next = cortex.write_guard().unwrap(); next.commit().unwrap(); next.commit().unwrap()", code: "E0382", says: &[] },
    // What a guard shows is plain data, of a type that this crate can vouch for.
    Case { name: "own_payload", program: "$ fn main() {}", good: "", bad: "struct Mine; unsafe impl neocortex::segment::payload::Payload for Mine {}", code: "E0603", says: &[] },
];

/// A program that shares a structure with a `$` in it, and uses it.
const FIELD: &str = "
    use neocortex::{Cortex, CortexBuilder, CortexResult, Shared};
    #[derive(Clone, Copy)]
    struct Own(u64);
    #[derive(Clone, Copy, Shared)]
    #[repr(C)]
    struct Named { number: u64, field: $ }
    fn create(value: Named) -> CortexResult<Named> {
        let cortex = CortexBuilder::new(value).key(5).create_or_attach()?;
        cortex.update(|_| {})?;
        Cortex::<Named>::attach(5)?.read()
    }
    fn main() { let _ = (create, Own(1)); }
";

/// A program that derives `$`.
const DERIVED: &str = "
    use neocortex::{CortexBuilder, CortexResult, Shared};
    $
    fn create(value: fn() -> Named) -> CortexResult<()> {
        CortexBuilder::new(value()).key(5).create()?.write(value())
    }
    fn main() { let _ = create; }
";

/// What the first error of a derive says, of programs that fail for nothing else; and how long all errors are together.
struct Derive {
    name: &'static str,
    program: &'static str,
    bad: &'static str,
    /// What each of the first errors says.
    first: &'static [&'static str],
    /// How many lines the compiler may say in all: what one sees without scrolling back.
    lines: usize,
}

const DERIVES: &[Derive] = &[
    Derive { name: "field_string", program: FIELD, bad: "String", first: &["the field `field` cannot be shared between processes: a `String` holds a pointer"], lines: 24 },
    Derive { name: "field_vec", program: FIELD, bad: "std::vec::Vec<u8>", first: &["the field `field` cannot be shared between processes: a `Vec` holds a pointer"], lines: 24 },
    Derive { name: "field_box", program: FIELD, bad: "[Box<u8>; 4]", first: &["the field `field` cannot be shared between processes: a `Box` holds a pointer"], lines: 24 },
    Derive { name: "field_option", program: FIELD, bad: "Option<u64>", first: &["the field `field` cannot be shared between processes: the compiler decides how an `Option` lies in memory. Take a `bool`"], lines: 12 },
    Derive { name: "field_tuple", program: FIELD, bad: "(u32, u32)", first: &["the field `field` cannot be shared between processes: nothing says how a tuple lies in memory"], lines: 12 },
    Derive { name: "field_tuples", program: FIELD, bad: "[(u32, u32); 3]", first: &["the field `field` cannot be shared between processes: nothing says how a tuple lies in memory"], lines: 12 },
    Derive { name: "field_reference", program: FIELD, bad: "&'static str", first: &["the field `field` cannot be shared between processes: a reference or a pointer means nothing"], lines: 12 },
    Derive { name: "field_function", program: FIELD, bad: "fn()", first: &["the field `field` cannot be shared between processes: a function has another address"], lines: 12 },
    // Of one's own types the traits decide, and the uses of the structure are errors too.
    Derive { name: "field_own", program: FIELD, bad: "Own", first: &["`Own` cannot be shared between processes"], lines: 130 },
    Derive { name: "field_option_own", program: FIELD, bad: "Option<Own>", first: &["`Option<Own>` cannot be shared between processes"], lines: 130 },
    Derive {
        name: "field_two",
        program: DERIVED,
        bad: "#[derive(Clone, Copy, Shared)] #[repr(C)] struct Named { first: Option<bool>, second: (u8, u8) }",
        first: &["the field `first` cannot be shared", "the field `second` cannot be shared"],
        lines: 18,
    },
    Derive {
        name: "not_copy",
        program: DERIVED,
        bad: "#[derive(Shared)] #[repr(C)] struct Named { first: u64 }",
        first: &["`Named` cannot be shared between processes, because it is not `Copy`: `#[derive(Clone, Copy, neocortex::Shared)]`"],
        lines: 90,
    },
    Derive {
        name: "not_copy_enum",
        program: DERIVED,
        bad: "#[derive(Shared)] #[repr(u8)] enum Named { One, Two }",
        first: &["`Named` cannot be shared between processes, because it is not `Copy`: `#[derive(Clone, Copy, neocortex::Shared)]`"],
        lines: 90,
    },
    Derive {
        name: "padding",
        program: DERIVED,
        bad: "#[derive(Clone, Copy, Shared)] #[repr(C)] struct Named { small: u8, large: u64, last: u32 }",
        first: &[
            "`Named` has 7 bytes of padding after its field `small`, which would be shared without ever having been written: put a field there (`padding: [u8; 7]`)",
            "`Named` has 4 bytes of padding after its field `last`",
        ],
        lines: 16,
    },
    Derive {
        name: "padding_unnamed",
        program: DERIVED,
        bad: "#[derive(Clone, Copy, Shared)] #[repr(C, align(16))] struct Named(u64, [u16; 3], u8);",
        first: &["`Named` has 1 byte of padding after its field `2`"],
        lines: 10,
    },
];

/// Derived structures that look like those that are refused, and are plain data.
const DERIVED_GOOD: &str = "
    #[derive(Clone, Copy, Shared)]
    #[repr(C)]
    pub struct Named { number: [Option<std::num::NonZeroU32>; 2], unit: (), gap: [[Kind; 4]; 2] }
    #[derive(Clone, Copy, Shared)]
    #[repr(u8)]
    enum Kind { One = 1 }
    mod own {
        #[derive(Clone, Copy, neocortex::Shared)]
        #[repr(transparent)]
        pub struct Vec(u64);
        #[derive(Clone, Copy, neocortex::Shared)]
        #[repr(C)]
        pub struct Shown { list: Vec, paths: [self::Vec; 2] }
    }
    #[allow(dead_code)] fn shown(shown: own::Shown) -> own::Shown { shown }
    #[allow(dead_code)] const ONE: Kind = Kind::One;
";

/// Does `$` with a segment's lock.
const LOCK: &str = "
    #![allow(unused)]
    use neocortex::{Access, CortexSync, RwLock, Segment, SegmentOptions, Wait};
    use std::ptr::NonNull;
    fn main() {
        let segment: Segment<RwLock> = SegmentOptions::new().attach(5, 0).unwrap();
        let lock = segment.lock();
        $;
    }
";

/// A lock of one's own with `$` in it.
const OWN_LOCK: &str = "
    use neocortex::*;
    struct Mine;
    unsafe impl CortexSync for Mine {
        type Settings = ();
        const NAME: &'static str = \"mine\";
        fn new(_: LockSite<'_>, _: Option<&()>) -> CortexResult<Self> { Ok(Self) }
        fn attach(_: LockSite<'_>) -> CortexResult<Self> { Ok(Self) }
        unsafe fn read_lock(&self, _: Wait) -> CortexResult<()> { Ok(()) }
        unsafe fn write_lock(&self, _: Wait) -> CortexResult<()> { Ok(()) }
        unsafe fn release(&self, _: Access) -> CortexResult<()> { Ok(()) }
        fn force_ownership(&mut self) {}
        $
    }
    fn main() {}
";

/// Does `$` beside a read guard.
const GUARD: &str = "
    #![allow(unused)]
    fn share<T: Sync>(_: &T) {}
    fn main() {
        let cortex = neocortex::CortexBuilder::new(1.0).key(5).create().unwrap();
        let guard = cortex.read_guard().unwrap();
        $;
    }
";

fn write(path: &Path, text: &str) {
    // Left alone where it is the same, so that cargo checks nothing twice.
    if std::fs::read_to_string(path).ok().as_deref() != Some(text) {
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn forbidden_programs_do_not_compile_and_their_twins_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile_fail");
    let programs = directory.join("src/bin");
    let _ = std::fs::remove_dir_all(&programs);
    std::fs::create_dir_all(&programs).unwrap();
    let manifest = format!(
        "[package]\nname = \"compile_fail\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
         [dependencies]\nneocortex = {{ path = {root:?}, default-features = false, features = [\"derive\"] }}\n\
         bytemuck = {{ version = \"1.16\", features = [\"derive\"] }}\n[workspace]\n"
    );
    write(&directory.join("Cargo.toml"), &manifest);
    // The versions that this crate was built with, so that nothing is to be fetched.
    std::fs::copy(root.join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
    for case in CASES {
        for (twin, text) in [("good", case.good), ("bad", case.bad)] {
            let path = programs.join(format!("{}_{twin}.rs", case.name));
            write(&path, &case.program.replace('$', text));
        }
    }
    for derive in DERIVES {
        let path = programs.join(format!("{}_bad.rs", derive.name));
        write(&path, &derive.program.replace('$', derive.bad));
    }
    let good = DERIVED.replace('$', DERIVED_GOOD);
    write(&programs.join("derived_good.rs"), &good);
    let output = Command::new(env!("CARGO"))
        .args([
            "check",
            "--bins",
            "--keep-going",
            "--offline",
            "--message-format=json",
        ])
        .current_dir(&directory)
        .env("CARGO_TARGET_DIR", directory.join("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let messages = String::from_utf8(output.stdout).unwrap();
    let of = |program: &str| {
        let target = format!("\"name\":\"{program}\"");
        let lines: Vec<_> = messages
            .lines()
            .filter(|line| line.contains(&target))
            .collect();
        let is_built = lines
            .iter()
            .any(|line| line.contains("\"reason\":\"compiler-artifact\""));
        let errors: Vec<_> = lines
            .into_iter()
            .filter(|line| line.contains("\"level\":\"error\""))
            .collect();
        (is_built, errors)
    };
    let log = String::from_utf8_lossy(&output.stderr);
    for case in CASES {
        let (is_built, errors) = of(&format!("{}_good", case.name));
        assert!(
            is_built && errors.is_empty(),
            "{}: must compile: {errors:?}\n{log}",
            case.name
        );
        let (is_built, errors) = of(&format!("{}_bad", case.name));
        assert!(
            !is_built && !errors.is_empty(),
            "{}: must not compile\n{log}",
            case.name
        );
        let code = format!("\"code\":\"{}\"", case.code);
        for error in &errors {
            let is_summary = error.contains("\"code\":null");
            // What the first error has spoilt may have errors of its own.
            let is_next = case.code == "E0277" && error.contains("\"code\":\"E0599\"");
            assert!(
                is_summary || is_next || error.contains(&code),
                "{}: not {}: {error}",
                case.name,
                case.code
            );
        }
        let all = errors.concat();
        for words in case.says {
            assert!(
                all.contains(words),
                "{}: does not say {words}: {all}",
                case.name
            );
        }
    }
    let (is_built, errors) = of("derived_good");
    assert!(is_built && errors.is_empty(), "{errors:?}\n{log}");
    for derive in DERIVES {
        let (is_built, errors) = of(&format!("{}_bad", derive.name));
        let errors: Vec<_> = errors.iter().map(|error| rendered(error)).collect();
        assert!(!is_built && !errors.is_empty(), "{}: {log}", derive.name);
        for (index, words) in derive.first.iter().enumerate() {
            let error = errors.get(index).map_or("", String::as_str);
            assert!(error.contains(words), "{}: {error}", derive.name);
        }
        let all = errors.concat();
        let lines = all.lines().count();
        assert!(lines <= derive.lines, "{}, {lines}: {all}", derive.name);
    }
}

/// Returns what the compiler prints of one of its messages.
fn rendered(message: &str) -> String {
    let (_, text) = message.split_once("\"rendered\":\"").expect("a message");
    let mut said = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => match letters.next() {
                Some('n') => said.push('\n'),
                Some(other) => said.push(other),
                None => break,
            },
            letter => said.push(letter),
        }
    }
    said
}
