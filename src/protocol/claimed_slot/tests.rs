//! Claiming, step by step in one thread; another thread's steps are made by what is called in between.

use super::*;

const PARENT: u32 = 7;
const CHILD: u32 = 8;

fn id(slot: u32) -> Id {
    Id::new(slot, 3)
}

fn full() -> Cause {
    Cause::Full { limit: 1 }
}

/// Claims slot by `claim`, and expects neither waiting nor giving back.
fn claim(
    membership: &ClaimedSlot,
    epoch: u32,
    claim: impl FnMut() -> Result<Id, Cause>,
) -> Result<Id, Cause> {
    let no_wait = |_: &Cause| panic!("it is not to wait");
    let keep = |_| panic!("nothing is to be given back");
    membership.claim(epoch, claim, no_wait, || {}, keep)
}

#[test]
fn a_claim_is_of_one_epoch_until_the_slot_is_left() {
    let membership = ClaimedSlot::new();
    for epoch in [0, 1, PARENT, u32::MAX - 1] {
        assert_eq!(membership.of(epoch), None);
    }
    assert_eq!(claim(&membership, PARENT, || Ok(id(4))).unwrap(), id(4));
    assert_eq!(membership.of(PARENT), Some(id(4)));
    assert_eq!(membership.of(CHILD), None);
    assert_eq!(membership.epoch(), PARENT);
    // Claimed already.
    let again = || panic!("it is not to claim twice");
    assert_eq!(claim(&membership, PARENT, again).unwrap(), id(4));
    // A child's first use.
    assert_eq!(claim(&membership, CHILD, || Ok(id(5))).unwrap(), id(5));
    assert_eq!(membership.of(CHILD), Some(id(5)));
    assert_eq!(membership.of(PARENT), None);
    membership.leave();
    assert_eq!(membership.of(CHILD), None);
    assert_eq!(membership.epoch(), OfProcess::NOBODY.epoch());
}

#[test]
fn who_finds_all_taken_waits_only_where_another_thread_may_have_got_the_slot() {
    // No process has ever claimed: the error is returned, without a wait.
    let membership = ClaimedSlot::new();
    let failed = claim(&membership, PARENT, || Err(full()));
    assert!(matches!(failed, Err(Cause::Full { .. })));

    // A child looks again until the wait has had enough.
    claim(&membership, PARENT, || Ok(id(0))).unwrap();
    let (mut claims, mut waits) = (0, 0);
    let failed = membership.claim(
        CHILD,
        || {
            claims += 1;
            Err(full())
        },
        |_| {
            waits += 1;
            waits < 3
        },
        || panic!("it has not claimed"),
        |_| panic!("nothing is to be given back"),
    );
    assert!(matches!(failed, Err(Cause::Full { .. })));
    assert_eq!((claims, waits), (3, 3));

    // Or until there is one.
    let mut claims = 0;
    let mut arrivals = 0;
    let got = membership.claim(
        CHILD,
        || {
            claims += 1;
            (claims == 2).then(|| id(1)).ok_or_else(full)
        },
        |_| true,
        || arrivals += 1,
        |_| panic!("nothing is to be given back"),
    );
    assert_eq!((got.unwrap(), claims, arrivals), (id(1), 2, 1));
}

#[test]
fn the_faster_thread_s_slot_serves_both() {
    // It was faster while this one found no slot.
    let membership = ClaimedSlot::new();
    claim(&membership, PARENT, || Ok(id(0))).unwrap();
    let got = claim(&membership, CHILD, || {
        claim(&membership, CHILD, || Ok(id(1))).unwrap();
        Err(full())
    });
    assert_eq!(got.unwrap(), id(1));

    // It was faster while this one claimed another.
    let overtaken = |give_back: &mut dyn FnMut(Id) -> Result<(), Cause>| {
        membership.leave();
        claim(&membership, PARENT, || Ok(id(0))).unwrap();
        let claim_late = || {
            claim(&membership, CHILD, || Ok(id(1))).unwrap();
            Ok(id(2))
        };
        let wait = |_: &Cause| panic!("it is not to wait");
        membership.claim(CHILD, claim_late, wait, || {}, give_back)
    };
    let mut given_back = None;
    let got = overtaken(&mut |id| {
        given_back = Some(id);
        Ok(())
    });
    assert_eq!((got.unwrap(), given_back), (id(1), Some(id(2))));
    assert_eq!(membership.of(CHILD), Some(id(1)));

    // What cannot be given back is an error.
    assert!(overtaken(&mut |_| Err(full())).is_err());
}
