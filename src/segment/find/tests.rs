use super::*;
use crate::attachment::mapped_segment::MappedSegment;
use crate::attachment::Attachment;
use crate::protocol::beacons::Beacons;
use crate::protocol::format::state;
use crate::segment::presence::open_beacons;
use crate::{CortexSync, Segment, SegmentOptions, SeqLock};

/// Participants that a header claims after the layout was read.
const MANY: u32 = 64;

/// A cortex with room for [`MANY`], and another layout of as many bytes in all: room for one, and the lines of the
/// others belong to its lock.
fn two_layouts() -> (Segment, Layout) {
    let options = SegmentOptions::new().participants(MANY);
    let segment: Segment = options.create_random(8).unwrap();
    let mut shape = segment.attachment.mapped.layout.shape.clone();
    shape.participants = 1;
    shape.lock_size += (MANY as usize - 1) * format::LINE;
    let narrow = Layout::new(shape).unwrap();
    assert_eq!(
        narrow.total_size,
        segment.attachment.mapped.layout.total_size
    );
    (segment, narrow)
}

#[test]
fn what_a_layout_says_is_not_read_from_the_header_again() {
    let (segment, narrow) = two_layouts();
    let key = segment.key();
    let mapping: Mapping = open_mapping(key).unwrap();
    // The header says MANY, and the set has as many.
    let found = open_beacons(&mapping, &narrow, mapping.status());
    assert!(matches!(found, Err(Cause::Corrupt(_))));
    let wide = header(&mapping).read(mapping.size()).unwrap();
    let (_, lit) = open_beacons(&mapping, &wide, mapping.status()).unwrap();
    assert_eq!(lit.len(), MANY as usize);
}

#[test]
fn no_slot_beyond_the_layout_is_claimed_whatever_the_set_has() {
    let (segment, narrow) = two_layouts();
    let key = segment.key();
    let mapping: Mapping = open_mapping(key).unwrap();
    let set = header(&mapping).beacon_id().unwrap();
    let (beacons, lit) = Beacons::open(set, mapping.status(), mapping.id(), MANY).unwrap();
    assert_eq!(lit.iter().filter(|&&lit| lit != 0).count(), 1);
    let mapped = MappedSegment::new(mapping, narrow, key);
    // Slot 0 is the creator's.
    let joined = Attachment::join(mapped, beacons, lit, SeqLock::settle, true);
    assert!(matches!(joined, Err(Cause::Full { limit: 1 })));
    assert_eq!(segment.participants().unwrap(), (1, MANY));
}

/// A caller that only looks takes a closing segment for whole, and changes nothing about it.
#[test]
fn a_closing_segment_is_whole_for_an_observer() {
    let segment: Segment = Segment::create_random(8).unwrap();
    let own = segment.attachment.mapped.header();
    assert!(own.transit(state::READY, state::CLOSING));
    let arrived = arrive_to_look(segment.key(), &SegmentOptions::new(), None).unwrap();
    assert!(matches!(arrived, Arrival::Ready(_)));
    assert_eq!(own.state(), state::CLOSING);
    assert!(own.transit(state::CLOSING, state::READY));
}
