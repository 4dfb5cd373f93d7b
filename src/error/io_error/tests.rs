//! What a program asks of an error, and what becomes of it elsewhere.

use super::*;
use crate::error::tests::{failure, refusals};
use crate::error::Cause;
use std::io;

/// A program prints an error with all its sources (`{:#}` of anyhow): what the system answered is there once.
#[test]
fn the_systems_answer_is_told_once() {
    let error = failure("attach to", "shmat", libc::EACCES);
    let mut said = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        said = format!("{said}: {error}");
        source = error.source();
    }
    assert_eq!(said.matches("Permission denied").count(), 1, "{said}");
}

#[test]
fn a_refusal_tells_its_key_and_a_locks_own_error_has_none() {
    for error in refusals() {
        let is_custom = matches!(error, CortexError::Custom(_));
        assert_eq!(error.key(), (!is_custom).then_some(123), "{error:?}");
        assert_eq!(error.raw_os_error(), None, "{error:?}");
        assert!(!error.is_not_found(), "{error:?}");
    }
    assert_eq!(Cause::invalid("no name").on_no_key().key(), None);
}

#[test]
fn an_error_becomes_one_of_io_with_its_kind_and_itself_inside() {
    use io::ErrorKind;
    let kinds: Vec<_> = refusals()
        .into_iter()
        .chain([
            failure("attach to", "shmget", libc::ENOENT),
            failure("attach to", "shmat", libc::EACCES),
            failure("create", "shmget", libc::EEXIST),
        ])
        .map(|error| {
            let said = (format!("{error:?}"), error.to_string());
            let error = io::Error::from(error);
            assert_eq!(error.to_string(), said.1);
            let kind = error.kind();
            let inside = error.downcast::<CortexError>().expect("itself");
            assert_eq!(format!("{inside:?}"), said.0);
            (inside, kind)
        })
        .collect();
    let of = |is_it: fn(&CortexError) -> bool| {
        let found = kinds.iter().find(|(error, _)| is_it(error));
        found.expect("an error").1
    };
    assert_eq!(of(|error| error.is_not_found()), ErrorKind::NotFound);
    assert_eq!(
        of(|error| error.raw_os_error() == Some(libc::EACCES)),
        ErrorKind::PermissionDenied
    );
    assert_eq!(
        of(|error| error.raw_os_error() == Some(libc::EEXIST)),
        ErrorKind::AlreadyExists
    );
    assert_eq!(
        of(|error| matches!(error, CortexError::Timeout { .. })),
        ErrorKind::TimedOut
    );
    assert_eq!(
        of(|error| matches!(error, CortexError::Busy { .. })),
        ErrorKind::ResourceBusy
    );
    assert_eq!(
        of(|error| matches!(error, CortexError::Layout { .. })),
        ErrorKind::InvalidData
    );
    // The standard library's loops would try again where a program asked to stop.
    assert!(kinds
        .iter()
        .all(|&(_, kind)| kind != ErrorKind::Interrupted));
}
