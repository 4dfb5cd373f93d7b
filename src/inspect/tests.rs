//! What is seen of a cortex from outside, in states that are easy to make within one process. Killed holders
//! and readers are tried in `tests/command`.

use super::*;
use crate::protocol::format;
use crate::sys::shm::{Mapped, Mapping};
use crate::{Cortex, CortexBuilder, RwLock};

#[test]
#[cfg(target_os = "linux")]
fn segments_lists_ours_with_its_figures() {
    let cortex = CortexBuilder::new([0_u64; 4])
        .random_key()
        .schema(9)
        .participants(5)
        .with_default_lock::<RwLock>()
        .unwrap();
    cortex.write([1; 4]).unwrap();
    let all = segments().unwrap();
    let info = all
        .iter()
        .find(|info| info.key == cortex.key())
        .expect("listed");
    assert_eq!(
        (info.size, info.slots, info.schema, info.mode),
        (32, 2, 9, 0o600)
    );
    assert_eq!(
        (info.lock.as_str(), info.alive, info.participants),
        ("rwlock", Some(1), 5)
    );
    assert_eq!(
        (info.commits, info.state, info.is_stale),
        (1, SegmentState::Ready, false)
    );
    let key = cortex.key();
    drop(cortex);
    assert!(segments().unwrap().iter().all(|info| info.key != key));
}

#[test]
fn segment_tells_holder_readers_and_unfinished_writes() {
    let cortex: Cortex<[u64; 4], RwLock> = CortexBuilder::new([0_u64; 4])
        .random_key()
        .in_place()
        .with_default_lock()
        .unwrap();
    let look = || segment(cortex.key()).unwrap();
    assert_eq!(look().holder, None);
    assert_eq!(
        (look().attached, look().alive, look().dead),
        (1, Some(1), Some(0))
    );

    let guard = cortex.read_guard().unwrap();
    let info = look();
    assert_eq!((info.holder, info.tenants.len()), (None, 1));
    assert_eq!(
        (info.tenants[0].readers, info.tenants[0].is_alive),
        (1, Some(true))
    );
    drop(guard);
    assert_eq!(look().tenants[0].readers, 0);

    let guard = cortex.write_guard().unwrap();
    let info = look();
    let holder = info.holder.expect("held");
    assert_eq!((holder.slot, holder.is_alive), (0, Some(true)));
    assert_eq!(holder.generation, info.tenants[0].generation);
    assert_eq!((info.commits, info.begun, info.is_poisoned), (0, 1, true));
    drop(guard);
    let info = look();
    assert_eq!((info.holder, info.begun, info.is_poisoned), (None, 1, true));
    cortex.clear_poison().unwrap();
    assert_eq!((look().commits, look().is_poisoned), (1, false));
}

#[test]
fn persistence_is_seen_and_follows_ownership() {
    let build = || CortexBuilder::new(1_u64).random_key();
    let owned = build().create().unwrap();
    let look = |key| segment(key).unwrap();
    assert!(!look(owned.key()).is_persistent);
    // A handle that is not the owner cannot make it stay.
    let other: Cortex<u64> = Cortex::attach(owned.key()).unwrap();
    other.persist();
    assert!(!look(owned.key()).is_persistent);

    let key = {
        let kept = build().persist().create().unwrap();
        kept.key()
    };
    assert!(look(key).is_persistent && !look(key).is_stale);
    let adopted = CortexBuilder::new(1_u64)
        .key(key)
        .force_ownership()
        .create()
        .unwrap();
    assert!(!look(key).is_persistent && !look(key).is_stale);
    adopted.persist();
    assert!(look(key).is_persistent);
    drop(adopted);
    remove(key).unwrap();
    assert!(segment(key).is_err_and(|error| error.is_errno(crate::sys::errno::ENOENT)));
}

