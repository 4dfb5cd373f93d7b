//! `remove` and `reclaim`: removing cortexes.

use crate::arguments::{Reclaim, Remove};
use crate::describe::{harmless, is_kept, is_stale};
use crate::failure::{in_our_words, plain, say, status, Failure, Outcome, FAILED, REFUSED};
use crate::output;
use neocortex::inspect::{self, Found, SegmentInfo};
use neocortex::{CortexError, CortexResult, Key};
use std::io::{self, Write};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

/// How many times, and how long apart, a cortex is looked at again to which a process is attached that is no
/// participant: a process that lists cortexes is attached for a moment, one that observes for as long as it likes.
const REMOVE_RETRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// Returns what is seen of a cortex when the processes that merely list cortexes have detached.
fn look(key: &Key) -> CortexResult<SegmentInfo> {
    for _ in 1..REMOVE_RETRIES {
        let info = inspect::segment(key)?;
        if info.attached == 0 || info.alive != Some(0) {
            return Ok(info);
        }
        sleep(PAUSE);
    }
    inspect::segment(key)
}

pub fn remove(arguments: &Remove) -> Outcome {
    let key = &arguments.target.key;
    // A cortex that is not whole cannot be in use.
    if let (Ok(info), false) = (look(key), arguments.force) {
        if info.attached > 0 || info.alive.unwrap_or(0) > 0 {
            let users = users(&info);
            return plain(
                REFUSED,
                format!("key {key}: in use: {users}. `--force` removes it all the same; those attached keep sharing its memory, nobody else can attach"),
            );
        }
    }
    Ok(inspect::remove(key)?)
}

pub fn reclaim(arguments: &Reclaim) -> Outcome {
    match &arguments.key {
        Some(key) => reclaim_one(key, arguments.dry_run),
        None => reclaim_all(arguments),
    }
}

fn reclaim_one(key: &Key, is_dry: bool) -> Outcome {
    // This also distinguishes a blank segment, which may be another program's, from a half-made cortex.
    let info = match inspect::segment(key) {
        Ok(info) => info,
        // It is half made or spoilt: the library finds out whether it is stale.
        Err(CortexError::NotReady { .. } | CortexError::Corrupt { .. }) if !is_dry => {
            inspect::reclaim(key)?;
            let shown = harmless(&key.to_string());
            return tell_at_end(is_dry, &format!("key {shown}, which was not whole"));
        }
        Err(error) => return Err(error.into()),
    };
    let typed = typed(key, &info);
    if is_kept(&info) {
        return plain(
            REFUSED,
            format!("key {key}: no participant lives, but it was made to stay; `neocortex remove {typed}` takes it away"),
        );
    }
    if !is_stale(&info) {
        let users = users(&info);
        let advice = match info.has_lost_semaphores {
            true => format!("; `neocortex remove --force {typed}` removes it all the same"),
            false => String::new(),
        };
        return plain(
            REFUSED,
            format!("key {key}: not stale: {users}. It was left as it is{advice}"),
        );
    }
    if !is_dry {
        inspect::reclaim(key)?;
    }
    tell_at_end(is_dry, &describe(&info))
}

/// Returns the key as a user can type it: the number where the name has characters that are shown escaped.
fn typed(key: &Key, info: &SegmentInfo) -> String {
    let text = key.to_string();
    if harmless(&text) == text {
        text
    } else {
        info.key.to_string()
    }
}

/// Returns which users of the cortex there are, in words.
fn users(info: &SegmentInfo) -> String {
    let attached = info.attached;
    match (info.alive, info.has_lost_semaphores) {
        (Some(alive), _) => format!("{attached} mappings, {alive} participants"),
        (None, true) => format!("{attached} mappings; its semaphores are gone, so that nobody can say how many take part"),
        (None, false) => format!("{attached} mappings; this user may not see how many take part"),
    }
}

fn describe(info: &SegmentInfo) -> String {
    let (key, id) = (info.key, info.id);
    let name = match info.name.is_empty() {
        true => String::new(),
        false => format!(" ({})", harmless(&info.name)),
    };
    match info.beacon_id {
        Some(set) => format!("key {key}{name}: segment {id}, semaphores {set}"),
        None => format!("key {key}{name}: segment {id}"),
    }
}

