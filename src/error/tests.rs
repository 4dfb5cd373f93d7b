//! Every message, compared with `tests/messages.txt`; `NEOCORTEX_WRITE_MESSAGES=1` writes it anew.

use super::remedy::{remedy, remedy_for_owner};
use super::*;
use crate::error::surface::in_words_of;
use crate::sys::{errno, Failure};
use std::fmt::Write;

/// One of each refusal.
pub(super) fn refusals() -> Vec<CortexError> {
    let key = 123;
    let operation = "write";
    let layout = |what, expected, found| CortexError::Layout {
        key,
        what,
        expected,
        found,
    };
    let mut all = vec![
        CortexError::NotACortex {
            key,
            detail: "no magic number",
        },
        CortexError::Format {
            key,
            found: 2,
            supported: 1,
            features: 0,
        },
        CortexError::Format {
            key,
            found: 1,
            supported: 1,
            features: 6,
        },
        CortexError::Layout {
            key,
            what: "size",
            expected: 8,
            found: 16,
        },
        layout("schema", 0x2f1, 0x1b),
        layout("schema", 0x2f1, 0),
        layout("alignment", 4096, 64),
        layout("records", 0, 1),
        layout("records", 1, 0),
        layout("lossless", 1, 0),
        layout("in_place", 0, 1),
        CortexError::Lock {
            key,
            expected: "seqlock".into(),
            found: "rwlock".into(),
        },
        CortexError::NotReady {
            key,
            waited_ms: 500,
        },
        CortexError::Name {
            key,
            expected: "robot/3263".into(),
            found: Some("robot/38498".into()),
        },
        CortexError::Name {
            key,
            expected: "arm".into(),
            found: None,
        },
        CortexError::Timeout { key, operation },
        CortexError::Timeout {
            key,
            operation: WAITING_FOR_CHANGE,
        },
        CortexError::Timeout {
            key,
            operation: WAITING_FOR_CREATOR,
        },
        CortexError::Timeout {
            key,
            operation: WAITING_FOR_ROOM,
        },
        CortexError::Poisoned { key },
        CortexError::InvalidValue {
            key,
            type_name: "bool",
        },
        CortexError::ReadOnly { key, operation },
        CortexError::Busy {
            key,
            detail: "what a lock of one's own says",
        },
        CortexError::Corrupt {
            key,
            detail: "the state word 7 is not one that this library writes".into(),
        },
        CortexError::Full { key, limit: 128 },
        CortexError::invalid(key, "alignment 3 is not a power of two"),
        CortexError::Unsupported {
            key,
            detail: "this system does not list its segments",
        },
        CortexError::Custom(-5),
        CortexError::Removed { key },
        CortexError::Interrupted { key, operation },
    ];
    all.extend(busy::details().map(|detail| CortexError::Busy { key, detail }));
    all
}

/// Each system call that messages name, with an operation that makes it and the errors of its manual page.
const CALLS: [(&str, &str, &[i32]); 14] = {
    use libc::*;
    [
        (
            "create",
            "shmget",
            &[
                EACCES, EINVAL, ENFILE, ENOENT, ENOMEM, ENOSPC, EPERM, ENOSYS,
            ],
        ),
        (
            "attach to",
            "shmat",
            &[EACCES, EAGAIN, EIDRM, EINVAL, EMFILE, ENFILE, ENOMEM, EPERM],
        ),
        ("detach from", "shmdt", &[EINVAL]),
        (
            "look at",
            "shmctl(IPC_STAT)",
            &[EACCES, EFAULT, EIDRM, EINVAL, EOVERFLOW],
        ),
        ("remove", "shmctl(IPC_RMID)", &[EPERM]),
        (
            "make the semaphores of",
            "semget",
            &[
                EACCES, EEXIST, EINVAL, ENOENT, ENOMEM, ENOSPC, ENOSYS, EPERM,
            ],
        ),
        (
            "claim a participant slot of",
            "semop",
            &[E2BIG, EACCES, EFAULT, EFBIG, EINVAL, ENOMEM, ENOSPC, ERANGE],
        ),
        ("wait for", "semtimedop", &[EACCES, EFAULT, ENOMEM]),
        (
            "initialise the semaphores of",
            "semctl(SETALL)",
            &[EACCES, EFAULT, EIDRM, EINVAL, ENOMEM, ERANGE],
        ),
        (
            "ask for the participants of",
            "semctl(GETALL)",
            &[EACCES, EFAULT, ENOMEM],
        ),
        ("ask for a participant of", "semctl(GETVAL)", &[EACCES]),
        ("remove the semaphores of", "semctl(IPC_RMID)", &[EPERM]),
        (
            "list the segments, not of",
            "read(/proc/sysvipc/shm)",
            &[EACCES, EMFILE, ENFILE, ENOMEM, EIO, EPERM, ENOTDIR],
        ),
        ("read a copy of", "malloc", &[ENOMEM]),
    ]
};

