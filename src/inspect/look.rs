//! One look at a segment, through a read-only mapping that is gone again when the look is over.
//!
//! **Nothing is stored, nothing is claimed.** Each figure is loaded on its own, so they are of about one
//! moment and not of exactly one. Only one statement needs more than that: that somebody is *dead*.
//! The generations are read first, then all beacons in one call, then the words that name participants. A
//! tenant whose generation stood there before, whose beacon was out in between, and which is still named
//! after, had no way to let go later: it died. Whoever came or left meanwhile has another generation.

use super::{Holder, Participant, SegmentInfo, SegmentState, Waiting};
use crate::error::{Attempt, CortexError, CortexResult};
use crate::format::{self, state};
use crate::participants::{Beacons, Id, Line, Lit};
use crate::primitive::Ordering;
use crate::sync::{owner, shared};
use crate::sys::shm::{Mapping, Status};
use crate::view::{header, View};
use std::time::{Duration, SystemTime};

/// Looks at the segment with this id. `status` is of before this process is counted as attached itself.
///
/// # Errors
/// `NotACortex`, `NotReady` (its header is not written yet), `Format`, `Corrupt`; `CleanSystem`.
pub(super) fn look(key: i32, id: i32, status: &Status) -> CortexResult<SegmentInfo> {
    let foreign = |detail| CortexError::NotACortex { key, detail };
    if status.size < format::LOCK_OFFSET {
        return Err(foreign("too small for a header"));
    }
    let mapping = Mapping::attach(id, true).attempt("look at", key)?;
    if !header(&mapping).has_magic() {
        return Err(foreign("no magic number"));
    }
    let layout = match header(&mapping).read(key, mapping.size()) {
        // Half written: its creator is at work, or died.
        Err(_) if header(&mapping).state() == state::INITIALISING => {
            return Err(CortexError::NotReady { key, waited_ms: 0 })
        }
        result => result?,
    };
    let view = View {
        mapping,
        layout,
        key,
    };
    Ok(describe(&view, id, status))
}

fn describe(view: &View, id: i32, status: &Status) -> SegmentInfo {
    let (header, shape, ledger) = (view.header(), &view.layout.shape, view.ledger());
    let high_water = header.high_water.load(Ordering::Relaxed);
    let used = 0..high_water.min(shape.participants);
    // The order of the next steps matters: see the top of this file.
    let before: Vec<u32> = used.clone().map(|slot| view.line(slot).load()).collect();
    let lit = beacons(view, status);
    let (holder, is_lock_awaited) = holder(view, &before, lit.as_deref());
    let participants: Vec<Participant> = used
        .filter_map(|slot| participant(view, slot, before[slot as usize], lit.as_deref()))
        .collect();
    let alive = lit
        .as_ref()
        .map(|lit| lit.iter().filter(|&&value| value != 0).count() as u32);
    let is_named = |slot| holder.is_some_and(|holder| holder.slot == slot);
    let dead = participants
        .iter()
        .filter(|one| one.is_alive == Some(false) && (one.readers > 0 || is_named(one.slot)));
    let dead = lit.is_some().then(|| dead.count() as u32);
    let queue = match shape.lock_name.as_str() {
        "rwlock" => view
            .lock_word(1)
            .map_or(0, |word| word.load(Ordering::Relaxed)),
        _ => 0,
    };
    SegmentInfo {
        key: view.key,
        id,
        format: format::VERSION,
        size: shape.size,
        total_size: view.layout.total_size,
        align: shape.align,
        slots: shape.slots,
        slot_stride: view.layout.slot_stride,
        slots_offset: view.layout.slots_offset,
        participants_offset: view.layout.participants_offset,
        lock: shape.lock_name.clone(),
        lock_size: shape.lock_size,
        schema: shape.schema,
        beacon_key: header.beacon_key(),
        beacon_id: header.beacon_id(),
        owner: status.owner,
        creator: status.creator,
        mode: status.mode,
        attached: status.attached,
        alive,
        dead,
        participants: shape.participants,
        tenants: participants,
        commits: ledger.committed(),
        begun: ledger.begun(),
        holder,
        waiting: Waiting {
            for_lock: is_lock_awaited,
            for_change: crate::signal::is_awaited(view.signal()),
            for_pause: view.signal().is_asked(),
            readers: queue & !shared::TURN,
        },
        created: SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(header.created()))
            .unwrap_or(SystemTime::UNIX_EPOCH),
        state: match header.state() {
            state::INITIALISING => SegmentState::Initialising,
            state::READY => SegmentState::Ready,
            state::CLOSING => SegmentState::Closing,
            _ => SegmentState::Removed,
        },
        is_poisoned: view.layout.is_in_place() && ledger.is_unfinished(),
        is_persistent: header.is_persistent(),
        is_stale: status.attached == 0 && alive.unwrap_or(0) == 0,
    }
}

/// Every beacon of the segment; `None` where its set may not be read, is gone, or is not its own.
fn beacons(view: &View, status: &Status) -> Option<Lit> {
    let set = view.header().beacon_id()?;
    let limit = view.layout.shape.participants;
    let (_, lit) = Beacons::open(view.key, set, status, view.mapping.id(), limit).ok()?;
    Some(lit)
}

/// Whether this participant lives, given its slot's line as it was before the beacons were read; `None`
/// where that cannot be told.
fn is_alive(slot: u32, generation: u32, before: Option<u32>, lit: Option<&[u16]>) -> Option<bool> {
    let is_lit = *lit?.get(slot as usize)? != 0;
    // Of another generation then: it came after the beacons were read.
    let was_there = before.map(Line::generation_in) == Some(generation);
    Some(is_lit || !was_there)
}

/// Who has the owner word, and whether somebody may sleep until it changes. A lock of a user's own says
/// neither.
fn holder(view: &View, before: &[u32], lit: Option<&[u16]>) -> (Option<Holder>, bool) {
    let is_built_in = matches!(
        view.layout.shape.lock_name.as_str(),
        "seqlock" | "rwlock" | "semaphore"
    );
    let Some(word) = view.lock_word(0).filter(|_| is_built_in) else {
        return (None, false);
    };
    // Acquire: the generation below is then not seen older than the word.
    let word = word.load(Ordering::Acquire);
    let id = owner::holder(word);
    let Some(slot) = id.slot() else {
        return (None, false);
    };
    let is_possible =
        slot < view.layout.shape.participants && view.line(slot).generation() == id.generation();
    let before = before.get(slot as usize).copied();
    let holder = Holder {
        slot,
        generation: id.generation(),
        is_alive: match is_possible {
            true => is_alive(slot, id.generation(), before, lit),
            // It has just left, or the word is no participant's.
            false => None,
        },
    };
    (Some(holder), word & owner::WAITERS != 0)
}

/// A slot that somebody is in, or that counts readers of somebody who died; `None` for one that is free.
fn participant(view: &View, slot: u32, before: u32, lit: Option<&[u16]>) -> Option<Participant> {
    let word = view.line(slot).load();
    let (generation, readers) = (Line::generation_in(word), Line::readers(word));
    let is_alive = is_alive(slot, generation, Some(before), lit);
    let names_it = || {
        let word = view
            .lock_word(0)
            .map_or(0, |word| word.load(Ordering::Relaxed));
        owner::holder(word) == Id::new(slot, generation)
    };
    (is_alive != Some(false) || readers > 0 || names_it()).then_some(Participant {
        slot,
        generation,
        readers,
        is_alive,
    })
}
