use super::*;

#[test]
fn way_back_keeps_every_id() {
    for id in [0, 1, 32768, 98304, i32::MAX, -1] {
        let pieces = way_back(id);
        assert!(pieces.iter().all(|&piece| piece <= 0x7FFF));
        let whole = pieces
            .iter()
            .rev()
            .fold(0_u64, |id, &piece| id << 15 | u64::from(piece));
        assert_eq!(whole as u32 as i32, id);
    }
}

mod sets {
    //! Semaphore sets of the kernel, private ones (key 0).

    use super::*;
    use crate::sys::shm::Status;
    use crate::sys::{effective_user, Failure};

    const LIMIT: u32 = 5;
    const ID: i32 = 98_305;

    /// Removed when the test ends, however it does.
    struct Private(Set);

    impl Drop for Private {
        fn drop(&mut self) {
            let _ = self.0.remove();
        }
    }

    fn made() -> (Beacons, Private) {
        let beacons = Beacons::create(0, ID, LIMIT, 0o600, Owner::default()).unwrap();
        (beacons, Private(beacons.set()))
    }

    fn bare(values: &[u16]) -> Private {
        let set = Private(Set::create(0, values.len(), 0o600).unwrap());
        // QEMU's user emulation takes them from memory that can be written alone.
        let values = values.to_vec();
        set.0.initialise(&values).unwrap();
        set
    }

    fn segment() -> Status {
        Status {
            size: 4096,
            attached: 1,
            mode: 0o600,
            owner: effective_user(),
            creator: effective_user(),
            changed: 0,
            maker: 0,
        }
    }

    fn is_removed<T: std::fmt::Debug>(result: &Result<T, Cause>) -> bool {
        matches!(result, Err(Cause::Removed))
    }

    #[test]
    fn a_set_leads_back_to_its_segment() {
        for id in [0, 1, 32_768, 98_305, i32::MAX, -1, i32::MIN] {
            let beacons = Beacons::create(0, id, LIMIT, 0o600, Owner::default()).unwrap();
            let set = Private(beacons.set());
            assert_eq!(segment_of(set.0).unwrap(), Some(id));
        }
    }

    #[test]
    fn a_set_of_any_size_is_deserted_when_no_beacon_in_it_is_lit() {
        for size in [usize::from(FIRST) + 1, 255, 256, 257, 4100] {
            let mut values = vec![0; size];
            values[..usize::from(FIRST)].fill(7);
            assert!(is_deserted(bare(&values).0).unwrap(), "{size}");
            values[size - 1] = 1;
            assert!(!is_deserted(bare(&values).0).unwrap(), "{size}");
        }
    }

    #[test]
    fn a_set_without_mark_or_way_back_is_not_ours() {
        for values in [&[MARK][..], &[MARK, 1, 2], &[MARK + 1, 1, 2, 3], &[0; 11]] {
            let set = bare(values);
            assert_eq!(segment_of(set.0).unwrap(), None, "{values:?}");
        }
        assert_eq!(
            segment_of(bare(&[MARK, 1, 2, 3]).0).unwrap(),
            Some(1 | 2 << 15 | 3 << 30)
        );
        let (_, set) = made();
        set.0.remove().unwrap();
        assert!(segment_of(set.0).is_err());
    }

    /// Returns the same segment by another maker, and of another mode.
    fn others(right: Status) -> [Status; 2] {
        let (creator, mode) = (right.creator + 1, 0o640);
        [Status { creator, ..right }, Status { mode, ..right }]
    }

    #[test]
    fn a_set_is_opened_only_for_the_segment_that_it_was_made_for() {
        let (beacons, set) = made();
        let open = |segment: &Status, id, limit| {
            Beacons::open(beacons.set().id(), segment, id, limit).map(|(found, _)| found.set())
        };
        let right = segment();
        assert_eq!(open(&right, ID, LIMIT).unwrap(), set.0);
        let [other_maker, other_mode] = others(right);
        for refused in [
            open(&other_maker, ID, LIMIT),
            open(&other_mode, ID, LIMIT),
            open(&right, ID + 1, LIMIT),
            open(&right, ID, LIMIT - 1),
            open(&right, ID, LIMIT + 1),
        ] {
            let is_corrupt = matches!(refused, Err(Cause::Corrupt(_)));
            assert!(is_corrupt, "{refused:?}");
        }
        set.0.remove().unwrap();
        assert!(is_removed(&open(&right, ID, LIMIT)));
    }

    #[test]
    fn who_opens_a_set_is_told_which_beacons_are_lit() {
        let (beacons, _set) = made();
        for slot in [1, LIMIT - 1] {
            assert!(beacons.claim(slot).unwrap());
        }
        assert!(beacons.claim_gate().unwrap());
        let id = beacons.set().id();
        let (_, lit) = Beacons::open(id, &segment(), ID, LIMIT).unwrap();
        assert_eq!(lit, [0, 1, 0, 0, 1]);
        assert_eq!(beacons.all().unwrap(), lit);
        // Another segment's set, made anew under the same id.
        let segment_id = ID + 1;
        let other = Beacons {
            segment_id,
            ..beacons
        };
        assert!(is_removed(&other.all()));
    }

