//! The rows of the table, a file for each kind of work.

mod bulk;
pub mod contended;
pub mod growth;
mod hand_over;
mod killed;
mod life;
mod log;
pub mod lost;
mod many;
mod memory;
pub mod number;

pub use hand_over::{PROCESSORS, THOUGHT};

use crate::contest::{Row, Settings};

/// Does all the work that is asked for.
pub fn all(settings: &Settings) -> Vec<Row> {
    [
        number::rows,
        hand_over::rows,
        many::rows,
        bulk::rows,
        memory::rows,
        contended::rows,
        log::rows,
        life::rows,
        killed::rows,
        growth::rows,
    ]
    .into_iter()
    .flat_map(|rows| rows(settings))
    .collect()
}
