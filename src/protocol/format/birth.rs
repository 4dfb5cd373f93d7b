//! How a segment that its creator has not written to yet says that it is ours: by the permission bits it is made
//! with. The right to execute means nothing for shared memory, and every system keeps the bits; a mode in which
//! others have it, and neither owner nor group has, is not a permission that anyone would choose. As soon as the magic
//! is written the creator gives the segment the mode that was asked for, so the mark says something of blank segments
//! alone.

use super::layout::{LINE, LOCK_OFFSET};

const EXECUTE: u32 = 0o111;
const MARK: u32 = 0o001;

/// Returns the mode to make a segment with that is to have this one.
pub(crate) fn marked(mode: u32) -> u32 {
    mode & 0o777 & !EXECUTE | MARK
}

pub(crate) fn is_marked(mode: u32) -> bool {
    mode & EXECUTE == MARK
}

/// Returns whether some cortex has this size: a lock area, a participant and a slot, in whole lines.
pub(crate) fn is_size(size: usize) -> bool {
    size % LINE == 0 && size >= LOCK_OFFSET + 2 * LINE
}
