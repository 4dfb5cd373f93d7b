//! The algorithms that everything is built on: pure, on atomics and on traits for the world around them.
//!
//! | module | what |
//! |---|---|
//! | [`format`] | the bytes of a segment, and its layout |
//! | [`name`] | what a name is, and the key that follows from it |
//! | [`commit`] | the commit log: begun, committed, which slot, which bytes changed |
//! | [`follow`] | the place of a follower, which reads every commit in order |
//! | [`signal`] | waiting for change, and asking writers to pause |
//! | [`telling`] | a thread that tells another of changes, and leaves out what is not asked for |
//! | [`room`] | followers that writers wait for |
//! | [`lifecycle`] | the state of a segment, and which process changes it |
//! | [`participants`] | slots, their tenants and generations, and their lines in the segment |
//! | [`slots_in_use`] | up to which slot all lines are looked at |
//! | [`beacons`] | which participants live: the semaphore set of a segment |
//! | [`ownership`] | which participant removes the segment at the end |
//! | [`interrupts`] | ending the waits of a handle |
//! | [`claimed_slot`] | the slot that this process has claimed |
//! | [`of_process`] | a value that counts in one process only, not in its forked children |
//! | [`owner_word`] | taking, releasing and taking over the word that every built-in lock is built on |
//! | [`readers`] | counting readers beside the owner word |
//!
//! **Invariant.** Nothing here sleeps, maps memory or asks the kernel but through a trait that the caller implements
//! ([`beacons`] apart), so that the models (`models`) run the same source.

pub(crate) mod atomics;
pub(crate) mod beacons;
pub(crate) mod claimed_slot;
pub(crate) mod commit;
pub(crate) mod follow;
pub(crate) mod format;
pub(crate) mod interrupts;
pub(crate) mod lifecycle;
#[cfg(loom)]
mod models;
pub(crate) mod name;
pub(crate) mod of_process;
pub(crate) mod owner_word;
pub(crate) mod ownership;
pub(crate) mod participants;
pub(crate) mod readers;
pub(crate) mod room;
#[cfg(all(test, not(loom)))]
pub(crate) mod scripted;
pub(crate) mod signal;
pub(crate) mod slots_in_use;
pub(crate) mod telling;
