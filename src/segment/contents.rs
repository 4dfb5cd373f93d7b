//! What the slots hold, a value or records, and the refusal of what is for the other.

use super::options::SegmentOptions;
use crate::attachment::slots::Slots;
use crate::error::Cause;
use crate::protocol::format::Layout;

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

/// Refuses a segment that holds records where a value is expected, and the other way round. For a caller that would have
/// created it otherwise, it must also be as it would have been made in what a program relies on: whether a commit is whole
/// whatever its writer dies of, and whether writers wait for followers. The number of slots above one is taken as found,
/// as are permission, owner and participants.
pub(super) fn check_contents(options: &SegmentOptions, layout: &Layout) -> Result<(), Cause> {
    let shape = &layout.shape;
    let check = |what, expected: bool, found: bool| match expected == found {
        true => Ok(()),
        false => Err(Cause::Layout {
            what,
            expected: expected.into(),
            found: found.into(),
        }),
    };
    // A caller that would create a value expects one.
    let is_creating = options.open_or_create || options.force_ownership;
    if let Some(expected) = options.records.or(is_creating.then_some(false)) {
        check("records", expected, shape.has_records())?;
    }
    if is_creating {
        check("lossless", options.lossless, shape.is_lossless())?;
        check("in_place", options.slots == 1, layout.is_in_place())?;
    }
    Ok(())
}
