//! What has a key that is already in use, for the message to the process that wanted to create a cortex there.

use super::find::open_mapping;
use super::presence::{creator, find_beacons, observe};
use crate::attachment::mapped_segment::header;
use crate::error::names::argument;
use crate::error::Cause;
use crate::protocol::lifecycle::{Creator, Look};
use crate::sys::errno;
use crate::sys::shm::{self, Mapped, ReadOnlyMapping};

/// Returns a text for the message of `EEXIST`: what has the key, and what the caller can do.
pub(super) fn describe_existing(key: i32) -> String {
    let mapping: ReadOnlyMapping = match open_mapping(key) {
        Err(cause) if cause.is_errno(errno::ENOENT) => return AGAIN.into(),
        Err(Cause::NotACortex(_)) => {
            let status = shm::find(key).and_then(shm::status).unwrap_or_default();
            return format!(
                "A segment that is not a cortex has this key ({} bytes, {} attached); choose another key",
                status.size, status.attached
            );
        }
        Err(_) => {
            return "It exists and this user may not look at it; choose another key".into();
        }
        Ok(mapping) => mapping,
    };
    let spoilt = || {
        format!("The existing cortex is corrupt. `neocortex remove {key}` takes it away, or choose another key")
    };
    match observe(&mapping) {
        Ok(Look::Ready | Look::Closing) => {}
        Ok(Look::Removed) => return AGAIN.into(),
        Ok(_) => {
            return match creator(&mapping) {
                Creator::Lives => "A process is making a cortex of this key. `open_or_create` waits until it is ready and attaches to it; or choose another key",
                Creator::Died => "The existing cortex is stale: its creator died before it was ready. `replace_stale` takes its place",
                Creator::Unknown => "A cortex of this key was begun and is not ready: attach to it, which waits. If its creator has died, `replace_stale` takes its place",
            }
            .into();
        }
        Err(_) => return spoilt(),
    }
    let Ok((_, lit)) = find_beacons(&mapping) else {
        return spoilt();
    };
    // The count includes this process, which is not meant.
    let attached = mapping.status().attached.saturating_sub(1);
    if lit.iter().any(|&lit| lit != 0) {
        return format!("The existing cortex is in use, not stale: {attached} attached. `open_or_create` attaches to it in place of creating; or choose another key");
    }
    if header(&mapping).is_persistent() {
        return format!("The existing cortex was made to stay, and nobody uses it: it is not stale. `open_or_create` attaches to it, `force_ownership` adopts it with its value, `neocortex remove {}` takes it away", argument(key));
    }
    "The existing cortex is stale: no participant lives. `replace_stale` takes its place, `open_or_create` attaches to it with its value, `force_ownership` adopts it".into()
}

/// The advice where the segment that had the key does not have it any more.
const AGAIN: &str = "It was removed meanwhile; try again";
