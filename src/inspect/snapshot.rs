//! Taking a snapshot of a segment, through a read-only mapping that ends with it.
//!
//! **Nothing is stored, nothing is claimed.** Each figure is loaded on its own, so they are of about one moment and not
//! of exactly one. Only one statement needs more than that: that a participant is *dead*. The generations are read
//! first, then all beacons in one call, then the words that name participants. A tenant whose generation was there
//! before, whose beacon was out in between, and which is still named after, could not have released anything later: it
//! died. A process that came or left meanwhile has another generation.

use super::info::{Holder, Participant, SegmentInfo, SegmentState, Waiting};
use crate::attachment::mapped_segment::{header, MappedSegment};
use crate::error::{Attempt, Cause};
use crate::locks::built_in::is_built_in;
use crate::locks::{CortexSync, RwLock};
use crate::protocol::atomics::Ordering;
use crate::protocol::beacons::BeaconValues;
use crate::protocol::format::{self, state, Header};
use crate::protocol::participants::{Id, ParticipantLine};
use crate::protocol::{owner_word, readers};
use crate::segment::{find, presence};
use crate::sys::memory::gather;
use crate::sys::shm::{Mapped, ReadOnlyMapping, Status};
use crate::sys::SysResult;
use std::time::{Duration, SystemTime};

/// Looks at the segment with this id. `status` is of before this process is counted as attached itself.
///
/// # Errors
/// `NotACortex`, `NotReady` (its header is not written yet), `Format`, `Corrupt`; `CleanSystem`.
pub(super) fn look(key: i32, id: i32, status: &Status) -> Result<SegmentInfo, Cause> {
    if status.size < format::LOCK_OFFSET {
        return Err(Cause::NotACortex("it is too small for the header of one"));
    }
    let mapping = ReadOnlyMapping::attach(id).attempt("look at")?;
    if let Some(detail) = find::refusal(&mapping) {
        return Err(Cause::NotACortex(detail));
    }
    let layout = match header(&mapping).read(mapping.size()) {
        // The header is half written: its creator is at work, or has died.
        Err(_) if header(&mapping).state() == state::INITIALISING => {
            return Err(Cause::NotReady { waited_ms: 0 })
        }
        result => result?,
    };
    let mapped = MappedSegment::new(mapping, layout, key);
    describe(&mapped, id, status).attempt("look at")
}

fn describe(
    mapped: &MappedSegment<ReadOnlyMapping>,
    id: i32,
    status: &Status,
) -> SysResult<SegmentInfo> {
    let (header, shape, ledger) = (mapped.header(), &mapped.layout.shape, mapped.ledger());
    let used = 0..shape.participants;
    // The order of the next steps matters: see the top of this file.
    let lines = used.clone().map(|slot| mapped.line(slot).load());
    let before: Vec<u32> = gather(used.len(), lines)?;
    let (lit, is_set_gone) = beacons(mapped, status);
    let (holder, is_lock_awaited) = holder(mapped, &before, lit.as_deref());
    let seen = used
        .clone()
        .filter_map(|slot| participant(mapped, slot, before[slot as usize], lit.as_deref()));
    let participants: Vec<Participant> = gather(used.len(), seen)?;
    let alive = lit
        .as_ref()
        .map(|lit| lit.iter().filter(|&&value| value != 0).count() as u32);
    let is_named = |slot| holder.is_some_and(|holder| holder.slot == slot);
    let dead = participants
        .iter()
        .filter(|one| one.is_alive == Some(false) && (one.readers > 0 || is_named(one.slot)));
    let dead = lit.is_some().then(|| dead.count() as u32);
    let queue = match shape.lock_name.as_str() {
        RwLock::NAME => mapped
            .lock_word(1)
            .map_or(0, |word| word.load(Ordering::Relaxed)),
        _ => 0,
    };
    Ok(SegmentInfo {
        key: mapped.key,
        name: shape.name.clone(),
        id,
        format: format::VERSION,
        size: shape.size,
        has_records: shape.has_records(),
        is_lossless: shape.is_lossless(),
        total_size: mapped.layout.total_size,
        align: shape.align,
        slots: shape.slots,
        slot_stride: mapped.layout.slot_stride,
        slots_offset: mapped.layout.slots_offset,
        participants_offset: mapped.layout.participants_offset,
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
            for_change: crate::protocol::signal::is_awaited(mapped.signal()),
            for_pause: mapped.signal().is_asked(),
            for_room: crate::protocol::room::is_awaited(mapped.signal()),
            readers: queue & !readers::TURN,
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
        is_poisoned: mapped.layout.is_in_place() && ledger.is_unfinished(),
        // A remover marks the segment before it removes the set.
        has_lost_semaphores: is_set_gone && matches!(header.state(), state::READY | state::CLOSING),
        is_persistent: header.is_persistent(),
        is_stale: is_stale(header, alive, status.attached),
    })
}

