//! The bytes of a segment, version 1.
//!
//! Fixed-width fields, native endian, no pointers; the same for 32- and 64-bit programs and for
//! every libc. Offsets from the segment's start:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 512 | [`Header`] |
//! | 512 | 64 | commit line: `begun`, `committed` ([`crate::protocol::commit`]); two slots of up to 16 bytes |
//! | 576 | 64 | the writers' note of the last commit, and the ranges changed by the last seven |
//! | 640 | 64 | signal line: change notification, `want`, `room` ([`crate::protocol::signal`]) |
//! | 704 | the lock's size, rounded up to 64 | lock area |
//! | … | 64 each | participants ([`crate::protocol::participants`]) |
//! | … | slot stride each | payload slots that are larger, the first aligned to max(64, alignment) |
//!
//! **Invariant.** Nothing is ever read through an offset that was not computed here.
//!
//! | file | what |
//! |---|---|
//! | `header` | the table of the header's fields; writing and reading it |
//! | `fields` | what a field is, and the macro that makes the header from its table |
//! | `layout` | what is free to choose, and the sizes and offsets that follow from it |
//! | `state` | what may be done with a segment |
//! | `birth` | how a segment that is still blank says that it is ours |

pub(crate) mod birth;
mod fields;
mod header;
mod layout;
pub(crate) mod state;

pub(crate) use header::*;
pub(crate) use layout::*;
