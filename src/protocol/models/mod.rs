//! Models of the algorithms, explored by loom from the same source as production.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --release --lib models
//! ```
//!
//! | model | what stands in for the world |
//! |---|---|
//! | [`owner`] | [`kernel`]: beacons, sleeping and waking |
//! | [`commit`] | relaxed atomics for the racy copy |
//! | [`follow`] | the same |
//! | [`signal`] | [`kernel`]: sleeping and waking |
//! | [`rest`] | the same |
//! | [`telling`] | [`kernel`]: sleeping on several words |
//! | [`room`] | the same |
//! | [`rwlock`] | [`kernel`] |
//! | [`membership`] | [`kernel`] |
//! | [`lifecycle`] | the gate and one beacon |
//! | [`ownership`] | beacons |
//! | [`interrupts`] | threads of one process |
//!
//! A participant dies by [`mortal`]: before any one of its stores, as the model asks. What a model
//! protects by a lock stands in loom's `UnsafeCell`, so that a missing happens-before is a failure, and a
//! lost wake-up is a deadlock, which loom reports.
//!
//! `.ci/xtask models` weakens every ordering of the source, one at a time, and shows that a model then fails.
//!
//! The larger models are bounded to a few preemptions, to end within seconds; `LOOM_MAX_PREEMPTIONS=5`
//! in the environment takes them further, in hours.
//!
//! What loom cannot show:
//!
//! * It takes `SeqCst` accesses for `AcqRel`; its fences are right, and the algorithms rely on them.
//! * It knows no load that sees what is stored later in program order (load buffering).
//! * It keeps the last seven stores of each atomic, and remembers one last access (see [`mortal`]).
//! * A semaphore operation less than a full barrier: where one stands just before, a release is more than the
//!   models need, and is kept for other kernels (`EXEMPT` in `xtask/src/rules.rs`).
//! * What takes 2¹⁸ tenancies of one slot: why a new tenant settles before it raises the generation,
//!   and a thief claims before it frees a word that it has seen, is argued in `sync::owner`.

#[cfg(test)]
mod commit;
#[cfg(test)]
mod follow;
#[cfg(test)]
mod interrupts;
#[cfg(test)]
mod kernel;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod membership;
pub(crate) mod mortal;
#[cfg(test)]
mod owner;
#[cfg(test)]
mod ownership;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod room;
#[cfg(test)]
mod rwlock;
#[cfg(test)]
mod signal;
#[cfg(test)]
mod telling;

/// Explores every interleaving with at most `preemptions` preemptions (or `LOOM_MAX_PREEMPTIONS`, if that
/// is more); `None` is all.
#[cfg(test)]
fn explore(preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let asked = builder.preemption_bound.unwrap_or(0);
    builder.preemption_bound = preemptions.map(|bound| bound.max(asked));
    builder.max_branches = 5_000;
    builder.check(model);
}

/// Explores a model in which a thread dies before its first store, the second, and so on, until it lives
/// to the end whatever the interleaving. The model says whether they lived.
#[cfg(test)]
fn explore_deaths(
    preemptions: Option<usize>,
    model: impl Fn(u32) -> bool + Send + Sync + Copy + 'static,
) {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    for steps in 0.. {
        let anybody_died = std::sync::Arc::new(AtomicBool::new(false));
        let note = std::sync::Arc::clone(&anybody_died);
        explore(preemptions, move || {
            if !model(steps) {
                note.store(true, SeqCst);
            }
        });
        if !anybody_died.load(SeqCst) {
            assert!(steps > 0, "nobody ever died");
            return;
        }
    }
}
