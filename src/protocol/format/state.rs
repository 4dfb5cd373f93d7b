//! `state`: what may be done with the segment. Every transition is a compare-and-swap.
//!
//! | from | to | by |
//! |---|---|---|
//! | initialising | ready | the creator, when all is written |
//! | ready | closing | a replacer that holds the gate, while it looks whether anyone is attached |
//! | closing | ready | the replacer that found a participant, or one that was made to stay; or the next gate holder if it died |
//! | closing, ready | removed | the replacer, the owner that closes, or a remover, before `IPC_RMID` |
//! | initialising | removed | a replacer that takes the creator for dead, or a remover; a creator that lives begins anew |

/// The state of a new segment, as the kernel hands it out.
pub(crate) const INITIALISING: u32 = 0;
pub(crate) const READY: u32 = 1;
pub(crate) const CLOSING: u32 = 2;
pub(crate) const REMOVED: u32 = 3;
