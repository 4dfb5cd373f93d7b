use super::*;
use crate::Segment;

/// Somebody waits for the end of closing, and its replacer takes it away.
#[test]
fn a_set_that_is_gone_is_no_failure_of_reopening() {
    let segment: Segment = Segment::create_random(8).unwrap();
    let key = segment.key();
    let mapping = open_mapping(key, false).unwrap();
    let (beacons, _) = open_beacons(&mapping, mapping.status(), key).unwrap();
    assert!(header(&mapping).transit(state::READY, state::CLOSING));
    let surroundings = Surroundings::new(&mapping, &beacons, key);
    remove_set(beacons.set(), key).unwrap();
    let is_reopened = lifecycle::reopen_if_abandoned(header(&mapping), &surroundings);
    assert!(!is_reopened.unwrap());
    assert_eq!(header(&mapping).state(), state::CLOSING);
    surroundings.release_gate().unwrap();
    // Its owner knows it nonetheless.
    drop(segment);
    assert_eq!(shm::find(key).unwrap_err().errno(), errno::ENOENT);
}
