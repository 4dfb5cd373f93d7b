//! Memory whose amount a caller, a header or the kernel's tables choose. Where there is none, the caller gets an error:
//! the allocations of the language end the process instead.

use super::{Failure, SysResult};
use bytemuck::Zeroable;
use std::alloc::{alloc_zeroed, Layout};

/// The error where there is no memory.
pub(crate) fn none() -> Failure {
    Failure {
        call: "malloc",
        error: std::io::Error::from_raw_os_error(libc::ENOMEM),
    }
}

/// Returns so many zeros. A large allocation gets its pages when they are first written to.
pub(crate) fn zeroed<T: Zeroable>(count: usize) -> SysResult<Box<[T]>> {
    let layout = Layout::array::<T>(count).map_err(|_| none())?;
    if layout.size() == 0 {
        return Ok(std::iter::repeat_with(T::zeroed).take(count).collect());
    }
    // SAFETY: not of size 0.
    let memory = unsafe { alloc_zeroed(layout) }.cast::<T>();
    if memory.is_null() {
        return Err(none());
    }
    let slice = std::ptr::slice_from_raw_parts_mut(memory, count);
    // SAFETY: from the global allocator, with the layout of this very slice, and zeros are a T (Zeroable).
    Ok(unsafe { Box::from_raw(slice) })
}

/// Collects the items of an iterator, at most so many.
pub(crate) fn gather<T>(most: usize, items: impl Iterator<Item = T>) -> SysResult<Vec<T>> {
    let mut all = Vec::new();
    all.try_reserve_exact(most).map_err(|_| none())?;
    all.extend(items.take(most));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_is_an_error() {
        for count in [isize::MAX as usize, usize::MAX] {
            let failure = zeroed::<u16>(count).unwrap_err();
            assert_eq!((failure.call, failure.errno()), ("malloc", libc::ENOMEM));
            let failure = gather(count, [1_u64].into_iter()).unwrap_err();
            assert_eq!(failure.errno(), libc::ENOMEM);
        }
        assert_eq!(*zeroed::<u16>(3).unwrap(), [0; 3]);
        assert!(zeroed::<u64>(0).unwrap().is_empty());
        assert_eq!(gather(2, 7..).unwrap(), [7, 8]);
        assert_eq!(gather(2, [1].into_iter()).unwrap(), [1]);
    }
}
