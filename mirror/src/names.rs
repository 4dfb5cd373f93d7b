//! The names that follow from other names: of a host as an origin, of a mirrored cortex's status.

use crate::place::ipc_namespace;
use neocortex::{schema_of, Key};

/// The IPC namespace that a Linux host boots with (`include/linux/proc_ns.h`).
const FIRST_IPC_NAMESPACE: u64 = 0xEFFF_FFFF;

/// Returns the name of this host, in the characters that an origin may have.
pub fn host() -> String {
    let read = |path| std::fs::read_to_string(path).ok();
    let name = read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname"));
    let name = name
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_default();
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
            c
        } else {
            '-'
        }
    };
    let name: String = name.trim().chars().take(40).map(plain).collect();
    if name.is_empty() {
        "host".to_owned()
    } else {
        name
    }
}

/// Returns this host's name as an origin: the same after a restart and after a boot, and another one on another host.
///
/// It is the host's name with a number that follows from the machine's id (`machine-id(5)`) and, in a container, from its
/// IPC namespace.
pub fn default_origin() -> String {
    let read = |path| std::fs::read_to_string(path).ok();
    let machine = read("/etc/machine-id")
        .or_else(|| read("/var/lib/dbus/machine-id"))
        .unwrap_or_default();
    let namespace = match ipc_namespace() {
        0 | FIRST_IPC_NAMESPACE => String::new(),
        other => other.to_string(),
    };
    let number = schema_of(&format!("{machine} {namespace}")) as u32;
    format!("{}-{number:08x}", host())
}

/// Returns the name of the status cortex of a mirrored cortex: `neocortex-mirror/<name or number>`, or a number in place
/// of a name that would make it too long.
pub fn status_name(local: &Key) -> String {
    let name = format!("neocortex-mirror/{local}");
    if name.len() <= 255 {
        return name;
    }
    format!("neocortex-mirror/{:016x}", schema_of(&local.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::why_no_origin;

    #[test]
    fn the_default_origin_is_one_and_stays() {
        let origin = default_origin();
        assert_eq!(why_no_origin(&origin), None, "{origin}");
        assert_eq!(origin, default_origin());
    }

    #[test]
    fn the_status_of_every_name_has_a_valid_name_of_its_own() {
        let long = |last: &str| Key::from(format!("{}{last}", "x".repeat(254)));
        let names =
            [Key::from(5), Key::from("5a"), long("a"), long("b")].map(|key| status_name(&key));
        for name in &names {
            assert!(neocortex::key_of(name).is_ok(), "{name}");
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1);
        }
    }
}
