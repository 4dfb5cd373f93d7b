use super::*;
use crate::Segment;

/// A process waits for the end of closing, and its replacer takes it away.
#[test]
fn a_set_that_is_gone_is_no_failure_of_reopening() {
    let segment: Segment = Segment::create_random(8).unwrap();
    let key = segment.key();
    let mapping: Mapping = open_mapping(key).unwrap();
    let (beacons, _) = find_beacons(&mapping).unwrap();
    assert!(header(&mapping).transit(state::READY, state::CLOSING));
    let surroundings = Surroundings::new(&beacons);
    remove_set(beacons.set()).unwrap();
    let is_reopened = lifecycle::reopen_if_abandoned(header(&mapping), &surroundings);
    assert!(!is_reopened.unwrap());
    assert_eq!(header(&mapping).state(), state::CLOSING);
    surroundings.release_gate().unwrap();
    // Its owner knows it nonetheless.
    drop(segment);
    assert_eq!(shm::find(key).unwrap_err().errno(), errno::ENOENT);
}
