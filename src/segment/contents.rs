//! What the slots hold, a value or records, and the refusal of what is for the other.

use super::options::SegmentOptions;
use crate::attachment::slots::Slots;
use crate::error::Cause;

/// The error of a call that is about a value, in a cortex of records.
pub(super) const HOLDS_RECORDS: Cause = Cause::Unsupported(
    "it holds records of any length, and no value of one size: `push` writes a record, and `read_record` reads the newest",
);

/// The error of a call that is about records, in a cortex that holds a value.
pub(super) const HOLDS_A_VALUE: Cause = Cause::Unsupported(
    "it holds a value of one size, and no records: `write` replaces the value. Records are for a cortex that was created with `records`",
);

/// Returns the error for a range that is not within the value.
#[cold]
pub(super) fn out_of_range(slots: &Slots, offset: usize, length: usize) -> Cause {
    let size = slots.size;
    if size == 0 {
        return HOLDS_RECORDS;
    }
    Cause::invalid(format!(
        "{length} bytes at offset {offset} do not fit into {size} bytes"
    ))
}

/// Refuses a segment that holds records where a value is expected, and the other way round.
pub(super) fn check_contents(options: &SegmentOptions, has_records: bool) -> Result<(), Cause> {
    // A caller that would create a value expects one.
    let is_creating = options.open_or_create || options.force_ownership;
    match options.records.or(is_creating.then_some(false)) {
        Some(false) if has_records => Err(HOLDS_RECORDS),
        Some(true) if !has_records => Err(HOLDS_A_VALUE),
        _ => Ok(()),
    }
}
