//! What happens to a process with cortexes open: it forks, becomes another program, ends in every order, and has
//! signals sent to it.

#[path = "../common/mod.rs"]
mod common;

mod endings;
mod fork;
mod front_door;
mod signals;
