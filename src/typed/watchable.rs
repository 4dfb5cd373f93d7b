//! Typed values as members of wait sets.

use super::{Cortex, Observer};
use crate::locks::CortexSync;
use crate::wait_set::member::{Memory, Sealed};
use bytemuck::{CheckedBitPattern, NoUninit};

impl<T: CheckedBitPattern + NoUninit, L: CortexSync> Sealed for Cortex<T, L> {
    fn memory(&self) -> Memory {
        self.segment().memory()
    }
}

impl<T: CheckedBitPattern> Sealed for Observer<T> {
    fn memory(&self) -> Memory {
        self.segment().memory()
    }
}
