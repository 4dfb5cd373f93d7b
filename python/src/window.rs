//! Arrays over the bytes of a slot, which must not be a way into the segment once their block is over.
//!
//! A block shows its slot through a mapping of its own, the *window*: `mremap(2)` with an old size of 0 makes a second
//! mapping of the same pages. Where arrays that were made of the block's array live on, the window's pages are
//! exchanged, in one step and before the guard ends, for a private copy at the same address ([`Window::make_private`]).
//! What points there shows that copy from then on, and stores into it: nothing crashes, and no committed value changes.
//!
//! Where no array is left, the window is kept for the next block on the same slot, so that its pages need not be
//! entered into the page table again.

use std::io;
use std::ptr::NonNull;

/// Bytes at an address that does not change.
#[derive(Debug)]
pub(crate) struct Window {
    /// The first page, and how many bytes the pages have.
    base: NonNull<u8>,
    length: usize,
    /// The first byte of the value in them.
    start: NonNull<u8>,
    /// Where the value is in the segment's own mapping.
    of: usize,
}

// SAFETY: a mapping has no thread; who may access its bytes is the block's concern.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Window {
    /// Returns the first byte of the value.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Returns where the value is in the segment's own mapping.
    pub(crate) fn of(&self) -> usize {
        self.of
    }
}

#[cfg(target_os = "linux")]
impl Window {
    /// Maps the pages of these bytes once more.
    ///
    /// # Safety
    /// The bytes are in one mapping that other processes may share, and stay there for this call.
    pub(crate) unsafe fn over(place: *mut u8, size: usize) -> io::Result<Self> {
        // SAFETY: only returns a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let offset = place as usize % page;
        let length = (offset + size).next_multiple_of(page);
        // SAFETY: with an old size of 0 nothing is unmapped or moved: mremap(2).
        let base =
            unsafe { libc::mremap(place.sub(offset).cast(), 0, length, libc::MREMAP_MAYMOVE) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>()).expect("no mapping begins at 0");
        Ok(Self {
            base,
            length,
            // SAFETY: within the first page of the mapping.
            start: unsafe { base.add(offset) },
            of: place as usize,
        })
    }

    /// Exchanges the pages for private ones with the same value, at the same address. Where there is no memory for the
    /// copy, they are zeros.
    ///
    /// # Errors
    /// The kernel has no room for one more mapping: the window is as it was.
    pub(crate) fn make_private(&self, size: usize) -> io::Result<()> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let copy = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                self.length,
                protection,
                private,
                -1,
                0,
            )
        };
        if copy == libc::MAP_FAILED {
            return self.make_zeros();
        }
        // SAFETY: both have so many bytes. The block's guard is held, so no process within the protocol writes the
        // value; what other threads of this program store meanwhile is copied or not.
        unsafe {
            let offset = self.start().offset_from(self.base.as_ptr()) as usize;
            std::ptr::copy_nonoverlapping(self.start(), copy.cast::<u8>().add(offset), size);
        }
        // SAFETY: `copy` is ours; what was at `base` is ours too, and is replaced in one step.
        let moved = unsafe {
            libc::mremap(
                copy,
                self.length,
                self.length,
                libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
                self.base.as_ptr(),
            )
        };
        if moved != libc::MAP_FAILED {
            return Ok(());
        }
        // SAFETY: ours, and nobody else knows it.
        unsafe { libc::munmap(copy, self.length) };
        self.make_zeros()
    }

    fn make_zeros(&self) -> io::Result<()> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: what was at `base` is ours, and is replaced in one step.
        let zeros = unsafe {
            let fixed = private | libc::MAP_FIXED;
            libc::mmap(
                self.base.as_ptr().cast(),
                self.length,
                protection,
                fixed,
                -1,
                0,
            )
        };
        match zeros == libc::MAP_FAILED {
            true => Err(io::Error::last_os_error()),
            false => Ok(()),
        }
    }
}

/// Elsewhere a block has a copy of its own.
#[cfg(not(target_os = "linux"))]
impl Window {
    /// # Safety
    /// None is needed.
    pub(crate) unsafe fn over(_place: *mut u8, _size: usize) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn make_private(&self, _size: usize) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: ours, and whoever drops it knows that nothing points there any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.length) };
    }
}
