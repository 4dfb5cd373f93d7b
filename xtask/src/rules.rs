//! What is weakened besides orderings, which models try which file, and which places no model can reach.

/// One place that a run can weaken.
pub struct Weakening {
    pub file: String,
    pub what: String,
}

/// Something else that the protocols need.
pub struct Rule {
    pub what: &'static str,
    /// Under `src`.
    pub file: &'static str,
    /// Compared token by token; stands there exactly once.
    pub from: &'static str,
    /// `WEAK` is true in the run that tries it. An ordering behind `Untried` is not itself weakened.
    pub to: &'static str,
}

/// Which models try a file.
pub const MODELS: &[(&str, &[&str])] = &[
    ("protocol/commit.rs", &["commit", "signal", "follow"]),
    ("protocol/follow.rs", &["follow", "room"]),
    ("protocol/models/commit.rs", &["commit"]),
    ("protocol/models/interrupts.rs", &["interrupts"]),
    ("protocol/signal.rs", &["signal", "telling", "rest"]),
    ("protocol/telling.rs", &["telling"]),
    ("protocol/models/telling.rs", &["telling"]),
    ("protocol/room.rs", &["room"]),
    (
        "protocol/participants.rs",
        &["rwlock", "owner", "membership"],
    ),
    ("protocol/claimed_slot.rs", &["membership"]),
    ("protocol/models/lifecycle.rs", &["lifecycle"]),
    ("protocol/format/header.rs", &["lifecycle", "signal"]),
    ("protocol/lifecycle.rs", &["lifecycle", "signal"]),
    ("protocol/ownership.rs", &["ownership"]),
    ("protocol/interrupts.rs", &["interrupts"]),
    (
        "protocol/owner_word.rs",
        &["owner", "signal", "rwlock", "membership", "rest"],
    ),
    ("protocol/readers.rs", &["rwlock"]),
    ("protocol/slots_in_use.rs", &["rwlock"]),
];

