//! A process that has become another user since it attached.

use super::*;
use crate::by_lock;
use crate::common::{fork, proof, Gate, Kernel, LOCKS};
use neocortex::{Cortex, CortexBuilder, CortexError, CortexSync, Observer, Permission};
use std::time::Duration;

/// Long enough for several looks at the holder of a lock.
const A_WHILE: Option<Duration> = Some(Duration::from_millis(60));

impl Worker {
    /// `is_admitted`: whether the cortex lets in who it becomes.
    fn start<L: CortexSync>(key: i32, who: Who, is_admitted: bool, rounds: &[Find]) -> Self {
        let (go, done) = (Gate::new(), Gate::new());
        let process = fork(|| {
            let cortex = Cortex::<Value, L>::attach(key).unwrap();
            who.become_it();
            let may_attach = Observer::<Value>::attach(key);
            assert_eq!(may_attach.is_ok(), is_admitted, "{may_attach:?}");
            for round in rounds {
                go.pass();
                round.expect(&cortex);
                done.open();
            }
            // The handle is not closed: the slot is free once the process ends.
            std::mem::forget(cortex);
        });
        Self { process, go, done }
    }

    fn round(&self) {
        self.go.open();
        self.done.pass();
    }

    /// It finds the lock held by a reader or a writer: one that stays, one that lets go meanwhile, one that dies.
    fn find_it_held<L: CortexSync>(&self, cortex: &Cortex<Value, L>, is_reader: bool) {
        let reads = is_reader.then(|| cortex.read_guard().unwrap());
        let writes = (!is_reader).then(|| cortex.write_guard().unwrap());
        self.round();
        self.go.open();
        drop((reads, writes));
        self.done.pass();
        die_holding::<L>(cortex.key(), is_reader);
        self.round();
    }
}

/// What a worker finds.
#[derive(Debug, Clone, Copy)]
enum Find {
    /// Nobody in its way, or a dead process that it may ask about.
    Free,
    /// Somebody in its way, of whom it cannot be told that he has died.
    Held,
    /// Somebody who lets go while it waits.
    HeldForAWhile,
}

impl Find {
    fn expect<L: CortexSync>(self, cortex: &Cortex<Value, L>) {
        let write = |timeout| {
            cortex.set_timeout(timeout);
            cortex.update(|value| value[0] += 1)
        };
        match self {
            Self::Free | Self::HeldForAWhile => write(None).unwrap(),
            Self::Held => {
                for timeout in [Some(Duration::ZERO), A_WHILE] {
                    let late = write(timeout);
                    assert!(matches!(late, Err(CortexError::Timeout { .. })), "{late:?}");
                }
            }
        }
    }
}

/// A process of root that dies holding.
fn die_holding<L: CortexSync>(key: i32, is_reader: bool) {
    let holds = Gate::new();
    let holder = fork(|| {
        let cortex = Cortex::<Value, L>::attach(key).unwrap();
        let _reads = is_reader.then(|| cortex.read_guard().unwrap());
        let _writes = (!is_reader).then(|| cortex.write_guard().unwrap());
        holds.open();
        loop {
            std::thread::park();
        }
    });
    holds.pass();
    holder.kill();
}

fn contend_as_another_user<L: CortexSync>(kernel: &Kernel) -> u64 {
    let key = kernel.key();
    let cortex: Cortex<Value, L> = CortexBuilder::new([0; 4])
        .key(key)
        .with_default_lock()
        .unwrap();
    let guest = Who(GUEST, OTHER_GROUP, &[]);
    let mut rounds = vec![Find::Free];
    for _ in ["a reader", "a writer"] {
        rounds.extend([Find::Held, Find::HeldForAWhile, Find::Held, Find::Free]);
    }
    let worker = Worker::start::<L>(key, guest, false, &rounds);
    worker.round();
    let mut written = 1;
    for is_reader in [true, false] {
        worker.find_it_held(&cortex, is_reader);
        // Who may ask takes over.
        cortex.update(|value| value[1] += 1).unwrap();
        worker.round();
        written += 2;
    }
    worker.process.join();
    let value = cortex.read().unwrap();
    assert_eq!(value[..2], [written, 2]);
    // What the worker had is free.
    let alive = cortex.segment().participants().unwrap().0;
    assert_eq!(alive, 1);
    rounds.len() as u64
}

/// The same where the cortex was made for who the process becomes: it takes over from the dead itself.
fn contend_as_one_admitted<L: CortexSync>(kernel: &Kernel) -> u64 {
    let by_user = Who(GUEST, OTHER_GROUP, &[]);
    let by_further_group = Who(GUEST, OTHER_GROUP, &[GROUP]);
    let mut rounds = vec![Find::Free];
    for _ in ["a reader", "a writer"] {
        rounds.extend([Find::Held, Find::HeldForAWhile, Find::Free]);
    }
    for (who, user, group) in [
        (by_user, Some(GUEST), None),
        (by_further_group, None, Some(GROUP)),
    ] {
        let key = kernel.key();
        let cortex: Cortex<Value, L> = CortexBuilder::new([0; 4])
            .key(key)
            .permission(Permission::OwnerAndGroup)
            .owner(user, group)
            .with_default_lock()
            .unwrap();
        let worker = Worker::start::<L>(key, who, true, &rounds);
        worker.round();
        for is_reader in [true, false] {
            worker.find_it_held(&cortex, is_reader);
        }
        worker.process.join();
        assert_eq!(cortex.read().unwrap()[0], 5);
    }
    2 * rounds.len() as u64
}

#[test]
fn process_that_became_another_user_waits_and_takes_nobody_for_dead() {
    const HOW: &str = "each lock, mode 0600: a process attaches as root, becomes another user, and finds the lock \
        held by a reader and a writer that live, let go, and died; then one made for that user or its further group";
    if !is_root("P3", HOW) {
        return;
    }
    let kernel = Kernel::new();
    let mut cases = 0;
    for name in LOCKS {
        println!("{name}");
        cases += by_lock!(name, contend_as_another_user(&kernel));
        cases += by_lock!(name, contend_as_one_admitted(&kernel));
    }
    proof::passed("P3", HOW, cases);
}