/// Returns whether [`super::reclaim`] removes it. Where the beacons cannot be read, any attached process may take part,
/// or be its creator; this holds for a removed segment too, because it exists until the last process detaches.
fn is_stale(header: &Header, alive: Option<u32>, attached: u64) -> bool {
    let state = header.state();
    let is_deserted = match alive {
        Some(alive) if state != state::REMOVED => alive == 0,
        alive => attached == 0 && alive.unwrap_or(0) == 0,
    };
    // There was never a value in a segment that was not finished.
    is_deserted && (state == state::INITIALISING || !header.is_persistent())
}

/// Returns every beacon of the segment, or `None` where this user may not read its set, or the set is gone or is not
/// its own; and whether it is one of the last two.
fn beacons(
    mapped: &MappedSegment<ReadOnlyMapping>,
    status: &Status,
) -> (Option<BeaconValues>, bool) {
    let found = presence::unmarked(&mapped.mapping, status)
        .attempt("look at")
        .and_then(|status| presence::open_beacons(&mapped.mapping, &mapped.layout, &status));
    match found {
        Ok((_, lit)) => (Some(lit), false),
        Err(Cause::Removed | Cause::Corrupt(_)) => (None, true),
        Err(_) => (None, false),
    }
}

/// Returns whether this participant lives, given its slot's line as it was before the beacons were read; `None` where
/// that cannot be known.
fn is_alive(slot: u32, generation: u32, before: Option<u32>, lit: Option<&[u16]>) -> Option<bool> {
    let is_lit = *lit?.get(slot as usize)? != 0;
    // With another generation before, it came after the beacons were read.
    let was_there = before.map(ParticipantLine::generation_in) == Some(generation);
    Some(is_lit || !was_there)
}

/// Returns the holder that the owner word names, and whether a process may sleep until the word changes. A lock of a
/// user's own tells neither.
fn holder(
    mapped: &MappedSegment<ReadOnlyMapping>,
    before: &[u32],
    lit: Option<&[u16]>,
) -> (Option<Holder>, bool) {
    let lock = mapped.layout.shape.lock_name.as_str();
    let Some(word) = mapped.lock_word(0).filter(|_| is_built_in(lock)) else {
        return (None, false);
    };
    // Acquire: the generation below is then not seen older than the word.
    let word = word.load(Ordering::Acquire);
    let id = owner_word::holder(word);
    let Some(slot) = id.slot() else {
        return (None, false);
    };
    let is_possible = slot < mapped.layout.shape.participants
        && mapped.line(slot).generation() == id.generation();
    let before = before.get(slot as usize).copied();
    let holder = Holder {
        slot,
        generation: id.generation(),
        is_alive: match is_possible {
            true => is_alive(slot, id.generation(), before, lit),
            // The holder has just left, or the word does not name a participant.
            false => None,
        },
    };
    (Some(holder), word & owner_word::WAITERS != 0)
}

/// Returns the participant in a slot, where it lives or is dead and still holds something; `None` for a slot that is
/// free.
fn participant(
    mapped: &MappedSegment<ReadOnlyMapping>,
    slot: u32,
    before: u32,
    lit: Option<&[u16]>,
) -> Option<Participant> {
    let word = mapped.line(slot).load();
    let (generation, readers) = (
        ParticipantLine::generation_in(word),
        ParticipantLine::readers(word),
    );
    let is_alive = is_alive(slot, generation, Some(before), lit);
    let names_it = || {
        let word = mapped
            .lock_word(0)
            .map_or(0, |word| word.load(Ordering::Relaxed));
        owner_word::holder(word) == Id::new(slot, generation)
    };
    (is_alive != Some(false) || readers > 0 || names_it()).then_some(Participant {
        slot,
        generation,
        readers,
        is_alive,
    })
}
