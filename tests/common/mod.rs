//! What the tests share: keys, processes, pipes, the kernel's tables, checked payloads, a watchdog.

#![allow(dead_code, unused_imports)]

mod events;
mod forked;
mod kernel;
mod payload;
#[cfg(target_os = "linux")]
mod privilege;
mod process;
pub mod proof;
/// `semctl` where `libc` does not declare it.
#[path = "../../src/sys/sem_abi.rs"]
mod sem_abi;
mod tables;

pub use events::Events;
pub use forked::{fork, pipe, Forked, Gate};
pub use kernel::{Kernel, BUILDS};
pub use payload::{check, fill, filled, mix, spin, Random};
#[cfg(target_os = "linux")]
pub use privilege::{become_root_inside, drop_sys_admin, has_sys_admin, is_permitted, unshare};
pub use process::{is_emulated, Child, Role};
pub use tables::{
    attachments, is_attached, mappings, remove_segment, remove_set, segment_id, segment_status,
    semaphore, set_mode, set_permission, sets_of, Foreign, MARK,
};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Calls a function that is generic over the lock, by the lock's name.
#[macro_export]
macro_rules! by_lock {
    ($name:expr, $function:ident($($argument:expr),* $(,)?)) => {
        neocortex::with_built_in_lock!(
            $name,
            Lock => $function::<Lock>($($argument),*),
            _ => panic!("no lock is called {}", $name),
        )
    };
}

/// The names of the built-in locks.
pub const LOCKS: [&str; neocortex::built_in_locks!(names).len()] =
    *neocortex::built_in_locks!(names);

/// The table of a built-in lock, as C has it.
pub fn c_lock(name: &str) -> *const neocortex::capi::neocortex_lock_ops {
    macro_rules! table {
        ($($lock:ident $name:literal $function:ident [$($condition:meta)?])*) => {
            match name {
                $($name => neocortex::capi::$function(),)*
                other => panic!("no lock is called {other}"),
            }
        };
    }
    neocortex::built_in_locks!([table])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
