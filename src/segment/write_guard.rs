//! Writing without a copy: a write guard gives access to the bytes of the next commit themselves, for as long as it
//! lives. What a guard's reference guarantees, and what it is in a forked child, is explained in [`super::read_guard`].
//!
//! **Why a write guard's plain stores are allowed beside optimistic reads.** A reader of the same process may copy a
//! slot while a guard's owner stores into it through `&mut`. With two slots or more that is a reader that was
//! overtaken; in place it is any reader. It looks at `begun` after the copy and throws the copy away
//! ([`crate::protocol::commit`]).
//!
//! - Where the copy is assembly (x86-64, AArch64: `copy/machine.rs`), the block must do what some code of the language
//!   could do in its place, and may choose among several. Beside copying writes that is the code of relaxed loads
//!   (`crate::copy`). Where a guard's owner stores meanwhile, it is code which does not access those bytes and makes
//!   some up: the destination holds any bytes, and `begun` says afterwards that they do not count. Whenever `begun`
//!   says that they do, every store to them happened before, and there was no race.
//! - Where the copy is portable (`copy/portable.rs`, other processors, `neocortex_portable`, Miri), it consists of
//!   relaxed atomic loads of the language. Beside the *copying* writes, whose stores are atomic as well, there is no
//!   race. Beside a write *guard's* plain stores there is one by the letter of the memory model, if both are in one
//!   process; compilers emit the same loads as for volatile accesses, and the result is thrown away. Every sequence
//!   lock in Rust today relies on this (`crossbeam`'s `AtomicCell` among them); the language has no operation yet that
//!   closes it (RFC 3301, atomic `memcpy`). A program that must keep to the letter there uses the copying calls, or
//!   `RwLock` or `Semaphore`, with which no read is optimistic.

use super::handle::{log_dropped_error, Segment};
use super::payload::{Contents, Payload};
use crate::attachment::patience::Limit;
use crate::attachment::slots::Slots;
use crate::attachment::thread_guards::AttachmentId;
use crate::error::{busy, CortexError, CortexResult};
use crate::locks::CortexSync;
use crate::protocol::atomics::{AtomicU32, Ordering};
use crate::protocol::commit::{Begun, LineRange};
use crate::protocol::signal;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Access to the next value without a copy. The value starts as the current one (with [`Segment::overwrite_guard`] it
/// is unspecified), and becomes the current one at [`WriteGuard::commit`]. If the guard is dropped before that, the
/// current value stays; in the in-place layout, where the write cannot be undone, the segment is then poisoned.
#[must_use = "dropping the guard without `commit` rolls back"]
pub struct WriteGuard<'a, T: Payload + ?Sized, L: CortexSync> {
    segment: &'a Segment<L>,
    value: NonNull<T>,
    /// The attachment of the process that took it.
    attachment_id: AttachmentId,
    /// A copy of the segment's slots: a loop that publishes keeps it in registers, where it would have to load the
    /// segment's own again after every commit.
    slots: Slots,
    epoch: &'static AtomicU32,
    /// The commit that has begun.
    commit: u64,
    /// From which commit on the publisher asks whether the segment is still there: a copy of [`Watch::due`]. No other
    /// process commits meanwhile.
    ///
    /// [`Watch::due`]: crate::attachment::loss::Watch::due
    due: u64,
    /// The range that was marked; an empty one stands for all bytes. It is all bytes from the start where the slot did
    /// not hold the current value when this commit began (after [`WriteGuard::publish`], or with
    /// [`Contents::Unspecified`]), so that marks change nothing.
    changed: LineRange,
    _not_send: PhantomData<*const ()>,
}

impl<L: CortexSync> Segment<L> {
    /// Takes the lock for writing and shows the bytes of the next commit, which start as the current
    /// ones. See [`WriteGuard`].
    ///
    /// # Errors
    /// The errors of taking the lock (`Timeout`, `Interrupted`, `Busy`, …); `Poisoned`; `Unsupported` in a cortex of
    /// records.
    pub fn write_guard(&self) -> CortexResult<WriteGuard<'_, [u8], L>> {
        WriteGuard::begin(self, Limit::Handle, Contents::Current)
    }

    /// [`Segment::write_guard`] for a caller that writes all of the bytes: the current value is not copied there first,
    /// which halves the cost of filling a large segment.
    ///
    /// The guard shows what was in the slot: an older value, or what an abandoned write left of one. It is initialised
    /// memory of this segment, and all of it becomes the next value at [`WriteGuard::commit`], whatever was marked. In
    /// the in-place layout, where the slot holds the current value, nothing is copied in any case, and the commit heals
    /// a poisoned segment as a whole write does.
    ///
    /// ```
    /// use neocortex::Segment;
    ///
    /// # fn main() -> neocortex::CortexResult<()> {
    /// let segment = Segment::<neocortex::SeqLock>::create_random(1920 * 1080 * 3)?;
    /// let mut frame = segment.overwrite_guard()?;
    /// frame.fill(0x80);
    /// frame.commit()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The errors of taking the lock (`Timeout`, `Interrupted`, `Busy`, …); `Unsupported` in a cortex of records.
    pub fn overwrite_guard(&self) -> CortexResult<WriteGuard<'_, [u8], L>> {
        WriteGuard::begin(self, Limit::Handle, Contents::Unspecified)
    }
}