fn tell(is_dry: bool, what: &str) -> io::Result<()> {
    let lead = if is_dry { "would reclaim" } else { "reclaimed" };
    writeln!(output::lock(), "{lead} {what}")
}

/// Of one cortex: what was done stays done, and that it could not be said is a failure that says it.
fn tell_at_end(is_dry: bool, what: &str) -> Outcome {
    match tell(is_dry, what) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe && !is_dry => plain(
            FAILED,
            format!("reclaimed {what}; but cannot write the output: {error}"),
        ),
        result => Ok(result?),
    }
}

/// Which stale cortexes are to be removed.
struct Wanted {
    owner: Option<u32>,
    older: Option<Duration>,
}

impl Wanted {
    fn new(arguments: &Reclaim) -> Self {
        let me = uzers::get_effective_uid();
        Self {
            owner: arguments.owner.or((me != 0).then_some(me)),
            older: arguments.older,
        }
    }

    /// Returns whether this one is to be removed. Where its owner or age is not known, it is not.
    fn takes(&self, owner: Option<u32>, made: Option<SystemTime>) -> bool {
        let is_old = |least| {
            made.and_then(|made| made.elapsed().ok())
                .is_some_and(|age| age >= least)
        };
        self.owner.is_none_or(|wanted| owner == Some(wanted)) && self.older.is_none_or(is_old)
    }
}

/// Returns what a segment in the table is, if it is ours, is not in use, and is to be removed.
fn stale(found: &Found, wanted: &Wanted) -> Option<String> {
    match &found.cortex {
        Ok(info) if !wanted.takes(Some(info.owner), Some(info.created)) => None,
        Ok(info) if is_stale(info) => Some(describe(info)),
        Err(CortexError::NotReady { .. } | CortexError::Corrupt { .. })
            if found.attached == Some(0) && wanted.takes(found.owner, found.changed) =>
        {
            Some(format!(
                "key {}: segment {}, not whole",
                found.key, found.id
            ))
        }
        _ => None,
    }
}

fn reclaim_all(arguments: &Reclaim) -> Outcome {
    let (is_dry, wanted) = (arguments.dry_run, Wanted::new(arguments));
    let mut said = match wanted.owner {
        None => writeln!(
            output::lock(),
            "every user's, for this is root (`--owner USER` limits it):"
        ),
        Some(_) => Ok(()),
    };
    // A failure to print is no reason to stop half way.
    let mut tell = |what: &str| {
        if said.is_ok() {
            said = tell(is_dry, what);
        }
    };
    let mut failures: Vec<CortexError> = Vec::new();
    // A segment that was removed has no key, and goes with its last attached process.
    for found in inspect::survey()?.iter().filter(|found| found.key != 0) {
        let Some(what) = stale(found, &wanted) else {
            continue;
        };
        match if is_dry {
            Ok(())
        } else {
            inspect::reclaim_alone(found.key)
        } {
            Ok(()) => tell(&what),
            // A process has attached since.
            Err(CortexError::Busy { .. }) => {}
            Err(error) => failures.push(error),
        }
    }
    for set in inspect::orphan_sets()? {
        if !wanted.takes(Some(set.owner), set.changed) {
            continue;
        }
        match if is_dry {
            Ok(true)
        } else {
            inspect::reclaim_orphan(set.id)
        } {
            Ok(true) => tell(&format!("semaphores {}, whose segment is gone", set.id)),
            // Another process was faster.
            Ok(false) => {}
            Err(error) => failures.push(error),
        }
    }
    match failures.pop() {
        None => Ok(said?),
        Some(last) => {
            failures.iter().for_each(|error| say(&in_our_words(error)));
            let is_same = failures.iter().all(|error| status(error) == status(&last));
            let code = if is_same { status(&last) } else { FAILED };
            Err(Failure::Plain(code, in_our_words(&last)))
        }
    }
}
