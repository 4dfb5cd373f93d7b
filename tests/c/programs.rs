//! The C and C++ tests in `tests/c`: compiled without a warning by a C99 and a C++17 compiler, linked to the
//! library as it is now, and run.

use crate::compile::{assert_succeeded, build, library, program, root};
use std::path::{Path, PathBuf};
use std::process::Command;
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

c_tests!(access cpp_layer custom_lock endings follow fork guards inplace kill life log messages moved named names options races readonly refusals statics values wait wait_set);

/// Builds `tests/c/races.cpp` as one does for a tool; what the linker says where it cannot.
fn build_races(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("g++")
        .args(["-std=c++17", "-g", "-O1", "-Wall", "-Wextra", "-Werror"])
        .arg("-I")
        .arg(root().join("include"))
        .args(arguments)
        .arg(root().join("tests/c/races.cpp"))
        .arg("-o")
        .arg(program)
        .arg("-L")
        .arg(library())
        .args(["-lneocortex", "-lpthread"])
        .output()
        .expect("g++ (see CONTRIBUTING.md for packages)");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(text)
}

/// The tool finds nothing between guards, and the race of another kind that the program has with "race".
fn finds_races_and_none_between_guards(tool: &str, run: impl Fn() -> Command) {
    let silent = run().output().expect("a tool that is there");
    let said = String::from_utf8_lossy(&silent.stderr);
    if said.contains("unexpected memory mapping") {
        eprintln!("NOT RUN: {tool} does not know how this kernel lays out memory");
        return;
    }
    assert_succeeded(tool, &silent);
    assert_eq!(
        String::from_utf8_lossy(&silent.stdout),
        "ok races\n",
        "{tool}"
    );
    assert!(said.is_empty(), "{tool}:\n{said}");
    let found = run().arg("race").output().expect("a tool that is there");
    let said = String::from_utf8_lossy(&found.stderr);
    assert!(!found.status.success(), "{tool} is blind: {said}");
    assert!(said.contains("races.cpp"), "{tool}:\n{said}");
}

#[test]
fn thread_sanitizer_is_told_what_guards_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let races = folder.path().join("races");
    match build_races(&races, &["-fsanitize=thread"]) {
        Ok(()) => finds_races_and_none_between_guards("ThreadSanitizer", || {
            let mut command = program(&races);
            command.env("TSAN_OPTIONS", "exitcode=9");
            command
        }),
        Err(text) if text.contains("cannot find") => {
            eprintln!("NOT RUN: ThreadSanitizer is not installed for g++: {text}");
        }
        Err(text) => panic!("{text}"),
    }
}

#[test]
fn valgrind_is_told_what_guards_order() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("NOT RUN: valgrind is not installed");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let races = folder.path().join("races");
    build_races(&races, &[]).unwrap();
    let suppressions = root().join("neocortex.supp");
    for tool in ["helgrind", "drd"] {
        finds_races_and_none_between_guards(tool, || {
            let mut command = program(Path::new("valgrind"));
            command
                .args(["-q", "--error-exitcode=9"])
                .arg(format!("--tool={tool}"))
                .arg(format!("--suppressions={}", suppressions.display()))
                .arg(&races);
            command
        });
    }
}

/// A host that loads a plugin, calls it on a thread, and unloads it, again and again, loses no thread key.
#[cfg(target_os = "linux")]
#[test]
fn a_host_that_unloads_the_library_again_and_again_loses_nothing() {
    use std::ffi::{c_void, CString};
    use std::os::unix::ffi::OsStrExt;
    const ROUNDS: usize = 1_100;

    fn free_keys() -> usize {
        let mut keys = Vec::new();
        let mut key = 0;
        // SAFETY: a live place; no destructor.
        while unsafe { libc::pthread_key_create(&mut key, None) } == 0 {
            keys.push(key);
        }
        for &key in &keys {
            // SAFETY: made above.
            unsafe { libc::pthread_key_delete(key) };
        }
        keys.len()
    }

    let path = crate::compile::library().join("libneocortex.so");
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let before = free_keys();
    for _ in 0..ROUNDS {
        std::thread::scope(|scope| {
            let load = || {
                // SAFETY: the library that was just built; what it runs when it is loaded is Rust's.
                let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
                assert!(!library.is_null());
                // SAFETY: an open library, a C string.
                let call = unsafe { libc::dlsym(library, c"neocortex_remove".as_ptr()) };
                assert!(!call.is_null());
                // SAFETY: its signature in neocortex.h.
                let call: extern "C" fn(i32) -> i32 =
                    unsafe { std::mem::transmute::<*mut c_void, _>(call) };
                // Fails, and keeps the failure for this thread.
                assert_eq!(call(0), -3);
                library as usize
            };
            let library = scope.spawn(load).join().unwrap();
            // SAFETY: opened above; the thread that has called it is gone.
            assert_eq!(unsafe { libc::dlclose(library as *mut c_void) }, 0);
        });
    }
    let after = free_keys();
    assert!(
        after + 8 >= before,
        "{before} keys were free, and {after} are"
    );
}