    #[test]
    fn beacons_and_gate_are_claimed_one_by_one() {
        let (beacons, _set) = made();
        let all = |expected: [u16; LIMIT as usize]| assert_eq!(beacons.all().unwrap(), expected);
        all([0; 5]);
        for slot in [0, LIMIT - 1] {
            assert!(!beacons.is_lit(slot).unwrap());
            assert!(beacons.claim(slot).unwrap());
            assert!(!beacons.claim(slot).unwrap(), "it is taken");
            assert!(beacons.is_lit(slot).unwrap());
        }
        all([1, 0, 0, 0, 1]);
        assert!(!beacons.is_lit(1).unwrap());
        assert!(beacons.claim_gate().unwrap());
        assert!(!beacons.claim_gate().unwrap(), "it is taken");
        assert_eq!(beacons.set().value(GATE).unwrap(), 1);
        all([1, 0, 0, 0, 1]);
        beacons.release(0).unwrap();
        all([0, 0, 0, 0, 1]);
        beacons.release(LIMIT - 1).unwrap();
        all([0; 5]);
        assert_eq!(segment_of(beacons.set()).unwrap(), Some(ID));
        beacons.release_gate().unwrap();
        assert!(beacons.claim_gate().unwrap());
        assert!(beacons.claim(0).unwrap());
    }

    #[test]
    #[cfg(feature = "semaphore")]
    fn a_wake_up_is_kept_for_the_next_who_parks() {
        let (beacons, set) = made();
        beacons.unpark();
        assert_eq!(set.0.value(PARKING).unwrap(), 1);
        beacons.park(std::time::Duration::from_secs(600)).unwrap();
        assert_eq!(set.0.value(PARKING).unwrap(), 0);
        // Nobody wakes it: the limit ends it.
        beacons.park(std::time::Duration::ZERO).unwrap();
        set.0.remove().unwrap();
        assert!(is_removed(
            &beacons.park(std::time::Duration::from_secs(600))
        ));
        beacons.unpark();
    }

    #[test]
    fn a_set_that_is_gone_means_removed_and_never_death() {
        let (beacons, set) = made();
        remove_set(set.0).unwrap();
        assert!(is_removed(&beacons.claim(0)));
        assert!(is_removed(&beacons.release(0)));
        assert!(is_removed(&beacons.is_lit(0)));
        assert!(is_removed(&beacons.all()));
        assert!(is_removed(&beacons.claim_gate()));
        assert!(is_removed(&beacons.release_gate()));
        // What is gone is removed.
        remove_set(set.0).unwrap();
    }

    #[test]
    fn another_error_is_passed_on_as_it_is() {
        let (beacons, set) = made();
        let failure = |errno| Failure {
            call: "semop",
            error: std::io::Error::from_raw_os_error(errno),
        };
        let is_passed_on = |result: Result<bool, Cause>| matches!(result, Err(Cause::System(_)));
        assert!(is_passed_on(
            beacons.claimed("try", Err(failure(errno::EACCES)))
        ));
        assert!(is_passed_on(
            beacons.context("try", Err(failure(errno::EACCES)))
        ));
        // The set is there, so this is not about it.
        assert!(is_passed_on(
            beacons.claimed("try", Err(failure(errno::EINVAL)))
        ));
        assert!(is_removed(
            &beacons.claimed("try", Err(failure(errno::EIDRM)))
        ));
        set.0.remove().unwrap();
        assert!(is_removed(
            &beacons.claimed("try", Err(failure(errno::EINVAL)))
        ));
    }

    #[test]
    fn a_set_is_untouched_until_its_first_operation() {
        let count = usize::from(FIRST) + LIMIT as usize;
        let fresh = Private(Set::create(0, count, 0o600).unwrap());
        let is_untouched = |segment: &Status, limit| Beacons::is_untouched(fresh.0, segment, limit);
        let right = segment();
        assert!(is_untouched(&right, LIMIT).unwrap());
        let [other_maker, other_mode] = others(right);
        assert!(!is_untouched(&other_maker, LIMIT).unwrap());
        assert!(!is_untouched(&other_mode, LIMIT).unwrap());
        assert!(!is_untouched(&right, LIMIT - 1).unwrap());
        assert!(!is_untouched(&right, LIMIT + 1).unwrap());
        // Its last beacon, claimed and given back.
        assert!(fresh.0.claim(count as u16 - 1).unwrap());
        assert!(!is_untouched(&right, LIMIT).unwrap());
        fresh.0.release(count as u16 - 1).unwrap();
        assert!(!is_untouched(&right, LIMIT).unwrap());
    }
}
