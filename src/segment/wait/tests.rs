use super::*;
use crate::protocol::owner_word::RESTING;
use crate::{RwLock, SegmentOptions, SeqLock};

fn create<L: CortexSync + 'static>() -> Segment<L> {
    SegmentOptions::new().create_random(8).unwrap()
}

fn owner_word<L: CortexSync>(segment: &Segment<L>) -> u32 {
    let word = segment.attachment.mapped.lock_word(0).unwrap();
    word.load(Ordering::Relaxed)
}

fn signal_word<L: CortexSync>(segment: &Segment<L>) -> u32 {
    let line = segment.attachment.mapped.signal();
    line.signal.load(Ordering::Relaxed)
}

/// Calls this while another thread waits for a commit and has come to rest; it is to end the wait with version 1.
fn beside_a_long_sleeper<L: CortexSync + 'static>(then: impl FnOnce(&Segment<L>)) {
    let segment = create::<L>();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| segment.wait_changed(0, None).unwrap());
        while owner_word(&segment) != RESTING {
            std::thread::sleep(Duration::from_millis(1));
        }
        then(&segment);
        assert_eq!(waiter.join().unwrap(), 1);
    });
}

fn a_writer_rouses_before_it_writes<L: CortexSync + 'static>() {
    beside_a_long_sleeper::<L>(|segment| {
        let before = signal_word(segment);
        let guard = segment.write_guard().unwrap();
        assert_ne!(signal_word(segment), before);
        assert_eq!(segment.version(), 0);
        drop(guard);
        assert_eq!(owner_word(segment), 0);
        // The fast path again, which finds nothing to do.
        let before = signal_word(segment) >> 1;
        drop(segment.write_guard().unwrap());
        assert_eq!(signal_word(segment) >> 1, before);
        segment.write_at(0, &[1; 8]).unwrap();
    });
}

#[test]
#[cfg_attr(neocortex_portable, ignore = "no process is woken, so none rests")]
fn a_writer_rouses_a_long_sleeper_before_it_writes() {
    a_writer_rouses_before_it_writes::<SeqLock>();
    a_writer_rouses_before_it_writes::<RwLock>();
    #[cfg(feature = "semaphore")]
    beside_a_long_sleeper::<crate::Semaphore>(|segment| {
        segment.try_write_at(0, &[1; 8]).unwrap();
    });
}

/// Readers have nothing to do with it: they take and leave a lock at rest, and leave it at rest.
#[test]
#[cfg_attr(neocortex_portable, ignore = "no process is woken, so none rests")]
fn a_reader_beside_a_long_sleeper_disturbs_nobody() {
    beside_a_long_sleeper::<RwLock>(|segment| {
        let before = signal_word(segment);
        let guard = segment.read_guard().unwrap();
        assert!(segment.try_read_guard().is_ok());
        drop(guard);
        assert_eq!(
            (owner_word(segment), signal_word(segment)),
            (RESTING, before)
        );
        segment.write_at(0, &[1; 8]).unwrap();
    });
}

/// The word of a lock of the user's own is no owner word.
#[test]
fn a_lock_that_is_not_built_in_is_never_at_rest() {
    let segment = create::<SeqLock>();
    assert!(segment.attachment.rest() != crate::sys::futex::IS_POLLED);
    let guard = segment.write_guard().unwrap();
    assert!(!segment.attachment.rest());
    drop(guard);
}