/// A plugin that has a wait set's descriptor in its host's event loop, and is unloaded: the helper thread ends with the
/// set, whatever becomes of its code then.
#[cfg(target_os = "linux")]
#[test]
fn a_plugin_with_a_wait_set_can_be_unloaded() {
    use std::ffi::{c_int, c_void, CStr, CString};
    use std::os::unix::ffi::OsStrExt;
    use std::ptr::null_mut;

    /// # Safety
    /// The library is open, and `F` is the function's type in neocortex.h.
    unsafe fn function<F: Copy>(library: *mut c_void, name: &CStr) -> F {
        // SAFETY: an open library, a C string.
        let found = unsafe { libc::dlsym(library, name.as_ptr()) };
        assert!(!found.is_null(), "{name:?}");
        // SAFETY: the caller's promise; a pointer to a function is as large as one to data here.
        unsafe { std::mem::transmute_copy(&found) }
    }

    let kernel = crate::common::Kernel::new();
    let path = crate::compile::library().join("libneocortex.so");
    // Nothing else in this process has helpers.
    let helpers = || {
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        let names = threads.filter_map(|thread| {
            let name = std::fs::read_to_string(thread.ok()?.path().join("comm"));
            name.ok().filter(|name| name.starts_with("neocortex"))
        });
        names.count()
    };
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    for round in 0..200_u64 {
        let library = std::thread::scope(|scope| {
            // SAFETY: the library that was just built; each function has its type in neocortex.h, and each handle is closed once.
            let work = || unsafe {
                let library = libc::dlopen(name.as_ptr(), libc::RTLD_NOW);
                assert!(!library.is_null());
                type Create = extern "C" fn(i32, usize, *const c_void) -> *mut c_void;
                type Add = extern "C" fn(*mut c_void, *mut c_void, u64, *mut c_void) -> i32;
                type Write = extern "C" fn(*mut c_void, *const c_void, usize) -> i32;
                type Close = extern "C" fn(*mut c_void) -> i32;
                let create: Create = function(library, c"neocortex_create");
                let open: extern "C" fn() -> *mut c_void =
                    function(library, c"neocortex_wait_set_open");
                let add: Add = function(library, c"neocortex_wait_set_add");
                let fd: extern "C" fn(*mut c_void, *mut c_int) -> i32 =
                    function(library, c"neocortex_wait_set_fd");
                let write: Write = function(library, c"neocortex_write");
                let close_set: extern "C" fn(*mut c_void) =
                    function(library, c"neocortex_wait_set_close");
                let close: Close = function(library, c"neocortex_close");

                let value = create(kernel.key(), 8, std::ptr::null());
                assert!(!value.is_null());
                let set = open();
                assert_eq!(add(set, value, 0, null_mut()), 0);
                let mut poll = libc::pollfd {
                    fd: -1,
                    events: libc::POLLIN,
                    revents: 0,
                };
                assert_eq!(fd(set, &mut poll.fd), 0);
                // Also where the helper has only just begun, and where it sleeps.
                if round % 2 == 0 {
                    assert_eq!(write(value, (&raw const round).cast(), 8), 0);
                    assert_eq!(libc::poll(&mut poll, 1, 20_000), 1);
                    // A thread gives itself its name.
                    while helpers() != 1 {
                        std::thread::yield_now();
                    }
                }
                close_set(set);
                // The kernel lists a thread for a moment after it can be joined.
                let is_gone = || {
                    (0..2_000).any(|_| {
                        std::thread::sleep(std::time::Duration::from_millis(1));
                        helpers() == 0
                    })
                };
                assert!(helpers() == 0 || is_gone(), "it ends with the set");
                assert_eq!(close(value), 0);
                library as usize
            };
            scope.spawn(work).join().unwrap()
        });
        // SAFETY: opened above; the thread that has called it is gone.
        assert_eq!(unsafe { libc::dlclose(library as *mut c_void) }, 0);
    }
}
