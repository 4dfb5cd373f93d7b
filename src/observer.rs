//! Reading without taking part: a read-only mapping, no lock, no slot.
//!
//! An observer needs only read permission and cannot disturb anyone: it never stores, so it can
//! neither ask a writer to pause nor sleep on a word. It validates each copy by the commit counters,
//! which every writer keeps whatever its lock, and looks again at growing, bounded intervals.

use crate::copy;
use crate::cortex::{check_bits, options_for};
use crate::error::{Attempt, CortexError, CortexResult};
use crate::format::state;
use crate::segment::{find, SegmentOptions};
use crate::site::Wait;
use crate::sys::{address, shm};
use crate::view::{header, View};
use bytemuck::CheckedBitPattern;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Watches the bytes of a segment, read-only.
#[derive(Debug)]
pub struct SegmentObserver {
    view: View,
    timeout: AtomicU64,
    interrupts: AtomicU32,
    interrupts_seen: AtomicU32,
}

const FOREVER: u64 = u64::MAX;

/// How often a copy is tried before the observer begins to sleep in between.
const ATTEMPTS: u32 = 64;

/// The longest sleep between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

impl SegmentObserver {
    /// Attaches read-only; `size` 0 accepts any. The lock does not matter.
    ///
    /// # Errors
    /// `CleanSystem` (`ENOENT`; `EACCES` without read permission), `NotACortex`, `Format`, `Layout`,
    /// `NotReady`, `Corrupt`.
    pub fn attach(key: i32, size: usize) -> CortexResult<Self> {
        Self::attach_with(key, size, &SegmentOptions::new())
    }

    /// [`SegmentObserver::attach`] that also compares schema and alignment, or begins with a time-out.
    ///
    /// # Errors
    /// As [`SegmentObserver::attach`].
    pub fn attach_with(key: i32, size: usize, options: &SegmentOptions) -> CortexResult<Self> {
        let view = Self::open(key)?;
        find::check_shape(key, size, options, &view.layout)?;
        let observer = Self {
            view,
            timeout: AtomicU64::new(FOREVER),
            interrupts: AtomicU32::new(0),
            interrupts_seen: AtomicU32::new(0),
        };
        observer.set_timeout(options.timeout);
        Ok(observer)
    }

    fn open(key: i32) -> CortexResult<View> {
        loop {
            let mapping = find::open_mapping(key, true)?;
            // A closing segment is whole: somebody is looking whether it may be replaced, and an
            // observer could not reopen it if they died.
            if header(&mapping).state() != state::CLOSING && !find::await_ready(&mapping, key)? {
                // Removed, though the key is still there: only for a moment, unless the remover died.
                let id = mapping.id();
                drop(mapping);
                address::sleep(LONGEST_PAUSE);
                if crate::sys::shm::find(key).is_ok_and(|found| found == id) {
                    return Err(CortexError::Removed { key });
                }
                continue;
            }
            let layout = header(&mapping).read(key, mapping.size())?;
            return Ok(View {
                mapping,
                layout,
                key,
            });
        }
    }

    /// The key it was created under.
    pub fn key(&self) -> i32 {
        self.view.key
    }

    /// Bytes in the payload.
    pub fn size(&self) -> usize {
        self.view.layout.shape.size
    }

    /// How many writes were committed since it was created.
    pub fn version(&self) -> u64 {
        self.view.ledger().committed()
    }

    /// The name of its lock.
    pub fn lock_name(&self) -> &str {
        &self.view.layout.shape.lock_name
    }

    /// The schema it was created with; 0 is none.
    pub fn schema(&self) -> u64 {
        self.view.layout.shape.schema
    }

    /// The most participants it admits; an observer is none of them.
    pub fn participant_limit(&self) -> u32 {
        self.view.layout.shape.participants
    }

    /// How many participants are attached now, and how many can be.
    ///
    /// # Errors
    /// `Removed`, `Corrupt`, `CleanSystem`.
    pub fn participants(&self) -> CortexResult<(u32, u32)> {
        let mapping = &self.view.mapping;
        // The mode may be another by now.
        let status = shm::status(mapping.id()).attempt("look at", self.key())?;
        let (_, lit) = find::open_beacons(mapping, &status, self.key())?;
        let alive = lit.into_iter().filter(|&lit| lit != 0).count();
        Ok((alive as u32, self.participant_limit()))
    }

    /// Whether the segment was removed.
    pub fn is_removed(&self) -> bool {
        self.view.is_removed()
    }

    /// Whether a write in place was left unfinished. A snapshot: a writer at work looks the same.
    pub fn is_poisoned(&self) -> bool {
        self.view.layout.is_in_place() && self.view.ledger().is_unfinished()
    }