/// Returns the names in a text, in backticks, that are no command's and not this surface's.
fn foreign_names(surface: Surface, text: &str) -> Vec<&str> {
    let names = text
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    names
        .filter(|name| {
            ![
                "neocortex ",
                "ipcs",
                "ulimit ",
                "strace ",
                "findmnt ",
                "dmesg",
                "@ipc",
            ]
            .iter()
            .any(|own| name.starts_with(own))
        })
        .filter(|name| !surface::names_of(surface).any(|own| own == *name))
        .collect()
}

pub(super) fn failed(what: &'static str, call: &'static str, number: i32) -> Cause {
    let error = io::Error::from_raw_os_error(number);
    let failed = Err::<(), _>(Failure { call, error }).attempt(what);
    failed.expect_err("a failure")
}

pub(super) fn failure(what: &'static str, call: &'static str, number: i32) -> CortexError {
    failed(what, call, number).on(123)
}

#[test]
fn every_error_says_what_was_tried_on_which_key_what_the_system_answered_and_what_to_do() {
    let mut text = String::new();
    let mut others = Vec::new();
    for error in refusals() {
        writeln!(text, "{error}").expect("a string");
    }
    for (what, call, numbers) in CALLS {
        for &number in numbers {
            let message = failure(what, call, number).to_string();
            let answer = format!("({call}: {}). ", errno::name(number));
            assert!(
                message.starts_with(&format!("{what} key 123: ")),
                "{message}"
            );
            assert!(
                message
                    .split_once(&answer)
                    .is_some_and(|(_, next)| next.len() > 20),
                "{message}"
            );
            writeln!(text, "{message}").expect("a string");
        }
    }
    let dirty = failed("remove", "shmctl(IPC_RMID)", libc::EPERM)
        .leaving(Leftover::Segment(5))
        .after(Err(failed(
            "remove the semaphores of",
            "semctl(IPC_RMID)",
            libc::EPERM,
        )
        .leaving(Leftover::Semaphores(6))));
    let refused = Cause::Full { limit: 1 }.leaving(Leftover::Semaphores(6));
    let mapped = failed("detach from", "shmdt", libc::EINVAL).leaving(Leftover::Attachment(5));
    for cause in [dirty, refused, mapped] {
        writeln!(text, "{}", cause.on(123)).expect("a string");
    }
    for surface in [Surface::C, Surface::Cpp, Surface::Python, Surface::Command] {
        let said = in_words_of(surface, &text);
        assert_eq!(
            foreign_names(surface, &said),
            Vec::<&str>::new(),
            "{surface:?}"
        );
        others.push((surface, said));
    }
    assert_eq!(foreign_names(Surface::Rust, &text), Vec::<&str>::new());
    // Of the other surfaces, what differs.
    let own: Vec<String> = text.lines().map(str::to_owned).collect();
    for (surface, said) in others {
        write!(text, "\nin the words of {surface:?}:\n").expect("a string");
        for (line, _) in said.lines().zip(&own).filter(|(line, own)| line != own) {
            writeln!(text, "{line}").expect("a string");
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/messages.txt");
    if std::env::var_os("NEOCORTEX_WRITE_MESSAGES").is_some() {
        std::fs::write(path, &text).expect("the snapshot");
    }
    let expected = std::fs::read_to_string(path).expect("the snapshot");
    for (line, (now, then)) in text.lines().zip(expected.lines()).enumerate() {
        assert_eq!(now, then, "line {} of tests/messages.txt", line + 1);
    }
    assert_eq!(text, expected);
}

/// A seccomp filter can give any answer to any call, and a security module most.
#[test]
fn no_answer_of_the_system_is_left_without_a_next_step() {
    let more = [
        "shmctl(IPC_SET)",
        "semctl(IPC_STAT)",
        "semctl(IPC_SET)",
        "semctl(GETPID)",
        "read(/proc/sysvipc/sem)",
    ];
    let calls = CALLS.iter().map(|(_, call, _)| *call).chain(more);
    for call in calls {
        for number in 1..=4095 {
            let remedy = remedy(call, number);
            assert!(remedy.len() > 20, "{call} {number}: {remedy}");
            for word in ["not known", "report"] {
                assert!(!remedy.contains(word), "{call} {number}: {remedy}");
            }
            // What a user can do about it, and not about another object.
            if number == libc::EPERM && ["shmget", "shmat", "semget", "semop"].contains(&call) {
                assert!(remedy.contains("seccomp"), "{call}: {remedy}");
            }
        }
    }
    // What a new object could not be given.
    for number in [libc::EPERM, libc::EINVAL] {
        let remedy = remedy_for_owner(number).expect("a remedy of its own");
        assert!(remedy.contains("`owner`"), "{remedy}");
    }
    assert_eq!(remedy_for_owner(libc::EIDRM), None);
    assert!(remedy("shmat", libc::EAGAIN).contains("RLIMIT_MEMLOCK"));
    // Not that root may: in a container it often may not.
    for call in ["shmctl(IPC_RMID)", "semctl(IPC_RMID)", "shmctl(IPC_SET)"] {
        assert!(
            remedy(call, libc::EPERM).contains("CAP_SYS_ADMIN"),
            "{call}"
        );
    }
    assert!(remedy_for_owner(libc::EPERM).is_some_and(|text| text.contains("CAP_SYS_ADMIN")));
    assert!(!remedy("read(/proc/sysvipc/shm)", libc::EACCES).contains("permission`"));
}

/// The messages are where it is written what to do; the guide has it in short for each error.
#[test]
fn the_guide_tells_of_everything_that_a_message_advises() {
    let guide = include_str!("../../docs/guide/errors.md");
    let names = |text: &str| -> Vec<String> {
        let names = text.split('`').skip(1).step_by(2);
        names.map(|name| name.replace(" 123", "")).collect()
    };
    for error in refusals() {
        let variant = format!("{error:?}");
        let (variant, _) = variant.split_once(':').unwrap_or_default();
        let is_its_row = |line: &&str| {
            let first = line.split('|').nth(1).unwrap_or_default();
            line.starts_with("| `") && names(first).iter().any(|name| name.starts_with(variant))
        };
        let row = guide.lines().find(is_its_row).expect("a row");
        for name in names(&error.to_string()) {
            assert!(row.contains(&name), "{name} of {error} is not in: {row}");
        }
    }
}

#[test]
fn an_argument_of_no_key_is_not_blamed_on_key_0() {
    let invalid = || Cause::invalid("buffer is NULL");
    assert_eq!(invalid().on_no_key().to_string(), "buffer is NULL");
    assert_eq!(invalid().on(-7).to_string(), "key -7: buffer is NULL");
    let error = failed("list the segments", "read(/proc/sysvipc/shm)", libc::EACCES).on_no_key();
    assert!(
        error.to_string().starts_with("list the segments: "),
        "{error}"
    );
}

#[test]
fn a_wait_that_times_out_blames_nobody_and_a_lock_that_does_blames_a_handle() {
    let (key, operation) = (123, WAITING_FOR_CHANGE);
    let wait = CortexError::Timeout { key, operation }.to_string();
    assert!(
        wait.contains("nothing was committed") && !wait.contains("held"),
        "{wait}"
    );
    let operation = "read";
    let lock = CortexError::Timeout { key, operation }.to_string();
    assert!(lock.contains("of this process or of another"), "{lock}");
}

#[test]
fn a_failed_call_tells_its_parts() {
    let error = failure("attach to", "shmat", libc::EACCES);
    let system = error.system().expect("a failed call");
    assert_eq!((system.key(), system.call()), (123, "shmat"));
    assert_eq!(system.operation(), "attach to key 123");
    assert_eq!(system.io_error().raw_os_error(), Some(libc::EACCES));
    assert_eq!(system.raw_os_error(), Some(libc::EACCES));
    assert!(system.left().is_empty());
    assert_eq!(
        (error.key(), error.raw_os_error()),
        (Some(123), Some(libc::EACCES))
    );
    assert!(!error.is_not_found());
    assert!(failure("attach to", "shmget", libc::ENOENT).is_not_found());
}

/// Against the C library's own list.
#[test]
#[cfg(target_env = "gnu")]
fn an_error_number_has_the_name_that_the_system_gives_it() {
    extern "C" {
        /// glibc 2.32, strerror(3).
        fn strerrorname_np(number: libc::c_int) -> *const libc::c_char;
    }
    let named = (1..200).filter(|&number| !errno::name(number).is_empty());
    let mut count = 0;
    for number in named {
        // SAFETY: a static string, or null for a number that is none.
        let name = unsafe { std::ffi::CStr::from_ptr(strerrorname_np(number)) };
        // One number of Linux has two names, and the manual pages have the shorter one.
        let name = name.to_str().unwrap().replace("EOPNOTSUPP", "ENOTSUP");
        assert_eq!(errno::name(number), name);
        count += 1;
    }
    assert_eq!(count, 45);
}