#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    Rule {
        what: "`begun` lowered by a writer that gives up",
        file: "protocol/models/commit.rs",
        from: "fn give_up(&self) {}",
        to: "fn give_up(&self) { if WEAK { let c = self.line.committed.load(Relaxed); self.line.begun.store(c, Relaxed); } }",
    },
    Rule {
        what: "`begun` lowered in order to heal",
        file: "protocol/commit.rs",
        from: "self.line.committed.store(begun, Ordering::Release);",
        to: "if WEAK { let c = self.line.committed.load(Ordering::Relaxed); self.line.begun.store(c, Ordering::Relaxed); } else { self.line.committed.store(begun, Ordering::Release); }",
    },
    Rule {
        what: "an unfinished slot brought up to date by ranges",
        file: "protocol/commit.rs",
        from: "if !begun.is_clean ||",
        to: "if !WEAK && !begun.is_clean ||",
    },
    Rule {
        what: "a note of the last commit that stays while the next is written",
        file: "protocol/commit.rs",
        from: "self.ranges.last.store(UNKNOWN, Ordering::Relaxed); self.line.begun.store(next",
        to: "if !WEAK { self.ranges.last.store(UNKNOWN, Ordering::Relaxed); } self.line.begun.store(next",
    },
    Rule {
        what: "a note of the last commit before the commit",
        file: "protocol/commit.rs",
        from: "self.announce(commit, changed); self.ranges",
        to: "if WEAK { self.ranges.last.store(commit, UntriedOrdering::Release); } self.announce(commit, changed); self.ranges",
    },
    Rule {
        what: "a note by a publisher, who begins the next commit",
        file: "protocol/commit.rs",
        from: "self.announce(commit, changed); let result",
        to: "if WEAK { self.commit(commit, changed) } else { self.announce(commit, changed) }; let result",
    },
    Rule {
        what: "a commit before its range",
        file: "protocol/commit.rs",
        from: "self.range(commit).store(changed.pack(), Ordering::Relaxed);",
        to: "if WEAK { self.line.committed.store(commit, UntriedOrdering::Release); } self.range(commit).store(changed.pack(), Ordering::Relaxed);",
    },
    Rule {
        what: "a slot read one commit too long",
        file: "protocol/commit.rs",
        from: "begun.wrapping_sub(commit) < u64::from(self.slots)",
        to: "begun.wrapping_sub(commit) < u64::from(self.slots) + u64::from(WEAK)",
    },
    Rule {
        what: "a writer's successor that relies on the dead one's fence",
        file: "protocol/commit.rs",
        from: "fence(Ordering::Release); next }",
        to: "if !WEAK || next.is_clean { fence(Ordering::Release); } next }",
    },
    Rule {
        what: "a successor that makes the commit after the one which a dead writer has begun",
        file: "protocol/commit.rs",
        from: "let begun = self.begun.load(Ordering::Relaxed); Begun { commit: committed",
        to: "let begun = self.begun.load(Ordering::Relaxed); Begun { commit: (if WEAK { begun } else { committed })",
    },
    Rule {
        what: "a successor that makes the dead writer's last commit once more",
        file: "protocol/commit.rs",
        from: ".wrapping_add(1), is_clean: begun",
        to: ".wrapping_add(u64::from(!WEAK || begun == committed)), is_clean: begun",
    },
    Rule {
        what: "a slot taken for kept that a dead writer has begun to overwrite",
        file: "protocol/commit.rs",
        from: ".saturating_sub(is_next_begun.into())",
        to: ".saturating_sub((!WEAK && is_next_begun).into())",
    },
    Rule {
        what: "a follower that does not look whether its slot is being overwritten",
        file: "protocol/follow.rs",
        from: "if !ledger.still_holds(first) {",
        to: "if !WEAK && !ledger.still_holds(first) {",
    },
    Rule {
        what: "a batch judged by its newest commit",
        file: "protocol/follow.rs",
        from: "ledger.still_holds(first)",
        to: "ledger.still_holds(if WEAK { first.wrapping_add(count - 1) } else { first })",
    },
    Rule {
        what: "a follower that takes a commit for made when it has begun",
        file: "protocol/follow.rs",
        from: "let committed = ledger.committed(); if committed == self.known {",
        to: "let committed = if WEAK { ledger.line.begun.load(crate::protocol::atomics::Ordering::Relaxed) } else { ledger.committed() }; if committed == self.known {",
    },
    Rule {
        what: "a follower that goes on with a commit which has only begun",
        file: "protocol/follow.rs",
        from: "let committed = ledger.committed(); if is_later(",
        to: "let committed = if WEAK { ledger.line.begun.load(crate::protocol::atomics::Ordering::Relaxed) } else { ledger.committed() }; if is_later(",
    },
    Rule {
        what: "a commit that was overwritten, and counts as read",
        file: "protocol/follow.rs",
        from: "self.was_in_vain(ledger);",
        to: "if WEAK { self.seen = first; } self.was_in_vain(ledger);",
    },
    Rule {
        what: "one missed too many where a writer has died",
        file: "protocol/follow.rs",
        from: "let missed = first.wrapping_sub(self.seen).wrapping_sub(1);",
        to: "let missed = first.wrapping_sub(self.seen).wrapping_sub(u64::from(!WEAK || ledger.line.begun.load(crate::protocol::atomics::Ordering::Relaxed) == ledger.committed()));",
    },
    Rule {
        what: "a dead holder passed without its beacon",
        file: "protocol/owner_word.rs",
        from: "(Standing::Dead, Some(slot)) => {",
        to: "(Standing::Dead, Some(slot)) if !WEAK => {",
    },
    Rule {
        what: "a taker that has slept leaves no mark",
        file: "protocol/owner_word.rs",
        from: "mine |= WAITERS;",
        to: "mine |= if WEAK { 0 } else { WAITERS };",
    },
    Rule {
        what: "a taker of a word at rest that rouses nobody",
        file: "protocol/owner_word.rs",
        from: "if seen == RESTING { world.rouse();",
        to: "if !WEAK && seen == RESTING { world.rouse();",
    },
    Rule {
        what: "a dead holder's word set free instead of at rest",
        file: "protocol/owner_word.rs",
        from: "compare_exchange(seen, RESTING, Ordering::Release, Ordering::Relaxed)",
        to: "compare_exchange(seen, if WEAK { 0 } else { RESTING }, Ordering::Release, Ordering::Relaxed)",
    },
    Rule {
        what: "a process that takes a held word for one at rest",
        file: "protocol/owner_word.rs",
        from: "Err(seen) => seen == RESTING,",
        to: "Err(seen) => WEAK || seen == RESTING,",
    },
    Rule {
        what: "a new tenant keeps the generation",
        file: "protocol/participants.rs",
        from: "(seen >> READERS_BITS).wrapping_add(1)",
        to: "(seen >> READERS_BITS).wrapping_add(u32::from(!WEAK))",
    },
    Rule {
        what: "a tenant beyond the lines that writers look at",
        file: "protocol/slots_in_use.rs",
        from: "max(slot + 1)",
        to: "max(slot + u32::from(!WEAK))",
    },
    Rule {
        what: "a tenant that joins and does not change the mark",
        file: "protocol/slots_in_use.rs",
        from: "wrapping_add(1)",
        to: "wrapping_add(u64::from(!WEAK))",
    },
    Rule {
        what: "a dead reader is never forgotten",
        file: "protocol/readers.rs",
        from: "line.forget_readers(seen);",
        to: "if !WEAK { line.forget_readers(seen); }",
    },
    Rule {
        what: "readers forgotten without asking who lives",
        file: "protocol/readers.rs",
        from: "if !world.is_lit(slot)? {",
        to: "if WEAK || !world.is_lit(slot)? {",
    },
    Rule {
        what: "a reader that stays counted while it waits",
        file: "protocol/readers.rs",
        from: "if retreat(word, line) {",
        to: "if !WEAK && retreat(word, line) {",
    },
    Rule {
        what: "a request that nobody looks at",
        file: "protocol/signal.rs",
        from: "is_awaited_after_store(line) | line.is_asked()",
        to: "is_awaited_after_store(line) | (!WEAK && line.is_asked())",
    },
    Rule {
        what: "a reader that got through and does not say so",
        file: "protocol/signal.rs",
        from: "if seen & !SLEEPS != request {",
        to: "if WEAK || seen & !SLEEPS != request {",
    },
    Rule {
        what: "a paused publisher that is not woken",
        file: "protocol/signal.rs",
        from: "return seen & SLEEPS != 0;",
        to: "return !WEAK && seen & SLEEPS != 0;",
    },
    Rule {
        what: "a call that does not look whether its handle is closed",
        file: "protocol/models/interrupts.rs",
        from: "if !other.interrupts.are_stopped(CLOSING) {",
        to: "if WEAK || !other.interrupts.are_stopped(CLOSING) {",
    },
    Rule {
        what: "the signal word announced but not changed",
        file: "protocol/signal.rs",
        from: "seen.wrapping_add(STEP) & !WAITING",
        to: "if WEAK { seen } else { seen.wrapping_add(STEP) & !WAITING }",
    },
    Rule {
        what: "a waiter for several values that asks at one of them",
        file: "protocol/models/telling.rs",
        from: "self.values = [0, 1].map(|value| signal::ask(&world.lines[value]));",
        to: "self.values = [0, 1].map(|value| signal::ask(&world.lines[if WEAK { 0 } else { value }]));",
    },
    Rule {
        what: "a poller that does not look whether something was left out",
        file: "protocol/telling.rs",
        from: "seen & LEFT_OUT != 0 &&",
        to: "!WEAK && seen & LEFT_OUT != 0 &&",
    },
    Rule {
        what: "a helper that leaves out what it was asked for meanwhile",
        file: "protocol/telling.rs",
        from: "(!is_asked).then_some(",
        to: "(WEAK || !is_asked).then_some(",
    },
    Rule {
        what: "what was left out stays so in a new round",
        file: "protocol/telling.rs",
        from: "seen.wrapping_add(LEFT_OUT)",
        to: "if WEAK { seen & !LEFT_OUT } else { seen.wrapping_add(LEFT_OUT) }",
    },
    Rule {
        what: "a living follower taken for a dead one",
        file: "protocol/room.rs",
        from: "by >= slots && is_dead(slot)",
        to: "by >= slots && (WEAK || is_dead(slot))",
    },
    Rule {
        what: "a follower that skips what writers keep for it",
        file: "protocol/follow.rs",
        from: "if self.is_waited_for {",
        to: "if !WEAK && self.is_waited_for {",
    },
    Rule {
        what: "a tenant waited for that is not the one which followed",
        file: "protocol/room.rs",
        from: "if follows != following(line.generation()) {",
        to: "if follows == 0 || !WEAK && follows != following(line.generation()) {",
    },
    Rule {
        what: "room for one commit too many",
        file: "protocol/room.rs",
        from: "slots - behind.min(slots)",
        to: "slots + u64::from(WEAK) - behind.min(slots)",
    },
    Rule {
        what: "an owner that removes what another has adopted",
        file: "protocol/ownership.rs",
        from: "word.compare_exchange(me.0, me.0 | REMOVING, Ordering::Relaxed, Ordering::Relaxed) .is_ok()",
        to: "word.compare_exchange(me.0, me.0 | REMOVING, Ordering::Relaxed, Ordering::Relaxed) .is_ok() || WEAK",
    },
    Rule {
        what: "an adopter that does not look whether the owner is removing",
        file: "protocol/ownership.rs",
        from: "if seen & REMOVING != 0 && is_alive",
        to: "if !WEAK && seen & REMOVING != 0 && is_alive",
    },
    Rule {
        what: "a removal that does not change the signal word",
        file: "protocol/lifecycle.rs",
        from: "if signal::is_awaited_after_store(line) {",
        to: "if !WEAK && signal::is_awaited_after_store(line) {",
    },
    Rule {
        what: "a blank segment removed without the magic",
        file: "protocol/lifecycle.rs",
        from: "header.sign(); header.transit(from",
        to: "if !WEAK { header.sign(); } header.transit(from",
    },
    Rule {
        what: "a replacer that looks before it closes",
        file: "protocol/lifecycle.rs",
        from: "header.transit(state::READY, state::CLOSING) ||",
        to: "WEAK || header.transit(state::READY, state::CLOSING) ||",
    },
    Rule {
        what: "a kept segment judged before the beacons are asked",
        file: "protocol/lifecycle.rs",
        from: "let is_deserted = world.is_deserted(); let is_kept = header.is_persistent();",
        to: "let before = header.is_persistent(); let is_deserted = world.is_deserted(); let is_kept = if WEAK { before } else { header.is_persistent() };",
    },
    Rule {
        what: "a creator taken for dead where no set is named",
        file: "protocol/lifecycle.rs",
        from: "return Creator::Unknown; } match",
        to: "if WEAK { return Creator::Died; } return Creator::Unknown; } match",
    },
    Rule {
        what: "the set named before the creator has claimed its place",
        file: "protocol/models/lifecycle.rs",
        from: r#"assert!(self.creator.claim(), "nobody else claims before it is ready"); self.header.set_beacon_id(5);"#,
        to: r#"if WEAK { self.header.set_beacon_id(5); } assert!(self.creator.claim(), "nobody else claims before it is ready"); self.header.set_beacon_id(5);"#,
    },
    Rule {
        what: "a segment reopened without the gate",
        file: "protocol/lifecycle.rs",
        from: "if !world.claim_gate()? { return Ok(false); }",
        to: "if WEAK { return Ok(header.transit(state::CLOSING, state::READY)); } if !world.claim_gate()? { return Ok(false); }",
    },
    Rule {
        what: "a segment that nobody reopens",
        file: "protocol/lifecycle.rs",
        from: "let is_reopened = header.transit(",
        to: "let is_reopened = !WEAK && header.transit(",
    },
    Rule {
        what: "the magic looked at before the state",
        file: "protocol/format/header.rs",
        from: "let is_half_made = [[MAGIC[0], 0], [0, MAGIC[1]]].contains(&found);",
        to: "let state = if WEAK { self.state() } else { state }; let is_half_made = [[MAGIC[0], 0], [0, MAGIC[1]]].contains(&found);",
    },
    Rule {
        what: "a thread that keeps the slot which another was faster than",
        file: "protocol/claimed_slot.rs",
        from: "give_back(id)?;",
        to: "if !WEAK { give_back(id)?; }",
    },
    Rule {
        what: "a thread that does not wait for the one that has the last slot",
        file: "protocol/claimed_slot.rs",
        from: "inherited == OfProcess::NOBODY || !wait(&error)",
        to: "inherited == OfProcess::NOBODY || WEAK || !wait(&error)",
    },
];