    /// How long a read or a wait may last; `None` is for ever, zero not at all.
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        let nanoseconds = timeout.map_or(FOREVER, |timeout| {
            u64::try_from(timeout.as_nanos()).unwrap_or(FOREVER)
        });
        self.timeout.store(nanoseconds, Ordering::Relaxed);
    }

    /// The time-out in force.
    pub fn timeout(&self) -> Option<Duration> {
        match self.timeout.load(Ordering::Relaxed) {
            FOREVER => None,
            nanoseconds => Some(Duration::from_nanos(nanoseconds)),
        }
    }

    /// Ends every wait through this observer, or the next one, within a millisecond.
    /// Async-signal-safe.
    pub fn interrupt(&self) {
        self.interrupts.fetch_add(1, Ordering::Release);
    }

    fn was_interrupted(&self, entry: u32) -> bool {
        let now = self.interrupts.load(Ordering::Acquire);
        if now != entry {
            self.interrupts_seen.store(now, Ordering::Relaxed);
        }
        now != entry
    }

    /// Copies the bytes from `offset` on into `buffer`: all from one commit.
    ///
    /// # Errors
    /// `InvalidArgument` where the range leaves the segment; `Timeout`, also where an in-place segment
    /// is poisoned (an observer cannot tell that from a long write); `Interrupted`.
    pub fn read_at(&self, offset: usize, buffer: &mut [u8]) -> CortexResult<()> {
        let (length, size) = (buffer.len(), self.size());
        if offset.checked_add(length).is_none_or(|end| end > size) {
            let detail = format!("{length} bytes at offset {offset} do not fit into {size} bytes");
            return Err(CortexError::invalid(self.key(), detail));
        }
        // SAFETY: the range was checked, the buffer is exclusively ours.
        unsafe { self.load(offset, buffer.as_mut_ptr(), buffer.len()) }
    }

    /// # Safety
    /// The range is within the segment, and `buffer` is valid for `length` bytes.
    unsafe fn load(&self, offset: usize, buffer: *mut u8, length: usize) -> CortexResult<()> {
        let ledger = self.view.ledger();
        let slot = |commit| self.view.slot(ledger.slot(commit));
        // SAFETY: any slot is valid for the checked range.
        let copy = |commit| unsafe { copy::load(slot(commit).add(offset), buffer, length) };
        self.poll("read", self.timeout(), || ledger.snapshot(copy))
    }

    /// Looks until the version is another than `since`, and returns it.
    ///
    /// # Errors
    /// `Timeout`, `Removed`, `Interrupted`.
    pub fn wait_changed(&self, since: u64, timeout: Option<Duration>) -> CortexResult<u64> {
        let result = self.poll("waiting for change", timeout, || match self.version() {
            version if version != since => Some(Some(version)),
            _ if self.is_removed() => Some(None),
            _ => None,
        })?;
        result.ok_or(CortexError::Removed { key: self.key() })
    }

    /// Tries until `attempt` answers: at once, then with pauses growing to a millisecond.
    fn poll<R>(
        &self,
        operation: &'static str,
        timeout: Option<Duration>,
        attempt: impl Fn() -> Option<R>,
    ) -> CortexResult<R> {
        if let Some(result) = attempt() {
            return Ok(result);
        }
        let key = self.key();
        let wait = Wait::lasting(timeout);
        let entry = self.interrupts_seen.load(Ordering::Relaxed);
        let mut pause = Duration::from_micros(10);
        for count in 0_u32.. {
            if let Some(result) = attempt() {
                return Ok(result);
            }
            if self.was_interrupted(entry) {
                return Err(CortexError::Interrupted { key, operation });
            }
            let left = wait.left().unwrap_or(LONGEST_PAUSE);
            if left == Duration::ZERO {
                break;
            }
            if count > ATTEMPTS {
                address::sleep(pause.min(left));
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else {
                crate::primitive::spin();
            }
        }
        Err(CortexError::Timeout { key, operation })
    }
}

/// Watches a value, read-only: needs read permission, takes no lock and no slot, disturbs nobody.
///
/// ```
/// use neocortex::{CortexBuilder, Observer};
///
/// # fn main() -> neocortex::CortexResult<()> {
/// let cortex = CortexBuilder::new(1.5).random_key().create()?;
/// let observer = Observer::<f64>::attach(cortex.key())?;
/// assert_eq!(observer.read()?, 1.5);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Observer<T> {
    segment: SegmentObserver,
    value: PhantomData<fn() -> T>,
}

impl<T: CheckedBitPattern> Observer<T> {
    /// Attaches read-only. Size and alignment must be `T`'s; the lock does not matter.
    ///
    /// # Errors
    /// As [`SegmentObserver::attach`].
    pub fn attach(key: i32) -> CortexResult<Self> {
        Self::attach_with(key, &SegmentOptions::new())
    }

    /// [`Observer::attach`] that also compares the schema, or begins with a time-out.
    ///
    /// # Errors
    /// As [`SegmentObserver::attach`].
    pub fn attach_with(key: i32, options: &SegmentOptions) -> CortexResult<Self> {
        if size_of::<T>() == 0 {
            return Err(CortexError::invalid(
                key,
                "a type of size 0 has nothing to share",
            ));
        }
        let segment =
            SegmentObserver::attach_with(key, size_of::<T>(), &options_for::<T>(options))?;
        Ok(Self {
            segment,
            value: PhantomData,
        })
    }

    /// The current value, copied out.
    ///
    /// # Errors
    /// `InvalidValue` where the bytes are not a `T`; `Timeout`, `Interrupted`.
    pub fn read(&self) -> CortexResult<T> {
        let mut bits = MaybeUninit::<T::Bits>::uninit();
        // SAFETY: T::Bits has T's size, which is the segment's (checked on attach).
        unsafe {
            self.segment
                .load(0, bits.as_mut_ptr().cast(), size_of::<T>())?
        };
        // SAFETY: every bit pattern is a T::Bits (AnyBitPattern), and all bytes were copied.
        check_bits(self.key(), unsafe { bits.assume_init_ref() })
    }

    /// The bytes under the value.
    pub fn segment(&self) -> &SegmentObserver {
        &self.segment
    }

    /// The key it was created under.
    pub fn key(&self) -> i32 {
        self.segment.key()
    }

    /// How many writes were committed since it was created.
    pub fn version(&self) -> u64 {
        self.segment.version()
    }

    /// How long a read or a wait may last: see [`SegmentObserver::set_timeout`].
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        self.segment.set_timeout(timeout);
    }

    /// See [`SegmentObserver::wait_changed`].
    ///
    /// # Errors
    /// As [`SegmentObserver::wait_changed`].
    pub fn wait_changed(&self, since: u64, timeout: Option<Duration>) -> CortexResult<u64> {
        self.segment.wait_changed(since, timeout)
    }
}
