//! Where a program runs, as far as cortexes are concerned: a boot of a host, and an IPC namespace in it. Two mirrors of
//! one place see the same cortexes, so neither may follow the other.

use crate::names;
use neocortex::schema_of;

/// A boot of a host and an IPC namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    pub boot: [u8; 16],
    pub ipc: u64,
}

impl Place {
    /// Returns the place of this process.
    ///
    /// Where the system does not tell a boot id (it is Linux that does), the host's name is taken for it.
    pub fn here() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let digits = boot
            .ok()
            .and_then(|text| u128::from_str_radix(&text.trim().replace('-', ""), 16).ok());
        let boot = digits.unwrap_or_else(|| u128::from(schema_of(&names::host())));
        Self {
            boot: boot.to_be_bytes(),
            ipc: ipc_namespace(),
        }
    }
}

/// Returns the number of this process's IPC namespace; 0 where there is only one.
pub fn ipc_namespace() -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self/ns/ipc").map_or(0, |file| file.ino())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_same_every_time_and_has_both_parts() {
        let here = Place::here();
        assert_eq!(here, Place::here());
        assert!(here.boot != [0; 16] && here.ipc != 0);
    }
}