/// A creation time of 2⁶⁴ seconds made every look at the machine panic.
#[test]
fn header_with_an_impossible_time_is_looked_at() {
    let cortex = CortexBuilder::new(1_u64).random_key().create().unwrap();
    let mapping = Mapping::attach(shm::find(cortex.key()).unwrap()).unwrap();
    let header = mapping.base().as_ptr();
    // The time stands in front of the lock's name, which ends the header's fields.
    let bytes: Vec<u8> = (0..format::HEADER_SIZE)
        // SAFETY: the header is in the mapping, and no process stores there now.
        .map(|at| unsafe { header.add(at).read() })
        .collect();
    let name = bytes
        .windows(8)
        .position(|part| part == b"seqlock\0")
        .unwrap();
    // SAFETY: as above; the mapping is writable.
    unsafe { header.add(name - 8).cast::<u64>().write(u64::MAX) };
    let info = segment(cortex.key()).unwrap();
    assert_eq!(info.created, SystemTime::UNIX_EPOCH);
}

#[test]
fn people_names_this_process_and_its_thread_that_waits() {
    let cortex = CortexBuilder::new(1_u64).random_key().create().unwrap();
    let key = cortex.key();
    let look = || people(&segment(key).unwrap());
    assert_eq!(look().holder, None);
    let me = std::process::id() as i32;
    // An emulator has a `/proc/self` of its own, with addresses that the kernel does not have.
    let is_emulated = std::env::var_os("NEOCORTEX_TEST_RUNNER").is_some();
    let is_told = crate::sys::proc::is_told() && !is_emulated;
    let is_me = |who: &Who| match who {
        Who::Process(process) => process.pid == me && process.uid == crate::sys::effective_user(),
        Who::Untold { pid, .. } => !is_told && *pid == Some(me),
    };
    let guard = cortex.write_guard().unwrap();
    let people = look();
    assert!(is_me(people.holder.as_ref().unwrap()), "{people:?}");
    assert!(is_me(&people.participants[0].who), "{people:?}");
    assert!(is_me(&people.maker), "{people:?}");
    assert!(people.onlookers.iter().all(|one| one.process.pid != me));
    drop(guard);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| cortex.wait_changed(0, None));
        while cfg!(not(neocortex_portable)) {
            let people = look();
            let is_it = |one: &Waiter| one.process.pid == me && one.waits_for == WaitsFor::Change;
            // Sleeps, though not just now: it looks again twenty times a second.
            if people.waiters.iter().any(is_it) || people.closed_processes > 0 || !is_told {
                break;
            }
        }
        cortex.write(2).unwrap();
        assert_eq!(waiter.join().unwrap().unwrap(), 1);
    });
}

/// Run by `.ci/hygiene features`.
#[cfg(all(feature = "serde", not(neocortex_lean)))]
#[test]
fn what_is_seen_goes_through_json_and_back() {
    let cortex = CortexBuilder::new([0_u64; 4])
        .random_key()
        .with_default_lock::<RwLock>()
        .unwrap();
    let _guard = cortex.write_guard().unwrap();
    let info = segment(cortex.key()).unwrap();
    let text = serde_json::to_string(&info).unwrap();
    assert_eq!(serde_json::from_str::<SegmentInfo>(&text).unwrap(), info);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["key"], info.key);
    assert_eq!(value["lock"], "rwlock");
    assert_eq!(value["state"], "Ready");
    assert_eq!(value["holder"]["is_alive"], true);

    let people = people(&info);
    let text = serde_json::to_string(&people).unwrap();
    assert_eq!(serde_json::from_str::<People>(&text).unwrap(), people);

    let found = |cortex| Found {
        key: 5,
        id: 6,
        attached: Some(1),
        owner: None,
        changed: None,
        cortex,
    };
    let value = serde_json::to_value(found(Ok(info.clone()))).unwrap();
    assert_eq!(value["cortex"]["Ok"]["key"], info.key);
    let error = CortexError::Removed { key: 5 };
    let said = error.to_string();
    let value = serde_json::to_value(found(Err(error))).unwrap();
    assert_eq!(value["cortex"]["Err"], said);
}