impl<'a, T: Payload + ?Sized, L: CortexSync> WriteGuard<'a, T, L> {
    #[inline]
    pub(crate) fn begin(
        segment: &'a Segment<L>,
        limit: Limit,
        contents: Contents,
    ) -> CortexResult<Self> {
        let mut limit = limit;
        if segment.slots.is_special() {
            segment.check_holds_value()?;
            limit = segment.write_limit(limit);
        }
        segment.take_write(limit)?;
        let (is_whole, changed) = match contents {
            Contents::Current => (false, LineRange::NONE),
            // Marks cannot add anything to all bytes.
            Contents::Unspecified => (true, LineRange::WHOLE),
        };
        let begun = segment.begin_write(segment.slots.lines(), is_whole, limit)?;
        Ok(Self::of_begun(segment, begun, changed))
    }

    /// Returns the guard for a thread that has just taken the lock for writing and begun a commit.
    #[inline]
    pub(super) fn of_begun(segment: &'a Segment<L>, begun: Begun, changed: LineRange) -> Self {
        Self {
            segment,
            value: segment.slots.payload(begun.commit),
            attachment_id: segment.attachment.id(),
            slots: segment.slots,
            epoch: segment.attachment.epoch(),
            commit: begun.commit,
            due: segment.attachment.watch.due(),
            changed,
            _not_send: PhantomData,
        }
    }

    /// Says that this guard changed these bytes, and those of its other marks, and nothing else. The cost of a small
    /// change in a large segment then depends on the changed bytes alone. Without a mark, all bytes count as changed.
    ///
    /// # Errors
    /// `InvalidArgument` where the range leaves the segment.
    pub fn mark(&mut self, offset: usize, length: usize) -> CortexResult<()> {
        self.segment.check_range(offset, length)?;
        self.changed = self.changed.union(LineRange::covering(offset, length));
        Ok(())
    }

    /// Makes the new value the current one, for all processes at once, and releases the lock.
    ///
    /// # Errors
    /// `Busy` in a forked child, whose inherited guard is void; the errors of the lock's release.
    #[inline]
    pub fn commit(self) -> CortexResult<()> {
        let guard = std::mem::ManuallyDrop::new(self);
        guard.check_mine()?;
        let (segment, slots) = (guard.segment, guard.slots);
        segment.end_write(slots.lines(), &*segment.lock, guard.commit, guard.changed())
    }

    /// Makes the new value the current one and keeps the lock, for a writer that owns the value for a long time.
    /// Optimistic readers and observers go on. What the guard shows after it is unspecified (an older value): write all
    /// of it before the next commit, or use [`WriteGuard::publish_and_refresh`].
    ///
    /// # Errors
    /// `Unsupported` in the in-place layout, and in a lossless cortex; `Busy` in a forked child; `Removed` where it is found that another process
    /// has taken the segment from the kernel's tables: attached processes see what was published, and no other process
    /// can.
    #[inline]
    pub fn publish(&mut self) -> CortexResult<()> {
        self.publish_inner()?;
        self.changed = LineRange::WHOLE;
        Ok(())
    }

    /// [`WriteGuard::publish`], after which the guard shows the value just published. It costs a copy of the bytes that
    /// the last commits changed.
    ///
    /// # Errors
    /// As [`WriteGuard::publish`].
    pub fn publish_and_refresh(&mut self) -> CortexResult<()> {
        let begun = self.publish_inner()?;
        self.segment.catch_up(begun);
        self.changed = LineRange::NONE;
        Ok(())
    }

    #[inline]
    fn publish_inner(&mut self) -> CortexResult<Begun> {
        if !self.can_publish() {
            return Err(self.segment.refuse_to_publish(self.attachment_id));
        }
        let (begun, is_wanted) = self.go_on();
        if is_wanted {
            self.serve_waiters()?;
        }
        Ok(begun)
    }

    /// Serves the waiters after a publish that says that there is something to do.
    #[inline]
    pub(crate) fn serve_waiters(&mut self) -> CortexResult<()> {
        self.due = self.segment.serve_waiters(self.commit)?;
        Ok(())
    }