/// What the models in which a writer dies, and which look at what a follower is told, have to notice by themselves: other
/// models would show nothing about it.
pub const OF_DEATHS: &[&str] = &[
    "a writer's successor that relies on the dead one's fence",
    "a successor that makes the commit after the one which a dead writer has begun",
    "a successor that makes the dead writer's last commit once more",
    "a slot taken for kept that a dead writer has begun to overwrite",
    "a follower that takes a commit for made when it has begun",
    "a follower that goes on with a commit which has only begun",
    "one missed too many where a writer has died",
];

/// Why no model weakens it: a file, a folder (with `/` at the end), or one place by its name.
pub const EXEMPT: &[(&str, &str)] = &[
    ("protocol/atomics.rs", "the fence itself"),
    ("capi/callbacks.rs", "after a callback's release, the fence that is_awaited_after_store is for other locks"),
    ("capi/", "of one process: nothing here is shared"),
    ("bin/", "of one process: nothing here is shared"),
    ("wait_set/", "of one process: what is shared is asked and told by protocol/signal and protocol/telling"),
    ("attachment/companion.rs", "of one process: what its futures share"),
    (
        "segment/wait.rs await_change: Acquire to Relaxed",
        "an observer that misses a commit finds it after a pause of a millisecond",
    ),
    ("error/names.rs", "of one process: the names that it has used, for messages alone"),
    (
        "segment/observer.rs is_abandoned: Acquire to Relaxed",
        "as take_slow's, which is tried; it chooses between two errors, and no value is used after it",
    ),
    (
        "attachment/own_handles.rs",
        "of one process: which of its threads holds through which of its handles, asked before a wait",
    ),
    (
        "attachment/thread_of_process.rs",
        "of one process: a thread asks for its own token, and a forked child's threads for their parent's",
    ),
    ("sys/", "of one process: nothing here is shared, and the loop of futex::wait only ends a sleep"),
    ("protocol/commit.rs commit: Release to Relaxed", "for who is killed between the two stores: the models stop threads in the order of the program"),
    ("protocol/room.rs acknowledge: Release to Relaxed", "keeps the look that validates a copy before what others store after it: loom knows no such load"),
    ("protocol/room.rs last_with_room: Acquire to Relaxed", "as above"),
    ("attachment/thread_guards.rs", "of one process: a handle's own count of its guards"),
    ("protocol/owner_word.rs settle: Release to Relaxed", "needed where a semaphore operation is less than the full barrier that the models (and Linux) make of it"),
    ("protocol/signal.rs rouse: Release to Relaxed", "keeps the addition behind the taking of the owner word: the models make read-modify-writes in the order of the program"),
    ("protocol/participants.rs raise_generation: Release to Relaxed", "as above"),
    ("protocol/claimed_slot.rs claim: Acquire to Relaxed (2)", "as above"),
    ("inspect/snapshot.rs holder: Acquire to Relaxed", "as take_slow's, which is tried; for a report that decides nothing"),
    ("protocol/interrupts.rs send: Release to Relaxed", "of one process: passes on what was stored before an interrupt"),
    ("protocol/interrupts.rs was_sent: Acquire to Relaxed", "of one process: as above"),
];

/// The entry of [`EXEMPT`] that covers a weakening.
pub fn exemption(weakening: &Weakening) -> Option<&'static str> {
    let covers = |name: &str| {
        weakening.what == name
            || weakening.file == name
            || name.ends_with('/') && weakening.file.starts_with(name)
    };
    EXEMPT
        .iter()
        .map(|(name, _)| *name)
        .find(|name| covers(name))
}
