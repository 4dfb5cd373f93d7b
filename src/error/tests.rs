//! Every message, compared with `tests/messages.txt`; `NEOCORTEX_WRITE_MESSAGES=1` writes it anew.

use super::*;
use std::fmt::Write;

/// One of each refusal.
fn refusals() -> Vec<CortexError> {
    let key = 123;
    let operation = "write";
    vec![
        CortexError::NotACortex {
            key,
            detail: "no magic number",
        },
        CortexError::Format {
            key,
            found: 2,
            supported: 1,
        },
        CortexError::Layout {
            key,
            what: "size",
            expected: 8,
            found: 16,
        },
        CortexError::Lock {
            key,
            expected: "seqlock".into(),
            found: "rwlock".into(),
        },
        CortexError::NotReady {
            key,
            waited_ms: 500,
        },
        CortexError::Timeout { key, operation },
        CortexError::Poisoned { key },
        CortexError::InvalidValue {
            key,
            type_name: "bool",
        },
        CortexError::ReadOnly { key, operation },
        CortexError::Busy {
            key,
            detail: "it is in use: somebody is attached",
        },
        CortexError::Corrupt {
            key,
            detail: "its state is no state",
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
    ]
}

/// Each system call that messages name, with an operation that makes it and the errors of its manual page.
const CALLS: [(&str, &str, &[i32]); 13] = {
    use libc::*;
    [
        (
            "create",
            "shmget",
            &[EACCES, EINVAL, ENFILE, ENOENT, ENOMEM, ENOSPC, EPERM],
        ),
        (
            "attach to",
            "shmat",
            &[EACCES, EIDRM, EINVAL, EMFILE, ENOMEM],
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
            &[EACCES, EEXIST, EINVAL, ENOENT, ENOMEM, ENOSPC],
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
            &[EACCES, EMFILE, ENFILE, ENOMEM, EIO],
        ),
    ]
};

fn failure(what: &str, call: &'static str, number: i32) -> CortexError {
    let error = io::Error::from_raw_os_error(number);
    Err::<(), _>(Failure { call, error })
        .attempt(what, 123)
        .expect_err("a failure")
}

#[test]
fn every_error_says_what_was_tried_on_which_key_what_the_system_answered_and_what_to_do() {
    let mut text = String::new();
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
    let dirty = failure("remove", "shmctl(IPC_RMID)", libc::EPERM)
        .leaving(Leftover::Segment(5))
        .after(Err(failure(
            "remove the semaphores of",
            "semctl(IPC_RMID)",
            libc::EPERM,
        )
        .leaving(Leftover::Semaphores(6))));
    let refused = CortexError::Full { key: 123, limit: 1 }.leaving(Leftover::Semaphores(6));
    let mapped = failure("detach from", "shmdt", libc::EINVAL).leaving(Leftover::Attachment(5));
    for error in [dirty, refused, mapped] {
        writeln!(text, "{error}").expect("a string");
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

#[test]
fn a_failed_call_tells_its_parts() {
    let error = failure("attach to", "shmat", libc::EACCES);
    let system = error.system().expect("a failed call");
    assert_eq!((system.key(), system.call()), (123, "shmat"));
    assert_eq!(system.operation(), "attach to key 123");
    assert_eq!(system.io_error().raw_os_error(), Some(libc::EACCES));
    assert_eq!(system.raw_os_error(), Some(libc::EACCES));
    assert!(system.left().is_empty());
    let source = std::error::Error::source(system).expect("what the system answered");
    assert_eq!(source.to_string(), system.io_error().to_string());
}

#[test]
fn a_refusal_that_leaves_something_is_dirty_and_keeps_its_key_and_words() {
    for refusal in refusals() {
        let (words, is_custom) = (
            refusal.to_string(),
            matches!(refusal, CortexError::Custom(_)),
        );
        let error = refusal.leaving(Leftover::Segment(5));
        assert!(matches!(error, CortexError::DirtySystem(_)));
        let system = error.system().expect("dirty");
        assert_eq!(system.key(), if is_custom { 0 } else { 123 });
        assert_eq!(system.left(), [Leftover::Segment(5)]);
        assert!(error.to_string().contains(&words), "{error}");
    }
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
        assert_eq!(errno::name(number), name.to_str().unwrap());
        count += 1;
    }
    assert_eq!(count, 26);
}