    /// Commits and begins the next commit. Returns whether a process asks something of the publisher, or it is time to
    /// ask whether the segment is still there. Both can be done after the next commit has begun, because that leaves
    /// the one just made alone.
    #[inline]
    fn go_on(&mut self) -> (Begun, bool) {
        let slots = self.slots;
        let (begun, is_wanted) =
            signal::publish(slots.ledger(), slots.signal(), self.commit, self.changed());
        self.commit = begun.commit;
        self.value = slots.payload_after(self.value, begun.commit);
        (begun, is_wanted || begun.commit >= self.due)
    }

    /// Gives the write up, as dropping the guard does, and returns the error that a drop can only log.
    ///
    /// # Errors
    /// The errors of the lock's release.
    pub fn abort(self) -> CortexResult<()> {
        let guard = std::mem::ManuallyDrop::new(self);
        guard.segment.give_up(guard.attachment_id)
    }

    /// Returns whether the guard was taken in this very process.
    #[inline]
    pub(crate) fn is_mine(&self) -> bool {
        self.attachment_id.is_of(self.epoch.load(Ordering::Relaxed))
    }

    /// Returns whether [`WriteGuard::publish`] cannot fail.
    #[inline]
    fn can_publish(&self) -> bool {
        self.is_mine() && !self.slots.is_special()
    }

    /// [`WriteGuard::publish`] in the default layout, for a caller that knows the guard to be its own. Returns whether
    /// it is then to [serve the waiters](WriteGuard::serve_waiters). `None`, and nothing has happened, in another layout.
    #[cfg(feature = "capi")]
    #[inline]
    pub(crate) fn publish_at_once(&mut self) -> Option<bool> {
        if !self.slots.is_default() {
            return None;
        }
        let (_, is_wanted) = self.go_on();
        self.changed = LineRange::WHOLE;
        Some(is_wanted)
    }

    #[inline]
    fn check_mine(&self) -> CortexResult<()> {
        if self.segment.attachment.is_here(self.attachment_id) {
            return Ok(());
        }
        Err(self.segment.not_mine())
    }

    #[inline]
    fn changed(&self) -> LineRange {
        if self.changed.is_empty() {
            LineRange::WHOLE
        } else {
            self.changed
        }
    }
}

impl<L: CortexSync> Segment<L> {
    /// Ends a write without a commit, unless the write is that of the parent process.
    fn give_up(&self, attachment_id: AttachmentId) -> CortexResult<()> {
        if !self.attachment.is_here(attachment_id) {
            return Ok(());
        }
        self.release_write()
    }

    #[cold]
    fn roll_back(&self, attachment_id: AttachmentId) {
        if let Err(error) = self.give_up(attachment_id) {
            log_dropped_error(self.key(), &error, "rolling back a write guard");
        }
    }

    #[cold]
    fn not_mine(&self) -> CortexError {
        let detail = busy::PARENTS_GUARD;
        CortexError::Busy {
            key: self.key(),
            detail,
        }
    }

    #[cold]
    fn refuse_to_publish(&self, attachment_id: AttachmentId) -> CortexError {
        if !self.attachment.is_here(attachment_id) {
            return self.not_mine();
        }
        let detail = match self.slots.is_lossless() {
            true => "a lossless cortex cannot publish, for its writer would wait for followers with the lock; commit instead",
            false => "the in-place layout has one slot and cannot publish; commit instead",
        };
        CortexError::Unsupported {
            key: self.key(),
            detail,
        }
    }

    /// Does what other processes ask of a publisher: wakes them, and pauses for readers. Then asks whether the segment
    /// is still there, if that is due before this commit, and returns from which commit on it is due next.
    #[cold]
    fn serve_waiters(&self, commit: u64) -> CortexResult<u64> {
        self.wake_waiters(self.slots.lines());
        if self.slots.signal().is_asked() {
            self.pause_for_readers();
        }
        let attachment = &self.attachment;
        match attachment.watch.is_due(commit) && attachment.is_known_to_be_lost(commit) {
            true => Err(CortexError::Removed { key: self.key() }),
            false => Ok(attachment.watch.due()),
        }
    }
}

impl<T: Payload + ?Sized, L: CortexSync> Deref for WriteGuard<'_, T, L> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the slot of the next commit, valid for T (Payload::at), which is ours under the write lock.
        unsafe { self.value.as_ref() }
    }
}

impl<T: Payload + ?Sized, L: CortexSync> DerefMut for WriteGuard<'_, T, L> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; the guard is borrowed exclusively.
        unsafe { self.value.as_mut() }
    }
}

impl<T: Payload + ?Sized, L: CortexSync> Drop for WriteGuard<'_, T, L> {
    // It is short enough to be inlined even where a panic unwinds: a loop that publishes keeps a guard in registers if
    // no code takes the guard's address.
    #[inline(always)]
    fn drop(&mut self) {
        self.segment.roll_back(self.attachment_id);
    }
}

impl<T: Payload + ?Sized + std::fmt::Debug, L: CortexSync> std::fmt::Debug
    for WriteGuard<'_, T, L>
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WriteGuard").field(&&**self).finish()
    }
}
