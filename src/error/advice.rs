//! The parts of messages that say why, and what to do about it.

use super::names::{argument, quoted, shown};

/// Returns the beginning of a message, unless it is about no key.
pub(super) fn on_key(key: i32) -> String {
    match key {
        0 => String::new(),
        _ => format!("{}: ", shown(key)),
    }
}

/// What the operation of a wait for the next commit is called.
pub(crate) const WAITING_FOR_CHANGE: &str = "waiting for change";

/// What the operation of a wait for the next commit to any of several values is called.
pub(crate) const WAITING_FOR_ANY: &str = "waiting for any change";

/// What the operation of a wait for a creator is called.
pub(crate) const WAITING_FOR_CREATOR: &str = "waiting for its creator";

/// What the operation of a write that waits for followers is called.
pub(crate) const WAITING_FOR_ROOM: &str = "waiting for followers to read";

/// How a cortex that has the key of another name is called.
pub(super) fn other_name(found: Option<&str>) -> String {
    match found {
        Some(name) => format!("of the name {}", quoted(name)),
        None => "without a name".to_owned(),
    }
}

/// Returns why time ran out, and where to look.
pub(super) fn why_timed_out(key: i32, operation: &str) -> String {
    let key = argument(key);
    match operation {
        WAITING_FOR_CHANGE => format!(
            "nothing was committed meanwhile. `neocortex inspect {key}` shows the commits, and who is attached"
        ),
        WAITING_FOR_ANY => "nothing was committed to a member of the wait set meanwhile".to_owned(),
        WAITING_FOR_CREATOR => {
            "nobody has created it. Is the creator running, with the same key or name? `neocortex list` shows what there is".to_owned()
        }
        WAITING_FOR_ROOM => format!(
            "a registered follower has not read what the write would overwrite: it is slow, stopped, or waits for this thread. `neocortex inspect {key}` shows who is attached"
        ),
        _ => format!(
            "it is held through another handle, of this process or of another one. `neocortex inspect {key}` shows by whom"
        ),
    }
}

/// Returns which format a segment has that this library cannot read.
pub(super) fn other_format(found: u32, supported: u32, features: u32) -> String {
    match features {
        0 => format!("the segment has format {found}, this library has format {supported}"),
        _ => format!("the segment has features that this library does not know ({features:#x})"),
    }
}

/// Returns in what a segment differs from what was asked for, and what to do.
pub(super) fn difference(key: i32, what: &str, expected: u64, found: u64) -> String {
    let is = |is_it: u64| if is_it == 0 { "is not" } else { "is" };
    let asked = if expected == 0 {
        "was not to be"
    } else {
        "was to be"
    };
    let same = format!(
        "Let every program that may create it ask for the same, and remove the one that there is (`neocortex remove {}`)",
        argument(key)
    );
    match what {
        "size" => format!(
            "the segment's size is {found}, expected {expected} bytes. Both sides must use the same type"
        ),
        "schema" if found == 0 => format!(
            "the segment's schema is 0, for it was created without one, expected {expected:#x}. Both sides must give `schema_of` the same text"
        ),
        "schema" => format!(
            "the segment's schema is {found:#x}, expected {expected:#x}: it is that of another description. Both sides must give `schema_of` the same text"
        ),
        "records" if expected == 0 => "the segment holds records of any length, and no value of one size: `push` writes a record, and `read_record` reads the newest".to_owned(),
        "records" => "the segment holds a value of one size, and no records: `write` replaces the value. Records are for a cortex that was created with `records`".to_owned(),
        "lossless" => format!("the segment {} lossless (`lossless`), and {asked}. {same}", is(found)),
        "in_place" => format!(
            "the segment {} edited in place (`in_place`), and {asked}. {same}",
            is(found)
        ),
        _ => format!(
            "the segment's {what} is {found}, expected {expected}. Both sides must use the same type"
        ),
    }
}
