//! What only root can try: other users, namespaces, the kernel's limits. Without the right a test says NOT RUN.

#[path = "../common/mod.rs"]
mod common;

mod limits;
mod memory;
mod namespaces;
mod users;
