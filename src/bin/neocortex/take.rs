//! `remove` and `reclaim`: taking away.

use crate::arguments::{Reclaim, Remove};
use crate::describe::is_stale;
use crate::failure::{plain, say, status, Failure, Outcome, FAILED, REFUSED};
use neocortex::inspect::{self, Found, SegmentInfo};
use neocortex::{CortexError, CortexResult};
use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

/// How often, and how long apart, is looked again at a cortex to which somebody is attached who takes no part: whoever
/// lists cortexes is for a moment, whoever reads one for as long as it likes.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// A cortex as it is without those who list it now.
fn look(key: i32) -> CortexResult<SegmentInfo> {
    for _ in 1..LOOKS {
        let info = inspect::segment(key)?;
        if info.attached == 0 || info.alive != Some(0) {
            return Ok(info);
        }
        sleep(PAUSE);
    }
    inspect::segment(key)
}

pub fn remove(arguments: &Remove) -> Outcome {
    let key = arguments.target.key;
    // A cortex that is not whole can be in nobody's use.
    if let (Ok(info), false) = (look(key), arguments.force) {
        let alive = info.alive.unwrap_or(0);
        if info.attached > 0 || alive > 0 {
            let attached = info.attached;
            return plain(
                REFUSED,
                format!("key {key}: in use: {attached} mappings, {alive} participants. `--force` removes it all the same; those attached keep sharing its memory, nobody else can attach"),
            );
        }
    }
    Ok(inspect::remove(key)?)
}

pub fn reclaim(arguments: &Reclaim) -> Outcome {
    match arguments.key {
        Some(key) => reclaim_one(key, arguments.dry_run),
        None => reclaim_all(arguments.dry_run),
    }
}

fn reclaim_one(key: i32, is_dry: bool) -> Outcome {
    // Also tells a blank segment, which may be another program's, from a half-made cortex.
    let info = match look(key) {
        Ok(info) => info,
        // Half made or spoilt: stale if nobody is attached, which the library finds out.
        Err(CortexError::NotReady { .. } | CortexError::Corrupt { .. }) if !is_dry => {
            inspect::reclaim(key)?;
            return tell(is_dry, &format!("key {key}, which was not whole"));
        }
        Err(error) => return Err(error.into()),
    };
    if info.is_stale && info.is_persistent {
        return plain(
            REFUSED,
            format!("key {key}: nobody is attached, but it was made to stay; `neocortex remove` takes it away"),
        );
    }
    if !info.is_stale {
        let (attached, alive) = (info.attached, info.alive.unwrap_or(0));
        return plain(
            REFUSED,
            format!("key {key}: not stale: {attached} mappings, {alive} participants. It was left as it is"),
        );
    }
    if !is_dry {
        inspect::reclaim(key)?;
    }
    tell(is_dry, &describe(key, info.id, info.beacon_id))
}

fn describe(key: i32, id: i32, set: Option<i32>) -> String {
    match set {
        Some(set) => format!("key {key}: segment {id}, semaphores {set}"),
        None => format!("key {key}: segment {id}"),
    }
}

fn tell(is_dry: bool, what: &str) -> Outcome {
    let lead = if is_dry { "would reclaim" } else { "reclaimed" };
    Ok(writeln!(io::stdout(), "{lead} {what}")?)
}

/// What a segment in the table is, if nobody is attached to it and it is ours.
fn stale(found: &Found) -> Option<String> {
    match &found.cortex {
        // Again, for those who merely look.
        Ok(info) if look(info.key).is_ok_and(|now| now.id == info.id && is_stale(&now)) => {
            Some(describe(info.key, info.id, info.beacon_id))
        }
        Err(CortexError::NotReady { .. } | CortexError::Corrupt { .. })
            if found.attached == Some(0) =>
        {
            Some(format!(
                "key {}: segment {}, not whole",
                found.key, found.id
            ))
        }
        _ => None,
    }
}

fn reclaim_all(is_dry: bool) -> Outcome {
    let mut failures: Vec<CortexError> = Vec::new();
    // Asked before: reclaiming a cortex takes the orphans along.
    let mut orphans = inspect::orphans()?;
    // One that was removed has no key, and goes with the last one attached.
    for found in inspect::survey()?.iter().filter(|found| found.key != 0) {
        let Some(what) = stale(found) else { continue };
        match if is_dry {
            Ok(())
        } else {
            inspect::reclaim(found.key)
        } {
            Ok(()) => tell(is_dry, &what)?,
            // Somebody has attached since.
            Err(CortexError::Busy { .. }) => {}
            Err(error) => failures.push(error),
        }
    }
    if !is_dry {
        inspect::reclaim_orphans()?;
        // Another user's stay.
        let left = inspect::orphans()?;
        orphans.retain(|set| !left.contains(set));
    }
    for set in orphans {
        tell(is_dry, &format!("semaphores {set}, whose segment is gone"))?;
    }
    match failures.pop() {
        None => Ok(()),
        Some(last) => {
            failures.iter().for_each(|error| say(&error.to_string()));
            let is_same = failures.iter().all(|error| status(error) == status(&last));
            let code = if is_same { status(&last) } else { FAILED };
            Err(Failure::Plain(code, last.to_string()))
        }
    }
}
