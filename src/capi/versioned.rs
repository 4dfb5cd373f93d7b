//! Structures that grow from version to version of the library.

use crate::error::Cause;
use std::ffi::c_void;
use std::mem::MaybeUninit;

/// A structure of the library that C programs allocate: it begins with its size, all zeros is one of
/// its values, and fields are only ever added at its end, past its padding.
///
/// # Safety
/// `repr(C)`, a `size_t` first, valid when zeroed.
pub(super) unsafe trait Versioned: Copy {
    /// The `sizeof` of the structure in the first version of the library.
    const FIRST_SIZE: usize;
}

/// Returns the `sizeof` of a `T` whose last field ends at `end`.
pub(super) const fn size_up_to<T>(end: usize) -> usize {
    end.next_multiple_of(align_of::<T>())
}

/// No version of a structure will be larger.
const SIZE_LIMIT: usize = 4096;

/// Copies a structure that was compiled against this or another version of the header: fields that it
/// does not have yet are 0, those that this library does not have yet must be.
///
/// # Safety
/// Valid for as many bytes as its first field says, and at least for that field.
pub(super) unsafe fn read_versioned<T: Versioned>(
    given: *const c_void,
    what: &str,
) -> Result<T, Cause> {
    // SAFETY: the caller's promise. Read as unaligned, which costs nothing here.
    let size = unsafe { given.cast::<usize>().read_unaligned() };
    if size < T::FIRST_SIZE {
        let detail = format!(
            "{what}: struct_size is {size}, and the first version of the structure has {}. Set it to sizeof the structure{}",
            T::FIRST_SIZE,
            match what {
                "options" => ", as NEOCORTEX_OPTIONS_INIT does",
                _ => "",
            }
        );
        return Err(Cause::invalid(detail));
    }
    // A size that was never set, rather than a later version's: it would be read beyond the end of memory.
    if size > SIZE_LIMIT {
        let detail = format!(
            "{what}: struct_size is {size}, and no version of the structure has more than {SIZE_LIMIT}. Set it to sizeof the structure"
        );
        return Err(Cause::invalid(detail));
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(given.cast::<u8>(), size) };
    let known = size.min(size_of::<T>());
    if bytes[known..].iter().any(|&byte| byte != 0) {
        let detail = "a structure sets fields that this version of the library does not know. Run the program with the library whose header it was compiled with";
        return Err(Cause::Unsupported(detail));
    }
    let mut structure = MaybeUninit::<T>::zeroed();
    // SAFETY: both are there for `known` bytes, and apart. The bytes are fields of T as its user set them, the
    // rest is zero: valid (Versioned).
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), structure.as_mut_ptr().cast(), known);
        Ok(structure.assume_init())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a program was compiled against: the first version.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct First {
        struct_size: usize,
        number: u64,
        flag: u32,
    }

    /// What the library has become.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Grown {
        first: First,
        later: u64,
        latest: u64,
    }

    // SAFETY: see the definition.
    unsafe impl Versioned for Grown {
        const FIRST_SIZE: usize =
            size_up_to::<First>(std::mem::offset_of!(First, flag) + size_of::<u32>());
    }

    fn read(struct_size: usize, more: [u64; 4]) -> Result<Grown, Cause> {
        #[repr(C)]
        struct Given(First, [u64; 4]);
        let first = First {
            struct_size,
            number: 7,
            flag: 1,
        };
        let given = Given(first, more);
        assert!(struct_size <= size_of::<Given>());
        // SAFETY: valid for `struct_size` bytes.
        unsafe { read_versioned((&raw const given).cast(), "a structure") }
    }

    #[test]
    fn fields_that_an_older_program_does_not_have_are_zero() {
        assert_eq!(Grown::FIRST_SIZE, size_of::<First>());
        // What lies behind an older program's structure is not read.
        let grown = read(size_of::<First>(), [11, 12, 13, 14]).expect("the first version");
        assert_eq!((grown.first.number, grown.first.flag), (7, 1));
        assert_eq!((grown.later, grown.latest), (0, 0));
        let grown = read(size_of::<First>() + 8, [11, 12, 13, 14]).expect("the second version");
        assert_eq!((grown.later, grown.latest), (11, 0));
    }

    #[test]
    fn fields_that_this_library_does_not_have_must_be_zero() {
        let grown =
            read(size_of::<Grown>() + 16, [11, 12, 0, 0]).expect("nothing new is asked for");
        assert_eq!((grown.later, grown.latest), (11, 12));
        for more in [[11, 12, 1, 0], [11, 12, 0, 1 << 63]] {
            let refused = read(size_of::<Grown>() + 16, more);
            assert!(matches!(refused, Err(Cause::Unsupported(_))));
        }
        assert!(read(size_of::<Grown>() + 8, [11, 12, 0, 1]).is_ok());
    }

    #[test]
    fn less_than_the_first_version_is_refused() {
        for size in 0..size_of::<First>() {
            let refused = read(size, [0; 4]);
            assert!(matches!(refused, Err(Cause::InvalidArgument(_))));
        }
    }
}
