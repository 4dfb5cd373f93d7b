//! Creating, attaching, replacing, removing: nothing is lost, nothing is left, nothing foreign touched.

mod half_made;
mod objects;
mod ownership;
mod refusals;
mod stale;

use neocortex::{CortexError, CortexResult};

/// The mode that a segment is made with before anything is written to it (`format::birth`).
const MARK: i32 = 0o601;

fn errno<T: std::fmt::Debug>(result: CortexResult<T>) -> (i32, String) {
    let error = result.unwrap_err();
    let CortexError::CleanSystem(system) = &error else {
        panic!("not a CleanSystem: {error:?}")
    };
    assert!(system.left().is_empty());
    (
        system.raw_os_error().expect("an error number"),
        error.to_string(),
    )
}
